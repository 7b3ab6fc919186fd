//! `parlor plugin`: what the owner decides about plugins, and what their authors need.

mod add;
mod build;
mod command;
mod config;
mod consent;
mod data;
mod decide;
mod dev;
mod inspect;
mod list;
mod new;
mod test;
mod trust;
mod update;
mod workshop;

use clap::Subcommand;

/// What can be done with plugins.
///
/// What an owner does works on a running host, which applies it at once and keeps its connections, and on a stopped one; the
/// command says which.
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
    /// End a running plugin and start it again
    Restart(decide::RestartArgs),
    /// Choose from which level on what a plugin says stands in the log
    Log(decide::LogArgs),
    /// Take a plugin out
    Remove(decide::RemoveArgs),
    /// Allow a plugin more, at once
    Grant(decide::GrantArgs),
    /// Take back what a plugin was allowed, at once
    Revoke(decide::RevokeArgs),
    /// Change the version of a plugin, after showing what else it asks for
    Update(update::UpdateArgs),
    /// Go back to an earlier version
    Rollback(update::RollbackArgs),
    /// Show and change a plugin's own settings
    Config(config::ConfigArgs),
    /// Show a plugin's commands, and choose other names for them
    Command(command::CommandArgs),
    /// Show, export and import what a plugin keeps on this machine
    Data(data::DataArgs),
    /// Begin a plugin: a folder that builds at once
    New(new::NewArgs),
    /// Build a plugin's folder into the one file that can be installed
    Build(build::BuildArgs),
    /// Try a plugin against its author's tests, without a server
    Test(test::TestArgs),
    /// Work on a plugin: build it at each save, and talk to it
    Dev(dev::DevArgs),
}

impl PluginCommand {
    /// Does it.
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
            Self::Update(arguments) => arguments.run(),
            Self::Rollback(arguments) => arguments.run(),
            Self::Config(arguments) => arguments.run(),
            Self::Command(arguments) => arguments.run(),
            Self::Data(arguments) => arguments.run(),
            Self::New(arguments) => arguments.run(),
            Self::Build(arguments) => arguments.run(),
            Self::Test(arguments) => arguments.run(),
            Self::Dev(arguments) => arguments.run(),
        }
    }
}
