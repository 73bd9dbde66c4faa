//! `POST /_matrix/client/v3/search`
//!
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3search>

use axum::extract::{Query, State};
use http::Method;
use pli_core::{
    Error, Search,
    search::{ContextWish, GroupKey, SearchRequest, SearchResults},
    words::SearchKey,
};
use ruma::api::client::filter::RoomEventFilter;
use serde::{Deserialize, Serialize};

use super::messages::viewer;
use crate::{Json, Result, Routes, User, UserOrGuest, state::ServerInfo};

#[derive(Deserialize)]
struct Asked {
    next_batch: Option<String>,
}

type AskedQuery = Result<Query<Asked>, axum::extract::rejection::QueryRejection>;

/// The body. (The type of ruma does not tell whether context was asked for.)
#[derive(Deserialize)]
struct Body {
    search_categories: Categories,
}

#[derive(Deserialize)]
struct Categories {
    room_events: Option<Criteria>,
}

#[derive(Deserialize)]
struct Criteria {
    search_term: String,
    keys: Option<Vec<SearchKey>>,
    #[serde(default)]
    filter: RoomEventFilter,
    order_by: Option<OrderBy>,
    event_context: Option<EventContext>,
    #[serde(default)]
    include_state: bool,
    #[serde(default)]
    groupings: Groupings,
}

#[derive(Deserialize, PartialEq)]
#[serde(rename_all = "snake_case")]
enum OrderBy {
    Rank,
    Recent,
}

#[derive(Deserialize)]
struct EventContext {
    #[serde(default = "five")]
    before_limit: usize,
    #[serde(default = "five")]
    after_limit: usize,
    #[serde(default)]
    include_profile: bool,
}

const fn five() -> usize {
    5
}

#[derive(Default, Deserialize)]
struct Groupings {
    #[serde(default)]
    group_by: Vec<Grouping>,
}

#[derive(Deserialize)]
struct Grouping {
    key: GroupKey,
}

#[derive(Serialize)]
struct Answer {
    search_categories: ResultCategories,
}

#[derive(Serialize)]
struct ResultCategories {
    #[serde(skip_serializing_if = "Option::is_none")]
    room_events: Option<SearchResults>,
}

async fn search(
    State(search): State<Search>,
    State(server): State<ServerInfo>,
    User(user): User,
    query: AskedQuery,
    Json(body): Json<Body>,
) -> Result<Json<Answer>> {
    if !server.config.rooms.search {
        return Err(Error::forbidden("This server does not search messages").into());
    }
    let Query(asked) = query.map_err(|error| Error::InvalidParam(error.body_text()))?;
    let user = UserOrGuest(user);
    let room_events = match body.search_categories.room_events {
        Some(criteria) => {
            Some(search.search(&request(&user, criteria, asked.next_batch)).await?)
        }
        None => None,
    };
    Ok(Json(Answer { search_categories: ResultCategories { room_events } }))
}

fn request(
    user: &UserOrGuest,
    criteria: Criteria,
    next_batch: Option<String>,
) -> SearchRequest<'_> {
    let context = criteria.event_context.map(|wish| ContextWish {
        before: wish.before_limit,
        after: wish.after_limit,
        profiles: wish.include_profile,
    });
    let all = || vec![SearchKey::Body, SearchKey::Name, SearchKey::Topic];
    SearchRequest {
        viewer: viewer(user),
        term: criteria.search_term,
        keys: criteria.keys.unwrap_or_else(all),
        filter: criteria.filter,
        recent: criteria.order_by == Some(OrderBy::Recent),
        context,
        include_state: criteria.include_state,
        group_by: criteria.groupings.group_by.into_iter().map(|one| one.key).collect(),
        next_batch: next_batch.filter(|token| !token.is_empty()),
    }
}

/// The routes of this file.
pub fn routes(routes: Routes) -> Routes {
    routes
        .path(&Method::POST, "/_matrix/client/v3/search", search)
        .path(&Method::POST, "/_matrix/client/r0/search", search)
}
