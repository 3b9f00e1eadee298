//! A send as it stands in a request: borrowed from its bytes, not yet judged.

use std::borrow::Cow;
use std::fmt;

/// Where on the provider's API a send was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Surface {
    /// `/{phone_number_id}/messages`, and anything judged as if it had stood there.
    Messages,
    /// `/{phone_number_id}/marketing_messages`: marketing by definition.
    MarketingMessages,
    /// `/{phone_number_id}/calls` with `action: connect`.
    Calls,
}

/// One attempted contact.
///
/// `Debug` shows neither the recipient nor the content.
#[derive(Clone)]
pub struct Send<'a> {
    /// Where it was found.
    pub surface: Surface,
    /// The phone number id of the path, empty where the path has none.
    pub sender: Cow<'a, str>,
    /// The field `to`.
    pub to: Option<Cow<'a, str>>,
    /// The field `recipient`.
    pub recipient: Option<Cow<'a, str>>,
    /// Whether `recipient_type` says that the recipient is a group.
    pub group: bool,
    /// What would be sent.
    pub payload: Payload<'a>,
    /// Which operation of a batch it is, counted from 0.
    pub operation: Option<usize>,
}

/// Every payload that a send carries; all of them count, whatever its `type` says.
#[derive(Clone, Default)]
pub struct Payload<'a> {
    /// A template, named.
    pub template: Option<Template<'a>>,
    /// A template that cannot be looked up: legacy `hsm`, by id only, or without name or language.
    pub unnamed_template: bool,
    /// Free-form content: text, media, reaction, interactive, an unknown type...
    pub free_form: bool,
    /// A call, or a request for the permission to call.
    pub call: bool,
    /// The caller's label of a Direct Send (WhatsApp 2026): adds a requirement, never takes one away.
    pub label: Option<Label>,
}

/// A Direct Send label that is understood; any other label makes the send unreadable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Label {
    /// `category: utility`.
    Utility,
    /// `category: authentication`.
    Authentication,
}

/// A template as a send names it; both parts are compared byte for byte.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template<'a> {
    /// `template.name`.
    pub name: Cow<'a, str>,
    /// `template.language.code`.
    pub language: Cow<'a, str>,
}

impl Send<'_> {
    /// The same, independent of the bytes that it was read from.
    pub fn into_owned(self) -> Send<'static> {
        let owned = |text: Cow<'_, str>| Cow::Owned(text.into_owned());
        let template =
            self.payload.template.map(|t| Template { name: owned(t.name), language: owned(t.language) });
        Send {
            surface: self.surface,
            sender: owned(self.sender),
            to: self.to.map(owned),
            recipient: self.recipient.map(owned),
            group: self.group,
            payload: Payload {
                template,
                unnamed_template: self.payload.unnamed_template,
                free_form: self.payload.free_form,
                call: self.payload.call,
                label: self.payload.label,
            },
            operation: self.operation,
        }
    }
}

impl fmt::Debug for Send<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Send")
            .field("surface", &self.surface)
            .field("sender", &self.sender)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Payload<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Payload").field("template", &self.template.is_some()).finish_non_exhaustive()
    }
}
