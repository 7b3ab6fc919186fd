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

use crate::bots::{Bot, Build, unlimited};
use crate::measure;
use crate::row::median;

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

const PLUGIN: &str = "repeat";
/// A second plugin of the same author.
const SECOND: &str = "second";
/// The texts before each answer: of the template, and of each changed plugin.
const SAYS: [&str; 4] = ["you said: ", "you wrote: ", "you typed: ", "you told: "];
/// The variable by which a Python environment is active.
const ENVIRONMENT: &str = "VIRTUAL_ENV";
/// The component's file name in the plugin's folder.
const FILE: &str = "built.wasm";
/// The page for the table, in `docs/`.
const PAGE: &str = "reference/languages.md";
/// The number of runs; the median is reported.
const RUNS: usize = 5;
/// The cost of one more instance is indistinguishable from nothing below this.
const NOISE: Duration = Duration::from_micros(100);
/// The number of instances in addition to the first.
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
    /// The same for a second plugin of the same author, on a host that runs already.
    second: Duration,
    /// The time of a second build, after a change.
    again: Duration,
    /// The time from a changed source over `build` and `update` until the new version runs.
    live: Duration,
    /// The same in an active Python environment, for Python alone.
    live_in_environment: Option<Duration>,
    /// The time from the start of the process until the account is connected, while the plugin must still be compiled.
    connected: Duration,
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

/// A goal of the project: a figure that is to be no larger than this.
struct Goal {
    /// The figure, for people.
    what: &'static str,
    /// The language, if the goal is about one.
    lang: Option<&'static str>,
    /// Reads the figure; `None` if it was not measured for this language.
    figure: fn(&Row) -> Option<f64>,
    /// The largest value.
    most: f64,
    /// Formats the figure.
    shown: fn(f64) -> String,
}

fn seconds(count: f64) -> String {
    time(Duration::from_secs_f64(count))
}

/// All goals. They depend on the machine, so that no test compares them; a run of the benchmark fails if one is missed.
const GOALS: [Goal; 5] = [
    Goal {
        what: "save to live",
        lang: Some("python"),
        figure: |row| Some(row.live.as_secs_f64()),
        most: 6.0,
        shown: seconds,
    },
    Goal {
        what: "save to live with VIRTUAL_ENV",
        lang: Some("python"),
        figure: |row| row.live_in_environment.map(|time| time.as_secs_f64()),
        most: 6.0,
        shown: seconds,
    },
    Goal {
        what: "second plugin from `new` to an answer",
        lang: Some("rust"),
        figure: |row| Some(row.second.as_secs_f64()),
        most: 10.0,
        shown: seconds,
    },
    Goal { what: "file", lang: Some("c"), figure: |row| Some(kib(row.size)), most: 1024.0 * 1024.0, shown: bytes },
    Goal { what: "connected", lang: None, figure: |row| Some(row.connected.as_secs_f64()), most: 1.0, shown: seconds },
];

/// A goal and its measurement: the language, the goal and the figure.
type Measured<'a> = (&'a Row, &'static Goal, f64);

fn against_goals(rows: &[Row]) -> impl Iterator<Item = Measured<'_>> {
    GOALS.iter().flat_map(move |goal| {
        let rows = rows.iter().filter(move |row| goal.lang.is_none_or(|lang| lang == row.language.lang));
        rows.filter_map(move |row| Some((row, goal, (goal.figure)(row)?)))
    })
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

/// Returns an error that names each promise and goal that was missed.
pub(crate) fn kept(rows: &[Row]) -> Result<()> {
    let late = rows.iter().filter(|row| row.answer > row.language.promise).map(|row| {
        let (took, most) = (time(row.answer), time(row.language.promise));
        format!("{}, from `new` to an answer: {took}, at most {most} is promised", row.language.name)
    });
    let missed = against_goals(rows).filter(|(_, goal, figure)| *figure > goal.most).map(|(row, goal, figure)| {
        let (figure, most) = ((goal.shown)(figure), (goal.shown)(goal.most));
        format!("{}, {}: {figure}, the goal is at most {most}", row.language.name, goal.what)
    });
    let missed: Vec<_> = late.chain(missed).collect();
    ensure!(missed.is_empty(), "missed:\n{}", missed.join("\n"));
    Ok(())
}

#[expect(clippy::print_stderr, reason = "progress beside the table")]
async fn row(language: Language, prosody: &XmppServer, folder: &Folder) -> Result<Row> {
    let name = language.name;
    eprintln!("{name}: building");
    let author = Home::new()?;
    // The first build installs missing build tools, since the promise does not cover downloads.
    let plugin = begin(language, &author, &folder.path().join(language.lang), PLUGIN).await?;
    let plugin = built(&author, &plugin).await?;
    eprintln!("{name}: from nothing to an answer");
    let waits = Box::pin(begun(language, prosody, folder)).await?;
    eprintln!("{name}: running");
    let connected = connected(prosody, &plugin).await?;
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
        memory.push(each(kib(all.memory_kib) - kib(one.memory_kib)));
    }
    let policy = |home: &Home| Ok(Policy::default().with(PLUGIN, unhindered(home.install_bytes(PLUGIN, &plugin)?)));
    let mut bot = Bot::host(&certificate, &Build::own()?, policy).await?;
    measure::alone(&mut bot, MESSAGES).await?;
    let mut trips = measure::alone(&mut bot, MESSAGES).await?;
    trips.sort_unstable();
    Ok(Row {
        language,
        size,
        answer: waits.answer,
        second: waits.second,
        again: waits.again,
        live: waits.live,
        live_in_environment: waits.live_in_environment,
        connected,
        cold: middle(cold),
        cached: middle(cached),
        instance: Duration::from_secs_f64(median(instance.into_iter()).max(0.0)),
        memory: median(memory.into_iter()),
        trip: trips[trips.len() / 2],
    })
}

/// How long an author waits.
struct Waits {
    answer: Duration,
    second: Duration,
    again: Duration,
    live: Duration,
    live_in_environment: Option<Duration>,
}

/// Measures how long an author waits: from the first command to an answer on a real server, for a second plugin, and for
/// a change of the first.
async fn begun(language: Language, prosody: &XmppServer, folder: &Folder) -> Result<Waits> {
    let account = prosody.fresh_account("bot")?;
    let mut friend = Client::login(&prosody.connector()?, &prosody.fresh_account("juliet")?, "balcony").await?;
    friend.available().await?;
    let mut home = Home::new()?;
    home.add_account("main", &account, Server::Direct(prosody.ports().direct, prosody.certificate()))?;
    let around = folder.path().join(language.lang).join("anew");

    let start = Instant::now();
    let plugin = begin(language, &home, &around, PLUGIN).await?;
    let first = built(&home, &plugin).await?;
    add(&home, &plugin).await?;
    let mut host: Host = home.start()?;
    host.wait_count("plugin running", &[("plugin", PLUGIN)], 1, START).await?;
    // A message to the bare address before the first presence arrives later, as history on servers that stamp whole
    // seconds.
    let connected = host.wait_count("account connected", &[], 1, START).await?;
    let bot = connected.get("jid").parse::<FullJid>()?;
    friend.chat(bot.clone(), "hello").await?;
    friend.wait_body(&account.jid, &format!("{}hello", SAYS[0]), START).await?;
    let answer = start.elapsed();

    // The second plugin has another text, since both answer.
    let start = Instant::now();
    let another = begin(language, &home, &around, SECOND).await?;
    change(language, &another, SAYS[3])?;
    built(&home, &another).await?;
    add(&home, &another).await?;
    host.wait_count("plugin running", &[("plugin", SECOND)], 1, START).await?;
    friend.chat(bot, "again").await?;
    friend.wait_body(&account.jid, &format!("{}again", SAYS[3]), START).await?;
    let second = start.elapsed();

    let (changed, again, live) = saved(language, &home, &host, &plugin, SAYS[1], 2).await?;
    ensure!(first != changed, "a change of {} changes nothing", language.source);
    let live_in_environment = if language.lang == "python" {
        let environment = around.join("environment");
        let made =
            tokio::process::Command::new("python3").args(["-m", "venv", "--without-pip"]).arg(&environment).status();
        ensure!(made.await.context("cannot run python3")?.success(), "python3 -m venv failed");
        home.set_environment(ENVIRONMENT, text(&environment)?);
        Some(saved(language, &home, &host, &plugin, SAYS[2], 3).await?.2)
    } else {
        None
    };
    host.stop(STOP).await?;
    Ok(Waits { answer, second, again, live, live_in_environment })
}

/// Changes the plugin's text, and brings the change to the host. Returns the component, the time of the build, and the
/// time until it runs, as the plugin's start with this number.
async fn saved(
    language: Language,
    home: &Home,
    host: &Host,
    plugin: &Path,
    says: &str,
    starts: usize,
) -> Result<(Vec<u8>, Duration, Duration)> {
    change(language, plugin, says)?;
    let start = Instant::now();
    let component = built(home, plugin).await?;
    let again = start.elapsed();
    run(home, &["plugin", "update", PLUGIN, text(&plugin.join(FILE))?, "--yes"]).await?;
    host.wait_count("plugin running", &[("plugin", PLUGIN)], starts, START).await?;
    Ok((component, again, start.elapsed()))
}

/// Replaces the text before the answers in a plugin's source.
fn change(language: Language, plugin: &Path, says: &str) -> Result<()> {
    let source = plugin.join(language.source);
    let mut text = std::fs::read_to_string(&source).with_context(|| format!("cannot read {}", source.display()))?;
    for old in SAYS {
        text = text.replace(old, says);
    }
    std::fs::write(&source, text).with_context(|| format!("cannot write {}", source.display()))
}

/// Installs a built plugin as its owner would.
async fn add(home: &Home, plugin: &Path) -> Result<()> {
    run(home, &["plugin", "add", text(&plugin.join(FILE))?, "--yes", "--grant-all"]).await
}

/// Measures how long a start takes until the account is connected. The data folder is empty, so that the plugin must be
/// compiled meanwhile.
async fn connected(prosody: &XmppServer, plugin: &[u8]) -> Result<Duration> {
    let mut took = Vec::new();
    for _ in 0..RUNS {
        let mut home = Home::new()?;
        let account = prosody.fresh_account("bot")?;
        home.add_account("main", &account, Server::Direct(prosody.ports().direct, prosody.certificate()))?;
        home.set_policy(&Policy::default().with(PLUGIN, unhindered(home.install_bytes(PLUGIN, plugin)?)))?;
        let begin = Instant::now();
        let mut host: Host = home.start_at_once()?;
        host.wait_count("account connected", &[], 1, START).await?;
        took.push(begin.elapsed());
        host.stop(STOP).await?;
    }
    Ok(middle(took))
}

/// Creates the plugin from the template, as its author would, in a new folder.
async fn begin(language: Language, home: &Home, around: &Path, name: &str) -> Result<PathBuf> {
    std::fs::create_dir_all(around).with_context(|| format!("cannot make {}", around.display()))?;
    run(home, &["plugin", "new", name, "--lang", language.lang, "--in", text(around)?]).await?;
    Ok(around.join(name))
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
    memory_kib: u64,
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
    let memory_kib = usage::anonymous_kib(host.id())?;
    host.stop(STOP).await?;
    Ok(Started { took, memory_kib })
}

/// Grants everything that the plugin asks for, with limits that the benchmark does not reach.
fn unhindered(entry: Entry) -> Entry {
    unlimited(entry).grant("messages.read", &["*"]).grant("messages.send", &["*"])
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
        "| language | file | from `new` to an answer | second plugin | second build | save to live | connected | cold start \
         | cached start | one more instance | its memory | message and answer |\n\
                    |---|---|---|---|---|---|---|---|---|---|---|---|\n"
            .to_owned();
    for row in rows {
        let Row {
            language, size, answer, second, again, live, connected, cold, cached, instance, memory, trip, ..
        } = row;
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {} | {} | {} | {} | {} | {} | {} | {} |",
            language.name,
            bytes(kib(*size)),
            time(*answer),
            time(*second),
            time(*again),
            time(*live),
            time(*connected),
            time(*cold),
            time(*cached),
            if *instance < NOISE { format!("under {}", time(NOISE)) } else { time(*instance) },
            bytes(memory.max(0.0) * 1024.0),
            time(*trip)
        );
    }
    text += "\n| goal | language | measured | at most | |\n|---|---|---|---|---|\n";
    for (row, goal, figure) in against_goals(rows) {
        let verdict = if figure > goal.most { "**missed**" } else { "met" };
        let (figure, most) = ((goal.shown)(figure), (goal.shown)(goal.most));
        let _ = writeln!(text, "| {} | {} | {figure} | {most} | {verdict} |", goal.what, row.language.name);
    }
    text
}

/// Formats the table for programs.
pub(crate) fn to_json(rows: &[Row]) -> Value {
    let row = |row: &Row| {
        let micros = |time: Duration| time.as_secs_f64() * 1e6;
        json!({
            "language": row.language.name, "size_bytes": row.size, "first_answer_us": micros(row.answer),
            "first_answer_promised_us": micros(row.language.promise), "second_plugin_us": micros(row.second),
            "second_build_us": micros(row.again), "live_us": micros(row.live),
            "live_in_environment_us": row.live_in_environment.map(micros), "connected_us": micros(row.connected),
            "missed": against_goals(std::slice::from_ref(row)).filter(|(_, goal, figure)| *figure > goal.most)
                .map(|(_, goal, _)| goal.what).collect::<Vec<_>>(),
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
         {day} on one machine. Compare the rows; on another machine all of them are others. `cargo xtask bench --languages` measures\n\
         them and writes this page, which takes some minutes; below them it compares the goals of the project, and fails if one is missed.\n\n{}\n\
         - **file**: what is installed.\n\
         - **from `new` to an answer**: from `parlor plugin new` over `build`, `add` and `run` to the plugin's answer on a real\n  \
         server, once, with all that it is built with installed and used before. It may take: {}.\n\
         - **second plugin**: the same for another plugin of the same author, on a host that runs.\n\
         - **second build**: `parlor plugin build` once more, after a change of the source.\n\
         - **save to live**: from that change over `build` and `update` until the new version runs.\n\
         - **connected**: from the start of the process until the account is connected, with a plugin that is still to be compiled.\n\
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
            second: Duration::from_millis(3_200),
            again: Duration::from_millis(710),
            live: Duration::from_millis(1_100),
            live_in_environment: None,
            connected: Duration::from_millis(320),
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
            page.contains(
                "| C | 32 KiB | 4.3 s | 3.2 s | 710 ms | 1.1 s | 320 ms | 1.2 s | 98 ms | 310 µs | 1.5 MiB | 2.5 ms |\n"
            ),
            "{page}"
        );
        assert!(page.contains("It may take: Rust 60.0 s; C 60.0 s; Go 120.0 s; "), "{page}");
        assert!(
            page.contains("\n| file | C | 32 KiB | 1.0 MiB | met |\n| connected | C | 320 ms | 1.0 s | met |\n"),
            "{page}"
        );
    }

    #[test]
    fn who_waits_longer_for_the_first_answer_than_is_promised_is_told() {
        let waits = |answer: u64| Row { answer: Duration::from_secs(answer), ..row() };
        assert!(kept(&[waits(59), waits(60)]).is_ok());
        let error = kept(&[waits(59), waits(61)]).unwrap_err().to_string();
        assert_eq!(error, "missed:\nC, from `new` to an answer: 61.0 s, at most 60.0 s is promised");
    }

    #[test]
    fn a_goal_that_is_missed_is_shown_and_is_an_error() {
        let of = |lang: &str| Row { language: *LANGUAGES.iter().find(|one| one.lang == lang).unwrap(), ..row() };
        let late = Duration::from_millis(6_100);
        let python = Row { live: Duration::from_secs(6), live_in_environment: Some(late), ..of("python") };
        let rust = Row { second: Duration::from_secs(11), live: late, ..of("rust") };
        let c = Row { size: (1 << 20) + 1, connected: Duration::from_millis(1_200), ..of("c") };
        let rows = [python, rust, c];
        let missed = [
            "Python, save to live with VIRTUAL_ENV: 6.1 s, the goal is at most 6.0 s",
            "Rust, second plugin from `new` to an answer: 11.0 s, the goal is at most 10.0 s",
            "C, file: 1.0 MiB, the goal is at most 1.0 MiB",
            "C, connected: 1.2 s, the goal is at most 1.0 s",
        ];
        assert_eq!(kept(&rows).unwrap_err().to_string(), format!("missed:\n{}", missed.join("\n")));
        let text = to_text(&rows);
        assert_eq!(text.matches("**missed**").count(), 4, "{text}");
        assert!(text.contains("| save to live | Python | 6.0 s | 6.0 s | met |\n"), "{text}");
        assert_eq!(to_json(&rows)[2]["missed"], json!(["file", "connected"]));
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
