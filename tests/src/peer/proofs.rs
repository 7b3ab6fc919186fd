//! The server's side of a log-in by SCRAM-SHA-256 (RFC 5802, RFC 7677). It records everything that is derived from the
//! password, so that a test can look for it.

use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result, bail};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use parlor_xmpp::mock_server::Heard;
use parlor_xmpp::mock_server::scram::{Known, Scram};
use sasl::common::ChannelBinding;
use sasl::common::scram::{ScramProvider as _, Sha256};
use sasl::server::{Mechanism as _, Response};
use xmpp_parsers::sasl::Challenge;

use super::Line;

/// A server's side that demands proofs of one password.
pub(super) struct Proofs {
    known: Known,
    /// Everything that both sides derived from the password so far.
    made: Mutex<Vec<Vec<u8>>>,
}

impl Proofs {
    pub(super) fn of(password: &str) -> Result<Self> {
        let salt: [u8; 16] = rand::random();
        let known = Known::of(password, &salt);
        let key = |name: &[u8]| Sha256::hmac(name, known.digest()).ok().context("no key can be made of the password");
        let (client, server) = (key(b"Client Key")?, key(b"Server Key")?);
        let made = vec![known.digest().to_vec(), Sha256::hash(&client), client, server];
        Ok(Self { known, made: Mutex::new(made) })
    }

    /// Returns everything that was derived from the password so far: its hash, the keys derived from that, and each
    /// proof, on its own and in its message.
    pub(super) fn made(&self) -> Vec<Vec<u8>> {
        self.lock().clone()
    }

    /// Demands a proof of a client that has sent its first message. Returns the data for the success message.
    pub(super) async fn demand(&self, line: &mut Line, first: &[u8]) -> Result<Vec<u8>> {
        let mut scram = Scram::new(self.known.clone(), ChannelBinding::None);
        let Response::Proceed(data) = scram.respond(first).context("the client's first message is none of SCRAM's")?
        else {
            bail!("the client has proved it before it was asked")
        };
        line.say(&Challenge { data }.into()).await?;
        let last = match line.hear().await? {
            Heard::Sasl { mechanism: None, data } => data,
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
