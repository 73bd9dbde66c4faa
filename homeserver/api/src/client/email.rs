//! `POST /_matrix/client/v3/register/email/requestToken`
//! `POST /_matrix/client/v3/account/password/email/requestToken`
//! `POST /_matrix/client/v3/account/3pid/email/requestToken`
//! `POST /_matrix/client/v3/register/msisdn/requestToken`
//! `POST /_matrix/client/v3/account/password/msisdn/requestToken`
//! `POST /_matrix/client/v3/account/3pid/msisdn/requestToken`
//!
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#account-registration>. `next_link` is not
//! followed: the page that the mail links to sends nobody to an address that a stranger may have chosen.

use axum::extract::State;
use pli_core::{
    Error,
    accounts::{Accounts, Secret, ValidationRequest},
};
use pli_schema::{Language, records::accounts::Purpose};
use ruma::{
    OwnedClientSecret, OwnedSessionId, SessionId, UInt,
    api::client::account::{
        request_3pid_management_token_via_email as for_account,
        request_3pid_management_token_via_msisdn as phone_for_account,
        request_password_change_token_via_email as for_password,
        request_password_change_token_via_msisdn as phone_for_password,
        request_registration_token_via_email as for_registration,
        request_registration_token_via_msisdn as phone_for_registration,
    },
};

use crate::{PreferredLanguage, Result, Routes, Ruma, pages::validate_email};

/// What the three requests have in common.
struct Asked {
    purpose: Purpose,
    client_secret: OwnedClientSecret,
    email: String,
    send_attempt: UInt,
}

async fn ask(
    accounts: &Accounts,
    language: Language,
    asked: Asked,
) -> Result<(OwnedSessionId, Option<String>)> {
    let request = ValidationRequest {
        purpose: asked.purpose,
        client_secret: Secret::from(asked.client_secret.as_str()),
        address: asked.email,
        send_attempt: asked.send_attempt.into(),
        language,
    };
    let sid = accounts.request_validation(request).await?;
    let sid = SessionId::parse(&sid).map_err(|_| Error::bug("the id of a session is not one"))?;
    let submit_url = format!("{}{}", accounts.settings().base_url, validate_email::PATH);
    Ok((sid, Some(submit_url)))
}

macro_rules! email_endpoint {
    ($name:ident, $module:ident, $purpose:expr) => {
        async fn $name(
            State(accounts): State<Accounts>,
            PreferredLanguage(language): PreferredLanguage,
            Ruma(request): Ruma<$module::v3::Request>,
        ) -> Result<Ruma<$module::v3::Response>> {
            let asked = Asked {
                purpose: $purpose,
                client_secret: request.client_secret,
                email: request.email,
                send_attempt: request.send_attempt,
            };
            let (sid, submit_url) = ask(&accounts, language, asked).await?;
            let mut response = $module::v3::Response::new(sid);
            response.submit_url = submit_url;
            Ok(Ruma(response))
        }
    };
}
email_endpoint!(email_for_registration, for_registration, Purpose::Register);
email_endpoint!(email_for_password, for_password, Purpose::ResetPassword);
email_endpoint!(email_for_account, for_account, Purpose::AddEmail);

macro_rules! phone_endpoint {
    ($name:ident, $module:ident) => {
        async fn $name(
            Ruma(_): Ruma<$module::v3::Request>,
        ) -> Result<Ruma<$module::v3::Response>> {
            let text = "This server does not use phone numbers";
            Err(Error::ThreepidDenied(text.to_owned()).into())
        }
    };
}
phone_endpoint!(phone_registration, phone_for_registration);
phone_endpoint!(phone_password, phone_for_password);
phone_endpoint!(phone_account, phone_for_account);

/// The routes of this file.
pub fn routes(routes: Routes) -> Routes {
    routes
        .ruma(email_for_registration)
        .ruma(email_for_password)
        .ruma(email_for_account)
        .ruma(phone_registration)
        .ruma(phone_password)
        .ruma(phone_account)
}
