//! Bodies on their way to the provider and back.

use std::cell::Cell;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use super::Inner;
use super::direct::{Framing, Line};
use super::link::Link;
use crate::net::Patience;

/// Where a request body stands, so that a slow caller is not taken for a silent provider.
#[derive(Clone, Debug, Default)]
pub struct Progress(Rc<Standing>);

#[derive(Debug, Default)]
struct Standing {
    frames: Cell<u64>,
    waiting: Cell<bool>,
}

impl Progress {
    /// How many frames have gone out.
    pub fn count(&self) -> u64 {
        self.0.frames.get()
    }

    /// Whether the next bytes are the caller's to give: the listener is who loses patience with callers.
    pub fn waits_for_caller(&self) -> bool {
        self.0.waiting.get()
    }

    fn note<T>(&self, frame: &Poll<T>) {
        self.0.waiting.set(frame.is_pending());
        if frame.is_ready() {
            self.0.frames.set(self.0.frames.get().wrapping_add(1));
        }
    }
}

/// Looks at a streamed body while it passes; an error ends the upstream request before its end.
pub trait Inspect {
    /// Sees one chunk, before it travels on.
    fn chunk(&mut self, chunk: &[u8]) -> Result<(), Refused>;
    /// Sees the end of the body, before the end travels on.
    fn end(&mut self) -> Result<(), Refused>;
}

/// The body was refused while it passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused;

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the body was refused while it passed")
    }
}

impl std::error::Error for Refused {}

/// A request body on its way to the provider.
pub enum Outgoing {
    /// Read whole and judged.
    Judged(Option<Bytes>),
    /// Streams through, perhaps watched.
    Streamed {
        /// The caller's body.
        body: Incoming,
        /// What looks at it while it passes.
        watch: Option<Box<dyn Inspect>>,
        /// What has passed.
        progress: Progress,
    },
}

impl Outgoing {
    /// A body that was read whole.
    pub fn judged(body: Bytes) -> Self {
        Self::Judged(Some(body).filter(|b| !b.is_empty()))
    }

    /// A body that streams through.
    pub fn streamed(body: Incoming, watch: Option<Box<dyn Inspect>>) -> Self {
        Self::Streamed { body, watch, progress: Progress::default() }
    }

    /// How far it has got.
    pub fn progress(&self) -> Progress {
        match self {
            Self::Judged(_) => Progress::default(),
            Self::Streamed { progress, .. } => progress.clone(),
        }
    }
}

type BodyError = Box<dyn std::error::Error + Send + Sync>;

impl Body for Outgoing {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match self.get_mut() {
            Self::Judged(body) => Poll::Ready(body.take().map(|b| Ok(Frame::data(b)))),
            Self::Streamed { body, watch, progress } => {
                let frame = Pin::new(&mut *body).poll_frame(cx);
                progress.note(&frame);
                let frame = std::task::ready!(frame).transpose()?;
                let ended = body.is_end_stream() || body.size_hint().exact() == Some(0);
                Poll::Ready(pass(frame, ended, watch).transpose())
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Judged(body) => body.is_none(),
            Self::Streamed { body, .. } => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Judged(body) => SizeHint::with_exact(body.as_ref().map_or(0, |b| b.len() as u64)),
            Self::Streamed { body, .. } => body.size_hint(),
        }
    }
}

/// Shows a frame to the watch, and with the last one the end: after the last byte of a body of known length nobody asks for more.
/// Trailers are dropped: nothing in this API uses them, and they are one more place to hide a field.
fn pass(
    frame: Option<Frame<Bytes>>,
    ended: bool,
    watch: &mut Option<Box<dyn Inspect>>,
) -> Result<Option<Frame<Bytes>>, BodyError> {
    let data = frame.and_then(|f| f.into_data().ok());
    if let (Some(watch), Some(chunk)) = (watch.as_mut(), &data) {
        watch.chunk(chunk)?;
    }
    if (ended || data.is_none())
        && let Some(mut watch) = watch.take()
    {
        watch.end()?;
    }
    Ok(data.map(Frame::data))
}

const STALLED: &str = "the provider's answer stalled for [upstream] response_timeout_ms";

/// An answer's body on its way to the caller; its connection goes back to the pool with the last byte.
///
/// One that stalls for as long as an answer may be waited for is given up: whoever waits for it may be gone, which is noticed only when it is written to.
pub struct Arriving {
    over: Over,
    home: Rc<Inner>,
    patience: Patience,
}

/// The connection that a body comes over, until its last byte. Dropped before, it is closed: its answer was not read to the end.
enum Over {
    Link { body: Box<Incoming>, link: Option<Box<Link>> },
    Line { framing: Framing, keeps: bool, line: Option<Box<Line>> },
}

impl Arriving {
    pub(super) fn over_link(body: Incoming, link: Box<Link>, home: Rc<Inner>) -> Self {
        Self {
            over: Over::Link { body: Box::new(body), link: Some(link) },
            home,
            patience: Patience::default(),
        }
        .released_if_over()
    }

    pub(super) fn over_line(framing: Framing, keeps: bool, line: Box<Line>, home: Rc<Inner>) -> Self {
        Self { over: Over::Line { framing, keeps, line: Some(line) }, home, patience: Patience::default() }
            .released_if_over()
    }

    fn released_if_over(mut self) -> Self {
        if self.is_end_stream() {
            self.release();
        }
        self
    }

    fn release(&mut self) {
        match &mut self.over {
            Over::Link { link, .. } => {
                if let Some(link) = link.take() {
                    self.home.links.put(link);
                }
            }
            Over::Line { line, keeps, .. } => {
                if let Some(line) = line.take().filter(|_| *keeps) {
                    self.home.lines.put(line);
                }
            }
        }
    }
}

impl Over {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        match self {
            Self::Link { body, link } => {
                if let Some(link) = link {
                    link.drive(cx);
                }
                let frame = std::task::ready!(Pin::new(&mut **body).poll_frame(cx));
                Poll::Ready(frame.map(|frame| frame.map_err(io::Error::other)))
            }
            Self::Line { line: None, .. } => Poll::Ready(None),
            Self::Line { line: Some(line), framing, .. } => line.poll_body(cx, framing).map_ok(Frame::data),
        }
    }

    /// A broken answer breaks its connection too.
    fn cut(&mut self) {
        match self {
            Self::Link { link, .. } => *link = None,
            Self::Line { line, .. } => *line = None,
        }
    }
}

impl Body for Arriving {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let this = &mut *self;
        let frame = match this.over.poll(cx) {
            Poll::Ready(frame) => {
                this.patience.restart();
                frame
            }
            // Beside a request that still streams, a provider may wait for more of it.
            Poll::Pending if matches!(this.over, Over::Link { .. }) => return Poll::Pending,
            Poll::Pending => {
                let longest = this.home.settings.response_timeout;
                std::task::ready!(this.patience.poll_exhausted(cx, longest));
                Some(Err(io::Error::new(io::ErrorKind::TimedOut, STALLED)))
            }
        };
        match &frame {
            Some(Ok(_)) if !self.is_end_stream() => {}
            Some(Ok(_)) | None => self.release(),
            Some(Err(_)) => self.over.cut(),
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        match &self.over {
            Over::Link { body, .. } => body.is_end_stream(),
            Over::Line { framing, .. } => framing.is_over(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.over {
            Over::Link { body, .. } => body.size_hint(),
            Over::Line { framing, .. } => framing.left().map_or_else(SizeHint::default, SizeHint::with_exact),
        }
    }
}
