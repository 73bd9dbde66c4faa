//! Access tokens and refresh tokens: issued, looked up, renewed, ended.
//!
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#refreshing-access-tokens>

use pli_schema::{
    Topic,
    records::accounts::{
        AccessTokenKey, AccessTokenRecord, AccountKind, DeviceKey, DeviceRecord, RefreshTokenKey,
        RefreshTokenRecord, SecretHash, TokenPair,
    },
};
use pli_store::Tx;
use ruma::{DeviceId, OwnedDeviceId, OwnedUserId, UserId};
use sha2::{Digest, Sha256};

use super::{
    Accounts, Authenticated, Secret,
    oauth_sessions::{forget_oauth_session, names_oauth_session},
};
use crate::{Error, Result};

/// Longest token that is hashed and looked up, in bytes.
pub(super) const TOKEN_MAX: usize = 512;

/// SHA-256 of a token. The tokens have 256 random bits, so a fast hash is as good as a slow one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TokenHash(pub SecretHash);

impl TokenHash {
    /// The hash of a token.
    #[must_use]
    pub fn of(token: &str) -> Self {
        Self(Sha256::digest(token.as_bytes()).into())
    }
}

/// The device that a login or registration is for.
#[derive(Clone, Debug, Default)]
pub struct DeviceWish {
    /// The client's wish; made by the server if absent.
    pub device_id: Option<OwnedDeviceId>,
    /// Its name, if it is new.
    pub initial_display_name: Option<String>,
    /// The client can use refresh tokens.
    pub refresh_token: bool,
}

/// A session that has begun.
#[derive(Clone, Debug)]
pub struct Session {
    /// Whose.
    pub user_id: OwnedUserId,
    /// Which device's.
    pub device_id: OwnedDeviceId,
    /// The access token.
    pub access_token: Secret,
    /// The refresh token.
    pub refresh_token: Option<Secret>,
    /// How long the access token lives, in milliseconds.
    pub expires_in_ms: Option<u64>,
}

/// Whether an account may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    Good,
    Locked,
    Expired,
}

impl Accounts {
    /// Who an access token stands for.
    ///
    /// # Errors
    /// [`Error::UnknownToken`] for a token that is not (or no longer) valid; `soft_logout` says that it
    /// has only expired. [`Error::UserLocked`] for an account that an admin has locked,
    /// [`Error::AccountExpired`] for one that must be renewed.
    pub async fn authenticate(&self, token: &str) -> Result<Authenticated> {
        match self.holder(token).await? {
            (who, Standing::Good) => Ok(who),
            (_, Standing::Locked) => Err(Error::UserLocked),
            (_, Standing::Expired) => Err(Error::AccountExpired),
        }
    }

    /// As [`Self::authenticate`], but accounts that are locked or must be renewed pass: they may log
    /// out.
    ///
    /// # Errors
    /// [`Error::UnknownToken`].
    pub async fn authenticate_even_locked(&self, token: &str) -> Result<Authenticated> {
        self.holder(token).await.map(|(who, _)| who)
    }

    /// As [`Self::authenticate`], but accounts that must be renewed pass: they may ask for the mail.
    ///
    /// # Errors
    /// [`Error::UnknownToken`], [`Error::UserLocked`].
    pub async fn authenticate_even_expired(&self, token: &str) -> Result<Authenticated> {
        match self.holder(token).await? {
            (_, Standing::Locked) => Err(Error::UserLocked),
            (who, _) => Ok(who),
        }
    }

    /// Who has an access token, and whether their account may be used.
    async fn holder(&self, token: &str) -> Result<(Authenticated, Standing)> {
        let unknown = Error::UnknownToken { soft_logout: false };
        if token.is_empty() || token.len() > TOKEN_MAX {
            return Err(unknown);
        }
        let hash = TokenHash::of(token).0;
        if let Some(who) = self.cache.get(&hash, self.clock.now_ms()) {
            return Ok((who, Standing::Good));
        }
        let generation = self.cache.generation();
        let Some(record) = self.store.get(&AccessTokenKey { hash }).await? else {
            return Err(unknown);
        };
        if record.expires_at_ms.is_some_and(|at| at <= self.clock.now_ms()) {
            return Err(Error::UnknownToken { soft_logout: true });
        }
        let account = self.account(&record.user_id).await?;
        let Some(account) = account.filter(|account| !account.deactivated) else {
            return Err(unknown);
        };
        let wall = self.wall_of(&record.user_id).await?;
        let standing = match wall {
            _ if account.locked => Standing::Locked,
            Some(wall) if wall <= self.clock.now_ms() => Standing::Expired,
            _ => Standing::Good,
        };
        if record.unconfirmed && standing == Standing::Good {
            self.confirm(hash).await?;
        }
        let who = Authenticated {
            user_id: record.user_id,
            device_id: record.device_id,
            is_guest: account.kind == AccountKind::MatrixGuest,
            is_admin: account.admin,
            is_suspended: account.suspended,
            appservice: None,
        };
        if standing == Standing::Good {
            let ends = record.expires_at_ms.into_iter().chain(wall).min();
            self.cache.put(generation, hash, who.clone(), ends);
        }
        Ok((who, standing))
    }

    /// The first use of a token that came from a refresh: the tokens before it end.
    async fn confirm(&self, hash: SecretHash) -> Result<()> {
        let ended: Vec<SecretHash> = self
            .store
            .write(|tx| async move {
                let key = AccessTokenKey { hash };
                let Some(mut record) = tx.get(&key).await? else {
                    return Err(Error::UnknownToken { soft_logout: false });
                };
                record.unconfirmed = false;
                tx.put(&key, &record)?;
                end_tokens(&tx, &record.user_id, &record.device_id, |pair| pair.access != hash)
                    .await
            })
            .await?;
        self.cache.forget(&ended);
        Ok(())
    }

    /// A new pair of tokens for a refresh token. The old pair lives until the new one is used, so that
    /// an answer that gets lost logs nobody out.
    ///
    /// # Errors
    /// [`Error::UnknownToken`] if the refresh token is not valid.
    pub async fn refresh(&self, refresh_token: &str) -> Result<Session> {
        // Tokens of OAuth are renewed where the client is named too.
        if refresh_token.len() > TOKEN_MAX || names_oauth_session(refresh_token) {
            return Err(Error::UnknownToken { soft_logout: false });
        }
        let hash = TokenHash::of(refresh_token).0;
        let wish = DeviceWish { refresh_token: true, ..DeviceWish::default() };
        let fresh = &self.fresh_tokens(&wish);
        let (session, ended) = self
            .store
            .write(|tx| async move {
                let unknown = Error::UnknownToken { soft_logout: false };
                let Some(record) = tx.get(&RefreshTokenKey { hash }).await? else {
                    return Err(unknown);
                };
                if record.expires_at_ms.is_some_and(|at| at <= self.clock.now_ms()) {
                    return Err(unknown);
                }
                let account = self.open_account(&tx, &record.user_id).await;
                if account.map_err(|_| unknown)?.locked {
                    return Err(Error::UserLocked);
                }
                let (user_id, device_id) = (&record.user_id, &record.device_id);
                let other = |pair: &TokenPair| pair.refresh != Some(hash);
                let ended = end_tokens(&tx, user_id, device_id, other).await?;
                let session = self.add_tokens(&tx, user_id, device_id, fresh, true).await?;
                Ok::<_, Error>((session, ended))
            })
            .await?;
        self.cache.forget(&ended);
        Ok(session)
    }

    /// Tokens to be issued; made outside of the transaction, which may run more than once.
    pub(super) fn fresh_tokens(&self, wish: &DeviceWish) -> FreshTokens {
        let refresh = wish.refresh_token.then(|| Secret::from(self.random.token()));
        let access_lifetime_s = self.settings.sessions.access_token_lifetime_s;
        FreshTokens { access: Secret::from(self.random.token()), refresh, access_lifetime_s }
    }

    /// Begins a session on the device that the client wishes. A known device keeps its name, and its
    /// earlier tokens end (they are returned, to be dropped from the cache after the commit).
    pub(super) async fn begin_session(
        &self,
        tx: &Tx,
        user_id: &UserId,
        wish: &DeviceWish,
        fresh: &FreshTokens,
    ) -> Result<(Session, Vec<SecretHash>)> {
        check_wish(wish)?;
        let now_ms = self.clock.now_ms();
        let device_id = match &wish.device_id {
            Some(device_id) => device_id.clone(),
            None => OwnedDeviceId::from(self.random.string(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ", 10)),
        };
        let key = DeviceKey { user_id: user_id.to_owned(), device_id: device_id.clone() };
        let ended = end_tokens(tx, user_id, &device_id, |_| true).await?;
        forget_oauth_session(tx, user_id, &device_id).await?;
        if tx.get(&key).await?.is_none() {
            let device = DeviceRecord {
                display_name: wish.initial_display_name.clone(),
                created_ms: now_ms,
                last_seen_ms: now_ms,
                last_seen_ip: None,
                tokens: Vec::new(),
            };
            tx.put(&key, &device)?;
        }
        let session = self.add_tokens(tx, user_id, &device_id, fresh, false).await?;
        Ok((session, ended))
    }

    pub(super) async fn add_tokens(
        &self,
        tx: &Tx,
        user_id: &UserId,
        device_id: &DeviceId,
        fresh: &FreshTokens,
        unconfirmed: bool,
    ) -> Result<Session> {
        let now_ms = self.clock.now_ms();
        let (user_id, device_id) = (user_id.to_owned(), device_id.to_owned());
        let key = DeviceKey { user_id: user_id.clone(), device_id: device_id.clone() };
        let Some(mut device) = tx.get(&key).await? else {
            return Err(Error::UnknownToken { soft_logout: false });
        };
        let lifetime = |seconds: u64| seconds.saturating_mul(1_000);
        let sessions = &self.settings.sessions;
        let expires_in_ms = fresh.refresh.as_ref().map(|_| lifetime(fresh.access_lifetime_s));
        let access = AccessTokenRecord {
            user_id: user_id.clone(),
            device_id: device_id.clone(),
            expires_at_ms: expires_in_ms.map(|ms| now_ms.saturating_add(ms)),
            unconfirmed,
        };
        let access_hash = TokenHash::of(fresh.access.reveal()).0;
        tx.put(&AccessTokenKey { hash: access_hash }, &access)?;
        let refresh_hash = fresh.refresh.as_ref().map(|token| TokenHash::of(token.reveal()).0);
        if let Some(hash) = refresh_hash {
            let end = now_ms.saturating_add(lifetime(sessions.refresh_token_lifetime_s));
            let refresh = RefreshTokenRecord {
                user_id: user_id.clone(),
                device_id: device_id.clone(),
                expires_at_ms: Some(end),
            };
            tx.put(&RefreshTokenKey { hash }, &refresh)?;
        }
        device.tokens.push(TokenPair { access: access_hash, refresh: refresh_hash });
        device.last_seen_ms = now_ms;
        tx.put(&key, &device)?;
        Ok(Session {
            user_id,
            device_id,
            access_token: fresh.access.clone(),
            refresh_token: fresh.refresh.clone(),
            expires_in_ms,
        })
    }

    /// Makes the server forget tokens that a durable commit has ended.
    pub(super) fn forget_tokens(&self, ended: &[SecretHash]) {
        self.cache.forget(ended);
    }
}

/// Tokens to be issued.
#[derive(Clone, Debug)]
pub(super) struct FreshTokens {
    pub access: Secret,
    pub refresh: Option<Secret>,
    pub access_lifetime_s: u64,
}

/// Ends the tokens of a device that `which` names; returns the hashes of the access tokens.
pub(super) async fn end_tokens(
    tx: &Tx,
    user_id: &UserId,
    device_id: &DeviceId,
    which: impl Fn(&TokenPair) -> bool,
) -> Result<Vec<SecretHash>> {
    let key = DeviceKey { user_id: user_id.to_owned(), device_id: device_id.to_owned() };
    let Some(mut device) = tx.get(&key).await? else {
        return Ok(Vec::new());
    };
    let (gone, kept): (Vec<_>, Vec<_>) = device.tokens.into_iter().partition(|pair| which(pair));
    device.tokens = kept;
    for pair in &gone {
        tx.delete(&AccessTokenKey { hash: pair.access });
        if let Some(hash) = pair.refresh {
            tx.delete(&RefreshTokenKey { hash });
        }
    }
    if !gone.is_empty() {
        tx.put(&key, &device)?;
        // Long polls of the ended session wake up and find that out.
        tx.wake(Topic::Device(key.user_id.clone(), key.device_id.clone()));
    }
    Ok(gone.into_iter().map(|pair| pair.access).collect())
}

/// Longest device id that a client may choose, in bytes: it becomes part of keys of the store.
const DEVICE_ID_BYTES_MAX: usize = 128;
/// Longest name of a device, in characters.
const DEVICE_NAME_MAX: usize = 256;

/// Refuses what could not be stored, or what others could not address.
pub(super) fn check_wish(wish: &DeviceWish) -> Result<()> {
    let id_ok = |id: &str| {
        (1..=DEVICE_ID_BYTES_MAX).contains(&id.len()) && !id.chars().any(char::is_control)
    };
    if wish.device_id.as_ref().is_some_and(|id| !id_ok(id.as_str())) {
        return Err(Error::invalid_param("The id of a device has 1 to 128 bytes"));
    }
    let name_ok = |name: &String| name.chars().count() <= DEVICE_NAME_MAX;
    if !wish.initial_display_name.as_ref().is_none_or(name_ok) {
        return Err(Error::too_large("The name of a device has at most 256 characters"));
    }
    Ok(())
}
