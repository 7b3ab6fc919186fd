//! Randomness that can be had again.

use rand::SeedableRng as _;
use rand::rngs::StdRng;

/// The randomness of a run; `PARLOR_SEED` gives the same one again.
#[expect(clippy::print_stdout, reason = "shown with a test that fails")]
pub(crate) fn random() -> StdRng {
    let seed = std::env::var("PARLOR_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or_else(rand::random);
    println!("PARLOR_SEED={seed}");
    StdRng::seed_from_u64(seed)
}
