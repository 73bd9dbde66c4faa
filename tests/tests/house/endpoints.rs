//! Every operation of the specification has a route and a test, and `docs/reference/endpoints.md` tells
//! both, with the functions of the core behind them.
//!
//! Which test exercises an operation stands in `tests/spec/exercised.tsv`, which is made from what the
//! tests were seen to do:
//! ```text
//! PLI_RECORD_OPERATIONS=/tmp/operations cargo test --workspace --test api --test scenario
//! PLI_RECORD_OPERATIONS=/tmp/operations PLI_BLESS=1 cargo test --workspace --test house endpoints
//! ```

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write,
};

use pli_api::router::Route;
use pli_tests::openapi::{Operation, spec};

use super::{calls::core_functions, server_endpoints, sources::top};

/// Operations that have no route yet, by `operationId`. The list only shrinks.
const WITHOUT_ROUTE: &[&str] = &[];
/// Operations that no test exercises yet, by `operationId`. The list only shrinks.
const WITHOUT_TEST: &[&str] = &[];

/// Tests that knock at every path; that exercises none.
const PASSES_BY: [&str; 2] = [
    "api::corners::every_path_answers_every_method",
    "api::corners::strangers_are_told_that_a_token_is_missing_by_every_operation_that_needs_one",
];
const EXERCISED: &str = "tests/spec/exercised.tsv";
const DOCUMENT: &str = "docs/reference/endpoints.md";

fn routes() -> Vec<Route> {
    pli_api::whole::routes().list()
}

/// A path with `{}` for each parameter: their names differ between the specification and ruma.
pub(super) fn bare(path: &str) -> String {
    path.split('/')
        .map(|segment| if segment.starts_with('{') { "{}" } else { segment })
        .collect::<Vec<_>>()
        .join("/")
}

fn route_of<'a>(operation: &Operation, routes: &'a [Route]) -> Option<&'a Route> {
    let path = bare(&operation.path);
    routes.iter().find(|route| route.method == operation.method && bare(&route.path) == path)
}

/// `operationId` → the test that exercises it.
fn exercised() -> BTreeMap<String, String> {
    let text = std::fs::read_to_string(top().join(EXERCISED)).unwrap_or_default();
    let rows = text.lines().filter(|line| !line.starts_with('#'));
    rows.filter_map(|row| row.split_once('\t'))
        .map(|(id, test)| (id.to_owned(), test.to_owned()))
        .collect()
}

/// From what was recorded: for each operation a test in which it succeeded (or, where none did, was
/// refused for a reason of its own), of these the one that does little else.
fn chosen(recorded: &str) -> BTreeMap<String, String> {
    let rows: BTreeSet<(&str, u16, &str)> = recorded
        .lines()
        .filter_map(|line| {
            let mut parts = line.split('\t');
            Some((parts.next()?, parts.next()?.parse().ok()?, parts.next()?))
        })
        .filter(|(_, _, test)| !PASSES_BY.contains(test) && exists(test))
        .collect();
    let mut breadth: BTreeMap<&str, usize> = BTreeMap::new();
    for (_, _, test) in &rows {
        *breadth.entry(test).or_default() += 1;
    }
    let old = exercised();
    let mut best: BTreeMap<&str, (bool, bool, usize, &str)> = BTreeMap::new();
    for (id, status, test) in rows {
        if matches!(status, 401 | 404 | 405 | 429 | 500..) {
            continue;
        }
        let is_new = old.get(id).is_none_or(|known| known != test);
        let rank = (status >= 400, is_new, breadth[test], test);
        let entry = best.entry(id).or_insert(rank);
        *entry = rank.min(*entry);
    }
    best.into_iter().map(|(id, (.., test))| (id.to_owned(), test.to_owned())).collect()
}

fn bless() {
    if std::env::var_os("PLI_BLESS").is_none() {
        return;
    }
    if let Some(file) = std::env::var_os("PLI_RECORD_OPERATIONS") {
        let recorded = std::fs::read_to_string(file).expect("what was recorded");
        let mut text =
            "# operationId, and a test that exercises it; see tests/tests/house/endpoints.rs\n"
                .to_owned();
        for (id, test) in chosen(&recorded) {
            writeln!(text, "{id}\t{test}").expect("text");
        }
        std::fs::write(top().join(EXERCISED), text).expect(EXERCISED);
    }
    std::fs::create_dir_all(top().join("docs/reference")).expect("docs/reference");
    std::fs::write(top().join(DOCUMENT), document()).expect(DOCUMENT);
}

/// Whether there is a test of that name: `api::sync::nothing_comes_after_a_kick`.
fn exists(test: &str) -> bool {
    let mut parts = test.split("::");
    let binary = parts.next().unwrap_or_default();
    let parts: Vec<&str> = parts.collect();
    let Some((function, modules)) = parts.split_last() else { return false };
    let dir = top().join("tests/tests").join(binary);
    let (mut file, mut inside) = (dir, None);
    for (n, module) in modules.iter().enumerate() {
        let path = file.join(format!("{module}.rs"));
        if path.is_file() {
            inside = Some(path);
        } else if n == 0 {
            return false;
        }
        file = file.join(module);
    }
    let text = inside.and_then(|path| std::fs::read_to_string(path).ok()).unwrap_or_default();
    text.contains(&format!("fn {function}("))
}

fn document() -> String {
    let (routes, exercised) = (routes(), exercised());
    let functions = core_functions(&routes);
    let mut out = "# Endpoints\n\nGenerated from the router (`tests/tests/house/endpoints.rs`; \
        `PLI_BLESS=1 cargo test --workspace --test house endpoints` writes it anew). Paths below \
        `/_matrix/client/v3/` answer below `/_matrix/client/r0/` too, those below `/_matrix/media/v3/` \
        below `/_matrix/media/r0/` and `/_matrix/media/v1/`.\n\n## The operations of the specification v1.19\n\n\
        | operation | path | handler | core | test |\n| --- | --- | --- | --- | --- |\n"
        .to_owned();
    let mut told = BTreeSet::new();
    let row = |out: &mut String, first: &str, path: &str, route: Option<&Route>, test: &str| {
        let handler = route.map_or("–", |route| short(route.handler));
        let core = route.and_then(|route| functions.get(route.handler));
        let core =
            core.map(|names| names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>());
        let core =
            core.filter(|names| !names.is_empty()).map_or("–".into(), |names| names.join(" "));
        writeln!(out, "| {first} | `{path}` | `{handler}` | {core} | {test} |").expect("text");
    };
    for operation in spec().operations() {
        let route = route_of(operation, &routes);
        if let Some(route) = route {
            told.insert((route.method.clone(), route.path.clone()));
        }
        let test =
            exercised.get(&operation.id).map_or("–".to_owned(), |test| format!("`{test}`"));
        let first = format!("{} {}", operation.id, operation.method);
        row(&mut out, &first, &operation.path, route, &test);
    }
    out.push_str(
        "\n## The operations between servers\n\nOf the server-server API of the same release.\n\n\
        | operation | path | handler | core |\n| --- | --- | --- | --- |\n",
    );
    for operation in server_endpoints::operations() {
        let route = server_endpoints::route_of(&operation, &routes);
        if let Some(route) = route {
            told.insert((route.method.clone(), route.path.clone()));
        }
        let mut line = String::new();
        row(
            &mut line,
            &format!("{} {}", operation.id, operation.method),
            &operation.path,
            route,
            "",
        );
        out.push_str(line.trim_end().trim_end_matches("|  |"));
        out.push_str("|\n");
    }
    out.push_str(
        "\n## What else is answered\n\nPaths under older or unstable names, and what clients call \
        beyond the release.\n\n| method | path | handler | core |\n| --- | --- | --- | --- |\n",
    );
    for route in &routes {
        let old = ["/_matrix/client/r0/", "/_matrix/media/r0/", "/_matrix/media/v1/"];
        let is_old = old.iter().any(|prefix| route.path.starts_with(prefix));
        if !is_old && !told.contains(&(route.method.clone(), route.path.clone())) {
            let mut line = String::new();
            row(&mut line, &route.method, &route.path, Some(route), "");
            out.push_str(line.trim_end().trim_end_matches("|  |"));
            out.push_str("|\n");
        }
    }
    out
}

/// A handler without the name of the crate.
fn short(handler: &str) -> &str {
    handler.strip_prefix("pli_api::").unwrap_or(handler)
}

/// Checks a list of exceptions: nothing is missing that it does not name, and it names nothing else.
fn holds(what: &str, missing: &BTreeSet<&str>, allowed: &[&str]) {
    let allowed: BTreeSet<&str> = allowed.iter().copied().collect();
    let more: Vec<_> = missing.difference(&allowed).collect();
    assert!(more.is_empty(), "operations without a {what}: {more:#?}");
    let done: Vec<_> = allowed.difference(missing).collect();
    assert!(done.is_empty(), "these have a {what} now; take them off the list: {done:#?}");
}

#[test]
fn every_operation_has_a_route() {
    let routes = routes();
    let all = spec().operations().iter();
    let missing = all.filter(|operation| route_of(operation, &routes).is_none());
    holds("route", &missing.map(|operation| operation.id.as_str()).collect(), WITHOUT_ROUTE);
}

#[test]
fn every_operation_has_a_test() {
    bless();
    let exercised = exercised();
    let gone: Vec<_> = exercised.values().filter(|test| !exists(test)).collect();
    assert!(gone.is_empty(), "{EXERCISED} names tests that do not exist: {gone:#?}");
    let all = spec().operations().iter();
    let missing = all.filter(|operation| !exercised.contains_key(&operation.id));
    holds("test", &missing.map(|operation| operation.id.as_str()).collect(), WITHOUT_TEST);
}

#[test]
fn endpoints_of_old_releases_are_answered() {
    let routes = routes();
    let known: BTreeSet<(&str, &str)> =
        routes.iter().map(|route| (route.method.as_str(), route.path.as_str())).collect();
    let mut missing = Vec::new();
    for route in &routes {
        for (today, old) in [
            ("/_matrix/client/v3/", "/_matrix/client/r0/"),
            ("/_matrix/media/v3/", "/_matrix/media/r0/"),
            ("/_matrix/media/v3/", "/_matrix/media/v1/"),
        ] {
            let Some(rest) = route.path.strip_prefix(today) else { continue };
            let path = format!("{old}{rest}");
            if !known.contains(&(route.method.as_str(), path.as_str())) {
                missing.push(format!("{} {path}", route.method));
            }
        }
    }
    assert!(missing.is_empty(), "{missing:#?}");
}
