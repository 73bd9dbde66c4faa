//! `GET /_synapse/admin/v1/server_version`
//! `GET /_synapse/admin/v2/users`
//! `GET /_synapse/admin/v2/users/{userId}`
//! `PUT /_synapse/admin/v2/users/{userId}`
//! `GET /_synapse/admin/v2/users/{userId}/devices`
//! `GET /_synapse/admin/v1/users/{userId}/joined_rooms`
//! `GET /_synapse/admin/v1/users/{userId}/admin`
//! `PUT /_synapse/admin/v1/users/{userId}/admin`
//! `POST /_synapse/admin/v1/users/{userId}/login`
//! `POST /_synapse/admin/v1/deactivate/{userId}`
//! `POST /_synapse/admin/v1/reset_password/{userId}`
//!
//! The part of Synapse's admin API about users that synapse-admin and Draupnir call
//! (<https://element-hq.github.io/synapse/latest/admin_api/user_admin_api.html>).

use axum::extract::{Path, Query, State};
use http::{Method, StatusCode};
use pli_core::{
    Error, Rooms,
    accounts::{
        Accounts, DeviceWish, Restriction, Secret,
        administration::AccountsQuery,
        profiles::{AVATAR_URL, DISPLAY_NAME},
    },
};
use pli_schema::records::accounts::{AccountKind, AccountRecord};
use ruma::{OwnedUserId, UserId};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::{Admin, Json, Result, Routes, closing::close_account};

/// Accounts on a page if the tool does not say.
const PAGE: usize = 100;

type QueryOf<T> = Result<Query<T>, axum::extract::rejection::QueryRejection>;

#[derive(Deserialize)]
struct Page {
    from: Option<usize>,
    limit: Option<usize>,
    user_id: Option<String>,
    name: Option<String>,
    guests: Option<bool>,
    deactivated: Option<bool>,
}

#[derive(Deserialize)]
struct Change {
    displayname: Option<String>,
    avatar_url: Option<String>,
    password: Option<String>,
    #[serde(default = "yes")]
    logout_devices: bool,
    admin: Option<bool>,
    deactivated: Option<bool>,
    locked: Option<bool>,
}

#[derive(Deserialize)]
struct Role {
    admin: bool,
}

#[derive(Deserialize)]
struct Closing {
    #[serde(default)]
    erase: bool,
}

#[derive(Deserialize)]
struct NewPassword {
    new_password: String,
    #[serde(default = "yes")]
    logout_devices: bool,
}

const fn yes() -> bool {
    true
}

fn user(accounts: &Accounts, text: &str) -> Result<OwnedUserId, Error> {
    let user_id = UserId::parse(text).map_err(|_| Error::invalid_param("This is not a user id"))?;
    accounts.require_local(&user_id)?;
    Ok(user_id)
}

/// An admin's own account is changed where its password is asked for.
fn require_other(admin: &Admin, user_id: &UserId) -> Result<(), Error> {
    if admin.user_id() == user_id {
        return Err(Error::forbidden("Change your own account with your password"));
    }
    Ok(())
}

async fn version(_: Admin) -> Json<Value> {
    Json(json!({ "server_version": concat!("Pli ", env!("CARGO_PKG_VERSION")) }))
}

/// What the lists and the single account have in common.
async fn overview(
    accounts: &Accounts,
    user_id: &UserId,
    account: &AccountRecord,
) -> Result<Map<String, Value>> {
    let mut out = Map::new();
    let mut put = |key: &str, value: Value| drop(out.insert(key.to_owned(), value));
    put("name", json!(user_id));
    put("admin", json!(account.admin));
    put("deactivated", json!(account.deactivated));
    put("locked", json!(account.locked));
    put("suspended", json!(account.suspended));
    put("erased", json!(account.erased));
    put("is_guest", json!(account.kind == AccountKind::MatrixGuest));
    put("creation_ts", json!(account.created_ms));
    if !account.deactivated {
        for (key, field) in [("displayname", DISPLAY_NAME), ("avatar_url", AVATAR_URL)] {
            if let Some(value) = accounts.profile_field(user_id, field).await? {
                put(key, value);
            }
        }
    }
    Ok(out)
}

async fn list(
    State(accounts): State<Accounts>,
    _: Admin,
    query: QueryOf<Page>,
) -> Result<Json<Value>> {
    let Query(page) = query.map_err(|_| Error::invalid_param("The query is not well-formed"))?;
    let from = page.from.unwrap_or(0);
    let query = AccountsQuery {
        from,
        limit: page.limit.unwrap_or(PAGE),
        name: page.name.or(page.user_id),
        with_deactivated: page.deactivated.unwrap_or(false),
        with_guests: page.guests.unwrap_or(true),
    };
    let page = accounts.list_accounts(&query).await?;
    let mut users = Vec::with_capacity(page.accounts.len());
    for (user_id, account) in &page.accounts {
        users.push(Value::Object(overview(&accounts, user_id, account).await?));
    }
    let next = from.saturating_add(users.len());
    let mut body = json!({ "users": users, "total": page.total });
    if next < page.total {
        body["next_token"] = json!(next.to_string());
    }
    Ok(Json(body))
}

async fn details(accounts: &Accounts, user_id: &UserId) -> Result<Json<Value>> {
    let account = accounts.account(user_id).await?;
    let account = account.ok_or_else(|| Error::not_found("There is no such user"))?;
    let mut out = overview(accounts, user_id, &account).await?;
    let emails = accounts.emails(user_id).await?.into_iter().map(|email| {
        json!({
            "medium": "email", "address": email.address,
            "added_at": email.added_at_ms, "validated_at": email.validated_at_ms,
        })
    });
    out.insert("threepids".to_owned(), emails.collect());
    out.insert("external_ids".to_owned(), json!([]));
    Ok(Json(Value::Object(out)))
}

async fn one(
    State(accounts): State<Accounts>,
    _: Admin,
    Path(user_id): Path<String>,
) -> Result<Json<Value>> {
    details(&accounts, &user(&accounts, &user_id)?).await
}

async fn put(
    State(accounts): State<Accounts>,
    State(rooms): State<Rooms>,
    admin: Admin,
    Path(user_id): Path<String>,
    Json(change): Json<Change>,
) -> Result<(StatusCode, Json<Value>)> {
    let (user_id, by) = (user(&accounts, &user_id)?, admin.user_id());
    let password = change.password.map(Secret::from);
    let is_new = accounts.account(&user_id).await?.is_none();
    if is_new {
        accounts.create_account(user_id.localpart(), password.as_ref(), false).await?;
        accounts.note_creation(by, &user_id).await?;
    } else if let Some(password) = &password {
        require_other(&admin, &user_id)?;
        accounts.reset_password(by, &user_id, password, change.logout_devices).await?;
    }
    for (field, value) in [(DISPLAY_NAME, change.displayname), (AVATAR_URL, change.avatar_url)] {
        if let Some(value) = value
            && accounts.set_profile_field(&user_id, field, Some(Value::from(value))).await?
            && let Err(error) = rooms.profile_changed(&user_id).await
        {
            tracing::warn!(%error, "a room did not take a changed profile");
        }
    }
    if let Some(on) = change.admin {
        accounts.set_admin(by, &user_id, on).await?;
    }
    if let Some(on) = change.locked {
        accounts.restrict(by, &user_id, Restriction::Lock, on).await?;
    }
    match change.deactivated {
        Some(true) => {
            require_other(&admin, &user_id)?;
            close_account((&accounts, &rooms), &user_id, false, by).await?;
        }
        Some(false) if accounts.account(&user_id).await?.is_some_and(|it| it.deactivated) => {
            return Err(Error::invalid_param("A closed account cannot be opened again").into());
        }
        _ => {}
    }
    let status = if is_new { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, details(&accounts, &user_id).await?))
}

async fn devices(
    State(accounts): State<Accounts>,
    _: Admin,
    Path(user_id): Path<String>,
) -> Result<Json<Value>> {
    let user_id = user(&accounts, &user_id)?;
    let devices: Vec<Value> = accounts
        .devices(&user_id)
        .await?
        .into_iter()
        .map(|device| {
            let mut out = json!({
                "device_id": device.device_id, "display_name": device.display_name,
                "last_seen_ts": device.last_seen_ms, "user_id": user_id,
            });
            if let Some(ip) = device.last_seen_ip {
                out["last_seen_ip"] = json!(ip);
            }
            out
        })
        .collect();
    Ok(Json(json!({ "total": devices.len(), "devices": devices })))
}

async fn joined_rooms(
    State(accounts): State<Accounts>,
    State(rooms): State<Rooms>,
    _: Admin,
    Path(user_id): Path<String>,
) -> Result<Json<Value>> {
    let joined = rooms.joined_room_ids(&user(&accounts, &user_id)?).await?;
    Ok(Json(json!({ "total": joined.len(), "joined_rooms": joined })))
}

async fn is_admin(
    State(accounts): State<Accounts>,
    _: Admin,
    Path(user_id): Path<String>,
) -> Result<Json<Value>> {
    let account = accounts.account(&user(&accounts, &user_id)?).await?;
    let account = account.ok_or_else(|| Error::not_found("There is no such user"))?;
    Ok(Json(json!({ "admin": account.admin })))
}

async fn set_admin(
    State(accounts): State<Accounts>,
    admin: Admin,
    Path(user_id): Path<String>,
    Json(role): Json<Role>,
) -> Result<Json<Value>> {
    let user_id = user(&accounts, &user_id)?;
    accounts.set_admin(admin.user_id(), &user_id, role.admin).await?;
    Ok(Json(json!({})))
}

/// A session of another user, on a device of its own.
async fn log_in_as(
    State(accounts): State<Accounts>,
    admin: Admin,
    Path(user_id): Path<String>,
    Json(_): Json<Map<String, Value>>,
) -> Result<Json<Value>> {
    let user_id = user(&accounts, &user_id)?;
    if user_id == admin.user_id() {
        return Err(Error::invalid_param("That is you already").into());
    }
    accounts.note_login_as(admin.user_id(), &user_id).await?;
    let session = accounts.login_as(&user_id, &DeviceWish::default()).await?;
    Ok(Json(json!({ "access_token": session.access_token.reveal() })))
}

async fn close(
    State(accounts): State<Accounts>,
    State(rooms): State<Rooms>,
    admin: Admin,
    Path(user_id): Path<String>,
    Json(closing): Json<Closing>,
) -> Result<Json<Value>> {
    let user_id = user(&accounts, &user_id)?;
    require_other(&admin, &user_id)?;
    close_account((&accounts, &rooms), &user_id, closing.erase, admin.user_id()).await?;
    Ok(Json(json!({ "id_server_unbind_result": "success" })))
}

async fn reset_password(
    State(accounts): State<Accounts>,
    admin: Admin,
    Path(user_id): Path<String>,
    Json(new): Json<NewPassword>,
) -> Result<Json<Value>> {
    let user_id = user(&accounts, &user_id)?;
    require_other(&admin, &user_id)?;
    let password = Secret::from(new.new_password);
    accounts.reset_password(admin.user_id(), &user_id, &password, new.logout_devices).await?;
    Ok(Json(json!({})))
}

/// The routes of this file.
pub fn routes(routes: Routes) -> Routes {
    const V1: &str = "/_synapse/admin/v1";
    const V2: &str = "/_synapse/admin/v2";
    let (get, put_, post) = (&Method::GET, &Method::PUT, &Method::POST);
    routes
        .path(get, &format!("{V1}/server_version"), version)
        .path(get, &format!("{V2}/users"), list)
        .path(get, &format!("{V2}/users/{{user_id}}"), one)
        .path(put_, &format!("{V2}/users/{{user_id}}"), put)
        .path(get, &format!("{V2}/users/{{user_id}}/devices"), devices)
        .path(get, &format!("{V1}/users/{{user_id}}/joined_rooms"), joined_rooms)
        .path(get, &format!("{V1}/users/{{user_id}}/admin"), is_admin)
        .path(put_, &format!("{V1}/users/{{user_id}}/admin"), set_admin)
        .path(post, &format!("{V1}/users/{{user_id}}/login"), log_in_as)
        .path(post, &format!("{V1}/deactivate/{{user_id}}"), close)
        .path(post, &format!("{V1}/reset_password/{{user_id}}"), reset_password)
}
