//! Application services and the accounts that they act for.
//!
//! Spec: <https://spec.matrix.org/v1.19/application-service-api/#identity-assertion>

use std::sync::Arc;

use pli_schema::{
    Language,
    records::accounts::{AccountKind, AccountRecord, DeviceKey, DeviceRecord},
};
use ruma::{DeviceId, OwnedDeviceId, OwnedUserId, UserId};

use super::{
    Accounts, Authenticated, DeviceWish, LoginIdentifier, Registered, Session, names,
    registration::NewAccount, tokens::check_wish,
};
use crate::{
    Error, Result,
    appservices::{Appservice, Appservices},
    encryption,
};

/// As whom an application service wants to act.
#[derive(Clone, Debug, Default)]
pub struct Assertion {
    /// The user (`user_id`); without it the service's own.
    pub user_id: Option<String>,
    /// The device (`device_id`); without it none.
    pub device_id: Option<String>,
}

impl Accounts {
    /// The application services.
    #[must_use]
    pub fn appservices(&self) -> &Appservices {
        &self.settings.appservices
    }

    /// The application service of an access token, for what only services may do.
    ///
    /// # Errors
    /// [`Error::MissingToken`], [`Error::UnknownToken`].
    pub fn appservice(&self, token: Option<&str>) -> Result<&Arc<Appservice>> {
        let token = token.ok_or(Error::MissingToken)?;
        let service = self.appservices().by_token(token);
        service.ok_or(Error::UnknownToken { soft_logout: false })
    }

    /// Who an application service acts as.
    ///
    /// # Errors
    /// [`Error::Forbidden`] for a user that the service does not take care of or has not registered;
    /// [`Error::UnknownDevice`]; [`Error::InvalidParam`]; [`Error::UserDeactivated`],
    /// [`Error::UserLocked`].
    pub async fn assert_identity(
        &self,
        service: &Appservice,
        assertion: &Assertion,
    ) -> Result<Authenticated> {
        let user_id = match &assertion.user_id {
            Some(user_id) => UserId::parse(user_id)
                .map_err(|_| Error::invalid_param("`user_id` is not a user id"))?,
            None => service.sender.clone(),
        };
        if !service.covers_user(&user_id) {
            let text = "The application service does not take care of this user";
            return Err(Error::forbidden(text));
        }
        let account = self.account_of(service, &user_id).await?;
        if account.deactivated {
            return Err(Error::UserDeactivated);
        }
        if account.locked {
            return Err(Error::UserLocked);
        }
        let device_id = match assertion.device_id.as_deref().filter(|id| !id.is_empty()) {
            Some(device_id) => {
                let device_id = OwnedDeviceId::from(device_id);
                let known = self.device(&user_id, &device_id).await;
                known.map_err(|error| match error {
                    Error::NotFound(_) => {
                        Error::UnknownDevice("The user has no such device".to_owned())
                    }
                    other => other,
                })?;
                device_id
            }
            // No real device has an empty id.
            None => OwnedDeviceId::from(""),
        };
        Ok(Authenticated {
            user_id,
            device_id,
            is_guest: account.kind == AccountKind::MatrixGuest,
            is_admin: account.admin,
            is_suspended: account.suspended,
            appservice: Some(Arc::clone(&service.id)),
        })
    }

    /// The account of a user of a service; that of the service itself is made when it is first used.
    async fn account_of(&self, service: &Appservice, user_id: &UserId) -> Result<AccountRecord> {
        if let Some(account) = self.account(user_id).await? {
            return Ok(account);
        }
        let unregistered =
            || Error::forbidden("The application service has not registered this user");
        if service.sender != user_id {
            return Err(unregistered());
        }
        match self.create_passwordless(user_id).await {
            // Another request was first.
            Ok(()) | Err(Error::UserInUse(_)) => {}
            Err(error) => return Err(error),
        }
        self.account(user_id).await?.ok_or_else(unregistered)
    }

    /// Registers a user of an application service. Nothing is to be proven.
    ///
    /// # Errors
    /// [`Error::Exclusive`] for a name outside of the service's namespaces; [`Error::UserInUse`],
    /// [`Error::InvalidUsername`], [`Error::MissingParam`].
    pub async fn register_for_appservice(
        &self,
        service: &Appservice,
        username: Option<&str>,
        device: Option<&DeviceWish>,
    ) -> Result<Registered> {
        let username = username.ok_or_else(|| Error::missing_param("username is missing"))?;
        let user_id = names::user_id_of_service(username, &self.settings.server_name)?;
        self.require_own(service, &user_id)?;
        self.create_passwordless(&user_id).await?;
        let session = match device {
            Some(device) => Some(self.login_as(&user_id, device).await?),
            None => None,
        };
        Ok(Registered { user_id, session })
    }

    /// Logs a user of an application service in.
    ///
    /// # Errors
    /// [`Error::Exclusive`] for a user that the service does not take care of; [`Error::Forbidden`] for
    /// one that does not exist; as [`Self::login_as`].
    pub async fn login_for_appservice(
        &self,
        service: &Appservice,
        identifier: &LoginIdentifier,
        wish: &DeviceWish,
    ) -> Result<Session> {
        let LoginIdentifier::User(name) = identifier else {
            return Err(Error::invalid_param("Application services name the user"));
        };
        let user_id = match UserId::parse(name) {
            Ok(user_id) => user_id,
            Err(_) => names::user_id_of_service(name, &self.settings.server_name)?,
        };
        self.require_own(service, &user_id)?;
        if service.sender == user_id {
            self.account_of(service, &user_id).await?;
        }
        self.login_as(&user_id, wish).await
    }

    /// Pings an application service; returns how long that took, in milliseconds.
    ///
    /// # Errors
    /// [`Error::Ping`]; [`Error::NotFound`] if there is no such service.
    pub async fn ping_appservice(&self, id: &str, transaction_id: Option<&str>) -> Result<u64> {
        let missing = || Error::not_found("There is no such application service");
        let service = self.appservices().by_id(id).ok_or_else(missing)?;
        self.appservices().ping(service, &self.clock, transaction_id).await
    }

    fn require_own(&self, service: &Appservice, user_id: &UserId) -> Result<()> {
        if !service.covers_user(user_id)
            || self.appservices().is_exclusive_user(user_id, Some(&service.id))
        {
            let text = "The application service does not take care of this user";
            return Err(Error::Exclusive(text.to_owned()));
        }
        Ok(())
    }

    async fn create_passwordless(&self, user_id: &UserId) -> Result<()> {
        let account = &NewAccount {
            password_hash: None,
            kind: AccountKind::Agent,
            admin: false,
            from_email: false,
            language: Language::default(),
            display_name: user_id.localpart().to_owned(),
        };
        self.store.write(|tx| async move { self.create(&tx, user_id, account.clone()).await }).await
    }

    /// Gives a device a name, or makes it if the user has none of this id: for application services.
    /// Whether it was made.
    ///
    /// # Errors
    /// [`Error::InvalidParam`], [`Error::TooLarge`] for an id or a name that cannot be.
    pub async fn put_device(
        &self,
        user_id: &UserId,
        device_id: &DeviceId,
        name: Option<&str>,
    ) -> Result<bool> {
        match self.rename_device(user_id, device_id, name).await {
            Err(Error::NotFound(_)) => {}
            other => return other.map(|()| false),
        }
        let wish = DeviceWish {
            device_id: Some(device_id.to_owned()),
            initial_display_name: name.map(str::to_owned),
            refresh_token: false,
        };
        check_wish(&wish)?;
        let now_ms = self.clock.now_ms();
        let key = &DeviceKey { user_id: user_id.to_owned(), device_id: device_id.to_owned() };
        let record = &DeviceRecord {
            display_name: wish.initial_display_name,
            created_ms: now_ms,
            last_seen_ms: now_ms,
            last_seen_ip: None,
            tokens: Vec::new(),
        };
        self.store
            .write(|tx| async move {
                if tx.get(key).await?.is_some() {
                    return Ok(false);
                }
                tx.put(key, record)?;
                encryption::device_list_changed(&tx, user_id).await?;
                Ok::<_, Error>(true)
            })
            .await
    }

    /// Asks the application services for a user of this server who has no account yet.
    pub(super) async fn query_services(&self, user_id: &UserId) -> Result<bool> {
        Ok(self.appservices().query_user(user_id).await && self.account(user_id).await?.is_some())
    }

    /// A name that belongs to an application service is nobody's to choose.
    pub(super) fn refuse_exclusive(&self, user_id: &OwnedUserId) -> Result<()> {
        if self.appservices().is_exclusive_user(user_id, None) {
            let text = "This name belongs to an application service";
            return Err(Error::Exclusive(text.to_owned()));
        }
        Ok(())
    }
}
