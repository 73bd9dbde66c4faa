//! `POST /_matrix/client/v3/keys/device_signing/upload`
//!
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3keysdevice_signingupload>

use axum::extract::State;
use pli_core::{
    accounts::{Accounts, Operation},
    encryption::{CrossSigningUpload, Encryption},
};
use ruma::api::client::keys::upload_signing_keys;

use crate::{Result, Routes, Ruma, User};

async fn upload(
    State(encryption): State<Encryption>,
    State(accounts): State<Accounts>,
    user: User,
    Ruma(request): Ruma<upload_signing_keys::v3::Request>,
) -> Result<Ruma<upload_signing_keys::v3::Response>> {
    let keys = (&request.master_key, &request.self_signing_key, &request.user_signing_key);
    let operation = Operation::new("POST /keys/device_signing/upload", &keys)?;
    let upload = CrossSigningUpload {
        master_key: request.master_key,
        self_signing_key: request.self_signing_key,
        user_signing_key: request.user_signing_key,
    };
    let user_id = user.user_id();
    let needed = encryption.cross_signing_needs_authentication(user_id, &upload).await?;
    if needed && user.appservice.is_none() {
        let auth = request.auth.as_ref();
        accounts.confirm_cross_signing_reset(&user, &operation, auth).await?;
    }
    encryption.upload_cross_signing_keys(user_id, &upload, needed).await?;
    if needed {
        accounts.end_cross_signing_approval(user_id);
    }
    Ok(Ruma(upload_signing_keys::v3::Response::new()))
}

/// The routes of this file.
pub fn routes(routes: Routes) -> Routes {
    routes.ruma(upload)
}
