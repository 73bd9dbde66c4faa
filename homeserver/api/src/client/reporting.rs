//! `POST /_matrix/client/v3/rooms/{roomId}/report`
//! `POST /_matrix/client/v3/rooms/{roomId}/report/{eventId}`
//! `POST /_matrix/client/v3/users/{userId}/report`
//!
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#reporting-content>

use axum::extract::State;
use pli_core::Reports;
use ruma::api::client::{
    reporting::report_user,
    room::{report_content, report_room},
};

use crate::{Result, Routes, Ruma, User};

async fn room(
    State(reports): State<Reports>,
    user: User,
    Ruma(request): Ruma<report_room::v3::Request>,
) -> Result<Ruma<report_room::v3::Response>> {
    reports.report_room(user.user_id(), &request.room_id, request.reason).await?;
    Ok(Ruma(report_room::v3::Response::new()))
}

async fn event(
    State(reports): State<Reports>,
    user: User,
    Ruma(request): Ruma<report_content::v3::Request>,
) -> Result<Ruma<report_content::v3::Response>> {
    let report_content::v3::Request { room_id, event_id, reason, .. } = request;
    reports.report_event(user.user_id(), &room_id, &event_id, reason).await?;
    Ok(Ruma(report_content::v3::Response::new()))
}

async fn person(
    State(reports): State<Reports>,
    user: User,
    Ruma(request): Ruma<report_user::v3::Request>,
) -> Result<Ruma<report_user::v3::Response>> {
    reports.report_user(user.user_id(), &request.user_id, request.reason).await?;
    Ok(Ruma(report_user::v3::Response::new()))
}

/// The routes of this file.
pub fn routes(routes: Routes) -> Routes {
    routes.ruma(room).ruma(event).ruma(person)
}
