//! How an import stands: what became of the chunks that are settled, and where it can go on.

use std::process::ExitCode;

use serde_json::Value;

use super::chunk::Chunk;
use super::progress::Progress;
use super::rejects::Rejects;
use super::resume::{Bookmark, Settled};
use super::source::Place;
use super::tally::Tally;
use crate::cli::failure::Failure;
use crate::cli::output::{print, print_json};

/// An import under way.
pub(super) struct Standing {
    /// Where its place is kept, if it can be.
    pub(super) bookmark: Option<Bookmark>,
    pub(super) rejects: Rejects,
    pub(super) tally: Tally,
    pub(super) progress: Progress,
    /// How far the file is settled.
    pub(super) through: Place,
}

impl Standing {
    /// Takes in what the gate said of a chunk.
    pub(super) fn settle(&mut self, chunk: &Chunk, answer: &Value) -> Result<(), Failure> {
        let rejected = chunk.rejected(answer);
        let rejects = self.rejects.add(&rejected);
        for text in self.tally.take(answer, &rejected) {
            self.progress.tell(&text);
        }
        rejects.map_err(|(path, cause)| Failure::Written(path.display().to_string(), cause))?;
        self.through = chunk.end;
        self.keep_place();
        self.progress.advance(chunk.len(), chunk.end, &self.tally.summary());
        Ok(())
    }

    /// An import whose place cannot be kept goes on; only it cannot be resumed.
    pub(super) fn keep_place(&mut self) {
        let Some(bookmark) = &self.bookmark else { return };
        let settled =
            Settled { through: self.through, counts: self.tally.counts, rejects_bytes: self.rejects.bytes() };
        if let Err(cause) = bookmark.keep(&settled) {
            let path = bookmark.path().display();
            self.progress.tell(&format!("{path} cannot be written, so --resume will not work: {cause}"));
            self.bookmark = None;
        }
    }

    /// What is settled when an import ends early.
    pub(super) fn so_far(&self) -> String {
        let (lines, summary) = (self.through.lines, self.tally.summary());
        let how = match &self.bookmark {
            Some(bookmark) if lines == 0 => {
                // Nothing to go on from; and who named the wrong gate names another one next.
                bookmark.remove();
                "the import again"
            }
            Some(_) => "the same command with --resume",
            None => "the import again",
        };
        format!(
            "settled until line {lines}: {summary}; run {how}: what is stored already is not stored twice"
        )
    }

    /// Tells what became of an import that came to the end of its file.
    pub(super) fn conclude(&self, as_json: bool) -> Result<ExitCode, Failure> {
        if let Some(bookmark) = &self.bookmark {
            bookmark.remove();
        }
        let (tally, rejects) = (&self.tally, self.rejects.path());
        if as_json { print_json(&tally.json(rejects)) } else { print(&tally.ending(rejects)) }?;
        Ok(if tally.counts.rejected == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}
