//! Watching the file of a resumable upload while it streams.
//!
//! The provider's own sample declares it as a form (`curl --data-binary`), so a batch in it is looked for as in a form.
//! Holds the first bytes and a few counters, however long a name in it is.
//! Source: Meta, "Resumable Upload API": pdf, jpeg, png and mp4; none of them begins like JSON, a multipart body or a compressed one.

use super::names::{BATCH, CUTS, fold, is_part};
use super::scan;
use super::watch::TELLING;
use super::{Unreadable, path, unrecognized};

/// A file on its way.
pub(super) struct File {
    /// Whether it is declared as text, whose lines may be parameters to somebody.
    of_text: bool,
    start: Vec<u8>,
    begun: bool,
    /// The name of a field, where one is on its way.
    name: Option<FieldName>,
}

impl File {
    /// So many bytes tell what a body is.
    const START: usize = 16;

    pub(super) fn new(of_text: bool) -> Self {
        Self { of_text, start: Vec::new(), begun: false, name: Some(FieldName::default()) }
    }

    pub(super) fn feed(&mut self, chunk: &[u8]) -> Result<(), Unreadable> {
        if !self.begun {
            for byte in chunk {
                if self.start.len() == Self::START {
                    break;
                }
                self.start.push(*byte);
                // Space at the start says nothing, however long it is.
                if scan::without_space(&self.start).is_empty() {
                    self.start.clear();
                }
            }
            if self.start.len() == Self::START {
                self.begin()?;
            }
        }
        chunk.iter().try_for_each(|byte| self.field(*byte))
    }

    pub(super) fn finish(mut self) -> Result<(), Unreadable> {
        if self.begun { Ok(()) } else { self.begin() }
    }

    fn begin(&mut self) -> Result<(), Unreadable> {
        self.begun = true;
        if is_request(&self.start) {
            return Err(unrecognized(
                "the upload looks like a request of its own; upload pdf, jpeg, png or mp4",
            ));
        }
        Ok(())
    }

    fn field(&mut self, byte: u8) -> Result<(), Unreadable> {
        match byte {
            b'&' | b';' => self.name = Some(FieldName::default()),
            b'\r' | b'\n' if self.of_text => self.name = Some(FieldName::default()),
            b'=' if self.name.take().is_some_and(FieldName::is_batch) => return Err(unrecognized(TELLING)),
            b'=' => {}
            _ => {
                if let Some(name) = &mut self.name {
                    name.byte(byte);
                }
            }
        }
        Ok(())
    }
}

/// Whether text begins here that some reader takes for JSON or multipart, in UTF-8 or UTF-16. The rest of a resumed file may begin with any bytes.
fn is_request(start: &[u8]) -> bool {
    let bare = [&b"\xef\xbb\xbf"[..], b"\xff\xfe", b"\xfe\xff"]
        .iter()
        .find_map(|mark| start.strip_prefix(*mark))
        .unwrap_or(start);
    if is_wide(bare) {
        return true;
    }
    let narrow: Vec<u8> = bare.iter().copied().filter(|b| *b != 0).collect();
    let text = scan::without_space(&narrow);
    let begins = matches!(text, [b'{' | b'[' | b'"' | b'/' | b'\'', ..]);
    // What was cut off here may go on as text.
    let is_text = || std::str::from_utf8(text).map_or_else(|error| error.error_len().is_none(), |_| true);
    // A boundary may be of any bytes to somebody; of the files that may begin anywhere, one in 65,536 begins like one.
    text.starts_with(b"--") || begins && is_text()
}

/// Whether plain text in UTF-16 begins here, in which the names of fields are not looked for.
fn is_wide(text: &[u8]) -> bool {
    let is_plain = |pair: &[u8]| {
        matches!(pair, [b' '..=b'~' | b'\t' | b'\r' | b'\n', 0] | [0, b' '..=b'~' | b'\t' | b'\r' | b'\n'])
    };
    text.len() >= 4 && text.chunks_exact(2).all(is_plain)
}

/// The name of a field on its way, compared with `batch` as [`names`](super::names) compares a name that is there as a whole.
#[derive(Clone, Copy, Default)]
struct FieldName {
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
    fn is_batch(mut self) -> bool {
        self.end_escape();
        self.matched == BATCH.len()
    }

    fn byte(&mut self, byte: u8) {
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
