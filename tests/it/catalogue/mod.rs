//! The template catalogue that keeps itself true: a real gate that reads its templates from the sandbox.

mod lookup;
mod nodes;
mod sync;

use std::sync::Arc;
use std::time::Duration;

use optgate::sandbox::{Action, Entry, Fault, Sandbox, Settings};
use serde_json::{Value, json};

use crate::journey::{BOB, grant, message, text};
use crate::support::client::{Response, request};
use crate::support::gate::{ACCOUNT, Gate, GateBuilder};
use crate::support::{eventually, runtime};

const TOKEN: &str = "EAAOWNTOKEN";

/// The sandbox as the provider.
struct Provider(Option<Sandbox>);

impl Provider {
    fn start() -> Self {
        Self(Some(runtime().block_on(Sandbox::start(Settings::default())).unwrap()))
    }

    fn sandbox(&self) -> &Sandbox {
        self.0.as_ref().unwrap()
    }

    /// Nobody listens there any more.
    fn stop(&mut self) {
        runtime().block_on(self.0.take().unwrap().stop());
    }

    /// A gate that reads its templates here with a token of its own.
    fn gate(&self) -> GateBuilder {
        Gate::to(&self.sandbox().url())
            .set("upstream", "token", &format!("{TOKEN:?}"))
            .set("templates", "sync_every", "\"1h\"")
            .set("templates", "retry_ms", "200")
    }

    /// One that looks up and never reads whole lists.
    fn seeking_gate(&self) -> GateBuilder {
        self.gate().set("templates", "sync_every", "\"0\"")
    }

    #[track_caller]
    fn control(&self, method: &str, target: &str, body: &Value) {
        let address = self.sandbox().address();
        let response = request(address, method, target, &[], body.to_string().as_bytes());
        assert_eq!(response.status, 200, "{}", response.text());
    }

    /// Every account has this template from now on.
    #[track_caller]
    fn put(&self, name: &str, category: &str) {
        let body = json!({ "name": name, "language": "en_US", "category": category });
        self.control("POST", "/_sandbox/templates", &body);
    }

    /// What answers to lists of templates from now on.
    fn fail(&self, action: Action, delay: Duration) {
        self.sandbox().faults().set_on("message_templates", Fault { action, delay, times: None });
    }

    /// The lists that were asked for.
    fn lists(&self) -> Vec<Arc<Entry>> {
        let all = self.sandbox().journal().entries();
        all.into_iter().filter(|entry| entry.target.contains("/message_templates")).collect()
    }

    fn list_count(&self) -> usize {
        self.lists().len()
    }

    fn sends(&self) -> u64 {
        self.sandbox().journal().sends()
    }
}

fn template_to(person: &str, name: &str) -> Value {
    message(person, "template", json!({ "name": name, "language": { "code": "en_US" } }))
}

/// [`BOB`] agreed to utility messages and nothing else: a template passes if and only if it counts as utility.
fn agree(gate: &Gate) {
    gate.apply(&[grant(BOB, &["utility"])]);
}

/// A store that does not answer in time is no matter of the catalogue: 503 asks for another attempt, and a busy machine needs one now and then.
#[track_caller]
fn send(gate: &Gate, name: &str) -> Response {
    eventually("the store answers", || {
        Some(gate.send(&template_to(BOB, name))).filter(|response| response.status != 503)
    })
}

#[track_caller]
fn assert_utility(gate: &Gate, name: &str) {
    let response = send(gate, name);
    assert_eq!(response.status, 200, "{}", response.text());
}

#[track_caller]
fn assert_marketing(gate: &Gate, name: &str) {
    crate::journey::refusal(400, 131_030, "no_consent").assert(&send(gate, name));
}

/// Waits until the whole list was read so often.
#[track_caller]
fn wait_for_syncs(gate: &Gate, result: &str, count: usize) {
    eventually(&format!("{count} readings are {result}"), || {
        (gate.count("optgate_template_syncs_total", &[&format!("result={result:?}")]) >= count).then_some(())
    });
}

/// What the admin API shows of a template.
#[track_caller]
fn shown(gate: &Gate, name: &str) -> Value {
    let lists = gate.admin("GET", "/v1/templates", "application/json", b"").json();
    let account = lists["accounts"].as_array().unwrap().iter().find(|list| list["account"] == ACCOUNT);
    let templates = account.map(|list| list["templates"].as_array().unwrap().clone()).unwrap_or_default();
    templates.into_iter().find(|template| template["name"] == name).unwrap_or_default()
}

#[test]
fn a_gate_without_a_token_asks_the_provider_for_nothing() {
    let provider = Provider::start();
    let gate = Gate::to(&provider.sandbox().url()).start();
    agree(&gate);
    assert_marketing(&gate, "hello_world");
    assert_eq!(gate.send(&text(BOB)).status, 400);
    assert_eq!((provider.list_count(), provider.sends()), (0, 0));
}
