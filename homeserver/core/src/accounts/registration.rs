//! Registration: who may make an account, with which proof, under which name.
//!
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#account-registration>

use std::collections::BTreeMap;

use pli_schema::{
    EmailAddress, Language, Topic,
    records::{
        accounts::{
            AccountKey, AccountKind, AccountRecord, AdminKey, ProfileKey, ProfileRecord, Purpose,
            SecretHash,
        },
        policy::DomainKind,
    },
};
use pli_store::Tx;
use ruma::{
    OwnedUserId, UserId,
    api::client::uiaa::{
        AuthData, AuthType, LoginTermsParams, PolicyDefinition, PolicyTranslation,
    },
};
use serde_json::value::RawValue;

use super::{
    Accounts, Operation, Secret, Session, names,
    tokens::{DeviceWish, FreshTokens},
    uia::{Proof, Stages},
};
use crate::{
    Error, Result,
    policy::{Answer, Grant},
};

/// A request to register.
#[derive(Clone, Debug)]
pub struct RegisterRequest {
    /// What the request asks for, for the authentication session.
    pub operation: Operation,
    /// The name that the client wishes. Ignored where the name comes from an e-mail address.
    pub username: Option<String>,
    /// The password.
    pub password: Option<Secret>,
    /// The first device.
    pub device: DeviceWish,
    /// Do not log in.
    pub inhibit_login: bool,
    /// The language of the person.
    pub language: Language,
    /// The stage that is passed with this request.
    pub auth: Option<AuthData>,
    /// The guest who becomes a user with this ([`Accounts::guest_of_token`]).
    pub guest: Option<OwnedUserId>,
}

/// An account that has been made.
#[derive(Clone, Debug)]
pub struct Registered {
    /// The user.
    pub user_id: OwnedUserId,
    /// The first session, unless it was not wanted.
    pub session: Option<Session>,
}

/// An account to be made.
#[derive(Clone, Debug)]
pub(super) struct NewAccount {
    pub password_hash: Option<String>,
    pub kind: AccountKind,
    pub admin: bool,
    pub from_email: bool,
    pub language: Language,
    pub display_name: String,
}

impl Accounts {
    /// Registers an account.
    ///
    /// # Errors
    /// [`Error::Uia`] with what is to be proven; [`Error::UserInUse`], [`Error::InvalidUsername`],
    /// [`Error::Exclusive`] for names; [`Error::WeakPassword`]; [`Error::ThreepidDenied`] for an address
    /// that may not register; [`Error::Forbidden`].
    pub async fn register(&self, request: RegisterRequest) -> Result<Registered> {
        if let Some(password) = &request.password {
            self.passwords.check_rules(password)?;
        }
        if let Some(guest) = &request.guest {
            require_own_name(guest, request.username.as_deref())?;
        } else if self.name_matters(&request) && request.username.is_some() {
            self.check_username(request.username.as_deref().unwrap_or_default()).await?;
        }
        if request.password.is_none() && matches!(request.auth, Some(AuthData::EmailIdentity(_))) {
            return Err(Error::missing_param("password is missing"));
        }
        let stages = Stages {
            operation: &request.operation,
            who: None,
            flows: self.registration_flows(),
            params: self.terms_params()?,
            purpose: Purpose::Register,
        };
        let proofs = self.pass(&stages, request.auth.as_ref()).await?;
        let password_hash = match &request.password {
            Some(password) => Some(self.passwords.hash(password).await?),
            None => None,
        };
        let fresh = &self.fresh_tokens(&request.device);
        let (request, proofs, password_hash) = (&request, &proofs, &password_hash);
        let (registered, ended) = self
            .store
            .write(|tx| async move {
                let user_id = self.make_account(&tx, request, proofs, password_hash).await?;
                self.first_session(&tx, user_id, request, fresh).await
            })
            .await?;
        self.forget_tokens(&ended);
        if let Some(guest) = &request.guest {
            self.forget_tokens(&self.access_tokens_of(guest).await?);
        }
        Ok(registered)
    }

    async fn first_session(
        &self,
        tx: &Tx,
        user_id: OwnedUserId,
        request: &RegisterRequest,
        fresh: &FreshTokens,
    ) -> Result<(Registered, Vec<SecretHash>)> {
        if request.inhibit_login {
            return Ok((Registered { user_id, session: None }, Vec::new()));
        }
        let (session, ended) = self.begin_session(tx, &user_id, &request.device, fresh).await?;
        Ok((Registered { user_id, session: Some(session) }, ended))
    }

    /// Uses the proofs and makes the account that they allow.
    async fn make_account(
        &self,
        tx: &Tx,
        request: &RegisterRequest,
        proofs: &[Proof],
        password_hash: &Option<String>,
    ) -> Result<OwnedUserId> {
        let email = proofs.iter().find_map(|proof| match proof {
            Proof::Email { sid } => Some(sid),
            _ => None,
        });
        if let Some(sid) = email {
            return self.account_for_email(tx, request.language, sid, password_hash).await;
        }
        let mut admin = false;
        for proof in proofs {
            if let Proof::RegistrationToken { hash } = proof {
                admin = self.use_registration_token(tx, *hash).await?;
            }
        }
        if let Some(guest) = &request.guest {
            self.promote(tx, guest, password_hash, admin).await?;
            return Ok(guest.clone());
        }
        let user_id = match &request.username {
            Some(name) => self.chosen_user_id(name)?,
            None => self.made_up_user_id()?,
        };
        let account = NewAccount {
            password_hash: password_hash.clone(),
            kind: AccountKind::Agent,
            admin,
            from_email: false,
            language: request.language,
            display_name: user_id.localpart().to_owned(),
        };
        self.create(tx, &user_id, account).await?;
        Ok(user_id)
    }

    /// Makes an account with a proof by mail that was given on a page.
    ///
    /// # Errors
    /// [`Error::Forbidden`] where people may not register by themselves, [`Error::WeakPassword`],
    /// [`Error::ThreepidAuthFailed`] without a proof, [`Error::ThreepidDenied`].
    pub async fn register_with_mail(
        &self,
        sid: &str,
        client_secret: &Secret,
        password: &Secret,
        language: Language,
    ) -> Result<OwnedUserId> {
        self.check_registration_open()?;
        self.passwords.check_rules(password)?;
        if self.proof(Purpose::Register, sid, client_secret).await?.is_none() {
            let text = "The e-mail address is not proven";
            return Err(Error::ThreepidAuthFailed(text.to_owned()));
        }
        let hash = &Some(self.passwords.hash(password).await?);
        self.store
            .write(|tx| async move { self.account_for_email(&tx, language, sid, hash).await })
            .await
    }

    /// Whether people may make accounts by themselves.
    ///
    /// # Errors
    /// [`Error::Forbidden`] if not.
    pub fn check_registration_open(&self) -> Result<()> {
        if self.settings.registration.enabled {
            return Ok(());
        }
        Err(Error::forbidden("Registration is closed on this server"))
    }

    /// Makes the account of an address that a mail has proven.
    async fn account_for_email(
        &self,
        tx: &Tx,
        language: Language,
        sid: &str,
        password_hash: &Option<String>,
    ) -> Result<OwnedUserId> {
        let proof = self.use_proof(tx, Purpose::Register, sid).await?;
        let validated_at_ms = proof.validated_at_ms.unwrap_or_default();
        let proven = (&proof.address, validated_at_ms);
        self.account_for_address(tx, proven, language, password_hash.clone()).await
    }

    /// Makes the account of a proven address (with the time of the proof). Name and display name come
    /// from the address, whatever the client wished. The rules are asked again: they may have changed
    /// since the mail.
    pub(super) async fn account_for_address(
        &self,
        tx: &Tx,
        (address, validated_at_ms): (&EmailAddress, u64),
        language: Language,
        password_hash: Option<String>,
    ) -> Result<OwnedUserId> {
        let grant = match self.policy.for_address_in(tx, address).await? {
            Answer::Allow(grant) => grant,
            Answer::Refuse(refusal) => {
                return Err(Error::ThreepidDenied(refusal.text(language).to_owned()));
            }
        };
        let Some(user_id) = self.free_user_id(tx, address).await? else {
            return Err(in_use());
        };
        let account = NewAccount {
            password_hash,
            kind: match grant.kind {
                DomainKind::Guest => AccountKind::Guest,
                DomainKind::Agent | DomainKind::Blocked => AccountKind::Agent,
            },
            admin: false,
            from_email: true,
            language,
            display_name: names::display_name_for(address, grant.organization.as_deref()),
        };
        self.create(tx, &user_id, account).await?;
        self.own_email(tx, &user_id, address, validated_at_ms).await?;
        Ok(user_id)
    }

    /// The user id and the display name that the owner of an address would get now.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn names_of(
        &self,
        address: &EmailAddress,
        grant: &Grant,
    ) -> Result<(Option<OwnedUserId>, String)> {
        let user_id =
            self.store.write(|tx| async move { self.free_user_id(&tx, address).await }).await?;
        Ok((user_id, names::display_name_for(address, grant.organization.as_deref())))
    }

    async fn free_user_id(&self, tx: &Tx, address: &EmailAddress) -> Result<Option<OwnedUserId>> {
        for user_id in names::names_for(address, &self.settings.server_name) {
            if self.refuse_exclusive(&user_id).is_err() {
                continue;
            }
            if tx.get(&AccountKey { user_id: user_id.clone() }).await?.is_none() {
                return Ok(Some(user_id));
            }
        }
        Ok(None)
    }

    /// Makes an account.
    pub(super) async fn create(&self, tx: &Tx, user_id: &UserId, new: NewAccount) -> Result<()> {
        let key = AccountKey { user_id: user_id.to_owned() };
        if tx.get(&key).await?.is_some() {
            return Err(in_use());
        }
        let record = AccountRecord {
            password_hash: new.password_hash,
            kind: new.kind,
            admin: new.admin,
            from_email: new.from_email,
            created_ms: self.clock.now_ms(),
            language: new.language,
            deactivated: false,
            erased: false,
            locked: false,
            suspended: false,
        };
        tx.put(&key, &record)?;
        if new.admin {
            tx.put(&AdminKey { user_id: user_id.to_owned() }, &())?;
        }
        let name = ProfileKey { user_id: user_id.to_owned(), field: "displayname".to_owned() };
        let json = serde_json::Value::from(new.display_name).to_string();
        tx.put(&name, &ProfileRecord { json })?;
        tx.wake(Topic::User(user_id.to_owned()));
        Ok(())
    }

    /// Makes an account without asking for proofs: for what has authenticated in another way
    /// (registration with a shared secret, application services) and for tests.
    ///
    /// # Errors
    /// [`Error::UserInUse`], [`Error::InvalidUsername`], [`Error::WeakPassword`].
    pub async fn create_account(
        &self,
        username: &str,
        password: Option<&Secret>,
        admin: bool,
    ) -> Result<OwnedUserId> {
        let user_id = &names::user_id_for(username, &self.settings.server_name)?;
        let password_hash = match password {
            Some(password) => {
                self.passwords.check_rules(password)?;
                Some(self.passwords.hash(password).await?)
            }
            None => None,
        };
        let account = &NewAccount {
            password_hash,
            kind: AccountKind::Agent,
            admin,
            from_email: false,
            language: Language::default(),
            display_name: user_id.localpart().to_owned(),
        };
        self.store
            .write(|tx| async move { self.create(&tx, user_id, account.clone()).await })
            .await?;
        Ok(user_id.clone())
    }

    /// Whether a name could be registered now.
    ///
    /// # Errors
    /// [`Error::UserInUse`], [`Error::InvalidUsername`]; [`Error::Exclusive`] for names that come from
    /// e-mail addresses, whether they are taken or not.
    pub async fn check_username(&self, username: &str) -> Result<()> {
        let user_id = self.chosen_user_id(username)?;
        match self.account(&user_id).await? {
            Some(_) => Err(in_use()),
            None => Ok(()),
        }
    }

    fn chosen_user_id(&self, username: &str) -> Result<OwnedUserId> {
        let small = username.to_ascii_lowercase();
        if let Ok(user_id) = names::user_id_of_service(&small, &self.settings.server_name) {
            self.refuse_exclusive(&user_id)?;
        }
        let user_id = names::user_id_for(username, &self.settings.server_name)?;
        let open = self.settings.test_deployment.open_registration;
        if !open && names::looks_like_an_address(user_id.localpart()) {
            let text = "Names of this form belong to e-mail addresses";
            return Err(Error::Exclusive(text.to_owned()));
        }
        if user_id.localpart().bytes().all(|byte| byte.is_ascii_digit()) {
            let text = "Names of digits only belong to guests";
            return Err(Error::InvalidUsername(text.to_owned()));
        }
        Ok(user_id)
    }

    pub(super) fn made_up_user_id(&self) -> Result<OwnedUserId> {
        let local = self.random.digits(16);
        UserId::parse(format!("@{local}:{}", self.settings.server_name))
            .map_err(|_| Error::bug("a made-up user id is not valid"))
    }

    /// The name is checked early where the person chooses it, and only there: else the answer would say
    /// who has an account.
    fn name_matters(&self, request: &RegisterRequest) -> bool {
        let chooses =
            matches!(request.auth, Some(AuthData::RegistrationToken(_) | AuthData::Dummy(_)));
        self.settings.test_deployment.open_registration || chooses
    }

    fn registration_flows(&self) -> Vec<Vec<AuthType>> {
        let registration = &self.settings.registration;
        let mut first = Vec::new();
        if self.settings.test_deployment.open_registration {
            first.push(AuthType::Dummy);
        }
        if registration.enabled {
            first.push(AuthType::EmailIdentity);
        }
        first.push(AuthType::RegistrationToken);
        let with_terms = |stage: AuthType| match registration.terms.is_empty() {
            true => vec![stage],
            false => vec![AuthType::Terms, stage],
        };
        first.into_iter().map(with_terms).collect()
    }

    fn terms_params(&self) -> Result<Option<Box<RawValue>>> {
        let terms = &self.settings.registration.terms;
        if terms.is_empty() {
            return Ok(None);
        }
        let policies = terms.iter().map(|document| {
            let translations = [("fr", &document.fr), ("en", &document.en)]
                .map(|(tag, it)| {
                    (tag.to_owned(), PolicyTranslation::new(it.name.clone(), it.url.clone()))
                })
                .into_iter()
                .collect();
            (document.id.clone(), PolicyDefinition::new(document.version.clone(), translations))
        });
        let params = BTreeMap::from([("m.login.terms", LoginTermsParams::new(policies.collect()))]);
        serde_json::value::to_raw_value(&params)
            .map(Some)
            .map_err(|error| Error::Bug(format!("terms: {error}")))
    }
}

/// The name in the request must be the guest's ("required to specify the `username`").
fn require_own_name(guest: &UserId, username: Option<&str>) -> Result<()> {
    match username {
        None => Err(Error::missing_param("`username` must be the guest's")),
        Some(name) if name == guest.localpart() || name == guest.as_str() => Ok(()),
        Some(_) => Err(Error::forbidden("`username` must be the guest's")),
    }
}

fn in_use() -> Error {
    Error::UserInUse("The user name is taken".to_owned())
}
