//! The session file of a profile.

use std::fs;
use std::io;

use matrix_sdk::SessionMeta;
use matrix_sdk::authentication::SessionTokens;
use matrix_sdk::authentication::matrix::MatrixSession;
use matrix_sdk::ruma::{OwnedDeviceId, OwnedUserId};
use rand::Rng;
use serde::{Deserialize, Serialize};
use url::Url;
use zeroize::Zeroizing;

use crate::error::{CliError, Result};
use crate::profile::{Profile, write_private};
use crate::secret::random;

/// The key of the local stores.
///
/// A random key, not a passphrase: it lies beside the stores either way, and a passphrase would
/// cost every command the time of its derivation.
pub type StoreKey = Zeroizing<[u8; 32]>;

/// Everything needed to be this device again. Holds secrets: no `Debug`.
#[derive(Clone, Deserialize, Serialize)]
pub struct Session {
    /// Base URL of the homeserver's client API.
    pub homeserver: Url,
    /// Who is logged in.
    pub user_id: OwnedUserId,
    /// This device.
    pub device_id: OwnedDeviceId,
    /// The access token of this device.
    #[serde(with = "zeroized")]
    pub access_token: Zeroizing<String>,
    /// The key of the local SQLite stores.
    #[serde(with = "key")]
    pub store_key: StoreKey,
}

impl Session {
    /// Makes a key for a new local store.
    pub fn new_store_key() -> StoreKey {
        Zeroizing::new(random().random())
    }

    /// Reads the session of a profile.
    ///
    /// # Errors
    /// `NotLoggedIn` when there is none; a file error when it cannot be read or understood.
    pub fn load(profile: &Profile) -> Result<Self> {
        let path = profile.session_file();
        let bytes = match fs::read(&path) {
            Ok(bytes) => Zeroizing::new(bytes),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(CliError::NotLoggedIn);
            }
            Err(error) => return Err(CliError::file(&path, error)),
        };
        serde_json::from_slice(&bytes).map_err(|error| CliError::file(&path, error))
    }

    /// Writes the session of a profile, mode 0600.
    ///
    /// # Errors
    /// When the file system refuses.
    pub fn save(&self, profile: &Profile) -> Result<()> {
        let path = profile.session_file();
        let bytes =
            serde_json::to_vec_pretty(self).map_err(|error| CliError::file(&path, error))?;
        write_private(&path, &Zeroizing::new(bytes))
    }

    /// The form the SDK wants.
    pub fn to_sdk(&self) -> MatrixSession {
        MatrixSession {
            meta: SessionMeta { user_id: self.user_id.clone(), device_id: self.device_id.clone() },
            tokens: SessionTokens {
                access_token: self.access_token.to_string(),
                refresh_token: None,
            },
        }
    }
}

/// Secrets in JSON, wiped from memory when they are dropped.
mod zeroized {
    use serde::{Deserialize, Deserializer, Serializer};
    use zeroize::Zeroizing;

    pub fn serialize<S: Serializer>(
        secret: &Zeroizing<String>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(secret)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Zeroizing<String>, D::Error> {
        String::deserialize(deserializer).map(Zeroizing::new)
    }
}

/// The store key in JSON: a list of numbers.
mod key {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};
    use zeroize::Zeroizing;

    use super::StoreKey;

    pub fn serialize<S: Serializer>(key: &StoreKey, serializer: S) -> Result<S::Ok, S::Error> {
        key.as_slice().serialize(serializer)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<StoreKey, D::Error> {
        <[u8; 32]>::deserialize(deserializer).map(Zeroizing::new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn session() -> Session {
        Session {
            homeserver: Url::parse("https://pli.example/").unwrap(),
            user_id: "@alice:pli.example".try_into().unwrap(),
            device_id: "DEVICE".into(),
            access_token: Zeroizing::new("token".to_owned()),
            store_key: Session::new_store_key(),
        }
    }

    #[test]
    fn survives_the_disk_in_a_private_file() {
        let home = tempfile::tempdir().unwrap();
        let profile = Profile::new(home.path(), "p").unwrap();
        profile.create().unwrap();
        assert!(matches!(Session::load(&profile), Err(CliError::NotLoggedIn)));
        let saved = session();
        saved.save(&profile).unwrap();
        let loaded = Session::load(&profile).unwrap();
        assert_eq!(loaded.user_id, saved.user_id);
        assert_eq!(loaded.store_key, saved.store_key);
        assert_eq!(loaded.to_sdk().tokens.access_token, "token");
        let mode = fs::metadata(profile.session_file()).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_damaged_file_is_an_error_that_names_it() {
        let home = tempfile::tempdir().unwrap();
        let profile = Profile::new(home.path(), "p").unwrap();
        profile.create().unwrap();
        write_private(&profile.session_file(), b"{\"homeserver\":").unwrap();
        let Err(CliError::File { path, .. }) = Session::load(&profile) else {
            panic!("a damaged session must not load")
        };
        assert_eq!(path, profile.session_file());
    }

    #[test]
    fn keys_differ() {
        assert_ne!(Session::new_store_key(), Session::new_store_key());
    }
}
