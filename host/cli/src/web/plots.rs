//! The plots of the last day: messages, CPU and memory, as pictures and as a table.
//!
//! Samples are taken once a minute while this program runs, since the host takes none. They are written into the data folder, and
//! read when it starts again.

mod kept;

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use maud::{Markup, html};
use parlor::control::client::try_get;
use parlor::control::views::{Plugin, Status};
use tokio::task::spawn_blocking;
use tokio::time::{MissedTickBehavior, interval};

/// The most samples that are kept: one a minute, for a day.
const MOST: usize = 1_440;
/// The time between two samples.
const EVERY: Duration = Duration::from_mins(1);
/// The minutes of a day.
const DAY: i64 = 1_440;
/// The milliseconds of a minute.
const MINUTE: i64 = 60_000;
/// The most minutes between two samples that a line connects.
const GAP: i64 = 2;
/// The size of a picture.
const SIZE: [f64; 2] = [720.0, 120.0];
/// The room around its lines, so that none is cut.
const AROUND: f64 = 4.0;

/// The data of one plot.
struct Series {
    key: &'static str,
    title: &'static str,
    says: &'static str,
    shown: fn(f64) -> String,
    /// The least top of the axis, so that next to nothing does not look like much.
    least: f64,
}

const SERIES: [Series; 3] = [
    Series {
        key: "messages",
        title: "Messages",
        says: "events that plugins handled and messages that they sent, a minute",
        shown: |value| format!("{value:.1}"),
        least: 10.0,
    },
    Series {
        key: "cpu",
        title: "CPU",
        says: "time that plugins took, in percent of a core",
        shown: |value| format!("{value:.1} %"),
        least: 10.0,
    },
    Series {
        key: "memory",
        title: "Memory",
        says: "that the host holds",
        shown: |value| format!("{:.1} MiB", value / (1024.0 * 1024.0)),
        least: 64.0 * 1024.0 * 1024.0,
    },
];

/// The values of one minute, one for each of [`SERIES`]; none while no host ran.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Sample {
    /// The minute of the Unix clock.
    minute: i64,
    values: [Option<f64>; 3],
}

/// The counters of a host, to compare the next ones with.
#[derive(Debug)]
struct Counted {
    /// When they were read, in milliseconds of the Unix clock.
    at: i64,
    /// When the host started.
    since: String,
    /// The messages and the CPU time of each plugin on each account.
    counts: BTreeMap<(String, Option<String>), [u64; 2]>,
}

/// The plots, for the task that takes samples and for pages.
#[derive(Debug, Clone, Default)]
pub(super) struct Plots(Arc<Mutex<History>>);

impl Plots {
    /// Shows them, and a table with the same for those who do not see them. They stand below a heading of the second
    /// level.
    pub(super) fn show(&self) -> Markup {
        self.history().plots()
    }

    /// Takes over the samples of the last day that are in this data folder.
    pub(super) fn load(&self, data: &Path) {
        let minute = Timestamp::now().as_millisecond().div_euclid(MINUTE);
        match kept::read(data) {
            Ok(mut samples) => {
                // After the clock was set back, some are from the future.
                samples.retain(|sample| (minute - DAY + 1..=minute).contains(&sample.minute));
                self.history().samples = samples;
            }
            Err(error) => tracing::warn!("the plots begin anew, since those that were kept cannot be read: {error:#}"),
        }
    }

    fn history(&self) -> MutexGuard<'_, History> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a sample. Returns what is to be written, if it is the first one of its minute.
    fn take(&self, now: i64, status: Option<&Status>) -> Option<Vec<u8>> {
        let mut history = self.history();
        history.take(now, status).then(|| kept::bytes(&history.samples))
    }
}

/// Takes a sample of the host with this data folder every minute.
pub(super) async fn watch(plots: Plots, data: PathBuf) {
    let mut minutes = interval(EVERY);
    minutes.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut is_failing = false;
    loop {
        minutes.tick().await;
        let (data, plots) = (data.clone(), plots.clone());
        let sampled = spawn_blocking(move || {
            let status = try_get::<Status>(&data, "/v1/status");
            let bytes = plots.take(Timestamp::now().as_millisecond(), status.as_ref());
            bytes.map_or(Ok(()), |bytes| kept::write(&data, &bytes))
        });
        let written = sampled.await.unwrap_or_else(|error| Err(io::Error::other(error)));
        // Once is enough: it may fail each minute.
        if let Err(error) = &written
            && !is_failing
        {
            tracing::warn!(%error, "the plots of the last day cannot be kept");
        }
        is_failing = written.is_err();
    }
}

/// The samples of the last day.
#[derive(Debug, Default)]
struct History {
    samples: VecDeque<Sample>,
    before: Option<Counted>,
}

/// Converts a counter for a picture.
#[expect(clippy::cast_precision_loss, reason = "for people")]
fn float(count: u64) -> f64 {
    count as f64
}

impl History {
    /// Takes a sample of this state, at this time in milliseconds of the Unix clock. None: no host runs.
    /// Returns whether it is kept.
    fn take(&mut self, now: i64, status: Option<&Status>) -> bool {
        let host = status.and_then(|status| Some((status, status.host.as_ref()?)));
        let counted = host.map(|(status, host)| Counted { at: now, since: host.since.clone(), counts: counts(status) });
        let mut values = [None; 3];
        if let (Some(counted), Some((_, host))) = (&counted, host) {
            let rates = self.before.as_ref().and_then(|before| rates(before, counted, host.uptime));
            values = [rates.map(|[messages, _]| messages), rates.map(|[_, cpu]| cpu), Some(float(host.memory))];
        }
        self.before = counted;
        self.put(Sample { minute: now.div_euclid(MINUTE), values })
    }

    /// Keeps a sample unless its minute has one, and drops those that are older than a day. Returns whether it is kept.
    fn put(&mut self, sample: Sample) -> bool {
        match self.samples.back() {
            // The clock was set back: the order of the others is not known any more.
            Some(last) if sample.minute < last.minute => self.samples.clear(),
            Some(last) if sample.minute == last.minute => return false,
            _ => {}
        }
        let is_old = |one: &Sample| one.minute <= sample.minute - DAY;
        while self.samples.len() >= MOST || self.samples.front().is_some_and(is_old) {
            self.samples.pop_front();
        }
        self.samples.push_back(sample);
        true
    }

    fn plots(&self) -> Markup {
        html! {
            @if self.samples.is_empty() {
                p { "No plots yet: a sample is taken every minute while this window runs." }
            } @else {
                @for (at, series) in SERIES.iter().enumerate() { (self.plot(at, series)) }
                (self.table())
            }
        }
    }

    fn values(&self, at: usize) -> impl Iterator<Item = f64> {
        self.samples.iter().filter_map(move |sample| sample.values[at])
    }

    fn plot(&self, at: usize, series: &Series) -> Markup {
        let [wide, high] = SIZE;
        let last = self.samples.back().map_or(0, |sample| sample.minute);
        let top = ceiling(self.values(at).fold(series.least, f64::max));
        let x = |minute: i64| {
            let into = i32::try_from(minute - last + DAY - 1).unwrap_or_default().max(0);
            AROUND + f64::from(into) * (wide - 2.0 * AROUND) / 1_439.0
        };
        let y = |value: f64| AROUND + (1.0 - (value / top).clamp(0.0, 1.0)) * (high - 2.0 * AROUND);
        let id = format!("plot-{}", series.key);
        let most = self.values(at).fold(0.0, f64::max);
        html! {
            figure class="plot" {
                figcaption id=(id) {
                    strong { (series.title) } ", " (series.says) ": "
                    @if self.values(at).next().is_none() {
                        "nothing is known of it yet."
                    } @else {
                        @if let Some(now) = self.samples.back().and_then(|sample| sample.values[at]) {
                            "now " ((series.shown)(now)) ", "
                        }
                        "at most " ((series.shown)(most)) ". From " (clock(last + 1)) " the day before to " (clock(last))
                        " (UTC); the picture ends at " ((series.shown)(top)) "."
                    }
                }
                // Its text is the caption, so that it can be read at every size.
                svg viewBox=(format!("0 0 {wide} {high}")) width="100%" role="img" aria-labelledby=(id) {
                    @for part in [0.0, 0.5, 1.0] {
                        line x1="0" x2=(wide) y1=(y(part * top)) y2=(y(part * top)) stroke="currentColor" stroke-opacity="0.25" {}
                    }
                    @for segment in self.segments(at) {
                        @if let [(minute, value)] = segment[..] {
                            circle cx=(format!("{:.1}", x(minute))) cy=(format!("{:.1}", y(value))) r="2" fill="currentColor" {}
                        } @else {
                            polyline fill="none" stroke="currentColor" stroke-width="1.5" points=(points(&segment, &x, &y)) {}
                        }
                    }
                }
            }
        }
    }

    /// Returns the lines of a plot: samples that follow each other.
    fn segments(&self, at: usize) -> Vec<Vec<(i64, f64)>> {
        let mut all: Vec<Vec<(i64, f64)>> = Vec::new();
        let mut before = None;
        for sample in &self.samples {
            let follows = before.is_some_and(|before| sample.minute - before <= GAP);
            before = sample.values[at].map(|_| sample.minute);
            let Some(value) = sample.values[at] else { continue };
            match all.last_mut().filter(|_| follows) {
                Some(segment) => segment.push((sample.minute, value)),
                None => all.push(vec![(sample.minute, value)]),
            }
        }
        all
    }

    /// Shows one row an hour: as many as there are minutes would be of no use to anybody.
    fn table(&self) -> Markup {
        let mut hours = BTreeMap::<i64, Vec<&Sample>>::new();
        for sample in &self.samples {
            hours.entry(sample.minute.div_euclid(60)).or_default().push(sample);
        }
        html! {
            details {
                summary { "The plots as a table" }
                table {
                    caption { "The last day by hours, in UTC: means of messages and CPU, and the most memory" }
                    thead {
                        tr {
                            th scope="col" { "Hour" }
                            @for series in &SERIES { th scope="col" { (series.title) } }
                        }
                    }
                    tbody {
                        @for (hour, samples) in &hours {
                            tr {
                                th scope="row" { (clock(hour * 60)) }
                                @for (at, series) in SERIES.iter().enumerate() {
                                    td { (of_hour(samples, at).map_or_else(|| "–".to_owned(), series.shown)) }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// Returns the mean of the values of an hour; of memory, which is the last of [`SERIES`], the most.
fn of_hour(samples: &[&Sample], at: usize) -> Option<f64> {
    let values: Vec<f64> = samples.iter().filter_map(|sample| sample.values[at]).collect();
    let count = u32::try_from(values.len()).ok().filter(|count| *count > 0)?;
    if at == SERIES.len() - 1 {
        return Some(values.into_iter().fold(0.0, f64::max));
    }
    Some(values.iter().sum::<f64>() / f64::from(count))
}

fn points(segment: &[(i64, f64)], x: &impl Fn(i64) -> f64, y: &impl Fn(f64) -> f64) -> String {
    let all = segment.iter().map(|(minute, value)| format!("{:.1},{:.1}", x(*minute), y(*value)));
    all.collect::<Vec<_>>().join(" ")
}

fn counts(status: &Status) -> BTreeMap<(String, Option<String>), [u64; 2]> {
    let count = |plugin: &Plugin| {
        let record = plugin.record.as_ref()?;
        let key = (plugin.id.clone(), plugin.account.clone());
        Some((key, [record.handled.saturating_add(record.sent), record.cpu_ms]))
    };
    status.plugins.iter().filter_map(count).collect()
}

/// Returns the messages a minute and the percents of a core between two readings. `uptime` is that of the host at the
/// second one, in seconds. None: no time has passed.
fn rates(before: &Counted, now: &Counted, uptime: u64) -> Option<[f64; 2]> {
    let is_same = before.since == now.since;
    let passed = u64::try_from(now.at.checked_sub(before.at)?).ok()?;
    // Another host began to count at its start.
    let passed = if is_same { passed } else { passed.min(uptime.saturating_mul(1_000)) };
    if passed == 0 {
        return None;
    }
    let (mut messages, mut cpu) = (0_u64, 0_u64);
    for (key, [one, time]) in &now.counts {
        let [one_before, time_before] = before.counts.get(key).copied().filter(|_| is_same).unwrap_or_default();
        messages = messages.saturating_add(one.saturating_sub(one_before));
        cpu = cpu.saturating_add(time.saturating_sub(time_before));
    }
    let passed = float(passed);
    Some([float(messages) * 60_000.0 / passed, float(cpu) * 100.0 / passed])
}

/// Returns the next number that is 1, 2 or 5 times a power of ten, for the top of an axis.
fn ceiling(value: f64) -> f64 {
    if !value.is_finite() || value <= 0.0 {
        return 1.0;
    }
    let unit = 10_f64.powf(value.log10().floor());
    let round = [1.0, 2.0, 5.0].map(|times| times * unit).into_iter().find(|round| *round >= value);
    round.unwrap_or(10.0 * unit)
}

/// Writes a minute of the Unix clock as the time of its day.
fn clock(minute: i64) -> String {
    let minute = minute.rem_euclid(DAY);
    format!("{:02}:{:02}", minute / 60, minute % 60)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn status(since: &str, handled: u64, cpu_ms: u64) -> Status {
        let record = json!({
            "handled": handled, "sent": handled, "denials": 0, "lost": 0, "cpu_ms": cpu_ms, "withheld": {},
        });
        let plugin = json!({
            "id": "echo", "account": "main", "state": "running", "version": null, "digest": "", "source": "",
            "restarts": 0, "record": record,
        });
        let host = json!({ "version": "0.1.0", "pid": 1, "since": since, "uptime": 30, "memory": 32 << 20 });
        serde_json::from_value(json!({
            "running": true, "data": "data", "policy": "plugins.toml", "accounts": [], "plugins": [plugin], "host": host,
        }))
        .unwrap()
    }

    /// Returns a history of this many minutes, of which the first began at `start`.
    fn history(minutes: u64, start: i64) -> History {
        let mut history = History::default();
        for minute in 0..minutes {
            let at = start + i64::try_from(minute).unwrap() * MINUTE;
            history.take(at, Some(&status("a", 6 * minute, 300 * minute)));
        }
        history
    }

    #[test]
    fn without_samples_that_is_said() {
        let page = History::default().plots().into_string();
        assert!(page.contains("No plots yet") && !page.contains("<svg") && !page.contains("<table"), "{page}");
    }

    #[test]
    fn one_sample_is_a_point_of_memory_alone() {
        let page = history(1, 0).plots().into_string();
        assert_eq!(page.matches("<circle").count(), 1, "{page}");
        assert_eq!(page.matches("nothing is known of it yet").count(), 2, "{page}");
        assert!(page.contains("now 32.0 MiB, at most 32.0 MiB") && !page.contains("<polyline"), "{page}");
        assert_eq!(page.matches("<th scope=\"row\">").count(), 1, "{page}");
    }

    #[test]
    fn a_day_is_three_lines_and_a_row_for_each_hour() {
        let page = history(1_440, 0).plots().into_string();
        assert_eq!(page.matches("<polyline").count(), 3);
        assert_eq!(page.matches("<th scope=\"row\">").count(), 24);
        // Six handled and six sent a minute, and 300 ms of 60,000.
        assert!(page.contains("now 12.0, at most 12.0") && page.contains("now 0.5 %"), "{page}");
        assert!(page.contains("From 00:00 the day before to 23:59 (UTC)"), "{page}");
        assert!(page.len() < 128 << 10, "{} bytes", page.len());
        assert!(!page.contains("style=") && !page.contains("<script"), "nothing of a page is inline");
    }

    #[test]
    fn no_more_than_a_day_is_kept() {
        let history = history(3_000, 17);
        assert_eq!(history.samples.len(), MOST);
        assert_eq!(history.samples.front().unwrap().minute, 3_000 - DAY);
        let page = history.plots().into_string();
        assert_eq!(page.matches("<polyline").count(), 3);
        // After a gap of more than a day, all older samples are dropped as well.
        let mut history = history;
        history.take(MINUTE * 9_000, None);
        assert_eq!(history.samples.len(), 1);
    }

    #[test]
    fn where_no_host_ran_the_line_has_a_gap() {
        let mut history = history(10, 0);
        history.take(10 * MINUTE, None);
        history.take(11 * MINUTE, Some(&status("b", 8, 0)));
        history.take(12 * MINUTE, Some(&status("b", 9, 0)));
        assert_eq!(history.segments(2).iter().map(Vec::len).collect::<Vec<_>>(), [10, 2]);
        assert_eq!(history.segments(0).last().unwrap(), &[(12, 2.0)]);
    }

    #[test]
    fn a_host_that_was_started_anew_counts_from_its_start() {
        let mut history = history(2, 0);
        // It has run for 30 s, and is not compared with the one before.
        history.take(2 * MINUTE, Some(&status("b", 5, 300)));
        assert_eq!(history.samples.back().unwrap().values[..2], [Some(20.0), Some(1.0)]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_day_goes_on_after_the_program_was_started_again() {
        let folder = tempfile::tempdir().unwrap();
        let plots = Plots::default();
        plots.load(folder.path());
        let now = Timestamp::now().as_millisecond();
        // The first one is older than a day.
        for minutes in [1_500, 1_400, 600, 2, 1] {
            plots.take(now - minutes * MINUTE, Some(&status("a", 1, 1)));
        }
        let watched = watch(plots.clone(), folder.path().to_owned());
        assert!(tokio::time::timeout(Duration::from_secs(90), watched).await.is_err());
        let again = Plots::default();
        again.load(folder.path());
        assert_eq!(again.history().samples, plots.history().samples);
        let minutes: Vec<_> = again.history().samples.iter().map(|sample| now / MINUTE - sample.minute).collect();
        assert!(minutes.starts_with(&[1_400, 600, 2, 1]), "{minutes:?}");
        assert!(again.show().into_string().contains("at most 32.0 MiB"));
        // A broken file is no day, and the next minute writes another one.
        std::fs::write(folder.path().join("window/plots"), "{}").unwrap();
        let anew = Plots::default();
        anew.load(folder.path());
        assert!(anew.history().samples.is_empty());
        let watched = watch(anew, folder.path().to_owned());
        assert!(tokio::time::timeout(Duration::from_secs(30), watched).await.is_err());
        let last = Plots::default();
        last.load(folder.path());
        assert_eq!(last.history().samples.len(), 1);
    }

    #[test]
    fn a_clock_that_is_set_back_leaves_no_line_that_turns_back() {
        let mut history = history(10, 60 * MINUTE);
        history.take(5 * MINUTE, Some(&status("a", 0, 0)));
        history.take(5 * MINUTE + 1, Some(&status("a", 0, 0)));
        assert_eq!(history.samples.len(), 1);
        assert_eq!(rates(&counted(5), &counted(5), 1), None);
        assert_eq!(rates(&counted(5), &counted(4), 1), None);
    }

    fn counted(at: i64) -> Counted {
        Counted { at, since: "a".to_owned(), counts: BTreeMap::new() }
    }

    #[test]
    fn an_axis_ends_at_a_round_number() {
        let round = [0.3, 10.0, 12.0, 20.1, 51.0, 0.0, f64::INFINITY].map(|value| format!("{:.1}", ceiling(value)));
        assert_eq!(round, ["0.5", "10.0", "20.0", "50.0", "100.0", "1.0", "1.0"]);
    }
}
