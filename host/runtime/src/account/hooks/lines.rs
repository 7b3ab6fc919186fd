//! The order of outgoing messages while hooks are asked: messages of a plugin to the same recipient keep their order.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jid::BareJid;
use parlor_base::id::InstanceId;
use tokio::sync::oneshot;
use tokio::sync::oneshot::error::TryRecvError;

/// Maximum number of messages of one account that may wait for verdicts. Beyond it, the oldest message stops waiting.
const MOST: usize = 256;

/// A line: the instance that sends, and the recipient.
type Key = (InstanceId, BareJid);

/// A place in a line, by its number, with the end that notices when it is gone.
type Before = (u64, oneshot::Receiver<Gone>);

/// A place is gone. If it was given up before its turn, the next one waits for the place before it.
#[derive(Debug)]
struct Gone(Option<Before>);

/// The messages that wait.
#[derive(Debug, Default)]
pub(super) struct Lines {
    next: u64,
    /// The last message of each line.
    last: HashMap<Key, Before>,
    /// All of them, the oldest first. Dropping one ends its wait for verdicts.
    waiting: VecDeque<(u64, oneshot::Sender<()>)>,
}

/// The place of a message in its line, until this is dropped.
pub(super) struct Place {
    among: Arc<Mutex<Lines>>,
    key: Key,
    number: u64,
    /// The place that is to be gone before its turn comes.
    before: Option<Before>,
    overdue: oneshot::Receiver<()>,
    gone: Option<oneshot::Sender<Gone>>,
}

impl Place {
    /// Takes the last place in a line. If too many wait, the oldest one waits no longer.
    pub(super) fn take(among: &Arc<Mutex<Lines>>, instance: InstanceId, to: BareJid) -> Self {
        let (gone, notices) = oneshot::channel();
        let (keep, overdue) = oneshot::channel();
        let key = (instance, to);
        let mut lines = lock(among);
        if lines.waiting.len() >= MOST {
            lines.waiting.pop_front();
        }
        let number = lines.next;
        lines.next += 1;
        lines.waiting.push_back((number, keep));
        let before = lines.last.insert(key.clone(), (number, notices));
        drop(lines);
        Self { among: Arc::clone(among), key, number, before, overdue, gone: Some(gone) }
    }

    /// Waits for this, or until too many others wait. None: it has waited for too long.
    pub(super) async fn unless_overdue<T>(&mut self, verdict: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            biased;
            verdict = verdict => Some(verdict),
            _ = &mut self.overdue => None,
        }
    }

    /// Waits until those before it in the line are gone.
    pub(super) async fn comes(&mut self) {
        // It is kept meanwhile: if the plugin gives up the call, the next one has to wait for it.
        while let Some((_, notices)) = &mut self.before {
            self.before = notices.await.ok().and_then(|Gone(earlier)| earlier);
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut lines = lock(&self.among);
        let number = self.number;
        lines.waiting.retain(|(one, _)| *one != number);
        let before = still(self.before.take());
        let is_last = lines.last.get(&self.key).is_some_and(|(last, _)| *last == number);
        match (is_last, before) {
            (true, None) => _ = lines.last.remove(&self.key),
            (true, Some(before)) => _ = lines.last.insert(self.key.clone(), before),
            (false, before) => _ = self.gone.take().map(|gone| gone.send(Gone(before))),
        }
    }
}

/// Returns the place that still has to be gone; `None` if all are.
fn still(mut before: Option<Before>) -> Option<Before> {
    while let Some((_, notices)) = &mut before {
        match notices.try_recv() {
            Ok(Gone(earlier)) => before = earlier,
            Err(TryRecvError::Closed) => before = None,
            Err(TryRecvError::Empty) => break,
        }
    }
    before
}

fn lock(lines: &Mutex<Lines>) -> MutexGuard<'_, Lines> {
    lines.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::future::pending;
    use std::pin::pin;

    use futures_util::poll;

    use super::*;

    fn take(lines: &Arc<Mutex<Lines>>, instance: InstanceId, to: &str) -> Place {
        Place::take(lines, instance, to.parse().unwrap())
    }

    #[tokio::test]
    async fn messages_of_one_line_go_one_after_the_other_and_those_of_others_do_not_wait() {
        let (lines, one, two) = (Arc::<Mutex<Lines>>::default(), InstanceId::next(), InstanceId::next());
        let first = take(&lines, one, "a@b");
        let (mut second, mut third) = (take(&lines, one, "a@b"), take(&lines, one, "a@b"));
        let (mut elsewhere, mut of_another) = (take(&lines, one, "c@b"), take(&lines, two, "a@b"));
        elsewhere.comes().await;
        of_another.comes().await;
        {
            let (mut comes, mut last) = (pin!(second.comes()), pin!(third.comes()));
            assert!(poll!(comes.as_mut()).is_pending() && poll!(last.as_mut()).is_pending());
            drop(first);
            assert!(poll!(comes.as_mut()).is_ready() && poll!(last.as_mut()).is_pending());
        }
        drop((second, third, elsewhere, of_another));
        let left = lock(&lines);
        assert!(left.last.is_empty() && left.waiting.is_empty());
    }

    /// A plugin may give up a call that waits.
    #[tokio::test]
    async fn one_that_is_given_up_lets_none_behind_it_overtake_those_before_it() {
        let (lines, instance) = (Arc::<Mutex<Lines>>::default(), InstanceId::next());
        let first = take(&lines, instance, "a@b");
        let (mut second, mut third) = (take(&lines, instance, "a@b"), take(&lines, instance, "a@b"));
        {
            let mut comes = pin!(second.comes());
            assert!(poll!(comes.as_mut()).is_pending());
        }
        drop(second);
        {
            let mut comes = pin!(third.comes());
            assert!(poll!(comes.as_mut()).is_pending(), "in the middle");
        }
        drop(third);
        let mut fourth = take(&lines, instance, "a@b");
        {
            let mut comes = pin!(fourth.comes());
            assert!(poll!(comes.as_mut()).is_pending(), "at the end");
            drop(first);
            assert!(poll!(comes.as_mut()).is_ready());
        }
        drop(fourth);
        let left = lock(&lines);
        assert!(left.last.is_empty() && left.waiting.is_empty());
    }

    #[tokio::test]
    async fn one_too_many_ends_the_wait_of_the_oldest() {
        let (lines, instance) = (Arc::<Mutex<Lines>>::default(), InstanceId::next());
        let mut all: Vec<_> = (0..MOST).map(|number| take(&lines, instance, &format!("{number}@b"))).collect();
        assert_eq!(all[0].unless_overdue(async { 7 }).await, Some(7));
        let _more = take(&lines, instance, "more@b");
        assert_eq!(all[0].unless_overdue(pending::<u8>()).await, None);
        let mut second = pin!(all[1].unless_overdue(pending::<u8>()));
        assert!(poll!(second.as_mut()).is_pending());
    }
}
