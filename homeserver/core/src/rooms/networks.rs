//! Aliases and directories of application services.
//!
//! Spec: <https://spec.matrix.org/v1.19/application-service-api/#published-room-directories>

use pli_schema::{
    RoomNumber,
    records::{accounts::AccountKey, appservices::NetworkRoomKey, rooms::PublicRoomKey},
};
use pli_store::Scan;
use ruma::{OwnedRoomAliasId, RoomAliasId, RoomId, UserId};

use super::Rooms;
use crate::{Error, Result, appservices::network_instance_id};

/// Longest id of a network, in bytes.
const NETWORK_BYTES_MAX: usize = 255;

/// Which directory is looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Network {
    /// That of this server.
    #[default]
    Matrix,
    /// Those of all networks.
    All,
    /// The one of an application service, by its instance id.
    Instance(String),
}

impl Rooms {
    /// Whether someone may make or delete an alias: those of an application service are its own, and
    /// it has no others.
    ///
    /// # Errors
    /// [`Error::Exclusive`].
    pub fn check_alias_owner(&self, alias: &RoomAliasId, appservice: Option<&str>) -> Result<()> {
        let services = &self.settings().appservices;
        let exclusive = |text: &str| Err(Error::Exclusive(text.to_owned()));
        if services.is_exclusive_alias(alias, appservice) {
            return exclusive("This alias belongs to an application service");
        }
        match appservice.and_then(|id| services.by_id(id)) {
            Some(service) if !service.covers_alias(alias) => {
                exclusive("The application service does not take care of this alias")
            }
            _ => Ok(()),
        }
    }

    /// As [`Self::check_alias_owner`], for the local part of an alias.
    ///
    /// # Errors
    /// As [`Self::check_alias_owner`]. A malformed name passes: it is refused where it is used.
    pub fn check_alias_name(&self, name: &str, appservice: Option<&str>) -> Result<()> {
        match OwnedRoomAliasId::try_from(format!("#{name}:{}", self.server_name())) {
            Ok(alias) => self.check_alias_owner(&alias, appservice),
            Err(_) => Ok(()),
        }
    }

    /// Publishes a room in the directory that an application service keeps for a network, or takes it
    /// out.
    ///
    /// # Errors
    /// [`Error::NotFound`] if this server does not know the room; [`Error::InvalidParam`].
    pub async fn publish_in_network(
        &self,
        appservice: &str,
        network_id: &str,
        room_id: &RoomId,
        public: bool,
    ) -> Result<()> {
        if network_id.is_empty() || network_id.len() > NETWORK_BYTES_MAX {
            return Err(Error::invalid_param("The id of a network has 1 to 255 bytes"));
        }
        let room = self.room_number(room_id).await?;
        let room = room.ok_or_else(|| Error::not_found("This server does not know the room"))?;
        let instance_id = network_instance_id(appservice, network_id);
        let key = &NetworkRoomKey { instance_id, room };
        self.store()
            .write(|tx| async move {
                if public {
                    tx.put(key, &())?;
                } else {
                    tx.delete(key);
                }
                Ok(())
            })
            .await
    }

    /// The rooms of a directory.
    pub(super) async fn published_rooms(&self, network: &Network) -> Result<Vec<RoomNumber>> {
        let mut rooms = Vec::new();
        if matches!(network, Network::Matrix | Network::All) {
            let rows = self.store().scan(&Scan::<PublicRoomKey>::prefix(())).await?;
            rooms.extend(rows.into_iter().map(|row| row.key.room));
        }
        let scan = match network {
            Network::Matrix => return Ok(rooms),
            Network::All => Scan::<NetworkRoomKey>::prefix(()),
            Network::Instance(id) => Scan::<NetworkRoomKey>::prefix((id.clone(),)),
        };
        rooms.extend(self.store().scan(&scan).await?.into_iter().map(|row| row.key.room));
        rooms.sort_unstable();
        rooms.dedup();
        Ok(rooms)
    }

    /// Lets application services make a user of this server who has no account yet, before the user is
    /// invited.
    pub(super) async fn query_user(&self, user_id: &UserId) -> Result<()> {
        let services = &self.settings().appservices;
        if services.is_empty() || !self.is_local(user_id) {
            return Ok(());
        }
        if self.store().get(&AccountKey { user_id: user_id.to_owned() }).await?.is_none() {
            services.query_user(user_id).await;
        }
        Ok(())
    }
}
