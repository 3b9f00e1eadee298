//! Requests that arrive whole are answered by the loop of our own, all others by hyper: nobody outside can tell which it was.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_util::FutureExt;
use http::StatusCode;

use http_body::{Body, Frame, SizeHint};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

use super::*;
use crate::net::guard::GuardPatience;

/// A body in pieces, of which each but the first is waited for. `None` is where it breaks.
#[derive(Clone, Debug)]
struct Pieces {
    left: VecDeque<Option<&'static str>>,
    announced: Option<u64>,
    waits: bool,
}

impl Body for Pieces {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
        if std::mem::replace(&mut self.waits, false) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        self.waits = true;
        Poll::Ready(self.left.pop_front().map(|piece| match piece {
            Some(bytes) => Ok(Frame::data(Bytes::from_static(bytes.as_bytes()))),
            None => Err(std::io::ErrorKind::BrokenPipe.into()),
        }))
    }

    fn size_hint(&self) -> SizeHint {
        self.announced.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

/// An answer as a strict caller reads it.
#[derive(Debug, PartialEq, Eq)]
struct Heard {
    status: String,
    fields: Vec<String>,
    body: Vec<u8>,
    /// Whether another request on the connection is answered.
    goes_on: bool,
}

fn answer(status: u16, fields: &[(&'static str, &'static str)], pieces: &Pieces) -> Response<Pieces> {
    let mut answer = Response::builder().status(status);
    for (name, value) in fields {
        answer = answer.header(*name, *value);
    }
    answer.body(pieces.clone()).unwrap()
}

/// What a caller hears of an answer. hyper is who reads a request with an option of the connection that hyper alone knows.
async fn heard(by_hyper: bool, answer: impl Fn() -> Response<Pieces> + 'static) -> Option<Heard> {
    let (mut caller, gate) = duplex(1 << 16);
    let (_trigger, drain) = crate::net::drain();
    let service = move |_request: Request<Inbound>| std::future::ready(answer());
    let serving =
        tokio::task::spawn_local(serve_connection(gate, service, ConnectionSettings::default(), drain));
    let option = if by_hyper { "keep-alive, te" } else { "keep-alive" };
    let request =
        format!("POST / HTTP/1.1\r\nHost: gate\r\nConnection: {option}\r\nContent-Length: 2\r\n\r\nhi");
    caller.write_all(request.as_bytes()).await.unwrap();
    let first = read_answer(&mut caller).await;
    let again = caller.write_all(request.as_bytes()).await.is_ok();
    let second = if again { read_answer(&mut caller).await } else { None };
    drop(caller);
    let _ending = serving.await.unwrap();
    first.map(|(status, fields, body)| Heard { status, fields, body, goes_on: second.is_some() })
}

/// Reads one answer by its framing; `None` if it does not come whole.
async fn read_answer(caller: &mut DuplexStream) -> Option<(String, Vec<String>, Vec<u8>)> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(caller.read_u8().await.ok()?);
    }
    let head = String::from_utf8(head).unwrap();
    let mut lines = head.trim_end().split("\r\n");
    let status = lines.next()?.split(' ').nth(1)?.to_owned();
    let mut fields: Vec<String> = lines
        .map(|line| if line.starts_with("date: ") { "date".to_owned() } else { line.to_owned() })
        .collect();
    fields.sort();
    let value = |name: &str| fields.iter().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
    let mut body = Vec::new();
    if ["204", "304"].contains(&status.as_str()) {
        return Some((status, fields, body));
    }
    if value("transfer-encoding") == Some("chunked") {
        assert_eq!(value("content-length"), None, "{fields:?}");
        loop {
            let mut line = Vec::new();
            while !line.ends_with(b"\r\n") {
                line.push(caller.read_u8().await.ok()?);
            }
            let size = usize::from_str_radix(std::str::from_utf8(&line).unwrap().trim_end(), 16).unwrap();
            let mut chunk = vec![0; size + 2];
            caller.read_exact(&mut chunk).await.ok()?;
            assert!(chunk.ends_with(b"\r\n"));
            body.extend_from_slice(&chunk[..size]);
            if size == 0 {
                return Some((status, fields, body));
            }
        }
    }
    body = vec![0; value("content-length").unwrap_or_else(|| panic!("{fields:?}")).parse().unwrap()];
    caller.read_exact(&mut body).await.ok()?;
    Some((status, fields, body))
}

fn bodies() -> Vec<Pieces> {
    let mut bodies = Vec::new();
    let pieces: [&[Option<&'static str>]; 6] = [
        &[],
        &[Some("whole")],
        &[Some("in "), Some("three "), Some("pieces")],
        &[Some(""), Some("x"), Some("")],
        &[None],
        &[Some("breaks"), None],
    ];
    for pieces in pieces {
        let length: u64 = pieces.iter().flatten().map(|piece| piece.len() as u64).sum();
        for waits in [false, true] {
            let left: VecDeque<_> = pieces.iter().copied().collect();
            bodies.push(Pieces { left: left.clone(), announced: None, waits });
            // What breaks is shorter than announced.
            let announced = Some(length + u64::from(pieces.contains(&None)));
            bodies.push(Pieces { left, announced, waits });
        }
    }
    bodies
}

#[tokio::test]
async fn an_answer_is_the_same_whoever_read_the_request() {
    let fields: [&[(&str, &str)]; 4] = [
        &[],
        &[("x-a", "1"), ("x-a", "2"), ("date", "Tue, 15 Nov 1994 08:12:31 GMT")],
        &[("connection", "close"), ("x-empty", "")],
        &[("content-type", "application/json"), ("x-high", "\u{fc}")],
    ];
    LocalSet::new()
        .run_until(async {
            let mut whole = 0;
            for pieces in bodies() {
                for status in [200, 204, 304, 404, 500, 599] {
                    for fields in fields {
                        let answered = |by_hyper| {
                            let pieces = pieces.clone();
                            heard(by_hyper, move || answer(status, fields, &pieces))
                        };
                        let (ours, hypers) = (answered(false).await, answered(true).await);
                        assert_eq!(ours, hypers, "{status} {fields:?} {pieces:?}");
                        whole += usize::from(ours.is_some_and(|heard| heard.goes_on));
                    }
                }
            }
            assert!(whole > 200, "{whole} answers came whole on a connection that went on");
        })
        .await;
}

#[tokio::test]
async fn a_body_of_another_length_than_announced_ends_the_connection_and_never_passes_for_whole() {
    LocalSet::new()
        .run_until(async {
            for (announced, left) in [(3, Some("four")), (5, Some("four")), (1, None)] {
                let pieces = Pieces {
                    left: left.into_iter().map(Some).collect(),
                    announced: Some(announced),
                    waits: false,
                };
                assert_eq!(
                    heard(false, move || answer(200, &[], &pieces)).await,
                    None,
                    "{announced} announced"
                );
            }
        })
        .await;
}

#[tokio::test]
async fn a_length_that_is_told_beside_the_body_is_not_believed() {
    let pieces = Pieces { left: [Some("whole")].into(), announced: Some(5), waits: false };
    let fields = &[("content-length", "7"), ("transfer-encoding", "chunked")];
    let heard = LocalSet::new().run_until(heard(false, move || answer(200, fields, &pieces))).await.unwrap();
    assert_eq!((heard.body, heard.goes_on), (b"whole".to_vec(), true));
    assert_eq!(heard.fields, ["content-length: 5", "date"]);
}

#[tokio::test]
async fn a_status_without_a_body_tells_none() {
    let pieces = Pieces { left: [Some("whole")].into(), announced: Some(5), waits: false };
    let tell = move || answer(StatusCode::NO_CONTENT.as_u16(), &[("content-length", "5")], &pieces);
    let heard = LocalSet::new().run_until(heard(false, tell)).await.unwrap();
    assert_eq!((heard.fields, heard.goes_on), (vec!["date".to_owned()], true));
}

#[tokio::test]
async fn one_connection_takes_requests_that_arrive_whole_in_parts_and_by_chunks() {
    let chunked =
        "POST /3 HTTP/1.1\r\nHost: gate\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nthird\r\n0\r\n\r\n";
    let (second, long) = (post("/2", "second"), post("/4", &"x".repeat(70_000)));
    with_stand(async |stand: Stand| {
        let split = second.len() - 3;
        let pieces = [
            post("/1", "first"),
            second[..split].to_owned(),
            second[split..].to_owned(),
            chunked.to_owned(),
            long,
            post("/5", "last"),
        ];
        let pieces: Vec<&[u8]> = pieces.iter().map(String::as_bytes).collect();
        let answer = stand.exchange(&pieces).await;
        assert_eq!(statuses(&answer), ["200"; 5], "{answer}");
        let bodies = stand.record.bodies();
        assert_eq!(bodies.iter().map(Vec::len).collect::<Vec<_>>(), [5, 6, 5, 70_000, 4]);
    })
    .await;
}

#[tokio::test]
async fn a_head_alone_is_answered_without_a_body() {
    with_stand(async |stand: Stand| {
        let head = "HEAD /deaf HTTP/1.1\r\nHost: gate\r\n\r\n";
        let answer =
            stand.exchange(&[post("/", "x").as_bytes(), head.as_bytes(), post("/", "y").as_bytes()]).await;
        assert_eq!(statuses(&answer), ["200"; 3], "{answer}");
        assert!(answer.contains("content-length: 4") && !answer.contains("deaf"), "{answer}");
    })
    .await;
}

#[tokio::test]
async fn a_drain_ends_a_connection_whose_requests_came_all_at_once_and_one_with_half_a_head() {
    with_stand(async |mut stand: Stand| {
        // As many as make the task's share of its thread run out while it waits for the first time.
        let mut busy = Vec::new();
        for count in 120..132 {
            let mut caller = stand.connect().await;
            caller.write_all(post("/deaf", "").repeat(count).as_bytes()).await.unwrap();
            let mut answers = String::new();
            while statuses(&answers).len() < count || !answers.ends_with("deaf") {
                let mut more = [0; 4096];
                let bytes = caller.read(&mut more).await.unwrap();
                assert!(bytes > 0, "{} of {count} answers", statuses(&answers).len());
                answers.push_str(std::str::from_utf8(&more[..bytes]).unwrap());
            }
            busy.push(caller);
        }
        let mut begun = stand.connect().await;
        begun.write_all(b"POST / HTTP/1.1\r\nHost: ga").await.unwrap();
        tokio::time::sleep(Duration::from_millis(50)).await;
        let asked = tokio::time::Instant::now();
        let drained = stand.trigger.take().unwrap().drain(Duration::from_secs(20)).await;
        assert_eq!(drained, crate::net::Drained::Finished);
        assert!(asked.elapsed() < Duration::from_secs(2), "{:?}", asked.elapsed());
        for mut caller in busy.into_iter().chain([begun]) {
            assert_eq!(caller.read(&mut [0; 1]).await.unwrap_or(0), 0);
        }
    })
    .await;
}

#[tokio::test]
async fn a_head_that_began_behind_another_request_has_its_own_time() {
    let patience = GuardPatience { head: Duration::from_millis(200), ..GuardPatience::default() };
    with_settings(ConnectionSettings { patience, ..ConnectionSettings::default() }, async |stand: Stand| {
        let (first, second) = (post("/slow", "first"), post("/", "second"));
        let mut caller = stand.connect().await;
        caller.write_all(&first.as_bytes()[..20]).await.unwrap();
        tokio::time::sleep(Duration::from_millis(50)).await;
        // The answer takes longer than a head may.
        caller.write_all((first[20..].to_owned() + &second[..20]).as_bytes()).await.unwrap();
        tokio::time::sleep(Duration::from_millis(450)).await;
        caller.write_all(&second.as_bytes()[20..]).await.unwrap();
        caller.shutdown().await.unwrap();
        let mut answers = String::new();
        caller.read_to_string(&mut answers).await.unwrap();
        assert_eq!(statuses(&answers), ["200", "200"], "{answers}");
    })
    .await;
}

#[tokio::test]
async fn requests_that_are_ready_together_are_all_heard_before_the_first_is_answered() {
    LocalSet::new()
        .run_until(async {
            let (mut callers, gates): (Vec<_>, Vec<_>) = (0..10).map(|_| duplex(1 << 16)).unzip();
            for caller in &mut callers {
                caller.write_all(post("/", "hi").as_bytes()).await.unwrap();
            }
            let callers = Rc::new(RefCell::new(callers));
            let unanswered: Rc<RefCell<Vec<bool>>> = Rc::default();
            let (_trigger, drain) = crate::net::drain();
            for gate in gates {
                let (callers, unanswered) = (Rc::clone(&callers), Rc::clone(&unanswered));
                let service = move |_request: Request<Inbound>| {
                    let silent = |caller: &mut DuplexStream| caller.read_u8().now_or_never().is_none();
                    unanswered.borrow_mut().push(callers.borrow_mut().iter_mut().all(silent));
                    std::future::ready(Response::new(Full::from("heard")))
                };
                let drain = drain.clone();
                tokio::task::spawn_local(serve_connection(
                    gate,
                    service,
                    ConnectionSettings::default(),
                    drain,
                ));
            }
            for place in 0..10 {
                let mut caller = callers.borrow_mut().remove(9 - place);
                let (_, _, body) = read_answer(&mut caller).await.unwrap();
                assert_eq!(body, b"heard");
            }
            assert_eq!(*unanswered.borrow(), [true; 10]);
        })
        .await;
}
