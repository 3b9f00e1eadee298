use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;
use crate::net::FramingFault;
use crate::net::guard::GuardPatience;

fn is_bare_400(answer: &str) -> bool {
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_default();
    head.starts_with("HTTP/1.1 400 Bad Request\r\n")
        && head.contains("connection: close")
        && head.contains("content-length: 0")
        && body.is_empty()
}

#[tokio::test]
async fn an_ambiguous_request_gets_a_bare_400_and_never_reaches_the_service() {
    let cases = [
        ("bare LF", "GET / HTTP/1.1\nHost: gate\n\n".to_owned(), FramingFault::LineEnd),
        ("no host", "GET / HTTP/1.1\r\n\r\n".to_owned(), FramingFault::Host),
        (
            "two lengths",
            "POST / HTTP/1.1\r\nHost: gate\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n".to_owned(),
            FramingFault::TwoLengths,
        ),
        ("absolute", "GET http://a/ HTTP/1.1\r\nHost: gate\r\n\r\n".to_owned(), FramingFault::Target),
        ("blank line", "\r\n\r\n".to_owned() + &post("/", "x"), FramingFault::RequestLine),
        ("many fields", format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "X: y\r\n".repeat(200)), FramingFault::TooManyFields),
        ("large", format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "y".repeat(20_000)), FramingFault::HeadTooLarge),
    ];
    with_stand(async |stand: Stand| {
        for (name, bytes, fault) in cases {
            let answer = stand.exchange(&[bytes.as_bytes(), post("/later", "x").as_bytes()]).await;
            assert!(is_bare_400(&answer), "{name}: {answer}");
            let ending = stand.ending().await;
            assert!(matches!(ending, Ending::Refused(found) if found == fault), "{name}: {ending:?}");
        }
        assert_eq!(stand.record.seen(), []);
    })
    .await;
}

#[tokio::test]
async fn a_refusal_is_the_same_wherever_the_bytes_are_split() {
    let bytes = post("/first", "a") + "GET / HTTP/1.1\r\nHost: gate\r\nX : y\r\n\r\n";
    with_stand(async |stand: Stand| {
        for at in 1..bytes.len() {
            let (first, second) = bytes.as_bytes().split_at(at);
            let answer = stand.exchange(&[first, second]).await;
            assert_eq!(statuses(&answer), ["200", "400"], "split at {at}: {answer}");
        }
        assert!(stand.record.seen().iter().all(|seen| seen.target == "/first"));
    })
    .await;
}

#[tokio::test]
async fn pipelined_requests_before_a_bad_one_are_answered_in_order_and_nothing_after_it() {
    let pipeline =
        post("/slow", "first") + &post("/2", "second") + "GET  / HTTP/1.1\r\n\r\n" + &post("/4", "never");
    with_stand(async |stand: Stand| {
        let answer = stand.exchange(&[pipeline.as_bytes()]).await;
        assert_eq!(statuses(&answer), ["200", "200", "400"], "{answer}");
        let (first, second) = (answer.find("first").unwrap(), answer.find("second").unwrap());
        assert!(first < second);
        assert_eq!(stand.record.bodies(), [b"first".to_vec(), b"second".to_vec()]);
    })
    .await;
}

#[tokio::test]
async fn a_fault_inside_a_chunked_body_means_that_the_request_is_never_whole() {
    let head = "POST / HTTP/1.1\r\nHost: gate\r\nTransfer-Encoding: chunked\r\n\r\n";
    let bodies = [
        "5\r\nhello\r\n0\r\nX: y\r\n\r\n",
        "5\r\nhello\r\n0;a=b\r\n\r\n",
        "5\r\nhello\n0\r\n\r\n",
        "5\r\nhello\r0\r\n\r\n",
        "5\nhello\r\n0\r\n\r\n",
        "5\r\nhello\r\n0\n\n",
        "5\r\nhello\r\n0\r\n\n",
    ];
    with_stand(async |stand: Stand| {
        for body in bodies {
            let answer = stand.exchange(&[head.as_bytes(), body.as_bytes(), post("/", "x").as_bytes()]).await;
            assert_eq!(statuses(&answer), ["400"], "{body:?}: {answer}");
            assert!(matches!(stand.ending().await, Ending::Refused(_)));
        }
        assert_eq!(stand.record.bodies(), Vec::<Vec<u8>>::new());
        assert_eq!(stand.record.seen().len(), bodies.len());
    })
    .await;
}

#[tokio::test]
async fn a_body_that_is_cut_short_is_never_whole() {
    let sized = "POST / HTTP/1.1\r\nHost: gate\r\nContent-Length: 9\r\n\r\nhello";
    let chunked = "POST / HTTP/1.1\r\nHost: gate\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n";
    with_stand(async |stand: Stand| {
        for bytes in [sized, chunked] {
            stand.exchange(&[bytes.as_bytes()]).await;
        }
        assert_eq!(stand.record.bodies(), Vec::<Vec<u8>>::new());
    })
    .await;
}

#[tokio::test]
async fn a_chunked_body_may_come_one_byte_at_a_time() {
    let chunks: Vec<String> =
        "{\"to\":\"15550000001\"}".chars().map(|byte| format!("1\r\n{byte}\r\n")).collect();
    let body = chunks.concat();
    let bytes = format!("POST / HTTP/1.1\r\nHost: gate\r\nTransfer-Encoding: chunked\r\n\r\n{body}0\r\n\r\n");
    with_stand(async |stand: Stand| {
        let pieces: Vec<&[u8]> = bytes.as_bytes().chunks(1).collect();
        let answer = stand.exchange(&pieces).await;
        assert_eq!(statuses(&answer), ["200"], "{answer}");
        assert_eq!(stand.record.bodies(), [b"{\"to\":\"15550000001\"}".to_vec()]);
    })
    .await;
}

#[tokio::test]
async fn expect_100_continue_is_answered_before_the_body() {
    with_stand(async |stand: Stand| {
        let mut stream = stand.connect().await;
        let head = "POST / HTTP/1.1\r\nHost: gate\r\nExpect: 100-continue\r\nConnection: close\r\nContent-Length: 5\r\n\r\n";
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut interim = [0; 25];
        stream.read_exact(&mut interim).await.unwrap();
        assert_eq!(&interim, b"HTTP/1.1 100 Continue\r\n\r\n");
        stream.write_all(b"hello").await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.ends_with("hello"), "{answer}");
    })
    .await;
}

#[tokio::test]
async fn a_caller_that_closes_its_sending_half_still_gets_its_answer() {
    with_stand(async |stand: Stand| {
        let answer = stand.exchange(&[post("/slow", "patience").as_bytes()]).await;
        assert!(answer.ends_with("patience"), "{answer}");
        assert!(matches!(stand.ending().await, Ending::Closed));
    })
    .await;
}

#[tokio::test]
async fn a_refused_caller_that_keeps_sending_can_still_read_its_answer() {
    with_stand(async |stand: Stand| {
        let mut stream = stand.connect().await;
        stream.write_all(b"GET / HTTP/1.1\r\nX : y\r\n\r\n").await.unwrap();
        for _ in 0..20 {
            stream.write_all(&[b'x'; 10_000]).await.unwrap();
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        stream.shutdown().await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(is_bare_400(&answer), "{answer}");
    })
    .await;
}

/// The body of the one response in `answer`, which must be a sized one.
fn body_of(answer: &[u8]) -> &[u8] {
    let end = memchr::memmem::find(answer, b"\r\n\r\n").unwrap();
    &answer[end + 4..]
}

#[tokio::test]
async fn bodies_of_all_byte_values_pass_unchanged_sized_and_chunked() {
    for length in [1, 255, 8 * 1024, 64 * 1024, 300_001] {
        with_stand(async |stand: Stand| {
            let body = all_bytes(length);
            let sized = format!(
                "PUT / HTTP/1.1\r\nHost: gate\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n"
            );
            let mut chunked =
                b"PUT / HTTP/1.1\r\nHost: gate\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
                    .to_vec();
            for chunk in body.chunks(1000) {
                chunked.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
                chunked.extend_from_slice(chunk);
                chunked.extend_from_slice(b"\r\n");
            }
            chunked.extend_from_slice(b"0\r\n\r\n");
            for request in [[sized.into_bytes(), body.clone()].concat(), chunked] {
                let mut stream = stand.connect().await;
                stream.write_all(&request).await.unwrap();
                let mut answer = Vec::new();
                stream.read_to_end(&mut answer).await.unwrap();
                assert!(body_of(&answer) == body, "{length} bytes differ");
            }
            assert!(stand.record.bodies().iter().all(|seen| *seen == body));
        })
        .await;
    }
}

#[tokio::test]
async fn a_hundred_megabytes_stream_through_unchanged() {
    const TOTAL: usize = 100 * 1024 * 1024;
    with_stand(async |stand: Stand| {
        let (mut reader, mut writer) = stand.connect().await.into_split();
        tokio::task::spawn_local(async move {
            let head = format!("POST /stream HTTP/1.1\r\nHost: gate\r\nContent-Length: {TOTAL}\r\n\r\n");
            writer.write_all(head.as_bytes()).await.unwrap();
            let block = all_bytes(64 * 1024);
            for _ in 0..TOTAL / block.len() {
                writer.write_all(&block).await.unwrap();
            }
        });
        let mut buffer = vec![0; 256 * 1024];
        let first = reader.read(&mut buffer).await.unwrap();
        let mut body = body_of(&buffer[..first]).to_vec();
        let mut came = 0usize;
        loop {
            assert!(body.iter().zip(came..).all(|(&byte, at)| usize::from(byte) == at % 256), "near {came}");
            came += body.len();
            if came == TOTAL {
                break;
            }
            let more = reader.read(&mut buffer).await.unwrap();
            assert!(more > 0, "ended at {came}");
            body = buffer[..more].to_vec();
        }
    })
    .await;
}

fn impatient() -> ConnectionSettings {
    let milliseconds = Duration::from_millis;
    ConnectionSettings {
        first_bytes: milliseconds(100),
        patience: GuardPatience { idle: milliseconds(300), head: milliseconds(200), body: milliseconds(400) },
    }
}

#[tokio::test]
async fn silence_is_ended_at_every_stage_of_a_connection() {
    let stages: [(&str, u64); 5] = [
        ("", 100),
        ("PRI * HT", 100),
        ("GET / HTTP/1.1\r\nHost: ", 200),
        ("POST / HTTP/1.1\r\nHost: gate\r\nContent-Length: 9\r\n\r\nhello", 400),
        ("GET / HTTP/1.1\r\nHost: gate\r\n\r\n", 300),
    ];
    with_settings(impatient(), async |stand: Stand| {
        for (bytes, limit) in stages {
            let mut stream = stand.connect().await;
            stream.write_all(bytes.as_bytes()).await.unwrap();
            let begun = tokio::time::Instant::now();
            stream.read_to_end(&mut Vec::new()).await.unwrap();
            let (waited, limit) = (begun.elapsed(), Duration::from_millis(limit));
            assert!(waited >= limit.mul_f32(0.9), "{bytes:?} was cut after {waited:?}");
            assert!(waited < limit + Duration::from_secs(2), "{bytes:?} was held for {waited:?}");
        }
        assert_eq!(stand.record.bodies(), [b"".to_vec()]);
    })
    .await;
}

#[tokio::test]
async fn a_head_that_trickles_in_is_cut_although_bytes_keep_coming() {
    with_settings(impatient(), async |stand: Stand| {
        let (mut reader, mut writer) = stand.connect().await.into_split();
        let begun = tokio::time::Instant::now();
        let trickle = tokio::task::spawn_local(async move {
            writer.write_all(b"GET / HTTP/1.1\r\nX: ").await.unwrap();
            while writer.write_all(b"y").await.is_ok() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        });
        let mut answer = Vec::new();
        let _reset = reader.read_to_end(&mut answer).await;
        assert!(begun.elapsed() < Duration::from_secs(1), "held for {:?}", begun.elapsed());
        trickle.abort();
    })
    .await;
}

#[tokio::test]
async fn a_busy_keep_alive_connection_outlives_the_idle_limit() {
    with_settings(impatient(), async |stand: Stand| {
        let mut stream = stand.connect().await;
        let begun = tokio::time::Instant::now();
        while begun.elapsed() < Duration::from_millis(900) {
            stream.write_all(post("/", "x").as_bytes()).await.unwrap();
            let mut answer = [0; 1024];
            assert!(stream.read(&mut answer).await.unwrap() > 0);
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        // A service that takes longer than any patience is not the caller's silence.
        stream.write_all(post("/slow", "x").as_bytes()).await.unwrap();
        let mut answer = [0; 1024];
        assert!(stream.read(&mut answer).await.unwrap() > 0);
    })
    .await;
}

#[tokio::test]
async fn a_body_that_the_service_ignores_does_not_become_the_next_request() {
    with_stand(async |stand: Stand| {
        let smuggled = post("/smuggled", "x");
        let answer =
            stand.exchange(&[post("/deaf", &smuggled).as_bytes(), post("/next", "y").as_bytes()]).await;
        assert!(statuses(&answer).first() == Some(&"200"), "{answer}");
        assert!(stand.record.seen().iter().all(|seen| seen.target == "/next"), "{:?}", stand.record.seen());
    })
    .await;
}

#[tokio::test]
async fn an_early_answer_reaches_a_caller_that_is_still_uploading() {
    with_stand(async |stand: Stand| {
        let body = "x".repeat(500_000);
        let mut stream = stand.connect().await;
        stream.write_all(post("/deaf", &body).as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.ends_with("deaf"), "{answer}");
    })
    .await;
}

#[tokio::test]
async fn an_echo_that_nobody_reads_holds_back_the_upload_and_is_given_up() {
    with_settings(impatient(), async |stand: Stand| {
        let mut stream = stand.connect().await;
        let head = "POST /stream HTTP/1.1\r\nHost: gate\r\nContent-Length: 1000000000\r\n\r\n";
        stream.write_all(head.as_bytes()).await.unwrap();
        let (block, mut taken) = (all_bytes(64 * 1024), 0);
        while let Ok(bytes) = stream.write(&block).await {
            taken += bytes;
        }
        // What the kernel buffers for two sockets, and next to nothing of our own: a tenth of what is offered at most.
        assert!(taken < 96 * 1024 * 1024, "{taken} bytes were taken in");
        assert!(matches!(stand.ending().await, Ending::Broken(_)));
    })
    .await;
}
