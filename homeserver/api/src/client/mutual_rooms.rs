//! `GET /_matrix/client/v1/mutual_rooms`
//! `GET /_matrix/client/unstable/uk.half-shot.msc2666/user/mutual_rooms`
//! `GET /_matrix/client/unstable/uk.half-shot.msc2666/user/mutual_rooms/{userId}`
//!
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#mutual-rooms>; before its release, MSC2666
//! had the user in the path first and then `batch_token` for `from`.

use axum::extract::{Path, Query, State};
use http::Method;
use pli_core::{Error, Rooms};
use ruma::UserId;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::{Json, Result, Routes, User};

#[derive(Deserialize)]
struct Asked {
    user_id: Option<String>,
    from: Option<String>,
    batch_token: Option<String>,
}

type AskedQuery = Result<Query<Asked>, axum::extract::rejection::QueryRejection>;

async fn by_query(
    State(rooms): State<Rooms>,
    user: User,
    query: AskedQuery,
) -> Result<Json<Map<String, Value>>> {
    let Query(asked) = query.map_err(|_| Error::invalid_param("The query is not well-formed"))?;
    let missing = || Error::invalid_param("`user_id` is missing");
    let other = asked.user_id.as_deref().ok_or_else(missing)?;
    answer(&rooms, &user, other, asked.from.as_deref().or(asked.batch_token.as_deref())).await
}

async fn by_path(
    State(rooms): State<Rooms>,
    user: User,
    Path(other): Path<String>,
    query: AskedQuery,
) -> Result<Json<Map<String, Value>>> {
    let Query(asked) = query.map_err(|_| Error::invalid_param("The query is not well-formed"))?;
    answer(&rooms, &user, &other, asked.from.as_deref().or(asked.batch_token.as_deref())).await
}

async fn answer(
    rooms: &Rooms,
    user: &User,
    other: &str,
    from: Option<&str>,
) -> Result<Json<Map<String, Value>>> {
    let other =
        UserId::parse(other).map_err(|_| Error::invalid_param("`user_id` is not a user id"))?;
    let mutual = rooms.mutual_rooms(user.user_id(), &other, from).await?;
    let mut body = Map::new();
    body.insert("joined".to_owned(), json!(mutual.joined));
    body.insert("count".to_owned(), json!(mutual.count));
    body.extend(mutual.next_batch.map(|token| ("next_batch".to_owned(), Value::from(token))));
    Ok(Json(body))
}

/// The routes of this file.
pub fn routes(routes: Routes) -> Routes {
    const UNSTABLE: &str = "/_matrix/client/unstable/uk.half-shot.msc2666/user/mutual_rooms";
    let in_path = format!("{UNSTABLE}/{{user_id}}");
    routes
        .path(&Method::GET, "/_matrix/client/v1/mutual_rooms", by_query)
        .path(&Method::GET, UNSTABLE, by_query)
        .path(&Method::GET, &in_path, by_path)
}
