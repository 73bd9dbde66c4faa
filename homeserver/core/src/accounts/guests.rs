//! Guests in the sense of the specification: accounts without proof, limited in what they may do.
//!
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#guest-access>.

use pli_schema::{
    Language, Topic,
    records::accounts::{AccountKey, AccountKind, AccountRecord, AdminKey, DeviceKey, SecretHash},
};
use pli_store::{Scan, Tx};
use ruma::{OwnedUserId, UserId};

use super::{
    Accounts,
    registration::{NewAccount, Registered},
    tokens::DeviceWish,
};
use crate::{Error, Result};

impl Accounts {
    /// Registers a guest in the sense of the specification ("Guest access"), where that is allowed.
    ///
    /// # Errors
    /// [`Error::Forbidden`] where it is not.
    pub async fn register_guest(&self, device: &DeviceWish) -> Result<Registered> {
        if !self.settings.test_deployment.guest_access {
            return Err(Error::forbidden("Guest access is off on this server"));
        }
        let user_id = &self.made_up_user_id()?;
        let wish = &DeviceWish { refresh_token: false, ..device.clone() };
        let fresh = &self.fresh_tokens(wish);
        let account = &NewAccount {
            password_hash: None,
            kind: AccountKind::MatrixGuest,
            admin: false,
            from_email: false,
            language: Language::default(),
            display_name: "Guest".to_owned(),
        };
        let session = self
            .store
            .write(|tx| async move {
                self.create(&tx, user_id, account.clone()).await?;
                Ok::<_, Error>(self.begin_session(&tx, user_id, wish, fresh).await?.0)
            })
            .await?;
        Ok(Registered { user_id: user_id.clone(), session: Some(session) })
    }

    /// The guest who wants to become a user, by the access token that they have as a guest.
    ///
    /// # Errors
    /// [`Error::UnknownToken`]; [`Error::Forbidden`] for a token of somebody who is no guest.
    pub async fn guest_of_token(&self, token: &str) -> Result<OwnedUserId> {
        let who = self.authenticate(token).await?;
        if who.is_guest {
            return Ok(who.user_id);
        }
        Err(Error::forbidden("`guest_access_token` is not a guest's"))
    }

    /// Makes a guest a user, under the same id and with the same devices.
    pub(super) async fn promote(
        &self,
        tx: &Tx,
        guest: &UserId,
        password_hash: &Option<String>,
        admin: bool,
    ) -> Result<()> {
        let account = self.open_account(tx, guest).await?;
        if account.kind != AccountKind::MatrixGuest {
            return Err(Error::forbidden("This guest is a user already"));
        }
        let promoted = AccountRecord {
            kind: AccountKind::Agent,
            password_hash: password_hash.clone(),
            admin,
            ..account
        };
        tx.put(&AccountKey { user_id: guest.to_owned() }, &promoted)?;
        if admin {
            tx.put(&AdminKey { user_id: guest.to_owned() }, &())?;
        }
        tx.wake(Topic::User(guest.to_owned()));
        Ok(())
    }

    /// The hashes of a user's access tokens.
    pub(super) async fn access_tokens_of(&self, user_id: &UserId) -> Result<Vec<SecretHash>> {
        let rows = self.store.scan(&Scan::<DeviceKey>::prefix((user_id.to_owned(),))).await?;
        Ok(rows.into_iter().flat_map(|row| row.record.tokens).map(|pair| pair.access).collect())
    }
}
