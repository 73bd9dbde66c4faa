//! `GET /_pli/email/validate`
//! `POST /_pli/email/validate`
//!
//! The page behind the link of a mail, and the `submit_url` of the specification
//! (<https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3registeremailrequesttoken>).
//! Opening the link proves nothing, because mail scanners open links too: the person clicks.

use axum::{
    extract::{FromRequest, Query, Request, State},
    response::{IntoResponse, Response},
};
use http::{Method, StatusCode, header};
use pli_core::{
    Error,
    accounts::{Accounts, Secret},
    mail::letters::escape,
};
use pli_schema::{Language, Text};
use serde::Deserialize;
use serde_json::json;

use super::page;
use crate::{AppState, Json, PreferredLanguage, Result, Routes};

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
    let (title, text) = (TITLE.in_language(language), CLICK.in_language(language));
    page(StatusCode::OK, language, title, text, &form)
}

async fn submit(
    State(accounts): State<Accounts>,
    State(state): State<AppState>,
    PreferredLanguage(preferred): PreferredLanguage,
    request: Request,
) -> Result<Response> {
    if !is_form(&request) {
        let Json(given) = Json::<Submitted>::from_request(request, &state).await?;
        let secret = given.client_secret.map(Secret::from);
        accounts.submit_validation(&given.sid, secret.as_ref(), &given.token.into()).await?;
        return Ok(Json(json!({ "success": true })).into_response());
    }
    let Ok(axum::Form(given)) = axum::Form::<Submitted>::from_request(request, &state).await else {
        return Ok(failed(preferred));
    };
    let token = Secret::from(given.token);
    let Ok(session) = accounts.validation_of_link(&given.sid, &token).await else {
        return Ok(failed(preferred));
    };
    match accounts.submit_validation(&given.sid, None, &token).await {
        Ok(()) => {
            let language = session.language;
            let (title, text) = (TITLE.in_language(language), DONE.in_language(language));
            Ok(page(StatusCode::OK, language, title, text, ""))
        }
        Err(error @ (Error::Store(_) | Error::Bug(_))) => Err(error.into()),
        Err(_) => Ok(failed(session.language)),
    }
}

fn is_form(request: &Request) -> bool {
    request
        .headers()
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|value| value.starts_with("application/x-www-form-urlencoded"))
}

/// The routes of this file.
pub fn routes(routes: Routes) -> Routes {
    routes.path(&Method::GET, PATH, show).path(&Method::POST, PATH, submit)
}
