//! The keys with which this server signs (<https://spec.matrix.org/v1.19/appendices/#signing-json>).

use std::fmt;

use base64::{
    Engine as _,
    engine::{GeneralPurpose, GeneralPurposeConfig, general_purpose::STANDARD_NO_PAD},
};
use ruma::{
    CanonicalJsonObject, OwnedServerSigningKeyId, ServerName,
    serde::Base64,
    signatures::{Ed25519KeyPair, KeyPair as _, sign_json},
};
use zeroize::{Zeroize as _, Zeroizing};

/// The first bytes of an ed25519 private key in PKCS#8 version 1 (RFC 8410), before its 32 bytes.
const PKCS8_PREFIX: [u8; 16] = [
    0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20,
];
/// The object identifier of ed25519 and the two octet strings around the private key.
const PKCS8_MARK: [u8; 9] = [0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];
const PEM_BEGIN: &str = "-----BEGIN PRIVATE KEY-----";
const PEM_END: &str = "-----END PRIVATE KEY-----";

/// Base64 of the standard alphabet with or without padding and with any unused bits, as other
/// servers write key files and as the specification's test vectors have it.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_encode_padding(false)
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(base64::engine::DecodePaddingMode::Indifferent),
);

/// Why a key could not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The text is neither PKCS#8 PEM nor a line `ed25519 <version> <base64>`.
    #[error("not a signing key: {0}")]
    Malformed(&'static str),
    /// The version of the key is not made of letters, digits and `_`.
    #[error("a key version consists of letters, digits and underscores")]
    Version,
}

/// An ed25519 key of this server with its version, for example `a_Zw3f`. What it shows of itself
/// is public.
pub struct SigningKey {
    seed: Zeroizing<[u8; 32]>,
    pair: Ed25519KeyPair,
    key_id: OwnedServerSigningKeyId,
}

impl SigningKey {
    /// A new random key.
    ///
    /// # Errors
    /// [`KeyError::Version`]; [`KeyError::Malformed`] if the random key could not be encoded.
    pub fn generate(version: &str) -> Result<Self, KeyError> {
        Self::from_der(&Ed25519KeyPair::generate(), version)
    }

    /// The key of the given 32 secret bytes.
    ///
    /// # Errors
    /// [`KeyError::Version`].
    pub fn from_seed(seed: &[u8; 32], version: &str) -> Result<Self, KeyError> {
        if version.is_empty() || !version.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
            return Err(KeyError::Version);
        }
        let mut der = Zeroizing::new(PKCS8_PREFIX.to_vec());
        der.extend_from_slice(seed);
        let pair = Ed25519KeyPair::from_der(&der, version.to_owned())
            .map_err(|_| KeyError::Malformed("not an ed25519 key"))?;
        let key_id = OwnedServerSigningKeyId::try_from(format!("ed25519:{version}"))
            .map_err(|_| KeyError::Version)?;
        Ok(Self { seed: Zeroizing::new(*seed), pair, key_id })
    }

    /// The key of a PKCS#8 document (version 1 or 2), as DER.
    ///
    /// # Errors
    /// See [`KeyError`].
    pub fn from_der(der: &[u8], version: &str) -> Result<Self, KeyError> {
        Ed25519KeyPair::from_der(der, version.to_owned())
            .map_err(|_| KeyError::Malformed("not an ed25519 key in PKCS#8"))?;
        let at = der
            .windows(PKCS8_MARK.len())
            .position(|window| window == PKCS8_MARK)
            .ok_or(KeyError::Malformed("no ed25519 private key inside"))?;
        let start = at + PKCS8_MARK.len();
        let mut seed: Zeroizing<[u8; 32]> = Zeroizing::new([0; 32]);
        let bytes = der.get(start..start + 32).ok_or(KeyError::Malformed("cut short"))?;
        seed.copy_from_slice(bytes);
        Self::from_seed(&seed, version)
    }

    /// The key of a PKCS#8 PEM file, which does not hold its version.
    ///
    /// # Errors
    /// See [`KeyError`].
    pub fn from_pem(pem: &str, version: &str) -> Result<Self, KeyError> {
        let body = pem
            .split_once(PEM_BEGIN)
            .and_then(|(_, rest)| rest.split_once(PEM_END))
            .map(|(body, _)| body)
            .ok_or(KeyError::Malformed("no PRIVATE KEY block"))?;
        let body: Zeroizing<String> =
            Zeroizing::new(body.chars().filter(|c| !c.is_ascii_whitespace()).collect());
        let der = Zeroizing::new(
            BASE64.decode(body.as_bytes()).map_err(|_| KeyError::Malformed("not base64"))?,
        );
        Self::from_der(&der, version)
    }

    /// The key as a PKCS#8 PEM file.
    pub fn to_pem(&self) -> Zeroizing<String> {
        let mut der = Zeroizing::new(PKCS8_PREFIX.to_vec());
        der.extend_from_slice(self.seed.as_slice());
        let mut body = base64::engine::general_purpose::STANDARD.encode(&*der);
        let pem = Zeroizing::new(format!("{PEM_BEGIN}\n{body}\n{PEM_END}\n"));
        body.zeroize();
        pem
    }

    /// The key of a line `ed25519 <version> <unpadded base64>`, the file format of other Matrix
    /// servers. Only the first line that is not empty counts.
    ///
    /// # Errors
    /// See [`KeyError`].
    pub fn from_line(text: &str) -> Result<Self, KeyError> {
        let line = text.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
        let mut words = line.split_ascii_whitespace();
        let (Some("ed25519"), Some(version), Some(secret), None) =
            (words.next(), words.next(), words.next(), words.next())
        else {
            return Err(KeyError::Malformed("not a line of algorithm, version and key"));
        };
        let bytes =
            Zeroizing::new(BASE64.decode(secret).map_err(|_| KeyError::Malformed("not base64"))?);
        let mut seed: Zeroizing<[u8; 32]> = Zeroizing::new([0; 32]);
        if bytes.len() != seed.len() {
            return Err(KeyError::Malformed("a key has 32 bytes"));
        }
        seed.copy_from_slice(&bytes);
        Self::from_seed(&seed, version)
    }

    /// The key as a line `ed25519 <version> <unpadded base64>`.
    pub fn to_line(&self) -> Zeroizing<String> {
        let mut secret = STANDARD_NO_PAD.encode(self.seed.as_slice());
        let line = Zeroizing::new(format!("ed25519 {} {secret}\n", self.version()));
        secret.zeroize();
        line
    }

    /// The pair, for requests that ruma signs.
    pub const fn key_pair(&self) -> &Ed25519KeyPair {
        &self.pair
    }

    /// The version of the key, for example `a_Zw3f`.
    pub fn version(&self) -> &str {
        self.pair.version()
    }

    /// The identifier of the key in signatures, for example `ed25519:a_Zw3f`.
    pub fn key_id(&self) -> &OwnedServerSigningKeyId {
        &self.key_id
    }

    /// The public key, as in `verify_keys` of `GET /_matrix/key/v2/server`.
    pub fn public_key(&self) -> Base64 {
        Base64::new(self.pair.public_key().to_vec())
    }

    /// The signature of some bytes as unpadded base64.
    pub fn sign(&self, message: &[u8]) -> String {
        self.pair.sign(message).base64()
    }

    /// Adds this server's signature to an object; signatures of others stay
    /// (<https://spec.matrix.org/v1.19/appendices/#signing-details>).
    ///
    /// # Errors
    /// [`KeyError::Malformed`] when `signatures` is there and is not an object of objects.
    pub fn sign_json(
        &self,
        server_name: &ServerName,
        object: &mut CanonicalJsonObject,
    ) -> Result<(), KeyError> {
        sign_json(server_name.as_str(), &self.pair, object)
            .map_err(|_| KeyError::Malformed("`signatures` is not an object of objects"))
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("SigningKey").field("key_id", &self.key_id).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The key of <https://spec.matrix.org/v1.19/appendices/#cryptographic-test-vectors>.
    const SEED_LINE: &str = "ed25519 1 YJDBA9Xnr2sVqXD9Vj7XVUnmFZcZrlw8Md7kMW+3XA1";

    #[test]
    fn the_signing_vectors_of_the_appendix() {
        let key = SigningKey::from_line(SEED_LINE).unwrap();
        let domain = <&ServerName>::try_from("domain").unwrap();
        let mut empty: CanonicalJsonObject = serde_json::from_str("{}").unwrap();
        key.sign_json(domain, &mut empty).unwrap();
        assert_eq!(
            serde_json::to_string(&empty).unwrap(),
            r#"{"signatures":{"domain":{"ed25519:1":"K8280/U9SSy9IVtjBuVeLr+HpOB4BQFWbg+UZaADMtTdGYI7Geitb76LTrr5QV/7Xg4ahLwYGYZzuHGZKM5ZAQ"}}}"#
        );
        let mut two: CanonicalJsonObject =
            serde_json::from_str(r#"{"one": 1, "two": "Two"}"#).unwrap();
        key.sign_json(domain, &mut two).unwrap();
        assert_eq!(
            serde_json::to_string(&two).unwrap(),
            r#"{"one":1,"signatures":{"domain":{"ed25519:1":"KqmLSbO39/Bzb0QIYE82zqLwsA+PDzYIpIRA2sRQ4sL53+sN6/fpNSoqE7BP7vBZhG6kYdD13EIMJpvhJI+6Bw"}},"two":"Two"}"#
        );
    }

    #[test]
    fn written_and_read_again_it_is_the_same_key() {
        let key = SigningKey::generate("a_Zw3f").unwrap();
        for again in [
            SigningKey::from_line(&key.to_line()).unwrap(),
            SigningKey::from_pem(&key.to_pem(), "a_Zw3f").unwrap(),
        ] {
            assert_eq!(again.public_key().encode(), key.public_key().encode());
            assert_eq!(again.key_id(), key.key_id());
            assert_eq!(again.sign(b"message"), key.sign(b"message"));
        }
        assert_eq!(key.key_id().as_str(), "ed25519:a_Zw3f");
    }

    #[test]
    fn debug_shows_no_secret() {
        let key = SigningKey::from_line(SEED_LINE).unwrap();
        let shown = format!("{key:?}");
        assert!(shown.contains("ed25519:1"));
        assert!(!shown.contains("YJDBA9"));
        assert!(!shown.contains("144, 193"), "{shown}");
    }

    #[test]
    fn what_is_no_key_is_an_error() {
        for text in ["", "ed25519 1", "rsa 1 AAAA", "ed25519 1 AAAA", "ed25519 a:b AAAA", "x"] {
            assert!(SigningKey::from_line(text).is_err(), "{text}");
        }
        for pem in ["", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----", PEM_BEGIN] {
            assert!(SigningKey::from_pem(pem, "1").is_err(), "{pem}");
        }
        assert_eq!(SigningKey::from_seed(&[7; 32], "a b").err(), Some(KeyError::Version));
    }
}
