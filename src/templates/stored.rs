//! The form in which the store keeps an account's list: JSON of our own, not the provider's.

use serde::{Deserialize, Serialize};

use super::AccountList;
use crate::consent::{Category, Timestamp};
use crate::wire::cloud::templates::ListedTemplate;

const VERSION: u8 = 1;

#[derive(Serialize, Deserialize)]
struct Stored {
    v: u8,
    at: Timestamp,
    templates: Vec<Item>,
}

#[derive(Serialize, Deserialize)]
struct Item {
    n: String,
    l: String,
    c: Category,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cc: Option<Category>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    s: Option<String>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    call: bool,
}

/// Writes a list.
pub(super) fn encode(list: &AccountList) -> Vec<u8> {
    let item = |t: &ListedTemplate| Item {
        n: t.name.clone(),
        l: t.language.clone(),
        c: t.category,
        cc: t.correct_category,
        s: t.status.clone(),
        call: t.asks_to_call,
    };
    let templates = list.templates.iter().map(item).collect();
    serde_json::to_vec(&Stored { v: VERSION, at: list.replaced_at, templates }).unwrap_or_default()
}

/// Reads what [`encode`] wrote; `None` for anything else.
pub(super) fn decode(bytes: &[u8]) -> Option<AccountList> {
    let stored: Stored = serde_json::from_slice(bytes).ok().filter(|s: &Stored| s.v == VERSION)?;
    let template = |i: Item| ListedTemplate {
        name: i.n,
        language: i.l,
        category: i.c,
        correct_category: i.cc,
        status: i.s,
        asks_to_call: i.call,
    };
    Some(AccountList {
        replaced_at: stored.at,
        templates: stored.templates.into_iter().map(template).collect(),
    })
}
