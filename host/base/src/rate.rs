//! A token bucket: a rate per second and a burst.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Counts what a plugin does against one of its rate limits. Only the plugin's own running code takes tokens. Clones
/// share the same tokens.
#[derive(Debug, Clone)]
pub struct Bucket {
    rate: f64,
    burst: f64,
    level: Arc<Mutex<(f64, Instant)>>,
}

impl Bucket {
    /// Creates a full bucket that gains `rate` tokens a second, up to `burst`. An amount larger than `burst` is never
    /// granted.
    pub fn new(rate: f64, burst: f64) -> Self {
        Self { rate: rate.max(0.001), burst, level: Arc::new(Mutex::new((burst, Instant::now()))) }
    }

    /// Returns this bucket with the tokens of another one; both share them from then on.
    #[must_use]
    pub fn after(self, other: &Self) -> Self {
        Self { level: Arc::clone(&other.level), ..self }
    }

    /// Takes tokens. `Err` holds the time until there are enough; nothing was taken then.
    pub fn take(&self, amount: f64) -> Result<(), Duration> {
        self.take_at(amount, Instant::now())
    }

    /// Takes tokens for an amount that was already used and could not be known before. Later calls wait until they are
    /// made up for.
    pub fn owe(&self, amount: f64) {
        let now = Instant::now();
        let mut level = self.level.lock().unwrap_or_else(PoisonError::into_inner);
        *level = (self.filled(*level, now) - amount, now);
    }

    /// Returns how many tokens of the burst are used up.
    pub fn used(&self) -> f64 {
        let level = *self.level.lock().unwrap_or_else(PoisonError::into_inner);
        self.burst - self.filled(level, Instant::now())
    }

    /// Returns the tokens that there are now, if there were `tokens` at `at`.
    fn filled(&self, (tokens, at): (f64, Instant), now: Instant) -> f64 {
        (tokens + now.saturating_duration_since(at).as_secs_f64() * self.rate).min(self.burst)
    }

    fn take_at(&self, amount: f64, now: Instant) -> Result<(), Duration> {
        let mut level = self.level.lock().unwrap_or_else(PoisonError::into_inner);
        let tokens = self.filled(*level, now);
        if tokens >= amount {
            *level = (tokens - amount, now);
            Ok(())
        } else {
            *level = (tokens, now);
            // Rounding of fractions can leave a deficit so small that it takes no time. With a paused clock, a caller
            // that waited for zero time would retry for ever.
            Err(Duration::from_secs_f64((amount - tokens) / self.rate).max(Duration::from_nanos(1)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_passes_and_then_the_rate_counts() {
        let bucket = Bucket::new(10.0, 3.0);
        let start = Instant::now();
        assert_eq!((0..5).filter(|_| bucket.take_at(1.0, start).is_ok()).count(), 3);
        let wait = bucket.take_at(1.0, start).unwrap_err();
        assert!(wait > Duration::from_millis(90) && wait <= Duration::from_millis(100), "{wait:?}");
        assert!(bucket.take_at(1.0, start + Duration::from_millis(100)).is_ok());
        assert!(bucket.take_at(1.0, start + Duration::from_millis(100)).is_err());
    }

    #[test]
    fn what_is_large_takes_more() {
        let bucket = Bucket::new(10.0, 10.0);
        let start = Instant::now();
        assert!(bucket.take_at(8.0, start).is_ok() && bucket.take_at(2.0, start).is_ok());
        let wait = bucket.take_at(5.0, start).unwrap_err();
        assert!(wait > Duration::from_millis(490) && wait <= Duration::from_millis(500), "{wait:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_used_before_it_was_counted_is_waited_for() {
        let bucket = Bucket::new(10.0, 10.0);
        bucket.owe(25.0);
        assert!(bucket.take(1.0).unwrap_err() > Duration::from_millis(1_590));
        tokio::time::advance(Duration::from_millis(1_610)).await;
        assert!(bucket.take(1.0).is_ok() && bucket.take(1.0).is_err());
    }

    #[test]
    fn who_lacks_next_to_nothing_waits_all_the_same() {
        let bucket = Bucket::new(10.0, 50.0);
        let start = Instant::now();
        *bucket.level.lock().unwrap() = (1.0 - f64::EPSILON, start);
        assert_eq!(bucket.take_at(1.0, start), Err(Duration::from_nanos(1)));
        assert_eq!(bucket.take_at(1.0, start + Duration::from_millis(1)), Ok(()));
    }

    #[test]
    fn none_a_second_are_none() {
        let bucket = Bucket::new(0.0, 0.0);
        assert!(bucket.take_at(1.0, Instant::now() + Duration::from_hours(24)).is_err());
    }

    #[test]
    fn waiting_long_gives_no_more_than_the_burst() {
        let bucket = Bucket::new(10.0, 2.0);
        let later = Instant::now() + Duration::from_hours(1);
        assert_eq!((0..9).filter(|_| bucket.take_at(1.0, later).is_ok()).count(), 2);
    }
}
