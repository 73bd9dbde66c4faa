//! A new signing key in place of the old one, and the old ones that stay published
//! (<https://spec.matrix.org/v1.19/server-server-api/#publishing-keys>, `old_verify_keys`).
//!
//! `old_signing.keys` in the data directory has a line `ed25519 NAME PUBLIC_KEY ENDED_MS` for each key
//! that this server signed with once: nothing of it is secret.

use std::{
    collections::BTreeMap,
    fs,
    io::{self, Write},
    path::Path,
};

use pli_core::{Random, SigningKey, federation::OldKey};
use ruma::{OwnedServerSigningKeyId, serde::Base64};

use crate::data_dir::{DataDir, DataDirError, write_new_key};

/// Earlier keys that are published, at most.
const OLD_MAX: usize = 50;

impl DataDir {
    /// The keys with which this server signed once, but for the one with which it signs now.
    ///
    /// # Errors
    /// [`DataDirError`] if the file cannot be read, or a line of it is no such key.
    pub fn old_signing_keys(
        &self,
        current: &SigningKey,
    ) -> Result<BTreeMap<OwnedServerSigningKeyId, OldKey>, DataDirError> {
        let path = self.old_signing_keys_file();
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
            Err(error) => return Err(DataDirError::new(&path, error)),
        };
        let mut keys = BTreeMap::new();
        for line in text.lines().map(str::trim) {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let read = parse(line);
            let (id, key) =
                read.ok_or_else(|| DataDirError::new(&path, format!("not an old key: {line}")))?;
            if id != *current.key_id() {
                keys.insert(id, key);
            }
        }
        if keys.len() > OLD_MAX {
            return Err(DataDirError::new(&path, "more than 50 old keys"));
        }
        Ok(keys)
    }

    /// Makes a new signing key; the old one is noted down as ended now. The server must not run. After a
    /// crash in between the old key is still the one that signs.
    ///
    /// # Errors
    /// [`DataDirError`] if there is no key, or a file cannot be written.
    pub fn rotate_signing_key(
        &self,
        random: &Random,
        now_ms: u64,
    ) -> Result<SigningKey, DataDirError> {
        let path = self.signing_key();
        let failed = |error: io::Error| DataDirError::new(&path, error);
        let text = fs::read_to_string(&path).map_err(failed)?;
        let old = SigningKey::from_line(text.trim());
        let old = old.map_err(|error| DataDirError::new(&path, error))?;
        let next = path.with_extension("key.new");
        match fs::remove_file(&next) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
            _ => {}
        }
        let new = write_new_key(&next, random)?;
        let name = old.key_id().key_name().as_str().to_owned();
        let line = format!("ed25519 {name} {} {now_ms}\n", old.public_key().encode());
        append(&self.old_signing_keys_file(), &line).map_err(failed)?;
        fs::rename(&next, &path).map_err(failed)?;
        fs::File::open(self.path()).and_then(|dir| dir.sync_all()).map_err(failed)?;
        Ok(new)
    }
}

fn append(path: &Path, line: &str) -> io::Result<()> {
    let mut file = fs::OpenOptions::new().append(true).create(true).open(path)?;
    file.write_all(line.as_bytes())?;
    file.sync_all()
}

/// `ed25519 NAME PUBLIC_KEY ENDED_MS`.
fn parse(line: &str) -> Option<(OwnedServerSigningKeyId, OldKey)> {
    let mut parts = line.split_ascii_whitespace();
    let (kind, name) = (parts.next()?, parts.next()?);
    let key: Base64 = Base64::parse(parts.next()?).ok()?;
    let expired_at_ms = parts.next()?.parse().ok()?;
    let id = OwnedServerSigningKeyId::try_from(format!("{kind}:{name}")).ok()?;
    let sound = kind == "ed25519" && key.as_bytes().len() == 32 && parts.next().is_none();
    sound.then_some((id, OldKey { key, expired_at_ms }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_old_key_stays_published_with_the_time_of_its_end() {
        let parent = tempfile::tempdir().unwrap();
        let dir = DataDir::at(parent.path());
        let random = Random::from_os();
        assert!(dir.rotate_signing_key(&random, 1).is_err(), "there is none yet");
        let first = dir.load_or_make_signing_key(&random).unwrap();
        assert!(dir.old_signing_keys(&first).unwrap().is_empty());
        let second = dir.rotate_signing_key(&random, 7).unwrap();
        let third = dir.rotate_signing_key(&random, 9).unwrap();
        let now = dir.load_or_make_signing_key(&random).unwrap();
        assert_eq!(now.public_key(), third.public_key());
        let old = dir.old_signing_keys(&now).unwrap();
        assert_eq!(old.len(), 2);
        let of = |key: &SigningKey| old[key.key_id()].clone();
        assert_eq!((of(&first).key, of(&first).expired_at_ms), (first.public_key(), 7));
        assert_eq!((of(&second).key, of(&second).expired_at_ms), (second.public_key(), 9));
        // A crash before the new key was in its place: the old one still signs, and has not ended.
        assert_eq!(dir.old_signing_keys(&second).unwrap().len(), 1);
    }

    #[test]
    fn what_is_no_old_key_stops_the_start() {
        let parent = tempfile::tempdir().unwrap();
        let dir = DataDir::at(parent.path());
        let key = dir.load_or_make_signing_key(&Random::from_os()).unwrap();
        for line in ["ed25519 a", "ed25519 a AAAA 1", "rsa a x 1"] {
            fs::write(dir.old_signing_keys_file(), line).unwrap();
            assert!(dir.old_signing_keys(&key).is_err(), "{line}");
        }
        fs::write(dir.old_signing_keys_file(), "# none\n\n").unwrap();
        assert!(dir.old_signing_keys(&key).unwrap().is_empty());
    }
}
