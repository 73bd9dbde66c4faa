//! Pli's own API for admins, under `/_pli/admin/v1/`.

pub mod addresses;
pub mod audit;
pub mod domains;
pub mod federation;
pub mod media;
pub mod notices;
pub mod registration_tokens;
pub mod remote_media;
pub mod reports;
pub mod shared_secret;
pub mod synapse_rooms;
pub mod synapse_users;

use crate::Routes;

/// The routes of the admin API.
#[must_use]
pub fn routes(routes: Routes) -> Routes {
    let routes = addresses::routes(routes);
    let routes = audit::routes(routes);
    let routes = domains::routes(routes);
    let routes = federation::routes(routes);
    let routes = media::routes(routes);
    let routes = notices::routes(routes);
    let routes = registration_tokens::routes(routes);
    let routes = remote_media::routes(routes);
    let routes = reports::routes(routes);
    let routes = shared_secret::routes(routes);
    let routes = synapse_rooms::routes(routes);
    synapse_users::routes(routes)
}
