//! The log-in's conversation (RFC 6120, section 6; SCRAM: RFC 5802 and RFC 7677).
//!
//! The library's own log-in believes any server that says "success" and hashes as often as it is told; this one does not.

use std::str::FromStr;

use futures_util::{SinkExt, StreamExt};
use jid::Jid;
use minidom::Element;
use sasl::client::mechanisms::{Plain, Scram};
use sasl::client::{Mechanism as Steps, MechanismError};
use sasl::common::scram::{Sha1, Sha256};
use sasl::common::{ChannelBinding, Credentials};
use tokio::io::{AsyncBufRead, AsyncWrite};
use tokio_xmpp::xmlstream::{FallibleStreamElement, InitiatingStream, ReadError, XmppStream, XmppStreamElement};
use xmpp_parsers::sasl::{Auth, DefinedCondition, Mechanism as WireMechanism, Nonza, Response};

use super::Mechanism;
use crate::xmpp::connect::{ConnectError, io_failure, printable, stream_failure};
use crate::xmpp::password::Password;

/// How often the password may have to be hashed. Below, whoever pretends to be the server could guess it from our answer
/// (RFC 7677, section 4); above, the answer costs seconds.
const ROUNDS: std::ops::RangeInclusive<u32> = 4096..=1_000_000;

type Client = Box<dyn Steps + Send + Sync>;

/// Logs in as the user of `jid`, and gives the stream, which has to begin anew.
pub(in crate::xmpp) async fn authenticate<Io: AsyncBufRead + AsyncWrite + Unpin>(
    mut stream: XmppStream<Io>,
    mechanism: Mechanism,
    binding: ChannelBinding,
    jid: &Jid,
    password: &Password,
) -> Result<InitiatingStream<Io>, ConnectError> {
    let mut client = client(mechanism, binding, jid, password)?;
    let unproven = |cause| ConnectError::ServerUnproven { domain: jid.domain().as_str().to_owned(), cause };
    let wire = WireMechanism::from_str(client.name()).map_err(|error| unexpected(error.to_string()))?;
    let first = client.initial();
    say(&mut stream, Nonza::Auth(Auth { mechanism: wire, data: first.clone() })).await?;
    let mut answered = false;
    // PLAIN has nothing to prove: TLS alone says who the server is.
    let mut proven = mechanism == Mechanism::Plain;
    loop {
        match hear(&mut stream, jid).await? {
            Nonza::Challenge(challenge) if !answered && !proven => {
                check_challenge(&challenge.data, &first)?;
                // Thousands of rounds of hashing must not hold up who shares this thread.
                let (back, response) = tokio::task::spawn_blocking(move || {
                    let response = client.response(&challenge.data);
                    (client, response)
                })
                .await
                .map_err(|error| unexpected(error.to_string()))?;
                client = back;
                answered = true;
                let data = response.map_err(|error| unexpected(error.to_string()))?;
                say(&mut stream, Nonza::Response(Response { data })).await?;
            }
            // The proof may come as a challenge of its own, before an empty success.
            Nonza::Challenge(challenge) if !proven => {
                check_proof(client.as_mut(), &challenge.data).map_err(unproven)?;
                proven = true;
                say(&mut stream, Nonza::Response(Response { data: Vec::new() })).await?;
            }
            Nonza::Success(success) => {
                if !proven {
                    check_proof(client.as_mut(), &success.data).map_err(unproven)?;
                }
                return Ok(stream.initiate_reset());
            }
            Nonza::Failure(failure) => return Err(refusal(failure.defined_condition, jid)),
            _ => return Err(unexpected("its log-in goes another way".to_owned())),
        }
    }
}

fn client(
    mechanism: Mechanism,
    binding: ChannelBinding,
    jid: &Jid,
    password: &Password,
) -> Result<Client, ConnectError> {
    let user = jid.node().ok_or_else(|| ConnectError::NoUser { jid: jid.clone() })?.as_str();
    // Both are allowed in a JID and mean something in SCRAM (RFC 5802, section 5.1); the library does not escape them.
    let user = match mechanism {
        Mechanism::Plain => user.to_owned(),
        Mechanism::ScramSha256 | Mechanism::ScramSha1 => user.replace('=', "=3D").replace(',', "=2C"),
    };
    let credentials =
        Credentials::default().with_username(user).with_password(password.expose()).with_channel_binding(binding);
    let client: Result<Client, MechanismError> = match mechanism {
        Mechanism::ScramSha256 => Scram::<Sha256>::from_credentials(credentials).map(|scram| Box::new(scram) as Client),
        Mechanism::ScramSha1 => Scram::<Sha1>::from_credentials(credentials).map(|scram| Box::new(scram) as Client),
        Mechanism::Plain => Plain::from_credentials(credentials).map(|plain| Box::new(plain) as Client),
    };
    client.map_err(|error| unexpected(error.to_string()))
}

/// Whether the server's first message is as RFC 5802, section 7, has it. The library looks at none of this.
fn check_challenge(challenge: &[u8], first: &[u8]) -> Result<(), ConnectError> {
    let bad = |cause: &str| ConnectError::BadChallenge { cause: cause.to_owned() };
    let text = std::str::from_utf8(challenge).map_err(|_| bad("it is not text"))?;
    let mut parts = text.split(',');
    let mut part = |name: &str| parts.next().and_then(|part| part.strip_prefix(name));
    let (nonce, salt, rounds) = (part("r="), part("s="), part("i="));
    let (Some(nonce), Some(salt), Some(rounds)) = (nonce, salt, rounds) else {
        return Err(bad("it is not a nonce, a salt and a number of rounds"));
    };
    // Were one of them said twice, the library would take the second, which nobody has checked.
    if parts.any(|part| ["r=", "s=", "i=", "m="].iter().any(|name| part.starts_with(name))) {
        return Err(bad("it says something twice"));
    }
    let own = std::str::from_utf8(first).ok().and_then(|first| first.split_once(",r=")).map(|(_, nonce)| nonce);
    if !own.is_some_and(|own| nonce.len() > own.len() && nonce.starts_with(own)) {
        return Err(bad("its nonce is not made of ours"));
    }
    if salt.is_empty() {
        return Err(bad("it has no salt"));
    }
    match rounds.parse::<u32>() {
        Ok(number) if ROUNDS.contains(&number) => Ok(()),
        _ => Err(bad(&format!(
            "it wants {} rounds of hashing, and between {} and {} are acceptable",
            printable(rounds),
            ROUNDS.start(),
            ROUNDS.end()
        ))),
    }
}

fn check_proof(client: &mut (dyn Steps + Send + Sync), proof: &[u8]) -> Result<(), &'static str> {
    client.success(proof).map_err(|error| match error {
        MechanismError::InvalidSignatureInSuccessResponse => "its signature is wrong",
        MechanismError::InvalidState => "it said success before anything was asked",
        _ => "it gave no signature",
    })
}

fn refusal(condition: DefinedCondition, jid: &Jid) -> ConnectError {
    match condition {
        DefinedCondition::NotAuthorized => ConnectError::NotAuthorized { jid: jid.clone() },
        DefinedCondition::AccountDisabled => ConnectError::AccountDisabled { jid: jid.clone() },
        other => ConnectError::LoginRefused {
            temporary: matches!(other, DefinedCondition::TemporaryAuthFailure | DefinedCondition::Aborted),
            condition: Element::from(other).name().to_owned(),
        },
    }
}

fn unexpected(cause: String) -> ConnectError {
    ConnectError::NotXmpp { cause }
}

async fn say<Io: AsyncBufRead + AsyncWrite + Unpin>(
    stream: &mut XmppStream<Io>,
    nonza: Nonza,
) -> Result<(), ConnectError> {
    stream.send(&XmppStreamElement::Sasl(nonza)).await.map_err(|error| io_failure(&error))
}

async fn hear<Io: AsyncBufRead + AsyncWrite + Unpin>(
    stream: &mut XmppStream<Io>,
    jid: &Jid,
) -> Result<Nonza, ConnectError> {
    loop {
        match stream.next().await.map(|element| element.and_then(FallibleStreamElement::into_read_error)) {
            Some(Ok(XmppStreamElement::Sasl(nonza))) => return Ok(nonza),
            Some(Ok(XmppStreamElement::StreamError(error))) => {
                return Err(stream_failure(&error.0, jid.domain().as_str()));
            }
            Some(Ok(_)) => return Err(unexpected("no answer to the log-in".to_owned())),
            Some(Err(ReadError::SoftTimeout)) => {}
            Some(Err(ReadError::HardError(error))) => return Err(io_failure(&error)),
            Some(Err(ReadError::ParseError(error))) => return Err(unexpected(printable(&error.to_string()))),
            Some(Err(ReadError::StreamFooterReceived)) | None => return Err(ConnectError::HungUp),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::xmpp::peer::jid;

    #[test]
    fn what_a_server_refuses_is_told_apart() {
        let refused = |condition| refusal(condition, &jid("bot@house"));
        assert!(matches!(refused(DefinedCondition::NotAuthorized), ConnectError::NotAuthorized { .. }));
        assert!(matches!(refused(DefinedCondition::AccountDisabled), ConnectError::AccountDisabled { .. }));
        let expired = refused(DefinedCondition::CredentialsExpired);
        assert!(expired.is_final() && expired.to_string().contains("credentials-expired"), "{expired}");
        assert!(!refused(DefinedCondition::TemporaryAuthFailure).is_final());
    }

    #[test]
    fn a_challenge_is_checked_before_anything_is_computed() {
        let check = |challenge: &str| check_challenge(challenge.as_bytes(), b"n,,n=bot,r=abc");
        assert_eq!(check("r=abcd,s=QQ==,i=4096"), Ok(()));
        assert_eq!(check("r=abcd,s=QQ==,i=1000000,x=later"), Ok(()));
        for bad in [
            "",
            "r=abcd,s=QQ==",
            "r=abcd,i=4096,s=QQ==",
            "r=abcd,s=,i=4096",
            "r=abc,s=QQ==,i=4096",
            "r=zabc,s=QQ==,i=4096",
            "m=new,r=abcd,s=QQ==,i=4096",
            "r=abcd,s=QQ==,i=4095",
            "r=abcd,s=QQ==,i=1000001",
            "r=abcd,s=QQ==,i=99999999999",
            "r=abcd,s=QQ==,i=-1",
            "r=abcd,s=QQ==,i=4096,i=4000000000",
            "r=abcd,s=QQ==,i=4096,r=other",
        ] {
            let error = check(bad).unwrap_err();
            assert!(matches!(error, ConnectError::BadChallenge { .. }) && error.is_final(), "{bad}: {error}");
        }
    }
}
