//! Watching the file of a resumable upload while it streams.
//!
//! The provider's own sample declares it as a form (`curl --data-binary`), so a batch in it is looked for as in a form.
//! Holds the first bytes and a few counters, however long a name in it is.
//! Source: Meta, "Resumable Upload API": pdf, jpeg, png and mp4; none of them begins like JSON, a multipart body or a compressed one.

use super::scan;
use super::streamed::{FieldName, Keys};
use super::watch::TELLING;
use super::{Unreadable, unrecognized};

/// A file on its way.
pub(super) struct File {
    /// Whether it is declared as text, whose lines may be parameters to somebody.
    of_text: bool,
    start: Vec<u8>,
    /// Whether a mark of UTF-16 stood before it.
    marked: bool,
    begun: bool,
    /// The name of a field, where one is on its way.
    name: Option<FieldName>,
    /// The keys of the document that a loose reader could find in what begins like one, whatever it goes on as.
    keys: Option<Keys>,
}

impl File {
    /// So many bytes tell what a body is.
    const START: usize = 16;

    pub(super) fn new(of_text: bool) -> Self {
        Self {
            of_text,
            start: Vec::new(),
            marked: false,
            begun: false,
            name: Some(FieldName::default()),
            keys: None,
        }
    }

    pub(super) fn feed(&mut self, chunk: &[u8]) -> Result<(), Unreadable> {
        let rest = if self.begun { chunk } else { self.start(chunk)? };
        if let Some(keys) = &mut self.keys
            && rest.iter().any(|byte| keys.ends_batch(*byte))
        {
            return Err(unrecognized(TELLING));
        }
        chunk.iter().try_for_each(|byte| self.field(*byte))
    }

    pub(super) fn finish(mut self) -> Result<(), Unreadable> {
        if self.begun { Ok(()) } else { self.begin() }
    }

    /// Collects the first bytes, and returns those behind them.
    fn start<'c>(&mut self, chunk: &'c [u8]) -> Result<&'c [u8], Unreadable> {
        for (at, byte) in chunk.iter().enumerate() {
            self.start.push(*byte);
            // Space and marks at the start say nothing, however long they are.
            let (rest, marked) = bare(&self.start);
            if rest.is_empty() {
                self.marked |= marked;
                self.start.clear();
            }
            if self.start.len() == Self::START {
                self.begin()?;
                return Ok(chunk.get(at + 1..).unwrap_or_default());
            }
        }
        Ok(&[])
    }

    fn begin(&mut self) -> Result<(), Unreadable> {
        self.begun = true;
        match Beginning::of(&self.start, self.marked) {
            Beginning::Request => {
                Err(unrecognized("the upload looks like a request of its own; upload pdf, jpeg, png or mp4"))
            }
            Beginning::Perhaps => {
                let keys = self.keys.insert(Keys::default());
                let names_batch = self.start.iter().any(|byte| keys.ends_batch(*byte));
                if names_batch { Err(unrecognized(TELLING)) } else { Ok(()) }
            }
            Beginning::File => Ok(()),
        }
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

/// What begins here. The rest of a resumed file may begin with any bytes.
enum Beginning {
    /// Text that some reader takes for JSON or multipart, in UTF-8 or UTF-16.
    Request,
    /// What is no text, but begins like a document: a loose reader could go on.
    Perhaps,
    /// Nothing that anybody would read.
    File,
}

impl Beginning {
    fn of(start: &[u8], marked: bool) -> Self {
        let (bare, marks) = bare(start);
        if is_wide(bare) {
            return Self::Request;
        }
        let narrow: Vec<u8> = bare.iter().copied().filter(|b| *b != 0).collect();
        let text = scan::without_space(&narrow);
        // What was cut off here may go on as text.
        let is_text = || std::str::from_utf8(text).map_or_else(|error| error.error_len().is_none(), |_| true);
        match text {
            // A boundary may be of any bytes to somebody; of the files that may begin anywhere, one in 65,536 begins like one.
            [b'-', b'-', ..] => Self::Request,
            [b'{' | b'[' | b'"' | b'/' | b'\'', ..] if is_text() => Self::Request,
            // Comments and stray commas are skipped before a document by the loosest.
            [b'{' | b'[' | b'"' | b'/' | b'\'' | b'#' | b',' | b';' | b']' | b'}', ..] => Self::Perhaps,
            _ if marked || marks => Self::Perhaps,
            _ => Self::File,
        }
    }
}

/// What follows all space and marks of UTF-8 and UTF-16, and whether one of UTF-16 was among them.
fn bare(start: &[u8]) -> (&[u8], bool) {
    let (mut rest, mut wide) = (start, false);
    loop {
        let text = scan::without_space(rest);
        let narrow = text.strip_prefix(b"\xef\xbb\xbf");
        let marked = text.strip_prefix(b"\xff\xfe").or_else(|| text.strip_prefix(b"\xfe\xff"));
        wide |= marked.is_some();
        match narrow.or(marked) {
            Some(after) => rest = after,
            None => return (text, wide),
        }
    }
}

/// Whether plain text in UTF-16 begins here, in which the names of fields are not looked for.
fn is_wide(text: &[u8]) -> bool {
    let is_plain = |pair: &[u8]| {
        matches!(pair, [b' '..=b'~' | b'\t' | b'\r' | b'\n', 0] | [0, b' '..=b'~' | b'\t' | b'\r' | b'\n'])
    };
    text.len() >= 4 && text.chunks_exact(2).all(is_plain)
}
