//! The few pages that people open in a browser.

pub mod validate_email;

use axum::response::{Html, IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use pli_core::mail::letters::escape;
use pli_schema::Language;

/// Nothing may run, nothing may be loaded, no other site may show the page or learn its address.
const SECURITY: [(header::HeaderName, HeaderValue); 4] = [
    (
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static(
            "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; \
             frame-ancestors 'none'; base-uri 'none'",
        ),
    ),
    (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
];

/// A page. `title` and `text` are text, `form` is HTML that this crate has written.
pub(crate) fn page(
    status: StatusCode,
    language: Language,
    title: &str,
    text: &str,
    form: &str,
) -> Response {
    let html = format!(
        "<!DOCTYPE html>\n<html lang=\"{}\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n<title>{title}</title>\n\
         <style>body{{font-family:sans-serif;max-width:32em;margin:3em auto;padding:0 1em}}\
         button{{font-size:1.2em;padding:.5em 1em}}</style>\n</head>\n\
         <body>\n<h1>{title}</h1>\n<p>{}</p>\n{form}</body>\n</html>\n",
        language.tag(),
        escape(text),
        title = escape(title),
    );
    (status, SECURITY, Html(html)).into_response()
}
