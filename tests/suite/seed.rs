//! Reproducible randomness.

use rand::SeedableRng as _;
use rand::rngs::StdRng;

/// Returns the random generator of a run; `PARLOR_SEED` reproduces an earlier run.
#[expect(clippy::print_stdout, reason = "shown with a test that fails")]
pub(crate) fn random() -> StdRng {
    let seed = std::env::var("PARLOR_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or_else(rand::random);
    println!("PARLOR_SEED={seed}");
    StdRng::seed_from_u64(seed)
}
