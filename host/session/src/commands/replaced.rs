//! The commands of a plugin while another version of it starts beside it. Until that version has taken over, people give the commands
//! of the one that runs.

use parlor_base::id::{InstanceId, PluginId};
use parlor_stanza::error::CallError;

use super::{Commands, Displaced, Registered};

/// Returns a command as people give it now. An instance that waits to replace another one, or that was replaced, gets no events: the
/// command is then that of the instance before, or is not there.
pub(super) fn in_force<'c>(
    commands: &'c Commands,
    plugin: &PluginId,
    name: &str,
    found: &'c Registered,
) -> Option<&'c Registered> {
    if !found.mailbox.is_shadowed() {
        return Some(found);
    }
    let is_before = |one: &&Displaced| one.by == found.owner && one.plugin == *plugin && one.name == name;
    commands.displaced.iter().find(is_before).map(|one| &one.was)
}

/// Registers a command. If the instance that has this name waits to replace the one that adds it, it keeps the name, and gets the
/// command when it does. `is_successor`: the instance that adds it waits itself.
pub(super) fn put(commands: &mut Commands, plugin: PluginId, name: &str, new: Registered, is_successor: bool) {
    let (by, is_early) = (new.owner, new.is_early);
    let own = commands.all.entry(plugin.clone()).or_default();
    let waiting = own.get(name).filter(|one| one.is_early && one.owner != by && !is_early).map(|one| one.owner);
    if let Some(waiting) = waiting {
        commands.displaced.retain(|one| one.by != waiting || one.plugin != plugin || one.name != name);
        commands.displaced.push(Displaced { by: waiting, plugin, name: name.to_owned(), was: new });
        return;
    }
    if let Some(was) = own.insert(name.to_owned(), new)
        && (is_successor || is_early)
        && was.owner != by
    {
        commands.displaced.push(Displaced { by, plugin, name: name.to_owned(), was });
    }
}

/// Removes a command of an instance whose place another one has, or waits for: that one's command of this name stays. `None` if the
/// command is the instance's own, or is not there.
pub(super) fn remove_former(
    commands: &mut Commands,
    by: InstanceId,
    plugin: &PluginId,
    name: &str,
) -> Option<Result<(), CallError>> {
    let found = commands.all.get(plugin)?.get(name).filter(|one| one.owner != by)?;
    let (is_early, before) = (found.is_early, commands.displaced.len());
    commands.displaced.retain(|one| one.was.owner != by || one.plugin != *plugin || one.name != name);
    // Once it is replaced, it has none any more.
    let had_it = !is_early || commands.displaced.len() < before;
    Some(if had_it { Ok(()) } else { Err(CallError::NotFound(format!("the command {name} of {plugin}"))) })
}
