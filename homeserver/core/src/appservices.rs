//! Application services: bridges and bots that act for many users of this server.
//!
//! Here is who they are and what belongs to them ([`Appservices`]), and what the server asks of them
//! ([`Appservices::query_user`] and its neighbors). What happens in rooms is pushed to them by
//! [`crate::transactions`].
//!
//! Spec: <https://spec.matrix.org/v1.19/application-service-api/>

mod ping;
mod query;
mod registration;
#[cfg(test)]
mod tests;
mod thirdparty;

use std::{collections::HashMap, sync::Arc};

use ruma::{OwnedServerName, OwnedUserId, RoomAliasId, RoomId, ServerName, UserId};
use sha2::{Digest, Sha256};
use tokio::sync::Notify;
use url::Url;

pub use self::{
    registration::{
        FILE_BYTES_MAX, Namespace, RegistrationError, RegistrationFile, RegistrationText,
    },
    thirdparty::Lookup,
};
use crate::{Result, outgoing::Outgoing};

/// A token of a registration; never shown.
#[derive(Clone)]
pub(crate) struct Token(pub(crate) String);

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token")
    }
}

/// An application service.
#[derive(Debug)]
pub struct Appservice {
    /// Its id.
    pub id: Arc<str>,
    /// Where it is reached; `None` if it wants no traffic.
    pub url: Option<Url>,
    /// The user that it is if it does not say which.
    pub sender: OwnedUserId,
    /// Its users are limited in the rate of requests.
    pub rate_limited: bool,
    /// The protocols of third-party networks that it serves.
    pub protocols: Vec<String>,
    /// It wants typing, receipts, presence and to-device messages.
    pub wants_ephemeral: bool,
    /// It wants to know whose devices changed and how many keys its devices have (MSC3202).
    pub wants_device_lists: bool,
    users: Vec<Namespace>,
    aliases: Vec<Namespace>,
    rooms: Vec<Namespace>,
    as_token: Token,
    pub(crate) hs_token: Token,
    server_name: OwnedServerName,
    /// It has answered just now: what waits may be tried again.
    pub(crate) retry: Notify,
}

impl Appservice {
    /// Whether a user of this server is one of those that the service takes care of.
    #[must_use]
    pub fn covers_user(&self, user_id: &UserId) -> bool {
        user_id.server_name() == self.server_name
            && (self.sender == user_id || covers(&self.users, user_id.as_str()))
    }

    /// Whether nobody else may be this user.
    #[must_use]
    pub fn owns_user(&self, user_id: &UserId) -> bool {
        user_id.server_name() == self.server_name
            && (self.sender == user_id || owns(&self.users, user_id.as_str()))
    }

    /// Whether the service takes care of an alias.
    #[must_use]
    pub fn covers_alias(&self, alias: &RoomAliasId) -> bool {
        covers(&self.aliases, alias.as_str())
    }

    /// Whether the service has namespaces of aliases at all.
    #[must_use]
    pub fn has_aliases(&self) -> bool {
        !self.aliases.is_empty()
    }

    /// Whether the service wants everything that happens in a room, by the room's id.
    #[must_use]
    pub fn covers_room(&self, room_id: &RoomId) -> bool {
        covers(&self.rooms, room_id.as_str())
    }

    /// Whether the requests of a user of the service are limited.
    #[must_use]
    pub fn limits(&self, user_id: &UserId) -> bool {
        self.rate_limited && self.sender != user_id
    }
}

fn covers(namespaces: &[Namespace], id: &str) -> bool {
    namespaces.iter().any(|namespace| namespace.covers(id))
}

fn owns(namespaces: &[Namespace], id: &str) -> bool {
    namespaces.iter().any(|namespace| namespace.exclusive && namespace.covers(id))
}

/// All application services. Clones share everything.
#[derive(Clone, Debug, Default)]
pub struct Appservices {
    all: Arc<[Arc<Appservice>]>,
    by_token: Arc<HashMap<[u8; 32], usize>>,
    /// How they are reached; `None` if there are none.
    outgoing: Option<Outgoing>,
}

impl Appservices {
    /// The services of these registration files.
    ///
    /// # Errors
    /// [`RegistrationError`] for a file that is no registration, and for ids or tokens that two files
    /// share.
    pub fn new(
        files: &[RegistrationFile],
        server_name: &ServerName,
    ) -> Result<Self, RegistrationError> {
        let mut all: Vec<Arc<Appservice>> = Vec::new();
        let mut by_token = HashMap::new();
        for file in files {
            let service = registration::parse(file, server_name)?;
            let wrong = |problem: &str| RegistrationError {
                file: file.name.clone(),
                problem: problem.to_owned(),
            };
            if all.iter().any(|other| other.id == service.id) {
                return Err(wrong("another registration has the same `id`"));
            }
            if by_token.insert(hash(&service.as_token.0), all.len()).is_some() {
                return Err(wrong("another registration has the same `as_token`"));
            }
            all.push(Arc::new(service));
        }
        let outgoing = match all.is_empty() {
            true => None,
            // The administrator names the addresses: they may be on this machine.
            false => Some(Outgoing::new(true).map_err(|error| RegistrationError {
                file: "-".to_owned(),
                problem: error.to_string(),
            })?),
        };
        Ok(Self { all: all.into(), by_token: Arc::new(by_token), outgoing })
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Appservice>> {
        self.all.iter()
    }

    /// The service of an access token.
    #[must_use]
    pub fn by_token(&self, token: &str) -> Option<&Arc<Appservice>> {
        if self.all.is_empty() {
            return None;
        }
        // By its hash: how long that takes says nothing of the token.
        self.all.get(*self.by_token.get(&hash(token))?)
    }

    /// The service of an id.
    #[must_use]
    pub fn by_id(&self, id: &str) -> Option<&Arc<Appservice>> {
        self.all.iter().find(|service| &*service.id == id)
    }

    /// Whether a user id belongs to a service alone, another than `but`.
    #[must_use]
    pub fn is_exclusive_user(&self, user_id: &UserId, but: Option<&str>) -> bool {
        self.others(but).any(|service| service.owns_user(user_id))
    }

    /// Whether an alias belongs to a service alone, another than `but`.
    #[must_use]
    pub fn is_exclusive_alias(&self, alias: &RoomAliasId, but: Option<&str>) -> bool {
        self.others(but).any(|service| owns(&service.aliases, alias.as_str()))
    }

    fn others<'a>(&'a self, but: Option<&'a str>) -> impl Iterator<Item = &'a Arc<Appservice>> {
        self.all.iter().filter(move |service| Some(&*service.id) != but)
    }
}

/// The id by which clients name the directory that a service keeps for a third-party network.
#[must_use]
pub fn network_instance_id(service_id: &str, network_id: &str) -> String {
    format!("{service_id}|{network_id}")
}

fn hash(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}
