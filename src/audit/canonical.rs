//! JSON in one form only, so that a signature over it can be checked by anybody: keys sorted by their bytes, no white space, numbers integers.

use std::fmt::Write;

use serde_json::Value;

/// The canonical text of a value.
pub(super) fn canonical(value: &Value) -> String {
    let mut text = String::new();
    put(&mut text, value);
    text
}

/// The canonical text of an object without one of its members.
pub(super) fn canonical_without(value: &Value, member: &str) -> String {
    let mut rest = value.clone();
    if let Some(members) = rest.as_object_mut() {
        members.remove(member);
    }
    canonical(&rest)
}

fn put(text: &mut String, value: &Value) {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            // Writing to a string does not fail.
            let _ = write!(text, "{value}");
        }
        Value::Array(items) => {
            text.push('[');
            for (n, item) in items.iter().enumerate() {
                separate(text, n);
                put(text, item);
            }
            text.push(']');
        }
        Value::Object(members) => {
            let mut sorted: Vec<_> = members.iter().collect();
            sorted.sort_unstable_by_key(|(name, _)| *name);
            text.push('{');
            for (n, (name, value)) in sorted.into_iter().enumerate() {
                separate(text, n);
                let _ = write!(text, "{}:", Value::String(name.clone()));
                put(text, value);
            }
            text.push('}');
        }
    }
}

fn separate(text: &mut String, n: usize) {
    if n > 0 {
        text.push(',');
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_order_in_which_members_were_written_does_not_matter() {
        let one: Value =
            serde_json::from_str(r#"{ "b": [1, {"d": "\u00e9\"", "c": null}], "a": true }"#).unwrap();
        assert_eq!(canonical(&one), "{\"a\":true,\"b\":[1,{\"c\":null,\"d\":\"é\\\"\"}]}");
        assert_eq!(canonical_without(&one, "b"), canonical(&json!({ "a": true })));
    }
}
