//! Registration and reset by mail, from request to account, through a folder of mails.

use std::path::Path;

use pli_schema::{
    Language,
    account_settings::MailSettings,
    records::{
        accounts::Purpose,
        policy::{DomainEntry, DomainKind},
    },
};
use pli_store::Store;
use ruma::{
    api::client::uiaa::{AuthData, AuthType, UiaaInfo},
    server_name, user_id,
};

use super::Mailer;
use crate::{
    Clock, Error, Random, Result, TestClock,
    accounts::{
        AccountSettings, Accounts, DeviceWish, LoginIdentifier, LoginRequest, Operation,
        PasswordChange, RegisterRequest, Registered, Secret, ValidationRequest,
    },
    policy::DomainChange,
};

fn challenge<T: std::fmt::Debug>(result: Result<T>) -> UiaaInfo {
    match result {
        Err(Error::Uia(info)) => *info,
        other => panic!("expected a challenge, got {other:?}"),
    }
}

struct Post {
    accounts: Accounts,
    mailer: Mailer,
    clock: TestClock,
    folder: tempfile::TempDir,
}

fn post() -> Post {
    let clock = TestClock::new(1_700_000_000_000);
    let store = Store::in_memory();
    let name = server_name!("pli.example").to_owned();
    let mut settings = AccountSettings::for_tests(name.clone());
    settings.test_deployment.open_registration = false;
    let base_url = settings.base_url.clone();
    let random = Random::seeded(3);
    let time = Clock::Test(clock.clone());
    let accounts = Accounts::new(store.clone(), time.clone(), random.clone(), settings).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let place = (name, base_url, folder.path().to_owned());
    let mailer = Mailer::new(store, time, random, &MailSettings::default(), place).unwrap();
    Post { accounts, mailer, clock, folder }
}

impl Post {
    async fn allow(&self, domain: &str) {
        let new = DomainEntry {
            sub_domains: true,
            organization: None,
            kind: DomainKind::Agent,
            homeserver: None,
            valid_from_ms: None,
            valid_until_ms: None,
            note: None,
        };
        let admin = user_id!("@root:pli.example");
        let change = DomainChange::Put(new);
        self.accounts.policy().change(admin, domain, change, false).await.unwrap();
    }

    async fn ask(
        &self,
        purpose: Purpose,
        secret: &str,
        address: &str,
        attempt: u64,
    ) -> Result<String> {
        let request = ValidationRequest {
            purpose,
            client_secret: secret.into(),
            address: address.to_owned(),
            send_attempt: attempt,
            language: Language::En,
        };
        self.accounts.request_validation(request).await
    }

    /// Sends what waits and returns the newest mails as text, lines joined.
    async fn mails(&self) -> Vec<String> {
        self.mailer.send_due().await.unwrap();
        take_mails(self.folder.path())
    }

    async fn proven(&self, purpose: Purpose, secret: &str, address: &str) -> String {
        let sid = self.ask(purpose, secret, address, 1).await.unwrap();
        let mails = self.mails().await;
        self.accounts
            .submit_validation(&sid, Some(&secret.into()), &code_in(&mails[0]).into())
            .await
            .unwrap();
        sid
    }

    async fn register(&self, sid: &str, secret: &str, language: Language) -> Result<Registered> {
        let with = |auth| RegisterRequest {
            operation: Operation::new("POST /register", &"x").unwrap(),
            username: Some("ignored".to_owned()),
            password: Some("pass word".into()),
            device: DeviceWish::default(),
            inhibit_login: false,
            language,
            auth,
            guest: None,
        };
        let info = challenge(self.accounts.register(with(None)).await);
        let auth = email_auth(sid, secret, info.session);
        self.accounts.register(with(Some(auth))).await
    }
}

fn email_auth(sid: &str, secret: &str, session: Option<String>) -> AuthData {
    let json = serde_json::json!({
        "type": "m.login.email.identity",
        "session": session,
        "threepid_creds": { "sid": sid, "client_secret": secret },
    });
    serde_json::from_value(json).unwrap()
}

fn take_mails(folder: &Path) -> Vec<String> {
    let mut mails = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        // Soft line breaks of quoted-printable.
        mails.push(text.replace("=\r\n", "").replace("=3D", "="));
        std::fs::remove_file(path).unwrap();
    }
    mails
}

fn code_in(mail: &str) -> String {
    let is_code = |line: &&str| line.len() == 6 && line.bytes().all(|b| b.is_ascii_digit());
    mail.lines().map(str::trim).find(is_code).unwrap().to_owned()
}

fn token_in(mail: &str) -> String {
    let (_, rest) = mail.split_once("&token=").unwrap();
    rest.chars().take_while(|c| c.is_ascii_alphanumeric() || "-_".contains(*c)).collect()
}

#[tokio::test]
async fn an_agent_registers_by_mail() {
    let post = post();
    let refused = post.ask(Purpose::Register, "s1", "jane.doe@agents.example", 1).await;
    assert!(matches!(refused, Err(Error::ThreepidDenied(_))), "the list is empty");
    post.allow("agents.example").await;
    let sid = post.proven(Purpose::Register, "s1", "Jane.Doe@Agents.Example").await;
    let registered = post.register(&sid, "s1", Language::En).await.unwrap();
    assert_eq!(registered.user_id.as_str(), "@jane.doe-agents.example:pli.example");
    let profile = post.accounts.profile(&registered.user_id).await.unwrap();
    assert_eq!(profile["displayname"], "Jane Doe [Agents]");
    let emails = post.accounts.emails(&registered.user_id).await.unwrap();
    assert_eq!(emails[0].address, "jane.doe@agents.example");
    // She logs in with the address, too.
    let login = LoginRequest::Password {
        identifier: LoginIdentifier::Email("JANE.DOE@agents.example".to_owned()),
        password: "pass word".into(),
    };
    post.accounts.login(login, &DeviceWish::default()).await.unwrap();
    // The proof is used up.
    challenge(post.register(&sid, "s1", Language::En).await);
}

#[tokio::test]
async fn one_proof_makes_one_account_even_at_once() {
    let post = post();
    post.allow("agents.example").await;
    let sid = post.proven(Purpose::Register, "s1", "jane@agents.example").await;
    let tries = (0..5).map(|_| post.register(&sid, "s1", Language::En));
    let made = futures_util::future::join_all(tries).await;
    assert_eq!(made.iter().filter(|result| result.is_ok()).count(), 1);
}

#[tokio::test]
async fn others_are_refused_in_their_language_and_nothing_is_mailed() {
    let post = post();
    post.allow("agents.example").await;
    for address in [
        "mallory@elsewhere.example",
        "x@agents.example.evil.com",
        "x@agentsXexample.org",
        "x@notagents.example",
    ] {
        let refused = post.ask(Purpose::Register, "s", address, 1).await;
        assert!(matches!(refused, Err(Error::ThreepidDenied(_))), "{address}");
    }
    for address in ["a@evil.com,b@agents.example", "a@b@agents.example", "", "x@agents.example."] {
        let refused = post.ask(Purpose::Register, "s", address, 1).await;
        assert!(matches!(refused, Err(Error::InvalidParam(_))), "{address}");
    }
    assert!(post.mails().await.is_empty());
}

#[tokio::test]
async fn an_address_with_an_account_gets_the_same_answer_and_another_mail() {
    let post = post();
    post.allow("agents.example").await;
    let sid = post.proven(Purpose::Register, "s1", "jane@agents.example").await;
    post.register(&sid, "s1", Language::En).await.unwrap();
    let sid = post.ask(Purpose::Register, "s2", "jane@agents.example", 1).await.unwrap();
    assert_eq!(sid.len(), 32);
    let mails = post.mails().await;
    assert!(mails[0].contains("already") && !mails[0].contains("token="));
    // Unknown addresses get a mail on reset, and the same answer as known ones.
    post.ask(Purpose::ResetPassword, "s3", "nobody@agents.example", 1).await.unwrap();
    assert!(post.mails().await[0].contains("no account"));
    post.ask(Purpose::ResetPassword, "s4", "nobody@elsewhere.example", 1).await.unwrap();
    assert!(post.mails().await.is_empty());
}

#[tokio::test]
async fn a_session_is_for_one_address_and_one_purpose() {
    let post = post();
    post.allow("agents.example").await;
    let sid = post.ask(Purpose::Register, "s1", "a@agents.example", 1).await.unwrap();
    let other = post.ask(Purpose::Register, "s1", "b@agents.example", 2).await;
    assert!(matches!(other, Err(Error::InvalidParam(_))));
    assert_eq!(post.ask(Purpose::Register, "s1", "a@agents.example", 1).await.unwrap(), sid);
    let mails = post.mails().await;
    assert_eq!(mails.len(), 1, "the same attempt sends no second mail");
    assert_eq!(post.ask(Purpose::Register, "s1", "a@agents.example", 2).await.unwrap(), sid);
    let newer = post.mails().await;
    let submit = |secret: Option<&str>, token: String| {
        let (sid, secret) = (sid.clone(), secret.map(Secret::from));
        let accounts = post.accounts.clone();
        async move { accounts.submit_validation(&sid, secret.as_ref(), &token.into()).await }
    };
    // The newer mail voids the older one, the code needs the client's secret.
    assert!(submit(Some("s1"), code_in(&mails[0])).await.is_err());
    assert!(submit(None, code_in(&newer[0])).await.is_err());
    assert!(submit(Some("other"), code_in(&newer[0])).await.is_err());
    submit(None, token_in(&newer[0])).await.unwrap();
    // A proof for registration resets no password.
    assert!(
        post.accounts.proof(Purpose::ResetPassword, &sid, &"s1".into()).await.unwrap().is_none()
    );
    assert!(post.accounts.proof(Purpose::Register, &sid, &"s1".into()).await.unwrap().is_some());
    assert!(post.accounts.proof(Purpose::Register, &sid, &"s2".into()).await.unwrap().is_none());
}

#[tokio::test]
async fn codes_end_after_five_wrong_tries_and_after_half_an_hour() {
    let post = post();
    post.allow("agents.example").await;
    let sid = post.ask(Purpose::Register, "s1", "a@agents.example", 1).await.unwrap();
    let code = code_in(&post.mails().await[0]);
    let submit = |code: String| {
        let (accounts, sid) = (post.accounts.clone(), sid.clone());
        async move { accounts.submit_validation(&sid, Some(&"s1".into()), &code.into()).await }
    };
    for _ in 0..5 {
        assert!(matches!(submit("wrong".into()).await, Err(Error::ThreepidAuthFailed(_))));
    }
    assert!(matches!(submit(code).await, Err(Error::SessionExpired(_))));
    post.ask(Purpose::Register, "s1", "a@agents.example", 2).await.unwrap();
    let code = code_in(&post.mails().await[0]);
    post.clock.advance_ms(30 * 60_000);
    assert!(matches!(submit(code).await, Err(Error::SessionExpired(_))));
}

#[tokio::test]
async fn the_rules_are_asked_again_at_the_end() {
    let post = post();
    post.allow("agents.example").await;
    let sid = post.proven(Purpose::Register, "s1", "a@agents.example").await;
    let admin = user_id!("@root:pli.example");
    let policy = post.accounts.policy();
    let dry = policy.change(admin, "agents.example", DomainChange::Remove, true).await.unwrap();
    assert_eq!((dry.accounts, dry.pending), (0, 1));
    policy.change(admin, "agents.example", DomainChange::Remove, false).await.unwrap();
    let refused = post.register(&sid, "s1", Language::Fr).await;
    assert!(matches!(refused, Err(Error::ThreepidDenied(text)) if text.contains("autorisé")));
}

#[tokio::test]
async fn a_password_is_reset_by_mail_and_ends_the_sessions() {
    let post = post();
    post.allow("agents.example").await;
    let sid = post.proven(Purpose::Register, "s1", "a@agents.example").await;
    let registered = post.register(&sid, "s1", Language::En).await.unwrap();
    let session = registered.session.unwrap();
    let sid = post.proven(Purpose::ResetPassword, "s2", "a@agents.example").await;
    let change = |auth| PasswordChange {
        operation: Operation::new("POST /account/password", &"new").unwrap(),
        new_password: "another word".into(),
        logout_devices: true,
        auth,
    };
    let info = challenge(post.accounts.change_password(None, change(None)).await);
    assert_eq!(info.flows[0].stages, [AuthType::EmailIdentity]);
    let auth = email_auth(&sid, "s2", info.session);
    post.accounts.change_password(None, change(Some(auth))).await.unwrap();
    assert!(post.accounts.authenticate(session.access_token.reveal()).await.is_err());
    let login = |password: &str| LoginRequest::Password {
        identifier: LoginIdentifier::User(session.user_id.to_string()),
        password: password.into(),
    };
    assert!(post.accounts.login(login("pass word"), &DeviceWish::default()).await.is_err());
    post.accounts.login(login("another word"), &DeviceWish::default()).await.unwrap();
}

#[tokio::test]
async fn a_closed_account_is_closed_for_good() {
    let post = post();
    post.allow("agents.example").await;
    let sid = post.proven(Purpose::Register, "s1", "a@agents.example").await;
    let registered = post.register(&sid, "s1", Language::En).await.unwrap();
    let (user_id, session) = (registered.user_id, registered.session.unwrap());
    post.accounts.deactivate(&user_id, true, &user_id).await.unwrap();
    assert!(post.accounts.authenticate(session.access_token.reveal()).await.is_err());
    let login = LoginRequest::Password {
        identifier: LoginIdentifier::User(user_id.to_string()),
        password: "pass word".into(),
    };
    assert!(post.accounts.login(login, &DeviceWish::default()).await.is_err());
    assert!(post.accounts.login_as(&user_id, &DeviceWish::default()).await.is_err());
    assert!(post.accounts.devices(&user_id).await.unwrap().is_empty());
    // The person may come back, under another name.
    let sid = post.proven(Purpose::Register, "s9", "a@agents.example").await;
    let again = post.register(&sid, "s9", Language::En).await.unwrap();
    assert_eq!(again.user_id.as_str(), "@a-agents.example1:pli.example");
}
