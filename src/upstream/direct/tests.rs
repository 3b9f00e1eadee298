use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, StatusCode};
use proptest::prelude::*;
use tokio::runtime::Builder;

use super::*;

/// What one exchange came to: status, body, and whether the connection may be used again.
type Came = Result<(u16, String, bool), String>;

fn runtime() -> tokio::runtime::Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

/// A line to a provider that is played by `answer` on a thread of its own.
fn line_to(answer: impl FnOnce(TcpStream) + Send + 'static) -> Line {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    client.set_nonblocking(true).unwrap();
    let (server, _) = listener.accept().unwrap();
    server.set_nodelay(true).unwrap();
    server.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    std::thread::spawn(move || answer(server));
    Line::new(Stream::Plain(tokio::net::TcpStream::from_std(client).unwrap()))
}

/// Reads a request of which the whole body is `body`.
fn read_request(server: &mut TcpStream) -> String {
    let mut read = Vec::new();
    let mut buffer = [0; 4096];
    while !read.ends_with(b"body") {
        let bytes = server.read(&mut buffer).unwrap();
        assert_ne!(bytes, 0, "the request broke off");
        read.extend_from_slice(&buffer[..bytes]);
    }
    String::from_utf8(read).unwrap()
}

async fn ask(line: &mut Line, method: Method) -> Came {
    let (mut parts, ()) = Request::post("/1/messages").header("host", "x").body(()).unwrap().into_parts();
    parts.method = method;
    let body = Bytes::from_static(b"body");
    let begun =
        line.exchange(&parts, Some(&body), Duration::from_secs(20)).await.map_err(|e| e.to_string())?;
    let Begun { response, mut framing, keeps } = begun;
    let mut read = Vec::new();
    while let Some(bytes) = std::future::poll_fn(|cx| line.poll_body(cx, &mut framing)).await {
        read.extend_from_slice(&bytes.map_err(|e| e.to_string())?);
    }
    assert!(framing.is_over());
    Ok((response.status().as_u16(), String::from_utf8(read).unwrap(), keeps))
}

/// What comes of an answer that arrives in these pieces, after which the connection is closed.
fn came_of(method: Method, pieces: Vec<Vec<u8>>) -> Came {
    runtime().block_on(async {
        let mut line = line_to(move |mut server| {
            let asked = read_request(&mut server);
            assert!(asked.contains("\r\ncontent-length: 4\r\n\r\nbody"), "{asked}");
            for piece in pieces {
                server.write_all(&piece).unwrap();
                std::thread::sleep(Duration::from_micros(300));
            }
        });
        ask(&mut line, method).await
    })
}

fn posted(answer: &str) -> Came {
    came_of(Method::POST, vec![answer.as_bytes().to_vec()])
}

#[test]
fn a_body_ends_where_its_head_says() {
    let whole = |body: &str, keeps| Ok((200, body.to_owned(), keeps));
    for (answer, came) in [
        ("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi", whole("hi", true)),
        ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nhi", whole("hi", true)),
        ("HTTP/1.1 200\r\ncontent-length: 0\r\n\r\n", whole("", true)),
        ("HTTP/1.1 200 OK\r\n\r\nuntil closed", whole("until closed", false)),
        ("HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nhi", whole("hi", false)),
        ("HTTP/1.1 200 OK\r\nconnection: x, Close\r\ncontent-length: 2\r\n\r\nhi", whole("hi", false)),
        (
            "HTTP/1.1 200 OK\r\ntransfer-encoding: Chunked\r\n\r\n2;a=b\r\nhi\r\n0\r\nx: y\r\n\r\n",
            whole("hi", true),
        ),
        (
            "HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\ncontent-length: 99\r\n\r\n0\r\n\r\n",
            whole("", true),
        ),
        ("HTTP/1.1 200 OK\r\ntransfer-encoding: gzip\r\ncontent-length: 1\r\n\r\nab", whole("ab", false)),
        (
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi",
            whole("hi", true),
        ),
    ] {
        assert_eq!(posted(answer), came, "{answer}");
        let bytewise = answer.bytes().map(|byte| vec![byte]).collect();
        assert_eq!(came_of(Method::POST, bytewise), came, "{answer}");
    }
    for status in [204, 304] {
        let answer = format!("HTTP/1.1 {status} X\r\ncontent-length: 9\r\n\r\n");
        assert_eq!(posted(&answer), Ok((status, String::new(), true)));
    }
    let of_head = came_of(Method::HEAD, vec![b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n".to_vec()]);
    assert_eq!(of_head, whole("", true));
}

#[test]
fn what_has_no_one_reading_is_no_answer() {
    for answer in [
        "",
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nhi",
        "HTTP/1.1 200 OK\r\ncontent-length: +2\r\n\r\nhi",
        "HTTP/1.1 200 OK\r\ncontent-length: 2, 2\r\n\r\nhi",
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 1\r\n\r\nhi",
        "HTTP/1.1 200 OK\r\ncontent-length: 99999999999999999999999\r\n\r\nhi",
        "HTTP/1.1 200 OK\r\na: 1\r\n b: 2\r\ncontent-length: 2\r\n\r\nhi",
        "HTTP/1.1 200 OK\r\na\0: 1\r\n\r\n",
        "HTTP/1.1 200 OK\na: 1\n\nHTTP/1.1 200 OK\r\n\r\n",
        "HTTP/1.1 099 X\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\n\r\n",
        "HTTP/2 200 OK\r\n\r\n",
        "SSH-2.0-x\r\n\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhi",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhi!\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n-2\r\nhi\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nfffffffffffffffff\r\nhi",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\nx: y\r\n",
    ] {
        assert!(posted(answer).is_err(), "{answer:?}: {:?}", posted(answer));
    }
    let long = |field: &str, rest: &str| format!("HTTP/1.1 200 OK\r\n{}{rest}", field.repeat(9000));
    assert!(posted(&long("a: 1234\r\n", "\r\n")).is_err());
    assert!(posted(&format!("HTTP/1.1 200 OK\r\n{}\r\n", "a: 1\r\n".repeat(101))).is_err());
    let trailers = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n";
    assert!(posted(&format!("{trailers}{}\r\n", "a: 1\r\n".repeat(999))).is_err());
}

#[test]
fn a_connection_serves_one_request_after_the_other_until_the_provider_leaves() {
    runtime().block_on(async {
        let (left, was_left) = std::sync::mpsc::channel();
        let mut line = line_to(move |mut server| {
            for _ in 0..3 {
                read_request(&mut server);
                server.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi").unwrap();
            }
            was_left.recv().unwrap();
        });
        for _ in 0..3 {
            assert!(line.is_ready());
            assert_eq!(ask(&mut line, Method::POST).await, Ok((200, "hi".to_owned(), true)));
        }
        assert!(line.is_ready());
        left.send(()).unwrap();
        tokio::time::sleep(Duration::from_millis(200)).await;
        assert!(!line.is_ready());
    });
}

#[test]
fn what_comes_unasked_ends_a_connection() {
    runtime().block_on(async {
        let mut line = line_to(|mut server| {
            read_request(&mut server);
            server
                .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhiHTTP/1.1 200 OK\r\n\r\n")
                .unwrap();
            std::thread::sleep(Duration::from_secs(1));
        });
        assert_eq!(ask(&mut line, Method::POST).await, Ok((200, "hi".to_owned(), true)));
        assert!(!line.is_ready());
    });
}

#[test]
fn a_silent_provider_is_not_waited_for_for_ever() {
    runtime().block_on(async {
        let mut line = line_to(|mut server| {
            read_request(&mut server);
            std::thread::sleep(Duration::from_secs(2));
        });
        let (parts, ()) = Request::post("/").body(()).unwrap().into_parts();
        let body = Bytes::from_static(b"body");
        let late = line.exchange(&parts, Some(&body), Duration::from_millis(100)).await.err().unwrap();
        assert_eq!(late.kind(), io::ErrorKind::TimedOut);
    });
}

#[test]
fn an_answer_that_comes_before_the_end_of_the_request_is_heard() {
    runtime().block_on(async {
        let mut line = line_to(|mut server| {
            let mut some = [0; 1024];
            assert_ne!(server.read(&mut some).unwrap(), 0);
            server.write_all(b"HTTP/1.1 413 Too Large\r\ncontent-length: 0\r\n\r\n").unwrap();
            std::thread::sleep(Duration::from_secs(1));
        });
        let (parts, ()) = Request::post("/").body(()).unwrap().into_parts();
        // More than both sockets hold.
        let body = Bytes::from(vec![b'x'; 64 << 20]);
        let begun = line.exchange(&parts, Some(&body), Duration::from_secs(20)).await.unwrap();
        assert_eq!((begun.response.status(), begun.keeps), (StatusCode::PAYLOAD_TOO_LARGE, false));
    });
}

#[test]
fn the_rest_of_a_request_that_is_taken_early_is_written() {
    runtime().block_on(async {
        let mut line = line_to(|mut server| {
            server.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n").unwrap();
            let (mut read, mut buffer) = (0, vec![0; 1 << 16]);
            while read < (8 << 20) {
                read += server.read(&mut buffer).unwrap();
            }
            server.write_all(b"hi").unwrap();
        });
        let (parts, ()) = Request::post("/").body(()).unwrap().into_parts();
        let body = Bytes::from(vec![b'x'; 8 << 20]);
        let mut begun = line.exchange(&parts, Some(&body), Duration::from_secs(20)).await.unwrap();
        let read = std::future::poll_fn(|cx| line.poll_body(cx, &mut begun.framing)).await;
        assert_eq!((&read.unwrap().unwrap()[..], begun.keeps), (&b"hi"[..], true));
    });
}

#[test]
fn a_long_body_arrives_whole() {
    runtime().block_on(async {
        let (told, lengths) = std::sync::mpsc::channel();
        let mut line = line_to(move |mut server| {
            let (mut read, mut buffer) = (0, vec![0; 1 << 16]);
            while read < (8 << 20) {
                std::thread::sleep(Duration::from_micros(100));
                read += server.read(&mut buffer).unwrap();
            }
            told.send(read).unwrap();
            server.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").unwrap();
        });
        let (parts, ()) = Request::post("/").body(()).unwrap().into_parts();
        let body = Bytes::from(vec![b'x'; 8 << 20]);
        let begun = line.exchange(&parts, Some(&body), Duration::from_secs(20)).await.unwrap();
        assert!(begun.keeps && begun.framing.is_over());
        let head = "POST / HTTP/1.1\r\ncontent-length: 8388608\r\n\r\n".len();
        assert_eq!(lengths.recv().unwrap(), (8 << 20) + head);
    });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn chunks_are_read_however_they_arrive(chunks in prop::collection::vec("[a-z]{1,40}", 0..6), cuts in prop::collection::vec(0..400_usize, 0..8)) {
        let framed = chunks.iter().map(|chunk| format!("{:x}\r\n{chunk}\r\n", chunk.len()));
        let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n".to_owned();
        let mut answer: String = std::iter::once(head).chain(framed).collect();
        answer.push_str("0\r\n\r\n");
        let mut cuts: Vec<usize> = cuts.into_iter().map(|at| at.min(answer.len())).collect();
        cuts.extend([0, answer.len()]);
        cuts.sort_unstable();
        let pieces = cuts.windows(2).map(|cut| answer.as_bytes()[cut[0]..cut[1]].to_vec()).collect();
        prop_assert_eq!(came_of(Method::POST, pieces), Ok((200, chunks.concat(), true)));
    }

    #[test]
    fn no_bytes_make_reading_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), head in any::<bool>()) {
        let mut answer = if head { b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n".to_vec() } else { Vec::new() };
        answer.extend_from_slice(&bytes);
        let _came = came_of(Method::POST, vec![answer]);
    }
}
