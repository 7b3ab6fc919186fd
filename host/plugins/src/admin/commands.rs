//! The owner's names for a plugin's commands.

use parlor_base::id::PluginId;
use parlor_config::Config;
use parlor_session::command_names::CommandName;

use super::recording::change_entry;
use super::{AdminError, PluginAdmin, known};
use crate::policy::Entry;
use crate::policy::edit::Change;

impl PluginAdmin<'_> {
    /// Names a plugin's command; `None` restores its own name. Returns whether that is a change.
    pub fn name_command(
        &self,
        id: &PluginId,
        command: &CommandName,
        name: Option<&CommandName>,
    ) -> Result<bool, AdminError> {
        let mut file = self.open()?;
        let entry = known(self, file.policy(), id)?;
        if entry.commands.get(command.as_str()) == name {
            return Ok(false);
        }
        if let Some(name) = name {
            let meets = |(other, one): (&PluginId, &Entry)| {
                let (taken, _) = one.commands.iter().find(|(_, taken)| *taken == name)?;
                (other != id && share_people(self.config, entry, one)).then(|| (other.clone(), taken.clone()))
            };
            if let Some((other, taken)) = file.policy().plugins.iter().find_map(meets) {
                return Err(AdminError::NameTaken { name: name.clone(), other, command: taken });
            }
        }
        let mut key = vec!["commands".to_owned(), command.to_string()];
        // With rules for the command, its name is one of them.
        if entry.commands.rules(command.as_str()).is_some() {
            key.push("name".to_owned());
        }
        let change = name.map_or(Change::Unset(key.clone()), |name| Change::Set(key, name.as_str().into()));
        change_entry(self, &mut file, id, &[change])?;
        Ok(true)
    }
}

/// Returns whether two plugins run on a common account and in common rooms, so that the same people can call both.
fn share_people(config: &Config, one: &Entry, other: &Entry) -> bool {
    if !one.grants.meets(&other.grants) {
        return false;
    }
    match (&one.accounts, &other.accounts) {
        (Some(one), Some(other)) => {
            // One that both name may be added later.
            let mut both = config.chosen(Some(one.as_slice()));
            one.iter().any(|name| other.contains(name)) || both.any(|on| config.is_chosen(&on.name, Some(other)))
        }
        _ => true,
    }
}
