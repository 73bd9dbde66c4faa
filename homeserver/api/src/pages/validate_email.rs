//! `GET /_pli/email/validate`
//! `POST /_pli/email/validate`
//!
//! The page behind the link of a mail, and the `submit_url` of the specification
//! (<https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3registeremailrequesttoken>).
//! Opening the link proves nothing, because mail scanners open links too: the person clicks.

use axum::{
    extract::{Query, State, rejection::BytesRejection},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use http::{Method, StatusCode};
use pli_core::{
    Error,
    accounts::{Accounts, Secret},
    mail::letters::escape,
};
use pli_schema::{Language, Text, records::accounts::Purpose};
use serde::Deserialize;
use serde_json::json;

use super::page;
use crate::{Json, PreferredLanguage, Result, Routes};

/// Where it is.
pub const PATH: &str = "/_pli/email/validate";

/// What names a session and proves the address.
#[derive(Deserialize)]
struct Submitted {
    sid: String,
    token: String,
    client_secret: Option<String>,
}

const TITLE: Text = Text { fr: "Confirmer votre adresse", en: "Confirm your address" };
const CLICK: Text = Text {
    fr: "Cliquez pour confirmer que cette adresse de messagerie est la vôtre.",
    en: "Click to confirm that this e-mail address is yours.",
};
const RENEW: Text = Text { fr: "Prolonger votre compte", en: "Renew your account" };
const CLICK_RENEW: Text = Text {
    fr: "Cliquez pour confirmer que vous utilisez toujours votre compte.",
    en: "Click to confirm that you still use your account.",
};
const RENEWED: Text = Text {
    fr: "Votre compte est prolongé. Vous pouvez fermer cette page.",
    en: "Your account is renewed. You can close this page.",
};
const BUTTON: Text = Text { fr: "Confirmer", en: "Confirm" };
const DONE: Text = Text {
    fr: "Adresse confirmée. Retournez à l’application pour continuer.",
    en: "Address confirmed. Go back to the application to continue.",
};
const FAILED: Text = Text {
    fr: "Ce lien n’est pas ou plus valable. Demandez un nouveau message dans l’application.",
    en: "This link is not valid, or not any more. Ask for a new mail in the application.",
};

fn failed(language: Language) -> Response {
    let title = TITLE.in_language(language);
    page(StatusCode::BAD_REQUEST, language, title, FAILED.in_language(language), "")
}

async fn show(
    State(accounts): State<Accounts>,
    PreferredLanguage(preferred): PreferredLanguage,
    query: Result<Query<Submitted>, axum::extract::rejection::QueryRejection>,
) -> Response {
    let Ok(Query(link)) = query else {
        return failed(preferred);
    };
    let token = Secret::from(link.token.as_str());
    let Ok(session) = accounts.validation_of_link(&link.sid, &token).await else {
        return failed(preferred);
    };
    let language = session.language;
    let form = format!(
        "<form method=\"post\" action=\"{PATH}\">\n\
         <input type=\"hidden\" name=\"sid\" value=\"{}\">\n\
         <input type=\"hidden\" name=\"token\" value=\"{}\">\n\
         <button type=\"submit\">{}</button>\n</form>\n",
        escape(&link.sid),
        escape(&link.token),
        escape(BUTTON.in_language(language)),
    );
    let (title, text) = match session.purpose {
        Purpose::Renew => (RENEW, CLICK_RENEW),
        _ => (TITLE, CLICK),
    };
    let (title, text) = (title.in_language(language), text.in_language(language));
    page(StatusCode::OK, language, title, text, &form)
}

/// JSON for clients, a form for the page. Told apart by the body, because many clients send JSON under
/// any content type.
async fn submit(
    State(accounts): State<Accounts>,
    PreferredLanguage(preferred): PreferredLanguage,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response> {
    let body = body.map_err(|_| Error::too_large("The request is too large"))?;
    if body.trim_ascii_start().starts_with(b"{") {
        let given: Submitted =
            serde_json::from_slice(&body).map_err(|error| match error.is_data() {
                true => Error::BadJson(error.to_string()),
                false => Error::NotJson(error.to_string()),
            })?;
        let secret = given.client_secret.map(Secret::from);
        accounts.submit_validation(&given.sid, secret.as_ref(), &given.token.into()).await?;
        return Ok(Json(json!({ "success": true })).into_response());
    }
    let Some(given) = form(&body) else {
        return Ok(failed(preferred));
    };
    let token = Secret::from(given.token);
    let Ok(session) = accounts.validation_of_link(&given.sid, &token).await else {
        return Ok(failed(preferred));
    };
    match accounts.submit_validation(&given.sid, None, &token).await {
        Ok(()) => {
            let language = session.language;
            let (title, text) = match session.purpose {
                Purpose::Renew => (RENEW, RENEWED),
                _ => (TITLE, DONE),
            };
            let (title, text) = (title.in_language(language), text.in_language(language));
            Ok(page(StatusCode::OK, language, title, text, ""))
        }
        Err(error @ (Error::Store(_) | Error::Bug(_))) => Err(error.into()),
        Err(_) => Ok(failed(session.language)),
    }
}

/// The fields of the page's form. Session and token are letters that a query can hold as they are.
fn form(body: &[u8]) -> Option<Submitted> {
    let uri = format!("/?{}", std::str::from_utf8(body).ok()?).parse().ok()?;
    Query::try_from_uri(&uri).ok().map(|Query(given)| given)
}

/// The routes of this file.
pub fn routes(routes: Routes) -> Routes {
    routes.path(&Method::GET, PATH, show).path(&Method::POST, PATH, submit)
}
