//! The commands of a plugin while another version of it starts beside it. Until that version has taken over, people give the commands
//! of the one that runs.

use parlor_base::id::PluginId;

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
