//! Finding every path in the tokens of a file: imports with their groups, and paths written in place.

use super::lexer::{Inside, Token};

/// A path as written, from its first segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Path {
    /// Segments as written; the last is `*` for a glob.
    pub(crate) segments: Vec<String>,
    /// Whether a `use` wrote it.
    pub(crate) imported: bool,
    /// Whether it starts with `::`.
    pub(crate) global: bool,
    /// The name under which a `use` makes it known.
    pub(crate) alias: Option<String>,
    /// The inline modules around it.
    pub(crate) inside: Vec<String>,
    pub(crate) line: usize,
}

/// Every path with more than one segment, every imported one, and every lone `crate` that is not a visibility.
pub(crate) fn paths(tokens: &[Token]) -> Vec<Path> {
    let mut found = Vec::new();
    let mut inside = Inside::default();
    let mut at = 0;
    while at < tokens.len() {
        inside.step(tokens, at);
        let text = |i: usize| tokens.get(i).map_or("", |t| t.text.as_str());
        if text(at) == "use" && text(at + 1) != "<" {
            let tree = Tree { tokens, inside: inside.modules() };
            at = tree.read(at + 1, &Prefix::default(), &mut found);
            continue;
        }
        let starts = is_name(text(at)) && (at == 0 || text(at - 1) != "::" || !continues(tokens, at - 1));
        let is_visibility = text(at) == "crate" && at > 0 && text(at - 1) == "(" && text(at + 1) == ")";
        if starts && (text(at + 1) == "::" || text(at) == "crate") && !is_visibility {
            let (segments, end) = segments(tokens, at);
            found.push(Path {
                segments,
                imported: false,
                global: at > 0 && text(at - 1) == "::",
                alias: None,
                inside: inside.modules(),
                line: tokens[at].line,
            });
            at = end;
        } else {
            at += 1;
        }
    }
    found
}

fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c == '_' || c.is_alphabetic())
}

/// Whether the `::` at `at` continues a path, rather than starting a global one.
fn continues(tokens: &[Token], at: usize) -> bool {
    at > 0 && (is_name(&tokens[at - 1].text) && tokens[at - 1].text != "return" || tokens[at - 1].text == ">")
}

/// Reads `a::b::c` at `at`; gives the segments and the place past them.
fn segments(tokens: &[Token], at: usize) -> (Vec<String>, usize) {
    let mut segments = vec![tokens[at].text.clone()];
    let mut end = at + 1;
    while let [mark, name, ..] = &tokens[end.min(tokens.len())..] {
        if mark.text != "::" || !is_name(&name.text) {
            break;
        }
        segments.push(name.text.clone());
        end += 2;
    }
    (segments, end)
}

#[derive(Default, Clone)]
struct Prefix {
    segments: Vec<String>,
    global: bool,
}

/// A `use` declaration being read.
struct Tree<'a> {
    tokens: &'a [Token],
    inside: Vec<String>,
}

impl Tree<'_> {
    fn text(&self, at: usize) -> &str {
        self.tokens.get(at).map_or("", |t| t.text.as_str())
    }

    /// Reads one tree and gives the place past it.
    fn read(&self, mut at: usize, prefix: &Prefix, found: &mut Vec<Path>) -> usize {
        let mut prefix = prefix.clone();
        let line = self.tokens.get(at).map_or(0, |t| t.line);
        loop {
            match self.text(at) {
                "::" => prefix.global |= prefix.segments.is_empty(),
                "{" => return self.read_group(at + 1, &prefix, found),
                text if is_name(text) && text != "as" || text == "*" => prefix.segments.push(text.to_owned()),
                _ => break,
            }
            at += 1;
        }
        let renamed = self.text(at) == "as";
        let alias =
            if renamed { Some(self.text(at + 1).to_owned()) } else { prefix.segments.last().cloned() };
        found.push(Path {
            segments: prefix.segments,
            imported: true,
            global: prefix.global,
            alias,
            inside: self.inside.clone(),
            line,
        });
        if renamed { at + 2 } else { at }
    }

    fn read_group(&self, mut at: usize, prefix: &Prefix, found: &mut Vec<Path>) -> usize {
        while at < self.tokens.len() {
            match self.text(at) {
                "}" => return at + 1,
                "," => at += 1,
                _ => at = self.read(at, prefix, found).max(at + 1),
            }
        }
        at
    }
}

#[cfg(test)]
mod tests {
    use super::super::lexer::read;
    use super::*;

    #[test]
    fn every_way_to_write_a_path_is_found() {
        let cases: &[(&str, &[&str])] = &[
            ("use crate::a::B;", &["crate::a::B"]),
            (
                "use crate::{a::{B, self}, c as d, e::*};",
                &["crate::a::B", "crate::a::self", "crate::c", "crate::e::*"],
            ),
            ("pub(crate) use super::a;", &["super::a"]),
            ("fn f() -> crate::a::B { x.y(crate::c::d::<E>()) }", &["crate::a::B", "crate::c::d"]),
            ("impl<T> From<crate::a::B> for C<T> {}", &["crate::a::B"]),
            ("macro_rules! m { () => { $crate::a::b() } }", &["crate::a::b"]),
            ("#[tokio::main] async fn f() {}", &["tokio::main"]),
            ("pub(in crate::a) struct B;", &["crate::a"]),
            ("pub(crate) struct B;", &[]),
            ("extern crate self as x;", &["crate"]),
            ("fn f() -> impl Iterator + use<'_> { g() }", &[]),
            ("use {crate::a, crate::b};", &["crate::a", "crate::b"]),
            ("let x = ::redis::f();", &["redis::f"]),
        ];
        for (text, wanted) in cases {
            let found: Vec<String> =
                paths(&read(text).production).iter().map(|p| p.segments.join("::")).collect();
            assert_eq!(found, *wanted, "{text}");
        }
    }
}
