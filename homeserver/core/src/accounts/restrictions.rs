//! Locking and suspending accounts: what an admin can take from a person and give back.
//!
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#account-locking>,
//! <https://spec.matrix.org/v1.19/client-server-api/#account-suspension>.

use pli_schema::{
    Topic,
    records::{
        accounts::{AccountKey, AccountRecord, DeviceKey, SecretHash},
        policy::AuditRecord,
    },
};
use pli_store::{Scan, Tx};
use ruma::UserId;

use super::Accounts;
use crate::{Error, Result, audit};

/// What is taken from an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Restriction {
    /// Everything but logging out (`M_USER_LOCKED`).
    Lock,
    /// Everything by which others would hear of the person (`M_USER_SUSPENDED`).
    Suspension,
}

impl Restriction {
    const fn action(self, on: bool) -> &'static str {
        match (self, on) {
            (Self::Lock, true) => "account.lock",
            (Self::Lock, false) => "account.unlock",
            (Self::Suspension, true) => "account.suspend",
            (Self::Suspension, false) => "account.unsuspend",
        }
    }

    const fn of(self, account: &AccountRecord) -> bool {
        match self {
            Self::Lock => account.locked,
            Self::Suspension => account.suspended,
        }
    }
}

impl Accounts {
    /// Whether an account is under a restriction, for an admin.
    ///
    /// # Errors
    /// [`Error::InvalidParam`] for a user of another server, [`Error::NotFound`] for nobody,
    /// [`Error::Forbidden`] if that is another admin.
    pub async fn is_restricted(
        &self,
        by: &UserId,
        user_id: &UserId,
        restriction: Restriction,
    ) -> Result<bool> {
        self.require_local(user_id)?;
        let account = self.account(user_id).await?;
        let account = account.filter(|account| !account.deactivated).ok_or_else(no_such_user)?;
        if account.admin && user_id != by {
            return Err(Error::forbidden("That is another admin"));
        }
        Ok(restriction.of(&account))
    }

    /// Puts an account under a restriction or takes it back. Sessions stay; what they may do changes at
    /// once.
    ///
    /// # Errors
    /// As [`Self::is_restricted`]; [`Error::Forbidden`] also for the admin's own account.
    pub async fn restrict(
        &self,
        by: &UserId,
        user_id: &UserId,
        restriction: Restriction,
        on: bool,
    ) -> Result<()> {
        self.require_local(user_id)?;
        if by == user_id {
            return Err(Error::forbidden("An admin cannot do this to themselves"));
        }
        let tokens = self
            .store
            .write(|tx| async move {
                let account =
                    self.open_account(&tx, user_id).await.map_err(|error| match error {
                        Error::NotFound(_) => no_such_user(),
                        other => other,
                    })?;
                if account.admin {
                    return Err(Error::forbidden("That is another admin"));
                }
                if restriction.of(&account) == on {
                    return Ok(Vec::new());
                }
                self.write_restriction(&tx, by, user_id, (account, restriction, on)).await
            })
            .await?;
        // What the tokens stand for is asked anew.
        self.forget_tokens(&tokens);
        Ok(())
    }

    async fn write_restriction(
        &self,
        tx: &Tx,
        by: &UserId,
        user_id: &UserId,
        (mut account, restriction, on): (AccountRecord, Restriction, bool),
    ) -> Result<Vec<SecretHash>> {
        match restriction {
            Restriction::Lock => account.locked = on,
            Restriction::Suspension => account.suspended = on,
        }
        tx.put(&AccountKey { user_id: user_id.to_owned() }, &account)?;
        let entry = AuditRecord {
            at_ms: self.clock.now_ms(),
            actor: Some(by.to_owned()),
            action: restriction.action(on).to_owned(),
            subject: user_id.to_string(),
            details_json: "{}".to_owned(),
        };
        audit::record(tx, 0, &entry)?;
        tx.wake(Topic::User(user_id.to_owned()));
        let devices = tx.scan(&Scan::<DeviceKey>::prefix((user_id.to_owned(),))).await?;
        Ok(devices.into_iter().flat_map(|row| row.record.tokens).map(|pair| pair.access).collect())
    }

    /// Requires a user of this server.
    ///
    /// # Errors
    /// [`Error::InvalidParam`].
    pub fn require_local(&self, user_id: &UserId) -> Result<()> {
        if user_id.server_name() == self.settings.server_name {
            return Ok(());
        }
        Err(Error::invalid_param("This user is of another server"))
    }
}

fn no_such_user() -> Error {
    Error::not_found("There is no such user")
}

#[cfg(test)]
mod tests {
    use super::{
        super::{DeviceWish, tests::world},
        *,
    };

    #[tokio::test]
    async fn a_locked_account_keeps_its_sessions() {
        let world = world(|_| {});
        let accounts = &world.accounts;
        let root = accounts.create_account("root", None, true).await.unwrap();
        let alice = accounts.create_account("alice", None, false).await.unwrap();
        let session = accounts.login_as(&alice, &DeviceWish::default()).await.unwrap();
        let token = session.access_token.reveal();
        accounts.authenticate(token).await.unwrap();
        accounts.restrict(&root, &alice, Restriction::Lock, true).await.unwrap();
        assert!(matches!(accounts.authenticate(token).await, Err(Error::UserLocked)));
        assert_eq!(accounts.authenticate_even_locked(token).await.unwrap().user_id, alice);
        accounts.restrict(&root, &alice, Restriction::Lock, false).await.unwrap();
        accounts.authenticate(token).await.unwrap();
        accounts.restrict(&root, &alice, Restriction::Suspension, true).await.unwrap();
        assert!(accounts.authenticate(token).await.unwrap().is_suspended);
        let entries = accounts.audit().newest(None, 10).await.unwrap();
        let actions: Vec<&str> = entries.iter().map(|(_, entry)| entry.action.as_str()).collect();
        assert_eq!(actions, ["account.suspend", "account.unlock", "account.lock"]);
    }

    #[tokio::test]
    async fn admins_are_not_restricted_by_admins() {
        let world = world(|_| {});
        let accounts = &world.accounts;
        let root = accounts.create_account("root", None, true).await.unwrap();
        let other = accounts.create_account("other", None, true).await.unwrap();
        let restrict = |target: ruma::OwnedUserId| {
            let root = root.clone();
            async move { accounts.restrict(&root, &target, Restriction::Lock, true).await }
        };
        assert!(matches!(restrict(other.clone()).await, Err(Error::Forbidden(_))));
        assert!(matches!(restrict(root.clone()).await, Err(Error::Forbidden(_))));
        let nobody = ruma::user_id!("@nobody:pli.example").to_owned();
        assert!(matches!(restrict(nobody).await, Err(Error::NotFound(_))));
        let remote = ruma::user_id!("@a:elsewhere.example").to_owned();
        assert!(matches!(restrict(remote).await, Err(Error::InvalidParam(_))));
        assert!(!accounts.is_restricted(&root, &root, Restriction::Lock).await.unwrap());
        let seen = accounts.is_restricted(&root, &other, Restriction::Lock).await;
        assert!(matches!(seen, Err(Error::Forbidden(_))));
    }
}
