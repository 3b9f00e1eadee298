//! What one operation says about itself, gathered from every place where the provider takes parameters.

use std::borrow::Cow;

use super::names::{Name, Seen, Spelled, is_inert};
use crate::wire::send::Template;

/// The judged parameters of one operation, each seen at most once.
#[derive(Default)]
pub(super) struct Fields<'a> {
    /// Which judged names were seen.
    pub(super) seen: Seen,
    /// Text under the names whose value is text.
    texts: Texts<'a>,
    /// Whether `recipient` is an object, as on Messenger and Instagram.
    pub(super) recipient_is_object: bool,
    /// What stands under `template`.
    pub(super) template: TemplateFields<'a>,
    /// Whether there is free-form content.
    pub(super) free_form: bool,
    /// What stands under `interactive`.
    pub(super) interactive: InteractiveFields,
    /// Whether an object stands under a name that is not known.
    pub(super) unknown_object: bool,
}

#[derive(Default)]
struct Texts<'a> {
    messaging_product: Option<Cow<'a, str>>,
    to: Option<Cow<'a, str>>,
    recipient: Option<Cow<'a, str>>,
    recipient_type: Option<Cow<'a, str>>,
    kind: Option<Cow<'a, str>>,
    category: Option<Cow<'a, str>>,
    status: Option<Cow<'a, str>>,
    action: Option<Cow<'a, str>>,
}

/// The judged part of a `template` object.
#[derive(Default)]
pub(super) struct TemplateFields<'a> {
    /// `name`.
    pub(super) name: Option<Cow<'a, str>>,
    /// `language.code`.
    pub(super) language: Option<Cow<'a, str>>,
    /// Whether `language` was seen.
    pub(super) has_language: bool,
    /// Whether the provider could pick another template than the one named: an `id`, or a language policy other than `deterministic`.
    pub(super) uncertain: bool,
    /// Whether it asks for the permission to call, whatever the template of this name does.
    pub(super) calls: bool,
}

/// The judged part of an `interactive` object.
#[derive(Default)]
pub(super) struct InteractiveFields {
    /// Whether it asks for the permission to call, once `type` was seen.
    call_request: Option<bool>,
    has_action: bool,
    /// Whether its action asks for the permission to call.
    action_calls: bool,
}

impl InteractiveFields {
    /// Notes `type`; `false` if it had been seen before.
    pub(super) fn note_type(&mut self, call_request: bool) -> bool {
        self.call_request.replace(call_request).is_none()
    }

    /// Notes `action`; `false` if it had been seen before.
    pub(super) fn note_action(&mut self) -> bool {
        !std::mem::replace(&mut self.has_action, true)
    }

    /// Notes that its action asks for the permission to call.
    pub(super) fn note_call(&mut self) {
        self.action_calls = true;
    }

    /// Whether its action asks for the permission to call, whatever its type.
    pub(super) fn calls(&self) -> bool {
        self.action_calls
    }

    /// Whether it asks for the permission to call.
    pub(super) fn is_call_request(&self) -> bool {
        self.call_request == Some(true)
    }
}

/// What to do with the value under a top-level name.
pub(super) enum Slot {
    /// Text, to be handed to [`Fields::set_text`].
    Text(Name),
    /// `recipient`: text, or an object on Messenger.
    Recipient,
    /// The template object.
    Template,
    /// The interactive object.
    Interactive,
    /// Any value, not read.
    Ignored,
    /// Any value, not read; an object is unknown content.
    Unknown,
}

/// The judged parameter stands twice.
pub(super) const TWICE: &str = "a parameter that decides about the send stands twice, and readers disagree which one counts; give it once";
const NEARLY: &str = "a parameter is spelled almost like one that decides about the send; write its name exactly as documented";
const STRANGE: &str =
    "a parameter has a name that readers disagree about; use letters, digits and underscores";
/// The value has another type than documented.
pub(super) const WRONG_TYPE: &str =
    "a parameter that decides about the send has another type than documented (text must be a JSON string)";

impl<'a> Fields<'a> {
    /// Notes a top-level name and says how to read its value.
    ///
    /// # Errors
    ///
    /// What is ambiguous about the name.
    pub(super) fn open(&mut self, name: &str) -> Result<Slot, &'static str> {
        match Spelled::of(name) {
            Spelled::Exactly(judged) if self.seen.insert(judged) => Ok(self.slot(judged)),
            Spelled::Exactly(_) => Err(TWICE),
            Spelled::Nearly(_) => Err(NEARLY),
            Spelled::Strangely => Err(STRANGE),
            Spelled::Otherwise if is_inert(name) => Ok(Slot::Ignored),
            Spelled::Otherwise => Ok(Slot::Unknown),
        }
    }

    fn slot(&mut self, name: Name) -> Slot {
        match name {
            Name::MessagingProduct
            | Name::To
            | Name::RecipientType
            | Name::Type
            | Name::Category
            | Name::Status
            | Name::Action => Slot::Text(name),
            Name::Recipient => Slot::Recipient,
            Name::Template => Slot::Template,
            Name::Interactive => Slot::Interactive,
            Name::Hsm | Name::Batch | Name::Method | Name::UnderscoreMethod => Slot::Ignored,
            Name::Text
            | Name::Image
            | Name::Video
            | Name::Audio
            | Name::Document
            | Name::Sticker
            | Name::Location
            | Name::Contacts
            | Name::Reaction
            | Name::Pin => {
                self.free_form = true;
                Slot::Ignored
            }
        }
    }

    /// Keeps the text under a name.
    pub(super) fn set_text(&mut self, name: Name, text: Cow<'a, str>) {
        if let Some(place) = self.texts.place(name) {
            *place = Some(text);
        }
    }

    /// The text under a name.
    pub(super) fn text(&self, name: Name) -> Option<&str> {
        self.texts.at(name)
    }

    /// Takes the text under a name.
    pub(super) fn take(&mut self, name: Name) -> Option<Cow<'a, str>> {
        self.texts.place(name)?.take()
    }
}

impl<'a> Texts<'a> {
    fn place(&mut self, name: Name) -> Option<&mut Option<Cow<'a, str>>> {
        Some(match name {
            Name::MessagingProduct => &mut self.messaging_product,
            Name::To => &mut self.to,
            Name::Recipient => &mut self.recipient,
            Name::RecipientType => &mut self.recipient_type,
            Name::Type => &mut self.kind,
            Name::Category => &mut self.category,
            Name::Status => &mut self.status,
            Name::Action => &mut self.action,
            Name::Template
            | Name::Text
            | Name::Interactive
            | Name::Image
            | Name::Video
            | Name::Audio
            | Name::Document
            | Name::Sticker
            | Name::Location
            | Name::Contacts
            | Name::Reaction
            | Name::Hsm
            | Name::Pin
            | Name::Method
            | Name::UnderscoreMethod
            | Name::Batch => return None,
        })
    }

    fn at(&self, name: Name) -> Option<&str> {
        match name {
            Name::MessagingProduct => &self.messaging_product,
            Name::To => &self.to,
            Name::Recipient => &self.recipient,
            Name::RecipientType => &self.recipient_type,
            Name::Type => &self.kind,
            Name::Category => &self.category,
            Name::Status => &self.status,
            Name::Action => &self.action,
            Name::Template
            | Name::Text
            | Name::Interactive
            | Name::Image
            | Name::Video
            | Name::Audio
            | Name::Document
            | Name::Sticker
            | Name::Location
            | Name::Contacts
            | Name::Reaction
            | Name::Hsm
            | Name::Pin
            | Name::Method
            | Name::UnderscoreMethod
            | Name::Batch => return None,
        }
        .as_deref()
    }
}

impl<'a> TemplateFields<'a> {
    /// The same, independent of the text that it was read from.
    pub(super) fn into_owned<'b>(self) -> TemplateFields<'b> {
        let owned = |text: Cow<'a, str>| Cow::Owned(text.into_owned());
        TemplateFields {
            name: self.name.map(owned),
            language: self.language.map(owned),
            has_language: self.has_language,
            uncertain: self.uncertain,
            calls: self.calls,
        }
    }

    /// The template that the send names, if the provider could understand no other one.
    ///
    /// # Errors
    ///
    /// A name or language that no template can have: readers could repair it differently.
    pub(super) fn named(self) -> Result<Option<Template<'a>>, &'static str> {
        if self.name.as_deref().is_some_and(|name| !is_name(name)) {
            return Err(
                "template.name holds other characters than a-z, 0-9 and _; write it exactly as the template list does",
            );
        }
        if self.language.as_deref().is_some_and(|code| !is_language(code)) {
            return Err("template.language.code is not a language code such as en_US");
        }
        Ok(match (self.name, self.language) {
            (Some(name), Some(language)) if !self.uncertain => Some(Template { name, language }),
            _ => None,
        })
    }
}

/// Source: Meta, "Message templates": at most 512 of lower-case letters, digits and underscores.
pub(in crate::wire) fn is_name(text: &str) -> bool {
    // Without a way out at the first odd byte, which hardly any name has: many are looked at together.
    let is_odd = |b: u8| u8::from(!matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'_'));
    (1..=512).contains(&text.len()) && text.bytes().fold(0, |odd, b| odd | is_odd(b)) == 0
}

/// `en`, `en_US`, `zh_Hant_HK`.
pub(in crate::wire) fn is_language(text: &str) -> bool {
    // As nearly all are written.
    if let [a, b, b'_', c, d] = text.as_bytes()
        && [a, b, c, d].into_iter().all(u8::is_ascii_alphabetic)
    {
        return true;
    }
    let mut parts = text.split(['_', '-']);
    let letters = |part: &str| (2..=3).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_alphabetic());
    parts.next().is_some_and(letters)
        && parts.all(|part| (2..=8).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_alphanumeric()))
}
