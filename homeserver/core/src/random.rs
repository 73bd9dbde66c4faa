//! Randomness, as a parameter: the operating system's generator, or a seeded one in tests.

use std::sync::Arc;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use parking_lot::Mutex;
use rand::{CryptoRng, Rng, RngCore, SeedableRng, rngs::StdRng};

/// A source of random values. Clones share it.
#[derive(Clone)]
pub struct Random(Arc<Mutex<StdRng>>);

impl std::fmt::Debug for Random {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Random")
    }
}

impl Random {
    /// Seeded by the operating system. (`StdRng` is a cryptographic generator.)
    #[must_use]
    pub fn from_os() -> Self {
        Self(Arc::new(Mutex::new(StdRng::from_os_rng())))
    }

    /// The same sequence each time, for tests.
    #[must_use]
    pub fn seeded(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(StdRng::seed_from_u64(seed))))
    }

    /// 256 random bits in URL-safe base64 (43 characters): for tokens.
    #[must_use]
    pub fn token(&self) -> String {
        let mut bytes = [0_u8; 32];
        self.with(|rng| rng.fill_bytes(&mut bytes));
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// `length` letters of `alphabet`, each equally likely.
    #[must_use]
    pub fn string(&self, alphabet: &[u8], length: usize) -> String {
        self.with(|rng| {
            (0..length)
                .filter_map(|_| alphabet.get(rng.random_range(0..alphabet.len().max(1))))
                .map(|&byte| char::from(byte))
                .collect()
        })
    }

    /// `length` letters of `A–Z a–z`: for identifiers such as room ids and media ids.
    #[must_use]
    pub fn letters(&self, length: usize) -> String {
        self.string(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz", length)
    }

    /// `length` decimal digits.
    #[must_use]
    pub fn digits(&self, length: usize) -> String {
        self.string(b"0123456789", length)
    }

    /// Fills a buffer.
    pub fn fill(&self, bytes: &mut [u8]) {
        self.with(|rng| rng.fill_bytes(bytes));
    }

    fn with<T>(&self, f: impl FnOnce(&mut dyn CryptoRngCore) -> T) -> T {
        f(&mut *self.0.lock())
    }
}

/// A cryptographic generator.
trait CryptoRngCore: RngCore + CryptoRng {}
impl<T: RngCore + CryptoRng> CryptoRngCore for T {}
