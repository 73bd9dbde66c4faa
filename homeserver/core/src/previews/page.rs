//! What a page says of itself: Open Graph properties, else its title and description.
//!
//! Format: <https://ogp.me/>

use scraper::{Html, Selector};
use serde_json::{Map, Value};
use url::Url;

use crate::outgoing;

/// Properties that are handed on. Addresses of pictures, sounds and films elsewhere are not: clients
/// would load them, and whoever runs them would see who reads.
const HANDED_ON: [&str; 6] =
    ["og:title", "og:description", "og:site_name", "og:type", "og:url", "og:locale"];
/// Bytes of the elements that are looked at, about.
const RELEVANT_MAX_BYTES: usize = 65_536;
/// Longest value, in characters.
const VALUE_MAX: usize = 1_000;

/// What a page says of itself.
#[derive(Debug, Default)]
pub(super) struct Page {
    pub(super) properties: Map<String, Value>,
    /// The address of its picture.
    pub(super) picture: Option<Url>,
}

/// Reads a page of HTML.
pub(super) fn read(fetched: &outgoing::Page) -> Page {
    let html = Html::parse_document(&relevant(&decoded(fetched)));
    let mut page = Page::default();
    let (mut picture, mut twitter_picture, mut description) = (None, None, None);
    for meta in select(&html, "meta[content]") {
        let attributes = meta.value();
        let name = attributes.attr("property").or_else(|| attributes.attr("name"));
        let (Some(name), Some(content)) = (name, attributes.attr("content")) else { continue };
        let (name, content) = (name.trim().to_ascii_lowercase(), clean(content));
        if content.is_empty() {
            continue;
        }
        match name.as_str() {
            "og:image" | "og:image:url" | "og:image:secure_url" => {
                picture.get_or_insert(content);
            }
            "twitter:image" | "twitter:image:src" => {
                twitter_picture.get_or_insert(content);
            }
            "description" | "twitter:description" => {
                description.get_or_insert(content);
            }
            name if HANDED_ON.contains(&name) => {
                page.properties.entry(name).or_insert_with(|| content.into());
            }
            _ => {}
        }
    }
    if !page.properties.contains_key("og:title")
        && let Some(title) = select(&html, "title").into_iter().next()
    {
        let title = clean(&title.text().collect::<String>());
        if !title.is_empty() {
            page.properties.insert("og:title".to_owned(), title.into());
        }
    }
    if let Some(description) = description {
        page.properties.entry("og:description").or_insert_with(|| description.into());
    }
    let picture = picture.or(twitter_picture);
    page.picture = picture.and_then(|picture| fetched.url.join(&picture).ok());
    page
}

/// The `meta` and `title` elements of a page, one after the other. The rest is not parsed: the time for
/// elements that are nested deeply grows with the square of their depth.
fn relevant(html: &str) -> String {
    let lower = html.to_ascii_lowercase();
    let (mut out, mut at) = (String::new(), 0);
    while out.len() < RELEVANT_MAX_BYTES {
        let Some(found) = lower.get(at..).and_then(|rest| rest.find('<')) else { break };
        let start = at.saturating_add(found);
        let rest = lower.get(start..).unwrap_or_default();
        let is_wanted = rest.starts_with("<meta") || rest.starts_with("<title");
        let length = if rest.starts_with("<!--") {
            rest.find("-->")
        } else if rest.starts_with("<script") {
            rest.find("</script")
        } else if rest.starts_with("<style") {
            rest.find("</style")
        } else if rest.starts_with("<meta") {
            tag_length(rest)
        } else if rest.starts_with("<title") {
            rest.find("</title").map(|end| end.saturating_add("</title>".len()))
        } else {
            Some(1)
        };
        let Some(length) = length else { break };
        at = start.saturating_add(length.max(1));
        if is_wanted {
            out.push_str(html.get(start..at).unwrap_or_default());
        }
    }
    out
}

/// The length of the tag at the beginning of a text: to the first `>` outside of quotes.
fn tag_length(text: &str) -> Option<usize> {
    let mut quote = None;
    for (at, byte) in text.bytes().enumerate() {
        match (quote, byte) {
            (None, b'>') => return Some(at.saturating_add(1)),
            (None, b'"' | b'\'') => quote = Some(byte),
            (Some(open), byte) if open == byte => quote = None,
            _ => {}
        }
    }
    None
}

fn select<'a>(html: &'a Html, selector: &str) -> Vec<scraper::ElementRef<'a>> {
    match Selector::parse(selector) {
        Ok(selector) => html.select(&selector).collect(),
        Err(_) => Vec::new(),
    }
}

/// On one line, without control characters, and not too long.
fn clean(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    words.join(" ").chars().filter(|c| !c.is_control()).take(VALUE_MAX).collect()
}

/// The text of a page. Besides UTF-8, Latin-1 is known where the page says so: many old pages are in it.
fn decoded(fetched: &outgoing::Page) -> String {
    let head = fetched.bytes.get(..fetched.bytes.len().min(2_048)).unwrap_or_default();
    let said = fetched.content_type.clone().unwrap_or_default() + &String::from_utf8_lossy(head);
    let said = said.to_ascii_lowercase();
    let is_latin = ["iso-8859-1", "iso-8859-15", "windows-1252"].iter().any(|name| {
        ["charset=", "charset=\"", "charset='"].iter().any(|c| said.contains(&format!("{c}{name}")))
    });
    match std::str::from_utf8(&fetched.bytes) {
        Ok(text) => text.to_owned(),
        Err(_) if is_latin => fetched.bytes.iter().map(|byte| char::from(*byte)).collect(),
        Err(_) => String::from_utf8_lossy(&fetched.bytes).into_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn page(html: &[u8]) -> Page {
        read(&outgoing::Page {
            url: Url::parse("https://example.org/a/b").unwrap(),
            content_type: Some("text/html".to_owned()),
            bytes: html.to_vec(),
            is_cut_off: false,
        })
    }

    #[test]
    fn properties_are_handed_on_and_nothing_that_leads_elsewhere() {
        let read = page(
            br#"<html prefix="og: x"><head><title>Other</title>
            <meta property="og:title" content=" A
               title "><meta property="og:title" content="second">
            <meta name="og:description" content="Text"><meta name="description" content="no">
            <meta property="og:video" content="https://evil.example/v">
            <meta property="og:image:alt" content="x">
            <meta property="og:image" content="../p.png"><body>"#,
        );
        let shown = json!({ "og:title": "A title", "og:description": "Text" });
        assert_eq!(Value::Object(read.properties), shown);
        assert_eq!(read.picture.unwrap().as_str(), "https://example.org/p.png");
    }

    #[test]
    fn a_page_without_properties_is_its_title() {
        let html = b"<title>Caf\xe9 &amp; co</title><meta charset=\"iso-8859-1\">\
            <meta name=description content='Un texte'>";
        let read = page(html);
        let shown = json!({ "og:title": "Café & co", "og:description": "Un texte" });
        assert_eq!(Value::Object(read.properties), shown);
        assert!(read.picture.is_none());
        assert!(page(b"\0\xff<<<>").properties.is_empty());
        let long = format!("<title>{}</title>", "x".repeat(5_000));
        let title = page(long.as_bytes()).properties["og:title"].as_str().unwrap().len();
        assert_eq!(title, 1_000);
        // Deep nesting costs nothing, and what is no text of the page is passed over.
        let deep = "<div>".repeat(200_000) + "<title>deep</title>";
        assert_eq!(page(deep.as_bytes()).properties["og:title"], "deep");
        let hidden = b"<script>'<title>no</title>'</script><!-- <title>no</title> -->\
            <style><title>no</title></style><TITLE>yes</TITLE><meta name=description content=\"a>b\">";
        let shown = json!({ "og:title": "yes", "og:description": "a>b" });
        assert_eq!(Value::Object(page(hidden).properties), shown);
        for odd in ["<title", "<meta", "<meta content='", "<!--", "<script>", "<", "é<é"] {
            assert!(page(odd.as_bytes()).properties.is_empty(), "{odd}");
        }
    }
}
