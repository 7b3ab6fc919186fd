//! Finds out whether a request to a webhook comes from where it should.
//!
//! Secrets are compared in constant time.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::{SignedDuration, Timestamp};
use parlor_base::web_address::only_field;
use ring::digest;
use ring::hmac;
use ring::signature::{ED25519, UnparsedPublicKey};
use serde_json::{Value, json};

/// The challenge to the sender of a request to an unknown address. Browsers do not ask for a password because of it.
pub const UNKNOWN: &str = "Bearer";
/// How far the time of a signature may lie from ours, in either direction.
const WINDOW: SignedDuration = SignedDuration::from_mins(5);
/// The maximum number of signatures in one header: senders list one for each of their keys.
const MOST_SIGNATURES: usize = 16;
/// The maximum length of a body by which a sender tries an address, in bytes. Longer ones are not parsed.
const LONGEST_TRIAL: usize = 4 << 10;

/// How the host finds out that a request comes from where it should.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verification {
    /// A header has a keyed hash of the body (RFC 2104), or several of them with commas between.
    Signed {
        /// The hash function.
        hash: Hash,
        /// The header, in small letters.
        header: String,
        /// The text before the signature.
        prefix: String,
        /// How the signature is written.
        encoding: Encoding,
    },
    /// A header has the secret itself.
    Token {
        /// The header, in small letters.
        header: String,
    },
    /// As Gitea and Forgejo sign.
    Gitea,
    /// As Stripe signs, and others in a header of their own.
    Stripe {
        /// The header, in small letters.
        header: String,
    },
    /// As Slack signs.
    Slack,
    /// As Zoom signs: in Slack's way, in headers of its own.
    Zoom,
    /// As Paddle signs.
    Paddle,
    /// As Twitch signs.
    Twitch,
    /// As Discord signs its interactions (Ed25519, RFC 8032).
    Discord,
    /// As the specification Standard Webhooks says, also by the names that Svix has for its headers.
    Standard,
    /// A token in `authorization` (RFC 6750).
    Bearer,
    /// A user's name and password in `authorization` (RFC 7617).
    Basic,
    /// Nothing is verified.
    Nothing,
}

/// The hash function of a signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hash {
    /// SHA-256.
    Sha256,
    /// SHA-1, which is still sound in a keyed hash.
    Sha1,
}

/// How a signature is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// As hex digits.
    Hex,
    /// As base64 with padding.
    Base64,
}

/// The parts of a request that are verified.
#[derive(Clone, Copy)]
pub struct Given<'a> {
    /// Returns the value of a header; `None` if the request has it not, or more than once.
    pub header: &'a dyn Fn(&str) -> Option<&'a [u8]>,
    /// The body.
    pub body: &'a [u8],
    /// When it was received.
    pub now: Timestamp,
}

/// The digest of what was signed, with its time: it may come only once. `None` if the sender signs no time; then it sends the
/// same signature again when it repeats a request.
pub type Once = Option<[u8; 32]>;

/// The error for a request that is not verified. It does not state the reason: the sender must not learn it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it is not signed as it should be")]
pub struct Unverified;

/// How far the check of a refused request came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refused {
    /// Its body was not hashed.
    Unread,
    /// Its body was hashed.
    Hashed,
}

impl Verification {
    /// Returns how GitHub signs.
    pub fn github() -> Self {
        let (header, prefix) = ("x-hub-signature-256".to_owned(), "sha256=".to_owned());
        Self::Signed { hash: Hash::Sha256, header, prefix, encoding: Encoding::Hex }
    }

    /// Returns the way as owners are shown it.
    pub fn about(&self) -> String {
        match self {
            Self::Signed { hash: Hash::Sha256, header, .. } => format!("HMAC-SHA256 in {header}"),
            Self::Signed { hash: Hash::Sha1, header, .. } => format!("HMAC-SHA1 in {header}"),
            Self::Token { header } => format!("token in {header}"),
            Self::Gitea => "HMAC-SHA256 in x-gitea-signature".to_owned(),
            Self::Stripe { header } => format!("HMAC-SHA256 with a time in {header}"),
            Self::Slack => "Slack's signature".to_owned(),
            Self::Zoom => "Zoom's signature".to_owned(),
            Self::Paddle => "Paddle's signature".to_owned(),
            Self::Twitch => "Twitch's signature".to_owned(),
            Self::Discord => "Discord's signature".to_owned(),
            Self::Standard => "Standard Webhooks".to_owned(),
            Self::Bearer => "bearer token".to_owned(),
            Self::Basic => "name and password".to_owned(),
            Self::Nothing => "nothing but the address".to_owned(),
        }
    }

    /// Returns the challenge to the sender of a refused request (RFC 9110, section 11.6.1). Some senders, such as Twilio, give
    /// a name and a password only once they are asked for them.
    pub fn challenge(&self) -> &'static str {
        match self {
            Self::Basic => "Basic realm=\"webhook\", charset=\"UTF-8\"",
            Self::Signed { .. }
            | Self::Token { .. }
            | Self::Gitea
            | Self::Stripe { .. }
            | Self::Slack
            | Self::Zoom
            | Self::Paddle
            | Self::Twitch
            | Self::Discord
            | Self::Standard
            | Self::Bearer
            | Self::Nothing => UNKNOWN,
        }
    }

    /// Returns the form that a secret needs, if this one does not have it: no request could be verified by it.
    pub fn wanted_form(&self, secret: &str) -> Option<&'static str> {
        let (fits, form) = match self {
            Self::Standard => (standard_key(secret).is_ok(), "`whsec_` and base64, as the sender shows it"),
            Self::Discord => (
                discord_key(secret).is_ok_and(|key| key.len() == 32),
                "64 hex digits: the public key of the application, as Discord's page for developers shows it",
            ),
            Self::Basic => (secret.contains(':'), "`user:password`"),
            Self::Signed { .. }
            | Self::Token { .. }
            | Self::Gitea
            | Self::Stripe { .. }
            | Self::Slack
            | Self::Zoom
            | Self::Paddle
            | Self::Twitch
            | Self::Bearer
            | Self::Nothing => return None,
        };
        (!fits).then_some(form)
    }

    /// Verifies a request by one of these secrets, and returns the first one that is right. All are always tried: the time does not tell
    /// which one a sender uses. If no secret needs the body, it is hashed once all the same. So the time tells neither how the sender is
    /// verified nor which signature is missing.
    pub fn check_any<'s, T>(
        &self,
        secrets: &'s [T],
        text: impl Fn(&T) -> &str,
        given: Given<'_>,
    ) -> Result<(Once, &'s T), Unverified> {
        self.judge_any(secrets, text, given).map_err(|refused| {
            if refused == Refused::Unread {
                let _ = sign(&blind(), &[given.body]);
            }
            Unverified
        })
    }

    /// Verifies a request by this secret. An empty secret verifies nothing.
    pub fn check(&self, secret: &str, given: Given<'_>) -> Result<Once, Unverified> {
        self.check_any(&[secret], |secret| secret, given).map(|(once, _)| once)
    }

    /// Verifies a request by one of these secrets. The error is [`Refused::Hashed`] if one of them needed the body.
    pub(super) fn judge_any<'s, T>(
        &self,
        secrets: &'s [T],
        text: impl Fn(&T) -> &str,
        given: Given<'_>,
    ) -> Result<(Once, &'s T), Refused> {
        let mut right = Err(Refused::Unread);
        for secret in secrets {
            match self.judge(text(secret), given) {
                Ok(once) if right.is_err() => right = Ok((once, secret)),
                Err(Refused::Hashed) if right.is_err() => right = Err(Refused::Hashed),
                Ok(_) | Err(_) => {}
            }
        }
        right
    }

    fn judge(&self, secret: &str, given: Given<'_>) -> Result<Once, Refused> {
        if secret.is_empty() && *self != Self::Nothing {
            return Err(Refused::Unread);
        }
        match self {
            Self::Signed { hash, header, prefix, encoding } => {
                let key = hmac::Key::new(hash.algorithm(), secret.as_bytes());
                // Senders that change their key list a signature by each of both for a while.
                let listed = text(given, header)?.split(',');
                let signatures = listed.filter_map(|one| one.trim().strip_prefix(prefix.as_str()));
                any(signatures, *encoding, &key, &[given.body]).map(|()| None)
            }
            Self::Token { header } => same(read(given, header)?, secret).map(|()| None),
            Self::Gitea => gitea(secret, given).map(|()| None),
            Self::Stripe { header } => listed(secret, header, &STRIPE, given).map(Some),
            Self::Slack => slack(secret, "x-slack", given).map(Some),
            Self::Zoom => slack(secret, "x-zm", given).map(Some),
            Self::Paddle => listed(secret, "paddle-signature", &PADDLE, given).map(Some),
            Self::Twitch => twitch(secret, given).map(Some),
            Self::Discord => discord(secret, given).map(Some),
            Self::Standard => standard(secret, given).map(Some),
            Self::Bearer => same(credentials(given, b"bearer ")?, secret).map(|()| None),
            Self::Basic => {
                let decoded = Encoding::Base64.decode(credentials(given, b"basic ")?)?;
                same(&decoded, secret).map(|()| None)
            }
            Self::Nothing => Ok(None),
        }
    }

    /// Returns the status of the answer to a request that is stored. Zoom and Paddle take only 200 for a success, and repeat a
    /// request otherwise. To Discord, only 202 says that the answer comes later.
    pub fn status_of_stored(&self) -> u16 {
        if matches!(self, Self::Zoom | Self::Paddle) { 200 } else { 202 }
    }

    /// Returns the answer to a request by which its sender only tries the address; `None` for any other request. The request must
    /// have been verified, by this secret. Zoom wants a proof of the secret, which a plugin does not have.
    pub fn answer_to_trial(&self, secret: &str, body: &[u8]) -> Option<TrialAnswer> {
        if body.len() > LONGEST_TRIAL {
            return None;
        }
        let read = || serde_json::from_slice::<Value>(body).ok();
        match self {
            Self::Slack => {
                let asked = read()?;
                let challenge = asked["challenge"].as_str().filter(|_| asked["type"] == "url_verification")?;
                Some(TrialAnswer::json(&json!({ "challenge": challenge })))
            }
            Self::Zoom => {
                let asked = read()?;
                let plain = asked["payload"]["plainToken"].as_str();
                let plain = plain.filter(|_| asked["event"] == "endpoint.url_validation")?;
                let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
                let proof = hex::encode(hmac::sign(&key, plain.as_bytes()));
                Some(TrialAnswer::json(&json!({ "plainToken": plain, "encryptedToken": proof })))
            }
            Self::Twitch => {
                let (asked, pending) = (read()?, "webhook_callback_verification_pending");
                let challenge = asked["challenge"].as_str().filter(|_| asked["subscription"]["status"] == pending)?;
                Some(TrialAnswer { media_type: "text/plain", body: challenge.to_owned() })
            }
            _ => None,
        }
    }
}

/// The answer to a request by which a sender tries an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrialAnswer {
    /// The media type of the body.
    pub media_type: &'static str,
    /// The body.
    pub body: String,
}

impl TrialAnswer {
    fn json(value: &Value) -> Self {
        Self { media_type: "application/json", body: value.to_string() }
    }
}

impl Hash {
    fn algorithm(self) -> hmac::Algorithm {
        match self {
            Self::Sha256 => hmac::HMAC_SHA256,
            Self::Sha1 => hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
        }
    }
}

impl Encoding {
    fn decode(self, written: &[u8]) -> Result<Vec<u8>, Refused> {
        match self {
            Self::Hex => hex::decode(written).map_err(|_| Refused::Unread),
            Self::Base64 => STANDARD.decode(written).map_err(|_| Refused::Unread),
        }
    }
}

fn read<'a>(given: Given<'a>, header: &str) -> Result<&'a [u8], Refused> {
    (given.header)(header).ok_or(Refused::Unread)
}

fn text<'a>(given: Given<'a>, header: &str) -> Result<&'a str, Refused> {
    std::str::from_utf8(read(given, header)?).map_err(|_| Refused::Unread)
}

/// Returns what follows the scheme in `authorization`. Capitals in the scheme do not matter (RFC 9110, section 11.1).
fn credentials<'a>(given: Given<'a>, scheme: &[u8]) -> Result<&'a [u8], Refused> {
    let (written, rest) = read(given, "authorization")?.split_at_checked(scheme.len()).ok_or(Refused::Unread)?;
    if written.eq_ignore_ascii_case(scheme) { Ok(rest.trim_ascii()) } else { Err(Refused::Unread) }
}

/// Returns a key that need not be secret: what is hashed with it is equally long, and differs everywhere if it differs at all.
fn blind() -> hmac::Key {
    hmac::Key::new(hmac::HMAC_SHA256, b"parlor")
}

/// Compares texts without telling by the time how much is right, nor how long the secret is.
fn same(given: &[u8], secret: &str) -> Result<(), Refused> {
    let key = blind();
    let tag = hmac::sign(&key, secret.as_bytes());
    hmac::verify(&key, given, tag.as_ref()).map_err(|_| Refused::Unread)
}

/// Checks that a signature was made at about this time.
fn in_time(seconds: &str, now: Timestamp) -> Result<(), Refused> {
    let signed =
        seconds.parse().ok().and_then(|seconds| Timestamp::from_second(seconds).ok()).ok_or(Refused::Unread)?;
    near(signed, now)
}

fn near(signed: Timestamp, now: Timestamp) -> Result<(), Refused> {
    if now.duration_since(signed).abs() <= WINDOW { Ok(()) } else { Err(Refused::Unread) }
}

/// Returns the digest of what was signed, in its parts. Not of the signature: one text may have several, by each key of the
/// sender, and the host knows another key after the owner has changed it.
fn once(signed: &[&[u8]]) -> [u8; 32] {
    let mut context = digest::Context::new(&digest::SHA256);
    for part in signed {
        context.update(part);
    }
    let mut digest = [0; 32];
    digest.copy_from_slice(context.finish().as_ref());
    digest
}

/// Returns what tells a request of a single sender from repetitions of it. Without the name, one sender could have the equal request of another dropped as a
/// repetition, and two that write the same at the same time would lose one.
pub fn once_of(signed: Once, sender: Option<&str>) -> Once {
    let signed = signed?;
    Some(sender.map_or(signed, |name| once(&[&signed, name.as_bytes()])))
}

/// Computes the keyed hash of several parts.
fn sign(key: &hmac::Key, parts: &[&[u8]]) -> hmac::Tag {
    let mut context = hmac::Context::with_key(key);
    for part in parts {
        context.update(part);
    }
    context.sign()
}

/// Checks that one of several signatures is valid. The parts are hashed once for all signatures: the sender chooses
/// their number, and the body may be long. They are not hashed at all if no signature has the length of a keyed hash.
fn any<'a>(
    signatures: impl Iterator<Item = &'a str>,
    encoding: Encoding,
    key: &hmac::Key,
    parts: &[&[u8]],
) -> Result<(), Refused> {
    let length = key.algorithm().digest_algorithm().output_len();
    let decoded = signatures.take(MOST_SIGNATURES).filter_map(|one| encoding.decode(one.as_bytes()).ok());
    let mut decoded = decoded.filter(|tag| tag.len() == length).peekable();
    decoded.peek().ok_or(Refused::Unread)?;
    // Hashing both tags again makes the comparison independent of where they differ.
    let blind = blind();
    let right = hmac::sign(&blind, sign(key, parts).as_ref());
    decoded.find(|tag| hmac::verify(&blind, tag, right.as_ref()).is_ok()).ok_or(Refused::Hashed).map(drop)
}

/// Checks the signature of Gitea, which signs its JSON. If its owner chose a form, the only field of the body is the JSON, and the
/// signature is still that of the JSON.
fn gitea(secret: &str, given: Given<'_>) -> Result<(), Refused> {
    let signature = text(given, "x-gitea-signature")?;
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    let check = |signed: &[u8]| any([signature].into_iter(), Encoding::Hex, &key, &[signed]);
    check(given.body).or_else(|refused| match refused {
        Refused::Unread => Err(refused),
        Refused::Hashed => check(only_field(given.body, "payload").ok_or(refused)?.as_bytes()),
    })
}

/// The form of a header that lists the time and signatures, each by its name.
struct Listed {
    separator: char,
    time: &'static str,
    signature: &'static str,
    /// The bytes between the time and the body in the signed text.
    between: &'static [u8],
}

const STRIPE: Listed = Listed { separator: ',', time: "t", signature: "v1", between: b"." };
const PADDLE: Listed = Listed { separator: ';', time: "ts", signature: "h1", between: b":" };

fn listed(secret: &str, header: &str, form: &Listed, given: Given<'_>) -> Result<[u8; 32], Refused> {
    let written = text(given, header)?;
    let fields = || written.split(form.separator).filter_map(|field| field.trim().split_once('='));
    let time = fields().find(|(name, _)| *name == form.time).ok_or(Refused::Unread)?.1;
    in_time(time, given.now)?;
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    let signatures = fields().filter(|(name, _)| *name == form.signature).map(|(_, signature)| signature);
    let parts: [&[u8]; 3] = [time.as_bytes(), form.between, given.body];
    any(signatures, Encoding::Hex, &key, &parts)?;
    Ok(once(&parts))
}

/// Checks a signature of Slack's form. `sender` is how its headers begin.
fn slack(secret: &str, sender: &str, given: Given<'_>) -> Result<[u8; 32], Refused> {
    let time = text(given, &format!("{sender}-request-timestamp"))?;
    in_time(time, given.now)?;
    let signature = text(given, &format!("{sender}-signature"))?.strip_prefix("v0=").ok_or(Refused::Unread)?;
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    let parts: [&[u8]; 4] = [b"v0:", time.as_bytes(), b":", given.body];
    any([signature].into_iter(), Encoding::Hex, &key, &parts)?;
    Ok(once(&parts))
}

fn twitch(secret: &str, given: Given<'_>) -> Result<[u8; 32], Refused> {
    let of = |name: &str| text(given, &format!("twitch-eventsub-message-{name}"));
    let (id, time) = (of("id")?, of("timestamp")?);
    near(time.parse().map_err(|_| Refused::Unread)?, given.now)?;
    let signature = of("signature")?.strip_prefix("sha256=").ok_or(Refused::Unread)?;
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    let parts: [&[u8]; 3] = [id.as_bytes(), time.as_bytes(), given.body];
    any([signature].into_iter(), Encoding::Hex, &key, &parts)?;
    Ok(once(&parts))
}

fn discord(secret: &str, given: Given<'_>) -> Result<[u8; 32], Refused> {
    let time = text(given, "x-signature-timestamp")?;
    in_time(time, given.now)?;
    let signature = Encoding::Hex.decode(read(given, "x-signature-ed25519")?)?;
    let key = discord_key(secret)?;
    let signed = [time.as_bytes(), given.body].concat();
    // A signature of another length is refused before the body is hashed.
    let refused = if signature.len() == 64 { Refused::Hashed } else { Refused::Unread };
    UnparsedPublicKey::new(&ED25519, key).verify(&signed, &signature).map_err(|_| refused)?;
    Ok(once(&[&signed]))
}

fn discord_key(secret: &str) -> Result<Vec<u8>, Refused> {
    Encoding::Hex.decode(secret.trim().as_bytes())
}

fn standard_key(secret: &str) -> Result<Vec<u8>, Refused> {
    let key = Encoding::Base64.decode(secret.trim().trim_start_matches("whsec_").as_bytes())?;
    if key.is_empty() { Err(Refused::Unread) } else { Ok(key) }
}

fn standard(secret: &str, given: Given<'_>) -> Result<[u8; 32], Refused> {
    // Svix, from whose signatures the specification was made, sends the same headers by names of its own.
    let sender = if (given.header)("webhook-id").is_some() { "webhook" } else { "svix" };
    let of = |name: &str| text(given, &format!("{sender}-{name}"));
    let (id, time) = (of("id")?, of("timestamp")?);
    in_time(time, given.now)?;
    let key = standard_key(secret)?;
    let key = hmac::Key::new(hmac::HMAC_SHA256, &key);
    let signatures = of("signature")?.split(' ').filter_map(|one| one.strip_prefix("v1,"));
    let parts: [&[u8]; 5] = [id.as_bytes(), b".", time.as_bytes(), b".", given.body];
    any(signatures, Encoding::Base64, &key, &parts)?;
    Ok(once(&parts))
}
