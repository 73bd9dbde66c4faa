//! `GET /_matrix/client/v3/rooms/{roomId}/members`
//! `GET /_matrix/client/v3/rooms/{roomId}/joined_members`
//!
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#getting-events-for-a-room>

use axum::extract::State;
use pli_core::{History, history::MembersQuery, records::Membership};
use ruma::{
    api::client::membership::{get_member_events, joined_members},
    events::room::member::MembershipState,
};

use super::messages::{boundary, raw, viewer};
use crate::{Result, Routes, Ruma, UserOrGuest};

fn membership(state: Option<&MembershipState>) -> Result<Option<Membership>> {
    let Some(state) = state else { return Ok(None) };
    let parsed = Membership::parse(state.as_str());
    parsed.map(Some).ok_or_else(|| pli_core::Error::invalid_param("Unknown membership").into())
}

async fn members(
    State(history): State<History>,
    user: UserOrGuest,
    Ruma(request): Ruma<get_member_events::v3::Request>,
) -> Result<Ruma<get_member_events::v3::Response>> {
    let query = MembersQuery {
        at: boundary(request.at.as_ref())?,
        membership: membership(request.membership.as_ref())?,
        not_membership: membership(request.not_membership.as_ref())?,
    };
    let reader = history.open(&request.room_id, user.user_id()).await?;
    let chunk = history.members(&reader, viewer(&user), query).await?;
    Ok(Ruma(get_member_events::v3::Response::new(raw(chunk))))
}

async fn joined(
    State(history): State<History>,
    user: UserOrGuest,
    Ruma(request): Ruma<joined_members::v3::Request>,
) -> Result<Ruma<joined_members::v3::Response>> {
    let reader = history.open(&request.room_id, user.user_id()).await?;
    let members = history.joined_members(&reader).await?;
    let member = |record: pli_core::records::MemberRecord| {
        let mut member = joined_members::v3::RoomMember::new();
        member.display_name = record.display_name;
        member.avatar_url = record.avatar_url.map(Into::into);
        member
    };
    let joined = members.into_iter().map(|(user_id, record)| (user_id, member(record)));
    Ok(Ruma(joined_members::v3::Response::new(joined.collect())))
}

/// The routes of this file.
pub fn routes(routes: Routes) -> Routes {
    routes.ruma(members).ruma(joined)
}
