//! Writing JSON in the order of Meta's documentation.
//!
//! Answers are compared with documented samples byte for byte, and a `serde_json::Value` would sort the names.

use std::fmt::Display;

/// An object under construction; names appear in the order they were given.
pub(super) struct Object(String);

impl Object {
    pub(super) fn new() -> Self {
        Object(String::from("{"))
    }

    /// Adds a string.
    pub(super) fn text(self, name: &str, value: &str) -> Self {
        self.raw(name, quoted(value))
    }

    /// Adds a number, a boolean or text that already is JSON.
    pub(super) fn raw(mut self, name: &str, value: impl Display) -> Self {
        if self.0.len() > 1 {
            self.0.push(',');
        }
        self.0.push_str(&quoted(name));
        self.0.push(':');
        self.0.push_str(&value.to_string());
        self
    }

    /// Adds a string if there is one.
    pub(super) fn maybe(self, name: &str, value: Option<&str>) -> Self {
        match value {
            Some(value) => self.text(name, value),
            None => self,
        }
    }

    pub(super) fn finish(mut self) -> String {
        self.0.push('}');
        self.0
    }
}

/// An array of values that already are JSON.
pub(super) fn list(items: impl IntoIterator<Item = String>) -> String {
    let mut out = String::from("[");
    for item in items {
        if out.len() > 1 {
            out.push(',');
        }
        out.push_str(&item);
    }
    out.push(']');
    out
}

/// A JSON string.
pub(super) fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// What Graph answers to a change that has nothing else to tell.
pub(super) fn success() -> String {
    Object::new().raw("success", true).finish()
}
