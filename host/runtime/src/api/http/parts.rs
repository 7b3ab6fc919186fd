//! Bodies in parts, in both directions, at the pace that the limits allow.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use parlor_base::held::Holding;
use parlor_stanza::error::CallError;
use parlor_web::{Answer, Client, Request, Sender, WebError};
use tokio::task::JoinError;
use tokio::time::timeout;
use tokio_util::task::AbortOnDropHandle;

use super::underway::Underway;
use super::wait_for;
use crate::instance::Instance;
use crate::settings::Mask;

/// Maximum length of a part that a plugin sends, in bytes.
const LONGEST_PART: usize = 1 << 20;
/// Maximum length of a part that a plugin reads, in bytes. A sent part is paced in such steps, too: no limit is less.
const LONGEST_READ: usize = 64 << 10;

/// Checks the length of a part that a plugin sends.
pub(crate) fn checked_part(part: &[u8]) -> Result<(), CallError> {
    if part.len() > LONGEST_PART {
        return Err(CallError::invalid("part", format!("longer than {LONGEST_PART} bytes")));
    }
    Ok(())
}

/// A part that waits to be sent. It counts among what the host holds for the plugin until it was.
struct Held {
    part: Vec<u8>,
    _holding: Holding,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.part
    }
}

/// The result of the task that sends a request.
type Ended = Result<Result<Answer, WebError>, JoinError>;

/// A request that is sent while its body is written. Dropping it breaks the request off.
pub(crate) struct Sending {
    sender: Option<Sender>,
    task: AbortOnDropHandle<Result<Answer, WebError>>,
    /// The result of `task`, once the server took no more of the body.
    ended: Option<Box<Ended>>,
    underway: Underway,
}

impl Sending {
    /// Begins to send. It continues while the plugin's call is not polled.
    pub(crate) fn begin(instance: &Arc<Instance>, client: Client, request: Request, sender: Option<Sender>) -> Self {
        let mut underway = Underway::begin(instance, &request.method, &request.to);
        underway.sends(request.body.length_of_whole());
        let task = instance.account.place.runtime.spawn(async move { client.begin(request).await });
        Self { sender, task: AbortOnDropHandle::new(task), ended: None, underway }
    }

    /// Returns whether the answer is there, or the request has failed. The rest of the body changes nothing then.
    pub(crate) fn has_ended(&self) -> bool {
        self.task.is_finished()
    }

    /// Sends the next part; `None` if the body has ended. If the request has failed, `told` makes the error of it.
    pub(crate) async fn send(
        &mut self,
        instance: &Instance,
        part: Vec<u8>,
        patience: Duration,
        told: impl FnOnce(&WebError) -> CallError,
    ) -> Option<Result<(), CallError>> {
        let sender = self.sender.as_mut()?;
        // An empty part says nothing.
        if part.is_empty() {
            return Some(Ok(()));
        }
        let holding = match instance.hold(part.len()) {
            Ok(holding) => holding,
            Err(error) => return Some(Err(error)),
        };
        let length = part.len();
        let sent = timeout(patience, async {
            for step in part.chunks(LONGEST_READ) {
                wait_for(instance.lasting.budgets.web_sent(), step.len()).await;
            }
            sender.send(Bytes::from_owner(Held { part, _holding: holding })).await
        });
        let sent = sent.await;
        Some(match sent {
            Ok(Ok(())) => {
                self.underway.sends(length);
                Ok(())
            }
            Ok(Err(error)) => Err(self.refused(&error, patience, told).await),
            Err(_) => Err(CallError::TimedOut),
        })
    }

    /// Returns why the server takes no more of the body: it has answered, or the request has failed. The result is kept
    /// for [`Self::answer`].
    async fn refused(
        &mut self,
        error: &WebError,
        patience: Duration,
        told: impl FnOnce(&WebError) -> CallError,
    ) -> CallError {
        let is_new = self.ended.is_none();
        if is_new {
            self.ended = timeout(patience, &mut self.task).await.ok().map(Box::new);
        }
        match self.ended.as_deref() {
            Some(Ok(Ok(answer))) => {
                self.underway.answered(answer.status);
                CallError::Protocol(format!("{error}, and answered {}", answer.status))
            }
            Some(Ok(Err(cause))) if is_new => {
                self.underway.refused_by(cause);
                self.underway.failed(cause);
                told(cause)
            }
            // It was told and noted before.
            Some(Ok(Err(cause))) => CallError::Protocol(cause.to_string()),
            Some(Err(_)) | None => CallError::Protocol(error.to_string()),
        }
    }

    /// Ends the body, and waits for the answer. The answer's body is counted with the request.
    pub(crate) async fn answer(
        self,
        patience: Duration,
        told: impl FnOnce(&WebError) -> CallError,
    ) -> Result<(Answer, Underway), CallError> {
        let Self { sender, task, ended, mut underway } = self;
        if let Some(sender) = sender {
            sender.finish();
        }
        let ended = match ended {
            Some(ended) => Ok(*ended),
            None => timeout(patience, task).await,
        };
        let answered = match ended {
            Ok(Ok(answered)) => answered.map_err(|error| {
                underway.refused_by(&error);
                told(&error)
            }),
            Ok(Err(_)) => Err(CallError::Stopped),
            Err(_) => Err(CallError::TimedOut),
        };
        match answered {
            Ok(answer) => {
                underway.answered(answer.status);
                Ok((answer, underway))
            }
            Err(error) => {
                underway.failed(&error);
                Err(error)
            }
        }
    }
}

/// The body of an answer, as far as it was not read. No credential of the plugin is in it.
pub(crate) struct Incoming {
    answer: Option<Answer>,
    /// The bytes that have come and were not read.
    rest: Bytes,
    mask: Mask,
    /// The request that it answers, until all of the answer has come.
    underway: Option<Underway>,
    /// The share of the plugin's limits that these bytes take, if the whole answer is in memory.
    _held: Vec<Holding>,
}

impl Incoming {
    pub(crate) fn of(answer: Answer, mask: Mask, underway: Underway) -> Self {
        Self { answer: Some(answer), rest: Bytes::new(), mask, underway: Some(underway), _held: Vec::new() }
    }

    /// Returns a body that is there as a whole.
    pub(crate) fn whole(body: Vec<u8>, mask: Mask) -> Self {
        Self { answer: None, rest: body.into(), mask, underway: None, _held: Vec::new() }
    }

    /// Returns another body in place of this one, of which [`Incoming::part`] gave all.
    pub(crate) fn with_body(self, body: Vec<u8>, held: Vec<Holding>) -> Self {
        Self { answer: None, rest: body.into(), mask: self.mask, underway: None, _held: held }
    }

    /// Reads the next part, at the pace that the limits allow; `None` at the end.
    pub(crate) async fn next(
        &mut self,
        instance: &Instance,
        patience: Duration,
        told: impl FnOnce(&WebError) -> CallError,
    ) -> Result<Option<Vec<u8>>, CallError> {
        // All of it: a server that sends a byte now and then would keep the call for as long as nothing can be shown.
        match timeout(patience, self.shown(instance)).await {
            Ok(part) => part.map_err(|error| told(&error)),
            Err(_) => Err(CallError::TimedOut),
        }
    }

    async fn shown(&mut self, instance: &Instance) -> Result<Option<Vec<u8>>, WebError> {
        loop {
            let Some(part) = self.part(instance).await? else {
                return Ok(Some(self.mask.rest()).filter(|rest| !rest.is_empty()));
            };
            let shown = self.mask.part(part);
            if !shown.is_empty() {
                return Ok(Some(shown));
            }
        }
    }

    /// Reads the next part as it is, at the pace that the limits allow: at most 64 KiB, in which credentials may be.
    pub(crate) async fn part(&mut self, instance: &Instance) -> Result<Option<Bytes>, WebError> {
        if self.rest.is_empty() {
            let Some(answer) = &mut self.answer else { return Ok(None) };
            let part = answer.next().await;
            if let (Err(error), Some(underway)) = (&part, &mut self.underway) {
                underway.failed(error);
            }
            let Some(part) = part? else { return Ok(None) };
            if let Some(underway) = &mut self.underway {
                underway.receives(part.len());
            }
            self.rest = part;
        }
        let length = self.rest.len().min(LONGEST_READ);
        wait_for(instance.lasting.budgets.web_received(), length).await;
        // Taken after the last wait: of a call that is given up, the mask must not miss a part.
        Ok(Some(self.rest.split_to(length)))
    }
}
