//! Who the provider says is in a group. Source: Meta, "Groups API", group management, "Get group info".

use serde_json::Value;

use crate::wire::webhook::Person;
use crate::wire::webhook::groups::participant;
use crate::wire::webhook::json::items;

/// Ids of groups are opaque; longer ones than this are none.
const LONGEST_ID: usize = 256;

/// The path, from the version on, at which the participants of a group are asked for; `None` if the id cannot be one.
pub fn path(group: &str) -> Option<String> {
    let known = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'=' | b'+' | b'/');
    let is_id = (1..=LONGEST_ID).contains(&group.len()) && group.bytes().all(known);
    // A number would be the id of something else.
    let is_opaque = !group.bytes().all(|b| b.is_ascii_digit());
    let encoded = group.replace('+', "%2B").replace('/', "%2F");
    (is_id && is_opaque).then(|| format!("/{encoded}?fields=participants,total_participant_count"))
}

/// Everybody in the group, as an answer names them; `None` unless every one of them can be read and none is missing.
pub fn parse(body: &[u8], group: &str) -> Option<Vec<Person>> {
    let answer: Value = serde_json::from_slice(body).ok()?;
    if answer.get("id").and_then(Value::as_str) != Some(group) {
        return None;
    }
    let listed = answer.get("participants")?;
    // An edge of the graph writes its list beneath `data`, and may have further pages.
    if listed.get("paging").and_then(|paging| paging.get("next")).is_some() {
        return None;
    }
    let all: Option<Vec<Person>> = if listed.is_array() {
        items(&answer, "participants").map(participant).collect()
    } else {
        listed.get("data").filter(|data| data.is_array())?;
        items(listed, "data").map(participant).collect()
    };
    let all = all.filter(|all| !all.is_empty())?;
    let count = answer.get("total_participant_count").map(Value::as_u64);
    let whole = count.is_none_or(|count| count.is_some_and(|count| count <= all.len() as u64));
    whole.then_some(all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::consent::{E164, UserId};

    #[test]
    fn a_group_is_asked_for_by_its_own_id_and_by_nothing_else() {
        let fields = "?fields=participants,total_participant_count";
        for (group, expected) in [
            ("Y2FwaV9ncm91cDox", Some("/Y2FwaV9ncm91cDox")),
            ("a+/b=", Some("/a%2B%2Fb=")),
            ("", None),
            ("106540352242922", None),
            ("a?b", None),
            ("a b", None),
            ("../me", None),
            ("a%2Fb", None),
        ] {
            assert_eq!(path(group), expected.map(|path| format!("{path}{fields}")), "{group}");
        }
        assert_eq!(path(&"a".repeat(LONGEST_ID + 1)), None);
    }

    #[test]
    fn an_answer_counts_only_if_it_names_everybody() {
        let ann = Person { phone: E164::parse("+15550000001"), user: UserId::parse("US.1"), parent: None };
        let bob = Person { phone: E164::parse("+15550000002"), ..Person::default() };
        for (rest, expected) in [
            (
                r#""participants":[{"wa_id":"15550000001","user_id":"US.1"},{"wa_id":"15550000002"}]"#,
                Some(vec![ann.clone(), bob.clone()]),
            ),
            (
                r#""participants":{"data":[{"wa_id":"15550000002"}]},"total_participant_count":1"#,
                Some(vec![bob.clone()]),
            ),
            (r#""participants":[{"wa_id":"15550000002"}],"total_participant_count":2"#, None),
            (r#""participants":[{"wa_id":"15550000002"}],"total_participant_count":"1""#, None),
            (r#""participants":{"data":[{"wa_id":"15550000002"}],"paging":{"next":"https://x"}}"#, None),
            (r#""participants":[{"wa_id":"15550000002"},{"username":"ann"}]"#, None),
            (r#""participants":[]"#, None),
            (r#""participants":"15550000002""#, None),
            (r#""subject":"S""#, None),
        ] {
            let body = format!(r#"{{"id":"G",{rest}}}"#);
            assert_eq!(parse(body.as_bytes(), "G"), expected, "{rest}");
            assert_eq!(parse(body.as_bytes(), "H"), None);
        }
        for none in [&b""[..], b"[]", br#"{"error":{"code":100}}"#] {
            assert_eq!(parse(none, "G"), None);
        }
    }
}
