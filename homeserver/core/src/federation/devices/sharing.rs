//! Lists are tracked only while their users share a room with users of this server: in between their
//! servers tell nothing.

use pli_schema::{
    Position, RoomNumber,
    records::{encryption::SharingChangeKey, sending::RemoteUserKey},
};
use pli_store::Scan;
use ruma::{OwnedUserId, UserId};

use super::Devices;
use crate::{Error, Result, records::Membership};

impl Devices {
    /// Looks at the joins and leaves after `from` up to `to`: lists whose users shared no room for a
    /// moment are forgotten, or become stale if they share one again. Doing it twice does no harm.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn follow_sharing(&self, from: Position, to: Position) -> Result<()> {
        let changes = Scan::<SharingChangeKey>::prefix(()).after((from,)).up_to((to,));
        for row in self.store().scan(&changes).await? {
            let SharingChangeKey { at, room, user_id } = row.key;
            let at = at.position().unwrap_or_default();
            if !self.rooms().is_local(&user_id) {
                if !row.record {
                    self.look_again(&user_id, (room, at)).await?;
                }
                continue;
            }
            if self.moved_this_server(room, &user_id, row.record).await? {
                for (member, _) in self.rooms().members(room, Some(Membership::Join)).await? {
                    if !self.rooms().is_local(&member) {
                        self.look_again(&member, (room, at)).await?;
                    }
                }
            }
        }
        Ok(())
    }

    /// Whether this server came into a room with a user, or left it with one.
    async fn moved_this_server(
        &self,
        room: RoomNumber,
        user_id: &UserId,
        joins: bool,
    ) -> Result<bool> {
        let own = self.rooms().server_name();
        if !joins {
            return Ok(!self.rooms().residents(room).await?.contains(own));
        }
        let Some(member) = self.rooms().member(room, user_id).await? else { return Ok(true) };
        let before = self.rooms().existing_event(member.event).await?.record.state_before;
        Ok(!self.rooms().residents_at(room, before).await?.contains(own))
    }

    /// A user may have shared no room for a moment: only a room besides tells that that is not so.
    async fn look_again(&self, user_id: &OwnedUserId, but: (RoomNumber, Position)) -> Result<()> {
        let key = RemoteUserKey { user_id: user_id.clone() };
        if self.store().get(&key).await?.is_none() || self.shared_all_along(user_id, but).await? {
            return Ok(());
        }
        if !self.shares(user_id).await? {
            return self.forget(user_id).await;
        }
        let key = &key;
        self.store()
            .write(|tx| async move {
                if let Some(mut record) = tx.get(key).await? {
                    record.stale = true;
                    record.misses = record.misses.wrapping_add(1);
                    record.retry_at_ms = 0;
                    tx.put(key, &record)?;
                }
                Ok::<_, Error>(())
            })
            .await?;
        self.stale.notify_one();
        Ok(())
    }

    /// Whether the user was in a room with this server before a commit, other than one, and is.
    async fn shared_all_along(
        &self,
        user_id: &UserId,
        (but, at): (RoomNumber, Position),
    ) -> Result<bool> {
        for (room, stored) in self.rooms().rooms_of(user_id, Some(Membership::Join)).await? {
            if room != but
                && stored.position < at
                && self.rooms().residents(room).await?.contains(self.rooms().server_name())
            {
                return Ok(true);
            }
        }
        Ok(false)
    }
}
