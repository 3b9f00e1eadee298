//! Reading any value of a JSON body to its end, however deep, and noting one thing about what stands in it.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

use super::json::is_call;
use super::names::{Name, Seen, Spelled};
use super::strict::Text;

/// What is looked for on the way.
pub(super) trait Look {
    /// What is remembered of one object until its end.
    type Object: Default;

    /// Whether a text is what is looked for.
    fn in_text(_: &str) -> bool {
        false
    }

    /// Remembers a name in an object.
    fn note(_: &mut Self::Object, _: &str) {}

    /// Whether an object is, by the names in it.
    fn in_object(_: Self::Object) -> bool {
        false
    }
}

/// Texts that ask for the permission to call.
pub(super) struct Calls;

impl Look for Calls {
    type Object = ();

    fn in_text(text: &str) -> bool {
        is_call(text)
    }
}

/// Objects that name somebody and carry what a message carries: an edge that nobody knows could take many of them at once.
pub(super) struct Messages;

impl Look for Messages {
    type Object = Seen;

    fn note(seen: &mut Seen, name: &str) {
        if let Some(judged) = Spelled::of(name).name() {
            seen.insert(judged);
        }
    }

    fn in_object(seen: Seen) -> bool {
        let is_message = seen.has_payload() || seen.has(Name::Type) || seen.has(Name::MessagingProduct);
        seen.has_recipient() && is_message
    }
}

/// Reads any value to its end; what it points at turns true if what is looked for is found.
pub(super) struct Walk<'f, L> {
    found: &'f mut bool,
    look: PhantomData<L>,
}

impl<'f, L: Look> Walk<'f, L> {
    /// Notes in `found` whether it is there, and leaves it if it is not.
    pub(super) fn noting(found: &'f mut bool) -> Self {
        Self { found, look: PhantomData }
    }
}

impl<'de, L: Look> DeserializeSeed<'de> for Walk<'_, L> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, L: Look> Visitor<'de> for Walk<'_, L> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, text: &str) -> Result<(), E> {
        *self.found |= L::in_text(text);
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        while seq.next_element_seed(Walk::<L>::noting(&mut *self.found))?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut object = L::Object::default();
        while let Some(name) = map.next_key_seed(Text)? {
            L::note(&mut object, &name);
            map.next_value_seed(Walk::<L>::noting(&mut *self.found))?;
        }
        *self.found |= L::in_object(object);
        Ok(())
    }
}
