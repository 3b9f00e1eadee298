//! Cutting a stream into lines in constant memory.

use bytes::{Bytes, BytesMut};

/// The longest line that is read; an event with all its evidence is a hundredth of it.
pub(super) const MAX_LINE: usize = 64 * 1024;

/// One line of a stream.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// A line within the limit, without its end.
    Whole(Bytes),
    /// A line over the limit, which was not kept.
    TooLong,
}

/// The lines of a stream, numbered from 1. Blank lines are counted and skipped.
#[derive(Debug, Default)]
pub(super) struct Lines {
    held: BytesMut,
    /// How much of `held` is known to hold no line end.
    searched: usize,
    /// The line that `held` begins in is already over the limit.
    too_long: bool,
    number: u64,
}

impl Lines {
    /// Takes the next piece of the stream; call [`Lines::next`] until it gives nothing before the next piece.
    pub(super) fn push(&mut self, piece: &[u8]) {
        self.held.extend_from_slice(piece);
    }

    /// The next complete line.
    pub(super) fn next(&mut self) -> Option<(u64, Line)> {
        loop {
            let unsearched = self.held.get(self.searched..).unwrap_or_default();
            let Some(end) = memchr::memchr(b'\n', unsearched) else {
                self.let_go_of_too_much();
                return None;
            };
            let line = self.held.split_to(self.searched + end + 1);
            if let Some(numbered) = self.cut(line) {
                return Some(numbered);
            }
        }
    }

    /// The last line, where the stream did not end with a line end.
    pub(super) fn finish(mut self) -> Option<(u64, Line)> {
        let rest = self.held.split();
        if rest.is_empty() && !self.too_long { None } else { self.cut(rest) }
    }

    fn cut(&mut self, line: BytesMut) -> Option<(u64, Line)> {
        self.searched = 0;
        self.number += 1;
        let too_long = std::mem::take(&mut self.too_long) || line.len() > MAX_LINE;
        if too_long {
            return Some((self.number, Line::TooLong));
        }
        let line = line.freeze();
        let content = line.trim_ascii();
        (!content.is_empty()).then(|| (self.number, Line::Whole(line.slice_ref(content))))
    }

    fn let_go_of_too_much(&mut self) {
        self.searched = self.held.len();
        if self.too_long || self.held.len() > MAX_LINE {
            self.too_long = true;
            self.held.clear();
            self.searched = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn cut(pieces: &[&[u8]]) -> Vec<(u64, Option<Vec<u8>>)> {
        let mut lines = Lines::default();
        let mut found = Vec::new();
        for piece in pieces {
            lines.push(piece);
            while let Some(numbered) = lines.next() {
                found.push(numbered);
            }
            assert!(lines.held.len() <= MAX_LINE, "no more than one line is held");
        }
        found.extend(lines.finish());
        let content = |line| match line {
            Line::Whole(bytes) => Some(bytes.to_vec()),
            Line::TooLong => None,
        };
        found.into_iter().map(|(number, line)| (number, content(line))).collect()
    }

    #[test]
    fn blank_lines_are_counted_and_skipped_and_the_last_line_needs_no_end() {
        let found = cut(&[b"a\r\n\n  \nb", b"c\nd"]);
        assert_eq!(found, [(1, Some(b"a".to_vec())), (4, Some(b"bc".to_vec())), (5, Some(b"d".to_vec()))]);
        assert!(cut(&[b"", b"\n"]).is_empty());
    }

    #[test]
    fn a_line_over_the_limit_is_let_go_and_the_next_one_is_read() {
        let long = vec![b'x'; MAX_LINE / 2 + 1];
        let expected = vec![(1, None), (2, Some(b"a".to_vec()))];
        assert_eq!(cut(&[&long, &long, &long, &long, b"y\na"]), expected);
        assert_eq!(cut(&[&[&long[..], &long, b"\na"].concat()]), expected);
        assert_eq!(cut(&[&long, &long]), vec![(1, None)]);
    }

    proptest! {
        #[test]
        fn how_the_stream_is_cut_into_pieces_does_not_matter(text in "[a-c\n ]{0,40}", at in 0usize..40) {
            let bytes = text.as_bytes();
            let (head, tail) = bytes.split_at(at.min(bytes.len()));
            prop_assert_eq!(cut(&[head, tail]), cut(&[bytes]));
        }
    }
}
