//! `POST /_matrix/media/v3/upload`
//! `POST /_matrix/media/v1/create`
//! `PUT /_matrix/media/v3/upload/{serverName}/{mediaId}`
//!
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#content-repository>

use axum::{
    body::{Body, BodyDataStream},
    extract::{Path, Query, State, rejection::PathRejection},
};
use http::{HeaderMap, Uri, header};
use pli_core::media::{Media, Meta, UploadError};
use ruma::{
    MilliSecondsSinceUnixEpoch, OwnedServerName, UInt,
    api::client::media::{create_content, create_content_async, create_mxc_uri},
};

use crate::{Error, RawJson, Result, Routes, Ruma, User};

/// The file name is in the query, the content type in the headers.
fn meta(headers: &HeaderMap, uri: &Uri) -> Result<Meta> {
    let content_type = headers.get(header::CONTENT_TYPE).map(|value| value.to_str());
    let content_type = content_type
        .transpose()
        .map_err(|_| pli_core::Error::invalid_param("The content type is not ASCII"))?;
    let Query(fields) = Query::<Vec<(String, String)>>::try_from_uri(uri)
        .map_err(|_| pli_core::Error::invalid_param("The query is malformed"))?;
    let file_name = fields.into_iter().find(|(name, _)| name == "filename").map(|(_, value)| value);
    Ok(Meta { content_type: content_type.map(str::to_owned), file_name })
}

/// Refuses what says itself that it is too large, before any of it is read.
fn check_length(headers: &HeaderMap, media: &Media) -> Result<()> {
    let length = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok());
    let length = length.and_then(|value| value.parse::<u64>().ok());
    if length.is_some_and(|length| length > media.upload_limit_bytes()) {
        return Err(pli_core::Error::too_large("The file is too large").into());
    }
    Ok(())
}

fn failure(error: UploadError<axum::Error>) -> Error {
    match error {
        UploadError::Core(error) => error.into(),
        UploadError::Source(_) => {
            pli_core::Error::invalid_param("The upload ended too early").into()
        }
    }
}

fn stream(body: Body) -> BodyDataStream {
    body.into_data_stream()
}

async fn upload(
    State(media): State<Media>,
    user: User,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Result<Ruma<create_content::v3::Response>> {
    check_length(&headers, &media)?;
    let meta = meta(&headers, &uri)?;
    let uri = media.upload(user.user_id(), &meta, stream(body)).await.map_err(failure)?;
    Ok(Ruma(create_content::v3::Response::new(uri)))
}

async fn create(
    State(media): State<Media>,
    user: User,
    Ruma(_): Ruma<create_mxc_uri::v1::Request>,
) -> Result<Ruma<create_mxc_uri::v1::Response>> {
    let (uri, until_ms) = media.create(user.user_id()).await?;
    let mut response = create_mxc_uri::v1::Response::new(uri);
    let until = MilliSecondsSinceUnixEpoch(UInt::new_saturating(until_ms));
    response.unused_expires_at = Some(until);
    Ok(Ruma(response))
}

async fn upload_to(
    State(media): State<Media>,
    user: User,
    place: std::result::Result<Path<(String, String)>, PathRejection>,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Result<RawJson> {
    check_length(&headers, &media)?;
    let meta = meta(&headers, &uri)?;
    let no_media = || pli_core::Error::not_found("There is no such media");
    let Path((server_name, media_id)) = place.map_err(|_| no_media())?;
    let server_name = OwnedServerName::try_from(server_name).map_err(|_| no_media())?;
    let place = (&*server_name, media_id.as_str());
    media.upload_to(user.user_id(), place, &meta, stream(body)).await.map_err(failure)?;
    Ok(RawJson("{}".into()))
}

/// The routes of this file.
pub fn routes(routes: Routes) -> Routes {
    routes
        .at::<create_content::v3::Request, _, _>(upload)
        .ruma(create)
        .at::<create_content_async::v3::Request, _, _>(upload_to)
}
