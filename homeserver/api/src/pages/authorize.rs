//! `GET /_pli/oauth/authorize`
//! `POST /_pli/oauth/authorize`
//! `GET /_pli/oauth/link`
//! `POST /_pli/oauth/link`
//!
//! A client asks for access: by sending the browser here, or by having the person type a code.
//!
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#authorisation-code-flow>,
//! <https://spec.matrix.org/v1.19/client-server-api/#device-authorisation-flow>

use axum::extract::State;
use http::{Method, StatusCode};
use maud::{Markup, html};
use pli_core::{
    Error, Oauth,
    accounts::Accounts,
    oauth::{AuthorizationRequest, Client, OauthError, Refusal, Scope, redirects::form_target},
};
use pli_schema::Text;
use ruma::UserId;

use super::{
    forms::{Field, field, hidden, summary},
    sign_in::SIGN_OUT,
    visitor::{PageResult, Parameters, Posted, SIGN_IN, Visitor, encode, explain, see_other},
};
use crate::Routes;

/// The authorization endpoint.
pub(crate) const AUTHORIZE: &str = "/_pli/oauth/authorize";
/// Where people type the code of a device.
pub(crate) const LINK: &str = "/_pli/oauth/link";

const TITLE: Text = Text { fr: "Autoriser une application ?", en: "Allow an application?" };
const ASKS: Text =
    Text { fr: "demande l’accès à votre compte.", en: "asks for access to your account." };
const MAY: Text = Text {
    fr: "Elle pourra lire et envoyer des messages et gérer vos salons en votre nom, jusqu’à ce que vous \
         fermiez sa session.",
    en: "It will read and send messages and manage your rooms in your name, until you end its session.",
};
const ACCOUNT: Text = Text { fr: "Compte", en: "Account" };
const SITE: Text = Text { fr: "Site de l’application", en: "Site of the application" };
const SESSION: Text = Text { fr: "Nouvelle session", en: "New session" };
const REPLACES: Text = Text {
    fr: "Vous avez déjà une session de ce nom. Elle sera remplacée.",
    en: "You have a session of this name already. It will be replaced.",
};
const ONLY_IF: Text = Text {
    fr: "N’autorisez que si vous venez de le demander dans cette application.",
    en: "Allow this only if you have just asked for it in this application.",
};
const ALLOW: Text = Text { fr: "Autoriser", en: "Allow" };
const DENY: Text = Text { fr: "Refuser", en: "Refuse" };
const OTHER: Text = Text { fr: "Utiliser un autre compte", en: "Use another account" };
const TERMS: Text = Text { fr: "Conditions d’utilisation", en: "Terms of service" };
const PRIVACY: Text = Text { fr: "Données personnelles", en: "Privacy policy" };
const OFF: Text = Text {
    fr: "Ce serveur n’utilise pas cette façon de se connecter.",
    en: "This server does not use this way to sign in.",
};
const BROKEN_CLIENT: Text = Text {
    fr: "L’application a fait une demande que le serveur ne peut pas accepter. Retournez-y et \
         recommencez ; si cela se répète, signalez-le à qui la publie.",
    en: "The application has made a request that the server cannot accept. Go back to it and try \
         again; if it happens again, tell those who publish it.",
};
const LINK_TITLE: Text = Text { fr: "Connecter un appareil", en: "Connect a device" };
const CODE: Text =
    Text { fr: "Code affiché par l’application", en: "Code that the application shows" };
const CODE_HINT: Text =
    Text { fr: "Huit lettres, comme BCDF-GHJK", en: "Eight letters, as in BCDF-GHJK" };
const GO_ON: Text = Text { fr: "Continuer", en: "Continue" };
const WRONG_CODE: Text = Text {
    fr: "Ce code n’est pas connu, ou n’est plus valable. Vérifiez la saisie.",
    en: "This code is not known, or not valid any more. Check what you typed.",
};
const SAME_CODE: Text = Text {
    fr: "Vérifiez que l’application affiche bien ce code :",
    en: "Check that the application shows this code:",
};
const CONNECTED: Text = Text { fr: "Appareil connecté", en: "Device connected" };
const REFUSED: Text = Text { fr: "Demande refusée", en: "Request refused" };
const GO_BACK: Text = Text {
    fr: "Vous pouvez fermer cette page et retourner à l’application.",
    en: "You can close this page and go back to the application.",
};

/// Who asks for what.
async fn question(
    accounts: &Accounts,
    visitor: &Visitor,
    user_id: &UserId,
    (client, scope): (&Client, &Scope),
) -> Result<Markup, Error> {
    let language = visitor.language;
    let (terms, policy) = client.documents();
    let known = match accounts.device(user_id, &scope.device_id).await {
        Ok(_) => true,
        Err(Error::NotFound(_)) => false,
        Err(error) => return Err(error),
    };
    Ok(html! {
        p { strong { (client.name(language)) } " " (ASKS.in_language(language)) }
        p { (MAY.in_language(language)) }
        dl class="box" {
            dt { (ACCOUNT.in_language(language)) }
            dd { (user_id) }
            dt { (SITE.in_language(language)) }
            dd { a href=(client.uri()) target="_blank" rel="noopener noreferrer" { (client.host()) } }
            dt { (SESSION.in_language(language)) }
            dd { (scope.device_id) }
        }
        @if known { p { strong { (REPLACES.in_language(language)) } } }
        @if terms.is_some() || policy.is_some() {
            p {
                @if let Some(to) = terms {
                    a href=(to) target="_blank" rel="noopener noreferrer" { (TERMS.in_language(language)) } " "
                }
                @if let Some(to) = policy {
                    a href=(to) target="_blank" rel="noopener noreferrer" { (PRIVACY.in_language(language)) }
                }
            }
        }
        p { (ONLY_IF.in_language(language)) }
    })
}

/// Yes and no, and the way to another account.
fn answers(visitor: &Visitor, more: &Markup) -> Markup {
    let language = visitor.language;
    html! {
        form method="post" action=(visitor.here) {
            (visitor.form_token())
            (more)
            button type="submit" name="answer" value="yes" { (ALLOW.in_language(language)) }
            button type="submit" name="answer" value="no" class="other" { (DENY.in_language(language)) }
        }
        form method="post" action=(SIGN_OUT) {
            (visitor.form_token())
            (hidden("next", &visitor.here))
            button type="submit" class="other small" { (OTHER.in_language(language)) }
        }
    }
}

/// The request, or where the browser goes with a refusal.
async fn read(
    oauth: &Oauth,
    visitor: &Visitor,
    parameters: &Parameters,
) -> Result<AuthorizationRequest, axum::response::Response> {
    if !oauth.is_enabled() {
        return Err(visitor.refused(StatusCode::NOT_FOUND, OFF));
    }
    match oauth.authorization(&parameters.0).await {
        Ok(request) => Ok(request),
        Err(Refusal::Redirect(place)) => Err(visitor.respond(see_other(&place))),
        Err(Refusal::Page(OauthError::Core(error))) => Err(visitor.failed(&error)),
        Err(Refusal::Page(error)) => {
            let text = BROKEN_CLIENT.in_language(visitor.language);
            let body = html! {
                p role="alert" { (text) }
                p { code { (error.code()) } }
                p lang="en" { (error) }
            };
            Err(visitor.respond(visitor.page(TITLE, body).status(StatusCode::BAD_REQUEST)))
        }
    }
}

async fn ask(
    State(accounts): State<Accounts>,
    State(oauth): State<Oauth>,
    visitor: Visitor,
    parameters: Parameters,
) -> PageResult {
    let request = read(&oauth, &visitor, &parameters).await?;
    let Some(user) = &visitor.signed_in else {
        let here = encode(&visitor.here);
        let place = match &request.login_hint {
            _ if request.create => format!("/_pli/account/register?next={here}"),
            Some(hint) => format!("{SIGN_IN}?next={here}&hint={}", encode(hint)),
            None => format!("{SIGN_IN}?next={here}"),
        };
        return Ok(visitor.to(&place));
    };
    let asked = (&request.client, &request.scope);
    let body = question(&accounts, &visitor, &user.user_id, asked).await;
    let body = body.map_err(|error| visitor.failed(&error))?;
    let mut page = visitor.page(TITLE, html! { (body) (answers(&visitor, &html! {})) });
    page.form_targets.extend(form_target(request.redirect_uri()));
    Ok(visitor.respond(page))
}

async fn answer(
    State(oauth): State<Oauth>,
    parameters: Parameters,
    Posted(visitor, fields): Posted,
) -> PageResult {
    let request = read(&oauth, &visitor, &parameters).await?;
    let user = visitor.user()?;
    let place = match fields.get("answer") {
        "yes" => oauth.grant(&request, &user.user_id),
        _ => request.denied(),
    };
    Ok(visitor.respond(see_other(&place)))
}

fn code_form(visitor: &Visitor, typed: &str, wrong: Option<&super::forms::Wrong<'_>>) -> Markup {
    let language = visitor.language;
    let code = Field::new("user_code", "text", CODE, "off").hint(CODE_HINT).value(typed);
    html! {
        (summary(language, wrong))
        form method="get" action=(LINK) {
            (field(language, &code, wrong))
            button type="submit" { (GO_ON.in_language(language)) }
        }
    }
}

async fn link(
    State(accounts): State<Accounts>,
    State(oauth): State<Oauth>,
    visitor: Visitor,
    parameters: Parameters,
) -> PageResult {
    let user = visitor.user()?;
    let typed = parameters.get("user_code");
    if typed.is_empty() {
        return Ok(visitor.respond(visitor.page(LINK_TITLE, code_form(&visitor, "", None))));
    }
    let (client, scope) = match oauth.typed_code(&user.user_id, typed).await {
        Ok(found) => found,
        Err(error) => {
            let (status, text) = match &error {
                Error::NotFound(_) => {
                    (StatusCode::NOT_FOUND, WRONG_CODE.in_language(visitor.language).to_owned())
                }
                error => explain(error, visitor.language),
            };
            let wrong = ("user_code", text);
            let body = code_form(&visitor, typed, Some(&wrong));
            return Ok(visitor.respond(visitor.page(LINK_TITLE, body).status(status)));
        }
    };
    let body = question(&accounts, &visitor, &user.user_id, (&client, &scope)).await;
    let body = body.map_err(|error| visitor.failed(&error))?;
    let code = pli_core::oauth::device_grants::normalized(typed);
    let body = html! {
        p { (SAME_CODE.in_language(visitor.language)) }
        p class="code" { (code) }
        (body)
        (answers(&visitor, &hidden("user_code", &code)))
    };
    Ok(visitor.respond(visitor.page(LINK_TITLE, body)))
}

async fn link_answer(State(oauth): State<Oauth>, Posted(visitor, fields): Posted) -> PageResult {
    let user = visitor.user()?;
    let yes = fields.get("answer") == "yes";
    let answered = oauth.answer_code(&user.user_id, fields.get("user_code"), yes);
    answered.map_err(|error| visitor.failed(&error))?;
    let body = html! { p role="status" { (GO_BACK.in_language(visitor.language)) } };
    Ok(visitor.respond(visitor.page(if yes { CONNECTED } else { REFUSED }, body)))
}

/// The routes of this file.
pub fn routes(routes: Routes) -> Routes {
    routes
        .path(&Method::GET, AUTHORIZE, ask)
        .path(&Method::POST, AUTHORIZE, answer)
        .path(&Method::GET, LINK, link)
        .path(&Method::POST, LINK, link_answer)
}
