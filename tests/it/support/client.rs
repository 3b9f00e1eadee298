//! A raw HTTP/1.1 client: writes exactly the bytes it is given and reads exactly one response.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use socket2::SockRef;

use super::PATIENCE;
use super::http1::Head;

/// One connection; requests on it reuse it.
pub(crate) struct Client {
    stream: TcpStream,
    host: String,
    /// Bytes that were read behind the last response.
    ahead: Vec<u8>,
}

/// One response, complete.
#[derive(Debug, Clone)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) head: Head,
    /// The body without chunk framing.
    pub(crate) body: Vec<u8>,
    /// The `1xx` answers that came before.
    pub(crate) informational: Vec<u16>,
}

impl Response {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.header(name)
    }

    /// The headers as written, in order.
    pub(crate) fn headers(&self) -> &[(String, String)] {
        &self.head.headers
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// # Panics
    /// The body is not JSON.
    #[track_caller]
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("not JSON ({e}): {self:?}"))
    }
}

/// Makes one request on a connection of its own.
#[track_caller]
pub(crate) fn request(
    addr: SocketAddr,
    method: &str,
    target: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Response {
    Client::connect(addr).request(method, target, headers, body)
}

impl Client {
    /// Connects; every later read and write fails after [`PATIENCE`].
    #[track_caller]
    pub(crate) fn connect(addr: SocketAddr) -> Self {
        Self::try_connect(addr).unwrap_or_else(|e| panic!("cannot connect to {addr}: {e}"))
    }

    pub(crate) fn try_connect(addr: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect_timeout(&addr, PATIENCE)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Self { stream, host: addr.to_string(), ahead: Vec::new() })
    }

    /// Makes one request and reads its response. `Host` and `Content-Length` are added unless given; with a
    /// `Transfer-Encoding` among the headers the body goes out as it is.
    #[track_caller]
    pub(crate) fn request(
        &mut self,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Response {
        self.send(&self.head(method, target, headers, body.len()));
        self.send(body);
        self.response_to(method)
    }

    /// The head that [`Client::request`] sends.
    pub(crate) fn head(
        &self,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        length: usize,
    ) -> Vec<u8> {
        let given = |name: &str| headers.iter().any(|(n, _)| n.eq_ignore_ascii_case(name));
        let mut head = format!("{method} {target} HTTP/1.1\r\n");
        if !given("host") {
            head += &format!("Host: {}\r\n", self.host);
        }
        for (name, value) in headers {
            head += &format!("{name}: {value}\r\n");
        }
        let framed = given("content-length") || given("transfer-encoding");
        if !framed && (length > 0 || !["GET", "HEAD", "DELETE", "OPTIONS"].contains(&method)) {
            head += &format!("Content-Length: {length}\r\n");
        }
        (head + "\r\n").into_bytes()
    }

    /// Writes exactly these bytes.
    #[track_caller]
    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.try_send(bytes).unwrap_or_else(|e| panic!("cannot write {} bytes: {e}", bytes.len()));
    }

    pub(crate) fn try_send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// Reads the response to a request whose method is not HEAD.
    #[track_caller]
    pub(crate) fn response(&mut self) -> Response {
        self.response_to("GET")
    }

    #[track_caller]
    pub(crate) fn response_to(&mut self, method: &str) -> Response {
        self.try_response(method).unwrap_or_else(|e| panic!("no whole response to {method}: {e}"))
    }

    /// Reads one response; a connection that ends within it is an `UnexpectedEof`.
    pub(crate) fn try_response(&mut self, method: &str) -> io::Result<Response> {
        let mut informational = Vec::new();
        let (head, status) = loop {
            let head = self.read_head()?;
            let status = head.word(1).parse().map_err(|_| broken(&head.start_line))?;
            if (100..200).contains(&status) && status != 101 {
                informational.push(status);
            } else {
                break (head, status);
            }
        };
        let mut framing = head.response_body(method);
        let mut body = Vec::new();
        while !framing.is_done() {
            if self.ahead.is_empty() && self.fill()? == 0 {
                if framing.ends_at_close() {
                    break;
                }
                return Err(io::Error::new(ErrorKind::UnexpectedEof, "the connection ended within the body"));
            }
            let fed = framing.feed(&self.ahead).map_err(|e| broken(&e))?;
            body.extend(fed.payload);
            self.ahead.drain(..fed.used);
        }
        Ok(Response { status, head, body, informational })
    }

    /// Reads a head and leaves what follows for later.
    pub(crate) fn read_head(&mut self) -> io::Result<Head> {
        loop {
            if let Some(head) = Head::read(&self.ahead) {
                self.ahead.drain(..head.raw.len());
                return Ok(head);
            }
            if self.fill()? == 0 {
                return Err(io::Error::new(ErrorKind::UnexpectedEof, "the connection ended within the head"));
            }
        }
    }

    /// Reads some bytes of a body, framing included; none at the end of the connection.
    pub(crate) fn read_some(&mut self) -> io::Result<Vec<u8>> {
        if self.ahead.is_empty() {
            self.fill()?;
        }
        Ok(std::mem::take(&mut self.ahead))
    }

    /// Everything that still comes until the peer closes.
    pub(crate) fn read_to_end(&mut self) -> io::Result<Vec<u8>> {
        while self.fill()? > 0 {}
        Ok(std::mem::take(&mut self.ahead))
    }

    fn fill(&mut self) -> io::Result<usize> {
        let mut buffer = [0; 16 * 1024];
        let n = self.stream.read(&mut buffer)?;
        self.ahead.extend_from_slice(&buffer[..n]);
        Ok(n)
    }

    /// Whether the peer sends nothing within `limit` and keeps the connection open.
    pub(crate) fn is_quiet_for(&mut self, limit: Duration) -> bool {
        self.stream.set_read_timeout(Some(limit)).unwrap();
        let quiet =
            matches!(self.fill(), Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut));
        self.stream.set_read_timeout(Some(PATIENCE)).unwrap();
        quiet
    }

    /// Whether the peer closes or resets the connection without sending anything more.
    pub(crate) fn is_closed_by_peer(&mut self) -> bool {
        match self.fill() {
            Ok(n) => n == 0,
            Err(e) => matches!(e.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe),
        }
    }

    /// Sends FIN and keeps reading.
    pub(crate) fn finish_writing(&self) {
        self.stream.shutdown(Shutdown::Write).unwrap();
    }

    /// Ends the connection with RST instead of FIN.
    pub(crate) fn reset(self) {
        SockRef::from(&self.stream).set_linger(Some(Duration::ZERO)).unwrap();
    }
}

fn broken(what: &str) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, format!("not HTTP/1.1: {what}"))
}
