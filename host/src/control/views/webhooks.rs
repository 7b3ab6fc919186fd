//! The webhooks of a plugin, and the last requests to them.

use serde::{Deserialize, Serialize};

/// The webhooks of a plugin on one account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Webhooks {
    /// The account.
    pub account: String,
    /// The node of a cluster that has that account; none if the host is no node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// Each webhook, ordered by name.
    pub webhooks: Vec<Webhook>,
    /// The number of undelivered requests.
    pub waiting: u64,
    /// The last requests, the newest first.
    pub requests: Vec<WebhookRequest>,
}

/// A webhook.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Webhook {
    /// Its name.
    pub name: String,
    /// Its address; none if the configuration does not say where the host listens.
    pub address: Option<String>,
    /// The mode: with `queue` the host answers a request, with `answer` the plugin.
    pub mode: String,
    /// How a request is verified.
    pub verification: String,
    /// The setting with the secret, if the owner has not given it: then each request is refused.
    pub lacks: Option<String>,
    /// The former secret, while it verifies requests beside the present one.
    #[serde(default)]
    pub former: Option<FormerSecret>,
    /// The senders with their own secret, ordered by name.
    #[serde(default)]
    pub senders: Vec<SecretSender>,
}

/// A sender of a webhook that has its own secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecretSender {
    /// Its name.
    pub name: String,
    /// When its former secret ends, if it has one that counts.
    #[serde(default)]
    pub former_until: Option<String>,
}

/// A former secret that still counts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FormerSecret {
    /// Its setting.
    pub setting: String,
    /// When it ends.
    pub until: String,
}

/// A request to a webhook.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WebhookRequest {
    /// Its number.
    pub id: i64,
    /// The name of the webhook.
    pub webhook: String,
    /// When it was received, RFC 3339.
    pub at: String,
    /// The network address of its sender.
    pub sender: String,
    /// The method.
    pub method: String,
    /// The size of its body, in bytes.
    pub bytes: u64,
    /// The number of attempts to deliver it.
    pub attempts: u32,
    /// `waiting`, `told`, `given-up`, `dropped`, `unanswered` or `answered`.
    pub state: String,
    /// The status of the answer.
    pub status: Option<u16>,
    /// Why the last attempt to deliver it failed, if it waits for the next one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
    /// When it is delivered again then, RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}
