//! Reading one value: from what was written to a type that cannot be wrong.
//!
//! Values are repeated in a problem only by readers of things that are never secret.

use std::fmt::Display;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use http::Uri;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

use crate::consent::{Category, CategorySet};

use super::layer::{Entry, Node};
use super::section::Wrong;

fn wrong_type(entry: &Entry, needed: &str, right: impl Into<String>) -> Wrong {
    Wrong::new(format!("is {}, must be {needed}", entry.node.type_name()), right)
}

/// A string.
pub(super) fn text(entry: &Entry) -> Result<&str, Wrong> {
    let (Node::Untyped(text) | Node::Text(text)) = &entry.node else {
        return Err(wrong_type(entry, "a string", "write it in quotes"));
    };
    Ok(text)
}

/// `true` or `false`.
pub(super) fn switch(entry: &Entry) -> Result<bool, Wrong> {
    match &entry.node {
        Node::Switch(on) => Ok(*on),
        Node::Untyped(text) if text == "true" => Ok(true),
        Node::Untyped(text) if text == "false" => Ok(false),
        Node::Untyped(_)
        | Node::Text(_)
        | Node::Number(_)
        | Node::List(_)
        | Node::Table(_)
        | Node::Other(_) => Err(wrong_type(entry, "true or false", "write it without quotes")),
    }
}

/// A string that says something.
pub(super) fn non_empty(entry: &Entry) -> Result<&str, Wrong> {
    let text = text(entry)?;
    if text.trim().is_empty() {
        Err(Wrong::new("is empty", "write a value or remove the key"))
    } else {
        Ok(text)
    }
}

/// As [`non_empty`], kept.
pub(super) fn owned(entry: &Entry) -> Result<String, Wrong> {
    non_empty(entry).map(str::to_owned)
}

/// A value that is written as a string and read by a rule of its own.
pub(super) fn parsed<T>(
    right: &'static str,
    parse: impl Fn(&str) -> Option<T>,
) -> impl Fn(&Entry) -> Result<T, Wrong> {
    move |entry| {
        let text = text(entry)?;
        parse(text).ok_or_else(|| Wrong::new(format!("{} will not do", shown(text)), right))
    }
}

/// As [`parsed`], for a value that must not be repeated in a problem.
pub(super) fn parsed_unseen<T>(
    right: &'static str,
    parse: impl Fn(&str) -> Option<T>,
) -> impl Fn(&Entry) -> Result<T, Wrong> {
    move |entry| parse(text(entry)?).ok_or_else(|| Wrong::new("the value will not do", right))
}

/// An address to listen on.
pub(super) fn address(entry: &Entry) -> Result<SocketAddr, Wrong> {
    parsed("write IP:PORT, such as 127.0.0.1:8080 or [::1]:8080", |text| text.parse().ok())(entry)
}

/// A whole number within limits.
pub(super) fn number(limits: RangeInclusive<u64>) -> impl Fn(&Entry) -> Result<u64, Wrong> {
    move |entry| {
        let right = format!("write a whole number from {} to {}", limits.start(), limits.end());
        let number = if let Node::Number(number) = &entry.node {
            u64::try_from(*number).ok()
        } else if let Node::Untyped(text) = &entry.node {
            text.trim().parse().ok()
        } else {
            return Err(wrong_type(entry, "a number", right));
        };
        number.filter(|n| limits.contains(n)).ok_or_else(|| Wrong::new("is out of range", right))
    }
}

/// A whole number within limits that counts things in memory.
pub(super) fn count(limits: RangeInclusive<u64>) -> impl Fn(&Entry) -> Result<usize, Wrong> {
    let number = number(limits);
    move |entry| Ok(usize::try_from(number(entry)?).unwrap_or(usize::MAX))
}

/// A duration in milliseconds.
pub(super) fn millis(limits: RangeInclusive<u64>) -> impl Fn(&Entry) -> Result<Duration, Wrong> {
    let number = number(limits);
    move |entry| number(entry).map(Duration::from_millis)
}

/// A duration in seconds.
pub(super) fn seconds(limits: RangeInclusive<u64>) -> impl Fn(&Entry) -> Result<Duration, Wrong> {
    let number = number(limits);
    move |entry| number(entry).map(Duration::from_secs)
}

/// A size in bytes: a number, or a string with a unit.
pub(super) fn size(limits: RangeInclusive<u64>) -> impl Fn(&Entry) -> Result<u64, Wrong> {
    move |entry| {
        let right = format!(
            "write bytes as a number, or \"512KiB\" or \"1MiB\"; from {} to {} bytes",
            limits.start(),
            limits.end()
        );
        let bytes = if let Node::Number(number) = &entry.node {
            u64::try_from(*number).ok()
        } else if let Node::Untyped(text) | Node::Text(text) = &entry.node {
            bytes(text.trim())
        } else {
            return Err(wrong_type(entry, "a size", right));
        };
        bytes.filter(|n| limits.contains(n)).ok_or_else(|| Wrong::new("is no size within the limits", right))
    }
}

fn bytes(text: &str) -> Option<u64> {
    let units = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1), ("", 1)];
    let (digits, unit) = units.iter().find_map(|(name, unit)| Some((text.strip_suffix(name)?, *unit)))?;
    digits.trim_end().parse::<u64>().ok()?.checked_mul(unit)
}

/// A span of time with its unit in the value; 0 is none at all.
pub(super) fn span(limits: RangeInclusive<Duration>) -> impl Fn(&Entry) -> Result<Duration, Wrong> {
    move |entry| {
        let [least, most] = [limits.start(), limits.end()].map(Duration::as_secs);
        let right = format!(
            "write a number with s, m, h or d, such as \"7d\", or \"0\" for none; from {least} to {most} seconds"
        );
        let written = match &entry.node {
            Node::Number(0) => return Ok(Duration::ZERO),
            Node::Untyped(text) | Node::Text(text) => duration(text.trim()),
            Node::Number(_) => None,
            Node::Switch(_) | Node::List(_) | Node::Table(_) | Node::Other(_) => {
                return Err(wrong_type(entry, "a span of time", right));
            }
        };
        written
            .filter(|span| span.is_zero() || limits.contains(span))
            .ok_or_else(|| Wrong::new("is no span of time within the limits", right))
    }
}

fn duration(text: &str) -> Option<Duration> {
    if text == "0" {
        return Some(Duration::ZERO);
    }
    let units = [("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1)];
    let (digits, unit) = units.iter().find_map(|(name, unit)| Some((text.strip_suffix(name)?, *unit)))?;
    digits.trim_end().parse::<u64>().ok()?.checked_mul(unit).map(Duration::from_secs)
}

/// One of a closed set of words.
pub(super) fn one_of<T: Copy, const N: usize>(
    words: [(&'static str, T); N],
) -> impl Fn(&Entry) -> Result<T, Wrong> {
    move |entry| {
        let text = text(entry)?;
        let found = words.iter().find(|(word, _)| *word == text);
        let right = || format!("write {}", listed(words.iter().map(|(word, _)| *word)));
        found
            .map(|(_, value)| *value)
            .ok_or_else(|| Wrong::new(format!("{} is unknown", shown(text)), right()))
    }
}

/// A list of which every item reads alike.
pub(super) fn list<T>(item: impl Fn(&Entry) -> Result<T, Wrong>) -> impl Fn(&Entry) -> Result<Vec<T>, Wrong> {
    move |entry| {
        let Node::List(items) = &entry.node else {
            return Err(wrong_type(entry, "a list", "write [\"a\", \"b\"]"));
        };
        items.iter().map(&item).collect()
    }
}

/// A list that says something.
pub(super) fn non_empty_list<T>(
    item: impl Fn(&Entry) -> Result<T, Wrong>,
) -> impl Fn(&Entry) -> Result<Vec<T>, Wrong> {
    let list = list(item);
    move |entry| {
        let items = list(entry)?;
        if items.is_empty() {
            Err(Wrong::new("is an empty list", "write at least one item"))
        } else {
            Ok(items)
        }
    }
}

/// A category.
pub(super) fn category(entry: &Entry) -> Result<Category, Wrong> {
    one_of(Category::ALL.map(|category| (category.name(), category)))(entry)
}

/// `true` for all categories, `false` for none, or a list of categories.
pub(super) fn categories(entry: &Entry) -> Result<CategorySet, Wrong> {
    match &entry.node {
        Node::Switch(true) => Ok(CategorySet::ALL),
        Node::Switch(false) => Ok(CategorySet::EMPTY),
        Node::Untyped(text) if text == "true" => Ok(CategorySet::ALL),
        Node::Untyped(text) if text == "false" => Ok(CategorySet::EMPTY),
        Node::List(_) => Ok(list(category)(entry)?.into_iter().collect()),
        Node::Untyped(_) | Node::Text(_) | Node::Number(_) | Node::Table(_) | Node::Other(_) => Err(
            Wrong::new("will not do", "write true, false, or a list of categories such as [\"marketing\"]"),
        ),
    }
}

/// A path that need not exist.
pub(super) fn path(entry: &Entry) -> Result<PathBuf, Wrong> {
    non_empty(entry).map(PathBuf::from)
}

/// A file that can be read now.
pub(super) fn readable_file(entry: &Entry) -> Result<PathBuf, Wrong> {
    let path = path(entry)?;
    let readable = std::fs::File::open(&path).and_then(|file| file.metadata()).map(|found| found.is_file());
    match readable {
        Ok(true) => Ok(path),
        Ok(false) => Err(Wrong::new(format!("{} is not a file", shown(path.display())), "name a file")),
        Err(error) => {
            let wrong = format!("{} cannot be read: {error}", shown(path.display()));
            Err(Wrong::new(wrong, "name a file that exists and is readable"))
        }
    }
}

/// A file of certificates in PEM.
pub(super) fn certificates_file(entry: &Entry) -> Result<PathBuf, Wrong> {
    let path = readable_file(entry)?;
    if holds_certificates(&path) {
        return Ok(path);
    }
    let wrong = format!("{} holds no certificate that can be read", shown(path.display()));
    Err(Wrong::new(wrong, "name a PEM file with at least one BEGIN CERTIFICATE block"))
}

fn holds_certificates(path: &Path) -> bool {
    let read = CertificateDer::pem_file_iter(path).map(Iterator::collect::<Result<Vec<_>, _>>);
    matches!(read, Ok(Ok(found)) if !found.is_empty())
}

/// The scheme, host and port of an HTTP server, nothing more. Not repeated: somebody may have put a password into it.
pub(super) fn origin(entry: &Entry) -> Result<Uri, Wrong> {
    let right = "write http:// or https://, a host and perhaps a port, such as https://graph.facebook.com";
    let bare = |uri: &Uri| matches!(uri.path(), "" | "/") && uri.query().is_none();
    parsed_unseen(right, |text| web(text).filter(bare).filter(|_| !text.contains('#')))(entry)
}

/// An address on the web.
pub(super) fn web_address(entry: &Entry) -> Result<Uri, Wrong> {
    parsed_unseen("write an http:// or https:// address without a user or password", web)(entry)
}

fn web(text: &str) -> Option<Uri> {
    let uri: Uri = text.parse().ok()?;
    let scheme = matches!(uri.scheme_str(), Some("http" | "https"));
    let authority = uri.authority()?.as_str();
    let host = uri.host().is_some_and(|host| !host.is_empty()) && !authority.contains('@');
    // A port that is no number would be dropped silently.
    let port =
        authority.ends_with(']') || !authority.contains(':') || uri.port_u16().is_some_and(|port| port != 0);
    (scheme && host && port).then_some(uri)
}

/// Words as a sentence lists them.
pub(super) fn listed<'a>(words: impl Iterator<Item = &'a str>) -> String {
    let words: Vec<&str> = words.collect();
    match words.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
        _ => words.concat(),
    }
}

/// A value as a problem repeats it: quoted, escaped, cut.
fn shown(value: impl Display) -> String {
    let text = value.to_string();
    let cut: String = text.chars().take(80).collect();
    if cut.len() < text.len() { format!("{cut:?}...") } else { format!("{cut:?}") }
}
