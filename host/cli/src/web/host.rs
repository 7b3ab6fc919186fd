//! The access of pages to the host and the files: it uses the same functions as the commands, on behalf of the session.

use std::sync::Arc;
use std::time::SystemTime;

use parlor::control::client::{self, Client, ClientError};
use parlor::control::views::Status;
use parlor_base::id::PluginId;
use parlor_config::Config;
use parlor_plugins::admin::{AdminError, PluginAdmin};
use parlor_store::By;
use parlor_window::{Problem, Reply, Session, Standing};

use super::install::Installs;
use super::links::Requests;
use super::owners::Owners;
use super::plots::Plots;
use super::starting::{PATIENCE, Starting};
use crate::target::{self, Target};
use crate::{Ended, tell};

/// The answer to a session of some accounts if there is none of the host.
const NO_ANSWER: &str = "the host does not answer this: try again in a moment, or ask the people who run it";

/// A request of a session.
pub(super) type Visit = parlor_window::Visit<Arc<Host>>;

/// The place of the host.
#[derive(Debug)]
pub(super) struct Host {
    target: Target,
    pub(super) plots: Plots,
    pub(super) installs: Installs,
    pub(super) links: Requests,
    pub(super) owners: Owners,
    starting: Starting,
}

impl Host {
    /// Returns the host that these flags name.
    pub(super) fn new(target: Target) -> Self {
        let (plots, installs, links, owners, starting) = Default::default();
        Self { target, plots, installs, links, owners, starting }
    }

    /// Reads the configuration as it is now.
    pub(super) fn config(&self) -> anyhow::Result<Config> {
        self.target.load_to_look()
    }

    /// Reads the configuration as it is now, and fails if it is broken. [`config`](Self::config) falls back then to that of the
    /// host that runs, without its accounts and most of its keys.
    pub(super) fn written_config(&self) -> anyhow::Result<Config> {
        self.target.load_as_it_is()
    }

    /// Returns which accounts somebody is an owner of, by the configuration as it could last be read.
    pub(super) fn standing(&self, jid: &str) -> Standing {
        self.owners.standing(jid, &self.target.config(), SystemTime::now(), || self.written_config())
    }

    /// Returns whether the log-in page has links sent, without reading the configuration for each one who asks.
    pub(super) fn sends_links(&self) -> bool {
        self.owners.sends_links(&self.target.config(), SystemTime::now(), || self.written_config())
    }

    /// Returns a text that changes when the contents of pages change; none while no host answers.
    pub(super) fn mark(&self) -> Option<String> {
        let config = self.config().ok()?;
        let client = client::find(&config.data, || {}).ok()??;
        let mut status: Status = client.get("/v1/status").ok()?;
        // These change all the time.
        status.host = None;
        for plugin in &mut status.plugins {
            plugin.usage = None;
            if let Some(record) = &mut plugin.record {
                record.cpu_ms = 0;
            }
        }
        let line = client.lines("/v1/logs?lines=1").ok()?.last().and_then(Result::ok).map(|line| line.number);
        serde_json::to_string(&(status, line)).ok()
    }
}

/// Returns who a change is recorded as.
pub(super) fn by(session: &Session) -> By {
    By::session(rustix::process::getuid().as_raw(), session.name.as_str(), session.jid.as_deref())
}

/// Returns the host that runs, which takes what the session asks for as asked by the session: it answers a session of some accounts
/// about these alone.
pub(super) fn running(config: &Config, session: &Session) -> anyhow::Result<Option<Client>> {
    let Session { name, jid, accounts, .. } = session;
    Ok(client::find(&config.data, || {})?.map(|client| client.by(name.as_str(), jid.as_deref(), accounts.as_ref())))
}

/// Refuses the files to a session of some accounts: they are those of the whole host. Such a session asks the host.
fn of_host(session: &Session) -> Result<(), Problem> {
    if !session.is_limited() {
        return Ok(());
    }
    let says =
        "this is about the whole host, and the session is limited to some accounts: ask the people who run the host";
    Err(Problem::forbidden(says))
}

/// Returns the problem of an error as a session of some accounts may see it. A refusal of the host is narrowed by the host;
/// every other error may be about files and accounts of others.
fn problem_for(session: &Session, error: &anyhow::Error) -> Problem {
    let whole = problem(error);
    if !session.is_limited() || matches!(error.downcast_ref(), Some(ClientError::Refused { .. })) {
        return whole;
    }
    tracing::warn!(session = %session.name, "a page for a session of some accounts failed: {error:#}");
    Problem::new(whole.status, NO_ANSWER)
}

/// Reads the configuration. A request that only reads waits for a host that starts no longer than a moment, and is made again.
fn ready(host: &Host, session: &Session, is_read: bool) -> Result<Config, Problem> {
    let config = host.config().map_err(|error| problem_for(session, &error))?;
    let starting = if is_read { host.starting.problem(&config.data, PATIENCE) } else { None };
    let Some(mut found) = starting else { return Ok(config) };
    if session.is_limited() {
        NO_ANSWER.clone_into(&mut found.sentence);
    }
    Err(found)
}

/// Asks the running host.
pub(super) async fn ask<T: Send + 'static>(
    visit: &Visit,
    ask: impl FnOnce(&Client) -> anyhow::Result<T> + Send + 'static,
) -> Result<T, Problem> {
    let is_read = visit.is_read();
    visit
        .blocking(move |host, session| {
            let config = ready(host, session, is_read)?;
            let asked = || {
                let client = running(&config, session)?.ok_or(Ended::NotRunning(config.data))?;
                ask(&client)
            };
            asked().map_err(|error| problem_for(session, &error))
        })
        .await
}

/// Asks the host for the names of the accounts, of a session of some accounts for those of its own.
pub(super) fn account_names(client: &Client) -> anyhow::Result<Vec<String>> {
    let status: Status = client.get("/v1/status")?;
    Ok(status.accounts.into_iter().map(|account| account.name).collect())
}

/// Returns the state of the host, or what the files say of it if none runs. A session of some accounts gets the host's answer about
/// these.
pub(super) async fn status(visit: &Visit) -> Result<Status, Problem> {
    if visit.is_limited() {
        return ask(visit, |client| Ok(client.get("/v1/status")?)).await;
    }
    look(visit, |config, _| crate::status::of(config)).await
}

/// Reads the files, and asks the host if one runs.
pub(super) async fn look<T: Send + 'static>(
    visit: &Visit,
    look: impl FnOnce(&Config, &PluginAdmin<'_>) -> anyhow::Result<T> + Send + 'static,
) -> Result<T, Problem> {
    let is_read = visit.is_read();
    visit
        .blocking(move |host, session| {
            of_host(session)?;
            let config = ready(host, session, is_read)?;
            look(&config, &PluginAdmin::new(&config)).map_err(|error| problem(&error))
        })
        .await
}

/// Changes the policy, as recorded for the session.
pub(super) async fn change<T: Send + 'static>(
    visit: &Visit,
    change: impl FnOnce(&Config, &PluginAdmin<'_>) -> anyhow::Result<T> + Send + 'static,
) -> Result<T, Problem> {
    of_host(&visit.session)?;
    let by = by(&visit.session);
    visit.blocking(move |host, _| change_as(host, by, change)).await
}

/// Changes the policy, as recorded for somebody. It may wait for files and downloads.
pub(super) fn change_as<T>(
    host: &Host,
    by: By,
    change: impl FnOnce(&Config, &PluginAdmin<'_>) -> anyhow::Result<T>,
) -> Result<T, Problem> {
    let changed = || {
        let config = host.target.load_to_write()?;
        target::is_policy_in_force(&config)?;
        change(&config, &target::admin_by(&config, by))
    };
    changed().map_err(|error| problem(&error))
}

/// Makes the host apply a change of the policy, and returns to a page that shows the outcome.
pub(super) async fn apply(visit: &Visit, id: &PluginId, back: &str, sentence: String) -> Result<Reply, Problem> {
    let told = id.clone();
    let result = look(visit, move |config, _| {
        let told = tell::tell(config, &[&told])?;
        Ok((told.line(), told.trouble()))
    });
    let says = match result.await {
        Ok((_, Some(trouble))) => format!("{sentence}, but {trouble}"),
        Ok((line, None)) => format!("{sentence}; {line}"),
        Err(problem) => format!("{sentence}, but the host was not told: {}", problem.sentence),
    };
    Ok(visit.done(back, says))
}

/// Returns the problem of an error.
pub(super) fn problem(error: &anyhow::Error) -> Problem {
    let status = match (error.downcast_ref::<ClientError>(), error.downcast_ref::<Ended>()) {
        (Some(ClientError::Refused { status, .. }), _) if (400..500).contains(status) => *status,
        (Some(_), _) | (_, Some(Ended::NotRunning(_) | Ended::Stopped(_))) => 503,
        (_, Some(Ended::Usage(_))) => 400,
        (_, Some(_)) => 409,
        (None, None) => match error.downcast_ref::<AdminError>() {
            Some(AdminError::Unknown { .. }) => 404,
            Some(_) => 409,
            None => 500,
        },
    };
    Problem::new(status, format!("{error:#}"))
}

/// Returns the plugin that a path names.
pub(super) fn plugin(visit: &Visit) -> Result<PluginId, Problem> {
    visit.part("id").parse().map_err(|error| Problem::missing(format!("{error}")))
}

#[cfg(test)]
mod tests {
    use parlor_window::Role;

    use super::*;

    #[tokio::test]
    async fn files_are_not_for_sessions_of_some_accounts() {
        let folder = tempfile::tempdir().unwrap();
        let host = super::super::tests::host_in(folder.path());
        let visit = Visit::for_test(Role::Owner, "/", host).limited_to(&["main"]);
        let looked = look(&visit, |config, _| Ok(config.path.clone())).await.unwrap_err();
        let changed = change(&visit, |config, _| Ok(config.path.clone())).await.unwrap_err();
        assert!(looked.status == 403 && changed == looked, "{changed:?}");
        // No host runs: nothing is said of its folder or its files.
        let path = folder.path().display().to_string();
        let absent = status(&visit).await.unwrap_err();
        assert!(absent.status == 503 && !absent.sentence.contains(&path), "{absent:?}");
        std::fs::write(folder.path().join("parlor.toml"), "[account.blue").unwrap();
        let broken = status(&visit).await.unwrap_err();
        assert!(!broken.sentence.contains("blue") && !broken.sentence.contains(&path), "{broken:?}");
    }

    #[test]
    fn what_the_host_refuses_is_said_with_its_status() {
        let of = |error: anyhow::Error| problem(&error).status;
        assert_eq!(of(ClientError::Refused { status: 404, reason: "no".to_owned() }.into()), 404);
        assert_eq!(of(ClientError::Hangs.into()), 503);
        assert_eq!(of(Ended::NotRunning("data".into()).into()), 503);
        assert_eq!(of(Ended::Declined("no".to_owned()).into()), 409);
        assert_eq!(of(Ended::Usage("no such call".to_owned()).into()), 400);
        assert_eq!(of(anyhow::anyhow!("x")), 500);
    }
}
