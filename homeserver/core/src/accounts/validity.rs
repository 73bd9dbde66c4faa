//! Accounts that end unless their owners renew them by mail.
//!
//! Where it is set, each account with an e-mail address has an end. Before it, mails with a link come;
//! after it the account reads for a while (days of grace) and says nothing, then nothing works but
//! logging out and asking for another mail. Accounts without an address have no end: nobody could renew
//! them.

use std::time::Duration;

use pli_schema::{
    EmailAddress, Language, Stamp, Topic,
    account_settings::ValiditySettings,
    records::{
        accounts::{
            AccountEmailKey, AccountKey, AccountKind, EmailOwnerKey, Letter, Purpose,
            ValidationKey, ValidationRecord,
        },
        administration::{AccountValidityKey, AccountValidityRecord},
        policy::{AuditRecord, MailJobKey, MailJobRecord},
    },
};
use pli_store::{Scan, Tx};
use ruma::UserId;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::{Accounts, TokenHash, validation::lifetime_ms};
use crate::{Error, MilliSeconds, Result, audit};

const DAY_MS: u64 = 24 * 3_600_000;
/// Between two looks at all accounts.
const ROUND_PAUSE: Duration = Duration::from_secs(30 * 60);

impl Accounts {
    fn validity_settings(&self) -> Option<&ValiditySettings> {
        self.settings.registration.validity.as_ref()
    }

    /// When nothing of an account works any more; `None` for an account without an end.
    pub(super) async fn wall_of(&self, user_id: &UserId) -> Result<Option<MilliSeconds>> {
        let Some(rules) = self.validity_settings() else { return Ok(None) };
        let key = AccountValidityKey { user_id: user_id.to_owned() };
        let grace_ms = rules.grace_days.saturating_mul(DAY_MS);
        let record = self.store.get(&key).await?;
        Ok(record.map(|record| record.expires_at_ms.saturating_add(grace_ms)))
    }

    /// Until when an account is valid; `None` for an account without an end.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn expires_at_ms(&self, user_id: &UserId) -> Result<Option<MilliSeconds>> {
        if self.validity_settings().is_none() {
            return Ok(None);
        }
        let key = AccountValidityKey { user_id: user_id.to_owned() };
        Ok(self.store.get(&key).await?.map(|record| record.expires_at_ms))
    }

    /// Looks at all accounts again and again until `stop`, where accounts end at all.
    pub async fn run_validity(self, stop: CancellationToken) {
        if self.validity_settings().is_none() {
            return;
        }
        loop {
            match self.validity_round().await {
                Ok(mails) => tracing::debug!(mails, "reminders were queued"),
                Err(error) => tracing::warn!(%error, "the ends of accounts could not be looked at"),
            }
            if stop.run_until_cancelled(tokio::time::sleep(ROUND_PAUSE)).await.is_none() {
                return;
            }
        }
    }

    /// Gives an end to the accounts that need one and queues the reminders that are due; returns how
    /// many.
    ///
    /// # Errors
    /// Those of the store; what was queued until then is sent.
    pub async fn validity_round(&self) -> Result<usize> {
        let Some(rules) = self.validity_settings() else { return Ok(0) };
        let mut mails = 0_usize;
        for row in self.store.scan(&Scan::<AccountKey>::prefix(())).await? {
            if row.record.deactivated || row.record.kind == AccountKind::MatrixGuest {
                continue;
            }
            let user_id = &row.key.user_id;
            if self.look_at(user_id, row.record.language, rules).await? {
                mails = mails.saturating_add(1);
            }
        }
        Ok(mails)
    }

    async fn look_at(
        &self,
        user_id: &UserId,
        language: Language,
        rules: &ValiditySettings,
    ) -> Result<bool> {
        let Some(address) = self.first_email(user_id).await? else { return Ok(false) };
        let (address, sid, secret) =
            (&address, &self.random.letters(32), &TokenHash::of(&self.random.token()).0);
        self.store
            .write(|tx| async move {
                let key = AccountValidityKey { user_id: user_id.to_owned() };
                let now_ms = self.clock.now_ms();
                let Some(record) = tx.get(&key).await? else {
                    tx.put(&key, &fresh(rules, now_ms))?;
                    return Ok(false);
                };
                let due = due(rules, record.expires_at_ms, now_ms);
                if due <= record.mails_sent {
                    return Ok(false);
                }
                tx.put(&key, &AccountValidityRecord { mails_sent: due, ..record })?;
                self.queue_renewal(&tx, sid, *secret, (address, language))?;
                Ok::<_, Error>(true)
            })
            .await
    }

    async fn first_email(&self, user_id: &UserId) -> Result<Option<EmailAddress>> {
        let scan = Scan::<AccountEmailKey>::prefix((user_id.to_owned(),)).limit(1);
        let rows = self.store.scan(&scan).await?;
        Ok(rows.first().and_then(|row| EmailAddress::parse(&row.key.address).ok()))
    }

    fn queue_renewal(
        &self,
        tx: &Tx,
        sid: &str,
        client_secret: [u8; 32],
        (address, language): (&EmailAddress, Language),
    ) -> Result<()> {
        let now_ms = self.clock.now_ms();
        let session = ValidationRecord {
            purpose: Purpose::Renew,
            address: address.clone(),
            client_secret,
            language,
            letter: Letter::Code,
            send_attempt: 1,
            code: None,
            token: None,
            wrong_tries: 0,
            expires_at_ms: now_ms.saturating_add(lifetime_ms(Purpose::Renew)),
            validated_at_ms: None,
            used: false,
        };
        tx.put(&ValidationKey { sid: sid.to_owned() }, &session)?;
        let job = MailJobRecord { sid: sid.to_owned(), failures: 0, next_try_ms: now_ms };
        tx.put(&MailJobKey { at: Stamp::Commit, index: 0 }, &job)?;
        tx.wake(Topic::Jobs);
        Ok(())
    }

    /// Has another mail sent with which a user renews the account.
    ///
    /// # Errors
    /// [`Error::Unrecognized`] where accounts do not end; [`Error::ThreepidNotFound`] for an account
    /// without an address; [`Error::LimitExceeded`] for too many mails.
    pub async fn request_renewal(&self, user_id: &UserId) -> Result<()> {
        if self.validity_settings().is_none() {
            return Err(Error::Unrecognized);
        }
        let none = || Error::ThreepidNotFound("This account has no e-mail address".to_owned());
        let address = &self.first_email(user_id).await?.ok_or_else(none)?;
        let limit = self.settings.registration.mails_per_address_per_hour;
        let subject = TokenHash::of(&format!("mail to {}", address.as_str())).0;
        self.mails.spend(subject, limit, 3_600_000)?;
        let account = self.account(user_id).await?;
        let language = account.map(|account| account.language).unwrap_or_default();
        let (sid, secret) = (&self.random.letters(32), &TokenHash::of(&self.random.token()).0);
        self.store
            .write(|tx| async move { self.queue_renewal(&tx, sid, *secret, (address, language)) })
            .await
    }

    /// Renews the account that has an address, in the transaction that takes the proof.
    pub(super) async fn renew_validity(&self, tx: &Tx, address: &EmailAddress) -> Result<()> {
        let owner = tx.get(&EmailOwnerKey { address: address.as_str().to_owned() }).await?;
        let (Some(rules), Some(owner)) = (self.validity_settings(), owner) else {
            let text = "There is nothing to renew with this address";
            return Err(Error::ThreepidAuthFailed(text.to_owned()));
        };
        self.open_account(tx, &owner.user_id).await?;
        let now_ms = self.clock.now_ms();
        let key = AccountValidityKey { user_id: owner.user_id.clone() };
        tx.put(&key, &fresh(rules, now_ms))?;
        self.note_validity(tx, (None, "account.renew"), &owner.user_id, None)
    }

    /// Sets the end of an account; a whole period from now where none is given. Returns it.
    ///
    /// # Errors
    /// [`Error::Unrecognized`] where accounts do not end; [`Error::NotFound`] for an account that is not
    /// open.
    pub async fn set_expiration(
        &self,
        by: &UserId,
        user_id: &UserId,
        expires_at_ms: Option<MilliSeconds>,
    ) -> Result<MilliSeconds> {
        let rules = self.validity_settings().ok_or(Error::Unrecognized)?;
        let mut record = fresh(rules, self.clock.now_ms());
        record.expires_at_ms = expires_at_ms.unwrap_or(record.expires_at_ms);
        let record = &record;
        self.store
            .write(|tx| async move {
                self.open_account(&tx, user_id).await?;
                tx.put(&AccountValidityKey { user_id: user_id.to_owned() }, record)?;
                let what = (Some(by), "account.expiration");
                self.note_validity(&tx, what, user_id, Some(record.expires_at_ms))
            })
            .await?;
        // Those who are known may be behind the wall now.
        self.forget_tokens(&self.access_tokens_of(user_id).await?);
        Ok(record.expires_at_ms)
    }

    fn note_validity(
        &self,
        tx: &Tx,
        (by, action): (Option<&UserId>, &str),
        user_id: &UserId,
        expires_at_ms: Option<MilliSeconds>,
    ) -> Result<()> {
        let entry = AuditRecord {
            at_ms: self.clock.now_ms(),
            actor: by.map(ToOwned::to_owned),
            action: action.to_owned(),
            subject: user_id.to_string(),
            details_json: json!({ "expires_at_ms": expires_at_ms }).to_string(),
        };
        tx.wake(Topic::User(user_id.to_owned()));
        audit::record(tx, 0, &entry)
    }
}

/// A whole period from now.
const fn fresh(rules: &ValiditySettings, now_ms: MilliSeconds) -> AccountValidityRecord {
    let period_ms = rules.period_days.saturating_mul(DAY_MS);
    AccountValidityRecord { expires_at_ms: now_ms.saturating_add(period_ms), mails_sent: 0 }
}

/// How many reminders should have been sent by now.
fn due(rules: &ValiditySettings, expires_at_ms: MilliSeconds, now_ms: MilliSeconds) -> u32 {
    let is_due = |days: &&u64| expires_at_ms.saturating_sub(days.saturating_mul(DAY_MS)) <= now_ms;
    let count = rules.reminders_days_before.iter().filter(is_due).count();
    u32::try_from(count).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::{
        super::{DeviceWish, tests::world},
        *,
    };

    #[tokio::test]
    async fn an_account_with_an_address_ends_unless_it_is_renewed() {
        let world =
            world(|settings| settings.registration.validity = Some(ValiditySettings::default()));
        let accounts = &world.accounts;
        let bot = accounts.create_account("bot", None, false).await.unwrap();
        let alice = &accounts.create_account("alice", None, false).await.unwrap();
        let address = &EmailAddress::parse("alice@agents.example").unwrap();
        let own = accounts
            .store
            .write(|tx| async move { accounts.own_email(&tx, alice, address, 1).await });
        own.await.unwrap();
        let session = accounts.login_as(alice, &DeviceWish::default()).await.unwrap();
        let token = session.access_token.reveal();
        assert_eq!(accounts.validity_round().await.unwrap(), 0);
        let end = accounts.expires_at_ms(alice).await.unwrap().unwrap();
        assert_eq!(accounts.expires_at_ms(&bot).await.unwrap(), None);
        let mut mails = Vec::new();
        for _ in 0..91 {
            world.clock.advance_ms(DAY_MS);
            mails.push(accounts.validity_round().await.unwrap());
        }
        let days: Vec<_> = (1..).zip(mails).filter(|(_, sent)| *sent > 0).collect();
        assert_eq!(days, [(62, 1), (83, 1), (89, 1)]);
        // Within the days of grace the token is good.
        accounts.authenticate(token).await.unwrap();
        world.clock.advance_ms(30 * DAY_MS);
        let walled = accounts.authenticate(token).await;
        assert!(matches!(walled, Err(Error::AccountExpired)));
        accounts.authenticate_even_expired(token).await.unwrap();
        let renew =
            accounts.store.write(|tx| async move { accounts.renew_validity(&tx, address).await });
        renew.await.unwrap();
        accounts.authenticate(token).await.unwrap();
        assert!(accounts.expires_at_ms(alice).await.unwrap().unwrap() > end);
    }
}
