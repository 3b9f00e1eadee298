//! Requests made from a string of bytes, each of which decides one thing.
//!
//! The same bytes give the same request, fewer bytes a plainer one: so proptest can shrink what fails, and a fuzzer can mutate what covers.

use super::assertion::{Arrival, SENDER};
use super::lenient::Request;

/// Decisions, taken one after the other; when they run out, the plainest.
pub(crate) struct Choices<'a> {
    bytes: std::slice::Iter<'a, u8>,
}

impl<'a> Choices<'a> {
    /// Decides by these bytes.
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes: bytes.iter() }
    }

    fn next(&mut self) -> usize {
        self.bytes.next().map_or(0, |byte| usize::from(*byte))
    }

    fn pick<T: Clone>(&mut self, from: &[T]) -> T {
        from[self.next() % from.len()].clone()
    }

    /// True for so many of 32 bytes.
    fn odds(&mut self, of_32: usize) -> bool {
        let next = self.next();
        next != 0 && (next - 1) % 32 < of_32
    }
}

/// A request and how it arrives.
pub(crate) fn request(choices: &mut Choices<'_>) -> (Request, Arrival) {
    let mut written = if choices.odds(8) { batch(choices) } else { single(choices) };
    if choices.odds(3) {
        let extra = choices.pick(&EXTRA);
        let glue = if written.target.contains('?') { '&' } else { '?' };
        written.target = format!("{}{glue}{extra}", written.target);
    }
    if choices.odds(3) {
        written.headers.push(choices.pick(&HEADERS).map(str::to_owned).into());
    }
    if choices.odds(4) {
        written.body = damaged(written.body, choices);
    }
    if choices.odds(1) {
        let (low, high) = choices.pick(&[(0, 1), (1, 0)]);
        written.body = written.body.iter().flat_map(|b| if low < high { [*b, 0] } else { [0, *b] }).collect();
    }
    let arrival = Arrival { http2: choices.odds(4), piece: choices.pick(&[4096, 1, 2, 3, 7, 64]) };
    (written, arrival)
}

const EXTRA: [&str; 24] = [
    "access_token=x",
    "method=post",
    "_method=POST",
    "Method=post",
    "method=get",
    "to=15550000002",
    "to=1;recipient=2",
    "recipient=US.2",
    "%74o=15550000002",
    "to%00=15550000002",
    "to%5B%5D=15550000002",
    "x=1;to=15550000002",
    "+to=2",
    "TO=2",
    "template[name]=promo",
    "text=hi",
    "batch=[]",
    "batch[0][method]=POST&batch[0][relative_url]=106540352242922/messages?to=2",
    "status=read",
    "type=text",
    "x=%zz",
    "x=%ff",
    "fields=id#to=2",
    "method=delete",
];

const HEADERS: [[&str; 2]; 15] = [
    ["x-http-method-override", "POST"],
    ["x-http-method", "get"],
    ["x-method-override", "delete"],
    ["content-encoding", "gzip"],
    ["content-encoding", "identity"],
    ["content-type", "text/plain"],
    ["content-type", "application/json"],
    ["content-type", "multipart/form-data; boundary=B"],
    ["content-encoding", ""],
    ["x-http-method-override", "bogus"],
    ["cookie", "session=to; locale=en"],
    ["cookie", "session=1; to=15550000002"],
    ["cookie", "%54o[]=15550000002"],
    ["cookie", "batch=[{\"method\":\"POST\",\"relative_url\":\"106540352242922/calls?to=2\"}]"],
    ["cookie", "method=post"],
];

const METHODS: [&str; 11] =
    ["POST", "POST", "POST", "POST", "GET", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "SEND"];

const PATHS: [&str; 35] = [
    "/v23.0/106540352242922/messages",
    "/106540352242922/messages",
    "/v23.0/106540352242922/marketing_messages",
    "/v23.0/106540352242922/calls",
    "/v23.0/106540352242922",
    "/",
    "/v23.0",
    "/me",
    "/v23.0/me/messages",
    "/777/messages",
    "/v23.0/777",
    "/v23.0/106540352242922/media",
    "/v23.0/102290129340398/message_templates",
    "/v1/messages",
    "/messages",
    "/v23.0/1/feed",
    "/1/settings",
    "/v23.0/1/message_samples",
    "/upload:MTph",
    "/106540352242922/messages/json",
    "/v23.0/106540352242922/messages_encrypted",
    "/v1/messages/gBEG",
    "/v1/contacts",
    "/1/groups",
    "/g/participants",
    "/1/subscribed_apps",
    "/1/signups/2",
    "/app/uploads",
    "/1/register",
    "/1/2/3/messages",
    "/x/106540352242922/messages",
    "/1/message_campaigns",
    "/oauth/access_token",
    "/act_1/async_batch_requests",
    "/1/whatsapp_business_profile",
];

fn path(choices: &mut Choices<'_>) -> String {
    let path = choices.pick(&PATHS).to_owned();
    if !choices.odds(6) {
        return path;
    }
    let at = choices.next() % (path.len() + 1);
    let (before, after) = path.split_at(at);
    match choices.next() % 16 {
        0 => format!("{path}/"),
        1 => format!("/{path}"),
        2 => path.to_uppercase(),
        3 => path.replace("mess", "m%65ss"),
        4 => path.replace("mess", "m%2565ss"),
        5 => path.replace("/mess", "/./mess"),
        6 => path.replace("/mess", "/x/../mess"),
        7 => path.replace("/mess", "%2fmess"),
        8 => path.replace("mess", "me\u{17f}s"),
        9 => path.replace("mess", "%EF%BD%8Dess"),
        10 => format!("{path}.json"),
        11 => format!("{path};x=1"),
        12 => format!("{before}/{after}"),
        13 => format!("{before}%{:02x}{after}", choices.next()),
        14 => format!(
            "{before}{}{after}",
            choices.pick(&[".", "~", "!", ",", ":", "@", "=", "&", "$", "'", "(", "*", "+", "\\", ";", "%"])
        ),
        _ => format!("{path}?"),
    }
}

const RECIPIENTS: [&str; 9] = [
    "15550000001",
    "+15550000002",
    "15550000003",
    "+1 (555) 000-0002",
    "US.20000000000000000002",
    "{\"id\":\"15550000002\"}",
    "group:1",
    "{result=x:$.y}",
    "\"15550000001\"",
];

const TEMPLATES: [&str; 14] = [
    r#"{"name":"order_update","language":{"code":"en_US"}}"#,
    r#"{"name":"promo_sale","language":{"code":"es"}}"#,
    r#"{"name":"order_update","language":{"code":"en_US","policy":"fallback"}}"#,
    r#"{"name":"order_update"}"#,
    r#"{"name":"order_update","language":{"code":"en_US"},"components":[{"type":"body","parameters":[{"type":"text","text":"x&to=1;y={"}]}]}"#,
    r#"{"id":"900"}"#,
    r#"{"name":"order_update","language":"en_US"}"#,
    r#"{"name":"a","Name":"promo_sale","language":{"code":"es"}}"#,
    r#"{"name":"a","language":{"Code":"es","code":"en_US"}}"#,
    r#"{"name":"a","name":"b","language":{"code":"es"}}"#,
    r#"{"name":"a","language":{"code":"es"},"language":{"code":"pt_BR"}}"#,
    r"{'name':'a','language':{'code':'es'}}",
    "order_update",
    r#"{"n\u0061me":"order_update","language":{"c\u006fde":"en_US"}}"#,
];

/// Names and values of one send; a value that begins with a brace is JSON.
fn fields(choices: &mut Choices<'_>) -> Vec<(String, String)> {
    let mut fields: Vec<(String, String)> = Vec::new();
    let mut add = |name: &str, value: &str| fields.push((name.to_owned(), value.to_owned()));
    if !choices.odds(4) {
        add(
            "messaging_product",
            choices.pick(&["whatsapp", "whatsapp", "whatsapp", "messenger", "WhatsApp", "instagram"]),
        );
    }
    if !choices.odds(6) {
        add("to", choices.pick(&RECIPIENTS));
    }
    if choices.odds(6) {
        add("recipient", choices.pick(&RECIPIENTS));
    }
    if choices.odds(5) {
        add("recipient_type", choices.pick(&["individual", "individual", "group", "Group"]));
    }
    match choices.next() % 8 {
        0..=2 => {
            add("type", choices.pick(&["template", "template", "TEMPLATE", "text", "hsm"]));
            add("template", choices.pick(&TEMPLATES));
        }
        3 => add(
            "text",
            choices.pick(&[
                r#"{"body":"hi"}"#,
                r#"{"body":"a=b&to=2"}"#,
                r#"{"body":"{\"to\":\"2\"}"}"#,
                r#"{"body":"--B\r\n"}"#,
            ]),
        ),
        4 => add(
            "interactive",
            choices.pick(&[
                r#"{"type":"button"}"#,
                r#"{"type":"call_permission_request"}"#,
                r#"{"type":"button","Type":"call_permission_request"}"#,
            ]),
        ),
        5 => add("hsm", r#"{"element_name":"promo_sale"}"#),
        6 => add(choices.pick(&["image", "hologram", "reaction", "pin", "message"]), r#"{"id":"1"}"#),
        _ => {}
    }
    for (odds, name, values) in [
        (3, "status", &["read", "delivered"][..]),
        (2, "category", &["utility", "UTILITY", "authentication", "marketing"]),
        (2, "method", &["get", "post", "delete"]),
        (3, "action", &["connect", "accept", "terminate", "CONNECT"]),
        (2, "context", &[r#"{"message_id":"wamid","to":"15550000001"}"#]),
        (2, "type", &["text", "interactive", "template"]),
        (
            1,
            "batch",
            &["[]", r#"[{"method":"POST","relative_url":"106540352242922/messages","body":"to=2"}]"#],
        ),
    ] {
        if choices.odds(odds) {
            add(name, choices.pick(values));
        }
    }
    disturb(&mut fields, choices);
    fields
}

/// Doubles a field, spells one otherwise, or turns them round.
fn disturb(fields: &mut Vec<(String, String)>, choices: &mut Choices<'_>) {
    if choices.odds(4) {
        fields.reverse();
    }
    if choices.odds(4) && !fields.is_empty() {
        let at = choices.next() % fields.len();
        let (name, value) = fields[at].clone();
        let value = if choices.odds(16) { choices.pick(&RECIPIENTS).to_owned() } else { value };
        let place = choices.next() % (fields.len() + 1);
        fields.insert(place, (name, value));
    }
    if choices.odds(5) && !fields.is_empty() {
        let at = choices.next() % fields.len();
        fields[at].0 = respelled(&fields[at].0, choices);
    }
    if choices.odds(2) {
        let name = choices.pick(&["to", "recipient", "template", "batch", "text", "type"]);
        fields.push((respelled(name, choices), choices.pick(&RECIPIENTS).to_owned()));
    }
}

fn respelled(name: &str, choices: &mut Choices<'_>) -> String {
    let wide =
        |name: &str| name.chars().map(|c| char::from_u32(u32::from(c) + 0xfee0).unwrap_or(c)).collect();
    match choices.next() % 16 {
        0 => name.to_uppercase(),
        1 => format!("{}{}", name[..1].to_uppercase(), &name[1..]),
        2 => format!("{name} "),
        3 => format!(" {name}"),
        4 => format!("{name}[]"),
        5 => format!("{name}[0]"),
        6 => format!("{name}\0x"),
        7 => format!("\u{feff}{name}"),
        8 => format!("{}\u{200b}{}", &name[..1], &name[1..]),
        9 => wide(name),
        10 => name.replace('_', "."),
        11 => format!("{name}\t"),
        12 => format!("\u{a0}{name}"),
        13 => format!("{name}."),
        14 => format!("[{name}]"),
        _ => format!("{name}[name]"),
    }
}

fn single(choices: &mut Choices<'_>) -> Request {
    let mut target = path(choices);
    let method = choices.pick(&METHODS).to_owned();
    let mut fields = fields(choices);
    if choices.odds(6) {
        let moved = fields.split_off(choices.next() % (fields.len() + 1));
        target = format!("{target}?{}", form(&moved, choices));
    }
    let (body, kind) = encoded(&fields, choices);
    Request { method, target, headers: content_type(kind, choices), body }
}

/// A body in one of the encodings, and its content type.
fn encoded(fields: &[(String, String)], choices: &mut Choices<'_>) -> (Vec<u8>, &'static str) {
    match choices.next() % 32 {
        0..=15 => (json(fields, choices).into_bytes(), "application/json"),
        16..=23 => (form(fields, choices).into_bytes(), "application/x-www-form-urlencoded"),
        24 => (lines(fields).into_bytes(), "text/plain"),
        _ => (multipart(fields, choices).into_bytes(), "multipart/form-data; boundary=B"),
    }
}

fn content_type(kind: &str, choices: &mut Choices<'_>) -> Vec<(String, String)> {
    let kind = if choices.odds(3) {
        choices.pick(&[
            "text/plain",
            "",
            "application/json; charset=utf-8",
            "application/json;charset=utf-16",
            "application/x-www-form-urlencoded",
            "multipart/form-data; boundary=B",
            "multipart/form-data; boundary=\"B\"",
            "multipart/mixed; boundary=B",
            "multipart/form-data",
            "application/octet-stream",
            "application/json; boundary=B",
            "Application/JSON",
            "multipart/form-data; boundary=B; boundary=C",
            "multipart/form-data; Boundary=B",
            "multipart/form-data\t; boundary=B",
            "multipart; xboundary=B",
            "m;xboundary=B",
            ";xboundary=B",
            "application/vnd.api+json",
            "x/form-utf16",
            "application/x-www-form-urlencoded; profile=json",
        ])
    } else {
        kind
    };
    if choices.odds(1) { Vec::new() } else { vec![("content-type".to_owned(), kind.to_owned())] }
}

/// A form as HTML encodes it in `text/plain`.
fn lines(fields: &[(String, String)]) -> String {
    fields.iter().map(|(name, value)| format!("{name}={value}\r\n")).collect()
}

fn quoted(text: &str) -> String {
    serde_json::to_string(text).unwrap_or_default()
}

fn json(fields: &[(String, String)], choices: &mut Choices<'_>) -> String {
    let entry = |(name, value): &(String, String), choices: &mut Choices<'_>| {
        let name = if choices.odds(2) {
            name.chars().map(|c| format!("\\u{:04x}", u32::from(c))).collect()
        } else {
            quoted(name).trim_matches('"').to_owned()
        };
        let bare = value.starts_with(['{', '[']) && !value.starts_with("{result") || choices.odds(1);
        format!("\"{name}\":{}", if bare { value.clone() } else { quoted(value) })
    };
    let entries: Vec<String> = fields.iter().map(|field| entry(field, choices)).collect();
    let text = format!("{{{}}}", entries.join(choices.pick(&[",", ",", ",", " , ", ",,"])));
    match choices.next() % 24 {
        1 => format!("\u{feff}{text}"),
        2 => format!("// x\n{text}"),
        3 => format!("[{text}]"),
        4 => format!("\n {text}\n"),
        5 => format!("{text}{text}"),
        6 => format!("{text}\0"),
        7 => text.replace('"', "'"),
        8 => format!("/**/{text}"),
        9 => quoted(&text),
        10 => text[..text.len() - 1].to_owned(),
        11 => format!("{{}}{text}"),
        _ => text,
    }
}

fn escaped(text: &str, choices: &mut Choices<'_>) -> String {
    let every = choices.odds(3);
    text.bytes()
        .map(|byte| match byte {
            b' ' if !every => "+".to_owned(),
            _ if every || !(byte.is_ascii_alphanumeric() || b"_.-".contains(&byte)) => format!("%{byte:02X}"),
            _ => char::from(byte).to_string(),
        })
        .collect()
}

fn form(fields: &[(String, String)], choices: &mut Choices<'_>) -> String {
    let glue = choices.pick(&["&", "&", "&", "&", "&", "&", ";", "&&"]);
    let pairs: Vec<String> = fields
        .iter()
        .map(|(name, value)| format!("{}={}", escaped(name, choices), escaped(value, choices)))
        .collect();
    pairs.join(glue)
}

fn multipart(fields: &[(String, String)], choices: &mut Choices<'_>) -> String {
    let end = if choices.odds(1) { "\n" } else { "\r\n" };
    let mut body = if choices.odds(1) {
        choices.pick(&["preamble\r\n", "\r\n", "{}", "to=2&x="]).to_owned()
    } else {
        String::new()
    };
    for (name, value) in fields {
        let plain = format!("name=\"{name}\"");
        let name = if choices.odds(4) {
            choices.pick(&[
                format!("name={name}"),
                format!("name='{name}'"),
                format!("Name=\"{name}\""),
                format!("name*=utf-8''{name}"),
                format!("filename=\"x\"; {plain}"),
                format!("{plain}; filename=\"to\""),
                format!("name=\"a\"; {plain}"),
                format!("name = \"{name}\""),
                format!("name=\"a\"{end}X: {plain}"),
                format!("x=\"; {plain}; y=\"; name=\"a\"").replace(&plain, &format!("name={name}")),
                format!("filename=\"a; name={name}; b.pdf\"; name=\"a\""),
                format!("name=\"a\"; nam{end}e=\"{name}\""),
                format!("x=\"\0\"{end} \"; name={name}; y=\"{end}; name=\"a\""),
                format!("x=\"\rContent-Disposition: form-data; name={name}\rY: \"; name=\"a\""),
                format!("name*0=\"{name}\""),
                format!("name=\"a\"{end}X: \"{}Content-Disposition: form-data; {plain}", "a".repeat(5115)),
                format!("name=\"{name}\"\n\n{value}{end}{end}"),
            ])
        } else {
            plain
        };
        let extra = if choices.odds(2) {
            choices.pick(&[
                "Content-Type: text/plain; charset=ISO-8859-1",
                "Content-Transfer-Encoding: 8bit",
                "Content-Length: 1",
                "Content-Type: text/plain; name=to",
                "Content-Transfer-Encoding: base64",
                "Content-Type: text/plain; charset=utf-16le",
                "Content-Type: application/json",
                "Content-Transfer-Encoding: quoted-printable",
            ])
        } else {
            ""
        };
        let extra = if extra.is_empty() { String::new() } else { format!("{end}{extra}") };
        body += &format!("--B{end}Content-Disposition: form-data; {name}{extra}{end}{end}{value}{end}");
    }
    body + "--B--" + end
}

fn operation(choices: &mut Choices<'_>) -> String {
    if choices.odds(8) {
        return r#"{"method":"GET","relative_url":"106540352242922?fields=id"}"#.to_owned();
    }
    let fields = fields(choices);
    let method = choices.pick(&METHODS);
    let mut url = path(choices);
    if choices.odds(16) {
        url = url.trim_start_matches('/').to_owned();
    }
    let body = match choices.next() % 4 {
        0 | 1 => Some(form(&fields, choices)),
        2 => Some(json(&fields, choices)),
        _ => {
            url = format!("{url}?{}", form(&fields, choices));
            None
        }
    };
    let mut entries = vec![("method".to_owned(), quoted(method)), ("relative_url".to_owned(), quoted(&url))];
    entries.extend(body.map(|body| ("body".to_owned(), quoted(&body))));
    if choices.odds(6) {
        let headers = [
            r#"["Content-Type: application/json"]"#,
            r#"{"Content-Type":"application/json"}"#,
            "[]",
            r#"["X-HTTP-Method-Override: POST"]"#,
            r#"[{"name":"Content-Type","value":"application/json"}]"#,
            r#"["Content-Encoding: gzip"]"#,
        ];
        entries.push(("headers".to_owned(), choices.pick(&headers).to_owned()));
    }
    if choices.odds(2) {
        let at = choices.next() % entries.len();
        let name = respelled(&entries[at].0, choices);
        let value =
            if choices.odds(16) { quoted(&format!("{}?to=2", path(choices))) } else { entries[at].1.clone() };
        entries.push((name, value));
    }
    if choices.odds(2) {
        entries.push(("body".to_owned(), quoted("batch=[{\"method\":\"POST\",\"relative_url\":\"106540352242922/messages\",\"body\":\"to=2\"}]")));
    }
    let entries: Vec<String> =
        entries.iter().map(|(name, value)| format!("{}:{value}", quoted(name))).collect();
    format!("{{{}}}", entries.join(","))
}

fn batch(choices: &mut Choices<'_>) -> Request {
    let count = choices.pick(&[1, 1, 2, 3]);
    let operations: Vec<String> = (0..count).map(|_| operation(choices)).collect();
    let text = format!("[{}]", operations.join(","));
    let text = if choices.odds(1) { text.replace('"', "'") } else { text };
    let mut target = if choices.odds(8) {
        path(choices)
    } else {
        choices.pick(&["/", "/v23.0", "/me", "/v23.0/me"]).to_owned()
    };
    let name = match choices.next() % 16 {
        1 | 2 => respelled("batch", choices),
        3 => choices.pick(&["asyncbatch", "adbatch", "AsyncBatch", "ad.batch"]).to_owned(),
        _ => "batch".to_owned(),
    };
    let mut fields = vec![("access_token".to_owned(), "x".to_owned()), (name, text)];
    if choices.odds(1) {
        fields.push(("to".to_owned(), SENDER.to_owned()));
    }
    let method = choices.pick(&METHODS).to_owned();
    if choices.odds(6) {
        target = format!("{target}?{}", form(&fields, choices));
        fields.clear();
    }
    let (body, kind) = encoded(&fields, choices);
    Request { method, target, headers: content_type(kind, choices), body }
}

/// Changes a few bytes.
fn damaged(mut body: Vec<u8>, choices: &mut Choices<'_>) -> Vec<u8> {
    for _ in 0..choices.pick(&[1, 1, 2, 5]) {
        if body.is_empty() {
            return body;
        }
        let at = (choices.next() * 256 + choices.next()) % body.len();
        match choices.next() % 4 {
            0 => body[at] = u8::try_from(choices.next()).unwrap_or_default(),
            1 => body.insert(at, choices.pick(b"\"'{}[],:&=;%+\\ \0\r\n-")),
            2 => {
                body.remove(at);
            }
            _ => {
                let end = (at + choices.next() % 30).min(body.len());
                let copy = body[at..end].to_vec();
                body.splice(at..at, copy);
            }
        }
    }
    body
}
