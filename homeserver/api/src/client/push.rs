//! `GET /_matrix/client/v3/pushers`
//! `POST /_matrix/client/v3/pushers/set`
//! `GET /_matrix/client/v3/notifications`
//!
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#push-notifications>

use axum::extract::State;
use pli_core::push::{self, Push};
use pli_schema::Position;
use ruma::api::client::push::{
    get_notifications::{self, v3::Notification},
    get_pushers, set_pusher,
};

use crate::{Result, Routes, Ruma, User};

/// Notifications in a page when the client does not say, and at most.
const PAGE: (usize, usize) = (20, 100);

async fn list(
    State(push): State<Push>,
    user: User,
    Ruma(_): Ruma<get_pushers::v3::Request>,
) -> Result<Ruma<get_pushers::v3::Response>> {
    Ok(Ruma(get_pushers::v3::Response::new(push.pushers(user.user_id()).await?)))
}

async fn set(
    State(push): State<Push>,
    user: User,
    Ruma(request): Ruma<set_pusher::v3::Request>,
) -> Result<Ruma<set_pusher::v3::Response>> {
    push.set_pusher(user.user_id(), user.device_id(), &request.action).await?;
    Ok(Ruma(set_pusher::v3::Response::new()))
}

fn notification(from: push::Notification) -> Notification {
    Notification::new(from.actions, from.event, from.read, from.room_id, from.ts)
}

async fn notifications(
    State(push): State<Push>,
    user: User,
    Ruma(request): Ruma<get_notifications::v3::Request>,
) -> Result<Ruma<get_notifications::v3::Response>> {
    let malformed = |_| pli_core::Error::invalid_param("Malformed `from` token");
    let from = request.from.map(|from| from.parse().map_err(malformed)).transpose()?;
    let (default, most) = PAGE;
    let limit = request.limit.and_then(|limit| usize::try_from(u64::from(limit)).ok());
    let limit = limit.unwrap_or(default).clamp(1, most);
    let highlights_only = request.only.as_deref() == Some("highlight");
    let page =
        push.notifications(user.user_id(), from.map(Position), limit, highlights_only).await?;
    let notifications = page.notifications.into_iter().map(notification).collect();
    let mut response = get_notifications::v3::Response::new(notifications);
    response.next_token = page.next.map(|next| next.to_string());
    Ok(Ruma(response))
}

/// The routes of this file.
pub fn routes(routes: Routes) -> Routes {
    routes.ruma(list).ruma(set).ruma(notifications)
}
