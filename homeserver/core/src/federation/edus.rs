//! What servers tell each other without keeping it: the one place where each kind goes to what takes it
//! (<https://spec.matrix.org/v1.19/server-server-api/#edus>).

use ruma::ServerName;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::Result;

/// Bytes of an EDU at most: the specification gives none the size of more than an event.
const EDU_BYTES_MAX: usize = 256 * 1024;

/// Takes what other servers say. Clones share everything.
///
/// A kind is one line in [`Self::hand_over`]; what takes it is a field, with a method of
/// `(origin, content)` that looks itself whether the origin may say that: its own users only, rooms in
/// which it is and whose access list lets it ([`crate::Rooms::acl_admits`]).
#[derive(Clone, Debug, Default)]
pub struct Edus {}

#[derive(Deserialize)]
struct Edu<'a> {
    edu_type: String,
    #[serde(borrow)]
    content: &'a RawValue,
}

impl Edus {
    /// Takes one. What cannot be read is dropped: it must not keep what comes with it.
    ///
    /// # Errors
    /// Those of the store: the sender sends it again.
    pub async fn take(&self, origin: &ServerName, edu: &RawValue) -> Result<()> {
        if edu.get().len() > EDU_BYTES_MAX {
            tracing::info!(%origin, bytes = edu.get().len(), "an EDU that is too large");
            return Ok(());
        }
        match serde_json::from_str::<Edu<'_>>(edu.get()) {
            Ok(edu) => self.hand_over(origin, &edu.edu_type, edu.content).await,
            Err(_) => {
                tracing::info!(%origin, "an EDU that cannot be read");
                Ok(())
            }
        }
    }

    #[expect(clippy::unused_async, clippy::unused_self, reason = "handlers of kinds are async")]
    async fn hand_over(&self, origin: &ServerName, edu_type: &str, _: &RawValue) -> Result<()> {
        tracing::debug!(%origin, edu_type, "an EDU of a kind that is not known");
        Ok(())
    }
}
