//! The whole service: all routes, what surrounds every request, and the core behind them.

use axum::{Router, extract::Request, middleware::Next, response::Response};

use crate::{AppState, Routes, request::RequestLayer};

/// All routes of the server.
#[must_use]
pub fn routes() -> Routes {
    let routes = crate::client::routes(Routes::new());
    let routes = crate::admin::routes(routes);
    let routes = crate::identity_api::routes(routes);
    let routes = crate::oauth_api::routes(routes);
    let routes = crate::pages::routes(routes);
    let routes = crate::server::routes(routes);
    crate::health::routes(routes)
}

/// The paths that other servers need, for a listener of their own.
const FEDERATION_PATHS: [&str; 4] =
    ["/_matrix/federation/", "/_matrix/key/", "/_matrix/media/v3/", "/.well-known/matrix/"];

/// What other servers may ask: all routes of the server-server API, and no others.
pub fn federation_service(state: AppState, layer: RequestLayer) -> Router {
    surrounded(routes(), state, layer).layer(axum::middleware::from_fn(only_federation))
}

async fn only_federation(request: Request, next: Next) -> Response {
    let path = request.uri().path();
    if FEDERATION_PATHS.iter().any(|prefix| path.starts_with(prefix)) {
        return next.run(request).await;
    }
    crate::extract::unknown_path().await
}

/// The whole service: routes, what surrounds every request, and the core behind them.
pub fn service(state: AppState, layer: RequestLayer) -> Router {
    surrounded(routes(), state, layer)
}

fn surrounded(routes: Routes, state: AppState, layer: RequestLayer) -> Router {
    routes
        .into_router()
        .layer(axum::middleware::from_fn_with_state(layer, crate::request::around))
        .with_state(state)
}

#[cfg(test)]
mod tests {
    use axum::{
        body::Body,
        http::{Method, Request, StatusCode},
    };
    use tower::ServiceExt;

    use super::*;
    use crate::{rate_limits::RateLimits, router::tests::state};

    #[tokio::test]
    async fn a_panic_costs_one_request_and_never_the_process() {
        async fn breaks() -> StatusCode {
            panic!("planted");
        }
        let routes = Routes::new().path(&Method::GET, "/breaks", breaks).path(
            &Method::GET,
            "/works",
            async || StatusCode::OK,
        );
        let state = state();
        let layer = RequestLayer::new(RateLimits::new(&Default::default()), Vec::new(), 1);
        let router = surrounded(routes, state, layer);
        for (path, expected) in
            [("/breaks", 500), ("/works", 200), ("/breaks", 500), ("/works", 200)]
        {
            let request = Request::get(path).body(Body::empty()).unwrap();
            let response = router.clone().oneshot(request).await.unwrap();
            assert_eq!(response.status().as_u16(), expected, "{path}");
        }
    }
}
