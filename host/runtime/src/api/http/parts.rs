//! Bodies in parts, in both directions, at the pace that the limits allow.

use std::time::Duration;

use bytes::Bytes;
use parlor_stanza::error::CallError;
use parlor_web::{Answer, Client, Request, Sender, WebError};
use tokio::time::timeout;
use tokio_util::task::AbortOnDropHandle;

use super::{failed, wait_for};
use crate::instance::Instance;

/// Maximum length of a part that a plugin sends, in bytes.
const LONGEST_PART: usize = 1 << 20;
/// Maximum length of a part that a plugin reads, in bytes.
const LONGEST_READ: usize = 64 << 10;

/// Checks the length of a part that a plugin sends.
pub(crate) fn checked_part(part: &[u8]) -> Result<(), CallError> {
    if part.len() > LONGEST_PART {
        return Err(CallError::invalid("part", format!("longer than {LONGEST_PART} bytes")));
    }
    Ok(())
}

/// A request that is sent while its body is written. Dropping it breaks the request off.
pub(crate) struct Sending {
    sender: Option<Sender>,
    task: AbortOnDropHandle<Result<Answer, WebError>>,
    /// Describes an error to the plugin.
    told: Box<dyn Fn(&WebError) -> CallError + Send + Sync>,
}

impl Sending {
    /// Begins to send. It goes on while nobody polls the plugin's call.
    pub(crate) fn begin(
        instance: &std::sync::Arc<Instance>,
        client: Client,
        request: Request,
        sender: Option<Sender>,
    ) -> Self {
        let task = instance.account.place.runtime.spawn(async move { client.send(request).await });
        let instance = std::sync::Arc::clone(instance);
        Self { sender, task: AbortOnDropHandle::new(task), told: Box::new(move |error| failed(&instance, error)) }
    }

    /// Sends the next part; `None` if the body has ended.
    pub(crate) async fn send(
        &mut self,
        instance: &Instance,
        part: Vec<u8>,
        patience: Duration,
    ) -> Option<Result<(), CallError>> {
        let sender = self.sender.as_mut()?;
        // An empty part says nothing.
        if part.is_empty() {
            return Some(Ok(()));
        }
        let sent = timeout(patience, sender.send(Bytes::from(part))).await;
        Some(match sent {
            Ok(sent) => sent.map_err(|error| failed(instance, &error)),
            Err(_) => Err(CallError::TimedOut),
        })
    }

    /// Ends the body, and waits for the answer.
    pub(crate) async fn answer(self) -> Result<Answer, CallError> {
        let Self { sender, task, told } = self;
        if let Some(sender) = sender {
            sender.finish();
        }
        match task.await {
            Ok(answered) => answered.map_err(|error| told(&error)),
            Err(_) => Err(CallError::Stopped),
        }
    }
}

/// The body of an answer, as far as it was not read.
pub(crate) struct Incoming {
    answer: Option<Answer>,
    /// What has come and was not read.
    rest: Bytes,
}

impl Incoming {
    pub(crate) fn of(answer: Answer) -> Self {
        Self { answer: Some(answer), rest: Bytes::new() }
    }

    /// Returns a body that is there as a whole.
    pub(crate) fn whole(body: Vec<u8>) -> Self {
        Self { answer: None, rest: body.into() }
    }

    /// Reads the next part, at the pace that the limits allow; `None` at the end.
    pub(crate) async fn next(&mut self, instance: &Instance) -> Result<Option<Bytes>, WebError> {
        if self.rest.is_empty() {
            let Some(answer) = &mut self.answer else { return Ok(None) };
            let Some(part) = answer.next().await? else { return Ok(None) };
            self.rest = part;
        }
        let part = self.rest.split_to(self.rest.len().min(LONGEST_READ));
        wait_for(instance.budgets.web_bytes(), part.len()).await;
        Ok(Some(part))
    }
}
