//! With which keys other servers sign: fetched from them, or from a notary when they do not answer,
//! kept as long as they may be (<https://spec.matrix.org/v1.19/server-server-api/#retrieving-server-keys>).

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use futures_util::{StreamExt, stream};
use parking_lot::Mutex;
use pli_federation::{event_format::PublicKeys, room_version, server_keys::ServerKeys};
use pli_schema::records::federation::{ServerKeysKey, ServerKeysRecord};
use pli_store::Store;
use ruma::{
    CanonicalJsonObject, OwnedServerName, OwnedServerSigningKeyId, RoomVersionId, ServerName,
    api::federation::discovery::{get_remote_server_keys, get_server_keys},
};

use super::{Bounds, Remote};
use crate::{Clock, Error, Result, rooms::ByteCache};

/// Servers that are asked for their keys at the same time.
const ASKED_AT_ONCE: usize = 16;
/// A server that gave no keys is not asked again for this long.
const PAUSE_MS: u64 = 60_000;
/// Servers whose keys are kept in memory.
const KEPT_MAX: usize = 10_000;

/// A key that somebody signed with.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct NeededKey {
    /// Who.
    pub server: OwnedServerName,
    /// The name of the key.
    pub key_id: OwnedServerSigningKeyId,
    /// When it was used, in milliseconds since 1970; `None` for now.
    pub at_ms: Option<u64>,
    /// Whether a key counts only for the time in which it was valid (room versions from 5 on).
    pub enforce_validity: bool,
}

/// The keys of other servers. Clones share them.
#[derive(Clone, Debug)]
pub struct KeyRing {
    store: Store,
    clock: Clock,
    remote: Remote,
    notaries: Arc<[OwnedServerName]>,
    kept: ByteCache<OwnedServerName, Arc<ServerKeys>>,
    /// Servers that gave no keys, and when they may be asked again.
    paused: ByteCache<OwnedServerName, u64>,
    /// One question per server at a time.
    asking: Arc<Mutex<BTreeMap<OwnedServerName, Arc<tokio::sync::Mutex<()>>>>>,
}

impl KeyRing {
    /// The keys in a store. `notaries` are asked when a server does not answer for itself.
    #[must_use]
    pub fn new(store: Store, clock: Clock, remote: Remote, notaries: Vec<OwnedServerName>) -> Self {
        Self {
            store,
            clock,
            remote,
            notaries: notaries.into(),
            kept: ByteCache::new(KEPT_MAX),
            paused: ByteCache::new(KEPT_MAX),
            asking: Arc::default(),
        }
    }

    /// The time, in milliseconds since 1970.
    pub(super) fn now_ms(&self) -> u64 {
        self.clock.now_ms()
    }

    /// The keys that are needed, as far as they can be had, by server and name.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn keys(&self, needed: &[NeededKey]) -> Result<PublicKeys> {
        self.remote.partners().ready().await?;
        let mut by_server: BTreeMap<&ServerName, Vec<&NeededKey>> = BTreeMap::new();
        for key in needed {
            by_server.entry(&key.server).or_default().push(key);
        }
        let asked = by_server
            .iter()
            .map(|(server, needed)| async move { (self.of(server, needed).await, *server) });
        let asked: Vec<_> = asked.collect();
        let mut answers = stream::iter(asked).buffer_unordered(ASKED_AT_ONCE);
        let mut found = PublicKeys::new();
        while let Some((keys, server)) = answers.next().await {
            let Some(keys) = keys? else { continue };
            let now_ms = self.clock.now_ms();
            let of_server = by_server.get(server).into_iter().flatten();
            for needed in of_server {
                if let Some(key) = self.usable(&keys, needed, now_ms) {
                    let names = found.entry(server.to_string()).or_default();
                    names.insert(needed.key_id.to_string(), key.clone());
                }
            }
        }
        Ok(found)
    }

    /// Those of the keys that are in memory: after [`Self::keys`] was asked for the same ones.
    pub(super) fn at_hand(&self, needed: &[NeededKey]) -> PublicKeys {
        let mut found = PublicKeys::new();
        let now_ms = self.clock.now_ms();
        for needed in needed {
            let own = self.remote.own().server_name() == needed.server;
            let keys = if own { self.own().ok() } else { self.kept.get(&needed.server) };
            if let Some(key) = keys.as_ref().and_then(|keys| self.usable(keys, needed, now_ms)) {
                let names = found.entry(needed.server.to_string()).or_default();
                names.insert(needed.key_id.to_string(), key.clone());
            }
        }
        found
    }

    /// The keys of a server, asked for again if those that are known are not what is needed.
    async fn of(
        &self,
        server: &ServerName,
        needed: &[&NeededKey],
    ) -> Result<Option<Arc<ServerKeys>>> {
        if server == self.remote.own().server_name() {
            return self.own().map(Some);
        }
        let known = self.known(server).await?;
        let suffice = |keys: &Option<Arc<ServerKeys>>| {
            let now_ms = self.clock.now_ms();
            keys.as_ref().is_some_and(|keys| {
                needed.iter().all(|needed| self.usable(keys, needed, now_ms).is_some())
            })
        };
        if suffice(&known) || self.is_paused(server) {
            return Ok(known);
        }
        let turn = Arc::clone(self.asking.lock().entry(server.to_owned()).or_default());
        let guard = turn.lock().await;
        let known = self.known(server).await?;
        let keys = if suffice(&known) || self.is_paused(server) {
            Ok(known)
        } else {
            self.ask(server, known).await
        };
        drop(guard);
        let mut asking = self.asking.lock();
        if Arc::strong_count(&turn) == 2 {
            asking.remove(server);
        }
        keys
    }

    /// This server's own keys, as others see them.
    fn own(&self) -> Result<Arc<ServerKeys>> {
        let own = self.remote.own();
        let published = own.published()?;
        let keys = ServerKeys::read(own.server_name(), &published, self.clock.now_ms());
        keys.map(Arc::new).map_err(|error| Error::bug(error.to_string()))
    }

    fn is_paused(&self, server: &ServerName) -> bool {
        self.paused.get(server).is_some_and(|until| self.clock.now_ms() < until)
    }

    async fn known(&self, server: &ServerName) -> Result<Option<Arc<ServerKeys>>> {
        if let Some(keys) = self.kept.get(server) {
            return Ok(Some(keys));
        }
        let key = ServerKeysKey { server: server.to_owned() };
        let Some(record) = self.store.get(&key).await? else { return Ok(None) };
        let keys = serde_json::from_str(&record.keys);
        let keys: ServerKeys = keys.map_err(|error| Error::bug(error.to_string()))?;
        let keys = Arc::new(keys);
        self.kept.put(server.to_owned(), Arc::clone(&keys), 1);
        Ok(Some(keys))
    }

    async fn ask(
        &self,
        server: &ServerName,
        known: Option<Arc<ServerKeys>>,
    ) -> Result<Option<Arc<ServerKeys>>> {
        let answer = match self.ask_itself(server).await {
            Some(answer) => Some(answer),
            None => self.ask_notaries(server).await,
        };
        let Some((published, mut keys)) = answer else {
            let until = self.clock.now_ms().saturating_add(PAUSE_MS);
            self.paused.put(server.to_owned(), until, 1);
            return Ok(known);
        };
        if let Some(known) = &known {
            keys.remember(known);
        }
        self.keep(server, keys, published).await.map(Some)
    }

    async fn keep(
        &self,
        server: &ServerName,
        keys: ServerKeys,
        published: String,
    ) -> Result<Arc<ServerKeys>> {
        let keys = Arc::new(keys);
        let text = serde_json::to_string(&*keys).map_err(|error| Error::bug(error.to_string()))?;
        let record = &ServerKeysRecord { keys: text, published };
        let key = &ServerKeysKey { server: server.to_owned() };
        self.store.write(|tx| async move { Ok::<_, Error>(tx.put(key, record)?) }).await?;
        self.kept.put(server.to_owned(), Arc::clone(&keys), 1);
        // Who asks with a key that is not among them does not make us ask each time.
        let until = self.clock.now_ms().saturating_add(PAUSE_MS);
        self.paused.put(server.to_owned(), until, 1);
        Ok(keys)
    }

    async fn ask_itself(&self, server: &ServerName) -> Option<(String, ServerKeys)> {
        let request = get_server_keys::v2::Request::new();
        let answer = self.remote.unsigned(server, request, Bounds::SMALL).await;
        let answer = answer.inspect_err(|error| {
            tracing::info!(%server, %error, "a server does not tell its keys");
        });
        self.believe(server, answer.ok()?.server_key.json().get())
    }

    async fn ask_notaries(&self, server: &ServerName) -> Option<(String, ServerKeys)> {
        for notary in self.notaries.iter().filter(|notary| *notary != server) {
            let until = self.clock.now();
            let request = get_remote_server_keys::v2::Request::new(server.to_owned(), until);
            let Ok(answer) = self.remote.unsigned(notary, request, Bounds::SMALL).await else {
                continue;
            };
            let answers = answer.server_keys.iter();
            let found = answers.filter_map(|raw| self.believe(server, raw.json().get()));
            if let Some(newest) = found.max_by_key(|(_, keys)| keys.valid_until_ms) {
                return Some(newest);
            }
        }
        None
    }

    /// Reads an answer about the keys of a server, from whomever it came.
    fn believe(&self, server: &ServerName, json: &str) -> Option<(String, ServerKeys)> {
        let object: CanonicalJsonObject = serde_json::from_str(json).ok()?;
        match ServerKeys::read(server, &object, self.clock.now_ms()) {
            Ok(keys) => Some((json.to_owned(), keys)),
            Err(error) => {
                tracing::warn!(%server, %error, "published keys that are not believed");
                None
            }
        }
    }

    /// What a server published about its keys, for those who ask this server as a notary; with this
    /// server's signature. Asked for anew if it is not valid until then.
    ///
    /// # Errors
    /// Those of the store; [`Error::BadJson`] if it cannot be signed.
    pub async fn vouch(
        &self,
        server: &ServerName,
        valid_until_ms: u64,
    ) -> Result<Option<CanonicalJsonObject>> {
        let own = self.remote.own();
        if server == own.server_name() {
            return own.published().map(Some);
        }
        let known = self.known(server).await?;
        let is_good = known.as_ref().is_some_and(|keys| keys.valid_until_ms >= valid_until_ms);
        if !is_good && !self.is_paused(server) {
            self.ask(server, known).await?;
        }
        let key = ServerKeysKey { server: server.to_owned() };
        let Some(record) = self.store.get(&key).await? else { return Ok(None) };
        let object = serde_json::from_str(&record.published);
        let mut object = object.map_err(|error| Error::bug(error.to_string()))?;
        own.sign(&mut object)?;
        Ok(Some(object))
    }

    /// The keys with which an event is signed, as far as its room version asks for their signatures.
    #[must_use]
    pub fn needed_for(json: &CanonicalJsonObject, version: &RoomVersionId) -> Vec<NeededKey> {
        let Ok(rules) = room_version::rules(version) else { return Vec::new() };
        let signers =
            ruma::signatures::required_server_signatures_to_verify_event(json, &rules.signatures);
        let enforce_validity = rules.enforce_key_validity;
        let at = json.get("origin_server_ts").and_then(|value| value.as_integer());
        let at_ms = at.and_then(|at| u64::try_from(i64::from(at)).ok());
        let signers: BTreeSet<OwnedServerName> = signers.unwrap_or_default();
        let signatures = json.get("signatures").and_then(|value| value.as_object());
        let mut needed = Vec::new();
        for server in signers {
            let own = signatures.and_then(|all| all.get(server.as_str())?.as_object());
            for name in own.into_iter().flat_map(BTreeMap::keys) {
                if let Ok(key_id) = OwnedServerSigningKeyId::try_from(name.as_str()) {
                    let server = server.clone();
                    // Without a time of its own it cannot be judged by one.
                    let at_ms = at_ms.or(Some(u64::MAX));
                    needed.push(NeededKey { server, key_id, at_ms, enforce_validity });
                }
            }
        }
        needed
    }

    /// The key for what it is needed for, if it may be believed.
    fn usable<'a>(
        &self,
        keys: &'a ServerKeys,
        needed: &NeededKey,
        now_ms: u64,
    ) -> Option<&'a ruma::serde::Base64> {
        let (server, id) = (&needed.server, &needed.key_id);
        let key = match needed.at_ms {
            None => keys.for_now(id, now_ms),
            Some(at_ms) => keys.for_event(id, at_ms, needed.enforce_validity),
        };
        let is_own = server == self.remote.own().server_name();
        key.filter(|key| is_own || self.remote.partners().believes(server, id, key))
    }
}
