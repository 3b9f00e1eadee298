//! Where a target could lead.

use super::bytes::{folded, unescape};

/// What a router could make of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// The edge, `node` for an id alone, empty for anything else.
    pub(crate) edge: String,
    /// The segment before the edge.
    pub(crate) id: String,
}

/// The edges on which a message or call goes out.
pub(crate) const CONTACTING: [&str; 4] = ["messages", "marketing_messages", "calls", "messages_encrypted"];

/// Every place that a target could lead to.
pub(crate) fn of(target: &str) -> Vec<Place> {
    let path = target.split(['?', '#']).next().unwrap_or_default();
    let once = unescape(path, false);
    let twice = unescape(&once, false);
    let mut all = Vec::new();
    for text in [path, &once, &twice] {
        let text = text.split(['?', '#', '\0']).next().unwrap_or_default().replace('\\', "/");
        let plain: Vec<String> = text.split('/').map(segment).filter(|s| !s.is_empty()).collect();
        all.extend(places(&plain));
        all.extend(places(&without_dots(&text)));
    }
    // Nobody has such an id.
    all.retain(|place| !place.id.contains('%'));
    all.dedup();
    all
}

/// A segment without letter case, parameters, spaces and a format's suffix.
fn segment(text: &str) -> String {
    let stem = text.split([';', ',']).next().unwrap_or_default();
    let name = folded(stem);
    let name = name.trim_matches(|c: char| c.is_whitespace() || c.is_control() || c == '.');
    name.strip_suffix(".json").unwrap_or(name).to_owned()
}

fn without_dots(text: &str) -> Vec<String> {
    let mut kept: Vec<String> = Vec::new();
    for part in text.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                kept.pop();
            }
            _ => kept.push(segment(part)),
        }
    }
    kept
}

fn places(segments: &[String]) -> Vec<Place> {
    let is_version = |s: &String| {
        s.strip_prefix('v')
            .is_some_and(|rest| !rest.is_empty() && rest.chars().all(|c| c.is_ascii_digit() || c == '.'))
    };
    let rest = match segments.split_first() {
        Some((first, rest)) if is_version(first) => rest,
        _ => segments,
    };
    let mut all = Vec::new();
    for (at, name) in rest.iter().enumerate() {
        let other = name == "async_batch_requests" || (at == 1 && name == "participants");
        if CONTACTING.contains(&name.as_str()) || other {
            let id = at.checked_sub(1).and_then(|before| rest.get(before)).cloned().unwrap_or_default();
            all.push(Place { edge: name.clone(), id });
        }
    }
    match rest {
        [only] if all.is_empty() && is_node(only) => {
            all.push(Place { edge: "node".into(), id: only.clone() });
        }
        _ if all.is_empty() => all.push(Place { edge: String::new(), id: String::new() }),
        _ => {}
    }
    all
}

/// Only a number can be a phone number's id; `me` is whoever the token belongs to.
fn is_node(id: &str) -> bool {
    id == "me" || id.chars().all(|c| c.is_ascii_digit())
}
