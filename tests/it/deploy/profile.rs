//! The script that gives releases the profile of what a send takes, run as cargo runs it, with compilers that only say what they were asked.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use super::{read, repository, run, satisfied};

const RELEASE: [&str; 8] =
    ["--crate-name", "gate", "src/main.rs", "--emit=link", "-C", "opt-level=3", "-C", "linker-plugin-lto"];
const VERSION: &str = "rustc 1.95.0 (59807616e 2026-04-14)\nbinary: rustc\nhost: x86_64-unknown-linux-gnu\nLLVM version: 22.1.2\n";

/// The script in a folder of its own, beside a profile, with a compiler of this version.
struct Bench {
    folder: TempDir,
}

impl Bench {
    fn new(version: &str) -> Self {
        let bench = Self { folder: tempfile::Builder::new().prefix("a profile ").tempdir().unwrap() };
        satisfied(
            Command::new("cp").arg("-p").arg(repository("deploy/pgo/rustc")).arg(bench.path("wrapper")),
        );
        fs::write(bench.path("optgate.profdata"), "counts").unwrap();
        fs::write(bench.path("compiler"), VERSION).unwrap();
        let compiler = format!(
            "#!/bin/sh\nif [ \"$*\" = -vV ]; then\ncat <<'END'\n{version}END\nelse\nprintf '<%s>' \"$@\"\nfi\nexit 7\n"
        );
        fs::write(bench.path("compiler.sh"), compiler).unwrap();
        fs::set_permissions(bench.path("compiler.sh"), fs::Permissions::from_mode(0o755)).unwrap();
        bench
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// What the compiler was asked, and that its exit status comes back.
    fn asked(&self, arguments: &[&str]) -> String {
        self.asked_with(arguments, &[])
    }

    fn asked_with(&self, arguments: &[&str], environment: &[(&str, &str)]) -> String {
        let mut command = Command::new(self.path("wrapper"));
        command.arg(self.path("compiler.sh")).args(arguments).env_remove("PGO_COUNT");
        let output = run(command.envs(environment.iter().copied()));
        assert_eq!(output.status.code(), Some(7), "{output:?}");
        assert_eq!(String::from_utf8_lossy(&output.stderr), "", "nothing is said in an ordinary build");
        String::from_utf8(output.stdout).unwrap()
    }
}

fn unchanged(arguments: &[&str]) -> String {
    arguments.iter().map(|argument| format!("<{argument}>")).collect()
}

#[test]
fn a_release_is_compiled_with_the_profile() {
    let bench = Bench::new(VERSION);
    let profile = bench.path("optgate.profdata");
    let added = format!("<-Cprofile-use={}><-Cllvm-args=-no-pgo-warn-mismatch>", profile.display());
    assert_eq!(bench.asked(&RELEASE), unchanged(&RELEASE) + &added);
}

#[test]
fn whatever_is_no_release_reaches_the_compiler_as_it_is() {
    let bench = Bench::new(VERSION);
    let odd = ["--cfg", "feature=\"a b\"", "--check-cfg", "cfg(x, values(\"*\"))", "", "-C", "opt-level=1"];
    for arguments in [&odd[..], &["-C", "debuginfo=2"], &["-", "--print=file-names"], &["-C", "opt-level=s"]]
    {
        assert_eq!(bench.asked(arguments), unchanged(arguments));
    }
    assert_eq!(bench.asked(&["-vV"]), VERSION);
}

#[test]
fn a_profile_that_is_absent_changes_nothing() {
    for file in ["optgate.profdata", "compiler"] {
        let bench = Bench::new(VERSION);
        fs::remove_file(bench.path(file)).unwrap();
        assert_eq!(bench.asked(&RELEASE), unchanged(&RELEASE), "{file}");
    }
}

#[test]
fn another_compiler_does_not_see_the_profile() {
    let versions = [
        VERSION.replace("1.95.0", "1.96.0"),
        VERSION.replace("x86_64", "aarch64"),
        VERSION.replace("22.1.2", "21.1.8"),
        String::new(),
    ];
    for version in versions {
        assert_eq!(Bench::new(&version).asked(&RELEASE), unchanged(&RELEASE), "{version}");
    }
}

#[test]
fn who_has_a_profile_of_his_own_keeps_it() {
    let bench = Bench::new(VERSION);
    for own in ["-Cprofile-use=mine", "-Cprofile-generate=/tmp/counts", "-Cinstrument-coverage"] {
        let arguments = [&RELEASE[..], &[own]].concat();
        assert_eq!(bench.asked(&arguments), unchanged(&arguments));
    }
}

#[test]
fn a_build_that_counts_counts_instead() {
    let bench = Bench::new(VERSION);
    let asked = bench.asked_with(&RELEASE, &[("PGO_COUNT", "/tmp/counts")]);
    assert_eq!(asked, unchanged(&RELEASE) + "<-Cprofile-generate=/tmp/counts>");
    let debug = ["-C", "debuginfo=2"];
    assert_eq!(bench.asked_with(&debug, &[("PGO_COUNT", "/tmp/counts")]), unchanged(&debug));
}

/// Cargo starts exactly this script, from this repository and from a copy of it anywhere.
#[test]
fn cargo_compiles_through_the_script() {
    let config: toml::Table = read(".cargo/config.toml").parse().unwrap();
    let wrapper = config["build"]["rustc-wrapper"].as_str().unwrap();
    let mode = fs::metadata(repository(wrapper)).unwrap().permissions().mode();
    assert_eq!(mode & 0o111, 0o111, "{wrapper} is no program: {mode:o}");
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let folder = tempfile::tempdir().unwrap();
    for part in [".cargo", "deploy", "src"] {
        fs::create_dir(folder.path().join(part)).unwrap();
    }
    fs::copy(repository(".cargo/config.toml"), folder.path().join(".cargo/config.toml")).unwrap();
    satisfied(Command::new("cp").arg("-pr").arg(repository("deploy/pgo")).arg(folder.path().join("deploy")));
    fs::write(
        folder.path().join("Cargo.toml"),
        "[package]\nname = \"tiny\"\nversion = \"0.1.0\"\nedition = \"2024\"\n",
    )
    .unwrap();
    fs::write(folder.path().join("src/main.rs"), "fn main() {}\n").unwrap();
    for (flag, with_profile) in [("--release", compiler_is_the_profiles()), ("-v", false)] {
        let built = built(&cargo, folder.path(), flag);
        let dependencies = fs::read_to_string(&built).unwrap();
        assert_eq!(dependencies.contains("optgate.profdata"), with_profile, "{flag}: {dependencies}");
    }
}

/// Builds the package here and says where the files that it depends on are listed.
fn built(cargo: &str, folder: &Path, flag: &str) -> PathBuf {
    let mut command = Command::new(cargo);
    for name in
        ["RUSTC_WRAPPER", "CARGO_BUILD_RUSTC_WRAPPER", "RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "PGO_COUNT"]
    {
        command.env_remove(name);
    }
    let target = folder.join("target");
    let printed = satisfied(
        command.args(["build", flag, "--offline"]).env("CARGO_TARGET_DIR", &target).current_dir(folder),
    );
    assert!(!printed.contains("warning"), "{printed}");
    let profile = if flag == "--release" { "release" } else { "debug" };
    let listed = fs::read_dir(target.join(profile).join("deps")).unwrap().map(|entry| entry.unwrap().path());
    listed.into_iter().find(|path| path.extension().is_some_and(|extension| extension == "d")).unwrap()
}

fn compiler_is_the_profiles() -> bool {
    let rustc = std::env::var("RUSTC").unwrap_or_else(|_| "rustc".to_owned());
    satisfied(Command::new(rustc).arg("-vV")) == read("deploy/pgo/compiler")
}
