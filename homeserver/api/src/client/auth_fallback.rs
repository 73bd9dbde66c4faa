//! `GET /_matrix/client/v3/auth/{authType}/fallback/web`
//! `POST /_matrix/client/v3/auth/{authType}/fallback/web`
//! `GET /_matrix/static/client/login/`
//!
//! Stages of the user-interactive authentication, and the login, on a page: for clients that do not know
//! them.
//!
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#fallback>,
//! <https://spec.matrix.org/v1.19/client-server-api/#login-fallback>

use axum::{
    extract::{Path, State},
    response::{IntoResponse, Response},
};
use http::{HeaderValue, Method, StatusCode, header};
use maud::{Markup, html};
use pli_core::{
    Error,
    accounts::{Accounts, BrowserProof, StageInBrowser},
};
use pli_schema::Text;

use crate::{
    Routes,
    pages::{
        forms::{Field, Wrong, field, summary},
        login_fallback,
        mail_proof::terms,
        visitor::{Instead, PageResult, Parameters, Posted, Visitor, explain},
    },
};

const PATH: &str = "/_matrix/client/v3/auth/{auth_type}/fallback/web";

const TITLE: Text = Text { fr: "Confirmez que c’est vous", en: "Confirm that it is you" };
const ASKED: Text = Text {
    fr: "Une application veut faire ceci avec votre compte :",
    en: "An application wants to do this with your account:",
};
const UNEXPECTED: Text = Text {
    fr: "Si vous ne l’avez pas demandé, fermez cette page et changez votre mot de passe.",
    en: "If you have not asked for it, close this page and change your password.",
};
const PASSWORD: Text = Text { fr: "Mot de passe", en: "Password" };
const TOKEN: Text = Text { fr: "Code d’inscription", en: "Registration token" };
const CONFIRM: Text = Text { fr: "Confirmer", en: "Confirm" };
const DONE: Text = Text { fr: "C’est confirmé", en: "Confirmed" };
const DONE_TEXT: Text = Text {
    fr: "Vous pouvez fermer cette page et retourner à l’application.",
    en: "You can close this page and go back to the application.",
};
const WRONG: Text = Text {
    fr: "Ce n’est pas cela. Vérifiez la saisie.",
    en: "That is not right. Check what you typed.",
};
const IN_THE_APP: Text = Text {
    fr: "Cette étape se passe dans l’application, avec le code reçu par messagerie.",
    en: "This step is done in the application, with the code from the mail.",
};
const OTHER_USER: Text = Text {
    fr: "Vous êtes connecté à cette page avec un autre compte. Déconnectez-vous d’abord.",
    en: "You are signed in to this page with another account. Sign out first.",
};

/// What an operation is, for the person.
fn describe(endpoint: &str) -> Text {
    if endpoint.contains("delete_devices") || endpoint.starts_with("DELETE /devices") {
        Text { fr: "fermer une session", en: "end a session" }
    } else if endpoint.contains("/account/deactivate") {
        Text { fr: "fermer votre compte pour toujours", en: "close your account for ever" }
    } else if endpoint.contains("/account/password") {
        Text { fr: "changer votre mot de passe", en: "change your password" }
    } else if endpoint.contains("device_signing") {
        Text { fr: "remplacer votre identité numérique", en: "replace your digital identity" }
    } else if endpoint.contains("get_token") {
        Text { fr: "connecter un autre appareil", en: "sign in another device" }
    } else if endpoint.contains("3pid") {
        Text { fr: "ajouter une adresse de messagerie", en: "add an e-mail address" }
    } else if endpoint.contains("/register") {
        Text { fr: "créer un compte", en: "create an account" }
    } else {
        Text { fr: "une opération protégée", en: "a protected operation" }
    }
}

fn form(
    visitor: &Visitor,
    accounts: &Accounts,
    (stage, session): (&str, &StageInBrowser),
    wrong: Option<&Wrong<'_>>,
) -> Markup {
    let language = visitor.language;
    html! {
        (summary(language, wrong))
        p { (ASKED.in_language(language)) " " strong { (describe(&session.endpoint).in_language(language)) } }
        @if let Some(user_id) = &session.user_id { p class="box" { (user_id) } }
        p { (UNEXPECTED.in_language(language)) }
        form method="post" action=(visitor.here) {
            (visitor.form_token())
            @match stage {
                "m.login.password" => {
                    (field(language, &Field::new("password", "password", PASSWORD, "current-password"), wrong))
                }
                "m.login.registration_token" => {
                    (field(language, &Field::new("token", "text", TOKEN, "off"), wrong))
                }
                "m.login.terms" => { (terms(language, &accounts.settings().registration.terms, wrong)) }
                _ => {}
            }
            button type="submit" { (CONFIRM.in_language(language)) }
        }
    }
}

/// Whether a page can be shown for a stage; the answer otherwise.
fn check(
    visitor: &Visitor,
    accounts: &Accounts,
    (stage, id): (&str, &str),
) -> Result<StageInBrowser, Instead> {
    let session = accounts.stage_in_browser(id);
    let ended = || visitor.failed(&Error::not_found("This session has ended"));
    let session = session.ok_or_else(ended)?;
    match stage {
        "m.login.password" if session.user_id.is_some() => Ok(session),
        "m.login.registration_token" | "m.login.terms" | "m.login.dummy" => Ok(session),
        "m.login.email.identity" => Err(visitor.refused(StatusCode::BAD_REQUEST, IN_THE_APP).into()),
        "m.login.sso" if session.user_id.is_some() => {
            // Signing in is the proof, so it must be of just now.
            let user = visitor.fresh_user_at(&visitor.here)?;
            if session.user_id.as_ref() != Some(&user.user_id) {
                return Err(visitor.refused(StatusCode::FORBIDDEN, OTHER_USER).into());
            }
            Ok(session)
        }
        "m.oauth" => {
            Err(visitor.to("/_pli/account?action=org.matrix.cross_signing_reset").into())
        }
        _ => Err(ended().into()),
    }
}

async fn show(
    State(accounts): State<Accounts>,
    Path(stage): Path<String>,
    visitor: Visitor,
    parameters: Parameters,
) -> PageResult {
    let session = check(&visitor, &accounts, (&stage, parameters.get("session")))?;
    let body = form(&visitor, &accounts, (&stage, &session), None);
    Ok(visitor.respond(visitor.page(TITLE, body)))
}

async fn submit(
    State(accounts): State<Accounts>,
    Path(stage): Path<String>,
    parameters: Parameters,
    Posted(visitor, fields): Posted,
) -> PageResult {
    let id = parameters.get("session");
    let session = check(&visitor, &accounts, (&stage, id))?;
    let (name, proof) = match (stage.as_str(), &visitor.signed_in) {
        ("m.login.password", _) => ("password", BrowserProof::Password(fields.secret("password"))),
        ("m.login.registration_token", _) => {
            ("token", BrowserProof::RegistrationToken(fields.get("token").trim().to_owned()))
        }
        ("m.login.terms", _) => ("terms", BrowserProof::Terms),
        ("m.login.sso", Some(user)) => ("", BrowserProof::Sso(user.user_id.clone())),
        _ => ("", BrowserProof::Dummy),
    };
    let accepted = stage != "m.login.terms"
        || fields.get("terms") == "yes"
        || accounts.settings().registration.terms.is_empty();
    let passed = match accepted {
        true => accounts.pass_in_browser(id, &proof).await,
        false => Err(Error::forbidden("The terms are not accepted")),
    };
    let (status, text) = match passed {
        Ok(()) => {
            let body = html! { p role="status" { (DONE_TEXT.in_language(visitor.language)) } };
            let mut page = visitor.page(DONE, body);
            (page.auth_done, page.switch) = (true, None);
            return Ok(visitor.respond(page));
        }
        Err(Error::Forbidden(_)) => {
            (StatusCode::FORBIDDEN, WRONG.in_language(visitor.language).to_owned())
        }
        Err(error @ (Error::Store(_) | Error::Bug(_) | Error::NotFound(_))) => {
            return Err(visitor.failed(&error));
        }
        Err(error) => explain(&error, visitor.language),
    };
    let wrong = (name, text);
    let body = form(&visitor, &accounts, (&stage, &session), Some(&wrong));
    Ok(visitor.respond(visitor.page(TITLE, body).status(status)))
}

/// The page of the login. It must run a script: the client takes the answer from one.
async fn login(visitor: Visitor, parameters: Parameters) -> Response {
    let (html, policy) = login_fallback::page(visitor.language, &parameters.0);
    let mut response = axum::response::Html(html).into_response();
    let headers = response.headers_mut();
    if let Ok(policy) = HeaderValue::from_str(&policy) {
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    response
}

/// The routes of this file.
pub fn routes(routes: Routes) -> Routes {
    let old = PATH.replace("/v3/", "/r0/");
    routes
        .path(&Method::GET, PATH, show)
        .path(&Method::POST, PATH, submit)
        .path(&Method::GET, &old, show)
        .path(&Method::POST, &old, submit)
        .path(&Method::GET, "/_matrix/static/client/login", login)
        .path(&Method::GET, "/_matrix/static/client/login/", login)
}
