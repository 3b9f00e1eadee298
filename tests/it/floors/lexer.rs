//! Turning Rust text into tokens, without comments, literals and test-only items.
//!
//! Knows just enough of the language that a path in a string, a comment or a `#[cfg(test)]` module is never taken for an import.

/// A word or a punctuation mark, and the line on which it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) text: String,
    pub(crate) line: usize,
}

/// The tokens of a file: all of them, and which belong to production code.
pub(crate) struct Source {
    pub(crate) production: Vec<Token>,
    /// Lines that belong to no test-only item.
    pub(crate) production_lines: usize,
    /// Names in `mod name;`, with the inline modules around each and whether it is test-only.
    pub(crate) declared: Vec<Declared>,
}

/// A module that a file declares in a file of its own.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Declared {
    pub(crate) inside: Vec<String>,
    pub(crate) name: String,
    pub(crate) test_only: bool,
}

/// Reads one file.
pub(crate) fn read(text: &str) -> Source {
    let tokens = tokens(text);
    let test_only = test_only(&tokens);
    let mut test_lines = 0;
    let mut last = 0;
    for &(from, to) in &test_only {
        let start = tokens[from].line.max(last + 1);
        let end = tokens[to - 1].line;
        test_lines += (end + 1).saturating_sub(start);
        last = last.max(end);
    }
    let is_test = |at: usize| test_only.iter().any(|&(from, to)| (from..to).contains(&at));
    Source {
        declared: declared(&tokens, is_test),
        production: tokens
            .iter()
            .enumerate()
            .filter(|(at, _)| !is_test(*at))
            .map(|(_, token)| token.clone())
            .collect(),
        production_lines: text.lines().count() - test_lines,
    }
}

/// Splits text into words and marks; `::` is one mark, comments and literals are none.
fn tokens(text: &str) -> Vec<Token> {
    let chars: Vec<char> = text.chars().collect();
    let mut tokens = Vec::new();
    let (mut at, mut line) = (0, 1);
    while let Some(&c) = chars.get(at) {
        let next = match c {
            _ if c.is_whitespace() => at + 1,
            '/' if chars.get(at + 1) == Some(&'/') => line_end(&chars, at),
            '/' if chars.get(at + 1) == Some(&'*') => comment_end(&chars, at),
            '"' => string_end(&chars, at + 1),
            '\'' => quote_end(&chars, at),
            _ if is_word(c) => {
                let end = (at..chars.len()).find(|&i| !is_word(chars[i])).unwrap_or(chars.len());
                raw_string(&chars, at, end).unwrap_or_else(|| {
                    tokens.push(Token { text: chars[at..end].iter().collect(), line });
                    end
                })
            }
            ':' if chars.get(at + 1) == Some(&':') => {
                tokens.push(Token { text: "::".into(), line });
                at + 2
            }
            _ => {
                tokens.push(Token { text: c.into(), line });
                at + 1
            }
        };
        line += chars[at..next].iter().filter(|&&c| c == '\n').count();
        at = next;
    }
    tokens
}

fn is_word(c: char) -> bool {
    c == '_' || c.is_alphanumeric()
}

fn line_end(chars: &[char], at: usize) -> usize {
    (at..chars.len()).find(|&i| chars[i] == '\n').unwrap_or(chars.len())
}

fn comment_end(chars: &[char], at: usize) -> usize {
    let (mut depth, mut at) = (0, at);
    while at + 1 < chars.len() {
        match (chars[at], chars[at + 1]) {
            ('/', '*') => (depth, at) = (depth + 1, at + 2),
            ('*', '/') => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            return at;
        }
    }
    chars.len()
}

/// The place past a string whose first character stands at `at`.
fn string_end(chars: &[char], mut at: usize) -> usize {
    while at < chars.len() {
        match chars[at] {
            '\\' => at += 2,
            '"' => return at + 1,
            _ => at += 1,
        }
    }
    chars.len()
}

/// The place past a character literal, or past the quote of a lifetime.
fn quote_end(chars: &[char], at: usize) -> usize {
    if chars.get(at + 1) == Some(&'\\') {
        let close = (at + 3..chars.len()).find(|&i| chars[i] == '\'');
        return close.map_or(chars.len(), |i| i + 1);
    }
    if chars.get(at + 2) == Some(&'\'') { at + 3 } else { at + 1 }
}

/// If the word `at..end` starts a raw string (`r"`, `br#"`), the place past that string.
fn raw_string(chars: &[char], at: usize, end: usize) -> Option<usize> {
    let word: String = chars[at..end].iter().collect();
    if !matches!(word.as_str(), "r" | "br" | "cr") {
        return None;
    }
    let hashes = chars[end..].iter().take_while(|&&c| c == '#').count();
    if chars.get(end + hashes) != Some(&'"') {
        return None;
    }
    let closes = |&i: &usize| {
        chars[i] == '"' && chars[i + 1..].iter().take(hashes).filter(|&&c| c == '#').count() == hashes
    };
    Some((end + hashes + 1..chars.len()).find(closes).map_or(chars.len(), |i| i + 1 + hashes))
}

/// The ranges of tokens that exist in tests only: `#[cfg(test)]`, and `#[cfg(all(test, ...))]`, with the item behind.
fn test_only(tokens: &[Token]) -> Vec<(usize, usize)> {
    let mut ranges = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        if is_test_attribute(tokens, at) {
            let end = item_end(tokens, at);
            ranges.push((at, end));
            at = end;
        } else {
            at += 1;
        }
    }
    ranges
}

fn is_test_attribute(tokens: &[Token], at: usize) -> bool {
    let starts = |words: &[&str]| {
        words.len() <= tokens.len() - at && words.iter().zip(&tokens[at..]).all(|(word, t)| *word == t.text)
    };
    starts(&["#", "[", "cfg", "(", "test", ")", "]"])
        || starts(&["#", "[", "cfg", "(", "all", "(", "test", ","])
        || starts(&["#", "[", "test", "]"])
}

const ITEMS: [&str; 10] = ["fn", "impl", "struct", "enum", "mod", "trait", "use", "const", "static", "type"];

/// The place past the item whose attributes start at `at`: past its `;`, or past the brace that closes it.
fn item_end(tokens: &[Token], mut at: usize) -> usize {
    while tokens.get(at).is_some_and(|t| t.text == "#") {
        at = group_end(tokens, at + 1);
    }
    // A field, a variant or an arm ends at a comma; an item has commas of its own (`fn f<A, B>`).
    let mut is_item = false;
    while let Some(token) = tokens.get(at) {
        is_item |= ITEMS.contains(&token.text.as_str());
        match token.text.as_str() {
            ";" => return at + 1,
            "," if !is_item => return at + 1,
            "}" => return at,
            "{" => {
                let end = group_end(tokens, at);
                // A use group or an initializer: the statement goes on to its semicolon.
                return if tokens.get(end).is_some_and(|t| t.text == ";") { end + 1 } else { end };
            }
            "(" | "[" => at = group_end(tokens, at),
            _ => at += 1,
        }
    }
    tokens.len()
}

/// The place past the bracket that closes the one at `at`.
fn group_end(tokens: &[Token], at: usize) -> usize {
    let mut depth = 0;
    for (i, token) in tokens.iter().enumerate().skip(at) {
        match token.text.as_str() {
            "(" | "[" | "{" => depth += 1,
            ")" | "]" | "}" => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return i + 1;
        }
    }
    tokens.len()
}

fn declared(tokens: &[Token], is_test: impl Fn(usize) -> bool) -> Vec<Declared> {
    let mut found = Vec::new();
    let mut inside = Inside::default();
    for at in 0..tokens.len() {
        inside.step(tokens, at);
        let [keyword, name, end] = &tokens[at..(at + 3).min(tokens.len())] else { continue };
        if keyword.text == "mod" && end.text == ";" {
            found.push(Declared {
                inside: inside.modules(),
                name: name.text.clone(),
                test_only: is_test(at),
            });
        }
    }
    found
}

/// Which inline modules are open at the token being read.
#[derive(Default)]
pub(crate) struct Inside {
    open: Vec<Option<String>>,
}

impl Inside {
    /// Takes note of one token; call it for each token in turn.
    pub(crate) fn step(&mut self, tokens: &[Token], at: usize) {
        match tokens[at].text.as_str() {
            "{" => {
                let is_module = at >= 2 && tokens[at - 2].text == "mod";
                self.open.push(is_module.then(|| tokens[at - 1].text.clone()));
            }
            "}" => drop(self.open.pop()),
            _ => {}
        }
    }

    /// The names of the open modules, outermost first.
    pub(crate) fn modules(&self) -> Vec<String> {
        self.open.iter().flatten().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        read(text).production.into_iter().map(|t| t.text).collect()
    }

    #[test]
    fn comments_literals_and_test_items_leave_no_token() {
        let nothing = [
            "// crate::a",
            "/// crate::a",
            "/* /* crate::a */ crate::b */",
            "\"crate::a \\\" crate::b\"",
            "r#\"crate::a \" crate::b\"#",
            "b\"crate::a\"",
            "#[cfg(test)] mod tests { use crate::a; fn f() { if x { y } } }",
            "#[cfg(test)] mod tests;",
            "#[cfg(test)] use crate::{a, b};",
            "#[cfg(all(test, unix))] #[derive(Debug)] struct S { a: crate::a }",
            "#[cfg(test)] fn f(a: [u8; 3]) -> u8 { crate::a() }",
            "#[cfg(test)] impl<A, B> C<A, B> for D where A: E, { fn f() { crate::a() } }",
        ];
        for text in nothing {
            let left: Vec<String> = words(text).into_iter().filter(|w| w != "b").collect();
            assert!(left.is_empty(), "{text}: {left:?}");
        }
    }

    #[test]
    fn code_around_literals_survives() {
        assert_eq!(words("'a' x '\\'' y '\"' z"), ["x", "y", "z"]);
        assert_eq!(words("&'a str"), ["&", "a", "str"]);
        assert_eq!(words("\"a\" crate::b // c\n d"), ["crate", "::", "b", "d"]);
        assert_eq!(words("#[cfg(test)] mod t { } fn f() {}"), ["fn", "f", "(", ")", "{", "}"]);
        assert_eq!(words("struct S { #[cfg(test)] a: A, c: C }"), ["struct", "S", "{", "c", ":", "C", "}"]);
        assert_eq!(words("#[cfg(not(test))] a").last().unwrap(), "a");
        assert_eq!(words("r#type"), ["r", "#", "type"]);
    }

    #[test]
    fn lines_are_counted_without_test_items_wherever_they_stand() {
        assert_eq!(read("a\nb\n").production_lines, 2);
        assert_eq!(read("#[cfg(test)]\nmod tests;\na\nb\n").production_lines, 2);
        assert_eq!(read("a\n#[cfg(test)]\nmod tests {\n}\n").production_lines, 1);
        assert_eq!(read("/* \n */ a \"\n\" b").production.last().unwrap().line, 3);
    }

    #[test]
    fn declared_modules_know_what_surrounds_them() {
        let source = read("mod a; mod b { mod c; } #[cfg(test)] mod tests;");
        let seen: Vec<_> =
            source.declared.iter().map(|d| (d.inside.join("::"), d.name.as_str(), d.test_only)).collect();
        assert_eq!(
            seen,
            [(String::new(), "a", false), ("b".into(), "c", false), (String::new(), "tests", true)]
        );
    }
}
