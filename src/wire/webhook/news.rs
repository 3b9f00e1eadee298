//! The fields that are about the business's own number or account. Source: Meta, the references of the fields `phone_number_quality_update`,
//! `business_capability_update`, `account_update`, `account_alerts`, `account_review_update`.

use serde_json::Value;

use super::json::{items, own_number, text, time};
use crate::consent::{E164, Timestamp};

/// Something that is told about a number or an account, and not about a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct News {
    /// The account that it was told to.
    pub account: String,
    /// When it happened, if that is told.
    pub at: Option<Timestamp>,
    /// What happened.
    pub what: Tiding,
}

/// What can happen to a number or an account. Names are the provider's own words, in capitals: it adds some now and then.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tiding {
    /// Something about one number, which is named as it is displayed.
    Number {
        /// The number.
        number: Option<E164>,
        /// What happened to it.
        event: NumberEvent,
        /// How many people it may write to in a day, if that is told.
        limit: Option<String>,
    },
    /// How many people the account's numbers may write to in a day.
    Limit(String),
    /// Something about the account.
    Account(AccountNews),
}

/// What can happen to a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NumberEvent {
    /// Its quality is so low that it may be restricted.
    Flagged,
    /// It is not any more.
    Unflagged,
    /// Anything else, such as a change of throughput.
    Other,
}

/// Something about an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountNews {
    /// Of which kind it is.
    pub event: AccountEvent,
    /// The provider's words for it.
    pub words: String,
    /// Until when it holds, if that is told.
    pub until: Option<Timestamp>,
}

/// What can happen to an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccountEvent {
    /// It broke a rule of the provider's.
    Violation,
    /// Something is forbidden to it for a while.
    Restriction,
    /// It is, or will be, disabled.
    Disabled,
    /// It may go on.
    Reinstated,
    /// It is gone.
    Deleted,
    /// The provider wants attention.
    Alert,
    /// The provider has looked at it.
    Review,
    /// Anything else.
    Other,
}

impl AccountEvent {
    /// Every kind.
    pub const ALL: [Self; 8] = [
        Self::Violation,
        Self::Restriction,
        Self::Disabled,
        Self::Reinstated,
        Self::Deleted,
        Self::Alert,
        Self::Review,
        Self::Other,
    ];

    /// The name in metrics and answers.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Violation => "violation",
            Self::Restriction => "restriction",
            Self::Disabled => "disabled",
            Self::Reinstated => "reinstated",
            Self::Deleted => "deleted",
            Self::Alert => "alert",
            Self::Review => "review",
            Self::Other => "other",
        }
    }
}

/// Reads a change of a field that is about numbers or accounts; `None` if the field is another one, or tells nothing.
pub(super) fn read(entry: &Value, field: &str, value: &Value) -> Option<News> {
    let what = match field {
        "phone_number_quality_update" => number(value),
        "business_capability_update" => Tiding::Limit(limit(value)?),
        "account_update" => Tiding::Account(account(value)?),
        "account_alerts" => Tiding::Account(alert(value)?),
        "account_review_update" => Tiding::Account(AccountNews {
            event: AccountEvent::Review,
            words: word(value, "decision")?,
            until: None,
        }),
        _ => return None,
    };
    Some(News { account: text(entry, "id").unwrap_or_default().to_owned(), at: time(entry, "time"), what })
}

fn number(value: &Value) -> Tiding {
    let event = match text(value, "event") {
        Some("FLAGGED") => NumberEvent::Flagged,
        Some("UNFLAGGED") => NumberEvent::Unflagged,
        Some(_) | None => NumberEvent::Other,
    };
    Tiding::Number { number: own_number(value), event, limit: limit(value) }
}

/// Named differently over the versions; up to one of them a count, of which -1 is no limit.
fn limit(value: &Value) -> Option<String> {
    let keys = ["max_daily_conversations_per_business", "max_daily_conversation_per_phone", "current_limit"];
    keys.into_iter().find_map(|key| match value.get(key)? {
        Value::String(_) => word(value, key),
        Value::Number(count) if count.as_i64() == Some(-1) => Some("TIER_UNLIMITED".to_owned()),
        Value::Number(count) => Some(count.to_string()),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    })
}

fn account(value: &Value) -> Option<AccountNews> {
    let event = word(value, "event")?;
    let inner = |object: &str, key: &str| value.get(object).and_then(|object| word(object, key));
    let restrictions = || items(value, "restriction_info");
    let (kind, detail) = match event.as_str() {
        "ACCOUNT_VIOLATION" => (AccountEvent::Violation, inner("violation_info", "violation_type")),
        "ACCOUNT_RESTRICTION" => {
            let kinds: Vec<String> = restrictions().filter_map(|r| word(r, "restriction_type")).collect();
            (AccountEvent::Restriction, Some(kinds.join(" ")).filter(|kinds| !kinds.is_empty()))
        }
        "DISABLED_UPDATE" => match inner("ban_info", "waba_ban_state") {
            Some(state) if state == "REINSTATE" => (AccountEvent::Reinstated, Some(state)),
            state => (AccountEvent::Disabled, state),
        },
        "ACCOUNT_DELETED" => (AccountEvent::Deleted, None),
        _ => (AccountEvent::Other, None),
    };
    let until = restrictions().filter_map(|restriction| time(restriction, "expiration")).max();
    let words = detail.map_or(event.clone(), |detail| format!("{event} {detail}"));
    Some(AccountNews { event: kind, words, until })
}

fn alert(value: &Value) -> Option<AccountNews> {
    // Its fields stand side by side in some versions and in an object in others.
    let value = value.get("alert_info").unwrap_or(value);
    let words: Vec<String> = ["alert_type", "alert_severity", "alert_status"]
        .into_iter()
        .filter_map(|key| word(value, key))
        .collect();
    let words = Some(words.join(" ")).filter(|words| !words.is_empty())?;
    Some(AccountNews { event: AccountEvent::Alert, words, until: None })
}

/// One of the provider's words in capitals; anything else, which could be anybody's text, is left out.
fn word(value: &Value, key: &str) -> Option<String> {
    let plain = |b: u8| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_';
    text(value, key).filter(|word| word.len() <= 64 && word.bytes().all(plain)).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn told(field: &str, value: &Value) -> Option<Tiding> {
        read(&json!({ "id": "102290129340398", "time": 1_739_321_024 }), field, value).map(|news| {
            assert_eq!(
                (news.account.as_str(), news.at),
                ("102290129340398", Some(Timestamp::from_secs(1_739_321_024)))
            );
            news.what
        })
    }

    fn account_news(event: AccountEvent, words: &str, until: Option<u64>) -> Tiding {
        let until = until.map(Timestamp::from_secs);
        Tiding::Account(AccountNews { event, words: words.to_owned(), until })
    }

    #[test]
    fn a_number_is_flagged_and_unflagged_and_has_a_limit() {
        let number = E164::parse("+15550783881");
        let what = |event, limit: Option<&str>| {
            Some(Tiding::Number { number, event, limit: limit.map(str::to_owned) })
        };
        for (value, expected) in [
            (
                json!({ "display_phone_number": "15550783881", "event": "FLAGGED", "current_limit": "TIER_10K" }),
                what(NumberEvent::Flagged, Some("TIER_10K")),
            ),
            (
                json!({ "display_phone_number": "15550783881", "event": "UNFLAGGED" }),
                what(NumberEvent::Unflagged, None),
            ),
            (
                json!({ "display_phone_number": "15550783881", "event": "THROUGHPUT_UPGRADE",
                    "max_daily_conversations_per_business": "TIER_100K" }),
                what(NumberEvent::Other, Some("TIER_100K")),
            ),
        ] {
            assert_eq!(told("phone_number_quality_update", &value), expected, "{value}");
        }
    }

    #[test]
    fn limits_are_words_or_counts() {
        let limit = |value: Value| told("business_capability_update", &value);
        let is = |words: &str| Some(Tiding::Limit(words.to_owned()));
        assert_eq!(
            limit(
                json!({ "max_daily_conversations_per_business": "TIER_2K", "max_phone_numbers_per_business": 25 })
            ),
            is("TIER_2K")
        );
        assert_eq!(limit(json!({ "max_daily_conversation_per_phone": -1 })), is("TIER_UNLIMITED"));
        assert_eq!(limit(json!({ "max_daily_conversation_per_phone": 1000 })), is("1000"));
        assert_eq!(limit(json!({ "max_phone_numbers_per_waba": 25 })), None);
    }

    #[test]
    fn what_happens_to_an_account_has_a_kind_words_and_an_end() {
        for (value, expected) in [
            (
                json!({ "event": "ACCOUNT_VIOLATION", "violation_info": { "violation_type": "ADULT" } }),
                Some(account_news(AccountEvent::Violation, "ACCOUNT_VIOLATION ADULT", None)),
            ),
            (
                json!({ "event": "ACCOUNT_RESTRICTION", "restriction_info": [
                    { "restriction_type": "RESTRICTED_BIZ_INITIATED_MESSAGING", "expiration": 1_641_848_400 },
                    { "restriction_type": "RESTRICTED_ADD_PHONE_NUMBER_ACTION", "expiration": 1_641_848_300 }] }),
                Some(account_news(
                    AccountEvent::Restriction,
                    "ACCOUNT_RESTRICTION RESTRICTED_BIZ_INITIATED_MESSAGING RESTRICTED_ADD_PHONE_NUMBER_ACTION",
                    Some(1_641_848_400),
                )),
            ),
            (
                json!({ "event": "DISABLED_UPDATE", "ban_info": { "waba_ban_state": "SCHEDULE_FOR_DISABLE", "waba_ban_date": "x" } }),
                Some(account_news(AccountEvent::Disabled, "DISABLED_UPDATE SCHEDULE_FOR_DISABLE", None)),
            ),
            (
                json!({ "event": "DISABLED_UPDATE", "ban_info": { "waba_ban_state": "REINSTATE" } }),
                Some(account_news(AccountEvent::Reinstated, "DISABLED_UPDATE REINSTATE", None)),
            ),
            (
                json!({ "event": "MM_LITE_TERMS_SIGNED" }),
                Some(account_news(AccountEvent::Other, "MM_LITE_TERMS_SIGNED", None)),
            ),
            (json!({ "event": "call +15550000001" }), None),
        ] {
            assert_eq!(told("account_update", &value), expected, "{value}");
        }
        let alert = json!({ "entity_type": "BUSINESS", "alert_severity": "INFORMATIONAL", "alert_status": "NONE",
            "alert_type": "OBA_APPROVED", "alert_description": "Sample" });
        let expected = Some(account_news(AccountEvent::Alert, "OBA_APPROVED INFORMATIONAL NONE", None));
        assert_eq!(told("account_alerts", &alert), expected);
        assert_eq!(told("account_alerts", &json!({ "alert_info": alert })), expected);
        assert_eq!(
            told("account_review_update", &json!({ "decision": "APPROVED" })),
            Some(account_news(AccountEvent::Review, "APPROVED", None))
        );
        assert_eq!(told("messages", &alert), None);
    }
}
