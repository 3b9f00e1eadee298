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
    /// Whether it has the rarest letter of what some look for in it.
    has_q: bool,
}

/// What is wrong with a document; who reads it knows what to say.
#[derive(Debug)]
pub(super) struct Fault;

impl<'de> Plain<'de> {
    /// A document in which nothing is escaped and nothing can be nested deeper than serde_json goes; `None` for any other.
    pub(super) fn of(body: &'de [u8]) -> Option<Self> {
        let bytes = Bytes::of(body);
        if bytes.opening >= DEEPEST || bytes.escapes {
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
        let mut reader = Reader { text: self.text, at: 0, spread: self.spread };
        let value = seed.deserialize(&mut reader)?;
        if reader.peek().is_err() { Ok(value) } else { Err(Fault) }
    }
}

/// What the bytes of a document tell, in one pass.
struct Bytes {
    least: u8,
    opening: usize,
    escapes: bool,
    has_q: bool,
}

impl Bytes {
    fn of(body: &[u8]) -> Self {
        let mut found = Self { least: u8::MAX, opening: 0, escapes: false, has_q: false };
        // Few enough at a time that a byte can count them, so that many are looked at together.
        let (pieces, rest) = body.as_chunks::<64>();
        for piece in pieces {
            found.look(piece);
        }
        found.look(rest);
        found
    }

    #[inline]
    fn look(&mut self, piece: &[u8]) {
        // In ASCII, one bit tells `[` from `{` and `Q` from `q`.
        const FOLD: u8 = 0x20;
        let (mut least, mut opening, mut escapes, mut has_q) = (u8::MAX, 0_u8, false, false);
        for byte in piece {
            least = least.min(*byte);
            opening = opening.wrapping_add(u8::from(byte | FOLD == b'{'));
            escapes |= *byte == b'\\';
            has_q |= byte | FOLD == b'q';
        }
        self.least = self.least.min(least);
        self.opening += usize::from(opening);
        self.escapes |= escapes;
        self.has_q |= has_q;
    }
}

/// Where the next quote stands. Most texts are names and words, for which a search takes longer to begin than to end.
#[inline]
fn quote(text: &[u8]) -> Option<usize> {
    const WORDS: usize = 3;
    let (words, _) = text.as_chunks::<8>();
    for (at, word) in words.iter().take(WORDS).enumerate() {
        let marks = quotes(u64::from_le_bytes(*word));
        if marks != 0 {
            return Some(at * 8 + (marks.trailing_zeros() / 8) as usize);
        }
    }
    let passed = words.len().min(WORDS) * 8;
    memchr::memchr(b'"', text.get(passed..)?).map(|more| passed + more)
}

/// Marks the first byte of eight that is a quote; above it, others may be marked as well.
#[inline]
fn quotes(word: u64) -> u64 {
    let differs = word ^ u64::from_le_bytes([b'"'; 8]);
    differs.wrapping_sub(u64::from_le_bytes([1; 8])) & !differs & u64::from_le_bytes([0x80; 8])
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
        let length = quote(rest).ok_or(Fault)?;
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

    proptest! {
        #[test]
        fn the_next_quote_is_found_wherever_it_stands(bytes in proptest::collection::vec("[\"!#\u{a2}]", 0..60)) {
            let text = bytes.concat();
            prop_assert_eq!(quote(text.as_bytes()), text.find('"'), "{}", text);
        }
    }

    #[test]
    fn a_quote_is_told_from_every_other_byte_at_every_place() {
        for at in 0..40 {
            for byte in 0..=u8::MAX {
                let mut text = [byte; 41];
                text[at] = b'"';
                assert_eq!(quote(&text), Some(if byte == b'"' { 0 } else { at }), "{byte} {at}");
            }
        }
        assert_eq!((quote(b""), quote(&[b'#'; 23]), quote(&[b'!'; 24])), (None, None, None));
    }

    #[test]
    fn what_the_bytes_tell_is_told_of_all_of_them() {
        for length in [1, 63, 64, 65, 127, 128, 300] {
            for at in [0, length / 2, length - 1] {
                let found = |byte: u8| {
                    let mut text = vec![b'z'; length];
                    text[at] = byte;
                    let Bytes { least, opening, escapes, has_q } = Bytes::of(&text);
                    (least.min(b'z') == byte.min(b'z'), opening, escapes, has_q)
                };
                assert_eq!(found(b'z'), (true, 0, false, false));
                assert_eq!((found(b'['), found(b'{')), ((true, 1, false, false), (true, 1, false, false)));
                assert_eq!((found(b'\\'), found(9)), ((true, 0, true, false), (true, 0, false, false)));
                assert_eq!((found(b'q'), found(b'Q')), ((true, 0, false, true), (true, 0, false, true)));
            }
            assert_eq!(Bytes::of(&vec![b'['; length]).opening, length);
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
