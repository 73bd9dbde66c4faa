//! `GET /_matrix/federation/v1/version`
//!
//! The name and the version of this server, for tools that ask.
//!
//! Spec: <https://spec.matrix.org/v1.19/server-server-api/#get_matrixfederationv1version>

use ruma::api::federation::discovery::get_server_version::v1::{Request, Response, Server};

use crate::{Routes, Ruma};

async fn version(Ruma(_): Ruma<Request>) -> Ruma<Response> {
    let mut server = Server::new();
    server.name = Some("Pli".to_owned());
    server.version = Some(env!("CARGO_PKG_VERSION").to_owned());
    let mut response = Response::new();
    response.server = Some(server);
    Ruma(response)
}

/// The routes of this file.
pub fn routes(routes: Routes) -> Routes {
    routes.ruma(version)
}
