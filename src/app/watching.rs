//! Noticing that a file changed: edited in place, replaced, or swapped by a symbolic link as Kubernetes does.
//!
//! Polls: notifications of the file system miss network mounts and swapped links. A change counts once it has stood still for one look, so that a file
//! that is being written is not read half-way. That is no proof that it is whole: who writes it may have died, or found the disk full. Whoever replaces the
//! file by renaming has nothing to fear.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::time::Duration;

use aws_lc_rs::digest;

/// How often to look.
pub(super) const LOOK_EVERY: Duration = Duration::from_millis(500);

/// A digest of the content; `None` is a file that cannot be read.
type Content = Option<[u8; 32]>;
/// What tells a file that was touched: device, inode, size, and both times of change in nanoseconds.
type Stat = Option<(u64, u64, u64, i128, i128)>;

/// How a file came to be another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// Somebody wrote into it, and may not have come to the end; or it is gone.
    InPlace,
    /// Another file stands in its place.
    Replaced,
}

/// Whether a text that was written in place looks like a part of what somebody meant to write: the beginning of what stood there before, or a last line
/// without its end where there was one before.
pub(super) fn looks_half_written(before: &[u8], now: &[u8]) -> bool {
    let cut_off = now.len() < before.len() && before.starts_with(now);
    let in_a_line = before.ends_with(b"\n") && !now.ends_with(b"\n");
    cut_off || in_a_line
}

/// One file under watch.
pub(super) struct Watch {
    path: PathBuf,
    stat: Stat,
    /// What was last acted upon.
    known: Content,
    /// Which file held that: device and inode.
    file: Option<(u64, u64)>,
    /// Seen once, and not acted upon yet.
    fresh: Option<Content>,
}

impl Watch {
    /// Watches a file whose content of now is known.
    pub(super) fn on(path: PathBuf) -> Self {
        let mut watch = Self { path, stat: None, known: None, file: None, fresh: None };
        watch.acknowledge();
        watch
    }

    /// Takes the content of now as known.
    pub(super) fn acknowledge(&mut self) {
        (self.stat, self.known, self.fresh) = (self.stat(), self.content(), None);
        self.file = self.place();
    }

    /// Looks once; how the file changed if there is a content that nobody has acted upon and that has stood still since the last look.
    pub(super) fn changed(&mut self) -> Option<Change> {
        let stat = self.stat();
        if stat == self.stat && self.fresh.is_none() {
            return None;
        }
        self.stat = stat;
        let content = self.content();
        if content == self.known {
            (self.fresh, self.file) = (None, self.place());
            return None;
        }
        if self.fresh != Some(content) {
            self.fresh = Some(content);
            return None;
        }
        // A file that was away is written anew, and may not be whole either.
        let replaced = self.place().is_some() && self.file.is_some() && self.place() != self.file;
        (self.known, self.fresh, self.file) = (content, None, self.place());
        Some(if replaced { Change::Replaced } else { Change::InPlace })
    }

    /// Which file was seen last.
    fn place(&self) -> Option<(u64, u64)> {
        self.stat.map(|(device, inode, ..)| (device, inode))
    }

    fn stat(&self) -> Stat {
        let found = fs::metadata(&self.path).ok()?;
        let at = |seconds: i64, nanos: i64| i128::from(seconds) * 1_000_000_000 + i128::from(nanos);
        let modified = at(found.mtime(), found.mtime_nsec());
        Some((found.dev(), found.ino(), found.len(), modified, at(found.ctime(), found.ctime_nsec())))
    }

    fn content(&self) -> Content {
        let content = fs::read(&self.path).ok()?;
        digest::digest(&digest::SHA256, &content).as_ref().first_chunk().copied()
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_change_counts_once_and_only_after_it_stood_still() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("optgate.toml");
        fs::write(&path, "a").unwrap();
        let mut watch = Watch::on(path.clone());
        assert_eq!(watch.changed(), None);
        fs::write(&path, "half").unwrap();
        assert_eq!(watch.changed(), None);
        fs::write(&path, "half and whole").unwrap();
        assert_eq!(watch.changed(), None);
        assert_eq!((watch.changed(), watch.changed()), (Some(Change::InPlace), None));
        fs::write(&path, "half and whole").unwrap();
        assert_eq!((watch.changed(), watch.changed()), (None, None), "the same content is no change");
    }

    #[test]
    fn what_was_cut_off_looks_half_written_and_an_edit_does_not() {
        for (before, now, half) in [
            ("a\nb\n", "a\n", true),
            ("a\nb\n", "", true),
            ("a\nb", "a\n", true),
            ("a\nb\n", "a\nb\nc", true),
            ("a\nb\n", "a\nb\nc\n", false),
            ("a\nb\n", "b\n", false),
            ("a\nb\n", "a\nB\n", false),
            ("a", "b", false),
            ("", "a", false),
        ] {
            assert_eq!(looks_half_written(before.as_bytes(), now.as_bytes()), half, "{before:?} {now:?}");
        }
    }

    #[test]
    fn replaced_swapped_and_removed_files_are_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let [path, next, data] = ["optgate.toml", "next", "..data"].map(|name| folder.path().join(name));
        for version in ["one", "two"] {
            fs::create_dir(folder.path().join(version)).unwrap();
            fs::write(folder.path().join(version).join("optgate.toml"), version).unwrap();
        }
        fs::write(&path, "zero").unwrap();
        let mut watch = Watch::on(path.clone());
        let mut noticed = || watch.changed().is_none().then(|| watch.changed()).flatten();
        let replaced = Some(Change::Replaced);
        fs::write(&next, "replaced").unwrap();
        fs::rename(&next, &path).unwrap();
        assert_eq!(noticed(), replaced);
        // The same content in another file is no change, and the file to compare with from then on.
        fs::write(&next, "replaced").unwrap();
        fs::rename(&next, &path).unwrap();
        assert_eq!(noticed(), None);
        fs::write(&path, "in place").unwrap();
        assert_eq!(noticed(), Some(Change::InPlace));
        symlink("one", &data).unwrap();
        symlink("..data/optgate.toml", &next).unwrap();
        fs::rename(&next, &path).unwrap();
        assert_eq!(noticed(), replaced);
        symlink("two", &next).unwrap();
        fs::rename(&next, &data).unwrap();
        assert_eq!(noticed(), replaced);
        fs::remove_file(&path).unwrap();
        assert_eq!(noticed(), Some(Change::InPlace));
        fs::write(&path, "anew").unwrap();
        assert_eq!(noticed(), Some(Change::InPlace));
    }
}
