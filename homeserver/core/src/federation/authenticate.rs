//! Who sent a request: the server whose signature is on it
//! (<https://spec.matrix.org/v1.19/server-server-api/#request-authentication>).

use ruma::{OwnedServerName, api::federation::authentication::XMatrix, exports::http};

use super::{KeyRing, NeededKey, Partners, Remote, request_signature};
use crate::{Error, Result};

/// Checks the signatures on requests. Clones share everything.
#[derive(Clone, Debug)]
pub struct Signed {
    remote: Remote,
    keys: KeyRing,
}

impl Signed {
    /// With the keys of other servers.
    #[must_use]
    pub const fn new(remote: Remote, keys: KeyRing) -> Self {
        Self { remote, keys }
    }

    /// The keys of other servers.
    #[must_use]
    pub const fn keys(&self) -> &KeyRing {
        &self.keys
    }

    /// Asks other servers.
    #[must_use]
    pub const fn remote(&self) -> &Remote {
        &self.remote
    }

    /// With whom this server speaks.
    #[must_use]
    pub fn partners(&self) -> &Partners {
        self.remote.partners()
    }

    /// The server that sent a request, after its signature was checked. The request has the path and
    /// query as they were sent, and the whole body.
    ///
    /// # Errors
    /// [`Error::Unauthorized`] without a signature that is right; [`Error::Forbidden`] for a server with
    /// which this one does not speak; those of the store.
    pub async fn origin(&self, request: &http::Request<&[u8]>) -> Result<OwnedServerName> {
        let unauthorized = |text: String| Error::Unauthorized(text);
        let given = XMatrix::extract_from_http_headers(request.headers())
            .map_err(|error| unauthorized(error.to_string()))?;
        let own_name = self.remote.own().server_name();
        if given.destination.as_ref().is_some_and(|to| to != own_name) {
            return Err(unauthorized("The request is signed for another server".to_owned()));
        }
        if given.origin == own_name {
            return Err(unauthorized("The request comes from this server".to_owned()));
        }
        self.partners().admit(&given.origin).await?;
        let needed = NeededKey {
            server: given.origin.clone(),
            key_id: given.key.clone(),
            at_ms: None,
            enforce_validity: true,
        };
        let keys = self.keys.keys(&[needed]).await?;
        request_signature::verify(&given, request, own_name, &keys)
            .map_err(|error| unauthorized(format!("The signature is not valid: {error}")))?;
        self.partners().contacts().heard(&given.origin);
        Ok(given.origin)
    }
}
