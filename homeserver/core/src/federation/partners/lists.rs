//! Partners, blocked servers and bad keys as they are asked for: in memory, by name.

use std::collections::{HashMap, HashSet};

use pli_schema::records::partners::{PartnerRecord, RefusedRecord};
use ruma::{OwnedServerName, OwnedServerSigningKeyId, ServerName, serde::Base64};

/// Something that a partner may be denied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    /// Profiles of people.
    Profiles,
    /// The directory of published rooms, and rooms of spaces.
    PublicRooms,
    /// Which room an alias names.
    Directory,
    /// Files.
    Media,
    /// Who is online.
    Presence,
    /// Invitations of external people of this server by people of that one.
    Guests,
}

/// The lists.
#[derive(Debug, Default)]
pub(super) struct Lists {
    partners: HashMap<OwnedServerName, PartnerRecord>,
    blocked: HashSet<OwnedServerName>,
    refused_keys: HashSet<String>,
}

impl Lists {
    pub(super) fn new(
        partners: Vec<(OwnedServerName, PartnerRecord)>,
        blocked: Vec<(OwnedServerName, RefusedRecord)>,
        refused_keys: Vec<(String, RefusedRecord)>,
    ) -> Self {
        Self {
            partners: partners.into_iter().collect(),
            blocked: blocked.into_iter().map(|(server, _)| server).collect(),
            refused_keys: refused_keys.into_iter().map(|(key, _)| key).collect(),
        }
    }

    pub(super) fn partner(&self, server: &ServerName) -> Option<&PartnerRecord> {
        self.partners.get(server)
    }

    pub(super) fn is_blocked(&self, server: &ServerName) -> bool {
        self.blocked.contains(server)
    }

    pub(super) fn admits(&self, server: &ServerName, open: bool) -> bool {
        if self.is_blocked(server) {
            return false;
        }
        self.partner(server).map_or(open, |partner| !partner.suspended)
    }

    /// What a server may be asked for that has no agreement is everything: federation is open then.
    pub(super) fn allows(&self, server: &ServerName, what: Use) -> bool {
        let allowed = self.partner(server).map(|partner| partner.allowed).unwrap_or_default();
        match what {
            Use::Profiles => allowed.profiles,
            Use::PublicRooms => allowed.public_rooms,
            Use::Directory => allowed.directory,
            Use::Media => allowed.media,
            Use::Presence => allowed.presence,
            Use::Guests => allowed.guests,
        }
    }

    pub(super) fn believes(
        &self,
        server: &ServerName,
        id: &OwnedServerSigningKeyId,
        key: &Base64,
    ) -> bool {
        let encoded = key.encode();
        if self.refused_keys.contains(&encoded) {
            return false;
        }
        let pinned = self.partner(server).map(|partner| &partner.pinned_keys);
        pinned.is_none_or(|pinned| {
            pinned.is_empty()
                || pinned.iter().any(|pin| pin.key_id == id.as_str() && pin.key == encoded)
        })
    }
}
