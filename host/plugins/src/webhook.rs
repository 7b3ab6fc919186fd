//! The webhooks of a plugin: how others may send it requests over the web, as its author declared.

mod below;
mod verification;

use parlor_base::document::{DocumentError, Node, Section};
use parlor_base::nearest::nearest;

use crate::header::{MAX_HEADER, header};
use crate::manifest::keys::{self, MAX_DESCRIPTION, MAX_LISTED, MAX_WEBHOOK_NAME};

use verification::{Encoding, Hash};

pub use below::below;
pub use verification::{Given, Once, TrialAnswer, UNKNOWN, Unverified, Verification, once_of};

/// The header in which a plugin gets the name of the sender by whose own secret a request was verified. Only the host writes it.
pub const SENDER_HEADER: &str = "parlor-sender";

/// A webhook that a plugin's author declared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Webhook {
    /// The author's description of its requests.
    pub description: String,
    /// How requests are answered.
    pub mode: Mode,
    /// How the host finds out that a request comes from where it should.
    pub verification: Verification,
    /// The setting with the secret of the verification, unless that needs none.
    pub secret: Option<String>,
    /// The methods that it takes.
    pub methods: Vec<String>,
    /// Whether it also takes requests to paths below its address.
    pub paths: bool,
    /// The headers that the plugin gets, with small letters.
    pub headers: Vec<String>,
}

/// How the requests to a webhook are answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// The host stores the request and answers at once. The request is delivered to the plugin at least once.
    Queue,
    /// The plugin answers. The request is delivered once.
    Answer,
}

impl Mode {
    /// Returns its name in manifests.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queue => "queue",
            Self::Answer => "answer",
        }
    }
}

/// The ways to verify, as authors name them.
const WAYS: [&str; 16] = [
    "github",
    "gitlab",
    "gitea",
    "stripe",
    "slack",
    "zoom",
    "paddle",
    "twitch",
    "discord",
    "standard",
    "hmac-sha256",
    "hmac-sha1",
    "token",
    "bearer",
    "basic",
    "none",
];

/// Lists each way to verify, with the header that it reads and a description.
pub fn ways() -> impl Iterator<Item = (&'static str, &'static str, &'static str)> {
    let what: [_; WAYS.len()] = [
        ("x-hub-signature-256", "`sha256=` and the HMAC-SHA256 of the body in hex"),
        ("x-gitlab-token", "the secret itself"),
        ("x-gitea-signature", "the HMAC-SHA256 of the JSON in hex, also if that comes in a form; also Forgejo"),
        ("the one in `header`, else stripe-signature", "`t=TIME,v1=…` with the HMAC-SHA256 of `TIME.BODY` in hex"),
        ("x-slack-signature", "`v0=` and the HMAC-SHA256 of `v0:TIME:BODY` in hex, with `x-slack-request-timestamp`"),
        ("x-zm-signature", "the same, with `x-zm-request-timestamp`"),
        ("paddle-signature", "`ts=TIME;h1=…` with the HMAC-SHA256 of `TIME:BODY` in hex"),
        (
            "twitch-eventsub-message-signature",
            "`sha256=` and the HMAC-SHA256 of id, time and body in hex, with `twitch-eventsub-message-id` and `twitch-eventsub-message-timestamp`",
        ),
        (
            "x-signature-ed25519",
            "the Ed25519 signature of time and body in hex, with `x-signature-timestamp`; the secret is the application's public key",
        ),
        (
            "webhook-signature",
            "`v1,` and the HMAC-SHA256 of `ID.TIME.BODY` in base64, with `webhook-id` and `webhook-timestamp` (Standard Webhooks); also Svix, whose headers begin with `svix-`; the secret is `whsec_` and base64",
        ),
        (
            "the one in `header`, else x-signature-256",
            "the HMAC-SHA256 of the body, see `prefix` and `encoding`; of several with commas between, one has to be right",
        ),
        ("the one in `header`, else x-signature", "the HMAC-SHA1 of the body, likewise"),
        ("the one in `header`", "the secret itself"),
        ("authorization", "`Bearer` and the secret"),
        ("authorization", "`Basic`; the secret is `user:password`"),
        ("none", "nothing: whoever knows the address may send"),
    ];
    WAYS.into_iter().zip(what).map(|(way, (header, what))| (way, header, what))
}

impl Webhook {
    /// Parses `[webhook.NAME]` of a manifest. `is_setting` says whether there is a setting that can hold a secret.
    pub(super) fn read(node: &Node<'_>, is_setting: impl Fn(&str) -> bool) -> Result<Self, DocumentError> {
        let section = node.section()?;
        section.allow(&keys::of("webhook"))?;
        let mode = match section.get("mode") {
            None => Mode::Queue,
            Some(mode) => match mode.string()? {
                "queue" => Mode::Queue,
                "answer" => Mode::Answer,
                _ => return Err(mode.wants("\"queue\" or \"answer\"")),
            },
        };
        let verification = verification(&section)?;
        let secret = match (section.get("secret"), verification == Verification::Nothing) {
            (Some(secret), true) => return Err(secret.error("nothing is verified, so there is no secret")),
            (None, true) => None,
            (None, false) => {
                return Err(node.error("no `secret`: name the setting that holds what the sender signs with"));
            }
            (Some(secret), false) => {
                let name = secret.string()?;
                if !is_setting(name) {
                    let name = name.escape_debug();
                    return Err(secret.error(format!(
                        "there is no setting `{name}` of the type credential, secret or string: add [settings.{name}]"
                    )));
                }
                Some(name.to_owned())
            }
        };
        Ok(Self {
            description: section.require("description", "say what is sent there")?.sentence(MAX_DESCRIPTION)?,
            mode,
            verification,
            secret,
            methods: methods(&section)?,
            paths: section.get("paths").map_or(Ok(false), |node| node.boolean())?,
            headers: headers(&section)?,
        })
    }

    /// Refuses a header that has the secret of this or another webhook of the plugin: a credential never reaches a plugin,
    /// also if a sender was given the address of another webhook by mistake.
    pub(super) fn shows_none_of<'w>(
        &self,
        node: &Node<'_>,
        mut webhooks: impl Iterator<Item = &'w Self>,
    ) -> Result<(), DocumentError> {
        let tells = |webhook: &Self| match &webhook.verification {
            Verification::Token { header } => self.headers.contains(header).then(|| header.clone()),
            _ => None,
        };
        let Some(header) = webhooks.find_map(tells) else { return Ok(()) };
        let section = node.section()?;
        let listed = section.get("headers");
        Err(listed.as_ref().unwrap_or(node).error(format!(
            "`{header}` has the secret that a webhook is verified by, which no plugin gets: leave it out of `headers`"
        )))
    }

    /// Describes what is more open to others than in its earlier form: it verifies senders differently, the plugin answers, or
    /// it takes more methods or gets more headers. `name`: its own name. Empty if nothing is.
    pub(super) fn opened_since(&self, name: &str, earlier: Option<&Self>) -> Vec<String> {
        let way = self.verification.about();
        let Some(earlier) = earlier else { return vec![format!("its webhook {name} is new (verified by: {way})")] };
        let mut all = Vec::new();
        if earlier.verification != Verification::Nothing {
            let before = earlier.verification.about();
            if self.verification != earlier.verification {
                // Two ways may differ in how they read one header.
                let how = if way == before {
                    "in another way".to_owned()
                } else {
                    format!("by: {way}; before, by: {before}")
                };
                all.push(format!("its webhook {name} is verified {how}"));
            } else if self.secret != earlier.secret {
                let [now, before] = [self, earlier].map(|one| one.secret.as_deref().unwrap_or_default());
                all.push(format!("its webhook {name} is verified by its setting {now}; before, by {before}"));
            }
        }
        if self.mode == Mode::Answer && earlier.mode == Mode::Queue {
            all.push(format!(
                "it answers requests to its webhook {name} itself, so that it can send any data to the sender"
            ));
        }
        let more = |now: &[String], before: &[String]| {
            now.iter().filter(|one| !before.contains(one)).cloned().collect::<Vec<_>>().join(", ")
        };
        let (methods, headers) = (more(&self.methods, &earlier.methods), more(&self.headers, &earlier.headers));
        if !methods.is_empty() {
            all.push(format!("its webhook {name} also takes {methods}"));
        }
        if self.paths && !earlier.paths {
            all.push(format!("its webhook {name} also takes requests to paths below its address"));
        }
        if !headers.is_empty() {
            all.push(format!("it also gets these headers of requests to its webhook {name}: {headers}"));
        }
        all
    }
}

/// Returns whether a webhook can have this name, which is a part of its address.
pub fn is_name(text: &str) -> bool {
    text.len() <= MAX_WEBHOOK_NAME
        && text.starts_with(|c: char| c.is_ascii_lowercase())
        && text.chars().all(|c| matches!(c, 'a'..='z' | '0'..='9' | '_' | '-'))
}

/// Parses the name of a webhook.
pub(super) fn name(node: &Node<'_>) -> Result<String, DocumentError> {
    let name = node.key();
    if is_name(name) {
        return Ok(name.to_owned());
    }
    Err(node.error(format!(
        "`{}` cannot be a webhook's name: 1 to {MAX_WEBHOOK_NAME} of a-z, 0-9, _ and -, the first one a letter",
        name.escape_debug()
    )))
}

fn verification(section: &Section<'_>) -> Result<Verification, DocumentError> {
    let node = section.require("verify", &format!("write one of {}", WAYS.join(", ")))?;
    let way = node.string()?;
    let own_header = section.get("header").map(|node| header(&node, node.string()?)).transpose()?;
    let header_or = |usual: &str| own_header.clone().unwrap_or_else(|| usual.to_owned());
    let signed = |hash, usual: &str| -> Result<Verification, DocumentError> {
        Ok(Verification::Signed {
            hash,
            header: header_or(usual),
            prefix: section.get("prefix").map_or(Ok(""), |node| prefix(&node))?.to_owned(),
            encoding: match section.get("encoding") {
                None => Encoding::Hex,
                Some(node) => match node.string()? {
                    "hex" => Encoding::Hex,
                    "base64" => Encoding::Base64,
                    _ => return Err(node.wants("\"hex\" or \"base64\"")),
                },
            },
        })
    };
    let found = match way {
        "github" => Verification::github(),
        "gitea" => Verification::Gitea,
        "hmac-sha256" => signed(Hash::Sha256, "x-signature-256")?,
        "hmac-sha1" => signed(Hash::Sha1, "x-signature")?,
        "gitlab" => Verification::Token { header: "x-gitlab-token".to_owned() },
        "token" => {
            let Some(header) = own_header.clone() else {
                return Err(node.error("no `header`: name the one that the token comes in"));
            };
            Verification::Token { header }
        }
        "stripe" => Verification::Stripe { header: header_or("stripe-signature") },
        "slack" => Verification::Slack,
        "zoom" => Verification::Zoom,
        "paddle" => Verification::Paddle,
        "twitch" => Verification::Twitch,
        "discord" => Verification::Discord,
        "standard" => Verification::Standard,
        "bearer" => Verification::Bearer,
        "basic" => Verification::Basic,
        "none" => Verification::Nothing,
        other => {
            let other = other.escape_debug().to_string();
            return Err(node.error(match nearest(&other, WAYS) {
                Some(near) => format!("unknown way to verify `{other}`; did you mean `{near}`?"),
                None => format!("unknown way to verify `{other}`; known are {}", WAYS.join(", ")),
            }));
        }
    };
    for (key, ways) in [
        ("header", &["hmac-sha256", "hmac-sha1", "token", "stripe"][..]),
        ("prefix", &["hmac-sha256", "hmac-sha1"][..]),
        ("encoding", &["hmac-sha256", "hmac-sha1"][..]),
    ] {
        if let Some(given) = section.get(key).filter(|_| !ways.contains(&way)) {
            return Err(given.error(format!("`{key}` goes with {} alone, not with {way}", ways.join(", "))));
        }
    }
    Ok(found)
}

fn methods(section: &Section<'_>) -> Result<Vec<String>, DocumentError> {
    let Some(node) = section.get("methods") else { return Ok(vec!["POST".to_owned()]) };
    let list = node.strings(MAX_LISTED)?;
    // OPTIONS is how CloudEvents asks whether a webhook wants its requests.
    let known = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
    if list.is_empty() || list.iter().any(|method| !known.contains(method)) {
        return Err(node.wants(&format!("a list of at least one of {}", known.join(", "))));
    }
    Ok(list.into_iter().map(str::to_owned).collect())
}

/// Parses the headers that a plugin gets. Those that carry credentials of the sender are refused.
fn headers(section: &Section<'_>) -> Result<Vec<String>, DocumentError> {
    let Some(node) = section.get("headers") else { return Ok(Vec::new()) };
    let listed = node.strings(MAX_LISTED)?.into_iter().map(|name| {
        let name = header(&node, name)?;
        if ["authorization", "cookie", "proxy-authorization"].contains(&name.as_str()) {
            return Err(node.error(format!("`{name}` is the host's to read: verify by `bearer`, `basic` or `token`")));
        }
        Ok(name)
    });
    listed.collect()
}

/// Parses the text before a signature. A comma separates signatures.
fn prefix<'a>(node: &Node<'a>) -> Result<&'a str, DocumentError> {
    let text = node.string()?;
    if text.len() > MAX_HEADER || !text.is_ascii() || text.contains(',') {
        return Err(node.wants(&format!("at most {MAX_HEADER} ASCII characters without a comma")));
    }
    Ok(text)
}

#[cfg(test)]
mod tests;
