//! Where a profile keeps its files, and with which rights.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use crate::error::{CliError, Result};

/// The longest profile name; it becomes the name of a folder.
const PROFILE_NAME_MAX_BYTES: usize = 64;

/// One account on this machine: a name and a folder.
#[derive(Clone, Debug)]
pub struct Profile {
    /// The name given with `--profile`.
    pub name: String,
    dir: PathBuf,
}

impl Profile {
    /// Opens the profile `name` under `home`; nothing is created yet.
    ///
    /// # Errors
    /// A name that is empty, too long or not made of letters, digits, `-`, `_` and `.`.
    pub fn new(home: &Path, name: &str) -> Result<Self> {
        let fits = !name.is_empty()
            && name.len() <= PROFILE_NAME_MAX_BYTES
            && !name.starts_with('.')
            && name.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c));
        if !fits {
            return Err(CliError::BadProfileName(name.to_owned()));
        }
        Ok(Self { name: name.to_owned(), dir: home.join(name) })
    }

    /// The folder of the profile.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The file with the session: homeserver, user, device, access token, store key.
    pub fn session_file(&self) -> PathBuf {
        self.dir.join("session.json")
    }

    /// The folder of the encrypted SQLite stores.
    pub fn store_dir(&self) -> PathBuf {
        self.dir.join("store")
    }

    /// The file with the sync position up to which `pli listen` has printed everything.
    pub fn listen_cursor_file(&self) -> PathBuf {
        self.dir.join("listen-cursor")
    }

    /// Creates the folders of the profile, readable by their owner only.
    ///
    /// # Errors
    /// When the file system refuses.
    pub fn create(&self) -> Result<()> {
        create_private_dir(&self.store_dir())
    }

    /// Deletes everything the profile keeps.
    ///
    /// # Errors
    /// When the file system refuses.
    pub fn delete(&self) -> Result<()> {
        match fs::remove_dir_all(&self.dir) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(CliError::file(&self.dir, error))
            }
            _ => Ok(()),
        }
    }
}

/// The folder of all profiles: `PLI_HOME`, else `$XDG_DATA_HOME/pli`, else `~/.local/share/pli`.
///
/// # Errors
/// When none of the variables tells a folder.
pub fn home(env: impl Fn(&str) -> Option<String>) -> Result<PathBuf> {
    let var = |name: &str| env(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    var("PLI_HOME")
        .or_else(|| var("XDG_DATA_HOME").map(|dir| dir.join("pli")))
        .or_else(|| var("HOME").map(|dir| dir.join(".local/share/pli")))
        .ok_or(CliError::NoHome)
}

/// Names of the profiles that hold a session, sorted.
///
/// # Errors
/// When the folder exists and cannot be read.
pub fn list(home: &Path) -> Result<Vec<String>> {
    let entries = match fs::read_dir(home) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(CliError::file(home, error)),
    };
    let mut names: Vec<String> = entries
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| Profile::new(home, name).is_ok_and(|p| p.session_file().is_file()))
        .collect();
    names.sort_unstable();
    Ok(names)
}

/// Creates a folder and its parents with mode 0700; an existing one is narrowed to 0700.
///
/// # Errors
/// When the file system refuses.
pub fn create_private_dir(dir: &Path) -> Result<()> {
    let failed = |error| CliError::file(dir, error);
    DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(failed)?;
    fs::set_permissions(dir, fs::Permissions::from_mode(0o700)).map_err(failed)
}

/// Writes a file with mode 0600 whole or not at all: a new file takes the place of the old one.
///
/// # Errors
/// When the file system refuses.
pub fn write_private(path: &Path, content: &[u8]) -> Result<()> {
    let failed = |error| CliError::file(path, error);
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.new", std::process::id()));
    let new = path.with_file_name(name);
    let write = || {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
        file.write_all(content)?;
        file.sync_all()?;
        fs::rename(&new, path)
    };
    write().inspect_err(|_| drop(fs::remove_file(&new))).map_err(failed)
}

/// Narrows every file of a folder to mode 0600 and every folder to 0700.
///
/// # Errors
/// When the file system refuses.
pub fn make_private(dir: &Path) -> Result<()> {
    let failed = |error| CliError::file(dir, error);
    for entry in fs::read_dir(dir).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let is_dir = path.is_dir();
        let mode = if is_dir { 0o700 } else { 0o600 };
        match fs::set_permissions(&path, fs::Permissions::from_mode(mode)) {
            // SQLite removes its side files when the last connection closes.
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
            _ => {}
        }
        if is_dir {
            make_private(&path)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn folders_and_files_are_private() {
        let home = tempfile::tempdir().unwrap();
        let profile = Profile::new(home.path(), "work").unwrap();
        profile.create().unwrap();
        write_private(&profile.session_file(), b"{}").unwrap();
        write_private(&profile.session_file(), b"{ }").unwrap();
        assert_eq!(mode(profile.dir()), 0o700);
        assert_eq!(mode(&profile.store_dir()), 0o700);
        assert_eq!(mode(&profile.session_file()), 0o600);
        assert_eq!(fs::read(profile.session_file()).unwrap(), b"{ }");
        assert_eq!(fs::read_dir(profile.dir()).unwrap().count(), 2, "no temporary file stays");
    }

    #[test]
    fn a_store_written_by_a_library_is_narrowed() {
        let home = tempfile::tempdir().unwrap();
        fs::create_dir(home.path().join("a")).unwrap();
        fs::write(home.path().join("a/db"), b"").unwrap();
        fs::set_permissions(home.path().join("a/db"), fs::Permissions::from_mode(0o644)).unwrap();
        make_private(home.path()).unwrap();
        assert_eq!(mode(&home.path().join("a")), 0o700);
        assert_eq!(mode(&home.path().join("a/db")), 0o600);
    }

    #[test]
    fn names_cannot_leave_the_folder() {
        let home = Path::new("/h");
        for bad in ["", "..", ".x", "a/b", "é", "a b", &"x".repeat(65)] {
            assert!(Profile::new(home, bad).is_err(), "{bad}");
        }
        assert_eq!(Profile::new(home, "a.b-c_1").unwrap().dir(), Path::new("/h/a.b-c_1"));
    }

    #[test]
    fn the_home_has_an_order() {
        let of = |vars: &[(&str, &str)]| {
            home(|name| vars.iter().find(|(n, _)| *n == name).map(|(_, v)| (*v).to_owned())).ok()
        };
        assert_eq!(of(&[("PLI_HOME", "/p"), ("HOME", "/h")]), Some(PathBuf::from("/p")));
        assert_eq!(of(&[("XDG_DATA_HOME", "/x"), ("HOME", "/h")]), Some(PathBuf::from("/x/pli")));
        assert_eq!(
            of(&[("PLI_HOME", ""), ("HOME", "/h")]),
            Some(PathBuf::from("/h/.local/share/pli"))
        );
        assert_eq!(of(&[]), None);
    }

    #[test]
    fn only_profiles_with_a_session_are_listed() {
        let home = tempfile::tempdir().unwrap();
        assert!(list(&home.path().join("absent")).unwrap().is_empty());
        for name in ["b", "a"] {
            let profile = Profile::new(home.path(), name).unwrap();
            profile.create().unwrap();
            write_private(&profile.session_file(), b"{}").unwrap();
        }
        Profile::new(home.path(), "empty").unwrap().create().unwrap();
        assert_eq!(list(home.path()).unwrap(), ["a", "b"]);
    }
}
