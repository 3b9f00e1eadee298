//! From the fields of one operation on a send edge to what it is.

use std::borrow::Cow;

use super::fields::Fields;
use super::json;
use super::names::Name;
use super::{Passage, Unreadable, unreadable};
use crate::wire::send::{Label, Payload, Send, Surface};

/// What an operation on a send edge turned out to be.
pub(super) enum Decided<'a> {
    /// A send.
    Send(Send<'a>),
    /// Not a send.
    Pass(Passage),
}

/// Where the operation stands.
pub(super) struct Place<'a> {
    /// The surface of the edge.
    pub(super) surface: Surface,
    /// The phone number id.
    pub(super) sender: &'a str,
    /// Whether it is a configured sender.
    pub(super) is_sender: bool,
}

type Outcome<'a> = Result<Decided<'a>, Unreadable>;

/// Decides.
///
/// # Errors
///
/// Why the operation cannot be judged.
pub(super) fn decide<'a>(mut fields: Fields<'a>, place: &Place<'a>) -> Outcome<'a> {
    if fields.seen.has(Name::Batch) {
        return Err(unreadable("a batch stands on the edge of a send; send one or the other"));
    }
    if is_other_product(&fields, place) {
        return Ok(Decided::Pass(Passage::of("other_product")));
    }
    if fields.text(Name::MessagingProduct).is_some_and(|product| product != "whatsapp")
        || fields.recipient_is_object
    {
        return Err(unreadable(
            "messaging_product is not whatsapp, or recipient is not text; this sender is judged as WhatsApp",
        ));
    }
    if !super::edges::is_number(place.sender) {
        return Err(super::unrecognized(
            "the path names no phone number id; write /{phone_number_id}/messages",
        ));
    }
    if !fields.seen.has_recipient() {
        return without_recipient(&fields, place.surface);
    }
    let payload = payload(&mut fields, place.surface)?;
    let group = is_group(&fields)?;
    Ok(Decided::Send(Send {
        surface: place.surface,
        sender: Cow::Borrowed(place.sender),
        to: fields.take(Name::To),
        recipient: fields.take(Name::Recipient),
        group,
        payload,
        operation: None,
    }))
}

/// Messenger and Instagram name the person in an object and carry `message` in place of WhatsApp's payloads.
///
/// Source: Meta, Messenger Platform, "Send API".
fn is_other_product(fields: &Fields<'_>, place: &Place<'_>) -> bool {
    let product = fields
        .text(Name::MessagingProduct)
        .is_none_or(|p| matches!(p, "messenger" | "instagram" | "facebook"));
    let bare = !fields.seen.has(Name::To) && !fields.seen.has(Name::Type) && !has_content(fields);
    fields.recipient_is_object && product && bare && !place.is_sender && place.surface == Surface::Messages
}

fn has_content(fields: &Fields<'_>) -> bool {
    fields.seen.has_payload() || fields.free_form
}

fn without_recipient<'a>(fields: &Fields<'a>, surface: Surface) -> Outcome<'a> {
    let content = has_content(fields) || fields.unknown_object;
    match (surface, fields.text(Name::Status), fields.text(Name::Action)) {
        (Surface::Messages, Some("read"), _) if !content => Ok(Decided::Pass(Passage::of("read_receipt"))),
        (Surface::Calls, _, Some("accept" | "pre_accept" | "reject" | "terminate")) if !content => {
            Ok(Decided::Pass(Passage::of("call_control")))
        }
        _ => Err(unreadable("the request names no recipient; give `to` or `recipient`")),
    }
}

fn is_group(fields: &Fields<'_>) -> Result<bool, Unreadable> {
    match fields.text(Name::RecipientType) {
        None | Some("individual") => Ok(false),
        Some(kind) if kind.eq_ignore_ascii_case("group") => Ok(true),
        Some(_) => Err(unreadable("recipient_type is neither individual nor group")),
    }
}

fn payload<'a>(fields: &mut Fields<'a>, surface: Surface) -> Result<Payload<'a>, Unreadable> {
    let label = label(fields)?;
    let call = surface == Surface::Calls
        || fields.interactive.is_call_request()
        || fields.interactive.calls()
        || fields.template.calls
        || fields.text(Name::Type).is_some_and(json::is_call);
    let interactive = fields.seen.has(Name::Interactive) && !fields.interactive.is_call_request();
    let template = std::mem::take(&mut fields.template).named().map_err(unreadable)?;
    let templated = fields.seen.has(Name::Template) || fields.seen.has(Name::Hsm);
    let unnamed_template =
        fields.seen.has(Name::Hsm) || (fields.seen.has(Name::Template) && template.is_none());
    let promised = is_free_form_type(fields, templated || call)?;
    let free_form = promised || fields.free_form || interactive || fields.unknown_object;
    Ok(Payload { template, unnamed_template, free_form, call, label })
}

/// Whether `type` promises free-form content that no payload key shows; it adds, and never takes away.
fn is_free_form_type(fields: &Fields<'_>, has_other_content: bool) -> Result<bool, Unreadable> {
    match fields.text(Name::Type) {
        None => Ok(!has_other_content && !has_content(fields)),
        Some(kind) if kind.eq_ignore_ascii_case("template") || kind.eq_ignore_ascii_case("hsm") => {
            let present = fields.seen.has(Name::Template) || fields.seen.has(Name::Hsm);
            if present { Ok(false) } else { Err(unreadable("type says template, but no template is there")) }
        }
        Some("interactive") if fields.seen.has(Name::Interactive) => Ok(false),
        Some(_) => Ok(true),
    }
}

fn label(fields: &Fields<'_>) -> Result<Option<Label>, Unreadable> {
    match fields.text(Name::Category) {
        None => Ok(None),
        Some("utility") => Ok(Some(Label::Utility)),
        Some("authentication") => Ok(Some(Label::Authentication)),
        Some(_) => {
            Err(unreadable("category is neither utility nor authentication, the labels of Direct Send"))
        }
    }
}
