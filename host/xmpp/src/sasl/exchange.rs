//! Runs the SASL exchange (RFC 6120, section 6).
//!
//! The library's own log-in believes any server that reports success, and hashes as often as the server demands. This
//! one does not.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use futures_util::{SinkExt, StreamExt};
use jid::Jid;
use minidom::Element;
use minidom::rxml::NcName;
use parlor_base::escape::printable;
use tokio::io::{AsyncBufRead, AsyncWrite};
use tokio_xmpp::xmlstream::{
    FallibleStreamElement, InitiatingStream, ReadError, StreamElementError, XmppStream, XmppStreamElement,
};
use xmpp_parsers::ns;
use xmpp_parsers::sasl::{Challenge, DefinedCondition, Failure, Nonza, Response, Success};
use zeroize::Zeroizing;

use super::scram::{Scram, refused_as};
use super::{Advertised, Choice, Mechanism};
use crate::error::ConnectError;
use crate::failure::{io_failure, said, stream_failure};
use crate::password::Password;

/// Logs in as the user of `jid`, and returns the stream, which must be restarted. The password is `None` if the
/// mechanism needs none. `advertised` is the offer to compare with the server's claim, if it is compared.
pub(crate) async fn authenticate<Io: AsyncBufRead + AsyncWrite + Unpin>(
    mut stream: XmppStream<Io>,
    choice: &Choice,
    advertised: Option<Advertised>,
    jid: &Jid,
    password: Option<&Password>,
) -> Result<InitiatingStream<Io>, ConnectError> {
    let mechanism = choice.mechanism;
    let name = mechanism.name(&choice.binding);
    let unproven = |cause| ConnectError::ServerUnproven { domain: jid.domain().as_str().to_owned(), cause };
    let (first, mut scram) = begin(choice, advertised, jid, password)?;
    stream.send(&auth(name, &first)).await.map_err(|error| io_failure(&error))?;
    // A server may ask for the content of the first message again, once (RFC 4422, section 5).
    let mut again = (mechanism == Mechanism::External).then_some(first);
    // Without SCRAM there is nothing to prove: TLS alone authenticates the server.
    let mut proven = scram.is_none();
    loop {
        let heard = hear(&mut stream, jid).await?;
        if scram.is_some()
            && let Nonza::Challenge(Challenge { data }) | Nonza::Success(Success { data }) = &heard
            && let Some(reason) = refused_as(data)
        {
            return Err(refused_within(reason, jid));
        }
        match (heard, scram.take()) {
            (Nonza::Challenge(challenge), Some(mut asked)) if !asked.was_asked() => {
                // Thousands of hashing rounds must not block other tasks on this thread.
                let answering = tokio::task::spawn_blocking(move || {
                    let answer = asked.answer(&challenge.data);
                    (asked, answer)
                });
                let (asked, answer) = answering.await.map_err(|error| unexpected(error.to_string()))?;
                scram = Some(asked);
                say(&mut stream, Nonza::Response(Response { data: answer? })).await?;
            }
            // The proof may arrive as a separate challenge, before an empty success.
            (Nonza::Challenge(challenge), Some(asked)) if !proven => {
                asked.check(&challenge.data).map_err(unproven)?;
                proven = true;
                say(&mut stream, Nonza::Response(Response { data: Vec::new() })).await?;
            }
            (Nonza::Challenge(challenge), None) if challenge.data.is_empty() && again.is_some() => {
                say(&mut stream, Nonza::Response(Response { data: again.take().unwrap_or_default() })).await?;
            }
            (Nonza::Success(success), asked) => {
                if let Some(asked) = asked.filter(|_| !proven) {
                    asked.check(&success.data).map_err(unproven)?;
                }
                return Ok(stream.initiate_reset());
            }
            (Nonza::Failure(failure), _) => return Err(refusal(mechanism, failure, jid)),
            _ => return Err(unexpected("its log-in goes another way".to_owned())),
        }
    }
}

/// Returns the first message, and the state that answers challenges.
fn begin(
    choice: &Choice,
    advertised: Option<Advertised>,
    jid: &Jid,
    password: Option<&Password>,
) -> Result<(Vec<u8>, Option<Scram>), ConnectError> {
    let user = || jid.node().ok_or_else(|| ConnectError::NoUser { jid: jid.clone() });
    let password = || password.ok_or_else(|| unexpected("there is no password".to_owned()));
    Ok(match choice.mechanism {
        Mechanism::Scram(hash) => {
            let compared = advertised.map(|advertised| (jid.domain().to_string(), advertised));
            let scram =
                Scram::new(hash, user()?.as_str(), &prepared(password()?), choice.binding.clone()).comparing(compared);
            (scram.first(), Some(scram))
        }
        Mechanism::Plain => (format!("\0{}\0{}", user()?, password()?.expose()).into_bytes(), None),
        // The authorization identity selects one of the addresses in the certificate (XEP-0178, section 2).
        Mechanism::External => (jid.to_bare().to_string().into_bytes(), None),
        Mechanism::Anonymous => (Vec::new(), None),
    })
}

/// Returns the password in the normalised form that SCRAM proofs are computed from (RFC 5802, section 2.2). A password
/// that cannot be normalised is used unchanged; the server decides. PLAIN always sends it unchanged, since the server
/// may compare it with anything (RFC 4616, section 4).
fn prepared(password: &Password) -> Zeroizing<String> {
    let password = password.expose();
    Zeroizing::new(stringprep::saslprep(password).map_or_else(|_| password.to_owned(), Cow::into_owned))
}

/// Builds the element by hand, since the library's own type supports fewer mechanisms.
fn auth(mechanism: &str, data: &[u8]) -> Element {
    let name = NcName::try_from("mechanism").expect("a word is a name");
    Element::builder("auth", ns::SASL)
        .attr(name, mechanism)
        // An empty message is written as "=" (RFC 6120, section 6.4.2).
        .append(if data.is_empty() { "=".to_owned() } else { BASE64.encode(data) })
        .build()
}

fn refusal(mechanism: Mechanism, failure: Failure, jid: &Jid) -> ConnectError {
    let Failure { defined_condition, texts } = failure;
    let text = said(&texts);
    match defined_condition {
        // Prosody reports account-disabled for every certificate that it does not trust.
        DefinedCondition::NotAuthorized | DefinedCondition::InvalidAuthzid | DefinedCondition::AccountDisabled
            if mechanism == Mechanism::External =>
        {
            ConnectError::CertificateRefused { jid: jid.clone(), text }
        }
        DefinedCondition::NotAuthorized if text.as_deref().is_some_and(is_about_the_way) => {
            ConnectError::LoginRefused { condition: "not-authorized".to_owned(), text, temporary: false }
        }
        DefinedCondition::NotAuthorized => ConnectError::NotAuthorized { jid: jid.clone() },
        DefinedCondition::AccountDisabled => ConnectError::AccountDisabled { jid: jid.clone(), text },
        other => ConnectError::LoginRefused {
            temporary: matches!(other, DefinedCondition::TemporaryAuthFailure | DefinedCondition::Aborted),
            condition: Element::from(other).name().to_owned(),
            text,
        },
    }
}

/// Converts a refusal within the messages of SCRAM.
fn refused_within(reason: &str, jid: &Jid) -> ConnectError {
    match reason {
        "invalid-proof" | "unknown-user" => ConnectError::NotAuthorized { jid: jid.clone() },
        other => {
            ConnectError::LoginRefused { condition: printable(other), text: None, temporary: other == "no-resources" }
        }
    }
}

/// Returns whether the server rejects the kind of proof, and not the password. ejabberd says so only in its text. It
/// does so if it stores the password hashed for another mechanism, and if the log-in is bound to a connection that
/// ended at somebody in between.
fn is_about_the_way(text: &str) -> bool {
    [INCOMPATIBLE, "Invalid channel binding"].contains(&text)
}

/// The text of ejabberd if it stores the password hashed for another mechanism.
const INCOMPATIBLE: &str = "Incompatible SCRAM methods";

/// Returns whether a refusal with this condition and text may be about the channel binding, since it names no other
/// reason.
pub(crate) fn may_be_about_binding(condition: &str, text: Option<&str>) -> bool {
    !["credentials-expired", "encryption-required"].contains(&condition) && text != Some(INCOMPATIBLE)
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
        let element = stream.next().await;
        // A refusal with an unknown condition, or with none, is still a refusal (RFC 6120, section 6.4.5).
        if let Some(Ok(FallibleStreamElement::Err(StreamElementError::InvalidNonza { qname, .. }))) = &element
            && qname.0.as_str() == ns::SASL
            && qname.1 == "failure"
        {
            return Err(ConnectError::LoginRefused { condition: "unknown".to_owned(), text: None, temporary: false });
        }
        match element.map(|element| element.and_then(FallibleStreamElement::into_read_error)) {
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
    use std::collections::BTreeMap;

    use parlor_stanza::testing::jid;

    use super::*;
    use crate::sasl::scram::Hash;

    #[test]
    fn what_a_server_refuses_is_told_apart() {
        let failure = |defined_condition| Failure { defined_condition, texts: BTreeMap::new() };
        let refused = |condition| refusal(Mechanism::Plain, failure(condition), &jid("bot@house"));
        assert!(matches!(refused(DefinedCondition::NotAuthorized), ConnectError::NotAuthorized { .. }));
        assert!(matches!(refused(DefinedCondition::AccountDisabled), ConnectError::AccountDisabled { .. }));
        let expired = refused(DefinedCondition::CredentialsExpired);
        assert!(expired.is_final() && expired.to_string().contains("credentials-expired"), "{expired}");
        assert!(!refused(DefinedCondition::TemporaryAuthFailure).is_final());
        let stranger = refusal(Mechanism::External, failure(DefinedCondition::InvalidAuthzid), &jid("bot@house"));
        assert!(stranger.is_final() && stranger.to_string().contains("certificate"), "{stranger}");
    }

    /// RFC 6120, section 6.5: the advice is often only in the text.
    #[test]
    fn a_server_that_says_why_it_refuses_is_quoted() {
        let refused = |mechanism, defined_condition, texts: &[(&str, &str)]| {
            let texts = texts.iter().map(|(lang, text)| ((*lang).to_owned(), (*text).to_owned())).collect();
            refusal(mechanism, Failure { defined_condition, texts }, &jid("bot@house")).to_string()
        };
        let both = [("de", "Bitte die Adresse bestätigen"), ("en", "Confirm the address\nfirst")];
        let said = refused(Mechanism::Plain, DefinedCondition::AccountDisabled, &both);
        assert_eq!(said, "the account bot@house is disabled (Confirm the address\\u{a}first); ask who runs its server");
        let said = refused(Mechanism::Plain, DefinedCondition::CredentialsExpired, &both[..1]);
        assert!(said.contains("credentials-expired (Bitte die Adresse bestätigen); "), "{said}");
        let said = refused(Mechanism::External, DefinedCondition::NotAuthorized, &[("", "It is revoked")]);
        assert!(said.contains("the certificate for bot@house (It is revoked); "), "{said}");
        for why in ["Incompatible SCRAM methods", "Invalid channel binding"] {
            let said = refused(Mechanism::Scram(Hash::Sha256), DefinedCondition::NotAuthorized, &[("en", why)]);
            assert!(said.contains(&format!("not-authorized ({why}); ")) && !said.contains("password"), "{said}");
        }
        let wrong = [("en", "Invalid username or password")];
        let said = refused(Mechanism::Scram(Hash::Sha256), DefinedCondition::NotAuthorized, &wrong);
        assert!(said.contains("the password of bot@house"), "{said}");
        let said = refused(Mechanism::Plain, DefinedCondition::AccountDisabled, &[("en", " ")]);
        assert_eq!(said, "the account bot@house is disabled; ask who runs its server");
    }

    /// RFC 4013, section 3: two spellings can be the same password.
    #[test]
    fn a_password_is_spelled_as_servers_keep_it() {
        for (written, kept) in
            [("I\u{ad}X", "IX"), ("ｐｅｎｃｉｌ", "pencil"), ("e\u{301}", "é"), ("🐴", "🐴"), ("\u{7}", "\u{7}")]
        {
            assert_eq!(prepared(&Password::of(written.to_owned())).as_str(), kept, "{written:?}");
        }
    }

    #[test]
    fn a_message_that_is_empty_is_not_left_out() {
        assert_eq!(auth("ANONYMOUS", b"").text(), "=");
        let external = auth("EXTERNAL", b"bot@house");
        assert_eq!((external.attr("mechanism"), external.text().as_str()), (Some("EXTERNAL"), "Ym90QGhvdXNl"));
    }
}
