//! Reading request bodies within bounds of size and patience.

use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use bytes::{Bytes, BytesMut};
use http::header::CONTENT_TYPE;
use http_body_util::BodyExt;

use super::problem::{Fault, Problem};

/// The largest body that is held as a whole.
pub(super) const MAX_WHOLE: usize = 16 * 1024 * 1024;
/// How long a caller may stay silent in the middle of a body.
const PATIENCE: Duration = Duration::from_secs(30);

/// The next piece of a body; `None` at its end.
pub(super) async fn piece(body: &mut Body) -> Result<Option<Bytes>, Problem> {
    loop {
        let frame = tokio::time::timeout(PATIENCE, body.frame())
            .await
            .map_err(|_| Problem::new(Fault::BodyTimeout, "nothing of the body came for 30 seconds"))?;
        let Some(frame) = frame else { return Ok(None) };
        let frame = frame.map_err(|_| Problem::new(Fault::Unreadable, "the body broke off"))?;
        if let Ok(data) = frame.into_data() {
            return Ok(Some(data));
        }
    }
}

/// The whole of a request that is JSON; without a content type it is taken for that.
pub(super) async fn json(request: Request) -> Result<Bytes, Problem> {
    let written = request.headers().get(CONTENT_TYPE).map(|written| written.to_str().unwrap_or_default());
    let essence = written.and_then(|text| text.split(';').next()).map(str::trim);
    if essence.is_some_and(|essence| !essence.eq_ignore_ascii_case("application/json")) {
        return Err(Problem::new(Fault::MediaType, "send Content-Type: application/json"));
    }
    whole(request.into_body()).await
}

/// The whole of a body.
pub(super) async fn whole(mut body: Body) -> Result<Bytes, Problem> {
    let mut held = BytesMut::new();
    while let Some(data) = piece(&mut body).await? {
        if held.len() + data.len() > MAX_WHOLE {
            let limit = "a body other than NDJSON is at most 16 MiB; send events as application/x-ndjson, which has no limit";
            return Err(Problem::new(Fault::BodyTooLarge, limit));
        }
        held.extend_from_slice(&data);
    }
    Ok(held.freeze())
}
