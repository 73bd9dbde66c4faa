//! `GET /_pli/account/sign-in`
//! `POST /_pli/account/sign-in`
//! `POST /_pli/account/sign-out`
//! `GET /_pli/account/signed-out`
//! `GET /_pli/account/back`
//! `GET /_pli/language/{language}`
//!
//! Signing in and out in the browser, and the language of the pages.

use axum::{
    extract::{Path, State},
    response::Response,
};
use http::{HeaderValue, Method, StatusCode, header};
use maud::{Markup, html};
use pli_core::{
    Error, Oauth,
    accounts::{Accounts, LoginIdentifier},
};
use pli_schema::{EmailAddress, Language, Text};

use super::{
    forms::{Field, Wrong, field, summary},
    visitor::{
        ACCOUNT, PageResult, Parameters, Posted, SIGN_IN, Visitor, encode, explain,
        language_cookie, own_place, see_other,
    },
};
use crate::Routes;

pub(crate) const SIGN_OUT: &str = "/_pli/account/sign-out";
const SIGNED_OUT: &str = "/_pli/account/signed-out";

const TITLE: Text = Text { fr: "Se connecter", en: "Sign in" };
const AGAIN: Text = Text {
    fr: "Pour continuer, confirmez que c’est bien vous.",
    en: "To go on, confirm that it is you.",
};
const USER: Text =
    Text { fr: "Adresse de messagerie ou identifiant", en: "E-mail address or user name" };
const PASSWORD: Text = Text { fr: "Mot de passe", en: "Password" };
const FORGOTTEN: Text = Text { fr: "Mot de passe oublié", en: "Forgotten password" };
const REGISTER: Text = Text { fr: "Créer un compte", en: "Create an account" };
const WRONG: Text = Text {
    fr: "L’identifiant ou le mot de passe n’est pas le bon. Vérifiez la saisie.",
    en: "The user name or the password is not right. Check what you typed.",
};
const OR: Text = Text { fr: "Ou :", en: "Or:" };
const BYE: Text = Text { fr: "Vous êtes déconnecté", en: "You are signed out" };
const BYE_TEXT: Text = Text {
    fr: "Vous êtes déconnecté de cette page. Vos applications restent connectées.",
    en: "You are signed out of this page. Your applications stay signed in.",
};
const BYE_PROVIDER: Text = Text {
    fr: "Continuer la déconnexion chez le fournisseur d’identité",
    en: "Go on to sign out at the identity provider",
};

fn form(
    visitor: &Visitor,
    (accounts, oauth): (&Accounts, &Oauth),
    parameters: &Parameters,
    (typed, wrong): (&str, Option<&Wrong<'_>>),
) -> Markup {
    let language = visitor.language;
    let settings = accounts.settings();
    let next = encode(own_place(parameters.get("next")));
    let providers = oauth.upstream().providers(language);
    html! {
        (summary(language, wrong))
        @if parameters.get("again") == "true" { p { (AGAIN.in_language(language)) } }
        @if settings.passwords.enabled {
            form method="post" action=(visitor.here) {
                (visitor.form_token())
                (field(language, &Field::new("user", "text", USER, "username").value(typed), wrong))
                (field(language, &Field::new("password", "password", PASSWORD, "current-password"), wrong))
                button type="submit" { (TITLE.in_language(language)) }
            }
            p { a href={ "/_pli/account/password?next=" (next) } { (FORGOTTEN.in_language(language)) } }
        }
        @if !providers.is_empty() {
            @if settings.passwords.enabled { p class="or" { (OR.in_language(language)) } }
            @for provider in &providers {
                a class="button wide" href={ "/_pli/upstream/start/" (provider.id) "?next=" (next) } {
                    (provider.label)
                }
            }
        }
        @if settings.registration.enabled && settings.passwords.enabled {
            p class="or" { a href={ "/_pli/account/register?next=" (next) } {
                (REGISTER.in_language(language))
            } }
        }
    }
}

async fn show(
    State(accounts): State<Accounts>,
    State(oauth): State<Oauth>,
    visitor: Visitor,
    parameters: Parameters,
) -> PageResult {
    let next = own_place(parameters.get("next"));
    let again = parameters.get("again") == "true";
    match &visitor.signed_in {
        Some(user) if !again || user.is_fresh => Ok(visitor.to(next)),
        _ => {
            let typed = parameters.get("hint");
            let body = form(&visitor, (&accounts, &oauth), &parameters, (typed, None));
            Ok(visitor.respond(visitor.page(TITLE, body)))
        }
    }
}

async fn submit(
    State(accounts): State<Accounts>,
    State(oauth): State<Oauth>,
    parameters: Parameters,
    Posted(visitor, fields): Posted,
) -> PageResult {
    let typed = fields.get("user").trim();
    let identifier = match EmailAddress::parse(typed) {
        Ok(_) => LoginIdentifier::Email(typed.to_owned()),
        Err(_) => LoginIdentifier::User(typed.to_owned()),
    };
    let (status, text) = match accounts.sign_in(&identifier, &fields.secret("password")).await {
        Ok(user_id) => {
            return Ok(visitor.sign_in(&oauth, &user_id, None, own_place(parameters.get("next"))));
        }
        Err(Error::Forbidden(_)) => {
            (StatusCode::FORBIDDEN, WRONG.in_language(visitor.language).to_owned())
        }
        Err(error @ (Error::Store(_) | Error::Bug(_))) => return Err(visitor.failed(&error)),
        Err(error) => explain(&error, visitor.language),
    };
    let wrong = ("user", text);
    let body = form(&visitor, (&accounts, &oauth), &parameters, (typed, Some(&wrong)));
    Ok(visitor.respond(visitor.page(TITLE, body).status(status)))
}

/// Signs out; a provider's session is ended too. The way there is a page, because a form may not lead
/// to another site.
async fn sign_out(State(oauth): State<Oauth>, Posted(visitor, fields): Posted) -> PageResult {
    let next = fields.get("next");
    let end = match oauth.sign_out(&visitor.browser) {
        Some((provider, token)) => oauth.upstream().end_session(&provider, &token).await,
        None => None,
    };
    match end {
        Some(place) if next.is_empty() => {
            let text = BYE_PROVIDER.in_language(visitor.language);
            let mut page = visitor.page(BYE, html! { p { a href=(place) { (text) } } });
            page.refresh = Some(place);
            page.switch = None;
            Ok(visitor.respond(page))
        }
        _ if next.is_empty() => Ok(visitor.to(SIGNED_OUT)),
        _ => Ok(visitor.to(own_place(next))),
    }
}

async fn signed_out(visitor: Visitor) -> Response {
    let language = visitor.language;
    let body = html! {
        p { (BYE_TEXT.in_language(language)) }
        p { a href={ (SIGN_IN) "?next=" (encode(ACCOUNT)) } { (TITLE.in_language(language)) } }
    };
    visitor.respond(visitor.page(BYE, body))
}

/// Leads back to the page of a stage, which lies outside of the pages of the account.
async fn back(parameters: Parameters, visitor: Visitor) -> Response {
    let to = parameters.get("to");
    let is_stage =
        to.starts_with("/_matrix/client/v3/auth/") && to.is_ascii() && !to.contains('\\');
    visitor.to(if is_stage { to } else { ACCOUNT })
}

async fn choose_language(
    Path(tag): Path<String>,
    parameters: Parameters,
    visitor: Visitor,
) -> Response {
    let language = if tag == "en" { Language::En } else { Language::Fr };
    let mut response = see_other(own_place(parameters.get("next")));
    if let Ok(value) = HeaderValue::from_str(&language_cookie(&visitor, language)) {
        response.headers_mut().append(header::SET_COOKIE, value);
    }
    visitor.respond(response)
}

/// The routes of this file.
pub fn routes(routes: Routes) -> Routes {
    routes
        .path(&Method::GET, SIGN_IN, show)
        .path(&Method::POST, SIGN_IN, submit)
        .path(&Method::POST, SIGN_OUT, sign_out)
        .path(&Method::GET, "/_pli/account/back", back)
        .path(&Method::GET, SIGNED_OUT, signed_out)
        .path(&Method::GET, "/_pli/language/{language}", choose_language)
}
