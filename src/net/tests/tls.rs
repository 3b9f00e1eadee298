use std::error::Error;
use std::path::{Path, PathBuf};

use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::pki_types::ServerName;

use super::*;
use crate::net::{ClientTls, ServerTls, ServerTlsFiles, TlsError, TlsSettings};

struct Files {
    _folder: tempfile::TempDir,
    certificate: PathBuf,
    key: PathBuf,
}

fn files() -> Files {
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (certificate, key) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
    std::fs::write(&certificate, cert.pem()).unwrap();
    std::fs::write(&key, signing_key.serialize_pem()).unwrap();
    Files { _folder: folder, certificate, key }
}

const PROTOCOLS: &[&[u8]] = &[b"h2", b"http/1.1"];

fn server_files(certificate: &Path, key: &Path) -> ServerTlsFiles {
    ServerTlsFiles { certificate: certificate.to_owned(), key: key.to_owned(), client_ca: None }
}

/// Connects over TLS to a server that says one word; the word, or why the client refused.
async fn word_over_tls(server: ServerTls, client: ClientTls) -> std::io::Result<String> {
    let (near, far) = tokio::io::duplex(64 * 1024);
    let serving = async move {
        if let Ok(mut stream) = server.acceptor().accept(far).await {
            let _client_may_be_gone = stream.write_all(b"word").await;
            let _likewise = stream.shutdown().await;
        }
    };
    let asking = async move {
        let mut stream = client.connector().connect(ServerName::try_from("localhost").unwrap(), near).await?;
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(b"http/1.1".as_slice()));
        let mut word = String::new();
        stream.read_to_string(&mut word).await?;
        Ok(word)
    };
    tokio::join!(serving, asking).1
}

#[tokio::test]
async fn a_private_authority_is_trusted_only_when_it_is_configured() {
    let files = files();
    let server = ServerTls::new(&server_files(&files.certificate, &files.key), PROTOCOLS).unwrap();
    let trusting = ClientTls::new(&TlsSettings { ca_file: Some(files.certificate.clone()) }).unwrap();
    assert_eq!(word_over_tls(server.clone(), trusting).await.unwrap(), "word");
    let public_only = ClientTls::new(&TlsSettings::default()).unwrap();
    assert!(word_over_tls(server, public_only).await.is_err());
}

fn refusal(ca_file: &Path) -> TlsError {
    ClientTls::new(&TlsSettings { ca_file: Some(ca_file.to_owned()) }).unwrap_err()
}

#[test]
fn a_bad_authority_file_is_refused_with_its_name_and_a_remedy() {
    let files = files();
    let folder = files.certificate.parent().unwrap();
    let cases: [(&str, Option<&str>, &str); 4] = [
        ("missing.pem", None, "check that it exists"),
        ("empty.pem", Some(""), "holds no certificate"),
        ("broken.pem", Some("-----BEGIN CERTIFICATE-----\n!!!\n-----END CERTIFICATE-----\n"), "is damaged"),
        (
            "nonsense.pem",
            Some("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"),
            "cannot be used",
        ),
    ];
    for (name, content, remedy) in cases {
        let path = folder.join(name);
        if let Some(content) = content {
            std::fs::write(&path, content).unwrap();
        }
        let fault = refusal(&path);
        let text = fault.to_string();
        assert!(text.contains(name) && text.contains(remedy), "{text}");
        assert!(fault.source().is_some());
    }
    assert!(refusal(&files.key).to_string().contains("holds no certificate"));
}

#[test]
fn a_key_that_is_missing_or_of_another_certificate_is_refused() {
    let (one, other) = (files(), files());
    let absent =
        ServerTls::new(&server_files(&one.certificate, &one.certificate), PROTOCOLS).unwrap_err().to_string();
    assert!(absent.contains("holds no private key"), "{absent}");
    let foreign =
        ServerTls::new(&server_files(&one.certificate, &other.key), PROTOCOLS).unwrap_err().to_string();
    assert!(foreign.contains("match their key"), "{foreign}");
}
