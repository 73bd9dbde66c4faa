//! `GET /_matrix/client/v3/pushrules/`
//! `GET /_matrix/client/v3/pushrules/global/`
//! `GET /_matrix/client/v3/pushrules/global/{kind}/{ruleId}`
//! `PUT /_matrix/client/v3/pushrules/global/{kind}/{ruleId}`
//! `DELETE /_matrix/client/v3/pushrules/global/{kind}/{ruleId}`
//! `GET /_matrix/client/v3/pushrules/global/{kind}/{ruleId}/actions`
//! `PUT /_matrix/client/v3/pushrules/global/{kind}/{ruleId}/actions`
//! `GET /_matrix/client/v3/pushrules/global/{kind}/{ruleId}/enabled`
//! `PUT /_matrix/client/v3/pushrules/global/{kind}/{ruleId}/enabled`
//!
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#push-rules-api>

use axum::{Json, extract::State};
use pli_core::push::{Push, RulePlace};
use ruma::api::client::push::{
    delete_pushrule, get_pushrule, get_pushrule_actions, get_pushrule_enabled, get_pushrules_all,
    get_pushrules_global_scope, set_pushrule, set_pushrule_actions, set_pushrule_enabled,
};
use serde_json::{Value, json};

use crate::{Result, Routes, Ruma, User, UserOrGuest};

async fn all(
    State(push): State<Push>,
    user: UserOrGuest,
    Ruma(_): Ruma<get_pushrules_all::v3::Request>,
) -> Result<Json<Value>> {
    Ok(Json(json!({ "global": push.rules_json(user.user_id()).await? })))
}

async fn global(
    State(push): State<Push>,
    user: UserOrGuest,
    Ruma(_): Ruma<get_pushrules_global_scope::v3::Request>,
) -> Result<Json<Value>> {
    Ok(Json(push.rules_json(user.user_id()).await?))
}

async fn one(
    State(push): State<Push>,
    user: UserOrGuest,
    Ruma(request): Ruma<get_pushrule::v3::Request>,
) -> Result<Ruma<get_pushrule::v3::Response>> {
    let rule = push.rule(user.user_id(), request.kind, &request.rule_id).await?;
    Ok(Ruma(get_pushrule::v3::Response::new(rule.into())))
}

async fn put(
    State(push): State<Push>,
    user: User,
    Ruma(request): Ruma<set_pushrule::v3::Request>,
) -> Result<Ruma<set_pushrule::v3::Response>> {
    let place = RulePlace { before: request.before, after: request.after };
    push.put_rule(user.user_id(), &request.rule, &place).await?;
    Ok(Ruma(set_pushrule::v3::Response::new()))
}

async fn delete(
    State(push): State<Push>,
    user: User,
    Ruma(request): Ruma<delete_pushrule::v3::Request>,
) -> Result<Ruma<delete_pushrule::v3::Response>> {
    push.delete_rule(user.user_id(), request.kind, &request.rule_id).await?;
    Ok(Ruma(delete_pushrule::v3::Response::new()))
}

async fn actions(
    State(push): State<Push>,
    user: UserOrGuest,
    Ruma(request): Ruma<get_pushrule_actions::v3::Request>,
) -> Result<Ruma<get_pushrule_actions::v3::Response>> {
    let rule = push.rule(user.user_id(), request.kind, &request.rule_id).await?;
    Ok(Ruma(get_pushrule_actions::v3::Response::new(rule.actions().to_vec())))
}

async fn set_actions(
    State(push): State<Push>,
    user: User,
    Ruma(request): Ruma<set_pushrule_actions::v3::Request>,
) -> Result<Ruma<set_pushrule_actions::v3::Response>> {
    let (kind, rule_id) = (request.kind, &request.rule_id);
    push.set_rule_actions(user.user_id(), kind, rule_id, &request.actions).await?;
    Ok(Ruma(set_pushrule_actions::v3::Response::new()))
}

async fn enabled(
    State(push): State<Push>,
    user: UserOrGuest,
    Ruma(request): Ruma<get_pushrule_enabled::v3::Request>,
) -> Result<Ruma<get_pushrule_enabled::v3::Response>> {
    let rule = push.rule(user.user_id(), request.kind, &request.rule_id).await?;
    Ok(Ruma(get_pushrule_enabled::v3::Response::new(rule.enabled())))
}

async fn set_enabled(
    State(push): State<Push>,
    user: User,
    Ruma(request): Ruma<set_pushrule_enabled::v3::Request>,
) -> Result<Ruma<set_pushrule_enabled::v3::Response>> {
    let (kind, rule_id) = (request.kind, &request.rule_id);
    push.enable_rule(user.user_id(), kind, rule_id, request.enabled).await?;
    Ok(Ruma(set_pushrule_enabled::v3::Response::new()))
}

/// The routes of this file.
pub fn routes(routes: Routes) -> Routes {
    routes
        .ruma(all)
        .ruma(global)
        .ruma(one)
        .ruma(put)
        .ruma(delete)
        .ruma(actions)
        .ruma(set_actions)
        .ruma(enabled)
        .ruma(set_enabled)
}
