//! The image and the compose file, as far as they can be judged without building images.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use super::{read, repository, satisfied};

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
            .args(["metadata", "--locked", "--offline", "--format-version=1", "--manifest-path"])
            .arg(manifest),
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
    let start = format!("  {name}:\n");
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
