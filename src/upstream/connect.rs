//! Opening a connection to the provider.

use std::io;

use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use super::Settings;
use super::body::Outgoing;

/// Resolves, connects, speaks TLS if the origin is https, and drives the connection on this thread.
pub(super) async fn open(settings: &Settings) -> io::Result<SendRequest<Outgoing>> {
    let origin = &settings.origin;
    let stream = TcpStream::connect((origin.host.as_str(), origin.port)).await?;
    stream.set_nodelay(true)?;
    if origin.https {
        let name = ServerName::try_from(origin.host.clone()).map_err(io::Error::other)?;
        drive(settings.tls.connector().connect(name, stream).await?).await
    } else {
        drive(stream).await
    }
}

async fn drive<S>(stream: S) -> io::Result<SendRequest<Outgoing>>
where
    S: AsyncRead + AsyncWrite + Unpin + 'static,
{
    let (sender, connection) = http1::Builder::new()
        .max_buf_size(MAX_BUFFER)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(io::Error::other)?;
    tokio::task::spawn_local(async move {
        // How a connection ends is told to the request that was on it; an idle one that ends is no event.
        let _ = connection.await;
    });
    Ok(sender)
}

/// Bounds the head of an answer and what is read ahead.
const MAX_BUFFER: usize = 64 * 1024;
