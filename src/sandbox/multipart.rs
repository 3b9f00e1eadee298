//! Reading `multipart/form-data` piece by piece, in memory that does not grow with the file.

use memchr::memmem;

/// What the parser saw.
pub(super) enum Event<'a> {
    /// A part begins.
    Part(Head),
    /// Some bytes of the part.
    Data(&'a [u8]),
    /// The part is over.
    End,
}

/// The head of one part.
pub(super) struct Head {
    /// `name` of its disposition; empty if it has none.
    pub(super) name: String,
    /// Its media type, if it names one.
    pub(super) content_type: Option<String>,
}

/// The bytes are not multipart, or end too early.
#[derive(Debug)]
pub(super) struct Malformed;

enum State {
    Preamble,
    AfterBoundary,
    Headers,
    Data,
    Done,
}

/// A parser that is fed as bytes arrive.
pub(super) struct Multipart {
    delimiter: Vec<u8>,
    pending: Vec<u8>,
    state: State,
}

const LONGEST_HEAD: usize = 16 << 10;

impl Multipart {
    pub(super) fn new(boundary: &str) -> Self {
        // The first boundary needs no line break before it: the one put here stands for it.
        Multipart {
            delimiter: format!("\r\n--{boundary}").into_bytes(),
            pending: b"\r\n".to_vec(),
            state: State::Preamble,
        }
    }

    /// Takes the next bytes and reports what they complete.
    pub(super) fn feed(&mut self, bytes: &[u8], report: &mut dyn FnMut(Event<'_>)) -> Result<(), Malformed> {
        self.pending.extend_from_slice(bytes);
        while self.step(report)? {}
        Ok(())
    }

    /// Checks that the closing boundary was seen.
    pub(super) fn finish(&self) -> Result<(), Malformed> {
        if matches!(self.state, State::Done) { Ok(()) } else { Err(Malformed) }
    }

    /// Consumes what one state can; false when it needs more bytes.
    fn step(&mut self, report: &mut dyn FnMut(Event<'_>)) -> Result<bool, Malformed> {
        match self.state {
            State::Preamble => Ok(self.skip_preamble()),
            State::AfterBoundary => self.after_boundary(),
            State::Headers => self.headers(report),
            State::Data => Ok(self.data(report)),
            State::Done => {
                self.pending.clear();
                Ok(false)
            }
        }
    }

    fn skip_preamble(&mut self) -> bool {
        let found = memmem::find(&self.pending, &self.delimiter);
        match found {
            Some(at) => self.advance(at + self.delimiter.len(), State::AfterBoundary),
            None => self.keep_tail(),
        }
        found.is_some()
    }

    fn data(&mut self, report: &mut dyn FnMut(Event<'_>)) -> bool {
        let found = memmem::find(&self.pending, &self.delimiter);
        let ready = found.unwrap_or_else(|| self.pending.len().saturating_sub(self.delimiter.len()));
        if let Some(bytes) = self.pending.get(..ready).filter(|bytes| !bytes.is_empty()) {
            report(Event::Data(bytes));
        }
        if found.is_some() {
            report(Event::End);
            self.advance(ready + self.delimiter.len(), State::AfterBoundary);
        } else {
            self.pending.drain(..ready);
        }
        found.is_some()
    }

    fn after_boundary(&mut self) -> Result<bool, Malformed> {
        match self.pending.get(..2) {
            None => Ok(false),
            Some(b"--") => {
                self.advance(2, State::Done);
                Ok(true)
            }
            // The line break stays: a part without header fields ends its head with it.
            Some(b"\r\n") => {
                self.state = State::Headers;
                Ok(true)
            }
            Some(_) => Err(Malformed),
        }
    }

    fn headers(&mut self, report: &mut dyn FnMut(Event<'_>)) -> Result<bool, Malformed> {
        let Some(end) = memmem::find(&self.pending, b"\r\n\r\n") else {
            return if self.pending.len() > LONGEST_HEAD { Err(Malformed) } else { Ok(false) };
        };
        let head = Head::read(self.pending.get(..end).unwrap_or_default());
        report(Event::Part(head));
        self.advance(end + 4, State::Data);
        Ok(true)
    }

    fn advance(&mut self, by: usize, state: State) {
        self.pending.drain(..by);
        self.state = state;
    }

    fn keep_tail(&mut self) {
        let done = self.pending.len().saturating_sub(self.delimiter.len());
        self.pending.drain(..done);
    }
}

impl Head {
    fn read(bytes: &[u8]) -> Self {
        let text = String::from_utf8_lossy(bytes);
        let mut head = Head { name: String::new(), content_type: None };
        for line in text.split("\r\n") {
            let Some((name, value)) = line.split_once(':') else { continue };
            if name.eq_ignore_ascii_case("content-disposition") {
                head.name = attribute(value, "name").unwrap_or_default();
            } else if name.eq_ignore_ascii_case("content-type") {
                head.content_type = Some(value.trim().to_owned());
            }
        }
        head
    }
}

/// The boundary that a `Content-Type` names.
pub(super) fn boundary(content_type: &str) -> Option<String> {
    attribute(content_type, "boundary").filter(|boundary| !boundary.is_empty())
}

/// One `name=value` or `name="value"` of a header field.
fn attribute(field: &str, name: &str) -> Option<String> {
    field.split(';').skip(1).find_map(|part| {
        let (key, value) = part.split_once('=')?;
        key.trim().eq_ignore_ascii_case(name).then(|| value.trim().trim_matches('"').to_owned())
    })
}
