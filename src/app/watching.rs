//! Noticing that the configuration file changed: edited in place, replaced, or swapped by a symbolic link as Kubernetes does.
//!
//! Polls: notifications of the file system miss network mounts and swapped links. A change counts once it has stood still for one look, so that a file
//! that is being written is not read half-way; whoever replaces the file by renaming has nothing to fear at all.

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

/// One file under watch.
pub(super) struct Watch {
    path: PathBuf,
    stat: Stat,
    /// What was last acted upon.
    known: Content,
    /// Seen once, and not acted upon yet.
    fresh: Option<Content>,
}

impl Watch {
    /// Watches a file whose content of now is known.
    pub(super) fn on(path: PathBuf) -> Self {
        let mut watch = Self { path, stat: None, known: None, fresh: None };
        watch.acknowledge();
        watch
    }

    /// Takes the content of now as known.
    pub(super) fn acknowledge(&mut self) {
        (self.stat, self.known, self.fresh) = (self.stat(), self.content(), None);
    }

    /// Looks once; whether there is a content that nobody has acted upon and that has stood still since the last look.
    pub(super) fn changed(&mut self) -> bool {
        let stat = self.stat();
        if stat == self.stat && self.fresh.is_none() {
            return false;
        }
        self.stat = stat;
        let content = self.content();
        if content == self.known {
            self.fresh = None;
            return false;
        }
        if self.fresh != Some(content) {
            self.fresh = Some(content);
            return false;
        }
        (self.known, self.fresh) = (content, None);
        true
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
        assert!(!watch.changed());
        fs::write(&path, "half").unwrap();
        assert!(!watch.changed());
        fs::write(&path, "half and whole").unwrap();
        assert!(!watch.changed());
        assert!(watch.changed() && !watch.changed());
        fs::write(&path, "half and whole").unwrap();
        assert!(!watch.changed() && !watch.changed(), "the same content is no change");
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
        let mut noticed = || !watch.changed() && watch.changed();
        fs::write(&next, "replaced").unwrap();
        fs::rename(&next, &path).unwrap();
        assert!(noticed());
        symlink("one", &data).unwrap();
        symlink("..data/optgate.toml", &next).unwrap();
        fs::rename(&next, &path).unwrap();
        assert!(noticed());
        symlink("two", &next).unwrap();
        fs::rename(&next, &data).unwrap();
        assert!(noticed());
        fs::remove_file(&path).unwrap();
        assert!(noticed());
    }
}
