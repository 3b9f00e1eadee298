//! Names that stream: compared with `batch` byte by byte, however long they are.

use super::names::{BATCH, CUTS, fold, is_part};
use super::path;

/// The name of a field on its way, compared with `batch` as [`names`](super::names) compares a name that is there as a whole.
#[derive(Clone, Copy, Default)]
pub(super) struct FieldName {
    /// How many letters of `batch` it ends in.
    matched: usize,
    stage: Stage,
    escape: Escape,
    wide: Wide,
}

/// What of a name has been read.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Stage {
    /// Signs that a reader drops.
    #[default]
    Before,
    /// Its letters.
    Letters,
    /// And behind them signs, to be dropped if nothing else follows.
    Signs,
    /// What follows is cut off.
    Cut,
}

/// What of a percent escape has been read.
#[derive(Clone, Copy, Default)]
enum Escape {
    #[default]
    None,
    Percent,
    High(u8),
}

/// What of a full-width character has been read: three bytes in UTF-8, the first of which is 0xef.
#[derive(Clone, Copy, Default)]
enum Wide {
    #[default]
    None,
    First,
    Second(u8),
}

impl FieldName {
    pub(super) fn is_batch(mut self) -> bool {
        self.end_escape();
        self.matched == BATCH.len()
    }

    pub(super) fn byte(&mut self, byte: u8) {
        match (self.escape, byte) {
            (Escape::None, b'%') => self.escape = Escape::Percent,
            (Escape::None, b'+') => self.decoded(b' '),
            (Escape::None, _) => self.decoded(byte),
            (Escape::Percent, _) if byte.is_ascii_hexdigit() => self.escape = Escape::High(byte),
            (Escape::High(high), _) if byte.is_ascii_hexdigit() => {
                self.escape = Escape::None;
                self.decoded(path::escape(&[high, byte]).map_or(b'%', |(decoded, _)| decoded));
            }
            (Escape::Percent | Escape::High(_), _) => {
                self.end_escape();
                self.byte(byte);
            }
        }
    }

    /// A broken escape stands for itself.
    fn end_escape(&mut self) {
        match std::mem::take(&mut self.escape) {
            Escape::None => {}
            Escape::Percent => self.decoded(b'%'),
            Escape::High(high) => {
                self.decoded(b'%');
                self.decoded(high);
            }
        }
    }

    fn decoded(&mut self, byte: u8) {
        match (std::mem::take(&mut self.wide), byte) {
            (Wide::First, 0xbc | 0xbd) => self.wide = Wide::Second(byte),
            (Wide::Second(second), 0x80..=0xbf) => {
                let code = 0xf000 | u32::from(second & 0x3f) << 6 | u32::from(byte & 0x3f);
                self.character(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER));
            }
            (_, 0xef) => self.wide = Wide::First,
            (_, 0x80..) => {}
            (_, ascii) => self.character(char::from(ascii)),
        }
    }

    fn character(&mut self, c: char) {
        let Some(letter) = fold(c) else { return self.cut(c) };
        self.stage = match self.stage {
            Stage::Cut => return,
            Stage::Letters | Stage::Signs if CUTS.contains(&c) => Stage::Cut,
            Stage::Before | Stage::Letters | Stage::Signs if is_part(c) => {
                if self.stage == Stage::Signs {
                    self.matched = 0;
                }
                let next = BATCH.as_bytes().get(self.matched).copied();
                // No letter stands twice in it, so a name that goes astray can only begin anew.
                self.matched = match letter {
                    _ if next == Some(letter) => self.matched + 1,
                    b'b' => 1,
                    _ => 0,
                };
                Stage::Letters
            }
            Stage::Before => Stage::Before,
            Stage::Letters | Stage::Signs => Stage::Signs,
        };
    }

    /// A character that folding drops may still cut.
    fn cut(&mut self, c: char) {
        if matches!(self.stage, Stage::Letters | Stage::Signs) && CUTS.contains(&c) {
            self.stage = Stage::Cut;
        }
    }
}

/// The keys of a document in no strict form: in quotes of either kind or in none, escaped as JSON does, in one byte a character or two.
#[derive(Default)]
pub(super) struct Keys {
    name: FieldName,
    escape: Escaped,
}

/// What of a backslash escape has been read.
#[derive(Clone, Copy, Default)]
enum Escaped {
    #[default]
    None,
    Backslash,
    /// The value so far, and the digits to come.
    Code(u32, u8),
}

impl Keys {
    /// Reads the next byte; `true` if a key ends here that is taken for `batch`.
    pub(super) fn ends_batch(&mut self, byte: u8) -> bool {
        match (self.escape, byte) {
            // In UTF-16, each character has one beside it; elsewhere a name may be cut there.
            (_, 0) => return self.name.is_batch(),
            (Escaped::Backslash, b'u') => self.escape = Escaped::Code(0, 4),
            (Escaped::Backslash, b'x') => self.escape = Escaped::Code(0, 2),
            (Escaped::Backslash, b'U') => self.escape = Escaped::Code(0, 8),
            (Escaped::Code(0, 4), b'{') => self.escape = Escaped::Code(0, u8::MAX),
            (Escaped::Code(value, 9..), b'}') => self.code(value, 0),
            // These stand for control characters, which a name does not hold.
            (Escaped::Backslash, b'b' | b'f' | b'n' | b'r' | b't') => self.escape = Escaped::None,
            (Escaped::Code(value, digits), _) if byte.is_ascii_hexdigit() => {
                let digit = char::from(byte).to_digit(16).unwrap_or_default();
                self.code(value << 4 | digit, digits - 1);
            }
            (Escaped::None, b'\\') => self.escape = Escaped::Backslash,
            (_, _) => {
                self.escape = Escaped::None;
                return self.plain(byte);
            }
        }
        false
    }

    fn code(&mut self, value: u32, digits: u8) {
        self.escape = Escaped::Code(value, digits);
        if digits == 0 {
            self.escape = Escaped::None;
            self.name.character(char::from_u32(value).unwrap_or(char::REPLACEMENT_CHARACTER));
        }
    }

    /// Within a document, any of these may be the end of a key.
    fn plain(&mut self, byte: u8) -> bool {
        if matches!(byte, b'"' | b'\'' | b'`' | b':' | b'=' | b'>' | b'[' | b']' | b'/') {
            return std::mem::take(&mut self.name).is_batch();
        }
        self.name.decoded(byte);
        false
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::wire::recognize::form;
    use crate::wire::recognize::names::{Name, Spelled};

    fn streamed(name: &[u8]) -> bool {
        let mut reading = FieldName::default();
        for byte in name {
            reading.byte(*byte);
        }
        reading.is_batch()
    }

    fn whole(name: &[u8]) -> bool {
        Spelled::of(&form::decode_lossy(name)).name() == Some(Name::Batch)
    }

    #[test]
    fn a_name_is_batch_however_long_the_signs_around_it_are() {
        for (before, within, after) in
            [("-", "", ""), ("[", "\u{200b}", "."), ("\u{e9}", "", "%00\u{e9}x"), ("%5B", "%E2%80%8B", "[x]")]
        {
            let [before, within, after] = [before, within, after].map(|signs| signs.repeat(100));
            let name = format!("{before}ba{within}t\u{ff43}H{after}");
            assert!(streamed(name.as_bytes()), "{name}");
        }
        assert!(streamed(b"asyncbatch[]") && streamed(b"ba-batch"));
        for name in ["batch_", "bat-ch", "batches", "batch.x", "bat%", "", "[%"] {
            assert!(!streamed(name.as_bytes()), "{name}");
        }
    }

    /// Whether a key in a document is taken for `batch`.
    fn told(document: &[u8]) -> bool {
        let mut keys = Keys::default();
        document.iter().any(|byte| keys.ends_batch(*byte))
    }

    #[test]
    fn a_key_is_batch_in_every_spelling_of_a_document() {
        for document in [
            &b"{\"batch\":[]}"[..],
            b"{\xde'batch' : []",
            b"{batch:[]",
            b"[{\xff x, batch = [",
            b"{\"b\\u0061tc\\u0068\":",
            b"{\"\\x62atch\":",
            b"{\"b\\batch\":",
            b"{\"ba\xff\xfetch\":",
            b"{\"BATCH[0]\":",
            b"{\"%batch\":",
            b"#\n{batch/*x*/:[",
            b"{batch//x\n:",
            b"{\"\\U00000062atch\":",
            b"{\"\\u{62}atch\":",
            b"{\"%ba%tch%\", \"%batch \":",
            b"{\0\"\0b\0a\0t\0c\0h\0\"\0:\0",
            b"\0{\0\"\0b\0a\0t\0c\0h\0\"",
            "{\"\u{ff42}atch\u{200b}\":".as_bytes(),
        ] {
            assert!(told(document), "{}", String::from_utf8_lossy(document));
        }
        for document in
            [&b"{\"batches\":1, \"bat\":\"ch\", \"bat\\nch_\":"[..], b"a batch of things", b"{\"\\u00", b"\\"]
        {
            assert!(!told(document), "{}", String::from_utf8_lossy(document));
        }
    }

    proptest! {
        #[test]
        fn a_name_that_streams_is_read_like_one_that_is_there(pieces in prop::collection::vec(prop::sample::select(vec![
            "b", "a", "t", "c", "h", "B", "batch", "bat", "ch", "%62", "%6", "%", "%zz", "%00", "\0", "[", "]", "%5b", "-", ".", " ", "+", "_", "\u{200b}",
            "\u{ff42}", "%EF%BD%82", "%EF%BD", "%ef", "\u{ff3b}", "\u{e9}", "%ff", "x", "\"",
        ]), 0..12)) {
            let name = pieces.concat();
            prop_assert_eq!(streamed(name.as_bytes()), whole(name.as_bytes()), "{:?}", name);
        }
    }
}
