//! The turns of conversations, for a plugin whose manifest says `in_order`: an event of a room or a person waits until the
//! handler of the event before it has returned, or waits for the answer to a question. Events of others pass it.

use std::collections::{HashMap, VecDeque};
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use jid::BareJid;
use parlor_session::event::Payload;
use parlor_session::position::Archive;
use parlor_session::router::{Mail, MailReceiver};
use parlor_stanza::types::MessageKind;
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::instance::{Instance, left_unanswered, turn_lasts};

/// How long a handler takes the turn of its room or person before the log names it.
const LONG: Duration = Duration::from_mins(1);

/// The mail that waits for its turn. It still counts as waiting in the mailbox.
pub(super) struct Turns {
    instance: Arc<Instance>,
    /// By conversation, each with its number in the order of arrival. A conversation without mail is not in it.
    waiting: HashMap<BareJid, VecDeque<(u64, Box<Mail>)>>,
    /// The number of events in it.
    count: usize,
    /// The number of the last event that came.
    last: u64,
    /// Resolves when the replaced instance has ended, if it has not. Its handlers take turns that are not seen here.
    old_ends: Option<oneshot::Receiver<()>>,
    /// When the log last named a handler that takes its turn for long.
    logged: Option<Instant>,
}

impl Turns {
    /// Creates the turns of an instance. None: its plugin takes events as they come.
    pub(super) fn of(instance: &Arc<Instance>) -> Option<Box<Self>> {
        instance.manifest.in_order.then(|| {
            let (instance, waiting) = (Arc::clone(instance), HashMap::new());
            Box::new(Self { instance, waiting, count: 0, last: 0, old_ends: None, logged: None })
        })
    }

    /// Keeps the events of all conversations back until the replaced instance has ended. Others do not wait: hooks have a deadline, and
    /// a handler of it may have called a plugin whose message waits for the verdict of this one.
    pub(super) fn follow(&mut self, old_ends: oneshot::Receiver<()>) {
        self.old_ends = Some(old_ends);
    }

    /// Waits until the replaced instance has ended, if events wait for that. Cancel-safe.
    pub(super) async fn old_ends(&mut self) {
        match &mut self.old_ends {
            Some(ends) => {
                // The sender is dropped then.
                let _ = ends.await;
            }
            None => pending().await,
        }
        self.old_ends = None;
    }

    /// Returns whether an event of this conversation has to wait.
    fn is_taken(&self, conversation: &BareJid) -> bool {
        self.old_ends.is_some() || turn_lasts(&self.instance, conversation).is_some()
    }

    /// Logs that a handler keeps the events of its conversation back for long, at most once in that time. It may be waiting for one of
    /// them, and no timeout has to end it.
    fn log_long_turn(&mut self, conversation: &BareJid) {
        let is_long = turn_lasts(&self.instance, conversation).is_some_and(|lasts| lasts >= LONG);
        if !is_long || self.logged.is_some_and(|at| at.elapsed() < LONG) {
            return;
        }
        self.logged = Some(Instant::now());
        tracing::warn!(
            plugin = %self.instance.plugin, account = %self.instance.account.name, waiting = self.count,
            remedy = "handlers must not wait for events of their own room; the limit `handler` ends such a plugin",
            "events wait for a handler of the same room or person"
        );
    }

    /// Returns the room or person whose turn this mail takes. None: it is handled as it comes.
    pub(super) fn conversation(&self, mail: &Mail) -> Option<BareJid> {
        let own = || self.instance.account.own.clone();
        if let Some(place) = &mail.place {
            return Some(match place.of() {
                Archive::Own => own(),
                Archive::Room(room) => room.clone(),
            });
        }
        let conversation = mail.event.payload.conversation()?;
        // All private chats are in one archive, so a plugin that catches up handles them in one order.
        let is_private = self.instance.progress.is_kept() && is_private(&mail.event.payload);
        Some(if is_private { own() } else { conversation })
    }

    /// Returns the mail if its turn has come. Otherwise it waits here. None is lost here: the mailbox has bounded how much comes.
    pub(super) fn admit(&mut self, mail: Box<Mail>, mailbox: &MailReceiver) -> Option<Box<Mail>> {
        let Some(conversation) = self.conversation(&mail) else { return Some(mail) };
        if !self.waiting.contains_key(&conversation) && !self.is_taken(&conversation) {
            return Some(mail);
        }
        self.log_long_turn(&conversation);
        self.last += 1;
        self.waiting.entry(conversation).or_default().push_back((self.last, mail));
        self.counts(self.count + 1, mailbox);
        None
    }

    /// Returns the oldest mail whose turn has come.
    pub(super) fn next(&mut self, mailbox: &MailReceiver) -> Option<Box<Mail>> {
        if self.waiting.is_empty() {
            return None;
        }
        let free = self.waiting.iter().filter(|(conversation, _)| !self.is_taken(conversation));
        let oldest = free.min_by_key(|(_, queue)| queue.front().map(|(number, _)| *number));
        let conversation = oldest.map(|(conversation, _)| conversation.clone())?;
        let queue = self.waiting.get_mut(&conversation)?;
        let first = queue.pop_front();
        if queue.is_empty() {
            self.waiting.remove(&conversation);
        }
        self.counts(self.count.saturating_sub(1), mailbox);
        first.map(|(_, mail)| mail)
    }

    /// Puts back mail that is to be the next one again. Returns it if it belongs to no conversation.
    pub(super) fn put_back(&mut self, mail: Box<Mail>, mailbox: &MailReceiver) -> Option<Box<Mail>> {
        let Some(conversation) = self.conversation(&mail) else { return Some(mail) };
        self.waiting.entry(conversation).or_default().push_front((0, mail));
        self.counts(self.count + 1, mailbox);
        None
    }

    /// Returns whether no mail waits.
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Returns whether the mail that waits takes the whole mailbox.
    pub(super) fn fill_mailbox(&self) -> bool {
        self.count >= self.instance.limits.mailbox as usize
    }

    /// Takes all mail, in the order in which it came.
    pub(super) fn take_all(&mut self, mailbox: &MailReceiver) -> impl Iterator<Item = Box<Mail>> + use<> {
        let all = self.drain();
        self.counts(0, mailbox);
        all
    }

    fn drain(&mut self) -> impl Iterator<Item = Box<Mail>> + use<> {
        let mut all: Vec<_> = std::mem::take(&mut self.waiting).into_values().flatten().collect();
        all.sort_by_key(|(number, _)| *number);
        all.into_iter().map(|(_, mail)| mail)
    }

    fn counts(&mut self, count: usize, mailbox: &MailReceiver) {
        self.count = count;
        mailbox.hold(count);
    }
}

impl Drop for Turns {
    /// If the instance has failed, people get no other answer to the commands among the mail. A plugin that catches up is given
    /// them again.
    fn drop(&mut self) {
        for mail in self.drain().filter(|mail| mail.place.is_none()) {
            left_unanswered(&self.instance, &mail.event);
        }
    }
}

/// Returns whether an event is about a person, and not about a room and all in it.
fn is_private(payload: &Payload) -> bool {
    match payload {
        Payload::Message(message) | Payload::Command { message, .. } => message.kind != MessageKind::Groupchat,
        Payload::Undecryptable(message) => message.kind != MessageKind::Groupchat,
        Payload::Contact(_) | Payload::Chat(_) => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;
    use jiff::Timestamp;
    use parlor_plugins::limits::Limits;
    use parlor_session::Hook;
    use parlor_session::event::Event;
    use parlor_session::router::SubscriptionId;
    use parlor_stanza::raw::RawStanza;
    use parlor_stanza::types::Message;

    use super::super::mail::{Incoming, Inherited};
    use super::*;
    use crate::instance::Handling;
    use crate::instance::tests::{asking_for, in_order};

    /// A plugin, and what waits for it.
    struct Stage {
        instance: Arc<Instance>,
        mailbox: MailReceiver,
        turns: Box<Turns>,
    }

    impl Stage {
        fn new(mailbox: u32) -> Self {
            let (instance, mailbox) = in_order(Limits { mailbox, ..Limits::default() });
            let turns = Turns::of(&instance).unwrap();
            Self { instance, mailbox, turns }
        }

        /// Returns the text of the mail, if its turn has come.
        fn comes(&mut self, conversation: &str, text: &str) -> Option<String> {
            self.turns.admit(said(conversation, text), &self.mailbox).map(|mail| text_of(&mail))
        }

        /// Takes what is in the mailbox, and returns the first text whose turn has come.
        fn take_in(&mut self) -> Option<String> {
            let mail = std::iter::from_fn(|| self.mailbox.try_recv().ok()).collect::<Vec<_>>();
            mail.into_iter().find_map(|mail| self.turns.admit(mail, &self.mailbox)).map(|mail| text_of(&mail))
        }

        fn next(&mut self) -> Option<String> {
            self.turns.next(&self.mailbox).map(|mail| text_of(&mail))
        }

        /// Begins a handler of this conversation.
        async fn handles(&self, conversation: &str) -> Handling {
            // No two handlers of a test begin at the same time.
            tokio::time::advance(Duration::from_millis(1)).await;
            let mail = said(conversation, "handled");
            let handling = self.instance.handling(&mail.event, None);
            handling.takes_turn(self.turns.conversation(&mail));
            handling
        }
    }

    fn said(conversation: &str, text: &str) -> Box<Mail> {
        let own: jid::FullJid = "bot@example.org/bot".parse().unwrap();
        let stanza = format!("<message to='{conversation}' type='chat'><body>{text}</body></message>");
        let raw = RawStanza::parse(&stanza, &own.clone().into()).unwrap();
        let message: Arc<Message> = Arc::from(raw.leaving(&own, Timestamp::UNIX_EPOCH).unwrap());
        let event = Event { name: "message".into(), at: Timestamp::UNIX_EPOCH, payload: Payload::Message(message) };
        Box::new(Mail::new(Arc::new(event), vec![SubscriptionId(1)], false))
    }

    fn text_of(mail: &Mail) -> String {
        match &mail.event.payload {
            Payload::Message(message) => message.body.clone().unwrap_or_default(),
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_event_waits_for_the_handler_of_its_conversation_and_for_no_other() {
        let mut stage = Stage::new(256);
        assert_eq!(stage.comes("a@example.org", "a1"), Some("a1".to_owned()));
        let first = stage.handles("a@example.org").await;
        assert_eq!(stage.comes("a@example.org/phone", "a2"), None, "another client of the same person");
        assert_eq!(stage.comes("b@example.org", "b1"), Some("b1".to_owned()));
        let other = stage.handles("b@example.org").await;
        assert_eq!((stage.comes("b@example.org", "b2"), stage.comes("a@example.org", "a3")), (None, None));
        assert_eq!(stage.next(), None);
        drop(first);
        assert_eq!(stage.comes("a@example.org", "a4"), None, "two came before it");
        assert_eq!(stage.next(), Some("a2".to_owned()));
        let second = stage.handles("a@example.org").await;
        assert_eq!(stage.next(), None);
        drop((second, other));
        let rest: Vec<_> = std::iter::from_fn(|| stage.next()).collect();
        assert_eq!(rest, ["b2", "a3", "a4"], "the oldest first");
        assert!(stage.turns.is_empty());
    }

    /// The handler of a room may wait for a timer, or for the verdict of a hook.
    #[tokio::test(start_paused = true)]
    async fn an_event_of_no_conversation_never_waits() {
        let mut stage = Stage::new(256);
        let _runs = stage.handles("a@example.org").await;
        let Payload::Message(message) = said("a@example.org", "checked").event.payload.clone() else {
            panic!("no message")
        };
        let hook = Hook { id: "hookOutgoing-1".to_owned(), plugin: None, args: Vec::new(), message };
        let all = [
            ("timer", Payload::None),
            ("dialog", Payload::None),
            ("x", Payload::Json("1".into())),
            ("hookOutgoing", Payload::Hook(Arc::new(hook))),
        ];
        for (name, payload) in all {
            let event = Event { name: name.into(), at: Timestamp::UNIX_EPOCH, payload };
            let mail = Box::new(Mail::new(Arc::new(event), vec![SubscriptionId(1)], false));
            assert!(stage.turns.admit(mail, &stage.mailbox).is_some(), "{name}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn mail_that_waits_for_its_turn_counts_in_the_mailbox_and_a_conversation_may_take_half_of_it() {
        let mut stage = Stage::new(8);
        let mailbox = Arc::clone(&stage.instance.mailbox);
        let _runs = stage.handles("a@example.org").await;
        let comes = |stage: &mut Stage, jid: &str, text: &str| {
            let is_in = mailbox.deliver(*said(jid, text));
            assert!(stage.take_in().is_none(), "{text}: its turn has not come");
            is_in
        };
        let those_in = (0..6).filter(|number| comes(&mut stage, "a@example.org", &format!("a{number}")));
        assert_eq!(those_in.count(), 4);
        assert_eq!((mailbox.waiting(), mailbox.lost()), (4, 2));
        assert!(!stage.turns.fill_mailbox());
        let _other = stage.handles("b@example.org").await;
        for _ in 0..4 {
            assert!(comes(&mut stage, "b@example.org", "b"));
        }
        assert_eq!(
            (mailbox.waiting(), mailbox.has_room(), mailbox.deliver(*said("c@example.org", "c"))),
            (8, false, false)
        );
        assert!(stage.turns.fill_mailbox());
        let of_nobody = Event { name: "hookOutgoing".into(), at: Timestamp::UNIX_EPOCH, payload: Payload::None };
        let of_nobody = Mail::new(Arc::new(of_nobody), vec![SubscriptionId(1)], false);
        assert!(mailbox.has_room_for_a_request() && mailbox.deliver(of_nobody), "it waits for no turn");
        assert!(stage.mailbox.try_recv().is_ok());
        let left: Vec<_> = stage.turns.take_all(&stage.mailbox).map(|mail| text_of(&mail)).collect();
        assert_eq!(left, ["a0", "a1", "a2", "a3", "b", "b", "b", "b"]);
        assert_eq!((mailbox.waiting(), mailbox.has_room()), (0, true));
        assert!(mailbox.deliver(*said("a@example.org", "a6")), "none of it waits any more");
    }

    #[tokio::test(start_paused = true)]
    async fn people_whose_commands_wait_when_their_plugin_fails_get_an_answer_after_those_whose_were_handled() {
        let command = |text: &str| {
            let mut mail = said("a@example.org", text);
            let Payload::Message(message) = mail.event.payload.clone() else { panic!("no message") };
            let (args, values) = (Vec::new(), Vec::new());
            let payload = Payload::Command { name: "echo".into(), args, message, values, form: None };
            mail.event = Arc::new(Event { name: "command".into(), at: Timestamp::UNIX_EPOCH, payload });
            mail
        };
        let mut stage = Stage::new(256);
        let first = command("a0");
        let handled = stage.instance.handling(&first.event, None);
        handled.takes_turn(stage.turns.conversation(&first));
        for mail in [command("a1"), said("a@example.org", "a2"), command("a3")] {
            assert!(stage.turns.admit(mail, &stage.mailbox).is_none());
        }
        // In the order in which a failed instance drops them.
        drop(handled);
        drop(stage.turns);
        let unanswered = stage.instance.take_unanswered();
        let texts: Vec<_> = unanswered.iter().map(|message| message.body.clone().unwrap_or_default()).collect();
        assert_eq!(texts, ["a0", "a1", "a3"]);
    }

    /// The archive has the messages of all people, and a position in it must pass none.
    #[tokio::test(start_paused = true)]
    async fn a_plugin_that_catches_up_has_the_whole_mailbox_for_one_conversation() {
        let most_of_one = |lines: &str| asking_for(lines).0.mailbox.most_of_one();
        assert_eq!(most_of_one("in_order = true\n"), Some(128));
        let reads = "[permissions]\n\"messages.read\" = { scope = [\"*\"], reason = \"to hear\" }\n";
        let catching_up = format!("in_order = true\ncatch_up = true\n{reads}");
        assert_eq!((most_of_one(""), most_of_one(&catching_up)), (None, None));
    }

    /// An event of the others may be the question to a hook, which has a deadline.
    #[tokio::test(start_paused = true)]
    async fn events_of_conversations_wait_until_the_version_before_has_ended_and_others_do_not() {
        let (instance, mailbox) = in_order(Limits::default());
        let (leaves, inherited) = oneshot::channel();
        let mut incoming = Incoming::new(mailbox, Some(inherited), Turns::of(&instance));
        // The clock is paused: it waits for nothing but what never comes.
        let soon = async |incoming: &mut Incoming| {
            let next = tokio::time::timeout(Duration::from_secs(1), incoming.next()).await;
            next.expect("its turn has come").unwrap()
        };
        let of_nobody = Event { name: "timer".into(), at: Timestamp::UNIX_EPOCH, payload: Payload::None };
        assert!(instance.mailbox.deliver(*said("b@example.org", "b1")));
        assert!(instance.mailbox.deliver(Mail::new(Arc::new(of_nobody), vec![SubscriptionId(1)], false)));
        assert!(incoming.next().now_or_never().is_none(), "the version before has not left its events");
        let (ends, old_ends) = oneshot::channel();
        assert!(leaves.send(Inherited { backlog: vec![said("a@example.org", "a1")], old_ends }).is_ok());
        assert_eq!(&*soon(&mut incoming).await.event.name, "timer");
        assert!(incoming.next().now_or_never().is_none());
        assert!(!incoming.is_empty(), "a plugin that parks does not park then");
        drop(ends);
        let mut texts = Vec::new();
        for _ in 0..2 {
            texts.push(text_of(&*soon(&mut incoming).await));
        }
        assert_eq!((texts, incoming.is_empty()), (vec!["a1".to_owned(), "b1".to_owned()], true));
    }

    #[tokio::test(start_paused = true)]
    async fn a_handler_that_keeps_events_back_for_a_minute_is_named_once_in_a_minute() {
        let mut stage = Stage::new(256);
        let _runs = stage.handles("a@example.org").await;
        let _other = stage.handles("b@example.org").await;
        let mut named = Vec::new();
        for (seconds, conversation) in [(59, "a"), (1, "c"), (0, "a"), (59, "b"), (1, "b")] {
            tokio::time::advance(Duration::from_secs(seconds)).await;
            let before = stage.turns.logged;
            stage.comes(&format!("{conversation}@example.org"), "waits");
            named.push(stage.turns.logged != before);
        }
        assert_eq!(named, [false, false, true, false, true]);
    }

    #[tokio::test(start_paused = true)]
    async fn mail_that_is_put_back_is_the_next_of_its_conversation() {
        let mut stage = Stage::new(256);
        let runs = stage.handles("a@example.org").await;
        assert_eq!(stage.comes("a@example.org", "a2"), None);
        drop(runs);
        assert!(stage.turns.put_back(said("a@example.org", "a1"), &stage.mailbox).is_none());
        assert_eq!((stage.next(), stage.next(), stage.next()), (Some("a1".to_owned()), Some("a2".to_owned()), None));
    }

    #[tokio::test]
    async fn a_plugin_whose_manifest_does_not_ask_for_it_takes_events_as_they_come() {
        assert!(Turns::of(&asking_for("").0).is_none());
    }
}
