//! A second, slow and simple reader of HTTP/1.1 that shares nothing with the guard: whatever bytes arrive,
//! however they are cut, the service sees the requests that this reader finds, in order, with the same bodies,
//! and none else.

use proptest::prelude::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

use super::*;

type Found = (String, Vec<u8>);

/// Reads whole requests up to the first that is incomplete or that a strict reader refuses.
fn read_all(mut bytes: &[u8]) -> Vec<Found> {
    let mut found = Vec::new();
    while let Some((request, rest)) = read_one(bytes) {
        found.push(request);
        bytes = rest;
    }
    found
}

fn read_one(bytes: &[u8]) -> Option<(Found, &[u8])> {
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")?;
    let head: String = bytes[..end].iter().map(|&byte| char::from(byte)).collect();
    let mut lines = head.split("\r\n");
    let line: Vec<&str> = lines.next()?.split(' ').collect();
    let [_, target, version @ ("HTTP/1.0" | "HTTP/1.1")] = line[..] else { return None };
    let (mut length, mut chunked) = (Vec::new(), Vec::new());
    for line in lines {
        let (name, value) = line.split_once(':')?;
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length.push(value.trim_matches([' ', '\t'])),
            "transfer-encoding" => chunked.push(value.trim_matches([' ', '\t']).to_ascii_lowercase()),
            _ => {}
        }
    }
    if head.replace("\r\n", "").contains(['\r', '\n']) {
        return None;
    }
    let rest = &bytes[end + 4..];
    let (body, rest) = match (&length[..], &chunked[..]) {
        ([], []) => (Vec::new(), rest),
        ([length], []) => {
            let length: usize = length.parse().ok()?;
            (rest.get(..length)?.to_vec(), &rest[length..])
        }
        ([], [coding]) if coding == "chunked" && version == "HTTP/1.1" => read_chunks(rest)?,
        _ => return None,
    };
    Some(((target.to_owned(), body), rest))
}

fn read_chunks(mut rest: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let mut body = Vec::new();
    loop {
        let end = rest.windows(2).position(|window| window == b"\r\n")?;
        let size = usize::from_str_radix(std::str::from_utf8(&rest[..end]).ok()?, 16).ok()?;
        rest = &rest[end + 2..];
        if size > 0 {
            body.extend_from_slice(rest.get(..size)?);
        }
        rest = rest.get(size..)?.strip_prefix(b"\r\n")?;
        if size == 0 {
            return Some((body, rest));
        }
    }
}

/// What the service sees of the bytes, sent in pieces of the given size.
fn serve_bytes(bytes: &[u8], piece: usize) -> Vec<Found> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let local = LocalSet::new();
    let record = Record::default();
    local.block_on(&runtime, async {
        let (near, far) = duplex(piece);
        let (_trigger, drain) = crate::net::drain();
        let serving = serve(far, record.clone(), ConnectionSettings::default(), drain);
        let asking = async move {
            let (mut answers, mut requests) = tokio::io::split(near);
            let sending = async {
                let _refused = requests.write_all(bytes).await;
                let _likewise = requests.shutdown().await;
            };
            let mut answer = Vec::new();
            let reading = answers.read_to_end(&mut answer);
            let _ended = tokio::join!(sending, reading);
        };
        tokio::join!(serving, asking);
    });
    let seen = record.seen();
    seen.into_iter().filter_map(|seen| Some((seen.target, seen.body?))).collect()
}

fn body() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        prop::collection::vec(any::<u8>(), 0..40),
        Just(b"GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n".to_vec()),
        Just(b"0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n".to_vec()),
    ]
}

fn sized() -> impl Strategy<Value = Vec<u8>> {
    body().prop_map(|body| {
        let head = format!("POST /sized HTTP/1.1\r\nHost: gate\r\nContent-Length: {}\r\n\r\n", body.len());
        [head.into_bytes(), body].concat()
    })
}

fn chunked() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(body(), 0..4).prop_map(|chunks| {
        let mut bytes =
            b"POST /chunked HTTP/1.1\r\nHost: gate\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
        for chunk in chunks.into_iter().filter(|chunk| !chunk.is_empty()) {
            bytes.extend(format!("{:X}\r\n", chunk.len()).into_bytes());
            bytes.extend(chunk);
            bytes.extend(b"\r\n");
        }
        bytes.extend(b"0\r\n\r\n");
        bytes
    })
}

fn requests() -> impl Strategy<Value = Vec<u8>> {
    let bare = Just(b"GET /bare HTTP/1.1\r\nHost: gate\r\n\r\n".to_vec());
    prop::collection::vec(prop_oneof![bare, sized(), chunked()], 1..5).prop_map(|requests| requests.concat())
}

/// One change to the bytes: what goes in at a place, and how much goes out there.
fn change() -> impl Strategy<Value = (prop::sample::Index, Vec<u8>, usize)> {
    let tokens = [
        "\r",
        "\n",
        "\r\n",
        "\0",
        " ",
        "\t",
        ":",
        ";",
        "0",
        "5",
        "-",
        "+",
        "x",
        ",",
        "Content-Length: 3\r\n",
        "Transfer-Encoding: chunked\r\n",
        "Transfer-Encoding : chunked\r\n",
        "\r\nX: y",
        "Host: evil\r\n",
        "0\r\n\r\n",
        "\r\n\r\n",
    ];
    let inserted = prop_oneof![
        1 => Just(Vec::new()),
        4 => prop::sample::select(tokens.to_vec()).prop_map(|token| token.as_bytes().to_vec()),
        1 => prop::collection::vec(any::<u8>(), 1..3),
    ];
    (any::<prop::sample::Index>(), inserted, 0..3usize)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn well_formed_requests_reach_the_service_unchanged(bytes in requests(), piece in 1..200usize) {
        prop_assert_eq!(serve_bytes(&bytes, piece), read_all(&bytes));
    }

    #[test]
    fn no_bytes_make_the_service_see_what_a_strict_reader_does_not(
        bytes in requests(), changes in prop::collection::vec(change(), 1..4), piece in 1..200usize,
    ) {
        let mut bytes = bytes;
        for (place, inserted, removed) in changes {
            let at = place.index(bytes.len() + 1);
            let to = (at + removed).min(bytes.len());
            bytes.splice(at..to, inserted);
        }
        let (seen, expected) = (serve_bytes(&bytes, piece), read_all(&bytes));
        let sent = bytes.escape_ascii();
        prop_assert!(expected.starts_with(&seen), "saw {seen:?}, a strict reader {expected:?} of {sent}");
    }
}
