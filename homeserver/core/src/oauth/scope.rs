//! Scopes: all of the client-server API, for one device.
//!
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#scope>; the unstable names are MSC2967's.

use ruma::OwnedDeviceId;

use super::{OauthError, OauthResult};

const API: [&str; 2] = ["urn:matrix:client:api:*", "urn:matrix:org.matrix.msc2967.client:api:*"];
const DEVICE: [&str; 2] =
    ["urn:matrix:client:device:", "urn:matrix:org.matrix.msc2967.client:device:"];

/// Longest scope that is read, in bytes.
const SCOPE_MAX: usize = 1_024;
/// Longest device id in a scope, in bytes.
const DEVICE_ID_MAX: usize = 128;

/// A scope that can be granted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scope {
    /// What of the request is granted, as the client wrote it. What is not known is left out.
    pub text: String,
    /// The device.
    pub device_id: OwnedDeviceId,
}

impl Scope {
    /// Reads the scope of a request.
    ///
    /// # Errors
    /// [`OauthError::InvalidScope`] unless it asks for the whole API and names exactly one device.
    pub fn parse(text: &str) -> OauthResult<Self> {
        let invalid = |why| Err(OauthError::InvalidScope(why));
        if text.len() > SCOPE_MAX {
            return invalid("The scope is too long");
        }
        let tokens: Vec<&str> = text.split(' ').filter(|token| !token.is_empty()).collect();

        let mut devices: Vec<&str> = tokens.iter().copied().filter_map(device_of).collect();
        devices.dedup();
        let [device_id] = devices.as_slice() else {
            return invalid("The scope must name exactly one device");
        };
        if !tokens.iter().any(|token| API.contains(token)) {
            return invalid("The scope must ask for urn:matrix:client:api:*");
        }
        // RFC 6749, 3.3; `%` and `/` would make odd paths for those who address the device.
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~+=:".contains(&byte);
        if !(1..=DEVICE_ID_MAX).contains(&device_id.len()) || !device_id.bytes().all(allowed) {
            return invalid("The device id may hold letters, digits and - . _ ~ only");
        }
        let known: Vec<&str> = tokens
            .iter()
            .copied()
            .filter(|token| API.contains(token) || device_of(token).is_some())
            .collect();
        Ok(Self { text: known.join(" "), device_id: OwnedDeviceId::from(*device_id) })
    }
}

/// The device that a token of a scope names.
fn device_of(token: &str) -> Option<&str> {
    DEVICE.iter().find_map(|prefix| token.strip_prefix(prefix))
}
