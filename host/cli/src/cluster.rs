//! `parlor cluster`: the nodes and accounts of a cluster, from any of its nodes, and the key that they share.

#[cfg(feature = "cluster")]
mod key;

#[cfg(feature = "cluster")]
mod moving;

use anyhow::bail;
use clap::{Args, Subcommand};
use parlor::control::client::escaped;
use parlor::control::views::{Cluster, ClusterAccount, ClusterMove, LostNode};
use parlor_base::nearest::{nearest, suggestion};

use super::Ended;
use super::fleet::{MANY, Pages, first};
use super::show::{Put as _, print, print_json, second, table};
use super::target::{self, Target};

/// Show the cluster, drain nodes, make its key, and move accounts in and out
#[derive(Debug, Subcommand)]
#[command(
    after_help = "Exit codes: 0 done, 1 failed, 2 wrong usage, 3 --yes was not given, 4 no host runs, 5 the cluster has a fault, as `status` says"
)]
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
    after_help = "A node that was killed is shown as running until another one has noticed, for about two seconds, and then as `lost since …`, for a day or until it is back. Times are in UTC. CPU is the part of its cores that a node uses, smoothed over 30 seconds. SHARE is the part of its capacity that it takes: less than 100 % after it was busy while others had room. PLUGINS compares the plugins.toml of each node with the one of the cluster: `in sync`, `behind`, `differs` with the reason below, or `own` on a node that shares none.\n\nWith more than 20 accounts it shows how many there are, and those that no node has; --node or --page shows each. --json shows all, unless flags pick some.\n\nExamples:\n  parlor cluster status\n  parlor cluster status --node one --page 2     the accounts of a node, 20 on a page\n  parlor cluster status --json\n\nExit codes: 0 shown, 5 accounts run on no node for longer than a take-over lasts, or this node does not reach NATS (with --json 0: `ills` says it), 1 failed, or the host is no node of a cluster, 2 wrong usage, 4 no host runs"
)]
pub struct StatusArgs {
    /// Only the accounts of this node.
    #[arg(long, value_name = "NAME")]
    node: Option<String>,
    #[command(flatten)]
    pages: Pages,
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
            Self::Status(args) => args.run(),
            #[cfg(feature = "cluster")]
            Self::Key(args) => args.run(),
            Self::Drain(args) => {
                let host = args.target.host()?;
                let off = target::flag("off", args.off);
                let cluster: Cluster = host.post(&format!("/v1/cluster/drain?node={}{off}", escaped(&args.node)))?;
                if args.json { print_json(&cluster) } else { print(&args.says(&cluster)) }
            }
        }
    }
}

impl DrainArgs {
    /// Returns what follows, by the state of the cluster afterwards.
    fn says(&self, cluster: &Cluster) -> String {
        let node = &self.node;
        if self.off {
            return format!("node {node} takes accounts again\n");
        }
        let is_open = cluster.nodes.iter().any(|one| one.state == "open");
        let nobody = if is_open { "" } else { "; no other node takes any now, so they stay there until one does" };
        format!("node {node} gives its accounts away{nobody}\n")
    }
}

impl StatusArgs {
    fn run(&self) -> anyhow::Result<()> {
        let host = self.target.host()?;
        let mut cluster: Cluster = host.get("/v1/cluster")?;
        if let Some(node) = &self.node {
            if cluster.nodes.iter().all(|one| one.name != *node) {
                let near = suggestion(nearest(node, cluster.nodes.iter().map(|one| one.name.as_str())));
                bail!("the cluster has no node {node}{near}");
            }
            cluster.accounts.retain(|one| one.node.as_ref() == Some(node));
        }
        if self.json {
            if self.pages.is_given() {
                self.pages.cut(&mut cluster.accounts);
            }
            return print_json(&cluster);
        }
        let is_short = self.node.is_none() && !self.pages.is_given() && cluster.accounts.len() > MANY;
        let accounts = if is_short { in_short(&cluster.accounts) } else { each(&mut cluster.accounts, &self.pages) };
        print(&screen(&cluster, &accounts))?;
        if cluster.ills.is_empty() { Ok(()) } else { Err(Ended::Unwell(cluster.ills.join("; ")).into()) }
    }
}

/// Shows a page of accounts, each with its node.
fn each(accounts: &mut Vec<ClusterAccount>, pages: &Pages) -> String {
    let others = pages.cut(accounts);
    let row = |one: &ClusterAccount| vec![one.jid.clone(), one.node.clone().unwrap_or_else(|| "-".to_owned())];
    let mut text = table(&["ACCOUNT", "NODE"], &accounts.iter().map(row).collect::<Vec<_>>());
    if let Some(others) = others {
        text.put(format_args!("\naccounts {others}\n"));
    }
    text
}

/// Shows how many accounts there are, and some of those that no node has.
fn in_short(accounts: &[ClusterAccount]) -> String {
    let mut text = format!("{} accounts; `parlor cluster status --page 1` shows each\n", accounts.len());
    let (some, more) = first(accounts.iter().filter(|one| one.node.is_none()).map(|one| one.jid.clone()));
    for jid in some {
        text.put(format_args!("{jid}: no node has it at this moment\n"));
    }
    if more > 0 {
        text.put(format_args!("… and {more} more without a node\n"));
    }
    text
}

/// Shows a cluster, with this text about its accounts.
fn screen(cluster: &Cluster, accounts: &str) -> String {
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
            let [used, share] = [node.used, node.share].map(|percent| format!("{percent} %"));
            let (capacity, accounts) = (node.capacity.to_string(), node.accounts.to_string());
            vec![node.name.clone(), node.state.clone(), used, capacity, share, accounts, plugins]
        })
        .collect();
    text.push_str(&table(&["NODE", "STATE", "CPU", "CAPACITY", "SHARE", "ACCOUNTS", "PLUGINS"], &rows));
    for LostNode { name, since } in &cluster.lost {
        let since = second(since);
        text.put(format_args!(
            "{name}: lost since {since}: it did not leave in order; its log or its machine says why\n"
        ));
    }
    for ill in &cluster.ills {
        text.put(format_args!("{ill}\n"));
    }
    for node in &cluster.nodes {
        if let Some(trouble) = &node.trouble {
            text.put(format_args!("{}: {trouble}\n", node.name));
        }
    }
    for node in cluster.drained.iter().filter(|name| cluster.nodes.iter().all(|one| one.name != **name)) {
        text.put(format_args!("{node}: it is drained, and does not run\n"));
    }
    text.put(format_args!("\n{accounts}"));
    for ClusterMove { jid, state, command } in &cluster.moves {
        let place = if state == "removing" { "" } else { ", at the host where it ran" };
        text.put(format_args!("{jid}: {state}; if that was interrupted, run `{command}`{place}\n"));
    }
    text
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;
    use parlor::control::views::{ClusterNode, SharedVersion};

    use super::*;

    fn target() -> Target {
        Target { config: None, data: None, plugins: None }
    }

    fn account(jid: &str, node: Option<&str>) -> ClusterAccount {
        ClusterAccount { jid: jid.to_owned(), node: node.map(str::to_owned) }
    }

    /// A command line with the flags of pages alone.
    #[derive(Debug, clap::Parser)]
    struct Typed {
        #[command(flatten)]
        pages: Pages,
    }

    #[test]
    fn five_thousand_accounts_of_a_cluster_are_counted_and_shown_page_by_page() {
        let node = |number: usize| (number % 400 != 7).then_some("one");
        let mut accounts: Vec<_> =
            (0..5_000).map(|number| account(&format!("a{number:04}@example.org"), node(number))).collect();
        let text = in_short(&accounts);
        assert!(text.starts_with("5000 accounts; `parlor cluster status --page 1` shows each\na0007@"), "{text}");
        assert!(text.ends_with("\n… and 3 more without a node\n"), "{text}");
        assert_eq!(text.lines().count(), 1 + 10 + 1, "{text}");
        let pages = Typed::try_parse_from(["parlor", "--limit", "30", "--page", "2"]).unwrap().pages;
        let text = each(&mut accounts, &pages);
        assert!(text.contains("\na0030@example.org  one\n") && !text.contains("a0060"), "{text}");
        assert!(text.ends_with("\naccounts 31 to 60 of 5000; `--page 3` shows the next\n"), "{text}");
        let few = Typed::try_parse_from(["parlor"]).unwrap().pages;
        assert!(!each(&mut vec![account("a@example.org", None)], &few).contains("accounts"));
    }

    #[test]
    fn an_account_that_goes_to_another_node_has_none() {
        let node = |name: &str, accounts, plugins: &str, version, trouble: Option<&str>| ClusterNode {
            name: name.to_owned(),
            state: "open".to_owned(),
            capacity: 1,
            used: if accounts == 0 { 4 } else { 93 },
            share: if accounts == 0 { 100 } else { 64 },
            accounts,
            plugins: plugins.to_owned(),
            version,
            trouble: trouble.map(str::to_owned),
        };
        let moves = |jid: &str, state: &str, command: &str| ClusterMove {
            jid: jid.to_owned(),
            state: state.to_owned(),
            command: command.to_owned(),
        };
        let mut cluster = Cluster {
            cluster: "bots".to_owned(),
            node: "one".to_owned(),
            plugins: Some(SharedVersion { version: 4, node: "one".to_owned() }),
            shared_accounts: Some(SharedVersion { version: 2, node: "two".to_owned() }),
            nodes: vec![
                node("one", 1, "in sync", Some(4), None),
                node("two", 0, "behind", Some(3), Some("it cannot be read")),
                node("three", 0, "own", None, None),
            ],
            drained: vec!["four".to_owned(), "one".to_owned()],
            lost: vec![LostNode { name: "five".to_owned(), since: "2026-01-02T03:04:05Z".to_owned() }],
            accounts: vec![account("a@example.org", Some("one")), account("b@example.org", None)],
            moves: vec![
                moves("c@example.org", "importing", "parlor cluster import"),
                moves("d@example.org", "removing", "parlor cluster remove d@example.org --yes"),
            ],
            ills: vec!["1 of 2 accounts of the cluster run on no node (b@example.org)".to_owned()],
        };
        let accounts = each(&mut cluster.accounts, &Pages::default());
        assert_eq!(
            screen(&cluster, &accounts),
            "cluster bots, asked at node one\n\
             plugins.toml is version 4, by node one\n\
             accounts.toml is version 2, by node two\n\
             NODE   STATE  CPU   CAPACITY  SHARE  ACCOUNTS  PLUGINS\n\
             one    open   93 %  1         64 %   1         in sync\n\
             two    open   4 %   1         100 %  0         behind (3)\n\
             three  open   4 %   1         100 %  0         own\n\
             five: lost since 2026-01-02 03:04:05: it did not leave in order; its log or its machine says why\n\
             1 of 2 accounts of the cluster run on no node (b@example.org)\n\
             two: it cannot be read\n\
             four: it is drained, and does not run\n\
             \n\
             ACCOUNT        NODE\n\
             a@example.org  one\n\
             b@example.org  -\n\
             c@example.org: importing; if that was interrupted, run `parlor cluster import`, at the host where it ran\n\
             d@example.org: removing; if that was interrupted, run `parlor cluster remove d@example.org --yes`\n"
        );
        let drain = |off| DrainArgs { node: "one".to_owned(), off, json: false, target: target() };
        assert_eq!(drain(false).says(&cluster), "node one gives its accounts away\n");
        assert_eq!(drain(true).says(&cluster), "node one takes accounts again\n");
        for node in &mut cluster.nodes {
            "draining".clone_into(&mut node.state);
        }
        assert!(drain(false).says(&cluster).contains("no other node takes any now"));
    }
}
