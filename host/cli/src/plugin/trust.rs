//! Consent to build a folder whose compiler runs outside of any sandbox.

use std::path::Path;

use anyhow::Context as _;
use parlor_authoring::build::{Consent, Outside};
use parlor_base::escape::EscapedPath as _;

use crate::Ended;
use crate::ask::Terminal;
use crate::target::say;

/// Asks once for each folder, on a terminal; without one, `--trust` is required.
pub(super) fn check(folder: &Path, is_trusted: bool, as_json: bool) -> anyhow::Result<Consent> {
    if is_trusted {
        return Ok(Consent::Given);
    }
    let outside = Outside::of(folder).with_context(|| format!("cannot look into {}", folder.escaped()))?;
    let Some(outside) = outside.filter(|outside| !outside.is_trusted()) else { return Ok(Consent::Remembered) };
    let what = format!("to build {} {}", folder.escaped(), outside.does());
    let Some(terminal) = Terminal::open_unless(as_json) else {
        return Err(Ended::Declined(format!("{what}; if you trust its author, give --trust to go on")).into());
    };
    if !terminal.agrees(&format!("{what}. Go on?"))? {
        return Err(Ended::Declined("nothing was built".to_owned()).into());
    }
    trust(&outside);
    Ok(Consent::Given)
}

/// Trusts a folder that this user has just created, unless it is inside one that another user may have created.
pub(super) fn made(folder: &Path) {
    if let Ok(Some(outside)) = Outside::of(folder)
        && !outside.is_within_another()
    {
        trust(&outside);
    }
}

fn trust(outside: &Outside) {
    if let Err(error) = outside.trust() {
        say(&format!("this will be asked again: it cannot be remembered ({error})"));
    }
}
