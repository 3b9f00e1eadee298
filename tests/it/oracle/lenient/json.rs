//! Reading JSON as loosely as anybody might: quotes of either kind or none, comments, stray commas, duplicates, cut ends.
//!
//! Nothing is an error. What was read before the text stopped making sense is what was found.

/// A value, with every entry of an object in its order, duplicates included.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Value {
    /// Text.
    Text(String),
    /// A number or a bare word, as written.
    Bare(String),
    /// A list.
    List(Vec<Value>),
    /// An object.
    Object(Vec<(String, Value)>),
}

impl Value {
    /// The entries, none for anything but an object.
    pub(crate) fn entries(&self) -> &[(String, Value)] {
        match self {
            Self::Object(entries) => entries,
            Self::Text(_) | Self::Bare(_) | Self::List(_) => &[],
        }
    }

    /// Every piece of text in it, at any depth.
    pub(crate) fn leaves(&self) -> Vec<String> {
        match self {
            Self::Text(text) | Self::Bare(text) => vec![text.clone()],
            Self::List(values) => values.iter().flat_map(Self::leaves).collect(),
            Self::Object(entries) => entries.iter().flat_map(|(_, value)| value.leaves()).collect(),
        }
    }

    /// The value itself, and what it holds if it is text that holds JSON.
    pub(crate) fn unwrapped(&self) -> Vec<Value> {
        let mut all = vec![self.clone()];
        if let Self::Text(text) = self
            && text.trim_start().starts_with(['{', '[', '"', '\'', '/'])
        {
            all.extend(documents(text).into_iter().filter(|value| value != self));
        }
        all
    }
}

/// Every document in a text, one after the other.
pub(crate) fn documents(text: &str) -> Vec<Value> {
    let chars: Vec<char> = text.chars().collect();
    let mut reader = Reader { chars: &chars, at: 0 };
    let mut found = Vec::new();
    loop {
        reader.skip_space();
        match reader.peek() {
            Some('{' | '[' | '"' | '\'') => found.extend(reader.value(0)),
            Some(',' | ';' | ']' | '}') => reader.at += 1,
            Some(_) | None => return found,
        }
        if found.len() > 8 {
            return found;
        }
    }
}

const DEEPEST: usize = 40;

struct Reader<'a> {
    chars: &'a [char],
    at: usize,
}

impl Reader<'_> {
    fn peek(&self) -> Option<char> {
        self.chars.get(self.at).copied()
    }

    fn next(&mut self) -> Option<char> {
        let next = self.peek();
        self.at += 1;
        next
    }

    fn skip_space(&mut self) {
        while let Some(c) = self.peek() {
            let after = self.chars.get(self.at + 1);
            match (c, after) {
                ('/', Some('/')) | ('#', _) => self.skip_past(&['\n']),
                ('/', Some('*')) => self.skip_past(&['*', '/']),
                _ if c.is_whitespace() || c.is_control() || c == '\u{feff}' => self.at += 1,
                _ => return,
            }
        }
    }

    fn skip_past(&mut self, end: &[char]) {
        while self.at < self.chars.len() && !self.chars[self.at..].starts_with(end) {
            self.at += 1;
        }
        self.at += end.len();
    }

    fn value(&mut self, depth: usize) -> Option<Value> {
        self.skip_space();
        if depth > DEEPEST {
            return None;
        }
        match self.peek()? {
            '{' => Some(self.object(depth)),
            '[' => Some(self.list(depth)),
            quote @ ('"' | '\'' | '`') => Some(Value::Text(self.text(quote))),
            _ => Some(Value::Bare(self.word())),
        }
    }

    fn object(&mut self, depth: usize) -> Value {
        self.at += 1;
        let mut entries = Vec::new();
        loop {
            self.skip_space();
            match self.peek() {
                None => return Value::Object(entries),
                Some('}' | ']') => {
                    self.at += 1;
                    return Value::Object(entries);
                }
                Some(',' | ';' | ':' | '=') => self.at += 1,
                Some(quote @ ('"' | '\'' | '`')) => {
                    let name = self.text(quote);
                    self.entry(name, depth, &mut entries);
                }
                Some(_) => {
                    let name = self.word();
                    self.entry(name, depth, &mut entries);
                }
            }
        }
    }

    fn entry(&mut self, name: String, depth: usize, entries: &mut Vec<(String, Value)>) {
        self.skip_space();
        let mut told = false;
        while let Some(':' | '=' | '>') = self.peek() {
            told = true;
            self.at += 1;
        }
        if !told {
            return;
        }
        if let Some(value) = self.value(depth + 1) {
            entries.push((name, value));
        } else {
            self.at = self.chars.len();
        }
    }

    fn list(&mut self, depth: usize) -> Value {
        self.at += 1;
        let mut values = Vec::new();
        loop {
            self.skip_space();
            match self.peek() {
                None => return Value::List(values),
                Some(']' | '}') => {
                    self.at += 1;
                    return Value::List(values);
                }
                Some(',' | ';' | ':') => self.at += 1,
                Some(_) => match self.value(depth + 1) {
                    Some(value) => values.push(value),
                    None => self.at = self.chars.len(),
                },
            }
        }
    }

    fn word(&mut self) -> String {
        let start = self.at;
        while self.peek().is_some_and(|c| !",:;=>{}[]\"'`".contains(c) && !c.is_whitespace()) {
            self.at += 1;
        }
        if self.at == start {
            self.at += 1;
        }
        self.chars[start..self.at.min(self.chars.len())].iter().collect()
    }

    fn text(&mut self, quote: char) -> String {
        self.at += 1;
        let mut text = String::new();
        while let Some(c) = self.next() {
            match c {
                _ if c == quote => return text,
                '\\' => self.escape(&mut text),
                _ => text.push(c),
            }
        }
        text
    }

    fn escape(&mut self, text: &mut String) {
        match self.next() {
            Some('n') => text.push('\n'),
            Some('t') => text.push('\t'),
            Some('r') => text.push('\r'),
            Some('b') => text.push('\u{8}'),
            Some('f') => text.push('\u{c}'),
            Some('0') => text.push('\0'),
            Some('x') => text.extend(self.hex(2).and_then(char::from_u32)),
            Some('u') => text.push(self.code_point()),
            Some(other) => text.push(other),
            None => {}
        }
    }

    fn code_point(&mut self) -> char {
        let Some(high) = self.hex(4) else { return '\u{fffd}' };
        let after = self.at;
        if (0xd800..0xdc00).contains(&high) && self.next() == Some('\\') && self.next() == Some('u') {
            let low = self.hex(4).filter(|low| (0xdc00..0xe000).contains(low));
            if let Some(low) = low {
                let code = 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00);
                return char::from_u32(code).unwrap_or('\u{fffd}');
            }
        }
        self.at = after;
        char::from_u32(high).unwrap_or('\u{fffd}')
    }

    fn hex(&mut self, digits: usize) -> Option<u32> {
        let text: String = self.chars.get(self.at..self.at + digits)?.iter().collect();
        let value = u32::from_str_radix(&text, 16).ok()?;
        self.at += digits;
        Some(value)
    }
}
