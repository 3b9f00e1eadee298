//! Where people agree, and what they can do there.

use crate::consent::blank::is_invisible;
use crate::consent::evidence::Evidence;
use unicode_normalization::UnicodeNormalization;

/// One channel.
pub(super) struct Channel {
    /// Its word in `evidence.channel`.
    pub(super) name: &'static str,
    /// Whether it is one beside WhatsApp, as the guidelines ask.
    pub(super) third_party: bool,
    /// What a person who agrees can do there; a box on paper is ticked, no button of it is pressed.
    pub(super) actions: &'static [&'static str],
}

/// Every channel. The rules name them in this order.
pub(super) const CHANNELS: [Channel; 13] = [
    third_party("website", &["checked_box", "pressed_button", "signed", "filled_form"]),
    third_party("app", &["checked_box", "pressed_button", "signed", "filled_form"]),
    // An email is answered as well, in words.
    third_party("email", &ACTIONS),
    third_party("sms", &["said_yes", "texted_keyword"]),
    // Or a key of the telephone.
    third_party("phone", &["pressed_button", "said_yes"]),
    // On a screen at the counter, on a form, or aloud.
    third_party("in_person", &["checked_box", "pressed_button", "signed", "said_yes", "filled_form"]),
    third_party("paper", &["checked_box", "signed", "filled_form"]),
    other("whatsapp", &["checked_box", "pressed_button", "said_yes", "texted_keyword", "filled_form"]),
    other("ivr", &["pressed_button", "said_yes"]),
    other("qr_code", &["checked_box", "pressed_button", "texted_keyword", "filled_form"]),
    other("click_to_chat", &["pressed_button", "said_yes", "texted_keyword"]),
    other("social", &["checked_box", "pressed_button", "said_yes", "texted_keyword", "filled_form"]),
    other("other", &ACTIONS),
];

/// Active opt-ins: what a person does who agrees. A pre-ticked box and silence are none.
pub(super) const ACTIONS: [&str; 6] =
    ["checked_box", "pressed_button", "signed", "said_yes", "texted_keyword", "filled_form"];

/// WhatsApp as it is written in scripts that put no space between words, or that have no capital letters to tell a name by.
const IN_OTHER_SCRIPTS: [&str; 12] = [
    "واتساب",
    "واتس اب",
    "واتس آب",
    "וואטסאפ",
    "ווטסאפ",
    "व्हाट्सएप",
    "व्हाट्सऐप",
    "ватсап",
    "вотсап",
    "вацап",
    "왓츠앱",
    "ワッツアップ",
];

const fn third_party(name: &'static str, actions: &'static [&'static str]) -> Channel {
    Channel { name, third_party: true, actions }
}

const fn other(name: &'static str, actions: &'static [&'static str]) -> Channel {
    Channel { name, third_party: false, actions }
}

fn of(evidence: &Evidence) -> Option<&'static Channel> {
    CHANNELS.iter().find(|channel| evidence.channel.as_deref() == Some(channel.name))
}

pub(super) fn is_third_party(evidence: &Evidence) -> bool {
    of(evidence).is_some_and(|channel| channel.third_party)
}

pub(super) fn is_known(evidence: &Evidence) -> bool {
    of(evidence).is_some()
}

pub(super) fn is_active(evidence: &Evidence) -> bool {
    evidence.user_action.as_deref().is_some_and(|action| ACTIONS.contains(&action))
}

/// Whether a person can do there what they are said to have done; of words that mean nothing other rules tell.
pub(super) fn is_possible(evidence: &Evidence) -> bool {
    let action = evidence.user_action.as_deref().filter(|action| ACTIONS.contains(action));
    match (of(evidence), action) {
        (Some(channel), Some(action)) => channel.actions.contains(&action),
        (_, None) | (None, _) => true,
    }
}

/// Whether nothing could be shown beside the words: they were spoken, or stood on paper.
pub(super) fn shows_nothing(evidence: &Evidence) -> bool {
    match evidence.channel.as_deref() {
        Some("phone" | "paper") => true,
        Some("in_person") => evidence.user_action.as_deref() == Some("said_yes"),
        Some(_) | None => false,
    }
}

/// Whether the wording names WhatsApp, as a word of its own and not as a part of an address.
pub(super) fn names_whatsapp(wording: &str) -> bool {
    let shown: String = wording.nfkc().filter(|c| !is_invisible(*c)).flat_map(char::to_lowercase).collect();
    let named = |name: &str| {
        shown.match_indices(name).any(|(at, _)| {
            let before = shown.get(..at).and_then(|text| text.chars().next_back());
            let mut after = shown.get(at + name.len()..).unwrap_or_default().chars();
            stands_before(before) && stands_behind(after.next(), after.next())
        })
    };
    ["whatsapp", "whats app", "what's app"].into_iter().any(named)
        || (!shown.is_ascii()
            && IN_OTHER_SCRIPTS.into_iter().any(|name| shown.contains(&name.nfkc().collect::<String>())))
}

fn stands_before(c: Option<char>) -> bool {
    c.is_none_or(|c| !c.is_alphanumeric() && !matches!(c, '.' | '/' | '@' | '_' | ':' | '&' | '='))
}

fn stands_behind(c: Option<char>, next: Option<char>) -> bool {
    match c {
        None => true,
        // The end of a sentence, not of a label.
        Some('.' | ':') => next.is_none_or(|next| !next.is_alphanumeric() && next != '/'),
        Some(c) => !c.is_alphanumeric() && !matches!(c, '/' | '@' | '_' | '='),
    }
}
