//! Redaction by type: a value that must not be printed cannot be printed by accident.

use std::fmt;

/// A value that shows itself only to code that asks for it by name.
///
/// `Debug` prints `[redacted]`, there is no `Display`, and nothing serialises it.
#[derive(Clone, PartialEq, Eq, Hash, Default)]
pub struct Redacted<T>(T);

impl<T> Redacted<T> {
    /// Hides a value.
    pub fn new(value: T) -> Self {
        Self(value)
    }

    /// The value itself. Named so that a reviewer can search for every place that looks.
    pub fn danger_reveal(&self) -> &T {
        &self.0
    }
}

impl<T> fmt::Debug for Redacted<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_nothing() {
        assert_eq!(format!("{:?}", Redacted::new("+15550000001")), "[redacted]");
    }
}
