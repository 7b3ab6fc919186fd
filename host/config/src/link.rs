//! How to reach and log in to an account's server: addresses, TLS, and references to secrets, never their values.

use std::fmt;
use std::io;
use std::net::Ipv6Addr;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use jid::{DomainPart, Jid};
use parlor_base::atomic::is_open;
use parlor_base::harmless::shell_word;
use parlor_base::{child, quantity};

use super::account::AccountName;
use super::error::{ConfigError, Place};
use super::sections::{Section, Written};
use super::settings::{Authentication, Settings};
use crate::url::{Url, UrlError};

/// The source of a password. Another module reads it when it is needed, and nothing stores the value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PasswordSource {
    /// The first line of this file.
    File(PathBuf),
    /// The output of this command line.
    Command(String),
    /// The value of this environment variable.
    Environment(String),
    /// The response from this address (the setting `credentials_url`).
    Web(Hidden<Url>),
    /// No source: a plugin may supply a password, or none is needed.
    Nowhere,
}

/// A BOSH session that somebody else opened, and that this account attaches to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Prebind {
    /// The session that the settings `sid` and `rid` name. It belongs to the configured full JID.
    Given {
        /// The id of the session.
        sid: Hidden<String>,
        /// The id of the next request.
        rid: Hidden<u64>,
    },
    /// The session that this address returns (the setting `prebind_url`).
    Fetched(Hidden<Url>),
}

/// A value that only a log-in may see. Debug output hides it.
#[derive(Clone, PartialEq, Eq)]
pub struct Hidden<T>(pub T);

impl<T> fmt::Debug for Hidden<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(hidden)")
    }
}

/// How an account authenticates (the setting `authentication`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Way {
    /// With a password (SCRAM; PLAIN if it is allowed).
    Password,
    /// With a certificate (SASL EXTERNAL, XEP-0178).
    Certificate {
        /// The certificate, followed by its intermediate certificates, as PEM.
        chain: PathBuf,
        /// Its private key, as PEM.
        key: PathBuf,
    },
    /// Anonymously: the server creates an account for the duration of the session (XEP-0175).
    Anonymous,
}

/// The address of a server, overriding the DNS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// A host name or address; an IPv6 address without brackets.
    pub host: String,
    /// The port; none = the default port of the TLS mode.
    pub port: Option<u16>,
}

/// When TLS begins. There is no connection without it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TlsMode {
    /// After a first exchange in the clear (RFC 6120, section 5).
    StartTls,
    /// At once (XEP-0368).
    Direct,
}

/// The transport of the stream.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum TransportChoice {
    /// TCP, with the domain's web addresses (XEP-0156) as a fallback if no TCP connection works and no `server` is
    /// named.
    #[default]
    Auto,
    /// Only TCP.
    Tcp,
    /// WebSocket, at `websocket_url` or at the domain's address.
    WebSocket,
    /// BOSH, at `bosh_service_url` or at the domain's address.
    Bosh,
}

/// Whether log-ins are bound to their TLS connection (the key `channel_binding`; RFC 5802, section 6).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ChannelBinding {
    /// Binds if both ends can. After the first bound log-in, an offer without it is refused.
    #[default]
    Auto,
    /// Always binds: the first log-in has to be bound as well.
    Required,
    /// Never binds, and does not compare the server's list of mechanisms either (XEP-0474).
    Never,
}

/// The address of XMPP over WebSocket: a host, a port, a path. Always within TLS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebUrl {
    /// The host and its port.
    pub server: Endpoint,
    /// The path and query, with the leading slash.
    pub path: String,
}

/// The reason why a text is not a [`WebUrl`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadUrl(&'static str);

impl FromStr for WebUrl {
    type Err = BadUrl;

    fn from_str(text: &str) -> Result<Self, BadUrl> {
        let rest = match text.split_once("://") {
            Some(("wss", rest)) => rest,
            Some(("ws" | "http", _)) => return Err(BadUrl("nothing is sent unencrypted: it has to begin with wss://")),
            _ => return Err(BadUrl("it has to begin with wss://")),
        };
        let (server, path) = rest.find(['/', '?']).map_or((rest, "/"), |at| rest.split_at(at));
        let plain = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'<' | b'>' | b'#' | b'\\');
        if !path.starts_with('/') || !path.bytes().all(plain) {
            return Err(BadUrl("after the host comes a path of plain characters"));
        }
        let mut server: Endpoint = server.parse().map_err(|BadEndpoint(reason)| BadUrl(reason))?;
        server.port.get_or_insert(443);
        Ok(Self { server, path: path.to_owned() })
    }
}

impl fmt::Display for WebUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "wss://{}{}", self.server, self.path)
    }
}

/// The settings that a link needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkSettings {
    /// The account. If it has no resource, the link requests `parlor-` and eight random hex digits. It requests the
    /// same one on each reconnect, so that the server replaces a dead session of ours instead of keeping it beside the
    /// new one.
    pub jid: Jid,
    /// How it logs in.
    pub way: Way,
    /// The source of its password, if it has one.
    pub password: PasswordSource,
    /// The address of its server; none = use the DNS (SRV).
    pub server: Option<Endpoint>,
    /// The transport of the stream. An address in the settings overrides it.
    pub transport: TransportChoice,
    /// When TLS begins. None: as the DNS says for each server (XEP-0368). For a named `server`, at once on port 5223,
    /// else after a first exchange.
    pub tls: Option<TlsMode>,
    /// A file with certificates to trust in place of the system's.
    pub ca_file: Option<PathBuf>,
    /// Whether the password may be sent in plain text (SASL PLAIN) within TLS.
    pub allow_plain: bool,
    /// Whether log-ins with a password are bound to their connection.
    pub channel_binding: ChannelBinding,
    /// The address for XMPP over WebSocket in place of TCP (the setting `websocket_url`).
    pub websocket: Option<WebUrl>,
    /// How long unsent messages are kept across a connection loss.
    pub keep_unsent: Duration,
    /// The address for XMPP over BOSH in place of TCP (the setting `bosh_service_url`). If both are set, WebSocket
    /// wins.
    pub bosh: Option<Url>,
    /// An existing BOSH session to attach to, in place of a log-in.
    pub prebind: Option<Prebind>,
    /// How long the stream may be silent before the link checks that the server still answers.
    pub ping_interval: Duration,
}

impl LinkSettings {
    /// Reads them from `[account.<name>]`. Paths in it are relative to `folder`.
    pub fn read(
        name: &AccountName,
        section: &Section<'_>,
        folder: &Path,
        environment: fn(&str) -> Option<String>,
        settings: &Settings,
    ) -> Result<Self, ConfigError> {
        let Some(jid) = section.text("jid")? else {
            return Err(ConfigError::NoJid { at: section.at.clone(), account: name.clone() });
        };
        let server = match section.text("server")? {
            Some(Written { value, at }) => Some(value.parse().map_err(|BadEndpoint(reason)| {
                ConfigError::BadServer { at, server: value.chars().take(128).collect(), reason }
            })?),
            None => None,
        };
        let (tls, transport) = (tls(section)?, transport(section)?);
        let ca_file = match section.text("ca_file")? {
            Some(Written { value, at }) => Some(readable("ca_file", folder.join(value), at)?),
            None => None,
        };
        let websocket = match &settings.websocket_url {
            None => None,
            Some(url) => Some(url.parse().map_err(|BadUrl(reason)| ConfigError::BadUrl {
                at: section.at.clone(),
                key: "websocket_url",
                url: url.chars().take(128).collect(),
                reason: reason.to_owned(),
            })?),
        };
        let way = way(section, folder, settings)?;
        let bosh = match &settings.bosh_service_url {
            None => None,
            Some(url) => Some(web(section, "bosh_service_url", url, url)?),
        };
        let jid = account_jid(jid, &way)?;
        let (password, prebind) = match way {
            Way::Password => {
                let password = password(name, section, folder, environment, settings)?;
                let has_own = password.as_ref().is_some_and(|source| !matches!(source, PasswordSource::Web(_)));
                (password, prebind(name, section, settings, &jid, bosh.is_some(), has_own)?)
            }
            Way::Certificate { .. } | Way::Anonymous => (Some(PasswordSource::Nowhere), None),
        };
        let password = match password {
            Some(password) => password,
            None if prebind.is_some() || !settings.auto_login => PasswordSource::Nowhere,
            None => {
                let variable = name.password_variable();
                return Err(ConfigError::NoPassword { at: section.at.clone(), account: name.clone(), variable });
            }
        };
        let link = Self {
            jid,
            way,
            password,
            server,
            transport,
            tls,
            ca_file,
            allow_plain: section.flag("allow_plain")?.unwrap_or(false),
            channel_binding: channel_binding(section)?,
            websocket,
            keep_unsent: keep_unsent(section)?,
            bosh,
            prebind,
            ping_interval: Duration::from_secs(u64::from(settings.ping_interval)),
        };
        match link.why_never_bound() {
            Some(reason) if link.channel_binding == ChannelBinding::Required => {
                let at = section.place_of("channel_binding").unwrap_or_else(|| section.at.clone());
                Err(ConfigError::NeverBound { at, reason })
            }
            _ => Ok(link),
        }
    }

    /// Returns whether every log-in uses BOSH, whatever the network does.
    pub fn is_over_bosh(&self) -> bool {
        match (self.transport, &self.websocket, &self.bosh) {
            (TransportChoice::Bosh, _, Some(_)) | (_, None, Some(_)) | (TransportChoice::Bosh, None, None) => true,
            (_, Some(_), _)
            | (TransportChoice::WebSocket | TransportChoice::Auto | TransportChoice::Tcp, None, None) => false,
        }
    }

    /// Returns why some or all log-ins with these settings cannot be bound, and what to change.
    fn why_never_bound(&self) -> Option<&'static str> {
        match &self.way {
            Way::Certificate { .. } => {
                Some("authentication = \"external\": only a log-in with a password is bound; leave channel_binding out")
            }
            Way::Anonymous => Some(
                "authentication = \"anonymous\": only a log-in with a password is bound; leave channel_binding out",
            ),
            Way::Password if self.prebind.is_some() => {
                Some("a BOSH session that somebody else began: it has no log-in to bind; leave channel_binding out")
            }
            Way::Password if self.is_over_bosh() => Some(
                "BOSH, which has no single connection to bind a log-in to: use TCP or WebSocket, or leave channel_binding out",
            ),
            Way::Password if self.allow_plain => {
                Some("allow_plain = true: PLAIN cannot be bound; leave one of the two out")
            }
            Way::Password => None,
        }
    }

    /// Returns whether a connection made with the earlier settings differs from one made with these: in its target, its
    /// way to log in, or the certificates to trust. Other values take effect with the next connection: the password,
    /// channel binding, and times.
    pub fn leads_elsewhere(&self, before: &Self) -> bool {
        let Self { password, allow_plain, channel_binding, keep_unsent, ping_interval, .. } = self.clone();
        Self { password, allow_plain, channel_binding, keep_unsent, ping_interval, ..before.clone() } != *self
    }

    /// Returns problems that are not errors, but should be fixed.
    pub fn warnings(&self) -> Vec<String> {
        match &self.password {
            PasswordSource::File(file) => file_warning(file).into_iter().collect(),
            PasswordSource::Command(_)
            | PasswordSource::Environment(_)
            | PasswordSource::Web(_)
            | PasswordSource::Nowhere => Vec::new(),
        }
    }
}

/// Reads when TLS begins.
fn tls(section: &Section<'_>) -> Result<Option<TlsMode>, ConfigError> {
    Ok(match section.text("tls")? {
        None => None,
        Some(Written { value: "starttls", .. }) => Some(TlsMode::StartTls),
        Some(Written { value: "direct", .. }) => Some(TlsMode::Direct),
        Some(Written { value, at }) => {
            return Err(ConfigError::BadTls { at, found: value.chars().take(64).collect() });
        }
    })
}

/// Reads the choice of the transport.
fn transport(section: &Section<'_>) -> Result<TransportChoice, ConfigError> {
    Ok(match section.text("transport")? {
        None => TransportChoice::default(),
        Some(Written { value: "auto", .. }) => TransportChoice::Auto,
        Some(Written { value: "tcp", .. }) => TransportChoice::Tcp,
        Some(Written { value: "websocket", .. }) => TransportChoice::WebSocket,
        Some(Written { value: "bosh", .. }) => TransportChoice::Bosh,
        Some(Written { value, at }) => {
            return Err(ConfigError::BadTransport { at, found: value.chars().take(64).collect() });
        }
    })
}

fn channel_binding(section: &Section<'_>) -> Result<ChannelBinding, ConfigError> {
    match section.text("channel_binding")? {
        None | Some(Written { value: "auto", .. }) => Ok(ChannelBinding::Auto),
        Some(Written { value: "required", .. }) => Ok(ChannelBinding::Required),
        Some(Written { value: "never", .. }) => Ok(ChannelBinding::Never),
        Some(Written { value, at }) => {
            Err(ConfigError::BadChannelBinding { at, found: value.chars().take(64).collect() })
        }
    }
}

/// The default for how long unsent messages are kept across a connection loss.
const KEEP_UNSENT: Duration = Duration::from_hours(1);

fn keep_unsent(section: &Section<'_>) -> Result<Duration, ConfigError> {
    let Some(Written { value, at }) = section.text("keep_unsent")? else { return Ok(KEEP_UNSENT) };
    quantity::duration(value).map_err(|_| ConfigError::BadDuration { at, key: "keep_unsent" })
}

/// Returns how the account logs in, by the setting `authentication` and the files that it needs.
fn way(section: &Section<'_>, folder: &Path, settings: &Settings) -> Result<Way, ConfigError> {
    let file = |key| match section.text(key)? {
        Some(Written { value, at }) => Ok::<_, ConfigError>(Some((readable(key, folder.join(value), at.clone())?, at))),
        None => Ok(None),
    };
    let (chain, key) = (file("certificate")?, file("certificate_key")?);
    match (settings.authentication, chain, key) {
        (Authentication::External, Some(_), Some((key, at))) if others_may_read(&key) => {
            Err(ConfigError::OpenKey { at, file: key })
        }
        (Authentication::External, Some((chain, _)), Some((key, _))) => Ok(Way::Certificate { chain, key }),
        (Authentication::External, ..) => Err(ConfigError::NoCertificate { at: section.at.clone() }),
        (_, Some((_, at)), _) | (_, _, Some((_, at))) => Err(ConfigError::IdleCertificate { at }),
        (Authentication::Anonymous, None, None) => Ok(Way::Anonymous),
        (Authentication::Login | Authentication::Prebind, None, None) => Ok(Way::Password),
    }
}

/// Parses an address of a setting; `shown` is the text that an error shows.
fn web(section: &Section<'_>, key: &'static str, url: &str, shown: &str) -> Result<Url, ConfigError> {
    url.parse().map_err(|reason: UrlError| ConfigError::BadUrl {
        at: section.at.clone(),
        key,
        url: shown.chars().take(128).collect(),
        reason: reason.to_string(),
    })
}

/// Returns the session to attach to, if the settings require one or the account has no other way to log in.
fn prebind(
    name: &AccountName,
    section: &Section<'_>,
    settings: &Settings,
    jid: &Jid,
    has_bosh: bool,
    has_password: bool,
) -> Result<Option<Prebind>, ConfigError> {
    let is_wanted = settings.authentication == Authentication::Prebind;
    let cannot = |reason| Err(ConfigError::Prebind { at: section.at.clone(), account: name.clone(), reason });
    let prebind = match (&settings.prebind_url, &settings.sid, &settings.rid) {
        _ if !is_wanted && (has_password || settings.prebind_url.is_none()) => return Ok(None),
        (Some(url), ..) => Prebind::Fetched(Hidden(web(section, "prebind_url", url, "…")?)),
        (None, Some(sid), Some(rid)) => {
            let Ok(rid) = rid.trim().parse() else { return cannot("rid is no number") };
            if jid.is_bare() {
                return cannot("its jid has to be the full one that the session is bound to");
            }
            Prebind::Given { sid: Hidden(sid.clone()), rid: Hidden(rid) }
        }
        (None, ..) => return cannot("it needs prebind_url, or sid and rid"),
    };
    if has_bosh { Ok(Some(prebind)) } else { cannot("it needs bosh_service_url, where the session is") }
}

fn account_jid(Written { value, at }: Written<&str>, way: &Way) -> Result<Jid, ConfigError> {
    let bad = |reason: String, at| ConfigError::BadJid { at, jid: value.chars().take(128).collect(), reason };
    match Jid::new(value) {
        Ok(jid) if jid.node().is_some() != (*way == Way::Anonymous) => Ok(jid),
        Ok(_) if *way == Way::Anonymous => {
            Err(bad("an anonymous account has no part before an @: write its server's domain alone".to_owned(), at))
        }
        Ok(_) => Err(bad("it has no part before an @".to_owned(), at)),
        Err(error) => Err(bad(error.to_string(), at)),
    }
}

fn password(
    name: &AccountName,
    section: &Section<'_>,
    folder: &Path,
    environment: fn(&str) -> Option<String>,
    settings: &Settings,
) -> Result<Option<PasswordSource>, ConfigError> {
    let mut found: Option<(&'static str, PasswordSource, Place)> = None;
    for key in ["password_file", "password_command", "password_env"] {
        let Some(Written { value, at }) = section.text(key)? else { continue };
        if let (Some((first, ..)), Some(at)) = (&found, section.place_of(key)) {
            return Err(ConfigError::TwoPasswords { at, first, second: key });
        }
        let source = match key {
            "password_file" => PasswordSource::File(folder.join(value)),
            "password_command" => PasswordSource::Command(value.to_owned()),
            _ => {
                child::withhold(value);
                PasswordSource::Environment(value.to_owned())
            }
        };
        found = Some((key, source, at));
    }
    match found {
        Some((_, PasswordSource::File(file), at)) => return Ok(Some(PasswordSource::File(present(file, at)?))),
        Some((_, source, _)) => return Ok(Some(source)),
        None => {}
    }
    let variable = name.password_variable();
    if environment(&variable).is_some() {
        return Ok(Some(PasswordSource::Environment(variable)));
    }
    let url = settings.credentials_url.as_ref();
    url.map(|url| Ok(PasswordSource::Web(Hidden(web(section, "credentials_url", url, "…")?)))).transpose()
}

/// Checks that a password file exists, without opening it: it may be a pipe that provides its password once.
fn present(file: PathBuf, at: Place) -> Result<PathBuf, ConfigError> {
    match std::fs::metadata(&file) {
        Ok(metadata) if metadata.is_dir() => {
            Err(ConfigError::NoPasswordFile { at, file, cause: io::ErrorKind::IsADirectory.into() })
        }
        Ok(_) => Ok(file),
        Err(cause) => Err(ConfigError::NoPasswordFile { at, file, cause }),
    }
}

fn readable(key: &'static str, file: PathBuf, at: Place) -> Result<PathBuf, ConfigError> {
    let opened = std::fs::File::open(&file).and_then(|open| open.metadata());
    match opened {
        Ok(metadata) if metadata.is_file() => Ok(file),
        Ok(_) => Err(ConfigError::NoPemFile { at, key, file, cause: io::ErrorKind::IsADirectory.into() }),
        Err(cause) => Err(ConfigError::NoPemFile { at, key, file, cause }),
    }
}

fn file_warning(file: &Path) -> Option<String> {
    others_may_read(file).then(|| {
        format!("others on this machine may read the password: chmod 600 {}", shell_word(&file.to_string_lossy()))
    })
}

fn others_may_read(file: &Path) -> bool {
    std::fs::metadata(file).is_ok_and(|found| is_open(&found.permissions()))
}

/// The reason why a text is not an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadEndpoint(&'static str);

impl FromStr for Endpoint {
    type Err = BadEndpoint;

    fn from_str(text: &str) -> Result<Self, BadEndpoint> {
        if text.contains("://") {
            return Err(BadEndpoint("it begins with the scheme of an address, which does not belong there"));
        }
        let (host, port) = match text.strip_prefix('[') {
            Some(rest) => {
                let (host, rest) = rest.split_once(']').ok_or(BadEndpoint("a ] is missing"))?;
                host.parse::<Ipv6Addr>().map_err(|_| BadEndpoint("what is in brackets is no IPv6 address"))?;
                match rest {
                    "" => (host, None),
                    rest => (host, Some(rest.strip_prefix(':').ok_or(BadEndpoint("after ] comes :port"))?)),
                }
            }
            None if text.parse::<Ipv6Addr>().is_ok() => (text, None),
            None => {
                let (host, port) = text.split_once(':').map_or((text, None), |(host, port)| (host, Some(port)));
                DomainPart::new(host)
                    .map_err(|_| BadEndpoint("the host has a character or length that no host has"))?;
                (host, port)
            }
        };
        let port = match port {
            None => None,
            Some(port) => match port.parse() {
                Ok(0) | Err(_) => return Err(BadEndpoint("the port is not a number from 1 to 65535")),
                Ok(port) => Some(port),
            },
        };
        Ok(Self { host: host.to_owned(), port })
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.host.contains(':'), self.port) {
            (true, Some(port)) => write!(f, "[{}]:{port}", self.host),
            (true, None) => write!(f, "[{}]", self.host),
            (false, Some(port)) => write!(f, "{}:{port}", self.host),
            (false, None) => f.write_str(&self.host),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Settings `websocket_url`.
    #[test]
    fn an_address_on_the_web_is_encrypted_and_plain() {
        let url: WebUrl = "wss://xmpp.example.org/ws?a=b".parse().unwrap();
        assert_eq!((url.server.port, url.path.as_str()), (Some(443), "/ws?a=b"));
        assert_eq!("wss://[::1]:5281".parse::<WebUrl>().unwrap().to_string(), "wss://[::1]:5281/");
        for bad in [
            "",
            "ws://localhost/ws",
            "https://localhost/",
            "wss://",
            "wss:///ws",
            "wss://user:secret@localhost/",
            "wss://localhost:0/",
            "wss://localhost/a b",
            "wss://localhost/a\r\nHost: other",
            "wss://localhost/#x",
        ] {
            assert!(bad.parse::<WebUrl>().is_err(), "{bad}");
        }
        assert!("ws://localhost/ws".parse::<WebUrl>().unwrap_err().to_string().contains("wss://"));
    }
}
