//! Registration tokens, and the code with which the first admin registers.
//!
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#token-authenticated-registration>

use pli_schema::records::accounts::{
    AdminKey, RegistrationTokenKey, RegistrationTokenRecord, SecretHash,
};
use pli_store::{Scan, Tx};
use ruma::OwnedUserId;

use super::{Accounts, Secret, TokenHash};
use crate::{Error, Result};

/// The label of the token that makes the first admin.
const FIRST_ADMIN: &str = "first admin";

/// A token to be made.
#[derive(Clone, Debug)]
pub struct NewRegistrationToken {
    /// The token; made by the server if absent.
    pub token: Option<Secret>,
    /// What it is for.
    pub label: String,
    /// Accounts that it may make; `None` for any number.
    pub uses_allowed: Option<u32>,
    /// When it ends, in milliseconds since 1970.
    pub expires_at_ms: Option<u64>,
    /// The account becomes an admin.
    pub makes_admin: bool,
    /// Who makes it.
    pub created_by: Option<OwnedUserId>,
}

impl Accounts {
    /// The one-time code with which the first admin registers (as a registration token); `None` once
    /// there is an admin. Each call makes a new code and voids the one before it, so that the store
    /// never holds a code in clear.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn first_admin_code(&self) -> Result<Option<Secret>> {
        let code = Secret::from(self.random.string(b"abcdefghijkmnpqrstuvwxyz23456789", 20));
        let hash = TokenHash::of(code.reveal()).0;
        let record = &RegistrationTokenRecord {
            label: FIRST_ADMIN.to_owned(),
            uses_allowed: Some(1),
            uses: 0,
            expires_at_ms: None,
            makes_admin: true,
            created_by: None,
            created_ms: self.clock.now_ms(),
        };
        self.store
            .write(|tx| async move {
                for row in tx.scan(&Scan::<RegistrationTokenKey>::prefix(())).await? {
                    if row.record.label == FIRST_ADMIN && row.record.created_by.is_none() {
                        tx.delete(&row.key);
                    }
                }
                if !tx.scan(&Scan::<AdminKey>::prefix(()).limit(1)).await?.is_empty() {
                    return Ok(false);
                }
                tx.put(&RegistrationTokenKey { hash }, record)?;
                Ok::<_, Error>(true)
            })
            .await
            .map(|made| made.then_some(code))
    }

    /// Makes a registration token. It can be read only now.
    ///
    /// # Errors
    /// [`Error::InvalidParam`] for a token that exists or is not of `A-Za-z0-9._~-`, 1 to 64 of them
    /// (spec).
    pub async fn new_registration_token(&self, new: NewRegistrationToken) -> Result<Secret> {
        let token = new.token.unwrap_or_else(|| Secret::from(self.random.letters(24)));
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._~-".contains(&byte);
        let text = token.reveal();
        if text.is_empty() || text.len() > 64 || !text.bytes().all(allowed) {
            return Err(Error::invalid_param("A token has 1 to 64 characters of A-Za-z0-9._~-"));
        }
        let key = &RegistrationTokenKey { hash: TokenHash::of(text).0 };
        let record = &RegistrationTokenRecord {
            label: new.label,
            uses_allowed: new.uses_allowed,
            uses: 0,
            expires_at_ms: new.expires_at_ms,
            makes_admin: new.makes_admin,
            created_by: new.created_by,
            created_ms: self.clock.now_ms(),
        };
        self.store
            .write(|tx| async move {
                if tx.get(key).await?.is_some() {
                    return Err(Error::invalid_param("There is such a token already"));
                }
                Ok(tx.put(key, record)?)
            })
            .await?;
        Ok(token)
    }

    /// Whether a registration token could be used now.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn registration_token_is_valid(&self, token: &str) -> Result<bool> {
        let key = RegistrationTokenKey { hash: TokenHash::of(token).0 };
        let record = self.store.get(&key).await?;
        Ok(record.is_some_and(|record| self.is_usable(&record)))
    }

    fn is_usable(&self, record: &RegistrationTokenRecord) -> bool {
        record.expires_at_ms.is_none_or(|at| at > self.clock.now_ms())
            && record.uses_allowed.is_none_or(|allowed| record.uses < allowed)
    }

    /// Counts one use of a token; returns whether it makes an admin.
    pub(super) async fn use_registration_token(&self, tx: &Tx, hash: SecretHash) -> Result<bool> {
        let key = RegistrationTokenKey { hash };
        let record = tx.get(&key).await?.filter(|record| self.is_usable(record));
        let Some(mut record) = record else {
            return Err(Error::forbidden("The registration token is not valid any more"));
        };
        record.uses = record.uses.saturating_add(1);
        tx.put(&key, &record)?;
        Ok(record.makes_admin)
    }
}
