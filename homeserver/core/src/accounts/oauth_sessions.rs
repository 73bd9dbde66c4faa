//! Sessions that begin by OAuth: ordinary devices whose refresh tokens name the session.
//!
//! A refresh token is `NAME.SECRET`. The name stays the same for the session; so a token that was used
//! up is known for what it is, without a list of all that ever were: it is a copy, and the session ends.
//!
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#refresh-token-grant>,
//! <https://spec.matrix.org/v1.19/client-server-api/#token-revocation>

use pli_schema::{
    Topic,
    records::{
        accounts::{AccessTokenKey, RefreshTokenKey, SecretHash, TokenPair},
        oauth::{
            OauthClientKey, OauthSelectorKey, OauthSelectorRecord, OauthSessionKey,
            OauthSessionRecord, OauthUnusedClientKey,
        },
    },
};
use pli_store::Tx;
use ruma::{DeviceId, OwnedDeviceId, UserId};

use super::{
    Accounts, Secret, Session, TokenHash,
    devices::delete_device,
    tokens::{DeviceWish, FreshTokens, TOKEN_MAX, end_tokens},
};
use crate::{Error, Result};

/// Between the name of the session and the secret of a refresh token.
const SEPARATOR: char = '.';

/// Whether a refresh token has the form of those of OAuth.
pub(super) fn names_oauth_session(token: &str) -> bool {
    token.contains(SEPARATOR)
}

/// A session that a user grants to a client.
#[derive(Clone, Debug)]
pub struct OauthWish {
    /// The client.
    pub client_id: String,
    /// The device that the client has chosen.
    pub device_id: OwnedDeviceId,
    /// The device's name, if it is new.
    pub device_name: Option<String>,
    /// The scope, as the client wrote it.
    pub scope: String,
}

/// What came of a refresh token.
#[derive(Clone, Debug)]
pub enum Refreshed {
    /// New tokens, with the session's scope.
    Renewed(Session, String),
    /// The token is not (or no longer) valid, or is another client's.
    Refused,
    /// The token had been used up: somebody has a copy, so the session was ended.
    Replayed,
}

/// What a transaction found.
enum Found {
    Renewed(Session, String, Vec<SecretHash>),
    Refused,
    Replayed(Vec<SecretHash>),
}

impl Accounts {
    /// Begins a session that a user has granted.
    ///
    /// # Errors
    /// [`Error::UserDeactivated`], [`Error::UserLocked`]; [`Error::InvalidParam`] for a device id that
    /// cannot be.
    pub async fn begin_oauth_session(&self, user_id: &UserId, wish: &OauthWish) -> Result<Session> {
        let selector = self.random.token();
        let fresh = &self.fresh_oauth_tokens(&selector);
        let selector = TokenHash::of(&selector).0;
        let device = &DeviceWish {
            device_id: Some(wish.device_id.clone()),
            initial_display_name: wish.device_name.clone(),
            refresh_token: true,
        };
        let now_ms = self.clock.now_ms();
        let (session, ended) = self
            .store
            .write(|tx| async move {
                let (session, ended) = self.log_in(&tx, user_id, device, fresh).await?;
                let (user_id, device_id) = (session.user_id.clone(), session.device_id.clone());
                let of_device =
                    OauthSelectorRecord { user_id: user_id.clone(), device_id: device_id.clone() };
                tx.put(&OauthSelectorKey { selector }, &of_device)?;
                let record = OauthSessionRecord {
                    client_id: wish.client_id.clone(),
                    selector,
                    scope: wish.scope.clone(),
                    granted_ms: now_ms,
                };
                tx.put(&OauthSessionKey { user_id, device_id }, &record)?;
                client_is_used(&tx, &wish.client_id).await?;
                Ok::<_, Error>((session, ended))
            })
            .await?;
        self.forget_tokens(&ended);
        Ok(session)
    }

    fn fresh_oauth_tokens(&self, selector: &str) -> FreshTokens {
        let refresh = format!("{selector}{SEPARATOR}{}", self.random.token());
        FreshTokens {
            access: Secret::from(self.random.token()),
            refresh: Some(Secret::from(refresh)),
            access_lifetime_s: self.settings.oauth.access_token_lifetime_s,
        }
    }

    /// New tokens for a refresh token of a client. As with [`Self::refresh`] the old ones live until a
    /// new one is used, so that an answer that gets lost logs nobody out.
    ///
    /// # Errors
    /// [`Error::UserLocked`].
    pub async fn refresh_oauth_session(&self, client_id: &str, token: &str) -> Result<Refreshed> {
        let selector = token.split_once(SEPARATOR).map(|(selector, _)| selector);
        let Some(selector) = selector.filter(|_| token.len() <= TOKEN_MAX) else {
            return Ok(Refreshed::Refused);
        };
        let fresh = &self.fresh_oauth_tokens(selector);
        let key = &OauthSelectorKey { selector: TokenHash::of(selector).0 };
        let hash = TokenHash::of(token).0;
        let found = self
            .store
            .write(|tx| async move { self.renew(&tx, (client_id, key, hash), fresh).await })
            .await?;
        Ok(match found {
            Found::Renewed(session, scope, ended) => {
                self.forget_tokens(&ended);
                Refreshed::Renewed(session, scope)
            }
            Found::Refused => Refreshed::Refused,
            Found::Replayed(ended) => {
                self.forget_tokens(&ended);
                Refreshed::Replayed
            }
        })
    }

    async fn renew(
        &self,
        tx: &Tx,
        (client_id, key, hash): (&str, &OauthSelectorKey, SecretHash),
        fresh: &FreshTokens,
    ) -> Result<Found> {
        let Some(OauthSelectorRecord { user_id, device_id }) = tx.get(key).await? else {
            return Ok(Found::Refused);
        };
        let of_device = OauthSessionKey { user_id: user_id.clone(), device_id: device_id.clone() };
        let session = tx.get(&of_device).await?;
        let Some(session) = session.filter(|session| session.client_id == client_id) else {
            return Ok(Found::Refused);
        };
        match self.open_account(tx, &user_id).await {
            Ok(account) if account.locked => return Err(Error::UserLocked),
            Ok(_) => {}
            Err(error @ (Error::Store(_) | Error::Bug(_))) => return Err(error),
            Err(_) => return Ok(Found::Refused),
        }
        let Some(record) = tx.get(&RefreshTokenKey { hash }).await? else {
            return Ok(Found::Replayed(delete_device(tx, &user_id, &device_id).await?));
        };
        if record.expires_at_ms.is_some_and(|at| at <= self.clock.now_ms()) {
            return Ok(Found::Refused);
        }
        let other = |pair: &TokenPair| pair.refresh != Some(hash);
        let ended = end_tokens(tx, &user_id, &device_id, other).await?;
        let renewed = self.add_tokens(tx, &user_id, &device_id, fresh, true).await?;
        Ok(Found::Renewed(renewed, session.scope, ended))
    }

    /// Ends the session of an access token or refresh token, with its device. A token that stands for
    /// nothing is no error.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn revoke_token(&self, token: &str) -> Result<()> {
        if token.len() > TOKEN_MAX {
            return Ok(());
        }
        let hash = TokenHash::of(token).0;
        let ended = self
            .store
            .write(|tx| async move {
                let access = tx.get(&AccessTokenKey { hash }).await?;
                let refresh = tx.get(&RefreshTokenKey { hash }).await?;
                let access = access.map(|record| (record.user_id, record.device_id));
                let refresh = refresh.map(|record| (record.user_id, record.device_id));
                match access.or(refresh) {
                    Some((user_id, device_id)) => delete_device(&tx, &user_id, &device_id).await,
                    None => Ok(Vec::new()),
                }
            })
            .await?;
        self.forget_tokens(&ended);
        Ok(())
    }

    /// The client whose session a device is, if it began by OAuth.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn oauth_client_of(
        &self,
        user_id: &UserId,
        device_id: &DeviceId,
    ) -> Result<Option<String>> {
        let key = OauthSessionKey { user_id: user_id.to_owned(), device_id: device_id.to_owned() };
        Ok(self.store.get(&key).await?.map(|session| session.client_id))
    }
}

/// Notes that a client has had a session: it is kept from then on.
async fn client_is_used(tx: &Tx, client_id: &str) -> Result<()> {
    let key = OauthClientKey { client_id: client_id.to_owned() };
    if let Some(mut client) = tx.get(&key).await?
        && !client.used
    {
        client.used = true;
        tx.put(&key, &client)?;
        let created_ms = client.created_ms;
        tx.delete(&OauthUnusedClientKey { created_ms, client_id: key.client_id });
    }
    Ok(())
}

/// Takes what makes a device one of OAuth: it ends, or somebody logs in on it in another way.
pub(super) async fn forget_oauth_session(
    tx: &Tx,
    user_id: &UserId,
    device_id: &DeviceId,
) -> Result<()> {
    let key = OauthSessionKey { user_id: user_id.to_owned(), device_id: device_id.to_owned() };
    if let Some(session) = tx.get(&key).await? {
        tx.delete(&key);
        tx.delete(&OauthSelectorKey { selector: session.selector });
        tx.wake(Topic::Device(key.user_id, key.device_id));
    }
    Ok(())
}
