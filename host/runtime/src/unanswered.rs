//! The requests to a plugin that wait for its answer: requests to its webhooks, requests of other entities (IQs),
//! requests of other plugins, and questions to it as a hook.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use parlor_session::router::{Handled, Mail, Mailbox};
use parlor_stanza::altered::Texts;
use parlor_stanza::types::Reply;
use tokio::sync::oneshot;

/// An answer of a plugin to a request to a webhook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebhookAnswer {
    /// The status code.
    pub status: u16,
    /// The headers, with their names in small letters.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

/// The answer to a request of another plugin: JSON, or why it is refused.
pub(crate) type CallAnswer = Result<String, String>;

/// The verdict of a hook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It passes.
    Allow,
    /// It passes with other texts. Only an outgoing message.
    Alter(Texts),
    /// It is stopped, for this reason.
    Stop(Option<String>),
    /// It passes with this label. Only an incoming message.
    Mark(String),
}

/// The waiting requests, by kind. They take no memory before the first one.
#[derive(Debug, Default)]
pub(crate) struct Unanswered(OnceLock<Arc<Kinds>>);

/// The kinds of requests, each made when it is first used. Most plugins answer none.
#[derive(Debug, Default)]
struct Kinds {
    webhooks: OnceLock<Arc<Waiting<WebhookAnswer>>>,
    iqs: OnceLock<Arc<Waiting<Reply>>>,
    calls: OnceLock<Arc<Waiting<CallAnswer>>>,
    hooks: OnceLock<Arc<Waiting<Verdict>>>,
}

impl Unanswered {
    /// Returns the same requests for an instance that replaces another one: it answers those that the other one received.
    pub(crate) fn shared(&self) -> Self {
        Self(OnceLock::from(Arc::clone(self.kinds())))
    }

    /// Returns the requests to webhooks.
    pub(crate) fn webhooks(&self) -> &Arc<Waiting<WebhookAnswer>> {
        self.kinds().webhooks.get_or_init(Arc::default)
    }

    /// Returns the requests of other entities (IQs).
    pub(crate) fn iqs(&self) -> &Arc<Waiting<Reply>> {
        self.kinds().iqs.get_or_init(Arc::default)
    }

    /// Returns the requests of other plugins.
    pub(crate) fn calls(&self) -> &Arc<Waiting<CallAnswer>> {
        self.kinds().calls.get_or_init(Arc::default)
    }

    /// Returns the questions to it as a hook.
    pub(crate) fn hooks(&self) -> &Arc<Waiting<Verdict>> {
        self.kinds().hooks.get_or_init(Arc::default)
    }

    fn kinds(&self) -> &Arc<Kinds> {
        self.0.get_or_init(Arc::default)
    }
}

/// The receivers of answers, by the id of the request.
type Senders<A> = HashMap<String, oneshot::Sender<A>>;

/// The requests of one kind that wait. They take no memory while there are none.
#[derive(Debug)]
pub(crate) struct Waiting<A>(Mutex<Option<Box<Senders<A>>>>);

impl<A> Default for Waiting<A> {
    fn default() -> Self {
        Self(Mutex::new(None))
    }
}

impl<A> Waiting<A> {
    /// Answers a request. Returns false if the request does not wait any more.
    pub(crate) fn answer(&self, id: &str, answer: A) -> bool {
        let waits = self.senders().as_mut().and_then(|senders| senders.remove(id));
        waits.is_some_and(|waits| waits.send(answer).is_ok())
    }

    /// Returns whether somebody waits for the answer to this request.
    pub(crate) fn waits(&self, id: &str) -> bool {
        self.senders().as_ref().is_some_and(|senders| senders.contains_key(id))
    }

    /// Returns whether one more may wait under this limit.
    pub(crate) fn has_room(&self, most: u32) -> bool {
        self.senders().as_ref().map_or(0, |senders| senders.len()) < most as usize
    }

    fn senders(&self) -> MutexGuard<'_, Option<Box<Senders<A>>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request that waits for an answer, until this is dropped.
pub(crate) struct UnansweredRequest<A> {
    among: Arc<Waiting<A>>,
    id: String,
    answer: oneshot::Receiver<A>,
}

impl<A> UnansweredRequest<A> {
    /// Lets a request wait for an answer; `None` if as many wait as may.
    pub(crate) fn begin(among: &Arc<Waiting<A>>, id: String, most: u32) -> Option<Self> {
        let mut senders = among.senders();
        let all = senders.get_or_insert_default();
        if all.len() >= most as usize {
            return None;
        }
        let (sender, answer) = oneshot::channel();
        all.insert(id.clone(), sender);
        drop(senders);
        Some(Self { among: Arc::clone(among), id, answer })
    }

    /// Tells the plugin with this mailbox of the request, and waits for the answer for so long.
    pub(crate) fn ask(self, mailbox: &Mailbox, mail: Mail, time: Duration) -> impl Future<Output = Outcome<A>> {
        self.ask_leaving(mailbox, mail, time, drop)
    }

    /// Does the same. If nobody waits for the answer any more, and there was none, `leave` gets what tells that the handler has ended.
    pub(crate) async fn ask_leaving(
        mut self,
        mailbox: &Mailbox,
        mail: Mail,
        time: Duration,
        leave: impl FnOnce(oneshot::Receiver<Handled>),
    ) -> Outcome<A> {
        let (mail, handled) = mail.with_receipt();
        let mut receipt = Receipt { handled, leave: Some(leave) };
        if !mailbox.deliver(mail) {
            return Outcome::NotTold;
        }
        let outcome = tokio::select! {
            biased;
            answer = &mut self.answer => answer.map_or(Outcome::Failed, Outcome::Answered),
            handled = &mut receipt.handled => match handled {
                Ok(Handled::Well) => Outcome::Returned,
                Ok(Handled::Failed | Handled::CutOff) => Outcome::Failed,
                Err(_) => Outcome::NotTold,
            },
            () = tokio::time::sleep(time) => Outcome::Late,
        };
        // It may have answered at the same time.
        let outcome = self.answer.try_recv().map_or(outcome, Outcome::Answered);
        if matches!(outcome, Outcome::Answered(_)) {
            receipt.leave = None;
        }
        outcome
    }
}

/// Tells that the handler of a request has ended. Dropped before that, it is left to somebody else.
struct Receipt<L: FnOnce(oneshot::Receiver<Handled>)> {
    handled: oneshot::Receiver<Handled>,
    /// None: there was an answer.
    leave: Option<L>,
}

impl<L: FnOnce(oneshot::Receiver<Handled>)> Drop for Receipt<L> {
    fn drop(&mut self) {
        if let Some(leave) = self.leave.take() {
            let (_, nothing) = oneshot::channel();
            leave(std::mem::replace(&mut self.handled, nothing));
        }
    }
}

/// How a request ended.
#[derive(Debug)]
pub(crate) enum Outcome<A> {
    /// The plugin answered.
    Answered(A),
    /// Its handlers returned without an answer.
    Returned,
    /// A handler failed, or its instance ended before it returned.
    Failed,
    /// The time was over before.
    Late,
    /// No handler began: the mailbox was full, or its instance ended before.
    NotTold,
}

impl<A> Drop for UnansweredRequest<A> {
    fn drop(&mut self) {
        let mut senders = self.among.senders();
        if let Some(all) = senders.as_mut() {
            all.remove(&self.id);
            if all.is_empty() {
                *senders = None;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;
    use jiff::Timestamp;
    use parlor_plugins::limits::Limits;
    use parlor_session::event::{Event, Payload};
    use parlor_session::router::SubscriptionId;

    use super::*;
    use crate::instance::tests::instance;

    #[test]
    fn a_request_is_answered_once_by_its_id_while_somebody_waits() {
        let waiting = Arc::<Waiting<u8>>::default();
        let begin = |id: &str| UnansweredRequest::begin(&waiting, id.to_owned(), 2);
        let (mut one, two) = (begin("one").unwrap(), begin("two").unwrap());
        assert!(begin("three").is_none() && !waiting.has_room(2) && waiting.has_room(3));
        assert!(!waiting.answer("three", 0), "nobody asked that");
        assert!(waiting.waits("one") && waiting.answer("one", 1) && !waiting.answer("one", 2));
        assert_eq!(one.answer.try_recv(), Ok(1));
        drop(two);
        assert!(!waiting.waits("two") && !waiting.answer("two", 2), "its time is over");
    }

    /// Nobody has acted upon it, so its sender may ask again. The plugin may be disabled, or fail by another event.
    #[tokio::test]
    async fn a_request_whose_plugin_ends_before_a_handler_begins_is_one_that_was_not_told() {
        let (instance, mailbox) = instance("", Limits::default());
        let event = Event { name: "webhook".into(), at: Timestamp::UNIX_EPOCH, payload: Payload::None };
        let mail = Mail::new(Arc::new(event), vec![SubscriptionId(1)], false);
        let request = UnansweredRequest::<u8>::begin(&Arc::default(), "1".to_owned(), 1).unwrap();
        let mut asking = Box::pin(request.ask(&instance.mailbox, mail, Duration::from_mins(1)));
        assert!((&mut asking).now_or_never().is_none());
        assert_eq!(instance.mailbox.waiting(), 1);
        drop(mailbox);
        let outcome = asking.await;
        assert!(matches!(outcome, Outcome::NotTold), "{outcome:?}");
    }

    #[test]
    fn a_request_that_is_given_up_without_an_answer_is_left() {
        let left = std::cell::Cell::new(0);
        let drop_one = |is_answered: bool| {
            let (_handler, handled) = oneshot::channel();
            let mut receipt =
                Receipt { handled, leave: Some(|_: oneshot::Receiver<Handled>| left.set(left.get() + 1)) };
            if is_answered {
                receipt.leave = None;
            }
            drop(receipt);
        };
        drop_one(true);
        assert_eq!(left.get(), 0);
        drop_one(false);
        assert_eq!(left.get(), 1);
    }
}
