//! The signature on a request.
//!
//! A transaction holds events of any room version, and those of the first five may have numbers that
//! canonical JSON forbids. What was signed is therefore brought into its one form with numbers as they are
//! written: an event with a number out of bounds costs itself only, not all that comes with it.

use pli_federation::{
    canonical_json::{Numbers, canonicalize, write_string},
    event_format::PublicKeys,
};
use ruma::{
    ServerName, api::federation::authentication::XMatrix, exports::http,
    signatures::verify_canonical_json_bytes,
};

/// Checks the signature of whoever sent a request
/// (<https://spec.matrix.org/v1.19/server-server-api/#request-authentication>).
///
/// # Errors
/// Why it is not valid.
pub(super) fn verify(
    given: &XMatrix,
    request: &http::Request<&[u8]>,
    destination: &ServerName,
    keys: &PublicKeys,
) -> Result<(), String> {
    let keys = keys.get(given.origin.as_str());
    let key = keys.and_then(|keys| keys.get(given.key.as_str()));
    let key = key.ok_or_else(|| format!("the key {} is not known", given.key))?;
    let signed = signed_text(given, request, destination)?;
    let (algorithm, signature) = (given.key.algorithm(), given.sig.as_bytes());
    verify_canonical_json_bytes(&algorithm, key.as_bytes(), signature, signed.as_bytes())
        .map_err(|error| error.to_string())
}

/// The request as an object, in canonical form.
fn signed_text(
    given: &XMatrix,
    request: &http::Request<&[u8]>,
    destination: &ServerName,
) -> Result<String, String> {
    let mut text = String::from("{");
    if !request.body().is_empty() {
        let body = std::str::from_utf8(request.body()).map_err(|error| error.to_string())?;
        let body = canonicalize(body, Numbers::Lenient).map_err(|error| error.to_string())?;
        text.push_str("\"content\":");
        text.push_str(&body);
        text.push(',');
    }
    let uri = request.uri().path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
    let members = [
        ("destination", destination.as_str()),
        ("method", request.method().as_str()),
        ("origin", given.origin.as_str()),
        ("uri", uri),
    ];
    for (index, (name, value)) in members.into_iter().enumerate() {
        if index > 0 {
            text.push(',');
        }
        write_string(name, &mut text);
        text.push(':');
        write_string(value, &mut text);
    }
    text.push('}');
    Ok(text)
}
