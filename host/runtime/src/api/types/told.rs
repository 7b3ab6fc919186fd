//! Records that events carry: requests to webhooks, in namespaces and of other plugins, due times, items of nodes,
//! questions to hooks, and undecryptable messages.

use parlor_session::{DueTime, Hook, IqRequest, PluginRequest, PubsubItem, Undecryptable, Webhook};

use super::{date_time, message, wit};

impl From<&Webhook> for wit::Webhook {
    fn from(webhook: &Webhook) -> Self {
        let header = |(name, value): &(String, String)| wit::Header { name: name.clone(), value: value.clone() };
        Self {
            id: webhook.id.clone(),
            name: webhook.name.clone(),
            attempt: webhook.attempt,
            method: webhook.method.clone(),
            query: webhook.query.clone(),
            path: webhook.path.clone(),
            headers: webhook.headers.iter().map(header).collect(),
            body: webhook.body.clone(),
        }
    }
}

impl From<&DueTime> for wit::DueTime {
    fn from(due: &DueTime) -> Self {
        Self {
            name: due.name.clone(),
            due: date_time(due.due),
            late: u64::try_from(due.late.as_millis()).unwrap_or(u64::MAX),
            missed: due.missed,
            attempt: due.attempt,
        }
    }
}

impl From<&Undecryptable> for wit::Undecryptable {
    fn from(message: &Undecryptable) -> Self {
        Self {
            id: message.id.clone(),
            stanza_id: message.stanza_id.clone(),
            chat: message.chat.to_string(),
            from: message.from.to_string(),
            nick: message.nick.clone(),
            kind: message.kind.as_str().to_owned(),
            at: date_time(message.at),
            delayed: message.delayed,
            own: message.own,
            encryption: message.encryption.as_str().to_owned(),
            reason: message.reason.as_str().to_owned(),
        }
    }
}

impl From<&IqRequest> for wit::IqRequest {
    fn from(request: &IqRequest) -> Self {
        Self {
            id: request.id.clone(),
            from: request.from.to_string(),
            kind: if request.is_set { "set" } else { "get" }.to_owned(),
            namespace: request.namespace.clone(),
            name: request.name.clone(),
            xml: request.xml.clone(),
        }
    }
}

impl From<&PluginRequest> for wit::PluginRequest {
    fn from(PluginRequest { id, plugin, name, value }: &PluginRequest) -> Self {
        Self { id: id.clone(), plugin: plugin.to_string(), name: name.clone(), value: value.clone() }
    }
}

impl From<&Hook> for wit::Hook {
    fn from(hook: &Hook) -> Self {
        Self {
            id: hook.id.clone(),
            plugin: hook.plugin.as_ref().map(ToString::to_string),
            args: hook.args.clone(),
            message: message(&hook.message, false),
        }
    }
}

impl From<&PubsubItem> for wit::PubsubItem {
    fn from(item: &PubsubItem) -> Self {
        Self {
            kind: item.kind.as_str().to_owned(),
            service: item.service.to_string(),
            node: item.node.clone(),
            id: item.id.clone(),
            publisher: item.publisher.as_ref().map(ToString::to_string),
            xml: item.xml.clone(),
            cut: item.is_cut,
        }
    }
}
