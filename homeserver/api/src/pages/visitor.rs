//! Who is looking at a page: the browser by its cookie, the language, who is signed in.

use axum::{
    Form,
    extract::{FromRequest, FromRequestParts, Query, Request},
    http::request::Parts,
    response::{IntoResponse, Redirect, Response},
};
use http::{HeaderValue, StatusCode, header};
use maud::{Markup, html};
use pli_core::{
    Error,
    accounts::Secret,
    oauth::{Browser, SignedIn},
};
use pli_schema::{Language, Text};

use super::layout::Page;
use crate::{AppState, PreferredLanguage};

/// The path below which everything lies that a person may be sent on to.
const OWN: &str = "/_pli/";
/// Where people go who were not on their way somewhere.
pub(crate) const ACCOUNT: &str = "/_pli/account";
/// The sign-in.
pub(crate) const SIGN_IN: &str = "/_pli/account/sign-in";
/// The cookie that holds the language that was chosen.
const LANGUAGE_COOKIE: &str = "pli_language";

/// Somebody who looks at a page.
#[derive(Clone, Debug)]
pub(crate) struct Visitor {
    /// The browser; new if it had no cookie.
    pub browser: Browser,
    /// Who is signed in.
    pub signed_in: Option<SignedIn>,
    /// The language.
    pub language: Language,
    /// The address of this page, without the host.
    pub here: String,
    is_new: bool,
    secure: bool,
}

/// The fields of a form that a page of this browser has sent.
#[derive(Clone, Debug)]
pub(crate) struct Fields(pub Vec<(String, String)>);

impl Fields {
    /// A field; empty if it is not there.
    pub fn get(&self, name: &str) -> &str {
        let found = self.0.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value.as_str()).unwrap_or_default()
    }

    /// A field that is a secret, as it was typed.
    pub fn secret(&self, name: &str) -> Secret {
        Secret::from(self.get(name))
    }
}

/// What a page answers, or why not. A refusal is a page too.
pub(crate) type PageResult = Result<Response, Response>;

/// An answer in place of what was asked for. Boxed, because a result carries it through functions.
#[derive(Debug)]
pub(crate) struct Instead(Box<Response>);

impl From<Response> for Instead {
    fn from(response: Response) -> Self {
        Self(Box::new(response))
    }
}

impl From<Instead> for Response {
    fn from(Instead(response): Instead) -> Self {
        *response
    }
}

fn cookie(parts: &Parts, name: &str) -> Option<String> {
    let all = parts.headers.get_all(header::COOKIE);
    let texts = all.iter().filter_map(|value| value.to_str().ok());
    let mut pairs = texts.flat_map(|text| text.split(';')).filter_map(|it| it.split_once('='));
    pairs.find(|(key, _)| key.trim() == name).map(|(_, value)| value.trim().to_owned())
}

const fn cookie_name(secure: bool) -> &'static str {
    if secure { "__Host-pli" } else { "pli" }
}

fn query(parts: &Parts) -> Vec<(String, String)> {
    Query::try_from_uri(&parts.uri).map(|Query(pairs)| pairs).unwrap_or_default()
}

fn language(parts: &Parts, preferred: Language) -> Language {
    let of_tag = |tag: &str| match tag.split('-').next() {
        Some("fr") => Some(Language::Fr),
        Some("en") => Some(Language::En),
        _ => None,
    };
    let chosen = cookie(parts, LANGUAGE_COOKIE).and_then(|tag| of_tag(&tag));
    // OpenID Connect Core, 3.1.2.1: the client knows what the person reads.
    let locales = query(parts).into_iter().find(|(name, _)| name == "ui_locales");
    let of_client = locales.and_then(|(_, tags)| tags.split(' ').find_map(of_tag));
    chosen.or(of_client).unwrap_or(preferred)
}

impl FromRequestParts<AppState> for Visitor {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Response> {
        let Ok(PreferredLanguage(preferred)) =
            PreferredLanguage::from_request_parts(parts, state).await;
        let secure = state.server.base_url.starts_with("https:");
        let known = cookie(parts, cookie_name(secure));
        let known = known.and_then(|value| Browser::with_cookie(&value));
        let is_new = known.is_none();
        let browser = known.unwrap_or_else(|| state.oauth.new_browser());
        let here = parts.uri.path_and_query().map_or_else(String::new, ToString::to_string);
        let mut visitor = Self {
            signed_in: None,
            language: language(parts, preferred),
            browser,
            here,
            is_new,
            secure,
        };
        if !is_new {
            let found = state.oauth.signed_in(&visitor.browser).await;
            visitor.signed_in = found.map_err(|error| visitor.failed(&error))?;
        }
        Ok(visitor)
    }
}

const NOT_FROM_HERE: Text = Text {
    fr: "Cette page était ouverte depuis trop longtemps, ou votre navigateur refuse les cookies. \
         Revenez en arrière, rechargez la page et recommencez.",
    en: "This page was open for too long, or your browser refuses cookies. Go back, reload the page \
         and try again.",
};
const SORRY: Text = Text { fr: "Cela n’a pas marché", en: "That did not work" };
const TOO_OFTEN: Text = Text {
    fr: "Trop d’essais. Attendez quelques minutes, puis recommencez.",
    en: "Too many tries. Wait some minutes, then try again.",
};
const BROKEN: Text = Text {
    fr: "Le serveur ne peut pas répondre pour le moment. Recommencez un peu plus tard.",
    en: "The server cannot answer right now. Try again a little later.",
};
const GONE: Text = Text {
    fr: "Cela n’existe pas, ou plus. Retournez à l’application et recommencez.",
    en: "There is no such thing, or not any more. Go back to the application and try again.",
};
const DEACTIVATED: Text = Text { fr: "Ce compte est fermé.", en: "This account has been closed." };
const LOCKED: Text = Text {
    fr: "Ce compte est bloqué. Adressez-vous à votre administrateur.",
    en: "This account is locked. Ask your administrator.",
};
const CLOSED: Text = Text {
    fr: "Les inscriptions sont fermées sur ce serveur.",
    en: "Registration is closed on this server.",
};

/// What an error says to a person, and its status.
pub(crate) fn explain(error: &Error, language: Language) -> (StatusCode, String) {
    let (status, text) = match error {
        Error::LimitExceeded { .. } => (StatusCode::TOO_MANY_REQUESTS, TOO_OFTEN),
        Error::NotFound(_) => (StatusCode::NOT_FOUND, GONE),
        Error::UserDeactivated => (StatusCode::FORBIDDEN, DEACTIVATED),
        Error::UserLocked => (StatusCode::FORBIDDEN, LOCKED),
        // The core writes these for the person, in the person's language.
        Error::ThreepidDenied(text) => return (StatusCode::FORBIDDEN, text.clone()),
        Error::Forbidden(_) => (StatusCode::FORBIDDEN, CLOSED),
        Error::Store(_) | Error::Bug(_) => (StatusCode::SERVICE_UNAVAILABLE, BROKEN),
        _ => (StatusCode::BAD_REQUEST, GONE),
    };
    (status, text.in_language(language).to_owned())
}

impl Visitor {
    /// Fields that every form has.
    pub fn form_token(&self) -> Markup {
        super::forms::hidden("form_token", &self.browser.form_token())
    }

    /// A page for this visitor.
    pub fn page(&self, title: Text, body: Markup) -> Page {
        self.titled(title.in_language(self.language), body)
    }

    /// A page for this visitor whose title is not fixed.
    pub fn titled(&self, title: &str, body: Markup) -> Page {
        let mut page = Page::new(self.language, title, body);
        let other = if self.language == Language::Fr { "en" } else { "fr" };
        page.switch = Some(format!("/_pli/language/{other}?next={}", encode(&self.here)));
        page
    }

    /// A page of an error.
    pub fn failed(&self, error: &Error) -> Response {
        if matches!(error, Error::Store(_) | Error::Bug(_)) {
            tracing::error!(%error, "a page failed");
        }
        let (status, text) = explain(error, self.language);
        let page = self.page(SORRY, html! { p role="alert" { (text) } });
        self.respond(page.status(status))
    }

    /// A page that says that something was not accepted.
    pub fn refused(&self, status: StatusCode, text: Text) -> Response {
        let text = text.in_language(self.language);
        self.respond(self.page(SORRY, html! { p role="alert" { (text) } }).status(status))
    }

    /// The answer, with the cookie if the browser has none yet.
    pub fn respond(&self, page: impl IntoResponse) -> Response {
        let response = page.into_response();
        if self.is_new { self.with_browser(&self.browser, response) } else { response }
    }

    /// The answer with the cookie of a browser.
    pub fn with_browser(&self, browser: &Browser, mut response: Response) -> Response {
        let name = cookie_name(self.secure);
        let secure = if self.secure { "; Secure" } else { "" };
        let value = format!("{name}={}; Path=/; HttpOnly; SameSite=Lax{secure}", browser.cookie());
        if let Ok(value) = HeaderValue::from_str(&value) {
            response.headers_mut().append(header::SET_COOKIE, value);
        }
        response
    }

    /// Sends the browser on.
    pub fn to(&self, place: &str) -> Response {
        self.respond(see_other(place))
    }

    /// Signs the visitor in and sends the browser on.
    pub fn sign_in(
        &self,
        state: &pli_core::Oauth,
        user_id: &ruma::UserId,
        provider: Option<(String, Secret)>,
        next: &str,
    ) -> Response {
        let browser = state.sign_in(&self.browser, user_id, provider);
        self.with_browser(&browser, see_other(next))
    }

    /// Who is signed in; else the sign-in, which leads back to this page.
    pub fn user(&self) -> Result<&SignedIn, Instead> {
        let to_sign_in = || self.to(&format!("{SIGN_IN}?next={}", encode(&self.here))).into();
        self.signed_in.as_ref().ok_or_else(to_sign_in)
    }

    /// As [`Self::fresh_user`], where the page is not one of the account: the way back is the page that
    /// leads there.
    pub fn fresh_user_at(&self, back: &str) -> Result<&SignedIn, Instead> {
        self.fresh_user(&format!("/_pli/account/back?to={}", encode(back)))
    }

    /// Who has signed in just now; else the sign-in, which leads back to a page.
    pub fn fresh_user(&self, back: &str) -> Result<&SignedIn, Instead> {
        let found = self.signed_in.as_ref().filter(|user| user.is_fresh);
        found.ok_or_else(|| self.to(&format!("{SIGN_IN}?again=true&next={}", encode(back))).into())
    }
}

/// Sends a browser on with `GET`.
pub(crate) fn see_other(place: &str) -> Response {
    let mut response = match HeaderValue::from_str(place) {
        Ok(_) => Redirect::to(place).into_response(),
        Err(_) => StatusCode::BAD_REQUEST.into_response(),
    };
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    response
}

/// Where a person goes next: only to pages of this server.
pub(crate) fn own_place(next: &str) -> &str {
    let odd = |c: char| c.is_control() || c == '\\' || !c.is_ascii();
    let ok = next.starts_with(OWN) && next.len() <= 8_192 && !next.chars().any(odd);
    if ok { next } else { ACCOUNT }
}

/// Text for a query.
pub(crate) fn encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                out.push(char::from(byte));
            }
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

/// A visitor with the fields of a form. A form that no page of this browser has sent is refused.
pub(crate) struct Posted(pub Visitor, pub Fields);

impl FromRequest<AppState> for Posted {
    type Rejection = Response;

    async fn from_request(request: Request, state: &AppState) -> Result<Self, Response> {
        let (mut parts, body) = request.into_parts();
        let visitor = Visitor::from_request_parts(&mut parts, state).await?;
        let request = Request::from_parts(parts, body);
        let fields = match Form::<Vec<(String, String)>>::from_request(request, state).await {
            Ok(Form(pairs)) => Fields(pairs),
            Err(_) => return Err(visitor.refused(StatusCode::BAD_REQUEST, NOT_FROM_HERE)),
        };
        if visitor.is_new || !visitor.browser.sent(fields.get("form_token")) {
            return Err(visitor.refused(StatusCode::FORBIDDEN, NOT_FROM_HERE));
        }
        Ok(Self(visitor, fields))
    }
}

/// The parameters of the address, in their order.
pub(crate) struct Parameters(pub Vec<(String, String)>);

impl Parameters {
    /// A parameter; empty if it is not there.
    pub fn get(&self, name: &str) -> &str {
        let found = self.0.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value.as_str()).unwrap_or_default()
    }
}

impl FromRequestParts<AppState> for Parameters {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &AppState) -> Result<Self, Self::Rejection> {
        Ok(Self(query(parts)))
    }
}

/// The cookie that keeps a language.
pub(crate) fn language_cookie(visitor: &Visitor, language: Language) -> String {
    let (tag, secure) = (language.tag(), if visitor.secure { "; Secure" } else { "" });
    format!("{LANGUAGE_COOKIE}={tag}; Path=/; Max-Age=31536000; HttpOnly; SameSite=Lax{secure}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_sent_to_another_site() {
        for next in [
            "https://evil.example/",
            "//evil.example/",
            "/\\evil.example",
            "/_matrix/client/v3/login",
            "javascript:alert(1)",
            "/_pli/\r\nset-cookie: a=b",
            "/_pli/\\..",
            "",
        ] {
            assert_eq!(own_place(next), ACCOUNT, "{next}");
        }
        let own = "/_pli/oauth/authorize?client_id=x";
        assert_eq!(own_place(own), own);
        assert_eq!(encode("a b&c/é"), "a%20b%26c%2F%C3%A9");
    }
}
