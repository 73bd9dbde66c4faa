//! From an address that got an owner to the invitation of a user.

use pli_schema::records::{
    invitations::{ThirdPartyInviteKey, ThirdPartyInviteRecord},
    rooms::Membership,
};
use pli_store::{Row, Scan, Tx};
use ruma::{CanonicalJsonObject, CanonicalJsonValue, UserId};
use serde_json::{Map, Value, json};
use tokio_util::sync::CancellationToken;

use super::{Invitations, THIRD_PARTY_INVITE, by_address};
use crate::{Error, Result, jobs::job_comes, rooms::Draft};

impl Invitations {
    /// Turns invitations of addresses into invitations of users as soon as the addresses have owners,
    /// until `stop`.
    pub async fn run(self, stop: CancellationToken) {
        // Subscribe first, then sample, then wait.
        let mut commits = self.store().subscribe();
        loop {
            if let Err(error) = self.accept_all().await {
                tracing::error!(%error, "invitations by e-mail could not be looked at");
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = job_comes(&mut commits) => {}
            }
        }
    }

    /// Looks at everything that waits; returns how many invitations were turned.
    ///
    /// # Errors
    /// Those of the store. An invitation that the rules refuse is dropped.
    pub async fn accept_all(&self) -> Result<usize> {
        let mut turned: usize = 0;
        for row in self.store().scan(&Scan::<ThirdPartyInviteKey>::prefix(())).await? {
            let Some(owner) = self.owner(&row.record.address).await? else {
                continue;
            };
            match self.accept(&row, &owner).await {
                Ok(true) => turned = turned.saturating_add(1),
                Ok(false) => self.drop_invitation(&row).await?,
                Err(error @ (Error::Store(_) | Error::Bug(_))) => return Err(error),
                Err(error) => {
                    tracing::info!(%error, "an invitation by e-mail does not hold any more");
                    self.drop_invitation(&row).await?;
                }
            }
        }
        Ok(turned)
    }

    /// Invites the owner of an address in place of the address; `false` if that is not to be done any
    /// more.
    async fn accept(&self, row: &Row<ThirdPartyInviteKey>, owner: &UserId) -> Result<bool> {
        let (key, record) = (&row.key, &row.record);
        let member = self.rooms.member(record.room, owner).await?;
        let inside = |membership| {
            matches!(membership, Membership::Join | Membership::Invite | Membership::Ban)
        };
        if member.is_some_and(|member| inside(member.membership)) {
            return Ok(false);
        }
        let event =
            self.rooms.current_state_event(record.room, THIRD_PARTY_INVITE, &key.token).await?;
        let content = match &event {
            Some(event) => event.content::<Map<String, Value>>()?,
            None => None,
        };
        // Taken back: the content is empty.
        let Some(display_name) = content.and_then(|mut content| content.remove("display_name"))
        else {
            return Ok(false);
        };
        let mut content = self.rooms.member_content(owner, "invite").await?;
        let signed = self.signed(owner, key)?;
        let invite = json!({ "display_name": display_name, "signed": signed });
        content.insert("third_party_invite".to_owned(), invite);
        let content = serde_json::value::to_raw_value(&content)
            .map_err(|error| Error::bug(error.to_string()))?;
        let event_type = "m.room.member".to_owned();
        let draft = Draft::state(key.inviter.clone(), event_type, owner.as_str(), content)?;
        let also = |tx: &Tx| {
            forget(tx, key, record);
            Ok(())
        };
        self.rooms.append_with(record.room, &draft, &also).await?;
        Ok(true)
    }

    /// The proof that the token is for this user.
    fn signed(&self, owner: &UserId, key: &ThirdPartyInviteKey) -> Result<CanonicalJsonObject> {
        let texts =
            [("mxid", owner.as_str()), ("sender", key.inviter.as_str()), ("token", &*key.token)];
        let text = |text: &str| CanonicalJsonValue::String(text.to_owned());
        let mut signed: CanonicalJsonObject =
            texts.into_iter().map(|(name, value)| (name.to_owned(), text(value))).collect();
        let server_name = self.rooms.server_name();
        let signing = self.rooms.signing_key().sign_json(server_name, &mut signed);
        signing.map_err(|error| Error::bug(error.to_string()))?;
        Ok(signed)
    }

    async fn drop_invitation(&self, row: &Row<ThirdPartyInviteKey>) -> Result<()> {
        self.store()
            .write(|tx| async move {
                forget(&tx, &row.key, &row.record);
                Ok::<_, Error>(())
            })
            .await
    }
}

fn forget(tx: &Tx, key: &ThirdPartyInviteKey, record: &ThirdPartyInviteRecord) {
    tx.delete(key);
    tx.delete(&by_address(key, record));
}
