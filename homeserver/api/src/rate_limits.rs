//! Limits on the rate of requests, per user, or per address before login.
//!
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#rate-limiting>

use std::{
    net::IpAddr,
    num::NonZeroU32,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use governor::{
    Quota, RateLimiter,
    clock::{Clock, DefaultClock},
    state::keyed::DefaultKeyedStateStore,
};
use http::Method;
use parking_lot::RwLock;
use pli_core::Error;
use pli_schema::{
    config::{Config, RateLimit},
    limits,
};
use ruma::UserId;

/// What a request costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Logins, by address.
    Login,
    /// Registrations and requests for mails, by address.
    Register,
    /// Messages and state events.
    Message,
    /// Joins, invites, room creation.
    Membership,
    /// Media.
    Media,
    /// Reports to the administrators.
    Report,
    /// Everything else.
    Other,
}

impl Class {
    /// The class of a route.
    #[must_use]
    pub fn of(method: &Method, path_template: &str) -> Self {
        let has = |part: &str| path_template.contains(part);
        let ends = |part: &str| path_template.ends_with(part);
        // Codes of devices and passwords are typed on pages too.
        let typed = ends("/account/sign-in") || ends("/oauth/link") || ends("/fallback/web");
        let begun = ends("/oauth/register") || ends("/oauth/device") || ends("/rendezvous");
        if ends("/login") || ends("/refresh") || ends("/login/get_token") || typed || begun {
            return if method == Method::GET { Self::Other } else { Self::Login };
        }
        if ends("/register")
            || ends("/requestToken")
            || ends("/submit_token")
            || ends("/email/validate")
            || has("/register/")
            || ends("/_pli/account/password")
        {
            return Self::Register;
        }
        if ends("/report") || ends("/report/{event_id}") {
            return Self::Report;
        }
        if has("/media/") {
            return Self::Media;
        }
        if method == Method::GET {
            return Self::Other;
        }
        const MEMBERSHIP: [&str; 9] = [
            "/join",
            "/invite",
            "/createRoom",
            "/knock/{room_id_or_alias}",
            "/kick",
            "/ban",
            "/unban",
            "/join/{room_id_or_alias}",
            "/upgrade",
        ];
        if MEMBERSHIP.iter().any(|end| ends(end)) {
            return Self::Membership;
        }
        const MESSAGE: [&str; 4] = ["/send/", "/state/", "/redact/", "/delayed_event/"];
        if has("/rooms/{room_id}/") && MESSAGE.iter().any(|part| has(part)) {
            return Self::Message;
        }
        Self::Other
    }
}

/// Whose requests are counted together.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Key {
    User(Box<str>),
    Address(IpAddr),
}

/// Reports of one user: each is looked at by a person.
const REPORTS: RateLimit = RateLimit { burst: 10, per_minute: 5 };

type Limiter = RateLimiter<Key, DefaultKeyedStateStore<Key>, DefaultClock>;

struct Limiters {
    login: Limiter,
    register: Limiter,
    message: Limiter,
    membership: Limiter,
    media: Limiter,
    report: Limiter,
    other: Limiter,
}

/// The limits. Clones share the counts.
#[derive(Clone)]
pub struct RateLimits {
    limiters: Arc<RwLock<Option<Arc<Limiters>>>>,
    checks: Arc<AtomicU32>,
    clock: DefaultClock,
}

impl RateLimits {
    /// The limits of a configuration.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        Self {
            limiters: Arc::new(RwLock::new(limiters(config))),
            checks: Arc::default(),
            clock: DefaultClock::default(),
        }
    }

    /// Takes new settings; counts begin anew.
    pub fn reload(&self, config: &Config) {
        *self.limiters.write() = limiters(config);
    }

    /// Counts a request of a user.
    ///
    /// # Errors
    /// [`Error::LimitExceeded`].
    pub fn check_user(&self, class: Class, user_id: &UserId) -> Result<(), Error> {
        self.check(class, &Key::User(user_id.as_str().into()))
    }

    /// Counts a request from an address.
    ///
    /// # Errors
    /// [`Error::LimitExceeded`].
    pub fn check_address(&self, class: Class, address: IpAddr) -> Result<(), Error> {
        self.check(class, &Key::Address(address.to_canonical()))
    }

    fn check(&self, class: Class, key: &Key) -> Result<(), Error> {
        let Some(limiters) = self.limiters.read().clone() else { return Ok(()) };
        let limiter = match class {
            Class::Login => &limiters.login,
            Class::Register => &limiters.register,
            Class::Message => &limiters.message,
            Class::Membership => &limiters.membership,
            Class::Media => &limiters.media,
            Class::Report => &limiters.report,
            Class::Other => &limiters.other,
        };
        // Who has been quiet long enough to have the whole burst again needs no memory.
        let turn = self.checks.fetch_add(1, Ordering::Relaxed);
        if turn % 10_000 == 9_999 || limiter.len() > limits::RATE_LIMIT_KEYS {
            limiter.retain_recent();
        }
        limiter.check_key(key).map_err(|not_until| {
            let wait: Duration = not_until.wait_time_from(self.clock.now());
            let retry_after_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX).max(1);
            Error::LimitExceeded { retry_after_ms }
        })
    }
}

fn limiters(config: &Config) -> Option<Arc<Limiters>> {
    let settings = &config.rate_limits;
    (!config.server.test_deployment.no_limits).then(|| {
        Arc::new(Limiters {
            login: limiter(settings.login),
            register: limiter(settings.register),
            message: limiter(settings.message),
            membership: limiter(settings.membership),
            media: limiter(settings.media),
            report: limiter(REPORTS),
            other: limiter(settings.other),
        })
    })
}

fn limiter(rate: RateLimit) -> Limiter {
    let at_least_one = |number: u32| NonZeroU32::new(number).unwrap_or(NonZeroU32::MIN);
    let quota =
        Quota::per_minute(at_least_one(rate.per_minute)).allow_burst(at_least_one(rate.burst));
    RateLimiter::keyed(quota)
}

#[cfg(test)]
mod tests {
    use ruma::user_id;

    use super::*;

    #[test]
    fn a_burst_passes_and_the_next_must_wait() {
        let mut config = Config::default();
        config.rate_limits.message = RateLimit { burst: 3, per_minute: 60 };
        let limits = RateLimits::new(&config);
        let (a, b) = (user_id!("@a:x"), user_id!("@b:x"));
        for _ in 0..3 {
            limits.check_user(Class::Message, a).unwrap();
        }
        let Err(Error::LimitExceeded { retry_after_ms }) = limits.check_user(Class::Message, a)
        else {
            panic!("the fourth passed");
        };
        assert!((1..=1_000).contains(&retry_after_ms), "{retry_after_ms}");
        limits.check_user(Class::Message, b).unwrap();
        limits.check_user(Class::Other, a).unwrap();
        config.server.test_deployment.no_limits = true;
        limits.reload(&config);
        for _ in 0..1_000 {
            limits.check_user(Class::Message, a).unwrap();
        }
    }

    #[test]
    fn routes_have_their_classes() {
        for (method, path, class) in [
            (Method::POST, "/_matrix/client/v3/login", Class::Login),
            (Method::GET, "/_matrix/client/v3/login", Class::Other),
            (Method::POST, "/_matrix/client/v3/register/email/requestToken", Class::Register),
            (
                Method::PUT,
                "/_matrix/client/v3/rooms/{room_id}/send/{event_type}/{txn_id}",
                Class::Message,
            ),
            (Method::POST, "/_matrix/client/v3/rooms/{room_id}/join", Class::Membership),
            (Method::POST, "/_matrix/client/v3/join/{room_id_or_alias}", Class::Membership),
            (Method::GET, "/_matrix/client/v1/media/download/{s}/{m}", Class::Media),
            (Method::GET, "/_matrix/client/v3/sync", Class::Other),
        ] {
            assert_eq!(Class::of(&method, path), class, "{method} {path}");
        }
    }
}
