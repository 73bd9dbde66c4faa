//! Claims of one-time keys, of devices of any server, and what other servers ask of this one.
//!
//! Spec: <https://spec.matrix.org/v1.19/server-server-api/#post_matrixfederationv1userkeysclaim>

use std::{collections::BTreeMap, time::Duration};

use futures_util::{StreamExt, stream};
use pli_schema::records::{accounts::AccountKey, sending::ToldUserKey};
use ruma::{OwnedServerName, UserId, api::federation::keys::claim_keys::v1::Request};

use super::{
    Devices,
    query::{PATIENCE, SERVERS_AT_ONCE, Unreachable, reason},
};
use crate::{
    Error, Result,
    encryption::{ClaimedKeys, KeyClaims, PublishedKeys},
    federation::Bounds,
};

/// The devices of a user of this server, for another server.
#[derive(Clone, Debug)]
pub struct ListOfDevices {
    /// The place in the stream of the user's devices to which it belongs.
    pub stream_id: u64,
    /// The keys.
    pub keys: PublishedKeys,
}

impl Devices {
    /// Claims keys as [`crate::Encryption::claim_keys`] does, also of devices of other servers, all
    /// within `patience`; the servers that gave none come with the keys.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn claim(
        &self,
        claims: &KeyClaims,
        patience: Option<Duration>,
    ) -> Result<(ClaimedKeys, Unreachable)> {
        let mut claimed = self.parts.encryption.claim_keys(claims).await?;
        let mut failures = Unreachable::new();
        let mut by_server: BTreeMap<OwnedServerName, KeyClaims> = BTreeMap::new();
        for (user_id, devices) in claims.iter().filter(|(user, _)| !self.rooms().is_local(user)) {
            let of_server = by_server.entry(user_id.server_name().to_owned()).or_default();
            of_server.insert(user_id.clone(), devices.clone());
        }
        let patience = patience.unwrap_or(PATIENCE).min(PATIENCE);
        let asked: Vec<_> = by_server
            .into_iter()
            .map(|(server, claims)| async move {
                let remote = self.parts.signed.remote();
                let request = Request::new(claims.clone());
                let asked = remote.request(&server, request, Bounds::SMALL);
                let answer = tokio::time::timeout(patience, asked).await;
                (server, claims, answer)
            })
            .collect();
        let mut answers = stream::iter(asked).buffer_unordered(SERVERS_AT_ONCE);
        while let Some((server, claims, answer)) = answers.next().await {
            match answer {
                Ok(Ok(answer)) => claimed.extend(only(answer.one_time_keys, &claims)),
                Ok(Err(error)) => drop(failures.insert(server, reason(&error))),
                Err(_) => drop(failures.insert(server, "The server does not answer")),
            }
        }
        Ok((claimed, failures))
    }

    /// The devices of a user of this server.
    ///
    /// # Errors
    /// [`Error::NotFound`] for anyone else; those of the store.
    pub async fn of_own_user(&self, user_id: &UserId) -> Result<ListOfDevices> {
        let account = AccountKey { user_id: user_id.to_owned() };
        if !self.rooms().is_local(user_id) || self.store().get(&account).await?.is_none() {
            return Err(Error::not_found("There is no such user here"));
        }
        // The place first: what is newer than it is told again, what is older would be missed.
        let told = self.store().get(&ToldUserKey { user_id: user_id.to_owned() }).await?;
        let stream_id = told.unwrap_or_default().stream_id;
        let keys = self.parts.encryption.published_keys(user_id).await?;
        Ok(ListOfDevices { stream_id, keys })
    }
}

/// Of the keys that a server gave those that were claimed, one per device.
fn only(given: ClaimedKeys, claims: &KeyClaims) -> ClaimedKeys {
    let mut right = ClaimedKeys::new();
    for (user_id, devices) in given {
        let Some(claimed) = claims.get(&user_id) else { continue };
        for (device_id, mut keys) in devices {
            let Some(algorithm) = claimed.get(&device_id) else { continue };
            keys.retain(|key_id, _| key_id.algorithm() == *algorithm);
            while keys.len() > 1 {
                keys.pop_last();
            }
            right.entry(user_id.clone()).or_default().insert(device_id, keys);
        }
    }
    right
}
