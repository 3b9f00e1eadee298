//! Who makes a request, which tenants they may touch, whom the request concerns, and the lines that it leaves in the access log.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use serde::Serialize;

use super::Control;
use super::auth::{Scope, Scopes, Token};
use super::problem::{Fault, Problem};
use crate::consent::tenant::{ONLY_TENANT, Tenants};
use crate::consent::{Recipient, Timestamp};

/// How many people one line names: with so many it still fits what a pipe takes at once.
const PEOPLE_A_LINE: usize = 100;

/// The bearer of an accepted token, during one request. Clones are the same request.
#[derive(Clone)]
pub(super) struct Caller(Arc<Visit>);

/// One request of one token.
struct Visit {
    control: Arc<Control>,
    tenants: Option<Vec<usize>>,
    scopes: Scopes,
    mark: Mark,
    touched: Mutex<Vec<Touched>>,
    /// What became of the one event of the request, if it was one alone.
    settled: OnceLock<EventCounts>,
    recorded: AtomicBool,
}

/// What every line of a request has in common.
pub(super) struct Mark {
    /// The request's id.
    pub(super) request: String,
    /// What the operator calls the token.
    pub(super) token: String,
    /// The operation's name.
    pub(super) action: &'static str,
    /// The caller's address.
    pub(super) peer: Option<SocketAddr>,
}

/// Whom a request concerns: a tenant as a whole, or one person by their keyed hash.
pub(super) type Touched = (Option<usize>, Option<String>);

/// What became of a request, as far as one line tells it.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct Upshot {
    pub(super) outcome: &'static str,
    pub(super) status: Option<u16>,
    #[serde(flatten)]
    pub(super) events: Option<EventCounts>,
}

/// What became of events.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct EventCounts {
    pub(super) applied: u64,
    pub(super) ignored: u64,
    pub(super) rejected: u64,
}

impl Upshot {
    /// Events that the store did not answer for.
    pub(super) const FAILED: Self = Self { outcome: "failed", status: None, events: None };

    /// What became of events from one count to another.
    pub(super) fn of_events(before: EventCounts, after: EventCounts) -> Self {
        let events = EventCounts {
            applied: after.applied.saturating_sub(before.applied),
            ignored: after.ignored.saturating_sub(before.ignored),
            rejected: after.rejected.saturating_sub(before.rejected),
        };
        Self { outcome: "done", status: None, events: Some(events) }
    }
}

/// One line of the access log.
#[derive(Serialize)]
struct Line<'a> {
    time: Timestamp,
    request: &'a str,
    token: &'a str,
    action: &'a str,
    tenant: Option<&'a str>,
    recipient_hash: Hashes<'a>,
    #[serde(flatten)]
    upshot: Upshot,
    peer: Option<String>,
}

/// Nobody, somebody or several.
#[derive(Serialize)]
#[serde(untagged)]
enum Hashes<'a> {
    Nobody,
    One(&'a str),
    Several(&'a [String]),
}

impl Caller {
    /// The bearer of a token, with a request.
    pub(super) fn new(control: &Arc<Control>, mark: Mark, token: &Token) -> Self {
        let (touched, settled, recorded) = (Mutex::default(), OnceLock::new(), AtomicBool::new(false));
        let (tenants, scopes) = (token.tenants.clone(), token.scopes);
        Self(Arc::new(Visit {
            control: Arc::clone(control),
            tenants,
            scopes,
            mark,
            touched,
            settled,
            recorded,
        }))
    }

    /// Whether the token may be used for something beside what the operation asked for.
    pub(super) fn holds(&self, scope: Scope) -> bool {
        self.0.scopes.contains(scope)
    }

    /// Notes a person whom the request concerns, for the access log. Say it before anything can fail.
    pub(super) fn touches(&self, tenant: Option<usize>, recipient: &Recipient) {
        let person = self.person(tenant, recipient);
        self.touched().push(person);
    }

    /// A person as the access log names them, to be recorded later.
    pub(super) fn person(&self, tenant: Option<usize>, recipient: &Recipient) -> Touched {
        (tenant, self.0.control.log.hash().recipient(recipient))
    }

    /// The same where no more than the person's keyed hash is known.
    pub(super) fn touches_hash(&self, tenant: Option<usize>, hash: &str) {
        self.touched().push((tenant, Some(hash.to_owned())));
    }

    /// Notes that the request concerns a tenant as a whole.
    pub(super) fn touches_all_of(&self, tenant: usize) {
        self.touched().push((Some(tenant), None));
    }

    fn touched(&self) -> MutexGuard<'_, Vec<Touched>> {
        // A push leaves the list whole whatever became of another thread.
        self.0.touched.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Names the request, for who reports a fault of it.
    pub(super) fn request(&self) -> &str {
        &self.0.mark.request
    }

    /// Leaves it to the end of the request, whose status is known then, to tell what became of its one event.
    pub(super) fn leave_to_the_end(&self, mut touched: Vec<Touched>, upshot: Upshot) {
        self.touched().append(&mut touched);
        if let Some(events) = upshot.events {
            // A request has one such event at most.
            let _ = self.0.settled.set(events);
        }
    }

    /// Writes the lines of people, before an answer is given that tells of them.
    ///
    /// # Errors
    /// The log cannot be written: then the answer must not be given.
    pub(super) async fn record(&self, touched: Vec<Touched>, upshot: Upshot) -> Result<(), Problem> {
        let lines = self.lines(touched, upshot);
        self.0.recorded.store(true, Ordering::Relaxed);
        self.0.control.guards.log.append(lines).await.map_err(|error| {
            tracing::error!(error = %error, "the access log cannot be written");
            let what = "no answer is given that leaves no trace; a write may have been carried out all the same: repeat it";
            Problem::new(Fault::RecordUnavailable, what)
        })
    }

    /// The same of everybody noted, at the end of the request, which leaves one line at least.
    pub(super) async fn record_the_rest(&self, upshot: Upshot) -> Result<(), Problem> {
        let upshot = Upshot { events: self.0.settled.get().copied(), ..upshot };
        let touched = std::mem::take(&mut *self.touched());
        let nothing_left = touched.is_empty() && self.0.recorded.load(Ordering::Relaxed);
        if nothing_left { Ok(()) } else { self.record(touched, upshot).await }
    }

    fn lines(&self, touched: Vec<Touched>, upshot: Upshot) -> Vec<u8> {
        let mut by_tenant: BTreeMap<Option<usize>, Vec<String>> = BTreeMap::new();
        for (tenant, hash) in touched {
            by_tenant.entry(tenant).or_default().extend(hash);
        }
        if by_tenant.is_empty() {
            by_tenant.insert(None, Vec::new());
        }
        let mut lines = Vec::new();
        for (tenant, mut hashes) in by_tenant {
            hashes.dedup();
            let mut chunks = hashes.chunks(PEOPLE_A_LINE);
            self.line(tenant, (chunks.next().unwrap_or_default(), upshot), &mut lines);
            for chunk in chunks {
                self.line(tenant, (chunk, upshot), &mut lines);
            }
        }
        lines
    }

    fn line(&self, tenant: Option<usize>, (hashes, upshot): (&[String], Upshot), lines: &mut Vec<u8>) {
        let Visit { control, mark, .. } = &*self.0;
        let tenant = tenant.and_then(|place| control.tenants.all().get(place));
        let recipient_hash = match hashes {
            [] => Hashes::Nobody,
            [one] => Hashes::One(one),
            several => Hashes::Several(several),
        };
        let line = Line {
            time: control.clock.now(),
            request: &mark.request,
            token: &mark.token,
            action: mark.action,
            tenant: tenant.map(|tenant| tenant.name.as_str()),
            recipient_hash,
            upshot,
            peer: mark.peer.map(|peer| peer.ip().to_string()),
        };
        // Plain data always becomes JSON, and a vector takes every byte.
        let _ = serde_json::to_writer(&mut *lines, &line);
        lines.push(b'\n');
    }

    /// Whether a tenant is within the token's confines.
    pub(super) fn may_touch(&self, tenant: usize) -> bool {
        self.0.tenants.as_ref().is_none_or(|own| own.contains(&tenant))
    }

    /// Whether every tenant is.
    pub(super) fn is_unconfined(&self) -> bool {
        self.0.tenants.is_none()
    }

    /// The names that this caller may be told of.
    pub(super) fn tenant_names(&self, tenants: &Tenants) -> String {
        let own = tenants.current().filter(|(at, _)| self.may_touch(*at));
        own.map(|(_, tenant)| tenant.name.as_str()).collect::<Vec<_>>().join(", ")
    }

    /// The place of a tenant named in a path, where `-` names the only one.
    pub(super) fn tenant(&self, name: &str, tenants: &Tenants) -> Result<usize, Problem> {
        let place = if name == ONLY_TENANT { tenants.only() } else { tenants.position(name) };
        let place = place.ok_or_else(|| {
            let known = self.tenant_names(tenants);
            let what = if name == ONLY_TENANT { "there is more than one tenant" } else { "no such tenant" };
            Problem::new(Fault::NotFound, format!("{what}; this token may use: {known}"))
        })?;
        if self.may_touch(place) {
            return Ok(place);
        }
        let known = self.tenant_names(tenants);
        Err(Problem::new(Fault::TenantForbidden, format!("this token may use: {known}")))
    }
}
