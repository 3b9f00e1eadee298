//! The dashboard and the alert rules, before a real Prometheus that scrapes real gates.

use std::collections::BTreeSet;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::fleet::Fleet;
use super::prometheus::Prometheus;
use super::{read, repository, satisfied};
use crate::support::{PATIENCE, free_addr};

/// Panels that stay empty here, with the reason.
const EMPTY: &[(&str, &str)] =
    &[("Propagation", "an embedded store has one node, so nothing travels; there is no time to show")];

#[test]
fn every_query_of_the_dashboard_returns_data() {
    let fleet = Fleet::start();
    let prometheus = Prometheus::start(&fleet.metrics(), &read("deploy/alerts.yaml"));
    let (empty, mut waiting): (Vec<_>, Vec<_>) =
        panels().into_iter().partition(|(title, _)| EMPTY.iter().any(|(empty, _)| empty == title));
    assert!(waiting.len() > 30, "the dashboard has lost its panels");
    let has_data = |query: &str| prometheus.query(query).iter().any(is_number);
    let deadline = Instant::now() + 3 * PATIENCE;
    while !waiting.is_empty() && Instant::now() < deadline {
        waiting.retain(|(_, query)| !has_data(query));
        std::thread::sleep(Duration::from_millis(250));
    }
    assert!(waiting.is_empty(), "no data: {waiting:#?}");
    assert!(empty.len() >= EMPTY.len(), "EMPTY names a panel that does not exist");
    let filled: Vec<_> = empty.iter().filter(|(_, query)| has_data(query)).collect();
    assert!(filled.is_empty(), "EMPTY names panels that have data: {filled:#?}");
}

/// The title and every query of every panel, and what the variables choose from, with the dashboard's variables filled in as Grafana does for "All".
fn panels() -> Vec<(String, String)> {
    let queries = |panel: &Value| {
        let title = panel["title"].as_str().unwrap().to_owned();
        let targets = panel["targets"].as_array().cloned().unwrap_or_default();
        targets.into_iter().map(move |target| (title.clone(), filled(target["expr"].as_str().unwrap())))
    };
    let dashboard = dashboard();
    let panels = dashboard["panels"].as_array().unwrap().iter().flat_map(queries);
    let variables = dashboard["templating"]["list"].as_array().unwrap().iter();
    panels.chain(variables.filter(|v| v["type"] == "query").map(choices)).collect()
}

/// A query that has data if a variable of the dashboard has anything to choose from.
fn choices(variable: &Value) -> (String, String) {
    let query = variable["definition"].as_str().unwrap();
    let inner = query.strip_prefix("label_values(").and_then(|rest| rest.strip_suffix(')')).unwrap();
    let (metric, label) = inner.rsplit_once(", ").unwrap();
    (format!("variable {}", variable["name"]), format!("count({metric}{{{label}!=\"\"}})").replace("}{", ","))
}

fn dashboard() -> Value {
    serde_json::from_str(&read("deploy/dashboard.json")).unwrap()
}

fn filled(query: &str) -> String {
    let query = query.replace("$__rate_interval", "5s").replace("$instance", ".*").replace("$tenant", ".*");
    assert!(!query.contains('$'), "a variable that the dashboard does not define: {query}");
    query
}

fn is_number(sample: &Value) -> bool {
    sample["value"][1].as_str().and_then(|v| v.parse().ok()).is_some_and(f64::is_finite)
}

#[test]
fn panels_neither_overlap_nor_share_an_id() {
    let dashboard = dashboard();
    let mut ids = BTreeSet::new();
    let mut cells = BTreeSet::new();
    for panel in dashboard["panels"].as_array().unwrap() {
        let title = &panel["title"];
        assert!(ids.insert(panel["id"].as_i64().unwrap()), "{title}");
        let at = |key: &str| panel["gridPos"][key].as_u64().unwrap();
        assert!(at("x") + at("w") <= 24, "{title} is off the grid");
        for cell in
            (at("x")..at("x") + at("w")).flat_map(|x| (at("y")..at("y") + at("h")).map(move |y| (x, y)))
        {
            assert!(cells.insert(cell), "{title} covers another panel");
        }
        assert!(
            panel["type"] == "row" || panel["description"].is_string(),
            "{title} does not say what it shows"
        );
    }
}

/// A gate's page has every metric at the start, so its golden file names all that there are.
#[test]
fn monitoring_asks_only_for_metrics_that_the_gate_has() {
    let page = read("src/metrics/golden.txt");
    for file in ["deploy/dashboard.json", "deploy/alerts.yaml", "deploy/OPERATING.md"] {
        let text = read(file);
        let names = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != ':');
        let names = names.filter(|name| name.starts_with("optgate_"));
        let mut count = 0;
        for name in names {
            let family = name.strip_suffix("_bucket").unwrap_or(name);
            assert!(page.contains(family), "{file} asks for {name}, which the gate does not have");
            count += 1;
        }
        assert!(count > 5, "{file} names no metrics any more");
    }
}

#[test]
fn the_rules_parse_and_each_alert_fires_when_it_should_and_not_before() {
    let promtool = || Command::new("promtool");
    let checked = satisfied(promtool().args(["check", "rules"]).arg(repository("deploy/alerts.yaml")));
    assert!(checked.contains("SUCCESS"), "{checked}");
    satisfied(promtool().args(["check", "config"]).arg(repository("deploy/prometheus.yml")));
    let scenes = "tests/it/deploy/alerts.test.yaml";
    satisfied(promtool().args(["test", "rules"]).arg(repository(scenes)));
    let scenes = read(scenes);
    for alert in alert_names(&read("deploy/alerts.yaml")) {
        assert!(scenes.contains(&format!("alertname: {alert}\n")), "no scene tries {alert}");
    }
}

/// The names of the alerts, in order.
pub(super) fn alert_names(rules: &str) -> Vec<String> {
    rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).map(str::to_owned).collect()
}

/// The rules without their patience.
pub(super) fn impatient_rules() -> String {
    let impatient = |line: &str| {
        if line.trim().starts_with("for: ") { "        for: 0s" } else { line }.to_owned() + "\n"
    };
    read("deploy/alerts.yaml").lines().map(impatient).collect()
}

/// Waits three times as long as for other things: Prometheus scrapes, then evaluates, then may be asked.
#[track_caller]
pub(super) fn patiently(what: &str, check: impl Fn() -> bool) {
    let deadline = Instant::now() + 3 * PATIENCE;
    while !check() {
        assert!(Instant::now() < deadline, "waited in vain until {what}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn alerts_fire_over_real_gates() {
    let fleet = Fleet::start();
    let gone = free_addr();
    let prometheus = Prometheus::start(&[fleet.metrics(), vec![gone]].concat(), &impatient_rules());
    for alert in [
        "OptgateDown",
        "OptgateUpstreamNotReached",
        "OptgateOutcomeUnknown",
        "OptgateDecisionLogDropping",
        "OptgateDecisionLogFull",
    ] {
        patiently(&format!("{alert} fires"), || prometheus.firing().contains(&alert.to_owned()));
    }
    let firing = prometheus.firing();
    for calm in ["OptgateAbsent", "OptgateStoreDown", "OptgateInvalidationDown", "OptgateFailOpen"] {
        assert!(!firing.contains(&calm.to_owned()), "{calm} fires over gates to which it does not happen");
    }
}

#[test]
fn without_a_gate_to_watch_the_alarm_is_about_that() {
    let prometheus = Prometheus::start(&[], &impatient_rules());
    patiently("OptgateAbsent fires", || prometheus.firing() == ["OptgateAbsent"]);
}
