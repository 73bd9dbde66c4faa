//! The allow-list of domains, as admins change it while the server runs.

use pli_schema::{
    Domain, EmailAddress, Topic,
    domains::candidates,
    records::{
        accounts::{EmailOwnerKey, Purpose, ValidationKey},
        policy::{AddressRuleKey, AuditRecord, DomainEntry, DomainKey, DomainKind, DomainRecord},
    },
};
use pli_store::{Scan, Store, Tx};
use ruma::{OwnedServerName, OwnedUserId, UserId};
use serde_json::json;

use super::{Answer, DomainList};
use crate::{Clock, Error, Result, audit};

/// Accounts shown of those that a change would affect.
const EXAMPLES: usize = 10;
/// Longest label or note, in characters.
const TEXT_MAX: usize = 200;

/// The rules with the data they rest on. Clones share it.
#[derive(Clone, Debug)]
pub struct Policy {
    store: Store,
    clock: Clock,
    server_name: OwnedServerName,
    open: bool,
}

/// A change of the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DomainChange {
    /// An entry is added or replaced.
    Put(DomainEntry),
    /// An entry is removed. Accounts stay as they are.
    Remove,
}

/// What a change does to people who are there already.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Impact {
    /// Accounts whose address would be judged otherwise than now.
    pub accounts: u64,
    /// Registrations under way of which the same is true.
    pub pending: u64,
    /// At most ten of the accounts.
    pub examples: Vec<OwnedUserId>,
}

/// What the rules say of an address, for admins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checked {
    /// The decision; `None` for what is no address.
    pub answer: Answer,
    /// Who has the address now.
    pub user_id: Option<OwnedUserId>,
}

impl Policy {
    /// The rules of a server. `open` turns the allow-list off (test deployments).
    #[must_use]
    pub const fn new(store: Store, clock: Clock, server_name: OwnedServerName, open: bool) -> Self {
        Self { store, clock, server_name, open }
    }

    /// The store, for the other parts of the policy.
    pub(super) const fn store(&self) -> &Store {
        &self.store
    }

    /// The time.
    pub(super) fn now_ms(&self) -> u64 {
        self.clock.now_ms()
    }

    /// Whether the owner of an address may have an account here, now.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn for_address(&self, address: &EmailAddress) -> Result<Answer> {
        self.store.write(|tx| async move { self.for_address_in(&tx, address).await }).await
    }

    /// As [`Self::for_address`], in a transaction: the decision holds at its commit.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn for_address_in(&self, tx: &Tx, address: &EmailAddress) -> Result<Answer> {
        let mut list = DomainList { open: self.open, ..DomainList::default() };
        for name in candidates(address.domain()) {
            if let Some(entry) = tx.get(&DomainKey { domain: name.to_owned() }).await? {
                list.domains.insert(name.to_owned(), entry);
            }
        }
        let rule_key = AddressRuleKey { address: address.as_str().to_owned() };
        if let Some(rule) = tx.get(&rule_key).await? {
            list.addresses.insert(rule_key.address, rule);
        }
        if list.domains.is_empty() {
            list.is_empty = tx.scan(&Scan::<DomainKey>::prefix(()).limit(1)).await?.is_empty();
        }
        Ok(self.decide(&list, address))
    }

    fn decide(&self, list: &DomainList, address: &EmailAddress) -> Answer {
        list.decide(address, self.server_name.as_str(), self.clock.now_ms())
    }

    /// The server that serves an address: this one, or the one that the list names; `None` if the
    /// address may not be used.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn homeserver_for(&self, address: &EmailAddress) -> Result<Option<String>> {
        if matches!(self.for_address(address).await?, Answer::Allow(_)) {
            return Ok(Some(self.server_name.to_string()));
        }
        let list = self.whole_list().await?;
        let found = list.entry_for(address).filter(|(_, found)| found.kind != DomainKind::Blocked);
        Ok(found.and_then(|(_, found)| found.homeserver.clone()))
    }

    /// The list, by domain.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn domains(&self) -> Result<Vec<(String, DomainRecord)>> {
        let rows = self.store.scan(&Scan::<DomainKey>::prefix(())).await?;
        Ok(rows.into_iter().map(|row| (row.key.domain, row.record)).collect())
    }

    async fn whole_list(&self) -> Result<DomainList> {
        let rules = self.store.scan(&Scan::<AddressRuleKey>::prefix(())).await?;
        let domains: std::collections::HashMap<_, _> = self.domains().await?.into_iter().collect();
        Ok(DomainList {
            is_empty: domains.is_empty(),
            domains,
            addresses: rules.into_iter().map(|row| (row.key.address, row.record)).collect(),
            open: self.open,
        })
    }

    /// Changes the list. With `dry_run` nothing is changed, only the impact is told.
    ///
    /// # Errors
    /// [`Error::InvalidParam`] for what is no domain, [`Error::NotFound`] for an entry that is not
    /// there.
    pub async fn change(
        &self,
        admin: &UserId,
        domain: &str,
        change: DomainChange,
        dry_run: bool,
    ) -> Result<Impact> {
        let domain = Domain::parse(domain)
            .map_err(|_| Error::invalid_param("This is not a domain name"))?
            .to_string();
        let new = match change {
            DomainChange::Put(new) => Some(self.record(admin, new)?),
            DomainChange::Remove => None,
        };
        let impact = self.impact(&domain, new.as_ref()).await?;
        if dry_run {
            return Ok(impact);
        }
        let (domain, new) = (&domain, &new);
        self.store
            .write(|tx| async move { self.write_change(&tx, admin, domain, new.as_ref()).await })
            .await?;
        Ok(impact)
    }

    async fn write_change(
        &self,
        tx: &Tx,
        admin: &UserId,
        domain: &str,
        new: Option<&DomainRecord>,
    ) -> Result<()> {
        let key = DomainKey { domain: domain.to_owned() };
        let old = tx.get(&key).await?;
        let action = match new {
            Some(new) => {
                tx.put(&key, new)?;
                "domain.put"
            }
            None if old.is_none() => {
                return Err(Error::not_found("This domain is not on the list"));
            }
            None => {
                tx.delete(&key);
                "domain.remove"
            }
        };
        let entry = AuditRecord {
            at_ms: self.clock.now_ms(),
            actor: Some(admin.to_owned()),
            action: action.to_owned(),
            subject: domain.to_owned(),
            details_json: json!({ "before": old, "after": new }).to_string(),
        };
        audit::record(tx, 0, &entry)?;
        tx.wake(Topic::Policy);
        Ok(())
    }

    fn record(&self, admin: &UserId, new: DomainEntry) -> Result<DomainRecord> {
        let texts = [&new.organization, &new.note, &new.homeserver];
        let too_long = |text: &&Option<String>| {
            text.as_ref().is_some_and(|text| {
                text.chars().count() > TEXT_MAX || text.chars().any(char::is_control)
            })
        };
        if texts.iter().any(too_long) {
            let text = "Label, note and server have at most 200 characters, none of them control";
            return Err(Error::invalid_param(text));
        }
        let (added_by, added_at_ms) = (Some(admin.to_owned()), self.clock.now_ms());
        Ok(DomainRecord { entry: new, added_by, added_at_ms })
    }

    /// Whom a change would affect.
    async fn impact(&self, domain: &str, new: Option<&DomainRecord>) -> Result<Impact> {
        let before = self.whole_list().await?;
        let mut after = before.clone();
        match new {
            Some(new) => after.domains.insert(domain.to_owned(), new.clone()),
            None => after.domains.remove(domain),
        };
        after.is_empty = after.domains.is_empty();
        let differs = |address: &EmailAddress| {
            let (old, new) = (self.decide(&before, address), self.decide(&after, address));
            match (&old, &new) {
                (Answer::Allow(old), Answer::Allow(new)) => old.kind != new.kind,
                _ => old != new,
            }
        };
        let mut impact = Impact::default();
        for row in self.store.scan(&Scan::<EmailOwnerKey>::prefix(())).await? {
            if EmailAddress::parse(&row.key.address).is_ok_and(|address| differs(&address)) {
                impact.accounts = impact.accounts.saturating_add(1);
                if impact.examples.len() < EXAMPLES {
                    impact.examples.push(row.record.user_id);
                }
            }
        }
        let now_ms = self.clock.now_ms();
        for row in self.store.scan(&Scan::<ValidationKey>::prefix(())).await? {
            let session = row.record;
            let pending = session.purpose == Purpose::Register && !session.used;
            let alive = session.validated_at_ms.is_some() || session.expires_at_ms > now_ms;
            if pending && alive && differs(&session.address) {
                impact.pending = impact.pending.saturating_add(1);
            }
        }
        Ok(impact)
    }

    /// What the rules say of an address, and who has it: for admins.
    ///
    /// # Errors
    /// [`Error::InvalidParam`] for what is no address.
    pub async fn check(&self, address: &EmailAddress) -> Result<Checked> {
        let owner = EmailOwnerKey { address: address.as_str().to_owned() };
        Ok(Checked {
            answer: self.for_address(address).await?,
            user_id: self.store.get(&owner).await?.map(|owner| owner.user_id),
        })
    }
}
