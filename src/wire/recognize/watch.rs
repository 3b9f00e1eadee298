//! Watching the field and part names of a write while it streams.
//!
//! Holds at most one part's head, so a 100 MB upload costs no more than a small one.

use memchr::memmem::Finder;

use super::names::{Name, Spelled};
use super::scan::{self, Shape};
use super::{Unreadable, form, multipart, unrecognized};

const TELLING: &str = "an upload carries a batch, a recipient or a message; send those on their own edge";
const ODD: &str = "the upload is not the multipart body that its Content-Type declares";

/// What watches one body. Feed every chunk before it is forwarded.
pub struct Watch(Kind);

enum Kind {
    Multipart(Box<Multipart>),
    File(File),
}

impl std::fmt::Debug for Watch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Watch")
    }
}

impl Watch {
    /// Watches a multipart body; with `only_batch`, recipients and content may pass.
    pub(super) fn multipart(boundary: &str, only_batch: bool) -> Self {
        let delimiter = Finder::new(format!("--{boundary}").as_bytes()).into_owned();
        Self(Kind::Multipart(Box::new(Multipart {
            delimiter,
            only_batch,
            state: State::Start,
            tail: Vec::new(),
        })))
    }

    /// Watches a body that is a file by itself.
    pub(super) fn file() -> Self {
        Self(Kind::File(File { start: Vec::new(), begun: false, name: Some(Vec::new()) }))
    }

    /// Looks at the next bytes of the body.
    ///
    /// # Errors
    ///
    /// The body carries what a watched write must not: the upstream request must be aborted before its end.
    pub fn feed(&mut self, chunk: &[u8]) -> Result<(), Unreadable> {
        match &mut self.0 {
            Kind::Multipart(multipart) => multipart.feed(chunk),
            Kind::File(file) => file.feed(chunk),
        }
    }

    /// Looks at what was left when the body ended.
    ///
    /// # Errors
    ///
    /// As [`Watch::feed`].
    pub fn finish(self) -> Result<(), Unreadable> {
        match self.0 {
            Kind::Multipart(multipart) => multipart.finish(),
            Kind::File(file) => file.finish(),
        }
    }
}

/// A multipart body on its way.
struct Multipart {
    delimiter: Finder<'static>,
    only_batch: bool,
    state: State,
    /// The end of the last chunk, in which a delimiter could begin.
    tail: Vec<u8>,
}

enum State {
    /// Before the first byte.
    Start,
    /// In the content of a part.
    Content,
    /// In the head of a part.
    Head(Vec<u8>),
}

impl Multipart {
    /// No head of a part is longer.
    const MAX_HEAD: usize = 8 * 1024;

    fn feed(&mut self, chunk: &[u8]) -> Result<(), Unreadable> {
        let mut rest = chunk;
        while !rest.is_empty() {
            rest = match std::mem::replace(&mut self.state, State::Content) {
                State::Start => self.start(rest)?,
                State::Content => self.content(rest),
                State::Head(head) => self.head(head, rest)?,
            };
        }
        Ok(())
    }

    fn finish(self) -> Result<(), Unreadable> {
        match &self.state {
            State::Head(head) => self.check(head),
            State::Start | State::Content => Ok(()),
        }
    }

    /// The body must begin with a delimiter: what stands before it could be read as JSON or a form.
    fn start<'c>(&mut self, chunk: &'c [u8]) -> Result<&'c [u8], Unreadable> {
        let needle = self.delimiter.needle();
        let have = self.tail.len();
        let (front, after) = chunk.split_at(chunk.len().min(needle.len() - have.min(needle.len())));
        self.tail.extend_from_slice(front);
        if !needle.starts_with(&self.tail) {
            return Err(unrecognized(ODD));
        }
        self.state = if self.tail.len() == needle.len() {
            self.tail.clear();
            State::Head(Vec::new())
        } else {
            State::Start
        };
        Ok(after)
    }

    /// Finds the next delimiter, anywhere: a lenient reader splits inside lines as well.
    fn content<'c>(&mut self, chunk: &'c [u8]) -> &'c [u8] {
        let needle = self.delimiter.needle().len();
        let seam_end = chunk.len().min(needle - 1);
        let before = self.tail.len();
        self.tail.extend_from_slice(chunk.get(..seam_end).unwrap_or_default());
        let in_seam = self.delimiter.find(&self.tail).map(|at| (at + needle).saturating_sub(before));
        let end = in_seam.or_else(|| self.delimiter.find(chunk).map(|at| at + needle));
        if let Some(after) = end.and_then(|end| chunk.get(end..)) {
            self.tail.clear();
            self.state = State::Head(Vec::new());
            return after;
        }
        self.keep_tail(chunk, before);
        &[]
    }

    /// Keeps the last bytes, in which a delimiter could begin.
    fn keep_tail(&mut self, chunk: &[u8], before: usize) {
        let keep = self.delimiter.needle().len() - 1;
        if chunk.len() >= keep {
            self.tail.clear();
            self.tail.extend_from_slice(chunk.get(chunk.len() - keep..).unwrap_or_default());
        } else {
            let excess = (before + chunk.len()).saturating_sub(keep);
            self.tail.drain(..excess);
        }
    }

    fn head<'c>(&mut self, mut head: Vec<u8>, chunk: &'c [u8]) -> Result<&'c [u8], Unreadable> {
        for (at, byte) in chunk.iter().enumerate() {
            head.push(*byte);
            if head.ends_with(b"\n\r\n") || head.ends_with(b"\n\n") {
                self.check(&head)?;
                return Ok(chunk.get(at + 1..).unwrap_or_default());
            }
            if head.len() > Self::MAX_HEAD {
                return Err(unrecognized(ODD));
            }
        }
        self.state = State::Head(head);
        Ok(&[])
    }

    fn check(&self, head: &[u8]) -> Result<(), Unreadable> {
        let telling = |spelled: Spelled| {
            spelled
                .name()
                .is_some_and(|name| if self.only_batch { name == Name::Batch } else { name.is_telling() })
        };
        if multipart::is_telling(head, telling) {
            return Err(unrecognized(TELLING));
        }
        let is_end = head.strip_prefix(b"--").is_some_and(|rest| rest.trim_ascii().is_empty());
        if is_end || multipart::is_named(head) { Ok(()) } else { Err(unrecognized(ODD)) }
    }
}

/// A file on its way.
///
/// The provider's own sample declares it as a form (`curl --data-binary`), so a batch in it is looked for as in a form.
/// Source: Meta, "Resumable Upload API": pdf, jpeg, png and mp4; none of them begins like JSON, a multipart body or a compressed one.
struct File {
    start: Vec<u8>,
    begun: bool,
    /// The name of a field, as long as it could be one.
    name: Option<Vec<u8>>,
}

impl File {
    /// So many bytes tell what a body is.
    const START: usize = 16;
    /// No spelling of `batch` that a form reader would take is longer.
    const MAX_NAME: usize = 64;

    fn feed(&mut self, chunk: &[u8]) -> Result<(), Unreadable> {
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

    fn finish(mut self) -> Result<(), Unreadable> {
        if self.begun { Ok(()) } else { self.begin() }
    }

    fn begin(&mut self) -> Result<(), Unreadable> {
        self.begun = true;
        if is_media(&self.start) {
            return Ok(());
        }
        match scan::shape(&self.start).map_err(unrecognized)? {
            Shape::Empty | Shape::Text => Ok(()),
            Shape::Braces | Shape::Dashes => {
                Err(unrecognized("the upload looks like a request of its own; upload pdf, jpeg, png or mp4"))
            }
        }
    }

    fn field(&mut self, byte: u8) -> Result<(), Unreadable> {
        match byte {
            b'&' | b';' => self.name.get_or_insert_default().clear(),
            b'=' if self.name.take().is_some_and(|name| is_batch(&name)) => {
                return Err(unrecognized(TELLING));
            }
            b'=' => {}
            _ => self.push(byte),
        }
        Ok(())
    }

    /// Keeps a byte of a name: none that a reader trims off its start, and of a long one as much as tells what it is cut to.
    fn push(&mut self, byte: u8) {
        let Some(name) = &mut self.name else { return };
        if name.len() == Self::MAX_NAME {
            if !is_batch(name) {
                self.name = None;
            }
            return;
        }
        name.push(byte);
        let is_trimmed = match name.as_slice() {
            [b'%'] | [b'%', _] => false,
            [b'%', escape @ ..] => {
                super::path::escape(escape).is_some_and(|(byte, rest)| rest.is_empty() && is_blank(byte))
            }
            [byte] => is_blank(*byte),
            _ => false,
        };
        if is_trimmed {
            name.clear();
        }
    }
}

fn is_batch(name: &[u8]) -> bool {
    Spelled::of(&form::decode_lossy(name)).name() == Some(Name::Batch)
}

/// What no name begins with.
fn is_blank(byte: u8) -> bool {
    byte.is_ascii() && !byte.is_ascii_alphanumeric() && byte != b'_'
}

/// Whether it begins as jpeg, mp4 and webp do, whose first bytes would look like text in another encoding.
///
/// Source: ISO/IEC 10918-1 section B.1.1.3 (SOI and the next marker); ISO/IEC 14496-12 section 4.3 (`ftyp`).
fn is_media(start: &[u8]) -> bool {
    let is_mp4 = start.starts_with(&[0, 0]) && start.get(4..8) == Some(b"ftyp");
    let is_webp = start.starts_with(b"RIFF") && start.get(8..12) == Some(b"WEBP");
    start.starts_with(&[0xff, 0xd8, 0xff]) || is_mp4 || is_webp
}
