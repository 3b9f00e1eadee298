//! From a reason to the answer that the caller's own software understands.
//!
//! Meta asks clients to act on `error.code`; the codes below are known, permanent per recipient and in no SDK's retry set, except where a retry is wanted
//! and safe. The status is 400, because 403 is read by clients as a token problem. Sources: Meta, "Error codes" and "Handling errors".

use std::sync::OnceLock;

use bytes::Bytes;
use http::StatusCode;

use super::json_text;
use crate::consent::{Category, DenyReason};

/// Why there is no provider's answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// It was refused.
    Denied(DenyReason),
    /// The body is larger than what is judged.
    TooLarge,
    /// The body is compressed, so that it cannot be judged.
    Encoded,
    /// Not a byte of the request reached the provider.
    UpstreamNotReached,
    /// The provider failed after bytes were written.
    OutcomeUnknown,
}

/// Whose error envelope the caller reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Dialect {
    /// The Graph API's.
    #[default]
    Cloud,
    /// The On-Premises API's, which gateways still speak.
    OnPremises,
}

/// One refusal, to be written.
#[derive(Clone, Copy, Debug)]
pub struct Refusal<'a> {
    /// Why.
    pub cause: Cause,
    /// The strictest category of the send, if it was read.
    pub category: Option<Category>,
    /// What is wrong with this request in particular, and what would be right.
    pub why: Option<&'a str>,
    /// Which operation of a batch, counted from 0.
    pub operation: Option<usize>,
    /// The decision's id, for support and for the log.
    pub decision_id: &'a str,
    /// Whose envelope.
    pub dialect: Dialect,
}

/// A refusal as it is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rendered {
    /// The HTTP status.
    pub status: StatusCode,
    /// The envelope.
    pub body: Bytes,
    /// Seconds after which a retry makes sense, where one does.
    pub retry_after: Option<u32>,
    /// The provider's code.
    pub code: u32,
}

/// What a cause is to a caller: code, status, and texts, in which nothing has to be escaped in JSON.
struct Row {
    code: u32,
    status: StatusCode,
    retry_after: Option<u32>,
    /// The name of the reason.
    reason: &'static str,
    /// What happened and why.
    what: &'static str,
    /// What to do about it.
    remedy: &'static str,
}

impl Row {
    const fn refused(code: u32, reason: &'static str, what: &'static str, remedy: &'static str) -> Self {
        Self { code, status: StatusCode::BAD_REQUEST, retry_after: None, reason, what, remedy }
    }
}

/// The On-Premises API's "access denied": permanent, and says nothing false about the number.
const ON_PREMISES_DENIED: u32 = 1005;

/// Writes a refusal: by hand, because whoever sends a campaign to people who never agreed gets one for each.
pub fn render(refusal: &Refusal<'_>) -> Rendered {
    if let Refusal {
        cause: Cause::Denied(reason), why: None, operation: None, dialect: Dialect::Cloud, ..
    } = refusal
        && let Some(usual) = usual(*reason, refusal.category)
    {
        return usual.render(refusal.decision_id);
    }
    render_row(refusal, &row(refusal.cause, refusal.category))
}

fn render_row(refusal: &Refusal<'_>, row: &Row) -> Rendered {
    let mut body = Vec::with_capacity(TYPICAL_BYTES);
    match refusal.dialect {
        Dialect::Cloud => {
            graph(refusal, row, &mut body);
            json_text::push(refusal.decision_id, &mut body);
            body.extend_from_slice(GRAPH_END);
        }
        Dialect::OnPremises => on_premises(refusal, row, &mut body),
    }
    Rendered { status: row.status, body: Bytes::from(body), retry_after: row.retry_after, code: row.code }
}

const TYPICAL_BYTES: usize = 640;

/// What nearly every refusal is: for its reason alone, which makes all of them alike but for the decision's id.
struct Usual {
    row: Row,
    before_id: Box<[u8]>,
}

const PER_REASON: usize = Category::ALL.len() + 1;

/// One for each reason and category, written when it is first needed.
static USUAL: [OnceLock<Usual>; DenyReason::ALL.len() * PER_REASON] =
    [const { OnceLock::new() }; DenyReason::ALL.len() * PER_REASON];

fn usual(reason: DenyReason, category: Option<Category>) -> Option<&'static Usual> {
    let of_reason = category.map_or(Category::ALL.len(), Category::index);
    let place = USUAL.get(reason.index() * PER_REASON + of_reason)?;
    Some(place.get_or_init(|| Usual::of(reason, category)))
}

impl Usual {
    fn of(reason: DenyReason, category: Option<Category>) -> Self {
        let cause = Cause::Denied(reason);
        let row = row(cause, category);
        let nameless =
            Refusal { cause, category, why: None, operation: None, decision_id: "", dialect: Dialect::Cloud };
        let mut before_id = Vec::with_capacity(TYPICAL_BYTES);
        graph(&nameless, &row, &mut before_id);
        Self { row, before_id: before_id.into() }
    }

    fn render(&self, decision_id: &str) -> Rendered {
        let Self { row, before_id } = self;
        // Exactly as large: what has room left would be moved once more.
        let mut body = Vec::with_capacity(before_id.len() + decision_id.len() + GRAPH_END.len());
        body.extend_from_slice(before_id);
        json_text::push(decision_id, &mut body);
        body.extend_from_slice(GRAPH_END);
        Rendered { status: row.status, body: Bytes::from(body), retry_after: row.retry_after, code: row.code }
    }
}

/// All before the decision's id. Field order as Meta's own errors have it.
fn graph(refusal: &Refusal<'_>, row: &Row, body: &mut Vec<u8>) {
    body.extend_from_slice(br#"{"error":{"message":"(#"#);
    number(row.code, body);
    body.extend_from_slice(b") ");
    body.extend_from_slice(row.what.as_bytes());
    body.extend_from_slice(br#"","type":"OAuthException","code":"#);
    number(row.code, body);
    body.extend_from_slice(br#","error_data":{"messaging_product":"whatsapp","details":""#);
    details(refusal, row, body);
    body.extend_from_slice(br#""},"is_transient":"#);
    body.extend_from_slice(if row.retry_after.is_some() { b"true" } else { b"false" });
    body.extend_from_slice(br#","fbtrace_id":""#);
}

/// All behind it.
const GRAPH_END: &[u8] = br#""}}"#;

fn on_premises(refusal: &Refusal<'_>, row: &Row, body: &mut Vec<u8>) {
    body.extend_from_slice(br#"{"errors":[{"code":"#);
    number(ON_PREMISES_DENIED, body);
    body.extend_from_slice(br#","title":"Access denied","details":""#);
    details(refusal, row, body);
    body.extend_from_slice(br#""}],"meta":{"api_status":"stable","version":"optgate"}}"#);
}

fn details(refusal: &Refusal<'_>, row: &Row, body: &mut Vec<u8>) {
    body.extend_from_slice(b"optgate: ");
    if let Some(operation) = refusal.operation {
        body.extend_from_slice(b"operation ");
        json_text::push_number(operation, body);
        body.extend_from_slice(b" of the batch: ");
    }
    body.extend_from_slice(row.reason.as_bytes());
    body.extend_from_slice(b": ");
    body.extend_from_slice(row.what.as_bytes());
    if let Some(why) = refusal.why {
        body.extend_from_slice(b" (");
        json_text::push(why, body);
        body.push(b')');
    }
    body.extend_from_slice(b". ");
    body.extend_from_slice(row.remedy.as_bytes());
}

fn number(code: u32, body: &mut Vec<u8>) {
    json_text::push_number(usize::try_from(code).unwrap_or(usize::MAX), body);
}

/// A reason in words.
#[derive(Clone, Copy, Debug)]
pub struct Told {
    /// What happened and why.
    pub what: &'static str,
    /// What to do about it.
    pub remedy: &'static str,
}

/// What a caller is told of a reason.
pub fn told(reason: DenyReason, category: Option<Category>) -> Told {
    let Row { what, remedy, .. } = denied(reason, category);
    Told { what, remedy }
}

fn row(cause: Cause, category: Option<Category>) -> Row {
    match cause {
        Cause::Denied(reason) => denied(reason, category),
        Cause::TooLarge => Row {
            status: StatusCode::PAYLOAD_TOO_LARGE,
            ..Row::refused(
                100,
                "request_unreadable",
                "The request is too large to be checked for consent",
                "Send a smaller body, upload media first and refer to it by id, or raise [proxy] max_send_body",
            )
        },
        Cause::Encoded => Row {
            status: StatusCode::UNSUPPORTED_MEDIA_TYPE,
            ..Row::refused(
                100,
                "request_unreadable",
                "The request is compressed, so that it cannot be checked for consent",
                "Send it without Content-Encoding",
            )
        },
        Cause::UpstreamNotReached => Row {
            status: StatusCode::SERVICE_UNAVAILABLE,
            retry_after: Some(1),
            ..Row::refused(
                131_016,
                "upstream_not_reached",
                "The provider could not be reached; nothing was sent",
                "Try again",
            )
        },
        Cause::OutcomeUnknown => Row {
            status: StatusCode::GATEWAY_TIMEOUT,
            ..Row::refused(
                135_000,
                "outcome_unknown",
                "The provider did not answer; the message may have been delivered",
                "Check the message statuses before sending it again",
            )
        },
    }
}

/// The table of reasons. Every reason has its own row, so that a new one cannot get a wrong code by default.
fn denied(reason: DenyReason, category: Option<Category>) -> Row {
    let name = reason.name();
    let call = category == Some(Category::Call);
    match reason {
        DenyReason::ConsentRevoked if category == Some(Category::Marketing) => Row::refused(
            131_050,
            name,
            "The recipient has stopped marketing messages from this business",
            "Do not send marketing to this recipient until they agree again",
        ),
        DenyReason::ConsentRevoked if call => {
            not_called(name, "The recipient has withdrawn the permission to be called")
        }
        DenyReason::NoConsent | DenyReason::ConsentExpired if call => {
            not_called(name, "The recipient has not permitted calls")
        }
        DenyReason::ConsentRevoked => not_allowed(
            name,
            "The recipient has withdrawn their consent to this kind of message",
            "Do not send it again until they agree again",
        ),
        DenyReason::NoConsent => not_allowed(
            name,
            "The recipient has not agreed to this kind of message",
            "Obtain an opt-in and record it, then send again",
        ),
        DenyReason::ConsentExpired => not_allowed(
            name,
            "The recipient's consent has expired",
            "Obtain a new opt-in and record it, then send again",
        ),
        DenyReason::GroupNotPermitted => not_allowed(
            name,
            "Messages to groups are not permitted: not every member is known to have agreed",
            "Write to the members one by one, or see `groups` in the policy",
        ),
        DenyReason::PolicyRule => {
            not_allowed(name, "A rule of the policy forbids this message", "Ask whoever keeps the policy")
        }
        DenyReason::SenderHealth => not_allowed(
            name,
            "The sending number is at risk and sends no marketing now",
            "Wait until its quality has recovered",
        ),
        DenyReason::KillSwitch => not_allowed(
            name,
            "Sending of this category is switched off",
            "Ask whoever keeps the policy to lift the kill switch",
        ),
        DenyReason::WindowClosed => Row::refused(
            131_047,
            name,
            "More than 24 hours have passed since the recipient last wrote",
            "Send a template that the recipient has agreed to",
        ),
        DenyReason::QuietHours => later(name, "The recipient is not to be disturbed at this hour"),
        DenyReason::FrequencyCap => later(name, "The recipient has received enough messages for now"),
        DenyReason::Duplicate => later(name, "The same message was sent to this recipient a moment ago"),
        DenyReason::CallerNotPermitted => Row {
            status: StatusCode::FORBIDDEN,
            ..Row::refused(
                10,
                name,
                "This sender or caller is not permitted",
                "Configure the sender, or use the right phone number id",
            )
        },
        DenyReason::RecipientUnreadable => unreadable(
            name,
            "The recipient cannot be read",
            "Write the number as + and digits, such as +15550000001",
        ),
        DenyReason::RecipientAmbiguous => unreadable(
            name,
            "The recipient can be read as several people",
            "Write the number with + and the country calling code",
        ),
        DenyReason::RequestUnreadable => unreadable(
            name,
            "The request cannot be read with certainty",
            "Send it as one JSON object, each field once",
        ),
        DenyReason::UnrecognizedSend => unreadable(
            name,
            "The request could contact somebody in a form that is not checked for consent",
            "Send it as JSON to /{phone_number_id}/messages",
        ),
        DenyReason::OpaquePayload => unreadable(
            name,
            "The request is encrypted, so that nobody's consent can be checked",
            "Send it unencrypted to /{phone_number_id}/messages",
        ),
        DenyReason::SteeringWrite => unreadable(
            name,
            "The request would move webhooks away or make the provider send by itself",
            "Make this change outside the gate, or let steering writes pass in the policy",
        ),
        DenyReason::StoreUnavailable => retry(name, "The consent store could not answer; nothing was sent"),
        DenyReason::Overloaded => retry(name, "The gate is overloaded; nothing was sent"),
    }
}

const fn not_allowed(name: &'static str, what: &'static str, remedy: &'static str) -> Row {
    Row::refused(131_030, name, what, remedy)
}

const fn not_called(name: &'static str, what: &'static str) -> Row {
    Row::refused(138_006, name, what, "Obtain the permission to call and record it, then call again")
}

const fn later(name: &'static str, what: &'static str) -> Row {
    Row::refused(131_049, name, what, "Try again tomorrow at the earliest")
}

const fn unreadable(name: &'static str, what: &'static str, remedy: &'static str) -> Row {
    Row::refused(100, name, what, remedy)
}

const fn retry(name: &'static str, what: &'static str) -> Row {
    Row {
        status: StatusCode::SERVICE_UNAVAILABLE,
        retry_after: Some(1),
        ..Row::refused(131_016, name, what, "Try again in a moment")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rendered(cause: Cause, category: Option<Category>) -> (Rendered, serde_json::Value) {
        let refusal = Refusal {
            cause,
            category,
            why: None,
            operation: Some(3),
            decision_id: "01ID",
            dialect: Dialect::Cloud,
        };
        let rendered = render(&refusal);
        let body = serde_json::from_slice(&rendered.body).unwrap();
        (rendered, body)
    }

    #[test]
    fn every_reason_is_a_graph_error_that_names_itself() {
        for reason in DenyReason::ALL {
            for category in Category::ALL.into_iter().map(Some).chain([None]) {
                let (rendered, body) = rendered(Cause::Denied(*reason), category);
                let error = &body["error"];
                assert_eq!(error["code"], rendered.code);
                assert_eq!(error["type"], "OAuthException");
                assert_eq!(error["fbtrace_id"], "01ID");
                assert_eq!(error["error_data"]["messaging_product"], "whatsapp");
                assert!(error["message"].as_str().unwrap().starts_with(&format!("(#{}) ", rendered.code)));
                let details = error["error_data"]["details"].as_str().unwrap();
                assert!(details.contains(reason.name()) && details.contains("operation 3"), "{details}");
                assert_eq!(error["is_transient"], rendered.status.is_server_error());
            }
        }
    }

    #[test]
    fn a_usual_refusal_is_written_as_any_other() {
        let categories = || Category::ALL.into_iter().map(Some).chain([None]);
        for reason in DenyReason::ALL {
            for category in categories() {
                let refusal = Refusal {
                    cause: Cause::Denied(*reason),
                    category,
                    why: None,
                    operation: None,
                    decision_id: "01\"ID",
                    dialect: Dialect::Cloud,
                };
                assert!(usual(*reason, category).is_some());
                assert_eq!(render(&refusal), render_row(&refusal, &row(refusal.cause, category)));
            }
        }
    }

    #[test]
    fn nothing_in_the_texts_of_the_table_has_to_be_escaped() {
        let reasons = DenyReason::ALL.iter().map(|reason| Cause::Denied(*reason));
        let others = [Cause::TooLarge, Cause::Encoded, Cause::UpstreamNotReached, Cause::OutcomeUnknown];
        for cause in reasons.chain(others) {
            for category in Category::ALL.into_iter().map(Some).chain([None]) {
                let Row { reason, what, remedy, .. } = row(cause, category);
                for text in [reason, what, remedy] {
                    assert_eq!(serde_json::to_string(text).unwrap(), format!("\"{text}\""));
                }
            }
        }
    }

    #[test]
    fn codes_follow_the_table() {
        use Category::{Call, Marketing, Utility};
        for (cause, category, code, status) in [
            (Cause::Denied(DenyReason::ConsentRevoked), Some(Marketing), 131_050, 400),
            (Cause::Denied(DenyReason::ConsentRevoked), Some(Utility), 131_030, 400),
            (Cause::Denied(DenyReason::NoConsent), Some(Marketing), 131_030, 400),
            (Cause::Denied(DenyReason::ConsentExpired), Some(Marketing), 131_030, 400),
            (Cause::Denied(DenyReason::NoConsent), Some(Call), 138_006, 400),
            (Cause::Denied(DenyReason::ConsentRevoked), Some(Call), 138_006, 400),
            (Cause::Denied(DenyReason::WindowClosed), None, 131_047, 400),
            (Cause::Denied(DenyReason::QuietHours), None, 131_049, 400),
            (Cause::Denied(DenyReason::CallerNotPermitted), None, 10, 403),
            (Cause::Denied(DenyReason::RequestUnreadable), None, 100, 400),
            (Cause::Denied(DenyReason::StoreUnavailable), None, 131_016, 503),
            (Cause::TooLarge, None, 100, 413),
            (Cause::Encoded, None, 100, 415),
            (Cause::UpstreamNotReached, None, 131_016, 503),
            (Cause::OutcomeUnknown, None, 135_000, 504),
        ] {
            let (rendered, _) = rendered(cause, category);
            assert_eq!((rendered.code, rendered.status.as_u16()), (code, status), "{cause:?} {category:?}");
            assert_eq!(rendered.retry_after.is_some(), status == 503);
        }
    }

    #[test]
    fn on_premises_callers_get_their_own_envelope() {
        let cause = Cause::Denied(DenyReason::UnrecognizedSend);
        let refusal = Refusal {
            cause,
            category: None,
            why: Some("because"),
            operation: None,
            decision_id: "1",
            dialect: Dialect::OnPremises,
        };
        let body: serde_json::Value = serde_json::from_slice(&render(&refusal).body).unwrap();
        assert_eq!(body["errors"][0]["code"], 1005);
        assert!(body["errors"][0]["details"].as_str().unwrap().contains("because"));
    }
}
