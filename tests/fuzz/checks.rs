//! What must hold for any bytes. A panic is a finding.

use std::borrow::Cow;
use std::path::PathBuf;
use std::sync::LazyLock;

use crate::assertion::{Arrival, violation};
use crate::choices::{self, Choices};
use crate::config::{self, Overrides, Sources};
use crate::consent::{E164, GateRecord, Recipient};
use crate::lenient::Request;
use crate::wire::identify::{BareNumbers, Identified, Readings, identify as read_recipient};
use crate::wire::{Payload, Send, Surface};

/// Begins an input that decides instead of spelling out.
const DECIDES: u8 = 0xff;

/// Whatever the oracle finds in a request was judged, or nothing is forwarded.
///
/// The input is a request, `POST /path`, lines of headers, an empty line and the body; or, after the byte 0xff, choices of which one is made.
pub fn recognizer(data: &[u8]) {
    let made = match data {
        [DECIDES, choices @ ..] => Some(choices::request(&mut Choices::new(choices))),
        _ => written(data),
    };
    if let Some((request, arrival)) = made {
        hold(&request, arrival);
    }
}

/// The same for a batch, whose text is the input, in every place where one may stand.
pub fn batch(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let escaped: String = text.bytes().map(|byte| format!("%{byte:02X}")).collect();
    let quoted = serde_json::to_string(text).unwrap_or_default();
    let part = format!("--B\r\nContent-Disposition: form-data; name=\"batch\"\r\n\r\n{text}\r\n--B--\r\n");
    for (target, kind, body) in [
        ("/".to_owned(), "application/x-www-form-urlencoded", format!("access_token=x&batch={escaped}")),
        ("/v23.0/me".to_owned(), "application/json", format!("{{\"batch\":{text}}}")),
        ("/v23.0".to_owned(), "application/json", format!("{{\"batch\":{quoted}}}")),
        ("/1/feed".to_owned(), "multipart/form-data; boundary=B", part),
        (format!("/?batch={escaped}"), "application/json", String::new()),
    ] {
        let headers = vec![("content-type".to_owned(), kind.to_owned())];
        let request = Request { method: "POST".to_owned(), target, headers, body: body.into_bytes() };
        hold(&request, Arrival { http2: false, piece: 64 });
    }
}

#[track_caller]
fn hold(request: &Request, arrival: Arrival) {
    if let Some(wrong) = violation(request, arrival) {
        let body = String::from_utf8_lossy(&request.body);
        panic!("{wrong}\n{} {} {:?}\n{body}", request.method, request.target, request.headers);
    }
}

fn written(data: &[u8]) -> Option<(Request, Arrival)> {
    let end = data.windows(2).position(|pair| pair == b"\n\n").unwrap_or(data.len());
    let head = std::str::from_utf8(&data[..end]).ok()?;
    let mut lines = head.lines();
    let (method, target) = lines.next()?.split_once(' ')?;
    let (http2, method) = method.strip_prefix("h2:").map_or((false, method), |method| (true, method));
    let header =
        |line: &str| line.split_once(':').map(|(name, value)| (name.to_owned(), value.trim().to_owned()));
    let request = Request {
        method: method.to_owned(),
        target: target.to_owned(),
        headers: lines.filter_map(header).collect(),
        body: data.get(end + 2..).unwrap_or_default().to_vec(),
    };
    Some((request, Arrival { http2, piece: 1 + data.len() % 64 }))
}

/// A recipient has few readings; with `+` it has one; the common reading is among all of them; what was read reads the same again.
///
/// The input is the sender's number in one line, `to` in the next, `recipient` in a third.
pub fn identify(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let mut lines = text.splitn(3, '\n');
    let sender = lines.next().and_then(E164::parse);
    let (to, recipient) = (lines.next(), lines.next());
    let all = people(to, recipient, sender.as_ref(), BareNumbers::AllReadings);
    let common = people(to, recipient, sender.as_ref(), BareNumbers::International);
    if let (Some(all), Some(common)) = (&all, &common) {
        assert!(common.iter().all(|person| all.iter().any(|other| other == person)));
        assert!(!common.ambiguous());
    }
    let fields = [to, recipient].into_iter().flatten();
    let bare = fields.filter(|field| !field.starts_with('+')).count();
    if let Some(all) = &all {
        assert!(bare > 0 || !all.ambiguous());
        for person in all.iter() {
            let again =
                people(Some(&person.danger_string()), None, sender.as_ref(), BareNumbers::AllReadings);
            assert!(again.is_some_and(|again| again.iter().eq([person])), "{}", person.danger_string());
        }
    }
}

fn people(
    to: Option<&str>,
    recipient: Option<&str>,
    sender: Option<&E164>,
    bare: BareNumbers,
) -> Option<Readings> {
    let send = Send {
        surface: Surface::Messages,
        sender: Cow::Borrowed("1"),
        to: to.map(Cow::Borrowed),
        recipient: recipient.map(Cow::Borrowed),
        group: false,
        payload: Payload::default(),
        operation: None,
    };
    match read_recipient(&send, sender, bare) {
        Identified::Readings(readings) => {
            let named = usize::from(to.is_some()) + usize::from(recipient.is_some());
            let count = readings.iter().count();
            assert!((1..=2 * named).contains(&count), "{count} readings of {named} fields");
            assert!(
                readings.iter().all(|person| matches!(person, Recipient::Phone(_) | Recipient::UserId(_)))
            );
            Some(readings)
        }
        Identified::Group => panic!("no field says that this is a group"),
        Identified::Unreadable(_) => None,
    }
}

/// What is read as a gate record is written as the same bytes.
pub fn gate_record(data: &[u8]) {
    let Some(record) = GateRecord::decode(data) else { return };
    assert_eq!(record.encode().as_slice(), data);
    assert_eq!(GateRecord::decode(&record.encode()), Some(record));
}

/// A configuration is read or its problems are told, and the same each time.
///
/// The input is a file and, after a line `%%`, variables of the environment.
pub fn config(data: &[u8]) {
    static FILE: LazyLock<PathBuf> =
        LazyLock::new(|| std::env::temp_dir().join(format!("optgate-fuzz-{}.toml", std::process::id())));
    let text = String::from_utf8_lossy(data);
    let (file, environment) = text.split_once("\n%%\n").unwrap_or((&text, ""));
    // Settings name files that are opened; a device would never end.
    if text.contains("dev") || text.contains("proc") || text.contains('\\') {
        return;
    }
    std::fs::write(&*FILE, file).expect("the temporary folder can be written");
    let load = || {
        let pairs = environment.lines().filter_map(|line| line.split_once('='));
        config::load(Sources {
            file: Some(FILE.clone()),
            environment: pairs.map(|(name, value)| (name.to_owned(), value.to_owned())),
            overrides: Overrides::default(),
        })
    };
    match (load(), load()) {
        (Ok(_), Ok(_)) => {}
        (Err(first), Err(second)) => {
            let told = first.to_string();
            assert!(!told.trim().is_empty());
            assert_eq!(told, second.to_string());
        }
        _ => panic!("the same configuration was read once and refused once"),
    }
}
