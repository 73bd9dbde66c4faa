//! Accounts of people who sign in at an OpenID Connect provider.
//!
//! Whoever comes this way passes the same rules as somebody who registers with a mail: the address must
//! be verified, its domain allowed, registration open. The link is by issuer and subject; the address
//! only says whose account it is the first time.

use pli_schema::{
    EmailAddress, Language,
    records::{
        accounts::EmailOwnerKey,
        oauth::{UpstreamLinkKey, UpstreamLinkRecord},
    },
};
use pli_store::Tx;
use ruma::{OwnedUserId, UserId};

use super::Accounts;
use crate::{Error, Result, policy::Answer};

/// Who somebody is at a provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpstreamIdentity {
    /// The provider.
    pub issuer: String,
    /// The provider's name for the person, which never changes.
    pub subject: String,
    /// The person's address, if the provider has verified it.
    pub verified_email: Option<EmailAddress>,
}

/// Whose account it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UpstreamAccount {
    /// This user's.
    Known(OwnedUserId),
    /// Nobody's yet: the person may have one, probably under this user id.
    New {
        /// The user id.
        user_id: OwnedUserId,
        /// The display name.
        display_name: String,
    },
}

impl Accounts {
    /// The account of somebody who has signed in at a provider. An account with the same verified
    /// address is linked.
    ///
    /// # Errors
    /// [`Error::ThreepidAuthFailed`] if the address is not verified, [`Error::Forbidden`] if
    /// registration is closed, [`Error::ThreepidDenied`] if the address may not have an account here,
    /// [`Error::UserDeactivated`], [`Error::UserLocked`].
    pub async fn account_of_upstream(
        &self,
        identity: &UpstreamIdentity,
        language: Language,
    ) -> Result<UpstreamAccount> {
        let known = self
            .store
            .write(|tx| async move { self.known_upstream(&tx, identity, language).await })
            .await?;
        if let Some(user_id) = known {
            self.check_usable(&user_id).await?;
            return Ok(UpstreamAccount::Known(user_id));
        }
        self.check_registration_open()?;
        let address = verified(identity)?;
        let grant = match self.policy.for_address(address).await? {
            Answer::Allow(grant) => grant,
            Answer::Refuse(refusal) => {
                return Err(Error::ThreepidDenied(refusal.text(language).to_owned()));
            }
        };
        let (user_id, display_name) = self.names_of(address, &grant).await?;
        let user_id = user_id.ok_or_else(|| Error::UserInUse("No name is free".to_owned()))?;
        Ok(UpstreamAccount::New { user_id, display_name })
    }

    /// Makes the account of somebody who has signed in at a provider for the first time.
    ///
    /// # Errors
    /// As [`Self::account_of_upstream`].
    pub async fn register_upstream(
        &self,
        identity: &UpstreamIdentity,
        language: Language,
    ) -> Result<OwnedUserId> {
        self.check_registration_open()?;
        let address = verified(identity)?;
        let user_id = self
            .store
            .write(|tx| async move {
                if let Some(known) = self.known_upstream(&tx, identity, language).await? {
                    return Ok(known);
                }
                let proven = (address, self.clock.now_ms());
                let user_id = self.account_for_address(&tx, proven, language, None).await?;
                self.link(&tx, identity, &user_id)?;
                Ok::<_, Error>(user_id)
            })
            .await?;
        self.check_usable(&user_id).await?;
        Ok(user_id)
    }

    /// The user who is linked, or whose address it is and who is linked now.
    async fn known_upstream(
        &self,
        tx: &Tx,
        identity: &UpstreamIdentity,
        language: Language,
    ) -> Result<Option<OwnedUserId>> {
        if let Some(link) = tx.get(&key(identity)).await? {
            return Ok(Some(link.user_id));
        }
        let address = verified(identity)?;
        let owner = tx.get(&EmailOwnerKey { address: address.as_str().to_owned() }).await?;
        let Some(owner) = owner else {
            return Ok(None);
        };
        if let Answer::Refuse(refusal) = self.policy.for_address_in(tx, address).await? {
            return Err(Error::ThreepidDenied(refusal.text(language).to_owned()));
        }
        self.link(tx, identity, &owner.user_id)?;
        Ok(Some(owner.user_id))
    }

    fn link(&self, tx: &Tx, identity: &UpstreamIdentity, user_id: &UserId) -> Result<()> {
        let linked_at_ms = self.clock.now_ms();
        let record = UpstreamLinkRecord { user_id: user_id.to_owned(), linked_at_ms };
        Ok(tx.put(&key(identity), &record)?)
    }
}

fn key(identity: &UpstreamIdentity) -> UpstreamLinkKey {
    UpstreamLinkKey { issuer: identity.issuer.clone(), subject: identity.subject.clone() }
}

fn verified(identity: &UpstreamIdentity) -> Result<&EmailAddress> {
    let text = "The provider has not verified your e-mail address";
    identity.verified_email.as_ref().ok_or_else(|| Error::ThreepidAuthFailed(text.to_owned()))
}
