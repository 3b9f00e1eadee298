//! Playing the script: every request is made, and its answer shown and compared.
//!
//! An answer other than the script's ends the demo, so that its headings never say what did not happen.

use std::time::{Duration, Instant};

use http::Method;
use serde_json::{Value, json};

use super::Failure;
use super::exchange::{Answer, Door, Doors, Request};
use super::house::{ACCOUNT, APP_SECRET, VERIFY_TOKEN};
use super::page::Page;
use super::script::{Act, Expected, scenes};
use crate::consent::Clock;

/// How many webhooks the provider sends of each message that it takes: sent, delivered, read.
const STATUSES: u64 = 3;
const PATIENCE: Duration = Duration::from_secs(10);

/// Plays every scene.
pub(super) fn play(doors: &Doors, page: &mut Page) -> Result<(), Failure> {
    let mut stage = Stage { doors, page, spoken: Vec::new(), stopped: None };
    stage.page.picture(doors).map_err(Failure::System)?;
    stage.learn_templates()?;
    stage.subscribe()?;
    for (heading, acts) in scenes() {
        stage.page.heading(heading).map_err(Failure::System)?;
        for (act, expected) in acts {
            stage.perform(&act, expected)?;
        }
    }
    stage.count()
}

/// Where the scenes are played, and the page that shows them.
struct Stage<'a> {
    doors: &'a Doors,
    page: &'a mut Page,
    /// The seconds in which the person wrote.
    spoken: Vec<u32>,
    /// When the gate had acknowledged the stop, until the first send after it.
    stopped: Option<Instant>,
}

impl Stage<'_> {
    fn perform(&mut self, act: &Act, expected: Expected) -> Result<(), Failure> {
        if matches!(act, Act::Say(_)) {
            self.await_another_second();
        }
        self.exchange(&act.request(), expected)?;
        if act.is_stop() {
            self.stopped = Some(Instant::now());
        } else if let Some(stopped) = self.stopped.take() {
            self.page.enforced(stopped.elapsed()).map_err(Failure::System)?;
        }
        Ok(())
    }

    /// WhatsApp tells times in seconds: what is written in the second of a stop does not undo it.
    fn await_another_second(&mut self) {
        let second = || Clock::System.now().as_secs_u32();
        while self.spoken.last() == Some(&second()) {
            std::thread::sleep(Duration::from_millis(10));
        }
        self.spoken.push(second());
    }

    /// Shows a request, makes it, shows its answer.
    fn exchange(&mut self, request: &Request, expected: Expected) -> Result<Answer, Failure> {
        self.page.request(request).map_err(Failure::System)?;
        let answer = self.doors.ask(request)?;
        self.page.answer(&answer).map_err(Failure::System)?;
        let code = answer.body.pointer("/error/code").and_then(Value::as_u64);
        let as_written = match expected {
            Expected::Done => answer.status == 200,
            Expected::Refused { code: expected } => answer.status == 400 && code == Some(expected),
        };
        if as_written { Ok(answer) } else { Err(Failure::OffScript) }
    }

    /// Reads the provider's template list through the gate and fills the gate's catalogue with it.
    fn learn_templates(&mut self) -> Result<(), Failure> {
        self.page
            .preparation("Reads pass; the gate gets the template list, the provider the relay's address")
            .map_err(Failure::System)?;
        let list = Request::get(Door::Gate, format!("/v23.0/{ACCOUNT}/message_templates"));
        let list = self.exchange(&list, Expected::Done)?;
        let target = format!("/v1/templates/{ACCOUNT}");
        let put = Request { method: Method::PUT, ..Request::post(Door::Admin, target, list.body) };
        self.exchange(&put, Expected::Done).map(drop)
    }

    /// Has the provider send its webhooks to the gate, as one does in an app's dashboard.
    fn subscribe(&mut self) -> Result<(), Failure> {
        let url = format!("http://{}/", self.doors.address(Door::Relay));
        let body = json!({ "url": url, "app_secret": APP_SECRET, "verify_token": VERIFY_TOKEN });
        self.exchange(&Request::post(Door::Provider, "/_sandbox/webhook", body), Expected::Done).map(drop)
    }

    /// Shows what reached the provider and what it told the gate, as the provider itself tells it.
    fn count(&mut self) -> Result<(), Failure> {
        let journal = self.doors.ask(&Request::get(Door::Provider, "/_sandbox/requests"))?;
        let entries = journal.body.as_array().map(Vec::as_slice).unwrap_or_default();
        let sends = self.page.journal(entries).map_err(Failure::System)?;
        let told = self.delivered()?;
        self.page.webhooks(told).map_err(Failure::System)?;
        let due = sends as u64 * STATUSES + self.spoken.len() as u64;
        if told == due { Ok(()) } else { Err(Failure::OffScript) }
    }

    /// How many webhooks the gate has taken, once none is on its way.
    fn delivered(&self) -> Result<u64, Failure> {
        let begun = Instant::now();
        loop {
            let state = self.doors.ask(&Request::get(Door::Provider, "/_sandbox/webhook"))?.body;
            let count = |name: &str| state.get(name).and_then(Value::as_u64).unwrap_or_default();
            if count("waiting") == 0 || begun.elapsed() > PATIENCE {
                return Ok(count("delivered"));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}
