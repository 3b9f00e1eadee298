//! Media: uploads that stream, what is remembered of them, and downloads.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use aws_lc_rs::digest;
use bytes::Bytes;
use hyper::body::{Frame, SizeHint};

use super::errors::GraphError;
use super::ids::mixed;
use super::json::{Object, success};
use super::multipart::{Event, Multipart, boundary};
use super::route::{Call, World};

/// Ids of media start so and those of nothing else do: an unknown one can be told from a phone number.
pub(super) const PREFIX: &str = "7700";
const MOST_FILES: usize = 10_000;
const FIELD_LIMIT: usize = 4 << 10;

/// One file that was uploaded.
struct File {
    id: String,
    mime_type: String,
    sha256: String,
    length: u64,
    kept: Option<Bytes>,
}

/// The files of one sandbox.
pub(super) struct Media {
    memory: usize,
    files: Mutex<VecDeque<File>>,
}

impl Media {
    pub(super) fn new(memory: usize) -> Self {
        Media { memory, files: Mutex::default() }
    }

    /// How many more bytes may be kept.
    fn room(&self) -> usize {
        let used: usize = self.files().iter().filter_map(|file| file.kept.as_ref()).map(Bytes::len).sum();
        self.memory.saturating_sub(used)
    }

    fn add(&self, mut file: File) {
        let room = self.room();
        file.kept = file.kept.filter(|bytes| bytes.len() <= room);
        let mut files = self.files();
        files.push_back(file);
        if files.len() > MOST_FILES {
            files.pop_front();
        }
    }

    fn files(&self) -> MutexGuard<'_, VecDeque<File>> {
        self.files.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The bytes of a file and their media type: those uploaded if they were kept, else as many generated from the id.
    pub(super) fn download(&self, id: &str) -> Option<(String, Content)> {
        let files = self.files();
        let file = files.iter().find(|file| file.id == id)?;
        let content = match &file.kept {
            Some(bytes) => Content::Whole(bytes.clone()),
            None => Content::generated(&file.id, file.length),
        };
        Some((file.mime_type.clone(), content))
    }
}

/// An upload under way.
pub(super) struct Upload {
    parser: Multipart,
    field: Option<(String, Vec<u8>)>,
    fields: Vec<(String, String)>,
    file: Option<Incoming>,
    broken: bool,
}

struct Incoming {
    mime_type: Option<String>,
    digest: digest::Context,
    length: u64,
    kept: Option<Vec<u8>>,
    room: usize,
    open: bool,
}

impl Incoming {
    fn take(&mut self, bytes: &[u8]) {
        self.digest.update(bytes);
        self.length += bytes.len() as u64;
        if self.length > self.room as u64 {
            self.kept = None;
        }
        if let Some(kept) = &mut self.kept {
            kept.extend_from_slice(bytes);
        }
    }
}

impl Upload {
    /// Begins to read a body of this content type; `None` if it is not multipart.
    pub(super) fn begin(content_type: &str, media: &Media) -> Option<(Self, usize)> {
        let boundary = boundary(content_type)?;
        let upload = Upload {
            parser: Multipart::new(&boundary),
            field: None,
            fields: Vec::new(),
            file: None,
            broken: false,
        };
        Some((upload, media.room()))
    }

    /// Takes the next bytes of the body; `room` is how much of a file may be kept.
    pub(super) fn feed(&mut self, bytes: &[u8], room: usize) {
        let Upload { parser, field, fields, file, broken } = self;
        let fed = parser.feed(bytes, &mut |event| match event {
            Event::Part(head) if head.name == "file" && file.is_none() => {
                *file = Some(Incoming {
                    mime_type: head.content_type,
                    digest: digest::Context::new(&digest::SHA256),
                    length: 0,
                    kept: Some(Vec::new()),
                    room,
                    open: true,
                });
            }
            Event::Part(head) => *field = Some((head.name, Vec::new())),
            Event::Data(bytes) => match (file.as_mut().filter(|file| file.open), field.as_mut()) {
                (Some(file), _) => file.take(bytes),
                (None, Some((_, value))) if value.len() + bytes.len() <= FIELD_LIMIT => {
                    value.extend_from_slice(bytes);
                }
                (None, _) => {}
            },
            Event::End => {
                if let Some(file) = file.as_mut() {
                    file.open = false;
                }
                if let Some((name, value)) = field.take() {
                    fields.push((name, String::from_utf8_lossy(&value).into_owned()));
                }
            }
        });
        *broken |= fed.is_err();
    }

    /// The text fields that came with the file.
    pub(super) fn fields(&mut self) -> Vec<(String, String)> {
        std::mem::take(&mut self.fields)
    }

    /// Remembers the file and answers with its id.
    fn finish(self, call: &Call<'_>, world: &World) -> Result<String, GraphError> {
        if self.broken || self.parser.finish().is_err() {
            return Err(GraphError::unreadable());
        }
        let file = self.file.ok_or_else(|| GraphError::required("file"))?;
        let mime_type = call.parameters.text("type").or(file.mime_type);
        let id = world.ids.object(PREFIX);
        world.media.add(File {
            id: id.clone(),
            mime_type: mime_type.unwrap_or_else(|| "application/octet-stream".to_owned()),
            sha256: hex::encode(file.digest.finish()),
            length: file.length,
            kept: file.kept.map(Bytes::from),
        });
        Ok(Object::new().text("id", &id).finish())
    }
}

/// `POST /{phone number}/media`.
pub(super) fn upload(call: &mut Call<'_>, world: &World) -> Result<String, GraphError> {
    call.parameters.text("messaging_product").ok_or_else(|| GraphError::required("messaging_product"))?;
    let upload = call.upload.take().ok_or_else(|| GraphError::required("file"))?;
    upload.finish(call, world)
}

/// `GET /{media}`: where it can be downloaded, and what it is.
pub(super) fn describe(call: &Call<'_>, world: &World, id: &str) -> Result<String, GraphError> {
    let files = world.media.files();
    let file = files.iter().find(|file| file.id == id);
    let file = file.ok_or_else(|| GraphError::unknown_object("get", id))?;
    Ok(Object::new()
        .text("messaging_product", "whatsapp")
        .text("url", &format!("{}/_sandbox/media/{id}", call.base))
        .text("mime_type", &file.mime_type)
        .text("sha256", &file.sha256)
        .raw("file_size", file.length)
        .text("id", id)
        .finish())
}

/// `DELETE /{media}`.
pub(super) fn delete(world: &World, id: &str) -> Result<String, GraphError> {
    let mut files = world.media.files();
    let before = files.len();
    files.retain(|file| file.id != id);
    if files.len() == before { Err(GraphError::unknown_object("delete", id)) } else { Ok(success()) }
}

/// The body of an answer.
pub(super) enum Content {
    /// Bytes at hand.
    Whole(Bytes),
    /// Bytes made up as they go out.
    Generated {
        /// The state of the generator.
        seed: u64,
        /// How many are left.
        left: u64,
    },
}

const PIECE: usize = 64 << 10;

impl Content {
    fn generated(id: &str, length: u64) -> Self {
        let seed = id.bytes().fold(length, |seed, byte| mixed(seed ^ u64::from(byte)));
        Content::Generated { seed, left: length }
    }
}

impl hyper::body::Body for Content {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let bytes = match &mut *self {
            Content::Whole(bytes) => std::mem::take(bytes),
            Content::Generated { seed, left } => {
                let length = (*left).min(PIECE as u64);
                *left -= length;
                let mut piece = Vec::with_capacity(PIECE);
                while piece.len() < PIECE {
                    *seed = mixed(*seed);
                    piece.extend_from_slice(&seed.to_le_bytes());
                }
                piece.truncate(usize::try_from(length).unwrap_or(PIECE));
                Bytes::from(piece)
            }
        };
        Poll::Ready(if bytes.is_empty() { None } else { Some(Ok(Frame::data(bytes))) })
    }

    fn is_end_stream(&self) -> bool {
        self.size_hint().exact() == Some(0)
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(match self {
            Content::Whole(bytes) => bytes.len() as u64,
            Content::Generated { left, .. } => *left,
        })
    }
}
