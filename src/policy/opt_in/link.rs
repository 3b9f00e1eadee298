//! Links that open a chat instead of showing the words that somebody agreed to, however they are spelled.
//!
//! Reads an address as a browser does (WHATWG URL, UTS 46): user info, escapes, full-width letters, punycode and trailing dots make no other host. Follows nothing.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;
use unicode_normalization::UnicodeNormalization;
use url::Url;

use super::Claim;
use crate::consent::blank::is_invisible;

/// Hosts that do nothing but open a chat; their subdomains too. `wl.co` is WhatsApp's own redirector, the last ones make links into it and nothing else.
const CHAT_HOSTS: [&str; 11] = [
    "wa.me",
    "whatsapp.com",
    "whatsapp.net",
    "whatsapp.org",
    "wl.co",
    "m.me",
    "wa.link",
    "walink.co",
    "whats.link",
    "wame.pro",
    "wa.chat",
];

/// Services for short links, which hide where they lead; nobody read the words there.
const SHORTENERS: [&str; 18] = [
    "bit.ly",
    "buff.ly",
    "cutt.ly",
    "fb.me",
    "goo.gl",
    "is.gd",
    "lnkd.in",
    "ow.ly",
    "rb.gy",
    "rebrand.ly",
    "s.id",
    "short.io",
    "shorturl.at",
    "t.co",
    "t.ly",
    "tiny.cc",
    "tinyurl.com",
    "v.gd",
];

/// Hosts whose links name in a parameter where they lead.
const REDIRECTORS: [&str; 10] = [
    "facebook.com",
    "instagram.com",
    "messenger.com",
    "google.com",
    "youtube.com",
    "linkedin.com",
    "vk.com",
    "t.umblr.com",
    "href.li",
    "slack-redir.net",
];

/// Names of what is no channel.
const NAMES: [&str; 5] = ["click_to_chat", "click_to_whatsapp", "chat_link", "wa.me", "ctwa"];

/// How many redirections within one address are followed.
const DEPTH: usize = 4;

/// Whether the person only followed a link into a chat.
pub(super) fn is_click_to_chat(claim: &Claim<'_>) -> bool {
    let plain = |text: &str| shown(text).to_lowercase().replace(['-', ' '], "_");
    let evidence = claim.evidence;
    let by_name = evidence.channel.as_deref().is_some_and(|name| NAMES.contains(&plain(name).as_str()));
    let alone = |text: &&str| !text.trim().contains(char::is_whitespace);
    let links = [evidence.url.as_deref(), claim.source, evidence.wording.as_deref().filter(alone)];
    by_name || links.into_iter().flatten().any(|text| opens_a_chat(text, DEPTH))
}

/// What a reader sees of a text, in compatible characters. Plain ASCII is that already.
fn shown(text: &str) -> Cow<'_, str> {
    if text.is_ascii() && !text.bytes().any(|b| b.is_ascii_control()) {
        return Cow::Borrowed(text.trim());
    }
    let shown: String = text.nfkc().filter(|c| !is_invisible(*c) && !c.is_control()).collect();
    Cow::Owned(shown.trim().to_owned())
}

/// Whether a text is a name without dots, which is no host of this module and no scheme.
fn is_plain_name(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

fn opens_a_chat(text: &str, depth: usize) -> bool {
    let text = shown(text);
    let Some(depth) = depth.checked_sub(1).filter(|_| !is_plain_name(&text)) else { return false };
    let has_scheme = text.split_once(':').is_some_and(|(scheme, _)| is_scheme(scheme));
    let address = || format!("https://{}", text.trim_start_matches(['/', '\\']));
    match if has_scheme { Url::parse(&text) } else { Url::parse(&address()) } {
        Ok(url) if matches!(url.scheme(), "http" | "https") => leads_to_a_chat(&url, depth),
        // A mail or a call is no chat, whatever it is called.
        Ok(url) if matches!(url.scheme(), "mailto" | "tel") => false,
        Ok(url) => url.scheme().contains("whatsapp") || mentions_a_chat(&text),
        Err(_) => mentions_a_chat(&text),
    }
}

fn leads_to_a_chat(url: &Url, depth: usize) -> bool {
    let Some(host) = url.host_str() else { return false };
    let host = host.trim_end_matches('.');
    if is_one_of(host, &CHAT_HOSTS) || is_one_of(host, &SHORTENERS) {
        return true;
    }
    let targets = || url.query_pairs().flat_map(|(name, value)| [name.into_owned(), value.into_owned()]);
    is_one_of(host, &REDIRECTORS) && targets().any(|target| opens_a_chat(&target, depth))
}

fn is_one_of(host: &str, hosts: &[&str]) -> bool {
    hosts.iter().any(|known| host == *known || host.strip_suffix(known).is_some_and(|sub| sub.ends_with('.')))
}

/// Whether a text that is no address of the web names a chat: an app's own scheme, or what no browser would open.
fn mentions_a_chat(text: &str) -> bool {
    let mut plain = text.to_lowercase();
    for _ in 0..DEPTH {
        let decoded = percent_decode_str(&plain).decode_utf8_lossy().into_owned();
        plain = shown(&decoded).to_lowercase();
    }
    plain.contains("whatsapp") || hosts_in(&plain).any(|host| is_one_of(host, &CHAT_HOSTS))
}

fn hosts_in(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_ascii_alphanumeric() && c != '.' && c != '-')
        .map(|host| host.trim_matches('.'))
}

/// Whether what stands before a colon is a scheme, and not a host before its port.
fn is_scheme(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-".contains(&b))
}
