//! Permission checks for the calls of an instance. Denials are counted, logged and kept for the owner.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use arc_swap::Guard;
use jid::BareJid;
use parlor_base::escape::shell_word;
use parlor_base::permission::{Permission, ScopeKind};
use parlor_session::Snapshot;
use parlor_session::permissions::{CallName, Decision, Granted, Target, Use};
use parlor_stanza::error::CallError;
use parlor_store::PluginData;

use super::Instance;
use crate::denials::Denial;
use crate::named::reached;

/// Checks that the permission of a call that waited for its turn was not taken back meanwhile. A narrower scope counts for later
/// calls.
pub(crate) fn still_has(instance: &Instance, granted: &Granted) -> Result<(), CallError> {
    match granted.call().and_then(|call| call.rule().permission) {
        Some(permission) if !instance.mailbox.grants().has(permission) => Err(instance.deny(permission, None)),
        Some(_) | None => Ok(()),
    }
}

/// Checks that the owner does not keep the plugin from an address that a call names beside its target: another room, or somebody
/// in it.
pub(crate) fn may_reach(instance: &Instance, permission: Permission, target: Target<'_>) -> Result<(), CallError> {
    if instance.mailbox.keeps_from(target) { Err(refused(instance, permission, target)) } else { Ok(()) }
}

impl Instance {
    /// Returns the proof that it may make this call for this target. Otherwise returns the denial, counted and logged.
    pub fn granted(&self, call: CallName, target: Target<'_>) -> Result<Granted, CallError> {
        let granted = self.mailbox.granted(call, target, &|jid| self.account.snapshot().is_contact(jid));
        self.counters.calls.fetch_add(1, Relaxed);
        let granted = granted.map_err(|permission| refused(self, permission, target))?;
        if let Some((kind, name)) = reached(call, target) {
            self.lasting.record.reached(kind, name, self.account.clock.now());
        }
        Ok(granted)
    }

    /// Returns the snapshot of the account, for a call that is allowed.
    pub fn snapshot(&self, _: &Granted) -> Guard<Arc<Snapshot>> {
        self.account.snapshot()
    }

    /// Returns the data of plugins, for a call that is allowed.
    pub fn data(&self, _: &Granted) -> &PluginData {
        self.account.data()
    }

    /// Checks that its grants cover this as well, which the call needs for some of its arguments. Otherwise returns the
    /// denial, counted and logged.
    pub fn require(&self, permission: Permission, target: Target<'_>) -> Result<(), CallError> {
        let is_contact = |jid: &BareJid| self.account.snapshot().is_contact(jid);
        let decision = self.mailbox.decide(Use::Call(permission, target), Some(&is_contact));
        if decision.is_some_and(Decision::allows) {
            return Ok(());
        }
        Err(refused(self, permission, target))
    }

    /// Returns the denial of a call, counted and logged.
    pub fn deny(&self, permission: Permission, scope: Option<String>) -> CallError {
        denied(self, self.manifest.denial(&self.plugin, permission, scope))
    }

    /// Returns a denial that no grant can lift, with a hint that can help.
    pub fn deny_for_good(&self, permission: Permission, scope: String, hint: String) -> CallError {
        denied(self, CallError::Denied { permission, scope: Some(scope), hint })
    }
}

/// Returns the denial of a call for this target. If the owner keeps the plugin to other rooms, no grant helps.
fn refused(instance: &Instance, permission: Permission, target: Target<'_>) -> CallError {
    let room = if instance.mailbox.keeps_from(target) { address_of(target) } else { None };
    match (room, named(target)) {
        (Some(room), Some(scope)) if instance.mailbox.grants().has(permission) => {
            let hint = format!("parlor plugin rooms {} --add {}", instance.plugin, shell_word(room.as_str()));
            instance.deny_for_good(permission, scope, hint)
        }
        // A permission without a scope is granted or not, whatever the target is.
        (_, scope) => instance.deny(permission, scope.filter(|_| permission.scope_kind() != ScopeKind::None)),
    }
}

/// Returns the bare address of a target, if it has one.
fn address_of(target: Target<'_>) -> Option<BareJid> {
    match target {
        Target::Room(room) | Target::Node { service: room, .. } => Some(room.clone()),
        Target::Jid(jid) | Target::Message { chat: jid, .. } | Target::Stanza { to: Some(jid), .. } => {
            Some(jid.to_bare())
        }
        _ => None,
    }
}

/// Returns the target of a denied call, as the owner reads it.
fn named(target: Target<'_>) -> Option<String> {
    match target {
        Target::None => None,
        Target::Jid(jid) | Target::Message { chat: jid, .. } => Some(jid.to_string()),
        Target::Room(room) => Some(room.to_string()),
        Target::Stanza { kind, to: None } => Some(kind.to_owned()),
        Target::Stanza { kind, to: Some(to) } => Some(format!("{kind}:{to}")),
        // The path may contain a secret.
        Target::Web { method, address } => Some(format!("{method} {}", address.origin())),
        Target::File { media_type, bytes } => Some(format!("{media_type} {bytes} B")),
        Target::Namespace(namespace) => Some(namespace.to_owned()),
        Target::Plugin(plugin) => Some(plugin.to_string()),
        Target::Node { service, node, is_own: false } => Some(format!("{service}/{node}")),
        Target::Node { node, is_own: true, .. } => Some(format!("own/{node}")),
    }
}

/// Counts and logs a denial, and keeps it for the owner.
fn denied(instance: &Instance, error: CallError) -> CallError {
    instance.counters.denials.fetch_add(1, Relaxed);
    // Before the line of the log: who reads it may ask at once.
    if let CallError::Denied { permission, scope, hint } = &error {
        instance.lasting.record.deny(Denial {
            at: instance.account.clock.now(),
            permission: *permission,
            scope: scope.clone(),
            hint: hint.clone(),
        });
    }
    if let CallError::Denied { permission, scope, hint } = &error
        && instance.may_log()
    {
        // Only a hint that names no command: a command could be long, and `parlor explain` shows it.
        let hopeless = hint.starts_with("no grant ").then_some(hint.as_str());
        tracing::info!(
            plugin = %instance.plugin, account = %instance.account.name, %permission, scope = scope.as_deref(), hopeless,
            "call denied"
        );
    }
    error
}
