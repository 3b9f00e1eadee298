//! The form in which the store keeps an account's list: JSON of our own, not the provider's.

use serde::{Deserialize, Serialize};

use super::account::{AccountList, Entries};
use super::entry::{Announced, Entry, News, Told};
use crate::consent::{Category, Timestamp};
use crate::wire::cloud::templates::ListedTemplate;

/// 1 knew lists of the operator only.
const VERSION: u8 = 2;

#[derive(Serialize, Deserialize)]
struct Stored {
    v: u8,
    /// When the operator's list came.
    at: Option<Timestamp>,
    /// The operator's list.
    templates: Vec<Item>,
    #[serde(default)]
    synced: Option<Timestamp>,
    #[serde(default)]
    pause: Option<Timestamp>,
    /// The provider's list.
    #[serde(default)]
    read: Vec<Item>,
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
    #[serde(default, skip_serializing_if = "Option::is_none")]
    q: Option<String>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    call: bool,
    /// Milliseconds, as all times of items.
    #[serde(default)]
    at: u64,
    #[serde(default, skip_serializing_if = "ToldOf::is_empty")]
    told: ToldOf,
}

/// Each with its time.
#[derive(Default, PartialEq, Serialize, Deserialize)]
struct ToldOf {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    c: Option<(u64, Category, Option<Category>)>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    will: Option<(u64, Category, Option<u64>)>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    s: Option<(u64, String)>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    q: Option<(u64, String)>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    new: Option<u64>,
}

impl ToldOf {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Writes a list.
pub(super) fn encode(list: &AccountList) -> Vec<u8> {
    let items = |entries: &Entries| entries.values().map(item).collect();
    let stored = Stored {
        v: VERSION,
        at: list.replaced_at,
        templates: items(&list.imported),
        synced: list.synced_at,
        pause: list.not_before,
        read: items(&list.read),
    };
    serde_json::to_vec(&stored).unwrap_or_default()
}

/// Reads what [`encode`] wrote, now or as version 1; `None` for anything else.
pub(super) fn decode(bytes: &[u8]) -> Option<AccountList> {
    let stored: Stored =
        serde_json::from_slice(bytes).ok().filter(|s: &Stored| matches!(s.v, 1 | VERSION))?;
    if stored.v < VERSION {
        let mut list = AccountList::default();
        list.import(stored.templates.into_iter().map(|item| entry(item).listed).collect(), stored.at?);
        return Some(list);
    }
    let keyed = |items: Vec<Item>| {
        let keyed = items.into_iter().map(entry);
        keyed.map(|e| ((e.listed.name.clone(), e.listed.language.clone()), e)).collect::<Entries>()
    };
    Some(AccountList {
        replaced_at: stored.at,
        synced_at: stored.synced,
        not_before: stored.pause,
        imported: keyed(stored.templates),
        read: keyed(stored.read),
    })
}

fn item(entry: &Entry) -> Item {
    let Entry { listed, as_of, told } = entry;
    let text = |told: &Told<String>| (told.at.as_millis(), told.what.clone());
    Item {
        n: listed.name.clone(),
        l: listed.language.clone(),
        c: listed.category,
        cc: listed.correct_category,
        s: listed.status.clone(),
        q: listed.quality.clone(),
        call: listed.asks_to_call,
        at: as_of.as_millis(),
        told: ToldOf {
            c: told.category.as_ref().map(|told| (told.at.as_millis(), told.what.0, told.what.1)),
            will: told.announced.as_ref().map(|told| {
                (told.at.as_millis(), told.what.category, told.what.due.map(Timestamp::as_millis))
            }),
            s: told.status.as_ref().map(text),
            q: told.quality.as_ref().map(text),
            new: told.rewritten.map(Timestamp::as_millis),
        },
    }
}

fn entry(item: Item) -> Entry {
    let at = Timestamp::from_millis;
    let text = |(millis, what): (u64, String)| Told { at: at(millis), what };
    Entry {
        listed: ListedTemplate {
            name: item.n,
            language: item.l,
            category: item.c,
            correct_category: item.cc,
            status: item.s,
            quality: item.q,
            asks_to_call: item.call,
        },
        as_of: at(item.at),
        told: News {
            category: item.told.c.map(|(millis, one, also)| Told { at: at(millis), what: (one, also) }),
            announced: item.told.will.map(|(millis, category, due)| Told {
                at: at(millis),
                what: Announced { category, due: due.map(at) },
            }),
            status: item.told.s.map(text),
            quality: item.told.q.map(text),
            rewritten: item.told.new.map(at),
        },
    }
}
