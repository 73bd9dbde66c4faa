//! `PUT /_matrix/client/unstable/io.element.msc4306/rooms/{roomId}/thread/{eventId}/subscription`
//! `GET /_matrix/client/unstable/io.element.msc4306/rooms/{roomId}/thread/{eventId}/subscription`
//! `DELETE /_matrix/client/unstable/io.element.msc4306/rooms/{roomId}/thread/{eventId}/subscription`
//! `GET /_matrix/client/unstable/io.element.msc4308/thread_subscriptions`
//!
//! Spec: [MSC4306](https://github.com/matrix-org/matrix-spec-proposals/pull/4306),
//! [MSC4308](https://github.com/matrix-org/matrix-spec-proposals/pull/4308)

use axum::extract::State;
use pli_core::{Error, ThreadSubscriptions, token::Boundary};
use pli_schema::Position;
use ruma::{
    api::client::threads::{
        get_thread_subscription::unstable as get,
        get_thread_subscriptions_changes::unstable as changes, subscribe_thread::unstable as put,
        unsubscribe_thread::unstable as delete,
    },
};

use crate::{RawJson, Result, Routes, Ruma, User};

/// Changes of subscriptions in one answer.
const LIMIT_MAX: usize = 100;

async fn subscribe_thread(
    State(threads): State<ThreadSubscriptions>,
    user: User,
    Ruma(request): Ruma<put::Request>,
) -> Result<Ruma<put::Response>> {
    let thread = (&*request.room_id, &*request.thread_root);
    threads.subscribe(user.user_id(), thread, request.automatic.as_deref()).await?;
    Ok(Ruma(put::Response::new()))
}

async fn get_thread_subscription(
    State(threads): State<ThreadSubscriptions>,
    user: User,
    Ruma(request): Ruma<get::Request>,
) -> Result<Ruma<get::Response>> {
    let thread = (&*request.room_id, &*request.thread_root);
    let subscription = threads.get(user.user_id(), thread).await?;
    Ok(Ruma(get::Response::new(subscription.automatic)))
}

async fn unsubscribe_thread(
    State(threads): State<ThreadSubscriptions>,
    user: User,
    Ruma(request): Ruma<delete::Request>,
) -> Result<Ruma<delete::Response>> {
    let thread = (&*request.room_id, &*request.thread_root);
    threads.unsubscribe(user.user_id(), thread).await?;
    Ok(Ruma(delete::Response::new()))
}

/// The position in the `prev_batch` of a sliding sync or the `end` of an earlier page.
fn page_start(token: &str) -> Result<Position> {
    let digits = token.bytes().all(|byte| byte.is_ascii_digit());
    let position = digits.then(|| token.parse().ok()).flatten().map(Position);
    position.ok_or_else(|| Error::invalid_param("Malformed `from` token").into())
}

async fn get_thread_subscriptions_changes(
    State(threads): State<ThreadSubscriptions>,
    user: User,
    Ruma(request): Ruma<changes::Request>,
) -> Result<RawJson> {
    let from = request.from.as_deref().map(page_start).transpose()?.unwrap_or(Position::MAX);
    let to = match request.to.as_deref() {
        Some(to) => Position(Boundary::parse(to)?.position.0.saturating_sub(1)),
        None => Position::ZERO,
    };
    let limit = request.limit.map_or(LIMIT_MAX, |limit| {
        usize::try_from(u64::from(limit)).unwrap_or(LIMIT_MAX).min(LIMIT_MAX)
    });
    if limit == 0 {
        return Err(Error::invalid_param("`limit` must be greater than zero").into());
    }
    let page = threads.changes(user.user_id(), (to, from), limit).await?;
    let mut body = page.sections();
    if let Some(end) = page.end {
        body.string("end", &end.to_string());
    }
    Ok(RawJson(body.finish().into()))
}

/// The routes of this file.
pub fn routes(routes: Routes) -> Routes {
    routes
        .ruma(subscribe_thread)
        .ruma(get_thread_subscription)
        .ruma(unsubscribe_thread)
        .ruma(get_thread_subscriptions_changes)
}
