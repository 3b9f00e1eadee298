//! Configurations good and bad, as an operator would write them.

use super::*;
use crate::consent::tenant::{OptInRules, Sending};
use crate::consent::{Category, CategorySet};
use crate::policy::{FailureStance, Mode};

struct Written {
    folder: tempfile::TempDir,
    environment: Vec<(String, String)>,
    overrides: Overrides,
}

fn written(toml: &str) -> Written {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("optgate.toml"), toml).unwrap();
    Written { folder, environment: Vec::new(), overrides: Overrides::default() }
}

impl Written {
    fn variable(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    fn flags(mut self, overrides: Overrides) -> Self {
        self.overrides = overrides;
        self
    }

    fn load(self) -> Result<Config, Problems> {
        let file = Some(self.folder.path().join("optgate.toml"));
        load(Sources { file, environment: self.environment.into_iter(), overrides: self.overrides })
    }

    /// Every problem, one a line, the file named by line and column only.
    fn problems(self) -> Vec<String> {
        let file = self.folder.path().join("optgate.toml").display().to_string();
        let problems = self.load().expect_err("the configuration has problems");
        problems.iter().map(|problem| problem.to_string().replace(&file, "file")).collect()
    }
}

fn config(toml: &str) -> Config {
    written(toml).load().unwrap_or_else(|problems| panic!("{problems}"))
}

/// The defaults file with the settings that have no default, which stand there as `#key = ...`.
fn uncommented_defaults() -> String {
    let setting =
        |line: &&str| line.starts_with("#[") || line.split_once(" = ").is_some_and(|(key, _)| is_key(key));
    let lines = DEFAULTS.lines().map(|line| if setting(&line) { line.trim_start_matches('#') } else { line });
    lines.fold(String::new(), |text, line| text + line + "\n")
}

fn is_key(text: &str) -> bool {
    text.strip_prefix('#')
        .is_some_and(|key| key.bytes().all(|b| b.is_ascii_lowercase() || b"_0123456789".contains(&b)))
}

fn keys(table: &Table, parent: &str, found: &mut std::collections::BTreeSet<String>) {
    for (key, entry) in table {
        let path = if parent.is_empty() { key.clone() } else { format!("{parent}.{key}") };
        if let Node::Table(inner) = &entry.node {
            keys(inner, &path, found);
        }
        if let Node::List(items) = &entry.node {
            for item in items {
                if let Node::Table(inner) = &item.node {
                    keys(inner, &format!("{path}[]"), found);
                }
            }
        }
        found.insert(path);
    }
}

#[test]
fn every_key_that_is_read_is_documented_and_every_documented_key_is_read() {
    let (table, problems) = layer::from_toml(&uncommented_defaults(), |_, _| Place::Defaults);
    assert_eq!(problems, []);
    let mut documented = std::collections::BTreeSet::new();
    keys(&table, "", &mut documented);
    let walk = Walk::default();
    let _ = Section::root(&table, &walk, sections::config);
    assert_eq!(walk.asked.into_inner(), documented);
    let unknown: Vec<_> =
        walk.problems.into_inner().into_iter().filter(|p| p.wrong == "unknown key").collect();
    assert_eq!(unknown, []);
}

#[test]
fn every_documented_key_has_a_comment_of_its_own() {
    let lines: Vec<&str> = DEFAULTS.lines().collect();
    for pair in lines.windows(2) {
        let is_setting = pair[1]
            .split_once(" = ")
            .is_some_and(|(key, _)| is_key(&format!("#{}", key.trim_start_matches('#'))));
        assert!(!is_setting || pair[0].starts_with("# "), "{} has no comment above it", pair[1]);
    }
}

#[test]
fn the_defaults_file_says_what_an_empty_file_means() {
    let (mut from_nothing, from_defaults) = (config(""), config(DEFAULTS));
    // Two files of the same meaning.
    from_nothing.origin = from_defaults.origin.clone();
    assert_eq!(format!("{from_nothing:?}"), format!("{from_defaults:?}"));
    assert_eq!(from_nothing.proxy.listen.to_string(), "0.0.0.0:8080");
    assert_eq!(from_nothing.proxy.max_send_body, 1 << 20);
    assert_eq!(from_nothing.store.kind, StoreKind::Embedded { path: "optgate-data/store.redb".into() });
    assert_eq!(from_nothing.policy, crate::policy::Settings::default());
    assert!(from_nothing.webhook.is_none());
    assert!(matches!(from_nothing.tenants.sending("1"), Sending::Default));
}

#[test]
fn what_the_defaults_file_says_of_keys_left_out_is_so() {
    let config = config(
        "[webhook]\nlisten = '127.0.0.1:1'\nverify_token = 'v'\napp_secrets = ['s']\n[[tenants]]\nname = 'acme'",
    );
    assert!(DEFAULTS.contains("\"wait\" if left out") && config.webhook.unwrap().relay == Relay::Wait);
    assert!(DEFAULTS.contains("\"strict\" if left out"));
    assert_eq!(config.tenants.all()[0].opt_in_rules, OptInRules::Strict);
}

#[test]
fn a_full_configuration_is_read() {
    let config = config(
        r#"
        data_dir = "/srv/gate"
        [proxy]
        base_path = "/whatsapp/v"
        max_send_body = 4_096
        bare_numbers = "international"
        [[admin.tokens]]
        name = "crm"
        sha256 = "64ec88ca00b268e5ba1a35678a1b5316d212f4f366b2477232534a8aeca37f3c"
        scopes = ["consent:read", "consent:write"]
        tenants = ["acme"]
        [store]
        kind = "redis"
        url = "rediss://gate:hunter2@cache:7000/1"
        wait_replicas = 1
        [decision_log]
        file = "/var/log/gate.jsonl"
        [policy]
        mode = "shadow"
        failure_stance = { authentication = "open" }
        kill_switch = ["marketing"]
        [webhook]
        listen = "127.0.0.1:8081"
        verify_token = "hunter3"
        app_secrets = ["hunter4"]
        relay = "queue"
        [[tenants]]
        name = "acme"
        opt_in_rules = "general"
        [[tenants.senders]]
        phone_number_id = "106540352242922"
        account = "102290129340398"
        phone = "+15550783881"
        webhook_url = "https://bot.example/webhook?tenant=1"
        [[tenants]]
        name = "other"
        [[tenants.senders]]
        phone_number_id = "2"
        "#,
    );
    assert_eq!(config.proxy.max_send_body, 4096);
    assert_eq!(config.policy.mode, Mode::Shadow);
    assert_eq!(config.policy.kill_switch, CategorySet::of(Category::Marketing));
    assert_eq!(config.policy.failure_stance[Category::Authentication.index()], FailureStance::Open);
    assert_eq!(config.policy.failure_stance[Category::Marketing.index()], FailureStance::Closed);
    assert!(matches!(config.tenants.sending("2"), Sending::Known(sender) if sender.tenant == 1));
    assert!(matches!(config.tenants.sending("3"), Sending::Unknown));
    assert_eq!(config.webhook_urls["106540352242922"].path(), "/webhook");
    assert_eq!(config.admin.tokens[0].tenants.as_deref(), Some(&["acme".to_owned()][..]));
    let shown = format!("{config:?}");
    for secret in ["hunter2", "hunter3", "hunter4", "15550783881"] {
        assert!(!shown.contains(secret), "{secret} is shown");
    }
}

#[test]
fn each_bad_value_is_named_with_its_place_and_what_would_be_right() {
    for (toml, expected) in [
        (
            "[proxy]\nlisten = \"8080\"",
            "file:2:1: proxy.listen: \"8080\" will not do; write IP:PORT, such as",
        ),
        (
            "[proxy]\n  workers = -1",
            "file:2:3: proxy.workers: is out of range; write a whole number from 0 to 1024",
        ),
        ("[proxy]\nworkers = 2.5", "file:2:1: proxy.workers: is a fraction, must be a number"),
        ("[proxy]\nworkers = \"2\"", "file:2:1: proxy.workers: is a string, must be a number"),
        (
            "[proxy]\nmax_send_body = \"1MB\"",
            "file:2:1: proxy.max_send_body: is no size within the limits; write bytes",
        ),
        ("[proxy]\nmax_send_body = \"99GiB\"", "file:2:1: proxy.max_send_body: is no size"),
        (
            "[proxy]\nmax_buffered_per_worker = \"1023KiB\"",
            "file:2:1: proxy.max_buffered_per_worker: is smaller than proxy.max_send_body",
        ),
        (
            "[proxy]\nbase_path = \"/a/\"",
            "file:2:1: proxy.base_path: \"/a/\" will not do; write \"\" or a path",
        ),
        ("[proxy]\nbase_path = \"/a/../b\"", "file:2:1: proxy.base_path: "),
        (
            "[proxy]\nbare_numbers = \"all\"",
            "proxy.bare_numbers: \"all\" is unknown; write all_readings or international",
        ),
        ("[proxy]\nlisten = true", "file:2:1: proxy.listen: is true or false, must be a string"),
        ("proxy = 5", "file:1:1: proxy: is a number, must be a table; write [proxy]"),
        (
            "[proxy]\nlisten = \"127.0.0.1:9090\"",
            "admin.listen: 127.0.0.1:9090 is already taken by proxy.listen",
        ),
        ("[proxy]\nlisen = \"127.0.0.1:1\"", "file:2:1: proxy.lisen: unknown key; did you mean `listen`?"),
        ("[prox]\nlisten = \"127.0.0.1:1\"", "file:1:2: prox: unknown key; did you mean `proxy`?"),
        ("[log]\ncolour = true", "file:2:1: log.colour: unknown key; known here: format, level"),
        ("[[callers]]\nname = \"bot\"", "callers: is not supported yet; remove [[callers]]"),
        (
            "[upstream]\nurl = \"graph.facebook.com\"",
            "file:2:1: upstream.url: the value will not do; write http:// or",
        ),
        ("[upstream]\nurl = \"https://h/v20.0\"", "upstream.url: the value will not do"),
        ("[upstream]\nurl = \"https://h?x=1\"", "upstream.url: the value will not do"),
        ("[upstream]\nurl = \"https://h:99999\"", "upstream.url: the value will not do"),
        ("[upstream]\nurl = \"https://u:p@h\"", "upstream.url: the value will not do"),
        ("[upstream]\nurl = \"ftp://h\"", "upstream.url: the value will not do"),
        (
            "[upstream]\nca_file = \"/nowhere/ca.pem\"",
            "upstream.ca_file: \"/nowhere/ca.pem\" cannot be read: No such file",
        ),
        ("[upstream]\nca_file = \"/\"", "upstream.ca_file: \"/\" is not a file"),
        ("[upstream]\nca_file = \"/dev/null/x\"", "upstream.ca_file: "),
        ("[privacy]\nkey_file = \"/nowhere/key\"", "privacy.key_file: \"/nowhere/key\" cannot be read"),
        (
            "[store]\nkind = \"redis\"",
            "file:1:2: store.url: missing, and kind is \"redis\"; write redis://HOST",
        ),
        (
            "[store]\nkind = \"redis\"\nurl = \"http://h\"",
            "file:3:1: store.url: the value will not do; write redis://",
        ),
        (
            "[store]\nurl = \"redis://h\"",
            "file:2:1: store.url: belongs to kind = \"redis\", and kind is \"embedded\"",
        ),
        ("[store]\nwait_replicas = 1", "file:2:1: store.wait_replicas: belongs to kind = \"redis\""),
        (
            "[store]\nkind = \"redis\"\nurl = \"redis://h\"\npath = \"x\"",
            "file:4:1: store.path: belongs to kind = \"embedded\"",
        ),
        ("[policy]\nmode = \"on\"", "file:2:1: policy.mode: \"on\" is unknown; write enforce or shadow"),
        (
            "[policy]\nfailure_stance = \"ajar\"",
            "policy.failure_stance: \"ajar\" is unknown; write closed or open",
        ),
        (
            "[policy.failure_stance]\nmarketng = \"open\"",
            "file:2:1: policy.failure_stance.marketng: unknown key; did you mean `marketing`?",
        ),
        (
            "[policy]\nkill_switch = \"marketing\"",
            "policy.kill_switch: will not do; write true, false, or a list",
        ),
        (
            "[policy]\nkill_switch = [\"promo\"]",
            "policy.kill_switch: \"promo\" is unknown; write authentication, call, marketing, service or utility",
        ),
        (
            "[webhook]\nlisten = \"127.0.0.1:1\"\nverify_token = \"v\"",
            "file:1:2: webhook.app_secrets: missing",
        ),
        (
            "[webhook]\nlisten = \"127.0.0.1:1\"\nverify_token = \" \"\napp_secrets = [\"s\"]",
            "file:3:1: webhook.verify_token: is empty",
        ),
        (
            "[[tenants]]\nname = \"Acme\"",
            "file:2:1: tenants[0].name: \"Acme\" will not do; write 1 to 63 of a-z",
        ),
        (
            "[[tenants]]\nopt_in_rules = \"strict\"",
            "file:1:1: tenants[0].name: missing; this key has no default",
        ),
        (
            "[[tenants]]\nname = \"a\"\n[[tenants]]\nname = \"a\"",
            "file:4:1: tenants[1].name: is used already at file:2:1",
        ),
        (
            "[[tenants]]\nname = \"a\"\n[[tenants.senders]]\nphone_number_id = \"1\"\n[[tenants.senders]]\nphone_number_id = \"1\"",
            "file:6:1: tenants[0].senders[1].phone_number_id: is used already at file:4:1",
        ),
        (
            "[[tenants]]\nname = \"a\"\n[[tenants.senders]]\nphone_number_id = 1",
            "tenants[0].senders[0].phone_number_id: is a number, must be a string; write it in quotes",
        ),
        (
            "[[tenants]]\nname = \"a\"\n[[tenants.senders]]\nphone_number_id = \"1\"\nphone = \"15550783881\"",
            "file:5:1: tenants[0].senders[0].phone: the value will not do; write the sender's own number as + and digits",
        ),
        (
            "[[tenants]]\nname = \"a\"\n[[tenants.senders]]\nphone_number_id = \"1\"\nwebhook_url = \"https://b\"",
            "webhook_url: nothing is relayed without [webhook]",
        ),
        ("tenants = [1]", "tenants: holds a number, must hold tables"),
        (
            "[tenants]\nname = \"a\"",
            "file:1:2: tenants: is a table, must be a list of tables; write [[tenants]]",
        ),
        (
            "[[admin.tokens]]\nname = \"a\"\nsha256 = \"00\"\nscopes = [\"admin\"]",
            "file:3:1: admin.tokens[0].sha256: the value will not do; write 64",
        ),
        (
            "[[admin.tokens]]\nname = \"a\"\nsha256 = \"00\"\nscopes = [\"root\"]",
            "admin.tokens[0].scopes: \"root\" is unknown; write consent:read,",
        ),
        ("[[admin.tokens]]\nname = \"a\"\nscopes = []", "file:3:1: admin.tokens[0].scopes: is an empty list"),
        (
            "[[admin.tokens]]\ntenants = [\"acme\"]",
            "file:2:1: admin.tokens[0].tenants: no tenant is called \"acme\"; write default",
        ),
        (
            "[decision_log]\non_full = \"block\"",
            "decision_log.on_full: \"block\" is unknown; write wait or drop",
        ),
        (
            "[decisions]\nkeep = \"7 days\"",
            "decisions.keep: is no span of time within the limits; write a number with s",
        ),
        ("[decisions]\nkeep = 7", "decisions.keep: is no span of time"),
        ("[decisions]\nmax_bytes = 1", "decisions.max_bytes: is no size within the limits"),
        ("[decision_log]\nqueue = 0", "decision_log.queue: is out of range; write a whole number from 1 to"),
        ("[proxy]\nlisten = ", "file:2:"),
        ("[proxy\nlisten = \"127.0.0.1:1\"", "file:1:"),
        ("a = 1\na = 2", "file:2:1: not TOML: duplicate key"),
    ] {
        let problems = written(toml).problems();
        assert!(problems.iter().any(|p| p.contains(expected)), "{toml}\ngave {problems:#?}\nnot {expected}");
    }
}

#[test]
fn every_problem_is_told_at_once_in_the_order_of_the_lines() {
    let token =
        "sha256 = \"64ec88ca00b268e5ba1a35678a1b5316d212f4f366b2477232534a8aeca37f3c\"\nscopes = [\"admin\"]";
    let toml = format!(
        "datadir = \"x\"\n[proxy]\nlisten = \"nowhere\"\nworkers = \"many\"\n[upstream]\nurl = \"x\"\n\
         [[admin.tokens]]\nname = \"a\"\n{token}\n[[admin.tokens]]\nname = \"a\"\n{token}\n[policy]\nmode = 1"
    );
    let found = written(&toml)
        .variable("OPTGATE_LOG__LEVL", "debug")
        .flags(Overrides { admin_listen: Some("here".into()), ..Overrides::default() })
        .problems();
    let starts = [
        "file:1:1: datadir: unknown key; did you mean `data_dir`?",
        "file:3:1: proxy.listen: ",
        "file:4:1: proxy.workers: ",
        "file:6:1: upstream.url: ",
        "file:12:1: admin.tokens[1].name: is used already at file:8:1",
        "file:13:1: admin.tokens[1].sha256: is used already at file:9:1",
        "file:16:1: policy.mode: ",
        "OPTGATE_LOG__LEVL: log.levl: unknown key; did you mean `level`?",
        "--admin-listen: admin.listen: \"here\" will not do",
    ];
    assert_eq!(found.len(), starts.len(), "{found:#?}");
    for (problem, start) in found.iter().zip(starts) {
        assert!(problem.starts_with(start), "{problem}\nis not\n{start}");
    }
}

#[test]
fn a_syntax_error_does_not_hide_the_problems_of_other_lines() {
    let problems = written("[proxy]\nlisten = \nworkers = \"many\"\n").problems();
    assert_eq!(problems.len(), 2, "{problems:#?}");
    assert!(problems[0].starts_with("file:2:") && problems[0].contains("not TOML"), "{problems:#?}");
    assert!(problems[1].starts_with("file:3:1: proxy.workers: "), "{problems:#?}");
}

#[test]
fn the_report_counts_its_problems() {
    let report = written("a = 1\nb = 2").load().unwrap_err().to_string();
    assert!(report.starts_with("the configuration has 2 problems:\n  "), "{report}");
    assert_eq!(report.lines().count(), 3);
}

#[test]
fn no_problem_repeats_a_secret() {
    let toml = r#"
        [upstream]
        url = "https://user:hunter2@h/"
        [store]
        url = "redis://:hunter2@h h"
        [webhook]
        listen = "hunter"
        verify_token = ["hunter2"]
        app_secrets = [["hunter2"]]
        [[admin.tokens]]
        sha256 = "hunter2"
        [[tenants]]
        name = "a"
        [[tenants.senders]]
        phone = "hunter2"
        webhook_url = "https://hunter2@h"
        bad = "hunter2
    "#;
    let written = written(toml).variable("OPTGATE_WEBHOOK__VERIFY_TOKEN", "[hunter2");
    let report = written.load().unwrap_err().to_string();
    assert!(report.lines().count() > 8 && !report.contains("hunter2"), "{report}");
}

#[test]
fn each_layer_prevails_over_those_before_it() {
    let file = "[proxy]\nlisten = \"127.0.0.1:1\"\nworkers = 1\ndrain_seconds = 1";
    let config = written(file)
        .variable("OPTGATE_PROXY__LISTEN", "127.0.0.1:2")
        .variable("OPTGATE_PROXY__WORKERS", "2")
        .flags(Overrides { listen: Some("127.0.0.1:3".into()), ..Overrides::default() })
        .load()
        .unwrap();
    assert_eq!(config.proxy.listen.port(), 3);
    assert_eq!(config.proxy.workers, 2);
    assert_eq!(config.proxy.drain.as_secs(), 1);
    assert_eq!(config.proxy.idle_timeout.as_secs(), 75);
}

#[test]
fn a_value_that_is_overridden_is_not_a_problem() {
    let flags = Overrides { listen: Some("127.0.0.1:3".into()), ..Overrides::default() };
    assert!(written("[proxy]\nlisten = \"nowhere\"").flags(flags).load().is_ok());
}

#[test]
fn the_environment_knows_every_type() {
    let config = written("")
        .variable("OPTGATE__DATA_DIR", "/srv/gate")
        .variable("OPTGATE_PROXY__MAX_SEND_BODY", "2MiB")
        .variable("OPTGATE_POLICY__KILL_SWITCH", "true")
        .variable("OPTGATE_POLICY__FAILURE_STANCE__UTILITY", "open")
        .variable("OPTGATE_WEBHOOK__LISTEN", "\"127.0.0.1:8081\"")
        .variable("OPTGATE_WEBHOOK__VERIFY_TOKEN", "12345")
        .variable("OPTGATE_WEBHOOK__APP_SECRETS", "[\"a\", \"b\"]")
        .variable("OPTGATE__TENANTS", "[{name = \"acme\", senders = [{phone_number_id = \"1\"}]}]")
        .variable("OPTGATE_TOKEN", "not ours")
        .variable("OPTGATE_CONFIG", "not ours")
        .variable("HOME__DIR", "not ours")
        .load()
        .unwrap_or_else(|problems| panic!("{problems}"));
    assert_eq!(config.store.kind, StoreKind::Embedded { path: "/srv/gate/store.redb".into() });
    assert_eq!(config.proxy.max_send_body, 2 << 20);
    assert_eq!(config.policy.kill_switch, CategorySet::ALL);
    assert_eq!(config.policy.failure_stance[Category::Utility.index()], FailureStance::Open);
    let webhook = config.webhook.unwrap();
    assert_eq!(webhook.verify_token.danger_reveal(), "12345");
    assert_eq!(webhook.app_secrets.len(), 2);
    assert!(config.tenants.knows("1"));
}

#[test]
fn a_bad_variable_is_named() {
    for (name, value, expected) in [
        (
            "OPTGATE_PROXY__LISTN",
            "x",
            "OPTGATE_PROXY__LISTN: proxy.listn: unknown key; did you mean `listen`?",
        ),
        ("OPTGATE_PROXY__WORKERS", "many", "OPTGATE_PROXY__WORKERS: proxy.workers: is out of range"),
        (
            "OPTGATE_WEBHOOK__APP_SECRETS",
            "[\"a\"",
            "OPTGATE_WEBHOOK__APP_SECRETS: webhook.app_secrets: not TOML",
        ),
        ("OPTGATE_WEBHOOK__LISTEN", "127.0.0.1:1", "OPTGATE_WEBHOOK__LISTEN: webhook.verify_token: missing"),
        ("OPTGATE_PROXY__LISTEN__HOST", "x", "OPTGATE_PROXY__LISTEN__HOST: proxy.listen: is a table"),
        ("OPTGATE_PROXY__", "x", "OPTGATE_PROXY__: proxy.: unknown key"),
    ] {
        let problems = written("").variable(name, value).problems();
        assert!(problems.iter().any(|p| p.starts_with(expected)), "{problems:#?}\nnot {expected}");
    }
}

#[test]
fn the_store_flag_says_which_store_and_where() {
    let store = |flag: &str, file: &str| {
        let flags = Overrides { store: Some(flag.to_owned()), ..Overrides::default() };
        written(file).flags(flags).load().map(|config| config.store.kind)
    };
    assert_eq!(store("x.redb", "").unwrap(), StoreKind::Embedded { path: "x.redb".into() });
    let in_file = "[store]\nkind = \"redis\"\nurl = \"redis://a\"\nwait_replicas = 1";
    assert_eq!(store("x.redb", in_file).unwrap(), StoreKind::Embedded { path: "x.redb".into() });
    for url in ["redis://h", "rediss://h", "redis+cluster://a,b,c", "redis+sentinel://a,b/main"] {
        let kind = store(url, "[store]\npath = \"y\"").unwrap();
        assert!(matches!(kind, StoreKind::Redis { address, .. } if !address.hosts.is_empty()), "{url}");
    }
    let problems = store("memcached://h", "").unwrap_err().to_string();
    assert!(problems.contains("--store: store.url: the value will not do"), "{problems}");
}

#[test]
fn a_missing_file_is_named() {
    let sources = Sources {
        file: Some("/nowhere/optgate.toml".into()),
        environment: std::iter::empty(),
        overrides: Overrides::default(),
    };
    let report = load(sources).unwrap_err().to_string();
    assert!(report.contains("/nowhere/optgate.toml: cannot be read: No such file"), "{report}");
}

#[test]
fn a_file_of_certificates_must_hold_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ca.pem");
    let toml = format!("[upstream]\nca_file = {:?}", path.display().to_string());
    std::fs::write(&path, "no certificate").unwrap();
    let problems = written(&toml).problems();
    assert!(problems[0].contains("holds no certificate that can be read"), "{problems:#?}");
    let certificate = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    std::fs::write(&path, certificate.cert.pem()).unwrap();
    assert_eq!(config(&toml).upstream.ca_file, Some(path));
}

#[test]
fn listeners_share_a_port_only_on_different_addresses_or_when_it_is_free_choice() {
    assert!(written("[proxy]\nlisten = \"127.0.0.2:9090\"").load().is_ok());
    assert!(written("[proxy]\nlisten = \"127.0.0.1:0\"\n[admin]\nlisten = \"127.0.0.1:0\"").load().is_ok());
    assert!(written("[proxy]\nlisten = \"0.0.0.0:9090\"").load().is_err());
}

#[test]
fn the_configurations_of_the_corpus_and_the_bench_are_read() {
    let token = "sha256 = \"64ec88ca00b268e5ba1a35678a1b5316d212f4f366b2477232534a8aeca37f3c\"";
    let corpus = format!(
        "[proxy]\nlisten = \"127.0.0.1:1\"\n[admin]\nlisten = \"127.0.0.1:2\"\n[[admin.tokens]]\nname = \"corpus\"\n{token}\n\
         scopes = [\"admin\"]\n[upstream]\nurl = \"http://127.0.0.1:3\"\n[store]\nkind = \"embedded\"\npath = \"/tmp/x/data\"\n\
         [webhook]\nlisten = \"127.0.0.1:4\"\nverify_token = \"corpus\"\napp_secrets = [\"s\"]\n[[tenants]]\nname = \"default\"\n\
         [[tenants.senders]]\nphone_number_id = \"106540352242922\"\naccount = \"1\"\nphone = \"+15550783881\"\n"
    );
    assert_eq!(config(&corpus).admin.tokens[0].scopes, [Scope::Admin]);
}

#[test]
fn the_nearest_token_counts_and_none_is_shown() {
    let tenants = "[[tenants]]\nname = 'a'\ntoken = 'OF-A'\n[[tenants.senders]]\nphone_number_id = '1'\n[[tenants.senders]]\nphone_number_id = '2'\ntoken = 'OF-2'\n\
         [[tenants]]\nname = 'b'\n[[tenants.senders]]\nphone_number_id = '3'\n";
    let config = written(tenants)
        .variable("OPTGATE_UPSTREAM__TOKEN", "OF-ALL")
        .load()
        .unwrap_or_else(|p| panic!("{p}"));
    let held = |id: &str| match &config.tokens[id] {
        crate::upstream::Token::Held(token) => token.danger_reveal().clone(),
        crate::upstream::Token::File(path) => panic!("{}", path.display()),
    };
    assert_eq!(["1", "2", "3"].map(held), ["OF-A", "OF-2", "OF-ALL"]);
    assert!(!format!("{config:?}").contains("OF-"), "{config:?}");
    let problems = written("[upstream]\ntoken = 'SECRET'\ntoken_file = '/nowhere/at/all'\n").problems();
    assert!(problems.iter().all(|p| !p.contains("SECRET")), "{problems:?}");
    assert!(problems[0].contains("upstream.token_file"), "{problems:?}");
}

#[test]
fn a_list_may_not_grow_stale_before_it_is_read_again() {
    let problems = written("[templates]\nsync_every = \"2h\"\nstale_after = \"2h\"\n").problems();
    assert_eq!(problems.len(), 1);
    assert!(problems[0].contains("templates.stale_after"), "{problems:?}");
    assert!(config("[templates]\nsync_every = \"0\"\nstale_after = \"1h\"\n").templates.sync_every.is_zero());
}

#[test]
fn every_mistake_in_opt_out_words_is_named_with_its_field() {
    for (wrong, field) in [
        ("scope = 'all'", "tenants[0].opt_out.scope"),
        ("packs = ['xx']", "tenants[0].opt_out.packs"),
        ("packs = []", "tenants[0].opt_out.packs"),
        ("stop = ['!!!']", "tenants[0].opt_out.stop"),
        ("stop = 'basta'", "tenants[0].opt_out.stop"),
        ("stop = ['Hola']\nresume = ['hola!']", "tenants[0].opt_out.resume"),
        ("stop = ['Hola']\nignore = ['HOLA']", "tenants[0].opt_out.ignore"),
        ("stops = ['x']", "tenants[0].opt_out.stops"),
    ] {
        let toml = format!("[[tenants]]\nname = 'acme'\n[tenants.opt_out]\n{wrong}");
        let found = written(&toml).problems().join("\n");
        assert!(found.contains(field), "{wrong}: {found}");
    }
}
