//! `GET /_matrix/client/v3/rooms/{roomId}/context/{eventId}`
//! `GET /_matrix/client/v3/rooms/{roomId}/event/{eventId}`
//!
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#event-context>

use axum::extract::State;
use pli_core::{History, federation::Backfill, history::RenderOptions, token::Boundary};
use ruma::{
    api::client::{context::get_context, room::get_room_event},
    serde::Raw,
};

use super::messages::{behind, limit, raw, viewer};
use crate::{Result, Routes, Ruma, UserOrGuest};

/// Most events around one.
const CONTEXT_MAX: usize = 100;

async fn context(
    State(history): State<History>,
    State(backfill): State<Backfill>,
    user: UserOrGuest,
    Ruma(request): Ruma<get_context::v3::Request>,
) -> Result<Ruma<get_context::v3::Response>> {
    let reader = history.open_timeline(&request.room_id, user.user_id()).await?;
    let limit = limit(request.limit).min(CONTEXT_MAX);
    let ask = async || {
        let filter = request.filter.clone();
        history.context(&reader, viewer(&user), &request.event_id, limit, filter).await
    };
    let mut context = ask().await?;
    let room = reader.room();
    let oldest = Some(context.start).filter(|start| *start != Boundary::START);
    let newest = context.place;
    if backfill.fill(room, (oldest.map_or(Boundary::START, behind), newest)).await? {
        context = ask().await?;
    }
    if context.start == Boundary::START
        && let Some(edge) = backfill.edge(room).await?
    {
        context.start = edge;
    }
    let mut response = get_context::v3::Response::new();
    response.start = Some(context.start.to_string());
    response.end = Some(context.end.to_string());
    response.events_before = raw(context.before);
    response.event = Some(Raw::from_json(context.event));
    response.events_after = raw(context.after);
    response.state = raw(context.state);
    Ok(Ruma(response))
}

async fn event(
    State(history): State<History>,
    user: UserOrGuest,
    Ruma(request): Ruma<get_room_event::v3::Request>,
) -> Result<Ruma<get_room_event::v3::Response>> {
    let reader = history.open_timeline(&request.room_id, user.user_id()).await.map_err(hidden)?;
    let event = history.event(&reader, &request.event_id).await?;
    let full = RenderOptions::FULL;
    let event = history.render(&event, viewer(&user), Some(&reader), full).await?;
    Ok(Ruma(get_room_event::v3::Response::new(Raw::from_json(event))))
}

/// The specification answers 404 for an event that one may not see, whatever the reason.
fn hidden(error: pli_core::Error) -> pli_core::Error {
    match error {
        pli_core::Error::Forbidden(_) => pli_core::Error::not_found("Event not found"),
        other => other,
    }
}

/// The routes of this file.
pub fn routes(routes: Routes) -> Routes {
    routes.ruma(context).ruma(event)
}
