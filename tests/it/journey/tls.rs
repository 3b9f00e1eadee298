//! To the provider over TLS: trusted through a private CA, in both versions, with sessions resumed.

use std::sync::Arc;

use rcgen::{CertificateParams, CertifiedIssuer, KeyPair};
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::version::{TLS12, TLS13};
use rustls_pki_types::PrivateKeyDer;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::*;
use crate::support::client::request;
use crate::support::relay::Relay;
use crate::support::upstream::Answer;
use crate::support::{eventually, runtime};

#[test]
fn a_provider_with_a_private_ca_is_reached_and_its_sessions_are_resumed() {
    let upstream = Upstream::start_tls();
    // Every connection ends after its answer, so that each send needs a new one.
    let body = r#"{"messages":[{"id":"wamid.A"}]}"#;
    let raw = format!("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    upstream.answer(Answer::raw(raw).then_close());
    let gate = Gate::to(&upstream.url()).ca_file(upstream.ca_file()).set("proxy", "workers", "1").start();
    gate.apply(&[grant(ANN, &["service"])]);
    for _ in 0..10 {
        assert_eq!(gate.send(&text(ANN)).status, 200);
    }
    assert_eq!((upstream.request_count(), upstream.connection_count()), (10, 10));
    assert!(upstream.resumed_count() >= 8, "resumed {} of 10", upstream.resumed_count());
}

#[test]
fn a_provider_whose_certificate_nobody_trusts_is_not_reached() {
    let (upstream, other) = (Upstream::start_tls(), Upstream::start_tls());
    let gate = Gate::to(&upstream.url()).ca_file(other.ca_file()).start();
    gate.apply(&[grant(ANN, &["service"])]);
    let response = gate.send(&text(ANN));
    refusal(503, 131_016, "upstream_not_reached").assert_envelope(&response);
    let passed = request(gate.addr(), "GET", "/v23.0/1", &[], b"");
    refusal(503, 131_016, "upstream_not_reached").assert_envelope(&passed);
    assert_eq!(upstream.request_count(), 0);
    let event = &gate.wait_for_decisions(1)[0];
    assert_eq!((&event["decision"], &event["outcome"]), (&json!("allow"), &json!("upstream_not_reached")));
}

#[test]
fn a_revoke_while_the_connection_is_opened_stops_the_send() {
    let upstream = Upstream::start_tls();
    let relay = Relay::start(upstream.addr());
    relay.stall();
    let url = format!("https://{}", relay.addr());
    let gate = Gate::to(&url).ca_file(upstream.ca_file()).set("proxy", "workers", "1").start();
    gate.apply(&[grant(ANN, &["marketing", "utility", "service"])]);
    std::thread::scope(|scope| {
        let sending = scope.spawn(|| gate.send(&text(ANN)));
        eventually("the send is permitted and waits for its connection", || {
            (gate.metric("optgate_decisions_total", &["decision=\"allow\""]) > 0.0).then_some(())
        });
        gate.apply(&[revoke(ANN, &["service"])]);
        relay.mend();
        refusal(400, 131_030, "consent_revoked").assert(&sending.join().unwrap());
    });
    assert_eq!(upstream.request_count(), 0);
    let event = &gate.wait_for_decisions(1)[0];
    assert_eq!((&event["decision"], &event["outcome"]), (&json!("deny"), &json!("refused")));
    // The connection that was opened for nothing serves the next send.
    gate.apply(&[grant("+15550000077", &["service"])]);
    assert_eq!(gate.send(&text("+15550000077")).status, 200);
    assert_eq!((upstream.request_count(), upstream.connection_count()), (1, 1));
}

#[test]
fn a_provider_that_speaks_no_tls_is_not_reached() {
    let plain = Upstream::start();
    let gate = Gate::to(&plain.url().replace("http:", "https:")).start();
    gate.apply(&[grant(ANN, &["service"])]);
    refusal(503, 131_016, "upstream_not_reached").assert_envelope(&gate.send(&text(ANN)));
    assert_eq!(plain.request_count(), 0);
}

/// A server that speaks one version only and answers one request per connection.
async fn one_version(listener: TcpListener, config: Arc<ServerConfig>) {
    let acceptor = TlsAcceptor::from(config);
    while let Ok((stream, _)) = listener.accept().await {
        let Ok(mut stream) = acceptor.accept(stream).await else { continue };
        let version = stream.get_ref().1.protocol_version().map_or_else(String::new, |v| format!("{v:?}"));
        let mut request = vec![0; 16 * 1024];
        if stream.read(&mut request).await.is_ok() {
            let answer = format!(
                "HTTP/1.1 200 OK\r\nConnection: close\r\nX-Version: {version}\r\nContent-Length: 2\r\n\r\n{{}}"
            );
            let _ = stream.write_all(answer.as_bytes()).await;
            let _ = stream.shutdown().await;
        }
    }
}

#[test]
fn both_versions_of_tls_are_spoken() {
    let mut params = CertificateParams::new([]).unwrap();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let ca = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let leaf = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap().signed_by(&key, &ca).unwrap();
    let ca_file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(ca_file.path(), ca.pem()).unwrap();
    for (version, name) in [(&TLS12, "TLSv1_2"), (&TLS13, "TLSv1_3")] {
        let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_protocol_versions(&[version])
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![leaf.der().clone()], PrivateKeyDer::try_from(key.serialize_der()).unwrap())
            .unwrap();
        let listener = runtime().block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let addr = listener.local_addr().unwrap();
        let server = runtime().spawn(one_version(listener, Arc::new(config)));
        let gate = Gate::to(&format!("https://{addr}")).ca_file(ca_file.path()).start();
        let response = request(gate.addr(), "GET", "/v23.0/1", &[], b"");
        assert_eq!((response.status, response.header("x-version")), (200, Some(name)), "{}", response.text());
        server.abort();
    }
}
