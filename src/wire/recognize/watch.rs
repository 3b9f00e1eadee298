//! Watching the field and part names of a write while it streams.
//!
//! Holds at most one part's head, so a 100 MB upload costs no more than a small one.

use memchr::memmem::Finder;

use super::file::File;
use super::names::{Name, Spelled};
use super::{Unreadable, part, unrecognized};

pub(super) const TELLING: &str =
    "an upload carries a batch, a recipient or a message; send those on their own edge";
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

    /// Watches a body that is a file by itself; `of_text` if it says so.
    pub(super) fn file(of_text: bool) -> Self {
        Self(Kind::File(File::new(of_text)))
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
    /// Behind a delimiter: in the head of a part, or at the end of all.
    Head(Vec<u8>),
    /// Behind the closing delimiter.
    End,
}

impl Multipart {
    /// With its first line, which is empty, and the blank line behind it.
    const MAX_HEAD: usize = part::MAX_HEAD + 6;

    fn feed(&mut self, chunk: &[u8]) -> Result<(), Unreadable> {
        let mut rest = chunk;
        while !rest.is_empty() {
            rest = match std::mem::replace(&mut self.state, State::Content) {
                State::Start => self.start(rest)?,
                State::Content => self.content(rest),
                State::Head(head) => self.head(head, rest)?,
                State::End => self.end(rest)?,
            };
        }
        Ok(())
    }

    fn finish(self) -> Result<(), Unreadable> {
        match &self.state {
            State::Start | State::Content | State::End => Ok(()),
            State::Head(_) => Err(unrecognized(ODD)),
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
            let is_closing = head == b"--";
            if is_closing || head.ends_with(b"\r\n\r\n") {
                if is_closing {
                    self.state = State::End;
                } else {
                    self.check(&head)?;
                }
                return Ok(chunk.get(at + 1..).unwrap_or_default());
            }
            if head.len() > Self::MAX_HEAD {
                return Err(unrecognized(ODD));
            }
        }
        self.state = State::Head(head);
        Ok(&[])
    }

    /// Nothing but space follows the closing delimiter.
    fn end<'c>(&mut self, chunk: &'c [u8]) -> Result<&'c [u8], Unreadable> {
        self.state = State::End;
        if chunk.trim_ascii().is_empty() { Ok(&[]) } else { Err(unrecognized(ODD)) }
    }

    fn check(&self, head: &[u8]) -> Result<(), Unreadable> {
        let head = head.strip_prefix(b"\r\n").and_then(|head| head.strip_suffix(b"\r\n\r\n"));
        let part = head.and_then(part::read).ok_or_else(|| unrecognized(ODD))?;
        let telling = |name: Name| if self.only_batch { name == Name::Batch } else { name.is_telling() };
        if Spelled::of(part.name).name().is_some_and(telling) { Err(unrecognized(TELLING)) } else { Ok(()) }
    }
}
