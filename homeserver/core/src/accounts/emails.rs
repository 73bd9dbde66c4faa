//! E-mail addresses of accounts: each has one owner.
//!
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#adding-account-administrative-contact-information>

use pli_schema::{
    EmailAddress, Topic,
    records::accounts::{AccountEmailKey, EmailOwnerKey, EmailOwnerRecord, Purpose},
};
use pli_store::{Scan, Tx};
use ruma::UserId;

use super::{Accounts, Secret};
use crate::{Error, Result, policy::Answer};

/// An e-mail address of an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountEmail {
    /// The address in canonical form.
    pub address: String,
    /// When it was proven, in milliseconds since 1970.
    pub validated_at_ms: u64,
    /// When it was added, in milliseconds since 1970.
    pub added_at_ms: u64,
}

impl Accounts {
    /// The e-mail addresses of a user.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn emails(&self, user_id: &UserId) -> Result<Vec<AccountEmail>> {
        let rows = self.store.scan(&Scan::<AccountEmailKey>::prefix((user_id.to_owned(),))).await?;
        let mut emails = Vec::with_capacity(rows.len());
        for row in rows {
            let address = row.key.address;
            let key = EmailOwnerKey { address: address.clone() };
            if let Some(owner) = self.store.get(&key).await? {
                let EmailOwnerRecord { validated_at_ms, added_at_ms, .. } = owner;
                emails.push(AccountEmail { address, validated_at_ms, added_at_ms });
            }
        }
        Ok(emails)
    }

    /// Adds a proven address to an account. The rules are asked again.
    ///
    /// # Errors
    /// [`Error::ThreepidAuthFailed`] without a proof, [`Error::ThreepidDenied`],
    /// [`Error::ThreepidInUse`].
    pub async fn add_email(
        &self,
        user_id: &UserId,
        sid: &str,
        client_secret: &Secret,
    ) -> Result<()> {
        if self.proof(Purpose::AddEmail, sid, client_secret).await?.is_none() {
            let text = "The e-mail address is not proven";
            return Err(Error::ThreepidAuthFailed(text.to_owned()));
        }
        self.store
            .write(|tx| async move {
                let account = self.open_account(&tx, user_id).await?;
                let proof = self.use_proof(&tx, Purpose::AddEmail, sid).await?;
                let answer = self.policy.for_address_in(&tx, &proof.address).await?;
                if let Answer::Refuse(refusal) = answer {
                    return Err(Error::ThreepidDenied(refusal.text(account.language).to_owned()));
                }
                let validated_at_ms = proof.validated_at_ms.unwrap_or_default();
                self.own_email(&tx, user_id, &proof.address, validated_at_ms).await
            })
            .await
    }

    /// Notes the owner of an address.
    pub(super) async fn own_email(
        &self,
        tx: &Tx,
        user_id: &UserId,
        address: &EmailAddress,
        validated_at_ms: u64,
    ) -> Result<()> {
        let address = address.as_str().to_owned();
        let key = EmailOwnerKey { address: address.clone() };
        if let Some(owner) = tx.get(&key).await? {
            if owner.user_id == user_id {
                return Ok(());
            }
            // The person has proven to own the address, so this tells nothing to strangers.
            let text = "There is an account with this e-mail address already";
            return Err(Error::ThreepidInUse(text.to_owned()));
        }
        let owner = EmailOwnerRecord {
            user_id: user_id.to_owned(),
            validated_at_ms,
            added_at_ms: self.clock.now_ms(),
        };
        tx.put(&key, &owner)?;
        tx.put(&AccountEmailKey { user_id: user_id.to_owned(), address }, &())?;
        tx.wake(Topic::User(user_id.to_owned()));
        // Invitations may wait for the address.
        tx.wake(Topic::Jobs);
        Ok(())
    }

    /// Takes an address from an account. An account that was made with an address keeps at least one,
    /// else nobody could reset its password.
    ///
    /// # Errors
    /// [`Error::ThreepidNotFound`], [`Error::Forbidden`] for the last address.
    pub async fn remove_email(&self, user_id: &UserId, address: &str) -> Result<()> {
        let not_found = || Error::ThreepidNotFound("This account has no such address".to_owned());
        let address = EmailAddress::parse(address).map_err(|_| not_found())?;
        let address = &String::from(address);
        self.store
            .write(|tx| async move {
                let account = self.open_account(&tx, user_id).await?;
                if account.suspended {
                    return Err(Error::UserSuspended);
                }
                let rows = tx.scan(&Scan::<AccountEmailKey>::prefix((user_id.to_owned(),))).await?;
                if !rows.iter().any(|row| row.key.address == *address) {
                    return Err(not_found());
                }
                if account.from_email && rows.len() == 1 {
                    return Err(Error::forbidden("The last address of an account stays"));
                }
                disown_email(&tx, user_id, address);
                Ok(())
            })
            .await
    }
}

/// Takes an address from its owner.
fn disown_email(tx: &Tx, user_id: &UserId, address: &str) {
    tx.delete(&EmailOwnerKey { address: address.to_owned() });
    let key = AccountEmailKey { user_id: user_id.to_owned(), address: address.to_owned() };
    tx.delete(&key);
}

/// Takes every address from an account.
pub(super) async fn disown_all_emails(tx: &Tx, user_id: &UserId) -> Result<()> {
    for row in tx.scan(&Scan::<AccountEmailKey>::prefix((user_id.to_owned(),))).await? {
        disown_email(tx, user_id, &row.key.address);
    }
    Ok(())
}
