//! `PUT /_matrix/federation/v1/send/{txnId}`
//!
//! What another server sends: events and EDUs.
//!
//! Spec: <https://spec.matrix.org/v1.19/server-server-api/#put_matrixfederationv1sendtxnid>

use axum::extract::State;
use pli_core::federation::{Inbound, Transaction};
use pli_schema::limits;
use ruma::{api::federation::transactions::send_transaction_message::v1, serde::Raw};

use super::FromServer;
use crate::{Error, Result, Routes, Ruma};

async fn send(
    State(inbound): State<Inbound>,
    FromServer { origin, request }: FromServer<v1::Request>,
) -> Result<Ruma<v1::Response>> {
    if request.origin != origin {
        let text = "The transaction is not of the server that signed the request";
        return Err(Error::from(pli_core::Error::invalid_param(text)));
    }
    let transaction = Transaction {
        origin,
        id: request.transaction_id,
        pdus: request.pdus,
        edus: request.edus.into_iter().map(Raw::into_json).collect(),
    };
    let outcomes = inbound.transaction(transaction).await?;
    Ok(Ruma(v1::Response::new(outcomes.as_ref().clone())))
}

/// The routes of this file.
pub fn routes(routes: Routes) -> Routes {
    routes.body_limit(limits::TRANSACTION_BYTES).ruma(send)
}
