//! The pages that people open in a browser: signing in, registering, agreeing, the account.

pub mod account;
pub mod authorize;
pub mod federation;
pub(crate) mod forms;
mod layout;
pub(crate) mod login_fallback;
pub mod mail_proof;
pub mod sign_in;
pub mod single_sign_on;
pub mod upstream;
pub mod validate_email;
pub(crate) mod visitor;

use axum::response::{IntoResponse, Response};
use http::StatusCode;
use maud::{PreEscaped, html};
use pli_schema::Language;

use self::layout::Page;
use crate::Routes;

/// A page. `title` and `text` are text, `form` is HTML that this crate has written.
pub(crate) fn page(
    status: StatusCode,
    language: Language,
    title: &str,
    text: &str,
    form: &str,
) -> Response {
    let body = html! { p { (text) } (PreEscaped(form)) };
    Page::new(language, title, body).status(status).into_response()
}

/// The routes of all pages.
pub fn routes(routes: Routes) -> Routes {
    let routes = account::routes(routes);
    let routes = authorize::routes(routes);
    let routes = federation::routes(routes);
    let routes = mail_proof::routes(routes);
    let routes = sign_in::routes(routes);
    let routes = single_sign_on::routes(routes);
    let routes = upstream::routes(routes);
    validate_email::routes(routes)
}
