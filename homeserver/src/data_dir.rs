//! The data directory: what is where, and who may read it.

use std::{
    fs,
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use pli_core::{Random, SigningKey};

/// What went wrong in the data directory. The text names the file.
#[derive(Debug, thiserror::Error)]
#[error("{}: {what}", .path.display())]
pub struct DataDirError {
    path: PathBuf,
    what: String,
}

impl DataDirError {
    pub(crate) fn new(path: &Path, what: impl ToString) -> Self {
        Self { path: path.to_owned(), what: what.to_string() }
    }
}

/// The data directory.
#[derive(Clone, Debug)]
pub struct DataDir(PathBuf);

impl DataDir {
    /// The directory at a path, whether it is there or not.
    #[must_use]
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// Makes the directory with mode 0700 if it is not there.
    ///
    /// # Errors
    /// [`DataDirError`] if it cannot be made.
    pub fn create(&self) -> Result<(), DataDirError> {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.0)
            .map_err(|error| DataDirError::new(&self.0, error))?;
        let there = fs::metadata(&self.0).map_err(|error| DataDirError::new(&self.0, error))?;
        if there.permissions().mode() & 0o007 != 0 {
            // Volumes of containers often come so; the key inside is private in any case.
            tracing::warn!(path = %self.0.display(), "everybody may look into the data directory");
        }
        Ok(())
    }

    /// The directory itself.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The store.
    #[must_use]
    pub fn store(&self) -> PathBuf {
        self.0.join("store")
    }

    /// The signing key.
    #[must_use]
    pub fn signing_key(&self) -> PathBuf {
        self.0.join("signing.key")
    }

    /// The keys with which this server signed once.
    #[must_use]
    pub fn old_signing_keys_file(&self) -> PathBuf {
        self.0.join("old_signing.keys")
    }

    /// The socket through which commands reach the running server.
    #[must_use]
    pub fn control_socket(&self) -> PathBuf {
        self.0.join("control.sock")
    }

    /// The signing key; a new one is made if there is none.
    ///
    /// # Errors
    /// [`DataDirError`] if the file cannot be read or written, or holds no key.
    pub fn load_or_make_signing_key(&self, random: &Random) -> Result<SigningKey, DataDirError> {
        let path = self.signing_key();
        if !path.exists() {
            write_new_key(&path, random)?;
        }
        let text = fs::read_to_string(&path).map_err(|error| DataDirError::new(&path, error))?;
        SigningKey::from_line(text.trim()).map_err(|error| DataDirError::new(&path, error))
    }
}

/// Writes a new signing key to a new file of mode 0600, durably: a key that signed something and was
/// then lost with the power would be a different server.
///
/// # Errors
/// [`DataDirError`] if the file exists or cannot be written.
pub fn write_new_key(path: &Path, random: &Random) -> Result<SigningKey, DataDirError> {
    let version = format!("a_{}", random.letters(4));
    let key = SigningKey::generate(&version).map_err(|error| DataDirError::new(path, error))?;
    write_secret(path, &key.to_line()).map_err(|error| DataDirError::new(path, error))?;
    Ok(key)
}

fn write_secret(path: &Path, text: &str) -> io::Result<()> {
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes())?;
    file.write_all(b"\n")?;
    file.sync_all()?;
    match path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        Some(parent) => fs::File::open(parent)?.sync_all(),
        None => fs::File::open(".")?.sync_all(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directory_and_key_are_private_and_the_key_stays() {
        let parent = tempfile::tempdir().unwrap();
        let dir = DataDir::at(parent.path().join("a/b"));
        dir.create().unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(dir.path()), 0o700);
        let random = Random::from_os();
        let first = dir.load_or_make_signing_key(&random).unwrap();
        assert_eq!(mode(&dir.signing_key()), 0o600);
        let again = dir.load_or_make_signing_key(&random).unwrap();
        assert_eq!(first.key_id(), again.key_id());
        assert_eq!(first.public_key(), again.public_key());
        assert!(write_new_key(&dir.signing_key(), &random).is_err());
    }
}
