//! `GET /_pli/admin/v1/domains`
//! `PUT /_pli/admin/v1/domains/{domain}`
//! `DELETE /_pli/admin/v1/domains/{domain}`
//! `POST /_pli/admin/v1/domains/check`
//!
//! The allow-list of e-mail domains. With `?dry_run=true` a change is not made, only its impact told:
//! `{"accounts_affected", "pending_affected", "examples": [user ids, at most ten]}`.

use axum::extract::{Path, Query, State};
use http::Method;
use pli_core::{
    Error,
    accounts::{Accounts, profiles::DISPLAY_NAME},
    policy::{Answer, DomainChange, Impact, Refusal},
};
use pli_schema::{
    EmailAddress, Language,
    records::policy::{DomainEntry, DomainKind, DomainRecord},
};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{Admin, Json, PreferredLanguage, Result, Routes};

#[derive(Deserialize)]
struct Change {
    #[serde(default)]
    dry_run: bool,
}

#[derive(Deserialize)]
struct Entry {
    sub_domains: bool,
    organisation: Option<String>,
    kind: DomainKind,
    homeserver: Option<String>,
    valid_from_ms: Option<u64>,
    valid_until_ms: Option<u64>,
    note: Option<String>,
}

#[derive(Deserialize)]
struct Check {
    address: String,
}

type ChangeQuery = Result<Query<Change>, axum::extract::rejection::QueryRejection>;

fn dry_run(query: ChangeQuery) -> Result<bool, Error> {
    query
        .map(|Query(change)| change.dry_run)
        .map_err(|_| Error::invalid_param("`dry_run` is true or false"))
}

fn told(impact: Impact, dry_run: bool) -> Json<Value> {
    Json(json!({
        "dry_run": dry_run,
        "accounts_affected": impact.accounts,
        "pending_affected": impact.pending,
        "examples": impact.examples,
    }))
}

async fn list(State(accounts): State<Accounts>, _: Admin) -> Result<Json<Value>> {
    let domains = accounts.policy().domains().await?;
    let domains: Vec<Value> = domains
        .into_iter()
        .map(|(domain, DomainRecord { entry, added_by, added_at_ms })| {
            json!({
                "domain": domain,
                "sub_domains": entry.sub_domains,
                "organisation": entry.organization,
                "kind": entry.kind,
                "homeserver": entry.homeserver,
                "valid_from_ms": entry.valid_from_ms,
                "valid_until_ms": entry.valid_until_ms,
                "note": entry.note,
                "added_by": added_by,
                "added_at_ms": added_at_ms,
            })
        })
        .collect();
    Ok(Json(json!({ "domains": domains })))
}

async fn put(
    State(accounts): State<Accounts>,
    admin: Admin,
    Path(domain): Path<String>,
    query: ChangeQuery,
    Json(entry): Json<Entry>,
) -> Result<Json<Value>> {
    let dry_run = dry_run(query)?;
    let change = DomainChange::Put(DomainEntry {
        sub_domains: entry.sub_domains,
        organization: entry.organisation,
        kind: entry.kind,
        homeserver: entry.homeserver,
        valid_from_ms: entry.valid_from_ms,
        valid_until_ms: entry.valid_until_ms,
        note: entry.note,
    });
    let impact = accounts.policy().change(admin.user_id(), &domain, change, dry_run).await?;
    Ok(told(impact, dry_run))
}

async fn remove(
    State(accounts): State<Accounts>,
    admin: Admin,
    Path(domain): Path<String>,
    query: ChangeQuery,
) -> Result<Json<Value>> {
    let dry_run = dry_run(query)?;
    let change = DomainChange::Remove;
    let impact = accounts.policy().change(admin.user_id(), &domain, change, dry_run).await?;
    Ok(told(impact, dry_run))
}

async fn check(
    State(accounts): State<Accounts>,
    _: Admin,
    PreferredLanguage(language): PreferredLanguage,
    Json(check): Json<Check>,
) -> Result<Json<Value>> {
    let Ok(address) = EmailAddress::parse(check.address.trim()) else {
        return Ok(Json(refused(Refusal::NoAddress, language, None)));
    };
    let found = accounts.policy().check(&address).await?;
    let user_id = found.user_id;
    let grant = match found.answer {
        Answer::Refuse(refusal) => {
            return Ok(Json(refused(refusal, language, user_id.map(|id| id.to_string()))));
        }
        Answer::Allow(grant) => grant,
    };
    let (user_id, display_name) = match user_id {
        Some(user_id) => {
            let name = accounts.profile_field(&user_id, DISPLAY_NAME).await?;
            (Some(user_id.to_string()), name.and_then(|name| name.as_str().map(str::to_owned)))
        }
        None => {
            let (user_id, name) = accounts.names_of(&address, &grant).await?;
            (user_id.map(|id| id.to_string()), Some(name))
        }
    };
    Ok(Json(json!({
        "allowed": true,
        "reason": "allowed",
        "domain": grant.domain,
        "kind": grant.kind,
        "user_id": user_id,
        "display_name": display_name,
    })))
}

fn refused(refusal: Refusal, language: Language, user_id: Option<String>) -> Value {
    json!({
        "allowed": false,
        "reason": refusal.text(language),
        "reason_key": refusal.key(),
        "user_id": user_id,
    })
}

/// The routes of this file.
pub fn routes(routes: Routes) -> Routes {
    const LIST: &str = "/_pli/admin/v1/domains";
    const ONE: &str = "/_pli/admin/v1/domains/{domain}";
    routes
        .path(&Method::GET, LIST, list)
        .path(&Method::PUT, ONE, put)
        .path(&Method::DELETE, ONE, remove)
        .path(&Method::POST, "/_pli/admin/v1/domains/check", check)
}
