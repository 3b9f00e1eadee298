//! The journal, faults, and the life of connections.

use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::*;
use crate::sandbox::{Action, Body, Fault};

const HELLO: &str = r#"{"messaging_product":"whatsapp","to":"16505551234","text":{"body":"a"}}"#;

fn hello() -> Request<Full<Bytes>> {
    json(&format!("/v23.0/{NUMBER}/messages"), HELLO)
}

fn control(method: Method, target: &str, body: &str) -> Request<Full<Bytes>> {
    Request::builder().method(method).uri(target).body(Full::from(body.to_owned())).expect("a request")
}

fn fault(action: Action, times: u64) -> Fault {
    Fault { action, delay: Duration::ZERO, times: Some(times) }
}

/// Sends one message by hand and reads until the connection ends.
async fn raw(sandbox: &Sandbox) -> (String, std::io::Result<usize>) {
    let mut stream = TcpStream::connect(sandbox.address()).await.unwrap();
    let head = format!("POST /{NUMBER}/messages HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer a\r\n");
    let request = format!("{head}Content-Length: {}\r\n\r\n{HELLO}", HELLO.len());
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let end = stream.read_to_end(&mut answer).await;
    (String::from_utf8(answer).unwrap(), end)
}

#[tokio::test]
async fn journal_shows_exactly_what_arrived() {
    let sandbox = started().await;
    let body = "{\"messaging_product\":\"whatsapp\",\"to\":\"16505551234\",\n \"text\" : {\"body\":\"\\u00e9é\"}, \"new_field\":1.50}";
    let mut sent = json(&format!("/v23.0//{NUMBER}/messages?a=%2f&b"), body);
    sent.headers_mut().insert("x-one", "1".parse().unwrap());
    ask(&sandbox, sent).await;
    let requests = ask(&sandbox, control(Method::GET, "/_sandbox/requests", "")).await.json();
    assert_eq!(requests.as_array().unwrap().len(), 1);
    let entry = &requests[0];
    assert_eq!(entry["method"], "POST");
    assert_eq!(entry["target"], format!("/v23.0//{NUMBER}/messages?a=%2f&b"));
    assert_eq!(entry["body"], body);
    assert_eq!(entry["status"], 200);
    assert_eq!(entry["sends"], serde_json::json!([{"to": "16505551234", "category": "service"}]));
    let names: Vec<&str> =
        entry["headers"].as_array().unwrap().iter().map(|pair| pair[0].as_str().unwrap()).collect();
    assert_eq!(names, ["host", "authorization", "content-type", "x-one", "content-length"]);
}

#[tokio::test]
async fn journal_can_be_counted_continued_and_cleared() {
    let sandbox = started().await;
    let mut client = Client::to(&sandbox).await;
    client.ask(hello()).await;
    client.ask(bare(Method::GET, &format!("/{NUMBER}"))).await;
    let count = client.ask(control(Method::GET, "/_sandbox/count", "")).await;
    assert_eq!(count.text(), r#"{"requests":2,"sends":1}"#);
    let later = client.ask(control(Method::GET, "/_sandbox/requests?since=1", "")).await.json();
    assert_eq!((later.as_array().unwrap().len(), later[0]["number"].as_u64()), (1, Some(2)));
    client.ask(control(Method::DELETE, "/_sandbox/requests", "")).await;
    assert_eq!(client.ask(control(Method::GET, "/_sandbox/requests", "")).await.text(), "[]");
    client.ask(hello()).await;
    assert_eq!(sandbox.journal().entries()[0].number, 3);
}

#[tokio::test]
async fn journal_keeps_the_newest_entries_and_counts_all() {
    let sandbox = Sandbox::start(Settings { journal_entries: 3, ..Settings::default() }).await.unwrap();
    let mut client = Client::to(&sandbox).await;
    for _ in 0..5 {
        client.ask(hello()).await;
    }
    let numbers: Vec<u64> = sandbox.journal().entries().iter().map(|entry| entry.number).collect();
    assert_eq!((numbers, sandbox.journal().requests(), sandbox.journal().sends()), (vec![3, 4, 5], 5, 5));
}

#[tokio::test]
async fn request_that_breaks_off_is_in_the_journal() {
    let sandbox = started().await;
    let mut stream = TcpStream::connect(sandbox.address()).await.unwrap();
    let head = format!("POST /{NUMBER}/messages HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer a\r\n");
    stream.write_all(format!("{head}Content-Length: 1000\r\n\r\n{HELLO}").as_bytes()).await.unwrap();
    stream.shutdown().await.unwrap();
    sandbox.journal().reached(1).await;
    let entries = sandbox.journal().entries();
    assert_eq!((entries.len(), entries[0].complete, entries[0].sends.len()), (1, false, 0));
    let Body::Whole(body) = &entries[0].body else { unreachable!() };
    assert_eq!(body, HELLO);
}

#[tokio::test]
async fn status_fault_strikes_as_often_as_it_was_told() {
    let sandbox = started().await;
    let mut client = Client::to(&sandbox).await;
    let body = r#"{"action":"status","status":503,"times":2}"#;
    assert_eq!(client.ask(control(Method::POST, "/_sandbox/faults", body)).await.status, 200);
    let mut statuses = Vec::new();
    for _ in 0..3 {
        statuses.push(client.ask(hello()).await.status.as_u16());
    }
    assert_eq!(statuses, [503, 503, 200]);
    assert_eq!(sandbox.journal().sends(), 3);
    for nonsense in ["", r#"{"action":"explode"}"#, r#"{"action":"status"}"#] {
        assert_eq!(client.ask(control(Method::POST, "/_sandbox/faults", nonsense)).await.status, 400);
    }
}

#[tokio::test]
async fn delay_fault_holds_the_answer_back_until_cleared() {
    let sandbox = started().await;
    let mut client = Client::to(&sandbox).await;
    client.ask(control(Method::POST, "/_sandbox/faults", r#"{"delay_ms":120}"#)).await;
    let before = Instant::now();
    assert_eq!(client.ask(hello()).await.status, 200);
    assert!(before.elapsed() >= Duration::from_millis(120));
    client.ask(control(Method::DELETE, "/_sandbox/faults", "")).await;
    let before = Instant::now();
    client.ask(hello()).await;
    assert!(before.elapsed() < Duration::from_millis(120));
}

#[tokio::test]
async fn close_fault_ends_the_connection_without_an_answer() {
    let sandbox = started().await;
    sandbox.faults().set(fault(Action::Close, 1));
    let (answer, end) = raw(&sandbox).await;
    assert_eq!((answer.as_str(), end.is_ok()), ("", true));
    assert_eq!((sandbox.journal().sends(), sandbox.journal().entries()[0].status), (1, None));
    assert_eq!(ask(&sandbox, hello()).await.status, 200);
}

#[tokio::test]
async fn half_head_fault_ends_inside_the_head() {
    let sandbox = started().await;
    sandbox.faults().set(fault(Action::HalfHead, 1));
    let (answer, _) = raw(&sandbox).await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && !answer.contains("\r\n\r\n"), "{answer}");
}

#[tokio::test]
async fn half_body_fault_ends_inside_the_body() {
    let sandbox = started().await;
    sandbox.faults().set(fault(Action::HalfBody, 1));
    let (answer, _) = raw(&sandbox).await;
    let (_, body) = answer.split_once("\r\n\r\n").expect("a whole head");
    assert!(body.starts_with(r#"{"messaging_product""#) && !body.ends_with('}'), "{body}");
}

#[tokio::test]
async fn reset_fault_resets() {
    let sandbox = started().await;
    sandbox.faults().set(fault(Action::Reset, 1));
    let (answer, end) = raw(&sandbox).await;
    assert_eq!((answer.as_str(), end.unwrap_err().kind()), ("", std::io::ErrorKind::ConnectionReset));
}

#[tokio::test]
async fn stopping_frees_the_port_and_closes_connections() {
    let sandbox = started().await;
    let address = sandbox.address();
    let mut client = Client::to(&sandbox).await;
    client.ask(hello()).await;
    sandbox.stop().await;
    assert!(client.send(hello()).await.is_err());
    let again =
        Sandbox::start(Settings { listen: address, ..Settings::default() }).await.expect("the same port");
    assert_eq!(again.address(), address);
}

#[tokio::test]
async fn sandboxes_in_one_process_share_nothing() {
    let (one, two) = (started().await, started().await);
    ask(&one, hello()).await;
    assert_eq!((one.journal().requests(), two.journal().requests()), (1, 0));
    assert_ne!(one.url(), two.url());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_requests_at_64_connections_are_all_counted() {
    let sandbox = std::sync::Arc::new(started().await);
    let mut clients = tokio::task::JoinSet::new();
    for _ in 0..64 {
        let sandbox = std::sync::Arc::clone(&sandbox);
        clients.spawn(async move {
            let mut client = Client::to(&sandbox).await;
            for _ in 0..157 {
                assert_eq!(client.ask(hello()).await.status, 200);
            }
        });
    }
    while let Some(client) = clients.join_next().await {
        client.expect("every answer came");
    }
    assert_eq!((sandbox.journal().requests(), sandbox.journal().sends()), (64 * 157, 64 * 157));
    let entries = sandbox.journal().entries();
    assert!(entries.windows(2).all(|pair| pair[0].number + 1 == pair[1].number));
}

#[tokio::test]
async fn debug_output_of_an_entry_holds_no_number_token_or_text() {
    let sandbox = started().await;
    ask(&sandbox, hello()).await;
    let shown = format!("{:?}", sandbox.journal().entries());
    assert!(shown.contains("service"), "{shown}");
    for secret in ["16505551234", "EAAT", "whatsapp"] {
        assert!(!shown.contains(secret), "{shown}");
    }
}

#[tokio::test]
async fn waiting_for_requests_ends_when_they_have_arrived() {
    let sandbox = started().await;
    let journal = sandbox.journal();
    let waiting = tokio::spawn(async move { journal.reached(2).await });
    ask(&sandbox, hello()).await;
    assert!(!waiting.is_finished());
    ask(&sandbox, hello()).await;
    tokio::time::timeout(Duration::from_secs(5), waiting).await.expect("it ends").expect("it does not panic");
}

#[tokio::test]
async fn guide_explains_the_rules() {
    let sandbox = started().await;
    let guide = ask(&sandbox, control(Method::GET, "/_sandbox", "")).await;
    assert!(guide.text().contains("99 and a six-digit error code"));
    assert_eq!(sandbox.journal().requests(), 0);
}
