//! One request on its way in: what is read of it, and its entry in the journal.

use std::sync::Arc;
use std::time::SystemTime;

use aws_lc_rs::digest;
use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, Method, header};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;

use super::journal::{Body, Delivery, Entry, Journal, WHOLE_BODY};
use super::media::{Media, Upload};
use super::route::segments;

/// A request that is being received.
///
/// Dropped before it was recorded, it records itself as incomplete: what a gate let out and then broke off was let out.
pub(super) struct Arrival {
    entry: Option<Entry>,
    kept: Vec<u8>,
    length: u64,
    digest: Option<digest::Context>,
    upload: Option<(Upload, usize)>,
    journal: Arc<Journal>,
}

impl Arrival {
    /// Begins with the head.
    pub(super) fn new(head: &Parts, media: &Media, journal: Arc<Journal>) -> Self {
        let entry = Entry {
            number: 0,
            at: SystemTime::now(),
            method: head.method.clone(),
            target: head.uri.to_string(),
            headers: head.headers.clone(),
            body: Body::Whole(Bytes::new()),
            complete: false,
            sends: Vec::new(),
            status: None,
        };
        let uploading = head.method == Method::POST
            && segments(head.uri.path()).last().is_some_and(|edge| edge.eq_ignore_ascii_case("media"));
        let upload = uploading.then(|| Upload::begin(content_type(&head.headers), media)).flatten();
        Arrival { entry: Some(entry), kept: Vec::new(), length: 0, digest: None, upload, journal }
    }

    /// Reads the body to its end.
    pub(super) async fn receive(&mut self, mut body: Incoming) -> Result<(), hyper::Error> {
        while let Some(frame) = body.frame().await {
            if let Ok(bytes) = frame?.into_data() {
                self.take(&bytes);
            }
        }
        if let Some(entry) = &mut self.entry {
            entry.complete = true;
        }
        Ok(())
    }

    fn take(&mut self, bytes: &[u8]) {
        self.length += bytes.len() as u64;
        if let Some((upload, room)) = &mut self.upload {
            upload.feed(bytes, *room);
        }
        if let Some(digest) = &mut self.digest {
            digest.update(bytes);
            return;
        }
        self.kept.extend_from_slice(bytes);
        if self.kept.len() > WHOLE_BODY {
            let mut digest = digest::Context::new(&digest::SHA256);
            digest.update(&std::mem::take(&mut self.kept));
            self.digest = Some(digest);
        }
    }

    /// The body, if it was small enough to keep.
    pub(super) fn body(&self) -> Option<&[u8]> {
        self.digest.is_none().then_some(&self.kept)
    }

    /// The file that came with it.
    pub(super) fn upload(&mut self) -> Option<Upload> {
        self.upload.take().map(|(upload, _)| upload)
    }

    /// Writes the entry, before the answer goes out: who has the answer finds the request in the journal.
    pub(super) fn record(mut self, sends: Vec<Delivery>, status: Option<u16>) {
        if let Some(entry) = &mut self.entry {
            entry.sends = sends;
            entry.status = status;
        }
    }
}

impl Drop for Arrival {
    fn drop(&mut self) {
        let Some(mut entry) = self.entry.take() else { return };
        entry.body = match self.digest.take() {
            None => Body::Whole(Bytes::from(std::mem::take(&mut self.kept))),
            Some(digest) => Body::Digest { length: self.length, sha256: sha256(digest) },
        };
        self.journal.push(entry);
    }
}

fn sha256(digest: digest::Context) -> [u8; 32] {
    let mut out = [0; 32];
    for (to, from) in out.iter_mut().zip(digest.finish().as_ref()) {
        *to = *from;
    }
    out
}

/// The `Content-Type` as text.
pub(super) fn content_type(headers: &HeaderMap) -> &str {
    headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default()
}
