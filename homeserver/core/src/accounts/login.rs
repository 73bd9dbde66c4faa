//! Login with a password or a login token; logout.
//!
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#login>

use pli_schema::{
    EmailAddress, Topic,
    records::accounts::{AccountKey, EmailOwnerKey, LoginTokenKey, LoginTokenRecord, SecretHash},
};
use pli_store::Tx;
use ruma::{OwnedUserId, UserId, api::client::uiaa::UserIdentifier};

use super::{
    Accounts, Authenticated, Secret, Session, TokenHash, names,
    passwords::Verified,
    tokens::{DeviceWish, FreshTokens},
};
use crate::{Error, Result};

/// How long a login token lives (spec: "2 minutes is recommended").
pub const LOGIN_TOKEN_LIFETIME_MS: u64 = 120_000;

/// By what a person is named who logs in.
#[derive(Clone, Debug)]
pub enum LoginIdentifier {
    /// A user id or its local part.
    User(String),
    /// An e-mail address.
    Email(String),
    /// Something that this server knows nobody by.
    Unknown,
}

impl From<UserIdentifier> for LoginIdentifier {
    fn from(identifier: UserIdentifier) -> Self {
        match identifier {
            UserIdentifier::Matrix(it) => Self::User(it.user),
            UserIdentifier::Email(it) => Self::Email(it.address),
            _ => Self::Unknown,
        }
    }
}

/// A login.
#[derive(Clone, Debug)]
pub enum LoginRequest {
    /// `m.login.password`
    Password {
        /// Who.
        identifier: LoginIdentifier,
        /// The password.
        password: Secret,
    },
    /// `m.login.token`
    Token(Secret),
}

impl Accounts {
    /// Logs in on a device. A device that the account has already is taken over: its earlier tokens
    /// end.
    ///
    /// # Errors
    /// [`Error::Forbidden`] without telling what was wrong, [`Error::UserLocked`],
    /// [`Error::UserDeactivated`], [`Error::LimitExceeded`] after too many wrong passwords.
    pub async fn login(&self, request: LoginRequest, wish: &DeviceWish) -> Result<Session> {
        let fresh = &self.fresh_tokens(wish);
        let (session, ended) = match request {
            LoginRequest::Password { identifier, password } => {
                let user_id = self.user_with_password(&identifier, &password).await?;
                let user_id = &user_id;
                self.store
                    .write(|tx| async move { self.log_in(&tx, user_id, wish, fresh).await })
                    .await?
            }
            LoginRequest::Token(token) => {
                let hash = TokenHash::of(token.reveal()).0;
                self.store
                    .write(|tx| async move {
                        let user_id = self.use_login_token(&tx, hash).await?;
                        self.log_in(&tx, &user_id, wish, fresh).await
                    })
                    .await?
            }
        };
        self.forget_tokens(&ended);
        Ok(session)
    }

    pub(super) async fn log_in(
        &self,
        tx: &Tx,
        user_id: &UserId,
        wish: &DeviceWish,
        fresh: &FreshTokens,
    ) -> Result<(Session, Vec<SecretHash>)> {
        let Some(account) = tx.get(&AccountKey { user_id: user_id.to_owned() }).await? else {
            return Err(wrong_login());
        };
        if account.deactivated {
            return Err(Error::UserDeactivated);
        }
        if account.locked {
            return Err(Error::UserLocked);
        }
        tx.wake(Topic::User(user_id.to_owned()));
        self.begin_session(tx, user_id, wish, fresh).await
    }

    /// The user with this password, if the account may be used: for pages in the browser, which begin no
    /// session of a device.
    ///
    /// # Errors
    /// As [`Self::login`].
    pub async fn sign_in(
        &self,
        identifier: &LoginIdentifier,
        password: &Secret,
    ) -> Result<OwnedUserId> {
        let user_id = self.user_with_password(identifier, password).await?;
        self.check_usable(&user_id).await?;
        Ok(user_id)
    }

    /// Whether somebody who is known to own an account may use it.
    ///
    /// # Errors
    /// [`Error::UserDeactivated`], [`Error::UserLocked`].
    pub async fn check_usable(&self, user_id: &UserId) -> Result<()> {
        match self.account(user_id).await? {
            None => Err(wrong_login()),
            Some(account) if account.deactivated => Err(Error::UserDeactivated),
            Some(account) if account.locked => Err(Error::UserLocked),
            Some(_) => Ok(()),
        }
    }

    /// Begins a session for a user without asking for anything: for what has authenticated the user in
    /// another way (registration with a shared secret, application services).
    ///
    /// # Errors
    /// As [`Self::login`].
    pub async fn login_as(&self, user_id: &UserId, wish: &DeviceWish) -> Result<Session> {
        let fresh = &self.fresh_tokens(wish);
        let (session, ended) = self
            .store
            .write(|tx| async move { self.log_in(&tx, user_id, wish, fresh).await })
            .await?;
        self.forget_tokens(&ended);
        Ok(session)
    }

    /// The user with this password. Takes as long for people who do not exist.
    async fn user_with_password(
        &self,
        identifier: &LoginIdentifier,
        password: &Secret,
    ) -> Result<OwnedUserId> {
        if !self.settings.passwords.enabled {
            return Err(Error::forbidden("Passwords are not used on this server"));
        }
        // By what was written, never by whose it is: wrong tries at the name of an account that comes
        // from an address must not show at the address.
        let subject = self.subject(identifier);
        self.wrong_passwords.check(&subject)?;
        let named = self.identified_user(identifier).await?;
        let phc = match &named {
            Some(user_id) => self.account(user_id).await?.and_then(|account| account.password_hash),
            None => None,
        };
        let found = self.passwords.verify(password, phc.as_deref()).await?;
        match named {
            Some(user_id) if found.right => {
                self.wrong_passwords.right(&subject);
                self.renew_hash(&user_id, password, phc.as_deref(), found).await?;
                Ok(user_id)
            }
            _ => {
                self.wrong_passwords.wrong(subject);
                Err(wrong_login())
            }
        }
    }

    /// What wrong passwords are counted for: one spelling of what was written.
    fn subject(&self, identifier: &LoginIdentifier) -> SecretHash {
        let written = match identifier {
            LoginIdentifier::User(name) => {
                match names::user_id_for(name, &self.settings.server_name) {
                    Ok(user_id) => return TokenHash::of(user_id.as_str()).0,
                    Err(_) => name.to_ascii_lowercase(),
                }
            }
            LoginIdentifier::Email(text) => match EmailAddress::parse(text.trim()) {
                Ok(address) => address.into(),
                Err(_) => text.clone(),
            },
            LoginIdentifier::Unknown => String::new(),
        };
        TokenHash::of(&format!("login as {written}")).0
    }

    /// Whether this is the user's password; wrong tries count.
    ///
    /// # Errors
    /// [`Error::LimitExceeded`] after too many wrong tries.
    pub(super) async fn password_is_right(
        &self,
        user_id: &UserId,
        password: &Secret,
    ) -> Result<bool> {
        let subject = TokenHash::of(user_id.as_str()).0;
        self.wrong_passwords.check(&subject)?;
        let phc = self.account(user_id).await?.and_then(|account| account.password_hash);
        let found = self.passwords.verify(password, phc.as_deref()).await?;
        if found.right {
            self.wrong_passwords.right(&subject);
        } else {
            self.wrong_passwords.wrong(subject);
        }
        Ok(found.right)
    }

    /// Hashes a password again whose hash is weaker than new ones are.
    async fn renew_hash(
        &self,
        user_id: &UserId,
        password: &Secret,
        phc: Option<&str>,
        found: Verified,
    ) -> Result<()> {
        if !found.outdated {
            return Ok(());
        }
        let renewed = &self.passwords.hash(password).await?;
        self.store
            .write(|tx| async move {
                let key = AccountKey { user_id: user_id.to_owned() };
                if let Some(mut account) = tx.get(&key).await?
                    && account.password_hash.as_deref() == phc
                {
                    account.password_hash = Some(renewed.clone());
                    tx.put(&key, &account)?;
                }
                Ok(())
            })
            .await
    }

    /// The user of this server whom an identifier names.
    pub(super) async fn identified_user(
        &self,
        identifier: &LoginIdentifier,
    ) -> Result<Option<OwnedUserId>> {
        match identifier {
            LoginIdentifier::User(name) => {
                Ok(names::user_id_for(name, &self.settings.server_name).ok())
            }
            LoginIdentifier::Email(text) => {
                let Ok(address) = EmailAddress::parse(text.trim()) else {
                    return Ok(None);
                };
                let key = EmailOwnerKey { address: address.into() };
                Ok(self.store.get(&key).await?.map(|owner| owner.user_id))
            }
            LoginIdentifier::Unknown => Ok(None),
        }
    }

    /// A token with which another client of the same user can log in once, soon. With its lifetime in
    /// milliseconds.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn new_login_token(&self, who: &Authenticated) -> Result<(Secret, u64)> {
        self.new_login_token_for(&who.user_id).await
    }

    /// As [`Self::new_login_token`], for a user who has signed in in the browser.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn new_login_token_for(&self, user_id: &UserId) -> Result<(Secret, u64)> {
        let token = Secret::from(self.random.token());
        let key = &LoginTokenKey { hash: TokenHash::of(token.reveal()).0 };
        let record = &LoginTokenRecord {
            user_id: user_id.to_owned(),
            expires_at_ms: self.clock.now_ms().saturating_add(LOGIN_TOKEN_LIFETIME_MS),
        };
        self.store
            .write(|tx| async move {
                tx.put(key, record)?;
                Ok::<_, Error>(())
            })
            .await?;
        Ok((token, LOGIN_TOKEN_LIFETIME_MS))
    }

    async fn use_login_token(&self, tx: &Tx, hash: SecretHash) -> Result<OwnedUserId> {
        let key = LoginTokenKey { hash };
        let record = tx.get(&key).await?;
        match record.filter(|record| record.expires_at_ms > self.clock.now_ms()) {
            Some(record) => {
                tx.delete(&key);
                Ok(record.user_id)
            }
            None => Err(Error::forbidden("The login token is not valid")),
        }
    }
}

fn wrong_login() -> Error {
    Error::forbidden("Wrong user name or password")
}
