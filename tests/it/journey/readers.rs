//! Requests that two readers understand differently, through the real gate: refused, and the provider sees none of them.

use super::*;
use crate::support::client::request;

const FORM: &str = "application/x-www-form-urlencoded";
const JSON: &str = "application/json";
const MULTIPART: &str = "multipart/form-data; boundary=B";

fn operations() -> String {
    let body = "messaging_product=whatsapp\u{26}to=%2B15550000002\u{26}type=text\u{26}text=%7B%22body%22%3A%22x%22%7D";
    json!([{"method": "POST", "relative_url": format!("{SENDER}/messages"), "body": body}]).to_string()
}

fn escaped(text: &str) -> String {
    text.bytes().map(|b| format!("%{b:02X}")).collect()
}

fn part(head: &str, value: &str) -> String {
    format!("--B\r\n{head}\r\n\r\n{value}\r\n")
}

fn named(name: &str) -> String {
    format!("Content-Disposition: form-data; name=\"{name}\"")
}

#[track_caller]
fn silent(scene: &Scene, target: &str, kind: &str, body: &str) {
    let response = request(scene.gate.addr(), "POST", target, &[("Content-Type", kind)], body.as_bytes());
    assert_eq!(response.status, 400, "{target} {kind} {body}: {}", response.text());
    scene.assert_untouched();
}

#[test]
fn a_part_that_some_reader_knows_by_another_name_is_denied() {
    let scene = Scene::agreed();
    let message = part(&named("messaging_product"), "whatsapp")
        + &part(&named("to"), ANN)
        + &part(&named("type"), "text")
        + &part(&named("text"), "{\"body\":\"x\"}");
    for head in [
        "Content-Disposition: form-data; x=\"; name=NAME; y=\"; name=\"file\"",
        "Content-Disposition: form-data; filename=\"a; name=NAME; b.pdf\"; name=\"file\"",
        "Content-Disposition: form-data; name=\"file\"; nam\r\ne=\"NAME\"",
        "Content-Disposition: form-data; name*0=\"NAME\"",
        "Content-Disposition: form-data; x=\"\0\"\r\n \"; name=NAME; y=\"\r\n; name=\"file\"",
        "X: \"\rContent-Disposition: form-data; name=NAME\rY: \"\r\nContent-Disposition: form-data; name=\"file\"",
        &format!(
            "X: \"{}Content-Disposition: form-data; name=NAME; y=\"\r\n{}",
            "a".repeat(5116),
            named("file")
        ),
    ] {
        let send = message.clone() + &part(&head.replace("NAME", "to"), BOB) + "--B--\r\n";
        silent(&scene, &edge("messages"), MULTIPART, &send);
        let batch = part(&head.replace("NAME", "batch"), &operations()) + "--B--\r\n";
        for target in ["/".to_owned(), edge("media"), format!("/v23.0/{SENDER}")] {
            silent(&scene, &target, MULTIPART, &batch);
        }
    }
    let sip =
        part(&format!("{}\n\n{{\"sip\":{{\"status\":\"ENABLED\"}}}}", named("calling")), "") + "--B--\r\n";
    silent(&scene, &edge("settings"), MULTIPART, &sip);
}

#[test]
fn a_content_type_that_some_reader_takes_for_multipart_is_denied() {
    let scene = Scene::agreed();
    let batch = part(&named("batch"), &operations()) + "--B--\r\n";
    for kind in ["m;xboundary=B", ";xboundary=B", "multipart; xboundary=B"] {
        silent(&scene, "/", kind, &format!("x\r\n{batch}"));
        silent(&scene, &edge("media"), kind, &format!("x\r\n{batch}"));
    }
    let file = format!("x&batch={}&y=", escaped(&operations()));
    let upload = part(&format!("{}; filename=\"a\"", named("file")), &file) + "--B--\r\n";
    for kind in ["multipart/form-data; Boundary=B", "multipart/form-data\t; boundary=B"] {
        silent(&scene, &edge("media"), kind, &upload);
    }
    let plain =
        request(scene.gate.addr(), "POST", &edge("media"), &[("Content-Type", MULTIPART)], upload.as_bytes());
    assert_eq!(plain.status, 200, "{}", plain.text());
}

#[test]
fn every_kind_of_batch_that_is_not_read_is_denied() {
    let scene = Scene::agreed();
    for name in ["asyncbatch", "adbatch"] {
        let form = format!("{name}={}", escaped(&operations()));
        silent(&scene, "/v23.0", FORM, &form);
        silent(&scene, "/", JSON, &format!("{{\"{name}\":{}}}", operations()));
        silent(&scene, &format!("/?{form}"), JSON, "");
        silent(
            &scene,
            "/",
            JSON,
            &format!("{{\"batch\":[{{\"method\":\"POST\",\"relative_url\":\"/\",\"body\":\"{form}\"}}]}}"),
        );
        for target in ["/".to_owned(), edge("media")] {
            silent(&scene, &target, MULTIPART, &(part(&named(name), &operations()) + "--B--\r\n"));
        }
    }
    silent(&scene, "/v23.0/act_1/async_batch_requests", JSON, "{}");
}

#[test]
fn a_form_hidden_in_json_is_denied() {
    let scene = Scene::agreed();
    let reads = escaped("[{\"method\":\"GET\",\"relative_url\":\"me\"}]");
    let hidden = format!("{{\"a\":\"x&batch={}&b=\"}}", escaped(&operations()));
    silent(&scene, &format!("/?batch={reads}"), JSON, &hidden);
    let mut allowed = text(ANN);
    allowed["text"]["body"] = json!("x&template=%7B%22name%22%3A%22marketing%22%7D&b=");
    silent(&scene, &edge("messages"), JSON, &allowed.to_string());
    allowed["text"]["body"] = json!("https://g.example/d/x?orgId=1&from=1700000000000&to=1700003600000");
    assert_eq!(scene.gate.send(&allowed).status, 200);
}
