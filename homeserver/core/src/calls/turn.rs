//! Credentials of TURN servers, over which calls between two people find their way.
//!
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#voice-over-ip>. With a shared secret the
//! credentials are made for each user and end by themselves, as coturn's `use-auth-secret` has them
//! (draft-uberti-behave-turn-rest-00): the name is `END:USER`, the password the base64 of the
//! HMAC-SHA1 of the name.

use base64::{Engine, engine::general_purpose::STANDARD};
use hmac::{Hmac, Mac};
use pli_schema::config::TurnSettings;
use ruma::UserId;
use sha1::Sha1;

use crate::{Error, MilliSeconds, Result};

/// What a client presents to the TURN servers.
#[derive(Clone, PartialEq, Eq)]
pub struct TurnCredentials {
    /// The name.
    pub username: String,
    /// The password.
    pub password: String,
    /// The servers.
    pub uris: Vec<String>,
    /// How long the credentials are good, in seconds.
    pub ttl_s: u64,
}

impl std::fmt::Debug for TurnCredentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TurnCredentials").field("uris", &self.uris).finish_non_exhaustive()
    }
}

/// Credentials for a user.
///
/// # Errors
/// [`Error::NotFound`] where there is no TURN server, or the settings name neither a shared secret nor
/// a user name with a password.
pub fn turn_credentials(
    settings: Option<&TurnSettings>,
    user_id: &UserId,
    now_ms: MilliSeconds,
) -> Result<TurnCredentials> {
    let none = || Error::not_found("This server has no TURN server");
    let settings = settings.filter(|settings| !settings.uris.is_empty()).ok_or_else(none)?;
    let (username, password) = match (&settings.shared_secret, &settings.username) {
        (Some(secret), _) => {
            let end_s = (now_ms / 1_000).saturating_add(settings.lifetime_s);
            let username = format!("{end_s}:{user_id}");
            let password = sign(secret, &username)?;
            (username, password)
        }
        (None, Some(username)) => (username.clone(), settings.password.clone().ok_or_else(none)?),
        (None, None) => return Err(none()),
    };
    Ok(TurnCredentials {
        username,
        password,
        uris: settings.uris.clone(),
        ttl_s: settings.lifetime_s,
    })
}

fn sign(secret: &str, username: &str) -> Result<String> {
    let mut mac = Hmac::<Sha1>::new_from_slice(secret.as_bytes())
        .map_err(|_| Error::bug("the secret of the TURN server is no key"))?;
    mac.update(username.as_bytes());
    Ok(STANDARD.encode(mac.finalize().into_bytes()))
}

#[cfg(test)]
mod tests {
    use ruma::user_id;

    use super::*;

    fn settings() -> TurnSettings {
        TurnSettings {
            uris: vec!["turn:turn.example:3478?transport=udp".to_owned()],
            shared_secret: None,
            username: None,
            password: None,
            lifetime_s: 3_600,
        }
    }

    #[test]
    fn a_shared_secret_makes_credentials_that_end() {
        let shared = TurnSettings { shared_secret: Some("key".to_owned()), ..settings() };
        let user = user_id!("@alice:pli.example");
        let made = turn_credentials(Some(&shared), user, 1_443_776_031_999).unwrap();
        assert_eq!(made.username, "1443779631:@alice:pli.example");
        // HMAC-SHA1 computed with Python's hmac module.
        assert_eq!(made.password, "4rVjVFEEnuiF1tWZjL7GBMFIITs=");
        assert_eq!(made.ttl_s, 3_600);
        let other = turn_credentials(Some(&shared), user_id!("@bob:pli.example"), 0).unwrap();
        assert_ne!(other.password, made.password);
    }

    #[test]
    fn fixed_credentials_and_none() {
        let user = user_id!("@alice:pli.example");
        let fixed = TurnSettings {
            username: Some("u".to_owned()),
            password: Some("p".to_owned()),
            ..settings()
        };
        let made = turn_credentials(Some(&fixed), user, 0).unwrap();
        assert_eq!((made.username.as_str(), made.password.as_str()), ("u", "p"));
        for none in [None, Some(&settings()), Some(&TurnSettings { uris: vec![], ..fixed.clone() })]
        {
            assert!(matches!(turn_credentials(none, user, 0), Err(Error::NotFound(_))));
        }
    }
}
