//! The command line, run as an operator runs it: the binary, its exit codes, and what it prints.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::support::free_addr;
use crate::support::gate::optgate;
use crate::support::served::Served;

const GRANT: [&str; 10] = [
    "--channel",
    "website",
    "--user-action",
    "checked_box",
    "--wording",
    "I agree",
    "--business",
    "Acme",
    "--name-and-logo-shown",
    "--number-confirmed",
];

fn grant<'a>(recipient: &'a str, categories: &'a str) -> Vec<&'a str> {
    let own = ["consent", "grant", recipient, "--category", categories, "--categories-shown", categories];
    [&own[..], &GRANT].concat()
}

/// Every command, found by reading the help itself.
fn commands(parent: &[String]) -> Vec<Vec<String>> {
    let help = optgate().args(parent).arg("--help").output().unwrap();
    let text = String::from_utf8(help.stdout).unwrap();
    assert!(help.status.success(), "{parent:?} --help");
    assert!(text.contains("Examples:\n  "), "{parent:?} --help has no examples:\n{text}");
    let listed =
        text.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    // What is indented further is a description that goes on.
    let named = listed.filter_map(|line| line.strip_prefix("  ").filter(|line| !line.starts_with(' ')));
    let names = named.filter_map(|line| line.split_whitespace().next()).filter(|name| *name != "help");
    let children = names.map(|name| [parent, &[name.to_owned()]].concat());
    std::iter::once(parent.to_vec()).chain(children.flat_map(|child| commands(&child))).collect()
}

#[test]
fn every_command_explains_itself_with_examples() {
    let found = commands(&[]);
    let leaf = |path: &[&str]| found.contains(&path.iter().map(|&part| part.to_owned()).collect());
    for path in [
        &["serve"][..],
        &["demo"],
        &["sandbox"],
        &["consent", "grant"],
        &["consent", "revoke"],
        &["consent", "show"],
        &["consent", "import"],
        &["consent", "export"],
        &["templates", "import"],
        &["templates", "list"],
        &["check"],
        &["explain"],
        &["token", "new"],
    ] {
        assert!(leaf(path), "{path:?} is not among {found:?}");
    }
}

#[test]
fn wrong_usage_exits_2_and_says_what_is_wrong() {
    for (arguments, told) in [
        (&[][..], "Usage: optgate"),
        (&["srve"], "serve"),
        (&["serve", "--lisen", "x"], "--listen"),
        (&["consent", "grant", "+15550000001"], "--category"),
        (
            &["consent", "grant", "+15550000001", "--category", "promo"],
            "known categories: authentication, call",
        ),
        (&["consent", "revoke"], "RECIPIENT"),
        (&["consent", "revoke", "+15550000001", "--occurred-at", "yesterday"], "RFC 3339"),
        (&["consent", "revoke", "+15550000001", "--actor", "robot"], "person, operator, system or provider"),
        (&["check", "--sender", "1"], "--to"),
        (&["check", "--sender", "1", "--to", "+1", "--template", "t"], "--language"),
        (&["templates", "import", "x.json"], "--account"),
        (&["token", "new", "--scope", "root"], "known scopes: consent:read"),
        (&["sandbox", "--listen", "nowhere"], "--listen"),
    ] {
        let answer = optgate().args(arguments).output().unwrap();
        let text = String::from_utf8(answer.stderr).unwrap();
        assert_eq!(answer.status.code(), Some(2), "{arguments:?}: {text}");
        assert!(text.contains(told), "{arguments:?} does not tell {told}: {text}");
    }
}

#[test]
fn a_grant_shows_and_is_judged_and_a_revoke_ends_it() {
    let gate = Served::start("");
    assert_eq!(gate.printed(&grant("+15550000001", "utility")), "recorded\n");
    let shown = gate.printed(&["consent", "show", "+15550000001"]);
    assert!(shown.contains("utility         granted") && shown.contains("marketing       none"), "{shown}");
    let question = ["check", "--sender", "1", "--to", "+15550000001", "--category", "utility"];
    gate.printed(&grant("+15550000001", "service"));
    assert!(gate.printed(&question).starts_with("allowed as "), "{}", gate.printed(&question));
    gate.printed(&["consent", "revoke", "+15550000001"]);
    let judged = gate.json(&question);
    assert_eq!((&judged["decision"], &judged["reason"]), (&json!("deny"), &json!("consent_revoked")));
    assert!(gate.printed(&question).contains("(#131030)"));
}

#[test]
fn a_resume_with_evidence_takes_a_withdrawal_back() {
    let gate = Served::start("");
    assert!(gate.run(&grant("+15550000001", "marketing")).status.success());
    assert!(gate.run(&["consent", "revoke", "+15550000001", "--source", "phone"]).status.success());
    // A moment later: at the same time the withdrawal stands.
    std::thread::sleep(std::time::Duration::from_millis(5));
    let resume = [
        "consent",
        "resume",
        "+15550000001",
        "--source",
        "phone",
        "--channel",
        "phone",
        "--user-action",
        "said_yes",
    ];
    let bare = gate.run(&resume);
    let why = String::from_utf8_lossy(&bare.stderr);
    assert!(bare.status.code() == Some(1) && why.contains("asked_to_resume"), "{why}");
    let printed = gate.printed(&[&resume[..], &["--reference", "call 4711"]].concat());
    assert!(printed.starts_with("recorded"), "{printed}");
    let shown = gate.printed(&["consent", "show", "+15550000001"]);
    assert!(shown.contains("marketing       granted"), "{shown}");
    let again = gate.printed(&["consent", "resume", "+15550000001", "--actor", "operator"]);
    assert!(again.starts_with("ignored") && again.contains("only the person"), "{again}");
}

#[test]
fn a_rejected_grant_exits_1_with_every_reason() {
    let gate = Served::start("");
    let answer = gate.run(&["consent", "grant", "+1555", "--category", "utility"]);
    let told = String::from_utf8(answer.stderr).unwrap();
    assert_eq!(answer.status.code(), Some(1), "{told}");
    assert!(told.contains("- recipient: write +E.164"), "{told}");
    assert!(!told.contains("- evidence: missing"), "its fields are told: {told}");
    for rule in
        ["third_party_channel", "active_opt_in", "number_confirmed", "categories_shown", "wording_kept"]
    {
        assert!(told.contains(&format!("[{rule}]")), "{told}");
    }
}

#[test]
fn an_import_keeps_good_lines_and_tells_bad_ones_by_their_number() {
    let gate = Served::start("");
    let event = |n: u32| {
        json!({"recipient": format!("+1555000{n:04}"), "kind": "revoke", "occurred_at": "2026-01-31T09:30:00Z", "actor": "person", "source": "web"})
            .to_string()
    };
    // More than one chunk, with bad lines on both sides of the seam.
    let mut lines: Vec<String> = (1..=6_000).map(event).collect();
    lines[1] = "{not json".to_owned();
    lines[3] = String::new();
    lines[5_500] = r#"{"recipient":"+15550000001"}"#.to_owned();
    gate.write("events.ndjson", &lines.join("\n"));
    let answer = gate.run(&["consent", "import", "events.ndjson"]);
    let told = String::from_utf8(answer.stderr).unwrap();
    let counts = String::from_utf8(answer.stdout).unwrap();
    assert!(counts.starts_with("applied 5997, ignored 0, rejected 2\n"), "{counts}{told}");
    assert!(counts.contains("stands in events.rejected.ndjson with the reasons"), "{counts}");
    assert_eq!(answer.status.code(), Some(1));
    let told: Vec<&str> = told.lines().collect();
    assert!(told.len() == 2 && told[0].starts_with("line 2: rejected: "), "{told:?}");
    assert!(told[1].starts_with("line 5501: rejected: ") && told[1].contains("kind: missing"), "{told:?}");
    let again = gate.run(&["--json", "consent", "import", "events.ndjson"]);
    let again: Value = serde_json::from_slice(&again.stdout).unwrap();
    assert_eq!(
        (&again["applied"], &again["ignored"], &again["rejected"]),
        (&json!(0), &json!(5997), &json!(2))
    );
    assert_eq!(again["results"][1]["line"], 5501);
}

#[test]
fn an_import_of_csv_means_what_the_same_ndjson_means() {
    let gate = Served::start("[[tenants]]\nname = \"acme\"\n[[tenants]]\nname = \"other\"\n");
    gate.write(
        "a.csv",
        "recipient,kind,categories,occurred_at,actor,source,evidence.channel,evidence.user_action,evidence.wording,evidence.business_named,\
         evidence.categories_shown,evidence.name_and_logo_shown,evidence.number_confirmed\n\
         +15550000001,grant,marketing;utility,2026-01-31T09:30:00Z,person,web,website,checked_box,\"I agree, really\",Acme,marketing|utility,true,yes\n",
    );
    let imported = gate.printed(&["consent", "import", "a.csv", "--tenant", "acme"]);
    assert_eq!(imported, "applied 1, ignored 0, rejected 0\n");
    let record = gate.json(&["consent", "show", "+15550000001", "--tenant", "acme"]);
    assert_eq!(record["categories"]["marketing"]["state"], "granted");
    let other = gate.run(&["consent", "show", "+15550000001", "--tenant", "other"]);
    assert_eq!(other.status.code(), Some(1), "an event of one tenant shows at another");
}

#[test]
fn a_csv_with_unknown_columns_is_refused_before_anything_is_sent() {
    let gate = Served::start("");
    gate.write("a.csv", "phone,recipient\n+15550000001,+15550000001\n");
    let answer = gate.run(&["consent", "import", "a.csv"]);
    let told = String::from_utf8(answer.stderr).unwrap();
    assert_eq!(answer.status.code(), Some(1));
    assert!(
        told.contains(
            "a.csv: the first row does not name the columns of events\n  - the column \"phone\" is unknown"
        ),
        "{told}"
    );
}

#[test]
fn templates_are_imported_listed_and_decide_the_category() {
    let gate = Served::start(
        "[[tenants]]\nname = \"acme\"\n[[tenants.senders]]\nphone_number_id = \"7\"\naccount = \"102\"\n",
    );
    gate.write(
        "t.json",
        r#"{"data":[{"name":"order","language":"en","category":"UTILITY","status":"APPROVED","id":"1"}]}"#,
    );
    assert_eq!(
        gate.printed(&["templates", "import", "t.json", "--account", "102"]),
        "account 102: 1 templates\n"
    );
    assert!(gate.printed(&["templates", "list"]).contains("102      order  en        utility"));
    let judged = gate.json(&[
        "check",
        "--sender",
        "7",
        "--to",
        "+15550000001",
        "--template",
        "order",
        "--language",
        "en",
    ]);
    assert_eq!(judged["category"], "utility");
    gate.write("bad.json", "[1]");
    let answer = gate.run(&["templates", "import", "bad.json", "--account", "102"]);
    assert_eq!(answer.status.code(), Some(1));
    assert!(gate.printed(&["templates", "list"]).contains("order"));
}

#[test]
fn what_stands_between_a_command_and_the_gate_is_told() {
    let gate = Served::start("");
    let elsewhere = tempfile::tempdir().unwrap();
    let show = ["consent", "show", "+15550000001"];
    let told = |mut command: Command| {
        let answer = command.output().unwrap();
        assert_eq!(answer.status.code(), Some(1));
        String::from_utf8(answer.stderr).unwrap()
    };
    let from = |folder: &Path| {
        let mut command = gate.command(&show);
        command.current_dir(folder);
        command
    };
    let no_token = told(from(elsewhere.path()));
    assert!(no_token.contains("wants a token (401) and optgate-data/admin.token is not there"), "{no_token}");
    let mut wrong = gate.command(&show);
    wrong.env("OPTGATE_TOKEN", "guess");
    let wrong = told(wrong);
    assert!(
        wrong.contains("does not know the token in OPTGATE_TOKEN (401)") && !wrong.contains("guess"),
        "{wrong}"
    );
    let mut nobody = optgate();
    nobody.args(["--admin", &format!("http://{}", free_addr())]).args(show);
    let nobody = told(nobody);
    assert!(nobody.contains("is `optgate serve` running?"), "{nobody}");
    let mut found = from(elsewhere.path());
    found.arg("--data-dir").arg(gate.folder.path().join("optgate-data"));
    assert!(told(found).contains("nothing is known about this recipient"));
}

#[test]
fn a_new_token_opens_the_door_that_its_lines_describe() {
    let made = optgate()
        .args(["--json", "token", "new", "--name", "crm", "--scope", "templates:write"])
        .output()
        .unwrap();
    let made: Value = serde_json::from_slice(&made.stdout).unwrap();
    let text = optgate().args(["token", "new", "--name", "crm"]).output().unwrap();
    let text = String::from_utf8(text.stdout).unwrap();
    assert!(
        text.contains("[[admin.tokens]]\nname = \"crm\"\nsha256 = \"")
            && text.contains("scopes = [\"admin\"]"),
        "{text}"
    );
    let (name, sha256, scopes) = (&made["name"], &made["sha256"], &made["scopes"]);
    let gate =
        Served::start(&format!("[[admin.tokens]]\nname = {name}\nsha256 = {sha256}\nscopes = {scopes}\n"));
    let mut list = gate.command(&["templates", "list"]);
    assert!(list.env("OPTGATE_TOKEN", made["token"].as_str().unwrap()).output().unwrap().status.success());
    let mut show = gate.command(&["consent", "show", "+15550000001"]);
    let refused = show.env("OPTGATE_TOKEN", made["token"].as_str().unwrap()).output().unwrap();
    let told = String::from_utf8(refused.stderr).unwrap();
    assert!(told.contains("The token lacks a scope (403)"), "{told}");
}
