//! Every parameter that a request could be said to carry: query, cookies, form, multipart and JSON, merged.

use super::Request;
use super::bytes::{folded, from_base64, from_quoted_printable, texts, unescape};
use super::json::{Value, documents};

/// A name as a lenient reader files it, with its value.
pub(crate) type Parameter = (String, Value);

/// All parameters, wherever they stand.
pub(crate) fn of(request: &Request) -> Vec<Parameter> {
    let mut all = Vec::new();
    if let Some((_, query)) = request.target.split_once('?') {
        let query = query.split('#').next().unwrap_or_default();
        all.extend(pairs(query));
    }
    all.extend(request.all("cookie").into_iter().flat_map(pairs));
    all.extend(in_body(request));
    all
}

/// A name without what lenient readers drop: letter case, brackets, what follows a NUL, signs around it.
pub(crate) fn filed(name: &str) -> String {
    let name = folded(name);
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let start = name.trim_start_matches(|c: char| !is_part(c));
    let stem = start.split(['[', '\0', ']']).next().unwrap_or_default();
    stem.trim_matches(|c: char| !is_part(c)).replace(['.', ' ', '-'], "_")
}

fn in_body(request: &Request) -> Vec<Parameter> {
    if request.body.is_empty() {
        return Vec::new();
    }
    let declared = request.all("content-type").join(",").to_ascii_lowercase();
    let mut all = Vec::new();
    for text in texts(&request.body, &without_boundary(&declared)) {
        let start = text.trim_start_matches(|c: char| c.is_whitespace() || c.is_control());
        let braces = start.starts_with(['{', '[', '"', '\'', '/']);
        let dashes = start.starts_with("--");
        if braces || declared.contains("json") {
            all.extend(documents(&text).iter().flat_map(top_level));
        }
        let multipart = declared.contains("boundary") || declared.contains("multipart");
        if dashes || multipart {
            all.extend(in_parts(&text, &boundaries(request, start)));
        }
        let settled = (declared.contains("json") && braces) || (is_plainly_multipart(request) && dashes);
        if !settled {
            all.extend(pairs(&text));
        }
        // HTML's third encoding of forms.
        if declared.contains("text/plain") && !braces {
            all.extend(text.lines().flat_map(pairs));
        }
    }
    all
}

/// A boundary says nothing of the encoding.
fn without_boundary(declared: &str) -> String {
    let parameters = declared.split(';').filter(|parameter| !parameter.trim_start().starts_with("boundary="));
    parameters.collect::<Vec<_>>().join(";")
}

/// Whether every reader sees that the body is multipart: HHVM reads it as a form where the essence or the word `boundary` is spelled otherwise than here.
fn is_plainly_multipart(request: &Request) -> bool {
    request
        .all("content-type")
        .iter()
        .all(|declared| declared.starts_with("multipart/form-data;") && declared.contains("boundary="))
}

/// What stands at the top of a document; of a list, at the top of each of its values.
fn top_level(document: &Value) -> Vec<Parameter> {
    match document {
        Value::Object(entries) => nested(entries.iter().map(|(name, value)| (name.clone(), value.clone()))),
        Value::List(values) => values.iter().flat_map(top_level).collect(),
        Value::Text(_) => {
            let inner = document.unwrapped();
            inner.iter().skip(1).flat_map(top_level).collect()
        }
        Value::Bare(_) => Vec::new(),
    }
}

/// The pairs of a query or form.
pub(crate) fn pairs(text: &str) -> Vec<Parameter> {
    let pair = |pair: &str| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        (unescape(name, true), Value::Text(unescape(value, true)))
    };
    let by = |separators: &[char]| nested(text.split(separators).map(pair).collect::<Vec<_>>());
    let mut all = by(&['&']);
    if text.contains(';') {
        all.extend(by(&['&', ';']));
    }
    all
}

/// Files names, and builds what brackets in them describe: `template[name]=x` is `{"name":"x"}` under `template`.
fn nested(pairs: impl IntoIterator<Item = (String, Value)>) -> Vec<Parameter> {
    let mut all: Vec<Parameter> = Vec::new();
    for (name, value) in pairs {
        let filed = filed(&name);
        let inner: Vec<String> =
            name.split('[').skip(1).map(|key| key.replace(']', "").trim().to_owned()).collect();
        if inner.is_empty() || name.trim_start().starts_with('[') {
            all.push((filed, value));
            continue;
        }
        let known =
            all.iter_mut().rev().find(|(other, value)| *other == filed && matches!(value, Value::Object(_)));
        if let Some((_, Value::Object(entries))) = known {
            put(entries, &inner, value);
        } else {
            let mut entries = Vec::new();
            put(&mut entries, &inner, value);
            all.push((filed, Value::Object(entries)));
        }
    }
    all
}

fn put(entries: &mut Vec<(String, Value)>, keys: &[String], value: Value) {
    let Some((key, deeper)) = keys.split_first() else { return };
    if deeper.is_empty() {
        entries.push((key.clone(), value));
        return;
    }
    let place = entries.iter().rposition(|(other, value)| other == key && matches!(value, Value::Object(_)));
    let place = place.unwrap_or_else(|| {
        entries.push((key.clone(), Value::Object(Vec::new())));
        entries.len() - 1
    });
    if let (_, Value::Object(inner)) = &mut entries[place] {
        put(inner, deeper, value);
    }
}

/// Every boundary that a reader could split at.
fn boundaries(request: &Request, start: &str) -> Vec<String> {
    let mut all = Vec::new();
    for declared in request.all("content-type") {
        let lower = declared.to_ascii_lowercase();
        for (at, word) in lower.match_indices("boundary") {
            let rest = declared[at + word.len()..].trim_start();
            let Some(rest) = rest.strip_prefix('=').map(str::trim_start) else { continue };
            match rest.strip_prefix('"') {
                Some(quoted) => all.push(quoted.split('"').next().unwrap_or_default().to_owned()),
                None => all.push(rest.split([';', ',', ' ']).next().unwrap_or_default().to_owned()),
            }
        }
    }
    if let Some(first) = start.strip_prefix("--") {
        all.push(first.lines().next().unwrap_or_default().trim().to_owned());
    }
    all.retain(|boundary| !boundary.is_empty());
    all.sort();
    all.dedup();
    all
}

/// The parts of a multipart body, files included, split wherever a delimiter stands.
fn in_parts(text: &str, boundaries: &[String]) -> Vec<Parameter> {
    let mut all = Vec::new();
    for boundary in boundaries {
        let delimiter = format!("--{boundary}");
        for part in text.split(delimiter.as_str()).skip(1).filter(|part| !part.starts_with("--")) {
            let blank = ["\r\n\r\n", "\n\n", "\n\r\n", "\r\r"]
                .iter()
                .filter_map(|blank| Some((part.find(blank)?, blank.len())));
            let Some((end, gap)) = blank.min() else { continue };
            let (head, value) = (&part[..end], &part[end + gap..]);
            // Lines that continue the one before, or that a control character cuts, are joined by some readers.
            let joined: String = head.chars().filter(|c| !c.is_control()).collect();
            for name in names(head).into_iter().chain(names(&joined)) {
                let values = part_values(head, value).into_iter().map(Value::Text);
                all.extend(values.flat_map(|value| nested([(name.clone(), value)])));
            }
        }
    }
    all
}

fn part_values(head: &str, value: &str) -> Vec<String> {
    let head = head.to_ascii_lowercase();
    let value = value.strip_suffix('\n').unwrap_or(value);
    let value = value.strip_suffix('\r').unwrap_or(value);
    let mut values = vec![value.to_owned()];
    if head.contains("base64") {
        values.extend(texts(&from_base64(value), &head));
    }
    if head.contains("quoted") {
        values.push(from_quoted_printable(value));
    }
    if head.contains("utf-16") || head.contains("utf16") {
        values.extend(texts(value.as_bytes(), &head));
    }
    values
}

/// Every name that the head of a part gives.
fn names(head: &str) -> Vec<String> {
    let lower = head.to_ascii_lowercase();
    let mut all = Vec::new();
    for (at, _) in lower.match_indices("name") {
        if lower[..at].ends_with("file") {
            continue;
        }
        let rest = head[at + 4..].trim_start();
        // The first piece of a name (RFC 2231), read as the whole of it.
        let rest = rest.strip_prefix("*0").unwrap_or(rest);
        let extended = rest.starts_with('*');
        let Some(value) = rest.trim_start_matches('*').trim_start().strip_prefix('=') else { continue };
        let value = value.trim_start();
        let name = match value.chars().next() {
            Some(quote @ ('"' | '\'')) if !extended => value[1..].split(quote).next().unwrap_or_default(),
            _ => value.split([';', ' ', '\r', '\n']).next().unwrap_or_default(),
        };
        let name = if extended {
            unescape(name.rsplit('\'').next().unwrap_or(name), false)
        } else {
            name.to_owned()
        };
        all.push(name.replace('\\', ""));
        all.push(name);
    }
    all.dedup();
    all
}
