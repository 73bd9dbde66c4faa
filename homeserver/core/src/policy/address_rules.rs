//! Rules for single addresses, which override the entry of their domain.

use pli_schema::{
    EmailAddress, Topic,
    records::policy::{AddressRuleKey, AddressRuleRecord, AuditRecord, DomainKind},
};
use pli_store::{Scan, Tx};
use ruma::UserId;
use serde_json::json;

use super::Policy;
use crate::{Error, Result, audit};

/// Longest label or note, in characters.
const TEXT_MAX: usize = 200;

/// A rule to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewAddressRule {
    /// What its owner may become.
    pub kind: DomainKind,
    /// The label in the display name.
    pub organization: Option<String>,
    /// A note.
    pub note: Option<String>,
}

impl Policy {
    /// The rules, by address.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn address_rules(&self) -> Result<Vec<(String, AddressRuleRecord)>> {
        let rows = self.store().scan(&Scan::<AddressRuleKey>::prefix(())).await?;
        Ok(rows.into_iter().map(|row| (row.key.address, row.record)).collect())
    }

    /// Makes or replaces a rule.
    ///
    /// # Errors
    /// [`Error::InvalidParam`] for a label or note that is too long.
    pub async fn put_address_rule(
        &self,
        admin: &UserId,
        address: &EmailAddress,
        new: NewAddressRule,
    ) -> Result<()> {
        let too_long = |text: &&Option<String>| {
            text.as_ref().is_some_and(|text| {
                text.chars().count() > TEXT_MAX || text.chars().any(char::is_control)
            })
        };
        if [&new.organization, &new.note].iter().any(too_long) {
            let text = "Label and note have at most 200 characters, none of them control";
            return Err(Error::invalid_param(text));
        }
        let record = &AddressRuleRecord {
            kind: new.kind,
            organization: new.organization,
            note: new.note,
            added_by: Some(admin.to_owned()),
            added_at_ms: self.now_ms(),
        };
        self.store()
            .write(|tx| async move {
                let key = AddressRuleKey { address: address.as_str().to_owned() };
                let old = tx.get(&key).await?;
                tx.put(&key, record)?;
                self.note(&tx, admin, ("address.put", address), (old, Some(record)))
            })
            .await
    }

    /// Removes a rule. An account that was made under it stays as it is.
    ///
    /// # Errors
    /// [`Error::NotFound`] if there is none.
    pub async fn remove_address_rule(&self, admin: &UserId, address: &EmailAddress) -> Result<()> {
        self.store()
            .write(|tx| async move {
                let key = AddressRuleKey { address: address.as_str().to_owned() };
                let Some(old) = tx.get(&key).await? else {
                    return Err(Error::not_found("There is no rule for this address"));
                };
                tx.delete(&key);
                self.note(&tx, admin, ("address.remove", address), (Some(old), None))
            })
            .await
    }

    fn note(
        &self,
        tx: &Tx,
        admin: &UserId,
        (action, address): (&str, &EmailAddress),
        (before, after): (Option<AddressRuleRecord>, Option<&AddressRuleRecord>),
    ) -> Result<()> {
        let entry = AuditRecord {
            at_ms: self.now_ms(),
            actor: Some(admin.to_owned()),
            action: action.to_owned(),
            subject: address.as_str().to_owned(),
            details_json: json!({ "before": before, "after": after }).to_string(),
        };
        audit::record(tx, 0, &entry)?;
        tx.wake(Topic::Policy);
        Ok(())
    }
}
