//! Profiles of this server's users: any fields, with limits.
//!
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#profiles>

use pli_schema::{
    Topic,
    records::accounts::{AccountKey, ProfileKey, ProfileRecord},
};
use pli_store::{Scan, Tx};
use ruma::UserId;
use serde_json::{Map, Value};

use super::Accounts;
use crate::{Error, Result};

/// Bytes of a whole profile, at most (spec, "profile size limits").
const PROFILE_MAX: usize = 64 * 1024;
/// Bytes of a field's name, at most (spec: 255).
const FIELD_NAME_MAX: usize = 255;
/// Characters of a display name, at most.
const DISPLAY_NAME_MAX: usize = 256;
/// Bytes of an avatar's address, at most.
const AVATAR_MAX: usize = 1_000;

/// Bytes of a time zone's name, at most.
const TIME_ZONE_MAX: usize = 64;

/// The field with the time zone.
const TIME_ZONE: &str = "m.tz";
/// The field with the name that people see.
pub const DISPLAY_NAME: &str = "displayname";
/// The field with the picture.
pub const AVATAR_URL: &str = "avatar_url";

impl Accounts {
    /// The whole profile of a user of this server.
    ///
    /// # Errors
    /// [`Error::NotFound`] if there is no such user.
    pub async fn profile(&self, user_id: &UserId) -> Result<Map<String, Value>> {
        self.local_account(user_id).await?;
        let rows = self.store.scan(&Scan::<ProfileKey>::prefix((user_id.to_owned(),))).await?;
        rows.into_iter().map(|row| Ok((row.key.field, value_of(&row.record)?))).collect()
    }

    /// A field of the profile of a user of this server; `None` if it is not set.
    ///
    /// # Errors
    /// [`Error::NotFound`] if there is no such user.
    pub async fn profile_field(&self, user_id: &UserId, field: &str) -> Result<Option<Value>> {
        self.local_account(user_id).await?;
        let key = ProfileKey { user_id: user_id.to_owned(), field: field.to_owned() };
        self.store.get(&key).await?.map(|record| value_of(&record)).transpose()
    }

    async fn local_account(&self, user_id: &UserId) -> Result<()> {
        if user_id.server_name() != self.settings.server_name {
            return Err(Error::not_found("This user is of another server"));
        }
        match self.account(user_id).await? {
            Some(account) if !account.deactivated => Ok(()),
            None if self.query_services(user_id).await? => Ok(()),
            _ => Err(Error::not_found("There is no such user")),
        }
    }

    /// Sets a field of a profile, or removes it with `None`. Returns whether something changed that
    /// rooms show (display name, avatar).
    ///
    /// # Errors
    /// [`Error::Forbidden`] for a display name that is the server's to give, [`Error::InvalidParam`],
    /// [`Error::TooLarge`], [`Error::UserSuspended`].
    pub async fn set_profile_field(
        &self,
        user_id: &UserId,
        field: &str,
        value: Option<Value>,
    ) -> Result<bool> {
        let value = &clean(field, value)?;
        self.store
            .write(|tx| async move {
                let account = tx.get(&AccountKey { user_id: user_id.to_owned() }).await?;
                let Some(account) = account.filter(|account| !account.deactivated) else {
                    return Err(Error::not_found("There is no such user"));
                };
                if account.suspended {
                    return Err(Error::UserSuspended);
                }
                let locked = self.settings.profiles.display_name_locked && account.from_email;
                if field == DISPLAY_NAME && locked && !account.admin {
                    let text = "The display name comes from the e-mail address on this server";
                    return Err(Error::forbidden(text));
                }
                let key = ProfileKey { user_id: user_id.to_owned(), field: field.to_owned() };
                let old = tx.get(&key).await?.map(|record| record.json);
                let new = value.as_ref().map(Value::to_string);
                if old == new {
                    return Ok(false);
                }
                match new {
                    Some(json) => {
                        check_size(&tx, user_id, field, json.len()).await?;
                        tx.put(&key, &ProfileRecord { json })?;
                    }
                    None => tx.delete(&key),
                }
                tx.wake(Topic::User(user_id.to_owned()));
                Ok(field == DISPLAY_NAME || field == AVATAR_URL)
            })
            .await
    }
}

/// Looks at the other fields through the transaction, so that two changes at once cannot both fit.
async fn check_size(tx: &Tx, user_id: &UserId, field: &str, bytes: usize) -> Result<()> {
    let rows = tx.scan(&Scan::<ProfileKey>::prefix((user_id.to_owned(),))).await?;
    let others = rows.iter().filter(|row| row.key.field != field);
    let sizes = others.map(|row| row.key.field.len().saturating_add(row.record.json.len() + 4));
    let total = sizes.fold(bytes.saturating_add(field.len()), usize::saturating_add);
    if total > PROFILE_MAX {
        return Err(Error::ProfileTooLarge("A profile has at most 64 KiB".to_owned()));
    }
    Ok(())
}

fn value_of(record: &ProfileRecord) -> Result<Value> {
    serde_json::from_str(&record.json).map_err(|_| Error::bug("a profile field cannot be read"))
}

/// Whether a text is written as the IANA database writes the names of time zones, as in
/// `America/Argentina/Buenos_Aires` or `Etc/GMT+1`.
fn is_time_zone(text: &str) -> bool {
    let part = |part: &str| {
        part.bytes().next().is_some_and(|byte| byte.is_ascii_alphabetic())
            && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_+-".contains(&byte))
    };
    text.len() <= TIME_ZONE_MAX && text.split('/').all(part)
}

/// The value as it is stored: `null` and empty names and pictures are removed fields.
fn clean(field: &str, value: Option<Value>) -> Result<Option<Value>> {
    let name_ok =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_.-".contains(&byte);
    let starts_ok = field.bytes().next().is_some_and(|byte| byte.is_ascii_lowercase());
    if field.len() > FIELD_NAME_MAX {
        return Err(Error::KeyTooLarge("The name of a field has at most 255 bytes".to_owned()));
    }
    if !starts_ok || !field.bytes().all(name_ok) {
        return Err(Error::invalid_param("The name of a field is of a-z, 0-9, '_', '-' and '.'"));
    }
    let Some(value) = value else {
        return Ok(None);
    };
    if field == TIME_ZONE && !value.as_str().is_some_and(is_time_zone) {
        return Err(Error::invalid_param("`m.tz` is not the name of a time zone"));
    }
    if field != DISPLAY_NAME && field != AVATAR_URL {
        return Ok(Some(value));
    }
    match value {
        Value::Null => Ok(None),
        Value::String(text) if text.is_empty() => Ok(None),
        Value::String(text) if field == DISPLAY_NAME => {
            if text.chars().count() > DISPLAY_NAME_MAX {
                return Err(Error::too_large("A display name has at most 256 characters"));
            }
            if text.contains('\0') {
                return Err(Error::invalid_param("A display name has no NUL"));
            }
            Ok(Some(Value::String(text)))
        }
        Value::String(text) if text.len() > AVATAR_MAX => {
            Err(Error::too_large("The address of an avatar has at most 1000 bytes"))
        }
        Value::String(text) => Ok(Some(Value::String(text))),
        _ => Err(Error::bad_json("Display name and avatar are strings")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{super::tests::world, *};

    #[tokio::test]
    async fn fields_are_set_read_and_removed() {
        let world = world(|_| {});
        let accounts = &world.accounts;
        let alice = accounts.create_account("alice", None, false).await.unwrap();
        assert_eq!(
            Value::Object(accounts.profile(&alice).await.unwrap()),
            json!({"displayname": "alice"})
        );
        let set = |field: &'static str, value: Value| {
            let alice = alice.clone();
            async move { accounts.set_profile_field(&alice, field, Some(value)).await }
        };
        assert!(set(DISPLAY_NAME, json!("Alice")).await.unwrap());
        assert!(!set(DISPLAY_NAME, json!("Alice")).await.unwrap());
        assert!(!set("m.tz", json!("Europe/Paris")).await.unwrap());
        assert_eq!(
            Value::Object(accounts.profile(&alice).await.unwrap()),
            json!({"displayname": "Alice", "m.tz": "Europe/Paris"})
        );
        assert!(set(DISPLAY_NAME, json!("")).await.unwrap());
        assert_eq!(accounts.profile_field(&alice, DISPLAY_NAME).await.unwrap(), None);
        accounts.set_profile_field(&alice, "m.tz", None).await.unwrap();
        assert!(accounts.profile(&alice).await.unwrap().is_empty());

        assert!(matches!(set(DISPLAY_NAME, json!(3)).await, Err(Error::BadJson(_))));
        for bad in [json!(3), json!("nowhere in particular"), json!("/"), json!("a".repeat(65))] {
            assert!(matches!(set("m.tz", bad).await, Err(Error::InvalidParam(_))));
        }
        assert!(matches!(set("UPPER", json!(3)).await, Err(Error::InvalidParam(_))));
        let big = Value::from("x".repeat(70_000));
        assert!(matches!(set("org.big", big).await, Err(Error::ProfileTooLarge(_))));
        let nobody = ruma::user_id!("@nobody:pli.example");
        assert!(matches!(accounts.profile(nobody).await, Err(Error::NotFound(_))));
    }
}
