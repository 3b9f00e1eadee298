//! Reading JSON strictly: whatever two readers could understand differently is refused.
//!
//! Byte order marks, invalid UTF-8, lone surrogates, control characters, deep nesting and anything after the value are faults. Values that nobody asks for are
//! read to their end just as strictly, and forgotten. Nothing is copied unless it is escaped. Knows no name of a send, only how close one name is to another.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use super::names::is_near;

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

/// The judged name that this one is, another one, or a fault if it is nearly a judged one.
pub(super) fn judged<'n>(name: &'n str, judged: &[&'static str]) -> Result<&'n str, &'static str> {
    if name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_') || judged.contains(&name) {
        return Ok(name);
    }
    let letters =
        name.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '_').map(|c| c.to_ascii_lowercase());
    let near = |key: &&str| is_near(name, key) || letters.clone().eq(key.chars());
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
pub(super) struct TextOrObject;

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
    /// `{...}`, or a list of them.
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
        let mut shape = Shape::Other;
        while let Some(element) = seq.next_element_seed(Self)? {
            if element == Shape::Object {
                shape = Shape::Object;
            }
        }
        Ok(shape)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Shape, A::Error> {
        while map.next_key_seed(Self)?.is_some() {
            map.next_value_seed(Self)?;
        }
        Ok(Shape::Object)
    }
}
