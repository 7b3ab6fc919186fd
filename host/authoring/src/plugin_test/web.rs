//! The web of a plugin test: the answers that its lines give, and nothing else.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use parlor_plugins::setting::{Setting, SettingKind};
use parlor_runtime::account::Shared;
use parlor_runtime::account::web::{WebAnswer, WebRequest};
use serde_json::Value;

use super::notes::{Happened, Notes};
use super::server::Action;

/// The answers of servers of the web, by method and address. Clones share the same answers.
#[derive(Debug, Clone, Default)]
pub(super) struct Web(Arc<Mutex<BTreeMap<(String, String), WebAnswer>>>);

impl Web {
    /// Sets what is answered from now on; `None`: nobody answers.
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
        account.web_script.set(move |WebRequest { method, url, body }| {
            let (method, url) = (method.to_owned(), url.to_owned());
            let answer = web.answers().get(&(method.clone(), url.clone())).cloned();
            let body = String::from_utf8_lossy(body).into_owned();
            notes.put(Happened::Did(Action::Requested { method, url, body }));
            answer
        });
    }

    fn answers(&self) -> MutexGuard<'_, BTreeMap<(String, String), WebAnswer>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns what a test gives for a credential, which nobody sees.
pub(super) fn stand_in((key, setting): (&String, &Setting)) -> Option<(String, Value)> {
    matches!(setting.kind, SettingKind::Credential(_)).then(|| (key.clone(), "stands for a credential".into()))
}
