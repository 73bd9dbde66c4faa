//! OpenID tokens: with one, another service asks this server who the person is.
//!
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#openid>,
//! <https://spec.matrix.org/v1.19/server-server-api/#openid>.

use pli_schema::records::administration::{OpenIdTokenKey, OpenIdTokenRecord};
use pli_store::Scan;
use ruma::{OwnedUserId, UserId};

use super::{Accounts, Secret, TokenHash, tokens::TOKEN_MAX};
use crate::{Error, Result};

/// How long a token lives, in milliseconds.
pub const OPENID_LIFETIME_MS: u64 = 3_600_000;
/// Rows that are looked at for tokens that have ended, with each new one: so that they do not pile up.
const SWEEP: usize = 16;

impl Accounts {
    /// A token that says who the user is, and nothing else.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn new_openid_token(&self, user_id: &UserId) -> Result<Secret> {
        let token = Secret::from(self.random.token());
        let now_ms = self.clock.now_ms();
        let key = &OpenIdTokenKey { hash: TokenHash::of(token.reveal()).0 };
        let record = &OpenIdTokenRecord {
            user_id: user_id.to_owned(),
            expires_at_ms: now_ms.saturating_add(OPENID_LIFETIME_MS),
        };
        // The hashes are spread evenly, so that every place is swept in its turn.
        let sweep = Scan::<OpenIdTokenKey>::prefix(()).from((key.hash,)).limit(SWEEP);
        let ended = self.store.scan(&sweep).await?;
        let ended: &Vec<OpenIdTokenKey> = &ended
            .into_iter()
            .filter(|row| row.record.expires_at_ms <= now_ms)
            .map(|row| row.key)
            .collect();
        self.store
            .write(|tx| async move {
                ended.iter().for_each(|key| tx.delete(key));
                tx.put(key, record)?;
                Ok::<_, Error>(())
            })
            .await?;
        Ok(token)
    }

    /// Whose OpenID token this is.
    ///
    /// # Errors
    /// [`Error::UnknownToken`] for a token that is not (or no longer) valid, also because the account is
    /// closed or locked.
    pub async fn openid_user(&self, token: &str) -> Result<OwnedUserId> {
        let unknown = Error::UnknownToken { soft_logout: false };
        if token.is_empty() || token.len() > TOKEN_MAX {
            return Err(unknown);
        }
        let key = OpenIdTokenKey { hash: TokenHash::of(token).0 };
        let record = self.store.get(&key).await?;
        let record = record.filter(|record| record.expires_at_ms > self.clock.now_ms());
        let Some(record) = record else { return Err(unknown) };
        match self.account(&record.user_id).await? {
            Some(account) if !account.deactivated && !account.locked => Ok(record.user_id),
            _ => Err(unknown),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::tests::world, *};

    #[tokio::test]
    async fn a_token_names_its_user_for_an_hour() {
        let world = world(|_| {});
        let accounts = &world.accounts;
        let alice = accounts.create_account("alice", None, false).await.unwrap();
        let token = accounts.new_openid_token(&alice).await.unwrap();
        assert_eq!(accounts.openid_user(token.reveal()).await.unwrap(), alice);
        let wrong = accounts.openid_user("wrong").await;
        assert!(matches!(wrong, Err(Error::UnknownToken { .. })));
        assert!(matches!(
            accounts.authenticate(token.reveal()).await,
            Err(Error::UnknownToken { .. })
        ));
        world.clock.advance_ms(OPENID_LIFETIME_MS);
        let ended = accounts.openid_user(token.reveal()).await;
        assert!(matches!(ended, Err(Error::UnknownToken { .. })));
        for _ in 0..3 {
            accounts.new_openid_token(&alice).await.unwrap();
        }
    }
}
