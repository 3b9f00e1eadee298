//! The image and the compose file, as far as they can be judged without building images.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use super::{read, repository, satisfied};
use crate::support::redis::Redis;

/// The instructions of the Dockerfile, continued lines joined.
fn instructions() -> Vec<(String, String)> {
    let text = read("deploy/Dockerfile").replace("\\\n", " ");
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines
        .map(|line| line.split_once(' ').unwrap())
        .map(|(word, rest)| (word.to_owned(), rest.to_owned()))
        .collect()
}

/// The instructions of each stage, the `FROM` first.
fn stages() -> Vec<Vec<(String, String)>> {
    let mut stages: Vec<Vec<_>> = Vec::new();
    for instruction in instructions() {
        if instruction.0 == "FROM" {
            stages.push(Vec::new());
        }
        stages.last_mut().expect("FROM comes first").push(instruction);
    }
    stages
}

fn all<'a>(stage: &'a [(String, String)], word: &str) -> Vec<&'a str> {
    stage.iter().filter(|(w, _)| w == word).map(|(_, rest)| rest.as_str()).collect()
}

#[test]
fn the_image_has_two_stages_and_runs_without_rights_or_shell() {
    let stages = stages();
    let [build, last] = stages.as_slice() else { panic!("{stages:#?}") };
    assert!(all(build, "RUN").contains(&"cargo build --release --locked"));
    assert!(all(last, "FROM")[0].starts_with("gcr.io/distroless/"));
    let [user] = all(last, "USER")[..] else { panic!("one USER") };
    assert!(
        user.split(':').all(|id| id.parse::<u32>().is_ok_and(|id| id > 0)),
        "a number, or Kubernetes cannot tell: {user}"
    );
    for word in ["ENTRYPOINT", "CMD"] {
        let [line] = all(last, word)[..] else { panic!("one {word}") };
        assert!(
            serde_json::from_str::<Vec<String>>(line).is_ok(),
            "without a shell only the JSON form works: {line}"
        );
    }
    assert!(all(last, "RUN").is_empty() && all(last, "ADD").is_empty(), "there is no shell to run anything");
}

#[test]
fn what_the_image_copies_exists_and_is_all_that_cargo_needs() {
    let [build, last] = &stages()[..] else { panic!("two stages") };
    let folder = tempfile::tempdir().unwrap();
    for copy in all(build, "COPY") {
        let words: Vec<&str> = copy.split(' ').collect();
        let (to, from) = words.split_last().unwrap();
        for source in from {
            let target = if *to == "./" { folder.path().join(source) } else { folder.path().join(to) };
            std::fs::create_dir_all(target.parent().unwrap()).unwrap();
            satisfied(Command::new("cp").arg("-r").arg(repository(source)).arg(target));
        }
    }
    // Cargo refuses a manifest whose targets are absent, and a lock file that does not fit.
    let manifest = folder.path().join("Cargo.toml");
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    satisfied(
        Command::new(cargo)
            .args(["tree", "--locked", "--offline", "--depth=0", "--manifest-path"])
            .arg(&manifest),
    );
    included_files_are_there(&folder.path().join("src"));
    for copy in all(last, "COPY") {
        assert!(copy.starts_with("--from=build "), "only what was built goes into the image: {copy}");
    }
}

/// Every file that the sources compile in by its path stands in this copy of them.
fn included_files_are_there(folder: &Path) {
    for entry in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        if entry.is_dir() {
            included_files_are_there(&entry);
        } else if entry.extension().is_some_and(|extension| extension == "rs") {
            let text = std::fs::read_to_string(&entry).unwrap();
            for macro_call in ["include_str!(\"", "include_bytes!(\""] {
                for rest in text.split(macro_call).skip(1) {
                    let file = entry.parent().unwrap().join(rest.split('"').next().unwrap());
                    assert!(
                        file.exists(),
                        "{} includes {}, which the image does not copy",
                        entry.display(),
                        file.display()
                    );
                }
            }
        }
    }
}

#[test]
fn the_image_builds_with_a_compiler_that_is_new_enough() {
    let [build, _] = &stages()[..] else { panic!("two stages") };
    let version =
        all(build, "FROM")[0].strip_prefix("rust:").and_then(|v| v.split('-').next()).unwrap().to_owned();
    let parts =
        |version: &str| version.split('.').map(|part| part.parse::<u32>().unwrap()).collect::<Vec<_>>();
    let manifest: toml::Table = read("Cargo.toml").parse().unwrap();
    assert!(parts(&version) >= parts(manifest["package"]["rust-version"].as_str().unwrap()), "{version}");
}

/// The compose file as the program reads it, variables and anchors resolved.
fn composed() -> String {
    let file = repository("deploy/compose.yaml");
    satisfied(
        Command::new("docker-compose").env("REDIS_PASSWORD", "secret").arg("-f").arg(file).arg("config"),
    )
}

/// The lines of one service of it.
fn service(composed: &str, name: &str) -> String {
    let start = format!("\n  {name}:\n");
    let rest = composed.split_once(&start).unwrap_or_else(|| panic!("no service {name}")).1;
    rest.lines().take_while(|line| line.starts_with("   ")).map(|line| format!("{line}\n")).collect()
}

#[test]
fn compose_runs_redis_and_two_gates_without_rights() {
    let composed = composed();
    for name in ["redis", "gate-1", "gate-2"] {
        let service = service(&composed, name);
        for setting in
            ["read_only: true", "- ALL", "no-new-privileges:true", "healthcheck:", "restart: unless-stopped"]
        {
            assert!(service.contains(setting), "{name} has no {setting}:\n{service}");
        }
    }
    let gates = ["gate-1", "gate-2"].map(|name| service(&composed, name));
    for gate in &gates {
        assert!(gate.contains("OPTGATE_STORE__URL: redis://optgate:secret@redis:6379"), "{gate}");
        assert!(gate.contains("condition: service_healthy"), "{gate}");
    }
    let volumes =
        gates.each_ref().map(|gate| gate.lines().find(|l| l.contains(":/var/lib/optgate")).unwrap());
    assert_ne!(volumes[0], volumes[1], "each gate keeps its own token");
}

#[test]
fn compose_asks_for_a_password() {
    let mut command = Command::new("docker-compose");
    let output = super::run(
        command.env_remove("REDIS_PASSWORD").arg("-f").arg(repository("deploy/compose.yaml")).arg("config"),
    );
    assert!(!output.status.success() && super::printed(&output).contains("set REDIS_PASSWORD"));
}

/// What a gate is configured with in the compose file, it understands.
#[test]
fn the_environment_of_the_gates_is_a_configuration() {
    let composed = composed();
    let mut seen = BTreeSet::new();
    for name in ["gate-1", "gate-2"] {
        let gate = service(&composed, name);
        let variables = gate.lines().filter_map(|line| line.trim().split_once(": "));
        let environment: Vec<(String, String)> = variables
            .filter(|(name, _)| name.starts_with("OPTGATE_"))
            .map(|(name, value)| (name.to_owned(), value.trim_matches(['"', '\'']).to_owned()))
            .collect();
        seen.extend(environment.iter().map(|(name, _)| name.clone()));
        let sources = optgate::config::Sources {
            file: None,
            environment: environment.into_iter(),
            overrides: optgate::config::Overrides::default(),
        };
        if let Err(problems) = optgate::config::load(sources) {
            panic!("{name}: {problems}");
        }
    }
    assert!(seen.len() >= 4, "{seen:?}");
}

/// The Redis of the compose file, started as it stands there: the gate's user has its own keys and no administration.
#[test]
fn redis_lets_the_gate_do_its_work_and_nothing_else() {
    let redis = service(&composed(), "redis");
    let (_, rest) = redis.split_once("    command:\n").expect("the service says how Redis starts");
    let words =
        rest.lines().map_while(|line| line.strip_prefix("    - ")).map(|word| word.trim_matches(['"', '\'']));
    let words: Vec<&str> = words.collect();
    let user = words.iter().position(|word| *word == "--user").unwrap();
    assert_eq!(words[user..user + 3], ["--user", "default", "off"], "nobody comes in without the password");
    let settings = words[1..user].chunks(2).map(|pair| format!("{} \"{}\"", &pair[0][2..], pair[1]));
    let users =
        words[user..].split(|word| *word == "--user").skip(1).map(|user| format!("user {}", user.join(" ")));
    let lines: Vec<String> = settings.chain(users).collect();
    let redis = Redis::with(&lines.iter().map(String::as_str).collect::<Vec<_>>());
    let ask = |words: &[&str]| {
        let mut cli = Command::new("redis-cli");
        cli.args(["-p", &redis.addr().port().to_string(), "--user", "optgate", "--no-auth-warning"]);
        super::printed(&super::run(cli.env("REDISCLI_AUTH", "secret").args(words)))
    };
    for (allowed, answer) in [
        (&["PING"][..], "PONG"),
        (&["SET", "og:c:1", "x"], "OK"),
        (&["EVAL", "return redis.call('GET', KEYS[1])", "1", "og:c:1"], "x"),
        (&["WAIT", "0", "10"], "0"),
        (&["CLIENT", "TRACKINGINFO"], "flags"),
        (&["ROLE"], "master"),
        (&["INFO", "memory"], "used_memory"),
        (&["CONFIG", "GET", "maxmemory-policy"], "noeviction"),
        (&["CONFIG", "GET", "appendonly"], "yes"),
        (&["CONFIG", "GET", "appendfsync"], "everysec"),
    ] {
        let answered = ask(allowed);
        assert!(answered.contains(answer) && !answered.contains("NOPERM"), "{allowed:?}: {answered}");
    }
    for forbidden in [
        &["SET", "other", "x"][..],
        &["FLUSHALL"],
        &["CONFIG", "SET", "maxmemory", "1"],
        &["SHUTDOWN"],
        &["KEYS", "*"],
    ] {
        let answered = ask(forbidden);
        assert!(answered.contains("NOPERM"), "{forbidden:?}: {answered}");
    }
}

/// Whatever a Redis store calls, by name: in calls of its own and in scripts.
fn commands_of(folder: &str) -> BTreeSet<String> {
    let mut commands = BTreeSet::new();
    for file in std::fs::read_dir(repository(folder)).unwrap() {
        let source = std::fs::read_to_string(file.unwrap().path()).unwrap_or_default();
        for before in ["redis.call('", "redis::cmd(\"", ".cmd(\""] {
            let named = source.split(before).skip(1).map(|rest| rest.split(['\'', '"']).next().unwrap());
            commands.extend(named.map(str::to_ascii_lowercase));
        }
    }
    assert!(commands.len() > 10, "{commands:?}");
    commands
}

/// The commands that an ACL line permits, subcommands by their command.
fn permitted(acl: &str) -> BTreeSet<String> {
    let words = acl.split([' ', '`']).filter_map(|word| word.trim_matches(['"', '\'']).strip_prefix('+'));
    words.map(|word| word.split('|').next().unwrap().to_owned()).collect()
}

#[test]
fn the_guide_and_the_compose_file_permit_every_command_that_the_store_calls_and_no_other() {
    let guide = super::read("deploy/OPERATING.md");
    let line = |start: &str| permitted(guide.lines().find(|line| line.trim().starts_with(start)).unwrap());
    let (documented, for_queue) =
        (line("ACL SETUSER optgate"), line("With `[webhook] relay = \"queue\"` also"));
    // An intent is finished by EVALSHA where the script is known; the client says so by itself.
    let mut called = commands_of("src/store/redis");
    called.insert("evalsha".to_owned());
    assert_eq!(documented, called);
    let queue: BTreeSet<String> = commands_of("src/store/queue").difference(&called).cloned().collect();
    assert_eq!(for_queue, queue);
    let composed = service(&composed(), "redis");
    let words: String =
        composed.lines().map(|line| line.trim().trim_start_matches("- ").to_owned() + " ").collect();
    let mut expected: BTreeSet<String> = documented.union(&for_queue).cloned().collect();
    // Its health check.
    expected.insert("ping".to_owned());
    assert_eq!(permitted(&words), expected);
}
