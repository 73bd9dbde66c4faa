//! The endpoints of the server-server API, one file per module, named as `ruma-federation-api` names it.
//!
//! # How to add an endpoint
//! As for clients ([`crate::client`]), but the last argument is [`FromServer`] with the request: who sent
//! it is the server whose signature was checked.
//! ```ignore
//! use ruma::api::federation::event::get_event::v1;
//!
//! async fn get_event(
//!     State(rooms): State<Rooms>,
//!     FromServer { origin, request }: FromServer<v1::Request>,
//! ) -> Result<Ruma<v1::Response>> { … }
//! ```
//! Endpoints without a signature (keys, version) take `Ruma` as those of clients do.

pub use crate::from_server::FromServer;

use crate::Routes;

/// Declares the modules and folds their routes.
macro_rules! endpoints {
    ($( $(#[$doc:meta])* $module:ident ),* $(,)?) => {
        $( $(#[$doc])* pub mod $module; )*

        /// The routes of the server-server API.
        #[must_use]
        pub fn routes(routes: Routes) -> Routes {
            $( let routes = $module::routes(routes); )*
            routes
        }
    };
}

endpoints! {
    authenticated_media,
    authorization,
    backfill,
    directory,
    directory_query,
    event,
    invite,
    keys,
    knock,
    membership,
    query,
    space,
    thirdparty,
    transactions,
    user_keys,
    version,
}
