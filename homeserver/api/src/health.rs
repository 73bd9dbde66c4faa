//! `GET /health/live`
//! `GET /health/ready`
//! `GET /metrics`
//!
//! For orchestrators and Prometheus; Pli's own, see `docs/admin-guide.md`.

use std::time::Duration;

use axum::{
    Json, Router,
    extract::State,
    response::{IntoResponse, Response},
    routing::get,
};
use http::{Method, StatusCode};
use metrics::SetRecorderError;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusRecorder};
use pli_core::{Rooms, federation::Sender};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::{Routes, state::Stopping};

async fn live() -> Response {
    Json(json!({ "status": "live" })).into_response()
}

/// Ready: the store can be read and the server is not about to stop.
async fn ready(State(stopping): State<Stopping>, State(rooms): State<Rooms>) -> Response {
    let store = rooms.store();
    let problem = if stopping.0.is_cancelled() {
        Some("stopping")
    } else if store.get(&pli_schema::records::meta::FormatKey {}).await.is_err() {
        Some("store")
    } else {
        None
    };
    match problem {
        None => {
            let position = store.position().0;
            Json(json!({ "status": "ready", "position": position })).into_response()
        }
        Some(problem) => {
            let body = Json(json!({ "status": "not ready", "problem": problem }));
            (StatusCode::SERVICE_UNAVAILABLE, body).into_response()
        }
    }
}

/// The routes of this file, but for `/metrics`.
pub fn routes(routes: Routes) -> Routes {
    routes.path(&Method::GET, "/health/live", live).path(&Method::GET, "/health/ready", ready)
}

/// How often it is looked at how it stands with other servers.
const SENDING_EVERY: Duration = Duration::from_secs(15);

/// Keeps the metrics of what is sent to other servers, until `stop` is cancelled.
pub async fn measure_sending(sender: Sender, stop: CancellationToken) {
    loop {
        match sender.totals().await {
            Ok(totals) => {
                let count = |count: u64| u32::try_from(count).unwrap_or(u32::MAX);
                metrics::gauge!("pli_federation_destinations").set(count(totals.destinations));
                metrics::gauge!("pli_federation_destinations_failing").set(count(totals.failing));
            }
            Err(error) => tracing::warn!(%error, "servers could not be counted"),
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(SENDING_EVERY) => {}
        }
    }
}

/// Starts the metrics of this process and gives the router of their listener.
///
/// # Errors
/// If the process has metrics already.
pub fn metrics_router() -> Result<Router, SetRecorderError<PrometheusRecorder>> {
    let recorder = PrometheusBuilder::new().build_recorder();
    let handle = recorder.handle();
    metrics::set_global_recorder(recorder)?;
    Ok(Router::new().route("/metrics", get(move || std::future::ready(handle.render()))))
}
