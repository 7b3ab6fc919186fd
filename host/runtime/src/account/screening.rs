//! Received messages, and the commands in them, while hooks are asked about them. They are passed to the plugins in the
//! order of arrival, regardless of how long a hook takes.

use std::collections::VecDeque;
use std::future::pending;
use std::sync::Arc;

use parlor_base::id::{InstanceId, PluginId};
use parlor_plugins::policy::hooks::HookOrder;
use parlor_session::event::{Event, Payload};
use parlor_session::{OpenQuestions, PossibleAnswer};
use parlor_stanza::types::{Message, MessageKind};
use tokio::task::JoinHandle;

use super::hooks::incoming::{Given, Judged, Permit, judge, without_text};
use super::shared::Shared;

/// Maximum number of messages of one account that wait for verdicts. Beyond it, the oldest message stops waiting.
const MOST: usize = 256;
/// Maximum weight of these messages, in bytes.
const MOST_BYTES: usize = 8 << 20;

/// The messages that wait, the oldest first.
#[derive(Debug, Default)]
pub(super) struct Screening {
    waiting: VecDeque<Screened>,
    bytes: usize,
}

/// The instances that hear an event.
#[derive(Debug)]
pub(super) enum Audience {
    /// All that listen.
    All,
    /// This one.
    One(InstanceId),
    /// This one, with a command from the form with this id.
    Form(InstanceId, String),
}

/// A message that waits, with its events.
#[derive(Debug)]
pub(super) struct Screened {
    /// The message.
    pub(super) message: Arc<Message>,
    /// The events, each with those that hear it.
    pub(super) events: Vec<(Audience, Event)>,
    /// The questions that it may answer.
    pub(super) questions: OpenQuestions,
    order: Arc<HookOrder>,
    state: State,
    bytes: usize,
}

#[derive(Debug)]
enum State {
    /// No hook was asked yet: more events may be added to it.
    New,
    /// No hook has to be asked. The message only keeps its place in the order.
    Free,
    /// Hooks are asked.
    Asked(JoinHandle<Judged>),
}

/// Returns whether an event is about a received message, also one that cannot be decrypted.
pub(super) fn is_of_message(event: &Event) -> bool {
    matches!(event.payload, Payload::Message(_) | Payload::Command { .. } | Payload::Undecryptable(_))
}

/// Returns the message of an event as hooks see it.
fn message_of(event: &Event, shared: &Shared) -> Option<Arc<Message>> {
    match &event.payload {
        Payload::Message(message) | Payload::Command { message, .. } => Some(Arc::clone(message)),
        Payload::Undecryptable(told) => without_text(shared, told).map(Arc::new),
        _ => None,
    }
}

impl Audience {
    /// Returns the instance, if it is only one.
    pub(super) fn one(&self) -> Option<InstanceId> {
        match self {
            Self::One(instance) | Self::Form(instance, _) => Some(*instance),
            Self::All => None,
        }
    }
}

impl Screened {
    fn new(message: Arc<Message>, events: Vec<(Audience, Event)>, questions: OpenQuestions, shared: &Shared) -> Self {
        let (bytes, order) = (message.raw.weight(), shared.hooks.order());
        Self { message, events, questions, order, state: State::New, bytes }
    }

    /// Returns a message that may answer a question.
    pub(super) fn answer(answer: PossibleAnswer, shared: &Shared) -> Self {
        let PossibleAnswer { message, events, questions } = answer;
        let events = events.into_iter().map(|event| (Audience::All, event)).collect();
        Self::new(message, events, questions, shared)
    }

    /// Returns whether hooks see the message. They do not see what the account wrote itself, and errors.
    fn is_shown(&self) -> bool {
        let is_told = self.events.iter().any(|(_, event)| matches!(&*event.name, "message" | "undecryptable"));
        is_told && !self.message.own && self.message.kind != MessageKind::Error && !self.order.incoming.is_empty()
    }

    /// Returns the instance whose command the message is, with its arguments, if hooks see commands.
    fn command(&self) -> Option<(Option<InstanceId>, &[String])> {
        let found = self.events.iter().find_map(|(to, event)| match &event.payload {
            Payload::Command { args, .. } => Some((to.one(), args.as_slice())),
            _ => None,
        });
        found.filter(|_| !self.order.commands.is_empty())
    }
}

impl Screening {
    /// Returns whether nothing waits.
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Adds an event of a message. Events of one message wait together.
    pub(super) fn put(&mut self, to: Audience, event: Event, shared: &Shared) {
        let Some(message) = message_of(&event, shared) else {
            // An account without an address has never been connected, so nothing came for it.
            return shared.route(event, None);
        };
        if let Some(last) = self.waiting.back_mut()
            && matches!(last.state, State::New)
            && Arc::ptr_eq(&last.message, &message)
        {
            last.events.push((to, event));
            return;
        }
        self.wait(Screened::new(message, vec![(to, event)], OpenQuestions::default(), shared));
    }

    /// Adds a message that may answer a question, with all its events.
    pub(super) fn put_answer(&mut self, answer: PossibleAnswer, shared: &Shared) {
        self.wait(Screened::answer(answer, shared));
    }

    fn wait(&mut self, one: Screened) {
        self.bytes += one.bytes;
        self.waiting.push_back(one);
    }

    /// Begins to ask hooks about the messages that were added. The callback finds the plugin of an instance with commands.
    pub(super) fn begin(&mut self, shared: &Arc<Shared>, plugin_of: impl Fn(InstanceId) -> Option<PluginId>) {
        let Some(first) = self.waiting.iter().position(|one| matches!(one.state, State::New)) else { return };
        for one in self.waiting.iter_mut().skip(first) {
            let is_shown = one.is_shown();
            let command =
                one.command().map(|(to, args)| Given { plugin: to.and_then(&plugin_of), args: args.to_vec() });
            one.state = if is_shown || command.is_some() {
                let (shared, order, message) = (Arc::clone(shared), Arc::clone(&one.order), Arc::clone(&one.message));
                let runtime = shared.place.runtime.clone();
                State::Asked(runtime.spawn(async move { judge(&shared, &order, message, is_shown, command).await }))
            } else {
                State::Free
            };
        }
    }

    /// Returns whether the oldest message only kept its place.
    pub(super) fn is_first_free(&self) -> bool {
        matches!(self.waiting.front(), Some(Screened { state: State::Free, .. }))
    }

    /// Returns whether the limit is exceeded, so that the oldest message must stop waiting.
    pub(super) fn is_full(&self) -> bool {
        self.waiting.len() > MOST || self.bytes > MOST_BYTES
    }

    /// Waits for the verdict about the oldest message, or forever if none waits. Cancel-safe.
    pub(super) async fn verdict(&mut self) -> Judged {
        let Some(first) = self.waiting.front_mut() else { return pending().await };
        match &mut first.state {
            State::Asked(task) => match task.await {
                Ok(judged) => judged,
                // A bug in the host, which the runtime has logged.
                Err(_) => self.overdue(),
            },
            State::New | State::Free => Judged::default(),
        }
    }

    /// Returns what the owner's rule says about the oldest message.
    pub(super) fn overdue(&self) -> Judged {
        let rule = |one: &Screened| Judged::by_rule(&one.order, one.is_shown(), one.command().is_some());
        self.waiting.front().map(rule).unwrap_or_default()
    }

    /// Counts the oldest message for the hooks without which it passes, also for those that have already let it pass.
    pub(super) fn count_overdue(&self, judged: &Judged, shared: &Shared) {
        let Some(one) = self.waiting.front().filter(|_| judged.hidden_but_for.is_none()) else { return };
        if one.is_shown() {
            shared.records.passed_without(&one.order.incoming);
        }
        if one.command().is_some() && judged.command == Permit::Allowed {
            shared.records.passed_without(&one.order.commands);
        }
    }

    /// Has an instance get the commands of the one that it replaces. That one takes no events any more.
    pub(super) fn inherit(&mut self, new: InstanceId, old: InstanceId) {
        for (to, _) in self.waiting.iter_mut().flat_map(|one| &mut one.events) {
            if let Audience::One(instance) | Audience::Form(instance, _) = to
                && *instance == old
            {
                *instance = new;
            }
        }
    }

    /// Takes out the oldest message.
    pub(super) fn take(&mut self) -> Option<Screened> {
        let one = self.waiting.pop_front()?;
        self.bytes -= one.bytes;
        if let State::Asked(task) = &one.state {
            task.abort();
        }
        Some(one)
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use parlor_plugins::limits::Limits;
    use parlor_stanza::raw::RawStanza;

    use super::*;
    use crate::instance::tests::instance;

    /// Hooks may take seconds, and the owner may update the plugin meanwhile.
    #[tokio::test]
    async fn a_command_that_waits_for_hooks_goes_to_the_version_that_replaces_its_plugin() {
        let (instance, _mailbox) = instance("", Limits::default());
        let own: jid::FullJid = "bot@example.org/here".parse().unwrap();
        let mut screening = Screening::default();
        let [old, new, other] = [(); 3].map(|()| InstanceId::next());
        for to in [Audience::One(old), Audience::Form(old, "1".to_owned()), Audience::One(other), Audience::All] {
            let stanza = "<message to='romeo@example.org' type='chat'><body>!say x</body></message>";
            let raw = RawStanza::parse(stanza, &own.clone().into()).unwrap();
            let message: Arc<Message> = Arc::from(raw.leaving(&own, Timestamp::UNIX_EPOCH).unwrap());
            let (args, values) = (Vec::new(), Vec::new());
            let payload = Payload::Command { name: "say".into(), args, message, values, form: None };
            screening.put(to, Event { name: "command".into(), at: Timestamp::UNIX_EPOCH, payload }, &instance.account);
        }
        screening.inherit(new, old);
        let taken = std::iter::from_fn(|| screening.take()).flat_map(|one| one.events);
        let instances: Vec<_> = taken.map(|(to, _)| to.one()).collect();
        assert_eq!(instances, [Some(new), Some(new), Some(other), None]);
    }
}
