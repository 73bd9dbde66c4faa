//! Every operation of the server-server API has a route.

use std::collections::BTreeSet;

use pli_api::router::Route;

use super::{endpoints::bare, sources::top};

/// Operations that have no route yet, by `operationId`. The list only shrinks.
const WITHOUT_ROUTE: &[&str] = &[
    // This server is no policy server; it asks none either.
    "askPolicyServerToSign",
];
/// What the generator writes.
const OPERATIONS: &str = "tests/spec/server-server.tsv";

/// An operation between servers: its `operationId`, method and path template.
pub(super) struct ServerOperation {
    pub(super) id: String,
    pub(super) method: String,
    pub(super) path: String,
}

/// The operations, by path.
pub(super) fn operations() -> Vec<ServerOperation> {
    let text = std::fs::read_to_string(top().join(OPERATIONS)).expect(OPERATIONS);
    let rows = text.lines().filter(|line| !line.starts_with('#'));
    let parts = rows.map(|row| row.split('\t').map(str::to_owned).collect::<Vec<_>>());
    parts
        .map(|mut parts| ServerOperation {
            path: parts.pop().expect("a path"),
            method: parts.pop().expect("a method"),
            id: parts.pop().expect("an id"),
        })
        .collect()
}

/// The route of an operation.
pub(super) fn route_of<'a>(it: &ServerOperation, routes: &'a [Route]) -> Option<&'a Route> {
    let path = bare(&it.path);
    routes.iter().find(|route| route.method == it.method && bare(&route.path) == path)
}

#[test]
fn every_operation_between_servers_has_a_route() {
    let routes = pli_api::whole::routes().list();
    let operations = operations();
    assert!(operations.len() >= 35, "{}", operations.len());
    let missing = operations.iter().filter(|it| route_of(it, &routes).is_none());
    let missing: BTreeSet<&str> = missing.map(|it| it.id.as_str()).collect();
    let allowed: BTreeSet<&str> = WITHOUT_ROUTE.iter().copied().collect();
    let more: Vec<_> = missing.difference(&allowed).collect();
    assert!(more.is_empty(), "operations without a route: {more:#?}");
}
