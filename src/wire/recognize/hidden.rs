//! What a JSON body would say if it were read as a form, as HHVM fills `$_POST` whatever the `Content-Type`.
//!
//! Texts hold addresses such as `?from=a&to=b`, so a parameter counts only where somebody could send with it. Knows no edge and no JSON.

use super::form::loose_pair;
use super::names::{Name, Seen, Spelled};

/// Finds the parameters behind every `&`. A body without one costs a search.
pub(super) fn find(body: &[u8], mut on: impl FnMut(&str, &str)) -> Seen {
    let (mut seen, mut named, mut promised) = (Seen::default(), Seen::default(), false);
    let mut rest = body;
    // What stands before the first `&` begins like JSON, and is no name.
    while let Some(after) = memchr::memchr(b'&', rest).and_then(|at| rest.get(at + 1..)) {
        rest = after;
        let end = memchr::memchr(b'&', rest).unwrap_or(rest.len());
        let (name, value) = loose_pair(rest.get(..end).unwrap_or_default());
        if let Some(judged) = Spelled::of(&name).name() {
            promised |= promises(judged, &value);
            if !value.is_empty() && matches!(judged, Name::To | Name::Recipient) {
                named.insert(judged);
            }
            if is_meant(judged, &name, &value) {
                seen.insert(judged);
            }
        }
        on(&name, &value);
    }
    // Beside what only a message has, everything is a recipient.
    if promised {
        seen.merge(named);
    }
    seen
}

/// Whether the value says that the pairs are a message.
fn promises(name: Name, value: &str) -> bool {
    let says = |text: &str| value.get(..text.len()).is_some_and(|start| start.eq_ignore_ascii_case(text));
    (name == Name::MessagingProduct && says("whatsapp"))
        || (name == Name::Type && Spelled::of(value).name().is_some_and(Name::is_payload))
}

/// Whether a value is one that the name could be sent with by itself, rather than a piece of an address in a text.
#[allow(
    clippy::wildcard_enum_match_arm,
    reason = "every other name is ordinary text in a JSON body, names to come included"
)]
fn is_meant(name: Name, written: &str, value: &str) -> bool {
    match name {
        Name::To | Name::Recipient => is_number(value) || is_user_id(value),
        Name::RecipientType => value.get(..5).is_some_and(|kind| kind.eq_ignore_ascii_case("group")),
        Name::Method | Name::UnderscoreMethod => true,
        // `template[name]=x` is how PHP reads an object.
        _ if name == Name::Batch || name.is_payload() => written.contains('[') || holds_object(value),
        _ => false,
    }
}

/// Whether the text could hold a JSON object, loosely written; `{{1}}` and `{name}` are placeholders.
fn holds_object(value: &str) -> bool {
    let inside = value.split_once('{').map_or("", |(_, inside)| inside);
    inside.contains(':') && inside.contains(['"', '\'', '\\'])
}

/// Whether the digits, with signs between them, could be somebody's number.
fn is_number(value: &str) -> bool {
    let bare = value.split_once(':').filter(|(scheme, _)| is_scheme(scheme)).map_or(value, |(_, rest)| rest);
    let number = bare.split(char::is_alphabetic).next().unwrap_or(bare);
    let digits: Vec<u32> =
        number.chars().filter(|c| c.is_numeric()).map(|c| c.to_digit(10).unwrap_or(0)).collect();
    let is_whole = !number.trim_matches(|c: char| !c.is_numeric()).contains(|c: char| !c.is_numeric());
    match (digits.len(), digits.first()) {
        _ if number.contains('+') && digits.len() >= 7 => true,
        (8 | 9, _) => is_whole && !is_date(&digits),
        // The latter are seconds or milliseconds since 1970: a number in +1 has eleven digits.
        (0..=7, _) | (10 | 13, Some(1)) => false,
        _ => !(number.contains('-') && is_date(&digits)),
    }
}

/// `tel:`, `whatsapp:`.
fn is_scheme(text: &str) -> bool {
    (1..=10).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphabetic())
}

/// `20261125` and whatever follows, in a year in which nobody's mobile number begins like it: Egypt's are in +20 1.
fn is_date(digits: &[u32]) -> bool {
    let [2, 0, decade, _, month @ .., _, _] = digits.get(..8).unwrap_or_default() else { return false };
    let day = digits.get(6..8).unwrap_or_default();
    let pair = |pair: &[u32]| pair.iter().fold(0, |number, digit| number * 10 + digit);
    *decade >= 2 && (1..=12).contains(&pair(month)) && (1..=31).contains(&pair(day))
}

/// `US.13491208655302741918`: a country and up to 128 letters and digits. Source: Meta, business-scoped user ids.
fn is_user_id(value: &str) -> bool {
    let start = value.trim_start_matches(|c: char| !c.is_ascii_alphabetic());
    start.split_once('.').is_some_and(|(country, id)| {
        let id = id.split(|c: char| !c.is_ascii_alphanumeric()).next().unwrap_or_default();
        let is_long = id.len() >= 7 && id.bytes().any(|b| b.is_ascii_digit());
        country.len() == 2 && country.bytes().all(|b| b.is_ascii_alphabetic()) && (is_long || id.len() >= 16)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(text: &str) -> Vec<&'static str> {
        let seen = find(format!("{{\"a\":\"x&{text}&z=\"}}").as_bytes(), |_, _| {});
        super::super::names::ALL.iter().filter(|(name, _)| seen.has(*name)).map(|(_, text)| *text).collect()
    }

    #[test]
    fn what_somebody_could_send_with_counts() {
        for (text, found) in [
            ("to=%2B15550000009", "to"),
            ("to=15550000009", "to"),
            ("to=2025550143", "to"),
            ("to=20112233", "to"),
            ("to=201012251000", "to"),
            ("to=2010-12-25%2010:00", "to"),
            ("to=whatsapp:%2B15550000009", "to"),
            ("to=%22%2B15550000009%22", "to"),
            ("to=%D9%A1%D9%A5%D9%A5%D9%A5%D9%A0%D9%A0%D9%A0%D9%A0%D9%A0%D9%A0%D9%A9", "to"),
            ("recipient=DE.aBcDeFgHiJ12", "recipient"),
            ("recipient=US.13491208655302741918", "recipient"),
            ("to=1&messaging_product=whatsapp", "to"),
            ("to=1&type=text", "to"),
            ("recipient_type=group", "recipient_type"),
            ("batch=[{\"method\":\"POST\"}]", "batch"),
            ("batch={\"0\":{\"method\":\"POST\"}}", "batch"),
            ("batch=%00[{\"method\":1}]", "batch"),
            ("batch=%EF%BB%BF[{'method':1}]", "batch"),
            ("batch[0][relative_url]=me", "batch"),
            ("asyncbatch=[{\"method\":1}]", "batch"),
            ("template=%7B\"name\":\"promo\"%7D", "template"),
            ("template[name]=promo", "template"),
            ("text={\\\"body\\\":1}", "text"),
        ] {
            assert_eq!(seen(text), [found], "{text}");
        }
    }

    #[test]
    fn links_in_a_text_do_not() {
        for text in [
            "from=1700000000000&to=1700003600000",
            "to=25-11-2026",
            "to=2026-11-25",
            "to=2026-11-25%2010:00",
            "to=20261125",
            "to=1234567890",
            "to=1700003600",
            "recipient=1234567",
            "to=de.wikipedia.org",
            "to=Berlin",
            "batch=[1]",
            "batch={{1}}",
            "to={{1}}",
            "text=Hello%20{name}",
            "type=oneway&to=25-11-2026",
        ] {
            assert_eq!(seen(text), [""; 0], "{text}");
        }
    }
}
