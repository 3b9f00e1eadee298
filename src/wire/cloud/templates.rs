//! A template list, as Meta's `GET /{account}/message_templates` answers it. Source: Meta, "Template management".

pub mod once;

use serde_json::Value;

use crate::consent::Category;
use crate::wire::classify::category_from_provider;

/// One template in one language.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedTemplate {
    /// Its name.
    pub name: String,
    /// Its language as sends spell it, with `_`.
    pub language: String,
    /// Its category.
    pub category: Category,
    /// The category that it will become.
    pub correct_category: Option<Category>,
    /// `APPROVED` and the like.
    pub status: Option<String>,
    /// `GREEN` and the like.
    pub quality: Option<String>,
    /// Whether one of its components asks for the permission to call.
    pub asks_to_call: bool,
}

/// Reads `{"data": [...]}` or a bare array.
///
/// # Errors
/// Every problem, with the number of the item counted from 1 and what would be right. A key that stands twice is the only one told: nobody can say which
/// of the two categories was meant.
pub fn parse_list(body: &[u8]) -> Result<Vec<ListedTemplate>, Vec<String>> {
    let document = once::read(body).map_err(|problem| vec![problem])?;
    let list = match &document {
        Value::Array(list) => list,
        Value::Object(fields) => fields.get("data").and_then(Value::as_array).ok_or_else(shape)?,
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => return Err(shape()),
    };
    let mut templates = Vec::with_capacity(list.len());
    let mut problems = Vec::new();
    for (at, item) in list.iter().enumerate() {
        match template(item) {
            Ok(template) => templates.push(template),
            Err(problem) => problems.push(format!("item {}: {problem}", at + 1)),
        }
    }
    if problems.is_empty() { Ok(templates) } else { Err(problems) }
}

fn shape() -> Vec<String> {
    vec!["not a template list: write {\"data\": [...]} as GET /{account}/message_templates answers it, or the array alone".to_owned()]
}

/// Reads one item of a list.
pub(super) fn template(item: &Value) -> Result<ListedTemplate, String> {
    let text = |field: &str| item.get(field).and_then(Value::as_str).filter(|t| !t.is_empty());
    let required = |field: &str, such_as: &str| {
        text(field).ok_or_else(|| format!("{field}: missing; write a string such as {such_as}"))
    };
    let name = required("name", "\"order_update\"")?;
    if name.len() > 512 || !name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_') {
        return Err("name: at most 512 of a-z, 0-9 and _".to_owned());
    }
    if item.get("correct_category").is_some_and(|c| !c.is_string() && !c.is_null()) {
        return Err("correct_category: write a string such as \"MARKETING\", or leave it out".to_owned());
    }
    Ok(ListedTemplate {
        name: name.to_owned(),
        language: in_the_spelling_of_sends(required("language", "\"en_US\"")?),
        category: category_from_provider(required("category", "\"UTILITY\"")?),
        correct_category: text("correct_category").map(category_from_provider),
        status: text("status").map(str::to_owned),
        quality: item.pointer("/quality_score/score").and_then(Value::as_str).map(str::to_owned),
        asks_to_call: item.get("components").is_some_and(asks_to_call),
    })
}

/// Lists and webhooks write `en-US` here and there, sends must write `en_US`.
pub fn in_the_spelling_of_sends(language: &str) -> String {
    language.replace('-', "_")
}

/// Whether anything within the components says that it is a request for the permission to call, whatever its letter case.
///
/// Source: Meta, "Call permission request templates": `{"type": "call_permission_request"}` beside the body.
fn asks_to_call(components: &Value) -> bool {
    match components {
        Value::Array(values) => values.iter().any(asks_to_call),
        Value::Object(fields) => {
            fields.get("type").and_then(Value::as_str).is_some_and(is_call_request)
                || fields.values().any(asks_to_call)
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

fn is_call_request(kind: &str) -> bool {
    let letters = kind.bytes().filter(u8::is_ascii_alphanumeric).map(|b| b.to_ascii_lowercase());
    letters.eq(*b"callpermissionrequest")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metas_answer_and_a_bare_array_are_read() {
        let item = r#"{"id":"1","name":"order_update","language":"en-US","category":"UTILITY","correct_category":"MARKETING","status":"APPROVED"}"#;
        for body in [format!(r#"{{"data":[{item}],"paging":{{}}}}"#), format!("[{item}]")] {
            let list = parse_list(body.as_bytes()).unwrap();
            assert_eq!(list[0].language, "en_US");
            assert_eq!(
                (list[0].category, list[0].correct_category),
                (Category::Utility, Some(Category::Marketing))
            );
        }
    }

    #[test]
    fn a_component_that_asks_to_call_is_seen_wherever_it_stands() {
        for (components, asks) in [
            (r#"[{"type":"BODY","text":"x"},{"type":"call_permission_request"}]"#, true),
            (r#"[{"type":"BUTTONS","buttons":[{"type":"CALL_PERMISSION_REQUEST"}]}]"#, true),
            (r#"[{"type":"CAROUSEL","cards":[{"components":[{"type":"CallPermissionRequest"}]}]}]"#, true),
            (r#"[{"type":"BODY","text":"call_permission_request"}]"#, false),
            (r#"[{"type":"BUTTONS","buttons":[{"type":"PHONE_NUMBER"}]}]"#, false),
            ("null", false),
        ] {
            let list =
                format!(r#"[{{"name":"a","language":"en","category":"UTILITY","components":{components}}}]"#);
            assert_eq!(parse_list(list.as_bytes()).unwrap()[0].asks_to_call, asks, "{components}");
        }
    }

    #[test]
    fn a_key_that_stands_twice_is_named_and_nothing_is_taken() {
        for (list, key) in [
            (
                r#"[{"name":"a","language":"en","category":"UTILITY","category":"MARKETING"}]"#,
                "\"category\" stands twice",
            ),
            (
                r#"{"data":[],"data":[{"name":"a","language":"en","category":"UTILITY"}]}"#,
                "\"data\" stands twice",
            ),
            (
                r#"[{"name":"a","language":"en","category":"UTILITY","categor\u0079":"UTILITY"}]"#,
                "\"category\" stands twice",
            ),
            (
                "[{\"name\":\"a\",\"language\":\"en\",\"category\":\"UTILITY\",\n\"components\":[{\"type\":\"BODY\",\"type\":\"x\"}]}]",
                "line 2, column",
            ),
        ] {
            let problems = parse_list(list.as_bytes()).unwrap_err();
            assert_eq!(problems.len(), 1);
            assert!(problems[0].contains(key), "{problems:?}");
        }
    }

    #[test]
    fn every_problem_is_named() {
        let problems = parse_list(
            br#"[{"name":"a","language":"en"},{"name":"B C","language":"en","category":"UTILITY"},7]"#,
        )
        .unwrap_err();
        assert_eq!(problems.len(), 3);
        assert!(
            problems[0].starts_with("item 1: category") && problems[1].starts_with("item 2: name"),
            "{problems:?}"
        );
        assert!(parse_list(b"{}").is_err() && parse_list(b"nonsense").is_err());
    }
}
