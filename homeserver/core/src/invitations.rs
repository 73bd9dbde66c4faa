//! Invitations by e-mail address, without an identity server beside this one
//! (<https://spec.matrix.org/v1.19/client-server-api/#third-party-invites>).
//!
//! If the address has an account here, it is invited at once. Else the room gets an
//! `m.room.third_party_invite` with this server's own key, the address a mail, and a record waits. When
//! somebody proves to own the address, by registering with it or by adding it to an account, a
//! background task ([`Invitations::run`]) signs the token for them and the invitation becomes one of a
//! user. Room, mail and record are one commit.

mod accept;
#[cfg(test)]
mod tests;

use pli_schema::{
    EmailAddress, Language, Stamp, Topic,
    records::{
        accounts::{AccountKey, EmailOwnerKey},
        invitations::{
            InviteMailKey, InviteMailRecord, ThirdPartyInviteByAddressKey, ThirdPartyInviteKey,
            ThirdPartyInviteRecord,
        },
    },
};
use pli_store::{Scan, Store, Tx};
use ruma::{OwnedUserId, RoomId, UserId};
use serde_json::{Value, json};

use crate::{
    Error, Random, Result, Rooms,
    policy::{Answer, Policy, Refusal},
    rooms::{Change, Draft, Room},
};

/// Invitations of one user that wait.
const WAITING_OF_USER_MAX: usize = 200;
/// Invitations that wait for one address.
const WAITING_FOR_ADDRESS_MAX: usize = 20;
/// What those are told who invite too many.
const RETRY_AFTER_MS: u64 = 3_600_000;

/// Invites people by e-mail address. Clones share everything.
#[derive(Clone, Debug)]
pub struct Invitations {
    rooms: Rooms,
    policy: Policy,
    random: Random,
    /// Where this server is reached, without a slash at the end.
    base_url: String,
}

/// An invitation of the owner of an address.
#[derive(Clone, Copy, Debug)]
pub struct ByAddress<'a> {
    /// Who invites.
    pub sender: &'a UserId,
    /// Into which room.
    pub room_id: &'a RoomId,
    /// `medium`: only `email` is taken.
    pub medium: &'a str,
    /// The address, as somebody has typed it.
    pub address: &'a str,
}

impl Invitations {
    /// Invitations into these rooms, of people whom the rules about addresses let in.
    #[must_use]
    pub const fn new(rooms: Rooms, policy: Policy, random: Random, base_url: String) -> Self {
        Self { rooms, policy, random, base_url }
    }

    fn store(&self) -> &Store {
        self.rooms.store()
    }

    /// Refuses what cannot be invited, before anything is done.
    ///
    /// # Errors
    /// [`Error::InvalidParam`] for what is no e-mail address; [`Error::ThreepidDenied`] for one whose
    /// owner may not have an account here.
    pub async fn check(
        &self,
        sender: &UserId,
        medium: &str,
        address: &str,
    ) -> Result<EmailAddress> {
        let language = self.language(sender).await?;
        if medium != "email" {
            let text = "People are invited by their Matrix id or their e-mail address";
            return Err(Error::invalid_param(text));
        }
        let address = EmailAddress::parse(address.trim())
            .map_err(|_| Error::invalid_param(Refusal::NoAddress.text(language)))?;
        if self.owner(&address).await?.is_none()
            && let Answer::Refuse(refusal) = self.policy.for_address(&address).await?
        {
            return Err(Error::ThreepidDenied(refusal.text(language).to_owned()));
        }
        Ok(address)
    }

    /// Invites the owner of an address. An invitation that waits already is not made again.
    ///
    /// # Errors
    /// As [`Self::check`]; [`Error::Forbidden`] if the sender may not invite;
    /// [`Error::LimitExceeded`] if too many invitations wait.
    pub async fn invite(&self, wish: ByAddress<'_>) -> Result<()> {
        let address = self.check(wish.sender, wish.medium, wish.address).await?;
        if let Some(target) = self.owner(&address).await? {
            let ByAddress { sender, room_id, .. } = wish;
            return self
                .rooms
                .invite(Change { sender, room_id, target: &target, reason: None })
                .await;
        }
        let room = self.rooms.room_or_forbidden(wish.room_id).await?;
        self.rooms.require_joined(room.number, wish.sender).await?;
        if self.waits_already(&room, wish.sender, &address).await? {
            return Ok(());
        }
        let token = self.random.letters(32);
        let draft = self.draft(wish.sender, &token, &address)?;
        let mail = self.mail(&room, wish.sender, address.clone()).await?;
        let record = ThirdPartyInviteRecord {
            room: room.number,
            address,
            at_ms: self.rooms.clock().now_ms(),
        };
        let key = ThirdPartyInviteKey { inviter: wish.sender.to_owned(), token };
        let also = |tx: &Tx| {
            tx.put(&key, &record)?;
            tx.put(&by_address(&key, &record), &())?;
            tx.put(&InviteMailKey { at: Stamp::Commit, index: 0 }, &mail)?;
            // The address may have got an owner a moment ago: the task looks.
            tx.wake(Topic::Jobs);
            Ok(())
        };
        self.rooms.append_with(room.number, &draft, &also).await
    }

    /// The user who owns an address.
    async fn owner(&self, address: &EmailAddress) -> Result<Option<OwnedUserId>> {
        let key = EmailOwnerKey { address: address.as_str().to_owned() };
        Ok(self.store().get(&key).await?.map(|owner| owner.user_id))
    }

    async fn language(&self, user_id: &UserId) -> Result<Language> {
        let account = self.store().get(&AccountKey { user_id: user_id.to_owned() }).await?;
        Ok(account.map(|account| account.language).unwrap_or_default())
    }

    /// Whether the same invitation waits; refuses what would be too many.
    async fn waits_already(
        &self,
        room: &Room,
        sender: &UserId,
        address: &EmailAddress,
    ) -> Result<bool> {
        let of_user = Scan::<ThirdPartyInviteKey>::prefix((sender.to_owned(),));
        let of_user = self.store().scan(&of_user.limit(WAITING_OF_USER_MAX)).await?;
        let same = |record: &ThirdPartyInviteRecord| {
            record.room == room.number && record.address == *address
        };
        if of_user.iter().any(|row| same(&row.record)) {
            return Ok(true);
        }
        let prefix = (address.as_str().to_owned(),);
        let for_address = Scan::<ThirdPartyInviteByAddressKey>::prefix(prefix);
        let for_address = self.store().scan(&for_address.limit(WAITING_FOR_ADDRESS_MAX)).await?;
        if of_user.len() >= WAITING_OF_USER_MAX || for_address.len() >= WAITING_FOR_ADDRESS_MAX {
            return Err(Error::LimitExceeded { retry_after_ms: RETRY_AFTER_MS });
        }
        Ok(false)
    }

    /// The event that says that somebody is invited who can have this server sign the token.
    fn draft(&self, sender: &UserId, token: &str, address: &EmailAddress) -> Result<Draft> {
        let key = self.rooms.signing_key().public_key().encode();
        let url = format!("{}/_matrix/identity/v2/pubkey/isvalid", self.base_url);
        let content = json!({
            "display_name": veiled(address),
            "key_validity_url": url,
            "public_key": key,
            "public_keys": [{ "public_key": key, "key_validity_url": url }],
        });
        let content = serde_json::value::to_raw_value(&content)
            .map_err(|error| Error::bug(error.to_string()))?;
        Draft::state(sender.to_owned(), THIRD_PARTY_INVITE.to_owned(), token, content)
    }

    async fn mail(
        &self,
        room: &Room,
        sender: &UserId,
        address: EmailAddress,
    ) -> Result<InviteMailRecord> {
        let name: Option<Value> = self.rooms.current_content(room.number, "m.room.name").await?;
        let name = name.as_ref().and_then(|content| content.get("name")).and_then(Value::as_str);
        let member = self.rooms.member(room.number, sender).await?;
        let called = member.and_then(|member| member.display_name);
        Ok(InviteMailRecord {
            address,
            language: self.language(sender).await?,
            inviter: called.unwrap_or_else(|| sender.to_string()),
            room_name: name.filter(|name| !name.is_empty()).map(str::to_owned),
            failures: 0,
            next_try_ms: 0,
        })
    }
}

/// The type of the event that stands for somebody without an account.
const THIRD_PARTY_INVITE: &str = "m.room.third_party_invite";

fn by_address(
    key: &ThirdPartyInviteKey,
    record: &ThirdPartyInviteRecord,
) -> ThirdPartyInviteByAddressKey {
    ThirdPartyInviteByAddressKey {
        address: record.address.as_str().to_owned(),
        inviter: key.inviter.clone(),
        token: key.token.clone(),
    }
}

/// An address as everyone in the room may see it: the first letters only.
fn veiled(address: &EmailAddress) -> String {
    let first = |text: &str| text.chars().take(1).collect::<String>();
    let (local, domain) = address.as_str().split_once('@').unwrap_or_default();
    format!("{}…@{}…", first(local), first(domain))
}
