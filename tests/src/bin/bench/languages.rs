//! What each language costs: the plugin that `parlor plugin new` begins with, which says what you said, built and run in each.
//!
//! Starts are those of `parlor run` as a process, from nothing to the plugin's `plugin running`; what one more instance costs is
//! what forty more accounts add, on a host that has these accounts in any case.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use jid::BareJid;
use parlor_tests::certificate::Certificate;
use parlor_tests::docs;
use parlor_tests::folder::Folder;
use parlor_tests::host::{Home, Host, Server};
use parlor_tests::policy::{Entry, Policy};
use parlor_tests::prosody::Account;
use parlor_tests::usage;
use serde_json::{Value, json};

use crate::bots::Bot;
use crate::measure;
use crate::table::median;

/// As people call them, and as `parlor plugin new --lang` does.
const LANGUAGES: [(&str, &str); 5] =
    [("Rust", "rust"), ("C", "c"), ("Go", "go"), ("JavaScript, TypeScript", "js"), ("Python", "python")];

const PLUGIN: &str = "parrot";
/// The page that the table goes to, in `docs/`.
const PAGE: &str = "languages.md";
/// Of several runs the median counts.
const RUNS: usize = 5;
/// What one more instance adds cannot be told from nothing below this.
const NOISE: Duration = Duration::from_micros(100);
/// So many instances beside the first.
const MORE: usize = 40;
/// Messages that are answered, one at a time.
const MESSAGES: u64 = 500;
/// How long a start may take; the one of Python compiles for ten seconds on an idle machine.
const START: Duration = Duration::from_mins(3);
const STOP: Duration = Duration::from_secs(20);

/// What was measured of one language.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    name: &'static str,
    /// Of the file, in bytes.
    size: u64,
    /// From the start of the process until the plugin runs, with nothing compiled before.
    cold: Duration,
    /// The same with what was compiled before.
    cached: Duration,
    /// What one more instance adds to that.
    instance: Duration,
    /// What one more instance adds to the process's memory, in KiB.
    memory: f64,
    /// From a message to its answer, at a scripted peer: the half comes within this.
    trip: Duration,
}

/// Measures them all. Takes some minutes, most of it to build them.
pub(crate) async fn rows() -> Result<Vec<Row>> {
    let folder = Folder::new()?;
    let mut rows = Vec::new();
    for (name, language) in LANGUAGES {
        let measured = row(name, language, &folder).await;
        rows.push(measured.with_context(|| format!("cannot measure {name}"))?);
    }
    Ok(rows)
}

#[expect(clippy::print_stderr, reason = "progress beside the table")]
async fn row(name: &'static str, language: &str, folder: &Folder) -> Result<Row> {
    eprintln!("{name}: building");
    let plugin = build(language, folder).await?;
    eprintln!("{name}: running");
    let size = plugin.len() as u64;
    let certificate = Certificate::make(folder)?;
    let (mut cold, mut cached, mut instance, mut memory) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for _ in 0..RUNS {
        let home = home(&certificate)?;
        // The first of them compiles, in a data folder that is empty.
        cold.push(start(&home, &plugin, 1).await?.took);
        let one = start(&home, &plugin, 1).await?;
        let all = start(&home, &plugin, 1 + MORE).await?;
        cached.push(one.took);
        instance.push(each(all.took.as_secs_f64() - one.took.as_secs_f64()));
        memory.push(each(kib(all.resident_kib) - kib(one.resident_kib)));
    }
    let entry = |home: &Home| home.install_bytes(PLUGIN, &plugin).map(unhindered);
    let mut bot = Bot::parrot(&certificate, PLUGIN, entry).await?;
    measure::alone(&mut bot, MESSAGES).await?;
    let mut trips = measure::alone(&mut bot, MESSAGES).await?;
    trips.sort_unstable();
    Ok(Row {
        name,
        size,
        cold: middle(cold),
        cached: middle(cached),
        instance: Duration::from_secs_f64(median(instance.into_iter()).max(0.0)),
        memory: median(memory.into_iter()),
        trip: trips[trips.len() / 2],
    })
}

/// The plugin of the template, as its author builds it.
async fn build(language: &str, folder: &Folder) -> Result<Vec<u8>> {
    let home = Home::new()?;
    let around = folder.path().join(language);
    std::fs::create_dir_all(&around)?;
    let around = around.to_str().context("a folder whose name is text")?;
    let plugin = Path::new(around).join(PLUGIN);
    let (plugin, file) = (plugin.to_str().context("text")?, plugin.join("built.wasm"));
    let output = file.to_str().context("text")?;
    for arguments in [
        &["plugin", "new", PLUGIN, "--lang", language, "--in", around][..],
        &["plugin", "build", plugin, "-o", output][..],
    ] {
        let finished = home.run(arguments).await?;
        ensure!(finished.code == Some(0), "parlor {} failed:\n{}", arguments.join(" "), finished.stderr);
    }
    std::fs::read(&file).with_context(|| format!("cannot read {output}"))
}

/// With an account for each instance, none of which connects.
fn home(certificate: &Certificate) -> Result<Home> {
    let mut home = Home::new()?;
    for name in accounts(1 + MORE) {
        let jid = BareJid::new(&format!("{name}@localhost")).context("a bad address")?;
        let account = Account { jid, password: "none".to_owned() };
        home.add_account(&name, &account, Server::StartTls(1, certificate))?;
    }
    home.set("auto_login", false)?;
    Ok(home)
}

fn accounts(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("a{number:02}")).collect()
}

/// How a start went.
struct Started {
    took: Duration,
    resident_kib: u64,
}

/// Starts a host with the plugin on the first accounts, and stops it again.
async fn start(home: &Home, plugin: &[u8], instances: usize) -> Result<Started> {
    let mut entry = unhindered(home.install_bytes(PLUGIN, plugin)?);
    entry.accounts = Some(accounts(instances));
    home.set_policy(&Policy::default().with(PLUGIN, entry))?;
    let begin = Instant::now();
    let mut host: Host = home.start()?;
    host.wait_count("plugin running", &[("plugin", PLUGIN)], instances, START).await?;
    let took = begin.elapsed();
    let resident_kib = usage::resident_kib(host.id())?;
    host.stop(STOP).await?;
    Ok(Started { took, resident_kib })
}

/// With all that it asks for, and no limit that a bench would meet.
fn unhindered(entry: Entry) -> Entry {
    entry
        .grant("messages.read", &["*"])
        .grant("messages.send", &["*"])
        .limit("messages_per_second", 10_000)
        .limit("messages_burst", 1_000_000)
        .limit("cpu_share", 1.0)
        .limit("cpu_burst", "60 s")
}

fn each(all: f64) -> f64 {
    all / f64::from(u32::try_from(MORE).expect("a small number"))
}

fn kib(number: u64) -> f64 {
    f64::from(u32::try_from(number).expect("less memory than 4 TiB"))
}

fn middle(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

/// The table, as Markdown, which people can read as well.
pub(crate) fn to_text(rows: &[Row]) -> String {
    let mut text =
        "| language | file | cold start | cached start | one more instance | its memory | message and answer |\n\
                    |---|---|---|---|---|---|---|\n"
            .to_owned();
    for row in rows {
        let Row { name, size, cold, cached, instance, memory, trip } = row;
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "| {name} | {} | {} | {} | {} | {} | {} |",
            bytes(kib(*size)),
            time(*cold),
            time(*cached),
            if *instance < NOISE { format!("under {}", time(NOISE)) } else { time(*instance) },
            bytes(memory.max(0.0) * 1024.0),
            time(*trip)
        );
    }
    text
}

/// For programs.
pub(crate) fn to_json(rows: &[Row]) -> Value {
    let row = |row: &Row| {
        let micros = |time: Duration| time.as_secs_f64() * 1e6;
        json!({
            "language": row.name, "size_bytes": row.size, "cold_start_us": micros(row.cold),
            "cached_start_us": micros(row.cached), "instance_us": micros(row.instance), "instance_kib": row.memory,
            "round_trip_us": micros(row.trip),
        })
    };
    rows.iter().map(row).collect()
}

/// Writes the page about it, and gives where it is.
pub(crate) fn write(rows: &[Row]) -> Result<PathBuf> {
    let path = docs::folder().join(PAGE);
    std::fs::write(&path, page(rows, &jiff::Timestamp::now().strftime("%Y-%m-%d").to_string()))
        .with_context(|| format!("cannot write {}", path.display()))?;
    Ok(path)
}

fn page(rows: &[Row], day: &str) -> String {
    format!(
        "<!-- Made by `cargo xtask bench --languages` on {day}; a change here is lost. -->\n\n\
         # What each language costs\n\n\
         The plugin that `parlor plugin new` begins with, built in each language and run by `parlor run`, as it was measured on\n\
         {day} on one machine. Compare the rows; on another machine all of them are others.\n\n{}\n\
         - **file**: what is installed.\n\
         - **cold start**: from the start of the process until the plugin runs, with its compilation. That is once for each file.\n\
         - **cached start**: the same later on; the host's own start is in it.\n\
         - **one more instance**, **its memory**: what each of {MORE} more accounts adds, of time and of memory in RAM.\n\
         - **message and answer**: from a message on the wire to the plugin's answer there, one at a time, the median of\n  \
         {MESSAGES}.\n",
        to_text(rows)
    )
}

fn bytes(count: f64) -> String {
    match count {
        small if small < 1024.0 * 1024.0 => format!("{:.0} KiB", small / 1024.0),
        large => format!("{:.1} MiB", large / 1024.0 / 1024.0),
    }
}

fn time(time: Duration) -> String {
    match time.as_secs_f64() {
        long if long >= 1.0 => format!("{long:.1} s"),
        short if short >= 0.01 => format!("{:.0} ms", short * 1e3),
        short if short >= 0.001 => format!("{:.1} ms", short * 1e3),
        shorter => format!("{:.0} µs", shorter * 1e6),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_reads_well_and_the_page_says_when_it_was() {
        let row = Row {
            name: "C",
            size: 32 * 1024,
            cold: Duration::from_millis(1_240),
            cached: Duration::from_millis(98),
            instance: Duration::from_micros(310),
            memory: 1_536.0,
            trip: Duration::from_micros(2_460),
        };
        let page = page(&[row], "2026-11-20");
        assert!(page.starts_with("<!-- Made by `cargo xtask bench --languages` on 2026-11-20;"), "{page}");
        assert!(page.contains("| C | 32 KiB | 1.2 s | 98 ms | 310 µs | 1.5 MiB | 2.5 ms |\n"), "{page}");
    }

    #[test]
    fn the_page_that_is_there_has_every_language() {
        let page = std::fs::read_to_string(docs::folder().join(PAGE)).unwrap();
        for (name, _) in LANGUAGES {
            assert!(page.contains(&format!("\n| {name} | ")), "{name} is missing; cargo xtask bench --languages");
        }
    }
}
