//! Who a send goes to, as WhatsApp resolves it.

use super::errors::GraphError;

/// A recipient that could be resolved.
pub(super) enum Recipient {
    /// A phone number and the id of the account behind it.
    Phone {
        /// As it was sent.
        input: String,
        /// The account's id.
        wa_id: String,
    },
    /// A business-scoped user id.
    User(String),
    /// A group.
    Group(String),
}

impl Recipient {
    /// Resolves what was sent.
    pub(super) fn resolve(input: String, group: bool) -> Result<Self, GraphError> {
        if group {
            return Ok(Recipient::Group(input));
        }
        if is_user_id(&input) {
            return Ok(Recipient::User(input));
        }
        let digits = digits(&input).ok_or_else(|| GraphError::invalid("Recipient is not a phone number"))?;
        Ok(Recipient::Phone { input, wa_id: wa_id(&digits) })
    }

    /// What message ids are made from.
    pub(super) fn key(&self) -> &str {
        match self {
            Recipient::Phone { wa_id, .. } => wa_id,
            Recipient::User(id) | Recipient::Group(id) => id,
        }
    }
}

/// The error that a recipient's last eight digits ask for as the answer: `99` and a six-digit code.
pub(super) fn requested_error(input: &str) -> Option<GraphError> {
    requested(input, "99")
}

/// The error that they ask for in a webhook, after the message was accepted: `98` and a six-digit code.
pub(super) fn requested_failure(input: &str) -> Option<GraphError> {
    requested(input, "98")
}

fn requested(input: &str, mark: &str) -> Option<GraphError> {
    if is_user_id(input) {
        return None;
    }
    let digits = digits(input)?;
    let tail = digits.get(digits.len().checked_sub(8)?..)?;
    GraphError::listed(tail.strip_prefix(mark)?.parse().ok()?)
}

/// `US.1349…` or, for linked portfolios, `US.ENT.1181…`.
fn is_user_id(input: &str) -> bool {
    let Some((country, rest)) = input.split_once('.') else { return false };
    let id = rest.strip_prefix("ENT.").unwrap_or(rest);
    country.len() == 2
        && country.bytes().all(|byte| byte.is_ascii_uppercase())
        && !id.is_empty()
        && id.len() <= 128
        && id.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

/// The digits of a number written in any of the ways that Meta documents.
fn digits(input: &str) -> Option<String> {
    let allowed = |c: char| c.is_ascii_digit() || matches!(c, '+' | '-' | '(' | ')' | ' ' | '.');
    let digits: String = input.chars().filter(char::is_ascii_digit).collect();
    let plausible = (5..=15).contains(&digits.len()) && !digits.starts_with('0');
    (plausible && input.chars().all(allowed)).then_some(digits)
}

/// The id that WhatsApp keeps for a number: Mexico with its old 1, Argentina with its 9, Brazil with or without the ninth digit.
fn wa_id(digits: &str) -> String {
    match (digits.get(..2), digits.len()) {
        (Some("52"), 12) => format!("521{}", digits.get(2..).unwrap_or_default()),
        (Some("54"), 12) => format!("549{}", digits.get(2..).unwrap_or_default()),
        (Some("55"), 12 | 13) => brazilian(digits),
        _ => digits.to_owned(),
    }
}

fn brazilian(digits: &str) -> String {
    let area = digits.get(2..4).unwrap_or_default();
    let local = digits.get(4..).unwrap_or_default();
    let keeps_nine = matches!(
        area,
        "11" | "12" | "13" | "14" | "15" | "16" | "17" | "18" | "19" | "21" | "22" | "24" | "27" | "28"
    );
    match (local.len(), local.as_bytes().first()) {
        (9, Some(b'9')) if !keeps_nine => format!("55{area}{}", local.get(1..).unwrap_or_default()),
        (8, Some(b'6'..=b'9')) if keeps_nine => format!("55{area}9{local}"),
        _ => digits.to_owned(),
    }
}
