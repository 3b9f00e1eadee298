//! The README: what it shows happens, what it prints works, what it links to exists.

use std::path::Path;
use std::process::Command;

use optgate::config::{self, Overrides, Sources};

use crate::demo::{Demo, run};
use crate::support::gate::optgate;
use crate::support::served::Served;

const README: &str = include_str!("../../README.md");

/// The first block of code below a heading, in a language or in none.
#[track_caller]
fn block(heading: &str, language: &str) -> String {
    let below = README.split_once(&format!("\n## {heading}\n")).unwrap().1;
    let mut lines = below.lines();
    while let Some(line) = lines.next() {
        let Some(found) = line.strip_prefix("```") else { continue };
        let code: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
        if found == language {
            return code.join("\n");
        }
    }
    panic!("no ```{language} below {heading}");
}

/// A line without what is different each time: the message's id, and how many milliseconds something took.
fn settled(line: &str) -> String {
    let line = line.split_once("wamid.").map_or(line, |(before, _)| before).trim_end();
    let words = line.split(' ').collect::<Vec<_>>();
    let is_time = |at: usize| words.get(at + 1) == Some(&"ms");
    let kept = words.iter().enumerate().map(|(at, word)| if is_time(at) { "some" } else { word });
    kept.collect::<Vec<_>>().join(" ")
}

#[test]
fn the_readme_shows_what_the_demo_prints() {
    let mut demo = Demo::start(&["--once"]);
    demo.ends_well();
    let printed = demo.process.stdout();
    let mut rest = printed.iter().map(|line| settled(line));
    let excerpt = block("Try it", "");
    for shown in excerpt.lines().map(settled).filter(|line| line != "...") {
        assert!(rest.any(|line| line == shown), "not printed, or not in this order: {shown}\n{printed:#?}");
    }
}

#[test]
fn the_readmes_calls_work_as_they_stand() {
    let mut demo = Demo::start(&[]);
    let printed = demo.printed();
    let address = |before: &str, after: char| {
        let line = printed.iter().find(|line| line.contains(before)).unwrap();
        line.split_once(before).unwrap().1.split(after).next().unwrap().to_owned()
    };
    let folder = demo.folder().unwrap();
    let calls = block("Admin API", "sh")
        .replace("127.0.0.1:8080", &address("▶ gate ", ' '))
        .replace("127.0.0.1:9090", &address("▶ admin API ", ' '))
        .replace("optgate-data/", &format!("{}/", folder.display()));
    // A refused call must not go unnoticed.
    let strict = "curl() { command curl --fail-with-body \"$@\"; }\nWHATSAPP_TOKEN=any\n";
    let answers = run(&format!("{strict}{calls}"));
    assert_eq!(answers.matches("\"applied\":1").count(), 2, "{answers}");
    assert!(answers.contains("\"templates\":5"), "{answers}");
    assert!(answers.contains("\"decision\":\"allow\""), "{answers}");
    assert!(answers.contains("\"state\":\"revoked\""), "{answers}");
    demo.process.signal("TERM");
    demo.ends_well();
}

#[test]
fn the_readmes_import_shows_what_was_rejected_and_takes_it_once_corrected() {
    let gate = Served::start("");
    gate.write("opt-ins.csv", &(block("Bring the consent you have", "csv") + "\n"));
    let steps = block("Bring the consent you have", "sh");
    let mut told = Vec::new();
    for step in steps.lines() {
        let optgate = env!("CARGO_BIN_EXE_optgate");
        let script = format!("optgate() {{ '{optgate}' --admin http://{} \"$@\"; }}\n{step}", gate.admin());
        let output =
            Command::new("sh").args(["-c", &script]).current_dir(gate.folder.path()).output().unwrap();
        let text = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap()).join("");
        told.push((output.status.code(), text));
    }
    let [dry, first, rejected, corrected, second, shown, receipt, verified, exported] = &told[..] else {
        panic!("{told:#?}")
    };
    assert!(dry.0 == Some(1) && dry.1.starts_with("valid 1, rejected 1\n"), "{told:#?}");
    assert!(first.0 == Some(1) && first.1.contains("applied 1, ignored 0, rejected 1\n"), "{told:#?}");
    assert!(first.1.contains("line 3: rejected: recipient: write +E.164"), "{told:#?}");
    assert!(rejected.1.contains(",reasons\n") && rejected.1.contains("recipient: write +E.164"), "{told:#?}");
    assert_eq!(
        (corrected, second),
        (&(Some(0), String::new()), &(Some(0), "applied 1, ignored 0, rejected 0\n".to_owned()))
    );
    assert!(shown.0 == Some(0) && shown.1.contains("utility         granted"), "{told:#?}");
    assert!(
        receipt.0 == Some(0) && receipt.1.contains("I agree to order updates from Acme on WhatsApp"),
        "{told:#?}"
    );
    assert!(verified.0 == Some(0) && verified.1.starts_with("valid: "), "{told:#?}");
    assert_eq!(exported, &(Some(0), "2 events in consent.ndjson\n".to_owned()));
}

#[test]
fn the_readmes_configuration_is_valid() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("optgate.toml");
    std::fs::write(&file, block("Configure", "toml")).unwrap();
    let sources =
        Sources { file: Some(file), environment: std::iter::empty(), overrides: Overrides::default() };
    let config = config::load(sources).unwrap();
    assert_eq!(config.tenants.senders().count(), 1);
}

#[test]
fn every_command_that_the_readme_names_exists() {
    for command in [&["serve"][..], &["demo"], &["sandbox"], &["check"], &["explain"], &["token", "new"]] {
        assert!(README.contains(&command.join(" ")), "{command:?}");
        assert!(optgate().args(command).arg("--help").output().unwrap().status.success(), "{command:?}");
    }
    for verb in ["grant", "revoke", "show", "import", "export"] {
        assert!(optgate().args(["consent", verb, "--help"]).output().unwrap().status.success(), "{verb}");
    }
}

#[test]
fn every_file_that_the_readme_links_to_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let targets = README.split("](").skip(1).map(|rest| rest.split(')').next().unwrap());
    let files: Vec<&str> = targets.filter(|target| !target.starts_with(['#', 'h'])).collect();
    assert!(files.len() > 10, "{files:?}");
    let exists = |target: &str| {
        let (file, heading) = target.split_once('#').unwrap_or((target, ""));
        let slug = |line: &str| line.trim_start_matches('#').trim().to_lowercase().replace(' ', "-");
        let has_heading = || {
            let text = std::fs::read_to_string(root.join(file)).unwrap();
            text.lines().any(|line| line.starts_with('#') && slug(line) == heading)
        };
        root.join(file).exists() && (heading.is_empty() || has_heading())
    };
    let missing: Vec<&&str> = files.iter().filter(|file| !exists(file)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}
