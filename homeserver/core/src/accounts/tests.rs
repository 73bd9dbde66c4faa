//! Registration, login and sessions, as a client sees them.

use pli_schema::records::accounts::{EmailOwnerKey, EmailOwnerRecord};
use pli_store::Store;
use ruma::{
    api::client::uiaa::{
        AuthData, AuthType, Dummy, MatrixUserIdentifier, Password, RegistrationToken,
    },
    server_name,
};

use super::*;
use crate::TestClock;

pub(super) struct World {
    pub accounts: Accounts,
    pub clock: TestClock,
}

pub(super) fn world(change: impl FnOnce(&mut AccountSettings)) -> World {
    let clock = TestClock::new(1_700_000_000_000);
    let mut settings = AccountSettings::for_tests(server_name!("pli.example").to_owned());
    change(&mut settings);
    let accounts =
        Accounts::new(Store::in_memory(), Clock::Test(clock.clone()), Random::seeded(7), settings);
    World { accounts: accounts.unwrap(), clock }
}

pub(super) fn request(username: Option<&str>, auth: Option<AuthData>) -> RegisterRequest {
    RegisterRequest {
        operation: Operation::new("POST /register", &(username, "pass word")).unwrap(),
        username: username.map(str::to_owned),
        password: Some("pass word".into()),
        device: DeviceWish::default(),
        inhibit_login: false,
        language: pli_schema::Language::En,
        auth,
        guest: None,
    }
}

fn dummy() -> Option<AuthData> {
    Some(AuthData::Dummy(Dummy::new()))
}

async fn register(world: &World, name: &str) -> Session {
    world.accounts.register(request(Some(name), dummy())).await.unwrap().session.unwrap()
}

fn password_login(user: &str, password: &str) -> LoginRequest {
    LoginRequest::Password {
        identifier: LoginIdentifier::User(user.to_owned()),
        password: password.into(),
    }
}

pub(super) fn challenge<T: std::fmt::Debug>(
    result: Result<T>,
) -> ruma::api::client::uiaa::UiaaInfo {
    match result {
        Err(Error::Uia(info)) => *info,
        other => panic!("expected a challenge, got {other:?}"),
    }
}

#[tokio::test]
async fn a_registered_user_logs_in_and_out() {
    let world = world(|_| {});
    let accounts = &world.accounts;
    let session = register(&world, "alice").await;
    let who = accounts.authenticate(session.access_token.reveal()).await.unwrap();
    assert_eq!(who.user_id.as_str(), "@alice:pli.example");
    assert!(!who.is_admin && !who.is_guest);
    let again = accounts.register(request(Some("alice"), dummy())).await;
    assert!(matches!(again, Err(Error::UserInUse(_))));

    for name in ["alice", "@alice:pli.example", "Alice"] {
        accounts.login(password_login(name, "pass word"), &DeviceWish::default()).await.unwrap();
    }
    for (name, password) in [("alice", "wrong"), ("bob", "pass word"), ("", ""), ("alice", "")] {
        let refused = accounts.login(password_login(name, password), &DeviceWish::default()).await;
        assert!(matches!(refused, Err(Error::Forbidden(_))), "{name} {password}");
    }
    for token in ["", " ", "é", "x", &"x".repeat(10_000)] {
        let refused = accounts.authenticate(token).await;
        assert!(matches!(refused, Err(Error::UnknownToken { soft_logout: false })));
    }
}

#[tokio::test]
async fn logging_in_on_a_known_device_ends_its_earlier_token() {
    let world = world(|_| {});
    let accounts = &world.accounts;
    let first = register(&world, "alice").await;
    let wish = DeviceWish { device_id: Some(first.device_id.clone()), ..DeviceWish::default() };
    accounts.authenticate(first.access_token.reveal()).await.unwrap();
    let second = accounts.login(password_login("alice", "pass word"), &wish).await.unwrap();
    assert_eq!(first.device_id, second.device_id);
    assert!(accounts.authenticate(first.access_token.reveal()).await.is_err());
    accounts.authenticate(second.access_token.reveal()).await.unwrap();
}

#[tokio::test]
async fn a_refresh_keeps_the_old_tokens_until_the_new_one_is_used() {
    let world = world(|_| {});
    let accounts = &world.accounts;
    register(&world, "alice").await;
    let wish = DeviceWish { refresh_token: true, ..DeviceWish::default() };
    let first = accounts.login(password_login("alice", "pass word"), &wish).await.unwrap();
    assert_eq!(first.expires_in_ms, Some(3_600_000));
    let refresh_1 = first.refresh_token.unwrap();
    let lost = accounts.refresh(refresh_1.reveal()).await.unwrap();
    // The answer was lost: the same refresh token works again, and only the newest pair is left.
    let second = accounts.refresh(refresh_1.reveal()).await.unwrap();
    accounts.authenticate(first.access_token.reveal()).await.unwrap();
    assert!(accounts.authenticate(lost.access_token.reveal()).await.is_err());
    accounts.authenticate(second.access_token.reveal()).await.unwrap();
    assert!(accounts.authenticate(first.access_token.reveal()).await.is_err());
    assert!(accounts.refresh(refresh_1.reveal()).await.is_err());

    world.clock.advance_ms(3_600_000);
    let expired = accounts.authenticate(second.access_token.reveal()).await;
    assert!(matches!(expired, Err(Error::UnknownToken { soft_logout: true })));
    let third = accounts.refresh(second.refresh_token.unwrap().reveal()).await.unwrap();
    accounts.authenticate(third.access_token.reveal()).await.unwrap();
}

#[tokio::test]
async fn a_login_token_works_once_and_not_for_long() {
    let world = world(|_| {});
    let accounts = &world.accounts;
    let session = register(&world, "alice").await;
    let who = accounts.authenticate(session.access_token.reveal()).await.unwrap();
    let (token, lifetime_ms) = accounts.new_login_token(&who).await.unwrap();
    let wish = DeviceWish::default();
    let first = accounts.login(LoginRequest::Token(token.clone()), &wish).await.unwrap();
    assert_eq!(first.user_id, session.user_id);
    assert!(accounts.login(LoginRequest::Token(token), &wish).await.is_err());
    let (token, _) = accounts.new_login_token(&who).await.unwrap();
    world.clock.advance_ms(lifetime_ms);
    assert!(accounts.login(LoginRequest::Token(token), &wish).await.is_err());
}

#[tokio::test]
async fn the_first_admin_registers_with_a_code_that_works_once() {
    let world = world(|settings| settings.test_deployment.open_registration = false);
    let accounts = &world.accounts;
    let voided = accounts.first_admin_code().await.unwrap().unwrap();
    let code = accounts.first_admin_code().await.unwrap().unwrap();
    assert!(!accounts.registration_token_is_valid(voided.reveal()).await.unwrap());
    let info = challenge(accounts.register(request(Some("root"), None)).await);
    assert!(info.flows.iter().any(|flow| flow.stages == [AuthType::RegistrationToken]));
    assert!(!info.flows.iter().any(|flow| flow.stages.contains(&AuthType::Dummy)));
    let with = |token: &str| {
        let mut auth = RegistrationToken::new(token.to_owned());
        auth.session.clone_from(&info.session);
        Some(AuthData::RegistrationToken(auth))
    };
    let wrong = challenge(accounts.register(request(Some("root"), with("nonsense"))).await);
    assert!(wrong.auth_error.is_some() && wrong.completed.is_empty());
    let session = accounts.register(request(Some("root"), with(code.reveal()))).await.unwrap();
    let session = session.session.unwrap();
    let who = accounts.authenticate(session.access_token.reveal()).await.unwrap();
    assert!(who.is_admin);
    assert!(accounts.first_admin_code().await.unwrap().is_none());
    assert!(!accounts.registration_token_is_valid(code.reveal()).await.unwrap());
    challenge(accounts.register(request(Some("mallory"), with(code.reveal()))).await);
}

#[tokio::test]
async fn names_of_addresses_are_nobodys_choice() {
    let world = world(|settings| settings.test_deployment.open_registration = false);
    for name in ["jane.doe-agents.example", "jane.doe-agents.example1"] {
        let refused = world.accounts.check_username(name).await;
        assert!(matches!(refused, Err(Error::Exclusive(_))), "{name}");
    }
    world.accounts.check_username("bot-meteo").await.unwrap();
}

#[tokio::test]
async fn a_session_is_good_for_its_operation_and_user_only() {
    let world = world(|_| {});
    let accounts = &world.accounts;
    let alice = register(&world, "alice").await;
    let mallory = register(&world, "mallory").await;
    let alice = accounts.authenticate(alice.access_token.reveal()).await.unwrap();
    let mallory = accounts.authenticate(mallory.access_token.reveal()).await.unwrap();
    let operation = Operation::new("DELETE /devices/A", &"A").unwrap();
    let info = challenge(accounts.confirm_operation(&alice, &operation, None).await);
    let auth = |user: &str, session: &Option<String>| {
        let identifier = MatrixUserIdentifier::new(user.to_owned()).into();
        let mut auth = Password::new(identifier, "pass word".to_owned());
        auth.session.clone_from(session);
        AuthData::Password(auth)
    };
    let good = auth("alice", &info.session);
    let other = Operation::new("DELETE /devices/B", &"A").unwrap();
    challenge(accounts.confirm_operation(&alice, &other, Some(&good)).await);
    let other = Operation::new("DELETE /devices/A", &"B").unwrap();
    challenge(accounts.confirm_operation(&alice, &other, Some(&good)).await);
    challenge(accounts.confirm_operation(&mallory, &operation, Some(&good)).await);
    // Another person's password confirms nothing.
    let others = auth("mallory", &info.session);
    let refused = challenge(accounts.confirm_operation(&alice, &operation, Some(&others)).await);
    assert!(refused.auth_error.is_some());
    accounts.confirm_operation(&alice, &operation, Some(&good)).await.unwrap();
    // It is used up.
    challenge(accounts.confirm_operation(&alice, &operation, Some(&good)).await);
}

#[tokio::test]
async fn wrong_passwords_make_wait() {
    let world = world(|settings| settings.test_deployment.no_limits = false);
    register(&world, "alice").await;
    let try_once = |password: &'static str| {
        let accounts = world.accounts.clone();
        async move { accounts.login(password_login("alice", password), &DeviceWish::default()).await }
    };
    for _ in 0..10 {
        assert!(matches!(try_once("wrong").await, Err(Error::Forbidden(_))));
    }
    assert!(matches!(try_once("pass word").await, Err(Error::LimitExceeded { .. })));
    world.clock.advance_ms(300_000);
    try_once("pass word").await.unwrap();
}

#[tokio::test]
async fn guests_only_where_they_are_allowed() {
    let closed = world(|_| {});
    let refused = closed.accounts.register_guest(&DeviceWish::default()).await;
    assert!(matches!(refused, Err(Error::Forbidden(_))));
    let open = world(|settings| settings.test_deployment.guest_access = true);
    let guest = open.accounts.register_guest(&DeviceWish::default()).await.unwrap();
    let token = guest.session.unwrap().access_token;
    assert!(open.accounts.authenticate(token.reveal()).await.unwrap().is_guest);
}

/// Every state of an account against every way in (with the password hash left in place, so that the
/// flags alone must hold).
#[tokio::test]
async fn closed_and_locked_accounts_have_no_way_in() {
    use pli_schema::records::accounts::{AccountKey, AccountRecord};
    type Change = fn(&mut AccountRecord);
    let states: [(&str, Change, &str, &str); 5] = [
        ("active", |_| {}, "in", "in"),
        ("suspended", |account| account.suspended = true, "in", "in"),
        ("locked", |account| account.locked = true, "locked", "locked"),
        ("deactivated", |account| account.deactivated = true, "deactivated", "unknown"),
        (
            "erased",
            |account| (account.deactivated, account.erased) = (true, true),
            "deactivated",
            "unknown",
        ),
    ];
    for (state, change, by_login, by_token) in states {
        let world = world(|_| {});
        let wish = DeviceWish { refresh_token: true, ..DeviceWish::default() };
        register(&world, "alice").await;
        let login = || password_login("alice", "pass word");
        let session = world.accounts.login(login(), &wish).await.unwrap();
        let who = world.accounts.authenticate(session.access_token.reveal()).await.unwrap();
        let (token, _) = world.accounts.new_login_token(&who).await.unwrap();
        let key = &AccountKey { user_id: session.user_id.clone() };
        world
            .accounts
            .store
            .write(|tx| async move {
                let mut account = tx.get(key).await?.unwrap();
                change(&mut account);
                Ok::<_, Error>(tx.put(key, &account)?)
            })
            .await
            .unwrap();
        // Another process on the same store: nothing is cached there.
        let settings = world.accounts.settings().clone();
        let clock = Clock::Test(world.clock.clone());
        let store = world.accounts.store.clone();
        let accounts = Accounts::new(store, clock, Random::seeded(8), settings).unwrap();
        fn told<T>(result: Result<T>) -> &'static str {
            match result {
                Ok(_) => "in",
                Err(Error::UserLocked) => "locked",
                Err(Error::UserDeactivated) => "deactivated",
                Err(Error::UnknownToken { .. }) => "unknown",
                Err(_) => "otherwise",
            }
        }
        let refresh = session.refresh_token.unwrap();
        assert_eq!(told(accounts.login(login(), &wish).await), by_login, "{state}: password");
        let by_login_token = accounts.login(LoginRequest::Token(token), &wish).await;
        assert_eq!(told(by_login_token), by_login, "{state}: login token");
        assert_eq!(told(accounts.login_as(&who.user_id, &wish).await), by_login, "{state}: as");
        let access = accounts.authenticate(session.access_token.reveal()).await;
        assert_eq!(told(access), by_token, "{state}: access token");
        assert_eq!(told(accounts.refresh(refresh.reveal()).await), by_token, "{state}: refresh");
    }
}

/// The time of a wrong login does not tell whether the account exists.
#[tokio::test]
async fn unknown_users_take_as_long_as_wrong_passwords() {
    let world = world(|settings| {
        settings.passwords.hashing.memory_kib = 1_024;
        settings.passwords.hashing.passes = 2;
    });
    register(&world, "alice").await;
    let mut times = [Vec::new(), Vec::new()];
    for _ in 0..150 {
        for (name, times) in ["alice", "nobody"].into_iter().zip(&mut times) {
            let start = std::time::Instant::now();
            let refused =
                world.accounts.login(password_login(name, "wrong"), &DeviceWish::default()).await;
            times.push(start.elapsed().as_secs_f64());
            assert!(matches!(refused, Err(Error::Forbidden(_))));
        }
    }
    let [known, unknown] = times.map(|mut times| {
        times.sort_by(f64::total_cmp);
        // The shortest: what a busy machine adds is not in it.
        times[0]
    });
    // A lookup in the store is all that differs; the hash is some hundred times that.
    assert!((known - unknown).abs() < known * 0.15, "{known} s and {unknown} s");
}

#[tokio::test]
async fn devices_are_noted_as_seen_once_in_ten_minutes() {
    let world = world(|_| {});
    let session = register(&world, "alice").await;
    let who = world.accounts.authenticate(session.access_token.reveal()).await.unwrap();
    let seen = || async { world.accounts.device(&who.user_id, &who.device_id).await.unwrap() };
    world.accounts.note_seen(&who, Some("192.0.2.1".into())).await.unwrap();
    let first = seen().await;
    assert_eq!(first.last_seen_ip.as_deref(), Some("192.0.2.1"));
    world.clock.advance_ms(60_000);
    world.accounts.note_seen(&who, Some("192.0.2.1".into())).await.unwrap();
    assert_eq!(seen().await, first);
    world.clock.advance_ms(600_000);
    world.accounts.note_seen(&who, None).await.unwrap();
    assert_eq!(seen().await.last_seen_ms, first.last_seen_ms + 660_000);
    assert_eq!(seen().await.last_seen_ip, first.last_seen_ip);
}

/// Nobody learns from the limiter whether an address has an account.
#[tokio::test]
async fn wrong_tries_at_a_name_do_not_show_at_the_address() {
    let world = world(|settings| settings.test_deployment.no_limits = false);
    let accounts = &world.accounts;
    let user_id = accounts.create_account("jane.doe-agents.example", None, false).await.unwrap();
    let key = &EmailOwnerKey { address: "jane.doe@agents.example".to_owned() };
    let owner = &EmailOwnerRecord { user_id, validated_at_ms: 0, added_at_ms: 0 };
    let write = accounts.store.write(|tx| async move {
        tx.put(key, owner)?;
        Ok::<_, Error>(())
    });
    write.await.unwrap();
    let login = async |identifier: LoginIdentifier| {
        let password = "wrong".into();
        let request = LoginRequest::Password { identifier, password };
        accounts.login(request, &DeviceWish::default()).await
    };
    let email = |name: &str| LoginIdentifier::Email(format!("{name}@agents.example"));
    for name in ["jane.doe", "nobody"] {
        let by_name = || LoginIdentifier::User(format!("{name}-agents.example"));
        for _ in 0..10 {
            assert!(matches!(login(by_name()).await, Err(Error::Forbidden(_))));
        }
        assert!(matches!(login(by_name()).await, Err(Error::LimitExceeded { .. })), "{name}");
        for _ in 0..10 {
            assert!(matches!(login(email(name)).await, Err(Error::Forbidden(_))), "{name}");
        }
        assert!(matches!(login(email(name)).await, Err(Error::LimitExceeded { .. })), "{name}");
    }
}
