//! A browser without a screen: cookies, forms, redirects within one server.

use std::collections::BTreeMap;

use reqwest::{Client, RequestBuilder, redirect::Policy};

/// A browser that knows one server. It does not leave it.
#[derive(Debug)]
pub struct Browser {
    client: Client,
    base: String,
    /// The cookies, by name.
    pub cookies: BTreeMap<String, String>,
    /// What the person reads.
    pub language: &'static str,
}

/// What a browser shows.
#[derive(Clone, Debug)]
pub struct Shown {
    /// The status.
    pub status: u16,
    /// The address, without the server.
    pub path: String,
    /// Where it leads on.
    pub location: Option<String>,
    /// The headers.
    pub headers: http::HeaderMap,
    /// The page.
    pub html: String,
}

/// Text for a query or a form.
#[must_use]
pub fn encode(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                char::from(byte).to_string()
            }
            _ => format!("%{byte:02X}"),
        })
        .collect()
}

/// Pairs as `application/x-www-form-urlencoded`.
#[must_use]
pub fn form(pairs: &[(&str, &str)]) -> String {
    let pairs = pairs.iter().map(|(name, value)| format!("{}={}", encode(name), encode(value)));
    pairs.collect::<Vec<_>>().join("&")
}

/// A parameter of an address.
#[must_use]
pub fn parameter(url: &str, name: &str) -> Option<String> {
    let (_, query) = url.split_once(['?', '#'])?;
    let pair = query.split(['&', '#']).find_map(|pair| pair.strip_prefix(&format!("{name}=")))?;
    let mut bytes = Vec::new();
    let mut rest = pair.bytes();
    while let Some(byte) = rest.next() {
        match byte {
            b'+' => bytes.push(b' '),
            b'%' => {
                let two = [rest.next()?, rest.next()?];
                bytes.push(u8::from_str_radix(std::str::from_utf8(&two).ok()?, 16).ok()?);
            }
            byte => bytes.push(byte),
        }
    }
    String::from_utf8(bytes).ok()
}

fn unescape(text: &str) -> String {
    text.replace("&quot;", "\"").replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
}

fn attribute(tag: &str, name: &str) -> Option<String> {
    let (_, rest) = tag.split_once(&format!(" {name}=\""))?;
    Some(unescape(rest.split_once('"')?.0))
}

impl Shown {
    /// The page has this text.
    #[must_use]
    pub fn has(&self, text: &str) -> bool {
        unescape(&self.html).contains(text)
    }

    /// The action and the hidden fields of a form of the page, counted from 0.
    ///
    /// # Panics
    /// If there is no such form.
    #[must_use]
    #[track_caller]
    pub fn form(&self, number: usize) -> (String, Vec<(String, String)>) {
        let Some(form) = self.html.split("<form ").nth(number + 1) else {
            panic!("no form {number} on {} ({}): {}", self.path, self.status, self.html)
        };
        let form = form.split("</form>").next().unwrap_or_default();
        let head = format!(" {}", form.split('>').next().unwrap_or_default());
        let fields = form.split("<input").skip(1).filter_map(|input| {
            let tag = input.split('>').next().unwrap_or_default();
            let hidden = attribute(tag, "type").as_deref() == Some("hidden");
            hidden.then(|| Some((attribute(tag, "name")?, attribute(tag, "value")?)))?
        });
        (attribute(&head, "action").unwrap_or_default(), fields.collect())
    }

    /// The first address of a link that has this text.
    #[must_use]
    pub fn link(&self, text: &str) -> Option<String> {
        let links = self.html.split("<a ").skip(1);
        let mut found = links
            .filter(|link| unescape(link.split("</a>").next().unwrap_or_default()).contains(text));
        attribute(&format!(" {}", found.next()?.split('>').next()?), "href")
    }
}

impl Browser {
    /// A browser at a server.
    ///
    /// # Panics
    /// If no HTTP client can be had.
    #[must_use]
    pub fn new(base: &str) -> Self {
        let client = Client::builder().redirect(Policy::none()).build();
        let client = client.unwrap_or_else(|error| panic!("a client: {error}"));
        Self { client, base: base.to_owned(), cookies: BTreeMap::new(), language: "en" }
    }

    async fn send(&mut self, request: RequestBuilder, path: &str) -> Shown {
        let cookies = self.cookies.iter().map(|(name, value)| format!("{name}={value}"));
        let cookies = cookies.collect::<Vec<_>>().join("; ");
        let request = request.header("cookie", cookies).header("accept-language", self.language);
        let answered = request.send().await;
        let response = answered.unwrap_or_else(|error| panic!("no answer from {path}: {error}"));
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        for cookie in headers.get_all("set-cookie") {
            let text = cookie.to_str().unwrap_or_default();
            assert!(text.contains("HttpOnly") && text.contains("SameSite=Lax"), "{text}");
            if let Some((name, value)) =
                text.split(';').next().and_then(|pair| pair.split_once('='))
            {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
        let location = headers.get("location").and_then(|value| value.to_str().ok());
        Shown {
            status,
            path: path.to_owned(),
            location: location.map(str::to_owned),
            html: response.text().await.unwrap_or_default(),
            headers,
        }
    }

    /// Opens a page, without following where it leads.
    pub async fn open(&mut self, path: &str) -> Shown {
        let path = path.strip_prefix(&self.base).unwrap_or(path).to_owned();
        let request = self.client.get(format!("{}{path}", self.base));
        self.send(request, &path).await
    }

    /// Follows redirects as long as they stay on the server.
    pub async fn follow(&mut self, mut shown: Shown) -> Shown {
        for _ in 0..10 {
            match shown.location.clone() {
                Some(to) if to.starts_with('/') || to.starts_with(&self.base) => {
                    shown = self.open(&to).await;
                }
                _ => return shown,
            }
        }
        panic!("the redirects do not end: {}", shown.path)
    }

    /// Opens a page and follows redirects within the server.
    pub async fn go(&mut self, path: &str) -> Shown {
        let shown = self.open(path).await;
        self.follow(shown).await
    }

    /// Sends a form of a page with more fields, without following where it leads.
    pub async fn submit(&mut self, page: &Shown, number: usize, more: &[(&str, &str)]) -> Shown {
        let (action, hidden) = page.form(number);
        let hidden = hidden.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let pairs: Vec<(&str, &str)> = hidden.chain(more.iter().copied()).collect();
        self.post(&action, &pairs).await
    }

    /// Sends a form.
    pub async fn post(&mut self, path: &str, pairs: &[(&str, &str)]) -> Shown {
        let request = self
            .client
            .post(format!("{}{path}", self.base))
            .header("content-type", "application/x-www-form-urlencoded")
            .body(form(pairs));
        self.send(request, path).await
    }
}
