//! The operator's guide says what holds: its runbook matches the alerts, its configuration loads.

use std::collections::BTreeSet;

use super::monitoring::alert_names;
use super::prometheus::Prometheus;
use super::{read, repository};
use crate::support::eventually;

#[test]
fn every_alert_has_its_entry_in_the_runbook_and_every_entry_its_alert() {
    let guide = read("deploy/OPERATING.md");
    let entries: Vec<&str> = guide.lines().filter_map(|line| line.strip_prefix("### Optgate")).collect();
    let alerts = alert_names(&read("deploy/alerts.yaml"));
    let named: BTreeSet<String> = entries.iter().map(|entry| format!("Optgate{entry}")).collect();
    assert_eq!(named, alerts.iter().cloned().collect());
    for alert in &alerts {
        let entry = guide.split(&format!("### {alert}\n")).nth(1).unwrap().split("\n### ").next().unwrap();
        for part in ["**Symptom.**", "**Meaning.**", "**Check.**", "**Remedy.**"] {
            assert!(entry.contains(part), "{alert} has no {part}");
        }
    }
}

#[test]
fn every_alert_says_how_bad_it_is_what_happened_and_where_to_read_on() {
    let prometheus = Prometheus::start(&[], &read("deploy/alerts.yaml"));
    let rules =
        eventually("Prometheus has read the rules", || Some(prometheus.rules()).filter(|r| !r.is_empty()));
    let alerts: Vec<_> = rules.iter().filter(|rule| rule["type"] == "alerting").collect();
    assert!(alerts.len() >= 10, "{alerts:#?}");
    for alert in alerts {
        let name = alert["name"].as_str().unwrap();
        assert!(["critical", "warning"].contains(&alert["labels"]["severity"].as_str().unwrap()), "{name}");
        for text in ["summary", "description"] {
            assert!(
                alert["annotations"][text].as_str().is_some_and(|t| t.len() > 20),
                "{name} has no {text}"
            );
        }
        let anchor = format!("OPERATING.md#{}", name.to_lowercase());
        assert_eq!(alert["annotations"]["runbook"], anchor, "{name}");
    }
    assert_eq!(rules.iter().filter(|rule| rule["health"] == "err").count(), 0, "{rules:#?}");
}

/// Every block of TOML in the guide is a configuration that the gate takes.
#[test]
fn the_guides_configurations_load() {
    let guide = read("deploy/OPERATING.md");
    let blocks: Vec<&str> =
        guide.split("```toml\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    assert!(blocks.len() >= 3);
    let folder = tempfile::tempdir().unwrap();
    for block in blocks {
        let file = folder.path().join("optgate.toml");
        std::fs::write(&file, block).unwrap();
        let sources = optgate::config::Sources {
            file: Some(file),
            environment: std::iter::empty::<(String, String)>(),
            overrides: optgate::config::Overrides::default(),
        };
        if let Err(problems) = optgate::config::load(sources) {
            panic!("{block}\n{problems}");
        }
    }
}

/// What the guide sends its reader to exists.
#[test]
fn the_guides_links_lead_somewhere() {
    let guide = read("deploy/OPERATING.md");
    let anchors: BTreeSet<String> = guide
        .lines()
        .filter(|line| line.starts_with('#'))
        .map(|line| line.trim_start_matches('#').trim().to_lowercase().replace(' ', "-"))
        .map(|anchor| anchor.chars().filter(|c| c.is_alphanumeric() || *c == '-').collect())
        .collect();
    let links = guide.split("](").skip(1).map(|rest| rest.split(')').next().unwrap());
    for link in links.filter(|link| !link.starts_with("http")) {
        match link.strip_prefix('#') {
            Some(anchor) => assert!(anchors.contains(anchor), "{link}"),
            None => assert!(repository("deploy").join(link).exists(), "{link}"),
        }
    }
}
