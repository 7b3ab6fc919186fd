//! Chance: the machine's, or one that draws the same whenever an author's test is run.

use std::sync::{Mutex, PoisonError};

use rand::SeedableRng as _;
use rand::rngs::StdRng;

use crate::clock::Clock;

/// What every test begins with; transcripts of what was drawn hold for as long as it stays.
const SEED: u64 = 1;

/// Where an account's plugins have their random numbers from.
#[derive(Debug)]
pub struct Chance {
    /// Draws the same for each account that begins with it; none = the machine does.
    fixed: Option<Mutex<StdRng>>,
}

impl Chance {
    /// That of an account with this clock. Only where the clock is the runtime's, which is no house's, does it repeat itself.
    pub fn beside(clock: Clock) -> Self {
        let stands_still = matches!(clock, Clock::Runtime { .. });
        Self { fixed: stands_still.then(|| Mutex::new(StdRng::seed_from_u64(SEED))) }
    }

    /// One more generator, which draws what no other one does.
    pub fn generator(&self) -> StdRng {
        match &self.fixed {
            None => StdRng::from_rng(&mut rand::rng()),
            Some(fixed) => StdRng::from_rng(&mut *fixed.lock().unwrap_or_else(PoisonError::into_inner)),
        }
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use rand::RngExt as _;

    use super::*;

    fn drawn(chance: &Chance) -> [u128; 3] {
        [(); 3].map(|()| chance.generator().random())
    }

    #[tokio::test(start_paused = true)]
    async fn chance_repeats_itself_with_a_clock_of_a_runtime_and_for_another_account_alone() {
        let still = || Chance::beside(Clock::of_runtime(Timestamp::UNIX_EPOCH));
        assert_eq!(drawn(&still()), drawn(&still()));
        let one = still();
        let [first, second, third] = drawn(&one);
        assert!(first != second && second != third && first != third);
        assert_ne!(drawn(&one), [first, second, third]);
        let machine = || Chance::beside(Clock::Machine);
        assert_ne!(drawn(&machine()), drawn(&machine()));
    }
}
