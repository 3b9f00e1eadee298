//! A configuration with problems: all of them told, exit 78, nothing bound and nothing made.

use std::net::TcpListener;
use std::path::Path;
use std::process::Output;

use crate::support::free_addr;
use crate::support::gate::optgate;

fn serve(folder: &Path, toml: &str, arguments: &[&str], environment: &[(&str, &str)]) -> Output {
    let file = folder.join("optgate.toml");
    std::fs::write(&file, toml).unwrap();
    let mut command = optgate();
    command.args(["serve", "--config"]).arg(&file).args(arguments).current_dir(folder);
    command.envs(environment.iter().copied()).output().unwrap()
}

#[test]
fn every_problem_is_told_at_once_with_its_place_and_nothing_is_bound_or_made() {
    let folder = tempfile::tempdir().unwrap();
    let (proxy, admin) = (free_addr(), free_addr());
    // The listeners' addresses are held: a gate that bound anything before it was sure would fail otherwise than we expect.
    let _held = (TcpListener::bind(proxy).unwrap(), TcpListener::bind(admin).unwrap());
    let toml = format!(
        "data_dir = \"made\"\n[proxy]\nlisten = \"{proxy}\"\nworkers = \"many\"\n[admin]\nlisten = \"{admin}\"\n\
         [upstream]\nurl = \"graph\"\nca_file = \"absent.pem\"\n[store]\nknid = \"redis\"\n"
    );
    let environment = [("OPTGATE_POLICY__MODE", "maybe"), ("OPTGATE_STORE__URL", "redis://:hunter2@a b")];
    let answer = serve(folder.path(), &toml, &["--listen", "nowhere"], &environment);
    let told = String::from_utf8(answer.stderr).unwrap();
    assert_eq!(answer.status.code(), Some(78), "{told}");
    for problem in [
        "the configuration has 8 problems:",
        "optgate.toml:4:1: proxy.workers: is a string, must be a number; write a whole number from 0 to 1024",
        "optgate.toml:8:1: upstream.url: the value will not do; write http:// or https://",
        "optgate.toml:9:1: upstream.ca_file: \"absent.pem\" cannot be read: No such file",
        "optgate.toml:11:1: store.knid: unknown key; did you mean `kind`?",
        "OPTGATE_POLICY__MODE: policy.mode: \"maybe\" is unknown; write enforce or shadow",
        "OPTGATE_STORE__URL: store.url: belongs to kind = \"redis\", and kind is \"embedded\"",
        "OPTGATE_STORE__URL: store.url: the value will not do; write redis://",
        "--listen: proxy.listen: \"nowhere\" will not do; write IP:PORT",
    ] {
        assert!(told.contains(problem), "not told: {problem}\ntold: {told}");
    }
    assert!(!told.contains("hunter2"), "{told}");
    assert!(!folder.path().join("made").exists() && answer.stdout.is_empty());
}

#[test]
fn a_configuration_file_that_is_not_there_is_a_problem_of_the_configuration() {
    let answer = optgate().args(["serve", "--config", "/nowhere/optgate.toml"]).output().unwrap();
    let told = String::from_utf8(answer.stderr).unwrap();
    assert_eq!(answer.status.code(), Some(78), "{told}");
    assert!(told.contains("/nowhere/optgate.toml: cannot be read: No such file"), "{told}");
}

#[test]
fn a_syntax_error_is_told_with_its_line() {
    let folder = tempfile::tempdir().unwrap();
    let answer = serve(folder.path(), "[proxy]\nlisten = \"127.0.0.1:1\n", &[], &[]);
    let told = String::from_utf8(answer.stderr).unwrap();
    assert_eq!(answer.status.code(), Some(78), "{told}");
    assert!(told.contains("optgate.toml:2:") && told.contains("not TOML"), "{told}");
}
