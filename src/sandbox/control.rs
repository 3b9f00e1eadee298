//! The control endpoints under `/_sandbox`, for tests and curious people.

use http::request::Parts;
use http::{Method, StatusCode};

use super::faults::{self, Fault};
use super::json::{Object, list, success};
use super::route::World;
use super::webhook;

const GUIDE: &str = "\
A local stand-in for Meta's WhatsApp Cloud API. Nothing sent here reaches anybody.

Use this address instead of https://graph.facebook.com, with any access token that is not empty.

Errors on demand: a recipient whose digits end in 99 and a six-digit error code gets that error.
  +1 20 99 131 026 -> 131026      +1 20 99 130 429 -> 130429      +1 20 99 000 190 -> 190

GET    /_sandbox/requests[?since=N]  what arrived, as a JSON array; only entries after number N
DELETE /_sandbox/requests            forgets it
GET    /_sandbox/count               {\"requests\":n,\"sends\":n}
GET    /_sandbox/media/{id}          downloads a file (with the access token, as on Meta's host)
POST   /_sandbox/faults              for tests: {\"action\":A,\"status\":S,\"code\":C,\"delay_ms\":D,\"times\":K,\"edge\":E}
                                     A = answer, status, error, close, half_head, half_body or reset
                                     C = the code of an error, E = messages, message_templates, ...; all if left out
POST   /_sandbox/limits              {\"calls_per_hour\":200,\"regain_minutes\":1}: what each account may ask of its
                                     management edges, counted anew; X-Business-Use-Case-Usage tells how much is used
POST   /_sandbox/templates           {\"name\":N,\"language\":L,\"category\":C,\"correct_category\":C,\"status\":S}: changes
                                     or adds a template of every account
DELETE /_sandbox/templates?name=N    takes one away, in every language
DELETE /_sandbox/faults              answers as usual again

A downloaded file is what was uploaded while it fits into memory (64 MiB together), else as many bytes made up from its id.
";

/// An answer of a control endpoint.
pub(super) struct Control {
    pub(super) status: StatusCode,
    pub(super) content_type: &'static str,
    pub(super) body: String,
}

/// Whether a path is a control endpoint. Downloads are not: they stand for Meta's own host.
pub(super) fn owns(path: &str) -> bool {
    let rest = path.strip_prefix("/_sandbox");
    rest.is_some_and(|rest| rest.is_empty() || (rest.starts_with('/') && !rest.starts_with("/media/")))
}

/// Answers a control endpoint.
pub(super) fn answer(head: &Parts, body: &[u8], world: &World) -> Control {
    let path = head.uri.path().trim_end_matches('/');
    match (&head.method, path) {
        (&Method::GET, "/_sandbox") => Control {
            status: StatusCode::OK,
            content_type: "text/plain; charset=utf-8",
            body: format!("{GUIDE}\n{}", webhook::control::GUIDE),
        },
        (&Method::GET, "/_sandbox/requests") => {
            let entries = world.journal.since(since(head.uri.query().unwrap_or_default()));
            json(list(entries.iter().map(|entry| entry.json())))
        }
        (&Method::DELETE, "/_sandbox/requests") => {
            world.journal.clear();
            json(success())
        }
        (&Method::GET, "/_sandbox/count") => {
            let (requests, sends) = world.journal.counts();
            json(Object::new().raw("requests", requests).raw("sends", sends).finish())
        }
        (&Method::POST, "/_sandbox/faults") => match Fault::read(body) {
            Ok(fault) => {
                match faults::edge(body) {
                    Some(edge) => world.faults.set_on(&edge, fault),
                    None => world.faults.set(fault),
                }
                json(success())
            }
            Err(reason) => problem(StatusCode::BAD_REQUEST, reason),
        },
        (&Method::DELETE, "/_sandbox/faults") => {
            world.faults.clear();
            json(success())
        }
        (&Method::POST, "/_sandbox/limits") => done(world.usage.limit(body)),
        (&Method::POST, "/_sandbox/templates") => {
            let news = world.templates.put(body, &world.ids);
            done(news.map(|news| world.webhooks.tell_of_template(&news)))
        }
        (&Method::DELETE, "/_sandbox/templates") => {
            world.templates.remove(head.uri.query().unwrap_or_default().trim_start_matches("name="));
            json(success())
        }
        _ => problem(StatusCode::NOT_FOUND, "see GET /_sandbox"),
    }
}

fn done(result: Result<(), &'static str>) -> Control {
    match result {
        Ok(()) => json(success()),
        Err(reason) => problem(StatusCode::BAD_REQUEST, reason),
    }
}

fn since(query: &str) -> u64 {
    let value = query.split('&').find_map(|pair| pair.strip_prefix("since="));
    value.and_then(|value| value.parse().ok()).unwrap_or_default()
}

/// A good answer.
pub(super) fn json(body: String) -> Control {
    Control { status: StatusCode::OK, content_type: "application/json", body }
}

/// One that says what is wrong.
pub(super) fn problem(status: StatusCode, reason: &str) -> Control {
    let body = Object::new().text("error", reason).finish();
    Control { status, content_type: "application/json", body }
}
