//! A request of another server: its signature checked, then read with ruma.

use axum::{
    RequestExt,
    extract::{FromRequest, RawPathParams, Request},
};
use ruma::{
    OwnedServerName,
    api::{IncomingRequest, IncomingRequestExt, federation::authentication::ServerSignatures},
};

use crate::{
    AppState, Error,
    extract::{read_body, refusal, refuse_what_is_no_json},
};

/// A request of another server, as the last argument of a handler. A handler that answers servers cannot
/// be written without knowing which one asks.
#[derive(Clone, Debug)]
pub struct FromServer<T> {
    /// The server that signed the request.
    pub origin: OwnedServerName,
    /// The request.
    pub request: T,
}

impl<T> FromRequest<AppState> for FromServer<T>
where
    T: IncomingRequest<Authentication = ServerSignatures> + Send,
{
    type Rejection = Error;

    async fn from_request(mut request: Request, state: &AppState) -> Result<Self, Error> {
        let params: RawPathParams = request
            .extract_parts()
            .await
            .map_err(|_| pli_core::Error::invalid_param("A path parameter is not UTF-8"))?;
        let args: Vec<&str> = params.iter().map(|(_, value)| value).collect();
        let (parts, body) = request.with_limited_body().into_parts();
        let body = read_body(body).await?;
        refuse_what_is_no_json(&body, &parts)?;
        let request = http::Request::from_parts(parts, body.as_ref());
        let origin = state.signed.origin(&request).await?;
        let request = T::try_from_http_request(request, &args)
            .map_err(|error| Error::from(refusal(&error)))?;
        Ok(Self { origin, request })
    }
}
