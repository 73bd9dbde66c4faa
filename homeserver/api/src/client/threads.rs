//! `GET /_matrix/client/v1/rooms/{roomId}/threads`
//!
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv1roomsroomidthreads>

use axum::extract::State;
use pli_core::{History, history::ThreadsQuery};
use ruma::api::client::threads::get_threads::v1;

use super::messages::{boundary, limit, raw, viewer};
use crate::{Result, Routes, Ruma, UserOrGuest};

/// Threads on a page where the client does not say.
const LIMIT_DEFAULT: usize = 20;

async fn get_threads(
    State(history): State<History>,
    user: UserOrGuest,
    Ruma(request): Ruma<v1::Request>,
) -> Result<Ruma<v1::Response>> {
    let reader = history.open_timeline(&request.room_id, user.user_id()).await?;
    let query = ThreadsQuery {
        from: boundary(request.from.as_ref())?,
        participated: request.include == v1::IncludeThreads::Participated,
        limit: request.limit.map_or(LIMIT_DEFAULT, limit),
    };
    let page = history.threads(&reader, viewer(&user), &query).await?;
    let mut response = v1::Response::new(raw(page.chunk));
    response.next_batch = page.next.map(|next| next.to_string());
    Ok(Ruma(response))
}

/// The routes of this file.
pub fn routes(routes: Routes) -> Routes {
    routes.ruma(get_threads)
}
