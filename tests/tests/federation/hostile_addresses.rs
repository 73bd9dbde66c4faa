//! No hostile address gets past parser and matcher together.

use pli_schema::{Domain, EmailAddress, domains::deciding};

const CORPUS: &str = include_str!("hostile-addresses.txt");

/// The entries with their categories.
fn corpus() -> Vec<(&'static str, String)> {
    let mut category = "";
    let mut entries = Vec::new();
    for line in CORPUS.lines() {
        if let Some(name) = line.strip_prefix("## ") {
            category = name;
        } else if let Some(entry) = line.strip_prefix('"').and_then(|l| l.strip_suffix('"')) {
            entries.push((category, unescape(entry)));
        }
    }
    entries
}

fn unescape(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('\\') {
        out.push_str(before);
        if let Some(after) = after.strip_prefix('\\') {
            out.push('\\');
            rest = after;
        } else {
            let (hex, after) = after.strip_prefix("u{").unwrap().split_once('}').unwrap();
            out.push(char::from_u32(u32::from_str_radix(hex, 16).unwrap()).unwrap());
            rest = after;
        }
    }
    out + rest
}

#[test]
fn none_of_the_hostile_addresses_is_accepted() {
    let allowed = ["agents.example", "interieur.gouv.fr"]
        .map(|name| (Domain::parse(name).unwrap(), true));
    let corpus = corpus();
    assert!(corpus.len() >= 500, "{} entries", corpus.len());
    let accepted: Vec<_> = corpus
        .iter()
        .filter(|(_, text)| {
            EmailAddress::parse(text)
                .is_ok_and(|address| deciding(address.domain(), &allowed, |sub| *sub).is_some())
        })
        .collect();
    assert!(accepted.is_empty(), "{} accepted: {accepted:?}", accepted.len());
}

#[test]
fn honest_addresses_are_accepted_by_the_same_rules() {
    let allowed = [(Domain::parse("agents.example").unwrap(), true)];
    for text in ["jane@agents.example", "Jane.Doe+x@Sub.Agents.Example", "o'b_c-d@a.b.agents.example"] {
        let address = EmailAddress::parse(text).unwrap();
        assert!(deciding(address.domain(), &allowed, |sub| *sub).is_some(), "{text}");
    }
}
