//! The current time and random numbers. Free for every plugin: the standard library has neither where plugins run.
//!
//! Random numbers come from the machine (`wasi:random`) and differ at each start. Code that uses the crate `getrandom`,
//! as `rand` does with its default features, does not compile for plugins: that crate does not support them.
//!
//! ```no_run
//! # use parlor_sdk::prelude::*;
//! # fn example(message: &Message) -> Result<()> {
//! let age = now().duration_since(message.time()?);
//! let die = random() % 6 + 1;
//! # Ok(()) }
//! ```

use jiff::Timestamp;

/// Returns the current time.
#[cfg(target_arch = "wasm32")]
pub fn now() -> Timestamp {
    let now = crate::bindings::wasi::wasi::clocks::wall_clock::now();
    let (seconds, nanoseconds) = (i64::try_from(now.seconds), i32::try_from(now.nanoseconds));
    // No clock goes beyond the year 9999.
    Timestamp::new(seconds.unwrap_or(i64::MAX), nanoseconds.unwrap_or_default()).unwrap_or(Timestamp::MAX)
}

/// Returns the current time.
#[cfg(not(target_arch = "wasm32"))]
pub fn now() -> Timestamp {
    Timestamp::now()
}

/// An unpredictable number, for example as the seed of a generator: the crate `rand` (0.10), without its default
/// features, takes it in `SmallRng::seed_from_u64(random())`.
#[cfg(target_arch = "wasm32")]
pub fn random() -> u64 {
    crate::bindings::wasi::wasi::random::random::get_random_u64()
}

/// An unpredictable number, for example as the seed of a generator: the crate `rand` (0.10), without its default
/// features, takes it in `SmallRng::seed_from_u64(random())`.
#[cfg(not(target_arch = "wasm32"))]
pub fn random() -> u64 {
    use std::hash::{BuildHasher as _, RandomState};

    RandomState::new().hash_one(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_goes_on_and_chance_does_not_repeat_itself() {
        let then = now();
        assert!(now() >= then);
        assert_ne!((random(), random()), (random(), random()));
    }
}
