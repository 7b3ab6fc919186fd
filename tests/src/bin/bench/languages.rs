//! Measures what each language costs. The plugin is the one that `parlor plugin new` creates, which repeats each
//! message; it is built and run in each language.
//!
//! The author's waiting time is that of the commands that they type, up to an answer on a real server. All build tools
//! are already installed.
//!
//! Start times are those of `parlor run` as a process, from its start to the plugin's `plugin running`. The cost of one
//! more instance is measured with forty more accounts, on a host that has these accounts in any case.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use jid::{BareJid, FullJid};
use parlor_tests::certificate::Certificate;
use parlor_tests::client::Client;
use parlor_tests::docs;
use parlor_tests::folder::Folder;
use parlor_tests::host::{Home, Host, Server};
use parlor_tests::policy::{Entry, Policy};
use parlor_tests::prosody::{Account, Archive, Prosody};
use parlor_tests::server::XmppServer;
use parlor_tests::usage;
use serde_json::{Value, json};

use crate::bots::Bot;
use crate::measure;
use crate::table::median;

/// A language that is measured.
#[derive(Debug, Clone, Copy)]
struct Language {
    /// The name for people.
    name: &'static str,
    /// The name that `parlor plugin new --lang` takes.
    lang: &'static str,
    /// The template's file that defines the plugin's answer.
    source: &'static str,
    /// The longest time from `parlor plugin new` to an answer that the documentation promises.
    promise: Duration,
}

const LANGUAGES: [Language; 5] = [
    Language { name: "Rust", lang: "rust", source: "src/lib.rs", promise: Duration::from_mins(1) },
    Language { name: "C", lang: "c", source: "plugin.c", promise: Duration::from_mins(1) },
    Language { name: "Go", lang: "go", source: "plugin.go", promise: Duration::from_mins(2) },
    Language { name: "JavaScript, TypeScript", lang: "js", source: "plugin.js", promise: Duration::from_mins(1) },
    Language { name: "Python", lang: "python", source: "plugin.py", promise: Duration::from_mins(2) },
];

const PLUGIN: &str = "parrot";
/// The text before each answer, and its replacement in the changed plugin.
const SAYS: [&str; 2] = ["you said: ", "you wrote: "];
/// The component's file name in the plugin's folder.
const FILE: &str = "built.wasm";
/// The page for the table, in `docs/`.
const PAGE: &str = "languages.md";
/// The number of runs; the median is reported.
const RUNS: usize = 5;
/// The cost of one more instance is indistinguishable from nothing below this.
const NOISE: Duration = Duration::from_micros(100);
/// The number of instances beside the first.
const MORE: usize = 40;
/// The number of messages that are answered, one at a time.
const MESSAGES: u64 = 500;
/// The timeout of a start. Compiling a plugin in Python takes ten seconds on an idle machine.
const START: Duration = Duration::from_mins(3);
const STOP: Duration = Duration::from_secs(20);

/// The measurements of one language.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    language: Language,
    /// The size of the component's file, in bytes.
    size: u64,
    /// The time from `parlor plugin new` to an answer.
    answer: Duration,
    /// The time of a second build, after a change.
    again: Duration,
    /// The time from the start of the process until the plugin runs, with an empty compile cache.
    cold: Duration,
    /// The time from the start of the process until the plugin runs, with a filled compile cache.
    cached: Duration,
    /// How much one more instance adds to the cached start.
    instance: Duration,
    /// How much one more instance adds to the process's memory, in KiB.
    memory: f64,
    /// The median time from a message to its answer, at a scripted peer.
    trip: Duration,
}

/// Measures all languages. This takes some minutes, mostly for builds.
pub(crate) async fn rows() -> Result<Vec<Row>> {
    let folder = Folder::new()?;
    let prosody = Prosody::start_with(Archive::Nothing).await?;
    let mut rows = Vec::new();
    for language in LANGUAGES {
        let measured = row(language, &prosody, &folder).await;
        rows.push(measured.with_context(|| format!("cannot measure {}", language.name))?);
    }
    Ok(rows)
}

/// Returns an error if an author would wait longer for the first answer than is promised.
pub(crate) fn kept(rows: &[Row]) -> Result<()> {
    let late = rows.iter().filter(|row| row.answer > row.language.promise);
    let late: Vec<_> = late
        .map(|row| {
            format!("{} takes {} and may take {}", row.language.name, time(row.answer), time(row.language.promise))
        })
        .collect();
    ensure!(late.is_empty(), "from `parlor plugin new` to an answer, {}", late.join(", "));
    Ok(())
}

#[expect(clippy::print_stderr, reason = "progress beside the table")]
async fn row(language: Language, prosody: &XmppServer, folder: &Folder) -> Result<Row> {
    let name = language.name;
    eprintln!("{name}: building");
    let author = Home::new()?;
    // The first build installs missing build tools, since the promise does not cover downloads.
    let plugin = begin(language, &author, &folder.path().join(language.lang)).await?;
    let plugin = built(&author, &plugin).await?;
    eprintln!("{name}: from nothing to an answer");
    let (answer, again) = Box::pin(begun(language, prosody, folder)).await?;
    eprintln!("{name}: running");
    let size = plugin.len() as u64;
    let certificate = Certificate::make(folder)?;
    let (mut cold, mut cached, mut instance, mut memory) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for _ in 0..RUNS {
        let home = home(&certificate)?;
        // The first start compiles, since the data folder is empty.
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
        language,
        size,
        answer,
        again,
        cold: middle(cold),
        cached: middle(cached),
        instance: Duration::from_secs_f64(median(instance.into_iter()).max(0.0)),
        memory: median(memory.into_iter()),
        trip: trips[trips.len() / 2],
    })
}

/// Measures how long an author waits: from the first command to an answer on a real server, and for one more build
/// after a change.
async fn begun(language: Language, prosody: &XmppServer, folder: &Folder) -> Result<(Duration, Duration)> {
    let account = prosody.fresh_account("bot")?;
    let mut friend = Client::login(&prosody.connector()?, &prosody.fresh_account("juliet")?, "balcony").await?;
    friend.available().await?;
    let mut home = Home::new()?;
    home.add_account("main", &account, Server::Direct(prosody.ports().direct, prosody.certificate()))?;

    let start = Instant::now();
    let plugin = begin(language, &home, &folder.path().join(language.lang).join("anew")).await?;
    let first = built(&home, &plugin).await?;
    run(&home, &["plugin", "add", text(&plugin.join(FILE))?, "--yes", "--grant-all"]).await?;
    let mut host: Host = home.start()?;
    host.wait_count("plugin running", &[("plugin", PLUGIN)], 1, START).await?;
    // A message to the bare address before the first presence arrives later, as history on servers that stamp whole
    // seconds.
    let connected = host.wait_count("account connected", &[], 1, START).await?;
    friend.chat(connected.get("jid").parse::<FullJid>()?, "hello").await?;
    friend.wait_body(&account.jid, &format!("{}hello", SAYS[0]), START).await?;
    let answer = start.elapsed();
    host.stop(STOP).await?;

    let source = plugin.join(language.source);
    let text = std::fs::read_to_string(&source).with_context(|| format!("cannot read {}", source.display()))?;
    std::fs::write(&source, text.replace(SAYS[0], SAYS[1]))?;
    let start = Instant::now();
    let second = built(&home, &plugin).await?;
    let again = start.elapsed();
    ensure!(first != second, "a change of {} changes nothing", source.display());
    Ok((answer, again))
}

/// Creates the plugin from the template, as its author would, in a new folder.
async fn begin(language: Language, home: &Home, around: &Path) -> Result<PathBuf> {
    std::fs::create_dir_all(around).with_context(|| format!("cannot make {}", around.display()))?;
    run(home, &["plugin", "new", PLUGIN, "--lang", language.lang, "--in", text(around)?]).await?;
    Ok(around.join(PLUGIN))
}

/// Builds the plugin as its author would, and returns the component.
async fn built(home: &Home, plugin: &Path) -> Result<Vec<u8>> {
    let file = plugin.join(FILE);
    run(home, &["plugin", "build", "--trust", text(plugin)?, "-o", text(&file)?]).await?;
    std::fs::read(&file).with_context(|| format!("cannot read {}", file.display()))
}

/// Runs `parlor`, and fails unless the command succeeds.
async fn run(home: &Home, arguments: &[&str]) -> Result<()> {
    let finished = home.run(arguments).await?;
    ensure!(finished.code == Some(0), "parlor {} failed:\n{}", arguments.join(" "), finished.stderr);
    Ok(())
}

fn text(path: &Path) -> Result<&str> {
    path.to_str().with_context(|| format!("the name of {} is no text", path.display()))
}

/// A home with an account for each instance, none of which connects.
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

/// The measurements of one start.
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

/// Grants everything that the plugin asks for, with limits that the benchmark does not reach.
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

/// Formats the table as Markdown, which is also readable in a terminal.
pub(crate) fn to_text(rows: &[Row]) -> String {
    let mut text =
        "| language | file | from `new` to an answer | second build | cold start | cached start | one more instance \
         | its memory | message and answer |\n\
                    |---|---|---|---|---|---|---|---|---|\n"
            .to_owned();
    for row in rows {
        let Row { language, size, answer, again, cold, cached, instance, memory, trip } = row;
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {} | {} | {} | {} | {} |",
            language.name,
            bytes(kib(*size)),
            time(*answer),
            time(*again),
            time(*cold),
            time(*cached),
            if *instance < NOISE { format!("under {}", time(NOISE)) } else { time(*instance) },
            bytes(memory.max(0.0) * 1024.0),
            time(*trip)
        );
    }
    text
}

/// Formats the table for programs.
pub(crate) fn to_json(rows: &[Row]) -> Value {
    let row = |row: &Row| {
        let micros = |time: Duration| time.as_secs_f64() * 1e6;
        json!({
            "language": row.language.name, "size_bytes": row.size, "first_answer_us": micros(row.answer),
            "first_answer_promised_us": micros(row.language.promise), "second_build_us": micros(row.again),
            "cold_start_us": micros(row.cold), "cached_start_us": micros(row.cached),
            "instance_us": micros(row.instance), "instance_kib": row.memory, "round_trip_us": micros(row.trip),
        })
    };
    rows.iter().map(row).collect()
}

/// Writes the page and returns its path.
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
         - **from `new` to an answer**: from `parlor plugin new` over `build`, `add` and `run` to the plugin's answer on a real\n  \
         server, once, with all that it is built with installed and used before. It may take: {}.\n\
         - **second build**: `parlor plugin build` once more, after a change of the source.\n\
         - **cold start**: from the start of the process until the plugin runs, with its compilation. That is once for each file.\n\
         - **cached start**: the same later on; the host's own start is in it.\n\
         - **one more instance**, **its memory**: what each of {MORE} more accounts adds, of time and of memory in RAM.\n\
         - **message and answer**: from a message on the wire to the plugin's answer there, one at a time, the median of\n  \
         {MESSAGES}.\n",
        to_text(rows),
        LANGUAGES.map(|language| format!("{} {}", language.name, time(language.promise))).join("; ")
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

    fn row() -> Row {
        Row {
            language: LANGUAGES[1],
            size: 32 * 1024,
            answer: Duration::from_millis(4_310),
            again: Duration::from_millis(710),
            cold: Duration::from_millis(1_240),
            cached: Duration::from_millis(98),
            instance: Duration::from_micros(310),
            memory: 1_536.0,
            trip: Duration::from_micros(2_460),
        }
    }

    #[test]
    fn a_row_reads_well_and_the_page_says_when_it_was() {
        let page = page(&[row()], "2026-11-20");
        assert!(page.starts_with("<!-- Made by `cargo xtask bench --languages` on 2026-11-20;"), "{page}");
        assert!(
            page.contains("| C | 32 KiB | 4.3 s | 710 ms | 1.2 s | 98 ms | 310 µs | 1.5 MiB | 2.5 ms |\n"),
            "{page}"
        );
        assert!(page.contains("It may take: Rust 60.0 s; C 60.0 s; Go 120.0 s; "), "{page}");
    }

    #[test]
    fn who_waits_longer_for_the_first_answer_than_is_promised_is_told() {
        let waits = |answer: u64| Row { answer: Duration::from_secs(answer), ..row() };
        assert!(kept(&[waits(59), waits(60)]).is_ok());
        let error = kept(&[waits(59), waits(61)]).unwrap_err().to_string();
        assert_eq!(error, "from `parlor plugin new` to an answer, C takes 61.0 s and may take 60.0 s");
    }

    /// The second build replaces this text, so every template must contain it.
    #[test]
    fn every_template_says_what_it_heard() {
        let templates = docs::folder().join("../plugins-sdk/templates");
        for Language { lang, source, .. } in LANGUAGES {
            // A plugin in Rust has cargo's folders; its template is flat.
            let source = Path::new(source).file_name().unwrap();
            let text = std::fs::read_to_string(templates.join(lang).join(source)).unwrap();
            assert!(text.contains(SAYS[0]), "{lang}");
        }
    }

    #[test]
    fn the_page_that_is_there_has_every_language() {
        let page = std::fs::read_to_string(docs::folder().join(PAGE)).unwrap();
        for Language { name, .. } in LANGUAGES {
            assert!(page.contains(&format!("\n| {name} | ")), "{name} is missing; cargo xtask bench --languages");
        }
    }
}
