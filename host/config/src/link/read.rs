//! Reads the settings of a link from a section of the file.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jid::Jid;
use parlor_base::{atomic, child, quantity};

use super::{
    ChannelBinding, Hidden, LinkSettings, PasswordSource, Prebind, TlsMode, TransportChoice, Way, others_may_read,
};
use crate::component;
use crate::endpoint::{BadEndpoint, BadUrl, Endpoint};
use crate::error::{ConfigError, FilePosition};
use crate::name::{AccountName, BadAccountName};
use crate::sections::{Section, Written};
use crate::settings::{Authentication, Settings};
use crate::url::{Url, UrlError};
use crate::variable::is_variable;

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
        if let Some(component) = section.text("component")? {
            let jid = account_jid(jid, &Way::Password)?;
            return component::address(name, section, &component, jid, settings);
        }
        let server = server(section)?;
        let (tls, transport) = (tls(section)?, transport(section)?);
        let ca_file = certificates(section, "ca_file", folder)?;
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
            Way::Certificate { .. } | Way::Anonymous | Way::Component(_) => (Some(PasswordSource::Nowhere), None),
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
}

/// Checks the keys that a group of accounts may have, in a section without an account.
pub(crate) fn check_shared(section: &Section<'_>, folder: &Path) -> Result<(), ConfigError> {
    server(section)?;
    tls(section)?;
    transport(section)?;
    certificates(section, "ca_file", folder)?;
    section.flag("allow_plain")?;
    channel_binding(section)?;
    keep_unsent(section)?;
    Ok(())
}

/// Reads the server's address.
fn server(section: &Section<'_>) -> Result<Option<Endpoint>, ConfigError> {
    let Some(Written { value, at }) = section.text("server")? else { return Ok(None) };
    let bad = |BadEndpoint(reason)| ConfigError::BadServer { at, server: value.chars().take(128).collect(), reason };
    value.parse().map(Some).map_err(bad)
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

/// Reads how long unsent messages are kept across a connection loss.
pub(crate) fn keep_unsent(section: &Section<'_>) -> Result<Duration, ConfigError> {
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

/// Parses the name of an account, or of a component.
pub(crate) fn account_name(name: &Written<&str>) -> Result<AccountName, ConfigError> {
    name.value.parse().map_err(|_: BadAccountName| ConfigError::BadAccountName {
        at: name.at.clone(),
        name: name.value.chars().take(64).collect(),
    })
}

fn password(
    name: &AccountName,
    section: &Section<'_>,
    folder: &Path,
    environment: fn(&str) -> Option<String>,
    settings: &Settings,
) -> Result<Option<PasswordSource>, ConfigError> {
    if let Some(source) = password_source(section, folder)? {
        return Ok(Some(source));
    }
    let variable = name.password_variable();
    if environment(&variable).is_some() {
        return Ok(Some(PasswordSource::Environment(variable)));
    }
    let url = settings.credentials_url.as_ref();
    url.map(|url| Ok(PasswordSource::Web(Hidden(web(section, "credentials_url", url, "…")?)))).transpose()
}

/// Reads where the section itself says that a password is.
pub(crate) fn password_source(section: &Section<'_>, folder: &Path) -> Result<Option<PasswordSource>, ConfigError> {
    match secret_source(section, folder, ["password_file", "password_command", "password_env"])? {
        // If it is missing on one node, the other accounts go on there nevertheless, and so does the removal of accounts.
        Some((PasswordSource::File(file), _)) if section.is_of_nodes() => Ok(Some(PasswordSource::File(file))),
        Some((PasswordSource::File(file), at)) => Ok(Some(PasswordSource::File(present(file, at)?))),
        found => Ok(found.map(|(source, _)| source)),
    }
}

/// Reads where the section says that a secret is, by the keys of a file, a command and a variable of the environment. It does not look
/// for the file.
pub(crate) fn secret_source(
    section: &Section<'_>,
    folder: &Path,
    keys: [&'static str; 3],
) -> Result<Option<(PasswordSource, FilePosition)>, ConfigError> {
    let mut found: Option<(&'static str, PasswordSource, FilePosition)> = None;
    for (index, key) in keys.into_iter().enumerate() {
        let Some(Written { value, at }) = section.text(key)? else { continue };
        if let (Some((first, ..)), Some(at)) = (&found, section.place_of(key)) {
            return Err(ConfigError::TwoPasswords { at, first, second: key });
        }
        let source = match index {
            0 => PasswordSource::File(folder.join(value)),
            1 => PasswordSource::Command(value.to_owned()),
            _ if !is_variable(value) => return Err(ConfigError::BadVariable { at, key }),
            _ => {
                child::withhold(value);
                PasswordSource::Environment(value.to_owned())
            }
        };
        found = Some((key, source, at));
    }
    Ok(found.map(|(_, source, at)| (source, at)))
}

/// Checks that a password file exists, without opening it: it may be a pipe that provides its password once.
pub(crate) fn present(file: PathBuf, at: FilePosition) -> Result<PathBuf, ConfigError> {
    match std::fs::metadata(&file) {
        Ok(metadata) if metadata.is_dir() => {
            Err(ConfigError::NoPasswordFile { at, file, cause: io::ErrorKind::IsADirectory.into() })
        }
        Ok(_) => Ok(file),
        Err(cause) => Err(ConfigError::NoPasswordFile { at, file, cause }),
    }
}

/// Reads a key that names a file of certificates.
pub(crate) fn certificates(
    section: &Section<'_>,
    key: &'static str,
    folder: &Path,
) -> Result<Option<PathBuf>, ConfigError> {
    let written = section.text(key)?;
    written.map(|Written { value, at }| readable(key, folder.join(value), at)).transpose()
}

fn readable(key: &'static str, file: PathBuf, at: FilePosition) -> Result<PathBuf, ConfigError> {
    match atomic::open_plain(&file, 0) {
        Ok(_) => Ok(file),
        Err(cause) => Err(ConfigError::NoPemFile { at, key, file, cause }),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::process::Command;

    use super::*;
    use crate::{Config, Overrides};

    /// Otherwise the host would wait for a writer for ever, with all that its owner wants to change.
    #[test]
    fn a_pipe_is_no_file_of_certificates() {
        let folder = tempfile::tempdir().unwrap();
        let (path, pipe) = (folder.path().join("parlor.toml"), folder.path().join("pipe"));
        assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        // Somebody writes into it far too late, so that the test ends in any case.
        std::thread::spawn(move || {
            std::thread::sleep(Duration::from_secs(5));
            fs::File::options().write(true).open(pipe)
        });
        let text = "[account.main]\njid = \"a@example.org\"\npassword_env = \"NONE\"\nca_file = \"pipe\"\n";
        fs::write(&path, text).unwrap();
        let overrides = Overrides { environment: |_| None, ..Overrides::default() };
        let error = Config::load(&path, &overrides).unwrap_err().to_string();
        assert!(error.contains("no file that can be read (it is not a file)"), "{error}");
    }
}
