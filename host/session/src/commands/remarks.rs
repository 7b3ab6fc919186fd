//! Remarks in the log about contacts who may not give a command since a plugin made them contacts, or members of a group.

use std::collections::BTreeSet;

use jid::BareJid;
use parlor_base::id::PluginId;

/// Maximum number of remarks that are remembered. Beyond it, all are forgotten, so that each may be made again.
const MAX_MADE: usize = 1_024;

/// The remarks that were made, by the plugin of the command and the contact. Each is made once, since people decide how often they
/// give a command.
#[derive(Debug, Default)]
pub(crate) struct Remarks {
    made: BTreeSet<(PluginId, BareJid)>,
}

impl Remarks {
    /// Says why a contact may not give a command of a plugin. The person learns only that it is refused.
    pub(super) fn keeps_out(&mut self, account: Option<&str>, kept_out: &(PluginId, BareJid), command: &str) {
        if self.is_new(kept_out) {
            let (plugin, jid) = kept_out;
            tracing::info!(
                account, %plugin, %jid, command,
                "a contact may not give a command, since a plugin made what would allow it: the contact, its subscription or its group; \
                 `parlor contacts` names the plugin, and the address in `allow` lets the person give it"
            );
        }
    }

    /// Returns whether a remark was not made yet, and notes that it is.
    fn is_new(&mut self, kept_out: &(PluginId, BareJid)) -> bool {
        if self.made.len() >= MAX_MADE {
            self.made.clear();
        }
        self.made.insert(kept_out.clone())
    }

    /// Returns whether a remark about commands of a plugin and a contact was made.
    #[cfg(test)]
    pub(crate) fn has(&self, plugin: &PluginId, jid: &BareJid) -> bool {
        self.made.contains(&(plugin.clone(), jid.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_remark_is_made_once_for_each_contact_and_plugin_and_few_are_remembered() {
        let mut remarks = Remarks::default();
        let dice: PluginId = "dice".parse().unwrap();
        let of = |number: usize| (dice.clone(), BareJid::new(&format!("n{number}@example.org")).unwrap());
        assert!(remarks.is_new(&of(0)) && !remarks.is_new(&of(0)));
        for number in 1..=MAX_MADE {
            assert!(remarks.is_new(&of(number)), "{number}");
        }
        assert_eq!(remarks.made.len(), 1);
    }
}
