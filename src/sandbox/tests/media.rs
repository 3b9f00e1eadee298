//! Media: streamed up, described, downloaded, deleted.

use super::*;

const PHOTO: &[u8] = b"\x89PNG\r\n--not the boundary\r\n\x00\xff\r\n";

fn multipart(file: &[u8]) -> Vec<u8> {
    let mut body = b"--XyZ\r\nContent-Disposition: form-data; name=\"messaging_product\"\r\n\r\nwhatsapp\r\n--XyZ\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.png\"\r\nContent-Type: image/png\r\n\r\n".to_vec();
    body.extend_from_slice(file);
    body.extend_from_slice(b"\r\n--XyZ--\r\n");
    body
}

async fn upload(sandbox: &Sandbox, body: Vec<u8>) -> Answer {
    let request = request(Method::POST, &format!("/v23.0/{NUMBER}/media"))
        .header("content-type", "multipart/form-data; boundary=\"XyZ\"")
        .body(Full::from(body))
        .expect("a request");
    ask(sandbox, request).await
}

async fn described(sandbox: &Sandbox, id: &str) -> Answer {
    ask(sandbox, bare(Method::GET, &format!("/v23.0/{id}"))).await
}

async fn downloaded(sandbox: &Sandbox, id: &str) -> Answer {
    let url = described(sandbox, id).await.json()["url"].as_str().unwrap().to_owned();
    ask(sandbox, bare(Method::GET, url.strip_prefix("http://localhost").unwrap())).await
}

fn sha256(bytes: &[u8]) -> String {
    hex::encode(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes))
}

#[tokio::test]
async fn upload_comes_back_byte_for_byte() {
    let sandbox = started().await;
    let answer = upload(&sandbox, multipart(PHOTO)).await;
    let id = answer.json()["id"].as_str().unwrap().to_owned();
    assert_eq!(answer.text(), format!(r#"{{"id":"{id}"}}"#));
    assert_eq!(
        described(&sandbox, &id).await.text(),
        format!(
            r#"{{"messaging_product":"whatsapp","url":"http://localhost/_sandbox/media/{id}","mime_type":"image/png","sha256":"{}","file_size":{},"id":"{id}"}}"#,
            sha256(PHOTO),
            PHOTO.len()
        )
    );
    let file = downloaded(&sandbox, &id).await;
    assert_eq!((file.headers["content-type"].to_str().unwrap(), &file.body[..]), ("image/png", PHOTO));
    assert_eq!(sandbox.journal().sends(), 0);
}

#[tokio::test]
async fn download_needs_the_token() {
    let sandbox = started().await;
    let id = upload(&sandbox, multipart(PHOTO)).await.json()["id"].as_str().unwrap().to_owned();
    let mut request = bare(Method::GET, &format!("/_sandbox/media/{id}"));
    request.headers_mut().remove("authorization");
    assert_eq!(ask(&sandbox, request).await.error().0, 401);
}

#[tokio::test]
async fn file_that_does_not_fit_is_hashed_and_made_up_at_its_length() {
    let sandbox = Sandbox::start(Settings { media_memory: 1000, ..Settings::default() }).await.unwrap();
    let big: Vec<u8> = (0..3_000_000_u32).map(|n| n.to_le_bytes()[0] ^ n.to_le_bytes()[1]).collect();
    let id = upload(&sandbox, multipart(&big)).await.json()["id"].as_str().unwrap().to_owned();
    let info = described(&sandbox, &id).await.json();
    assert_eq!(
        (info["sha256"].as_str().unwrap(), info["file_size"].as_u64()),
        (&*sha256(&big), Some(3_000_000))
    );
    let (one, two) = (downloaded(&sandbox, &id).await.body, downloaded(&sandbox, &id).await.body);
    assert_eq!(one.len(), big.len());
    assert_eq!(one, two);
    let entry = sandbox.journal().entries()[0].clone();
    let crate::sandbox::Body::Digest { length, sha256: digest } = &entry.body else { unreachable!() };
    assert_eq!((*length, hex::encode(digest)), (multipart(&big).len() as u64, sha256(&multipart(&big))));
}

#[tokio::test]
async fn deleted_file_is_gone() {
    let sandbox = started().await;
    let id = upload(&sandbox, multipart(PHOTO)).await.json()["id"].as_str().unwrap().to_owned();
    let delete = || bare(Method::DELETE, &format!("/v23.0/{id}"));
    assert_eq!(ask(&sandbox, delete()).await.text(), r#"{"success":true}"#);
    assert_eq!(ask(&sandbox, delete()).await.error().0, 400);
    assert_eq!(described(&sandbox, &id).await.json()["error"]["error_subcode"], 33);
}

#[tokio::test]
async fn upload_that_is_not_one_is_refused() {
    let sandbox = started().await;
    let no_file =
        b"--XyZ\r\nContent-Disposition: form-data; name=\"messaging_product\"\r\n\r\nwhatsapp\r\n--XyZ--\r\n";
    assert_eq!(upload(&sandbox, no_file.to_vec()).await.error().2, "(#100) The parameter file is required.");
    let mut cut = multipart(PHOTO);
    cut.truncate(cut.len() - 6);
    assert_eq!(upload(&sandbox, cut).await.error().0, 400);
    assert_eq!(ask(&sandbox, json(&format!("/{NUMBER}/media"), "{}")).await.error().0, 400);
}

/// However the bytes are cut, the same parts come out.
#[test]
fn multipart_does_not_depend_on_how_the_bytes_arrive() {
    use crate::sandbox::multipart::{Event, Multipart};
    let body = multipart(PHOTO);
    let parts = |size: usize| {
        let mut parser = Multipart::new("XyZ");
        let mut parts: Vec<(String, Vec<u8>)> = Vec::new();
        for piece in body.chunks(size) {
            let report = &mut |event: Event<'_>| match event {
                Event::Part(head) => parts.push((head.name, Vec::new())),
                Event::Data(bytes) => parts.last_mut().unwrap().1.extend_from_slice(bytes),
                Event::End => {}
            };
            parser.feed(piece, report).unwrap();
        }
        parser.finish().unwrap();
        parts
    };
    let whole = [("messaging_product".to_owned(), b"whatsapp".to_vec()), ("file".to_owned(), PHOTO.to_vec())];
    for size in 1..body.len() {
        assert_eq!(parts(size), whole, "{size}");
    }
}
