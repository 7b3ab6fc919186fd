//! The page of a whole run, `docs/reference/performance.md`, with plots of the cost of more plugins and accounts.

use std::fmt::Write as _;
use std::path::PathBuf;

use anyhow::{Context as _, Result, anyhow};
use parlor_tests::docs;
use plotters::chart::ChartBuilder;
use plotters::coord::combinators::IntoLogRange as _;
use plotters::drawing::IntoDrawingArea as _;
use plotters::prelude::SVGBackend;
use plotters::series::LineSeries;
use plotters::style::{BLUE, WHITE};
use xtask::Part;
use xtask::rows::{self, PAGE, PageRow};

use crate::row::{Beside, Row};

/// The width and height of a plot, in pixels.
const SIZE: (u32, u32) = (640, 320);

/// A plot: its file next to the page, its title, and its axes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Plot {
    /// The CPU time of a message over the number of plugins that may not hear it.
    Cpu,
    /// The memory of a host over the number of its plugins.
    Plugins,
    /// The memory of a host over the number of its accounts.
    Accounts,
}

impl Plot {
    const ALL: [Self; 3] = [Self::Cpu, Self::Plugins, Self::Accounts];

    fn file(self) -> &'static str {
        match self {
            Self::Cpu => "performance-cpu.svg",
            Self::Plugins => "performance-plugins.svg",
            Self::Accounts => "performance-accounts.svg",
        }
    }

    fn title(self) -> &'static str {
        match self {
            Self::Cpu => "CPU time of a message that one plugin may hear",
            Self::Plugins => "Resident memory of a host by plugins",
            Self::Accounts => "Resident memory of a host by accounts",
        }
    }

    fn axes(self) -> (&'static str, &'static str) {
        match self {
            Self::Cpu => ("plugins", "µs"),
            Self::Plugins => ("plugins", "MiB"),
            Self::Accounts => ("accounts", "MiB"),
        }
    }
}

/// Writes the page and its plots, which parts could not be measured, and by which command all was made. Beside the values, it has
/// those of the page that it replaces. Returns the page's path.
pub(crate) fn write(rows: &[Row], missing: &[Part], command: &str) -> Result<PathBuf> {
    let (path, previous) = (docs::folder().join(PAGE), rows::page(&docs::folder()));
    let save = |path: &PathBuf, text: String| {
        std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
    };
    for plot in with_points(rows) {
        save(&path.with_file_name(plot.file()), drawn(plot, rows)?)?;
    }
    let day = jiff::Timestamp::now().strftime("%Y-%m-%d").to_string();
    save(&path, page(rows, missing, command, &day, &machine(), &previous))?;
    Ok(path)
}

/// Describes the machine: processor, cores, kernel.
fn machine() -> String {
    let read = |path| std::fs::read_to_string(path).unwrap_or_default();
    let info = read("/proc/cpuinfo");
    let model = info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let kernel = read("/proc/sys/kernel/osrelease");
    let version = kernel.trim().split('-').next().unwrap_or_default();
    format!("{cores} cores of {}, Linux {version}", model.map_or("an unknown processor", |(_, model)| model.trim()))
}

fn page(rows: &[Row], missing: &[Part], command: &str, day: &str, machine: &str, previous: &str) -> String {
    let before = run_of(previous).map(|run| format!("The column `before` has the whole run before it: {run}. "));
    let (before, before_rows) = (before.unwrap_or_default(), PageRow::all(previous));
    let mut text = format!(
        "<!-- Made by `{command}` on {day}; a change here is lost. -->\n\n\
         # What parlor costs\n\n\
         Measured on {day} on {machine}, all in one run. {before}Compare the columns: on another machine all figures are others. \
         A ratio is the median of those of neighbouring turns. `{command}` measures this and writes this page.\n"
    );
    // Writing to a string cannot fail, here and below.
    if !missing.is_empty() {
        let names: Vec<_> = missing.iter().map(|part| part.title()).collect();
        let _ = write!(text, "\nNot measured, because of an error: {}.\n", names.join("; "));
    }
    for rows in rows.chunk_by(|one, next| one.part == next.part) {
        let _ = write!(text, "\n## {}\n\n", rows[0].part.heading());
        text.push_str("| what | measured | beside | ratio | before | goal | |\n|---|---|---|---|---|---|---|\n");
        for row in rows {
            let (beside, ratio) = match &row.beside {
                Some(Beside { whose, amount, ratio }) => {
                    (format!("{whose}: {}", row.value.of_same_unit(*amount)), format!("{ratio:.2}"))
                }
                None => Default::default(),
            };
            let verdict = match row.is_reached() {
                Some(true) => "reached",
                Some(false) => "missed",
                None => "",
            };
            let (what, value, goal) = (&row.what, row.value, row.goal_text());
            let before = value_before(row, &before_rows);
            let _ = writeln!(text, "| {what} | {value} | {beside} | {ratio} | {before} | {goal} | {verdict} |");
        }
        for plot in with_points(rows) {
            let _ = write!(text, "\n![{}]({})\n", plot.title(), plot.file());
        }
        let is_missed = rows.iter().any(|row| row.is_reached() == Some(false));
        if let Some(decision) = decision(rows[0].part).filter(|_| is_missed) {
            // No link: plugins' folders have this page without the decisions.
            let _ = write!(
                text,
                "\nWhere this cost comes from, and what was tried: `docs/decisions/{decision}` of the repository.\n"
            );
        }
    }
    text
}

/// Returns by which command, when and where a page was measured; `None` if there is no page.
fn run_of(page: &str) -> Option<String> {
    let (command, _) = page.strip_prefix("<!-- Made by `")?.split_once('`')?;
    let (_, rest) = page.split_once("\nMeasured on ")?;
    let (when, _) = rest.split_once(", all in one run")?;
    Some(format!("`{command}` on {when}"))
}

/// Returns the value of a row in the run before, and its ratio if it has one; empty if it was not measured.
fn value_before(row: &Row, before: &[PageRow<'_>]) -> String {
    let whose = row.beside.as_ref().map_or("", |beside| beside.whose.as_str());
    match before.iter().find(|one| (one.part, one.what, one.whose) == (row.part, row.what.as_str(), whose)) {
        Some(PageRow { measured, ratio: "", .. }) => (*measured).to_owned(),
        Some(PageRow { measured, ratio, .. }) => format!("{measured}, {ratio}×"),
        None => String::new(),
    }
}

/// Returns the page that says where a part's cost comes from, what was tried, and what it would take to reach its goals.
fn decision(part: Part) -> Option<&'static str> {
    match part {
        Part::Echo => Some("cost-of-a-message.md"),
        Part::Instances | Part::Parked => Some("memory-of-a-plugin.md"),
        Part::Accounts => Some("memory-of-an-account.md"),
        _ => None,
    }
}

/// Returns the plots that these rows have points of.
fn with_points(rows: &[Row]) -> impl Iterator<Item = Plot> {
    Plot::ALL.into_iter().filter(|plot| rows.iter().any(|row| row.point_of(*plot).is_some()))
}

/// Draws a plot as SVG.
fn drawn(plot: Plot, rows: &[Row]) -> Result<String> {
    let points: Vec<_> = rows.iter().filter_map(|row| row.point_of(plot)).collect();
    let most = |values: &dyn Fn(&(f64, f64)) -> f64| points.iter().map(values).fold(1.0, f64::max);
    let (right, top) = (most(&|point| point.0), most(&|point| point.1));
    let (across, up) = plot.axes();
    let mut text = String::new();
    let draw = |text| -> Result<(), plotters::drawing::DrawingAreaErrorKind<_>> {
        let area = SVGBackend::with_string(text, SIZE).into_drawing_area();
        area.fill(&WHITE)?;
        let mut chart = ChartBuilder::on(&area)
            .caption(plot.title(), ("sans-serif", 16))
            .margin(12)
            .x_label_area_size(36)
            .y_label_area_size(56)
            .build_cartesian_2d((1.0..right * 1.1).log_scale(), 0.0..top * 1.1)?;
        chart.configure_mesh().x_desc(across).y_desc(up).draw()?;
        chart.draw_series(LineSeries::new(points.iter().copied(), &BLUE).point_size(3))?;
        area.present()
    };
    draw(&mut text).map_err(|error| anyhow!("cannot draw {}: {error}", plot.file()))?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::row::{Goal, Unit};

    fn rows() -> [Row; 2] {
        let row = |count: u32, micros: f64| {
            let what = format!("CPU a message, {count} plugins");
            let row = Row::alone(Part::Scopes, what, micros, Unit::Micros).at(Plot::Cpu, count);
            row.in_ratio("one plugin", 30.0, micros / 30.0).goal(Goal::AtMost(1.1))
        };
        [row(10, 30.0), row(1_000, 60.0)]
    }

    #[test]
    fn the_page_has_every_row_and_the_plots_that_have_points() {
        let page = page(&rows(), &[Part::Storage], "cargo xtask bench", "2026-01-02", "2 cores of one kind", "");
        for part in [
            "Measured on 2026-01-02 on 2 cores of one kind",
            "| CPU a message, 10 plugins | 30.0 µs | one plugin: 30.0 µs | 1.00 |  | at most 1.10× | reached |",
            "| CPU a message, 1000 plugins | 60.0 µs | one plugin: 30.0 µs | 2.00 |  | at most 1.10× | missed |",
            "(performance-cpu.svg)",
            "\nNot measured, because of an error: what a plugin stores, on disk when it is told so.\n",
        ] {
            assert!(page.contains(part), "{part}: {page}");
        }
        assert!(!page.contains("performance-accounts.svg") && !page.contains("The column `before`"), "{page}");
    }

    #[test]
    fn the_page_has_the_values_of_the_run_before_and_not_of_older_ones() {
        let alone = |mib: f64| Row::alone(Part::Echo, "memory with one plugin, Prosody", mib, Unit::Mib);
        let made = |rows: &[Row], command: &str, day: &str, previous: &str| {
            page(rows, &[], command, day, "2 cores of one kind", previous)
        };
        let first = made(&[alone(40.0)], "cargo xtask bench", "2026-01-01", "");
        let [ten, many] = rows();
        let second = made(&[alone(30.0), ten], "cargo xtask bench --by-profile", "2026-01-02", &first);
        let third = made(&[alone(20.0), rows()[0].clone(), many], "cargo xtask bench", "2026-01-03", &second);
        for part in [
            "\nMeasured on 2026-01-03 on 2 cores of one kind, all in one run. The column `before` has the whole run before it: \
             `cargo xtask bench --by-profile` on 2026-01-02 on 2 cores of one kind. Compare the columns",
            "| memory with one plugin, Prosody | 20.0 MiB |  |  | 30.0 MiB |  |  |",
            "| CPU a message, 10 plugins | 30.0 µs | one plugin: 30.0 µs | 1.00 | 30.0 µs, 1.00× | at most 1.10× | reached |",
            "| CPU a message, 1000 plugins | 60.0 µs | one plugin: 30.0 µs | 2.00 |  | at most 1.10× | missed |",
        ] {
            assert!(third.contains(part), "{part}: {third}");
        }
        assert!(!third.contains("40.0 MiB") && !third.contains("2026-01-01"), "{third}");
    }

    #[test]
    fn the_page_that_is_there_can_be_read_again() {
        let page = rows::page(&docs::folder());
        assert!(run_of(&page).is_some_and(|run| run.starts_with("`cargo xtask bench")), "{page}");
        let read = PageRow::all(&page);
        // A row that no part has would be lost.
        assert_eq!(
            read.len(),
            page.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| what |")).count()
        );
        assert!(read.len() > 50 && read.iter().all(|row| !row.measured.is_empty()));
    }

    #[test]
    fn a_part_that_misses_a_goal_names_the_page_about_its_cost() {
        let named = |part: Part, micros: f64| {
            let row = Row::alone(part, "a row", micros, Unit::Micros).goal(Goal::AtMost(50.0));
            let page = page(&[row], &[], "cargo xtask bench", "2026-01-02", "2 cores of one kind", "");
            page.split_once("`docs/decisions/").map(|(_, rest)| rest.split('`').next().unwrap_or_default().to_owned())
        };
        assert_eq!(named(Part::Echo, 60.0).as_deref(), Some("cost-of-a-message.md"));
        assert_eq!(named(Part::Echo, 40.0), None, "all goals are reached");
        assert_eq!(named(Part::Archive, 60.0), None, "there is no such page");
        for part in [Part::Echo, Part::Instances, Part::Parked] {
            let file = docs::folder().join("decisions").join(named(part, 60.0).unwrap());
            assert!(file.is_file(), "{}", file.display());
        }
    }

    #[test]
    fn a_plot_draws_a_line_through_its_points() {
        let svg = drawn(Plot::Cpu, &rows()).unwrap();
        assert!(svg.starts_with("<svg") && svg.contains("<polyline") && svg.contains(Plot::Cpu.title()), "{svg}");
        assert_eq!(svg.matches("<circle").count(), 2, "{svg}");
    }
}
