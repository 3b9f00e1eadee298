//! The judged fields of a JSON body: which object stands where in a send.
//!
//! Duplicate or nearly equal names among the judged ones are faults; how strictly text and values are read is `strict`'s.

use std::borrow::Cow;

use serde::de::{IgnoredAny, MapAccess};

use super::fields::{Fields, Slot, TWICE, TemplateFields, WRONG_TYPE};
use super::names::Name;
use super::plain::Plain;
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
    match Plain::of(body) {
        Some(plain) if !plain.has_q() || !may_ask_to_call(body) => {
            let top_level = TopLevel { fields, fault: &mut fault, callless: true };
            plain.whole(Object(top_level)).map_err(drop)
        }
        Some(_) | None => whole(body, Object(TopLevel { fields, fault: &mut fault, callless: false })),
    }
    .map_err(|()| fault.unwrap_or(NOT_STRICT))
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
        Slot::Template => whole(
            text.as_bytes(),
            Object(InTemplate { template: &mut read.template, fault: &mut fault, callless: false }),
        ),
        Slot::Interactive => whole(
            text.as_bytes(),
            Object(InInteractive { fields: &mut read, fault: &mut fault, callless: false }),
        ),
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
    /// Whether nothing in the document can ask for the permission to call, so that values need not be looked into for it.
    callless: bool,
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
                    callless: self.callless,
                }))
                .map_err(|_| fail(self.fault, "template is not the object that is documented"))?;
            }
            Slot::Interactive => {
                let callless = self.callless;
                map.next_value_seed(Object(InInteractive {
                    fields: self.fields,
                    fault: self.fault,
                    callless,
                }))
                .map_err(|_| fail(self.fault, "interactive is not the object that is documented"))?;
            }
            Slot::Ignored if self.callless => {
                map.next_value::<IgnoredAny>()?;
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
    callless: bool,
}

const IN_TEMPLATE: [&str; 7] =
    ["name", "language", "id", "namespace", "category", "components", "element_name"];

impl<'de> Entries<'de> for InTemplate<'_, 'de> {
    fn entry<A: MapAccess<'de>>(&mut self, name: Cow<'de, str>, map: &mut A) -> Result<(), A::Error> {
        let twice = match &*name {
            "name" => self.template.name.replace(map.next_value_seed(Text)?).is_some(),
            "language" => {
                let twice = self.template.has_language;
                self.template.has_language = true;
                map.next_value_seed(Object(InLanguage { template: self.template, fault: self.fault }))?;
                twice
            }
            "id" | "element_name" => {
                self.template.uncertain = true;
                map.next_value_seed(Skip)?;
                false
            }
            other => {
                if other != "components" {
                    judged(other, &IN_TEMPLATE).map_err(|why| fail(self.fault, why))?;
                }
                self.template.calls |= asks_to_call(map, self.callless)?;
                false
            }
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
        match &*name {
            "code" => {
                if self.template.language.replace(map.next_value_seed(Text)?).is_some() {
                    return Err(fail(self.fault, TWICE));
                }
            }
            // On-premises `fallback` may pick another language than the one named, and with it another category.
            "policy" => self.template.uncertain |= map.next_value_seed(Text)? != "deterministic",
            other => {
                judged(other, &["code", "policy"]).map_err(|why| fail(self.fault, why))?;
                map.next_value_seed(Skip)?;
            }
        }
        Ok(())
    }
}

/// The inside of `interactive`: only whether it asks for the permission to call.
struct InInteractive<'f, 'de> {
    fields: &'f mut Fields<'de>,
    fault: &'f mut Option<&'static str>,
    callless: bool,
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
                let callless = self.callless;
                map.next_value_seed(Object(InAction { fields: self.fields, fault: self.fault, callless }))?;
            }
            Ok(_) => note_calls(self.fields, map, self.callless)?,
            Err(why) => return Err(fail(self.fault, why)),
        }
        Ok(())
    }
}

/// The inside of `interactive.action`.
struct InAction<'f, 'de> {
    fields: &'f mut Fields<'de>,
    fault: &'f mut Option<&'static str>,
    callless: bool,
}

impl<'de> Entries<'de> for InAction<'_, 'de> {
    fn entry<A: MapAccess<'de>>(&mut self, name: Cow<'de, str>, map: &mut A) -> Result<(), A::Error> {
        if judged(&name, &["name"]).map_err(|why| fail(self.fault, why))? != "name" {
            return note_calls(self.fields, map, self.callless);
        }
        let action = map.next_value_seed(Text)?;
        if is_call_request(&action).map_err(|why| fail(self.fault, why))? {
            self.fields.interactive.note_call();
        }
        Ok(())
    }
}

/// Reads any value, and notes a request for the permission to call in it.
fn note_calls<'de, A>(fields: &mut Fields<'_>, map: &mut A, callless: bool) -> Result<(), A::Error>
where
    A: MapAccess<'de>,
{
    if asks_to_call(map, callless)? {
        fields.interactive.note_call();
    }
    Ok(())
}

/// Reads any value; whether it holds a request for the permission to call.
fn asks_to_call<'de, A: MapAccess<'de>>(map: &mut A, callless: bool) -> Result<bool, A::Error> {
    let mut calls = false;
    if callless {
        map.next_value::<IgnoredAny>()?;
    } else {
        map.next_value_seed(Walk::<Calls>::noting(&mut calls))?;
    }
    Ok(calls)
}

const CALL_REQUEST: &str = "call_permission_request";

/// Whether the name of a request for the permission to call stands anywhere in a document in which nothing is escaped. Found by its `q`, which is rare.
fn may_ask_to_call(body: &[u8]) -> bool {
    const BEFORE: usize = 18;
    memchr::memchr2_iter(b'q', b'Q', body).any(|at| {
        let begin = at.checked_sub(BEFORE);
        let name = begin.and_then(|begin| body.get(begin..begin.saturating_add(CALL_REQUEST.len())));
        name.is_some_and(|name| name.eq_ignore_ascii_case(CALL_REQUEST.as_bytes()))
    })
}

/// Whether a text is the kind of message that asks for the permission to call, however it is spelled.
pub(super) fn is_call(text: &str) -> bool {
    text.trim().eq_ignore_ascii_case(CALL_REQUEST)
}

/// Whether a kind of message asks for the permission to call; a fault if it only looks like it.
fn is_call_request(kind: &str) -> Result<bool, &'static str> {
    const NEARLY: &str =
        "interactive is spelled almost like call_permission_request; write it exactly as documented";
    let folded = kind.bytes().filter(u8::is_ascii_alphanumeric).map(|b| b.to_ascii_lowercase());
    let is_exact = kind == CALL_REQUEST;
    if !is_exact && folded.eq(*b"callpermissionrequest") { Err(NEARLY) } else { Ok(is_exact) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_to_call_is_found_wherever_it_stands_in_a_document() {
        for body in [
            r#"{"a":"call_permission_request"}"#,
            r#"{"a":" Call_Permission_REQUEST "}"#,
            "call_permission_request",
            r#"{"quick":"q","a":["x",{"b":"call_permission_request"}],"q":"Q"}"#,
        ] {
            assert!(may_ask_to_call(body.as_bytes()), "{body}");
        }
        for body in ["", "q", r#"{"a":"call_permission_reques"}"#, r#"{"request":"call-permission-request"}"#]
        {
            assert!(!may_ask_to_call(body.as_bytes()), "{body}");
        }
    }

    #[test]
    fn values_that_are_not_looked_into_are_read_as_strictly() {
        let calls = |components: &str| {
            let template = format!(r#"{{"name":"a","language":{{"code":"en"}},"components":{components}}}"#);
            let body = format!(r#"{{"template":{template}}}"#);
            let mut fields = Fields::default();
            read(body.as_bytes(), &mut fields).map(|()| fields.template.calls)
        };
        let nested = |depth: usize| ["[".repeat(depth), "]".repeat(depth)].concat();
        assert_eq!(calls(r#"[{"a":[1,-2.5e3,true,null,"é"]}]"#), Ok(false));
        assert_eq!(calls(&nested(100)), Ok(false));
        assert_eq!(calls(r#"["call_permission_request"]"#), Ok(true));
        assert_eq!(calls(r#"["call\u005fpermission_request"]"#), Ok(true));
        for bad in ["[01]", "[1,]", "[\"a\u{1}\"]", "[tru]", r#"{"a" 1}"#, r#"["\ud800"]"#, "[+1]", "[1.]"] {
            assert!(calls(bad).is_err(), "{bad}");
        }
        assert!(calls(&nested(200)).is_err());
    }
}
