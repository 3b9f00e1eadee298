//! What commands print: text for people, JSON for programs.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;

use serde_json::Value;

use super::failure::Failure;

/// Prints to standard output. A reader who has gone away, such as `head`, is no failure.
pub(super) fn print(text: &str) -> Result<(), Failure> {
    match io::stdout().lock().write_all(text.as_bytes()) {
        Err(cause) if cause.kind() != io::ErrorKind::BrokenPipe => Err(Failure::Output(cause)),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Prints one JSON document.
pub(super) fn print_json(value: &Value) -> Result<(), Failure> {
    print(&format!("{value}\n"))
}

/// Makes a file that holds people's numbers: only its owner may read it.
pub(super) fn create_private(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// Columns under a heading, each as wide as its widest cell.
pub(super) fn table<const N: usize>(heading: [&str; N], rows: &[[String; N]]) -> String {
    let heading = heading.map(str::to_owned);
    let all = || std::iter::once(&heading).chain(rows);
    let widths: Vec<usize> = (0..N)
        .map(|at| all().filter_map(|row| row.get(at)).map(|c| c.chars().count()).max().unwrap_or(0))
        .collect();
    let line = |row: &[String; N]| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect::<Vec<_>>();
        cells.join("  ").trim_end().to_owned() + "\n"
    };
    all().map(line).collect()
}

/// A member of an answer as a person reads it; `-` where there is none.
pub(super) fn shown(value: &Value, member: &str) -> String {
    match value.get(member) {
        None | Some(Value::Null) => "-".to_owned(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = [["marketing".to_owned(), "x".to_owned()], ["call".to_owned(), String::new()]];
        assert_eq!(table(["WHAT", "IS"], &rows), "WHAT       IS\nmarketing  x\ncall\n");
    }
}
