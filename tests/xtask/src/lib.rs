//! The command line of `cargo xtask`. The checks of the pages parse the commands that they name with it.

use std::path::PathBuf;

use clap::{Parser, Subcommand};

pub use crate::flags::{Attack, Bench, Cluster, Detectors, Faults, Index, Part, Web};

mod flags;
pub mod listing;
pub mod rows;

/// parlor's own commands
///
/// On Debian and Ubuntu, as root, they install missing packages; elsewhere they say what to install.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", arg_required_else_help = true, after_help = EXAMPLES)]
pub struct Arguments {
    /// The task to run.
    #[command(subcommand)]
    pub task: Task,
}

const EXAMPLES: &str = "Examples:
  cargo xtask demo          watch the host at work, on a server of its own
  cargo xtask demo --keep   the same, and join in with a client of yours
  cargo xtask test          everything that has to pass
  cargo xtask cluster       three nodes of a cluster, broken again and again
  cargo xtask operate       the owner's side, from init to remove
  cargo xtask web           the owner's pages in a real browser
  cargo xtask package       a Debian package of the host
  cargo xtask attack        what a hostile plugin or peer may try, tried
  cargo xtask detectors     what is promised, broken on purpose: the tests have to notice
  cargo xtask api           which of the private API a plugin can use, on two servers
  cargo xtask bench --json  what a plugin costs beside a native bot, for a script";

/// A task.
#[derive(Debug, Subcommand)]
pub enum Task {
    /// Demonstrate the host: a real server, four plugins from files, and a client that talks to them
    #[command(after_help = "Examples:
  cargo xtask demo
  cargo xtask demo --keep
  cargo xtask demo --transport bosh
  cargo xtask demo --json | jq .step

Ends with 0 only when every step was seen. Nothing is left behind, not even after Ctrl-C.")]
    Demo {
        /// Leave it running at the end, and say how to join with an ordinary client
        #[arg(long)]
        keep: bool,
        /// How the host reaches its server: starttls, tls, ws or bosh
        #[arg(long, default_value = "starttls")]
        transport: String,
        /// One JSON object for each step, on standard output
        #[arg(long)]
        json: bool,
    },
    /// Run all checks: format, lints, unit tests, doc tests, the suite against real servers, and the owner's story
    #[command(after_help = "Example:
  cargo xtask test

Stops at the first step that fails. Ends with 0 only when all of them passed.")]
    Test,
    /// Show for each row of the private API whether a plugin can use it, on Prosody and on ejabberd
    #[command(after_help = "Examples:
  cargo xtask api
  cargo xtask api --row 91 --server ejabberd
  cargo xtask api --json | jq -c 'select(.row)'

Runs the tests that name a row, an event, a setting or a rule of tests/conformance.toml, once on each server, and reads what
the plugin in them called, was answered and heard. Ends with 0 only when nothing is missing.
Nothing is left behind, not even after Ctrl-C.")]
    Api {
        /// Only this row
        #[arg(long, value_name = "N")]
        row: Option<u16>,
        /// Only on this server: prosody or ejabberd
        #[arg(long)]
        server: Option<String>,
        /// One JSON object for each line, on standard output
        #[arg(long)]
        json: bool,
    },
    /// Break connections at random under traffic, and count lost and duplicated messages
    #[command(after_help = "Examples:
  cargo xtask faults
  cargo xtask faults --transport tls --seed 7
  cargo xtask faults --cuts 1000 --accounts 24 --transport all --server both
  cargo xtask faults --seeds 5000
  cargo xtask faults --seeds 1 --seed 417     one that failed, once more
  cargo xtask faults --kills 200

A line for each server and each way to it: which faults came how often, how often a session was gone on with or begun anew,
the longest time without an answer, and the host's memory before and after.

Its last line is `lost 0 · doubled 0 · of N`; anything else there, and it does not end with 0. The lines before it say which
messages these were, when they were said, and how many of the lost ones the server's own archive has.

With --seeds there is no server: an account lives on a network within its process, under a clock that stands still, and all that
goes wrong follows from one number. Two simulated clusters go through the same numbers: one with faults of its nodes, and one whose
NATS loses everything. It ends with 0 when so many numbers were tried, and at the first that fails names it, with what happened.

With --kills a plugin has a webhook: each request that was answered with 202 has to reach it, whenever the host was killed. With ten
kills and more, 50 requests have to be acknowledged for each on average.")]
    Faults {
        /// The number of breaks, and their place
        #[command(flatten)]
        flags: Faults,
        /// Instead, try this many seeds on a simulated network within the process
        #[arg(
            long,
            value_name = "N",
            value_parser = clap::value_parser!(u64).range(1..),
            conflicts_with_all = ["cuts", "accounts", "transport", "server", "kills"]
        )]
        seeds: Option<u64>,
    },
    /// Break a cluster of three nodes over NATS under traffic, and count lost and doubled answers
    #[command(after_help = "Examples:
  cargo xtask cluster
  cargo xtask cluster --faults 20 --verbose
  cargo xtask cluster --seed 7          the same faults in the same order as before
  cargo xtask cluster --accounts 300
  cargo xtask cluster --servers 3       three NATS servers, of which single ones are killed, too
  cargo xtask cluster --faults 400      some 260 of them are kills and partitions, on average
  cargo xtask cluster --json | jq -c 'select(.lost)'

Starts NATS, Prosody and three hosts, each with its own data folder and its own proxy before NATS. The wall clocks of two of them are
an hour wrong. Somebody writes numbered messages to all accounts without end, each once. A plugin answers each, every other one
after it has noted it in its storage. Meanwhile nodes are killed, stopped, suspended, drained, parted from NATS in one or both directions, and NATS is killed; all
of that is mended after seconds, and the next fault comes once all accounts run again. The seed decides all faults and their times.

With --servers 3, three NATS servers keep each stream together (`replicas = 3`), and single ones are killed as well. Debian's NATS is too
old for that: pip installs another one into the target folder once.

Its last lines are how long accounts were away after each kind of fault, how often each kind came, and `lost 0 · doubled 0 · of N`. A message that its node
was handling when it was killed, suspended or cut off from NATS may be answered again, as docs/owner/cluster.md says; these are counted
apart. It ends with 0 if nothing was lost, no other message was answered twice, no acknowledged value is gone, no node panicked,
and after kills half of the accounts had logged in and answered within 5 s, and each within 10 s. Nothing is left behind, not even
after Ctrl-C.")]
    Cluster(Cluster),
    /// Run everything that an owner does: set up, install from all sources, change under load, break, repair, remove
    #[command(after_help = "Examples:
  cargo xtask operate
  cargo xtask operate --screens     what each command showed goes into docs/reference/screens.md

A line for each step, and last `operated N/N`. Ends with 0 only when every step was seen.")]
    Operate {
        /// Write the output of each command into docs/reference/screens.md instead of comparing it
        #[arg(long)]
        screens: bool,
    },
    /// Drive the owner's pages (`parlor web`) in Chromium: each page and each change, with and without JavaScript
    #[command(after_help = "Examples:
  cargo xtask web
  cargo xtask web --list
  cargo xtask web --only audit --only install
  cargo xtask web --only 'no JavaScript'
  cargo xtask web --json | jq -c 'select(.outcome == \"failed\")'
  cargo xtask web --screens     pictures of the pages go into docs/owner/images

Starts a server, a host and `parlor web`, and looks at each page with and without JavaScript, 360 and 1,400 pixels wide, light and
dark; axe-core finds nothing to complain about on any of them. A line for each step, and last `seen N/N`. Ends with 0 only when
every step was seen. It needs Chromium and its driver, and fetches axe-core into the target folder once, by npm. Nothing is left
behind, not even after Ctrl-C.")]
    Web(Web),
    /// Attack a real host as a hostile plugin, peer or package may
    #[command(after_help = "Examples:
  cargo xtask attack
  cargo xtask attack --case 50 --case 65
  cargo xtask attack --quick --json | jq -c 'select(.outcome == \"escaped\")'
  cargo xtask attack --soak --minutes 10
  cargo xtask attack --neighbours

A line for each case: how it ended, how long 99 of 100 of a good neighbour's answers took before, during and after, and
the host's memory before and after. The last line counts the contained ones; what does not apply is not among them.
Ends with 0 only when no case escaped. With --neighbours it ends with 1 if a good plugin's p50 is more than 1.5 times, its p99
more than 3 times what it is beside idle ones, if the host holds more memory than the limits allow, or if its p99 is more than
twice as long beside requests to webhooks that the host refuses, 10,000 a second if the machine can send as many. Nothing is left
behind, not even after Ctrl-C. SECURITY.md has the table.")]
    Attack(Attack),
    /// Break the promises of SECURITY.md one by one, and check that a test or an attack notices each
    #[command(after_help = "Examples:
  cargo xtask detectors
  cargo xtask detectors --only limit-on-memory --only grant-of-a-call
  cargo xtask detectors --json | jq -c 'select(.outcome != \"fired\")'

Reads tests/detectors.toml, and breaks a copy of the sources that lies in target/detectors; yours are not touched. The copy
is of what git knows, with changes that are not committed. First each check has to pass there with nothing broken.
A line for each one: what was broken, which check has to notice, and what it said. The last line is `detectors N/N`; with
less than all of them it does not end with 0. It takes a build of the host for each, more than an hour in all; the first time
it compiles everything anew for the copy, which takes some gigabytes. Ctrl-C mends what is broken at that moment.")]
    Detectors(Detectors),
    /// Build the host for release, and a Debian package of it with service, manual pages and completions
    #[command(after_help = "Examples:
  cargo xtask package && sudo apt install ./target/debian/parlor_*.deb
  cargo xtask package --by-profile

By a profile, the program needs up to a fifth less CPU time for a message. It needs cargo-deb: cargo install cargo-deb. Its last line names the package.")]
    Package {
        /// Package the program that is in target/release instead of building it
        #[arg(long)]
        no_build: bool,
        /// Build it by a profile: a first build counts what it does while the bench runs. Takes twice as long
        #[arg(long, conflicts_with = "no_build")]
        by_profile: bool,
    },
    /// Build the example plugins, and write a signed index of them, from which owners install
    #[command(after_help = "Examples:
  cargo xtask index --public minisign.pub --key minisign.key
  cargo xtask index --public minisign.pub     and sign on another machine
  cargo xtask index --public minisign.pub --homepage https://example.org/parlor/example-plugins

Writes index.toml and the components into target/index, each with its signature beside it. Serve that folder over HTTPS as it
is. It builds plugins in each language, so that it needs what `cargo xtask test` needs; and minisign, to sign.
docs/author/publishing.md has the format.")]
    Index(Index),
    /// Check licences and sources of all crates against deny.toml, and look for advisories about them
    #[command(after_help = "Examples:
  cargo xtask dependencies
  cargo xtask dependencies --bill parlor.cdx.json

A step of `cargo xtask test`. Advisories need cargo-deny (cargo install cargo-deny) and its database; without them it says that nobody
has looked. docs/decisions/dependencies.md has the reasons.")]
    Dependencies {
        /// Also write the software bill of materials of the host, as JSON
        #[arg(long, value_name = "FILE")]
        bill: Option<PathBuf>,
    },
    /// Generate the pages of docs/, and check the links and commands of all pages
    #[command(after_help = "Examples:
  cargo xtask docs
  cargo xtask docs --run
  cargo xtask docs --site

Names each link that leads nowhere, and each command that does not exist or that no test runs, with page and line.
The site is written to target/book/site. mdbook builds it: the first time, cargo installs mdbook into target/tools.")]
    Docs {
        /// Also run the blocks of commands: the tests of the suite that follow the pages, on real servers
        #[arg(long)]
        run: bool,
        /// Also build the site, with mdbook, which cargo installs into target/tools
        #[arg(long)]
        site: bool,
    },
    /// Measure what a plugin costs beside a native bot, other bots, and bare wasmtime
    #[command(after_help = "Examples:
  cargo xtask bench
  cargo xtask bench --list     all parts and rows
  cargo xtask bench --only echo,calls
  cargo xtask bench --only \"memory of each\"     the rows with this text
  cargo xtask bench --only echo --against HEAD~3     both hosts take turns in one run
  cargo xtask bench --json > bench.json
  cargo xtask bench --languages     what a plugin costs in each language goes into docs/reference/languages.md

Each row has a value, mostly beside that of something else, and mostly a goal. The whole takes up to an hour, and writes
docs/reference/performance.md, where each value is beside that of the whole run before. --only writes no page. A missed goal is
shown, and changes the exit code only with --languages. Each part has a time limit: one that exceeds it or fails is named, the
rows of the others are shown, and the exit code is 1. Close what else is running; compare ratios, not times. For slixmpp, Python
and pip are needed: it is installed into target/slixmpp.

The revision of --against is built in target/against, some ten minutes the first time. Its host takes turns in echo and
system-calls. Each other part is measured again with it, with its own echo plugin and the other plugins of this revision, so
that takes twice as long. Its values are shown beside this revision's. In calls, archive, storage, and some rows of cluster, the
host runs within the bench, so they are of this revision alone; the bench names them.")]
    Bench(Bench),
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_consistent() {
        super::Arguments::command().debug_assert();
    }
}
