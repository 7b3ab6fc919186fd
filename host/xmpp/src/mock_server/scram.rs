//! The server's side of a log-in by SCRAM-SHA-256 (RFC 5802, RFC 7677).

use sasl::common::Identity;
use sasl::common::scram::Sha256;
use sasl::secret::Pbkdf2Sha256;
use sasl::server::{Provider, ProviderError, Validator, ValidatorError};

/// The number of hash iterations, which is the required minimum.
const ROUNDS: u32 = 4096;

/// A log-in.
pub type Scram = sasl::server::mechanisms::Scram<Sha256, Known>;

/// The data that a server stores for a password.
#[derive(Clone)]
pub struct Known(Pbkdf2Sha256);

impl Known {
    /// Hashes the password of the user `bot`.
    pub fn of(password: &str, salt: &[u8]) -> Self {
        Self(Pbkdf2Sha256::derive(password, salt, ROUNDS).unwrap())
    }

    /// Returns the salted hash.
    pub fn digest(&self) -> &[u8] {
        &self.0.digest
    }
}

impl Validator<Pbkdf2Sha256> for Known {
    fn validate(&self, _: &Identity, _: &Pbkdf2Sha256) -> Result<(), ValidatorError> {
        Err(ValidatorError::AuthenticationFailed)
    }
}

impl Provider<Pbkdf2Sha256> for Known {
    fn provide(&self, identity: &Identity) -> Result<Pbkdf2Sha256, ProviderError> {
        assert_eq!(identity, &Identity::Username("bot".to_owned()));
        Ok(self.0.clone())
    }
}
