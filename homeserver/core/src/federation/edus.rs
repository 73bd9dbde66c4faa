//! What servers tell each other without keeping it: the one place where each kind goes to what takes it
//! (<https://spec.matrix.org/v1.19/server-server-api/#edus>).

mod presence;
mod rooms;

use std::sync::Arc;

use ruma::ServerName;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{Devices, Partners};
use crate::{Encryption, Presence, Receipts, Result, Rooms, Typing};

/// Bytes of an EDU at most: the specification gives none the size of more than an event.
const EDU_BYTES_MAX: usize = 256 * 1024;

/// Takes what other servers say. Clones share everything.
///
/// A kind is one line in [`Self::hand_over`]; what takes it is a field, with a method of
/// `(origin, content)` that looks itself whether the origin may say that: its own users only, rooms in
/// which it is and whose access list lets it ([`crate::Rooms::acl_admits`]).
#[derive(Clone, Debug)]
pub struct Edus {
    parts: Arc<EdusParts>,
}

/// What takes what other servers say.
#[derive(Clone, Debug)]
pub struct EdusParts {
    /// The rooms.
    pub rooms: Rooms,
    /// Who is typing.
    pub typing: Typing,
    /// Receipts.
    pub receipts: Receipts,
    /// Who is there.
    pub presence: Presence,
    /// With whom who is online is exchanged.
    pub partners: Partners,
    /// Messages to devices.
    pub encryption: Encryption,
    /// The devices of users of other servers.
    pub devices: Devices,
}

#[derive(Deserialize)]
struct Edu<'a> {
    edu_type: String,
    #[serde(borrow)]
    content: &'a RawValue,
}

impl Edus {
    /// Out of its parts.
    #[must_use]
    pub fn new(parts: EdusParts) -> Self {
        Self { parts: Arc::new(parts) }
    }

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

    async fn hand_over(
        &self,
        origin: &ServerName,
        edu_type: &str,
        content: &RawValue,
    ) -> Result<()> {
        /// The content as a type; an EDU whose content cannot be read is dropped.
        macro_rules! read {
            () => {
                match serde_json::from_str(content.get()) {
                    Ok(content) => content,
                    Err(error) => {
                        tracing::info!(%origin, edu_type, %error, "an EDU that cannot be read");
                        return Ok(());
                    }
                }
            };
        }
        match edu_type {
            "m.device_list_update" => self.parts.devices.hear_device(origin, &read!()).await,
            "m.direct_to_device" => self.parts.encryption.receive_to_device(origin, &read!()).await,
            "m.presence" => self.hear_presence(origin, read!()).await,
            "m.receipt" => self.hear_receipts(origin, read!()).await,
            "m.signing_key_update" => self.parts.devices.hear_keys(origin, &read!()).await,
            "m.typing" => self.hear_typing(origin, &read!()).await,
            _ => {
                tracing::debug!(%origin, edu_type, "an EDU of a kind that is not known");
                Ok(())
            }
        }
    }
}
