//! Whom a command trusts to be the gate, and how it shows who it is itself: the TLS of `--admin https://...`.

use std::path::Path;
use std::sync::Arc;

use ureq::tls::{Certificate, ClientCert, PemItem, PrivateKey, RootCerts, TlsConfig, parse_pem};

use super::args::Global;
use super::client::ClientError;

/// The TLS of every connection, from the flags.
///
/// # Errors
/// A file cannot be read or holds nothing of the kind, or a certificate stands without its key.
pub(super) fn tls(global: &Global) -> Result<TlsConfig, ClientError> {
    let roots = match &global.admin_ca {
        Some(file) => RootCerts::new_with_certs(&certificates("--admin-ca", file)?),
        None => RootCerts::WebPki,
    };
    let own = match (&global.admin_cert, &global.admin_key) {
        (Some(cert), Some(key)) => {
            let chain = certificates("--admin-cert", cert)?;
            Some(ClientCert::new_with_certs(&chain, private_key("--admin-key", key)?))
        }
        (None, None) => None,
        (Some(_), None) => {
            return Err(ClientError::Tls("--admin-cert: needs --admin-key as well".to_owned()));
        }
        (None, Some(_)) => {
            return Err(ClientError::Tls("--admin-key: needs --admin-cert as well".to_owned()));
        }
    };
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let tls = TlsConfig::builder().root_certs(roots).client_cert(own);
    Ok(tls.unversioned_rustls_crypto_provider(provider).build())
}

fn certificates(flag: &str, file: &Path) -> Result<Vec<Certificate<'static>>, ClientError> {
    let certificate = |item| {
        if let PemItem::Certificate(certificate) = item { Some(certificate) } else { None }
    };
    let found: Vec<_> = items(flag, file)?.into_iter().filter_map(certificate).collect();
    if found.is_empty() { Err(holds_none(flag, file, "certificate")) } else { Ok(found) }
}

fn private_key(flag: &str, file: &Path) -> Result<PrivateKey<'static>, ClientError> {
    let key = |item| if let PemItem::PrivateKey(key) = item { Some(key) } else { None };
    items(flag, file)?.into_iter().find_map(key).ok_or_else(|| holds_none(flag, file, "private key"))
}

fn items(flag: &str, file: &Path) -> Result<Vec<PemItem<'static>>, ClientError> {
    let pem = std::fs::read(file)
        .map_err(|cause| ClientError::Tls(format!("{flag}: {} cannot be read: {cause}", file.display())))?;
    let items: Result<Vec<_>, _> = parse_pem(&pem).collect();
    items.map_err(|_| ClientError::Tls(format!("{flag}: {} is no PEM file", file.display())))
}

fn holds_none(flag: &str, file: &Path, what: &str) -> ClientError {
    ClientError::Tls(format!("{flag}: {} holds no {what} in PEM", file.display()))
}
