//! The event of a handler, as an error names it if the plugin ends during it. The content of messages is never shown.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use parlor_base::escape::escape_untrusted;
use parlor_session::event::{Event, EventName, Payload};
use parlor_stanza::types::MessageKind;

use super::{Instance, LONGEST_REASON};

/// The maximum number of events that a reason names.
const MOST: usize = 3;

/// An event without its payload, which may be large.
#[derive(Debug, Clone)]
pub(crate) struct Handed {
    event: EventName,
    which: Which,
}

/// The detail that distinguishes handlers of the same event.
#[derive(Debug, Clone)]
enum Which {
    Any,
    Message(MessageKind),
    Command(Arc<str>),
}

impl Handed {
    pub(crate) fn of(event: &Event) -> Self {
        let which = match &event.payload {
            Payload::Message(message) => Which::Message(message.kind),
            Payload::Command { name, .. } => Which::Command(Arc::clone(name)),
            _ => Which::Any,
        };
        Self { event: event.name.clone(), which }
    }
}

/// Formats it as `message (chat)` or `command roll`.
impl fmt::Display for Handed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Plugins can name events too.
        let event = escape_untrusted(&self.event, LONGEST_REASON);
        match &self.which {
            Which::Any => f.write_str(&event),
            Which::Message(kind) => write!(f, "{event} ({kind})"),
            Which::Command(name) => write!(f, "{event} {}", escape_untrusted(name, LONGEST_REASON)),
        }
    }
}

/// Describes what it was handling when it ended, to be appended to the reason. The text is empty if no handler was
/// running, or if the cause may be its start or stop.
pub(crate) fn at_what(instance: &Instance) -> String {
    if !instance.only_handles.load(Relaxed) {
        return String::new();
    }
    let mut handed: Vec<_> = instance.open.with(|lists| lists.cut_off.iter().map(Handed::to_string).collect());
    handed.sort_unstable();
    handed.dedup();
    if handed.len() > MOST {
        let more = handed.split_off(MOST).len();
        handed.push(format!("{more} more"));
    }
    let Some(last) = handed.pop() else { return String::new() };
    let before = if handed.is_empty() { String::new() } else { format!("{} and ", handed.join(", ")) };
    format!(" while it handled {before}{last}")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use jiff::Timestamp;
    use parlor_plugins::limits::Limits;
    use parlor_session::event::{Event, Payload};
    use parlor_stanza::raw::RawStanza;
    use parlor_stanza::types::Message;

    use super::{Handed, Relaxed, at_what};
    use crate::instance::tests::instance as disconnected_instance;

    fn message(kind: &str) -> Arc<Message> {
        let own: jid::FullJid = "bot@example.org/bot".parse().unwrap();
        let stanza = format!("<message to='bot@example.org' type='{kind}'><body>nobody's business</body></message>");
        let raw = RawStanza::parse(&stanza, &own.clone().into()).unwrap();
        Arc::from(raw.leaving(&own, Timestamp::UNIX_EPOCH).unwrap())
    }

    fn event(name: &str, payload: Payload) -> Event {
        Event { name: name.into(), at: Timestamp::UNIX_EPOCH, payload }
    }

    #[tokio::test]
    async fn a_reason_names_the_events_that_were_being_handled_and_not_what_was_said() {
        let (instance, _mailbox) = disconnected_instance("", Limits::default());
        let name: Arc<str> = "roll".into();
        let roll = Payload::Command {
            name: Arc::clone(&name),
            args: vec!["6".to_owned()],
            message: message("chat"),
            values: Vec::new(),
            form: None,
        };
        instance.only_handles.store(true, Relaxed);
        let mut returned = instance.handling(&event("timer", Payload::None), None);
        returned.has_returned();
        drop(returned);
        assert_eq!(at_what(&instance), "", "one that returned was not cut off");
        drop(instance.handling(&event("message", Payload::Message(message("chat"))), None));
        assert_eq!(at_what(&instance), " while it handled message (chat)");
        instance.only_handles.store(false, Relaxed);
        assert_eq!(at_what(&instance), "", "it may as well have been what it does when it stops");
        instance.only_handles.store(true, Relaxed);
        drop(instance.handling(&event("message", Payload::Message(message("chat"))), None));
        drop(instance.handling(&event("command", roll), None));
        assert_eq!(Arc::strong_count(&name), 2, "the event's own name is kept, and no copy is made of it");
        assert_eq!(at_what(&instance), " while it handled command roll and message (chat)");
        drop(instance.handling(&event("message", Payload::Message(message("groupchat"))), None));
        let three = " while it handled command roll, message (chat) and message (groupchat)";
        assert_eq!(at_what(&instance), three);
        drop(instance.handling(&event("timer", Payload::None), None));
        drop(instance.handling(&event("x", Payload::Json("1".into())), None));
        let many = " while it handled command roll, message (chat), message (groupchat) and 2 more";
        assert_eq!(at_what(&instance), many);
        assert_eq!(Handed::of(&event("x\u{202e}", Payload::None)).to_string(), "x\\u{202e}");
    }
}
