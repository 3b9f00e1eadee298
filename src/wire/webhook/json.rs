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

/// A user id.
pub(in crate::wire) fn user_id(value: &Value, key: &str) -> Option<UserId> {
    text(value, key).and_then(UserId::parse)
}
