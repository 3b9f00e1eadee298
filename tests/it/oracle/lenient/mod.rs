//! The oracle: every send that any plausible reader could find in a request.
//!
//! It stands in for what cannot be known, the provider's own parser, by believing everything: first values and last ones, merged places, brackets, other letter
//! cases, wrong content types, other encodings, loose JSON, batches within batches. It owns its reading from the first byte on and shares no code with the
//! recognizer, so that a fault in one is not repeated in the other. It says too much rather than too little; how the gate decides is unknown to it.

pub(crate) mod bytes;
pub(crate) mod json;
mod parameters;
mod place;

use std::collections::BTreeSet;

use self::bytes::{folded, is_compressed};
use self::json::Value;
use self::parameters::{Parameter, filed};
use self::place::{CONTACTING, Place};

/// A request as it travels: the target as written, no framing.
#[derive(Clone, Debug, Default)]
pub(crate) struct Request {
    /// The method.
    pub(crate) method: String,
    /// Path and query.
    pub(crate) target: String,
    /// Names and values.
    pub(crate) headers: Vec<(String, String)>,
    /// The body.
    pub(crate) body: Vec<u8>,
}

impl Request {
    /// Every value of a header.
    pub(crate) fn all(&self, name: &str) -> Vec<&str> {
        let named = self.headers.iter().filter(|(other, _)| other.eq_ignore_ascii_case(name));
        named.map(|(_, value)| value.as_str()).collect()
    }
}

/// What could be found in a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Finding {
    /// A message or call to somebody.
    Send(Found),
    /// Something that could be one, to anybody.
    Opaque(&'static str),
}

/// One send as one reader could see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    /// Which operation of a batch, counted from 0.
    pub(crate) operation: Option<usize>,
    /// The id in the path.
    pub(crate) id: String,
    /// To whom, as written.
    pub(crate) recipient: String,
    /// Whether somebody could take the recipient for a group.
    pub(crate) group: bool,
    /// What it could carry.
    pub(crate) content: BTreeSet<Content>,
}

/// What a send could carry.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Content {
    /// This template.
    Template(String, String),
    /// A template, and nobody knows which.
    SomeTemplate,
    /// Text, media, anything.
    FreeForm,
    /// A call, or the request for the permission to.
    Call,
    /// Marketing by its edge.
    Marketing,
    /// A label of Direct Send.
    Label(String),
}

/// Finds every send, where `sender` is an id that is known to send on WhatsApp.
pub(crate) fn find(request: &Request, sender: &str) -> Vec<Finding> {
    let mut oracle = Oracle { sender, operation: None, found: Vec::new() };
    oracle.read(request, 0);
    oracle.found
}

/// No batch within a batch within a batch is worth reading.
const DEEPEST: usize = 2;

struct Oracle<'a> {
    sender: &'a str,
    operation: Option<usize>,
    found: Vec<Finding>,
}

impl Oracle<'_> {
    fn read(&mut self, request: &Request, depth: usize) {
        let parameters = parameters::of(request);
        let writes = writes(request, &parameters);
        if is_encoded(request) {
            self.found.push(Finding::Opaque("compressed"));
        }
        for place in place::of(&request.target) {
            match place.edge.as_str() {
                "messages_encrypted" if writes => self.found.push(Finding::Opaque("encrypted")),
                "async_batch_requests" if writes => self.found.push(Finding::Opaque("asynchronous batch")),
                "participants" if writes => self.found.push(Finding::Opaque("participants")),
                "node" if writes => self.sends(&place, &parameters),
                edge if CONTACTING.contains(&edge) => self.sends(&place, &parameters),
                _ => {}
            }
        }
        if depth < DEEPEST {
            self.batches(&parameters, depth);
        }
    }

    fn sends(&mut self, place: &Place, parameters: &[Parameter]) {
        let content = content(place, parameters);
        let group = said(parameters, "recipient_type").iter().any(|kind| kind == "group");
        for recipient in self.recipients(place, parameters) {
            let found = Found {
                operation: self.operation,
                id: place.id.clone(),
                recipient,
                group,
                content: content.clone(),
            };
            let finding = Finding::Send(found);
            if !self.found.contains(&finding) {
                self.found.push(finding);
            }
        }
    }

    /// Everybody under `to` and `recipient`. An object is a person of Messenger or Instagram, unless the request is WhatsApp's.
    fn recipients(&self, place: &Place, parameters: &[Parameter]) -> Vec<String> {
        let whatsapp =
            place.id == self.sender || said(parameters, "messaging_product").iter().any(|p| p == "whatsapp");
        let mut all = Vec::new();
        for (name, value) in parameters {
            let is_object = match value {
                Value::Object(_) => true,
                Value::Text(text) => text.trim_start().starts_with('{'),
                Value::Bare(_) | Value::List(_) => false,
            };
            match name.as_str() {
                "to" => all.extend(value.leaves()),
                "recipient" if !is_object || whatsapp => all.extend(value.leaves()),
                _ => {}
            }
        }
        all.retain(|recipient| !recipient.is_empty() && recipient != "null");
        all
    }

    fn batches(&mut self, parameters: &[Parameter], depth: usize) {
        for (_, batch) in parameters.iter().filter(|(name, _)| name.ends_with("batch")) {
            for list in batch.unwrapped() {
                let operations = match &list {
                    Value::List(values) => values.clone(),
                    Value::Object(entries) => {
                        entries.iter().map(|(_, value)| value.clone()).chain([list.clone()]).collect()
                    }
                    Value::Text(_) | Value::Bare(_) => Vec::new(),
                };
                for (at, operation) in operations.iter().enumerate() {
                    self.operation(operation, at, depth);
                }
            }
        }
    }

    fn operation(&mut self, operation: &Value, at: usize, depth: usize) {
        let outer = self.operation;
        self.operation = outer.or(Some(at));
        for operation in operation.unwrapped() {
            for request in operations(operation.entries()) {
                self.read(&request, depth + 1);
            }
        }
        self.operation = outer;
    }
}

/// Every request that an operation could stand for.
fn operations(entries: &[(String, Value)]) -> Vec<Request> {
    let named = |wanted: &'static str| {
        entries.iter().filter(move |(name, _)| filed(name) == wanted).map(|(_, value)| value)
    };
    let texts = |wanted: &'static str, none: &str| {
        let mut all: Vec<String> = named(wanted).flat_map(Value::leaves).take(3).collect();
        if all.is_empty() {
            all.push(none.to_owned());
        }
        all
    };
    let headers: Vec<(String, String)> = named("headers").flat_map(headers).collect();
    let mut bodies: Vec<Vec<u8>> = named("body").take(3).map(|value| written(value).into_bytes()).collect();
    if bodies.is_empty() {
        bodies.push(Vec::new());
    }
    let mut all = Vec::new();
    for method in texts("method", "GET") {
        for url in texts("relative_url", "") {
            for body in &bodies {
                let target = format!("/{}", without_host(&url).trim_start_matches('/'));
                let headers = headers.clone();
                all.push(Request {
                    method: method.to_ascii_uppercase(),
                    target,
                    headers,
                    body: body.clone(),
                });
            }
        }
    }
    all
}

fn without_host(url: &str) -> &str {
    match url.split_once("://") {
        Some((scheme, rest)) if !scheme.contains(['/', '?']) => rest.find('/').map_or("", |at| &rest[at..]),
        _ => url,
    }
}

fn headers(value: &Value) -> Vec<(String, String)> {
    let line = |line: &str| line.split_once(':').map(|(n, v)| (n.trim().to_lowercase(), v.trim().to_owned()));
    match value {
        Value::List(values) => values
            .iter()
            .flat_map(|value| match value {
                Value::Object(_) => {
                    let leaves = value.leaves();
                    leaves.chunks_exact(2).map(|pair| (pair[0].to_lowercase(), pair[1].clone())).collect()
                }
                Value::Text(_) | Value::Bare(_) | Value::List(_) => {
                    value.leaves().iter().filter_map(|text| line(text)).collect::<Vec<_>>()
                }
            })
            .collect(),
        Value::Object(entries) => {
            entries.iter().flat_map(|(n, v)| v.leaves().into_iter().map(|v| (n.to_lowercase(), v))).collect()
        }
        Value::Text(text) | Value::Bare(text) => text.lines().filter_map(line).collect(),
    }
}

/// A value as the body that a client would have made of it.
fn written(value: &Value) -> String {
    let quoted = |text: &str| format!("{:?}", text.replace('\0', ""));
    match value {
        Value::Text(text) | Value::Bare(text) => text.clone(),
        Value::List(_) | Value::Object(_) => nested(value, &quoted),
    }
}

fn nested(value: &Value, quoted: &dyn Fn(&str) -> String) -> String {
    match value {
        Value::Text(text) => quoted(text),
        Value::Bare(text) => text.clone(),
        Value::List(values) => {
            format!("[{}]", values.iter().map(|v| nested(v, quoted)).collect::<Vec<_>>().join(","))
        }
        Value::Object(entries) => {
            let entry = |(name, v): &(String, Value)| format!("{}:{}", quoted(name), nested(v, quoted));
            format!("{{{}}}", entries.iter().map(entry).collect::<Vec<_>>().join(","))
        }
    }
}

const READS: [&str; 4] = ["get", "head", "options", "delete"];

/// Whether the method is one that writes, or a parameter or header could make it one.
fn writes(request: &Request, parameters: &[Parameter]) -> bool {
    let is_write = |method: &str| !READS.contains(&folded(method).trim());
    let by_header = ["x-http-method-override", "x-http-method", "x-method-override"]
        .iter()
        .flat_map(|name| request.all(name))
        .any(is_write);
    let by_parameter =
        said(parameters, "method").iter().chain(&said(parameters, "_method")).any(|method| is_write(method));
    is_write(&request.method) || by_header || by_parameter
}

fn is_encoded(request: &Request) -> bool {
    let codings = request.all("content-encoding").join(",").to_ascii_lowercase();
    let coded = codings.split(',').any(|coding| !["", "identity"].contains(&coding.trim()));
    !request.body.is_empty() && (coded || is_compressed(&request.body))
}

/// Every text under a name, folded.
fn said(parameters: &[Parameter], wanted: &str) -> Vec<String> {
    let named = parameters.iter().filter(|(name, _)| name == wanted);
    named.flat_map(|(_, value)| value.leaves()).map(|text| folded(&text).trim().to_owned()).collect()
}

const FREE_FORM: [&str; 10] =
    ["text", "image", "video", "audio", "document", "sticker", "location", "contacts", "reaction", "pin"];

/// Everything that the parameters could make the provider send.
fn content(place: &Place, parameters: &[Parameter]) -> BTreeSet<Content> {
    let mut all = BTreeSet::new();
    match place.edge.as_str() {
        "calls" => all.extend([Content::Call]),
        "marketing_messages" => all.extend([Content::Marketing]),
        _ => {}
    }
    for (name, value) in parameters {
        match name.as_str() {
            "template" => {
                all.extend(value.unwrapped().iter().skip(usize::from(is_json(value))).flat_map(templates));
            }
            "hsm" => all.extend([Content::SomeTemplate]),
            "interactive" => all.extend([interactive(value)]),
            "category" => all.extend(value.leaves().iter().map(|label| Content::Label(folded(label)))),
            free if FREE_FORM.contains(&free) => all.extend([Content::FreeForm]),
            _ => {}
        }
    }
    for kind in said(parameters, "type") {
        let shown = |name: &str| parameters.iter().any(|(other, _)| other == name);
        match kind.as_str() {
            "template" | "hsm" if shown("template") || shown("hsm") => {}
            "template" | "hsm" => all.extend([Content::SomeTemplate]),
            "interactive" if shown("interactive") => {}
            _ => all.extend([Content::FreeForm]),
        }
    }
    if all.iter().all(|content| matches!(content, Content::Label(_))) {
        all.insert(Content::FreeForm);
    }
    all
}

/// Whether text holds JSON, so that what counts is inside.
fn is_json(value: &Value) -> bool {
    value.unwrapped().len() > 1
}

/// Every template that an object could name.
fn templates(value: &Value) -> Vec<Content> {
    let under = |entries: &[(String, Value)], wanted: &str| -> Vec<Value> {
        entries.iter().filter(|(name, _)| filed(name) == wanted).map(|(_, value)| value.clone()).collect()
    };
    let entries = value.entries();
    let names: Vec<String> = under(entries, "name").iter().flat_map(Value::leaves).collect();
    let mut languages = Vec::new();
    let mut uncertain = !under(entries, "id").is_empty() || !under(entries, "element_name").is_empty();
    for language in under(entries, "language").iter().flat_map(Value::unwrapped) {
        languages.extend(under(language.entries(), "code").iter().flat_map(Value::leaves));
        let policies = under(language.entries(), "policy");
        uncertain |= policies.iter().flat_map(Value::leaves).any(|policy| policy != "deterministic");
    }
    let mut all: Vec<Content> = names
        .iter()
        .flat_map(|name| languages.iter().map(|language| Content::Template(name.clone(), language.clone())))
        .collect();
    if all.is_empty() || uncertain {
        all.push(Content::SomeTemplate);
    }
    all
}

fn interactive(value: &Value) -> Content {
    let is_request = |value: &Value| {
        let kinds = value.entries().iter().filter(|(name, _)| filed(name) == "type");
        kinds
            .flat_map(|(_, kind)| kind.leaves())
            .any(|kind| folded(&kind).trim() == "call_permission_request")
    };
    if value.unwrapped().iter().any(is_request) { Content::Call } else { Content::FreeForm }
}
