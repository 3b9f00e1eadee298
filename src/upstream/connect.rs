//! Opening a connection to the provider.

use std::io;

use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls_pki_types::ServerName;
use tokio::net::TcpStream;

use super::Settings;
use super::link::Link;
use super::stream::Stream;

/// Resolves, connects, and speaks TLS if the origin is https.
pub(super) async fn open(settings: &Settings) -> io::Result<Stream> {
    let origin = &settings.origin;
    let stream = TcpStream::connect((origin.host.as_str(), origin.port)).await?;
    stream.set_nodelay(true)?;
    if origin.https {
        let name = ServerName::try_from(origin.host.clone()).map_err(io::Error::other)?;
        let stream = settings.tls.connector().connect(name, stream).await?;
        Ok(Stream::Tls(Box::new(stream)))
    } else {
        Ok(Stream::Plain(stream))
    }
}

/// The same for bodies that stream.
pub(super) async fn link(settings: &Settings) -> io::Result<Link> {
    let (sender, connection) = http1::Builder::new()
        .max_buf_size(MAX_BUFFER)
        .handshake(TokioIo::new(open(settings).await?))
        .await
        .map_err(io::Error::other)?;
    Ok(Link::new(sender, Box::pin(connection)))
}

/// Bounds the head of an answer and what is read ahead.
const MAX_BUFFER: usize = 64 * 1024;
