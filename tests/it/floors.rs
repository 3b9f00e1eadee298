//! The house rules that a compiler does not know: imports only go down, each crate stays in its room, files stay short.
//!
//! A folder stands on a floor and imports only from lower floors, never sideways, never up. So no cycle can form, and any
//! folder can be read without the ones above it.

mod lexer;
mod paths;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path as FilePath;

use lexer::{Source, read};
use paths::{Path, paths};

const FLOORS: &[(&str, u8)] = &[
    ("consent", 0),
    ("net", 0),
    ("wire", 1),
    ("policy", 2),
    ("metrics", 3),
    ("store", 4),
    ("upstream", 4),
    ("templates", 5),
    ("senders", 5),
    ("decision_log", 5),
    ("audit", 5),
    ("judge", 6),
    ("proxy", 7),
    ("webhook", 7),
    ("admin", 7),
    ("sandbox", 7),
    ("config", 8),
    ("app", 9),
    ("cli", 10),
];

/// Crates that only some rooms may use.
const CRATES: &[(&str, &[&str])] = &[
    ("redis", &["store", "decision_log"]),
    ("moka", &["store", "templates", "admin"]),
    ("clap", &["cli"]),
    ("tokio", &ABOVE_THE_WORDS),
    ("hyper", &ABOVE_THE_WORDS),
    ("tracing", &ABOVE_THE_WORDS),
];

/// Everything but the pure rooms: consent, wire, policy.
const ABOVE_THE_WORDS: [&str; 17] = [
    "net",
    "metrics",
    "store",
    "upstream",
    "templates",
    "senders",
    "decision_log",
    "audit",
    "judge",
    "proxy",
    "webhook",
    "admin",
    "sandbox",
    "config",
    "app",
    "cli",
    "main",
];

const LONGEST_FILE: usize = 400;
const EMPTY_NAMES: [&str; 3] = ["common", "misc", "util"];

/// The files of a crate by their path below `src`.
type House = BTreeMap<String, String>;

#[test]
fn imports_only_go_down_and_every_file_keeps_the_house_rules() {
    let mut house = House::new();
    let src = FilePath::new(env!("CARGO_MANIFEST_DIR")).join("src");
    collect(&src, &src, &mut house);
    assert!(house.contains_key("lib.rs"), "no src/lib.rs below {}", src.display());
    let findings = inspect(&house);
    assert!(findings.is_empty(), "\n{}\n", findings.join("\n"));
}

fn collect(root: &FilePath, folder: &FilePath, house: &mut House) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(root, &path, house);
        } else if path.extension().is_some_and(|e| e == "rs") {
            let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
            house.insert(name, fs::read_to_string(&path).unwrap());
        }
    }
}

/// Everything that breaks a rule, as `src/file.rs:line: what`.
fn inspect(house: &House) -> Vec<String> {
    let mut walk = Walk { house, reached: BTreeSet::new(), findings: Vec::new() };
    walk.file("lib.rs", &[], false);
    if house.contains_key("main.rs") {
        walk.file("main.rs", &[], false);
    }
    let Walk { reached, mut findings, .. } = walk;
    for file in house.keys().filter(|file| !reached.contains(*file)) {
        findings.push(format!("src/{file}: no `mod` leads to this file"));
    }
    findings
}

/// Follows `mod` declarations from the crate's roots.
struct Walk<'a> {
    house: &'a House,
    reached: BTreeSet<String>,
    findings: Vec<String>,
}

impl Walk<'_> {
    fn file(&mut self, file: &str, module: &[String], test_only: bool) {
        self.reached.insert(file.to_owned());
        let source = read(&self.house[file]);
        if !test_only {
            let found = File { name: file, module, source: &source }.findings();
            self.findings.extend(found);
        }
        for declared in &source.declared {
            let mut child = module.to_vec();
            child.extend(declared.inside.iter().cloned());
            child.push(declared.name.clone());
            let stem = child.join("/");
            let found = [format!("{stem}.rs"), format!("{stem}/mod.rs")]
                .into_iter()
                .find(|path| self.house.contains_key(path));
            match found {
                Some(path) => self.file(&path, &child, test_only || declared.test_only),
                // A test may take a production file in a second time, by `#[path]`; that it is there, the compiler sees to.
                None if test_only => {}
                None => self.findings.push(format!("src/{file}: `mod {};` has no file", declared.name)),
            }
        }
    }
}

/// One file of production code.
struct File<'a> {
    name: &'a str,
    module: &'a [String],
    source: &'a Source,
}

impl File<'_> {
    fn findings(&self) -> Vec<String> {
        let mut found = Vec::new();
        if self.source.production_lines > LONGEST_FILE {
            let lines = self.source.production_lines;
            found.push(format!("src/{}: {lines} production lines, at most {LONGEST_FILE}", self.name));
        }
        if let Some(name) = self.module.last().filter(|name| EMPTY_NAMES.contains(&name.as_str())) {
            found.push(format!("src/{}: `{name}` says nothing about what is inside", self.name));
        }
        if self.module.len() == 1 && floor(&self.module[0]).is_none() {
            found.push(format!("src/{}: `{}` stands on no floor", self.name, self.module[0]));
        }
        for token in self.source.production.windows(3) {
            if token[0].text == "#" && token[1].text == "[" && token[2].text == "path" {
                found.push(self.at(token[0].line, "`#[path]` hides where a module is"));
            }
        }
        let paths = paths(&self.source.production);
        found.extend(paths.iter().filter_map(|path| self.import(path)));
        found.extend(paths.iter().filter_map(|path| self.foreign(path, &paths)));
        found.dedup();
        found
    }

    fn at(&self, line: usize, what: &str) -> String {
        format!("src/{}:{line}: {what}", self.name)
    }

    /// The folder below the crate root in which the file stands; `main` and `lib` for the roots themselves.
    fn room(&self) -> &str {
        self.module.first().map_or(self.name.trim_end_matches(".rs"), String::as_str)
    }

    /// What is wrong with a path into the own crate.
    fn import(&self, path: &Path) -> Option<String> {
        let inside = self.absolute(path)?;
        let written = path.segments.join("::");
        let Some(room) = inside.first() else {
            return Some(self.at(path.line, &format!("`{written}` gives the crate root another name")));
        };
        if room == "*" {
            return Some(self.at(path.line, &format!("`use {written}` takes in every floor")));
        }
        if self.room() == "lib" || room == self.room() {
            return None;
        }
        let Some(theirs) = floor(room) else {
            return Some(self.at(path.line, &format!("`{written}` leads to no floor")));
        };
        // The binary stands above the house.
        let ours = floor(self.room()).unwrap_or(u8::MAX);
        let direction = match theirs.cmp(&ours) {
            std::cmp::Ordering::Less => return None,
            std::cmp::Ordering::Equal => "sideways",
            std::cmp::Ordering::Greater => "up",
        };
        let room = self.room();
        Some(self.at(path.line, &format!("{room} ({ours}) imports {direction}: `{written}` ({theirs})")))
    }

    /// The path from the crate root, if it leads into the own crate.
    fn absolute(&self, path: &Path) -> Option<Vec<String>> {
        let mut segments = path.segments.as_slice();
        let head = segments.first()?;
        let mut from = match head.as_str() {
            "crate" => Vec::new(),
            "optgate" if self.room() == "main" => Vec::new(),
            "self" | "super" => [self.module, path.inside.as_slice()].concat(),
            _ => return None,
        };
        if head != "super" {
            segments = &segments[1..];
        }
        while segments.first().is_some_and(|s| s == "super") {
            from.pop();
            segments = &segments[1..];
        }
        from.extend(segments.iter().filter(|s| *s != "self").cloned());
        Some(from)
    }

    /// What is wrong with a path into another crate.
    fn foreign(&self, path: &Path, all: &[Path]) -> Option<String> {
        let head = path.segments.first()?;
        let (family, rooms) =
            CRATES.iter().find(|(name, _)| head == name || head.starts_with(&format!("{name}_")))?;
        if rooms.contains(&self.room()) || (!path.global && self.is_own_name(head, all)) {
            return None;
        }
        Some(self.at(
            path.line,
            &format!("{} must not use `{head}` (allowed for `{family}`: {rooms:?})", self.room()),
        ))
    }

    /// Whether a name like `redis` means a module of ours here.
    fn is_own_name(&self, name: &str, all: &[Path]) -> bool {
        let imported = all.iter().any(|p| {
            p.imported && p.alias.as_deref() == Some(name) && p.segments.first().is_some_and(|s| s != name)
        });
        imported || self.source.declared.iter().any(|d| d.name == name)
    }
}

fn floor(room: &str) -> Option<u8> {
    FLOORS.iter().find(|(name, _)| *name == room).map(|(_, floor)| *floor)
}

/// A house with the given files, whose roots declare each top-level one.
fn house(files: &[(&str, &str)]) -> House {
    let mut house: House =
        files.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
    let rooms: BTreeSet<&str> =
        files.iter().map(|(name, _)| name.split('/').next().unwrap().trim_end_matches(".rs")).collect();
    let roots: String =
        rooms.iter().filter(|r| !["lib", "main"].contains(r)).map(|r| format!("pub mod {r};\n")).collect();
    house.entry("lib.rs".into()).or_insert(roots);
    house
}

#[test]
fn a_house_in_order_has_no_findings() {
    let long = "//\n".repeat(LONGEST_FILE) + "#[cfg(test)]\nmod tests {\n" + &"//\n".repeat(300) + "}\n";
    let tidy = house(&[
        ("consent/mod.rs", "mod phone; pub use phone::Phone; use self::phone::x; // crate::app"),
        (
            "consent/phone.rs",
            "use super::y; const S: &str = \"crate::app::x tokio::x\"; pub(crate) fn f() {}",
        ),
        ("wire/mod.rs", "use crate::consent::{Phone, x::{Y, self}}; mod cloud; #[cfg(test)] mod tests;"),
        ("wire/cloud/mod.rs", "use super::super::consent::Phone; use crate::wire::Z; mod edges;"),
        ("wire/cloud/edges.rs", "/// See [`crate::app::App`].\npub(in crate::wire) struct E;"),
        ("wire/tests.rs", "use crate::app::App; use tokio::spawn;"),
        ("policy/mod.rs", &long),
        ("net/mod.rs", "use tokio::net::TcpListener; use hyper_util::rt::TokioIo;"),
        ("store/mod.rs", "pub mod redis; use moka::sync::Cache; fn f() { redis::g() }"),
        (
            "store/redis.rs",
            "use redis::Client; use crate::metrics::M; #[cfg(test)] mod tests { use crate::app::A; }",
        ),
        ("metrics.rs", "use crate::policy::Decision;"),
        ("config/mod.rs", "use crate::store::redis; fn f(s: redis::Settings) {}"),
        ("app.rs", "use crate::{config::Config, store::{redis, x}}; fn f() { tracing::info!(\"x\"); }"),
        ("cli/mod.rs", "use clap::Parser; use crate::app;"),
        ("main.rs", "fn main() { optgate::cli::main() }"),
    ]);
    assert_eq!(inspect(&tidy), Vec::<String>::new());
}

#[test]
fn every_broken_rule_is_found() {
    let too_long = "fn f() {}\n".repeat(LONGEST_FILE + 1);
    let test_first = format!("#[cfg(test)]\nmod tests {{}}\n{too_long}");
    let cases: &[(&str, &str, &str)] = &[
        (
            "consent/mod.rs",
            "\n use crate::wire::X;",
            "src/consent/mod.rs:2: consent (0) imports up: `crate::wire::X` (1)",
        ),
        ("consent/mod.rs", "use crate::net::X;", "consent (0) imports sideways: `crate::net::X` (0)"),
        ("store/mod.rs", "use crate::upstream::X;", "imports sideways"),
        ("wire/mod.rs", "use crate::{consent::A, store::B};", "imports up: `crate::store::B`"),
        ("wire/mod.rs", "use crate::{consent::{a, b}, policy};", "imports up: `crate::policy`"),
        ("wire/mod.rs", "use {crate::app as a};", "imports up"),
        ("wire/mod.rs", "fn f(x: &crate::proxy::X) {}", "imports up: `crate::proxy::X`"),
        ("wire/mod.rs", "fn f() -> Vec<crate::proxy::X> { vec![] }", "imports up"),
        ("wire/mod.rs", "fn f() { m!(crate::app::g()) }", "imports up"),
        ("wire/mod.rs", "pub(crate) use crate::app;", "imports up"),
        ("wire/mod.rs", "use super::app::X;", "imports up: `super::app::X`"),
        ("wire/mod.rs", "mod a { use super::super::app::X; }", "imports up: `super::super::app::X`"),
        ("wire/mod.rs", "#[cfg(not(test))] use crate::app::X;", "imports up"),
        ("wire/mod.rs", "#[cfg(test)] mod tests { } use crate::app::X;", "imports up"),
        ("wire/mod.rs", "const C: char = '\"'; use crate::app::X; const D: char = '\"';", "imports up"),
        ("wire/mod.rs", "use crate::*;", "takes in every floor"),
        ("wire/mod.rs", "use super::*;", "takes in every floor"),
        ("wire/mod.rs", "use crate::{consent, *};", "takes in every floor"),
        ("wire/mod.rs", "use crate as root;", "another name"),
        ("wire/mod.rs", "extern crate self as root;", "another name"),
        ("wire/mod.rs", "use crate::Thing;", "leads to no floor"),
        ("wire/mod.rs", "fn f() { ::tokio::spawn(x) }", "wire must not use `tokio`"),
        ("wire/mod.rs", "use tracing_subscriber::fmt;", "must not use `tracing_subscriber`"),
        ("policy/mod.rs", "#[tracing::instrument] fn f() {}", "must not use `tracing`"),
        ("consent/mod.rs", "use {hyper::body::Body};", "must not use `hyper`"),
        ("net/mod.rs", "use redis::Client;", "must not use `redis`"),
        ("config/mod.rs", "fn f(x: redis::Client) {}", "must not use `redis`"),
        ("config/mod.rs", "use crate::store::redis; use ::redis::Client;", "must not use `redis`"),
        ("proxy/mod.rs", "use moka::sync::Cache;", "must not use `moka`"),
        ("config/mod.rs", "#[derive(clap::Args)] struct A;", "must not use `clap`"),
        ("policy/mod.rs", &too_long, "401 production lines"),
        ("policy/mod.rs", &test_first, "401 production lines"),
        ("wire/lost.rs", "", "src/wire/lost.rs: no `mod` leads to this file"),
        ("wire/mod.rs", "mod gone;", "`mod gone;` has no file"),
        ("wire/mod.rs", "#[path = \"x.rs\"] mod x;", "hides where a module is"),
        ("extra.rs", "", "`extra` stands on no floor"),
        ("wire/mod.rs", "mod util;", "says nothing about what is inside"),
    ];
    for (file, text, wanted) in cases {
        let mut files = vec![("wire/mod.rs", ""), ("wire/util.rs", "")];
        files.retain(|(name, _)| name != file && (*name != "wire/util.rs" || text.contains("util")));
        files.push((file, text));
        let findings = inspect(&house(&files));
        assert!(
            findings.iter().any(|f| f.contains(wanted)),
            "{file}: {text:.80}\nwanted {wanted}\ngot {findings:#?}"
        );
    }
}
