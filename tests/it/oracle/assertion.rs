//! The property: whatever the oracle finds was judged, or nothing was forwarded.

use http::request::Parts;
use http::{HeaderName, HeaderValue, Version};

use optgate::wire::recognize::{self, Context, Head, Recognized, Target};
use optgate::wire::send::Label;
use optgate::wire::{Send, Surface};

use super::lenient::{Content, Finding, Found, Request, find};

/// The one id that sends on WhatsApp; on any other, Messenger's sends pass.
pub(crate) const SENDER: &str = "106540352242922";

/// How a request arrives.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arrival {
    /// Over HTTP/2, where a body may follow that no head declares.
    pub(crate) http2: bool,
    /// In pieces of so many bytes.
    pub(crate) piece: usize,
}

/// What the recognizer makes of a request.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// It cannot even be parsed as HTTP.
    NotHttp,
    /// Nothing is forwarded.
    Refused,
    /// It is forwarded unjudged, with this target.
    Passed(String),
    /// It is forwarded if all of these are permitted, with this target.
    Judged(Vec<Send<'static>>, String),
}

/// What is wrong with how a request is recognized; `None` if nothing is.
pub(crate) fn violation(request: &Request, arrival: Arrival) -> Option<String> {
    let (sends, target) = match recognize(request, arrival) {
        Verdict::NotHttp | Verdict::Refused => return None,
        Verdict::Passed(target) => (Vec::new(), target),
        Verdict::Judged(sends, target) => (sends, target),
    };
    // What counts is what travels.
    let travelling = Request { target, ..request.clone() };
    let missed = find(&travelling, SENDER).into_iter().find(|finding| match finding {
        Finding::Send(found) => !sends.iter().any(|send| covers(send, found)),
        Finding::Opaque(_) => true,
    })?;
    Some(format!("{missed:?} is not covered by {:?}", sends.iter().map(shown).collect::<Vec<_>>()))
}

/// Runs the recognizer as the gate does.
pub(crate) fn recognize(request: &Request, arrival: Arrival) -> Verdict {
    let Some(parts) = parts(request, arrival.http2) else { return Verdict::NotHttp };
    let own = parts.uri.path_and_query().map_or("/", |target| target.as_str()).to_owned();
    let travels = |target: Option<&Target>| target.map_or(own.clone(), |target| target.as_str().to_owned());
    let context = Context { is_sender: &|id| id == SENDER, base_path: "" };
    match recognize::head(&parts, context) {
        Head::Passthrough(_, target) => Verdict::Passed(travels(target.as_ref())),
        Head::Watched(_, mut watch, target) => {
            let mut pieces = request.body.chunks(arrival.piece.max(1));
            match pieces.try_for_each(|piece| watch.feed(piece)).and_then(|()| watch.finish()) {
                Ok(()) => Verdict::Passed(travels(target.as_ref())),
                Err(_) => Verdict::Refused,
            }
        }
        Head::Steering(_) | Head::Unreadable(_) => Verdict::Refused,
        Head::Inspect(inspect) => match recognize::body(&inspect, &parts, &request.body, context) {
            Recognized::One(send) => Verdict::Judged(vec![send.into_owned()], travels(inspect.target())),
            Recognized::Batch(sends) => {
                let sends = sends.into_iter().map(Send::into_owned).collect();
                Verdict::Judged(sends, travels(inspect.target()))
            }
            Recognized::Passthrough(_) => Verdict::Passed(travels(inspect.target())),
            Recognized::Steering(_) | Recognized::Unreadable(_) => Verdict::Refused,
        },
    }
}

fn parts(request: &Request, http2: bool) -> Option<Parts> {
    let built = http::Request::builder()
        .method(request.method.as_str())
        .uri(request.target.as_str())
        .body(())
        .ok()?;
    let mut parts = built.into_parts().0;
    for (name, value) in &request.headers {
        let name = HeaderName::from_bytes(name.as_bytes()).ok()?;
        let framing = [http::header::CONTENT_LENGTH, http::header::TRANSFER_ENCODING].contains(&name);
        if !framing {
            parts.headers.append(name, HeaderValue::from_bytes(value.as_bytes()).ok()?);
        }
    }
    if http2 {
        parts.version = Version::HTTP_2;
    } else if !request.body.is_empty() {
        parts.headers.insert(http::header::CONTENT_LENGTH, HeaderValue::from(request.body.len()));
    }
    Some(parts)
}

/// Whether judging `send` judges what was found.
fn covers(send: &Send<'_>, found: &Found) -> bool {
    let recipient = [&send.to, &send.recipient].into_iter().flatten().any(|named| **named == found.recipient);
    let place = send.operation == found.operation && *send.sender == *found.id;
    let content = found.content.iter().all(|content| covers_content(send, content));
    recipient && place && (send.group || !found.group) && content
}

fn covers_content(send: &Send<'_>, content: &Content) -> bool {
    let payload = &send.payload;
    let marketing = send.surface == Surface::MarketingMessages;
    match content {
        Content::Template(name, language) => {
            let named =
                payload.template.as_ref().is_some_and(|t| *t.name == **name && *t.language == **language);
            named || payload.unnamed_template || marketing
        }
        Content::SomeTemplate => payload.unnamed_template || marketing,
        Content::FreeForm => payload.free_form,
        Content::Call => payload.call,
        Content::Marketing => marketing,
        Content::Label(label) => match payload.label {
            Some(Label::Utility) => label == "utility",
            Some(Label::Authentication) => label == "authentication",
            None => false,
        },
    }
}

fn shown(send: &Send<'_>) -> String {
    let payload = &send.payload;
    format!(
        "{:?} of {} to {:?} {:?} at {:?}: {:?}{}{}{}",
        send.surface,
        send.sender,
        send.to,
        send.recipient,
        send.operation,
        payload.template.as_ref().map(|t| (&t.name, &t.language)),
        if payload.unnamed_template { " unnamed" } else { "" },
        if payload.free_form { " free" } else { "" },
        if payload.call { " call" } else { "" },
    )
}
