//! The catalogue arranged for lookups by borrowed names.

use std::collections::HashMap;

use super::Accounts;
use crate::consent::Category;
use crate::wire::classify::TemplateEntry;
use crate::wire::cloud::templates::ListedTemplate;

type Map<V> = HashMap<Box<str>, V, ahash::RandomState>;
/// By name, then by language.
type Names = Map<Map<TemplateEntry>>;

/// Templates by account, name and language, and over all accounts.
#[derive(Default)]
pub(super) struct Index {
    accounts: Map<Names>,
    anywhere: Names,
}

impl Index {
    pub(super) fn of(accounts: &Accounts) -> Self {
        let mut index = Self::default();
        for (account, list) in accounts {
            let names = index.accounts.entry(account.as_str().into()).or_default();
            for template in &list.templates {
                add(names, template);
                add(&mut index.anywhere, template);
            }
        }
        index
    }

    pub(super) fn entry(&self, account: Option<&str>, name: &str, language: &str) -> Option<TemplateEntry> {
        let names = match account {
            Some(account) => self.accounts.get(account)?,
            None => &self.anywhere,
        };
        names.get(name)?.get(language).copied()
    }
}

fn add(names: &mut Names, template: &ListedTemplate) {
    let languages = names.entry(template.name.as_str().into()).or_default();
    let ListedTemplate { category, correct_category, asks_to_call, .. } = *template;
    let entry = TemplateEntry { category, correct_category, asks_to_call };
    languages
        .entry(template.language.as_str().into())
        .and_modify(|known| *known = stricter(*known, entry))
        .or_insert(entry);
}

/// What both entries ask for: marketing where either is marketing, else every category that either names.
///
/// An entry has room for two categories, and beside marketing a template has only utility and authentication to choose from.
fn stricter(one: TemplateEntry, other: TemplateEntry) -> TemplateEntry {
    let named = [Some(one.category), one.correct_category, Some(other.category), other.correct_category];
    let mut named: Vec<Category> = named.into_iter().flatten().collect();
    named.sort_unstable();
    named.dedup();
    let (category, correct_category) = match named.as_slice() {
        [only] => (*only, None),
        [Category::Authentication, Category::Utility] => (Category::Utility, Some(Category::Authentication)),
        _ => (Category::Marketing, None),
    };
    TemplateEntry { category, correct_category, asks_to_call: one.asks_to_call || other.asks_to_call }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(category: Category, correct_category: Option<Category>) -> TemplateEntry {
        TemplateEntry { category, correct_category, asks_to_call: false }
    }

    #[test]
    fn two_entries_of_one_template_ask_for_what_both_ask() {
        use Category::{Authentication, Marketing, Utility};
        for (one, other, both) in [
            (entry(Utility, None), entry(Utility, None), entry(Utility, None)),
            (entry(Utility, None), entry(Marketing, None), entry(Marketing, None)),
            (entry(Utility, Some(Marketing)), entry(Utility, None), entry(Marketing, None)),
            (entry(Utility, None), entry(Authentication, None), entry(Utility, Some(Authentication))),
            (entry(Utility, Some(Authentication)), entry(Marketing, None), entry(Marketing, None)),
        ] {
            assert_eq!(stricter(one, other), both);
            assert_eq!(stricter(other, one), both);
            let calling = TemplateEntry { asks_to_call: true, ..other };
            assert_eq!(stricter(one, calling), TemplateEntry { asks_to_call: true, ..both });
        }
    }
}
