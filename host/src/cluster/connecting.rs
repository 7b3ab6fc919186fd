//! How the node reaches NATS: its settings, with the secret that they refer to.

use std::io;

use parlor_config::{Cluster, ClusterLogin, PasswordSource};
use parlor_nats::{
    Cluster as Name, ConnectError, Login, NameError, Settings, SharedError, SnapshotError, StartError, StateError,
    StreamError,
};
use parlor_plugins::secret::{SecretError, SecretSource};

use super::sharing::SharingError;

/// The reason why a host does not become a node.
#[derive(Debug, thiserror::Error)]
pub enum ClusterStartError {
    /// The secret for NATS cannot be read.
    #[error("the password for NATS is not to be had: {0}")]
    Secret(#[from] SecretError),
    /// The variable with the secret is not set.
    #[error("the password for NATS is not to be had: set the variable {0} of the environment")]
    Variable(String),
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
            Login::Password { user: user.clone(), password: secret(password).await? }
        }
        ClusterLogin::Token(token) => Login::Token(secret(token).await?),
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
    Ok((settings, Name::new(&section.name)?))
}

async fn secret(source: &PasswordSource) -> Result<String, ClusterStartError> {
    let source = match source {
        PasswordSource::File(path) => SecretSource::File(path.clone()),
        PasswordSource::Command(command) => SecretSource::Command(command.clone()),
        PasswordSource::Environment(name) => {
            let value = std::env::var(name).ok().filter(|value| !value.is_empty());
            return value.ok_or_else(|| ClusterStartError::Variable(name.clone()));
        }
        // The section cannot say so.
        PasswordSource::Web(_) | PasswordSource::Nowhere => return Ok(String::new()),
    };
    Ok(source.open().await?)
}

/// Returns the name of the machine.
pub(super) fn machine() -> String {
    let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    if name.is_empty() { "node".to_owned() } else { name }
}
