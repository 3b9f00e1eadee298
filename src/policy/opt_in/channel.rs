//! Where people agree: the channels of the rules, and what is no channel of its own but a way into a chat.

use crate::consent::evidence::Evidence;

/// The third-party channels.
pub(super) const THIRD_PARTY: [&str; 7] = ["website", "app", "email", "sms", "phone", "in_person", "paper"];

/// What else Meta's present rule takes.
const IN_CHAT: [&str; 6] = ["whatsapp", "ivr", "qr_code", "click_to_chat", "social", "other"];

/// Active opt-ins: what a person does who agrees. A pre-ticked box and silence are none.
const ACTIONS: [&str; 6] =
    ["checked_box", "pressed_button", "signed", "said_yes", "texted_keyword", "filled_form"];

/// Hosts that do nothing but open a chat; their subdomains too.
const CHAT_HOSTS: [&str; 5] = ["wa.me", "wa.link", "whatsapp.com", "whatsapp.net", "m.me"];

pub(super) fn is_third_party(evidence: &Evidence) -> bool {
    names_one_of(evidence.channel.as_deref(), &THIRD_PARTY)
}

pub(super) fn is_known(evidence: &Evidence) -> bool {
    is_third_party(evidence) || names_one_of(evidence.channel.as_deref(), &IN_CHAT)
}

pub(super) fn is_active(evidence: &Evidence) -> bool {
    names_one_of(evidence.user_action.as_deref(), &ACTIONS)
}

fn names_one_of(word: Option<&str>, words: &[&str]) -> bool {
    word.is_some_and(|word| words.contains(&word))
}

/// Whether nothing could be shown beside the words: they were spoken, or stood on paper.
pub(super) fn shows_nothing(evidence: &Evidence) -> bool {
    match evidence.channel.as_deref() {
        Some("phone" | "paper") => true,
        Some("in_person") => evidence.user_action.as_deref() == Some("said_yes"),
        Some(_) | None => false,
    }
}

/// Whether the person only followed a link into a chat.
pub(super) fn is_click_to_chat(evidence: &Evidence) -> bool {
    let plain = |text: &str| text.trim().to_ascii_lowercase().replace(['-', ' '], "_");
    let by_name = evidence.channel.as_deref().map(plain).is_some_and(|name| {
        matches!(name.as_str(), "click_to_chat" | "click_to_whatsapp" | "chat_link" | "wa.me" | "ctwa")
    });
    by_name || evidence.url.as_deref().is_some_and(opens_a_chat)
}

fn opens_a_chat(url: &str) -> bool {
    // Browsers drop these wherever they stand.
    let url = url.replace(['\t', '\n', '\r'], "").trim().to_ascii_lowercase().replace('\\', "/");
    let (scheme, rest) = match url.split_once(':') {
        Some((scheme, rest)) if is_scheme(scheme) => (scheme, rest),
        Some(_) | None => ("", url.as_str()),
    };
    if scheme.contains("whatsapp") || (scheme == "intent" && rest.contains("whatsapp")) {
        return true;
    }
    let authority = rest.trim_start_matches('/').split(['/', '?', '#']).next().unwrap_or_default();
    let host = authority.rsplit('@').next().unwrap_or_default().split(':').next().unwrap_or_default();
    let host = host.trim_end_matches('.');
    let of = |known: &str| host == known || host.strip_suffix(known).is_some_and(|sub| sub.ends_with('.'));
    CHAT_HOSTS.into_iter().any(of)
}

/// Whether what stands before a colon is a scheme, and not a host before its port.
fn is_scheme(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-".contains(&b))
}
