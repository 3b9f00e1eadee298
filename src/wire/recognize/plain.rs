//! Reading JSON in which nothing is escaped, as nearly every send is written: as strictly as `strict`, in a third of its time.
//!
//! Without a backslash a text ends at the next quote. What is read, and what is refused, is the same as with serde_json; the tests read everything both ways.

use std::fmt;

use serde::de::value::BorrowedStrDeserializer;
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde::forward_to_deserialize_any;

use super::pass::{Fault, Grammar};

/// How deep serde_json goes.
const DEEPEST: u8 = 127;

/// A document of the plain kind.
#[derive(Clone, Copy)]
pub(super) struct Plain<'de> {
    text: &'de str,
    /// Whether it has line breaks or tabs, which no text may hold.
    spread: bool,
    /// Whether it has the rarest letter of what some look for in it.
    has_q: bool,
}

impl<'de> Plain<'de> {
    /// A document in which nothing is escaped; `None` for any other.
    pub(super) fn of(body: &'de [u8]) -> Option<Self> {
        let bytes = Bytes::of(body);
        if bytes.escapes {
            return None;
        }
        let text = std::str::from_utf8(body).ok()?;
        Some(Self { text, spread: bytes.least < b' ', has_q: bytes.has_q })
    }

    /// Whether there is a `q` or a `Q` in it.
    pub(super) fn has_q(self) -> bool {
        self.has_q
    }

    /// Runs a seed over the whole document.
    pub(super) fn whole<S: DeserializeSeed<'de>>(self, seed: S) -> Result<S::Value, Fault> {
        let grammar = Grammar { bytes: self.text.as_bytes(), spread: self.spread };
        let mut reader = Reader { text: self.text, at: 0, depth: 0, grammar };
        let value = seed.deserialize(&mut reader)?;
        if reader.peek().is_err() { Ok(value) } else { Err(Fault) }
    }
}

/// What the bytes of a document tell, in one pass.
struct Bytes {
    least: u8,
    escapes: bool,
    has_q: bool,
}

impl Bytes {
    fn of(body: &[u8]) -> Self {
        // In ASCII, one bit tells `Q` from `q`.
        const FOLD: u8 = 0x20;
        // Nothing but the least of three, and no way out, so that many bytes are looked at together: where it is 0, there is one.
        let (mut least, mut to_escape, mut to_q) = (u8::MAX, u8::MAX, u8::MAX);
        for byte in body {
            least = least.min(*byte);
            to_escape = to_escape.min(byte ^ b'\\');
            to_q = to_q.min((byte | FOLD) ^ b'q');
        }
        Self { least, escapes: to_escape == 0, has_q: to_q == 0 }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not strict JSON")
    }
}

impl std::error::Error for Fault {}

impl Error for Fault {
    fn custom<T: fmt::Display>(_: T) -> Self {
        Self
    }
}

/// Where reading stands.
struct Reader<'de> {
    text: &'de str,
    at: usize,
    /// How many objects and lists are open.
    depth: u8,
    grammar: Grammar<'de>,
}

impl<'de> Reader<'de> {
    /// The first byte of what comes next.
    #[inline]
    fn peek(&mut self) -> Result<u8, Fault> {
        let (byte, at) = self.grammar.peek(self.at)?;
        self.at = at;
        Ok(byte)
    }

    /// Takes this byte, which must come next.
    #[inline]
    fn expect(&mut self, byte: u8) -> Result<(), Fault> {
        let (next, at) = self.grammar.peek(self.at)?;
        self.at = at + 1;
        if next == byte { Ok(()) } else { Err(Fault) }
    }

    #[inline]
    fn text(&mut self) -> Result<&'de str, Fault> {
        self.expect(b'"')?;
        match self.grammar.short_text(self.at) {
            Some(end) => self.taken(end),
            None => self.long_text(),
        }
    }

    #[inline(never)]
    fn long_text(&mut self) -> Result<&'de str, Fault> {
        let end = self.grammar.text(self.at)?;
        self.taken(end)
    }

    /// The text that ends here.
    #[inline]
    fn taken(&mut self, end: usize) -> Result<&'de str, Fault> {
        let text = self.text.get(self.at..end).ok_or(Fault)?;
        self.at = end + 1;
        Ok(text)
    }

    /// Begins an object or a list.
    fn open(&mut self, opening: u8, close: u8) -> Result<Members<'_, 'de>, Fault> {
        self.expect(opening)?;
        if self.depth == DEEPEST {
            return Err(Fault);
        }
        self.depth += 1;
        Ok(Members { reader: self, close, began: false })
    }

    fn word(&mut self, word: &[u8]) -> Result<(), Fault> {
        self.at = self.grammar.word(self.at, word)?;
        Ok(())
    }

    fn number(&mut self) -> Result<f64, Fault> {
        let begin = self.at;
        self.at = self.grammar.number(begin)?;
        self.text.get(begin..self.at).and_then(|number| number.parse().ok()).ok_or(Fault)
    }
}

impl<'de> Deserializer<'de> for &mut Reader<'de> {
    type Error = Fault;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match self.peek()? {
            b'"' => visitor.visit_borrowed_str(self.text()?),
            b'{' => self.deserialize_map(visitor),
            b'[' => {
                let mut members = self.open(b'[', b']')?;
                let value = visitor.visit_seq(&mut members)?;
                members.end(value)
            }
            b't' => self.word(b"true").and_then(|()| visitor.visit_bool(true)),
            b'f' => self.word(b"false").and_then(|()| visitor.visit_bool(false)),
            b'n' => self.word(b"null").and_then(|()| visitor.visit_unit()),
            _ => visitor.visit_f64(self.number()?),
        }
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_borrowed_str(self.text()?)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        let mut members = self.open(b'{', b'}')?;
        let value = visitor.visit_map(&mut members)?;
        members.end(value)
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        let first = self.grammar.peek(self.at)?;
        self.at = self.grammar.value(first, self.depth)?;
        visitor.visit_unit()
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char string bytes byte_buf option unit unit_struct newtype_struct seq tuple
        tuple_struct struct enum identifier
    }
}

/// What stands in an object or a list.
struct Members<'r, 'de> {
    reader: &'r mut Reader<'de>,
    close: u8,
    began: bool,
}

impl Members<'_, '_> {
    /// Whether there is another one; stands before it then, before the end otherwise.
    #[inline]
    fn more(&mut self) -> Result<bool, Fault> {
        if self.reader.peek()? == self.close {
            return Ok(false);
        }
        if std::mem::replace(&mut self.began, true) {
            self.reader.expect(b',')?;
        }
        Ok(true)
    }

    fn end<T>(self, value: T) -> Result<T, Fault> {
        self.reader.depth -= 1;
        self.reader.expect(self.close).map(|()| value)
    }
}

impl<'de> MapAccess<'de> for &mut Members<'_, 'de> {
    type Error = Fault;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Fault> {
        if !self.more()? {
            return Ok(None);
        }
        // A name is a text, whatever would be taken for it.
        let name = self.reader.text()?;
        seed.deserialize(BorrowedStrDeserializer::new(name)).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Fault> {
        self.reader.expect(b':')?;
        seed.deserialize(&mut *self.reader)
    }
}

impl<'de> SeqAccess<'de> for &mut Members<'_, 'de> {
    type Error = Fault;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Fault> {
        if !self.more()? {
            return Ok(None);
        }
        seed.deserialize(&mut *self.reader).map(Some)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde::de::IgnoredAny;

    use super::super::strict::{self, Skip};
    use super::*;

    /// Both readers take or refuse it, looked into and passed over.
    fn read_both_ways(body: &[u8]) -> bool {
        let Some(plain) = Plain::of(body) else { return false };
        let looked = plain.whole(Skip).ok();
        assert_eq!(looked, strict::whole(body, Skip).ok(), "{}", String::from_utf8_lossy(body));
        let passed = plain.whole(std::marker::PhantomData::<IgnoredAny>).is_ok();
        assert_eq!(passed, looked.is_some(), "{}", String::from_utf8_lossy(body));
        looked.is_some()
    }

    #[test]
    fn what_the_bytes_tell_is_told_of_all_of_them() {
        for length in [1, 15, 16, 63, 64, 65, 127, 128, 300] {
            for at in [0, length / 2, length - 1] {
                let found = |byte: u8| {
                    let mut text = vec![b'z'; length];
                    text[at] = byte;
                    let Bytes { least, escapes, has_q } = Bytes::of(&text);
                    (least == byte.min(if length > 1 { b'z' } else { byte }), escapes, has_q)
                };
                assert_eq!((found(b'z'), found(9)), ((true, false, false), (true, false, false)));
                assert_eq!(found(b'\\'), (true, true, false));
                assert_eq!((found(b'q'), found(b'Q')), ((true, false, true), (true, false, true)));
            }
        }
    }

    #[test]
    fn what_is_plain_is_read_as_serde_json_reads_it() {
        let nested = |depth: usize| ["[".repeat(depth), "]".repeat(depth)].concat();
        for taken in [
            "{}",
            "[]",
            r#" { "a" : [ 1 , -0.5e+3, true , false,null ,"é" ,{} , [ ] ] } "#,
            "0",
            "-0",
            "1E5",
            r#""""#,
            &nested(127),
            &format!("[{}]", [nested(126), nested(126)].join(",")),
            &format!("[{}]", vec!["{}"; 500].join(",")),
            &format!("{}{{}}{}", r#"{"a":"#.repeat(126), "}".repeat(126)),
            "123456789012345678901234567890",
            "1e-999",
            "\t{\n\"a\"\r: [\n1\n]\n}\n",
        ] {
            assert!(read_both_ways(taken.as_bytes()), "{taken}");
        }
        for refused in [
            "",
            " ",
            "{",
            "[",
            "{}}",
            "{} x",
            "[1,]",
            "[,1]",
            "[1 2]",
            "{,}",
            r#"{"a"}"#,
            r#"{"a":}"#,
            r#"{"a" 1}"#,
            r#"{"a":1,}"#,
            "{1:2}",
            "{a:1}",
            r#"{"a":1 "b":2}"#,
            "01",
            "-",
            "+1",
            "1.",
            ".5",
            "1e",
            "1e+",
            "tru",
            "truex",
            "nul",
            r#"""#,
            r#""a"#,
            "'a'",
            "[}",
            "{]",
            "1e999",
            "NaN",
            "\u{feff}{}",
            "//",
            r#"{"a":1}{"b":2}"#,
            "{null:1}",
            "{[]:1}",
            "--1",
            "0x1",
            "1_0",
            "\"\n\"",
            "{\"a\tb\":1}",
            "\u{b}{}",
            "[\u{0}]",
            &nested(128),
            &nested(129),
            &nested(1000),
            &format!("[{}]", nested(127)),
            &format!("{}0{}", "[".repeat(128), "]".repeat(128)),
            &format!("{}{{}}{}", r#"{"a":"#.repeat(127), "}".repeat(127)),
        ] {
            assert!(!read_both_ways(refused.as_bytes()), "{refused}");
        }
        assert!(Plain::of(br#"{"a":"\n"}"#).is_none());
        assert!(Plain::of(b"\"\xff\"").is_none());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4000))]

        #[test]
        fn whatever_stands_together_is_read_as_serde_json_reads_it(
            tokens in prop::collection::vec(prop::sample::select(vec![
                "{", "}", "[", "]", ":", ",", "\"", "\"a\"", "\"b\":", "{}", "[]", " ", "0", "1", "-", ".", "e", "+", "12.5e-3", "true", "false", "null",
                "é", "n", "1e400", "{\"a\":", "[1,", "\"\"", "\u{7f}", "\n", "\t", "\u{1}",
            ]), 0..14),
        ) {
            read_both_ways(tokens.concat().as_bytes());
        }
    }
}
