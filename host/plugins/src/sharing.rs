//! Checks whether the nodes of a cluster can share a policy.
//!
//! A shared policy is stored in NATS, and each node follows it. So it may contain no secret, and name no program for a node to run.

use std::collections::{BTreeMap, BTreeSet};

use parlor_base::id::{Digest, PluginId};
use serde_json::Value;

use crate::approved::{self, Unfit};
use crate::components::Components;
use crate::policy::{Entry, Policy, SettingValues};
use crate::secret::SecretSource;

/// The reason why a policy is not shared, or not taken from others.
#[derive(Debug, thiserror::Error)]
pub enum Unshareable {
    /// It has a node run a program.
    #[error(
        "the setting `{name}` of {id} comes from a command, and nodes run no program that others name: write {{ file = \"…\" }}, with a file that each node has, or `share_plugins = false` under [cluster]"
    )]
    Command {
        /// The plugin.
        id: PluginId,
        /// The setting.
        name: String,
    },
    /// It holds a secret itself, or what may be one.
    #[error(
        "the setting `{name}` of {id} may be a secret, and plugins.toml goes to all nodes by way of NATS: write {{ file = \"…\" }}, with a file that each node has"
    )]
    Secret {
        /// The plugin.
        id: PluginId,
        /// The setting.
        name: String,
    },
    /// The component of a plugin is not here, so other nodes could not get it.
    #[error("the component of {id} is not on this node, so others cannot get it from here: {cause}")]
    Component {
        /// The plugin.
        id: PluginId,
        /// The reason.
        cause: Box<Unfit>,
    },
}

/// Checks that a policy has no node run a program.
pub fn runs_no_program(policy: &Policy) -> Result<(), Unshareable> {
    for (id, entry) in &policy.plugins {
        if let Some((name, _)) = values(entry).find(|(_, value)| is_command(value)) {
            return Err(Unshareable::Command { id: id.clone(), name: name.clone() });
        }
    }
    Ok(())
}

/// Checks that a policy can go to other nodes: it holds no secret, and has no node run a program. It reads components, so
/// it takes a while.
pub fn check(policy: &Policy, components: &Components) -> Result<(), Unshareable> {
    runs_no_program(policy)?;
    for (id, entry) in &policy.plugins {
        // References say nothing. Any other value is shown only if the plugin says that it is no secret.
        let written: Vec<_> = values(entry).filter(|(_, value)| SecretSource::read(value).is_err()).collect();
        if written.is_empty() {
            continue;
        }
        let component = |cause| Unshareable::Component { id: id.clone(), cause: Box::new(cause) };
        let bytes = approved::approved(id, entry, components).map_err(component)?;
        let examined = components.examined(entry.digest, &bytes);
        let examined = examined.map_err(|cause| component(Unfit::component(&entry.source, cause)))?;
        let is_plain = |name: &str| examined.manifest.settings.get(name).is_some_and(|one| !one.kind.is_secret());
        if let Some((name, _)) = written.into_iter().find(|(name, _)| !is_plain(name)) {
            return Err(Unshareable::Secret { id: id.clone(), name: name.clone() });
        }
    }
    Ok(())
}

/// Returns the components that a policy names, each with the plugins that have it.
pub fn named(policy: &Policy) -> BTreeMap<Digest, Vec<&PluginId>> {
    let mut named = BTreeMap::<_, Vec<_>>::new();
    for (id, entry) in &policy.plugins {
        named.entry(entry.digest).or_default().push(id);
    }
    named
}

/// Returns the bytes of a component that a policy names, from the component store or from the source of one of these
/// plugins.
pub fn component(policy: &Policy, ids: &[&PluginId], components: &Components) -> Result<Vec<u8>, Unshareable> {
    let mut failed = None;
    for id in ids {
        let Some(entry) = policy.plugins.get(*id) else { continue };
        match approved::approved(id, entry, components) {
            Ok(bytes) => return Ok(bytes),
            Err(cause) => failed = Some(Unshareable::Component { id: PluginId::clone(id), cause: Box::new(cause) }),
        }
    }
    failed.map_or(Ok(Vec::new()), Err)
}

/// Returns the components that a policy names and that are not here.
pub fn lacking(policy: &Policy, components: &Components) -> BTreeSet<Digest> {
    let named = named(policy).into_iter();
    named.filter(|(_, ids)| component(policy, ids, components).is_err()).map(|(digest, _)| digest).collect()
}

/// Returns all values of an entry, with their names.
fn values(entry: &Entry) -> impl Iterator<Item = (&String, &Value)> {
    let in_rooms = entry.settings_in.0.values();
    std::iter::once(&entry.settings).chain(in_rooms).flat_map(|SettingValues(values)| values)
}

fn is_command(value: &Value) -> bool {
    // The former secret is read, too.
    SecretSource::all_of(value).any(|source| matches!(source, SecretSource::Command(_)))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::component::tests::plugin_with;

    const MANIFEST: &str = "[plugin]\nname = \"echo\"\nversion = \"0.1.0\"\napi = \"0.1.0\"\ndescription = \"Says it\"\n\
        [settings.greeting]\ntype = \"string\"\ndescription = \"d\"\n\
        [settings.token]\ntype = \"secret\"\ndescription = \"d\"\n";

    fn policy(digest: &Digest, settings: &str) -> Policy {
        let text = format!("[plugin.echo]\nsource = \"gone.wasm\"\ndigest = \"{digest}\"\n{settings}\n");
        Policy::parse(&text, Path::new("/nowhere")).unwrap()
    }

    #[test]
    fn a_policy_with_a_secret_or_a_command_is_not_shared() {
        let folder = tempfile::tempdir().unwrap();
        let (components, bytes) = (Components::new(folder.path()), plugin_with(MANIFEST));
        components.keep(&bytes).unwrap();
        let checked = |settings: &str| {
            check(&policy(&Digest::of(&bytes), settings), &components).map_err(|error| error.to_string())
        };
        assert_eq!(checked("[plugin.echo.settings]\ngreeting = \"Hi\"\ntoken = { file = \"token\" }"), Ok(()));
        let in_room = "[plugin.echo.settings_in.\"a@muc.example.org\"]\n";
        for (table, value, reason) in [
            ("[plugin.echo.settings]\n", "token = \"s3cr3t-canary\"", "`token` of echo may be a secret"),
            (in_room, "token = \"s3cr3t-canary\"", "`token` of echo may be a secret"),
            ("[plugin.echo.settings]\n", "tokne = \"s3cr3t-canary\"", "`tokne` of echo may be a secret"),
            ("[plugin.echo.settings]\n", "token = { command = \"pass canary\" }", "comes from a command"),
            (in_room, "token = { command = \"pass canary\" }", "comes from a command"),
            (
                "[plugin.echo.settings]\n",
                "token = { file = \"token\", former = { command = \"pass canary\", until = \"2099-01-01T00:00:00Z\" } }",
                "comes from a command",
            ),
        ] {
            let error = checked(&format!("{table}{value}")).unwrap_err();
            assert!(error.contains(reason) && !error.contains("canary"), "{value}: {error}");
        }
        // Whether a value is a secret is unknown without the component.
        let unknown = policy(&Digest::of(b"unknown"), "[plugin.echo.settings]\ngreeting = \"Hi\"");
        assert!(matches!(check(&unknown, &components), Err(Unshareable::Component { .. })));
    }

    #[test]
    fn components_that_are_not_here_are_lacking() {
        let folder = tempfile::tempdir().unwrap();
        let components = Components::new(folder.path());
        let (one, two) = (Digest::of(b"one"), Digest::of(b"two"));
        let text = ["one", "twin", "two"].map(|id| {
            let digest = if id == "two" { two } else { one };
            format!("[plugin.{id}]\nsource = \"{id}.wasm\"\ndigest = \"{digest}\"\n")
        });
        let policy = Policy::parse(&text.concat(), folder.path()).unwrap();
        assert_eq!(lacking(&policy, &components), BTreeSet::from([one, two]));
        components.keep(b"two").unwrap();
        // One of two plugins with the same component has its file.
        std::fs::write(folder.path().join("twin.wasm"), b"one").unwrap();
        assert_eq!(lacking(&policy, &components), BTreeSet::new());
        let found = component(&policy, &named(&policy)[&one], &components).unwrap();
        assert_eq!(found, b"one");
    }
}
