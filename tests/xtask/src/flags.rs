//! The flags of tasks that `cargo xtask` passes on unchanged to a program of their own. Both parse them by these types.

use clap::Parser;

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
