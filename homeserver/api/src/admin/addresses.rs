//! `GET /_pli/admin/v1/addresses`
//! `PUT /_pli/admin/v1/addresses/{address}`
//! `DELETE /_pli/admin/v1/addresses/{address}`
//!
//! Rules for single e-mail addresses, which override the entry of their domain: `blocked`, or allowed
//! as `agent` or `guest`.

use axum::extract::{Path, State};
use http::Method;
use pli_core::{
    Error,
    accounts::Accounts,
    policy::{NewAddressRule, Refusal},
};
use pli_schema::{EmailAddress, Language, records::policy::DomainKind};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{Admin, Json, PreferredLanguage, Result, Routes};

#[derive(Deserialize)]
struct Rule {
    kind: DomainKind,
    organisation: Option<String>,
    note: Option<String>,
}

fn parse(address: &str, language: Language) -> Result<EmailAddress, Error> {
    EmailAddress::parse(address)
        .map_err(|_| Error::invalid_param(Refusal::NoAddress.text(language)))
}

async fn list(State(accounts): State<Accounts>, _: Admin) -> Result<Json<Value>> {
    let rules = accounts.policy().address_rules().await?;
    let rules: Vec<Value> = rules
        .into_iter()
        .map(|(address, rule)| {
            json!({
                "address": address,
                "kind": rule.kind,
                "organisation": rule.organization,
                "note": rule.note,
                "added_by": rule.added_by,
                "added_at_ms": rule.added_at_ms,
            })
        })
        .collect();
    Ok(Json(json!({ "addresses": rules })))
}

async fn put(
    State(accounts): State<Accounts>,
    admin: Admin,
    PreferredLanguage(language): PreferredLanguage,
    Path(address): Path<String>,
    Json(rule): Json<Rule>,
) -> Result<Json<Value>> {
    let address = parse(&address, language)?;
    let Rule { kind, organisation, note } = rule;
    let new = NewAddressRule { kind, organization: organisation, note };
    accounts.policy().put_address_rule(admin.user_id(), &address, new).await?;
    Ok(Json(json!({})))
}

async fn remove(
    State(accounts): State<Accounts>,
    admin: Admin,
    PreferredLanguage(language): PreferredLanguage,
    Path(address): Path<String>,
) -> Result<Json<Value>> {
    let address = parse(&address, language)?;
    accounts.policy().remove_address_rule(admin.user_id(), &address).await?;
    Ok(Json(json!({})))
}

/// The routes of this file.
pub fn routes(routes: Routes) -> Routes {
    const ONE: &str = "/_pli/admin/v1/addresses/{address}";
    routes.path(&Method::GET, "/_pli/admin/v1/addresses", list).path(&Method::PUT, ONE, put).path(
        &Method::DELETE,
        ONE,
        remove,
    )
}
