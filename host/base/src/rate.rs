//! A token bucket: a rate per second and a burst. Calls that wait for tokens get them in the order of the calls.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Counts what a plugin does against one of its rate limits. Only the plugin's own running code takes tokens. Clones
/// share the same tokens.
#[derive(Debug, Clone)]
pub struct Bucket {
    rate: f64,
    burst: f64,
    level: Arc<Mutex<Level>>,
}

#[derive(Debug)]
struct Level {
    /// The tokens that there were at a time; less than none if calls wait.
    tokens: (f64, Instant),
    /// The number of calls that wait.
    waiting: usize,
    /// The tokens of calls that were given up while others wait.
    given_up: f64,
}

impl Bucket {
    /// Creates a full bucket that gains `rate` tokens a second, up to `burst`. An amount larger than `burst` is never
    /// granted.
    pub fn new(rate: f64, burst: f64) -> Self {
        let level = Level { tokens: (burst, Instant::now()), waiting: 0, given_up: 0.0 };
        Self { rate: rate.max(0.001), burst, level: Arc::new(Mutex::new(level)) }
    }

    /// Returns this bucket with the tokens of another one; both share them from then on.
    #[must_use]
    pub fn after(self, other: &Self) -> Self {
        Self { level: Arc::clone(&other.level), ..self }
    }

    /// Returns its tokens at the time when they were counted last. `None`: a clone shares them, or a call waits.
    pub fn tokens(&self) -> Option<(f64, Instant)> {
        let level = self.level.lock().unwrap_or_else(PoisonError::into_inner);
        (Arc::strong_count(&self.level) == 1 && level.waiting == 0).then_some(level.tokens)
    }

    /// Returns a bucket of the same rate and burst with tokens of its own: as many as there were at a time.
    #[must_use]
    pub fn with_tokens(self, tokens: (f64, Instant)) -> Self {
        let level = Level { tokens, waiting: 0, given_up: 0.0 };
        Self { level: Arc::new(Mutex::new(level)), ..self }
    }

    /// Takes tokens. `Err` holds the time until there are enough; nothing was taken then.
    pub fn take(&self, amount: f64) -> Result<(), Duration> {
        self.take_at(amount, Instant::now())
    }

    /// Takes tokens, and waits until there are enough. Calls get theirs in the order in which they came: each takes its
    /// tokens at once, and the bucket owes them until it has filled. `Err` holds the time that this call would wait, if
    /// that is longer than `patience`, or if the amount is larger than the burst; nothing was taken then.
    ///
    /// Cancel-safe: a call that is dropped while it waits gives its tokens back, for calls that come once no other waits.
    pub async fn wait(&self, amount: f64, patience: Duration) -> Result<(), Duration> {
        let now = Instant::now();
        let wait = self.reserve(amount, patience, now)?;
        if !wait.is_zero() {
            let mut reserved = Reserved { bucket: self, amount };
            // Boxed: most calls do not wait, and a timer would make the futures of all of them larger.
            Box::pin(tokio::time::sleep_until(now + wait)).await;
            reserved.amount = 0.0;
        }
        Ok(())
    }

    /// Takes tokens for an amount that was already used and could not be known before. Later calls wait until they are
    /// made up for.
    pub fn owe(&self, amount: f64) {
        let now = Instant::now();
        let mut level = self.level.lock().unwrap_or_else(PoisonError::into_inner);
        level.tokens = (self.filled(level.tokens, now) - amount, now);
    }

    /// Ends the wait of a call that gives up this amount. Its turn stays unused while others wait: a plugin that gives up early
    /// turns for late ones would otherwise save them up, and send hundreds of stanzas at once.
    fn end_wait(&self, amount: f64) {
        let mut level = self.level.lock().unwrap_or_else(PoisonError::into_inner);
        level.waiting = level.waiting.saturating_sub(1);
        level.given_up += amount;
        if level.waiting == 0 {
            let now = Instant::now();
            let tokens = self.filled(level.tokens, now) + std::mem::take(&mut level.given_up);
            level.tokens = (tokens.min(self.burst), now);
        }
    }

    /// Returns how many tokens of the burst are used up.
    pub fn used(&self) -> f64 {
        let tokens = self.level.lock().unwrap_or_else(PoisonError::into_inner).tokens;
        self.burst - self.filled(tokens, Instant::now())
    }

    /// Returns the tokens that there are now, if there were `tokens` at `at`.
    fn filled(&self, (tokens, at): (f64, Instant), now: Instant) -> f64 {
        (tokens + now.saturating_duration_since(at).as_secs_f64() * self.rate).min(self.burst)
    }

    fn take_at(&self, amount: f64, now: Instant) -> Result<(), Duration> {
        let mut level = self.level.lock().unwrap_or_else(PoisonError::into_inner);
        let tokens = self.filled(level.tokens, now);
        if tokens >= amount {
            level.tokens = (tokens - amount, now);
            Ok(())
        } else {
            level.tokens = (tokens, now);
            // Rounding of fractions can leave a deficit so small that it takes no time. With a paused clock, a caller
            // that waited for zero time would retry for ever.
            Err(Duration::from_secs_f64((amount - tokens) / self.rate).max(Duration::from_nanos(1)))
        }
    }

    /// Takes tokens, also those that there will be within `patience`. Returns how long the caller has to wait for them.
    fn reserve(&self, amount: f64, patience: Duration, now: Instant) -> Result<Duration, Duration> {
        let mut level = self.level.lock().unwrap_or_else(PoisonError::into_inner);
        let tokens = self.filled(level.tokens, now);
        let wait = Duration::from_secs_f64(((amount - tokens) / self.rate).max(0.0));
        if amount > self.burst || wait > patience {
            return Err(wait);
        }
        level.tokens = (tokens - amount, now);
        level.waiting += usize::from(!wait.is_zero());
        Ok(wait)
    }
}

/// Tokens that were taken for a call that waits. When it is dropped, it gives back what it did not use.
struct Reserved<'a> {
    bucket: &'a Bucket,
    amount: f64,
}

impl Drop for Reserved<'_> {
    fn drop(&mut self) {
        self.bucket.end_wait(self.amount);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

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

    #[tokio::test(start_paused = true)]
    async fn a_bucket_goes_on_with_the_tokens_of_another_one_that_nobody_else_has() {
        let bucket = Bucket::new(10.0, 10.0);
        bucket.take(8.0).unwrap();
        let shared = bucket.clone();
        assert_eq!(bucket.tokens(), None, "a clone may take some at any time");
        drop(shared);
        let tokens = bucket.tokens().unwrap();
        tokio::time::advance(Duration::from_millis(100)).await;
        let next = Bucket::new(10.0, 10.0).with_tokens(tokens);
        assert!(next.take(3.5).is_err() && next.take(2.5).is_ok());
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

    /// Otherwise hundreds of calls that come at once starve one another.
    #[tokio::test(start_paused = true)]
    async fn calls_that_wait_get_their_tokens_in_the_order_in_which_they_came() {
        let (bucket, patience) = (Bucket::new(10.0, 50.0), Duration::from_secs(30));
        let (began, order) = (Instant::now(), Mutex::new(Vec::new()));
        let waits = (0..400).map(async |number| {
            let result = bucket.wait(1.0, patience).await;
            order.lock().unwrap().push((number, began.elapsed().as_secs()));
            result
        });
        let results = futures_util::future::join_all(waits).await;
        let refused: Vec<_> = results.iter().filter_map(|result| result.err()).collect();
        assert_eq!((refused.len(), refused[0].as_millis()), (50, 30_100), "fifty at once, and those of thirty seconds");
        let passed: Vec<_> =
            order.lock().unwrap().iter().filter(|(number, _)| results[*number].is_ok()).copied().collect();
        assert!(passed.is_sorted(), "{passed:?}");
        assert_eq!((passed.len(), passed[49].1, passed[349]), (350, 0, (349, 30)));
        // A call that comes once all are done waits for nobody else.
        assert_eq!(bucket.wait(1.0, patience).await, Ok(()));
        assert!(began.elapsed() < Duration::from_millis(30_200), "{:?}", began.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_that_is_given_up_leaves_its_tokens_to_later_ones() {
        let (bucket, patience) = (Bucket::new(1.0, 2.0), Duration::from_secs(30));
        bucket.take(2.0).unwrap();
        assert!(tokio::time::timeout(Duration::from_millis(500), bucket.wait(2.0, patience)).await.is_err());
        let began = Instant::now();
        assert_eq!(bucket.wait(1.0, patience).await, Ok(()));
        assert!(began.elapsed() < Duration::from_millis(600), "{:?}", began.elapsed());
        assert!(bucket.wait(3.0, patience).await.is_err(), "more than the burst");
    }

    /// Otherwise a plugin that keeps late turns alone, and gives up the others, sends far more than its burst at once.
    #[tokio::test(start_paused = true)]
    async fn turns_that_are_given_up_cannot_be_saved_up() {
        let (bucket, patience) = (Bucket::new(10.0, 5.0), Duration::from_secs(30));
        bucket.take(5.0).unwrap();
        let (began, mut kept) = (Instant::now(), Vec::new());
        for _ in 0..10 {
            let mut waiting = Vec::new();
            for _ in 0..300 {
                let mut call = Box::pin(bucket.wait(1.0, patience));
                if (&mut call).now_or_never().is_none() {
                    waiting.push(call);
                }
            }
            let early = waiting.len().saturating_sub(10);
            kept.extend(waiting.split_off(early));
        }
        assert!(kept.len() <= 15, "a burst, and those of a second, but {} have their turn", kept.len());
        assert!(futures_util::future::join_all(kept).await.iter().all(Result::is_ok));
        assert!(began.elapsed() > Duration::from_secs(29), "{:?}", began.elapsed());
        assert!(bucket.take(5.0).is_ok() && bucket.take(1.0).is_err(), "they are given back once nobody waits");
    }

    #[test]
    fn who_lacks_next_to_nothing_waits_all_the_same() {
        let bucket = Bucket::new(10.0, 50.0);
        let start = Instant::now();
        bucket.level.lock().unwrap().tokens = (1.0 - f64::EPSILON, start);
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
