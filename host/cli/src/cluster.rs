//! `parlor cluster`: the nodes and accounts of a cluster, from any of its nodes, and the key that they share.

#[cfg(feature = "cluster")]
mod key;

#[cfg(feature = "cluster")]
mod moving;

use clap::{Args, Subcommand};
use parlor::control::client::escaped;
use parlor::control::views::{Cluster, ClusterMove};

use super::show::{Put as _, print, print_json, table};
use super::target::{self, Target};

/// Show the cluster, drain nodes, make its key, and move accounts in and out
#[derive(Debug, Subcommand)]
#[command(after_help = "Exit codes: 0 done, 1 failed, 2 wrong usage, 3 --yes was not given, 4 no host runs")]
pub enum ClusterCommand {
    /// Show the nodes, and which of them has which account.
    Status(StatusArgs),
    /// Have a node give its accounts to the others and take no more.
    Drain(DrainArgs),
    /// Move accounts of this host into the cluster, with all that it keeps of them.
    #[cfg(feature = "cluster")]
    Import(moving::ImportArgs),
    /// Move accounts out of the cluster, to this host.
    #[cfg(feature = "cluster")]
    Export(moving::ExportArgs),
    /// Remove an account that is in no file any more from the cluster.
    #[cfg(feature = "cluster")]
    Remove(moving::RemoveArgs),
    /// Make the key that encrypts what accounts keep in NATS.
    #[cfg(feature = "cluster")]
    Key(key::KeyArgs),
}

/// The arguments of `parlor cluster status`.
#[derive(Debug, Args)]
#[command(
    after_help = "A node that was killed is shown until another one has noticed, for about two seconds. PLUGINS compares the plugins.toml of each node with the one of the cluster: `in sync`, `behind`, `differs` with the reason below, or `own` on a node that shares none.\n\nExamples:\n  parlor cluster status\n  parlor cluster status --json\n\nExit codes: 0 shown, 1 failed, or the host is no node of a cluster, 2 wrong usage, 4 no host runs"
)]
pub struct StatusArgs {
    /// Print JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    target: Target,
}

/// The arguments of `parlor cluster drain`.
#[derive(Debug, Args)]
#[command(
    after_help = "The command returns at once; `parlor cluster status` shows when the node has no accounts any more. A node stays drained, also over a restart, until --off.\n\nExamples:\n  parlor cluster drain one          before the machine is updated\n  parlor cluster drain one --off    afterwards\n\nExit codes: 0 done, 1 failed, or there is no such node, 2 wrong usage, 4 no host runs"
)]
pub struct DrainArgs {
    /// The name of the node, as `parlor cluster status` shows it.
    node: String,
    /// Let it take accounts again.
    #[arg(long)]
    off: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    target: Target,
}

impl ClusterCommand {
    /// Runs the command.
    pub fn run(&self) -> anyhow::Result<()> {
        match self {
            #[cfg(feature = "cluster")]
            Self::Import(args) => args.run(),
            #[cfg(feature = "cluster")]
            Self::Export(args) => args.run(),
            #[cfg(feature = "cluster")]
            Self::Remove(args) => args.run(),
            Self::Status(args) => {
                let host = target::running(&args.target.load_to_look()?)?;
                let cluster: Cluster = host.get("/v1/cluster")?;
                if args.json { print_json(&cluster) } else { print(&screen(&cluster)) }
            }
            #[cfg(feature = "cluster")]
            Self::Key(args) => args.run(),
            Self::Drain(args) => {
                let host = target::running(&args.target.load_to_look()?)?;
                let off = if args.off { "&off=true" } else { "" };
                let cluster: Cluster = host.post(&format!("/v1/cluster/drain?node={}{off}", escaped(&args.node)))?;
                let done = if args.off { "takes accounts again" } else { "gives its accounts away" };
                if args.json { print_json(&cluster) } else { print(&format!("node {} {done}\n", args.node)) }
            }
        }
    }
}

fn screen(cluster: &Cluster) -> String {
    let mut text = String::new();
    text.put(format_args!("cluster {}, asked at node {}\n", cluster.cluster, cluster.node));
    if let Some(plugins) = &cluster.plugins {
        text.put(format_args!("plugins.toml is version {}, by node {}\n", plugins.version, plugins.node));
    }
    if let Some(accounts) = &cluster.shared_accounts {
        text.put(format_args!("accounts.toml is version {}, by node {}\n", accounts.version, accounts.node));
    }
    let rows: Vec<_> = cluster
        .nodes
        .iter()
        .map(|node| {
            let plugins = match node.version.filter(|_| node.plugins == "behind") {
                Some(version) => format!("behind ({version})"),
                None => node.plugins.clone(),
            };
            let (capacity, accounts) = (node.capacity.to_string(), node.accounts.to_string());
            vec![node.name.clone(), node.state.clone(), capacity, accounts, plugins]
        })
        .collect();
    text.push_str(&table(&["NODE", "STATE", "CAPACITY", "ACCOUNTS", "PLUGINS"], &rows));
    for node in &cluster.nodes {
        if let Some(trouble) = &node.trouble {
            text.put(format_args!("{}: {trouble}\n", node.name));
        }
    }
    text.push('\n');
    let row = |one: &parlor::control::views::ClusterAccount| {
        vec![one.jid.clone(), one.node.clone().unwrap_or_else(|| "-".to_owned())]
    };
    let rows: Vec<_> = cluster.accounts.iter().map(row).collect();
    text.push_str(&table(&["ACCOUNT", "NODE"], &rows));
    for ClusterMove { jid, state, command } in &cluster.moves {
        let place = if state == "removing" { "" } else { ", at the host where it ran" };
        text.put(format_args!("{jid}: {state}; if that was interrupted, run `{command}`{place}\n"));
    }
    text
}

#[cfg(test)]
mod tests {
    use parlor::control::views::{ClusterAccount, ClusterNode, SharedVersion};

    use super::*;

    #[test]
    fn an_account_that_goes_to_another_node_has_none() {
        let node = |name: &str, accounts, plugins: &str, version, trouble: Option<&str>| ClusterNode {
            name: name.to_owned(),
            state: "open".to_owned(),
            capacity: 1,
            accounts,
            plugins: plugins.to_owned(),
            version,
            trouble: trouble.map(str::to_owned),
        };
        let account =
            |jid: &str, node: Option<&str>| ClusterAccount { jid: jid.to_owned(), node: node.map(str::to_owned) };
        let moves = |jid: &str, state: &str, command: &str| ClusterMove {
            jid: jid.to_owned(),
            state: state.to_owned(),
            command: command.to_owned(),
        };
        let cluster = Cluster {
            cluster: "bots".to_owned(),
            node: "one".to_owned(),
            plugins: Some(SharedVersion { version: 4, node: "one".to_owned() }),
            shared_accounts: Some(SharedVersion { version: 2, node: "two".to_owned() }),
            nodes: vec![
                node("one", 1, "in sync", Some(4), None),
                node("two", 0, "behind", Some(3), Some("it cannot be read")),
                node("three", 0, "own", None, None),
            ],
            accounts: vec![account("a@example.org", Some("one")), account("b@example.org", None)],
            moves: vec![
                moves("c@example.org", "importing", "parlor cluster import"),
                moves("d@example.org", "removing", "parlor cluster remove d@example.org --yes"),
            ],
        };
        assert_eq!(
            screen(&cluster),
            "cluster bots, asked at node one\n\
             plugins.toml is version 4, by node one\n\
             accounts.toml is version 2, by node two\n\
             NODE   STATE  CAPACITY  ACCOUNTS  PLUGINS\n\
             one    open   1         1         in sync\n\
             two    open   1         0         behind (3)\n\
             three  open   1         0         own\n\
             two: it cannot be read\n\
             \n\
             ACCOUNT        NODE\n\
             a@example.org  one\n\
             b@example.org  -\n\
             c@example.org: importing; if that was interrupted, run `parlor cluster import`, at the host where it ran\n\
             d@example.org: removing; if that was interrupted, run `parlor cluster remove d@example.org --yes`\n"
        );
    }
}
