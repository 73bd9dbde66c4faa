//! `GET /_matrix/client/versions`
//!
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#server-discovery>

use ruma::api::client::discovery::get_supported_versions;

use crate::{Anyone, Result, Routes, Ruma};

/// The versions of the specification that the server speaks, oldest first.
const VERSIONS: [&str; 22] = [
    "r0.5.0", "r0.6.0", "r0.6.1", "v1.1", "v1.2", "v1.3", "v1.4", "v1.5", "v1.6", "v1.7", "v1.8",
    "v1.9", "v1.10", "v1.11", "v1.12", "v1.13", "v1.14", "v1.15", "v1.16", "v1.17", "v1.18", "v1.19",
];

async fn versions(
    _: Anyone,
    Ruma(_): Ruma<get_supported_versions::Request>,
) -> Result<Ruma<get_supported_versions::Response>> {
    let versions = VERSIONS.iter().map(|&version| version.to_owned()).collect();
    Ok(Ruma(get_supported_versions::Response::new(versions)))
}

/// The routes of this file.
pub fn routes(routes: Routes) -> Routes {
    routes.ruma(versions)
}
