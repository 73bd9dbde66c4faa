//! New passwords, and the end of an account.
//!
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#account-management>

use pli_schema::{
    Topic,
    records::{
        accounts::{
            AccountEmailKey, AccountKey, AccountRecord, AdminKey, EmailOwnerKey, ProfileKey,
            Purpose, SecretHash,
        },
        policy::AuditRecord,
    },
};
use pli_store::{Scan, Tx};
use ruma::{
    DeviceId, OwnedUserId, UserId,
    api::client::uiaa::{AuthData, AuthType},
};

use super::{
    Accounts, Authenticated, Operation, Secret,
    devices::delete_all_devices,
    emails::disown_all_emails,
    uia::{Proof, Stages},
};
use crate::{Error, Result, audit};

/// A request for a new password.
#[derive(Clone, Debug)]
pub struct PasswordChange {
    /// What the request asks for, for the authentication session.
    pub operation: Operation,
    /// The new password.
    pub new_password: Secret,
    /// End every other session.
    pub logout_devices: bool,
    /// The stage that is passed with this request.
    pub auth: Option<AuthData>,
}

impl Accounts {
    /// Sets a new password: for a user who is logged in, confirmed with the old one; for anyone else,
    /// proven by mail.
    ///
    /// # Errors
    /// [`Error::Uia`] with what is to be proven, [`Error::WeakPassword`].
    pub async fn change_password(
        &self,
        who: Option<&Authenticated>,
        change: PasswordChange,
    ) -> Result<()> {
        self.passwords.check_rules(&change.new_password)?;
        let sid = match who {
            Some(who) => {
                self.confirm_operation(who, &change.operation, change.auth.as_ref()).await?;
                None
            }
            None => Some(self.prove_reset(&change).await?),
        };
        let hash = &self.passwords.hash(&change.new_password).await?;
        let (sid, change) = (&sid, &change);
        let ended = self
            .store
            .write(|tx| async move {
                let (user_id, keep) = match (who, sid) {
                    (Some(who), _) => (who.user_id.clone(), Some(&*who.device_id)),
                    (None, Some(sid)) => (self.owner_of_proof(&tx, sid).await?, None),
                    (None, None) => return Err(Error::bug("a new password for nobody")),
                };
                self.write_password(&tx, &user_id, hash, change.logout_devices, keep).await
            })
            .await?;
        self.forget_tokens(&ended);
        Ok(())
    }

    /// Whether a new password follows the rules.
    ///
    /// # Errors
    /// [`Error::WeakPassword`].
    pub fn check_new_password(&self, password: &Secret) -> Result<()> {
        self.passwords.check_rules(password)
    }

    /// Sets a new password for somebody who is signed in in the browser and knows the old one.
    ///
    /// # Errors
    /// [`Error::Forbidden`] for a wrong old password, [`Error::WeakPassword`],
    /// [`Error::LimitExceeded`] after too many wrong tries.
    pub async fn replace_password(
        &self,
        user_id: &UserId,
        (old, new): (&Secret, &Secret),
        logout_devices: bool,
    ) -> Result<()> {
        self.passwords.check_rules(new)?;
        if !self.password_is_right(user_id, old).await? {
            return Err(Error::forbidden("The password is not right"));
        }
        let hash = &self.passwords.hash(new).await?;
        let ended = self
            .store
            .write(|tx| async move {
                self.write_password(&tx, user_id, hash, logout_devices, None).await
            })
            .await?;
        self.forget_tokens(&ended);
        Ok(())
    }

    /// Sets a new password with a proof by mail that was given on a page; every session ends. Returns
    /// whose password it is.
    ///
    /// # Errors
    /// [`Error::WeakPassword`], [`Error::ThreepidAuthFailed`] without a proof,
    /// [`Error::ThreepidNotFound`] if the address has no account any more.
    pub async fn reset_password_with_mail(
        &self,
        sid: &str,
        client_secret: &Secret,
        new: &Secret,
    ) -> Result<OwnedUserId> {
        self.passwords.check_rules(new)?;
        if self.proof(Purpose::ResetPassword, sid, client_secret).await?.is_none() {
            let text = "The e-mail address is not proven";
            return Err(Error::ThreepidAuthFailed(text.to_owned()));
        }
        let hash = &self.passwords.hash(new).await?;
        let (user_id, ended) = self
            .store
            .write(|tx| async move {
                let user_id = self.owner_of_proof(&tx, sid).await?;
                let ended = self.write_password(&tx, &user_id, hash, true, None).await?;
                Ok::<_, Error>((user_id, ended))
            })
            .await?;
        self.forget_tokens(&ended);
        Ok(user_id)
    }

    /// Has somebody who is not logged in prove an address; returns the validation session.
    async fn prove_reset(&self, change: &PasswordChange) -> Result<String> {
        let stages = Stages {
            operation: &change.operation,
            who: None,
            flows: vec![vec![AuthType::EmailIdentity]],
            params: None,
            purpose: Purpose::ResetPassword,
        };
        let proofs = self.pass(&stages, change.auth.as_ref()).await?;
        let sid = proofs.into_iter().find_map(|proof| match proof {
            Proof::Email { sid } => Some(sid),
            _ => None,
        });
        sid.ok_or_else(|| Error::bug("a reset without a proof"))
    }

    async fn owner_of_proof(&self, tx: &Tx, sid: &str) -> Result<OwnedUserId> {
        let proof = self.use_proof(tx, Purpose::ResetPassword, sid).await?;
        let owner = tx.get(&EmailOwnerKey { address: proof.address.into() }).await?;
        let not_found = || Error::ThreepidNotFound("No account has this address".to_owned());
        owner.map(|owner| owner.user_id).ok_or_else(not_found)
    }

    async fn write_password(
        &self,
        tx: &Tx,
        user_id: &UserId,
        hash: &str,
        logout_devices: bool,
        keep: Option<&DeviceId>,
    ) -> Result<Vec<SecretHash>> {
        let mut account = self.open_account(tx, user_id).await?;
        account.password_hash = Some(hash.to_owned());
        tx.put(&AccountKey { user_id: user_id.to_owned() }, &account)?;
        if logout_devices { delete_all_devices(tx, user_id, keep).await } else { Ok(Vec::new()) }
    }

    /// Closes an account for good: no login, no devices, no addresses, no profile. Its name is never
    /// given to anyone else. (That it leaves its rooms is the rooms' part.)
    ///
    /// # Errors
    /// [`Error::NotFound`] for an account that is not open.
    pub async fn deactivate(&self, user_id: &UserId, erase: bool, by: &UserId) -> Result<()> {
        let ended = self
            .store
            .write(|tx| async move {
                let account = self.open_account(&tx, user_id).await?;
                let key = AccountKey { user_id: user_id.to_owned() };
                let closed = AccountRecord {
                    password_hash: None,
                    admin: false,
                    deactivated: true,
                    erased: erase,
                    ..account
                };
                tx.put(&key, &closed)?;
                tx.delete(&AdminKey { user_id: user_id.to_owned() });
                disown_all_emails(&tx, user_id).await?;
                for row in tx.scan(&Scan::<ProfileKey>::prefix((user_id.to_owned(),))).await? {
                    tx.delete(&row.key);
                }
                let entry = AuditRecord {
                    at_ms: self.clock.now_ms(),
                    actor: Some(by.to_owned()),
                    action: "account.deactivate".to_owned(),
                    subject: user_id.to_string(),
                    details_json: serde_json::json!({ "erase": erase }).to_string(),
                };
                audit::record(&tx, 0, &entry)?;
                tx.wake(Topic::User(user_id.to_owned()));
                delete_all_devices(&tx, user_id, None).await
            })
            .await?;
        self.forget_tokens(&ended);
        Ok(())
    }

    /// Whether somebody could prove by mail to own the account: it has an e-mail address.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn has_email(&self, user_id: &UserId) -> Result<bool> {
        let scan = Scan::<AccountEmailKey>::prefix((user_id.to_owned(),)).limit(1);
        Ok(!self.store.scan(&scan).await?.is_empty())
    }
}
