//! Opening a connection to the provider.

use std::io;

use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use super::Settings;
use super::link::Link;

/// Resolves, connects, and speaks TLS if the origin is https.
pub(super) async fn open(settings: &Settings) -> io::Result<Link> {
    let origin = &settings.origin;
    let stream = TcpStream::connect((origin.host.as_str(), origin.port)).await?;
    stream.set_nodelay(true)?;
    if origin.https {
        let name = ServerName::try_from(origin.host.clone()).map_err(io::Error::other)?;
        link(settings.tls.connector().connect(name, stream).await?).await
    } else {
        link(stream).await
    }
}

async fn link<S>(stream: S) -> io::Result<Link>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (sender, connection) = http1::Builder::new()
        .max_buf_size(MAX_BUFFER)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(io::Error::other)?;
    Ok(Link::new(sender, Box::pin(connection)))
}

/// Bounds the head of an answer and what is read ahead.
const MAX_BUFFER: usize = 64 * 1024;
