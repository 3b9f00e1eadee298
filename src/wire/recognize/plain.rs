//! Reading JSON in which nothing is escaped, as nearly every send is written: as strictly as `strict`, in a third of its time.
//!
//! Without a backslash a text ends at the next quote. What is read, and what is refused, is the same as with serde_json; the tests read everything both ways.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde::forward_to_deserialize_any;

/// How deep serde_json goes.
const DEEPEST: usize = 128;

/// A document of the plain kind.
#[derive(Clone, Copy)]
pub(super) struct Plain<'de> {
    text: &'de str,
    /// Whether it has line breaks or tabs, which no text may hold.
    spread: bool,
}

/// What is wrong with a document; who reads it knows what to say.
#[derive(Debug)]
pub(super) struct Fault;

impl<'de> Plain<'de> {
    /// A document in which nothing is escaped and nothing can be nested deeper than serde_json goes; `None` for any other.
    pub(super) fn of(body: &'de [u8]) -> Option<Self> {
        let nested = memchr::memchr2_iter(b'{', b'[', body).count();
        if nested >= DEEPEST || memchr::memchr(b'\\', body).is_some() {
            return None;
        }
        let spread = body.iter().fold(u8::MAX, |least, byte| least.min(*byte)) < b' ';
        std::str::from_utf8(body).ok().map(|text| Self { text, spread })
    }

    /// Runs a seed over the whole document.
    pub(super) fn whole<S: DeserializeSeed<'de>>(self, seed: S) -> Result<S::Value, Fault> {
        let mut reader = Reader { text: self.text, at: 0, spread: self.spread };
        let value = seed.deserialize(&mut reader)?;
        if reader.peek().is_err() { Ok(value) } else { Err(Fault) }
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
    spread: bool,
}

impl<'de> Reader<'de> {
    fn byte(&self, at: usize) -> Option<u8> {
        self.text.as_bytes().get(at).copied()
    }

    /// The first byte of what comes next.
    #[inline]
    fn peek(&mut self) -> Result<u8, Fault> {
        loop {
            match self.byte(self.at).ok_or(Fault)? {
                b' ' | b'\n' | b'\r' | b'\t' => self.at += 1,
                byte => return Ok(byte),
            }
        }
    }

    /// Takes this byte, which must come next.
    #[inline]
    fn expect(&mut self, byte: u8) -> Result<(), Fault> {
        let next = self.peek()?;
        self.at += 1;
        if next == byte { Ok(()) } else { Err(Fault) }
    }

    /// What separates members, or their end: whether there is another one.
    #[inline]
    fn another(&mut self, close: u8) -> Result<bool, Fault> {
        let next = self.peek()?;
        self.at += 1;
        match next {
            b',' => Ok(true),
            end if end == close => Ok(false),
            _ => Err(Fault),
        }
    }

    /// Passes over a text; gives where it began and where it ended.
    #[inline]
    fn pass_text(&mut self) -> Result<(usize, usize), Fault> {
        self.expect(b'"')?;
        let begin = self.at;
        let rest = self.text.as_bytes().get(begin..).ok_or(Fault)?;
        let length = memchr::memchr(b'"', rest).ok_or(Fault)?;
        let odd = self.spread && rest.iter().take(length).any(|byte| *byte < b' ');
        self.at = begin + length + 1;
        if odd { Err(Fault) } else { Ok((begin, begin + length)) }
    }

    fn text(&mut self) -> Result<&'de str, Fault> {
        let (begin, end) = self.pass_text()?;
        self.text.get(begin..end).ok_or(Fault)
    }

    fn word(&mut self, word: &[u8]) -> Result<(), Fault> {
        let end = self.at + word.len();
        let is = self.text.as_bytes().get(self.at..end) == Some(word);
        self.at = end;
        if is { Ok(()) } else { Err(Fault) }
    }

    fn digits(&self, from: usize) -> usize {
        let rest = self.text.as_bytes().get(from..).unwrap_or_default();
        rest.iter().take_while(|byte| byte.is_ascii_digit()).count()
    }

    /// A number as the grammar has it.
    fn number(&mut self) -> Result<&'de str, Fault> {
        let begin = self.at;
        let mut end = begin + usize::from(self.byte(begin) == Some(b'-'));
        let whole = self.digits(end);
        if whole == 0 || (whole > 1 && self.byte(end) == Some(b'0')) {
            return Err(Fault);
        }
        end += whole;
        if self.byte(end) == Some(b'.') {
            let fraction = self.digits(end + 1);
            end += 1 + fraction;
            if fraction == 0 {
                return Err(Fault);
            }
        }
        if let Some(b'e' | b'E') = self.byte(end) {
            end += 1 + usize::from(matches!(self.byte(end + 1), Some(b'+' | b'-')));
            let exponent = self.digits(end);
            end += exponent;
            if exponent == 0 {
                return Err(Fault);
            }
        }
        self.at = end;
        let number = self.text.get(begin..end).ok_or(Fault)?;
        // Who looks into values with serde_json meets no infinity; whoever passes over them here does not either.
        let is_huge = number.len() > 300 || number.contains(['e', 'E']);
        if is_huge && !number.parse().is_ok_and(f64::is_finite) { Err(Fault) } else { Ok(number) }
    }

    /// Whether an object or a list has members; stands before the first then, behind its end otherwise.
    #[inline]
    fn open(&mut self, close: u8) -> Result<bool, Fault> {
        self.at += 1;
        let empty = self.peek()? == close;
        self.at += usize::from(empty);
        Ok(!empty)
    }

    /// Reads a value to its end. As deep as the document is nested, which [`Plain::of`] has bounded.
    fn skip(&mut self) -> Result<(), Fault> {
        match self.peek()? {
            b'"' => self.pass_text().map(drop),
            b'{' => {
                let mut more = self.open(b'}')?;
                while more {
                    self.pass_text()?;
                    self.expect(b':')?;
                    self.skip()?;
                    more = self.another(b'}')?;
                }
                Ok(())
            }
            b'[' => {
                let mut more = self.open(b']')?;
                while more {
                    self.skip()?;
                    more = self.another(b']')?;
                }
                Ok(())
            }
            b't' => self.word(b"true"),
            b'f' => self.word(b"false"),
            b'n' => self.word(b"null"),
            _ => self.number().map(drop),
        }
    }
}

impl<'de> Deserializer<'de> for &mut Reader<'de> {
    type Error = Fault;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match self.peek()? {
            b'"' => visitor.visit_borrowed_str(self.text()?),
            b'{' => self.deserialize_map(visitor),
            b'[' => {
                self.expect(b'[')?;
                let mut members = Members { reader: self, close: b']', began: false };
                let value = visitor.visit_seq(&mut members)?;
                members.end(value)
            }
            b't' => self.word(b"true").and_then(|()| visitor.visit_bool(true)),
            b'f' => self.word(b"false").and_then(|()| visitor.visit_bool(false)),
            b'n' => self.word(b"null").and_then(|()| visitor.visit_unit()),
            _ => {
                let number: f64 = self.number()?.parse().map_err(|_| Fault)?;
                visitor.visit_f64(number)
            }
        }
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_borrowed_str(self.text()?)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.expect(b'{')?;
        let mut members = Members { reader: self, close: b'}', began: false };
        let value = visitor.visit_map(&mut members)?;
        members.end(value)
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.skip()?;
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
        if self.reader.peek()? != b'"' {
            return Err(Fault);
        }
        seed.deserialize(&mut *self.reader).map(Some)
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
        ] {
            assert!(!read_both_ways(refused.as_bytes()), "{refused}");
        }
        for other in [r#"{"a":"\n"}"#, &nested(128)] {
            assert!(Plain::of(other.as_bytes()).is_none(), "{other}");
        }
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
