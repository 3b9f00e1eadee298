//! Import and export as an operator meets them: what is rejected comes back to be corrected, and what is exported imports to the same state.

use std::collections::BTreeSet;
use std::io::{BufWriter, Write};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::gate::optgate;
use crate::support::process::Process;
use crate::support::redis::Redis;
use crate::support::relay::Relay;
use crate::support::served::Served;
use crate::support::{PATIENCE, eventually};

const HEADER: &str = "recipient,kind,categories,occurred_at,actor,source,evidence.channel,evidence.user_action,evidence.name_and_logo_shown,\
    evidence.number_confirmed,evidence.categories_shown,evidence.business_named,evidence.wording";

fn row(recipient: &str, wording: &str) -> String {
    format!(
        "{recipient},grant,utility,2026-01-31T09:30:00Z,person,website,website,checked_box,true,true,utility,Acme,\"{wording}\""
    )
}

#[test]
fn rejected_rows_come_back_with_their_reasons_and_are_taken_once_corrected() {
    let gate = Served::start("");
    let rows = [
        row("+15550000001", "I agree"),
        row("+1555", "I agree,\r\nreally"),
        row("+15550000003", "I agree").replace("2026-01-31T09:30:00Z", "yesterday"),
        row("+15550000004", "I agree").replace(",true,true,", ",perhaps,true,"),
        row("+15550000005", "I agree"),
    ];
    gate.write("opt-ins.csv", &format!("\u{feff}{HEADER}\r\n{}\r\n", rows.join("\r\n")));
    let first = gate.run(&["consent", "import", "opt-ins.csv"]);
    let told = String::from_utf8(first.stderr).unwrap();
    assert_eq!(first.status.code(), Some(1), "{told}");
    for line in [
        "line 3: rejected: recipient",
        "line 5: rejected: occurred_at",
        "line 6: rejected: evidence.name_and_logo_shown",
    ] {
        assert!(told.contains(line), "{told}");
    }
    let rejected = gate.read("opt-ins.rejected.csv");
    assert_eq!(rejected.lines().next(), Some(&*format!("\u{feff}{HEADER},reasons")));
    assert!(rejected.contains("recipient: write +E.164") && rejected.contains("really"), "{rejected}");
    let corrected = rejected.replace("+1555,", "+15550000002,").replace("yesterday", "2026-02-01T09:30:00Z");
    gate.write("opt-ins.rejected.csv", &corrected.replace(",perhaps,", ",yes,"));
    let second = gate.printed(&["consent", "import", "opt-ins.rejected.csv"]);
    assert_eq!(second, "applied 3, ignored 0, rejected 0\n");
    let file = std::fs::metadata(gate.folder.path().join("opt-ins.rejected.rejected.csv"));
    assert!(file.is_err(), "nothing was rejected, so there is no file of it");
    for n in 1..=5 {
        let record = gate.json(&["consent", "show", &format!("+1555000000{n}")]);
        assert_eq!(record["categories"]["utility"]["state"], "granted", "{n}");
    }
    let again = gate.json(&["consent", "import", "opt-ins.rejected.csv"]);
    assert_eq!((&again["applied"], &again["ignored"]), (&json!(0), &json!(3)));
}

#[test]
fn rejected_lines_come_back_with_their_reasons_and_are_taken_once_corrected() {
    let gate = Served::start("");
    let event = |recipient: &str| json!({"recipient": recipient, "kind": "revoke", "occurred_at": "2026-01-31T09:30:00Z", "actor": "person", "source": "web"});
    let lines = [event("+15550000001").to_string(), event("0155").to_string(), "[1]".to_owned()];
    gate.write("a.ndjson", &lines.join("\n"));
    let counts = gate.run(&["consent", "import", "a.ndjson", "--rejects", "bad.ndjson"]).stdout;
    assert!(counts.starts_with(b"applied 1, ignored 0, rejected 2\n"));
    let bad = gate.read("bad.ndjson");
    let bad: Vec<Value> = bad.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((&bad[0]["recipient"], bad[0]["reasons"].as_array().unwrap().len()), (&json!("0155"), 1));
    assert_eq!((&bad[1]["text"], &bad[1]["line"]), (&json!("[1]"), &json!(3)));
    gate.write("bad.ndjson", &bad[0].to_string().replace("0155", "+15550000155"));
    assert_eq!(gate.printed(&["consent", "import", "bad.ndjson"]), "applied 1, ignored 0, rejected 0\n");
    let refused = gate.run(&["consent", "import", "bad.ndjson", "--rejects", "bad.ndjson"]);
    assert_eq!(refused.status.code(), Some(1), "a file must not be overwritten by its own rejected lines");
}

#[test]
fn a_dry_run_checks_everything_and_stores_nothing() {
    let gate = Served::start("");
    let rows = [row("+15550000001", "I agree"), row("+1555", "I agree")];
    gate.write("a.csv", &format!("{HEADER}\n{}\n", rows.join("\n")));
    let dry = gate.run(&["consent", "import", "a.csv", "--dry-run"]);
    let told = String::from_utf8(dry.stdout).unwrap();
    assert!(told.starts_with("valid 1, rejected 1\nnothing was stored"), "{told}");
    assert_eq!(gate.run(&["consent", "show", "+15550000001"]).status.code(), Some(1));
    assert_eq!(gate.printed(&["consent", "export"]), "{\"export\":\"complete\",\"events\":0}\n");
    assert!(
        gate.run(&["consent", "import", "a.csv"]).stdout.starts_with(b"applied 1, ignored 0, rejected 1\n")
    );
}

#[test]
fn an_import_that_was_cut_short_goes_on_and_refuses_a_changed_file() {
    let mut gate = Served::start("");
    let rows: Vec<String> = (0..3_000).map(|n| row(&format!("+1555{n:07}"), "I agree")).collect();
    let file = format!("{HEADER}\n{}\n", rows.join("\n"));
    gate.write("a.csv", &file);
    let mut import = gate.command(&["consent", "import", "a.csv", "--chunk", "100"]);
    let mut import =
        import.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null()).spawn().unwrap();
    let state = gate.folder.path().join("a.csv.import-state");
    eventually("a chunk is settled", || settled(&gate).filter(|at| *at > 0));
    gate.kill9();
    assert_eq!(import.wait().unwrap().code(), Some(1));
    gate.restart();
    gate.write("b.csv", &file);
    std::fs::copy(&state, gate.folder.path().join("b.csv.import-state")).unwrap();
    let changed = String::from_utf8(gate.run(&["consent", "import", "b.csv", "--resume"]).stderr).unwrap();
    assert!(changed.contains("cannot go on"), "{changed}");
    let resumed = gate.run(&["consent", "import", "a.csv", "--resume"]);
    let told = String::from_utf8(resumed.stderr).unwrap();
    assert!(told.starts_with("goes on after line "), "{told}");
    assert!(!state.exists());
    assert_eq!(gate.printed(&["consent", "export", "--format", "csv"]).lines().count(), 3_001);
}

/// An import through a relay, which makes its chunks slow.
fn slow_import(gate: &Served, relay: &Relay, arguments: &[&str]) -> Process {
    let mut command = optgate();
    command.args([
        "--admin",
        &format!("http://{}", relay.addr()),
        "consent",
        "import",
        "a.csv",
        "--chunk",
        "500",
    ]);
    command.args(arguments).current_dir(gate.folder.path());
    Process::start(command).unwrap()
}

/// How far an import is settled, as its state file has it.
fn settled(gate: &Served) -> Option<u64> {
    let state = std::fs::read(gate.folder.path().join("a.csv.import-state")).ok()?;
    serde_json::from_slice::<Value>(&state).ok()?["settled"]["through"]["lines"].as_u64()
}

#[test]
fn an_import_that_is_interrupted_says_how_far_it_came_and_goes_on_there() {
    let gate = Served::start("");
    let rows: Vec<String> = (0..6_000).map(|n| row(&format!("+1555{n:07}"), "I agree")).collect();
    gate.write("a.csv", &format!("{HEADER}\n{}\n", rows.join("\n")));
    let relay = Relay::start(gate.admin().parse().unwrap());
    let mut before = None;
    // Before the first chunk is settled, in the middle, and when it has gone on.
    for (signal, code, says, arguments) in [
        ("INT", 130, "interrupted", &[][..]),
        ("INT", 130, "interrupted", &[][..]),
        ("TERM", 143, "told to stop", &["--resume"][..]),
    ] {
        let stalled = before.is_none();
        if stalled {
            relay.stall();
        } else {
            relay.mend();
            relay.delay(Duration::from_millis(5));
        }
        let mut import = slow_import(&gate, &relay, arguments);
        eventually("it came far enough", || settled(&gate).filter(|at| stalled || Some(*at) > before));
        import.signal(signal);
        let ended = import.wait(PATIENCE).unwrap();
        let told = import.stderr().join("\n");
        assert_eq!(ended.code(), Some(code), "{told}");
        let at = settled(&gate).unwrap_or_default();
        assert!((1..6_001).contains(&at) != stalled, "{at}");
        let how = if stalled { "the import again" } else { "the same command with --resume" };
        let far = format!("optgate: {says}\nsettled until line {at}: ");
        assert!(told.contains(&far) && told.contains(&format!("; run {how}: ")), "{told}");
        if !arguments.is_empty() {
            assert!(told.starts_with(&format!("goes on after line {}\n", before.unwrap())), "{told}");
        }
        before = Some(at);
    }
    relay.mend();
    let mut last = slow_import(&gate, &relay, &["--resume"]);
    let ended = last.wait(PATIENCE).unwrap();
    assert!(ended.success(), "{:?}", last.stderr());
    assert_eq!(last.stderr()[0], format!("goes on after line {}", before.unwrap()));
    assert_eq!(settled(&gate), None);
    let counts = last.stdout().join("");
    let numbers = counts.split(|c: char| !c.is_ascii_digit()).filter_map(|n| n.parse::<u64>().ok());
    assert_eq!(numbers.sum::<u64>(), 6_000, "{counts}");
    assert_eq!(gate.printed(&["consent", "export"]).lines().count(), 6_001);
}

/// What a spreadsheet with other habits writes: semicolons, a mark for UTF-8, a column of its own, empty rows at the end.
#[test]
fn a_spreadsheet_of_another_country_is_imported_and_corrected_as_it_came() {
    let gate = Served::start("");
    let cells = |row: &str| row.replace(',', ";").replace(";utility;", ";utility,;");
    let header = format!("Kundennr.;{};;", cells(HEADER));
    let rows = [row("+15550000001", "Für Größe"), row("1555", "Für Größe"), row("+15550000003", "caf\u{0}")];
    let rows = rows.iter().map(|row| format!("7;{};;\r\n", cells(row))).collect::<String>();
    let text = format!("\u{feff}{header}\r\n{rows}{}\r\n", ";".repeat(15));
    // As Windows writes it where it was not asked for UTF-8.
    let bytes = text.as_bytes().split(|b| *b == 0).collect::<Vec<_>>().join(&0xe9);
    std::fs::write(gate.folder.path().join("a.csv"), bytes).unwrap();
    let refused = gate.run(&["consent", "import", "a.csv"]);
    let told = String::from_utf8(refused.stderr).unwrap();
    assert!(
        told.contains("the column \"Kundennr.\" is unknown") && told.contains("--ignore-column NAME"),
        "{told}"
    );
    for option in [&["--ignore-column", "Kundennr."][..], &["--ignore-unknown-columns"][..]] {
        let answer = gate.run(&[&["consent", "import", "a.csv"][..], option].concat());
        let told = String::from_utf8(answer.stderr).unwrap();
        assert!(String::from_utf8(answer.stdout).unwrap().contains("ignored"), "{told}");
        assert!(told.contains("line 3: rejected: recipient: write +E.164"), "{told}");
        assert!(
            told.contains("line 4: rejected: evidence.wording: is not UTF-8; save the file as UTF-8"),
            "{told}"
        );
        assert!(!told.contains("line 5"), "{told}");
        assert_eq!(
            told.contains("left out, as no event has these columns: Kundennr."),
            option.len() == 1,
            "{told}"
        );
    }
    let path = gate.folder.path().join("a.rejected.csv");
    let rejected = std::fs::read(&path).unwrap();
    assert!(rejected.starts_with(format!("\u{feff}{};reasons\n1555;grant;", cells(HEADER)).as_bytes()));
    let rejected = rejected.split(|b| *b == 0xe9).collect::<Vec<_>>().join("é".as_bytes());
    let corrected = String::from_utf8(rejected).unwrap().replace("\n1555;", "\n+15550000002;");
    std::fs::write(path, corrected).unwrap();
    assert_eq!(gate.printed(&["consent", "import", "a.rejected.csv"]), "applied 2, ignored 0, rejected 0\n");
    let history = gate.printed(&["consent", "export"]);
    assert!(
        history.contains("Für Größe") && history.contains("café") && !history.contains("Kundennr"),
        "{history}"
    );
}

#[test]
fn a_row_with_many_faults_is_told_all_of_them_at_once() {
    let gate = Served::start("");
    let bad = "15550000001,opt-in,offers,31.01.2026,person,,web,checked_box,ja,true,utility,,I agree";
    gate.write("a.csv", &format!("{HEADER}\n{bad}\n"));
    let answer = gate.run(&["--json", "consent", "import", "a.csv"]);
    let answer: Value = serde_json::from_slice(&answer.stdout).unwrap();
    let reasons = answer["results"][0]["reasons"].as_array().unwrap();
    let fields: Vec<_> =
        reasons.iter().map(|reason| reason.as_str().unwrap().split_once(':').unwrap().0).collect();
    let expected = [
        "categories",
        "evidence.name_and_logo_shown",
        "kind",
        "occurred_at",
        "evidence.channel",
        "evidence.business_named",
        "recipient",
        "source",
    ];
    assert_eq!(fields, expected, "{reasons:#?}");
}

#[test]
fn a_file_without_rows_or_of_another_kind_is_told_with_the_remedy() {
    let gate = Served::start("");
    let utf16: Vec<u8> = "recipient,kind\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    for (name, bytes, says) in [
        ("empty.csv", &b""[..], "empty.csv: no row: the first one names the columns"),
        ("excel.csv", &[b"\xff\xfe", utf16.as_slice()].concat(), "excel.csv: is not UTF-8 but UTF-16"),
        ("unmarked.csv", &utf16, "save it as UTF-8"),
        ("book.csv", b"PK\x03\x04zip", "a workbook"),
        ("a.txt", b"recipient,kind,source\n", "--format csv"),
        ("short.csv", b"recipient,categories\n", "missing: kind, occurred_at, actor, source"),
        ("a.ndjson", b"{}\n", "for CSV"),
    ] {
        std::fs::write(gate.folder.path().join(name), bytes).unwrap();
        let more: &[&str] = if name == "a.ndjson" { &["--ignore-column", "x"] } else { &[] };
        let answer = gate.run(&[&["consent", "import", name], more].concat());
        let told = String::from_utf8(answer.stderr).unwrap();
        assert_eq!(answer.status.code(), Some(1), "{told}");
        assert!(told.contains(says), "{says}: {told}");
        assert!(!gate.folder.path().join(format!("{name}.import-state")).exists());
    }
}

/// The most memory that a process of that command held, in KiB, until it ended well.
fn peak_kib(mut command: Command) -> u64 {
    let mut child = command.stdout(Stdio::null()).spawn().unwrap();
    let status = format!("/proc/{}/status", child.id());
    let mut peak = 0;
    loop {
        let told = std::fs::read_to_string(&status).unwrap_or_default();
        let line = told.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        peak = line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(peak);
        if let Some(ended) = child.try_wait().unwrap() {
            assert!(ended.success(), "{ended}");
            return peak;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn an_import_needs_no_more_memory_for_a_longer_file() {
    let gate = Served::start("");
    for format in ["csv", "ndjson"] {
        let [short, long] = [5_000, 150_000].map(|lines| {
            let name = format!("{lines}.{format}");
            let mut file = BufWriter::new(std::fs::File::create(gate.folder.path().join(&name)).unwrap());
            if format == "csv" {
                writeln!(file, "{HEADER}").unwrap();
            }
            for n in 0..lines {
                let recipient = format!("+1555{n:07}");
                let line = match format {
                    "csv" => row(&recipient, &"I agree to order updates from Acme on WhatsApp. ".repeat(4)),
                    _ => json!({"recipient": recipient, "kind": "revoke", "occurred_at": "2026-01-31T09:30:00Z", "actor": "person", "source": "s".repeat(100)}).to_string(),
                };
                writeln!(file, "{line}").unwrap();
            }
            file.into_inner().unwrap().sync_all().unwrap();
            let bytes = std::fs::metadata(gate.folder.path().join(&name)).unwrap().len();
            (bytes / 1024, peak_kib(gate.command(&["consent", "import", &name, "--dry-run", "--chunk", "1000"])))
        });
        let more = long.0 - short.0;
        assert!(more > 16 * 1024, "{more} KiB more is no test");
        assert!(
            long.1 < short.1 + more / 4,
            "{format}: {} KiB at first, then {} KiB for {more} KiB more of file",
            short.1,
            long.1
        );
    }
}

/// Random numbers that can be had again.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % sides as u64).unwrap()
    }

    fn one_of<T: Clone>(&mut self, from: &[T]) -> T {
        from[self.roll(from.len())].clone()
    }
}

const CATEGORIES: [&str; 5] = ["authentication", "call", "marketing", "service", "utility"];

fn people() -> Vec<String> {
    let phones = [
        "+15550000001",
        "+15550000002",
        "+525555500021",
        "+5215555500021",
        "+5491155500012",
        "+551187650013",
    ];
    phones.into_iter().map(str::to_owned).chain((1..5).map(|n| format!("US.1349120865530{n}"))).collect()
}

fn random_event(dice: &mut Dice, n: usize) -> Value {
    let kind = dice.one_of(&["grant", "grant", "grant", "revoke", "revoke", "resume", "inbound", "link"]);
    let ago = u64::try_from(dice.roll(20 * 24 * 3600)).unwrap();
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let at = optgate::consent::Timestamp::from_secs(now - 60 - ago);
    let mut event = json!({
        "recipient": dice.one_of(&people()), "kind": kind, "occurred_at": at.to_string(),
        "actor": dice.one_of(&["person", "person", "operator", "provider", "system"]), "source": dice.one_of(&["website", "desk"]),
    });
    if kind == "link" || dice.roll(5) == 0 {
        event["links"] = (0..=dice.roll(2)).map(|_| json!(dice.one_of(&people()))).collect();
        if dice.roll(3) == 0 {
            event["observed"] = json!(true);
        }
    }
    if dice.roll(2) == 0 {
        event["id"] = json!(format!("e-{n}"));
    }
    if kind == "resume" {
        event["evidence"] = json!({ "channel": "whatsapp", "user_action": "texted_keyword", "wording": "START", "reference": format!("message {n}") });
    }
    if matches!(kind, "grant" | "revoke" | "resume") && (kind == "grant" || dice.roll(2) == 0) {
        let shown: BTreeSet<&str> = (0..=dice.roll(4)).map(|_| dice.one_of(&CATEGORIES)).collect();
        event["categories"] = json!(shown);
        if kind == "grant" {
            event["evidence"] = json!({
                "channel": "website", "user_action": "checked_box", "name_and_logo_shown": true, "number_confirmed": true,
                "categories_shown": shown, "business_named": "Acme", "wording": format!("I agree,\n\"{n}\" ✓; really|"), "url": "https://acme.example/",
            });
            match dice.roll(5) {
                0 => event["pending"] = json!(true),
                1 => event["confirms"] = json!(format!("e-{}", dice.roll(n + 1))),
                2 => {
                    event.as_object_mut().unwrap().remove("evidence");
                    event["legacy"] = json!(true);
                }
                3 => {
                    event["expires_at"] =
                        json!(optgate::consent::Timestamp::from_secs(now + 3600).to_string());
                }
                _ => {}
            }
        }
    }
    event
}

fn sorted(export: &str) -> Vec<&str> {
    let mut lines: Vec<&str> = export.lines().collect();
    lines.sort_unstable();
    lines
}

/// What a gate answers once its store does: on a busy machine a connection to Redis may be taken for dead and made anew.
fn answer(gate: &Served, arguments: &[&str]) -> Output {
    crate::support::eventually("the store answers", || {
        let answer = gate.run(arguments);
        (!String::from_utf8_lossy(&answer.stderr).contains("(503)")).then_some(answer)
    })
}

/// Random events go into one gate, their export into an empty one: both say the same of everybody.
fn round_trips(from: &Served, to: &Served, tenants: usize) {
    for tenant in (0..tenants).map(|n| format!("t{n}")) {
        let seed = getrandom::u64().unwrap() | 1;
        eprintln!("{tenant}: seed {seed}");
        let mut dice = Dice(seed);
        let mut events: Vec<String> = (0..60).map(|n| random_event(&mut dice, n).to_string()).collect();
        // Whoever is linked takes their whole circle along, which may be nearly everybody: that is asked of every other tenant.
        let lonely = "+15550000555";
        let gone = if tenant.ends_with(['0', '2']) { lonely.to_owned() } else { dice.one_of(&people()) };
        events.push(json!({ "recipient": lonely, "kind": "revoke", "occurred_at": "2026-01-31T09:30:00Z", "actor": "person", "source": "desk" }).to_string());
        from.write("random.ndjson", &events.join("\n"));
        // Some are rejected, such as a link of somebody to themselves.
        from.run(&["consent", "import", "random.ndjson", "--tenant", &tenant]);
        // Somebody who was known, who may come back, and somebody who was not.
        for gone in [&gone, "+15550000777"] {
            from.printed(&["consent", "erase", gone, "--yes", "--tenant", &tenant]);
        }
        from.write(
            "later.ndjson",
            &(60..70).map(|n| random_event(&mut dice, n).to_string() + "\n").collect::<String>(),
        );
        from.run(&["consent", "import", "later.ndjson", "--tenant", &tenant]);
        let format = dice.one_of(&["ndjson", "csv"]);
        let name = format!("{tenant}.{format}");
        from.printed(&["consent", "export", "--tenant", &tenant, "-o", &name]);
        to.write(&name, &from.read(&name));
        to.printed(&["consent", "import", &name]);
        let export = ["consent", "export", "--tenant", &tenant];
        let (before, after) = (from.printed(&export), to.printed(&export));
        assert!(gone != lonely || before.lines().count() > 20, "seed {seed}: {before}");
        assert_eq!(sorted(&before), sorted(&after), "seed {seed}");
        for person in people().into_iter().chain(["+15550000777".to_owned(), lonely.to_owned()]) {
            let show = ["--json", "consent", "show", &person, "--tenant", &tenant];
            let (before, after) = (answer(from, &show), answer(to, &show));
            assert_eq!(before.status.code(), after.status.code(), "seed {seed}: {before:?} {after:?}");
            assert_eq!(String::from_utf8(before.stdout), String::from_utf8(after.stdout), "seed {seed}");
        }
        // A gate that has them already learns nothing, not even from what an export says of links itself.
        let again = from.json(&["consent", "import", &name]);
        assert_eq!((&again["applied"], &again["rejected"]), (&json!(0), &json!(0)), "seed {seed}: {again}");
        assert_eq!(sorted(&before), sorted(&from.printed(&export)), "seed {seed}");
    }
}

fn toml(tenants: usize, store: &str) -> String {
    let rules = |n: usize| if n.is_multiple_of(2) { "strict" } else { "general" };
    let tenant =
        |n| format!("[[tenants]]\nname = \"t{n}\"\nopt_in_rules = {:?}\nlegacy_imports = true\n", rules(n));
    let tenants: String = (0..tenants).map(tenant).collect();
    format!("{tenants}{store}")
}

/// A file with the key of keyed hashes, and the lines that name it.
fn key_file(folder: &tempfile::TempDir, key: &str) -> String {
    let file = folder.path().join("recipients.key");
    std::fs::write(&file, key).unwrap();
    format!("[privacy]\nrecipients_key_file = {:?}\n", file.display().to_string())
}

/// A Redis store whose lookups may take as long as a busy machine needs.
fn on(redis: &Redis) -> String {
    format!("[store]\nkind = \"redis\"\nurl = \"{}\"\nlookup_deadline_ms = 5000\n", redis.url())
}

#[test]
fn an_export_imports_back_to_the_same_state_on_the_embedded_store() {
    let folder = tempfile::tempdir().unwrap();
    let key = key_file(&folder, &"5e".repeat(32));
    let (from, to) = (Served::start(&toml(4, &key)), Served::start(&toml(4, &key)));
    round_trips(&from, &to, 4);
}

#[test]
fn an_export_imports_back_to_the_same_state_on_redis() {
    let (one, other) = (Redis::start(), Redis::start());
    let folder = tempfile::tempdir().unwrap();
    let key = key_file(&folder, &"5e".repeat(32));
    let store = |redis: &Redis| on(redis) + &key;
    let (from, to) = (Served::start(&toml(4, &store(&one))), Served::start(&toml(4, &store(&other))));
    round_trips(&from, &to, 4);
}

/// Erased people, and with `hash_recipients` everybody, reach another store only where their hashes mean something.
fn hashes_travel_with_their_key(hashed: bool, mut start: impl FnMut(&str) -> Served) {
    let folder = tempfile::tempdir().unwrap();
    let form = format!("hash_recipients = {hashed}\n");
    let from = start(&format!("[privacy]\n{form}"));
    let old = format!("{HEADER}\n{}\n{}\n", row("+15550000001", "I agree"), row("+15550000002", "I agree"));
    from.write("old.csv", &old);
    from.printed(&["consent", "import", "old.csv"]);
    from.printed(&["consent", "erase", "+15550000001", "--yes"]);
    from.printed(&["consent", "export", "-o", "all.ndjson"]);
    from.printed(&["consent", "export", "-o", "all.csv"]);
    let lines = from.read("all.ndjson");
    // Among hashes a tombstone stands in the person's own place, and any order will do.
    let first = lines.lines().next().unwrap();
    assert!(hashed || first.contains("\"kind\":\"erase\""), "tombstones first: {lines}");
    let foreign = start(&format!("[privacy]\n{form}"));
    for file in ["all.ndjson", "all.csv"] {
        foreign.write(file, &from.read(file));
        let refused = foreign.run(&["consent", "import", file]);
        let told = String::from_utf8(refused.stderr).unwrap();
        assert_eq!(refused.status.code(), Some(1), "{told}");
        assert!(told.contains("recipients_key_file") && told.contains("optgate consent key"), "{told}");
        let counts = String::from_utf8(refused.stdout).unwrap();
        assert!(counts.contains(if hashed { "rejected 2" } else { "rejected 1" }), "{counts}");
        // Of an older export nobody knows.
        let unmarked: String = from
            .read("all.ndjson")
            .lines()
            .filter(|line| line.contains("hash:") && !hashed)
            .map(|line| line.split(",\"hash_key\"").next().unwrap().to_owned() + "}\n")
            .collect();
        foreign.write("unmarked.ndjson", &unmarked);
        let counts = foreign.run(&["consent", "import", "unmarked.ndjson"]).stdout;
        assert!(
            hashed || counts.ends_with(b"rejected 1\n") || counts.windows(10).any(|w| w == b"rejected 1")
        );
    }
    let key = from.printed(&["consent", "key"]);
    let to = start(&(key_file(&folder, &key) + &form));
    assert_eq!(to.printed(&["consent", "key"]), key);
    to.write("all.ndjson", &lines);
    to.write("old.csv", &old);
    to.printed(&["consent", "import", "all.ndjson"]);
    // The old file brings the erased person's grant again, and nothing comes of it.
    to.printed(&["consent", "import", "old.csv"]);
    for (person, state) in [("+15550000001", "revoked"), ("+15550000002", "granted")] {
        let record = to.json(&["consent", "show", person]);
        assert_eq!(record["categories"]["utility"]["state"], state, "{person} hashed: {hashed}");
    }
}

#[test]
fn hashes_travel_with_their_key_between_embedded_stores() {
    for hashed in [false, true] {
        hashes_travel_with_their_key(hashed, Served::start);
    }
}

#[test]
fn hashes_travel_with_their_key_between_redis_stores() {
    for hashed in [false, true] {
        let mut servers = Vec::new();
        hashes_travel_with_their_key(hashed, |toml| {
            let redis = Redis::start();
            let store = on(&redis);
            servers.push(redis);
            Served::start(&format!("{toml}{store}"))
        });
    }
}
