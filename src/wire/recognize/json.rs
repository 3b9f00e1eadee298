//! Reading a JSON body strictly: whatever two readers could understand differently is refused.
//!
//! Duplicate or nearly equal names among the judged ones, byte order marks, invalid UTF-8, lone surrogates, control characters, deep nesting and anything
//! after the value are faults. Values that are not judged are read to their end just as strictly, and forgotten. Nothing is copied unless it is escaped.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use super::fields::{Fields, Slot, TWICE, TemplateFields, WRONG_TYPE};
use super::names::Name;

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

/// Runs a seed over a whole document.
pub(super) fn whole<'a, S: DeserializeSeed<'a>>(body: &'a [u8], seed: S) -> Result<S::Value, ()> {
    let text = std::str::from_utf8(body).map_err(|_| ())?;
    let mut reader = serde_json::Deserializer::from_str(text);
    let value = seed.deserialize(&mut reader).map_err(|_| ())?;
    reader.end().map_err(|_| ())?;
    Ok(value)
}

/// What reads the entries of an object. The name arrives unescaped.
pub(super) trait Entries<'de> {
    /// Reads the value under a name.
    fn entry<A: MapAccess<'de>>(&mut self, name: Cow<'de, str>, map: &mut A) -> Result<(), A::Error>;
}

/// A seed that takes an object and nothing else: serde would accept an array in its place.
pub(super) struct Object<E>(pub(super) E);

impl<'de, E: Entries<'de>> DeserializeSeed<'de> for Object<E> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de, E: Entries<'de>> Visitor<'de> for Object<E> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        while let Some(name) = map.next_key_seed(Text)? {
            self.0.entry(name, &mut map)?;
        }
        Ok(())
    }
}

/// Keeps a fault beside the error, whose text serde would have to allocate.
pub(super) fn fail<E: Error>(fault: &mut Option<&'static str>, why: &'static str) -> E {
    fault.get_or_insert(why);
    E::custom("")
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
                map.next_value_seed(Skip)?;
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
            Ok(_) => {
                map.next_value_seed(Skip)?;
            }
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
            return map.next_value_seed(Skip).map(|_| ());
        }
        let action = map.next_value_seed(Text)?;
        if is_call_request(&action).map_err(|why| fail(self.fault, why))? {
            self.fields.interactive.note_call();
        }
        Ok(())
    }
}

/// Whether a kind of message asks for the permission to call; a fault if it only looks like it.
fn is_call_request(kind: &str) -> Result<bool, &'static str> {
    const NEARLY: &str =
        "interactive is spelled almost like call_permission_request; write it exactly as documented";
    let folded = kind.bytes().filter(u8::is_ascii_alphanumeric).map(|b| b.to_ascii_lowercase());
    let is_exact = kind == "call_permission_request";
    if !is_exact && folded.eq(*b"callpermissionrequest") { Err(NEARLY) } else { Ok(is_exact) }
}

/// The judged name that this one is, another one, or a fault if it is nearly a judged one.
pub(super) fn judged<'n>(name: &'n str, judged: &[&'static str]) -> Result<&'n str, &'static str> {
    if judged.contains(&name) || name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_') {
        return Ok(name);
    }
    let near = |j: &&'static str| {
        name.chars()
            .filter(|c| c.is_ascii_alphanumeric() || *c == '_')
            .map(|c| c.to_ascii_lowercase())
            .eq(j.chars())
    };
    if judged.iter().any(near) || !name.is_ascii() {
        return Err(
            "a nested parameter is spelled almost like one that decides about the send; write it exactly as documented",
        );
    }
    Ok(name)
}

/// A string, borrowed unless it is escaped.
pub(super) struct Text;

impl<'de> DeserializeSeed<'de> for Text {
    type Value = Cow<'de, str>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Text {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(text))
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(text.to_owned()))
    }
}

/// A string, or `None` for an object.
struct TextOrObject;

impl<'de> DeserializeSeed<'de> for TextOrObject {
    type Value = Option<Cow<'de, str>>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for TextOrObject {
    type Value = Option<Cow<'de, str>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string or an object")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Some(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Some(Cow::Owned(text.to_owned())))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        Skip.visit_map(map).map(|_| None)
    }
}

/// What kind of value was skipped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// `{...}`.
    Object,
    /// Anything else.
    Other,
}

/// Reads any value to its end as strictly as the rest, nested no deeper than serde_json's limit of 128, and forgets it.
pub(super) struct Skip;

impl<'de> DeserializeSeed<'de> for Skip {
    type Value = Shape;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Shape, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Skip {
    type Value = Shape;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_bool<E>(self, _: bool) -> Result<Shape, E> {
        Ok(Shape::Other)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Shape, E> {
        Ok(Shape::Other)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Shape, E> {
        Ok(Shape::Other)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Shape, E> {
        Ok(Shape::Other)
    }

    fn visit_str<E>(self, _: &str) -> Result<Shape, E> {
        Ok(Shape::Other)
    }

    fn visit_unit<E>(self) -> Result<Shape, E> {
        Ok(Shape::Other)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Shape, A::Error> {
        while seq.next_element_seed(Self)?.is_some() {}
        Ok(Shape::Other)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Shape, A::Error> {
        while map.next_key_seed(Self)?.is_some() {
            map.next_value_seed(Self)?;
        }
        Ok(Shape::Object)
    }
}
