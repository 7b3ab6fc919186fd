//! A turn of a bot: messages one at a time, then many in flight.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use parlor_tests::usage;

use crate::bots::Bot;

/// The number of messages sent one at a time.
const ALONE: u64 = 500;
/// The number of messages sent with many in flight.
const TOGETHER: u64 = 2_000;
/// The number of messages in flight.
const IN_FLIGHT: u64 = 100;
/// The number of messages of each kind before measuring.
const WARM_UP: u64 = 500;

/// The measurements of one turn.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Round {
    /// The median answer time, one at a time.
    pub(crate) p50: Duration,
    /// The 99th percentile of the answer times, one at a time.
    pub(crate) p99: Duration,
    /// The CPU time of the bot's process for each message, one at a time.
    pub(crate) cpu_alone: Duration,
    /// The CPU time of the bot's process for each message, with many in flight.
    pub(crate) cpu_together: Duration,
    /// The resident memory of the bot's process afterwards, in KiB.
    pub(crate) resident_kib: u64,
}

impl Round {
    /// Measures one turn of a bot.
    pub(crate) async fn run(bot: &mut Bot) -> Result<Self> {
        let process = bot.process();
        let before = usage::cpu(process)?;
        let mut trips = alone(bot, ALONE).await?;
        let cpu_alone = each(usage::cpu(process)?.saturating_sub(before), ALONE);
        trips.sort_unstable();

        let before = usage::cpu(process)?;
        together(bot, TOGETHER).await?;
        let cpu_together = each(usage::cpu(process)?.saturating_sub(before), TOGETHER);
        let resident_kib = usage::resident_kib(process)?;
        Ok(Self { p50: share(&trips, 50), p99: share(&trips, 99), cpu_alone, cpu_together, resident_kib })
    }
}

/// Lets a bot answer until one-time work is done.
pub(crate) async fn warm_up(bot: &mut Bot) -> Result<()> {
    alone(bot, WARM_UP).await?;
    together(bot, WARM_UP).await
}

/// Sends this many messages, each after the answer to the one before. Returns how long each answer took.
pub(crate) async fn alone(bot: &mut Bot, count: u64) -> Result<Vec<Duration>> {
    let mut trips = Vec::new();
    for number in 0..count {
        let begin = Instant::now();
        bot.say(number).await?;
        let heard = bot.hear().await?;
        trips.push(begin.elapsed());
        ensure!(heard == number, "the answer to {number} was {heard}");
    }
    bot.forget();
    Ok(trips)
}

/// Sends messages with many in flight. Each must be answered once, in any order.
pub(crate) async fn together(bot: &mut Bot, count: u64) -> Result<()> {
    let mut open = HashSet::new();
    let mut said = 0;
    let mut heard = 0;
    while heard < count {
        while said < count && said - heard < IN_FLIGHT {
            bot.say(said).await?;
            open.insert(said);
            said += 1;
        }
        let number = bot.hear().await?;
        ensure!(open.remove(&number), "an answer that nobody waits for: {number}");
        heard += 1;
    }
    bot.forget();
    Ok(())
}

fn each(time: Duration, count: u64) -> Duration {
    time / u32::try_from(count).expect("a small number")
}

/// Returns the time within which this percentage arrived, from sorted times.
pub(crate) fn share(sorted: &[Duration], percent: usize) -> Duration {
    sorted[(sorted.len() * percent / 100).min(sorted.len() - 1)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_of_the_sorted_times() {
        let times: Vec<Duration> = (1..=100).map(Duration::from_millis).collect();
        assert_eq!(share(&times, 50), Duration::from_millis(51));
        assert_eq!(share(&times, 99), Duration::from_millis(100));
        assert_eq!(share(&times[..1], 99), Duration::from_millis(1));
    }
}
