//! Where a house is: the flags that every command for its owner takes, and what they lead to.

use std::path::PathBuf;

use clap::Args;

use crate::config::{Config, Overrides};
use crate::control::client::{self, Client};

/// Which house is meant.
#[derive(Debug, Clone, Args)]
pub struct Place {
    /// The configuration.
    #[arg(long, default_value = "parlor.toml", env = "PARLOR_CONFIG")]
    pub config: PathBuf,
    /// The folder for what the host keeps, instead of the configuration's `data`.
    #[arg(long)]
    pub data: Option<PathBuf>,
    /// The policy, instead of the configuration's `plugins`.
    #[arg(long)]
    pub plugins: Option<PathBuf>,
}

impl Place {
    /// What wins over the configuration.
    pub(super) fn overrides(&self) -> Overrides {
        Overrides { data: self.data.clone(), plugins: self.plugins.clone(), ..Overrides::default() }
    }

    /// The configuration, as a host that is started here would read it.
    pub(super) fn load(&self) -> anyhow::Result<Config> {
        Ok(Config::load(&self.config, &self.overrides())?)
    }
}

/// The host that runs in this place, or none.
pub(super) fn host(config: &Config) -> anyhow::Result<Option<Client>> {
    Ok(client::find(&config.data)?)
}
