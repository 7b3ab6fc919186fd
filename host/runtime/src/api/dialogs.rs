//! `dialogs`: questions to people.

use std::sync::Arc;
use std::time::Duration;

use jid::Jid;
use parlor_session::permissions::{CallName, Granted, Target};
use parlor_session::{BeginDialog, DialogEnd, Question};
use parlor_stanza::error::CallError;
use wasmtime::AsContextMut;
use wasmtime::component::{Accessor, AccessorTask, GuestTaskId};

use super::pacing::pace_bytes;
use super::{answer, bare_jid, jid, words};
use crate::bindings::parlor::plugin::dialogs::{self as wit, Host, HostWithStore};
use crate::bindings::parlor::plugin::types::Error;
use crate::instance::{Asked, Context, Grouping, Instance, OpenCall, OpenDialog, Resting, outgoing};

/// Maximum length of a nickname, in bytes.
const LONGEST_NICK: usize = 1_023;

impl Host for Context {
    fn take(&mut self, dialog: u64) -> Result<wit::Answer, Error> {
        answer(given(self.instance.seldom.dialogs.take(dialog)))
    }

    fn cancel(&mut self, dialog: u64) -> Result<(), Error> {
        let was_there = self.instance.seldom.dialogs.cancel(dialog);
        answer(was_there.then_some(()).ok_or_else(|| CallError::NotFound(format!("question {dialog}"))))
    }
}

impl<T: Send + 'static> HostWithStore<T> for Grouping {
    async fn ask(accessor: &Accessor<T, Self>, to: String, question: wit::Question) -> Result<wit::Answer, Error> {
        let caller = Caller::new(accessor, CallName::DialogsAsk);
        answer(caller.person(&to, question).await).map(Waiting::end)?.await
    }

    async fn ask_in_room(
        accessor: &Accessor<T, Self>,
        room: String,
        nick: String,
        question: wit::Question,
    ) -> Result<wit::Answer, Error> {
        let caller = Caller::new(accessor, CallName::DialogsAskInRoom);
        answer(caller.occupant(&room, nick, question).await).map(Waiting::end)?.await
    }

    async fn begin(accessor: &Accessor<T, Self>, to: String, question: wit::Question) -> Result<u64, Error> {
        let caller = Caller::new(accessor, CallName::DialogsBegin);
        answer(caller.person(&to, question).await.and_then(|begun| begun.begin(accessor)))
    }

    async fn begin_in_room(
        accessor: &Accessor<T, Self>,
        room: String,
        nick: String,
        question: wit::Question,
    ) -> Result<u64, Error> {
        let caller = Caller::new(accessor, CallName::DialogsBeginInRoom);
        answer(caller.occupant(&room, nick, question).await.and_then(|begun| begun.begin(accessor)))
    }

    async fn wait(accessor: &Accessor<T, Self>, dialog: u64) -> Result<wit::Answer, Error> {
        let Caller { instance, open, task } = Caller::new(accessor, CallName::DialogsWait);
        let end = instance.seldom.dialogs.wait(dialog);
        let resting = Resting::begin(&instance, task);
        drop(open);
        let end = end.await.unwrap_or(Err(CallError::Stopped));
        drop(resting);
        answer(given(end))
    }
}

/// The plugin that asks, with the handler that does.
struct Caller {
    instance: Arc<Instance>,
    open: OpenCall,
    task: Option<GuestTaskId>,
}

impl Caller {
    /// Takes note of the caller. It is known only before the call waits for anything.
    ///
    /// The limit `open_calls` does not count here: the limit `dialogs` does, and hundreds may ask at once.
    fn new<T: Send + 'static>(accessor: &Accessor<T, Grouping>, call: CallName) -> Self {
        let (instance, task) = accessor.with(|mut access| {
            let instance = Arc::clone(&access.get().instance);
            let task = access.as_context_mut().async_call_stack().ok().and_then(Iterator::last);
            (instance, task)
        });
        let open = instance.count_call(call);
        Self { instance, open, task }
    }

    async fn person(self, to: &str, question: wit::Question) -> Result<Waiting, CallError> {
        let to = jid("to", to)?;
        let granted = self.open.granted(Target::Jid(&to))?;
        self.ask(&granted, to, None, question).await
    }

    async fn occupant(self, room: &str, nick: String, question: wit::Question) -> Result<Waiting, CallError> {
        let room = bare_jid("room", room)?;
        let granted = self.open.granted(Target::Room(&room))?;
        words("nick", &nick, LONGEST_NICK)?;
        self.ask(&granted, room.into(), Some(nick), question).await
    }

    /// Asks. From the time that the question is queued, the call does not count as open any more.
    async fn ask(
        self,
        granted: &Granted,
        to: Jid,
        nick: Option<String>,
        question: wit::Question,
    ) -> Result<Waiting, CallError> {
        let Self { instance, open: call, task } = self;
        let wit::Question { text, choices, timeout } = question;
        let question = Question::check(text, choices, timeout.map(Duration::from_millis))?;
        let weight = question.weight();
        let open = OpenDialog::begin(&instance, weight)?;
        pace_bytes(&instance, granted, weight).await?;
        let (mailbox, most) = (Arc::clone(&instance.mailbox), instance.limits.dialogs as usize);
        let (draft, plugin) = (question.message(nick.as_deref()), instance.plugin.clone());
        let begins = BeginDialog { mailbox, plugin, to, nick, question, draft, most };
        let ends = outgoing::question(&instance, call.name(), begins).await?;
        drop(call);
        Ok(Waiting { asked: Asked { instance, open, ends }, task })
    }
}

/// A question that was asked, with the handler that asked.
struct Waiting {
    asked: Asked,
    task: Option<GuestTaskId>,
}

impl Waiting {
    /// Waits for the end. The handler takes no place meanwhile.
    async fn end(self) -> Result<wit::Answer, Error> {
        let Self { mut asked, task } = self;
        let resting = Resting::begin(&asked.instance, task);
        let end = asked.wait().await;
        drop(resting);
        answer(given(end))
    }

    /// Starts the task that reports the end to the plugin.
    fn begin<T: Send + 'static>(self, accessor: &Accessor<T, Grouping>) -> Result<u64, CallError> {
        let instance = Arc::clone(&self.asked.instance);
        let (id, tells) = self.asked.begin();
        if let Err(error) = accessor.spawn(Telling(tells)) {
            instance.seldom.dialogs.cancel(id);
            return Err(CallError::Other(error.to_string()));
        }
        Ok(id)
    }
}

/// Reports the end of a question to the plugin, concurrently with its calls and for as long as it runs.
struct Telling<F>(F);

impl<T: Send + 'static, F: Future<Output = ()> + Send + 'static> AccessorTask<T, Grouping> for Telling<F> {
    async fn run(self, _: &Accessor<T, Grouping>) -> wasmtime::Result<()> {
        self.0.await;
        Ok(())
    }
}

/// Converts the end of a question into what the contract has.
fn given(end: DialogEnd) -> Result<wit::Answer, CallError> {
    end.map(|answer| wit::Answer { text: answer.text, choice: answer.choice })
}
