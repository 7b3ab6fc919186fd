//! `listen`: subscriptions, and what an event looks like to a plugin.

use std::sync::Arc;

use super::{answer, bare_jid, jid, text, types};
use crate::bindings::parlor::plugin::listen::{Event, Filter as WitFilter, Host};
use crate::bindings::parlor::plugin::types::Error;
use crate::error::CallError;
use crate::permissions::{Permission, Target, table};
use crate::plugins::{Context, Instance};
use crate::router::{Filter, Mail, SubscriptionId};
use crate::stanza::MessageKind;

impl Host for Context {
    fn on(&mut self, name: String, filter: Option<WitFilter>) -> Result<u64, Error> {
        answer(subscribe(&self.instance, &name, filter, false))
    }

    fn once(&mut self, name: String, filter: Option<WitFilter>) -> Result<u64, Error> {
        answer(subscribe(&self.instance, &name, filter, true))
    }

    fn not(&mut self, subscription: u64) -> Result<(), Error> {
        let instance = &self.instance;
        let found = instance.account.router.unsubscribe(instance.id, SubscriptionId(subscription));
        answer(found.then_some(()).ok_or_else(|| CallError::NotFound(format!("subscription {subscription}"))))
    }
}

fn subscribe(instance: &Arc<Instance>, event: &str, filter: Option<WitFilter>, once: bool) -> Result<u64, CallError> {
    let name = super::api::name("name", event)?;
    let filter = filter.map(parse_filter).transpose()?.unwrap_or_default();
    if let Some(permission) = table::event(event).and_then(|event| event.permission)
        && instance.mailbox.grants().load().get(permission).is_none()
    {
        return Err(instance.deny(permission, None));
    }
    if filter.xml && instance.mailbox.grants().load().get(Permission::StanzaRead).is_none() {
        return Err(instance.deny(Permission::StanzaRead, None));
    }
    let router = &instance.account.router;
    if router.count(instance.id) >= instance.limits.subscriptions as usize {
        return Err(CallError::OverLimit(format!("{} subscriptions", instance.limits.subscriptions)));
    }
    Ok(router.subscribe(&instance.mailbox, &name, filter, once).0)
}

fn parse_filter(filter: WitFilter) -> Result<Filter, CallError> {
    const MAX_PREFIX: usize = 1024;
    let kind = match filter.kind.as_deref() {
        None => None,
        Some("chat") => Some(MessageKind::Chat),
        Some("normal") => Some(MessageKind::Normal),
        Some("headline") => Some(MessageKind::Headline),
        Some("groupchat") => Some(MessageKind::Groupchat),
        Some("error") => Some(MessageKind::Error),
        Some(_) => {
            return Err(CallError::invalid("filter.kind", "must be one of chat, normal, headline, groupchat, error"));
        }
    };
    Ok(Filter {
        from: filter.from.map(|from| jid("filter.from", &from)).transpose()?,
        room: filter.room.map(|room| bare_jid("filter.room", &room)).transpose()?,
        kind,
        prefix: filter
            .prefix
            .map(|prefix| text("filter.prefix", &prefix, MAX_PREFIX).map(str::to_owned))
            .transpose()?,
        own: filter.own,
        delayed: filter.delayed,
        xml: filter.xml,
    })
}

/// A piece of mail as the plugin gets it.
pub(crate) fn event(instance: &Instance, mail: &Mail) -> Event {
    // The grant may have been taken back since the subscription was made.
    let xml =
        mail.xml && instance.require(Permission::StanzaRead, Target::Stanza { kind: "message", to: None }).is_ok();
    Event {
        name: mail.event.name.to_string(),
        at: types::date_time(mail.event.at),
        subscriptions: mail.subscriptions.iter().map(|id| id.0).collect(),
        payload: types::payload(&mail.event.payload, xml),
    }
}
