//! WASI: what a language's runtime may ask for, and a plugin through it.

use anyhow::Result;

use crate::case::{Case, case};
use crate::trial::{Absent, Trial};

pub(crate) fn cases() -> Vec<Case> {
    vec![case!(47, "clocks as side channel", clocks)]
}

async fn clocks(_: &mut Trial) -> Result<String> {
    Err(Absent("the host promises nothing about side channels; see SECURITY.md").into())
}
