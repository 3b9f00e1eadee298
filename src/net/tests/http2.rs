//! HTTP/2 in hand-made frames, since no client library sends what must be refused.

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut bytes = length[1..].to_vec();
    bytes.extend([kind, flags]);
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// HPACK literals without indexing; every length fits in seven bits.
fn fields(fields: &[(&str, &str)]) -> Vec<u8> {
    let text = |text: &str| [vec![u8::try_from(text.len()).unwrap()], text.as_bytes().to_vec()].concat();
    fields.iter().flat_map(|(name, value)| [vec![0], text(name), text(value)].concat()).collect()
}

/// What came of one stream: its status if it was answered, `None` if it was reset or the connection went.
async fn answer(stand: &Stand, frames: &[Vec<u8>]) -> Option<String> {
    let mut stream = stand.connect().await;
    let opening = [PREFACE.to_vec(), frame(4, 0, 0, &[])].concat();
    stream.write_all(&opening).await.unwrap();
    let _reset = stream.write_all(&frames.concat()).await;
    loop {
        let mut head = [0; 9];
        stream.read_exact(&mut head).await.ok()?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        let mut payload = vec![0; length];
        stream.read_exact(&mut payload).await.ok()?;
        match head[3] {
            1 => return Some(status(&payload)),
            3 | 7 => return None,
            _ => {}
        }
    }
}

/// The status in an HPACK block: an entry of the static table, or a literal with an indexed name.
fn status(block: &[u8]) -> String {
    match block {
        [0x88, ..] => "200".to_owned(),
        [0x8c, ..] => "400".to_owned(),
        other => panic!("an unexpected field block {other:?}"),
    }
}

const GOOD: [(&str, &str); 4] =
    [(":method", "POST"), (":scheme", "http"), (":path", "/x"), (":authority", "gate")];

fn with(more: &[(&'static str, &'static str)]) -> Vec<(&'static str, &'static str)> {
    [&GOOD, more].concat()
}

fn instead(name: &str, value: &'static str) -> Vec<(&'static str, &'static str)> {
    GOOD.iter().map(|&(known, old)| if known == name { (known, value) } else { (known, old) }).collect()
}

fn post_frames(head: &[(&str, &str)]) -> Vec<Vec<u8>> {
    vec![frame(1, END_HEADERS, 1, &fields(head)), frame(0, END_STREAM, 1, b"hello")]
}

#[tokio::test]
async fn http2_with_prior_knowledge_is_served_on_the_same_port() {
    with_stand(async |stand: Stand| {
        for head in [
            with(&[]),
            with(&[("host", "gate")]),
            with(&[("content-length", "5")]),
            with(&[("te", "trailers")]),
        ] {
            assert_eq!(answer(&stand, &post_frames(&head)).await.as_deref(), Some("200"), "{head:?}");
        }
        assert!(stand.record.bodies().iter().all(|body| body == b"hello"));
        let answer = stand.exchange(&[post("/", "h1").as_bytes()]).await;
        assert!(answer.ends_with("h1"), "{answer}");
    })
    .await;
}

#[tokio::test]
async fn a_contradictory_http2_request_never_reaches_the_service() {
    let heads = [
        ("authority and host disagree", with(&[("host", "evil.example")])),
        ("two hosts", with(&[("host", "gate"), ("host", "gate")])),
        ("no authority", GOOD[..3].to_vec()),
        ("user in authority", instead(":authority", "a@gate")),
        ("path without slash", instead(":path", "x")),
        ("absolute path", instead(":path", "http://graph.facebook.com/x")),
        ("asterisk", instead(":path", "*")),
        ("empty path", instead(":path", "")),
        ("lower-case method", instead(":method", "post")),
        ("TRACE", instead(":method", "TRACE")),
        ("CONNECT", vec![(":method", "CONNECT"), (":authority", "127.0.0.1:80")]),
        ("transfer-encoding", with(&[("transfer-encoding", "chunked")])),
        ("connection", with(&[("connection", "close")])),
        ("keep-alive", with(&[("keep-alive", "1")])),
        ("proxy-connection", with(&[("proxy-connection", "close")])),
        ("upgrade", with(&[("upgrade", "websocket")])),
        ("settings", with(&[("http2-settings", "AAMAAABkAAQCAAAAAAIAAAAA")])),
        ("announced trailer", with(&[("trailer", "x")])),
        ("expects more", with(&[("expect", "more")])),
        ("upper-case name", with(&[("X-Upper", "1")])),
        ("two lengths", with(&[("content-length", "5"), ("content-length", "5")])),
        ("signed length", with(&[("content-length", "+5")])),
        ("line break in a value", with(&[("x", "a\r\nhost: evil")])),
    ];
    with_stand(async |stand: Stand| {
        for (name, head) in heads {
            let answer = answer(&stand, &post_frames(&head)).await;
            assert!(matches!(answer.as_deref(), None | Some("400")), "{name}: {answer:?}");
            assert_eq!(stand.record.seen(), [], "{name}");
        }
    })
    .await;
}

#[tokio::test]
async fn an_http2_body_that_contradicts_its_length_is_never_whole() {
    with_stand(async |stand: Stand| {
        for length in ["4", "6"] {
            answer(&stand, &post_frames(&with(&[("content-length", length)]))).await;
        }
        assert_eq!(stand.record.bodies(), Vec::<Vec<u8>>::new());
    })
    .await;
}

#[tokio::test]
async fn http2_trailers_change_nothing_about_the_request() {
    let trailers: [&[(&str, &str)]; 2] =
        [&[(":path", "/y"), (":method", "PUT")], &[("content-length", "9"), ("host", "evil")]];
    with_stand(async |stand: Stand| {
        for fields_behind in trailers {
            let head = frame(1, END_HEADERS, 1, &fields(&GOOD));
            let behind = frame(1, END_HEADERS | END_STREAM, 1, &fields(fields_behind));
            answer(&stand, &[head, frame(0, 0, 1, b"hello"), behind]).await;
        }
        let expected = |seen: &Seen| seen.method == "POST" && seen.target == "http://gate/x";
        assert!(stand.record.seen().iter().all(expected), "{:?}", stand.record.seen());
    })
    .await;
}

#[tokio::test]
async fn one_refused_stream_does_not_end_the_others() {
    with_stand(async |stand: Stand| {
        let refused = frame(1, END_HEADERS | END_STREAM, 1, &fields(&instead(":method", "post")));
        let good = frame(1, END_HEADERS | END_STREAM, 3, &fields(&GOOD));
        assert_eq!(answer(&stand, &[refused, good]).await.as_deref(), Some("400"));
        while stand.record.seen().is_empty() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn an_http2_connection_without_requests_is_finished() {
    use crate::net::guard::GuardPatience;
    let idle = Duration::from_millis(200);
    let patience = GuardPatience { idle, ..GuardPatience::default() };
    with_settings(ConnectionSettings { patience, ..ConnectionSettings::default() }, async |stand: Stand| {
        let begun = tokio::time::Instant::now();
        let head = frame(1, END_HEADERS | END_STREAM, 1, &fields(&GOOD));
        let mut stream = stand.connect().await;
        stream.write_all(&[PREFACE.to_vec(), frame(4, 0, 0, &[]), head].concat()).await.unwrap();
        let mut answer = Vec::new();
        let goes_away = async {
            while !answer
                .windows(9)
                .any(|frame| frame[3] == 7 && frame[5..] == [0, 0, 0, 0] && frame[..2] == [0, 0])
            {
                assert!(stream.read_buf(&mut answer).await.unwrap() > 0, "closed without GOAWAY");
            }
        };
        goes_away.await;
        assert!(begun.elapsed() >= idle && begun.elapsed() < idle * 10, "after {:?}", begun.elapsed());
        assert_eq!(stand.record.seen().len(), 1);
    })
    .await;
}

#[test]
fn any_trailer_field_is_refused() {
    use crate::net::{FramingFault, check_trailers};
    let mut trailers = http::HeaderMap::new();
    assert_eq!(check_trailers(&trailers), Ok(()));
    trailers.insert("x-checksum", http::HeaderValue::from_static("1"));
    assert_eq!(check_trailers(&trailers), Err(FramingFault::Trailer));
}
