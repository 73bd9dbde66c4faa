//! `GET /_matrix/client/v1/media/preview_url`
//! `GET /_matrix/media/v3/preview_url`
//!
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv1mediapreview_url>. Where
//! previews are off every page is one with nothing to show, which clients take without a word.

#![expect(deprecated, reason = "the path from before v1.11 is served too")]

use axum::extract::State;
use pli_core::previews::Previews;
use ruma::api::client::{
    authenticated_media::get_media_preview as authenticated, media::get_media_preview as legacy,
};

use crate::{PreferredLanguage, RawJson, Result, Routes, Ruma, User};

async fn preview(
    State(previews): State<Previews>,
    _: User,
    PreferredLanguage(language): PreferredLanguage,
    Ruma(request): Ruma<authenticated::v1::Request>,
) -> Result<RawJson> {
    Ok(RawJson(previews.of(&request.url, language).await?.into()))
}

async fn legacy_preview(
    State(previews): State<Previews>,
    _: User,
    PreferredLanguage(language): PreferredLanguage,
    Ruma(request): Ruma<legacy::v3::Request>,
) -> Result<RawJson> {
    Ok(RawJson(previews.of(&request.url, language).await?.into()))
}

/// The routes of this file.
pub fn routes(routes: Routes) -> Routes {
    routes.ruma(preview).ruma(legacy_preview)
}
