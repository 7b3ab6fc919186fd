//! Agreement to build a folder that runs code of its author on this machine.

use std::path::Path;

use anyhow::Context as _;

use crate::cli::Ended;
use crate::cli::ask::Terminal;
use crate::cli::place::say;
use crate::harmless::EscapedPath as _;
use crate::plugins::build::RunsCode;

/// Asks once for each folder, on a terminal; without one, `--trust` has to say it.
pub(super) fn check(folder: &Path, is_trusted: bool, as_json: bool) -> anyhow::Result<()> {
    let code = RunsCode::of(folder).with_context(|| format!("cannot look into {}", folder.escaped()))?;
    let Some(code) = code.filter(|code| !is_trusted && !code.is_trusted()) else { return Ok(()) };
    let what = format!(
        "to build {} runs code of its author and of the crates that it names, as you, outside of any sandbox, with all that you \
         may read and do",
        folder.escaped()
    );
    let Some(terminal) = Terminal::open_unless(as_json) else {
        return Err(Ended::Declined(format!("{what}; if you trust them, give --trust to go on")).into());
    };
    if !terminal.agrees(&format!("{what}. Go on?"))? {
        return Err(Ended::Declined("nothing was built".to_owned()).into());
    }
    trust(&code);
    Ok(())
}

/// Trusts a folder that this user has just made, unless it lies within one that somebody else may have made.
pub(super) fn made(folder: &Path) {
    if let Ok(Some(code)) = RunsCode::of(folder)
        && !code.is_within_another()
    {
        trust(&code);
    }
}

fn trust(code: &RunsCode) {
    if let Err(error) = code.trust() {
        say(&format!("this will be asked again: it cannot be remembered ({error})"));
    }
}
