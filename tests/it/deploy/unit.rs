//! The systemd unit, as systemd itself reads it.

use std::process::Command;

use super::{read, repository, satisfied};

/// What systemd calls the exposure of a service, from 0 to 10; "OK" begins at 5, our unit stands far below.
const EXPOSURE_TENTHS: u32 = 15;

#[test]
fn systemd_takes_the_unit() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("optgate.service");
    let unit = read("deploy/optgate.service");
    let binary = "ExecStart=/usr/local/bin/optgate";
    assert!(unit.contains(binary));
    std::fs::write(&file, unit.replace(binary, concat!("ExecStart=", env!("CARGO_BIN_EXE_optgate"))))
        .unwrap();
    let printed = satisfied(Command::new("systemd-analyze").args(["verify", "--man=no"]).arg(&file));
    assert!(!printed.contains("optgate.service:"), "{printed}");
}

#[test]
fn systemd_rates_the_unit_as_hardly_exposed() {
    let printed = satisfied(
        Command::new("systemd-analyze")
            .args(["security", "--offline=yes", "--no-pager"])
            .arg(format!("--threshold={EXPOSURE_TENTHS}"))
            .arg(repository("deploy/optgate.service")),
    );
    assert!(printed.contains("Overall exposure level"), "{printed}");
}

#[test]
fn systemd_waits_longer_than_the_gate_drains() {
    let unit = read("deploy/optgate.service");
    let setting = |name: &str| unit.lines().find_map(|l| l.strip_prefix(name)?.strip_prefix('=')).unwrap();
    let defaults: toml::Table = optgate::config::DEFAULTS.parse().unwrap();
    let number = |key: &str| defaults["proxy"][key].as_integer().unwrap();
    // The log may take ten seconds more, and connections that are cut one.
    assert!(setting("TimeoutStopSec").parse::<i64>().unwrap() > number("drain_seconds") + 11);
    assert!(setting("LimitNOFILE").parse::<i64>().unwrap() > 2 * number("max_connections"));
    assert_eq!(setting("KillSignal"), "SIGTERM");
}
