//! The section `[web]`: the addresses for webhooks, and the trusted servers on the web.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use parlor_base::escape::shell_word;
use parlor_base::web_address::WebAddress;

use super::error::ConfigError;
use super::keys::WEB_NAMES;
use super::link::{certificates, others_may_read};
use super::sections::{Section, Written};

/// The most entries of a list.
const MOST_LISTED: usize = 64;

/// The section `[web]` of the configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Web {
    /// The address on which the host listens for requests to webhooks; none by default.
    pub listen: Option<SocketAddr>,
    /// The public address for requests, if it differs: that of a proxy.
    pub address: Option<WebAddress>,
    /// The certificate and its key; without them there is no TLS.
    pub certificate: Option<(PathBuf, PathBuf)>,
    /// The proxies that are believed from where a request comes.
    pub proxies: Vec<IpAddr>,
    /// Addresses outside of the public network that files are sent to and fetched from.
    pub local_files: Vec<SocketAddr>,
    /// Certificates that are trusted for requests of plugins, in addition to the system's.
    pub ca_file: Option<PathBuf>,
    /// Whether the network translates to IPv4 (NAT64), so that IPv6 addresses with the well-known prefix lead to servers.
    pub nat64: bool,
    /// The proxy through which requests of plugins go.
    pub outbound_proxy: Option<WebAddress>,
    /// Whether that proxy looks names up, so that the host does not check the addresses.
    pub outbound_proxy_resolves: bool,
}

impl Web {
    /// Reads `[web]`. Paths in it are relative to `folder`.
    pub(crate) fn read(section: Option<&Section<'_>>, folder: &Path) -> Result<Self, ConfigError> {
        let Some(section) = section else { return Ok(Self::default()) };
        section.allow_only(&WEB_NAMES)?;
        let [certificate, key] = ["certificate", "certificate_key"].map(|key| certificates(section, key, folder));
        let certificate = match (certificate?, key?) {
            (Some(certificate), Some(key)) => Some((certificate, key)),
            (None, None) => None,
            (Some(_), None) => return Err(alone(section, "certificate", "certificate_key")),
            (None, Some(_)) => return Err(alone(section, "certificate_key", "certificate")),
        };
        Ok(Self {
            listen: listen(section)?,
            address: address(section)?,
            certificate,
            proxies: list(section, "proxies", "a list of addresses such as [\"127.0.0.1\"]")?,
            local_files: list(section, "local_files", "a list of addresses with ports such as [\"192.168.1.7:5281\"]")?,
            ca_file: certificates(section, "ca_file", folder)?,
            nat64: section.flag("nat64")?.unwrap_or(false),
            outbound_proxy: outbound_proxy(section)?,
            outbound_proxy_resolves: outbound_proxy_resolves(section)?,
        })
    }

    /// Returns a warning if others can read the private key.
    pub(crate) fn warning(&self) -> Option<String> {
        let (_, key) = self.certificate.as_ref().filter(|(_, key)| others_may_read(key))?;
        let file = shell_word(&key.to_string_lossy());
        Some(format!("others on this machine may read the private key for webhooks: chmod 600 {file}"))
    }

    /// Returns the address that others send requests to, without a path; `None` if the host listens nowhere.
    pub fn public_address(&self) -> Option<String> {
        let listens = |at: SocketAddr| {
            let scheme = if self.certificate.is_some() { "https" } else { "http" };
            format!("{scheme}://{at}")
        };
        let at = self.listen?;
        Some(
            self.address
                .as_ref()
                .map_or_else(|| listens(at), |address| address.as_str().trim_end_matches('/').to_owned()),
        )
    }
}

fn wrong(written: &Written<&str>, key: &str, expected: &'static str) -> ConfigError {
    ConfigError::WrongType { at: written.at.clone(), key: format!("web.{key}"), expected, found: "something else" }
}

fn alone(section: &Section<'_>, key: &'static str, other: &'static str) -> ConfigError {
    let at = section.place_of(key).unwrap_or_else(|| section.at.clone());
    ConfigError::Alone { at, key, other }
}

fn listen(section: &Section<'_>) -> Result<Option<SocketAddr>, ConfigError> {
    let Some(written) = section.text("listen")? else { return Ok(None) };
    let parsed = written.value.parse();
    parsed.map(Some).map_err(|_| wrong(&written, "listen", "an address and a port, such as \"127.0.0.1:8080\""))
}

fn address(section: &Section<'_>) -> Result<Option<WebAddress>, ConfigError> {
    let Some(written) = section.text("address")? else { return Ok(None) };
    let expected = "the address of a proxy, such as \"https://bot.example.org\"";
    let parsed = WebAddress::parse(written.value).ok().filter(|address| address.query().is_none());
    parsed.map(Some).ok_or_else(|| wrong(&written, "address", expected))
}

fn outbound_proxy(section: &Section<'_>) -> Result<Option<WebAddress>, ConfigError> {
    let Some(written) = section.text("outbound_proxy")? else { return Ok(None) };
    let expected = "the address of a proxy, such as \"http://proxy.example.org:3128\"";
    let parsed = WebAddress::parse(written.value).ok();
    let parsed = parsed.filter(|address| !address.is_secure() && address.path_and_query() == "/");
    parsed.map(Some).ok_or_else(|| wrong(&written, "outbound_proxy", expected))
}

fn outbound_proxy_resolves(section: &Section<'_>) -> Result<bool, ConfigError> {
    let resolves = section.flag("outbound_proxy_resolves")?.unwrap_or(false);
    if resolves && section.text("outbound_proxy")?.is_none() {
        return Err(alone(section, "outbound_proxy_resolves", "outbound_proxy"));
    }
    Ok(resolves)
}

/// Reads a list of texts that can be parsed.
fn list<T: std::str::FromStr>(section: &Section<'_>, key: &str, expected: &'static str) -> Result<Vec<T>, ConfigError> {
    let Some((_, Written { value, at })) = section.json()?.into_iter().find(|(name, _)| *name == key) else {
        return Ok(Vec::new());
    };
    let parsed = value.as_array().filter(|list| list.len() <= MOST_LISTED);
    let parsed = parsed.and_then(|list| list.iter().map(|one| one.as_str()?.parse().ok()).collect());
    parsed.ok_or_else(|| ConfigError::WrongType { at, key: format!("web.{key}"), expected, found: "something else" })
}
