//! `GET /_matrix/client/v3/thirdparty/protocols`
//! `GET /_matrix/client/v3/thirdparty/protocol/{protocol}`
//! `GET /_matrix/client/v3/thirdparty/location/{protocol}`
//! `GET /_matrix/client/v3/thirdparty/user/{protocol}`
//! `GET /_matrix/client/v3/thirdparty/location`
//! `GET /_matrix/client/v3/thirdparty/user`
//!
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#third-party-networks>

use std::collections::BTreeMap;

use axum::extract::{Path, Query, State};
use pli_core::{Error, accounts::Accounts, appservices::Lookup};
use ruma::{
    RoomAliasId, UserId,
    api::client::thirdparty::{
        get_location_for_protocol, get_location_for_room_alias, get_protocol, get_protocols,
        get_user_for_protocol, get_user_for_user_id,
    },
};
use serde_json::Value;

use crate::{Json, Result, Routes, User};

/// Fields of one look-up, at most.
const FIELDS_MAX: usize = 50;

async fn protocols(
    State(accounts): State<Accounts>,
    _: User,
) -> Result<Json<BTreeMap<String, Value>>> {
    Ok(Json(accounts.appservices().protocols().await))
}

async fn protocol(
    State(accounts): State<Accounts>,
    _: User,
    Path(name): Path<String>,
) -> Result<Json<Value>> {
    Ok(Json(accounts.appservices().protocol(&name).await?))
}

type Fields = Query<Vec<(String, String)>>;

/// What the service is asked: everything but the token and as whom a service asks.
fn fields(Query(fields): Fields) -> Result<Vec<(String, String)>> {
    if fields.len() > FIELDS_MAX {
        return Err(Error::invalid_param("Too many fields").into());
    }
    let own = ["access_token", "user_id", "device_id"];
    Ok(fields.into_iter().filter(|(name, _)| !own.contains(&name.as_str())).collect())
}

async fn locations(
    State(accounts): State<Accounts>,
    _: User,
    Path(name): Path<String>,
    query: Fields,
) -> Result<Json<Vec<Value>>> {
    let found = accounts.appservices().look_up(Lookup::Locations(&name), &fields(query)?).await?;
    Ok(Json(found))
}

async fn users(
    State(accounts): State<Accounts>,
    _: User,
    Path(name): Path<String>,
    query: Fields,
) -> Result<Json<Vec<Value>>> {
    let found = accounts.appservices().look_up(Lookup::Users(&name), &fields(query)?).await?;
    Ok(Json(found))
}

/// The one field that a reverse look-up takes.
fn only(query: Fields, name: &str) -> Result<(String, String), Error> {
    let field = query.0.into_iter().find(|(given, _)| given == name);
    field.ok_or_else(|| Error::MissingParam(format!("`{name}` is missing")))
}

async fn locations_of_alias(
    State(accounts): State<Accounts>,
    _: User,
    query: Fields,
) -> Result<Json<Vec<Value>>> {
    let field = only(query, "alias")?;
    RoomAliasId::parse(&field.1).map_err(|_| Error::invalid_param("`alias` is not an alias"))?;
    Ok(Json(accounts.appservices().look_up(Lookup::Alias, &[field]).await?))
}

async fn users_of_user_id(
    State(accounts): State<Accounts>,
    _: User,
    query: Fields,
) -> Result<Json<Vec<Value>>> {
    let field = only(query, "userid")?;
    UserId::parse(&field.1).map_err(|_| Error::invalid_param("`userid` is not a user id"))?;
    Ok(Json(accounts.appservices().look_up(Lookup::UserId, &[field]).await?))
}

/// The routes of this file.
pub fn routes(routes: Routes) -> Routes {
    routes
        .at::<get_protocols::v3::Request, _, _>(protocols)
        .at::<get_protocol::v3::Request, _, _>(protocol)
        .at::<get_location_for_protocol::v3::Request, _, _>(locations)
        .at::<get_user_for_protocol::v3::Request, _, _>(users)
        .at::<get_location_for_room_alias::v3::Request, _, _>(locations_of_alias)
        .at::<get_user_for_user_id::v3::Request, _, _>(users_of_user_id)
}
