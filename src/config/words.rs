//! `[opt_out]` and `[tenants.opt_out]`: the words by which people stop and resume, and how much a stop withdraws.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::consent::words::{Changes, OptOut, Scope, Words, is_same_word, is_word, languages};

use super::layer::Entry;
use super::section::{Section, Wrong};
use super::value::{list, listed, non_empty_list, one_of, owned};

/// One table of them. The packs as they are, where it says nothing.
pub(super) fn opt_out(section: &Section<'_>) -> Option<OptOut> {
    let scope = section.optional("scope", one_of(Scope::ALL.map(|scope| (scope.name(), scope))));
    let packs = section.optional("packs", list(language));
    let stop = section.optional("stop", non_empty_list(word));
    let resume = section.optional("resume", non_empty_list(word));
    let ignore = section.optional("ignore", non_empty_list(word));
    let changes = Changes {
        packs: packs?.map(BTreeSet::from_iter),
        stop: stop?.unwrap_or_default(),
        resume: resume?.unwrap_or_default(),
        ignore: ignore?.unwrap_or_default(),
    };
    let both = |word: &&String| changes.stop.iter().any(|stop| is_same_word(stop, word));
    if let Some(word) = changes.resume.iter().find(both) {
        let wrong =
            Wrong::new(format!("has {word:?}, which stands in stop as well"), "keep it in one of them");
        section.reject("resume", wrong);
        return None;
    }
    let added = |word: &&String| {
        let mut words = changes.stop.iter().chain(&changes.resume);
        words.any(|added| is_same_word(added, word))
    };
    if let Some(word) = changes.ignore.iter().find(added) {
        let wrong = Wrong::new(
            format!("has {word:?}, which stands in stop or resume as well"),
            "keep it in one of them",
        );
        section.reject("ignore", wrong);
        return None;
    }
    if changes.packs.as_ref().is_some_and(BTreeSet::is_empty) && changes.stop.is_empty() {
        let wrong = "is empty and stop has no words, so that nobody could opt out with a word";
        section.reject("packs", Wrong::new(wrong, "write stop = [...] as well, or name a pack"));
        return None;
    }
    let words = Arc::new(Words::new(&changes));
    Some(OptOut { scope: scope?.unwrap_or_default(), words })
}

fn language(entry: &Entry) -> Result<String, Wrong> {
    let written = owned(entry)?;
    let known = languages();
    if known.contains(&*written) {
        return Ok(written);
    }
    Err(Wrong::new(format!("{written:?} has no pack"), format!("write {}", listed(known.into_iter()))))
}

fn word(entry: &Entry) -> Result<String, Wrong> {
    let written = owned(entry)?;
    if is_word(&written) {
        return Ok(written);
    }
    let wrong = format!("{written:?} can never be a whole message that is compared");
    Err(Wrong::new(wrong, "write letters or digits, 256 bytes at most"))
}
