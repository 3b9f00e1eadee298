//! Following one connection's requests through heads and bodies, so that each pipelined head is found and checked.
//!
//! Pure: sees bytes, never a socket. What must be whole before anyone may act on it (a head, a chunk's size
//! line, the last chunk with its end) is passed whole or not at all.

use super::fault::FramingFault as Fault;
use super::head::{Framing, Head};

/// The most digits of a chunk size: as many as 64 bits hold.
const MAX_CHUNK_DIGITS: usize = 16;

/// Where in its sequence of requests a connection stands.
#[derive(Debug)]
pub(super) struct Messages {
    place: Place,
}

#[derive(Debug)]
enum Place {
    Head(Head),
    Sized(u64),
    ChunkSize,
    ChunkData(u64),
    ChunkCr,
    ChunkLf,
    Refused,
}

/// How far a reading came.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Reading {
    /// So many bytes from the start may be passed on.
    pub(super) passed: usize,
    /// What is wrong with the byte that follows them.
    pub(super) fault: Option<Fault>,
}

impl Messages {
    pub(super) fn new() -> Self {
        Self { place: Place::Head(Head::default()) }
    }

    /// Whether the last byte that was passed ended a message, or none was passed yet.
    pub(super) fn between_requests(&self) -> bool {
        matches!(self.place, Place::Head(_))
    }

    /// Whether a fault was found; nothing is passed any more.
    pub(super) fn refused(&self) -> bool {
        matches!(self.place, Place::Refused)
    }

    /// Reads on. `bytes` begin with those that the last reading did not pass, which are not read again.
    pub(super) fn read(&mut self, bytes: &[u8]) -> Reading {
        let mut passed = 0;
        loop {
            let rest = bytes.get(passed..).unwrap_or_default();
            match self.step(rest) {
                Ok(0) => return Reading { passed, fault: None },
                Ok(step) => passed += step,
                Err(fault) => {
                    self.place = Place::Refused;
                    return Reading { passed, fault: Some(fault) };
                }
            }
        }
    }

    /// Takes one unit from the front of `rest`: 0 if it is not there yet.
    fn step(&mut self, rest: &[u8]) -> Result<usize, Fault> {
        if rest.is_empty() {
            return Ok(0);
        }
        match &mut self.place {
            Place::Head(head) => {
                let Some((bytes, framing)) = head.read(rest)? else { return Ok(0) };
                self.place = Place::after_head(framing);
                Ok(bytes)
            }
            Place::Sized(left) => {
                let bytes = take(left, rest);
                if *left == 0 {
                    self.place = Place::Head(Head::default());
                }
                Ok(bytes)
            }
            Place::ChunkSize => {
                let Some((bytes, size)) = chunk_start(rest)? else { return Ok(0) };
                self.place = if size == 0 { Place::Head(Head::default()) } else { Place::ChunkData(size) };
                Ok(bytes)
            }
            Place::ChunkData(left) => {
                let bytes = take(left, rest);
                if *left == 0 {
                    self.place = Place::ChunkCr;
                }
                Ok(bytes)
            }
            Place::ChunkCr => self.chunk_end(rest, b'\r', Place::ChunkLf),
            Place::ChunkLf => self.chunk_end(rest, b'\n', Place::ChunkSize),
            Place::Refused => Ok(0),
        }
    }

    fn chunk_end(&mut self, rest: &[u8], expected: u8, next: Place) -> Result<usize, Fault> {
        if rest.first() != Some(&expected) {
            return Err(Fault::ChunkEnd);
        }
        self.place = next;
        Ok(1)
    }
}

impl Place {
    fn after_head(framing: Framing) -> Self {
        match framing {
            Framing::Sized(0) => Self::Head(Head::default()),
            Framing::Sized(length) => Self::Sized(length),
            Framing::Chunked => Self::ChunkSize,
        }
    }
}

fn take(left: &mut u64, rest: &[u8]) -> usize {
    let bytes = usize::try_from(*left).map_or(rest.len(), |left| left.min(rest.len()));
    *left = left.saturating_sub(bytes as u64);
    bytes
}

/// Reads a chunk's size line, and for the last chunk also the CRLF that ends the message.
fn chunk_start(rest: &[u8]) -> Result<Option<(usize, u64)>, Fault> {
    let digits = rest.iter().take(MAX_CHUNK_DIGITS).take_while(|byte| byte.is_ascii_hexdigit()).count();
    let (number, end) = rest.split_at(digits);
    let whole = match end {
        [] => return Ok(None),
        _ if digits == 0 => return Err(Fault::ChunkSize),
        [b'\r'] => return Ok(None),
        [b'\r', b'\n', after @ ..] => after,
        _ => return Err(Fault::ChunkSize),
    };
    let size = number.iter().fold(0, |sum: u64, &digit| (sum << 4) | hex_value(digit));
    match whole {
        _ if size > 0 => Ok(Some((digits + 2, size))),
        [] | [b'\r'] => Ok(None),
        [b'\r', b'\n', ..] => Ok(Some((digits + 4, 0))),
        _ => Err(Fault::Trailer),
    }
}

fn hex_value(digit: u8) -> u64 {
    u64::from(match digit {
        b'0'..=b'9' => digit - b'0',
        _ => (digit | 0x20).saturating_sub(b'a') + 10,
    })
}
