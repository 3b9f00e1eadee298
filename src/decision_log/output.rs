//! The file that lines go to, which may be full, renamed away or a pipe.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

use super::{OnFull, Sink};

/// How often a fault that stays is reported.
const REPORT_EVERY: Duration = Duration::from_secs(60);

/// Where lines go now.
#[derive(Debug)]
pub(super) struct Output {
    sink: Sink,
    file: File,
    reported: Option<Instant>,
    on_full: OnFull,
}

impl Output {
    /// Opens it; `on_full` only says what a fault is reported to lead to.
    pub(super) fn open(sink: Sink, on_full: OnFull) -> io::Result<Self> {
        let file = open(&sink)?;
        Ok(Self { sink, file, reported: None, on_full })
    }

    /// Opens the file anew. If that fails the old one stays in use.
    pub(super) fn reopen(&mut self) {
        match open(&self.sink) {
            Ok(file) => self.file = file,
            Err(error) => {
                tracing::error!(error = %error, "decision log not reopened, the old file stays in use");
            }
        }
    }

    /// Writes some bytes; a fault is reported once a minute and is the caller's to retry.
    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = match self.file.write(bytes) {
            Ok(0) => Err(io::ErrorKind::WriteZero.into()),
            other => other,
        };
        match &written {
            Ok(_) => self.report_recovery(),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => self.report(error),
        }
        written
    }

    /// Waits until what was written is on the disk. A pipe or a terminal has none: their refusal is no fault.
    pub(super) fn sync(&self) {
        if let (Sink::File(_), Err(error)) = (&self.sink, self.file.sync_data()) {
            tracing::warn!(error = %error, "decision log not synced to disk");
        }
    }

    fn report(&mut self, error: &io::Error) {
        if self.reported.is_none_or(|at| at.elapsed() >= REPORT_EVERY) {
            self.reported = Some(Instant::now());
            match self.on_full {
                OnFull::Wait => tracing::error!(
                    error = %error,
                    "decision log cannot be written; once its queue is full, sends wait, then are refused"
                ),
                OnFull::Drop => tracing::error!(
                    error = %error,
                    "decision log cannot be written; once its queue is full, sends go on unrecorded and are counted"
                ),
            }
        }
    }

    fn report_recovery(&mut self) {
        if self.reported.take().is_some() {
            tracing::info!("decision log is written again");
        }
    }
}

/// Opens what lines are appended to; a line that was cut short is ended first.
pub fn open(sink: &Sink) -> io::Result<File> {
    match sink {
        // A copy of the descriptor: the standard library's own handle would buffer by line.
        Sink::Stdout => io::stdout().as_fd().try_clone_to_owned().map(File::from),
        Sink::File(path) => open_file(path),
    }
}

fn open_file(path: &Path) -> io::Result<File> {
    let mut file = OpenOptions::new().create(true).append(true).read(true).mode(0o640).open(path)?;
    // A line cut short when an earlier process died must not swallow the first one of this.
    if file.metadata()?.is_file() && file.seek(SeekFrom::End(0))? > 0 {
        let mut last = [0];
        file.seek(SeekFrom::End(-1))?;
        file.read_exact(&mut last)?;
        if last != *b"\n" {
            file.write_all(b"\n")?;
        }
    }
    Ok(file)
}
