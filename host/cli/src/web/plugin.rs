//! The page of one plugin: its permissions, activity, settings, schedules, webhooks, versions and log.

use std::sync::Arc;

use maud::{Markup, html};
use parlor::control::audit::Audit;
use parlor::control::client::{Client, ClientError, escaped};
use parlor::control::views::{Line, Plugin, PluginSetting, Schedules, Webhooks};
use parlor_base::id::PluginId;
use parlor_config::Config;
use parlor_plugins::admin::PluginAdmin;
use parlor_plugins::components::KeptVersion;
use parlor_plugins::consent::Place;
use parlor_plugins::manifest::Manifest;
use parlor_plugins::policy::Entry;
use parlor_plugins::source::without_passwords;
use parlor_store::AuditQuery;
use parlor_window::{Page, Problem, Reply, Role, Routes, stranger};
use serde::de::DeserializeOwned;

use super::host::{self, Host, Visit, ask, look};
use super::parts::lacking;
use super::{changes, rights, runs, settings, versions};
use crate::places::places;
use crate::status;

/// How many lines of its log are shown.
const LINES: usize = 60;
/// The most accounts whose logs are shown to a session of some accounts.
const MOST_LOGS: usize = 4;

/// The last lines of a plugin on one account, or why the host does not tell them now.
type Log = Result<Vec<Line>, String>;

/// Adds the page.
pub(super) fn routes(routes: Routes<Arc<Host>>) -> Routes<Arc<Host>> {
    routes.page("/plugins/{id}", Role::Viewer.of_accounts(), page)
}

/// All that the page shows of a plugin.
struct Known {
    entry: Entry,
    /// The accounts on which it runs.
    places: Vec<Place>,
    /// The manifest, or why it cannot be read.
    manifest: Result<Arc<Manifest>, String>,
    versions: Vec<KeptVersion>,
    plugins: Vec<Plugin>,
    schedules: Vec<Schedules>,
    webhooks: Vec<Webhooks>,
    /// The counts of the audit, or why they cannot be read.
    audit: Result<Audit, String>,
    lines: Vec<Line>,
    /// Whether a host runs. Only a host knows the schedules, the webhooks and the log.
    is_running: bool,
    /// Why something of these is missing, since a node of the cluster did not answer.
    lacks: Option<String>,
}

async fn page(visit: Visit) -> Result<Reply, Problem> {
    let id = host::plugin(&visit)?;
    if visit.is_limited() {
        return of_accounts(&visit, &id).await;
    }
    let (asked, session) = (id.clone(), visit.session.clone());
    let known = look(&visit, move |config, admin| {
        let client = host::running(config, &session)?;
        known(config, admin, client.as_ref(), &asked)
    });
    let known = known.await?;
    Ok(Page::new(format!("Plugin {id}"), shown(&visit, &id, &known)).into())
}

/// Shows a plugin to a session of some accounts, as far as it runs on these. The files are those of the whole host, so all of it is
/// the host's answer.
async fn of_accounts(visit: &Visit, id: &PluginId) -> Result<Reply, Problem> {
    let asked = id.clone();
    let (plugins, schedules, webhooks, settings, logs, lacks) = ask(visit, move |client| {
        let plugins: Vec<Plugin> = client.get(&format!("/v1/plugins/{asked}"))?;
        let schedules: Vec<Schedules> = client.get(&format!("/v1/plugins/{asked}/schedules"))?;
        let webhooks: Vec<Webhooks> = client.get(&format!("/v1/plugins/{asked}/webhooks"))?;
        let logs = plugins.iter().filter_map(|plugin| plugin.account.clone());
        let logs =
            logs.take(MOST_LOGS).map(|account| log_of(client, &asked, account)).collect::<Result<Vec<_>, _>>()?;
        // The host tells no source of a plugin that runs on accounts of others as well.
        let is_own = plugins.iter().all(|plugin| !plugin.source.is_empty());
        let settings = if is_own { settings_of(client, &asked)? } else { None };
        Ok((plugins, schedules, webhooks, settings, logs, client.incomplete()))
    })
    .await?;
    let name = id.as_str();
    let content = html! {
        p {
            a href=(visit.link(&format!("/audit?plugin={name}"))) { "What became of it" }
            @if visit.may(Role::Operator.of_accounts()) {
                " · " a href=(visit.link(&format!("/plugins/{name}/storage"))) { "What it keeps" }
            }
        }
        (changes::own_buttons(visit, id, &plugins))
        div data-live id="state" {
            (lacking(lacks.as_deref()))
            (runs::states(&plugins))
            (runs::denied(&plugins))
        }
        h2 id="may" { "What it may do" }
        (granted(&plugins))
        h2 id="did" { "What it uses" }
        div data-live id="activity" { (runs::limits(&plugins)) }
        h2 id="schedules" { "Schedules" }
        (runs::schedules(visit, name, &schedules))
        h2 id="webhooks" { "Webhooks" }
        (runs::webhooks(visit, name, &webhooks))
        h2 id="settings" { "Settings" }
        @match settings {
            Some(settings) => { (settings::own(visit, id, settings)) }
            None => { p { "Not shown: it runs on accounts of others as well, or cannot be read." } }
        }
        h2 id="log" { "Log" }
        div data-live id="lines" {
            @if logs.is_empty() { p { "It runs on none of your accounts." } }
            @for (account, log) in &logs {
                @if logs.len() > 1 { h3 { "On " (stranger(account)) } }
                (shown_log(log))
            }
        }
        p.hint { "Its versions and its secrets are changed by sessions of the whole host: ask the people who run it." }
    };
    Ok(Page::new(format!("Plugin {id}"), content).into())
}

/// Reads the log of a plugin on one account.
fn log_of(client: &Client, id: &PluginId, account: String) -> Result<(String, Log), ClientError> {
    let target = format!("/v1/logs?plugin={id}&account={}&lines={LINES}", escaped(&account));
    let log = match client.lines(&target) {
        // The account may start, sleep, or go to another node of a cluster at this moment, or the host has too much to do.
        Err(ClientError::Refused { status: 404 | 409 | 503, reason }) => Err(reason),
        lines => Ok(lines?.collect::<Result<Vec<_>, _>>()?),
    };
    Ok((account, log))
}

/// Shows the log of a plugin on one account, or why it is not shown.
fn shown_log(log: &Log) -> Markup {
    html! {
        @match log {
            Ok(lines) => { (runs::log(lines)) }
            Err(reason) => { p.warning role="note" { "Not shown now: " (stranger(reason)) } }
        }
    }
}

/// Reads the settings of a plugin; none if the host refuses that.
fn settings_of(client: &Client, id: &PluginId) -> Result<Option<Vec<PluginSetting>>, ClientError> {
    match client.get(&format!("/v1/plugins/{id}/settings")) {
        Err(ClientError::Refused { status: 403 | 404 | 409, .. }) => Ok(None),
        got => Ok(Some(got?)),
    }
}

/// Shows the grants of a plugin, which the host tells of one that runs on no accounts of others.
fn granted(plugins: &[Plugin]) -> Markup {
    let grants = plugins.iter().find_map(|plugin| plugin.grants.as_ref());
    html! {
        @match grants {
            Some(grants) => {
                @if grants.is_empty() { p { "Nothing that needs a grant." } }
                ul {
                    @for (permission, scope) in grants {
                        li { code { (permission) } @if !scope.is_empty() { ": " (stranger(&scope.join(", "))) } }
                    }
                }
            }
            None => { p { "Not shown: it may not run, or runs on accounts of others as well." } }
        }
    }
}

fn known(config: &Config, admin: &PluginAdmin<'_>, client: Option<&Client>, id: &PluginId) -> anyhow::Result<Known> {
    let entry = admin.entry(id)?;
    let places = places(config, entry.accounts.as_deref());
    let manifest = admin.look(id, &entry).map(|examined| examined.manifest).map_err(|error| error.to_string());
    let versions = admin.components().versions(id)?;
    let Some(client) = client else {
        let mut plugins = status::of(config)?.plugins;
        plugins.retain(|plugin| plugin.id == id.as_str());
        let query = AuditQuery { plugin: Some(id.to_string()), ..AuditQuery::default() };
        let audit = crate::audit::read(config, None, &query).map_err(|error| format!("{error:#}"));
        let (schedules, webhooks, lines) = Default::default();
        return Ok(Known {
            entry,
            places,
            manifest,
            versions,
            plugins,
            schedules,
            webhooks,
            audit,
            lines,
            is_running: false,
            lacks: None,
        });
    };
    Ok(Known {
        entry,
        places,
        manifest,
        versions,
        plugins: of_host(client, &format!("/v1/plugins/{id}"))?,
        schedules: of_host(client, &format!("/v1/plugins/{id}/schedules"))?,
        webhooks: of_host(client, &format!("/v1/plugins/{id}/webhooks"))?,
        audit: Ok(of_host(client, &format!("/v1/audit?plugin={id}&lines=0"))?),
        lines: client.lines(&format!("/v1/logs?plugin={id}&lines={LINES}"))?.collect::<Result<_, _>>()?,
        is_running: true,
        lacks: client.incomplete(),
    })
}

/// Queries the host. A host that has not loaded the plugin yet has no data about it.
fn of_host<T: DeserializeOwned + Default>(client: &Client, target: &str) -> anyhow::Result<T> {
    match client.get(target) {
        Err(ClientError::Refused { status: 404, .. }) => Ok(T::default()),
        got => Ok(got?),
    }
}

fn shown(visit: &Visit, id: &PluginId, known: &Known) -> Markup {
    let Known { entry, places, manifest, versions, plugins, schedules, webhooks, audit, lines, is_running, lacks } =
        known;
    let by_host = |shown: &dyn Fn() -> Markup| {
        if *is_running {
            shown()
        } else {
            html! { p { "Not known: no host runs." } }
        }
    };
    let name = id.as_str();
    html! {
        @match manifest {
            Ok(manifest) => {
                p.lead { (stranger(&manifest.description)) }
                p.hint { "Version " (manifest.version.to_string()) " by " (stranger(&manifest.authors.join(", "))) ", from " (stranger(&without_passwords(&entry.source.to_string()))) }
            }
            Err(error) => { p.warning role="note" { (stranger(error)) } }
        }
        p {
            a href=(visit.link(&format!("/audit?plugin={name}"))) { "What became of it" } " · "
            a href=(visit.link(&format!("/explain?plugin={name}"))) { "May it do this?" }
            @if visit.may(Role::Operator) { " · " a href=(visit.link(&format!("/plugins/{name}/storage"))) { "What it keeps" } }
        }
        (changes::buttons(visit, id, entry))
        div data-live id="state" {
            (lacking(lacks.as_deref()))
            (runs::states(plugins))
            (runs::denied(plugins))
        }
        h2 id="may" { "What it may do" }
        (rights::shown(visit, id, manifest.as_ref().ok().map(Arc::as_ref), &entry.grants, places))
        h2 id="did" { "What it did" }
        div data-live id="activity" {
            @match audit {
                Ok(audit) => { (runs::activity(audit)) }
                Err(error) => { p.warning role="note" { (stranger(error)) } }
            }
            (runs::limits(plugins))
        }
        h2 id="settings" { "Settings" }
        @if let Ok(manifest) = manifest { (settings::shown(visit, id, &manifest.settings, &entry.settings, &entry.settings_in)) }
        h2 id="schedules" { "Schedules" }
        (by_host(&|| runs::schedules(visit, name, schedules)))
        h2 id="webhooks" { "Webhooks" }
        (by_host(&|| runs::webhooks(visit, name, webhooks)))
        h2 id="versions" { "Versions" }
        (versions::shown(visit, id, entry, versions))
        h2 id="log" { "Log" }
        div data-live id="lines" { (by_host(&|| runs::log(lines))) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_that_the_host_does_not_tell_now_has_the_reason_in_its_place() {
        let log = |log: Log| shown_log(&log).into_string();
        let refused = log(Err("too many requests: try again in a moment".to_owned()));
        assert!(refused.contains("Not shown now: ") && refused.contains("try again in a moment"), "{refused}");
        assert!(!refused.contains("<pre"), "{refused}");
        let told = log(Ok(Vec::new()));
        assert!(told.contains("<pre") && !told.contains("Not shown"), "{told}");
    }
}
