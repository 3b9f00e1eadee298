//! What a send is for: the categories that must be permitted.
//!
//! The caller's own words never make a category milder; what is not known is marketing.

use super::send::{Label, Payload, Send, Surface};
use crate::consent::{Category, CategorySet};

/// What the template catalogue holds about one template in one language.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TemplateEntry {
    /// The category that the provider bills.
    pub category: Category,
    /// The category that the provider announced it will become.
    pub correct_category: Option<Category>,
    /// Whether it asks for the permission to call, which takes a consent of its own.
    pub asks_to_call: bool,
}

/// What the catalogue answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CatalogueAnswer {
    /// The template is known.
    Known(TemplateEntry),
    /// It is not, or what is known is too old.
    Unknown,
}

/// What a send was classified as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Classified {
    /// Every category that must be permitted.
    pub needs: CategorySet,
    /// The strictest of them, by which the send is counted and refused.
    pub headline: Category,
}

/// Reads a provider's name of a template category. Legacy and unknown names are marketing: nothing milder is known of them.
///
/// Source: Meta, "Template categorization".
pub fn category_from_provider(name: &str) -> Category {
    if name.eq_ignore_ascii_case("UTILITY") {
        Category::Utility
    } else if name.eq_ignore_ascii_case("AUTHENTICATION") {
        Category::Authentication
    } else {
        Category::Marketing
    }
}

/// Classifies a send; `entry` is the catalogue's answer about the template that it names.
pub fn classify(send: &Send<'_>, entry: Option<CatalogueAnswer>) -> Classified {
    let needs = match send.surface {
        Surface::MarketingMessages => {
            CategorySet::of(Category::Marketing).union(contents(&send.payload, entry))
        }
        Surface::Calls => CategorySet::of(Category::Call),
        Surface::Messages => contents(&send.payload, entry),
    };
    // Something that carries nothing known is still a contact.
    let needs = if needs.is_empty() { CategorySet::of(Category::Marketing) } else { needs };
    Classified { needs, headline: strictest(needs) }
}

fn contents(payload: &Payload<'_>, entry: Option<CatalogueAnswer>) -> CategorySet {
    let mut needs = CategorySet::EMPTY;
    if payload.template.is_some() {
        needs = needs.union(template(entry.unwrap_or(CatalogueAnswer::Unknown)));
    }
    if payload.unnamed_template {
        needs = needs.with(Category::Marketing);
    }
    if payload.call {
        needs = needs.with(Category::Call);
    }
    if payload.free_form {
        needs = needs.with(Category::Service);
    }
    match payload.label {
        Some(Label::Utility) => needs.with(Category::Utility),
        Some(Label::Authentication) => needs.with(Category::Authentication),
        None => needs,
    }
}

/// The stricter of what a template is and what it will be; where neither is marketing, both. A request for the permission to call comes on top.
fn template(answer: CatalogueAnswer) -> CategorySet {
    match answer {
        CatalogueAnswer::Unknown => CategorySet::of(Category::Marketing),
        CatalogueAnswer::Known(entry) => {
            let both = CategorySet::of(entry.category)
                .union(entry.correct_category.map_or(CategorySet::EMPTY, CategorySet::of));
            let needs =
                if both.contains(Category::Marketing) { CategorySet::of(Category::Marketing) } else { both };
            if entry.asks_to_call { needs.with(Category::Call) } else { needs }
        }
    }
}

fn strictest(needs: CategorySet) -> Category {
    const ORDER: [Category; 5] =
        [Category::Marketing, Category::Call, Category::Utility, Category::Authentication, Category::Service];
    ORDER.into_iter().find(|c| needs.contains(*c)).unwrap_or(Category::Marketing)
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use super::*;
    use crate::wire::send::Template;

    #[allow(clippy::unnecessary_wraps, reason = "the tables hold it beside `None`")]
    fn known(category: Category, correct: Option<Category>) -> Option<CatalogueAnswer> {
        Some(CatalogueAnswer::Known(TemplateEntry {
            category,
            correct_category: correct,
            asks_to_call: false,
        }))
    }

    fn needs(surface: Surface, payload: Payload<'_>, entry: Option<CatalogueAnswer>) -> Vec<Category> {
        let send = Send {
            surface,
            sender: Cow::Borrowed("1"),
            to: None,
            recipient: None,
            group: false,
            payload,
            operation: None,
        };
        classify(&send, entry).needs.iter().collect()
    }

    fn with_template() -> Payload<'static> {
        let template = Template { name: Cow::Borrowed("order_update"), language: Cow::Borrowed("en_US") };
        Payload { template: Some(template), ..Payload::default() }
    }

    #[test]
    fn a_template_is_what_the_catalogue_says_at_its_strictest() {
        use Category::{Authentication, Marketing, Utility};
        for (entry, expected) in [
            (known(Utility, None), vec![Utility]),
            (known(Utility, Some(Utility)), vec![Utility]),
            (known(Utility, Some(Marketing)), vec![Marketing]),
            (known(Marketing, Some(Utility)), vec![Marketing]),
            (known(Utility, Some(Authentication)), vec![Authentication, Utility]),
            (Some(CatalogueAnswer::Unknown), vec![Marketing]),
            (None, vec![Marketing]),
        ] {
            assert_eq!(needs(Surface::Messages, with_template(), entry), expected, "{entry:?}");
        }
    }

    #[test]
    fn a_template_that_asks_to_call_needs_that_consent_too() {
        use Category::{Call, Marketing, Utility};
        for (category, correct_category, expected) in [
            (Utility, None, vec![Call, Utility]),
            (Marketing, None, vec![Call, Marketing]),
            (Utility, Some(Marketing), vec![Call, Marketing]),
        ] {
            let entry = TemplateEntry { category, correct_category, asks_to_call: true };
            let answer = Some(CatalogueAnswer::Known(entry));
            assert_eq!(needs(Surface::Messages, with_template(), answer), expected);
            assert_eq!(needs(Surface::MarketingMessages, with_template(), answer)[..2], [Call, Marketing]);
        }
    }

    #[test]
    fn every_payload_counts_and_labels_only_add() {
        use Category::{Call, Marketing, Service, Utility};
        let free = Payload { free_form: true, ..Payload::default() };
        for (payload, expected) in [
            (free.clone(), vec![Service]),
            (Payload { label: Some(Label::Utility), ..free.clone() }, vec![Service, Utility]),
            (Payload { unnamed_template: true, ..free.clone() }, vec![Marketing, Service]),
            (Payload { call: true, ..Payload::default() }, vec![Call]),
            (Payload { label: Some(Label::Utility), ..with_template() }, vec![Marketing, Utility]),
            (Payload::default(), vec![Marketing]),
        ] {
            assert_eq!(needs(Surface::Messages, payload.clone(), None), expected, "{payload:?}");
        }
        assert_eq!(
            needs(Surface::MarketingMessages, with_template(), known(Utility, None)),
            [Marketing, Utility]
        );
        assert_eq!(needs(Surface::Calls, Payload::default(), None), [Call]);
    }

    #[test]
    fn legacy_and_unknown_names_are_marketing() {
        assert_eq!(category_from_provider("utility"), Category::Utility);
        assert_eq!(category_from_provider("AUTHENTICATION"), Category::Authentication);
        for name in ["MARKETING", "ACCOUNT_UPDATE", "TRANSACTIONAL", "OTP", "", "utility "] {
            assert_eq!(category_from_provider(name), Category::Marketing, "{name}");
        }
    }
}
