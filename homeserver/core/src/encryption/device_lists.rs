//! Whose devices changed, for whom. Everything is in the store, so that the answer is exact after a
//! restart: a stream of users whose keys changed (one row per user), a stream of joins and leaves, and
//! the rooms of each user. (`rooms` writes the stream of joins and leaves where it writes memberships.)
//!
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#tracking-the-device-list-for-a-user>

use std::collections::{BTreeSet, HashMap};

use pli_schema::{
    Position, RoomNumber, Stamp, Topic,
    records::{
        encryption::{
            DeviceListChangeKey, DeviceListHeadKey, SharingChangeKey, SignatureChangeKey,
        },
        rooms::{MemberKey, Membership, UserRoomKey},
    },
};
use pli_store::{Row, Scan, Tx};
use ruma::{OwnedUserId, UserId};

use super::Encryption;
use crate::Result;

/// What a client must do with its tracked devices.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeviceListUpdates {
    /// Users whose keys must be asked for again: they changed, or the user newly shares a room.
    pub changed: Vec<OwnedUserId>,
    /// Users who share no room any more.
    pub left: Vec<OwnedUserId>,
}

impl DeviceListUpdates {
    /// Whether there is nothing to tell.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.changed.is_empty() && self.left.is_empty()
    }
}

/// Notes in a transaction that a device or a cross-signing key of a user appeared, changed or went, and
/// wakes those who share a room with the user.
///
/// # Errors
/// Those of the store.
pub async fn device_list_changed(tx: &Tx, user_id: &UserId) -> Result<()> {
    let user_id = user_id.to_owned();
    let head = DeviceListHeadKey { user_id: user_id.clone() };
    match tx.get_stored(&head).await? {
        // Noted in this transaction already.
        Some(stored) if stored.position == Position::MAX => return Ok(()),
        Some(stored) => tx.delete(&DeviceListChangeKey {
            at: Stamp::At(stored.position),
            user_id: user_id.clone(),
        }),
        None => {}
    }
    tx.put(&head, &())?;
    tx.put(&DeviceListChangeKey { at: Stamp::Commit, user_id: user_id.clone() }, &())?;
    for row in tx.scan(&Scan::<UserRoomKey>::prefix((user_id.clone(),))).await? {
        if row.record.membership == Membership::Join {
            tx.wake(Topic::Room(row.key.room));
        }
    }
    tx.wake(Topic::User(user_id));
    Ok(())
}

/// The rooms in which a user is joined, with the position of the newest change of the membership.
type Joined = HashMap<RoomNumber, Position>;

impl Encryption {
    /// What a client of `user_id` must do with its tracked devices, for changes after `since` up to
    /// `to`. Whoever changed again after `to` may be left out: that comes with the next call.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn device_list_updates(
        &self,
        user_id: &UserId,
        since: Position,
        to: Position,
    ) -> Result<DeviceListUpdates> {
        let changes = Scan::<DeviceListChangeKey>::prefix(()).after((since,)).up_to((to,));
        let changes = self.store.scan(&changes).await?;
        let sharing = Scan::<SharingChangeKey>::prefix(()).after((since,)).up_to((to,));
        let sharing = self.store.scan(&sharing).await?;
        let observer = user_id.to_owned();
        let signed = Scan::<SignatureChangeKey>::prefix((observer.clone(),))
            .after((observer.clone(), since))
            .up_to((observer, to));
        let signed = self.store.scan(&signed).await?;
        if changes.is_empty() && sharing.is_empty() && signed.is_empty() {
            return Ok(DeviceListUpdates::default());
        }
        let observed =
            Observed { encryption: self, user_id, since, mine: self.joined(user_id).await? };
        let mut changed: BTreeSet<OwnedUserId> =
            signed.into_iter().map(|row| row.key.user_id).collect();
        for row in changes {
            if row.key.user_id == user_id || observed.shares(&row.key.user_id).await?.is_some() {
                changed.insert(row.key.user_id);
            }
        }
        let left = observed.moves(&sharing, &mut changed).await?;
        Ok(DeviceListUpdates {
            changed: changed.into_iter().collect(),
            left: left.into_iter().collect(),
        })
    }

    async fn joined(&self, user_id: &UserId) -> Result<Joined> {
        let rows = self.store.scan(&Scan::<UserRoomKey>::prefix((user_id.to_owned(),))).await?;
        let joined = rows.into_iter().filter(|row| row.record.membership == Membership::Join);
        Ok(joined.map(|row| (row.key.room, row.position)).collect())
    }

    async fn joined_members(&self, room: RoomNumber) -> Result<Vec<OwnedUserId>> {
        let rows = self.store.scan(&Scan::<MemberKey>::prefix((room,))).await?;
        let joined = rows.into_iter().filter(|row| row.record.membership == Membership::Join);
        Ok(joined.map(|row| row.key.user_id).collect())
    }
}

/// The world as the user sees it for whom updates are computed.
struct Observed<'a> {
    encryption: &'a Encryption,
    user_id: &'a UserId,
    since: Position,
    mine: Joined,
}

impl Observed<'_> {
    /// `None` if no room is shared now; else whether one was shared at `since` already.
    async fn shares(&self, other: &UserId) -> Result<Option<bool>> {
        let theirs = self.encryption.joined(other).await?;
        let mut shared = None;
        for (room, at) in &theirs {
            if let Some(mine) = self.mine.get(room) {
                let before = *at <= self.since && *mine <= self.since;
                shared = Some(before || shared.unwrap_or(false));
            }
        }
        Ok(shared)
    }

    /// Adds those who newly share a room to `changed`; returns those who share none any more.
    async fn moves(
        &self,
        rows: &[Row<SharingChangeKey>],
        changed: &mut BTreeSet<OwnedUserId>,
    ) -> Result<BTreeSet<OwnedUserId>> {
        let mut candidates = BTreeSet::new();
        let own_moves: BTreeSet<RoomNumber> = rows
            .iter()
            .filter(|row| row.key.user_id == self.user_id)
            .map(|row| row.key.room)
            .collect();
        for &room in &own_moves {
            candidates.extend(self.encryption.joined_members(room).await?);
        }
        for row in rows {
            if self.mine.contains_key(&row.key.room) || own_moves.contains(&row.key.room) {
                candidates.insert(row.key.user_id.clone());
            }
        }
        candidates.remove(self.user_id);
        let mut left = BTreeSet::new();
        for user_id in candidates {
            match self.shares(&user_id).await? {
                None => {
                    left.insert(user_id);
                }
                Some(false) => {
                    changed.insert(user_id);
                }
                Some(true) => {}
            }
        }
        Ok(left)
    }
}
