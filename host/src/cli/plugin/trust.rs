//! Agreement to build a folder that runs code of its author on this machine.

use std::path::Path;

use anyhow::Context as _;

use crate::cli::Ended;
use crate::cli::ask::Terminal;
use crate::cli::place::say;
use crate::harmless::EscapedPath as _;
use crate::plugins::build::Hooks;

/// Asks once for each folder, on a terminal; without one, `--trust` has to say it.
pub(super) fn check(folder: &Path, is_trusted: bool, as_json: bool) -> anyhow::Result<()> {
    let hooks = Hooks::of(folder).with_context(|| format!("cannot look into {}", folder.escaped()))?;
    let Some(hooks) = hooks.filter(|hooks| !is_trusted && !hooks.are_trusted()) else { return Ok(()) };
    let files = hooks.files.iter().map(|file| file.escaped().to_string()).collect::<Vec<_>>().join(", ");
    let what = format!(
        "to build {} runs {files} as you, outside of any sandbox, with all that you may read and do",
        folder.escaped()
    );
    let Some(terminal) = Terminal::open_unless(as_json) else {
        return Err(Ended::Declined(format!("{what}; read that first, and give --trust to go on")).into());
    };
    if !terminal.agrees(&format!("{what}. Go on?"))? {
        return Err(Ended::Declined("nothing was built".to_owned()).into());
    }
    if let Err(error) = hooks.trust() {
        say(&format!("this will be asked again: it cannot be remembered ({error})"));
    }
    Ok(())
}
