//! The system calls of one echo, as strace counts them on all threads of a bot.

use anyhow::Result;
use parlor_tests::system_calls::count;
use xtask::Part;

use crate::bots::{Contestant, Programs, Side, Stage};
use crate::measure;
use crate::row::{Goal, Row, Unit};

/// The number of messages that are counted, one at a time.
const MESSAGES: u64 = 500;
/// The number of messages that are counted with many in flight.
const TOGETHER: u64 = 2_000;
/// The most system calls for one echo.
const MOST: f64 = 6.0;
/// How many kinds of calls get a row of their own.
const KINDS: usize = 6;

/// Counts for the host, the native bot and another revision on Prosody.
pub(crate) async fn rows(programs: &Programs) -> Result<Vec<Row>> {
    let stage = Stage::empty().await?;
    let (mut alone, mut together) = (Vec::new(), Vec::new());
    let before = programs.before.as_ref().map(|_| Contestant::Before);
    for contestant in [Contestant::Parlor, Contestant::Native].into_iter().chain(before) {
        let mut bot = stage.start(programs, Side::Prosody, contestant).await?;
        measure::warm_up(&mut bot).await?;
        let process = bot.process();
        let counted = count(process, async { measure::alone(&mut bot, MESSAGES).await.map(drop) }).await?;
        alone.push(each(&counted, MESSAGES));
        together.push(each(&count(process, measure::together(&mut bot, TOGETHER)).await?, TOGETHER));
    }
    let mut rows = part("", &alone);
    if let Some(all) = rows.first_mut() {
        *all = all.clone().goal(Goal::AtMost(MOST));
    }
    rows.extend(part("100 in flight: ", &together));
    Ok(rows)
}

/// Returns the rows of the host beside the native bot, and beside another revision if there is one.
fn part(when: &str, counts: &[Vec<(String, f64)>]) -> Vec<Row> {
    let [parlor, native, before @ ..] = counts else { return Vec::new() };
    let row = |what: String, amount| Row::alone(Part::SystemCalls, format!("{when}{what}"), amount, Unit::Calls);
    let mut rows = vec![row("all".to_owned(), total(parlor)), row("native: all".to_owned(), total(native))];
    let theirs = before.iter().map(|before| total(before));
    rows.extend(
        theirs.map(|theirs| row("all".to_owned(), total(parlor)).beside(Contestant::Before.to_string(), theirs)),
    );
    rows.extend(parlor.iter().take(KINDS).map(|(name, count)| row(name.clone(), *count)));
    rows
}

fn total(counts: &[(String, f64)]) -> f64 {
    counts.iter().map(|(_, count)| count).sum()
}

/// Returns how many calls of each kind one of so many messages takes.
#[expect(clippy::cast_precision_loss, reason = "small numbers")]
fn each(counts: &[(String, u64)], messages: u64) -> Vec<(String, f64)> {
    counts.iter().map(|(name, count)| (name.clone(), *count as f64 / messages as f64)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_revision_has_its_calls_beside_those_of_the_host() {
        let counts = [3.0, 4.0, 2.0].map(|count| vec![("writev".to_owned(), count), ("write".to_owned(), 1.0)]);
        let beside = |rows: &[Row]| rows.iter().find_map(|row| Some(row.beside.as_ref()?.ratio.to_bits()));
        assert_eq!(beside(&part("", &counts)), Some((4.0 / 3.0_f64).to_bits()));
        assert_eq!((beside(&part("", &counts[..2])), part("", &counts[..2]).len()), (None, 4));
    }
}
