//! The server's side of a log-in by SCRAM-SHA-256 (RFC 5802, RFC 7677). It records everything that is derived from the
//! password, so that a test can look for it.

use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result, bail};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use futures_util::SinkExt as _;
use sasl::common::scram::{ScramProvider as _, Sha256};
use sasl::common::{ChannelBinding, Identity};
use sasl::secret::Pbkdf2Sha256;
use sasl::server::mechanisms::Scram;
use sasl::server::{Mechanism as _, Provider, ProviderError, Response, Validator, ValidatorError};
use tokio::io::BufStream;
use tokio_xmpp::xmlstream::{XmppStream, XmppStreamElement};
use xmpp_parsers::sasl::{Challenge, Nonza};

use super::next;
use super::tap::Tapped;

/// The number of hash iterations, which is the required minimum.
const ROUNDS: u32 = 4096;

/// A server's side that demands proofs of one password.
pub(super) struct Proofs {
    known: Known,
    /// Everything that both sides derived from the password so far.
    made: Mutex<Vec<Vec<u8>>>,
}

impl Proofs {
    pub(super) fn of(password: &str) -> Result<Self> {
        let salt: [u8; 16] = rand::random();
        let salted = Pbkdf2Sha256::derive(password, &salt, ROUNDS).context("the password cannot be hashed")?;
        let key = |name: &[u8]| Sha256::hmac(name, &salted.digest).ok().context("no key can be made of the password");
        let (client, server) = (key(b"Client Key")?, key(b"Server Key")?);
        let made = vec![salted.digest.clone(), Sha256::hash(&client), client, server];
        Ok(Self { known: Known(salted), made: Mutex::new(made) })
    }

    /// Returns everything that was derived from the password so far: its hash, the keys derived from that, and each
    /// proof, by itself and in the message that it came in.
    pub(super) fn made(&self) -> Vec<Vec<u8>> {
        self.lock().clone()
    }

    /// Demands a proof of a client that has sent its first message. Returns the data for the success message.
    pub(super) async fn demand(&self, stream: &mut XmppStream<BufStream<Tapped>>, first: &[u8]) -> Result<Vec<u8>> {
        let mut scram = Scram::<Sha256, Known>::new(self.known.clone(), ChannelBinding::None);
        let Response::Proceed(data) = scram.respond(first).context("the client's first message is none of SCRAM's")?
        else {
            bail!("the client has proved it before it was asked")
        };
        stream.send(&XmppStreamElement::Sasl(Nonza::Challenge(Challenge { data }))).await?;
        let last = match next(stream).await? {
            XmppStreamElement::Sasl(Nonza::Response(response)) => response.data,
            other => bail!("the client proves nothing, but says {other:?}"),
        };
        let text = String::from_utf8_lossy(&last);
        let proof = text.rsplit_once(",p=").and_then(|(_, proof)| BASE64_STANDARD.decode(proof).ok());
        self.lock().extend([proof.context("the client gives no proof")?, last.clone()]);
        match scram.respond(&last).context("the client's proof is wrong")? {
            Response::Success(_, data) => Ok(data),
            Response::Proceed(_) => bail!("the client has proved it, and that is not the end"),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Vec<u8>>> {
        self.made.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The data that a server stores for a password. It accepts any user name.
#[derive(Clone)]
struct Known(Pbkdf2Sha256);

impl Validator<Pbkdf2Sha256> for Known {
    fn validate(&self, _: &Identity, _: &Pbkdf2Sha256) -> Result<(), ValidatorError> {
        Err(ValidatorError::AuthenticationFailed)
    }
}

impl Provider<Pbkdf2Sha256> for Known {
    fn provide(&self, _: &Identity) -> Result<Pbkdf2Sha256, ProviderError> {
        Ok(self.0.clone())
    }
}
