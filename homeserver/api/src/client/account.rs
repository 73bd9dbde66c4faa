//! `GET /_matrix/client/v3/account/whoami`
//!
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#current-account-information>

use ruma::api::client::account::whoami;

use crate::{Routes, Ruma, UserOrGuest};

async fn who_am_i(
    user: UserOrGuest,
    Ruma(_): Ruma<whoami::v3::Request>,
) -> Ruma<whoami::v3::Response> {
    let mut response = whoami::v3::Response::new(user.user_id().to_owned(), user.is_guest);
    response.device_id = Some(user.device_id().to_owned());
    Ruma(response)
}

/// The routes of this file.
pub fn routes(routes: Routes) -> Routes {
    routes.ruma(who_am_i)
}
