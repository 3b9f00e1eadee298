//! A decision read back from its line.

use std::collections::BTreeMap;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::consent::record::State;
use crate::consent::tenant::Tenants;
use crate::consent::{Category, DenyReason, GateRecord, Standing, Timestamp};

/// What of a decision an explanation needs. A line of an older version lacks what it lacked.
pub(super) struct Line {
    pub(super) time: Timestamp,
    /// The tenant's name and its place, if it is configured still.
    pub(super) tenant: Option<String>,
    pub(super) place: Option<usize>,
    pub(super) sender: Option<String>,
    pub(super) category: Option<Category>,
    pub(super) category_source: Option<String>,
    /// Name and language.
    pub(super) template: Option<(String, String)>,
    pub(super) allowed: Option<bool>,
    pub(super) reason: Option<DenyReason>,
    pub(super) basis: Option<String>,
    pub(super) revision: Option<String>,
    pub(super) outcome: String,
    pub(super) upstream_status: Option<u16>,
    pub(super) records: Vec<RecordRead>,
}

/// What the gate read of one recipient.
#[derive(Serialize, ToSchema)]
pub(super) struct RecordRead {
    /// The recipient as the decision log names them.
    pub(super) recipient_hash: Option<String>,
    /// `record`, `none` if nothing was known, or `unavailable` if the store did not answer.
    pub(super) found: Found,
    /// How the recipient stood to each category at that moment: `granted`, `revoked`, `expired`, `pending` or `none`.
    categories: BTreeMap<&'static str, &'static str>,
    /// Until when the customer service window was open.
    window_until: Option<Timestamp>,
    /// How many events the record rested on.
    events: Option<u32>,
    #[serde(skip)]
    pub(super) record: Option<GateRecord>,
}

/// What a look-up found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Found {
    Record,
    None,
    Unavailable,
}

impl Line {
    pub(super) fn read(line: &Map<String, Value>, tenants: &Tenants) -> Self {
        let text = |name| field::<String>(line, name);
        let time = field(line, "time").unwrap_or(Timestamp::EPOCH);
        let tenant = text("tenant");
        Self {
            time,
            place: tenant.as_deref().and_then(|name| tenants.position(name)),
            tenant,
            sender: text("sender"),
            category: text("category").as_deref().and_then(Category::from_name),
            category_source: text("category_source"),
            template: text("template").and_then(|both| {
                both.rsplit_once('/').map(|(name, language)| (name.to_owned(), language.to_owned()))
            }),
            allowed: text("decision").map(|decision| decision == "allow"),
            reason: text("reason")
                .and_then(|name| DenyReason::ALL.iter().copied().find(|r| r.name() == name)),
            basis: text("basis"),
            revision: text("revision"),
            outcome: text("outcome").unwrap_or_default(),
            upstream_status: field(line, "upstream_status"),
            records: records(line, time),
        }
    }
}

fn field<T: DeserializeOwned>(line: &Map<String, Value>, name: &str) -> Option<T> {
    serde_json::from_value(line.get(name)?.clone()).ok()
}

/// One for each reading of the recipient.
fn records(line: &Map<String, Value>, at: Timestamp) -> Vec<RecordRead> {
    let [hashes, records] = ["recipient_hash", "gate_record"].map(|name| each(line.get(name)));
    let looked_up = line.get("category").is_some_and(|category| !category.is_null());
    let record =
        |(hash, record): (Option<String>, Option<String>)| RecordRead::of(hash, record.as_deref(), at);
    if looked_up { hashes.into_iter().zip(records).map(record).collect() } else { Vec::new() }
}

fn each(value: Option<&Value>) -> Vec<Option<String>> {
    match value {
        Some(Value::Array(all)) => all.iter().map(|one| one.as_str().map(str::to_owned)).collect(),
        Some(one) => vec![one.as_str().map(str::to_owned)],
        None => Vec::new(),
    }
}

impl RecordRead {
    fn of(recipient_hash: Option<String>, written: Option<&str>, at: Timestamp) -> Self {
        let record = written.and_then(|digits| GateRecord::decode(&hex::decode(digits).ok()?));
        let found = match (written, &record) {
            (_, Some(_)) => Found::Record,
            (None, None) => Found::None,
            (Some(_), None) => Found::Unavailable,
        };
        let read = record.unwrap_or_default();
        let shown = |category: Category| (category.name(), standing(&read, category, at));
        Self {
            recipient_hash,
            found,
            categories: record.iter().flat_map(|_| Category::ALL.into_iter().map(shown)).collect(),
            window_until: (read.window_until != 0).then(|| Timestamp::from_secs(read.window_until.into())),
            events: record.map(|record| record.seq),
            record,
        }
    }

    /// How the recipient stood to a category, as stored.
    pub(super) fn state(&self, category: Category) -> State {
        self.record
            .and_then(|record| record.slots.get(category.index()).map(|slot| slot.state))
            .unwrap_or_default()
    }
}

fn standing(record: &GateRecord, category: Category, at: Timestamp) -> &'static str {
    match record.standing(category, at) {
        Standing::Expired => "expired",
        Standing::Absent | Standing::Granted | Standing::Revoked => {
            record.slots.get(category.index()).map_or("none", |slot| slot.state.name())
        }
    }
}
