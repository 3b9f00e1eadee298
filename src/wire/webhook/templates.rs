//! The fields that are about an account's templates. Source: Meta, the webhook references of `template_category_update`, `message_template_status_update`,
//! `message_template_quality_update`, `message_template_components_update` and `template_correct_category_detection`.

use serde_json::Value;

use super::Reading;
use super::json::{text, time};
use crate::consent::{Category, Timestamp};
use crate::wire::classify::category_from_provider;
use crate::wire::cloud::templates::in_the_spelling_of_sends;

/// Times above this are milliseconds: as seconds they would lie in the year 5138.
const SECONDS_END: u64 = 100_000_000_000;

/// What a webhook tells of one template in one language.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TemplateNotice {
    /// The account that owns it.
    pub account: String,
    /// Its name.
    pub name: String,
    /// Its language as sends spell it.
    pub language: String,
    /// When it was so; `None` if the provider did not say.
    pub at: Option<Timestamp>,
    /// What happened.
    pub what: TemplateNews,
}

/// What can happen to a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TemplateNews {
    /// It has another category from now on.
    Became(Category),
    /// It will have another category.
    Announced {
        /// The category that it has now.
        now: Option<Category>,
        /// The one that it will have.
        then: Category,
        /// From when on.
        due: Option<Timestamp>,
    },
    /// It was approved, paused and the like.
    Status {
        /// `APPROVED` and the like.
        event: String,
        /// The category with which it was approved.
        category: Option<Category>,
    },
    /// How people take it: `GREEN` and the like.
    Quality(String),
    /// It was written anew: nobody knows what it asks for.
    Rewritten,
}

/// Whether a field is one of these.
pub(super) fn is_about(field: &str) -> bool {
    matches!(
        field,
        "template_category_update"
            | "template_correct_category_detection"
            | "message_template_status_update"
            | "message_template_quality_update"
            | "message_template_components_update"
    )
}

/// Reads one change of an account's; `at` is the time of the entry that it stands in.
pub(super) fn read(field: &str, (account, at): (&str, Option<Timestamp>), value: &Value, to: &mut Reading) {
    let notice = || {
        Some(TemplateNotice {
            account: account.to_owned(),
            name: text(value, "message_template_name")?.to_owned(),
            language: in_the_spelling_of_sends(text(value, "message_template_language")?),
            at,
            what: what(field, value)?,
        })
    };
    match notice() {
        Some(notice) => to.templates.push(notice),
        None => to.unreadable = to.unreadable.saturating_add(1),
    }
}

fn what(field: &str, value: &Value) -> Option<TemplateNews> {
    let category = |key: &str| text(value, key).map(category_from_provider);
    match field {
        "template_category_update" | "template_correct_category_detection" => {
            match (category("correct_category"), category("new_category")) {
                // The new category of an announcement is the one that it still has.
                (Some(then), now) => Some(TemplateNews::Announced {
                    now,
                    then,
                    due: moment(value, "category_update_timestamp"),
                }),
                (None, Some(new)) => Some(TemplateNews::Became(new)),
                (None, None) => None,
            }
        }
        "message_template_status_update" => {
            let event = text(value, "event")?.to_owned();
            let approved = event == "APPROVED" || event == "REINSTATED";
            let category = category("message_template_category").filter(|_| approved);
            Some(TemplateNews::Status { event, category })
        }
        "message_template_quality_update" => {
            text(value, "new_quality_score").map(|score| TemplateNews::Quality(score.to_owned()))
        }
        "message_template_components_update" => Some(TemplateNews::Rewritten),
        _ => None,
    }
}

/// A time in seconds, or in milliseconds as some of the provider's webhooks write it.
pub(super) fn moment(value: &Value, key: &str) -> Option<Timestamp> {
    let seconds = time(value, key)?.as_millis() / 1000;
    Some(if seconds < SECONDS_END { Timestamp::from_secs(seconds) } else { Timestamp::from_millis(seconds) })
}

#[cfg(test)]
mod tests {
    use super::super::read as read_webhook;
    use super::*;

    /// A webhook as the provider's references show it.
    fn told(field: &str, value: &str) -> Reading {
        let body = format!(
            r#"{{"object":"whatsapp_business_account","entry":[{{"id":"102290129340398","time":1746169200,"changes":[{{"field":"{field}","value":{{{value}}}}}]}}]}}"#
        );
        read_webhook(body.as_bytes()).unwrap()
    }

    const TEMPLATE: &str = r#""message_template_id":278077987957091,"message_template_name":"welcome_template","message_template_language":"en-US""#;

    #[test]
    fn each_field_is_read_as_the_provider_documents_it() {
        use Category::{Marketing, Utility};
        for (field, value, expected) in [
            (
                "template_category_update",
                r#""new_category":"UTILITY","correct_category":"MARKETING","category_update_timestamp":1746169400"#,
                TemplateNews::Announced {
                    now: Some(Utility),
                    then: Marketing,
                    due: Some(Timestamp::from_secs(1_746_169_400)),
                },
            ),
            (
                "template_category_update",
                r#""previous_category":"UTILITY","new_category":"MARKETING""#,
                TemplateNews::Became(Marketing),
            ),
            (
                "template_correct_category_detection",
                r#""category":"UTILITY","correct_category":"MARKETING""#,
                TemplateNews::Announced { now: None, then: Marketing, due: None },
            ),
            (
                "message_template_status_update",
                r#""event":"APPROVED","reason":"NONE","message_template_category":"UTILITY""#,
                TemplateNews::Status { event: "APPROVED".to_owned(), category: Some(Utility) },
            ),
            (
                "message_template_status_update",
                r#""event":"PAUSED","message_template_category":"UTILITY""#,
                TemplateNews::Status { event: "PAUSED".to_owned(), category: None },
            ),
            (
                "message_template_quality_update",
                r#""previous_quality_score":"GREEN","new_quality_score":"YELLOW""#,
                TemplateNews::Quality("YELLOW".to_owned()),
            ),
            (
                "message_template_components_update",
                r#""message_template_element":"Thank you {{1}}!","message_template_title":"Hi""#,
                TemplateNews::Rewritten,
            ),
        ] {
            let reading = told(field, &format!("{TEMPLATE},{value}"));
            let notice = TemplateNotice {
                account: "102290129340398".to_owned(),
                name: "welcome_template".to_owned(),
                language: "en_US".to_owned(),
                at: Some(Timestamp::from_secs(1_746_169_200)),
                what: expected,
            };
            assert_eq!((reading.templates, reading.unreadable), (vec![notice], 0), "{value}");
        }
    }

    #[test]
    fn what_names_no_template_or_no_category_is_unreadable() {
        for (field, value) in [
            ("template_category_update", TEMPLATE),
            ("template_category_update", r#""new_category":"MARKETING""#),
            ("message_template_status_update", TEMPLATE),
            ("message_template_quality_update", TEMPLATE),
            ("message_template_components_update", r#""message_template_name":"a""#),
        ] {
            let reading = told(field, value);
            assert_eq!((reading.templates.len(), reading.unreadable), (0, 1), "{field} {value}");
        }
    }

    #[test]
    fn times_may_be_written_in_either_unit_and_as_text() {
        for text in ["1746169200", "\"1746169200\"", "1746169200000"] {
            let value: Value = serde_json::from_str(&format!(r#"{{"time":{text}}}"#)).unwrap();
            assert_eq!(moment(&value, "time"), Some(Timestamp::from_secs(1_746_169_200)), "{text}");
        }
    }
}
