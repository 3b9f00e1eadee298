//! What the head of a request tells.

use std::borrow::Cow;

use http::header::{CONTENT_ENCODING, COOKIE as COOKIE_HEADER};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method};

use super::content::{self, Content};
use super::edges::{self, Edge, Treatment};
use super::names::{Name, Seen};
use super::path::{self, Segments};
use super::{
    Context, Effect, Head, Inspect, Passage, Target, Unreadable, Watch, form, refused, scan, unreadable,
    unrecognized,
};
use crate::consent::DenyReason;
use crate::wire::refusal::{Cause, Dialect};

/// Headers in which frameworks look for another method. Source: none of them is documented by Meta, none is trusted to be ignored.
const OVERRIDES: [&str; 6] = [
    "x-http-method-override",
    "x-http-method",
    "x-method-override",
    "x-method",
    "method-override",
    "http-method-override",
];

/// Headers by which some servers replace the target that they were asked for. Source: Zend and Symfony on IIS; nginx ingress.
const TARGETS: [&str; 3] = ["x-original-url", "x-rewrite-url", "x-original-uri"];

/// Fields of the framing and of the body, which CGI, and so PHP, reads with `_` as well as with `-`.
const FRAMING: [&str; 5] =
    ["content-type", "content-length", "content-encoding", "transfer-encoding", "cookie"];

const FIELD: &str = "a header names another target, or is a header of the body written with `_`, which some servers obey; leave it out";

const TELLING: &str =
    "the query carries a batch, a recipient or a message; send those on their own edge, in a JSON body";

const FOREIGN: &str = "this is no path of the Cloud API that is judged; write /{phone_number_id}/messages";

const ENCODED: &str =
    "the body is compressed, so it cannot be judged as it travels; send it without Content-Encoding";

const COOKIE: &str =
    "a cookie has the name of a parameter, and some readers take cookies for parameters; leave it out";

/// Where a request leads.
struct Place<'p> {
    /// The canonical path below the mount point.
    path: &'p str,
    segments: Segments<'p>,
    edge: &'static Edge,
    spelling: Spelling,
}

/// How a path is spelled.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Spelling {
    /// As nearly every caller does, and as it travels.
    Usual,
    /// As the caller wrote it, letter case aside.
    Kept,
    /// Otherwise than the caller wrote it.
    Moved,
}

/// What the names of the header fields tell.
#[derive(Clone, Copy, Default)]
struct Names {
    cookies: bool,
    /// One could name another method.
    overrides: bool,
    /// One tells how the body is encoded.
    encoded: bool,
}

/// Reads a head.
pub(super) fn read(parts: &Parts, context: Context<'_>) -> Result<Head, Unreadable> {
    check_form(parts)?;
    if let Some(place) = usual(parts, context) {
        return read_at(parts, &place);
    }
    let plain = canonical(parts)?;
    read_at(parts, &place(&plain, parts, context)?)
}

fn read_at(parts: &Parts, place: &Place<'_>) -> Result<Head, Unreadable> {
    let names = names(&parts.headers)?;
    if names.cookies && has_judged_cookie(&parts.headers, place.edge) {
        return Err(unreadable(COOKIE));
    }
    let target = respelled(place, parts.uri.query())?;
    let (seen, effect) = effect(parts, names);
    let carries = || {
        let tells = seen.has_recipient() || seen.has_payload();
        content::may_follow(parts) || seen.has(Name::Batch) || (place.edge.sends() && tells)
    };
    if effect == Effect::Read && !carries() {
        return Ok(Head::Passthrough(Passage::of(place.edge.name), target));
    }
    let dialect = dialect(&place.segments);
    Route { parts, edge: place.edge, target, seen, effect, dialect, names }.write()
}

/// The one spelling of the target, where the caller's own is another.
pub(super) fn target(parts: &Parts, context: Context<'_>) -> Result<Option<Target>, Unreadable> {
    check_form(parts)?;
    respelled(&place(&canonical(parts)?, parts, context)?, parts.uri.query())
}

/// The place that nearly every request has.
fn usual<'p>(parts: &'p Parts, context: Context<'_>) -> Option<Place<'p>> {
    if !context.base_path.is_empty() {
        return None;
    }
    let path = parts.uri.path();
    let segments = path::usual_send(path)?;
    Some(Place { path, segments, edge: &edges::USUAL, spelling: Spelling::Usual })
}

fn place<'p>(plain: &'p str, parts: &Parts, context: Context<'_>) -> Result<Place<'p>, Unreadable> {
    let path = path::under(plain, context.base_path)
        .ok_or_else(|| unrecognized("the path lies outside of the prefix under which the gate is mounted"))?;
    let segments = Segments::of(path);
    let spelling = if path == parts.uri.path() { Spelling::Kept } else { Spelling::Moved };
    Ok(Place { path, edge: edges::find(&segments), segments, spelling })
}

fn names(headers: &HeaderMap) -> Result<Names, Unreadable> {
    let mut names = Names::default();
    for name in headers.keys() {
        let text = name.as_str();
        if is_odd(text) {
            return Err(unreadable(FIELD));
        }
        names.overrides |= is_override(text);
        names.cookies |= *name == COOKIE_HEADER;
        names.encoded |= *name == CONTENT_ENCODING;
    }
    Ok(names)
}

/// `/v1/messages` is the On-Premises API, whose clients understand another envelope.
fn dialect(segments: &Segments<'_>) -> Dialect {
    let on_premises = segments.len == 1 && segments.version.is_some_and(|version| !version.contains('.'));
    if on_premises { Dialect::OnPremises } else { Dialect::Cloud }
}

/// Refuses what is no request for a path.
fn check_form(parts: &Parts) -> Result<(), Unreadable> {
    if parts.version != http::Version::HTTP_2 && parts.uri.scheme().is_some() {
        return Err(unreadable("the target is in absolute form; write the path only"));
    }
    if matches!(parts.method, Method::CONNECT | Method::TRACE) || !parts.uri.path().starts_with('/') {
        return Err(unreadable("the method or target is not one of the provider's API"));
    }
    Ok(())
}

/// The path in its one spelling.
fn canonical(parts: &Parts) -> Result<Cow<'_, str>, Unreadable> {
    path::canonical(parts.uri.path()).map_err(unreadable)
}

/// The target to forward where the caller's own is spelled otherwise.
fn respelled(place: &Place<'_>, query: Option<&str>) -> Result<Option<Target>, Unreadable> {
    let Place { path, segments, edge, spelling } = place;
    if *spelling == Spelling::Usual {
        return Ok(None);
    }
    let upper_version = segments.version.is_some_and(|version| version.starts_with('V'));
    let other_case =
        segments.iter().any(|segment| segment != edge.name && segment.eq_ignore_ascii_case(edge.name));
    if *spelling == Spelling::Kept && !upper_version && !other_case {
        return Ok(None);
    }
    let mut out = String::with_capacity(path.len() + query.map_or(0, str::len) + 1);
    for segment in path.split('/').skip(1) {
        out.push('/');
        match segment {
            _ if Some(segment) == segments.version => out.push_str(&segment.to_ascii_lowercase()),
            _ if segment.eq_ignore_ascii_case(edge.name) => out.push_str(edge.name),
            _ => out.push_str(segment),
        }
    }
    if let Some(query) = query {
        out.push('?');
        out.push_str(query);
    }
    Target::try_from(out).map(Some).map_err(|_| unreadable("the target cannot be written plainly"))
}

/// Every judged name in the query, and what the request does. A parameter or header can turn it into a write, never out of one.
fn effect(parts: &Parts, names: Names) -> (Seen, Effect) {
    let mut effect = match parts.method {
        Method::GET | Method::HEAD | Method::OPTIONS => Effect::Read,
        Method::DELETE => Effect::Delete,
        _ => Effect::Write,
    };
    if names.overrides {
        for value in overrides(&parts.headers) {
            effect = overridden(effect, value.to_str().unwrap_or_default());
        }
    }
    let Some(query) = parts.uri.query() else { return (Seen::default(), effect) };
    let mut said = effect;
    let seen = form::scan(query.as_bytes(), form::SEPARATORS, |name, value| {
        if matches!(super::names::Spelled::of(name).name(), Some(Name::Method | Name::UnderscoreMethod)) {
            said = overridden(said, value);
        }
    });
    (seen, said)
}

/// Whether a cookie has a name that is judged. PHP merges cookies into `$_REQUEST`, decoded and filed as the pairs of a form are.
fn has_judged_cookie(headers: &HeaderMap, edge: &Edge) -> bool {
    headers.get_all(COOKIE_HEADER).iter().any(|cookies| {
        let mut steers = false;
        let seen = form::scan(cookies.as_bytes(), form::SEPARATORS, |name, value| {
            steers |= scan::is_steering(name, value, edge.keys());
        });
        steers || seen != Seen::default()
    })
}

/// Whether a server could take the header for one that frames the request or names its target.
fn is_odd(name: &str) -> bool {
    match name.as_bytes().first() {
        Some(b'c' | b't') => FRAMING.iter().any(|known| name != *known && is_same(name, known)),
        Some(b'x') => TARGETS.iter().any(|known| is_same(name, known)),
        _ => false,
    }
}

/// Whether a server could look for another method there.
fn is_override(name: &str) -> bool {
    matches!(name.as_bytes().first(), Some(b'x' | b'm' | b'h'))
        && OVERRIDES.iter().any(|known| is_same(name, known))
}

/// CGI, and so PHP, reads `_` and `-` alike. Most names differ in their length already.
fn is_same(name: &str, known: &str) -> bool {
    name.len() == known.len()
        && name.bytes().zip(known.bytes()).all(|(a, b)| a == b || (a == b'_' && b == b'-'))
}

/// The values of every header that could name another method.
fn overrides(headers: &HeaderMap) -> impl Iterator<Item = &HeaderValue> {
    headers.iter().filter(|(name, _)| is_override(name.as_str())).map(|(_, value)| value)
}

fn overridden(effect: Effect, by: &str) -> Effect {
    let by = match by {
        _ if ["get", "head", "options"].iter().any(|read| by.eq_ignore_ascii_case(read)) => Effect::Read,
        _ if by.eq_ignore_ascii_case("delete") => Effect::Delete,
        _ => Effect::Write,
    };
    match (effect, by) {
        (Effect::Write, _) | (_, Effect::Write) => Effect::Write,
        (Effect::Delete, _) | (_, Effect::Delete) => Effect::Delete,
        (Effect::Read, Effect::Read) => Effect::Read,
    }
}

/// A request that may be a write, on its way to a treatment.
struct Route<'p> {
    parts: &'p Parts,
    edge: &'static Edge,
    target: Option<Target>,
    seen: Seen,
    effect: Effect,
    dialect: Dialect,
    names: Names,
}

impl Route<'_> {
    fn write(self) -> Result<Head, Unreadable> {
        if self.effect == Effect::Read && !content::is_declared(self.parts) {
            return self.inspect();
        }
        match self.edge.treatment {
            Treatment::Opaque => Err(refused(
                DenyReason::OpaquePayload,
                "the message is encrypted for the provider, so nobody can judge it; send it on /messages",
            )),
            Treatment::Foreign => Err(Unreadable { dialect: self.dialect, ..unrecognized(FOREIGN) }),
            Treatment::SteeringIf(_) if self.may_delete() && !self.tells() => {
                Ok(Head::Steering(self.edge.name))
            }
            Treatment::Members if self.effect == Effect::Write => Err(super::adds_members()),
            Treatment::Safe | Treatment::Sample | Treatment::File => self.passed_write(),
            Treatment::Send(_)
            | Treatment::Members
            | Treatment::Groups
            | Treatment::Steering
            | Treatment::SteeringIf(_)
            | Treatment::Node
            | Treatment::Receipt
            | Treatment::Unknown => self.inspect(),
        }
    }

    /// Whether somebody could take the request for a delete: the method says so, or a header could say it in its place.
    fn may_delete(&self) -> bool {
        self.effect == Effect::Delete || self.names.overrides
    }

    /// Whether the query alone carries what only a send or a batch carries.
    fn tells(&self) -> bool {
        self.seen.has(Name::Batch) || self.seen.has_recipient() || self.seen.has_payload()
    }

    /// A write that is known to be harmless unless it carries what it should not.
    fn passed_write(self) -> Result<Head, Unreadable> {
        let only_batch = self.edge.treatment == Treatment::Sample;
        if self.seen.has(Name::Batch)
            || (!only_batch && (self.seen.has_recipient() || self.seen.has_payload()))
        {
            return Err(unrecognized(TELLING));
        }
        let passage = Passage::of(self.edge.name);
        if !content::may_follow(self.parts) {
            return Ok(Head::Passthrough(passage, self.target));
        }
        let encoded = self.is_encoded();
        match content::of(&self.parts.headers).map_err(unreadable)? {
            Content::Multipart(boundary) if !encoded => {
                Ok(Head::Watched(passage, Watch::multipart(&boundary, only_batch), self.target))
            }
            Content::Form | Content::Other if self.edge.treatment == Treatment::File && !encoded => {
                Ok(Head::Watched(passage, Watch::file(content::is_text(&self.parts.headers)), self.target))
            }
            Content::Json | Content::Form | Content::Multipart(_) | Content::Other => self.inspect(),
        }
    }

    fn is_encoded(&self) -> bool {
        self.names.encoded && content::is_encoded(&self.parts.headers)
    }

    fn inspect(self) -> Result<Head, Unreadable> {
        let content = content::of(&self.parts.headers).map_err(unreadable)?;
        if self.is_encoded() {
            return Err(Unreadable { cause: Cause::Encoded, ..unreadable(ENCODED) });
        }
        Ok(Head::Inspect(Inspect { edge: self.edge, content, effect: self.effect, target: self.target }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_a_server_could_obey_is_told_by_its_first_letter() {
        for known in OVERRIDES {
            assert!(is_override(known) && is_override(&known.replace('-', "_")), "{known}");
        }
        for known in TARGETS {
            assert!(is_odd(known) && is_odd(&known.replace('-', "_")), "{known}");
        }
        for known in FRAMING {
            assert!(!is_odd(known), "{known}");
            assert_eq!(is_odd(&known.replace('-', "_")), known.contains('-'), "{known}");
        }
    }
}
