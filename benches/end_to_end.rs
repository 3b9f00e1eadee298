//! One request after another over one kept connection: straight to the provider's stand-in, and through the gate.
//!
//! The `direct` row is the floor; only the difference between rows of one run means anything.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a bench stops at the first surprise"
)]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::OnceLock;
use std::sync::mpsc;

use divan::Bencher;
use optgate::app;
use optgate::config::{self, Overrides, Sources};
use optgate::sandbox::{Sandbox, Settings};

fn main() {
    divan::main();
}

/// The stand-in and the gate in front of it, running until the process ends.
struct World {
    provider: SocketAddr,
    gate: SocketAddr,
    _folder: tempfile::TempDir,
}

fn world() -> &'static World {
    static WORLD: OnceLock<World> = OnceLock::new();
    WORLD.get_or_init(|| {
        let (tell, provider) = mpsc::channel();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async {
                let sandbox = Sandbox::start(Settings::default()).await.expect("the stand-in starts");
                tell.send(sandbox.address()).expect("somebody waits");
                std::future::pending::<()>().await;
            });
        });
        let provider = provider.recv().expect("the stand-in's address");
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("optgate.toml");
        let token = "0".repeat(64);
        let digest = hex::encode(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, token.as_bytes()));
        let text = format!(
            "data_dir = \"{0}\"\n[proxy]\nlisten = \"127.0.0.1:0\"\nworkers = 1\n[admin]\nlisten = \"127.0.0.1:0\"\n\
             [[admin.tokens]]\nname = \"bench\"\nsha256 = \"{digest}\"\nscopes = [\"admin\"]\n\
             [upstream]\nurl = \"http://{provider}\"\n[decision_log]\nfile = \"{0}/decisions.jsonl\"\n",
            folder.path().display()
        );
        std::fs::write(&path, text).expect("the configuration is written");
        let sources = Sources { file: Some(path), environment: std::iter::empty(), overrides: Overrides::default() };
        let config = config::load(sources).expect("a valid configuration");
        let (tell, gate) = mpsc::channel();
        std::thread::spawn(move || {
            let runtime = app::control_runtime().expect("a runtime");
            let ready = |addresses| tell.send(addresses).expect("somebody waits");
            runtime.block_on(app::run(config, std::future::pending(), ready)).expect("the gate runs");
        });
        let gate = gate.recv().expect("the gate's addresses");
        let event = r#"{"recipient":"+15550000001","kind":"grant","categories":["utility","marketing"],"occurred_at":"2026-01-01T00:00:00Z","actor":"person","source":"bench","evidence":{"channel":"website","user_action":"checked_box","name_and_logo_shown":true,"number_confirmed":true,"categories_shown":["utility","marketing"],"business_named":"Acme","wording":"I agree"}}"#;
        let head = format!("POST /v1/events HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{event}", event.len());
        let answer = Caller::to(gate.admin).exchange(head.as_bytes());
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        World { provider, gate: gate.proxy, _folder: folder }
    })
}

/// One kept connection.
struct Caller(BufReader<TcpStream>);

impl Caller {
    fn to(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).expect("a connection");
        stream.set_nodelay(true).expect("no delay");
        Self(BufReader::new(stream))
    }

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

fn measure(bencher: Bencher, address: SocketAddr, request: &[u8], expected: &str) {
    let mut caller = Caller::to(address);
    bencher.bench_local(|| {
        let status = caller.exchange(request);
        assert!(status.starts_with(expected), "{status}");
    });
}

#[divan::bench]
fn direct(bencher: Bencher) {
    measure(bencher, world().provider, &send_to("15550000001"), "HTTP/1.1 200");
}

#[divan::bench]
fn gate_permitted_send(bencher: Bencher) {
    measure(bencher, world().gate, &send_to("15550000001"), "HTTP/1.1 200");
}

#[divan::bench]
fn gate_refused_send(bencher: Bencher) {
    measure(bencher, world().gate, &send_to("15550000002"), "HTTP/1.1 400");
}

#[divan::bench]
fn gate_passthrough(bencher: Bencher) {
    let read = b"GET /v23.0/106540352242922 HTTP/1.1\r\nhost: x\r\nauthorization: Bearer T\r\n\r\n";
    measure(bencher, world().gate, read, "HTTP/1.1 200");
}
