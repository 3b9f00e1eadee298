//! Graph batch: up to 50 operations in one request, each judged as if it came alone.
//!
//! Source: Meta, Graph API, "Batch requests". A batch may stand in the query, a form, a multipart part or a JSON body, on nearly any path.

use std::borrow::Cow;

use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::request::Parts;
use http::{HeaderName, HeaderValue, Method};
use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::body::{self, Request};
use super::content::Content;
use super::names::{Name, Seen, Spelled};
use super::strict::{self, Entries, Object, Skip, Text, fail};
use super::{Context, Head, Passage, Recognized, Unreadable, form, head, multipart, path, scan, unreadable};
use crate::wire::send::Send;

/// Source: Meta, "Batch requests", limits.
const MAX_OPERATIONS: usize = 50;

const PLACE: &str = "the batch stands twice, or in a form that is not judged; give it once, as a form field or in a JSON body";
const SHAPE: &str = "the batch is not a strict JSON array of at most 50 operations with text in method, relative_url and body";
const REFERENCE: &str = "an operation takes values from another one ({result=...}), so it cannot be judged before it is sent; send it by itself";

/// Reads a batch that is known to be there.
///
/// # Errors
///
/// The first operation that cannot be judged, or what is wrong with the batch itself.
pub(super) fn read<'a>(request: &Request<'a, '_>) -> Result<Recognized<'a>, Unreadable> {
    let text = source(request).map_err(unreadable)?;
    let operations = strict::whole(text.as_bytes(), Operations).map_err(|()| unreadable(SHAPE))?;
    let mut sends = Vec::new();
    let mut steering = None;
    for (at, operation) in operations.iter().enumerate() {
        match judge(operation, request.context).map_err(|unreadable| unreadable.of_operation(at))? {
            Outcome::Send(send) => sends.push(Send { operation: Some(at), ..send }),
            Outcome::Pass => {}
            Outcome::Steering(edge) => steering = Some((at, edge)),
        }
    }
    match steering {
        Some((_, edge)) if sends.is_empty() => Ok(Recognized::Steering(edge)),
        Some((at, _)) => {
            Err(unreadable("a batch of sends also steers the provider; send that by itself").of_operation(at))
        }
        None if sends.is_empty() => Ok(Recognized::Passthrough(Passage::of("batch"))),
        None => Ok(Recognized::Batch(sends)),
    }
}

/// The text of the one `batch` parameter.
fn source<'a>(request: &Request<'a, '_>) -> Result<Cow<'a, str>, &'static str> {
    let mut found = One::default();
    let query = request.parts.uri.query().unwrap_or_default();
    found.pairs(query.as_bytes())?;
    match &request.inspect.content {
        _ if request.body.is_empty() => {}
        // Read as JSON, it could hold another batch.
        Content::Form if scan::shape(request.body)? == scan::Shape::Braces => return Err(PLACE),
        Content::Form => found.pairs(request.body)?,
        Content::Multipart(boundary) => {
            for part in multipart::parts(request.body, boundary) {
                let part = part?;
                let text = || {
                    std::str::from_utf8(part.value)
                        .ok()
                        .filter(|_| part.is_field())
                        .map(Cow::Borrowed)
                        .ok_or(PLACE)
                };
                found.note(part.name, text)?;
            }
        }
        // Beside one in the query as well: a reader of forms could find another one in the texts.
        Content::Json if scan::hidden(request.body, &[]).hidden.has(Name::Batch) => return Err(PLACE),
        Content::Json => {
            let mut raw = None;
            strict::whole(request.body, Object(InJson(&mut raw))).map_err(|()| PLACE)?;
            if let Some(raw) = raw {
                found.note("batch", || text_of(raw))?;
            }
        }
        Content::Other => return Err(PLACE),
    }
    found.0.ok_or(PLACE)
}

/// A batch in JSON is an array, or a string that holds one.
fn text_of(raw: &str) -> Result<Cow<'_, str>, &'static str> {
    if raw.starts_with('"') {
        strict::whole(raw.as_bytes(), Text).map_err(|()| SHAPE)
    } else {
        Ok(Cow::Borrowed(raw))
    }
}

#[derive(Default)]
struct One<'a>(Option<Cow<'a, str>>);

impl<'a> One<'a> {
    fn pairs(&mut self, text: &'a [u8]) -> Result<(), &'static str> {
        if memchr::memchr(b';', text).is_some() {
            return Err(form::ODD);
        }
        form::Pairs::of(text)
            .try_for_each(|pair| pair.and_then(|(name, value)| self.note(&name, || Ok(value))))
    }

    fn note(
        &mut self,
        name: &str,
        value: impl FnOnce() -> Result<Cow<'a, str>, &'static str>,
    ) -> Result<(), &'static str> {
        match Spelled::of(name) {
            Spelled::Exactly(Name::Batch) if self.0.is_none() => {
                self.0 = Some(value()?);
                Ok(())
            }
            Spelled::Exactly(Name::Batch) | Spelled::Nearly(Name::Batch) => Err(PLACE),
            Spelled::Exactly(_) | Spelled::Nearly(_) | Spelled::Strangely | Spelled::Otherwise => Ok(()),
        }
    }
}

/// Finds `batch` at the top of a JSON body.
struct InJson<'f, 'de>(&'f mut Option<&'de str>);

impl<'de> Entries<'de> for InJson<'_, 'de> {
    fn entry<A: MapAccess<'de>>(&mut self, name: Cow<'de, str>, map: &mut A) -> Result<(), A::Error> {
        match Spelled::of(&name) {
            Spelled::Exactly(Name::Batch) => {
                let raw: &'de RawValue = map.next_value()?;
                if self.0.replace(raw.get()).is_some() { Err(fail(&mut None, PLACE)) } else { Ok(()) }
            }
            Spelled::Nearly(Name::Batch) => Err(fail(&mut None, PLACE)),
            Spelled::Exactly(_) | Spelled::Nearly(_) | Spelled::Strangely | Spelled::Otherwise => {
                map.next_value_seed(Skip).map(|_| ())
            }
        }
    }
}

/// One operation as it is written.
#[derive(Default)]
struct Operation {
    method: Option<String>,
    relative_url: Option<String>,
    body: Option<String>,
    headers: Vec<(String, String)>,
    has_headers: bool,
}

/// The array of operations.
struct Operations;

impl<'de> DeserializeSeed<'de> for Operations {
    type Value = Vec<Operation>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Operations {
    type Value = Vec<Operation>;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut operations = Vec::new();
        loop {
            let mut operation = Operation::default();
            if seq.next_element_seed(Object(InOperation(&mut operation)))?.is_none() {
                return Ok(operations);
            }
            if operations.len() == MAX_OPERATIONS {
                return Err(fail(&mut None, SHAPE));
            }
            operations.push(operation);
        }
    }
}

struct InOperation<'f>(&'f mut Operation);

impl<'de> Entries<'de> for InOperation<'_> {
    fn entry<A: MapAccess<'de>>(&mut self, name: Cow<'de, str>, map: &mut A) -> Result<(), A::Error> {
        const JUDGED: [&str; 11] = [
            "method",
            "relative_url",
            "body",
            "headers",
            "url",
            "uri",
            "post_body",
            "params",
            "data",
            "query",
            "http_method",
        ];
        let place = match strict::judged(&name, &JUDGED) {
            Ok("method") => &mut self.0.method,
            Ok("relative_url") => &mut self.0.relative_url,
            Ok("body") => &mut self.0.body,
            Ok("headers") if !self.0.has_headers => {
                self.0.has_headers = true;
                return map.next_value_seed(Headers(&mut self.0.headers));
            }
            // Beside the documented names, others that say the same would go unread.
            Ok("headers" | "url" | "uri" | "post_body" | "params" | "data" | "query" | "http_method") => {
                return Err(fail(&mut None, SHAPE));
            }
            // A batch or a recipient beside the operation's own fields is none that Meta documents.
            Ok(other) if !matches!(Spelled::of(other), Spelled::Otherwise) => {
                return Err(fail(&mut None, SHAPE));
            }
            Ok(_) => return map.next_value_seed(Skip).map(|_| ()),
            Err(why) => return Err(fail(&mut None, why)),
        };
        let text = map.next_value_seed(Text)?.into_owned();
        if place.replace(text).is_some() { Err(fail(&mut None, SHAPE)) } else { Ok(()) }
    }
}

/// Headers of an operation: an array of `Name: value`, or an object.
struct Headers<'f>(&'f mut Vec<(String, String)>);

impl<'de> DeserializeSeed<'de> for Headers<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Headers<'_> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("headers")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        while let Some(line) = seq.next_element_seed(Text)? {
            let (name, value) = line.split_once(':').ok_or_else(|| fail(&mut None, SHAPE))?;
            self.0.push((name.trim().to_owned(), value.trim().to_owned()));
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(name) = map.next_key_seed(Text)? {
            let value = map.next_value_seed(Text)?;
            self.0.push((name.into_owned(), value.into_owned()));
        }
        Ok(())
    }
}

/// What an operation turned out to be.
enum Outcome {
    Send(Send<'static>),
    Pass,
    Steering(&'static str),
}

/// Judges one operation as a request of its own.
fn judge(operation: &Operation, context: Context<'_>) -> Result<Outcome, Unreadable> {
    let parts = parts(operation).map_err(unreadable)?;
    let under =
        path::canonical(parts.uri.path()).is_ok_and(|plain| path::under(&plain, context.base_path).is_some());
    let context = if under { context } else { Context { base_path: "", ..context } };
    match head::read(&parts, context)? {
        Head::Passthrough(passage, _) if refers(operation) && !refers_tamely(&parts, passage.edge()) => {
            Err(unreadable(REFERENCE))
        }
        Head::Passthrough(..) => Ok(Outcome::Pass),
        Head::Steering(edge) => Ok(Outcome::Steering(edge)),
        Head::Unreadable(unreadable) => Err(unreadable),
        Head::Watched(..) => {
            Err(unreadable("an operation holds a multipart body; send uploads by themselves"))
        }
        Head::Inspect(inspect) => {
            let body = operation.body.as_deref().unwrap_or_default();
            if refers(operation) && (inspect.edge.is_judged() || !refers_in_values(&parts, body)) {
                return Err(unreadable(REFERENCE));
            }
            let body = body.as_bytes();
            is_form(&inspect.content, body).map_err(unreadable)?;
            let request = Request { inspect: &inspect, parts: &parts, body, context, nested: true };
            outcome(body::read(&request)?)
        }
    }
}

/// The body of an operation is documented as a form, so another reading of it counts only where the form says nothing.
fn is_form(content: &Content, body: &[u8]) -> Result<(), &'static str> {
    const WHY: &str = "an operation's body could be read as a form and as what its headers declare; encode it as a form, which is what Meta documents";
    match content {
        _ if body.is_empty() => Ok(()),
        Content::Form => Ok(()),
        Content::Json if form::scan(body, form::SEPARATORS, |_, _| {}) == Seen::default() => Ok(()),
        Content::Json | Content::Multipart(_) | Content::Other => Err(WHY),
    }
}

/// Whether a reference in a read can fill in nothing but the value of a parameter, on an edge where that says nothing.
fn refers_tamely(parts: &Parts, edge: &str) -> bool {
    !super::edges::is_judged(edge) && refers_in_values(parts, "")
}

/// Whether what is filled in can be nothing but the value of a parameter, in the query and in a body that is a form.
fn refers_in_values(parts: &Parts, body: &str) -> bool {
    let query = parts.uri.query().unwrap_or_default();
    let in_value = |pair: &str| pair.split_once('=').is_some_and(|(name, _)| !name.contains(['{', '%']));
    let mut pairs = query.split('&').chain(body.split('&')).filter(|pair| pair.contains(['{', '%']));
    !parts.uri.path().contains(['{', '%']) && pairs.all(in_value)
}

fn outcome(recognized: Recognized<'_>) -> Result<Outcome, Unreadable> {
    match recognized {
        Recognized::One(send) => Ok(Outcome::Send(send.into_owned())),
        Recognized::Passthrough(_) => Ok(Outcome::Pass),
        Recognized::Steering(edge) => Ok(Outcome::Steering(edge)),
        Recognized::Batch(_) => Err(unreadable("a batch stands inside a batch")),
        Recognized::Unreadable(unreadable) => Err(unreadable),
    }
}

/// Whether a value could come from another operation, however it is escaped.
fn refers(operation: &Operation) -> bool {
    [&operation.relative_url, &operation.body].into_iter().flatten().any(|text| {
        let mut text = Cow::Borrowed(text.as_str());
        // Once for the form, once for a value that is escaped within it.
        for _ in 0..2 {
            if text.contains("{result") {
                return true;
            }
            text = form::decode(text.as_bytes())
                .map_or_else(|| text.clone(), |decoded| Cow::Owned(decoded.into_owned()));
        }
        text.contains("{result")
    })
}

/// The head that the operation would have as a request.
fn parts(operation: &Operation) -> Result<Parts, &'static str> {
    const URL: &str =
        "an operation's relative_url is missing or odd; write it as a path, without host or fragment";
    let url = operation
        .relative_url
        .as_deref()
        .filter(|url| !url.contains(['#', '\\']) && !url.contains("://"))
        .ok_or(URL)?;
    let url = if url.starts_with('/') { Cow::Borrowed(url) } else { Cow::Owned(format!("/{url}")) };
    let method = operation.method.as_deref().unwrap_or("GET").to_ascii_uppercase();
    let method =
        Method::from_bytes(method.as_bytes()).map_err(|_| "an operation's method is none of HTTP")?;
    // A space in a query reads as itself.
    let url = match url.split_once('?') {
        Some((path, query)) if query.contains(' ') => {
            Cow::Owned(format!("{path}?{}", query.replace(' ', "+")))
        }
        Some(_) | None => url,
    };
    let uri = http::Uri::builder().path_and_query(url.as_ref()).build().map_err(|_| URL)?;
    let request = http::Request::builder().method(method).uri(uri).body(()).map_err(|_| URL)?;
    let mut parts = request.into_parts().0;
    for (name, value) in &operation.headers {
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| SHAPE)?;
        let value = HeaderValue::from_str(value).map_err(|_| SHAPE)?;
        if name != CONTENT_LENGTH && name != http::header::TRANSFER_ENCODING {
            parts.headers.append(name, value);
        }
    }
    if operation.body.as_deref().is_some_and(|body| !body.is_empty()) {
        parts.headers.insert(CONTENT_LENGTH, HeaderValue::from_static("1"));
        let form = HeaderValue::from_static("application/x-www-form-urlencoded");
        parts.headers.entry(CONTENT_TYPE).or_insert(form);
    }
    Ok(parts)
}
