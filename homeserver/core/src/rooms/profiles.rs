//! What member events say of people: their display name and avatar.

use pli_schema::records::accounts::ProfileKey;
use ruma::UserId;
use serde_json::{Map, Value};

use super::Rooms;
use crate::{Error, Result};

/// The display name and avatar of a user, as they go into `m.room.member`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Profile {
    /// `displayname`
    pub display_name: Option<String>,
    /// `avatar_url`
    pub avatar_url: Option<String>,
}

impl Profile {
    /// The content of an `m.room.member` event; what is not set is left out.
    pub(super) fn member_content(&self, membership: &str) -> Map<String, Value> {
        let mut content = Map::new();
        content.insert("membership".to_owned(), Value::from(membership));
        let fields = [("displayname", &self.display_name), ("avatar_url", &self.avatar_url)];
        for (key, value) in fields {
            if let Some(value) = value {
                content.insert(key.to_owned(), Value::from(value.as_str()));
            }
        }
        content
    }
}

impl Rooms {
    /// The profile of a user of this server; empty for others, whose servers fill it in.
    ///
    /// # Errors
    /// Those of the store.
    pub(crate) async fn profile(&self, user_id: &UserId) -> Result<Profile> {
        if !self.is_local(user_id) {
            return Ok(Profile::default());
        }
        Ok(Profile {
            display_name: self.profile_field(user_id, "displayname").await?,
            avatar_url: self.profile_field(user_id, "avatar_url").await?,
        })
    }

    /// The content of a member event of a user with their profile.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn member_content(
        &self,
        user_id: &UserId,
        membership: &str,
    ) -> Result<Map<String, Value>> {
        Ok(self.profile(user_id).await?.member_content(membership))
    }

    async fn profile_field(&self, user_id: &UserId, field: &str) -> Result<Option<String>> {
        let key = ProfileKey { user_id: user_id.to_owned(), field: field.to_owned() };
        let record = self.store().get(&key).await?;
        Ok(record.and_then(|record| serde_json::from_str(&record.json).ok()))
    }

    /// Requires that the user's server can be told: for now, that it is this one.
    pub(super) fn require_reachable(&self, user_id: &UserId) -> Result<()> {
        if self.is_local(user_id) {
            return Ok(());
        }
        let text = "This server does not exchange rooms with other servers";
        Err(Error::forbidden(text))
    }
}
