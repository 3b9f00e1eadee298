//! One request after another over one kept connection: straight to the provider's stand-in, and through the gate.
//!
//! `direct` is the floor, and `direct_tls` that of the row with TLS to the provider; only the difference between rows of one run means anything.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a bench stops at the first surprise"
)]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::{Arc, OnceLock, mpsc};

use divan::Bencher;
use optgate::app;
use optgate::config::{self, Overrides, Sources};
use optgate::sandbox::{Sandbox, Settings};
use rcgen::{CertifiedKey, KeyPair};
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig, StreamOwned};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

fn main() {
    divan::main();
}

/// The stand-in and the gates in front of it, running until the process ends.
struct World {
    provider: SocketAddr,
    provider_tls: SocketAddr,
    trust: Arc<ClientConfig>,
    /// Has everybody in memory after the first send.
    gate: SocketAddr,
    /// Has nobody in memory: every send is looked up in the store.
    gate_cold: SocketAddr,
    /// Speaks TLS to the provider.
    gate_tls: SocketAddr,
    _folder: tempfile::TempDir,
}

fn world() -> &'static World {
    static WORLD: OnceLock<World> = OnceLock::new();
    WORLD.get_or_init(|| {
        let folder = tempfile::tempdir().expect("a folder");
        let identity = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
        let roots = folder.path().join("provider.pem");
        std::fs::write(&roots, identity.cert.pem()).expect("the certificate is written");
        let trust = trusting(identity.cert.der().clone());
        let (provider, provider_tls) = start_provider(&identity);
        let gate =
            |name: &str, upstream: &str, store: &str| start_gate(&folder.path().join(name), upstream, store);
        let plain = format!("url = \"http://{provider}\"");
        let tls =
            format!("url = \"https://localhost:{}\"\nca_file = \"{}\"", provider_tls.port(), roots.display());
        World {
            provider,
            provider_tls,
            trust,
            gate: gate("cached", &plain, ""),
            gate_cold: gate("cold", &plain, "[store]\ncache_capacity = 0\n"),
            gate_tls: gate("tls", &tls, ""),
            _folder: folder,
        }
    })
}

fn trusting(certificate: CertificateDer<'static>) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(certificate).expect("a certificate to trust");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    Arc::new(config.expect("TLS").with_root_certificates(roots).with_no_client_auth())
}

/// The stand-in, and a port on which it is reached through TLS.
fn start_provider(identity: &CertifiedKey<KeyPair>) -> (SocketAddr, SocketAddr) {
    let (chain, key) =
        (vec![identity.cert.der().clone()], PrivatePkcs8KeyDer::from(identity.signing_key.serialize_der()));
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = config.expect("TLS").with_no_client_auth().with_single_cert(chain, key.into());
    let acceptor = TlsAcceptor::from(Arc::new(config.expect("a usable certificate")));
    let (tell, told) = mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let sandbox = Sandbox::start(Settings::default()).await.expect("the stand-in starts");
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
            let addresses = (sandbox.address(), listener.local_addr().expect("its address"));
            tell.send(addresses).expect("somebody waits");
            loop {
                let (stream, _) = listener.accept().await.expect("a connection");
                stream.set_nodelay(true).expect("no delay");
                tokio::spawn(unwrap_tls(acceptor.clone(), stream, addresses.0));
            }
        });
    });
    told.recv().expect("the stand-in's addresses")
}

async fn unwrap_tls(acceptor: TlsAcceptor, stream: tokio::net::TcpStream, provider: SocketAddr) {
    let mut caller = acceptor.accept(stream).await.expect("a handshake");
    let mut provider = tokio::net::TcpStream::connect(provider).await.expect("the stand-in listens");
    provider.set_nodelay(true).expect("no delay");
    // It ends with the connection, in whatever way that does.
    let _ = tokio::io::copy_bidirectional(&mut caller, &mut provider).await;
}

/// A gate of one worker that knows one recipient who agreed.
fn start_gate(folder: &Path, upstream: &str, store: &str) -> SocketAddr {
    std::fs::create_dir(folder).expect("a folder");
    let path = folder.join("optgate.toml");
    let token = "0".repeat(64);
    let digest = hex::encode(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, token.as_bytes()));
    let text = format!(
        "data_dir = \"{0}\"\n[proxy]\nlisten = \"127.0.0.1:0\"\nworkers = 1\n[admin]\nlisten = \"127.0.0.1:0\"\n\
         [[admin.tokens]]\nname = \"bench\"\nsha256 = \"{digest}\"\nscopes = [\"admin\"]\n\
         [upstream]\n{upstream}\n[decision_log]\nfile = \"{0}/decisions.jsonl\"\n{store}",
        folder.display()
    );
    std::fs::write(&path, text).expect("the configuration is written");
    let sources =
        Sources { file: Some(path), environment: std::iter::empty(), overrides: Overrides::default() };
    let config = config::load(sources).expect("a valid configuration");
    let (tell, gate) = mpsc::channel();
    std::thread::spawn(move || {
        let runtime = app::control_runtime().expect("a runtime");
        let ready = |addresses| tell.send(addresses).expect("somebody waits");
        runtime.block_on(app::run(config, std::future::pending(), ready)).expect("the gate runs");
    });
    let gate = gate.recv().expect("the gate's addresses");
    let event = r#"{"recipient":"+15550000001","kind":"grant","categories":["utility","marketing"],"occurred_at":"2026-01-01T00:00:00Z","actor":"person","source":"bench","evidence":{"channel":"website","user_action":"checked_box","name_and_logo_shown":true,"number_confirmed":true,"categories_shown":["utility","marketing"],"business_named":"Acme","wording":"I agree"}}"#;
    let head = format!(
        "POST /v1/events HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{event}",
        event.len()
    );
    let answer = Caller::to(gate.admin).exchange(head.as_bytes());
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    gate.proxy
}

/// One kept connection.
struct Caller<S>(BufReader<S>);

fn connected(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).expect("a connection");
    stream.set_nodelay(true).expect("no delay");
    stream
}

impl Caller<TcpStream> {
    fn to(address: SocketAddr) -> Self {
        Self(BufReader::new(connected(address)))
    }
}

impl Caller<StreamOwned<ClientConnection, TcpStream>> {
    fn by_tls(address: SocketAddr, trust: Arc<ClientConfig>) -> Self {
        let name = "localhost".try_into().expect("a name");
        let session = ClientConnection::new(trust, name).expect("a session");
        Self(BufReader::new(StreamOwned::new(session, connected(address))))
    }
}

impl<S: Read + Write> Caller<S> {
    /// Writes a request and reads its answer; returns the status line.
    fn exchange(&mut self, request: &[u8]) -> String {
        self.0.get_mut().write_all(request).expect("the request is written");
        let (mut status, mut line, mut length) = (String::new(), String::new(), 0);
        self.0.read_line(&mut status).expect("a status line");
        loop {
            line.clear();
            self.0.read_line(&mut line).expect("a header line");
            if line == "\r\n" {
                break;
            }
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().expect("a length");
            }
        }
        let mut body = vec![0; length];
        self.0.read_exact(&mut body).expect("the body");
        status
    }
}

fn send_to(recipient: &str) -> Vec<u8> {
    let body = format!(
        r#"{{"messaging_product":"whatsapp","to":"{recipient}","type":"template","template":{{"name":"order_update","language":{{"code":"en_US"}}}}}}"#
    );
    format!("POST /v23.0/106540352242922/messages HTTP/1.1\r\nhost: x\r\nauthorization: Bearer T\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}", body.len())
        .into_bytes()
}

fn measure<S: Read + Write>(bencher: Bencher, mut caller: Caller<S>, request: &[u8], expected: &str) {
    bencher.bench_local(|| {
        let status = caller.exchange(request);
        assert!(status.starts_with(expected), "{status}");
    });
}

#[divan::bench]
fn direct(bencher: Bencher) {
    measure(bencher, Caller::to(world().provider), &send_to("15550000001"), "HTTP/1.1 200");
}

#[divan::bench]
fn direct_tls(bencher: Bencher) {
    let caller = Caller::by_tls(world().provider_tls, Arc::clone(&world().trust));
    measure(bencher, caller, &send_to("15550000001"), "HTTP/1.1 200");
}

#[divan::bench]
fn gate_permitted_send(bencher: Bencher) {
    measure(bencher, Caller::to(world().gate), &send_to("15550000001"), "HTTP/1.1 200");
}

#[divan::bench]
fn gate_permitted_send_not_in_memory(bencher: Bencher) {
    measure(bencher, Caller::to(world().gate_cold), &send_to("15550000001"), "HTTP/1.1 200");
}

#[divan::bench]
fn gate_permitted_send_by_tls(bencher: Bencher) {
    measure(bencher, Caller::to(world().gate_tls), &send_to("15550000001"), "HTTP/1.1 200");
}

#[divan::bench]
fn gate_refused_send(bencher: Bencher) {
    measure(bencher, Caller::to(world().gate), &send_to("15550000002"), "HTTP/1.1 400");
}

#[divan::bench]
fn gate_passthrough(bencher: Bencher) {
    let read = b"GET /v23.0/106540352242922 HTTP/1.1\r\nhost: x\r\nauthorization: Bearer T\r\n\r\n";
    measure(bencher, Caller::to(world().gate), read, "HTTP/1.1 200");
}
