//! The flags of tasks that `cargo xtask` passes on unchanged to a program of their own. Both parse them by these types.

use std::path::PathBuf;

use clap::{Parser, ValueEnum};

/// Break connections at random under traffic, and count lost and duplicated messages
#[derive(Debug, Parser)]
pub struct Faults {
    /// How many connections to break, on each server and each transport
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub cuts: u32,
    /// The number of accounts that share these breaks
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=64))]
    pub accounts: u32,
    /// How connections reach the server: starttls, tls, ws or bosh, or all
    #[arg(long, default_value = "starttls")]
    pub transport: String,
    /// The server to use: prosody or ejabberd, or both
    #[arg(long, default_value = "prosody")]
    pub server: String,
    /// The seed of the random faults; a new one each time by default. With --seeds the first one, 0 by default
    #[arg(long)]
    pub seed: Option<u64>,
    /// Instead, kill a host so often while requests come to a webhook, and count those that were acknowledged and lost
    #[arg(long, value_name = "N", conflicts_with_all = ["cuts", "accounts", "transport", "server"],
          value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub kills: Option<u32>,
}

/// Break a cluster of three nodes under traffic, and count lost and doubled answers
#[derive(Debug, Parser)]
pub struct Cluster {
    /// The number of faults
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub faults: u32,
    /// The number of accounts
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub accounts: u32,
    /// The seed of the faults; a new one each time by default
    #[arg(long)]
    pub seed: Option<u64>,
    /// The number of NATS servers: 1, or 3 that keep each stream together, of which single ones are killed, too
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = servers)]
    pub servers: u8,
    /// A line for each fault
    #[arg(long)]
    pub verbose: bool,
    /// One JSON object for each fault and for the result, on standard output
    #[arg(long)]
    pub json: bool,
}

/// Build the example plugins, and write an index of them
#[derive(Debug, Parser)]
pub struct Index {
    /// The public key that signs the index and the plugins, a minisign.pub
    #[arg(long, value_name = "FILE")]
    pub public: PathBuf,
    /// The secret key, with which minisign signs them; without it nothing is signed
    #[arg(long, value_name = "FILE")]
    pub key: Option<PathBuf>,
    /// The page of the plugins, over https; that of each plugin is below it, by its name
    #[arg(long, value_name = "URL", value_parser = https)]
    pub homepage: Option<String>,
    /// The serial number, higher than that of the issue before; by default the seconds since 1970
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub serial: Option<u64>,
}

/// Takes only the numbers of servers that a run can have.
fn servers(text: &str) -> Result<u8, String> {
    text.parse().ok().filter(|count| [1, 3].contains(count)).ok_or_else(|| "write 1 or 3".to_owned())
}

/// Takes only addresses that `parlor index add` takes.
fn https(url: &str) -> Result<String, String> {
    if url.starts_with("https://") { Ok(url.to_owned()) } else { Err("write an address with https://".to_owned()) }
}

/// Attack a real host as a hostile plugin, peer or package may
#[derive(Debug, Parser)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
pub struct Attack {
    /// Run only this case; may be given several times
    #[arg(long, value_name = "N")]
    pub case: Vec<u8>,
    /// Run only some cases of each heading, in less than a minute
    #[arg(long)]
    pub quick: bool,
    /// Instead of cases: run thirty bad plugins beside a good one, for minutes
    #[arg(long, conflicts_with_all = ["case", "quick", "list"])]
    pub soak: bool,
    /// Instead of cases: measure how 2, 4 and 8 hostile plugins of each kind affect a good one, compared with as
    /// many idle ones
    #[arg(long, conflicts_with_all = ["case", "quick", "list", "soak"])]
    pub neighbours: bool,
    /// How many minutes the soak test takes
    #[arg(long, value_name = "MINUTES", default_value_t = 10, requires = "soak")]
    pub minutes: u64,
    /// Only list the cases
    #[arg(long)]
    pub list: bool,
    /// One JSON object for each line, on standard output
    #[arg(long)]
    pub json: bool,
}

/// Break the promises of SECURITY.md one by one, and check that a test or an attack notices each
#[derive(Debug, Parser)]
pub struct Detectors {
    /// Run only this one; may be given several times
    #[arg(long, value_name = "NAME")]
    pub only: Vec<String>,
    /// Only list them
    #[arg(long)]
    pub list: bool,
    /// One JSON object for each line, on standard output
    #[arg(long)]
    pub json: bool,
}

/// Drive the owner's pages in the browser, and check what each of them shows
#[derive(Debug, Parser)]
pub struct Web {
    /// Run only the steps with this text in their names; may be given several times
    #[arg(long, value_name = "TEXT")]
    pub only: Vec<String>,
    /// Only list the steps
    #[arg(long)]
    pub list: bool,
    /// One JSON object for each line, on standard output
    #[arg(long)]
    pub json: bool,
    /// Also write pictures of the pages into docs/owner/images
    #[arg(long, conflicts_with = "list")]
    pub screens: bool,
}

/// Measure what a plugin costs beside a native bot, other bots, and bare wasmtime
#[derive(Debug, Parser)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
pub struct Bench {
    /// Measure only this part, or the rows with this text in their names; several are given with commas between
    #[arg(long, value_name = "ROW", conflicts_with = "languages")]
    pub only: Vec<String>,
    /// Only list the parts and their rows
    #[arg(long, conflicts_with_all = ["languages", "json", "only"])]
    pub list: bool,
    /// How often the bots take turns, as long as there is time
    #[arg(long, default_value_t = 12, value_parser = clap::value_parser!(u32).range(1..=50))]
    pub rounds: u32,
    /// Also build this revision, and measure its host beside this one
    #[arg(long, value_name = "REV", conflicts_with = "languages")]
    pub against: Option<String>,
    /// Build what is measured by a profile, as `cargo xtask package --by-profile` does
    #[arg(long, conflicts_with_all = ["languages", "against"])]
    pub by_profile: bool,
    /// Instead, measure the same plugin in each language, and write docs/reference/languages.md
    #[arg(long)]
    pub languages: bool,
    /// Write the table as JSON to standard output
    #[arg(long)]
    pub json: bool,
}

/// A part of the benchmark.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Part {
    /// The echo bot: its answer times, CPU time and memory
    Echo,
    /// The system calls of one echo
    SystemCalls,
    /// Calls between host and guest
    Calls,
    /// Plugins whose scopes exclude the sender, and a hook that is in no order
    Scopes,
    /// Many plugins in one process: their start and memory
    Instances,
    /// Plugins that are parked
    Parked,
    /// Many accounts in one process
    Accounts,
    /// An archive of messages that a plugin reads
    Archive,
    /// Values that plugins store
    Storage,
    /// Requests of plugins over the web, requests to their webhooks, and files
    Web,
    /// Junk in a busy room, and how soon the plugin guard retracts it
    Guard,
    /// Messages that are encrypted from end to end, in a chat and in a room of many devices
    Encrypted,
    /// Nodes of a cluster: accounts of a killed one, their CPU time, and values through NATS; and the stream of a component
    Cluster,
}

impl Part {
    /// Returns the name, as on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Echo => "echo",
            Self::SystemCalls => "system-calls",
            Self::Calls => "calls",
            Self::Scopes => "scopes",
            Self::Instances => "instances",
            Self::Parked => "parked",
            Self::Accounts => "accounts",
            Self::Archive => "archive",
            Self::Storage => "storage",
            Self::Web => "web",
            Self::Guard => "guard",
            Self::Encrypted => "encrypted",
            Self::Cluster => "cluster",
        }
    }

    /// Returns the heading of its rows.
    pub fn title(self) -> &'static str {
        match self {
            Self::Echo => "the echo bot: a plugin in parlor beside other bots",
            Self::SystemCalls => "the system calls of one echo, one at a time",
            Self::Calls => "calls between host and guest, beside bare wasmtime",
            Self::Scopes => {
                "plugins that get no message: they may hear others than the sender, or are hooks in no order"
            }
            Self::Instances => "many plugins in one process, each answering",
            Self::Parked => "plugins that are parked",
            Self::Accounts => "many accounts in one process, on the scripted peer",
            Self::Archive => "an archive of messages that a plugin reads",
            Self::Storage => "what a plugin stores, on disk when it is told so",
            Self::Web => "the web: requests of a plugin beside hyper's client, requests to its webhook, and files",
            Self::Guard => "junk among 200 messages a second in a room on Prosody, as an occupant sees it",
            Self::Cluster => "nodes of a cluster over NATS, on the scripted peer",
            Self::Encrypted => "messages that are encrypted from end to end by OMEMO, on Prosody",
        }
    }

    /// Returns the same as a heading on the page.
    pub fn heading(self) -> String {
        let title = self.title();
        format!("{}{}", title[..1].to_uppercase(), &title[1..])
    }

    /// Returns why the host of another revision cannot be measured in this part; `None` if it can.
    pub fn unpaired(self) -> Option<&'static str> {
        match self {
            Self::Calls | Self::Archive | Self::Storage => {
                Some("its host runs within the bench, which is built from this revision")
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_homepage_is_an_address_over_https() {
        let flags = |url| Index::try_parse_from(["index", "--public", "minisign.pub", "--homepage", url]);
        assert_eq!(flags("https://example.org").unwrap().homepage.as_deref(), Some("https://example.org"));
        assert!(flags("http://example.org").unwrap_err().to_string().contains("write an address with https://"));
    }

    #[test]
    fn a_part_is_called_as_on_the_command_line() {
        for part in Part::value_variants() {
            assert_eq!(part.to_possible_value().map(|value| value.get_name().to_owned()), Some(part.name().to_owned()));
        }
    }
}
