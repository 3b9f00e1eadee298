//! A TCP relay that stands in front of any server and breaks the line on demand.

use std::net::SocketAddr;
use std::time::Duration;

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::sleep;

use super::runtime;

/// The relay; it ends with the test.
pub(crate) struct Relay {
    addr: SocketAddr,
    line: watch::Sender<Line>,
    accept: AbortHandle,
}

/// The condition of the line.
#[derive(Debug, Clone, Copy, Default)]
struct Line {
    /// Bytes are taken and held back, in both directions.
    stalled: bool,
    /// Answers arrive with every byte changed.
    garbled: bool,
    /// New connections are reset at once.
    refusing: bool,
    delay: Duration,
    /// Connections of an earlier cut are reset.
    cuts: u64,
}

impl Relay {
    /// Starts a relay to `target`.
    pub(crate) fn start(target: SocketAddr) -> Self {
        let (line, condition) = watch::channel(Line::default());
        let listener = runtime().block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let addr = listener.local_addr().unwrap();
        let accept = runtime().spawn(accept(listener, target, condition)).abort_handle();
        Self { addr, line, accept }
    }

    /// Where callers connect.
    pub(crate) fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Resets every connection, and each new one until [`Relay::mend`].
    pub(crate) fn cut(&self) {
        self.line.send_modify(|line| (line.cuts, line.refusing) = (line.cuts + 1, true));
    }

    /// Resets every connection; new ones work.
    pub(crate) fn cut_once(&self) {
        self.line.send_modify(|line| line.cuts += 1);
    }

    /// Accepts and keeps connections, and forwards nothing until [`Relay::mend`].
    pub(crate) fn stall(&self) {
        self.line.send_modify(|line| line.stalled = true);
    }

    /// Holds every piece back for a time, each way.
    pub(crate) fn delay(&self, delay: Duration) {
        self.line.send_modify(|line| line.delay = delay);
    }

    /// Changes every byte of the answers.
    pub(crate) fn garble(&self) {
        self.line.send_modify(|line| line.garbled = true);
    }

    /// Makes the line whole: what was held back goes out, nothing is delayed, changed or refused.
    pub(crate) fn mend(&self) {
        self.line.send_modify(|line| *line = Line { cuts: line.cuts, ..Line::default() });
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.accept.abort();
        self.line.send_modify(|line| line.cuts += 1);
    }
}

async fn accept(listener: TcpListener, target: SocketAddr, line: watch::Receiver<Line>) {
    while let Ok((mut caller, _)) = listener.accept().await {
        let line = line.clone();
        tokio::spawn(async move {
            let refusing = line.borrow().refusing;
            match TcpStream::connect(target).await {
                Ok(mut server) if !refusing => {
                    if carry(&mut caller, &mut server, line).await.is_err() {
                        reset(&server);
                        reset(&caller);
                    }
                }
                _ => reset(&caller),
            }
        });
    }
}

/// Makes the end of this stream an RST.
fn reset(stream: &TcpStream) {
    let _ = SockRef::from(stream).set_linger(Some(Duration::ZERO));
}

/// Carries bytes both ways until both ends have finished; an error if an end broke or the line was cut.
async fn carry(
    caller: &mut TcpStream,
    server: &mut TcpStream,
    line: watch::Receiver<Line>,
) -> std::io::Result<()> {
    let _ = (caller.set_nodelay(true), server.set_nodelay(true));
    let cuts = line.borrow().cuts;
    let mut cut = line.clone();
    let (from_caller, to_caller) = caller.split();
    let (from_server, to_server) = server.split();
    let asking = Way { line: line.clone(), answers: false };
    let answering = Way { line, answers: true };
    tokio::select! {
        done = async {
            tokio::try_join!(asking.carry(from_caller, to_server), answering.carry(from_server, to_caller))
        } => done.map(|_| ()),
        _ = cut.wait_for(|line| line.cuts != cuts) => Err(std::io::Error::other("cut")),
    }
}

/// One direction of one connection.
struct Way {
    line: watch::Receiver<Line>,
    answers: bool,
}

impl Way {
    async fn carry(
        mut self,
        mut from: impl AsyncRead + Unpin,
        mut to: impl AsyncWrite + Unpin,
    ) -> std::io::Result<()> {
        let mut buffer = vec![0; 64 * 1024];
        loop {
            let n = from.read(&mut buffer).await?;
            let line = self.line.wait_for(|line| !line.stalled).await.map(|line| *line);
            let line = line.map_err(std::io::Error::other)?;
            if n == 0 {
                return to.shutdown().await;
            }
            sleep(line.delay).await;
            let piece = &mut buffer[..n];
            if line.garbled && self.answers {
                for byte in piece.iter_mut() {
                    *byte ^= 0x55;
                }
            }
            to.write_all(piece).await?;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::client::Client;
    use super::super::upstream::Upstream;
    use super::*;

    const QUIET: Duration = Duration::from_millis(100);

    #[test]
    fn a_whole_line_carries_requests_and_answers() {
        let upstream = Upstream::start();
        let relay = Relay::start(upstream.addr());
        let mut client = Client::connect(relay.addr());
        assert_eq!(client.request("POST", "/a", &[], b"body").status, 200);
        assert_eq!(upstream.requests()[0].payload(), b"body");
    }

    #[test]
    fn a_cut_resets_old_and_new_connections_until_mended() {
        let upstream = Upstream::start();
        let relay = Relay::start(upstream.addr());
        let mut client = Client::connect(relay.addr());
        assert_eq!(client.request("GET", "/", &[], b"").status, 200);
        relay.cut();
        assert!(client.is_closed_by_peer());
        assert!(Client::try_connect(relay.addr()).map_or(true, |mut c| c.is_closed_by_peer()));
        relay.mend();
        assert_eq!(Client::connect(relay.addr()).request("GET", "/", &[], b"").status, 200);
    }

    #[test]
    fn a_stalled_line_holds_back_and_delivers_when_mended() {
        let upstream = Upstream::start();
        let relay = Relay::start(upstream.addr());
        relay.stall();
        let mut client = Client::connect(relay.addr());
        client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        assert!(client.is_quiet_for(QUIET));
        assert_eq!(upstream.request_count(), 0);
        relay.mend();
        assert_eq!(client.response().status, 200);
    }

    #[test]
    fn a_garbled_line_changes_answers_and_a_slow_one_delays_them() {
        let upstream = Upstream::start();
        let relay = Relay::start(upstream.addr());
        let mut client = Client::connect(relay.addr());
        relay.delay(QUIET);
        let asked = std::time::Instant::now();
        assert_eq!(client.request("GET", "/", &[], b"").status, 200);
        assert!(asked.elapsed() >= 2 * QUIET);
        relay.mend();
        relay.garble();
        client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!(client.read_some().unwrap()[0], b'H' ^ 0x55);
    }
}
