//! Reading fields the way the provider writes them: ids as strings, times as strings or integers, anything possibly absent.

use serde_json::Value;

use crate::consent::{E164, Timestamp, UserId};

/// The items of a list, or none.
pub(in crate::wire) fn items<'a>(value: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> {
    value.get(key).and_then(Value::as_array).into_iter().flatten()
}

/// A text that is not empty.
pub(in crate::wire) fn text<'a>(value: &'a Value, key: &str) -> Option<&'a str> {
    value.get(key).and_then(Value::as_str).filter(|text| !text.is_empty())
}

/// A time in whole seconds, as a string or an integer.
pub(in crate::wire) fn time(value: &Value, key: &str) -> Option<Timestamp> {
    let seconds = match value.get(key)? {
        Value::String(digits) => digits.parse().ok()?,
        Value::Number(number) => number.as_u64()?,
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => return None,
    };
    Some(Timestamp::from_secs(seconds))
}

/// A number in international form, with or without `+`.
pub(in crate::wire) fn phone(value: &Value, key: &str) -> Option<E164> {
    let written = text(value, key)?;
    E164::from_digits(written.strip_prefix('+').unwrap_or(written).as_bytes())
}

/// The business's own number, which is told as it is displayed: `15550783881` in webhooks, `+1 555-078-3881` in answers. Anything but digits and what Meta
/// sets between them is not guessed at.
pub(in crate::wire) fn own_number(value: &Value) -> Option<E164> {
    let shown = text(value, "display_phone_number")?;
    let between = |c: char| matches!(c, ' ' | '\u{a0}' | '-' | '(' | ')' | '.');
    let digits: String = shown.strip_prefix('+').unwrap_or(shown).chars().filter(|c| !between(*c)).collect();
    E164::from_digits(digits.as_bytes())
}

/// A user id.
pub(in crate::wire) fn user_id(value: &Value, key: &str) -> Option<UserId> {
    text(value, key).and_then(UserId::parse)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_own_number_is_read_as_it_is_displayed_and_never_guessed() {
        let read = |shown: &str| own_number(&json!({ "display_phone_number": shown }));
        for shown in
            ["15550783881", "+15550783881", "+1 555-078-3881", "+1 (555) 078.3881", "+1\u{a0}555 0783881"]
        {
            assert_eq!(read(shown), E164::parse("+15550783881"), "{shown}");
        }
        for none in ["", "+", "1555", "1555078388x", "acme 15550783881", "015550783881", "+1+5550783881"] {
            assert_eq!(read(none), None, "{none}");
        }
    }
}
