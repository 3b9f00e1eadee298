//! Each tenant's own words and scope, taken over by a reload.

use std::fs;

use serde_json::{Value, json};

use super::{Scene, deliver, message, relaying, seconds};
use crate::journey::{ALL, ANN, BOB, grant, template, templates, text};
use crate::support::eventually;
use crate::support::gate::Gate;
use crate::support::upstream::Upstream;

/// What of a text and templates of both kinds passes.
fn passes(gate: &Gate, person: &str) -> [bool; 3] {
    [text(person), template(person, "utility"), template(person, "marketing")]
        .map(|send| gate.send(&send).status == 200)
}

fn with(opt_out: &str) -> Scene {
    let (upstream, bot) = (Upstream::start(), Upstream::start());
    let (gate, webhook) = relaying(Gate::to(&upstream.url()), Some(&bot));
    let gate = gate.extra(&format!("[tenants.opt_out]\n{opt_out}")).start();
    gate.apply(&[grant(ANN, &ALL), grant(BOB, &ALL)]);
    gate.put_templates(&templates());
    Scene { gate, upstream, bot, webhook }
}

#[test]
fn a_stop_withdraws_what_the_tenant_chose() {
    for (scope, expected) in [("marketing", [true, true, false]), ("all_but_service", [true, false, false])] {
        let scene = with(&format!("scope = {scope:?}"));
        scene.told(&message(ANN, seconds(0), "stop"));
        assert_eq!(passes(&scene.gate, ANN), expected, "{scope}");
    }
}

#[test]
fn a_tenant_adds_and_leaves_out_words_and_languages() {
    let scene = with("packs = [\"en\"]\nstop = [\"No más\"]\nresume = [\"hola\"]\nignore = [\"end\"]");
    for (said, expected) in [
        ("end", [true; 3]),
        ("abmelden", [true; 3]),
        ("NO MAS!", [true, false, false]),
        ("Hola", [true; 3]),
        ("Unsubscribe", [true, false, false]),
    ] {
        let scene = &scene;
        let at = -60 + i64::try_from(scene.bot.request_count()).unwrap();
        scene.told(&message(ANN, seconds(at), said));
        assert_eq!(passes(&scene.gate, ANN), expected, "{said}");
    }
    // The payload of a button is a word like any other.
    let mut pressed = message(BOB, seconds(0), "");
    let item = &mut pressed["entry"][0]["changes"][0]["value"]["messages"][0];
    item["type"] = json!("interactive");
    item["interactive"] =
        json!({ "type": "button_reply", "button_reply": { "id": "no-mas", "title": "Not now" } });
    scene.told(&pressed);
    assert_eq!(passes(&scene.gate, BOB), [true, false, false]);
}

#[test]
fn words_are_reloaded_and_a_mistake_keeps_those_of_before() {
    let upstream = Upstream::start();
    let (gate, webhook) = relaying(Gate::to(&upstream.url()), None);
    let gate = gate.extra("[tenants.opt_out]\nstop = [\"genug\"]").start();
    gate.apply(&[grant(ANN, &ALL), grant(BOB, &ALL)]);
    gate.put_templates(&templates());
    let written = fs::read_to_string(gate.config()).unwrap();
    let say = |person: &str, said: &str| -> Value {
        let told = message(person, seconds(0), said);
        assert_eq!(deliver(webhook, &told).status, 200);
        told
    };
    fs::write(gate.config(), written.replace("\"genug\"", "\"...\"")).unwrap();
    gate.signal("HUP");
    eventually("the mistake is named", || {
        gate.stderr().iter().any(|line| line.contains("tenants[0].opt_out.stop")).then_some(())
    });
    say(ANN, "Genug.");
    assert_eq!(passes(&gate, ANN), [true, false, false]);
    fs::write(gate.config(), written.replace("\"genug\"", "\"schluss\"")).unwrap();
    gate.signal("HUP");
    eventually("the new word is heard", || {
        say(BOB, "Schluss!");
        (passes(&gate, BOB) == [true, false, false]).then_some(())
    });
}
