//! Tokens that a provider has signed (JWT, RFC 7519), for us.

use jsonwebtoken::{
    Algorithm, DecodingKey, Validation, decode, decode_header,
    jwk::{Jwk, JwkSet, PublicKeyUse},
};
use serde_json::{Map, Value};

/// Clocks may differ by this much, in seconds.
const LEEWAY_S: u64 = 60;
/// Longest token that is read, in bytes.
const TOKEN_MAX: usize = 64 * 1024;

/// Why a token is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Why {
    #[error("a token is malformed")]
    Malformed,
    #[error("a token is not signed with RS256 or ES256")]
    Algorithm,
    #[error("a token is signed with a key that is not known")]
    UnknownKey,
    #[error("a token is not signed by the provider for us")]
    Wrong,
    #[error("a token is too old, or not valid yet")]
    Time,
}

/// The claims of a token that `issuer` has signed for `audience`. Times are not looked at.
pub(super) fn claims(
    token: &str,
    keys: &JwkSet,
    (issuer, audience): (&str, &str),
) -> Result<Map<String, Value>, Why> {
    if token.len() > TOKEN_MAX {
        return Err(Why::Malformed);
    }
    let header = decode_header(token).map_err(|_| Why::Malformed)?;
    if !matches!(header.alg, Algorithm::RS256 | Algorithm::ES256) {
        return Err(Why::Algorithm);
    }
    let signs = |key: &&Jwk| {
        let of_use = !matches!(key.common.public_key_use, Some(PublicKeyUse::Encryption));
        let known = key.common.key_algorithm.as_ref().map(ToString::to_string);
        of_use && known.is_none_or(|known| known == format!("{:?}", header.alg))
    };
    let mut candidates = keys.keys.iter().filter(signs).filter(|key| match &header.kid {
        Some(kid) => key.common.key_id.as_ref() == Some(kid),
        None => true,
    });
    // Without a name of the key there must be one only.
    let key = match (candidates.next(), candidates.next()) {
        (Some(key), None) => key,
        _ => return Err(Why::UnknownKey),
    };
    let key = DecodingKey::from_jwk(key).map_err(|_| Why::UnknownKey)?;
    let mut validation = Validation::new(header.alg);
    validation.validate_exp = false;
    validation.set_issuer(&[issuer]);
    validation.set_audience(&[audience]);
    validation.required_spec_claims = ["iss", "aud"].map(str::to_owned).into();
    let claims = decode::<Map<String, Value>>(token, &key, &validation).map_err(|_| Why::Wrong)?;
    let claims = claims.claims;
    let many = claims.get("aud").and_then(Value::as_array).is_some_and(|aud| aud.len() > 1);
    let azp = claims.get("azp").and_then(Value::as_str);
    if azp.is_some_and(|azp| azp != audience) || (many && azp.is_none()) {
        return Err(Why::Wrong);
    }
    Ok(claims)
}

/// Whether a token is valid now.
pub(super) fn times(claims: &Map<String, Value>, now_s: u64) -> Result<(), Why> {
    let time = |name: &str| claims.get(name).and_then(Value::as_u64);
    let expires = time("exp").ok_or(Why::Time)?;
    let begins = time("nbf").into_iter().chain(time("iat")).max().unwrap_or(0);
    let valid =
        expires.saturating_add(LEEWAY_S) > now_s && begins <= now_s.saturating_add(LEEWAY_S);
    if valid { Ok(()) } else { Err(Why::Time) }
}
