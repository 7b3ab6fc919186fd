//! Random numbers: the machine's, or a sequence that is the same each time an author's test runs.

use std::sync::{Mutex, PoisonError};

use rand::SeedableRng as _;
use rand::rngs::StdRng;

use crate::clock::Clock;

/// The seed of every test. Transcripts of drawn numbers are valid only while it stays the same.
const SEED: u64 = 1;

/// The source of random numbers for an account's plugins.
#[derive(Debug)]
pub struct RandomSource {
    /// A generator that draws the same for each account that starts with it. None: the machine's randomness.
    fixed: Option<Mutex<StdRng>>,
}

impl RandomSource {
    /// Returns the source for an account with this clock. It repeats itself only with the runtime's clock, which no
    /// running host uses.
    pub fn beside(clock: Clock) -> Self {
        let stands_still = matches!(clock, Clock::Runtime { .. });
        Self { fixed: stands_still.then(|| Mutex::new(StdRng::seed_from_u64(SEED))) }
    }

    /// Returns a new generator, which draws other numbers than all previous ones.
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

    fn drawn(rng: &RandomSource) -> [u128; 3] {
        [(); 3].map(|()| rng.generator().random())
    }

    #[tokio::test(start_paused = true)]
    async fn chance_repeats_itself_with_a_clock_of_a_runtime_and_for_another_account_alone() {
        let still = || RandomSource::beside(Clock::of_runtime(Timestamp::UNIX_EPOCH));
        assert_eq!(drawn(&still()), drawn(&still()));
        let one = still();
        let [first, second, third] = drawn(&one);
        assert!(first != second && second != third && first != third);
        assert_ne!(drawn(&one), [first, second, third]);
        let machine = || RandomSource::beside(Clock::Machine);
        assert_ne!(drawn(&machine()), drawn(&machine()));
    }
}
