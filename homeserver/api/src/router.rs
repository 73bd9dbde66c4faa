//! Registers endpoints under every path the specification ever gave them, and knows them all.

use axum::{
    Router,
    extract::DefaultBodyLimit,
    handler::Handler,
    routing::{MethodFilter, on},
};
use http::Method;
use pli_schema::limits;
use ruma::api::{IncomingRequest, Metadata, path_builder::PathBuilder};

use crate::{AppState, extract, extract::Ruma, from_server::FromServer};

/// One registered route.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Route {
    /// The method, such as `GET`.
    pub method: String,
    /// The path template, such as `/_matrix/client/v3/rooms/{room_id}/join`.
    pub path: String,
    /// The handler, such as `pli_api::client::membership::join_by_id`.
    pub handler: &'static str,
}

/// The routes in the making. Endpoint files add theirs with [`Routes::ruma`].
#[derive(Debug, Default)]
pub struct Routes {
    router: Router<AppState>,
    list: Vec<Route>,
    body_limit_bytes: Option<usize>,
}

/// The arguments of a handler that ends in [`Ruma`], as axum sees them.
pub trait RumaArguments {
    /// The request type of the last argument.
    type Request: IncomingRequest;
}

macro_rules! ruma_arguments {
    ($($($name:ident)*;)+) => {$(
        impl<Via, $($name,)* T: IncomingRequest> RumaArguments for (Via, $($name,)* FromServer<T>) {
            type Request = T;
        }

        impl<Via, $($name,)* T: IncomingRequest> RumaArguments for (Via, $($name,)* Ruma<T>) {
            type Request = T;
        }
    )+};
}
ruma_arguments! {
    ;
    A;
    A B;
    A B C;
    A B C D;
    A B C D E;
    A B C D E F;
}

impl Routes {
    /// No routes yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Registers a handler whose last argument is `Ruma<Request>`: method and paths (stable, unstable
    /// and `r0`) are those of the request type.
    #[must_use]
    pub fn ruma<H, M>(self, handler: H) -> Self
    where
        H: Handler<M, AppState>,
        M: RumaArguments + 'static,
    {
        self.at::<M::Request, H, M>(handler)
    }

    /// Registers any handler at the method and paths of a request type: for bodies that are streamed.
    #[must_use]
    pub fn at<T, H, M>(mut self, handler: H) -> Self
    where
        T: Metadata,
        H: Handler<M, AppState>,
        M: 'static,
    {
        let mut paths: Vec<&'static str> = T::PATH_BUILDER.all_paths().collect();
        paths.sort_unstable();
        paths.dedup();
        for path in paths {
            self = self.path(&T::METHOD, path, handler.clone());
            // An empty state key is written as no segment at all, with or without the slash.
            if let Some(short) = path.strip_suffix("/{state_key}") {
                self = self.path(&T::METHOD, short, handler.clone());
                self = self.path(&T::METHOD, &format!("{short}/"), handler.clone());
            }
        }
        self.body_limit_bytes = None;
        self
    }

    /// Registers a handler at one method and path template, and at the paths that it had in older
    /// releases: for what ruma has no type for.
    #[must_use]
    pub fn path<H, M>(mut self, method: &Method, path: &str, handler: H) -> Self
    where
        H: Handler<M, AppState>,
        M: 'static,
    {
        for old in old_paths(path) {
            self = self.one_path(method, &old, handler.clone());
        }
        self.one_path(method, path, handler)
    }

    /// Registers a handler at exactly this method and path. The first one stays.
    fn one_path<H, M>(mut self, method: &Method, path: &str, handler: H) -> Self
    where
        H: Handler<M, AppState>,
        M: 'static,
    {
        let is_known = |route: &Route| route.path == path && route.method == method.as_str();
        if is_old(path) && self.list.iter().any(is_known) {
            return self;
        }
        let Ok(filter) = MethodFilter::try_from(method.clone()) else {
            return self;
        };
        let limit = self.body_limit_bytes.unwrap_or(limits::BODY_BYTES);
        let route = on(filter, handler).layer(DefaultBodyLimit::max(limit));
        self.router = self.router.route(path, route);
        let (method, path) = (method.to_string(), path.to_owned());
        self.list.push(Route { method, path, handler: std::any::type_name::<H>() });
        self
    }

    /// The limit of the body of the **next** endpoint, in bytes.
    #[must_use]
    pub const fn body_limit(mut self, bytes: usize) -> Self {
        self.body_limit_bytes = Some(bytes);
        self
    }

    /// Every registered route, sorted: for tests and documentation.
    #[must_use]
    pub fn list(&self) -> Vec<Route> {
        let mut list = self.list.clone();
        list.sort();
        list
    }

    /// The finished router: unknown paths and methods are `M_UNRECOGNIZED`.
    pub fn into_router(self) -> Router<AppState> {
        self.router
            .fallback(extract::unknown_path)
            .method_not_allowed_fallback(extract::wrong_method)
    }
}

/// The prefix of today's paths, and those that clients of older releases use.
const OLD_PREFIXES: [(&str, &[&str]); 2] = [
    ("/_matrix/client/v3/", &["/_matrix/client/r0/"]),
    ("/_matrix/media/v3/", &["/_matrix/media/r0/", "/_matrix/media/v1/"]),
];

/// The paths that an endpoint had before the specification's releases had numbers (r0; media had a v1).
///
/// Spec: <https://spec.matrix.org/v1.1/changelog/#client-server-api>
fn old_paths(path: &str) -> Vec<String> {
    OLD_PREFIXES
        .iter()
        .filter_map(|(today, old)| Some((path.strip_prefix(today)?, old)))
        .flat_map(|(rest, old)| old.iter().map(move |prefix| format!("{prefix}{rest}")))
        .collect()
}

fn is_old(path: &str) -> bool {
    OLD_PREFIXES.iter().any(|(_, old)| old.iter().any(|prefix| path.starts_with(prefix)))
}

#[cfg(test)]
pub(crate) mod tests {
    use std::sync::Arc;

    use axum::{body::Body, http::Request};
    use http::StatusCode;
    use pli_core::{Clock, Random};
    use ruma::server_name;
    use tower::ServiceExt;

    use super::*;
    use crate::{
        Result, User,
        assemble::{Parts, assemble},
        whole::routes,
    };

    pub(crate) fn state() -> AppState {
        let store = pli_core::Store::in_memory();
        let key = pli_core::SigningKey::from_seed(&[7; 32], "1").unwrap();
        assemble(Parts {
            store,
            clock: Clock::system(),
            random: Random::seeded(1),
            signing_key: Arc::new(key),
            old_keys: Default::default(),
            server_name: server_name!("pli.example").to_owned(),
            base_url: "http://localhost:8008".into(),
            data_dir: "nowhere".into(),
            config: Arc::default(),
            appservices: Default::default(),
        })
        .unwrap()
        .state
    }

    async fn call(router: Router<AppState>, method: &str, uri: &str, body: &str) -> (u16, String) {
        let request = Request::builder().method(method).uri(uri);
        let request = request.body(Body::from(body.to_owned())).unwrap();
        let response = router.with_state(state()).oneshot(request).await.unwrap();
        let status = response.status().as_u16();
        let bytes = axum::body::to_bytes(response.into_body(), 1_000_000).await.unwrap();
        (status, String::from_utf8(bytes.to_vec()).unwrap())
    }

    fn echo_routes() -> Routes {
        use ruma::api::client::{state::send_state_event, typing::create_typing_event};
        async fn state_key(Ruma(r): Ruma<send_state_event::v3::Request>) -> Result<String> {
            Ok(format!("<{}|{}>", r.event_type, r.state_key))
        }
        async fn typing(_: User, Ruma(_): Ruma<create_typing_event::v3::Request>) -> StatusCode {
            StatusCode::OK
        }
        Routes::new().body_limit(1_000).ruma(state_key).ruma(typing)
    }

    #[tokio::test]
    async fn unknown_paths_and_wrong_methods_are_unrecognized() {
        let (status, body) = call(routes().into_router(), "GET", "/_matrix/client/v9/x", "").await;
        assert_eq!(status, 404);
        assert!(body.contains("M_UNRECOGNIZED"));
        let (status, body) =
            call(routes().into_router(), "DELETE", "/_matrix/client/versions", "").await;
        assert_eq!(status, 405);
        assert!(body.contains("M_UNRECOGNIZED"));
    }

    #[tokio::test]
    async fn state_keys_may_be_empty_and_r0_is_an_alias() {
        for (path, expected) in [
            ("/_matrix/client/v3/rooms/!r:x/state/m.room.name", "<m.room.name|>"),
            ("/_matrix/client/v3/rooms/!r:x/state/m.room.name/", "<m.room.name|>"),
            ("/_matrix/client/r0/rooms/!r:x/state/m.room.name/a%2Fb", "<m.room.name|a/b>"),
        ] {
            let (status, body) = call(echo_routes().into_router(), "PUT", path, "{}").await;
            assert_eq!((status, body.as_str()), (200, expected), "{path}");
        }
    }

    #[tokio::test]
    async fn bad_bodies_are_told_apart() {
        let path = "/_matrix/client/v3/rooms/!r:x/state/m.room.name";
        let large = format!("{{\"a\":\"{}\"}}", "x".repeat(2_000));
        for (body, status, errcode) in [
            ("{", 400, "M_NOT_JSON"),
            ("[]", 400, "M_BAD_JSON"),
            (r#"{"a":"\ud800"}"#, 400, "M_NOT_JSON"),
            (r#"{"a":"\ud83d\ude00"}"#, 200, ""),
            (large.as_str(), 413, "M_TOO_LARGE"),
        ] {
            let (got, text) = call(echo_routes().into_router(), "PUT", path, body).await;
            assert_eq!(got, status, "{body:.40} {text}");
            assert!(text.contains(errcode), "{text}");
        }
        let (status, text) = call(
            echo_routes().into_router(),
            "PUT",
            "/_matrix/client/v3/rooms/nonsense/state/m.room.name",
            "{}",
        )
        .await;
        assert_eq!(status, 400);
        assert!(text.contains("M_INVALID_PARAM"), "{text}");
    }

    #[tokio::test]
    async fn a_user_needs_a_token_that_is_known() {
        let path = "/_matrix/client/v3/rooms/!r:x/typing/@a:x";
        let (status, body) = call(echo_routes().into_router(), "PUT", path, "{").await;
        assert_eq!(status, 401);
        assert!(body.contains("M_MISSING_TOKEN"));
        let uri = format!("{path}?access_token=wrong");
        let (status, body) = call(echo_routes().into_router(), "PUT", &uri, "{").await;
        assert_eq!(status, 401);
        assert!(body.contains("M_UNKNOWN_TOKEN") && body.contains(r#""soft_logout":false"#));
    }
}
