//! How the node reaches NATS: its settings, with the secrets that they refer to.

use std::io;

use parlor_base::escape::EscapedPath as _;
use parlor_config::{Cluster, ClusterLogin, PasswordSource};
use parlor_nats::{
    Cluster as Name, ConnectError, KeyRing, KeyRingError, Login, NameError, Settings, SharedError, SnapshotError,
    StartError, StateError, StreamError,
};
use parlor_plugins::secret::{SecretError, SecretSource};
use parlor_session::Secret;

use super::sharing::SharingError;

const PASSWORD: &str = "password for NATS";
const KEY: &str = "key of the cluster";

/// The reason why a host does not become a node.
#[derive(Debug, thiserror::Error)]
pub enum ClusterStartError {
    /// A secret cannot be read.
    #[error("the {what} is unavailable: {cause}")]
    Secret {
        /// The name of the secret.
        what: &'static str,
        /// The reason.
        cause: SecretError,
    },
    /// The variable with a secret is not set.
    #[error("the {what} is unavailable: set the environment variable {name}")]
    Variable {
        /// The name of the secret.
        what: &'static str,
        /// The name of the variable.
        name: String,
    },
    /// The secret is no key of a cluster.
    #[error("the key of the cluster ({place}) cannot be used: {cause}")]
    Keys {
        /// The file, command or variable that it comes from.
        place: String,
        /// The reason.
        cause: KeyRingError,
    },
    /// The cluster has an invalid name.
    #[error(transparent)]
    Name(#[from] NameError),
    /// NATS cannot be reached, or not be used.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The streams of the cluster cannot be used.
    #[error(transparent)]
    Stream(#[from] StreamError),
    /// The store of snapshots cannot be used.
    #[error(transparent)]
    Snapshots(#[from] SnapshotError),
    /// The state of the cluster cannot be read or written.
    #[error(transparent)]
    State(#[from] StateError),
    /// The plugins of the cluster cannot be reached.
    #[error(transparent)]
    Shared(#[from] SharedError),
    /// The plugins of the cluster cannot be taken.
    #[error(transparent)]
    Sharing(#[from] SharingError),
    /// The node cannot start.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The folder for the files of accounts cannot be used, or their threads not be started.
    #[error("the files of accounts cannot be used ({0}); make the data folder writable, or raise the limit of threads")]
    Files(io::Error),
}

/// Returns how to reach NATS, and the name of the cluster.
pub(super) async fn settings(section: &Cluster) -> Result<(Settings, Name), ClusterStartError> {
    let login = match &section.login {
        ClusterLogin::Nothing => Login::Nothing,
        ClusterLogin::Password { user, password } => {
            Login::Password { user: user.clone(), password: secret(password, PASSWORD).await? }
        }
        ClusterLogin::Token(token) => Login::Token(secret(token, PASSWORD).await?),
        ClusterLogin::Certificate { certificate, key } => {
            Login::Certificate { certificate: certificate.clone(), key: key.clone() }
        }
    };
    let settings = Settings {
        servers: section.nats.clone(),
        login,
        ca_file: section.ca_file.clone(),
        allow_unencrypted: section.allow_unencrypted,
        replicas: section.replicas,
    };
    Ok((settings, Name::new(&section.name, keys(&section.key).await?)?))
}

/// Reads the keys of the cluster.
pub(super) async fn keys(source: &PasswordSource) -> Result<KeyRing, ClusterStartError> {
    let text = Secret::new(secret(source, KEY).await?.into_bytes());
    let place = match source {
        PasswordSource::File(file) => file.escaped().to_string(),
        PasswordSource::Environment(name) => format!("the variable {name}"),
        _ => "what key_command prints".to_owned(),
    };
    let text = std::str::from_utf8(&text).unwrap_or_default();
    KeyRing::parse(text).map_err(|cause| ClusterStartError::Keys { place, cause })
}

async fn secret(source: &PasswordSource, what: &'static str) -> Result<String, ClusterStartError> {
    let source = match source {
        PasswordSource::File(path) => SecretSource::File(path.clone()),
        PasswordSource::Command(command) => SecretSource::Command(command.clone()),
        PasswordSource::Environment(name) => {
            let value = std::env::var(name).ok().filter(|value| !value.is_empty());
            return value.ok_or_else(|| ClusterStartError::Variable { what, name: name.clone() });
        }
        // The section cannot say so.
        PasswordSource::Web(_) | PasswordSource::Nowhere => return Ok(String::new()),
    };
    source.open().await.map_err(|cause| ClusterStartError::Secret { what, cause })
}

/// Returns the name of the machine.
pub(super) fn machine() -> String {
    let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    if name.is_empty() { "node".to_owned() } else { name }
}
