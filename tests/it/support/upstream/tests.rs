use std::io::ErrorKind;
use std::time::Instant;

use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use super::super::client::{Client, request};
use super::super::gate::sha256;
use super::super::http1::chunked;
use super::*;

const SOON: Duration = Duration::from_millis(100);

#[test]
fn every_byte_of_a_request_is_kept() {
    let upstream = Upstream::start();
    let mut client = Client::connect(upstream.addr());
    let first = b"POST /a?b=%41 HTTP/1.1\r\nhost: x\r\nX-Odd:  y \r\nTransfer-Encoding: chunked\r\n\r\n";
    let body = chunked(&[b"hel", b"lo"]);
    client.send(first);
    client.send(&body);
    assert_eq!(client.response().json()["messages"][0]["id"], "wamid.TEST");
    assert_eq!(client.request("GET", "/b", &[], b"").status, 200);

    let received = upstream.wait_for(2);
    assert_eq!(received[0].raw(), [first.as_slice(), &body].concat());
    assert_eq!((received[0].payload(), received[0].target()), (&b"hello"[..], "/a?b=%41"));
    assert_eq!((received[1].method(), received[1].connection), ("GET", 0));
    assert!(upstream.raw_connections()[0].starts_with(&received[0].raw()));
    assert_eq!((upstream.connection_count(), upstream.request_count()), (1, 2));
}

#[test]
fn answers_come_in_the_order_that_was_said_then_the_standing_one() {
    let upstream = Upstream::start();
    upstream.answer(Answer::json(404, "{}"));
    upstream.answer_once(Answer::json(500, "{\"a\":1}"));
    let mut client = Client::connect(upstream.addr());
    let statuses = [(); 3].map(|()| client.request("POST", "/", &[], b"x").status);
    assert_eq!(statuses, [500, 404, 404]);
    upstream.respond(|received| Answer::json(200, &format!("{:?}", received.target())));
    assert_eq!(client.request("GET", "/echo", &[], b"").json(), "/echo");
}

#[test]
fn failures_look_as_they_are_named() {
    let upstream = Upstream::start();
    let ask = |answer: Answer| {
        upstream.answer(answer);
        let mut client = Client::connect(upstream.addr());
        client.send(&client.head("GET", "/", &[], 0));
        client.try_response("GET").map(|r| r.body).map_err(|e| e.kind())
    };
    assert_eq!(ask(Answer::close()), Err(ErrorKind::UnexpectedEof));
    assert_eq!(ask(Answer::reset()), Err(ErrorKind::ConnectionReset));
    assert_eq!(ask(Answer::sent().cut_after(30)), Err(ErrorKind::UnexpectedEof));
    assert_eq!(ask(Answer::sent().then_close()).map(|body| body.is_empty()), Ok(false));
    let raw = "HTTP/1.1 200 OK\r\n\r\nuntil the end";
    assert_eq!(ask(Answer::raw(raw).then_close()), Ok(b"until the end".to_vec()));
}

#[test]
fn a_cut_answer_delivers_its_first_bytes_and_then_ends_as_told() {
    let upstream = Upstream::start();
    for (answer, ends) in
        [(Answer::sent().cut_after(12).then_hang(), false), (Answer::sent().cut_after(12).then_reset(), true)]
    {
        upstream.answer(answer);
        let mut client = Client::connect(upstream.addr());
        client.send(&client.head("GET", "/", &[], 0));
        assert_eq!(client.read_some().unwrap(), b"HTTP/1.1 200");
        assert_eq!(client.is_quiet_for(SOON), !ends);
    }
}

#[test]
fn large_bodies_are_digested_without_being_kept() {
    let upstream = Upstream::start();
    upstream.keep_at_most(100);
    let body: Vec<u8> = (0..1_000_000).map(filler).collect();
    request(upstream.addr(), "POST", "/", &[], &body);
    let received = &upstream.wait_for(1)[0];
    assert_eq!((received.payload(), received.length), (&body[..100], 1_000_000));
    assert_eq!(received.sha256, sha256(&body));
    assert_eq!(upstream.raw_connections()[0].len(), 100);
}

#[test]
fn silence_delay_and_hold_are_kept() {
    let upstream = Upstream::start();
    upstream.answer_once(Answer::silent());
    let mut client = Client::connect(upstream.addr());
    client.send(&client.head("GET", "/", &[], 0));
    assert!(client.is_quiet_for(SOON));

    upstream.answer_once(Answer::sent().after(SOON));
    let asked = Instant::now();
    assert_eq!(request(upstream.addr(), "GET", "/", &[], b"").status, 200);
    assert!(asked.elapsed() >= SOON);

    upstream.answer_once(Answer::sent().held());
    let mut client = Client::connect(upstream.addr());
    client.send(&client.head("GET", "/", &[], 0));
    assert!(client.is_quiet_for(SOON));
    upstream.release();
    assert_eq!(client.response().status, 200);
}

#[test]
fn an_answer_at_the_head_does_not_wait_for_the_body() {
    let upstream = Upstream::start();
    upstream.answer(Answer::json(400, "{}").at_head());
    let mut client = Client::connect(upstream.addr());
    client.send(&client.head("POST", "/", &[], 5));
    assert_eq!(client.response().status, 400);
    assert!(!upstream.requests()[0].complete);
    client.send(b"hello");
    assert_eq!(upstream.wait_for(1)[0].payload(), b"hello");
}

#[test]
fn a_streamed_answer_has_the_bytes_that_it_promises() {
    let upstream = Upstream::start();
    upstream.answer(Answer::stream(1_000_000));
    let body = request(upstream.addr(), "GET", "/media", &[], b"").body;
    assert_eq!(body.len(), 1_000_000);
    assert!(body.iter().zip(0..).all(|(&byte, at)| byte == filler(at)));
}

#[test]
fn open_connections_are_counted_until_they_end() {
    let upstream = Upstream::start();
    let mut client = Client::connect(upstream.addr());
    client.request("GET", "/", &[], b"");
    assert_eq!(upstream.open_connections(), 1);
    client.reset();
    eventually("the connection is gone", || (upstream.open_connections() == 0).then_some(()));
}

#[test]
fn tls_is_trusted_through_the_ca_file_and_resumed() {
    let upstream = Upstream::start_tls();
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(upstream.ca_file()).unwrap()).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let connector = TlsConnector::from(Arc::new(config));
    for resumed in [0, 1] {
        let answer = runtime().block_on(async {
            let tcp = TcpStream::connect(upstream.addr()).await.unwrap();
            let name = ServerName::try_from("127.0.0.1").unwrap();
            let mut stream = connector.connect(name, tcp).await.unwrap();
            stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
            let mut answer = [0; 12];
            stream.read_exact(&mut answer).await.unwrap();
            answer
        });
        assert_eq!(&answer, b"HTTP/1.1 200");
        assert_eq!(upstream.resumed_count(), resumed);
    }
}
