//! The system calls of one echo, as strace counts them on all threads of a bot.

use anyhow::Result;
use parlor_tests::system_calls::count;
use xtask::Part;

use crate::bots::{Contestant, Programs, Side, Stage};
use crate::measure;
use crate::row::{Goal, Row, Unit};

/// The number of messages that are counted.
const MESSAGES: u64 = 500;
/// The most system calls for one echo.
const MOST: f64 = 6.0;
/// How many kinds of calls get a row of their own.
const KINDS: usize = 6;
/// Counts for the host and the native bot on Prosody.
pub(crate) async fn rows(programs: &Programs) -> Result<Vec<Row>> {
    let stage = Stage::empty().await?;
    let mut counts = Vec::new();
    for contestant in [Contestant::Parlor, Contestant::Native] {
        let mut bot = stage.start(programs, Side::Prosody, contestant).await?;
        measure::warm_up(&mut bot).await?;
        let process = bot.process();
        counts.push(each(&count(process, async { measure::alone(&mut bot, MESSAGES).await.map(drop) }).await?));
    }
    let [parlor, native] = &counts[..] else { return Ok(Vec::new()) };
    let all = Row::alone(Part::SystemCalls, "all", total(parlor), Unit::Calls).goal(Goal::AtMost(MOST));
    let mut rows = vec![all, Row::alone(Part::SystemCalls, "native: all", total(native), Unit::Calls)];
    let kinds = parlor.iter().take(KINDS);
    rows.extend(kinds.map(|(name, count)| Row::alone(Part::SystemCalls, name, *count, Unit::Calls)));
    Ok(rows)
}

fn total(counts: &[(String, f64)]) -> f64 {
    counts.iter().map(|(_, count)| count).sum()
}

/// Returns how many calls of each kind one echo takes.
#[expect(clippy::cast_precision_loss, reason = "a small number")]
fn each(counts: &[(String, u64)]) -> Vec<(String, f64)> {
    counts.iter().map(|(name, count)| (name.clone(), *count as f64 / MESSAGES as f64)).collect()
}
