//! The last decisions, kept in memory so that one can be looked up by its id.
//!
//! Keeps what was written as it was written, chunk by chunk, and searches it when somebody asks: recording costs one copy, and asking is rare. The newest chunk takes the
//! place of the oldest where that fits: memory that is asked for anew has to be given by the system page by page.

use std::collections::VecDeque;

use memchr::{memchr, memmem, memrchr};

/// Whatever their number, the lines kept take no more memory than this.
const MAX_BYTES: usize = 16 << 20;

/// The last lines written.
#[derive(Debug)]
pub(super) struct Recent {
    chunks: VecDeque<Chunk>,
    keep: usize,
    lines: usize,
    /// What the chunks take.
    bytes: usize,
    /// What the chunk that went last was kept in.
    spare: Vec<u8>,
}

/// Lines that were written together.
#[derive(Debug)]
struct Chunk {
    text: Vec<u8>,
    lines: usize,
}

impl Recent {
    /// Keeps at least this many lines, unless they take too much memory, and at most one chunk more.
    pub(super) fn keeping(keep: usize) -> Self {
        Self { chunks: VecDeque::new(), keep, lines: 0, bytes: 0, spare: Vec::new() }
    }

    pub(super) fn push(&mut self, text: &[u8], lines: usize) {
        if self.keep == 0 {
            return;
        }
        let mut kept = std::mem::take(&mut self.spare);
        let room = text.len()..=text.len().saturating_mul(2);
        if !room.contains(&kept.capacity()) {
            kept = Vec::with_capacity(text.len());
        }
        kept.extend_from_slice(text);
        self.lines += lines;
        self.bytes += kept.capacity();
        self.chunks.push_back(Chunk { text: kept, lines });
        while let Some(oldest) = self.chunks.front() {
            if self.lines - oldest.lines < self.keep && self.bytes <= MAX_BYTES {
                return;
            }
            self.lines -= oldest.lines;
            self.bytes -= oldest.text.capacity();
            self.spare = self.chunks.pop_front().map(|oldest| oldest.text).unwrap_or_default();
            self.spare.clear();
        }
    }

    /// The newest line in which a field has a value that needs no escaping, without its newline.
    pub(super) fn find(&self, field: &str, value: &str) -> Option<String> {
        // No string inside a line can hold this: JSON escapes the quotes.
        let wanted = format!("\"{field}\":\"{value}\"");
        let finder = memmem::FinderRev::new(&wanted);
        let hit = |chunk: &Chunk| line_around(&chunk.text, finder.rfind(&chunk.text)?);
        self.chunks.iter().rev().find_map(hit)
    }
}

/// The line that holds a byte, without its newline.
pub(super) fn line_around(text: &[u8], at: usize) -> Option<String> {
    let (before, after) = text.split_at_checked(at)?;
    let start = memrchr(b'\n', before).map_or(0, |newline| newline + 1);
    let end = memchr(b'\n', after).map_or(text.len(), |newline| at + newline);
    String::from_utf8(text.get(start..end)?.to_vec()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(n: u32) -> String {
        format!("{{\"time\":\"t\",\"id\":\"{n:04}\",\"n\":{n}}}\n")
    }

    fn find(recent: &Recent, n: u32) -> Option<String> {
        recent.find("id", &format!("{n:04}"))
    }

    #[test]
    fn the_line_of_a_kept_decision_is_found_in_the_middle_of_its_chunk() {
        let mut recent = Recent::keeping(10);
        recent.push([line(1), line(2), line(3)].concat().as_bytes(), 3);
        for n in 1..=3 {
            assert_eq!(find(&recent, n).unwrap(), line(n).trim_end());
        }
        assert_eq!(find(&recent, 4), None);
    }

    #[test]
    fn old_decisions_make_room() {
        let mut recent = Recent::keeping(10);
        for n in 0..1000 {
            recent.push(line(n).as_bytes(), 1);
        }
        assert!(recent.chunks.len() == 10 && find(&recent, 989).is_none() && find(&recent, 990).is_some());
    }

    #[test]
    fn a_chunk_that_takes_the_place_of_another_holds_its_own_lines_alone() {
        let mut recent = Recent::keeping(5);
        for n in 0..1000 {
            let lines: Vec<String> = (0..=n % 7).map(|m| line(10 * n + m)).collect();
            recent.push(lines.concat().as_bytes(), lines.len());
            for m in 0..=n % 7 {
                assert_eq!(find(&recent, 10 * n + m).unwrap(), line(10 * n + m).trim_end());
            }
        }
        let lines_in = |chunk: &Chunk| memchr::memchr_iter(b'\n', &chunk.text).count();
        assert!(recent.chunks.iter().all(|chunk| lines_in(chunk) == chunk.lines) && recent.lines < 5 + 7);
        assert_eq!(recent.bytes, recent.chunks.iter().map(|chunk| chunk.text.capacity()).sum::<usize>());
    }

    #[test]
    fn memory_is_bounded_whatever_the_lines_hold() {
        let mut recent = Recent::keeping(usize::MAX);
        for _ in 0..40 {
            recent.push(&vec![b'x'; 1 << 20], 1);
        }
        assert_eq!(recent.bytes, MAX_BYTES);
    }
}
