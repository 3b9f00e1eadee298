//! Reading a path: one canonical spelling, so that the provider never parses one that was not judged.
//!
//! Knows slashes, percent-encoding and the version prefix; knows no edge.

use std::borrow::Cow;

/// A path whose every segment is known to be read alike by everybody.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Segments<'p> {
    /// The version prefix, as written.
    pub(super) version: Option<&'p str>,
    /// What follows the version, at most [`Segments::MAX`]; deeper paths are cut, and `more` says so.
    pub(super) parts: [&'p str; Segments::MAX],
    /// How many of `parts` are in use.
    pub(super) len: usize,
    /// Whether the path goes on.
    pub(super) more: bool,
}

impl<'p> Segments<'p> {
    /// No edge that matters lies deeper.
    pub(super) const MAX: usize = 4;

    /// Splits a canonical path.
    pub(super) fn of(path: &'p str) -> Self {
        let mut rest = between_slashes(path).peekable();
        let version = rest.next_if(|segment| is_version(segment));
        let mut parts = [""; Self::MAX];
        let mut len = 0;
        for (place, segment) in parts.iter_mut().zip(rest.by_ref()) {
            *place = segment;
            len += 1;
        }
        Self { version, parts, len, more: rest.next().is_some() }
    }

    /// The segment at a place, empty past the end.
    pub(super) fn at(&self, place: usize) -> &'p str {
        self.parts.get(place).copied().unwrap_or_default()
    }

    /// All kept segments.
    pub(super) fn iter(&self) -> impl Iterator<Item = &'p str> {
        self.parts.into_iter().take(self.len)
    }
}

/// The path of nearly every send, `/v23.0/{digits}/messages`, told in one look; `None` for any other, and so for any other spelling. It is canonical.
pub(super) fn usual_send(path: &str) -> Option<Segments<'_>> {
    let rest = path.strip_prefix("/v")?;
    let (major, rest) = split_digits(rest)?;
    let (minor, rest) = split_digits(rest.strip_prefix('.')?)?;
    let version = path.get(1..major + minor + 3)?;
    let rest = rest.strip_prefix('/')?;
    let (id_length, name) = split_digits(rest)?;
    let id = rest.get(..id_length)?;
    let name = (name == "/messages").then(|| name.get(1..)).flatten()?;
    let mut parts = [""; Segments::MAX];
    for (place, segment) in parts.iter_mut().zip([id, name]) {
        *place = segment;
    }
    Some(Segments { version: Some(version), parts, len: 2, more: false })
}

/// How many digits a text begins with, of which there must be some, and what follows them.
fn split_digits(text: &str) -> Option<(usize, &str)> {
    let digits = text.bytes().position(|byte| !byte.is_ascii_digit())?;
    if digits == 0 { None } else { text.get(digits..).map(|rest| (digits, rest)) }
}

/// The first segment behind the version, empty if there is none.
pub(super) fn first(path: &str) -> &str {
    let mut segments = between_slashes(path);
    let first = segments.next().unwrap_or_default();
    if is_version(first) { segments.next().unwrap_or_default() } else { first }
}

/// Every segment that is not empty. One byte after another: a search takes longer to begin than most of them are long.
fn between_slashes(mut rest: &str) -> impl Iterator<Item = &str> {
    std::iter::from_fn(move || {
        loop {
            let end = rest.bytes().position(|byte| byte == b'/');
            let (segment, after) = match end {
                Some(end) => (rest.get(..end)?, rest.get(end + 1..)?),
                None => (rest, ""),
            };
            if segment.is_empty() && end.is_none() {
                return None;
            }
            rest = after;
            if !segment.is_empty() {
                return Some(segment);
            }
        }
    })
}

/// `v23.0`, `V1`: any number, because an unknown version is served by a known one. Source: Meta, "Graph API versioning".
fn is_version(segment: &str) -> bool {
    let Some(rest) = segment.strip_prefix(['v', 'V']) else { return false };
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    rest.split_once('.').map_or_else(|| digits(rest), |(major, minor)| digits(major) && digits(minor))
}

/// The one spelling of a path: escapes of plain characters decoded, slashes collapsed, none at the end.
///
/// Borrowed where the caller already wrote it so.
///
/// # Errors
///
/// What is odd about a path that two readers could understand differently.
pub(super) fn canonical(path: &str) -> Result<Cow<'_, str>, &'static str> {
    if is_canonical(path) { Ok(Cow::Borrowed(path)) } else { respell(path).map(Cow::Owned) }
}

/// Whether a path can travel as it stands.
fn is_canonical(path: &str) -> bool {
    let Some(rest) = path.strip_prefix('/') else { return false };
    // As `is_odd_segment` has it: no segment is empty, and none ends in a dot.
    let may_end = |last: u8| last != b'/' && last != b'.';
    let mut last = b'/';
    for byte in rest.bytes() {
        if byte == b'/' && !may_end(last) || byte != b'/' && !is_plain(byte) {
            return false;
        }
        last = byte;
    }
    may_end(last) || rest.is_empty()
}

/// Empty, a dot segment, or one whose last dot a lenient reader would drop.
fn is_odd_segment(segment: &str) -> bool {
    segment.is_empty() || segment.ends_with('.')
}

/// A character of a segment that needs no escape and means nothing to any reader (RFC 3986 `pchar` without `%` and `;`).
fn is_plain(byte: u8) -> bool {
    matches!(
        byte,
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~'
            | b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b',' | b'=' | b':' | b'@'
    )
}

fn respell(path: &str) -> Result<String, &'static str> {
    let mut out = String::with_capacity(path.len());
    for segment in path.split('/').filter(|segment| !segment.is_empty()) {
        out.push('/');
        let start = out.len();
        respell_segment(segment.as_bytes(), &mut out)?;
        if out.get(start..).is_some_and(is_odd_segment) {
            return Err("the path has a segment of dots or one that ends in a dot; write the path plainly");
        }
    }
    if out.is_empty() {
        out.push('/');
    }
    Ok(out)
}

/// Decodes escapes of unreserved characters, keeps those of harmless delimiters, refuses the rest.
fn respell_segment(segment: &[u8], out: &mut String) -> Result<(), &'static str> {
    let mut rest = segment;
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if byte != b'%' {
            if !is_plain(byte) {
                return Err("the path holds a character that readers disagree about; write the path plainly");
            }
            out.push(char::from(byte));
            continue;
        }
        let (decoded, after) = escape(rest).ok_or("the path holds a broken percent escape")?;
        rest = after;
        push_decoded(decoded, out)?;
    }
    Ok(())
}

fn push_decoded(decoded: u8, out: &mut String) -> Result<(), &'static str> {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    if decoded.is_ascii_alphanumeric() || b"-._~".contains(&decoded) {
        out.push(char::from(decoded));
    } else if is_plain(decoded) {
        out.push('%');
        for nibble in [decoded >> 4, decoded & 15] {
            out.push(HEX.get(usize::from(nibble)).copied().map_or('0', char::from));
        }
    } else {
        return Err("the path escapes a character that readers disagree about; write the path plainly");
    }
    Ok(())
}

/// The byte of a percent escape whose `%` was read, and what follows.
pub(super) fn escape(after_percent: &[u8]) -> Option<(u8, &[u8])> {
    let [high, low, rest @ ..] = after_percent else { return None };
    let digit = |b: u8| char::from(b).to_digit(16).and_then(|d| u8::try_from(d).ok());
    Some((digit(*high)? << 4 | digit(*low)?, rest))
}

/// What follows the prefix under which the gate is mounted, `None` if the path lies outside.
pub(super) fn under<'p>(path: &'p str, base: &str) -> Option<&'p str> {
    if base.is_empty() {
        return Some(path);
    }
    let rest = path.strip_prefix(base)?;
    match rest {
        "" => Some("/"),
        _ if rest.starts_with('/') => Some(rest),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_path_travels_as_it_stands() {
        for path in ["/", "/v23.0/106540352242922/messages", "/upload:MTph=", "/me", "/v23.0/Y2Fw-_.x/media"]
        {
            assert!(matches!(canonical(path), Ok(Cow::Borrowed(_))), "{path}");
        }
    }

    #[test]
    fn other_spellings_become_the_plain_one() {
        for (written, plain) in [
            ("//v23.0//1//messages//", "/v23.0/1/messages"),
            ("/v23.0/1/mess%61ges", "/v23.0/1/messages"),
            ("/v23.0/1/messages/", "/v23.0/1/messages"),
            ("/upload:a%3d%3D", "/upload:a%3D%3D"),
            ("//", "/"),
        ] {
            assert_eq!(canonical(written).as_deref(), Ok(plain), "{written}");
        }
    }

    #[test]
    fn what_travels_as_it_stands_is_what_would_be_written_again() {
        let letters = [b'/', b'.', b'a', b'%', b';', b' ', 0xc3];
        let mut paths = vec![Vec::new()];
        for _ in 0..5 {
            let longer = |path: &Vec<u8>| letters.map(|letter| [path.as_slice(), &[letter]].concat());
            let longer: Vec<_> = paths.iter().flat_map(longer).collect();
            paths.extend(longer);
        }
        let mut canonical = 0;
        for path in paths.iter().filter_map(|path| std::str::from_utf8(path).ok()) {
            let rewritten = path.starts_with('/') && respell(path).as_deref() == Ok(path);
            assert_eq!(is_canonical(path), rewritten, "{path}");
            canonical += usize::from(rewritten);
        }
        assert!(canonical > 10, "{canonical}");
    }

    #[test]
    fn what_readers_disagree_about_is_refused() {
        for path in [
            "/1/./messages",
            "/1/media/../messages",
            "/1/messages;x=1",
            "/1/messages%3B",
            "/1/mess%2561ges",
            "/1/calls%2f",
            "/1/calls%5c",
            "/1\\messages",
            "/1/messages%00",
            "/1/messages%20",
            "/1/m%C3%A9",
            "/1/messages%",
            "/1/messages%4",
            "/1/messages.",
            "/1/%2e%2e/messages",
            "/1/messages%3F",
            "/1/messages%23",
        ] {
            assert!(canonical(path).is_err(), "{path}");
        }
    }

    #[test]
    fn versions_are_optional_and_of_any_number() {
        for (path, version, id) in [
            ("/v23.0/1/messages", Some("v23.0"), "1"),
            ("/V999.9/1", Some("V999.9"), "1"),
            ("/v23/1", Some("v23"), "1"),
            ("/1/messages", None, "1"),
            ("/v23.0.1/1", None, "v23.0.1"),
            ("/v.0/1", None, "v.0"),
            ("/video/1", None, "video"),
        ] {
            let segments = Segments::of(path);
            assert_eq!((segments.version, segments.at(0)), (version, id), "{path}");
            assert_eq!(first(path), id, "{path}");
        }
        assert!(Segments::of("/a/b/c/d/e").more && !Segments::of("/a/b/c/d").more);
        for path in ["", "/", "///", "/a", "a/", "//a//b/", "/a/b/c/d///e", "/v1"] {
            let segments = Segments::of(path);
            let expected: Vec<&str> = path.split('/').filter(|s| !s.is_empty() && !is_version(s)).collect();
            let kept: Vec<&str> = segments.iter().collect();
            assert_eq!(kept, expected[..expected.len().min(4)], "{path}");
            assert_eq!(segments.more, expected.len() > 4, "{path}");
            assert_eq!(first(path), segments.at(0), "{path}");
        }
    }

    #[test]
    fn the_usual_path_is_read_as_any_other() {
        let pieces: [&[&str]; 7] = [
            &["/v", "/V", "/", "v", "//v"],
            &["2", "23", "", "x"],
            &[".", "", "..", "/"],
            &["0", "17", "", "x"],
            &["/", "//", "", ";"],
            &["1", "106540352242922", "me", "", "%31"],
            &[
                "/messages",
                "/Messages",
                "messages",
                "/messages/",
                "/messages_encrypted",
                "//messages",
                "/calls",
            ],
        ];
        let paths = pieces.iter().fold(vec![String::new()], |paths, pieces| {
            paths.iter().flat_map(|path| pieces.iter().map(move |piece| format!("{path}{piece}"))).collect()
        });
        let mut usual = 0;
        for path in &paths {
            if let Some(segments) = usual_send(path) {
                usual += 1;
                assert!(matches!(canonical(path), Ok(Cow::Borrowed(_))), "{path}");
                assert_eq!(segments, Segments::of(path), "{path}");
                assert_eq!((segments.at(1), segments.len), ("messages", 2), "{path}");
            }
        }
        assert_eq!(usual, 2 * 2 * 2, "two majors, minors and ids");
        for path in ["/v23.0/106540352242922/messages", "/v1.22/1/messages"] {
            assert_eq!(usual_send(path), Some(Segments::of(path)), "{path}");
        }
        for path in [
            "/V23.0/1/messages",
            "/v23/1/messages",
            "/v.0/1/messages",
            "/v23./1/messages",
            "/v23.0/me/messages",
            "/v23.0/1/messages/",
            "/v23.0/1/Messages",
            "/v23.0/1/messages_encrypted",
            "/v23.0//messages",
            "/v23.0/1//messages",
            "//v23.0/1/messages",
            "v23.0/1/messages",
            "/v23.0/1/messages;x",
            "/v23.0/1%31/messages",
            "/v23.0/1",
            "/v23.0",
            "/v",
            "",
        ] {
            assert_eq!(usual_send(path), None, "{path}");
        }
    }

    #[test]
    fn the_mount_point_ends_at_a_slash() {
        assert_eq!(under("/wa/acme/v1", "/wa/acme"), Some("/v1"));
        assert_eq!(under("/wa/acme", "/wa/acme"), Some("/"));
        assert_eq!(under("/wa/acmes", "/wa/acme"), None);
        assert_eq!(under("/x", ""), Some("/x"));
    }
}
