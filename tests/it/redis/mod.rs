//! Gates on a real Redis server: faults, freshness, several nodes, crashes.

mod crash;
mod erasing;
mod faults;
mod fresh;
mod measure;
mod nodes;
mod server;

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::journey::{ALL, Scene, grant, refusal, revoke, text};
use crate::support::client::Response;
use crate::support::gate::Gate;
use crate::support::redis::Redis;
use crate::support::relay::Relay;
use crate::support::upstream::Upstream;

/// A gate whose Redis stands behind a relay. Ends in the order of the fields.
pub(crate) struct Stage {
    pub(crate) scene: Scene,
    pub(crate) relay: Relay,
    pub(crate) redis: Redis,
}

/// The people of a stage; each of them agreed to everything.
pub(crate) fn person(n: usize) -> String {
    format!("+1555{n:07}")
}

const PEOPLE: usize = 40;

impl Stage {
    /// A stage on a server with these lines of configuration, on which everybody agreed.
    pub(crate) fn with(lines: &[&str]) -> Self {
        let redis = Redis::with(lines);
        let relay = Relay::start(redis.addr());
        let upstream = Upstream::start();
        let url = redis.url().replace(&redis.addr().to_string(), &relay.addr().to_string());
        let gate = Gate::to(&upstream.url()).redis(&url).set("proxy", "workers", "1").start();
        let stage = Self { scene: Scene { gate, upstream }, relay, redis };
        stage.everybody_agrees();
        stage
    }

    pub(crate) fn gate(&self) -> &Gate {
        &self.scene.gate
    }

    pub(crate) fn everybody_agrees(&self) {
        let grants: Vec<Value> = (0..PEOPLE).map(|n| grant(&person(n), &ALL)).collect();
        self.gate().events(&grants);
    }

    /// Sends to somebody; whether that was permitted. Anything but a permission must be the refusal of a store that is away.
    #[track_caller]
    pub(crate) fn passes(&self, to: &str) -> bool {
        let response = self.gate().send(&text(to));
        if response.status == 200 {
            return true;
        }
        refusal(503, 131_016, "store_unavailable").assert(&response);
        false
    }

    /// Somebody withdraws from everything; the answer of the admin API.
    #[track_caller]
    pub(crate) fn withdraw(&self, n: usize) -> Response {
        let event = revoke(&person(n), &ALL).to_string();
        self.gate().admin("POST", "/v1/events", "application/json", event.as_bytes())
    }

    pub(crate) fn readyz(&self) -> (u16, Value) {
        let response = self.gate().admin("GET", "/readyz", "", b"");
        (response.status, response.json())
    }

    /// Waits until changes reach the gate and everybody may be sent to; returns how long that took.
    #[track_caller]
    pub(crate) fn normal_again(&self) -> Duration {
        let began = Instant::now();
        crate::support::eventually("service is normal again", || {
            let live = self.gate().count("optgate_invalidation_up", &[]) == 1;
            (live && self.readyz().0 == 200 && self.passes(&person(PEOPLE - 1))).then_some(())
        });
        began.elapsed()
    }
}
