//! The judged fields of a JSON body: which object stands where in a send.
//!
//! Duplicate or nearly equal names among the judged ones are faults; how strictly text and values are read is `strict`'s.

use std::borrow::Cow;

use serde::de::MapAccess;

use super::fields::{Fields, Slot, TWICE, TemplateFields, WRONG_TYPE};
use super::names::Name;
use super::strict::{Entries, Object, Shape, Skip, Text, TextOrObject, fail, judged, whole};
use super::walk::{Calls, Walk};

const NOT_STRICT: &str = "the body is not one strict JSON object in UTF-8 (no byte order mark, comments, lone surrogates or text after it)";

/// Reads the fields of one operation into `fields`.
///
/// # Errors
///
/// What is wrong with the body.
pub(super) fn read<'a>(body: &'a [u8], fields: &mut Fields<'a>) -> Result<(), &'static str> {
    let mut fault = None;
    whole(body, Object(TopLevel { fields, fault: &mut fault })).map_err(|()| fault.unwrap_or(NOT_STRICT))
}

/// Reads the object of a parameter whose text is JSON, as forms carry it: `template={...}`.
///
/// # Errors
///
/// What is wrong with the text.
pub(super) fn read_parameter(text: &str, slot: &Slot, fields: &mut Fields<'_>) -> Result<(), &'static str> {
    let mut fault = None;
    // The text may be decoded, so what is read from it is kept apart first.
    let mut read = Fields::default();
    let done = match slot {
        Slot::Template => {
            whole(text.as_bytes(), Object(InTemplate { template: &mut read.template, fault: &mut fault }))
        }
        Slot::Interactive => {
            whole(text.as_bytes(), Object(InInteractive { fields: &mut read, fault: &mut fault }))
        }
        Slot::Text(_) | Slot::Recipient | Slot::Ignored | Slot::Unknown => {
            whole(text.as_bytes(), Skip).map(|_| ())
        }
    };
    done.map_err(|()| fault.unwrap_or("a form parameter that must hold strict JSON does not"))?;
    match slot {
        Slot::Template => fields.template = read.template.into_owned(),
        Slot::Interactive => fields.interactive = read.interactive,
        Slot::Text(_) | Slot::Recipient | Slot::Ignored | Slot::Unknown => {}
    }
    Ok(())
}

/// The top level of a send.
struct TopLevel<'f, 'de> {
    fields: &'f mut Fields<'de>,
    fault: &'f mut Option<&'static str>,
}

impl<'de> Entries<'de> for TopLevel<'_, 'de> {
    fn entry<A: MapAccess<'de>>(&mut self, name: Cow<'de, str>, map: &mut A) -> Result<(), A::Error> {
        let slot = self.fields.open(&name).map_err(|why| fail(self.fault, why))?;
        match slot {
            Slot::Text(name) => {
                let text = map.next_value_seed(Text).map_err(|_| fail(self.fault, WRONG_TYPE))?;
                self.fields.set_text(name, text);
            }
            Slot::Recipient => {
                match map.next_value_seed(TextOrObject).map_err(|_| fail(self.fault, WRONG_TYPE))? {
                    Some(text) => self.fields.set_text(Name::Recipient, text),
                    None => self.fields.recipient_is_object = true,
                }
            }
            Slot::Template => {
                map.next_value_seed(Object(InTemplate {
                    template: &mut self.fields.template,
                    fault: self.fault,
                }))
                .map_err(|_| fail(self.fault, "template is not the object that is documented"))?;
            }
            Slot::Interactive => {
                map.next_value_seed(Object(InInteractive { fields: self.fields, fault: self.fault }))
                    .map_err(|_| fail(self.fault, "interactive is not the object that is documented"))?;
            }
            Slot::Ignored => {
                map.next_value_seed(Skip)?;
            }
            Slot::Unknown => self.fields.unknown_object |= map.next_value_seed(Skip)? == Shape::Object,
        }
        Ok(())
    }
}

/// The inside of `template`.
struct InTemplate<'f, 'de> {
    template: &'f mut TemplateFields<'de>,
    fault: &'f mut Option<&'static str>,
}

impl<'de> Entries<'de> for InTemplate<'_, 'de> {
    fn entry<A: MapAccess<'de>>(&mut self, name: Cow<'de, str>, map: &mut A) -> Result<(), A::Error> {
        let twice = match judged(
            &name,
            &["name", "language", "id", "namespace", "category", "components", "element_name"],
        ) {
            Ok("name") => self.template.name.replace(map.next_value_seed(Text)?).is_some(),
            Ok("language") => {
                let twice = self.template.has_language;
                self.template.has_language = true;
                map.next_value_seed(Object(InLanguage { template: self.template, fault: self.fault }))?;
                twice
            }
            Ok("id" | "element_name") => {
                self.template.uncertain = true;
                map.next_value_seed(Skip)?;
                false
            }
            Ok(_) => {
                map.next_value_seed(Walk::<Calls>::noting(&mut self.template.calls))?;
                false
            }
            Err(why) => return Err(fail(self.fault, why)),
        };
        if twice { Err(fail(self.fault, TWICE)) } else { Ok(()) }
    }
}

/// The inside of `template.language`.
struct InLanguage<'f, 'de> {
    template: &'f mut TemplateFields<'de>,
    fault: &'f mut Option<&'static str>,
}

impl<'de> Entries<'de> for InLanguage<'_, 'de> {
    fn entry<A: MapAccess<'de>>(&mut self, name: Cow<'de, str>, map: &mut A) -> Result<(), A::Error> {
        match judged(&name, &["code", "policy"]) {
            Ok("code") => {
                if self.template.language.replace(map.next_value_seed(Text)?).is_some() {
                    return Err(fail(self.fault, TWICE));
                }
            }
            // On-premises `fallback` may pick another language than the one named, and with it another category.
            Ok("policy") => self.template.uncertain |= map.next_value_seed(Text)? != "deterministic",
            Ok(_) => {
                map.next_value_seed(Skip)?;
            }
            Err(why) => return Err(fail(self.fault, why)),
        }
        Ok(())
    }
}

/// The inside of `interactive`: only whether it asks for the permission to call.
struct InInteractive<'f, 'de> {
    fields: &'f mut Fields<'de>,
    fault: &'f mut Option<&'static str>,
}

impl<'de> Entries<'de> for InInteractive<'_, 'de> {
    fn entry<A: MapAccess<'de>>(&mut self, name: Cow<'de, str>, map: &mut A) -> Result<(), A::Error> {
        match judged(&name, &["type", "action"]) {
            Ok("type") => {
                let kind = map.next_value_seed(Text)?;
                let request = is_call_request(&kind).map_err(|why| fail(self.fault, why))?;
                if !self.fields.interactive.note_type(request) {
                    return Err(fail(self.fault, TWICE));
                }
            }
            Ok("action") => {
                if !self.fields.interactive.note_action() {
                    return Err(fail(self.fault, TWICE));
                }
                map.next_value_seed(Object(InAction { fields: self.fields, fault: self.fault }))?;
            }
            Ok(_) => note_calls(self.fields, map)?,
            Err(why) => return Err(fail(self.fault, why)),
        }
        Ok(())
    }
}

/// The inside of `interactive.action`.
struct InAction<'f, 'de> {
    fields: &'f mut Fields<'de>,
    fault: &'f mut Option<&'static str>,
}

impl<'de> Entries<'de> for InAction<'_, 'de> {
    fn entry<A: MapAccess<'de>>(&mut self, name: Cow<'de, str>, map: &mut A) -> Result<(), A::Error> {
        if judged(&name, &["name"]).map_err(|why| fail(self.fault, why))? != "name" {
            return note_calls(self.fields, map);
        }
        let action = map.next_value_seed(Text)?;
        if is_call_request(&action).map_err(|why| fail(self.fault, why))? {
            self.fields.interactive.note_call();
        }
        Ok(())
    }
}

/// Reads any value, and notes a request for the permission to call in it.
fn note_calls<'de, A: MapAccess<'de>>(fields: &mut Fields<'_>, map: &mut A) -> Result<(), A::Error> {
    let mut calls = false;
    map.next_value_seed(Walk::<Calls>::noting(&mut calls))?;
    if calls {
        fields.interactive.note_call();
    }
    Ok(())
}

/// Whether a text is the kind of message that asks for the permission to call, however it is spelled.
pub(super) fn is_call(text: &str) -> bool {
    text.trim().eq_ignore_ascii_case("call_permission_request")
}

/// Whether a kind of message asks for the permission to call; a fault if it only looks like it.
fn is_call_request(kind: &str) -> Result<bool, &'static str> {
    const NEARLY: &str =
        "interactive is spelled almost like call_permission_request; write it exactly as documented";
    let folded = kind.bytes().filter(u8::is_ascii_alphanumeric).map(|b| b.to_ascii_lowercase());
    let is_exact = kind == "call_permission_request";
    if !is_exact && folded.eq(*b"callpermissionrequest") { Err(NEARLY) } else { Ok(is_exact) }
}
