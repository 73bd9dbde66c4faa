//! What admins do with accounts beside restricting them: list, reset passwords, make admins.

use pli_schema::{
    Language, Topic,
    records::{
        accounts::{
            AccountKey, AccountKind, AccountRecord, AdminKey, RegistrationTokenKey,
            RegistrationTokenRecord,
        },
        policy::AuditRecord,
    },
};
use pli_store::{Scan, Tx};
use ruma::{OwnedUserId, UserId};
use serde_json::{Value, json};

use super::{Accounts, Secret, devices::delete_all_devices, registration::NewAccount};
use crate::{Error, Result, audit};

/// Accounts in one page, at most.
const PAGE_MAX: usize = 1_000;
/// Bytes of a registration token's hash that are its id.
const TOKEN_ID_BYTES: usize = 8;

/// Which accounts are asked for.
#[derive(Clone, Debug, Default)]
pub struct AccountsQuery {
    /// So many are passed over.
    pub from: usize,
    /// So many are told, at most.
    pub limit: usize,
    /// This is part of the user id.
    pub name: Option<String>,
    /// Closed accounts, too.
    pub with_deactivated: bool,
    /// Guests in the sense of the specification, too.
    pub with_guests: bool,
}

/// A page of accounts, by user id.
#[derive(Clone, Debug)]
pub struct AccountsPage {
    /// The accounts.
    pub accounts: Vec<(OwnedUserId, AccountRecord)>,
    /// All that match.
    pub total: usize,
}

/// A registration token, which nobody can read any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownRegistrationToken {
    /// The beginning of its hash, in hexadecimal digits.
    pub id: String,
    /// What is known of it.
    pub record: RegistrationTokenRecord,
}

impl Accounts {
    /// A page of the accounts of this server.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn list_accounts(&self, query: &AccountsQuery) -> Result<AccountsPage> {
        let rows = self.store.scan(&Scan::<AccountKey>::prefix(())).await?;
        let name = query.name.as_ref().map(|name| name.to_lowercase());
        let wanted = |user_id: &OwnedUserId, record: &AccountRecord| {
            (query.with_deactivated || !record.deactivated)
                && (query.with_guests || record.kind != AccountKind::MatrixGuest)
                && name.as_ref().is_none_or(|name| user_id.as_str().contains(name.as_str()))
        };
        let all: Vec<_> = rows
            .into_iter()
            .filter(|row| wanted(&row.key.user_id, &row.record))
            .map(|row| (row.key.user_id, row.record))
            .collect();
        let total = all.len();
        let limit = query.limit.clamp(1, PAGE_MAX);
        let accounts = all.into_iter().skip(query.from).take(limit).collect();
        Ok(AccountsPage { accounts, total })
    }

    /// Gives an account a new password, and ends its sessions if that is wished.
    ///
    /// # Errors
    /// [`Error::NotFound`] for an account that is not open; [`Error::WeakPassword`].
    pub async fn reset_password(
        &self,
        by: &UserId,
        user_id: &UserId,
        password: &Secret,
        logout_devices: bool,
    ) -> Result<()> {
        self.passwords.check_rules(password)?;
        let hash = &self.passwords.hash(password).await?;
        let ended = self
            .store
            .write(|tx| async move {
                let mut account = self.open_account(&tx, user_id).await?;
                account.password_hash = Some(hash.clone());
                tx.put(&AccountKey { user_id: user_id.to_owned() }, &account)?;
                let details = json!({ "logout_devices": logout_devices });
                self.note(&tx, by, "account.reset_password", (user_id.as_str(), details))?;
                match logout_devices {
                    true => delete_all_devices(&tx, user_id, None).await,
                    false => Ok(Vec::new()),
                }
            })
            .await?;
        self.forget_tokens(&ended);
        Ok(())
    }

    /// Makes an account an admin's, or takes that back.
    ///
    /// # Errors
    /// [`Error::NotFound`] for an account that is not open; [`Error::Forbidden`] for an admin who would
    /// take it from themselves.
    pub async fn set_admin(&self, by: &UserId, user_id: &UserId, on: bool) -> Result<()> {
        if by == user_id && !on {
            return Err(Error::forbidden("An admin cannot take this from themselves"));
        }
        self.store
            .write(|tx| async move {
                let mut account = self.open_account(&tx, user_id).await?;
                if account.admin == on {
                    return Ok(());
                }
                account.admin = on;
                tx.put(&AccountKey { user_id: user_id.to_owned() }, &account)?;
                let key = AdminKey { user_id: user_id.to_owned() };
                if on {
                    tx.put(&key, &())?
                } else {
                    tx.delete(&key)
                }
                self.note(&tx, by, "account.admin", (user_id.as_str(), json!({ "admin": on })))
            })
            .await?;
        self.forget_tokens(&self.access_tokens_of(user_id).await?);
        Ok(())
    }

    /// Notes that an admin has made an account.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn note_creation(&self, by: &UserId, user_id: &UserId) -> Result<()> {
        let what = &(user_id.as_str(), json!({}));
        self.store
            .write(|tx| async move { self.note(&tx, by, "account.create", what.clone()) })
            .await
    }

    /// Notes that an admin has logged in as somebody.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn note_login_as(&self, by: &UserId, user_id: &UserId) -> Result<()> {
        let what = &(user_id.as_str(), json!({}));
        self.store
            .write(|tx| async move { self.note(&tx, by, "account.login_as", what.clone()) })
            .await
    }

    /// The registration tokens, without the tokens themselves.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn registration_tokens(&self) -> Result<Vec<KnownRegistrationToken>> {
        let rows = self.store.scan(&Scan::<RegistrationTokenKey>::prefix(())).await?;
        let known = |row: pli_store::Row<RegistrationTokenKey>| KnownRegistrationToken {
            id: token_id(&row.key),
            record: row.record,
        };
        Ok(rows.into_iter().map(known).collect())
    }

    /// Takes a registration token back.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub async fn delete_registration_token(&self, by: &UserId, id: &str) -> Result<()> {
        self.store
            .write(|tx| async move {
                let rows = tx.scan(&Scan::<RegistrationTokenKey>::prefix(())).await?;
                let row = rows.into_iter().find(|row| token_id(&row.key) == id);
                let row = row.ok_or_else(|| Error::not_found("There is no such token"))?;
                tx.delete(&row.key);
                let details = json!({ "label": row.record.label });
                self.note(&tx, by, "registration_token.delete", (id, details))
            })
            .await
    }

    /// Makes an account of the server itself, without a password, if it is not there.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn ensure_own_account(&self, user_id: &UserId, display_name: &str) -> Result<()> {
        let account = &NewAccount {
            password_hash: None,
            kind: AccountKind::Agent,
            admin: false,
            from_email: false,
            language: Language::default(),
            display_name: display_name.to_owned(),
        };
        self.store
            .write(|tx| async move {
                match tx.get(&AccountKey { user_id: user_id.to_owned() }).await? {
                    Some(_) => Ok(()),
                    None => self.create(&tx, user_id, account.clone()).await,
                }
            })
            .await
    }

    fn note(
        &self,
        tx: &Tx,
        by: &UserId,
        action: &str,
        (subject, details): (&str, Value),
    ) -> Result<()> {
        let entry = AuditRecord {
            at_ms: self.clock.now_ms(),
            actor: Some(by.to_owned()),
            action: action.to_owned(),
            subject: subject.to_owned(),
            details_json: details.to_string(),
        };
        if let Ok(user_id) = UserId::parse(subject) {
            tx.wake(Topic::User(user_id));
        }
        audit::record(tx, 0, &entry)
    }
}

fn token_id(key: &RegistrationTokenKey) -> String {
    key.hash.iter().take(TOKEN_ID_BYTES).map(|byte| format!("{byte:02x}")).collect()
}
