//! Where a browser may be sent back to: exactly what a client has registered, and nothing else.
//!
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#redirect-uri-validation>

use url::{Host, Url};

/// What kind of program a client is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ApplicationType {
    /// A page in the browser.
    #[default]
    Web,
    /// A program on the machine.
    Native,
}

/// Where the parameters of an answer go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ResponseMode {
    /// Into the query.
    #[default]
    Query,
    /// Into the fragment.
    Fragment,
}

/// A base of all that a client registers: HTTPS, a host, no password.
#[must_use]
pub fn client_uri(text: &str) -> Option<Url> {
    let url = Url::parse(text).ok()?;
    let plain = url.username().is_empty() && url.password().is_none();
    let named = matches!(url.host(), Some(Host::Domain(_)));
    (url.scheme() == "https" && plain && named).then_some(url)
}

/// Whether a URI is HTTPS on the host of the client or below it.
#[must_use]
pub fn is_below_client(text: &str, client: &Url) -> bool {
    let (Some(url), Some(base)) = (client_uri(text), client.host_str()) else {
        return false;
    };
    url.host_str().is_some_and(|host| {
        host == base || host.strip_suffix(base).is_some_and(|sub| sub.ends_with('.'))
    })
}

/// Whether a client of this kind may register a redirect URI.
#[must_use]
pub fn may_register(text: &str, kind: ApplicationType, client: &Url) -> bool {
    let odd = |c: char| c.is_control() || c == ' ' || c == '\\';
    let Ok(url) = Url::parse(text) else {
        return false;
    };
    if url.fragment().is_some() || text.contains('#') || text.chars().any(odd) {
        return false;
    }
    match (kind, url.scheme()) {
        (_, "https") => is_below_client(text, client),
        (ApplicationType::Native, "http") => is_loopback(&url) && url.port().is_none(),
        (ApplicationType::Native, scheme) => is_private_use(text, scheme, client),
        (ApplicationType::Web, _) => false,
    }
}

/// `com.example.app:/callback` for `https://example.com/`.
fn is_private_use(text: &str, scheme: &str, client: &Url) -> bool {
    let host = client.host_str().unwrap_or_default();
    let reversed = host.split('.').rev().collect::<Vec<_>>().join(".");
    let below = scheme
        .strip_prefix(&reversed)
        .is_some_and(|rest| rest.is_empty() || (rest.starts_with('.') && rest.len() > 1));
    let rest = text.split_once(':').map_or("", |(_, rest)| rest);
    host.contains('.') && below && !rest.starts_with("//")
}

fn is_loopback(url: &Url) -> bool {
    let plain = url.username().is_empty() && url.password().is_none();
    plain && matches!(url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"))
}

/// Whether a request may use a redirect URI: it is registered; for loopback with any port.
#[must_use]
pub fn is_registered(text: &str, registered: &[String]) -> bool {
    if registered.iter().any(|known| known == text) {
        return true;
    }
    let Ok(mut url) = Url::parse(text) else {
        return false;
    };
    if url.scheme() != "http" || !is_loopback(&url) || url.set_port(None).is_err() {
        return false;
    }
    registered.iter().any(|known| Url::parse(known).is_ok_and(|known| known == url))
}

/// A redirect URI with the parameters of an answer.
#[must_use]
pub fn with_parameters(uri: &str, mode: ResponseMode, parameters: &[(&str, &str)]) -> String {
    let mut encoded = url::form_urlencoded::Serializer::new(String::new());
    encoded.extend_pairs(parameters);
    let encoded = encoded.finish();
    let separator = match mode {
        ResponseMode::Fragment => "#",
        ResponseMode::Query if uri.contains('?') => "&",
        ResponseMode::Query => "?",
    };
    format!("{uri}{separator}{encoded}")
}

/// What a content security policy calls the place of a redirect URI, so that a form may lead there.
#[must_use]
pub fn form_target(uri: &str) -> Option<String> {
    let url = Url::parse(uri).ok()?;
    match url.scheme() {
        "https" | "http" => Some(url.origin().ascii_serialization()),
        scheme => Some(format!("{scheme}:")),
    }
}

/// A redirect URL of legacy single sign-on, which no client registers: anything but what would run in
/// the browser as a program. People are told where it leads.
#[must_use]
pub fn single_sign_on_target(text: &str) -> Option<Url> {
    const NEVER: [&str; 8] =
        ["javascript", "data", "vbscript", "blob", "file", "about", "filesystem", "view-source"];
    let url = Url::parse(text).ok()?;
    let plain = url.username().is_empty() && url.password().is_none();
    let short = text.len() <= 2_048 && !text.chars().any(char::is_control);
    (plain && short && !NEVER.contains(&url.scheme())).then_some(url)
}

/// The URL with a login token: parameters of that name that are there already are removed.
#[must_use]
pub fn with_login_token(target: &Url, token: &str) -> String {
    let mut url = target.clone();
    let kept: Vec<(String, String)> = target
        .query_pairs()
        .filter(|(name, _)| name != "loginToken")
        .map(|(k, v)| (k.into(), v.into()))
        .collect();
    url.query_pairs_mut().clear().extend_pairs(kept).append_pair("loginToken", token);
    url.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_examples_of_the_specification() {
        let client = client_uri("https://example.com/").unwrap();
        let web = |text| may_register(text, ApplicationType::Web, &client);
        for text in [
            "https://example.com/callback",
            "https://app.example.com/callback",
            "https://example.com:5173/?query=value",
        ] {
            assert!(web(text), "{text}");
        }
        for text in [
            "https://example.com/callback#fragment",
            "http://example.com/callback",
            "http://localhost/",
            "https://u:p@example.com/",
            "https://notexample.com/",
            "https://example.com.evil.org/",
            "com.example:/callback",
            "javascript:alert(1)",
        ] {
            assert!(!web(text), "{text}");
        }
        let native = |text| may_register(text, ApplicationType::Native, &client);
        for text in [
            "com.example.app:/callback",
            "com.example:/",
            "com.example:callback",
            "http://localhost/callback",
            "http://127.0.0.1/callback",
            "http://[::1]/callback",
            "https://app.example.com/claimed",
        ] {
            assert!(native(text), "{text}");
        }
        for text in [
            "example:/callback",
            "com.example.app://callback",
            "https://localhost/callback",
            "http://localhost:1234/callback",
            "com.examplefoo:/x",
            "http://127.0.0.2/callback",
            "http://localhost.evil.org/",
        ] {
            assert!(!native(text), "{text}");
        }
        for text in ["http://example.com/", "https://u@example.com/", "https://127.0.0.1/", "x"] {
            assert!(client_uri(text).is_none(), "{text}");
        }
    }

    #[test]
    fn only_what_is_registered_is_used_and_loopback_with_any_port() {
        let registered =
            ["http://127.0.0.1/callback".to_owned(), "https://app.example.com/cb?a=b".to_owned()];
        for (text, expected) in [
            ("http://127.0.0.1:4567/callback", true),
            ("http://127.0.0.1/callback", true),
            ("http://localhost:4567/callback", false),
            ("http://127.0.0.1:4567/other", false),
            ("http://127.0.0.1:4567/callback?x=y", false),
            ("http://a@127.0.0.1:4567/callback", false),
            ("https://app.example.com/cb?a=b", true),
            ("https://app.example.com:8443/cb?a=b", false),
            ("https://app.example.com/cb", false),
        ] {
            assert_eq!(is_registered(text, &registered), expected, "{text}");
        }
    }

    #[test]
    fn parameters_are_added_where_they_belong() {
        let with = |uri, mode| with_parameters(uri, mode, &[("state", "a b"), ("code", "c&d")]);
        assert_eq!(
            with("https://x/cb?a=b", ResponseMode::Query),
            "https://x/cb?a=b&state=a+b&code=c%26d"
        );
        assert_eq!(with("x.y:/cb", ResponseMode::Query), "x.y:/cb?state=a+b&code=c%26d");
        assert_eq!(
            with("https://x/cb?a=b", ResponseMode::Fragment),
            "https://x/cb?a=b#state=a+b&code=c%26d"
        );
        let target = single_sign_on_target("https://c.example/?a=b&loginToken=old#f").unwrap();
        assert_eq!(with_login_token(&target, "new"), "https://c.example/?a=b&loginToken=new#f");
        assert!(single_sign_on_target("element://vector/webapp/").is_some());
        for text in ["javascript:alert(1)", "data:text/html,x", "nonsense", "https://u:p@x/"] {
            assert!(single_sign_on_target(text).is_none(), "{text}");
        }
    }
}
