//! `GET /_matrix/federation/v1/query/profile`
//! `GET /_matrix/federation/v1/query/{queryType}`
//!
//! What other servers may know of this server's users. A kind of query that is not known is refused.
//!
//! Spec: <https://spec.matrix.org/v1.19/server-server-api/#querying-for-information>

use axum::extract::State;
use pli_core::{
    accounts::Accounts,
    federation::{Signed, Use},
};
use ruma::api::federation::query::{
    get_custom_information::v1 as custom, get_profile_information::v1 as profile,
};

use super::FromServer;
use crate::{Result, Routes, Ruma};

async fn profile(
    State(signed): State<Signed>,
    State(accounts): State<Accounts>,
    FromServer { origin, request }: FromServer<profile::Request>,
) -> Result<Ruma<profile::Response>> {
    signed.partners().require(&origin, Use::Profiles).await?;
    let fields = match &request.field {
        None => accounts.profile(&request.user_id).await?,
        Some(field) => {
            let value = accounts.profile_field(&request.user_id, field.as_str()).await?;
            value.into_iter().map(|value| (field.to_string(), value)).collect()
        }
    };
    Ok(Ruma(profile::Response::from_iter(fields)))
}

async fn custom(
    FromServer { .. }: FromServer<custom::Request>,
) -> Result<Ruma<custom::Response>> {
    Err(pli_core::Error::Unrecognized.into())
}

/// The routes of this file.
pub fn routes(routes: Routes) -> Routes {
    routes.ruma(profile).ruma(custom)
}
