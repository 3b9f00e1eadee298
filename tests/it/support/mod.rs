//! What the integration tests are built from: real processes, real sockets, real faults.
//!
//! Servers ([`upstream`], [`relay`]) run on a runtime of their own, so a test is a plain blocking function and never stalls them.
//! Everything binds to 127.0.0.1 and every wait has an end.
#![allow(dead_code, reason = "building blocks: a test that needs one may come later than the block")]

pub(crate) mod client;
pub(crate) mod gate;
pub(crate) mod http1;
pub(crate) mod process;
pub(crate) mod redis;
pub(crate) mod relay;
pub(crate) mod served;
pub(crate) mod upstream;

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use tokio::runtime::{Builder, Runtime};

/// The longest that any test waits for one thing to happen.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// The runtime of the servers that tests talk to.
pub(crate) fn runtime() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| {
        Builder::new_multi_thread().worker_threads(2).thread_name("support").enable_all().build().unwrap()
    })
}

/// An address of this machine on which nothing listens.
///
/// Ports are taken in turn from below the range that the system hands out by itself, so that no outgoing connection
/// and no other test of this process gets the same one before the caller binds it.
pub(crate) fn free_addr() -> SocketAddr {
    const FIRST: u16 = 10_000;
    const COUNT: u16 = 22_000;
    static NEXT: OnceLock<AtomicU16> = OnceLock::new();
    let seed = || AtomicU16::new(u16::try_from(std::process::id() * 97 % u32::from(COUNT)).unwrap());
    for _ in 0..COUNT {
        let turn = NEXT.get_or_init(seed).fetch_add(1, Ordering::Relaxed);
        let addr = SocketAddr::from((Ipv4Addr::LOCALHOST, FIRST + turn % COUNT));
        if TcpListener::bind(addr).is_ok() {
            return addr;
        }
    }
    panic!("no free port between {FIRST} and {}", FIRST + COUNT);
}

/// Waits until `check` gives something.
///
/// # Panics
/// It gave nothing within [`PATIENCE`].
#[track_caller]
pub(crate) fn eventually<T>(what: &str, mut check: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = check() {
            return found;
        }
        assert!(Instant::now() < deadline, "waited {PATIENCE:?} in vain until {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
