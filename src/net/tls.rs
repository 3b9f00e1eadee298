//! TLS: one client configuration for all connections to the upstream, and acceptors for our own listeners.
//!
//! The cryptography provider is named explicitly everywhere, so no process-wide default is needed.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::Resumption;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use rustls_pki_types::pem::{self, PemObject};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::{TlsAcceptor, TlsConnector};

/// Sessions that are remembered for resumption: a handshake costs a third less.
const SESSIONS: usize = 256;

/// How upstream servers are trusted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsSettings {
    /// A PEM file of private authorities that are trusted besides the bundled public ones.
    pub ca_file: Option<PathBuf>,
}

/// The client's side: TLS 1.3 and 1.2, HTTP/1.1, shared so that sessions are resumed.
#[derive(Clone, Debug)]
pub struct ClientTls {
    config: Arc<ClientConfig>,
}

impl ClientTls {
    /// Reads what the settings name.
    pub fn new(settings: &TlsSettings) -> Result<Self, TlsError> {
        let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
        if let Some(file) = &settings.ca_file {
            for certificate in certificates(file)? {
                roots.add(certificate).map_err(|source| TlsError::rejected(file, source))?;
            }
        }
        let mut config = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(TlsError::Setup)?
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        config.resumption = Resumption::in_memory_sessions(SESSIONS);
        Ok(Self { config: Arc::new(config) })
    }

    /// The shared configuration.
    pub fn config(&self) -> Arc<ClientConfig> {
        Arc::clone(&self.config)
    }

    /// A connector over the shared configuration.
    pub fn connector(&self) -> TlsConnector {
        TlsConnector::from(self.config())
    }
}

/// The files of one listener's own TLS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerTlsFiles {
    /// The certificate chain in PEM, leaf first.
    pub certificate: PathBuf,
    /// Its private key in PEM.
    pub key: PathBuf,
    /// The authorities in PEM of which every caller must show a certificate; `None` asks for none.
    pub client_ca: Option<PathBuf>,
}

/// The server's side of one listener: HTTP/2 and HTTP/1.1 by ALPN.
#[derive(Clone)]
pub struct ServerTls {
    acceptor: TlsAcceptor,
}

impl fmt::Debug for ServerTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ServerTls")
    }
}

impl ServerTls {
    /// Reads the files; `protocols` are offered by ALPN, the best first.
    pub fn new(files: &ServerTlsFiles, protocols: &[&[u8]]) -> Result<Self, TlsError> {
        let chain = certificates(&files.certificate)?;
        let key = PrivateKeyDer::from_pem_file(&files.key)
            .map_err(|source| TlsError::pem(&files.key, "private key", source))?;
        let builder = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(TlsError::Setup)?;
        let builder = match &files.client_ca {
            None => builder.with_no_client_auth(),
            Some(file) => builder.with_client_cert_verifier(client_verifier(file)?),
        };
        let mut config = builder
            .with_single_cert(chain, key)
            .map_err(|source| TlsError::rejected(&files.certificate, source))?;
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
        Ok(Self { acceptor: TlsAcceptor::from(Arc::new(config)) })
    }

    /// The acceptor that makes a TLS stream of a socket.
    pub fn acceptor(&self) -> &TlsAcceptor {
        &self.acceptor
    }
}

/// Accepts callers with a certificate of these authorities, and nobody else.
fn client_verifier(file: &Path) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(file)? {
        roots.add(certificate).map_err(|source| TlsError::rejected(file, source))?;
    }
    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider())
        .build()
        .map_err(|_| TlsError::pem(file, "certificate", pem::Error::NoItemsFound))
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let unreadable = |source| TlsError::pem(file, "certificate", source);
    let found = CertificateDer::pem_file_iter(file)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(unreadable)?;
    if found.is_empty() { Err(unreadable(pem::Error::NoItemsFound)) } else { Ok(found) }
}

/// TLS could not be set up as configured.
#[derive(Debug)]
pub enum TlsError {
    /// A file cannot be read, is no PEM, or holds nothing of the kind.
    File {
        /// The file.
        path: PathBuf,
        /// What was looked for in it.
        wanted: &'static str,
        /// What came instead.
        source: pem::Error,
    },
    /// A file was read, but its content is of no use.
    Rejected {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: rustls::Error,
    },
    /// The cryptography library refuses its own defaults.
    Setup(rustls::Error),
}

impl TlsError {
    fn pem(path: &Path, wanted: &'static str, source: pem::Error) -> Self {
        Self::File { path: path.to_owned(), wanted, source }
    }

    fn rejected(path: &Path, source: rustls::Error) -> Self {
        Self::Rejected { path: path.to_owned(), source }
    }
}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { path, wanted, source: pem::Error::Io(_) } => {
                write!(
                    f,
                    "cannot read the {wanted} file {}: check that it exists and is readable",
                    path.display()
                )
            }
            Self::File { path, wanted, source: pem::Error::NoItemsFound } => write!(
                f,
                "{} holds no {wanted}: it must hold one between BEGIN and END lines (PEM)",
                path.display()
            ),
            Self::File { path, wanted, source: _ } => {
                write!(f, "{} is damaged: write the {wanted} file again as PEM", path.display())
            }
            Self::Rejected { path, source: _ } => write!(
                f,
                "{} cannot be used: it must hold valid X.509 certificates that match their key",
                path.display()
            ),
            Self::Setup(_) => f.write_str("the TLS library cannot be set up on this machine"),
        }
    }
}

impl std::error::Error for TlsError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::File { source, .. } => Some(source),
            Self::Rejected { source, .. } | Self::Setup(source) => Some(source),
        }
    }
}
