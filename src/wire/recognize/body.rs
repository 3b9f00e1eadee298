//! What the body of an inspected request tells.

use http::request::Parts;

use super::content::Content;
use super::decide::{Decided, Place, decide};
use super::edges::{self, Treatment};
use super::fields::Fields;
use super::names::{Name, Seen};
use super::path::{self, Segments};
use super::scan::{self, Found};
use super::{
    Context, Effect, Inspect, Passage, Recognized, Unreadable, batch, form, json, multipart, unreadable,
    unrecognized,
};
use crate::wire::send::Surface;

/// A request whose body was read.
#[derive(Clone, Copy)]
pub(super) struct Request<'a, 'c> {
    pub(super) inspect: &'a Inspect,
    pub(super) parts: &'a Parts,
    pub(super) body: &'a [u8],
    pub(super) context: Context<'c>,
    /// Whether it is an operation of a batch.
    pub(super) nested: bool,
}

const TELLING: &str =
    "the request carries a batch, a recipient or a message where none is expected; send it on its own edge";

const BODY_OF_A_READ: &str =
    "a read of an edge that sends carries a body of no kind that is judged; leave the body out";

const HIDDEN: &str = "a text holds `&to=` or `&batch=` with a value that a reader of forms could take for a recipient or a batch; escape the `&` as \\u0026";

/// Reads a body.
pub(super) fn read<'a>(request: &Request<'a, '_>) -> Result<Recognized<'a>, Unreadable> {
    if request.is_bare_read()? {
        return Ok(request.pass());
    }
    match request.inspect.edge.treatment {
        Treatment::Send(surface) => request.send(surface),
        Treatment::Node => request.node(),
        Treatment::Receipt => request.receipt(),
        Treatment::SteeringIf(_) => request.write(request.look_for_keys()?),
        // Steering whatever it carries, and refused whatever the policy says of steering if it carries a batch or a send.
        Treatment::Steering => request.write(Found { steers: true, ..request.look(&[])? }),
        Treatment::Sample => request.sample(),
        Treatment::Unknown => request.unknown(),
        Treatment::Members => request.members(),
        Treatment::Groups => request.group(),
        Treatment::Safe | Treatment::File => request.write(request.look(&[])?),
        Treatment::Opaque | Treatment::Foreign => Err(unrecognized(TELLING)),
    }
}

impl<'a> Request<'a, '_> {
    fn pass(&self) -> Recognized<'a> {
        Recognized::Passthrough(Passage::of(self.inspect.edge.name))
    }

    fn look(&self, keys: &[&str]) -> Result<Found, Unreadable> {
        let found = scan::look(self.parts.uri.query(), &self.inspect.content, self.body, keys);
        let found = found.map_err(unrecognized)?;
        Ok(if self.inspect.edge.treatment == Treatment::Safe { found.harmless() } else { found.whole() })
    }

    fn look_for_keys(&self) -> Result<Found, Unreadable> {
        self.look(self.inspect.edge.keys())
    }

    /// Every judged parameter, wherever it stands; in more than one place it is ambiguous.
    fn fields(&self) -> Result<Fields<'a>, Unreadable> {
        let mut fields = Fields::default();
        if let Some(query) = self.parts.uri.query() {
            form::read(query.as_bytes(), &mut fields).map_err(unreadable)?;
        }
        match &self.inspect.content {
            _ if self.body.is_empty() => Ok(()),
            Content::Json if tells_a_form(scan::hidden(self.body, &[]).hidden) => Err(HIDDEN),
            Content::Json => json::read(self.body, &mut fields),
            Content::Form => form::read(self.body, &mut fields),
            Content::Multipart(boundary) => multipart::read(self.body, boundary, &mut fields),
            Content::Other => Err("the body has no Content-Type that is judged; send application/json"),
        }
        .map_err(unreadable)?;
        Ok(fields)
    }

    fn send(&self, surface: Surface) -> Result<Recognized<'a>, Unreadable> {
        if self.inspect.effect != Effect::Write && self.is_silent()? {
            return if self.has_unread_body() { Err(unrecognized(BODY_OF_A_READ)) } else { Ok(self.pass()) };
        }
        let sender = path::first(self.inspect.path(self.parts));
        let place = Place { surface, sender, is_sender: (self.context.is_sender)(sender) };
        Ok(match decide(self.fields()?, &place)? {
            Decided::Send(send) => Recognized::One(send),
            Decided::Pass(passage) => Recognized::Passthrough(passage),
        })
    }

    /// A read without body, which the head could not tell from one with a body.
    fn is_bare_read(&self) -> Result<bool, Unreadable> {
        if self.inspect.effect != Effect::Read || !self.body.is_empty() {
            return Ok(false);
        }
        Ok(if self.inspect.edge.sends() { self.is_silent()? } else { !self.look(&[])?.seen.has(Name::Batch) })
    }

    /// Whether a read or delete names neither recipient nor content nor batch, nor another method in its body.
    fn is_silent(&self) -> Result<bool, Unreadable> {
        let seen = self.look(&[])?.seen;
        Ok(!is_telling(seen) && !self.names_method(seen))
    }

    /// Whether the body is of a kind that nobody reads by its own rules: a line of it may be a parameter to somebody.
    fn has_unread_body(&self) -> bool {
        self.inspect.content == Content::Other && !self.body.trim_ascii().is_empty()
    }

    /// Whether the body could name another method; the one in the query was heard with the head.
    fn names_method(&self, seen: Seen) -> bool {
        !self.body.is_empty() && (seen.has(Name::Method) || seen.has(Name::UnderscoreMethod))
    }

    /// Takes people out of a group, unless its body turns it into adding them.
    fn members(&self) -> Result<Recognized<'a>, Unreadable> {
        let found = self.look(&[])?;
        if self.names_method(found.seen) { Err(super::adds_members()) } else { self.write(found) }
    }

    /// Creates or changes a group, which contacts nobody as long as it names nobody.
    fn group(&self) -> Result<Recognized<'a>, Unreadable> {
        let found = self.look_for_keys()?;
        if found.steers { Err(super::adds_members()) } else { self.write(found) }
    }

    /// `POST /{phone_number_id}`: configuration, steering, or a send that stands on the wrong edge.
    fn node(&self) -> Result<Recognized<'a>, Unreadable> {
        self.refuse_members()?;
        let found = self.look_for_keys()?;
        let id = path::first(self.inspect.path(self.parts));
        let sends = edges::is_number(id) && found.seen.has_recipient() && !found.seen.has(Name::Batch);
        match found {
            _ if found.sends => Err(unrecognized(TELLING)),
            _ if sends && !found.steers => self.send(Surface::Messages),
            _ if self.is_batch(found) && !self.hides(id) => batch::read(self),
            _ => self.write(found),
        }
    }

    /// Whether a form reader could take a JSON batch for a send of the number that the path names.
    fn hides(&self, id: &str) -> bool {
        edges::is_number(id)
            && self.inspect.content == Content::Json
            && tells_a_form(scan::hidden(self.body, &[]).hidden)
    }

    /// A group's own id is as unknown as any; naming people on it adds them.
    fn refuse_members(&self) -> Result<(), Unreadable> {
        let is_id = Segments::of(self.inspect.path(self.parts)).len <= 1;
        if is_id && self.look(edges::MEMBER_KEYS)?.steers {
            return Err(super::adds_members());
        }
        Ok(())
    }

    fn unknown(&self) -> Result<Recognized<'a>, Unreadable> {
        self.refuse_members()?;
        let found = self.look(&[])?;
        if found.sends {
            return Err(unrecognized(TELLING));
        }
        if self.is_batch(found) { batch::read(self) } else { self.write(self.look_for_keys()?) }
    }

    /// Whether this is a batch and nothing else.
    fn is_batch(&self, found: Found) -> bool {
        let alone = !found.seen.has_recipient() && !found.seen.has_payload() && !found.steers;
        found.seen.has(Name::Batch) && alone && !self.nested
    }

    /// `PUT /v1/messages/{id}`: a receipt and nothing else.
    fn receipt(&self) -> Result<Recognized<'a>, Unreadable> {
        let fields = self.fields()?;
        let tells = is_telling(fields.seen)
            || fields.free_form
            || fields.unknown_object
            || fields.recipient_is_object;
        if fields.text(Name::Status) == Some("read") && !tells {
            Ok(self.pass())
        } else {
            Err(unrecognized(TELLING))
        }
    }

    fn sample(&self) -> Result<Recognized<'a>, Unreadable> {
        if self.look(&[])?.seen.has(Name::Batch) { Err(unrecognized(TELLING)) } else { Ok(self.pass()) }
    }

    fn write(&self, mut found: Found) -> Result<Recognized<'a>, Unreadable> {
        // Pages and events have a place; a message with one always says to whom it goes.
        if found.is_only_a_place() {
            found.seen = found.seen.without(Name::Location);
        }
        // Two-step verification has a `pin` too; a pinned message always names its chat.
        if is_telling(found.seen.without(Name::Pin)) {
            return Err(unrecognized(TELLING));
        }
        Ok(if found.steers { Recognized::Steering(self.inspect.edge.name) } else { self.pass() })
    }
}

fn is_telling(seen: Seen) -> bool {
    seen.has(Name::Batch) || seen.has_recipient() || seen.has_payload()
}

fn tells_a_form(hidden: Seen) -> bool {
    is_telling(hidden) || hidden.has(Name::RecipientType)
}
