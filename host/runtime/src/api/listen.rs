//! `listen`: subscriptions, and the form in which a plugin gets an event.

use std::sync::Arc;

use jid::BareJid;
use parlor_base::escape::escape_untrusted;
use parlor_base::nearest::nearest;
use parlor_base::permission::Permission;
use parlor_session::event::Payload;
use parlor_session::permissions::{Target, event as known_event};
use parlor_session::router::{Filter, Mail, SubscriptionId};
use parlor_stanza::error::CallError;
use parlor_stanza::types::{Invite, MessageKind};

use super::{answer, bare_jid, jid, may_hear, types, words};
use crate::bindings::parlor::plugin::listen::{Event, Filter as WitFilter, Host};
use crate::bindings::parlor::plugin::types::Error;
use crate::instance::{Context, Instance};

/// The permission that a filter with `xml` needs.
pub(super) const WHOLE_MESSAGES: Target<'static> = Target::Stanza { kind: "message", to: None };

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
    let permission = known_event(event).and_then(|known| known.permission);
    let lacks = permission.filter(|permission| does_without(instance, *permission));
    if lacks.is_none() {
        may_hear(instance, event)?;
    }
    if filter.xml && !does_without(instance, Permission::StanzaRead) {
        instance.require(Permission::StanzaRead, WHOLE_MESSAGES)?;
    }
    let router = &instance.account.router;
    let count = router.count(instance.id).saturating_sub(router.unclaimed(&instance.mailbox));
    if count >= instance.limits.subscriptions as usize {
        return Err(CallError::OverLimit(format!("{} subscriptions", instance.limits.subscriptions)));
    }
    // After the limit: otherwise a plugin that subscribes to something else first would get more with each wake-up.
    if let Some(kept) = router.claim(&instance.mailbox, &name, &filter, once) {
        return Ok(kept.0);
    }
    if let Some(permission) = lacks.filter(|_| instance.may_log()) {
        tracing::info!(
            plugin = %instance.plugin, account = %instance.account.name, event, %permission,
            "plugin listens to an event without the permission, which its plugin.toml has as optional; it gets the event once that is granted"
        );
    }
    // A log line that a plugin causes counts against the plugin's own limit.
    if instance.account.heard_of(&name, &instance.plugin) && instance.may_log() {
        instance.account.warn_of(&name, &instance.plugin);
    }
    if let Some(webhook) = &filter.webhook {
        warn_of_undeclared(instance, webhook);
    }
    Ok(router.subscribe(&instance.mailbox, &name, filter, once).0)
}

/// Returns whether a plugin starts without this permission, since its manifest has it as optional. Such a plugin may listen
/// in its `initialize`: otherwise each of them would have to handle the denial of each listener. The router keeps the
/// events from it, until the permission is granted.
fn does_without(instance: &Instance, permission: Permission) -> bool {
    let is_optional = instance.manifest.permissions.get(&permission).is_some_and(|request| request.optional);
    is_optional && instance.is_starting() && !instance.mailbox.grants().has(permission)
}

/// Warns about a webhook that the plugin's manifest does not have: no request ever comes to it, and those to the declared
/// webhook wait for a handler.
fn warn_of_undeclared(instance: &Instance, webhook: &str) {
    if instance.manifest.webhooks.contains_key(webhook) || !instance.may_log() {
        return;
    }
    let (nearest, webhook) =
        (nearest(webhook, instance.manifest.webhooks.keys().map(String::as_str)), escape_untrusted(webhook, 128));
    tracing::warn!(
        plugin = %instance.plugin, account = %instance.account.name, webhook, nearest,
        "plugin listens to a webhook that its plugin.toml does not declare"
    );
}

fn parse_filter(filter: WitFilter) -> Result<Filter, CallError> {
    const MAX_PREFIX: usize = 1024;
    Ok(Filter {
        from: filter.from.map(|from| jid("filter.from", &from)).transpose()?,
        room: filter.room.map(|room| bare_jid("filter.room", &room)).transpose()?,
        kinds: filter.kind.as_deref().map(kinds).transpose()?.unwrap_or_default(),
        prefix: filter
            .prefix
            .map(|prefix| words("filter.prefix", &prefix, MAX_PREFIX).map(str::to_owned))
            .transpose()?,
        webhook: filter
            .webhook
            .map(|name| words("filter.webhook", &name, MAX_PREFIX).map(str::to_owned))
            .transpose()?,
        own: filter.own,
        delayed: filter.delayed,
        xml: filter.xml,
        schedule: filter
            .schedule
            .map(|name| words("filter.schedule", &name, MAX_PREFIX).map(str::to_owned))
            .transpose()?,
    })
}

/// Parses the wanted kinds of messages, one word for each.
fn kinds(words: &str) -> Result<Vec<MessageKind>, CallError> {
    let mut kinds = Vec::new();
    for word in words.split(' ') {
        let known = MessageKind::ALL.into_iter().find(|kind| kind.as_str() == word);
        let unknown = || CallError::invalid("filter.kind", "must be of chat, normal, headline, groupchat, error");
        let kind = known.ok_or_else(unknown)?;
        if !kinds.contains(&kind) {
            kinds.push(kind);
        }
    }
    Ok(kinds)
}

/// Returns whether the present grants let the plugin see the XML of messages.
pub(crate) fn may_see_xml(instance: &Instance) -> bool {
    instance.mailbox.grants().may_do(Permission::StanzaRead, WHOLE_MESSAGES, &|_| false)
}

/// Converts a piece of mail for the plugin.
pub fn event(instance: &Instance, mail: &Mail) -> Event {
    // The grant may have been withdrawn since the subscription was made. No call is denied here.
    let xml = mail.xml && may_see_xml(instance);
    let payload = match &mail.event.payload {
        // The password lets anyone enter, so only plugins that may enter get it.
        Payload::Invite(invite) if invite.password.is_some() && !may_enter(instance, &invite.room) => {
            let shown = Invite { password: None, ..Invite::clone(invite) };
            types::payload(&Payload::Invite(Arc::new(shown)), xml)
        }
        payload => types::payload(payload, xml),
    };
    if let Payload::Message(message) | Payload::Command { message, .. } = &mail.event.payload {
        instance.seldom.note_files(message);
    }
    Event {
        name: String::from(&*mail.event.name),
        at: types::date_time(mail.event.at),
        subscriptions: mail.subscriptions.iter().map(|id| id.0).collect(),
        payload,
    }
}

fn may_enter(instance: &Instance, room: &BareJid) -> bool {
    instance.mailbox.grants().may_do(Permission::RoomsJoin, Target::Room(room), &|_| false)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering::Relaxed;

    use jid::FullJid;
    use parlor_plugins::limits::Limits;
    use parlor_session::permissions::Grants;
    use parlor_stanza::raw::RawStanza;

    use super::*;
    use crate::bindings::parlor::plugin::types::Payload as WitPayload;
    use crate::instance::tests::{asking_for, instance as disconnected_instance};

    fn xml() -> WitFilter {
        WitFilter {
            from: None,
            room: None,
            kind: None,
            prefix: None,
            webhook: None,
            own: false,
            delayed: false,
            xml: true,
            schedule: None,
        }
    }

    /// Returns a message of somebody.
    fn said() -> parlor_session::event::Event {
        let own: FullJid = "bot@example.org/bot".parse().unwrap();
        let stanza = RawStanza::parse("<message to='bot@example.org' type='chat'/>", &own.clone().into()).unwrap();
        let mut message = stanza.leaving(&own, jiff::Timestamp::UNIX_EPOCH).unwrap();
        message.from = "juliet@example.org/balcony".parse().unwrap();
        message.chat = "juliet@example.org".parse().unwrap();
        message.own = false;
        let payload = Payload::Message(Arc::from(message));
        parlor_session::event::Event { name: "message".into(), at: jiff::Timestamp::UNIX_EPOCH, payload }
    }

    #[test]
    fn a_kind_of_messages_may_be_several() {
        for (words, expected) in [
            ("chat", Some(vec![MessageKind::Chat])),
            ("normal chat normal", Some(vec![MessageKind::Normal, MessageKind::Chat])),
            ("", None),
            ("chat  normal", None),
            ("chat,normal", None),
            ("loud", None),
        ] {
            assert_eq!(kinds(words).ok(), expected, "{words:?}");
        }
        assert_eq!(kinds("headline groupchat error").map(|kinds| kinds.len()), Ok(3));
    }

    /// Otherwise a plugin that first subscribes to something else would get more with each wake-up.
    #[tokio::test]
    async fn subscriptions_that_were_kept_count_when_they_are_made_again() {
        let (instance, _mailbox) = disconnected_instance("", Limits { subscriptions: 2, ..Limits::default() });
        let (router, mailbox) = (&instance.account.router, &instance.mailbox);
        let subscribe = |name: &str| subscribe(&instance, name, None, false);
        let kept = ["one", "two"].map(|name| subscribe(name).unwrap());
        router.park(mailbox);
        router.wake(mailbox);
        assert_eq!(["one", "two"].map(|name| subscribe(name).unwrap()), kept);
        router.end_unclaimed(mailbox);
        router.park(mailbox);
        router.wake(mailbox);
        for name in ["three", "four"] {
            subscribe(name).unwrap();
        }
        assert!(matches!(subscribe("one"), Err(CallError::OverLimit(_))));
        router.end_unclaimed(mailbox);
        assert_eq!(router.count(instance.id), 2);
    }

    #[tokio::test]
    async fn whole_messages_need_the_grant_for_messages_and_not_for_other_stanzas() {
        let grants = "\"messages.read\" = [\"*\"]\n\"stanza.read\" = ";
        let (instance, _mailbox) = disconnected_instance(&format!("{grants}[\"iq\"]"), Limits::default());
        let denied = subscribe(&instance, "message", Some(xml()), false).unwrap_err();
        assert!(matches!(denied, CallError::Denied { permission: Permission::StanzaRead, .. }), "{denied}");
        let (instance, _mailbox) = disconnected_instance(&format!("{grants}[\"message\"]"), Limits::default());
        subscribe(&instance, "message", Some(xml()), false).unwrap();
    }

    /// Otherwise one denied listener would end a plugin that can do without its events.
    #[tokio::test]
    async fn a_plugin_listens_in_its_initialize_to_what_an_optional_permission_is_for_and_is_told_once_it_is_granted() {
        let permissions = |optional: bool| {
            let asks = |name: &str, scope: &str| {
                format!("\"{name}\" = {{ scope = [\"{scope}\"], reason = \"to hear\", optional = {optional} }}\n")
            };
            format!("[permissions]\n{}{}", asks("messages.read", "*"), asks("stanza.read", "message"))
        };
        let (instance, _mailbox) = asking_for(&permissions(false));
        assert!(matches!(subscribe(&instance, "message", None, false), Err(CallError::Denied { .. })));
        let (instance, _mailbox) = asking_for(&permissions(true));
        for filter in [None, Some(xml())] {
            subscribe(&instance, "message", filter, false).unwrap();
        }
        let router = &instance.account.router;
        assert_eq!((router.count(instance.id), instance.counters.denials.load(Relaxed)), (2, 0));
        assert!(matches!(subscribe(&instance, "roster", None, false), Err(CallError::Denied { .. })), "not asked for");
        let hears = || router.mail_about(instance.id, said(), &|_| false).map(|mail| mail.subscriptions.len());
        assert_eq!(hears(), None);
        let granted = Grants::from_table(&"\"messages.read\" = [\"*\"]".parse().unwrap()).unwrap();
        router.grant(&instance.mailbox, Arc::new(granted));
        assert_eq!(hears(), Some(2));
        // A plugin that has started can handle a denial.
        router.grant(&instance.mailbox, Arc::default());
        instance.only_handles.store(true, Relaxed);
        assert!(matches!(subscribe(&instance, "message", None, false), Err(CallError::Denied { .. })));
    }

    #[tokio::test]
    async fn a_grant_taken_back_hides_the_xml_and_denies_no_call() {
        let own: FullJid = "bot@example.org/bot".parse().unwrap();
        let stanza = "<message to='juliet@example.org'><body>hi</body></message>";
        let stanza = RawStanza::parse(stanza, &own.clone().into()).unwrap();
        let message = stanza.leaving(&own, jiff::Timestamp::UNIX_EPOCH).unwrap();
        let happened = Arc::new(parlor_session::event::Event {
            name: "message".into(),
            at: jiff::Timestamp::UNIX_EPOCH,
            payload: Payload::Message(Arc::from(message)),
        });
        for (grants, shown) in [("\"stanza.read\" = [\"message\"]", true), ("", false)] {
            let (instance, _mailbox) = disconnected_instance(grants, Limits::default());
            let told = event(&instance, &Mail::new(Arc::clone(&happened), Vec::new(), true));
            let WitPayload::Message(message) = told.payload else { panic!("{:?}", told.payload) };
            assert_eq!(message.xml.is_some_and(|xml| xml.contains("hi")), shown, "{grants}");
            assert_eq!(instance.counters.denials.load(Relaxed), 0);
        }
    }

    /// Whoever may enter the room has it from the event for the invitation.
    #[tokio::test]
    async fn the_xml_of_an_invitation_has_no_password() {
        let own: FullJid = "bot@example.org/bot".parse().unwrap();
        let invitation = "<message to='juliet@example.org'><body>come</body><x xmlns='jabber:x:conference' \
                          jid='vault@muc.example.org' password='canary'/></message>";
        let stanza = RawStanza::parse(invitation, &own.clone().into()).unwrap();
        let message = stanza.leaving(&own, jiff::Timestamp::UNIX_EPOCH).unwrap();
        let happened = Arc::new(parlor_session::event::Event {
            name: "message".into(),
            at: jiff::Timestamp::UNIX_EPOCH,
            payload: Payload::Message(Arc::from(message)),
        });
        let (instance, _mailbox) = disconnected_instance("\"stanza.read\" = [\"message\"]", Limits::default());
        let told = event(&instance, &Mail::new(happened, Vec::new(), true));
        let WitPayload::Message(message) = told.payload else { panic!("{:?}", told.payload) };
        let xml = message.xml.unwrap();
        assert!(xml.contains("vault@muc.example.org") && !xml.contains("canary"), "{xml}");
    }

    #[tokio::test]
    async fn who_may_not_enter_a_room_is_not_told_its_password() {
        let invite = Invite {
            room: "vault@muc.example.org".parse().unwrap(),
            from: "juliet@example.org".parse().unwrap(),
            to: "bot@example.org".parse().unwrap(),
            reason: Some("come".to_owned()),
            password: Some("canary".to_owned()),
        };
        let happened = Arc::new(parlor_session::event::Event {
            name: "roomInviteReceived".into(),
            at: jiff::Timestamp::UNIX_EPOCH,
            payload: Payload::Invite(Arc::new(invite)),
        });
        let read = "\"rooms.read\" = [\"*\"]";
        for (grants, shown) in [
            (read.to_owned(), None),
            (format!("{read}\n\"rooms.join\" = [\"lobby@muc.example.org\"]"), None),
            (format!("{read}\n\"rooms.join\" = [\"vault@muc.example.org\"]"), Some("canary")),
        ] {
            let (instance, _mailbox) = disconnected_instance(&grants, Limits::default());
            let told = event(&instance, &Mail::new(Arc::clone(&happened), Vec::new(), false));
            let WitPayload::Invite(told) = told.payload else { panic!("{:?}", told.payload) };
            assert_eq!((told.password.as_deref(), told.reason.as_deref()), (shown, Some("come")), "{grants}");
            assert_eq!(instance.counters.denials.load(Relaxed), 0);
        }
    }

    #[tokio::test]
    async fn an_event_and_its_promise_need_some_of_the_grant_and_not_all_of_it() {
        let (instance, _mailbox) = disconnected_instance("\"rooms.read\" = [\"a@muc.example.org\"]", Limits::default());
        assert_eq!(may_hear(&instance, "roomsAutoJoined"), Ok(()));
        assert!(matches!(may_hear(&instance, "roster"), Err(CallError::Denied { .. })));
        assert_eq!(may_hear(&instance, "connected"), Ok(()));
        assert_eq!(may_hear(&instance, "somebodys-own"), Ok(()));
    }
}
