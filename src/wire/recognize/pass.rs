//! Passing over JSON in which nothing is escaped: where a text, a number or a whole value ends, and that the grammar has it so.
//!
//! Every place is a number that is handed on, so that it stays in a register. Knows no serde, and keeps nothing of what it passes.

/// What is wrong with a document; who reads it knows what to say.
#[derive(Debug)]
pub(super) struct Fault;

/// A document of the plain kind.
#[derive(Clone, Copy)]
pub(super) struct Grammar<'de> {
    /// All of it.
    pub(super) bytes: &'de [u8],
    /// Whether it has line breaks or tabs, which no text may hold.
    pub(super) spread: bool,
}

/// A byte that is no space, and where it stands.
pub(super) type Token = (u8, usize);

/// Where passing over a value stands.
enum Step {
    /// Before a value.
    Value(Token),
    /// Behind the end of one.
    End(usize),
}

/// What is open around a value, innermost last: a bit for each, set for a list. Above them are as many as the value lies deep, and one, so that a bit
/// stands at the very top where serde_json goes no deeper.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Open(u128);

impl Open {
    fn nothing(depth: u8) -> Self {
        Self(u128::MAX >> 127_u8.saturating_sub(depth))
    }

    fn with(self, list: bool) -> Result<Self, Fault> {
        let is_full = self.0 >> 127 == 1;
        if is_full { Err(Fault) } else { Ok(Self(self.0 << 1 | u128::from(list))) }
    }

    fn without(self) -> Self {
        Self(self.0 >> 1)
    }

    fn is_list(self) -> bool {
        self.0 & 1 == 1
    }

    fn close(self) -> u8 {
        if self.is_list() { b']' } else { b'}' }
    }
}

impl Grammar<'_> {
    /// The first byte of what comes next.
    #[inline]
    pub(super) fn peek(self, at: usize) -> Result<Token, Fault> {
        let byte = self.byte(at)?;
        if byte > b' ' {
            return Ok((byte, at));
        }
        // Nearly always it is one space.
        match self.bytes.get(at + 1) {
            Some(next) if byte == b' ' && *next > b' ' => Ok((*next, at + 1)),
            Some(_) | None => self.behind_spaces(at),
        }
    }

    fn byte(self, at: usize) -> Result<u8, Fault> {
        self.bytes.get(at).copied().ok_or(Fault)
    }

    #[inline(never)]
    fn behind_spaces(self, mut at: usize) -> Result<Token, Fault> {
        loop {
            match self.byte(at)? {
                b' ' | b'\n' | b'\r' | b'\t' => at += 1,
                byte => return Ok((byte, at)),
            }
        }
    }

    /// Where the text ends whose first byte, behind the quote, stands here: at the next quote.
    #[inline]
    pub(super) fn text(self, begin: usize) -> Result<usize, Fault> {
        let rest = self.bytes.get(begin..).ok_or(Fault)?;
        let length = near_quote(rest).or_else(|| far_quote(rest)).ok_or(Fault)?;
        if self.spread && holds_control(rest, length) { Err(Fault) } else { Ok(begin + length) }
    }

    /// The same, for a text of a few bytes in a document without line breaks; `None` for any other.
    #[inline]
    pub(super) fn short_text(self, begin: usize) -> Option<usize> {
        let length = near_quote(self.bytes.get(begin..)?)?;
        (!self.spread).then_some(begin + length)
    }

    /// Where the text begins that stands behind the quote here and this sign, nearly always with no space or one.
    #[inline]
    fn text_behind(self, quote: usize, sign: u8) -> Option<usize> {
        let behind = self.bytes.get(quote + 1..)?;
        if *behind.first_chunk()? == [sign, b'"'] {
            return Some(quote + 3);
        }
        (*behind.first_chunk()? == [sign, b' ', b'"']).then_some(quote + 4)
    }

    /// Passes over the name that begins here, and over as many members as are nothing but texts.
    #[inline]
    fn members(self, (byte, at): Token) -> Result<Step, Fault> {
        if byte != b'"' {
            return Err(Fault);
        }
        let mut begin = at + 1;
        loop {
            let end = self.text(begin)?;
            let Some(value) = self.text_behind(end, b':') else {
                let (colon, at) = self.peek(end + 1)?;
                return if colon == b':' { self.peek(at + 1).map(Step::Value) } else { Err(Fault) };
            };
            let end = self.text(value)?;
            match self.text_behind(end, b',') {
                Some(next) => begin = next,
                None => return Ok(Step::End(end + 1)),
            }
        }
    }

    /// Passes over the value that begins here, as deep as this in the document, to what follows it.
    pub(super) fn value(self, first: Token, depth: u8) -> Result<usize, Fault> {
        let outermost = Open::nothing(depth);
        let (mut open, mut token) = (outermost, first);
        'inside: loop {
            let step = if open.is_list() { Step::Value(token) } else { self.members(token)? };
            let mut end = match step {
                Step::End(end) => end,
                Step::Value((b'"', at)) => self.text(at + 1)? + 1,
                Step::Value((opening @ (b'{' | b'['), at)) => {
                    let inner = open.with(opening == b'[')?;
                    token = self.peek(at + 1)?;
                    if token.0 != inner.close() {
                        open = inner;
                        continue 'inside;
                    }
                    token.1 + 1
                }
                Step::Value(other) => self.scalar(other)?,
            };
            while open != outermost {
                let (byte, at) = self.peek(end)?;
                if byte == b',' {
                    token = self.peek(at + 1)?;
                    continue 'inside;
                }
                if byte != open.close() {
                    return Err(Fault);
                }
                open = open.without();
                end = at + 1;
            }
            return Ok(end);
        }
    }

    /// Passes over `true`, `false`, `null` or a number.
    #[inline(never)]
    fn scalar(self, (byte, at): Token) -> Result<usize, Fault> {
        match byte {
            b't' => self.word(at, b"true"),
            b'f' => self.word(at, b"false"),
            b'n' => self.word(at, b"null"),
            _ => self.number(at),
        }
    }

    /// Passes over a word that must stand here.
    pub(super) fn word(self, at: usize, word: &[u8]) -> Result<usize, Fault> {
        let end = at + word.len();
        if self.bytes.get(at..end) == Some(word) { Ok(end) } else { Err(Fault) }
    }

    fn digits(self, from: usize) -> usize {
        let rest = self.bytes.get(from..).unwrap_or_default();
        rest.iter().take_while(|byte| byte.is_ascii_digit()).count()
    }

    /// Passes over a number as the grammar has it.
    pub(super) fn number(self, begin: usize) -> Result<usize, Fault> {
        let byte = |at: usize| self.bytes.get(at).copied();
        let mut end = begin + usize::from(byte(begin) == Some(b'-'));
        let whole = self.digits(end);
        if whole == 0 || (whole > 1 && byte(end) == Some(b'0')) {
            return Err(Fault);
        }
        end += whole;
        if byte(end) == Some(b'.') {
            let fraction = self.digits(end + 1);
            end += 1 + fraction;
            if fraction == 0 {
                return Err(Fault);
            }
        }
        let is_scaled = matches!(byte(end), Some(b'e' | b'E'));
        if is_scaled {
            end += 1 + usize::from(matches!(byte(end + 1), Some(b'+' | b'-')));
            let exponent = self.digits(end);
            end += exponent;
            if exponent == 0 {
                return Err(Fault);
            }
        }
        // Who looks into values with serde_json meets no infinity; whoever passes over them here does not either.
        let is_huge = end - begin > 300 || is_scaled;
        if is_huge && !self.bytes.get(begin..end).is_some_and(is_finite) { Err(Fault) } else { Ok(end) }
    }
}

fn is_finite(number: &[u8]) -> bool {
    std::str::from_utf8(number).is_ok_and(|number| number.parse().is_ok_and(f64::is_finite))
}

/// Whether there is a control character so far; without a way out, so that many bytes are looked at together.
#[inline(never)]
fn holds_control(rest: &[u8], length: usize) -> bool {
    rest.iter().take(length).fold(u8::MAX, |least, byte| least.min(*byte)) < b' '
}

/// Where the next quote stands if it is one of the first sixteen bytes.
#[inline]
fn near_quote(text: &[u8]) -> Option<usize> {
    let (words, _) = text.first_chunk::<16>()?.as_chunks();
    let [first, second] = words else { return None };
    let (marks, others) = (quotes(*first), quotes(*second));
    match marks {
        0 if others == 0 => None,
        0 => Some(8 + place(others)),
        _ => Some(place(marks)),
    }
}

/// Where the next quote stands that is none of them. Most texts are short: a search takes longer to begin than to end.
#[inline(never)]
fn far_quote(text: &[u8]) -> Option<usize> {
    const NEAR: usize = 96;
    let mut passed = if text.len() < 16 { 0 } else { 16 };
    let (words, _) = text.get(passed..NEAR).or(text.get(passed..))?.as_chunks();
    for word in words {
        let marks = quotes(*word);
        if marks != 0 {
            return Some(passed + place(marks));
        }
        passed += 8;
    }
    memchr::memchr(b'"', text.get(passed..)?).map(|more| passed + more)
}

/// Marks the first byte of eight that is a quote; above it, others may be marked as well.
#[inline]
fn quotes(word: [u8; 8]) -> u64 {
    let differs = u64::from_le_bytes(word) ^ u64::from_le_bytes([b'"'; 8]);
    differs.wrapping_sub(u64::from_le_bytes([1; 8])) & !differs & u64::from_le_bytes([0x80; 8])
}

/// Which byte is the first that is marked.
#[inline]
fn place(marks: u64) -> usize {
    (marks.trailing_zeros() / 8) as usize
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn quote(text: &[u8]) -> Option<usize> {
        Grammar { bytes: text, spread: false }.text(0).ok()
    }

    proptest! {
        #[test]
        fn the_next_quote_is_found_wherever_it_stands(bytes in proptest::collection::vec("[\"!#\u{a2}]", 0..160)) {
            let text = bytes.concat();
            prop_assert_eq!(quote(text.as_bytes()), text.find('"'), "{}", text);
        }
    }

    #[test]
    fn a_quote_is_told_from_every_other_byte_at_every_place() {
        for at in 0..120 {
            for byte in 0..=u8::MAX {
                let mut text = [byte; 121];
                text[at] = b'"';
                assert_eq!(quote(&text), Some(if byte == b'"' { 0 } else { at }), "{byte} {at}");
            }
        }
        for length in 0..120 {
            assert_eq!((quote(&vec![b'#'; length]), quote(&vec![b'!'; length])), (None, None), "{length}");
        }
    }

    #[test]
    fn what_is_open_is_told_as_deep_as_a_document_may_go() {
        for depth in 0..=127 {
            let outermost = Open::nothing(depth);
            let mut open = outermost;
            for level in depth..127 {
                open = open.with(level % 3 == 0).unwrap();
            }
            assert!(open.with(true).is_err() && open.with(false).is_err(), "{depth}");
            for level in (depth..127).rev() {
                assert!(open != outermost && open.is_list() == (level % 3 == 0), "{depth} {level}");
                open = open.without();
            }
            assert!(open == outermost, "{depth}");
        }
    }
}
