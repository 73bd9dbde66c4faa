//! Changes of partners, blocked servers and bad keys, each with its entry in the audit log.

use pli_schema::{
    Key, Topic,
    records::{
        partners::{
            Allowed, BlockedServerKey, PartnerKey, PartnerRecord, PinnedKey, RefusedKeyKey,
            RefusedRecord,
        },
        policy::AuditRecord,
    },
};
use pli_store::Tx;
use ruma::{OwnedServerSigningKeyId, ServerName, UserId, serde::Base64};
use serde::Serialize;
use serde_json::json;

use super::Partners;
use crate::{Error, Result, audit};

/// Partners, blocked servers and bad keys, of each at most.
const PARTNERS_MAX: usize = 10_000;
/// Keys that are pinned of one server, and labels of its people, at most.
const EACH_MAX: usize = 50;
/// Longest label or note, in characters.
const TEXT_MAX: usize = 200;
/// Bytes of an ed25519 public key.
const KEY_BYTES: usize = 32;

/// An agreement as an admin writes it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NewPartner {
    /// The only keys that are believed of it; empty for whatever it publishes.
    pub pinned_keys: Vec<PinnedKey>,
    /// What it may ask for and be asked for.
    pub allowed: Allowed,
    /// Invitations into rooms of it that do not keep the rules that Pli gives rooms are refused.
    pub room_rules_required: bool,
    /// The labels that its people may have in their display names.
    pub organizations: Vec<String>,
    /// Nothing is exchanged with it for now.
    pub suspended: bool,
    /// A note.
    pub note: Option<String>,
}

impl Partners {
    /// Adds a partner, or replaces what was agreed with it.
    ///
    /// # Errors
    /// [`Error::InvalidParam`] for texts that are too long and for what is no key;
    /// [`Error::Forbidden`] if there are too many partners.
    pub async fn put(&self, admin: &UserId, server: &ServerName, new: NewPartner) -> Result<()> {
        let record = self.record(admin, new)?;
        let key = PartnerKey { server: server.to_owned() };
        let known = self.all().await?;
        check_room(known.len(), known.iter().any(|(name, _)| name == server))?;
        self.change(admin, ("federation.partner", server.as_str()), &key, Some(&record)).await
    }

    /// Removes a partner.
    ///
    /// # Errors
    /// [`Error::NotFound`] if it is none.
    pub async fn remove(&self, admin: &UserId, server: &ServerName) -> Result<()> {
        let key = PartnerKey { server: server.to_owned() };
        self.change(admin, ("federation.partner", server.as_str()), &key, None).await
    }

    /// Stops exchanging anything with a server, partner or not.
    ///
    /// # Errors
    /// [`Error::InvalidParam`] for a note that is too long; [`Error::Forbidden`] if too many are
    /// blocked.
    pub async fn block(
        &self,
        admin: &UserId,
        server: &ServerName,
        note: Option<String>,
    ) -> Result<()> {
        let record = self.refused(admin, note)?;
        let key = BlockedServerKey { server: server.to_owned() };
        let known = self.blocked().await?;
        check_room(known.len(), known.iter().any(|(name, _)| name == server))?;
        self.change(admin, ("federation.block", server.as_str()), &key, Some(&record)).await
    }

    /// Takes a server off the list of those with which nothing is exchanged.
    ///
    /// # Errors
    /// [`Error::NotFound`] if it is not on it.
    pub async fn unblock(&self, admin: &UserId, server: &ServerName) -> Result<()> {
        let key = BlockedServerKey { server: server.to_owned() };
        self.change(admin, ("federation.block", server.as_str()), &key, None).await
    }

    /// Never believes a public key again, whoever publishes it.
    ///
    /// # Errors
    /// [`Error::InvalidParam`] for what is no key, and a note that is too long; [`Error::Forbidden`] if
    /// there are too many.
    pub async fn refuse_key(&self, admin: &UserId, key: &str, note: Option<String>) -> Result<()> {
        let record = self.refused(admin, note)?;
        let key = RefusedKeyKey { key: public_key(key)? };
        let known = self.refused_keys().await?;
        check_room(known.len(), known.iter().any(|(name, _)| *name == key.key))?;
        self.change(admin, ("federation.key", &key.key), &key, Some(&record)).await
    }

    /// Takes a public key off the list of bad ones.
    ///
    /// # Errors
    /// [`Error::InvalidParam`] for what is no key; [`Error::NotFound`] if it is not on the list.
    pub async fn accept_key(&self, admin: &UserId, key: &str) -> Result<()> {
        let key = RefusedKeyKey { key: public_key(key)? };
        self.change(admin, ("federation.key", &key.key), &key, None).await
    }

    async fn change<K>(
        &self,
        admin: &UserId,
        (area, subject): (&str, &str),
        key: &K,
        new: Option<&K::Record>,
    ) -> Result<()>
    where
        K: Key,
        K::Record: Serialize,
    {
        let write = |tx: Tx| async move {
            let old = tx.get(key).await?;
            let verb = match new {
                Some(new) => {
                    tx.put(key, new)?;
                    "put"
                }
                None if old.is_none() => return Err(Error::not_found("This is not on the list")),
                None => {
                    tx.delete(key);
                    "remove"
                }
            };
            let entry = AuditRecord {
                at_ms: self.clock.now_ms(),
                actor: Some(admin.to_owned()),
                action: format!("{area}_{verb}"),
                subject: subject.to_owned(),
                details_json: json!({ "before": old, "after": new }).to_string(),
            };
            audit::record(&tx, 0, &entry)?;
            tx.wake(Topic::Policy);
            Ok(())
        };
        self.store.write(write).await?;
        self.refresh().await
    }

    fn refused(&self, admin: &UserId, note: Option<String>) -> Result<RefusedRecord> {
        check_text(note.as_deref())?;
        Ok(RefusedRecord { note, by: admin.to_owned(), at_ms: self.clock.now_ms() })
    }

    fn record(&self, admin: &UserId, new: NewPartner) -> Result<PartnerRecord> {
        check_text(new.note.as_deref())?;
        if new.pinned_keys.len() > EACH_MAX || new.organizations.len() > EACH_MAX {
            return Err(Error::invalid_param("A partner has at most 50 keys and 50 labels"));
        }
        for label in &new.organizations {
            check_text(Some(label))?;
            if label.trim().is_empty() || label.contains(['[', ']']) {
                return Err(Error::invalid_param("A label is not empty and has no brackets"));
            }
        }
        let pinned_keys = new.pinned_keys.into_iter().map(|pin| {
            if OwnedServerSigningKeyId::try_from(pin.key_id.as_str()).is_err()
                || !pin.key_id.starts_with("ed25519:")
            {
                return Err(Error::invalid_param("The name of a key is as ed25519:a_Zw3f"));
            }
            Ok(PinnedKey { key: public_key(&pin.key)?, key_id: pin.key_id })
        });
        Ok(PartnerRecord {
            pinned_keys: pinned_keys.collect::<Result<_>>()?,
            allowed: new.allowed,
            room_rules_required: new.room_rules_required,
            organizations: new.organizations,
            suspended: new.suspended,
            note: new.note,
            changed_by: admin.to_owned(),
            changed_at_ms: self.clock.now_ms(),
        })
    }
}

/// A list grows up to its bound.
fn check_room(entries: usize, is_known: bool) -> Result<()> {
    if entries >= PARTNERS_MAX && !is_known {
        return Err(Error::forbidden("The list is full"));
    }
    Ok(())
}

fn check_text(text: Option<&str>) -> Result<()> {
    let bad = |text: &str| text.chars().count() > TEXT_MAX || text.chars().any(char::is_control);
    if text.is_some_and(bad) {
        let text = "Labels and notes have at most 200 characters, none of them control";
        return Err(Error::invalid_param(text));
    }
    Ok(())
}

/// A public key in its one form.
fn public_key(text: &str) -> Result<String> {
    let key = Base64::<ruma::serde::base64::Standard>::parse(text.trim()).ok();
    let key = key.filter(|key| key.as_bytes().len() == KEY_BYTES);
    let key = key.ok_or_else(|| Error::invalid_param("A public key is 32 bytes in base64"))?;
    Ok(key.encode())
}
