//! `GET /_pli/account/sso`
//! `POST /_pli/account/sso`
//!
//! Single sign-on for clients that know no OAuth: once the person has signed in and agreed, the browser
//! goes back to the client with a login token.
//!
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#client-login-via-sso>

use axum::extract::State;
use http::{Method, StatusCode};
use maud::html;
use pli_core::{
    Oauth,
    accounts::Accounts,
    oauth::redirects::{form_target, single_sign_on_target, with_login_token},
};
use pli_schema::Text;

use super::{
    forms::hidden,
    sign_in::SIGN_OUT,
    visitor::{PageResult, Parameters, Posted, SIGN_IN, Visitor, encode, see_other},
};
use crate::Routes;

/// Where it is.
pub(crate) const SSO: &str = "/_pli/account/sso";

const TITLE: Text =
    Text { fr: "Continuer vers l’application ?", en: "Go on to the application?" };
const LEADS: Text = Text {
    fr: "Vous allez donner accès à votre compte à :",
    en: "You are about to give access to your account to:",
};
const ACCOUNT: Text = Text { fr: "Compte :", en: "Account:" };
const ONLY_IF: Text = Text {
    fr: "Ne continuez que si vous reconnaissez cette adresse et venez de demander à vous y connecter.",
    en: "Go on only if you know this address and have just asked to sign in there.",
};
const GO_ON: Text = Text { fr: "Continuer", en: "Continue" };
const OTHER: Text = Text { fr: "Utiliser un autre compte", en: "Use another account" };
const BAD_TARGET: Text = Text {
    fr: "L’application n’a pas dit où revenir après la connexion. Retournez-y et recommencez.",
    en: "The application has not said where to go back after the sign-in. Go back to it and try again.",
};
const OFF: Text = Text {
    fr: "Ce serveur n’utilise pas cette façon de se connecter.",
    en: "This server does not use this way to sign in.",
};

async fn ask(State(oauth): State<Oauth>, visitor: Visitor, parameters: Parameters) -> PageResult {
    if !oauth.is_enabled() {
        return Err(visitor.refused(StatusCode::NOT_FOUND, OFF));
    }
    let Some(target) = single_sign_on_target(parameters.get("redirectUrl")) else {
        return Err(visitor.refused(StatusCode::BAD_REQUEST, BAD_TARGET));
    };
    let Some(user) = &visitor.signed_in else {
        let here = encode(&visitor.here);
        let provider = parameters.get("provider");
        let place = match parameters.get("action") {
            _ if !provider.is_empty() => {
                format!("/_pli/upstream/start/{}?next={here}", encode(provider))
            }
            "register" => format!("/_pli/account/register?next={here}"),
            _ => format!("{SIGN_IN}?next={here}"),
        };
        return Ok(visitor.to(&place));
    };
    let language = visitor.language;
    let shown = match target.host_str() {
        Some(host) if matches!(target.scheme(), "https" | "http") => host.to_owned(),
        _ => format!("{}:", target.scheme()),
    };
    let body = html! {
        p { (LEADS.in_language(language)) }
        p class="box" { strong { (shown) } }
        p { (ACCOUNT.in_language(language)) " " strong { (user.user_id) } }
        p { (ONLY_IF.in_language(language)) }
        form method="post" action=(visitor.here) {
            (visitor.form_token())
            button type="submit" { (GO_ON.in_language(language)) }
        }
        form method="post" action=(SIGN_OUT) {
            (visitor.form_token())
            (hidden("next", &visitor.here))
            button type="submit" class="other small" { (OTHER.in_language(language)) }
        }
    };
    let mut page = visitor.page(TITLE, body);
    page.form_targets.extend(form_target(target.as_str()));
    Ok(visitor.respond(page))
}

async fn agree(
    State(accounts): State<Accounts>,
    State(oauth): State<Oauth>,
    parameters: Parameters,
    Posted(visitor, _): Posted,
) -> PageResult {
    if !oauth.is_enabled() {
        return Err(visitor.refused(StatusCode::NOT_FOUND, OFF));
    }
    let Some(target) = single_sign_on_target(parameters.get("redirectUrl")) else {
        return Err(visitor.refused(StatusCode::BAD_REQUEST, BAD_TARGET));
    };
    let user = visitor.user()?;
    let token = accounts.new_login_token_for(&user.user_id).await;
    let (token, _) = token.map_err(|error| visitor.failed(&error))?;
    Ok(visitor.respond(see_other(&with_login_token(&target, token.reveal()))))
}

/// The routes of this file.
pub fn routes(routes: Routes) -> Routes {
    routes.path(&Method::GET, SSO, ask).path(&Method::POST, SSO, agree)
}
