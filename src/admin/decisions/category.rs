//! What a send was judged as, and where that came from.

use serde::Serialize;
use utoipa::ToSchema;

use super::line::Line;
use super::words;
use crate::admin::Control;
use crate::consent::tenant::Sending;
use crate::consent::{Category, Timestamp};

/// What a send was judged as.
#[derive(Serialize, ToSchema)]
pub(super) struct CategoryShown {
    /// The strictest category that it needed.
    #[schema(value_type = String, example = "marketing")]
    name: Category,
    /// `catalogue` if the template stood in it, `unlisted` if it did not, `request` without a template.
    source: String,
    /// The same in a sentence.
    note: String,
    /// The template.
    template: Option<String>,
    /// Its language.
    language: Option<String>,
    /// What the catalogue says of it now.
    listed: Vec<Listed>,
}

/// A template as an account's list has it.
#[derive(Serialize, ToSchema)]
struct Listed {
    /// The account.
    account: String,
    /// The category that the provider bills.
    #[schema(value_type = String)]
    category: Category,
    /// The category that the provider announced it will become.
    #[schema(value_type = Option<String>)]
    correct_category: Option<Category>,
    /// When it was last listed so, by the provider or the operator.
    as_of: Timestamp,
    /// How old that was at the decision; absent if it has been listed anew since.
    age_seconds: Option<u64>,
}

pub(super) fn of(control: &Control, line: &Line) -> Option<CategoryShown> {
    let name = line.category?;
    let (template, language) = line.template.clone().unzip();
    let listed = listed(control, line);
    Some(CategoryShown {
        name,
        source: line.category_source.clone()?,
        note: note(control, line, name, &listed),
        template,
        language,
        listed,
    })
}

fn account<'a>(control: &'a Control, line: &Line) -> Option<&'a str> {
    match control.tenants.sending(line.sender.as_deref()?) {
        Sending::Known(sender) => sender.account.as_deref(),
        Sending::Default | Sending::Unknown => None,
    }
}

/// The lists that the judge looks into for this sender, as they are now.
fn listed(control: &Control, line: &Line) -> Vec<Listed> {
    let Some((name, language)) = &line.template else { return Vec::new() };
    let own = account(control, line);
    let accounts = control.catalogue.accounts();
    let mut found = Vec::new();
    for (account, list) in accounts.iter().filter(|(account, _)| own.is_none_or(|own| own == *account)) {
        let rows = control.catalogue.rows(list).into_iter();
        for row in rows.filter(|row| row.name == *name && row.language == *language) {
            found.push(Listed {
                account: account.clone(),
                category: row.entry.category,
                correct_category: row.entry.correct_category,
                as_of: row.as_of,
                age_seconds: (row.as_of <= line.time).then(|| line.time.since(row.as_of).as_secs()),
            });
        }
    }
    found
}

fn note(control: &Control, line: &Line, category: Category, listed: &[Listed]) -> String {
    let category = category.name();
    match (line.category_source.as_deref(), &line.template) {
        (Some("catalogue"), Some((name, language))) => match listed.first() {
            Some(Listed { age_seconds: Some(age), account, .. }) => format!(
                "the template {name} ({language}) is {category} by the list of account {account}, which was {} old",
                words::span(std::time::Duration::from_secs(*age))
            ),
            Some(Listed { account, .. }) => format!(
                "the template {name} ({language}) was {category} by the catalogue of then; the list of account {account} has been replaced since"
            ),
            None => format!(
                "the template {name} ({language}) was {category} by the catalogue of then, which holds it no more"
            ),
        },
        (Some("unlisted"), template) => {
            let named =
                template.as_ref().map(|(name, language)| format!(" {name} ({language})")).unwrap_or_default();
            let reason = match account(control, line) {
                Some(account) => format!(
                    "did not stand in the list of account {account}, or what is known of it was too old"
                ),
                None => "did not stand in the catalogue, and the sender has no account configured".to_owned(),
            };
            let since = if listed.is_empty() { "" } else { "; it does now" };
            format!("the template{named} {reason}, and what is not known is marketing{since}")
        }
        (_, _) => format!("without a template the request itself says what it is: {category}"),
    }
}
