//! What clients of this server want to know of other servers: profiles, directories, rooms of spaces.
//! Answers are kept for a short time, so that a client that asks often does not make us ask as often.

mod spaces;

use std::sync::Arc;

use ruma::{
    ServerName, UserId,
    api::federation::{
        directory::get_public_rooms_filtered::v1 as public_rooms,
        query::get_profile_information::v1 as profile,
    },
};
use serde_json::{Map, Value};

pub use self::spaces::for_servers;
use super::{Bounds, Remote, RemoteError, Signed, Use};
use crate::{
    Clock, Error, MilliSeconds, Result,
    rooms::{ByteCache, RemoteSpace},
};

/// How long a profile is kept.
const PROFILE_MS: u64 = 60_000;
/// Bytes of profiles that are kept.
const PROFILES_BYTES: usize = 8 * 1024 * 1024;
/// Bytes of a profile that is taken (spec, "profile size limits").
const PROFILE_MAX: usize = 64 * 1024;
/// The field that says what is wrong with the name (docs/admin-guide.md, "Names of people of other
/// servers").
const NAME_FLAG: &str = "org.pli.name_flag";
/// How long what a server says of a space is kept.
const SPACE_MS: u64 = 300_000;
/// Bytes of spaces that are kept.
const SPACES_BYTES: usize = 16 * 1024 * 1024;
/// Servers that are asked for a room at most.
const VIA_MAX: usize = 5;
/// Characters of a display name and bytes of an avatar's address that are taken.
const NAME_MAX: usize = 256;
const AVATAR_MAX: usize = 1_000;

/// A profile, or that there is none; and until when that is believed.
type KeptProfile = (Option<Arc<Map<String, Value>>>, MilliSeconds);
/// A space, or that there is none; and until when that is believed.
type KeptSpace = (Option<Arc<RemoteSpace>>, MilliSeconds);

/// Asks other servers for clients. Clones share what is kept.
#[derive(Clone, Debug)]
pub struct Queries {
    remote: Remote,
    clock: Clock,
    profiles: ByteCache<ruma::OwnedUserId, KeptProfile>,
    spaces: ByteCache<(ruma::OwnedRoomId, bool), KeptSpace>,
}

impl Queries {
    /// Asks with a signature of this server.
    #[must_use]
    pub fn new(signed: &Signed, clock: Clock) -> Self {
        Self {
            remote: signed.remote().clone(),
            clock,
            profiles: ByteCache::new(PROFILES_BYTES),
            spaces: ByteCache::new(SPACES_BYTES),
        }
    }

    /// The profile of a user of another server.
    ///
    /// # Errors
    /// [`Error::NotFound`]; [`Error::Forbidden`] if profiles are not exchanged with that server, or it
    /// does not tell; [`Error::RemoteUnavailable`].
    pub async fn profile(&self, user_id: &UserId) -> Result<Arc<Map<String, Value>>> {
        let nobody = || Error::not_found("There is no such user");
        let server = user_id.server_name();
        if !self.remote.partners().is_enabled() {
            return Err(Error::not_found("This user is of another server"));
        }
        self.remote.partners().require(server, Use::Profiles).await?;
        let now_ms = self.clock.now_ms();
        if let Some((kept, until_ms)) = self.profiles.get(user_id)
            && now_ms < until_ms
        {
            return kept.ok_or_else(nobody);
        }
        let request = profile::Request::new(user_id.to_owned());
        let answer = match self.remote.request(server, request, Bounds::SMALL).await {
            Ok(answer) => Some(answer),
            Err(RemoteError::Status { status: 404, .. }) => None,
            Err(error) => return Err(error.into()),
        };
        let mut found = answer
            .map(|answer| taken(answer.iter().map(|(name, value)| (name.clone(), value.clone()))));
        if let Some(profile) = &mut found {
            self.flag(server, profile).await?;
        }
        let found = found.map(Arc::new);
        let bytes = found.as_ref().map_or(0, |it| size(it)).saturating_add(user_id.as_str().len());
        let until_ms = now_ms.saturating_add(PROFILE_MS);
        self.profiles.put(user_id.to_owned(), (found.clone(), until_ms), bytes);
        found.ok_or_else(nobody)
    }

    /// Adds what is wrong with the name. Another server cannot say it itself.
    async fn flag(&self, server: &ServerName, profile: &mut Map<String, Value>) -> Result<()> {
        profile.remove(NAME_FLAG);
        let name = profile.get("displayname").and_then(Value::as_str).unwrap_or_default();
        if let Some(flag) = self.remote.partners().judge_name(server, name).await? {
            profile.insert(NAME_FLAG.to_owned(), flag.word().into());
        }
        Ok(())
    }

    /// A page of the directory of another server.
    ///
    /// # Errors
    /// [`Error::Forbidden`] if directories are not exchanged with that server, or it does not tell;
    /// [`Error::RemoteUnavailable`].
    pub async fn public_rooms(
        &self,
        server: &ServerName,
        request: public_rooms::Request,
    ) -> Result<public_rooms::Response> {
        self.remote.partners().require(server, Use::PublicRooms).await?;
        Ok(self.remote.request(server, request, Bounds::SMALL).await?)
    }
}

/// What is taken of a profile: all of it up to its bound, names and pictures only in their form.
fn taken(fields: impl Iterator<Item = (String, Value)>) -> Map<String, Value> {
    let mut taken = Map::new();
    let mut bytes = 0_usize;
    for (name, value) in fields {
        let fits = match (name.as_str(), &value) {
            ("displayname", Value::String(text)) => {
                text.chars().count() <= NAME_MAX && !text.contains('\0')
            }
            ("avatar_url", Value::String(text)) => text.len() <= AVATAR_MAX,
            ("displayname" | "avatar_url", _) => false,
            (_, value) => !value.is_null(),
        };
        let weight = name.len().saturating_add(value.to_string().len());
        if fits && bytes.saturating_add(weight) <= PROFILE_MAX {
            bytes = bytes.saturating_add(weight);
            taken.insert(name, value);
        }
    }
    taken
}

fn size(profile: &Map<String, Value>) -> usize {
    profile.iter().map(|(name, value)| name.len() + value.to_string().len()).sum()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn of_a_profile_only_what_has_its_form_is_taken() {
        let of = |value: Value| {
            let Value::Object(fields) = value else { panic!("an object") };
            Value::Object(taken(fields.into_iter()))
        };
        assert_eq!(
            of(json!({ "displayname": "Ada", "avatar_url": null, "m.tz": "Europe/Paris" })),
            json!({ "displayname": "Ada", "m.tz": "Europe/Paris" })
        );
        assert_eq!(of(json!({ "displayname": 7, "avatar_url": "x".repeat(1_001) })), json!({}));
        assert_eq!(of(json!({ "displayname": "x".repeat(257) })), json!({}));
        assert_eq!(of(json!({ "a.big": "x".repeat(70_000), "b": 1 })), json!({ "b": 1 }));
    }
}
