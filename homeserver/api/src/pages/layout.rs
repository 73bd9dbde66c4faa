//! What every page has: language, title, style, headers.
//!
//! Pages work without scripts, with the keyboard and with screen readers. Nothing is loaded from
//! anywhere; the one style sheet stands in the page and the policy names it by its hash.

use std::sync::LazyLock;

use axum::response::{Html, IntoResponse, Response};
use base64::{Engine, engine::general_purpose::STANDARD};
use http::{HeaderName, HeaderValue, StatusCode, header};
use maud::{DOCTYPE, Markup, PreEscaped, html};
use pli_schema::{Language, Text};
use sha2::{Digest, Sha256};

const STYLE: &str = include_str!("style.css");

/// What the pages of the user-interactive authentication run when they are done (spec, "Fallback").
const AUTH_DONE: &str = "if (window.onAuthDone) { window.onAuthDone(); } \
     else if (window.opener && window.opener.postMessage) { \
     window.opener.postMessage(\"authDone\", \"*\"); }";

static STYLE_HASH: LazyLock<String> = LazyLock::new(|| hash(STYLE));
static AUTH_DONE_HASH: LazyLock<String> = LazyLock::new(|| hash(AUTH_DONE));

fn hash(text: &str) -> String {
    format!("'sha256-{}'", STANDARD.encode(Sha256::digest(text)))
}

const ERROR: Text = Text { fr: "Erreur : ", en: "Error: " };
const OTHER_LANGUAGE: Text = Text { fr: "English", en: "Français" };

/// A page.
pub(crate) struct Page {
    /// The status.
    pub status: StatusCode,
    /// The language.
    pub language: Language,
    /// The title, which is also the heading.
    pub title: String,
    /// What stands below the heading.
    pub body: Markup,
    /// Where forms may lead besides this server, as the policy writes it.
    pub form_targets: Vec<String>,
    /// Where the browser goes by itself.
    pub refresh: Option<String>,
    /// The address of the page in the other language.
    pub switch: Option<String>,
    /// Run what tells a client that a stage has been passed.
    pub auth_done: bool,
}

impl Page {
    /// A page in a language.
    pub fn new(language: Language, title: impl Into<String>, body: Markup) -> Self {
        Self {
            status: StatusCode::OK,
            language,
            title: title.into(),
            body,
            form_targets: Vec::new(),
            refresh: None,
            switch: None,
            auth_done: false,
        }
    }

    /// With another status.
    pub const fn status(mut self, status: StatusCode) -> Self {
        self.status = status;
        self
    }

    fn policy(&self) -> String {
        let targets: String = self.form_targets.iter().map(|target| format!(" {target}")).collect();
        let script = if self.auth_done {
            format!("; script-src {}", *AUTH_DONE_HASH)
        } else {
            String::new()
        };
        format!(
            "default-src 'none'; style-src {}{script}; form-action 'self'{targets}; \
             frame-ancestors 'none'; base-uri 'none'",
            *STYLE_HASH
        )
    }

    fn document(&self) -> Markup {
        let is_error = self.status.is_client_error() || self.status.is_server_error();
        let prefix = if is_error { ERROR.in_language(self.language) } else { "" };
        let other = match self.language {
            Language::Fr => Language::En,
            Language::En => Language::Fr,
        };
        html! {
            (DOCTYPE)
            html lang=(self.language.tag()) {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    meta name="color-scheme" content="light dark";
                    @if let Some(to) = &self.refresh {
                        meta http-equiv="refresh" content={ "0;url=" (to) };
                    }
                    title { (prefix) (self.title) }
                    style { (PreEscaped(STYLE)) }
                }
                body {
                    @if let Some(to) = &self.switch {
                        nav { a href=(to) hreflang=(other.tag()) lang=(other.tag()) {
                            (OTHER_LANGUAGE.in_language(self.language))
                        } }
                    }
                    main {
                        h1 { (self.title) }
                        (self.body)
                    }
                    @if self.auth_done {
                        script { (PreEscaped(AUTH_DONE)) }
                    }
                }
            }
        }
    }
}

impl IntoResponse for Page {
    fn into_response(self) -> Response {
        const FIXED: [(HeaderName, &str); 5] = [
            (header::REFERRER_POLICY, "no-referrer"),
            (header::CACHE_CONTROL, "no-store"),
            (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
            (header::X_FRAME_OPTIONS, "DENY"),
            (HeaderName::from_static("cross-origin-opener-policy"), "same-origin-allow-popups"),
        ];
        let mut response = (self.status, Html(self.document().into_string())).into_response();
        let headers = response.headers_mut();
        for (name, value) in FIXED {
            headers.insert(name, HeaderValue::from_static(value));
        }
        // Made of hashes, origins and schemes: always a valid header.
        if let Ok(policy) = HeaderValue::from_str(&self.policy()) {
            headers.insert(header::CONTENT_SECURITY_POLICY, policy);
        }
        if self.auth_done {
            // The window that opened this page must be reachable.
            headers.remove("cross-origin-opener-policy");
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_escaped_and_nothing_may_run() {
        let page = Page::new(Language::En, "<b>", html! { p { "a&b" } });
        let text = page.document().into_string();
        assert!(text.contains("<h1>&lt;b&gt;</h1>") && text.contains("a&amp;b"));
        assert!(text.starts_with("<!DOCTYPE html><html lang=\"en\">"));
        let policy = page.policy();
        assert!(policy.starts_with("default-src 'none'; style-src 'sha256-"));
        assert!(!policy.contains("script-src") && !policy.contains("unsafe"));
        let response = page.into_response();
        assert_eq!(response.headers()["x-frame-options"], "DENY");
    }
}
