//! The requests of the control socket, and their handlers.

mod cluster;
mod data;
mod keys;
mod settings;
mod webhooks;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use hyper::{Method, StatusCode};
use parlor_base::escape::escape_untrusted;
use parlor_base::id::PluginId;
use parlor_base::nearest::nearest;
use parlor_config::AccountName;
use parlor_runtime::account::Shared;
use parlor_runtime::supervisor::Supervised;
use parlor_runtime::webhooks::Webhooks;
use parlor_session::permissions::question::Question;
use parlor_stanza::types::DeviceTrust;
use parlor_store::By;
use tokio::io::AsyncRead;
use tokio::sync::{Semaphore, oneshot};

use super::audit;
use super::follow::{self, Follower};
use super::handle::{HostHandle, Order, ordered};
use super::http::{self, Answer, JSON, LINES, json};
use super::lines::{LEVELS, Wanted, rank};
use super::links;
use super::people;
use super::reach;
use super::refusal::Refusal;
use super::request::{Request, plugin};
use super::rooms;
use super::show;
use super::switching;
use super::views::Failure;
use crate::host::{Host, actions, wake_named};

/// How long to wait for a change before the response shows an intermediate state.
const SETTLING: Duration = Duration::from_mins(1);
/// The default number of log lines.
const USUAL_LINES: usize = 100;
/// The number of requests to webhooks that are shown.
const SHOWN_REQUESTS: u32 = 20;
/// The most of a refusal's reason that is shown, in bytes.
const LONGEST_REASON: usize = 1 << 10;

/// The parts of the host that requests need.
#[derive(Clone)]
pub(super) struct Routes {
    pub(super) handle: HostHandle,
    /// The places of those that follow the log.
    pub(super) followers: Arc<Semaphore>,
}

/// Returns why there is no answer: the path is for another method, or there is no such path.
fn no_route(path: &[&str]) -> Refusal {
    match path {
        ["v1", "status" | "audit" | "cluster" | "logs" | "schedules" | "rooms" | "contacts" | "keys"]
        | ["v1", "rooms", "show"]
        | ["v1", "accounts", _, "keys"]
        | ["v1", "plugins", _]
        | ["v1", "plugins", _, "explain" | "webhooks" | "schedules" | "data" | "settings"]
        | ["v1", "plugins", _, "data", "show"] => Refusal::Method(Method::GET),
        ["v1", "reload" | "configure" | "say"]
        | ["v1", "rooms", "join" | "leave"]
        | ["v1", "contacts", "accept" | "deny"]
        | ["v1", "cluster", "drain"]
        | ["v1", "web", "link"]
        | ["v1", "plugins", _, "restart" | "enable" | "disable"]
        | ["v1", "accounts", _, "keys", "trust" | "distrust" | "reset" | "verify" | "answer"]
        | ["v1", "plugins", _, "webhooks", "replay" | "drop" | "rotate"]
        | ["v1", "plugins", _, "schedules", "pause" | "resume"]
        | ["v1", "plugins", _, "data", "import" | "forget"] => Refusal::Method(Method::POST),
        _ => Refusal::ControlPath,
    }
}

/// Returns the account that a request is about. The audit and the log need no account that runs.
fn account_of(request: &Request) -> Option<&str> {
    let path: Vec<&str> = request.path.iter().map(String::as_str).collect();
    match path[..] {
        ["v1", "audit" | "logs"] => None,
        ["v1", "accounts", name, ..] => Some(name),
        _ => request.value("account"),
    }
}

/// Returns what a plugin has on each of its accounts, or on this one.
fn on_accounts<T>(
    all: Option<Vec<(AccountName, T)>>,
    id: &PluginId,
    only: Option<&str>,
) -> Result<Vec<(AccountName, T)>, Refusal> {
    let mut all = all.ok_or_else(|| Refusal::NoPlugin(id.clone()))?;
    all.retain(|(account, _)| only.is_none_or(|only| account.to_string() == only));
    Ok(all)
}

impl Routes {
    /// Answers a request of this user to this host. A change is in the audit before it is begun. `client` is read by a response
    /// that ends when the client disconnects.
    pub(super) async fn answer(
        &self,
        request: Request,
        client: impl AsyncRead + Unpin + Send + 'static,
        peer: u32,
    ) -> Result<Answer, Refusal> {
        if request.value("at").is_some_and(|at| at != ".") {
            return Err(cluster::no_cluster(&self.handle.host));
        }
        if let Some(name) = account_of(&request) {
            wake_named(&self.handle.host, name).await;
        }
        let is_of_some = {
            let config = self.handle.host.config();
            request.by.as_ref().is_some_and(|session| reach::is_of_some(session, |jid| config.is_owned_by(jid)))
        };
        let by = audit::user(&request, peer).of_some(is_of_some);
        self.answered(request, client, by).await
    }

    async fn answered(
        &self,
        request: Request,
        client: impl AsyncRead + Unpin + Send + 'static,
        by: By,
    ) -> Result<Answer, Refusal> {
        let path: Vec<&str> = request.path.iter().map(String::as_str).collect();
        match (&request.method, &path[..]) {
            (&Method::GET, ["v1", "status"]) => self.status(&request).await,
            (&Method::GET, ["v1", "audit"]) => json(&audit::read(&self.handle.host, &request, &self.followers).await?),
            (&Method::GET, ["v1", "logs"]) => self.logs(&request, client),
            (&Method::GET, ["v1", "plugins", id]) => self.plugin(&plugin(id)?).await,
            (&Method::GET, ["v1", "plugins", id, "explain"]) => self.explain(&plugin(id)?, &request).await,
            (&Method::GET, ["v1", "plugins", id, "webhooks"]) => self.webhooks(&plugin(id)?, &request).await,
            (&Method::POST, ["v1", "plugins", id, "webhooks", what @ ("replay" | "drop")]) => {
                let id = plugin(id)?;
                let of = self.webhooks_of(&id, request.value("account")).await?;
                webhooks::change(&self.handle.host, (&id, of), what, &request, &by).await?;
                self.webhooks(&id, &request).await
            }
            (&Method::POST, ["v1", "plugins", id, "webhooks", "rotate"]) => {
                self.rotate(&plugin(id)?, &request, &by).await
            }
            (&Method::GET, ["v1", "schedules"]) => self.schedules(None, &request).await,
            (&Method::GET, ["v1", "plugins", id, "schedules"]) => self.schedules(Some(&plugin(id)?), &request).await,
            (&Method::POST, ["v1", "plugins", id, "schedules", step @ ("pause" | "resume")]) => {
                self.pause(&plugin(id)?, &request, *step == "pause", &by).await
            }
            (&Method::GET, ["v1", "plugins", id, "data"]) => {
                data::list(&self.handle.host, &plugin(id)?, &request).await
            }
            (&Method::GET, ["v1", "plugins", id, "data", "show"]) => {
                data::show(&self.handle.host, &plugin(id)?, &request).await
            }
            (&Method::POST, ["v1", "plugins", id, "data", what @ ("import" | "forget")]) => {
                data::change(&self.handle.host, &plugin(id)?, what, &request, &by).await
            }
            (&Method::GET, ["v1", "rooms"]) => json(&rooms::list(&self.handle.host, &request).await?),
            (&Method::GET, ["v1", "rooms", "show"]) => json(&rooms::show(&self.handle.host, &request).await?),
            (&Method::POST, ["v1", "rooms", "join"]) => json(&rooms::join(&self.handle.host, &request, &by).await?),
            (&Method::POST, ["v1", "rooms", "leave"]) => json(&rooms::leave(&self.handle.host, &request, &by).await?),
            (&Method::GET, ["v1", "contacts"]) => json(&people::people(&self.handle.host, &request)?),
            (&Method::POST, ["v1", "contacts", step @ ("accept" | "deny")]) => {
                json(&people::answer(&self.handle.host, &request, *step == "accept", &by).await?)
            }
            (&Method::POST, ["v1", "say"]) => json(&people::say(&self.handle.host, &request, &by).await?),
            (&Method::POST, ["v1", "web", "link"]) => json(&links::send(&self.handle.host, &request, &by).await?),
            (&Method::GET, ["v1", "cluster"]) => cluster::show(&self.handle.host).await,
            (&Method::POST, ["v1", "cluster", "drain"]) => cluster::drain(&self.handle.host, &request, &by).await,
            (&Method::GET, ["v1", "keys"]) => keys::all(&self.handle.host, &request).await,
            (&Method::GET, ["v1", "accounts", name, "keys"]) => keys::of(&self.handle.host, name, &request).await,
            (&Method::POST, ["v1", "accounts", name, "keys", "trust"]) => {
                keys::decide(&self.handle.host, name, &request, DeviceTrust::Trusted, &by).await
            }
            (&Method::POST, ["v1", "accounts", name, "keys", "distrust"]) => {
                keys::decide(&self.handle.host, name, &request, DeviceTrust::Distrusted, &by).await
            }
            (&Method::POST, ["v1", "accounts", name, "keys", "reset"]) => {
                keys::reset(&self.handle.host, name, &by).await
            }
            (&Method::POST, ["v1", "accounts", name, "keys", step @ ("verify" | "answer")]) => {
                let _place = self.followers.try_acquire().map_err(|_| Refusal::Followers)?;
                keys::compare(&self.handle.host, name, &request, *step == "answer", client, &by).await
            }
            (&Method::POST, ["v1", "reload"]) => self.reload(Order::Reload, &request, &by).await,
            (&Method::POST, ["v1", "configure"]) => self.reload(Order::ReloadAll, &request, &by).await,
            (&Method::POST, ["v1", "plugins", id, "restart"]) => self.restart(plugin(id)?, &request, &by).await,
            (&Method::GET, ["v1", "plugins", id, "settings"]) => settings::show(&self.handle.host, &plugin(id)?).await,
            (&Method::POST, ["v1", "plugins", id, "settings"]) => {
                settings::change(&self.handle, &plugin(id)?, &request, &by).await?;
                self.settled_status(&request).await
            }
            (&Method::POST, ["v1", "plugins", id, step @ ("enable" | "disable")]) => {
                self.switch(&plugin(id)?, &request, *step == "enable", &by).await
            }
            _ => Err(no_route(&path)),
        }
    }

    /// Answers with the state of the host, or with that of the accounts of a session of some accounts: each has its own, and does not
    /// wait for what there is of others.
    async fn status(&self, request: &Request) -> Result<Answer, Refusal> {
        let host = &self.handle.host;
        json(&show::status(host, reach::only(host, request).as_ref()).await)
    }

    /// Does the same once the plugins that were started run or have failed.
    async fn settled_status(&self, request: &Request) -> Result<Answer, Refusal> {
        let host = &self.handle.host;
        settle(host, reach::only(host, request).as_ref()).await;
        self.status(request).await
    }

    async fn plugin(&self, id: &PluginId) -> Result<Answer, Refusal> {
        let found = show::plugin(&self.handle.host, id).await;
        if found.is_empty() { Err(Refusal::NoPlugin(id.clone())) } else { json(&found) }
    }

    async fn explain(&self, id: &PluginId, request: &Request) -> Result<Answer, Refusal> {
        let what = request.value("what");
        let what = what.ok_or_else(|| Refusal::Value("`what` names a call, an event or a permission".to_owned()))?;
        let question = Question::parse(what, request.value("about"));
        let question =
            question.map_err(|error| Refusal::Value(escape_untrusted(&error.to_string(), LONGEST_REASON)))?;
        let answers = show::explained(&self.handle.host, id, &question).await;
        if answers.is_empty() && !self.handle.host.plugins.has(id).await {
            return Err(Refusal::NoPlugin(id.clone()));
        }
        json(&answers)
    }

    async fn webhooks(&self, id: &PluginId, request: &Request) -> Result<Answer, Refusal> {
        let (mut shown, own) = (Vec::new(), reach::only(&self.handle.host, request));
        let mut all = self.webhooks_of(id, None).await?;
        all.retain(|(account, _)| own.as_ref().is_none_or(|own| own.contains(account)));
        for (account, webhooks) in all {
            let (requests, waiting) = webhooks.requests(SHOWN_REQUESTS).await.map_err(Refusal::Store)?;
            let (states, failures) = (webhooks.states(), webhooks.failed_attempts());
            shown.push(show::webhooks(&account, &states, (requests.as_slice(), waiting), &failures));
        }
        json(&shown)
    }

    async fn rotate(&self, id: &PluginId, request: &Request, by: &By) -> Result<Answer, Refusal> {
        let name = request.value("webhook");
        let name = name.ok_or_else(|| Refusal::Value("`webhook` is the name of a webhook".to_owned()))?;
        let mut all = self.webhooks_of(id, request.value("account")).await?;
        let known: Vec<_> = all.iter().flat_map(|(_, webhooks)| webhooks.states()).map(|one| one.name).collect();
        all.retain(|(_, webhooks)| webhooks.states().iter().any(|one| one.name == name));
        if all.is_empty() {
            let near = nearest(name, known.iter().map(String::as_str)).map(str::to_owned);
            return Err(Refusal::NoWebhook { plugin: id.clone(), name: escape_untrusted(name, LONGEST_REASON), near });
        }
        let accounts: Vec<_> = all.iter().map(|(account, _)| account).collect();
        let rotating = async {
            for (_, webhooks) in &all {
                webhooks.rotate(name).await.map_err(Refusal::Store)?;
            }
            Ok::<_, Refusal>(())
        };
        audit::recorded(&self.handle.host, request, by, &accounts, rotating).await?;
        self.webhooks(id, request).await
    }

    /// Returns the webhooks of a plugin on each of its accounts, or on this one.
    async fn webhooks_of(
        &self,
        id: &PluginId,
        only: Option<&str>,
    ) -> Result<Vec<(AccountName, Arc<Webhooks>)>, Refusal> {
        let all = self.handle.host.plugins.on_each(id, Supervised::webhooks).await;
        on_accounts(all, id, only)
    }

    /// Returns the schedules of a plugin, or of all, on each account that the session reaches.
    async fn schedules(&self, id: Option<&PluginId>, request: &Request) -> Result<Answer, Refusal> {
        let (host, own) = (&self.handle.host, reach::only(&self.handle.host, request));
        let ids = match id {
            Some(id) => vec![id.clone()],
            None => host.plugins.ids().await,
        };
        let mut shown = Vec::new();
        for one in ids {
            let all = host.plugins.on_each(&one, |supervised| Some(supervised.schedules())).await;
            // One of several plugins may have been removed in between.
            let mut all = if id.is_some() { on_accounts(all, &one, None)? } else { all.unwrap_or_default() };
            all.retain(|(account, _)| own.as_ref().is_none_or(|own| own.contains(account)));
            for (account, schedules) in all {
                let states = schedules.states().await.map_err(Refusal::Store)?;
                shown.push(show::schedules(&one, &account, &states));
            }
        }
        json(&shown)
    }

    /// Pauses or resumes a schedule.
    async fn pause(&self, id: &PluginId, request: &Request, is_paused: bool, by: &By) -> Result<Answer, Refusal> {
        let name = request.value("schedule");
        let name = name.ok_or_else(|| Refusal::Value("`schedule` is the name of a schedule".to_owned()))?;
        let all = self.handle.host.plugins.on_each(id, |supervised| Some(supervised.schedules())).await;
        let (mut with, mut known) = (Vec::new(), Vec::new());
        for (account, schedules) in on_accounts(all, id, request.value("account"))? {
            let states = schedules.states().await.map_err(Refusal::Store)?;
            known.extend(states.iter().map(|one| one.name.clone()));
            if states.iter().any(|one| one.name == name) {
                with.push((account, schedules));
            }
        }
        if with.is_empty() {
            let near = nearest(name, known.iter().map(String::as_str));
            let near = near.map(|near| escape_untrusted(near, LONGEST_REASON));
            let name = escape_untrusted(name, LONGEST_REASON);
            return Err(Refusal::NoSchedule { plugin: id.clone(), name, near });
        }
        let accounts: Vec<_> = with.iter().map(|(account, _)| account).collect();
        let pausing = async {
            for (_, schedules) in &with {
                schedules.pause(name, is_paused).await.map_err(Refusal::Store)?;
            }
            Ok::<_, Refusal>(())
        };
        audit::recorded(&self.handle.host, request, by, &accounts, pausing).await?;
        self.schedules(Some(id), request).await
    }

    async fn reload(
        &self,
        order: impl FnOnce(oneshot::Sender<Result<(), String>>) -> Order,
        request: &Request,
        by: &By,
    ) -> Result<Answer, Refusal> {
        // A reload may take long. Withdrawn permissions take effect before it, also if it cannot be recorded.
        self.handle.host.hold_to_policy().await;
        let applying = async { self.order(order).await?.map_err(Refusal::NotApplied) };
        audit::recorded(&self.handle.host, request, by, &[], applying).await?;
        self.settled_status(request).await
    }

    async fn restart(&self, id: PluginId, request: &Request, by: &By) -> Result<Answer, Refusal> {
        if !actions::will_have_plugin(&self.handle.host, &id).await {
            return Err(Refusal::NoPlugin(id));
        }
        let restarting = async {
            let is_there = self.order(|done| Order::Restart(id.clone(), done)).await?;
            if is_there { Ok(()) } else { Err(Refusal::NoPlugin(id.clone())) }
        };
        let accounts = switching::restarted_on(&self.handle.host, &id).await;
        audit::recorded(&self.handle.host, request, by, &accounts.iter().collect::<Vec<_>>(), restarting).await?;
        self.settled_status(request).await
    }

    /// Lets a plugin run, or keeps it from running.
    async fn switch(&self, id: &PluginId, request: &Request, is_enabled: bool, by: &By) -> Result<Answer, Refusal> {
        let host = &self.handle.host;
        if !actions::will_have_plugin(host, id).await {
            return Err(Refusal::NoPlugin(id.clone()));
        }
        switching::switch(host, &self.handle.orders, id, is_enabled, by).await.map_err(Refusal::NotApplied)?;
        self.settled_status(request).await
    }

    /// Gives the host an order, and waits until it is done.
    async fn order<T>(&self, order: impl FnOnce(oneshot::Sender<T>) -> Order) -> Result<T, Refusal> {
        ordered(&self.handle.orders, order).await.ok_or(Refusal::Stopping)
    }

    fn logs(&self, request: &Request, client: impl AsyncRead + Unpin + Send + 'static) -> Result<Answer, Refusal> {
        let level =
            |level| rank(level).ok_or_else(|| Refusal::Value(format!("a level is one of {}", LEVELS.join(", "))));
        let level = request.value("level").map(level).transpose()?;
        let id = request.value("plugin").map(plugin).transpose()?.map(|id| id.to_string());
        let since = |account: Arc<Shared>| (account.name.to_string(), account.since);
        let account = request.value("account").map(|_| data::present(&self.handle.host, request).map(since));
        let account = account.transpose()?;
        let wanted = Wanted { plugin: id, level, account };
        let most = request.lines(USUAL_LINES)?;
        if request.value("follow") == Some("true") {
            let place = Arc::clone(&self.followers).try_acquire_owned().map_err(|_| Refusal::Followers)?;
            let follower = Follower::new(&self.handle.lines, wanted, most, client, place);
            return Ok(http::stream(StatusCode::OK, LINES, follower.body()));
        }
        let (lines, _) = self.handle.lines.after(0, &wanted);
        let mut text = Vec::new();
        for line in &lines[lines.len().saturating_sub(most)..] {
            follow::put(&mut text, &**line).map_err(Refusal::Unwritable)?;
        }
        Ok(http::answer(StatusCode::OK, LINES, text))
    }
}

/// Waits until every started plugin runs or has failed, or every one on these accounts.
pub(super) async fn settle(host: &Host, only: Option<&BTreeSet<AccountName>>) {
    // After the timeout the response shows the current state.
    let _ = tokio::time::timeout(SETTLING, host.plugins.settled(only)).await;
}

/// Returns the response to a request that is refused.
pub(super) fn refused(refusal: &Refusal) -> Answer {
    let body = serde_json::to_vec(&Failure { error: refusal.to_string() }).unwrap_or_default();
    http::refusal(refusal, JSON, body)
}
