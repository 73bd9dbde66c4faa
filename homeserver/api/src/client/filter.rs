//! `POST /_matrix/client/v3/user/{userId}/filter`
//! `GET /_matrix/client/v3/user/{userId}/filter/{filterId}`
//!
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#filtering>

use axum::extract::State;
use pli_core::Filters;
use ruma::api::client::filter::{create_filter::v3 as create, get_filter::v3 as get};

use super::config::require_own;
use crate::{Result, Routes, Ruma, identity::UserOrGuest};

async fn create_filter(
    State(filters): State<Filters>,
    user: UserOrGuest,
    Ruma(request): Ruma<create::Request>,
) -> Result<Ruma<create::Response>> {
    require_own(&user, &request.user_id)?;
    let filter_id = filters.create(user.user_id(), &request.filter).await?;
    Ok(Ruma(create::Response::new(filter_id)))
}

async fn get_filter(
    State(filters): State<Filters>,
    user: UserOrGuest,
    Ruma(request): Ruma<get::Request>,
) -> Result<Ruma<get::Response>> {
    require_own(&user, &request.user_id)?;
    let filter = filters.get(user.user_id(), &request.filter_id).await?;
    Ok(Ruma(get::Response::new(filter)))
}

/// The routes of this file.
pub fn routes(routes: Routes) -> Routes {
    routes.ruma(create_filter).ruma(get_filter)
}
