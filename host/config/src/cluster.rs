//! The section `[cluster]`: hosts that share their accounts, by way of NATS.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use jid::BareJid;
use parlor_base::id::Digest;
use serde_json::Value;

use super::account::AccountConfig;
use super::error::{ClusterError, ConfigError, FilePosition};
use super::keys::CLUSTER_NAMES;
use super::link::{PasswordSource, Way, certificates, others_may_read, password_source, secret_source};
use super::name::AccountName;
use super::new_addresses::NewAddresses;
use super::sections::{Section, Written};

/// The most servers that are named.
const MOST_SERVERS: usize = 16;
/// The longest address of a server and the longest name, in bytes.
const LONGEST_SERVER: usize = 512;
const LONGEST_NAME: usize = 32;
const LONGEST_NODE: usize = 256;
/// The bounds of `capacity`.
const CAPACITY: std::ops::RangeInclusive<u64> = 1..=1_000;
/// How many hex digits a resource has behind `parlor-`.
const RESOURCE: usize = 8;

/// The section `[cluster]` of the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cluster {
    /// The addresses of the servers of NATS; at least one.
    pub nats: Vec<String>,
    /// The name of the cluster.
    pub name: String,
    /// The name of this node; none = that of the machine.
    pub node: Option<String>,
    /// The source of the keys that encrypt what accounts keep.
    pub key: PasswordSource,
    /// How to log in at NATS.
    pub login: ClusterLogin,
    /// A file with certificates to trust in place of the system's.
    pub ca_file: Option<PathBuf>,
    /// Whether the connection to another machine may go without TLS.
    pub allow_unencrypted: bool,
    /// How many servers of NATS keep everything.
    pub replicas: usize,
    /// The share of accounts that this node takes.
    pub capacity: u32,
    /// Whether `plugins.toml` and the plugins come from the cluster, and go to it.
    pub share_plugins: bool,
}

/// How a node logs in at NATS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClusterLogin {
    /// NATS asks for nothing.
    Nothing,
    /// With a name and a password.
    Password {
        /// The name.
        user: String,
        /// The source of the password.
        password: PasswordSource,
    },
    /// With a token.
    Token(PasswordSource),
    /// With a certificate.
    Certificate {
        /// The certificate, followed by its intermediate certificates, as PEM.
        certificate: PathBuf,
        /// Its private key, as PEM.
        key: PathBuf,
    },
}

impl Cluster {
    /// Reads `[cluster]`. Paths in it are relative to `folder`.
    pub(crate) fn read(
        section: Option<&Section<'_>>,
        folder: &Path,
        environment: fn(&str) -> Option<String>,
    ) -> Result<Option<Self>, ConfigError> {
        let Some(section) = section else { return Ok(None) };
        if let Some(at) = section.place_of("password") {
            return Err(ConfigError::LiteralPassword { at });
        }
        section.allow_only(&CLUSTER_NAMES)?;
        let missing = |key, example| ClusterError::Missing { at: section.at.clone(), key, example };
        let mut nats = Vec::new();
        let (mut replicas, mut capacity) = (1, 1);
        for (key, Written { value, at }) in section.json()? {
            let wrong = |expected| wrong(at.clone(), key, expected);
            match key {
                "nats" => {
                    nats = servers(&value).ok_or_else(|| {
                        wrong("an address such as \"tls://nats.example.org:4222\", or a list of up to 16")
                    })?;
                }
                "replicas" => {
                    let number = value.as_u64().and_then(|number| usize::try_from(number).ok());
                    let number = number.filter(|number| [1, 3, 5].contains(number));
                    replicas = number.ok_or_else(|| wrong("1, 3 or 5"))?;
                }
                "capacity" => {
                    let number = value.as_u64().filter(|number| CAPACITY.contains(number));
                    let number = number.and_then(|number| u32::try_from(number).ok());
                    capacity = number.ok_or_else(|| wrong("a whole number, 1 to 1000"))?;
                }
                _ => {}
            }
        }
        if nats.is_empty() {
            return Err(missing("nats", "\"tls://nats.example.org:4222\"").into());
        }
        let name = section.text("name")?.ok_or_else(|| missing("name", "\"bots\""))?;
        let written = section.text("node")?;
        if let Some(Written { value, at }) = &written
            && !is_node(value)
        {
            return Err(wrong(at.clone(), "node", "a name of at most 256 bytes"));
        }
        let node = environment("PARLOR_NODE").filter(|node| is_node(node));
        Ok(Some(Self {
            nats,
            name: cluster_name(&name)?,
            node: node.or_else(|| written.map(|written| written.value.to_owned())),
            key: key(section, folder)?,
            login: login(section, folder)?,
            ca_file: certificates(section, "ca_file", folder)?,
            allow_unencrypted: section.flag("allow_unencrypted")?.unwrap_or(false),
            replicas,
            capacity,
            share_plugins: section.flag("share_plugins")?.unwrap_or(true),
        }))
    }

    /// Checks that accounts can go from node to node. Those without a resource get one that is the same on each node: a server
    /// then ends the stream of the node before when the account logs in on the next one.
    pub(crate) fn fit(
        &self,
        accounts: &mut BTreeMap<AccountName, AccountConfig>,
        new_addresses: &BTreeMap<AccountName, NewAddresses>,
    ) -> Result<(), ClusterError> {
        if let Some(component) = new_addresses.keys().next() {
            return Err(ClusterError::NewAddresses { component: component.clone() });
        }
        let mut known = BTreeMap::<BareJid, AccountName>::new();
        for (name, account) in accounts {
            if account.link.component().is_some() {
                return Err(ClusterError::Component { account: name.clone() });
            }
            if account.link.prebind.is_some() {
                return Err(ClusterError::Prebind { account: name.clone() });
            }
            let jid = account.link.jid.to_bare();
            if let Some(first) = known.insert(jid.clone(), name.clone()) {
                return Err(ClusterError::SameAddress { first, second: name.clone(), jid });
            }
            if account.link.jid.is_bare()
                && account.link.way != Way::Anonymous
                && let Ok(full) = jid.with_resource_str(&self.resource(name))
            {
                account.link.jid = full.into();
            }
        }
        Ok(())
    }

    /// Returns the resource of an account, which is the same on each node.
    fn resource(&self, account: &AccountName) -> String {
        let digest = Digest::of(format!("{}/{account}", self.name).as_bytes()).to_hex();
        format!("parlor-{}", digest.get(..RESOURCE).unwrap_or_default())
    }
}

fn wrong(at: FilePosition, key: &str, expected: &'static str) -> ConfigError {
    ConfigError::WrongType { at, key: format!("cluster.{key}"), expected, found: "something else" }
}

fn is_node(name: &str) -> bool {
    !name.is_empty() && name.len() <= LONGEST_NODE && !name.chars().any(char::is_control)
}

/// Returns one address, or those of a list.
fn servers(value: &Value) -> Option<Vec<String>> {
    let one = |value: &Value| {
        let text = value.as_str().filter(|text| !text.is_empty() && text.len() <= LONGEST_SERVER)?;
        Some(text.to_owned())
    };
    match value {
        Value::Array(list) if (1..=MOST_SERVERS).contains(&list.len()) => list.iter().map(one).collect(),
        Value::String(_) => one(value).map(|one| vec![one]),
        _ => None,
    }
}

fn cluster_name(name: &Written<&str>) -> Result<String, ConfigError> {
    let is_permitted = |one: u8| one.is_ascii_lowercase() || one.is_ascii_digit() || one == b'-';
    if name.value.len() <= LONGEST_NAME && name.value.bytes().all(is_permitted) {
        return Ok(name.value.to_owned());
    }
    Err(wrong(name.at.clone(), "name", "1 to 32 of the characters a-z, 0-9 and -"))
}

/// Reads where the keys are. Without them, NATS would see what accounts keep.
fn key(section: &Section<'_>, folder: &Path) -> Result<PasswordSource, ConfigError> {
    let found = secret_source(section, folder, ["key_file", "key_command", "key_env"])?;
    let (source, at) = found.ok_or_else(|| ClusterError::NoKey { at: section.at.clone() })?;
    if let PasswordSource::File(file) = &source
        && let Err(cause) = std::fs::metadata(file)
    {
        return Err(ClusterError::NoKeyFile { at, file: file.clone(), cause }.into());
    }
    Ok(source)
}

fn login(section: &Section<'_>, folder: &Path) -> Result<ClusterLogin, ConfigError> {
    let alone = |key: &'static str, other: &'static str| {
        let at = section.place_of(key).unwrap_or_else(|| section.at.clone());
        ConfigError::Alone { at, key, other }
    };
    let [certificate, key] = ["certificate", "certificate_key"].map(|key| certificates(section, key, folder));
    let certificate = match (certificate?, key?) {
        (Some(certificate), Some(key)) => Some((certificate, key)),
        (None, None) => None,
        (Some(_), None) => return Err(alone("certificate", "certificate_key")),
        (None, Some(_)) => return Err(alone("certificate_key", "certificate")),
    };
    let user = section.text("user")?;
    match (certificate, user, password_source(section, folder)?) {
        (None, None, None) => Ok(ClusterLogin::Nothing),
        (None, None, Some(token)) => Ok(ClusterLogin::Token(token)),
        (None, Some(user), Some(password)) => Ok(ClusterLogin::Password { user: user.value.to_owned(), password }),
        (_, Some(_), None) => Err(alone("user", "password_file")),
        (Some((_, key)), None, None) if others_may_read(&key) => {
            let at = section.place_of("certificate_key").unwrap_or_else(|| section.at.clone());
            Err(ConfigError::OpenKey { at, file: key })
        }
        (Some((certificate, key)), None, None) => Ok(ClusterLogin::Certificate { certificate, key }),
        (Some(_), _, Some(_)) => Err(ClusterError::TwoLogins { at: section.at.clone() }.into()),
    }
}
