//! The gate's own token for the provider: written out, or in a file.

use crate::consent::redact::Redacted;
use crate::upstream::Token;

use super::layer::Entry;
use super::section::{Section, Wrong};
use super::value::{owned, readable_file};

/// `token` and `token_file` of a section, of which one may stand. The outer `None` is a problem.
#[allow(clippy::option_option, reason = "as everywhere in the walk")]
pub(super) fn token(section: &Section<'_>) -> Option<Option<Token>> {
    let held = section.optional("token", |entry: &Entry| owned(entry).map(Redacted::new));
    let file = section.optional("token_file", readable_file);
    match (held?, file?) {
        (Some(_), Some(_)) => {
            section.reject("token_file", Wrong::new("stands beside token", "write one of the two"));
            None
        }
        (held, file) => Some(held.map(Token::Held).or(file.map(Token::File))),
    }
}
