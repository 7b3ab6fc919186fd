//! The sections `[component.NAME]`: connections as a component of a server, each for all addresses of a domain (XEP-0114).

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::path::Path;
use std::time::Duration;

use jid::Jid;
use parlor_base::quantity;

use super::endpoint::{BadEndpoint, Endpoint};
use super::error::{ConfigError, FilePosition};
use super::keys::COMPONENT_NAMES;
use super::link::{
    ChannelBinding, LinkSettings, PasswordSource, TlsMode, TransportChoice, Way, account_name, certificates,
    keep_unsent, password_source,
};
use super::name::AccountName;
use super::sections::{Section, Written};
use super::settings::Settings;

/// The port on which servers take components, unless another one is configured.
const PORT: u16 = 5347;

/// The bounds of `sleep_after`.
const SLEEP_AFTER: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_hours(30 * 24);

/// The keys of an account that say how to reach and log in to a server, which an address of a component does not do.
const ABOUT_SERVERS: [&str; 12] = [
    "allow_plain",
    "ca_file",
    "certificate",
    "certificate_key",
    "channel_binding",
    "keep_unsent",
    "password_command",
    "password_env",
    "password_file",
    "server",
    "tls",
    "transport",
];

/// Reads all components. Paths in them are relative to `folder`.
pub(crate) fn read_all(
    section: Option<&Section<'_>>,
    folder: &Path,
    settings: &Settings,
) -> Result<BTreeMap<AccountName, LinkSettings>, ConfigError> {
    let mut all = BTreeMap::<AccountName, LinkSettings>::new();
    for (name, section) in section.map_or(Ok(Vec::new()), Section::sections)? {
        let name = account_name(&name)?;
        let link = read(&name, &section, folder, settings)?;
        if let Some((first, _)) = all.iter().find(|(_, other)| other.jid == link.jid) {
            return Err(ConfigError::SameDomain { at: section.at, first: first.clone(), second: name });
        }
        all.insert(name, link);
    }
    Ok(all)
}

fn read(
    name: &AccountName,
    section: &Section<'_>,
    folder: &Path,
    settings: &Settings,
) -> Result<LinkSettings, ConfigError> {
    if let Some(at) = section.place_of("password") {
        return Err(ConfigError::LiteralPassword { at });
    }
    section.allow_only(&COMPONENT_NAMES)?;
    let Some(password) = password_source(section, folder)? else {
        return Err(ConfigError::NoSecret { at: section.at.clone(), component: name.clone() });
    };
    let tls = match section.text("tls")? {
        None => None,
        Some(Written { value: "direct", .. }) => Some(TlsMode::Direct),
        Some(Written { at, .. }) => {
            let key = format!("component.{name}.tls");
            return Err(ConfigError::WrongType { at, key, expected: "\"direct\"", found: "something else" });
        }
    };
    Ok(LinkSettings {
        jid: domain(name, section)?,
        way: Way::Component(name.clone()),
        password,
        server: Some(server(section, tls)?),
        transport: TransportChoice::Tcp,
        tls,
        ca_file: certificates(section, "ca_file", folder)?,
        allow_plain: false,
        channel_binding: ChannelBinding::Never,
        websocket: None,
        keep_unsent: keep_unsent(section)?,
        bosh: None,
        prebind: None,
        ping_interval: Duration::from_secs(u64::from(settings.ping_interval)),
    })
}

/// Reads how long the addresses of each component have nothing to do before they fall asleep. The others never do.
pub(crate) fn read_sleep_after(section: Option<&Section<'_>>) -> Result<BTreeMap<AccountName, Duration>, ConfigError> {
    let mut all = BTreeMap::new();
    for (name, section) in section.map_or(Ok(Vec::new()), Section::sections)? {
        let Some(Written { value, at }) = section.text("sleep_after")? else { continue };
        let name = account_name(&name)?;
        let after = quantity::duration(value).ok().filter(|after| SLEEP_AFTER.contains(after));
        let key = format!("component.{name}.sleep_after");
        let expected = "a time from 1 s to 30 d, such as \"30 min\"";
        let after = after.ok_or(ConfigError::WrongType { at, key, expected, found: "something else" })?;
        all.insert(name, after);
    }
    Ok(all)
}

fn domain(name: &AccountName, section: &Section<'_>) -> Result<Jid, ConfigError> {
    let bad = |at: FilePosition, reason: &str| ConfigError::BadDomain {
        at,
        component: name.clone(),
        reason: reason.to_owned(),
    };
    let Some(Written { value, at }) = section.text("domain")? else {
        return Err(bad(section.at.clone(), "there is none"));
    };
    match Jid::new(value) {
        Ok(jid) if jid.node().is_none() && jid.is_bare() => Ok(jid),
        Ok(_) => Err(bad(at, "it has more than a domain")),
        Err(error) => Err(bad(at, &error.to_string())),
    }
}

/// Returns where the server takes components. Without TLS, this must be on the same machine.
fn server(section: &Section<'_>, tls: Option<TlsMode>) -> Result<Endpoint, ConfigError> {
    let Some(Written { value, at }) = section.text("server")? else {
        return Ok(Endpoint { host: "127.0.0.1".to_owned(), port: Some(PORT) });
    };
    let mut server: Endpoint = value.parse().map_err(|BadEndpoint(reason)| ConfigError::BadServer {
        at: at.clone(),
        server: value.chars().take(128).collect(),
        reason,
    })?;
    server.port.get_or_insert(PORT);
    let is_near = server.host == "localhost" || server.host.parse::<IpAddr>().is_ok_and(|host| host.is_loopback());
    if tls.is_none() && !is_near {
        return Err(ConfigError::OpenComponent { at, server: server.to_string() });
    }
    Ok(server)
}

/// Reads the settings of an account that is an address of a component. [`fits`] checks that there is such a component.
pub(crate) fn address(
    account: &AccountName,
    section: &Section<'_>,
    component: &Written<&str>,
    jid: Jid,
    settings: &Settings,
) -> Result<LinkSettings, ConfigError> {
    let of_component = |key, at| ConfigError::OfComponent { at, key, account: account.clone() };
    if let Some((key, at)) = ABOUT_SERVERS.into_iter().find_map(|key| Some((key, section.place_of(key)?))) {
        return Err(of_component(key, at));
    }
    if let Some(encryption) = section.section("encryption")?
        && encryption.flag("omemo")? == Some(true)
        && let Some(at) = encryption.place_of("omemo")
    {
        return Err(of_component("omemo", at));
    }
    Ok(LinkSettings {
        jid,
        way: Way::Component(account_name(component)?),
        password: PasswordSource::Nowhere,
        server: None,
        transport: TransportChoice::Tcp,
        tls: None,
        ca_file: None,
        allow_plain: false,
        channel_binding: ChannelBinding::Never,
        websocket: None,
        keep_unsent: Duration::ZERO,
        bosh: None,
        prebind: None,
        ping_interval: Duration::from_secs(u64::from(settings.ping_interval)),
    })
}

/// Checks that the component of an account is there, and serves its domain.
pub(crate) fn fits(
    link: &LinkSettings,
    section: &Section<'_>,
    components: &BTreeMap<AccountName, LinkSettings>,
) -> Result<(), ConfigError> {
    let Some(name) = link.component() else { return Ok(()) };
    let at = section.place_of("component").unwrap_or_else(|| section.at.clone());
    match components.get(name) {
        None => Err(ConfigError::NoComponent { at, component: name.clone() }),
        Some(component) if component.jid.domain() == link.jid.domain() => Ok(()),
        Some(component) => Err(ConfigError::OtherDomain {
            at,
            component: name.clone(),
            domain: component.jid.to_string(),
            jid: link.jid.to_string(),
        }),
    }
}
