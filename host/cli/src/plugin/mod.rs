//! `parlor plugin`: the commands for the owners and the authors of plugins. The commands for authors need the feature
//! `authoring`.

mod accounts;
mod add;
#[cfg(feature = "authoring")]
mod build;
#[cfg(feature = "cluster")]
pub(crate) mod clustered;
mod command;
mod config;
mod consent;
mod data;
mod decide;
#[cfg(feature = "authoring")]
mod dev;
mod elsewhere;
pub(crate) mod from_index;
mod given;
mod hooks;
pub(crate) mod inspect;
mod limits;
mod list;
#[cfg(feature = "authoring")]
mod new;
mod order;
pub(crate) mod origin;
#[cfg(feature = "authoring")]
mod port;
mod room_names;
mod rooms;
mod schedules;
pub(crate) mod secret_files;
#[cfg(feature = "authoring")]
mod test;
#[cfg(feature = "authoring")]
mod trust;
mod update;
#[cfg(feature = "authoring")]
mod workshop;

use clap::Subcommand;

/// Manage plugins, as their owner or author.
///
/// The owner's commands work with and without a running host. A running host applies them at once and keeps its
/// connections; each command reports which it was.
#[derive(Debug, Subcommand)]
#[command(
    after_help = "Exit codes: 0 done, 3 not agreed to, 4 no host runs, 1 failed, 2 wrong usage. A command that fails has changed nothing, unless it says so."
)]
pub enum PluginCommand {
    /// Install a plugin: show what it is and what it asks for, and ask
    Add(add::AddArgs),
    /// Show the plugins that are installed
    List(list::ListArgs),
    /// Show what a plugin is and what it asks for, installed or in a file
    Inspect(inspect::InspectArgs),
    /// Let a plugin run
    Enable(decide::OneArgs),
    /// Keep a plugin from running
    Disable(decide::OneArgs),
    /// Restart a running plugin
    Restart(decide::RestartArgs),
    /// Set the least important level of a plugin's log lines
    Log(decide::LogArgs),
    /// Remove a plugin
    Remove(decide::RemoveArgs),
    /// Grant a plugin more, at once
    Grant(decide::GrantArgs),
    /// Revoke a plugin's grants, at once
    Revoke(decide::RevokeArgs),
    /// Show the accounts that a plugin runs on, and choose others
    Accounts(accounts::AccountsArgs),
    /// Change the version of a plugin, after showing what else it asks for
    Update(update::UpdateArgs),
    /// Go back to an earlier version
    Rollback(update::RollbackArgs),
    /// Show and change a plugin's own settings
    Config(config::ConfigArgs),
    /// Show and change the resources that a plugin may use
    Limits(limits::LimitsArgs),
    /// Show a plugin's commands, and choose other names for them
    Command(command::CommandArgs),
    /// Show the rooms that a plugin is kept to, and change them
    Rooms(rooms::RoomsArgs),
    /// Show, export and import the data that a plugin stores
    Data(data::DataArgs),
    /// Show a plugin's webhooks, and the last requests to them
    Hooks(hooks::HooksArgs),
    /// Show which plugins are hooks, and set the order in which they are asked
    Order(order::OrderArgs),
    /// Show when plugins are due to run, and pause that
    Schedules(schedules::SchedulesArgs),
    #[cfg(feature = "authoring")]
    /// Create a plugin: a folder that builds at once
    New(new::NewArgs),
    #[cfg(feature = "authoring")]
    /// Make a plugin of one for errbot or maubot, and say what it lacks
    Port(port::PortArgs),
    #[cfg(feature = "authoring")]
    /// Build a plugin's folder into the one file that can be installed
    Build(build::BuildArgs),
    #[cfg(feature = "authoring")]
    /// Run a plugin's own tests, without a server
    Test(test::TestArgs),
    #[cfg(feature = "authoring")]
    /// Work on a plugin: build it at each save, and talk to it
    Dev(dev::DevArgs),
}

impl PluginCommand {
    /// Runs the subcommand.
    pub fn run(&self) -> anyhow::Result<()> {
        match self {
            Self::Add(arguments) => arguments.run(),
            Self::List(arguments) => arguments.run(),
            Self::Inspect(arguments) => arguments.run(),
            Self::Enable(arguments) => arguments.enable(true),
            Self::Disable(arguments) => arguments.enable(false),
            Self::Restart(arguments) => arguments.run(),
            Self::Log(arguments) => arguments.run(),
            Self::Remove(arguments) => arguments.run(),
            Self::Grant(arguments) => arguments.run(),
            Self::Revoke(arguments) => arguments.run(),
            Self::Accounts(arguments) => arguments.run(),
            Self::Update(arguments) => arguments.run(),
            Self::Rollback(arguments) => arguments.run(),
            Self::Config(arguments) => arguments.run(),
            Self::Limits(arguments) => arguments.run(),
            Self::Command(arguments) => arguments.run(),
            Self::Rooms(arguments) => arguments.run(),
            Self::Data(arguments) => arguments.run(),
            Self::Hooks(arguments) => arguments.run(),
            Self::Order(arguments) => arguments.run(),
            Self::Schedules(arguments) => arguments.run(),
            #[cfg(feature = "authoring")]
            Self::New(arguments) => arguments.run(),
            #[cfg(feature = "authoring")]
            Self::Port(arguments) => arguments.run(),
            #[cfg(feature = "authoring")]
            Self::Build(arguments) => arguments.run(),
            #[cfg(feature = "authoring")]
            Self::Test(arguments) => arguments.run(),
            #[cfg(feature = "authoring")]
            Self::Dev(arguments) => arguments.run(),
        }
    }
}
