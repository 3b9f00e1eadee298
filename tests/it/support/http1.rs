//! Just enough of HTTP/1.1 framing to read messages from raw bytes; shared by the client and the recording upstream.
//!
//! Written against RFC 9112 and not with the gate's own HTTP library, so that the two cannot share a fault.

/// The head of a request or a response, as it stood on the wire.
#[derive(Debug, Clone, Default)]
pub(crate) struct Head {
    /// Every byte up to and with the empty line.
    pub(crate) raw: Vec<u8>,
    pub(crate) start_line: String,
    /// Names and values as written, in order.
    pub(crate) headers: Vec<(String, String)>,
}

impl Head {
    /// Reads a head from the front of `bytes`, if it is complete.
    pub(crate) fn read(bytes: &[u8]) -> Option<Self> {
        let end = bytes.windows(4).position(|w| w == b"\r\n\r\n")? + 4;
        let text: String = bytes[..end].iter().map(|&b| char::from(b)).collect();
        let mut lines = text.trim_end_matches("\r\n").split("\r\n");
        let start_line = lines.next().unwrap_or_default().to_owned();
        let headers = lines
            .map(|line| {
                let (name, value) = line.split_once(':').unwrap_or((line, ""));
                (name.to_owned(), value.trim().to_owned())
            })
            .collect();
        Some(Self { raw: bytes[..end].to_vec(), start_line, headers })
    }

    /// The first header with this name.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.all(name).next()
    }

    /// Every header with this name, in order.
    pub(crate) fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.headers.iter().filter(move |(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str())
    }

    /// The words of the start line: method, target, version; or version, status, reason.
    pub(crate) fn word(&self, at: usize) -> &str {
        self.start_line.split(' ').nth(at).unwrap_or_default()
    }

    fn is_chunked(&self) -> bool {
        self.header("transfer-encoding").is_some_and(|v| v.eq_ignore_ascii_case("chunked"))
    }

    fn length(&self) -> Option<u64> {
        self.header("content-length").and_then(|v| v.parse().ok())
    }

    /// How the body of a request ends.
    pub(crate) fn request_body(&self) -> Body {
        if self.is_chunked() { Body::chunked() } else { Body::sized(self.length().unwrap_or(0)) }
    }

    /// How the body of a response to `method` ends.
    pub(crate) fn response_body(&self, method: &str) -> Body {
        let status = self.word(1);
        if method == "HEAD" || status.starts_with('1') || status == "204" || status == "304" {
            Body::sized(0)
        } else if self.is_chunked() {
            Body::chunked()
        } else {
            self.length().map_or_else(Body::until_close, Body::sized)
        }
    }
}

/// A body being read piece by piece.
#[derive(Debug)]
pub(crate) struct Body {
    state: State,
}

#[derive(Debug)]
enum State {
    Sized { left: u64 },
    UntilClose,
    ChunkSize { line: Vec<u8> },
    Chunk { left: u64 },
    ChunkEnd { left: u8 },
    Trailers { line: Vec<u8> },
    Done,
}

/// What one piece of wire bytes meant.
#[derive(Debug, Default)]
pub(crate) struct Fed {
    /// How many bytes belonged to this body; the rest is the next message.
    pub(crate) used: usize,
    /// The body without its chunk framing.
    pub(crate) payload: Vec<u8>,
}

impl Body {
    fn sized(length: u64) -> Self {
        Self { state: if length == 0 { State::Done } else { State::Sized { left: length } } }
    }

    fn until_close() -> Self {
        Self { state: State::UntilClose }
    }

    fn chunked() -> Self {
        Self { state: State::ChunkSize { line: Vec::new() } }
    }

    /// Whether the last byte was read.
    pub(crate) fn is_done(&self) -> bool {
        matches!(self.state, State::Done)
    }

    /// Whether the closing of the connection ends this body.
    pub(crate) fn ends_at_close(&self) -> bool {
        matches!(self.state, State::UntilClose | State::Done)
    }

    /// Reads the next bytes of the wire.
    ///
    /// # Errors
    /// The chunk framing is broken.
    pub(crate) fn feed(&mut self, bytes: &[u8]) -> Result<Fed, String> {
        let mut fed = Fed::default();
        while !self.is_done() && fed.used < bytes.len() {
            let rest = &bytes[fed.used..];
            fed.used += self.step(rest, &mut fed.payload)?;
        }
        Ok(fed)
    }

    /// Reads some bytes in the present state; gives how many.
    fn step(&mut self, rest: &[u8], payload: &mut Vec<u8>) -> Result<usize, String> {
        let take = |left: u64| rest.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        match &mut self.state {
            State::Sized { left } => {
                let n = take(*left);
                payload.extend_from_slice(&rest[..n]);
                *left -= n as u64;
                if *left == 0 {
                    self.state = State::Done;
                }
                Ok(n)
            }
            State::UntilClose => {
                payload.extend_from_slice(rest);
                Ok(rest.len())
            }
            State::ChunkSize { line } => {
                let n = fill_line(line, rest);
                if line.ends_with(b"\r\n") {
                    self.state = match chunk_size(line)? {
                        0 => State::Trailers { line: Vec::new() },
                        left => State::Chunk { left },
                    };
                }
                Ok(n)
            }
            State::Chunk { left } => {
                let n = take(*left);
                payload.extend_from_slice(&rest[..n]);
                *left -= n as u64;
                if *left == 0 {
                    self.state = State::ChunkEnd { left: 2 };
                }
                Ok(n)
            }
            State::ChunkEnd { left } => {
                let wanted = if *left == 2 { b'\r' } else { b'\n' };
                if rest[0] != wanted {
                    return Err(format!("a chunk ends with byte {:#04x}", rest[0]));
                }
                *left -= 1;
                if *left == 0 {
                    self.state = State::ChunkSize { line: Vec::new() };
                }
                Ok(1)
            }
            State::Trailers { line } => {
                let n = fill_line(line, rest);
                if line == b"\r\n" {
                    self.state = State::Done;
                } else if line.ends_with(b"\r\n") {
                    line.clear();
                }
                Ok(n)
            }
            State::Done => Ok(0),
        }
    }
}

/// Moves bytes into `line` up to its end; gives how many.
fn fill_line(line: &mut Vec<u8>, rest: &[u8]) -> usize {
    let n = rest.iter().position(|&b| b == b'\n').map_or(rest.len(), |at| at + 1);
    line.extend_from_slice(&rest[..n]);
    n
}

fn chunk_size(line: &[u8]) -> Result<u64, String> {
    let text = String::from_utf8_lossy(line);
    let digits = text.trim_end().split(';').next().unwrap_or_default();
    u64::from_str_radix(digits, 16).map_err(|_| format!("no chunk size: {text:?}"))
}

/// A chunked body of the given pieces.
pub(crate) fn chunked(pieces: &[&[u8]]) -> Vec<u8> {
    let mut body = Vec::new();
    for piece in pieces.iter().filter(|p| !p.is_empty()) {
        body.extend_from_slice(format!("{:x}\r\n", piece.len()).as_bytes());
        body.extend_from_slice(piece);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(b"0\r\n\r\n");
    body
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_in_pieces(head: &str, wire: &[u8], piece: usize) -> (Vec<u8>, usize, bool) {
        let mut body = Head::read(head.as_bytes()).unwrap().response_body("GET");
        let (mut payload, mut used) = (Vec::new(), 0);
        for bytes in wire.chunks(piece) {
            let fed = body.feed(bytes).unwrap();
            payload.extend(fed.payload);
            used += fed.used;
        }
        (payload, used, body.is_done())
    }

    #[test]
    fn chunked_bodies_are_read_whatever_the_pieces() {
        let wire = b"4;x=y\r\nWiki\r\n5\r\npedia\r\n0\r\nDigest: a\r\n\r\nNEXT";
        for piece in 1..=wire.len() {
            let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
            assert_eq!(read_in_pieces(head, wire, piece), (b"Wikipedia".to_vec(), wire.len() - 4, true));
        }
    }

    #[test]
    fn sized_bodies_leave_the_next_message_alone() {
        let head = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n";
        assert_eq!(read_in_pieces(head, b"helloHTTP", 3), (b"hello".to_vec(), 5, true));
        assert_eq!(read_in_pieces(head, b"hel", 3), (b"hel".to_vec(), 3, false));
    }

    #[test]
    fn broken_chunks_are_told() {
        let wrong: [&[u8]; 3] = [b"x\r\n", b"1\r\nabc\r\n", b"\r\n"];
        for wire in wrong {
            assert!(Body::chunked().feed(wire).is_err(), "{wire:?}");
        }
    }

    #[test]
    fn what_is_written_in_chunks_is_read_back() {
        let fed = Body::chunked().feed(&chunked(&[b"ab", b"", b"c"])).unwrap();
        assert_eq!(fed.payload, b"abc");
    }

    #[test]
    fn heads_keep_names_and_order() {
        let head = Head::read(b"GET /x HTTP/1.1\r\nHost: a\r\nX-Y:  b \r\nx-y: c\r\n\r\nbody").unwrap();
        assert_eq!((head.word(0), head.word(1)), ("GET", "/x"));
        assert_eq!(head.all("X-y").collect::<Vec<_>>(), ["b", "c"]);
        assert!(head.raw.ends_with(b"\r\n\r\n"));
        assert!(Head::read(b"GET / HTTP/1.1\r\nHost: a\r\n").is_none());
    }
}
