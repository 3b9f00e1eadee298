//! The token that a gate without configured tokens makes for its own operator.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use aws_lc_rs::digest;

use super::auth::{Scope, Scopes, Token};

/// The file's name in the data folder, and the token's.
pub const FILE: &str = "admin.token";
/// Shorter text is no token of ours: somebody cut the file.
const MIN_CHARS: usize = 32;

/// Reads the token of a data folder, or makes one, readable by its owner only; the token has the scope `admin`.
///
/// The file appears whole or not at all, so that a start that was cut short leaves no half a token.
///
/// # Errors
/// The file or folder cannot be read or written, or the file holds no token or may be read by others.
pub fn ensure_admin_token(data_dir: &Path) -> io::Result<Token> {
    fs::create_dir_all(data_dir)?;
    let path = data_dir.join(FILE);
    let text = match fs::read_to_string(&path) {
        Ok(text) => checked(&path, text)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => make(&path)?,
        Err(error) => return Err(error),
    };
    let mut sha256 = [0; 32];
    sha256.copy_from_slice(digest::digest(&digest::SHA256, text.trim().as_bytes()).as_ref());
    Ok(Token { name: FILE.to_owned(), sha256, scopes: Scopes::from_iter([Scope::Admin]), tenants: None })
}

fn checked(path: &Path, text: String) -> io::Result<String> {
    let refuse =
        |what: &str| io::Error::new(io::ErrorKind::InvalidData, format!("{}: {what}", path.display()));
    if fs::metadata(path)?.permissions().mode() & 0o077 != 0 {
        return Err(refuse("others may read it; run chmod 600 on it, or remove it to have a new one made"));
    }
    if text.trim().len() < MIN_CHARS {
        return Err(refuse("holds no token; remove it to have a new one made"));
    }
    Ok(text)
}

fn make(path: &Path) -> io::Result<String> {
    let mut random = [0; 32];
    getrandom::fill(&mut random).map_err(io::Error::other)?;
    let text = hex::encode(random);
    let draft = PathBuf::from(format!("{}.{}", path.display(), std::process::id()));
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
    file.write_all(text.as_bytes())?;
    file.write_all(b"\n")?;
    file.sync_all()?;
    fs::rename(&draft, path)?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_token_is_made_once_and_is_its_owners_alone() {
        let folder = tempfile::tempdir().unwrap();
        let data_dir = folder.path().join("data");
        let first = ensure_admin_token(&data_dir).unwrap();
        let text = fs::read_to_string(data_dir.join(FILE)).unwrap();
        assert_eq!(digest::digest(&digest::SHA256, text.trim().as_bytes()).as_ref(), first.sha256);
        assert_eq!(fs::metadata(data_dir.join(FILE)).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(&data_dir).unwrap().count(), 1);
        assert_eq!(ensure_admin_token(&data_dir).unwrap().sha256, first.sha256);
        assert!(first.scopes.contains(Scope::PolicyWrite));
    }

    #[test]
    fn a_token_that_others_may_read_or_that_is_cut_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        ensure_admin_token(folder.path()).unwrap();
        let path = folder.path().join(FILE);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        assert!(ensure_admin_token(folder.path()).unwrap_err().to_string().contains("chmod 600"));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        fs::write(&path, "abc").unwrap();
        assert!(ensure_admin_token(folder.path()).unwrap_err().to_string().contains("no token"));
    }
}
