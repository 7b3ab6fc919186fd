//! Why a plugin may do something, or hear of something, on each of its accounts: asked of what runs.

use std::sync::Arc;

use jid::{BareJid, Jid};

use super::{Host, Standing};
use crate::api::acts_for;
use crate::config::AccountName;
use crate::permissions::question::{Answer, Judge, Outcome, Question, Use};
use crate::permissions::{Decision, Permission, Scope};
use crate::plugins::manifest::Manifest;
use crate::plugins::{Instance, PluginId, State};

/// The answer to a question about one plugin on one account.
#[derive(Debug, Clone)]
pub struct Explained {
    /// The account; none where the plugin may run on none.
    pub account: Option<AccountName>,
    /// The answer.
    pub answer: Answer,
    /// The command or line that would allow it, if there is one.
    pub remedy: Option<String>,
}

/// Decides about an instance by its mailbox, as the router and its calls do.
struct Running<'a> {
    instance: &'a Instance,
    manifest: &'a Manifest,
}

impl Judge for Running<'_> {
    fn decide(&self, one: Use<'_>) -> Option<Decision> {
        let snapshot = self.instance.account.snapshot();
        let is_contact = |jid: &BareJid| snapshot.is_contact(jid);
        let known = snapshot.contacts.is_some();
        self.instance.mailbox.decide(one, known.then_some(&is_contact))
    }

    fn scope(&self, permission: Permission) -> Option<Scope> {
        self.instance.mailbox.grants().get(permission).cloned()
    }

    fn asks_for(&self, permission: Permission) -> bool {
        self.manifest.permissions.contains_key(&permission)
    }

    fn is_contact(&self, jid: &BareJid) -> Option<bool> {
        let snapshot = self.instance.account.snapshot();
        let counts = snapshot.is_contact(jid) && !self.instance.mailbox.added(jid);
        snapshot.contacts.is_some().then_some(counts)
    }

    fn is_room(&self, jid: &BareJid) -> bool {
        self.instance.account.snapshot().rooms.contains_key(jid)
    }

    fn added(&self, jid: &BareJid) -> bool {
        self.instance.mailbox.added(jid)
    }

    fn acts_for(&self, jid: &Jid, is_set: bool) -> bool {
        let account = &self.instance.account;
        [&account.own, &account.snapshot().jid.to_bare()].iter().any(|own| acts_for(own, jid, is_set))
    }

    fn listens(&self, event: &str) -> Option<bool> {
        Some(self.instance.account.router.listens(self.instance.id, event))
    }
}

impl Host {
    /// Whether the policy names a plugin of this id.
    pub async fn has_plugin(&self, id: &PluginId) -> bool {
        self.plugins.lock().await.contains_key(id)
    }

    /// Answers a question about a plugin, for each of its accounts. Empty: there is none of this id.
    pub async fn explain(&self, id: &PluginId, question: &Question) -> Vec<Explained> {
        let plugins = self.plugins.lock().await;
        let Some(plugin) = plugins.get(id) else { return Vec::new() };
        let no = |account: Option<&AccountName>, reason: String| Explained {
            account: account.cloned(),
            answer: Answer { outcome: Outcome::No, permission: question.permission(), reason, lacks: None },
            remedy: None,
        };
        match &plugin.standing {
            Standing::Refused(_) if !plugin.entry.enabled => vec![no(None, "the plugin is disabled".to_owned())],
            Standing::Refused(reason) => vec![no(None, format!("the plugin may not run: {reason}"))],
            Standing::Compiling { .. } => vec![no(None, "the plugin is still being compiled".to_owned())],
            Standing::Admitted { admitted, on, .. } => on
                .iter()
                .map(|(account, supervised)| {
                    let state = supervised.state().borrow().clone();
                    let instance = supervised.instance().filter(|_| matches!(state, State::Starting | State::Running));
                    let Some(instance) = instance else {
                        return no(Some(account), "the plugin does not run".to_owned());
                    };
                    explain(account, &instance, &admitted.manifest, question)
                })
                .collect(),
        }
    }
}

fn explain(account: &AccountName, instance: &Arc<Instance>, manifest: &Manifest, question: &Question) -> Explained {
    let answer = question.answer(&Running { instance, manifest });
    let remedy = answer.remedy(instance.plugin.as_str());
    Explained { account: Some(account.clone()), answer, remedy }
}
