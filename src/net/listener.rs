//! Listening sockets: one per runtime on one shared port, and the loop that takes connections from them.

use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::sync::Arc;
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::sleep;

use super::Drain;

const BACKLOG: i32 = 4096;
/// How long to wait when the process or the machine has no room for another socket.
const BACK_OFF: Duration = Duration::from_millis(50);

/// Binds one socket that nobody shares.
pub fn bind(addr: SocketAddr) -> Result<StdListener, BindError> {
    open(addr, Sharing::Exclusive).map_err(|source| BindError { addr, source })
}

/// Binds as many sockets on one port as there are `listeners`, for the kernel to spread connections over.
///
/// Port 0 is resolved once. A port that another process already listens on is refused, although the kernel would
/// let two processes of one user share it: half of the traffic would go to a forgotten instance.
pub fn bind_shared(addr: SocketAddr, listeners: usize) -> Result<Vec<StdListener>, BindError> {
    if listeners <= 1 {
        return Ok(vec![bind(addr)?]);
    }
    if addr.port() != 0 {
        drop(bind(addr)?);
    }
    let shared = |addr| open(addr, Sharing::Workers).map_err(|source| BindError { addr, source });
    let first = shared(addr)?;
    let resolved = first.local_addr().map_err(|source| BindError { addr, source })?;
    let others = (1..listeners).map(|_| shared(resolved));
    std::iter::once(Ok(first)).chain(others).collect()
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Sharing {
    Exclusive,
    Workers,
}

fn open(addr: SocketAddr, sharing: Sharing) -> io::Result<StdListener> {
    let socket = Socket::new(Domain::for_address(addr), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(sharing == Sharing::Workers)?;
    // Accepted sockets inherit it: no system call per connection.
    socket.set_tcp_nodelay(true)?;
    socket.bind(&addr.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// An address could not be listened on.
#[derive(Debug)]
pub struct BindError {
    addr: SocketAddr,
    source: io::Error,
}

impl BindError {
    fn remedy(&self) -> &'static str {
        let kind = self.source.kind();
        if kind == io::ErrorKind::AddrInUse {
            "another process listens there: stop it or choose another port"
        } else if kind == io::ErrorKind::AddrNotAvailable {
            "this machine has no such address: choose one of its own, or 0.0.0.0"
        } else if kind == io::ErrorKind::PermissionDenied {
            "ports below 1024 need a privilege: choose a higher one or grant CAP_NET_BIND_SERVICE"
        } else {
            "check the address and the limits of the process"
        }
    }
}

impl fmt::Display for BindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot listen on {}: {}", self.addr, self.remedy())
    }
}

impl std::error::Error for BindError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.source)
    }
}

/// A listening socket on the runtime that serves its connections.
#[derive(Debug)]
pub struct Listener {
    tcp: TcpListener,
    slots: Arc<Semaphore>,
}

/// A connection, and its place among those that may be open at once.
#[derive(Debug)]
pub struct Accepted {
    /// The connected socket.
    pub stream: TcpStream,
    /// Who connected.
    pub peer: SocketAddr,
    /// Held as long as the connection is open.
    pub slot: OwnedSemaphorePermit,
}

impl Listener {
    /// Registers a bound socket with the current runtime; at most `max_connections` are open at once, the rest
    /// wait in the kernel's queue.
    pub fn register(socket: StdListener, max_connections: usize) -> io::Result<Self> {
        let slots = Arc::new(Semaphore::new(max_connections.min(Semaphore::MAX_PERMITS)));
        Ok(Self { tcp: TcpListener::from_std(socket)?, slots })
    }

    /// The bound address, with the port resolved.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.tcp.local_addr()
    }

    /// Hands every connection to `serve` until the drain begins, then those that are already queued, then closes.
    pub async fn run(self, mut drain: Drain, mut serve: impl FnMut(Accepted)) {
        loop {
            tokio::select! {
                biased;
                () = drain.started() => break,
                accepted = self.accept() => serve(accepted),
            }
        }
        // Closing the socket resets whatever the kernel has queued: callers that count as connected.
        let Self { tcp, slots } = self;
        let Ok(queue) = tcp.into_std() else { return };
        while let Some(accepted) = accept_queued(&queue, &slots) {
            serve(accepted);
        }
    }

    async fn accept(&self) -> Accepted {
        let mut troubled = false;
        loop {
            // A closed semaphore is impossible: nobody closes it. Backing off would still be right.
            if let Ok(slot) = Arc::clone(&self.slots).acquire_owned().await {
                match self.tcp.accept().await {
                    Ok((stream, peer)) => return Accepted { stream, peer, slot },
                    Err(fault) if concerns_one_caller(&fault) => continue,
                    Err(_) if troubled => {}
                    Err(fault) => {
                        troubled = true;
                        tracing::warn!(error = %fault, "cannot accept connections, trying until it works again");
                    }
                }
            }
            sleep(BACK_OFF).await;
        }
    }
}

/// Asks the kernel itself: the runtime only knows of connections that it has been told of.
fn accept_queued(queue: &StdListener, slots: &Arc<Semaphore>) -> Option<Accepted> {
    let slot = Arc::clone(slots).try_acquire_owned().ok()?;
    let (stream, peer) = queue.accept().ok()?;
    stream.set_nonblocking(true).ok()?;
    Some(Accepted { stream: TcpStream::from_std(stream).ok()?, peer, slot })
}

/// Whether the fault is of a caller that left while it was queued, not of this machine.
fn concerns_one_caller(fault: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(fault.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}
