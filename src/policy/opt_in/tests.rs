use std::time::Duration;

use super::*;
use crate::consent::evidence::EvidenceField;
use crate::consent::{Category, Timestamp};

const GRANTED: CategorySet = CategorySet::of(Category::Marketing).with(Category::Utility);

/// Evidence that keeps every rule of both sets, in a channel of its own.
fn whole(at: &str) -> Evidence {
    let shown = !matches!(at, "phone" | "paper");
    let action =
        channel::CHANNELS.iter().find(|channel| channel.name == at).map(|channel| channel.actions[0]);
    Evidence {
        channel: Some(at.into()),
        user_action: Some(action.unwrap_or("checked_box").into()),
        name_and_logo_shown: shown.then_some(true),
        number_confirmed: Some(true),
        categories_shown: Some(vec![Category::Utility, Category::Marketing, Category::Call]),
        business_named: Some("Acme".into()),
        wording: Some("I agree to receive offers from Acme on WhatsApp".into()),
        ..Evidence::default()
    }
}

/// The channels of both sets, or those of the strict one alone.
fn channels(third_party: bool) -> Vec<&'static str> {
    let wanted = channel::CHANNELS.iter().filter(|channel| channel.third_party == third_party);
    wanted.map(|channel| channel.name).collect()
}

fn claim(evidence: &Evidence) -> Claim<'_> {
    Claim {
        kind: Kind::Grant,
        actor: Some(Actor::Person),
        granted: GRANTED,
        source: Some("website"),
        evidence,
    }
}

fn names_of(rules: OptInRules, claim: &Claim<'_>) -> Vec<&'static str> {
    broken(rules, claim).into_iter().map(|rule| rule.name).collect()
}

fn names(rules: OptInRules, evidence: &Evidence) -> Vec<&'static str> {
    names_of(rules, &claim(evidence))
}

const STRICT: OptInRules = OptInRules::Strict;
const GENERAL: OptInRules = OptInRules::General;

type Change = fn(&mut Evidence);

#[test]
fn whole_evidence_keeps_every_rule_in_every_channel() {
    assert_eq!(channels(true), ["website", "app", "email", "sms", "phone", "in_person", "paper"]);
    for at in channels(true) {
        assert!(names(STRICT, &whole(at)).is_empty(), "{at}");
        assert!(names(GENERAL, &whole(at)).is_empty(), "{at}");
    }
    assert_eq!(channels(false), ["whatsapp", "ivr", "qr_code", "click_to_chat", "social", "other"]);
    for at in channels(false) {
        assert!(names(GENERAL, &whole(at)).is_empty(), "{at}");
        assert!(names(STRICT, &whole(at)).contains(&"third_party_channel"), "{at}");
    }
}

/// One change to whole evidence, and the rules of each set that it breaks, whatever the channel.
const BREAKS: &[(&str, Change, &[&str], &[&str])] = &[
    ("no channel", |e| e.channel = None, &["third_party_channel"], &["known_channel"]),
    ("another word", |e| e.channel = Some("Website".into()), &["third_party_channel"], &["known_channel"]),
    ("no action", |e| e.user_action = None, &["active_opt_in"], &["active_opt_in"]),
    ("silence", |e| e.user_action = Some("silence".into()), &["active_opt_in"], &["active_opt_in"]),
    ("pre-ticked", |e| e.user_action = Some("pre_ticked_box".into()), &["active_opt_in"], &["active_opt_in"]),
    ("no number", |e| e.number_confirmed = None, &["number_confirmed"], &["number_given"]),
    ("their number", |e| e.number_confirmed = Some(false), &["number_confirmed"], &["number_given"]),
    ("no types", |e| e.categories_shown = None, &["categories_shown"], &[]),
    ("one type", |e| e.categories_shown = Some(vec![Category::Utility]), &["categories_shown"], &[]),
    ("nameless", |e| e.business_named = None, &["business_named"], &["business_named"]),
    ("blank name", |e| e.business_named = Some("  ".into()), &["business_named"], &["business_named"]),
    (
        "unseen name",
        |e| e.business_named = Some("\u{200b}\u{2060}".into()),
        &["business_named"],
        &["business_named"],
    ),
    ("a chat link", |e| e.url = Some("https://wa.me/15550783881".into()), &["no_click_to_chat"], &[]),
];

#[test]
fn each_rule_is_broken_alone_in_every_channel() {
    for at in channels(true) {
        for (what, change, strict, general) in BREAKS {
            let mut evidence = whole(at);
            change(&mut evidence);
            let mut found = names(STRICT, &evidence);
            // A channel that is gone takes its exemption along.
            if evidence.channel.as_deref() != Some(at) {
                found.retain(|name| *name != "name_and_logo_shown");
            }
            assert_eq!(found, *strict, "strict, {at}: {what}");
            assert_eq!(names(GENERAL, &evidence), *general, "general, {at}: {what}");
        }
    }
}

#[test]
fn the_logo_is_asked_where_it_can_be_shown_and_the_name_in_words_where_it_cannot() {
    let shown = ["website", "app", "email", "sms", "in_person"];
    for at in channels(true) {
        for stated in [None, Some(false)] {
            let evidence = Evidence { name_and_logo_shown: stated, ..whole(at) };
            let expected: &[&str] = if shown.contains(&at) { &["name_and_logo_shown"] } else { &[] };
            assert_eq!(names(STRICT, &evidence), expected, "{at}");
            assert!(names(GENERAL, &evidence).is_empty(), "{at}");
        }
        let unnamed = Evidence { wording: Some("I agree to receive offers from Acme".into()), ..whole(at) };
        let expected: &[&str] = if shown.contains(&at) { &[] } else { &["whatsapp_named"] };
        assert_eq!(names(STRICT, &unnamed), expected, "{at}");
        for nothing in [None, Some(" ".to_owned()), Some("\u{200b}".to_owned()), Some("\u{3164}".to_owned())]
        {
            let wordless = Evidence { wording: nothing, ..whole(at) };
            assert!(names(STRICT, &wordless).contains(&"wording_kept"), "{at}");
            assert!(names(GENERAL, &wordless).is_empty(), "{at}");
        }
    }
    let spoken =
        Evidence { user_action: Some("said_yes".into()), name_and_logo_shown: None, ..whole("in_person") };
    assert!(names(STRICT, &spoken).is_empty());
    assert_eq!(names(STRICT, &Evidence { wording: Some("Yes".into()), ..spoken }), ["whatsapp_named"]);
}

#[test]
fn an_action_counts_where_it_can_be_done_and_no_other_word_does() {
    for at in channels(true).into_iter().chain(channels(false)) {
        let possible = channel::CHANNELS.iter().find(|channel| channel.name == at).unwrap().actions;
        for action in channel::ACTIONS {
            let evidence = Evidence { user_action: Some(action.into()), ..whole(at) };
            let expected: &[&str] = if possible.contains(&action) { &[] } else { &["possible_action"] };
            assert_eq!(names(GENERAL, &evidence), expected, "{at} {action}");
            let mut strict = names(STRICT, &evidence);
            strict.retain(|name| *name != "third_party_channel" && *name != "no_click_to_chat");
            assert_eq!(strict, expected, "{at} {action}");
        }
        for action in ["", "Checked_box", "checked box", "messaged_us", "opened_chat", "none"] {
            let evidence = Evidence { user_action: Some(action.into()), ..whole(at) };
            assert!(names(STRICT, &evidence).contains(&"active_opt_in"), "{at} {action}");
            assert_eq!(names(GENERAL, &evidence), ["active_opt_in"], "{at} {action}");
        }
    }
    // A sheet of paper has no button, so that nobody gets around the logo by naming it.
    let paper = Evidence { user_action: Some("pressed_button".into()), ..whole("paper") };
    assert_eq!(names(STRICT, &paper), ["possible_action"]);
}

#[test]
fn under_the_strict_rules_only_the_person_agrees() {
    let evidence = whole("website");
    for actor in [None, Some(Actor::Operator), Some(Actor::System), Some(Actor::Provider)] {
        let claim = Claim { actor, ..claim(&evidence) };
        assert_eq!(names_of(STRICT, &claim), ["person_acted"], "{actor:?}");
        assert!(names_of(GENERAL, &claim).is_empty(), "{actor:?}");
    }
}

#[test]
fn spoken_or_on_paper_whatsapp_is_named_as_a_word() {
    for (wording, named) in [
        ("May Acme write to you on WhatsApp?", true),
        ("WHATSAPP: yes please", true),
        ("Nachrichten per Whats App, bitte", true),
        ("Ich möchte WhatsApp-Nachrichten von Acme.", true),
        ("Offers on WhatsApp.", true),
        ("Acme's WhatsApp's updates", true),
        ("offers on Ｗｈａｔｓ\u{200b}Ａｐｐ", true),
        ("أوافق على استلام الرسائل عبر واتساب", true),
        ("Согласен получать сообщения в Ватсап", true),
        ("May Acme write to you?", false),
        ("Sign up at acme.example/whatsapp", false),
        ("Write to whatsapp@acme.example", false),
        ("See whatsapp.com for more", false),
        ("Offers from NotWhatsApp", false),
        ("Offers from Whatsapple", false),
        ("You have whats appropriate", false),
    ] {
        for at in ["phone", "paper"] {
            let evidence = Evidence { wording: Some(wording.into()), ..whole(at) };
            let expected: &[&str] = if named { &[] } else { &["whatsapp_named"] };
            assert_eq!(names(STRICT, &evidence), expected, "{at}: {wording}");
        }
    }
}

#[test]
fn links_into_a_chat_are_no_opt_in_however_they_are_written() {
    for url in [
        "https://wa.me/15550783881",
        "http://WA.ME/15550783881?text=hi",
        "wa.me/15550783881",
        "//wa.me/1",
        "https://www.wa.me./1",
        "https://user@wa.me:443/1",
        " https:\\\\wa.me\\1",
        "https://wa\t.me/1",
        "https:wa.me/1",
        "https://wa.link/abc",
        "https://api.whatsapp.com/send?phone=15550783881",
        "https://whatsapp.com/channel/0029",
        "https://chat.whatsapp.com/abc",
        "https://web.whatsapp.com",
        "whatsapp://send?phone=1",
        "whatsapp:send",
        "whatsapp-consumer://send",
        "intent://send/1#Intent;scheme=whatsapp;end",
        "https://m.me/acme",
        // However the host is spelled.
        "https://w\u{200b}a.me/1",
        "https://ｗａ．ｍｅ/1",
        "https://wa。me/1",
        "https://%77a.me/1",
        "https://wa%2Eme/1",
        "https://%2577a.me/1",
        "https://WA.ME../1",
        "https://acme.example@wa.me/1",
        "https://acme.example:secret@API.WhatsApp.com./send",
        "HTTPS://Chat.WhatsApp.COM/abc",
        "\u{feff}https://wa.me/1",
        "wa.me:443/1",
        // Whoever leads there.
        "https://l.wl.co/l?u=https%3A%2F%2Facme.example",
        "https://l.whatsapp.com/?u=x",
        "https://l.facebook.com/l.php?u=https%3A%2F%2Fwa.me%2F15550783881&h=x",
        "https://www.google.com/url?q=https://api.whatsapp.com/send?phone=1",
        "https://l.facebook.com/l.php?u=https%3A%2F%2Fl.instagram.com%2F%3Fu%3Dhttps%253A%252F%252Fwa.me%252F1",
        "https://href.li/?https://wa.me/1",
        "https://go.wa.link/acme",
        "https://bit.ly/3xYz",
        "https://tinyurl.com/acme",
        "android-app://com.whatsapp/send",
        "intent:#Intent;package=com.whatsapp;end",
    ] {
        let evidence = Evidence { url: Some(url.into()), ..whole("website") };
        assert_eq!(names(STRICT, &evidence), ["no_click_to_chat"], "{url}");
        assert!(names(GENERAL, &evidence).is_empty(), "{url}");
    }
    for url in [
        "https://acme.example/whatsapp",
        "https://acme.example/opt-in?via=wa.me",
        "acme.example:8443/wa.me",
        "https://notwa.me/",
        "https://whatsapp.com.acme.example/",
        "https://wa.me.acme.example/",
        "https://wl.company.example/",
        "https://wa.me@acme.example/",
        "https://www.google.com/maps?q=whatsapp",
        "mailto:whatsapp@acme.example",
        "not a link",
        "https://",
        "app://opt-in",
        "",
    ] {
        let evidence = Evidence { url: Some(url.into()), ..whole("website") };
        assert!(names(STRICT, &evidence).is_empty(), "{url}");
    }
    for name in ["click_to_chat", "Click-to-chat", "click to chat", "wa.me", "ctwa"] {
        let evidence = Evidence { channel: Some(name.into()), ..whole("website") };
        assert!(names(STRICT, &evidence).starts_with(&["third_party_channel", "no_click_to_chat"]), "{name}");
    }
    // Nor is one in another field.
    let evidence = whole("website");
    let claim = Claim { source: Some("https://wa.me/15550783881"), ..claim(&evidence) };
    assert_eq!(names_of(STRICT, &claim), ["no_click_to_chat"]);
    let evidence =
        Evidence { wording: Some("https://wa.me/15550783881?text=yes".into()), ..whole("website") };
    assert_eq!(names(STRICT, &evidence), ["no_click_to_chat"]);
}

#[test]
fn nothing_at_all_breaks_every_rule_that_asks_for_something() {
    let nothing = Evidence::default();
    let expected = [
        "third_party_channel",
        "active_opt_in",
        "name_and_logo_shown",
        "number_confirmed",
        "categories_shown",
        "business_named",
        "wording_kept",
    ];
    assert_eq!(names(STRICT, &nothing), expected);
    assert_eq!(
        names(GENERAL, &nothing),
        ["known_channel", "active_opt_in", "number_given", "business_named"]
    );
}

#[test]
fn every_rule_names_its_source_its_field_and_a_remedy() {
    for (at, rule) in RULES.iter().enumerate() {
        assert!(RULES.iter().skip(at + 1).all(|other| other.name != rule.name), "{}", rule.name);
        let of_grants = rule.asked_by(STRICT) || rule.asked_by(GENERAL);
        assert!(of_grants || rule.asked_of_resumes());
        assert_eq!(rule.source.starts_with("Meta, Get opt-in for WhatsApp"), of_grants);
        let of_evidence = |name: &str| EvidenceField::ALL.iter().any(|field| field.name() == name);
        let known =
            |field: &str| field == "actor" || field.strip_prefix("evidence.").is_some_and(of_evidence);
        assert!(rule.field.split(", ").all(known), "{}", rule.field);
        assert!(rule.problem().ends_with(&format!("[{}]", rule.name)) && rule.remedy.len() > 40);
    }
}

#[test]
fn the_operators_guide_has_every_rule_in_its_table() {
    let guide =
        &std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/OPERATING.md")).unwrap();
    for rule in &RULES {
        let row = guide.lines().find(|line| line.starts_with(&format!("| `{}` | ", rule.name))).unwrap();
        assert_eq!(row.contains("strict"), rule.asked_by(STRICT), "{row}");
        assert_eq!(row.contains("general"), rule.asked_by(GENERAL), "{row}");
        assert_eq!(
            row.contains("| resume |") || row.contains(", resume |"),
            rule.asked_of_resumes(),
            "{row}"
        );
        assert!(rule.field.split(", ").all(|field| row.contains(&format!("`{field}`"))), "{row}");
    }
}

#[test]
fn the_operators_guide_says_what_can_be_done_where() {
    let guide = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/OPERATING.md")).unwrap();
    let code = |word: &&str| format!("`{word}`");
    for channel in &channel::CHANNELS {
        let row = |line: &&str| {
            line.split(" | ")
                .next()
                .is_some_and(|cell| cell.starts_with("| `") && cell.contains(&code(&channel.name)))
        };
        let row = guide.lines().find(row).unwrap_or_else(|| panic!("{}", channel.name));
        for action in channel::ACTIONS {
            assert_eq!(row.contains(&code(&action)), channel.actions.contains(&action), "{row}: {action}");
        }
    }
}

fn grant(evidence: Option<Evidence>) -> EventAsWritten {
    EventAsWritten {
        kind: Some(Kind::Grant),
        categories: Some(GRANTED.iter().collect()),
        occurred_at: Some(Timestamp::from_secs(1_000)),
        actor: Some(Actor::Person),
        evidence,
        ..EventAsWritten::default()
    }
}

#[test]
fn a_grant_is_admitted_as_it_is_or_refused_with_every_broken_rule() {
    let tenant = Tenant::named("acme");
    let mut written = grant(Some(whole("website")));
    admit(&tenant, &mut written).unwrap();
    assert_eq!((written.pending, written.expires_at), (None, None));
    let broken =
        Evidence { user_action: None, number_confirmed: None, business_named: None, ..whole("website") };
    let problems = admit(&tenant, &mut grant(Some(broken))).unwrap_err();
    let fields: Vec<_> = problems.iter().map(|p| p.split(':').next().unwrap()).collect();
    assert_eq!(fields, ["evidence.user_action", "evidence.number_confirmed", "evidence.business_named"]);
    assert_eq!(admit(&tenant, &mut grant(None)).unwrap_err().len(), 7);
    let mut revoke = EventAsWritten { kind: Some(Kind::Revoke), ..grant(None) };
    admit(&tenant, &mut revoke).unwrap();
}

#[test]
fn a_resume_says_how_the_person_asked_for_it_under_both_sets_of_rules() {
    let asked = Evidence {
        channel: Some("phone".into()),
        user_action: Some("said_yes".into()),
        reference: Some("call 4711".into()),
        ..Evidence::default()
    };
    let words = Evidence { reference: None, wording: Some("START".into()), ..asked.clone() };
    let in_chat = Evidence {
        channel: Some("whatsapp".into()),
        user_action: Some("texted_keyword".into()),
        ..words.clone()
    };
    for rules in [STRICT, GENERAL] {
        let tenant = Tenant { opt_in_rules: rules, double_opt_in: true, ..Tenant::named("acme") };
        let resume = |evidence: Option<&Evidence>| EventAsWritten {
            kind: Some(Kind::Resume),
            categories: None,
            ..grant(evidence.cloned())
        };
        for evidence in [&asked, &words, &in_chat] {
            let mut written = resume(Some(evidence));
            admit(&tenant, &mut written).unwrap();
            assert_eq!((written.pending, written.expires_at), (None, None), "it is no grant");
        }
        let broken = |evidence: Option<&Evidence>, actor| {
            let problems =
                admit(&tenant, &mut EventAsWritten { actor, ..resume(evidence) }).err().unwrap_or_default();
            problems
                .iter()
                .map(|p| p.rsplit_once('[').unwrap().1.trim_end_matches(']').to_owned())
                .collect::<Vec<_>>()
        };
        let person = Some(Actor::Person);
        assert_eq!(broken(None, person), ["known_channel", "active_opt_in", "asked_to_resume"]);
        assert_eq!(broken(None, Some(Actor::Provider)).len(), 3);
        // What the business writes lifts nothing and is only stored.
        assert!(
            broken(None, Some(Actor::Operator)).is_empty() && broken(None, Some(Actor::System)).is_empty()
        );
        for (change, expected) in [
            (Evidence { channel: None, ..asked.clone() }, "known_channel"),
            (Evidence { user_action: Some("silence".into()), ..asked.clone() }, "active_opt_in"),
            (Evidence { user_action: Some("signed".into()), ..asked.clone() }, "possible_action"),
            (Evidence { reference: Some("\u{200b}".into()), ..asked.clone() }, "asked_to_resume"),
        ] {
            assert_eq!(broken(Some(&change), person), [expected]);
        }
    }
}

#[test]
fn a_tenant_may_ask_for_more() {
    let tenant =
        Tenant { required_fields: vec![EvidenceField::Locale, EvidenceField::Url], ..Tenant::named("acme") };
    let problems = admit(&tenant, &mut grant(Some(whole("website")))).unwrap_err();
    assert!(problems[0].starts_with("evidence.locale: missing") && problems.len() == 2, "{problems:?}");
    let full =
        Evidence { locale: Some("en".into()), url: Some("https://acme.example/".into()), ..whole("website") };
    admit(&tenant, &mut grant(Some(full))).unwrap();
}

#[test]
fn legacy_grants_enter_only_where_the_tenant_takes_them() {
    let mut tenant = Tenant { double_opt_in: true, ..Tenant::named("acme") };
    let mut legacy = EventAsWritten { legacy: Some(true), ..grant(None) };
    let refused = admit(&tenant, &mut legacy).unwrap_err();
    assert!(refused.len() == 1 && refused[0].contains("legacy_imports = true"), "{refused:?}");
    tenant.legacy_imports = true;
    admit(&tenant, &mut legacy).unwrap();
    assert_eq!((legacy.legacy, legacy.pending), (Some(true), None));
    // Taking them does not excuse a grant that is not marked as one.
    assert!(admit(&tenant, &mut grant(None)).is_err());
}

#[test]
fn with_double_opt_in_every_grant_waits_but_its_confirmation() {
    let tenant = Tenant { double_opt_in: true, ..Tenant::named("acme") };
    for pending in [None, Some(false), Some(true)] {
        let mut first = EventAsWritten { pending, ..grant(Some(whole("website"))) };
        admit(&tenant, &mut first).unwrap();
        assert_eq!(first.pending, Some(true));
    }
    let mut second = EventAsWritten { confirms: Some("e1".into()), ..grant(Some(whole("email"))) };
    admit(&tenant, &mut second).unwrap();
    assert_eq!(second.pending, None);
}

#[test]
fn a_tenant_that_lets_grants_expire_ends_them_at_the_latest_then() {
    let tenant = Tenant { grants_expire_after: Some(Duration::from_secs(100)), ..Tenant::named("acme") };
    for (stated, expected) in [(None, 1_100), (Some(1_050), 1_050), (Some(9_000), 1_100)] {
        let expires_at = stated.map(Timestamp::from_secs);
        let mut written = EventAsWritten { expires_at, ..grant(Some(whole("website"))) };
        admit(&tenant, &mut written).unwrap();
        assert_eq!(written.expires_at, Some(Timestamp::from_secs(expected)));
    }
}
