//! `GET /_pli/upstream/start/{provider}`
//! `GET /_pli/upstream/callback`
//! `GET /_pli/upstream/welcome`
//! `POST /_pli/upstream/welcome`
//!
//! Signing in at an OpenID Connect provider: the way there, the way back, and the question whether a new
//! account is wanted.

use axum::{
    extract::{Path, State},
    response::Response,
};
use http::{Method, StatusCode};
use maud::{Markup, html};
use pli_core::{
    Error, Oauth,
    accounts::{Accounts, UpstreamAccount},
};
use pli_schema::Text;

use super::{
    forms::{Wrong, summary},
    mail_proof::{MUST_ACCEPT, terms},
    visitor::{PageResult, Parameters, Posted, Visitor, encode, own_place, see_other},
};
use crate::Routes;

const WELCOME: &str = "/_pli/upstream/welcome";

const FAILED: Text = Text {
    fr: "La connexion chez le fournisseur d’identité n’a pas abouti. Recommencez depuis l’application.",
    en: "The sign-in at the identity provider did not succeed. Begin again from the application.",
};
const NOT_VERIFIED: Text = Text {
    fr: "Le fournisseur d’identité n’a pas vérifié votre adresse de messagerie. Sans elle, vous ne \
         pouvez pas avoir de compte ici.",
    en: "The identity provider has not verified your e-mail address. Without it you cannot have an \
         account here.",
};
const NEW_ACCOUNT: Text = Text { fr: "Bienvenue", en: "Welcome" };
const NEW_TEXT: Text = Text {
    fr: "Vous n’avez pas encore de compte sur ce serveur. Voici celui que vous aurez :",
    en: "You have no account on this server yet. This is the one that you will have:",
};
const NAME: Text = Text { fr: "Nom affiché", en: "Display name" };
const USER_ID: Text = Text { fr: "Identifiant Matrix", en: "Matrix id" };
const CREATE: Text = Text { fr: "Créer mon compte", en: "Create my account" };

/// A page for what did not succeed.
fn failed(visitor: &Visitor, error: &Error) -> Response {
    match error {
        Error::BadState(_) => visitor.refused(StatusCode::BAD_REQUEST, FAILED),
        Error::ThreepidAuthFailed(_) => visitor.refused(StatusCode::FORBIDDEN, NOT_VERIFIED),
        error => visitor.failed(error),
    }
}

async fn start(
    State(oauth): State<Oauth>,
    Path(provider): Path<String>,
    parameters: Parameters,
    visitor: Visitor,
) -> PageResult {
    let next = own_place(parameters.get("next"));
    match oauth.upstream().begin(&provider, &visitor.browser, next).await {
        Ok(place) => Ok(visitor.respond(see_other(&place))),
        Err(error) => Err(failed(&visitor, &error)),
    }
}

async fn callback(
    State(accounts): State<Accounts>,
    State(oauth): State<Oauth>,
    visitor: Visitor,
    parameters: Parameters,
) -> PageResult {
    let (state, code) = (parameters.get("state"), parameters.get("code"));
    if !parameters.get("error").is_empty() || code.is_empty() {
        return match oauth.upstream().give_up(&visitor.browser, state) {
            // The person has said no there: back to where one chooses how to sign in.
            Some(next) => Ok(visitor.to(&next)),
            None => Err(visitor.refused(StatusCode::BAD_REQUEST, FAILED)),
        };
    }
    let arrival = oauth.upstream().finish(&visitor.browser, state, code).await;
    let arrival = arrival.map_err(|error| failed(&visitor, &error))?;
    let found = accounts.account_of_upstream(&arrival.identity, visitor.language).await;
    match found.map_err(|error| failed(&visitor, &error))? {
        UpstreamAccount::Known(user_id) => {
            Ok(visitor.sign_in(&oauth, &user_id, Some(arrival.provider), &arrival.next))
        }
        UpstreamAccount::New { .. } => {
            oauth.keep_newcomer(&visitor.browser, arrival.identity, arrival.provider);
            Ok(visitor.to(&format!("{WELCOME}?next={}", encode(&arrival.next))))
        }
    }
}

async fn question(
    (accounts, oauth): (&Accounts, &Oauth),
    visitor: &Visitor,
    wrong: Option<&Wrong<'_>>,
) -> Result<Markup, Response> {
    let language = visitor.language;
    let known = oauth.newcomer(&visitor.browser);
    let (identity, _) = known.ok_or_else(|| visitor.refused(StatusCode::BAD_REQUEST, FAILED))?;
    let account = accounts.account_of_upstream(&identity, language).await;
    let (user_id, display_name) = match account.map_err(|error| failed(visitor, &error))? {
        UpstreamAccount::New { user_id, display_name } => (user_id, display_name),
        UpstreamAccount::Known(user_id) => (user_id, String::new()),
    };
    Ok(html! {
        (summary(language, wrong))
        p { (NEW_TEXT.in_language(language)) }
        dl class="box" {
            dt { (NAME.in_language(language)) }
            dd { (display_name) }
            dt { (USER_ID.in_language(language)) }
            dd { (user_id) }
        }
        form method="post" action=(visitor.here) {
            (visitor.form_token())
            (terms(language, &accounts.settings().registration.terms, wrong))
            button type="submit" { (CREATE.in_language(language)) }
        }
    })
}

async fn welcome(
    State(accounts): State<Accounts>,
    State(oauth): State<Oauth>,
    visitor: Visitor,
) -> PageResult {
    let body = question((&accounts, &oauth), &visitor, None).await?;
    Ok(visitor.respond(visitor.page(NEW_ACCOUNT, body)))
}

async fn create(
    State(accounts): State<Accounts>,
    State(oauth): State<Oauth>,
    parameters: Parameters,
    Posted(visitor, fields): Posted,
) -> PageResult {
    let must_accept = !accounts.settings().registration.terms.is_empty();
    if must_accept && fields.get("terms") != "yes" {
        let wrong = ("terms", MUST_ACCEPT.in_language(visitor.language).to_owned());
        let body = question((&accounts, &oauth), &visitor, Some(&wrong)).await?;
        let page = visitor.page(NEW_ACCOUNT, body).status(StatusCode::BAD_REQUEST);
        return Ok(visitor.respond(page));
    }
    let known = oauth.newcomer(&visitor.browser);
    let (identity, provider) =
        known.ok_or_else(|| visitor.refused(StatusCode::BAD_REQUEST, FAILED))?;
    let user_id = accounts.register_upstream(&identity, visitor.language).await;
    let user_id = user_id.map_err(|error| failed(&visitor, &error))?;
    let next = own_place(parameters.get("next"));
    Ok(visitor.sign_in(&oauth, &user_id, Some(provider), next))
}

/// The routes of this file.
pub fn routes(routes: Routes) -> Routes {
    routes
        .path(&Method::GET, "/_pli/upstream/start/{provider}", start)
        .path(&Method::GET, "/_pli/upstream/callback", callback)
        .path(&Method::GET, WELCOME, welcome)
        .path(&Method::POST, WELCOME, create)
}
