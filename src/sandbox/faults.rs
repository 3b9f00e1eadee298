//! Faults that a test sets: late, missing, broken and failing answers. For tests only.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::errors::GraphError;

/// What happens instead of the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Nothing: the answer comes, after the delay.
    Answer,
    /// An error envelope with this HTTP status.
    Status(u16),
    /// The error of Meta's table with this code.
    Error(u32),
    /// The connection is closed with no answer.
    Close,
    /// The connection is closed after half the answer's head.
    HalfHead,
    /// The connection is closed after half the answer's body.
    HalfBody,
    /// The connection is reset (`SO_LINGER` 0).
    Reset,
}

/// A fault and how often it strikes.
#[derive(Debug, Clone, Copy)]
pub struct Fault {
    /// What happens.
    pub action: Action,
    /// How long the sandbox waits first. Needs a runtime with its timer enabled unless it is zero.
    pub delay: Duration,
    /// For how many requests; `None` until it is cleared.
    pub times: Option<u64>,
}

impl Fault {
    /// Reads the body of `POST /_sandbox/faults`: `{"action":"status","status":503,"delay_ms":0,"times":2}`.
    pub(super) fn read(body: &[u8]) -> Result<Self, &'static str> {
        let value: Value = serde_json::from_slice(body).map_err(|_| "the body is not JSON")?;
        let action = match value.get("action").and_then(Value::as_str).unwrap_or("answer") {
            "answer" => Action::Answer,
            "status" => Action::Status(status(&value)?),
            "error" => Action::Error(code(&value)?),
            "close" => Action::Close,
            "half_head" => Action::HalfHead,
            "half_body" => Action::HalfBody,
            "reset" => Action::Reset,
            _ => return Err("action is none of answer, status, error, close, half_head, half_body, reset"),
        };
        let delay = value.get("delay_ms").and_then(Value::as_u64).unwrap_or_default();
        let times = value.get("times").and_then(Value::as_u64);
        Ok(Fault { action, delay: Duration::from_millis(delay), times })
    }
}

/// The edge that a body of `POST /_sandbox/faults` names: requests to others go on as usual.
pub(super) fn edge(body: &[u8]) -> Option<String> {
    let value: Value = serde_json::from_slice(body).ok()?;
    value.get("edge").and_then(Value::as_str).map(str::to_owned)
}

fn code(value: &Value) -> Result<u32, &'static str> {
    let code = value.get("code").and_then(Value::as_u64).and_then(|code| u32::try_from(code).ok());
    code.filter(|code| GraphError::listed(*code).is_some()).ok_or("code is none of Meta's error codes")
}

fn status(value: &Value) -> Result<u16, &'static str> {
    let status = value.get("status").and_then(Value::as_u64).and_then(|status| u16::try_from(status).ok());
    status.filter(|status| (200..600).contains(status)).ok_or("status is not between 200 and 599")
}

/// The fault in force, if any, and the edge that it is for, if not for all.
#[derive(Default)]
pub struct Faults(Mutex<Option<(Fault, Option<String>)>>);

impl Faults {
    /// Sets the fault that strikes from the next request on.
    pub fn set(&self, fault: Fault) {
        self.replace(Some((fault, None)));
    }

    /// The same for requests to one edge, such as `message_templates`.
    pub fn set_on(&self, edge: &str, fault: Fault) {
        self.replace(Some((fault, Some(edge.to_owned()))));
    }

    /// Answers as usual again.
    pub fn clear(&self) {
        self.replace(None);
    }

    fn replace(&self, fault: Option<(Fault, Option<String>)>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = fault;
    }

    /// Takes one strike.
    pub(super) fn strike(&self, path: &str) -> Option<Fault> {
        let mut slot = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (fault, edge) = slot.as_mut()?;
        if edge.as_ref().is_some_and(|edge| !path.trim_end_matches('/').ends_with(&format!("/{edge}"))) {
            return None;
        }
        if let Some(times) = &mut fault.times {
            let Some(left) = times.checked_sub(1) else {
                *slot = None;
                return None;
            };
            *times = left;
        }
        slot.as_ref().map(|(fault, _)| *fault)
    }
}

/// What a connection is told to do to its own bytes.
#[derive(Clone, Default)]
pub(super) struct Sabotage(Arc<AtomicU8>);

const HALF_HEAD: u8 = 1;
const HALF_BODY: u8 = 2;
const RESET: u8 = 3;
const BROKEN: u8 = 4;

impl Sabotage {
    /// Arranges for the next answer to break off as `action` says.
    pub(super) fn arrange(&self, action: Action) {
        let plan = match action {
            Action::HalfHead => HALF_HEAD,
            Action::HalfBody => HALF_BODY,
            Action::Reset => RESET,
            Action::Answer | Action::Status(_) | Action::Error(_) | Action::Close => return,
        };
        self.0.store(plan, Ordering::Relaxed);
    }
}

/// A connection that can break its own answers.
pub(super) struct Wire {
    stream: TcpStream,
    sabotage: Sabotage,
}

impl Wire {
    pub(super) fn new(stream: TcpStream, sabotage: Sabotage) -> Self {
        Wire { stream, sabotage }
    }

    /// How much of these bytes, which begin with a head, may go out before the connection breaks.
    fn remainder(plan: u8, bytes: &[u8]) -> usize {
        let end = bytes.windows(4).position(|window| window == b"\r\n\r\n").map_or(bytes.len(), |at| at + 4);
        match plan {
            HALF_HEAD => end / 2,
            _ => end + (bytes.len() - end) / 2,
        }
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.sabotage.0.load(Ordering::Relaxed) {
            plan @ (HALF_HEAD | HALF_BODY) => {
                let part = bytes.get(..Wire::remainder(plan, bytes)).unwrap_or_default();
                self.sabotage.0.store(BROKEN, Ordering::Relaxed);
                // A few hundred bytes on an idle socket: they fit into its buffer or the connection is gone already.
                let _ = self.stream.try_write(part);
                Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()))
            }
            BROKEN => Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
            _ => Pin::new(&mut self.stream).poll_write(cx, bytes),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.sabotage.0.load(Ordering::Relaxed) {
            // A FIN before the reset would be read as an orderly end.
            RESET => Poll::Ready(Ok(())),
            _ => Pin::new(&mut self.stream).poll_shutdown(cx),
        }
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        if self.sabotage.0.load(Ordering::Relaxed) == RESET {
            // Failing to linger only makes the reset an ordinary close.
            let _ = socket2::SockRef::from(&self.stream).set_linger(Some(Duration::ZERO));
        }
    }
}
