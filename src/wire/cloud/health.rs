//! How the provider says a number is doing. Source: Meta, "Phone number health status" and the reference of a phone number.

use serde_json::Value;

use crate::consent::{E164, Quality};
use crate::wire::webhook::json::own_number;

/// The fields that are asked for.
pub const FIELDS: &str =
    "display_phone_number,quality_rating,status,health_status,whatsapp_business_manager_messaging_limit";

/// What an answer says; absent fields are `None`. Words are the provider's own, in capitals.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NumberHealth {
    /// How it is rated.
    pub quality: Option<Quality>,
    /// `CONNECTED`, `FLAGGED`, `RESTRICTED`, `BANNED` and the like.
    pub status: Option<String>,
    /// How many people it may write to in a day: `TIER_2K` and the like.
    pub limit: Option<String>,
    /// `AVAILABLE`, `LIMITED` or `BLOCKED`.
    pub can_send: Option<String>,
    /// The number itself.
    pub phone: Option<E164>,
    /// What stands in the way, such as `WABA BLOCKED 141006`.
    pub obstacles: Vec<String>,
}

/// The path, from the version on, at which a number's health is asked for.
pub fn path(phone_number_id: &str) -> String {
    format!("/{phone_number_id}?fields={FIELDS}")
}

/// Reads an answer; `None` if it is none about a number.
pub fn parse(body: &[u8]) -> Option<NumberHealth> {
    let answer: Value = serde_json::from_slice(body).ok()?;
    answer.get("id")?;
    let status = answer.get("health_status");
    let limit = ["whatsapp_business_manager_messaging_limit", "messaging_limit_tier"];
    Some(NumberHealth {
        quality: answer.get("quality_rating").and_then(Value::as_str).map(quality),
        status: word(&answer, "status"),
        limit: limit.into_iter().find_map(|key| word(&answer, key)),
        can_send: status.and_then(|status| word(status, "can_send_message")),
        phone: own_number(&answer),
        obstacles: status.map(obstacles).unwrap_or_default(),
    })
}

/// The code of an answer that is an error.
pub fn error_code(body: &[u8]) -> Option<u64> {
    serde_json::from_slice::<Value>(body).ok()?.get("error")?.get("code")?.as_u64()
}

/// A rating by its name; one that is not known yet rates nothing.
fn quality(name: &str) -> Quality {
    match name {
        "GREEN" => Quality::Green,
        "YELLOW" => Quality::Yellow,
        "RED" => Quality::Red,
        _ => Quality::Unknown,
    }
}

/// The parts on which sending depends, as far as they are not in order.
fn obstacles(status: &Value) -> Vec<String> {
    let entities = status.get("entities").and_then(Value::as_array).into_iter().flatten();
    entities
        .filter_map(|entity| {
            let can_send = word(entity, "can_send_message").filter(|can_send| can_send != "AVAILABLE")?;
            let errors = entity.get("errors").and_then(Value::as_array).into_iter().flatten();
            let codes = errors.filter_map(|error| error.get("error_code")?.as_u64());
            let entity = word(entity, "entity_type").unwrap_or_default();
            Some(codes.take(8).fold(format!("{entity} {can_send}"), |text, code| format!("{text} {code}")))
        })
        .take(16)
        .collect()
}

fn word(value: &Value, key: &str) -> Option<String> {
    let plain = |b: u8| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_';
    let word = value.get(key)?.as_str()?;
    (!word.is_empty() && word.len() <= 64 && word.bytes().all(plain)).then(|| word.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_tells_the_rating_and_what_stands_in_the_way() {
        let answer = br#"{"display_phone_number":"+1 555-078-3881","quality_rating":"YELLOW","status":"CONNECTED","whatsapp_business_manager_messaging_limit":"TIER_2K","id":"106540352242922",
            "health_status":{"can_send_message":"BLOCKED","entities":[
                {"entity_type":"PHONE_NUMBER","id":"106540352242922","can_send_message":"AVAILABLE"},
                {"entity_type":"WABA","id":"102290129340398","can_send_message":"BLOCKED",
                 "errors":[{"error_code":141006,"error_description":"There is an error with the payment method.","possible_solution":"..."}]},
                {"entity_type":"BUSINESS","id":"1","can_send_message":"LIMITED","additional_info":["not verified"]}]}}"#;
        let expected = NumberHealth {
            quality: Some(Quality::Yellow),
            status: Some("CONNECTED".to_owned()),
            limit: Some("TIER_2K".to_owned()),
            can_send: Some("BLOCKED".to_owned()),
            phone: E164::parse("+15550783881"),
            obstacles: vec!["WABA BLOCKED 141006".to_owned(), "BUSINESS LIMITED".to_owned()],
        };
        assert_eq!(parse(answer), Some(expected));
    }

    #[test]
    fn unknown_words_and_absent_fields_say_nothing() {
        let health = parse(br#"{"quality_rating":"NA","status":"no +15550000001","id":"1"}"#).unwrap();
        let expected = NumberHealth { quality: Some(Quality::Unknown), ..NumberHealth::default() };
        assert_eq!(health, expected);
        assert_eq!(parse(br#"{"id":"1"}"#), Some(NumberHealth::default()));
        for none in [&b""[..], b"[]", br#"{"error":{"code":190}}"#] {
            assert_eq!(parse(none), None);
        }
    }
}
