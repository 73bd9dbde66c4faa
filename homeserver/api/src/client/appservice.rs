//! `POST /_matrix/client/v1/appservice/{appserviceId}/ping`
//! `PUT /_matrix/client/v3/directory/list/appservice/{networkId}/{roomId}`
//!
//! Spec: <https://spec.matrix.org/v1.19/application-service-api/#client-server-api-extensions>

use std::{sync::Arc, time::Duration};

use axum::extract::State;
use pli_core::{Error, Rooms, accounts::Accounts};
use ruma::api::client::{
    appservice::{request_ping, set_room_visibility},
    room::Visibility,
};

use crate::{Result, Routes, Ruma, User};

fn service_id(user: &User) -> Result<&Arc<str>, Error> {
    let id = user.appservice.as_ref();
    id.ok_or_else(|| Error::forbidden("Only application services may use this"))
}

async fn ping(
    State(accounts): State<Accounts>,
    user: User,
    Ruma(request): Ruma<request_ping::v1::Request>,
) -> Result<Ruma<request_ping::v1::Response>> {
    let id = service_id(&user)?;
    if **id != *request.appservice_id {
        return Err(Error::forbidden("This is another application service").into());
    }
    let transaction_id = request.transaction_id.as_deref().map(ruma::TransactionId::as_str);
    let duration_ms = accounts.ping_appservice(id, transaction_id).await?;
    Ok(Ruma(request_ping::v1::Response::new(Duration::from_millis(duration_ms))))
}

async fn set_visibility(
    State(rooms): State<Rooms>,
    user: User,
    Ruma(request): Ruma<set_room_visibility::v3::Request>,
) -> Result<Ruma<set_room_visibility::v3::Response>> {
    let id = service_id(&user)?;
    let public = match request.visibility {
        Visibility::Public => true,
        Visibility::Private => false,
        _ => return Err(Error::invalid_param("`visibility` must be public or private").into()),
    };
    rooms.publish_in_network(id, &request.network_id, &request.room_id, public).await?;
    Ok(Ruma(set_room_visibility::v3::Response::new()))
}

/// The routes of this file.
pub fn routes(routes: Routes) -> Routes {
    routes.ruma(ping).ruma(set_visibility)
}
