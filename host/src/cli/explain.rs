//! `parlor explain`: what a plugin may do, and why something that it tried was denied.

use anyhow::bail;
use clap::Args;
use serde::Serialize;

use super::Ended;
use super::place::{self, Place};
use super::show::{Mark, Put as _, marked, print, print_json};
use crate::control::client::ClientError;
use crate::control::views::{Denied, Plugin};
use crate::harmless::harmless;
use crate::nearest::{nearest, suggestion};
use crate::permissions::{Grants, Permission, Scope, ScopeKind, table};
use crate::plugins::PluginId;
use crate::plugins::components::Components;
use crate::plugins::desk::Desk;
use crate::plugins::manifest::Manifest;
use crate::plugins::policy::Entry;
use crate::plugins::rights::{Right, rights, shown};
use crate::plugins::store;

/// What `parlor explain` takes.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  parlor explain echo                  all that echo may do, and what it was denied lately\n  parlor explain echo rooms.send       whether it may, and what would allow it\n  parlor explain echo message          whether it hears of that event\n\nExit codes: 0 explained, 1 failed, 2 wrong usage"
)]
pub struct ExplainArgs {
    /// The plugin.
    plugin: PluginId,
    /// A call, an event or a permission, such as `chats.send`, `message` or `messages.send`.
    call: Option<String>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    place: Place,
}

/// All that is said.
#[derive(Debug, Serialize)]
struct Explanation {
    plugin: PluginId,
    enabled: bool,
    /// Why its file could not be looked into.
    #[serde(skip_serializing_if = "Option::is_none")]
    trouble: Option<String>,
    /// Whether a host runs, which knows what was denied.
    running: bool,
    /// Where it is to run and does not.
    down: Vec<Down>,
    /// Each permission that it asks for or was granted, the most harmful first.
    permissions: Vec<Right>,
    #[serde(skip_serializing_if = "Option::is_none")]
    about: Option<About>,
    denied: Vec<Denied>,
}

/// That it does not run, although it is to.
#[derive(Debug, Serialize)]
struct Down {
    /// The account; none where the plugin may not run at all.
    account: Option<String>,
    state: String,
    reason: Option<String>,
}

impl From<&Plugin> for Down {
    fn from(plugin: &Plugin) -> Self {
        Self { account: plugin.account.clone(), state: plugin.state.clone(), reason: plugin.reason.clone() }
    }
}

/// What is said about one call, event or permission.
#[derive(Debug, Serialize)]
struct About {
    what: String,
    permission: Option<Permission>,
    allowed: bool,
    verdict: String,
}

impl ExplainArgs {
    /// Explains.
    pub fn run(&self) -> anyhow::Result<()> {
        let config = self.place.load()?;
        let entry = &Desk::new(&config).entry(&self.plugin)?;
        let (manifest, trouble) = match store::look(&self.plugin, entry, &Components::new(&config.data)) {
            Ok(examined) => (Some(examined.manifest), None),
            Err(unfit) => (None, Some(harmless(&unfit.to_string(), 4 << 10))),
        };
        let manifest = manifest.as_deref();
        let host = place::host(&config)?;
        let running = host.is_some();
        let (mut denied, mut down) = (Vec::new(), Vec::new());
        match host.map(|host| host.get::<Vec<Plugin>>(&format!("/v1/plugins/{}", self.plugin))) {
            Some(Ok(plugins)) => {
                down = plugins.iter().filter(|plugin| plugin.is_down()).map(Down::from).collect();
                denied = plugins.into_iter().flat_map(|plugin| plugin.denied).collect();
            }
            // What is in the policy and not in the house has denied nothing.
            Some(Err(ClientError::Refused(_))) | None => {}
            Some(Err(error)) => return Err(error.into()),
        }
        let about = self.call.as_deref().map(|what| about(&self.plugin, what, entry, manifest)).transpose()?;
        if let Some(permission) = about.as_ref().and_then(|about| about.permission) {
            denied.retain(|denied| denied.permission == permission.as_str());
        }
        let explanation = Explanation {
            plugin: self.plugin.clone(),
            enabled: entry.enabled,
            trouble,
            running,
            down,
            permissions: rights(&self.plugin, manifest, &entry.grants),
            about,
            denied,
        };
        if self.json { print_json(&explanation) } else { print(&show(&explanation, &entry.grants)) }
    }
}

/// What a word of the owner's means: a call, an event or a permission.
fn about(id: &PluginId, what: &str, entry: &Entry, manifest: Option<&Manifest>) -> anyhow::Result<About> {
    let permission = if let Ok(permission) = what.parse::<Permission>() {
        Some(permission)
    } else if let Some(call) = what.split_once('.').and_then(|(grouping, function)| table::call(grouping, function)) {
        call.permission
    } else if let Some(event) = table::event(what) {
        event.permission
    } else {
        let calls = table::CALLS.iter().map(|call| format!("{}.{}", call.grouping, call.function));
        let events = table::EVENTS.iter().map(|event| event.name.to_owned());
        let known: Vec<_> = calls.chain(events).chain(Permission::ALL.iter().map(ToString::to_string)).collect();
        let near = suggestion(nearest(what, known.iter().map(String::as_str)));
        let what: String = what.chars().take(64).collect();
        bail!(Ended::Usage(format!("{what:?} is no call, event or permission{near}")));
    };
    let Some(permission) = permission else {
        let verdict = "needs no permission: every plugin may".to_owned();
        return Ok(About { what: what.to_owned(), permission, allowed: true, verdict });
    };
    let asked = manifest.is_none_or(|manifest| manifest.permissions.contains_key(&permission));
    let (allowed, verdict) = match (asked, entry.grants.get(permission)) {
        (false, Some(_)) => (
            false,
            format!(
                "needs {permission}, which is granted, but {id} does not ask for it in its manifest, so it does not get it"
            ),
        ),
        (false, None) => (
            false,
            format!("needs {permission}, which {id} does not ask for in its manifest, so that no grant would help"),
        ),
        (true, Some(scope)) if scope.entries().is_empty() => (true, format!("needs {permission}, which is granted")),
        (true, Some(scope)) => {
            let scope = shown(&scope.entries()).join(", ");
            (true, format!("needs {permission}, which is granted for {scope}"))
        }
        (true, None) => {
            let right =
                rights(id, manifest, &Grants::default()).into_iter().find(|right| right.permission == permission);
            let remedy = right.map(|right| format!("; to allow it: {}", right.line)).unwrap_or_default();
            (false, format!("needs {permission}, which is not granted{remedy}"))
        }
    };
    Ok(About { what: what.to_owned(), permission: Some(permission), allowed, verdict })
}

/// Whether what was denied is granted by now, as far as that can be said without the contact list.
fn is_granted(denied: &Denied, grants: &Grants) -> bool {
    let Ok(permission) = denied.permission.parse::<Permission>() else { return false };
    let Some(granted) = grants.get(permission) else { return false };
    let kind = permission.scope_kind();
    match (kind, &denied.scope) {
        // The operator's own settings are denied by name, and no grant helps.
        (ScopeKind::None | ScopeKind::Quota, scope) => scope.is_none(),
        (ScopeKind::Stanzas, None) => true,
        (ScopeKind::Jids | ScopeKind::Rooms, None) => granted.covering(&Scope::whole(kind)).is_some(),
        (ScopeKind::Jids | ScopeKind::Rooms | ScopeKind::Stanzas, Some(scope)) => {
            Scope::parse(kind, &[scope]).is_ok_and(|wanted| granted.covering(&wanted).is_some())
        }
    }
}

fn show(explanation: &Explanation, grants: &Grants) -> String {
    let id = &explanation.plugin;
    let mut text = String::new();
    if !explanation.enabled {
        text.put(format_args!("{id} is disabled and does nothing\n"));
    }
    for down in &explanation.down {
        let place = down.account.as_ref().map(|account| format!(" on {account}")).unwrap_or_default();
        let reason = down.reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
        text.put(format_args!("{id} does not run{place}, it is {}{reason}\n", down.state));
    }
    if let Some(trouble) = &explanation.trouble {
        text.put(format_args!("what {id} asks for is not known: {trouble}\n"));
    }
    if let Some(about) = &explanation.about {
        let verdict = if about.allowed { "yes" } else { "no" };
        text.put(format_args!("{}: {verdict}, it {}\n", marked(&about.what, Mark::Bold), about.verdict));
    } else {
        let (may, may_not): (Vec<_>, Vec<_>) = explanation.permissions.iter().partition(|right| right.is_in_force());
        section(&mut text, &format!("{id} may"), &may);
        section(&mut text, &format!("{id} may not, although it asks or was granted"), &may_not);
        if explanation.permissions.is_empty() && explanation.trouble.is_none() {
            text.put(format_args!("{id} asks for nothing and may do nothing but what every plugin may\n"));
        }
    }
    if !explanation.denied.is_empty() {
        text.push_str("\ndenied lately:\n");
    }
    for denied in &explanation.denied {
        let scope = denied.scope.as_ref().map(|scope| format!(" for {scope}")).unwrap_or_default();
        let at = denied.at.split('.').next().unwrap_or_default();
        let remedy = if is_granted(denied, grants) {
            "it is granted now".to_owned()
        } else {
            format!("to allow it: {}", denied.hint)
        };
        text.put(format_args!("  {at}  {}{scope}\n      {remedy}\n", denied.permission));
    }
    if !explanation.running {
        text.push_str("\nthe host is stopped, so it cannot say what was denied\n");
    }
    text
}

fn section(text: &mut String, title: &str, rights: &[&Right]) {
    if rights.is_empty() {
        return;
    }
    text.put(format_args!("{}\n", marked(&format!("{title}:"), Mark::Bold)));
    for right in rights {
        text.push_str(&right_lines(right));
    }
}

/// A permission in words: its name and risk, what it covers, what it means, why it is asked for, what would grant it.
pub(super) fn right_lines(right: &Right) -> String {
    let risk = marked(&format!("{:6}", right.risk), Mark::of(right.permission.risk()));
    let mut text = format!("  {:17} {risk}  {}\n", right.permission, right.what);
    let scope =
        |entries: &[String]| if entries.is_empty() { String::new() } else { format!(" for {}", entries.join(", ")) };
    match (&right.granted, &right.asked) {
        (Some(entries), None) => {
            text.put(format_args!(
                "      granted{}, but it does not ask for it, so it does not get it\n",
                scope(entries)
            ));
        }
        (Some(entries), Some(_)) => text.put(format_args!("      granted{}\n", scope(entries))),
        (None, _) => {}
    }
    if let Some(asked) = &right.asked {
        let optional = if asked.optional { "if it may" } else { "necessarily" };
        text.put(format_args!("      asked {optional}{}: “{}”\n", scope(&asked.scope), asked.reason));
    }
    if right.granted.is_none() {
        text.put(format_args!("      to allow it: {}\n", right.line));
    }
    text
}
