//! The web of a plugin test: the answers that its lines give, requests to webhooks, and nothing else.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use parlor_base::nearest::{nearest, suggestion};
use parlor_plugins::setting::{Setting, SettingKind};
use parlor_plugins::webhook::below;
use parlor_runtime::account::Shared;
use parlor_runtime::account::web::{WebAnswer, WebRequest};
use parlor_runtime::supervisor::{Reply, Supervised};
use parlor_runtime::webhooks::GivenToken;
use parlor_store::WebhookRequest;
use serde_json::Value;

use super::act::Hooked;
use super::notes::{Happened, Notes};
use super::server::Action;

/// The web as a test describes it. Clones share the same description.
#[derive(Debug, Clone, Default)]
pub(super) struct Web(Arc<Mutex<Described>>);

#[derive(Debug, Default)]
struct Described {
    /// The answers of servers, by method and address.
    answers: BTreeMap<(String, String), WebAnswer>,
    /// The headers that requests are shown with, besides those with places for credentials.
    shown: BTreeSet<String>,
}

impl Described {
    /// Returns the headers of a request that the test shows. A misspelt place for a credential is shown, too.
    fn shown(&self, headers: &[(String, String)]) -> Vec<(String, String)> {
        headers.iter().filter(|(name, value)| value.contains("{{") || self.shown.contains(name)).cloned().collect()
    }
}

impl Web {
    /// Sets the answer from now on; `None`: there is no answer.
    pub(super) fn answer(&self, method: &str, url: &str, answer: Option<&WebAnswer>) {
        let (key, mut described) = ((method.to_owned(), url.to_owned()), self.described());
        match answer {
            Some(answer) => drop(described.answers.insert(key, answer.clone())),
            None => drop(described.answers.remove(&key)),
        }
    }

    /// Shows requests with these headers from now on.
    pub(super) fn show(&self, names: &[String]) {
        self.described().shown.extend(names.iter().cloned());
    }

    /// Answers the requests of an account's plugin, and notes each.
    pub(super) fn serve(&self, account: &Shared, notes: &Notes) {
        let (web, notes) = (self.clone(), notes.clone());
        account.web_script.set(move |WebRequest { method, url, headers, body }| {
            let (method, url) = (method.to_owned(), url.to_owned());
            let described = web.described();
            let answer = described.answers.get(&(method.clone(), url.clone())).cloned();
            let (headers, body) = (described.shown(headers), String::from_utf8_lossy(body).into_owned());
            drop(described);
            notes.put(Happened::Did(Action::Requested { method, url, headers, body }));
            answer
        });
    }

    fn described(&self) -> MutexGuard<'_, Described> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Delivers a request to a webhook of the plugin, as if it had been verified. The plugin handles it later.
pub(super) fn bring(hooked: &Hooked, plugin: Option<&Supervised>, notes: &Notes) -> Result<(), String> {
    let Hooked { method, name, path, query, headers, body } = hooked.clone();
    let Some(plugin) = plugin else { return Err("the plugin does not run".to_owned()) };
    let manifest = &plugin.admitted().manifest;
    let Some(webhook) = manifest.webhooks.get(&name) else {
        let near = suggestion(nearest(&name, manifest.webhooks.keys().map(String::as_str)));
        return Err(format!("the manifest has no [webhook.{name}]{near}"));
    };
    let path = path.map(|written| below(&written).ok_or_else(|| refused(&name, &written))).transpose()?;
    if path.is_some() && !webhook.paths {
        return Err(format!(
            "the webhook {name} takes no paths below its address: write `paths = true` in [webhook.{name}]"
        ));
    }
    let token = plugin.webhooks().and_then(|webhooks| webhooks.token(&name)).unwrap_or_default();
    let found = plugin.candidate().zip(GivenToken::of(&token));
    let Some(door) = found.and_then(|(candidate, token)| candidate.door(&name, &token, path.as_deref())) else {
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
    let request = WebhookRequest { webhook, sender, method, query, path, headers, body: body.into_bytes() };
    let (notes, verified) = (notes.clone(), door.trust(&request.body));
    tokio::spawn(async move {
        let (status, body) = match door.pass(request, verified).await {
            Reply::Stored | Reply::Repeated => return,
            Reply::Answer(answer) => (answer.status, String::from_utf8_lossy(&answer.body).into_owned()),
            Reply::NoAnswer(status) => (status, String::new()),
            Reply::Again | Reply::Busy | Reply::Failed => (503, String::new()),
        };
        notes.put(Happened::Did(Action::Answered { webhook: name, status, body }));
    });
    Ok(())
}

/// Returns the error for a path that no plugin gets.
fn refused(name: &str, written: &str) -> String {
    format!(
        "the host answers `{name}/{written}` with 401: a path has at most 1 KiB and 16 pieces, and no piece is empty, `.` or `..`, \
         or has an encoded slash, a backslash, a percent sign or a control character"
    )
}

/// Returns the placeholder for a credential in a test, which is never shown.
pub(super) fn stand_in((key, setting): (&String, &Setting)) -> Option<(String, Value)> {
    matches!(setting.kind, SettingKind::Credential(_)).then(|| (key.clone(), "stands for a credential".into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_shows_the_headers_with_places_for_credentials_and_those_that_it_names() {
        let headers =
            [("authorization", "Bearer {{token}}"), ("accept", "*/*"), ("x-key", "{{tokne}}"), ("if-none-match", "v1")];
        let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let names =
            |described: &Described| described.shown(&headers).into_iter().map(|(name, _)| name).collect::<Vec<_>>();
        assert_eq!(names(&Described::default()), ["authorization", "x-key"]);
        let shown = BTreeSet::from(["if-none-match".to_owned()]);
        assert_eq!(names(&Described { shown, ..Described::default() }), ["authorization", "x-key", "if-none-match"]);
    }
}
