//! The web of a plugin test: the answers that its lines give, requests to webhooks, and nothing else.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use parlor_base::nearest::{nearest, suggestion};
use parlor_plugins::setting::{Setting, SettingKind};
use parlor_runtime::account::Shared;
use parlor_runtime::account::web::{WebAnswer, WebRequest};
use parlor_runtime::supervisor::{Reply, Supervised};
use parlor_runtime::webhooks::GivenToken;
use parlor_store::WebhookRequest;
use serde_json::Value;

use super::act::Hooked;
use super::notes::{Happened, Notes};
use super::server::Action;

/// The answers of servers of the web, by method and address. Clones share the same answers.
#[derive(Debug, Clone, Default)]
pub(super) struct Web(Arc<Mutex<BTreeMap<(String, String), WebAnswer>>>);

impl Web {
    /// Sets the answer from now on; `None`: there is no answer.
    pub(super) fn answer(&self, method: &str, url: &str, answer: Option<&WebAnswer>) {
        let (key, mut answers) = ((method.to_owned(), url.to_owned()), self.answers());
        match answer {
            Some(answer) => drop(answers.insert(key, answer.clone())),
            None => drop(answers.remove(&key)),
        }
    }

    /// Answers the requests of an account's plugin, and notes each.
    pub(super) fn serve(&self, account: &Shared, notes: &Notes) {
        let (web, notes) = (self.clone(), notes.clone());
        account.web_script.set(move |WebRequest { method, url, headers, body }| {
            let (method, url) = (method.to_owned(), url.to_owned());
            let answer = web.answers().get(&(method.clone(), url.clone())).cloned();
            let (headers, body) = (headers.to_vec(), String::from_utf8_lossy(body).into_owned());
            notes.put(Happened::Did(Action::Requested { method, url, headers, body }));
            answer
        });
    }

    fn answers(&self) -> MutexGuard<'_, BTreeMap<(String, String), WebAnswer>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Delivers a request to a webhook of the plugin, as if it had been verified. The plugin handles it later.
pub(super) fn bring(hooked: &Hooked, plugin: Option<&Supervised>, notes: &Notes) -> Result<(), String> {
    let Hooked { method, name, query, headers, body } = hooked.clone();
    let Some(plugin) = plugin else { return Err("the plugin does not run".to_owned()) };
    let manifest = &plugin.admitted().manifest;
    if !manifest.webhooks.contains_key(&name) {
        let near = suggestion(nearest(&name, manifest.webhooks.keys().map(String::as_str)));
        return Err(format!("the manifest has no [webhook.{name}]{near}"));
    }
    let token = plugin.webhooks().and_then(|webhooks| webhooks.token(&name)).unwrap_or_default();
    let found = plugin.candidate().zip(GivenToken::of(&token));
    let Some(door) = found.and_then(|(candidate, token)| candidate.door(&name, &token)) else {
        // The sender is refused, too.
        notes.put(Happened::Did(Action::Answered { webhook: name, status: 401, body: String::new() }));
        return Ok(());
    };
    if !door.takes(&method) {
        return Err(format!("the webhook {name} takes no {method}: list it under `methods`"));
    }
    if let Some((header, _)) = headers.iter().find(|(header, _)| !door.passes_on(header)) {
        return Err(format!("the plugin does not get `{header}`: list it under `headers` of [webhook.{name}]"));
    }
    let (sender, webhook) = ("192.0.2.1".to_owned(), name.clone());
    let request = WebhookRequest { webhook, sender, method, query, headers, body: body.into_bytes() };
    let notes = notes.clone();
    tokio::spawn(async move {
        let (status, body) = match door.pass(request, None).await {
            Reply::Stored => return,
            Reply::Answer(answer) => (answer.status, String::from_utf8_lossy(&answer.body).into_owned()),
            Reply::NoAnswer(status) => (status, String::new()),
            Reply::Again | Reply::Busy | Reply::Failed => (503, String::new()),
        };
        notes.put(Happened::Did(Action::Answered { webhook: name, status, body }));
    });
    Ok(())
}

/// Returns the placeholder for a credential in a test, which is never shown.
pub(super) fn stand_in((key, setting): (&String, &Setting)) -> Option<(String, Value)> {
    matches!(setting.kind, SettingKind::Credential(_)).then(|| (key.clone(), "stands for a credential".into()))
}
