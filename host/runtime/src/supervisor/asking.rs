//! Tells an instance of a request that only the plugin can answer, and waits for the answer.

use std::time::Duration;

use parlor_session::router::{Handled, Mail};

use crate::instance::{Instance, UnansweredRequest};

/// How a request ended.
#[derive(Debug)]
pub(super) enum Outcome<A> {
    /// The plugin answered.
    Answered(A),
    /// Its handlers returned without an answer.
    Returned,
    /// A handler failed, or its instance ended.
    Failed,
    /// The time was over before.
    Late,
    /// There was no room in the mailbox.
    NotTold,
}

/// Tells an instance of a request, and waits for the answer for so long.
pub(super) async fn ask<A>(
    instance: &Instance,
    mail: Mail,
    mut unanswered: UnansweredRequest<A>,
    time: Duration,
) -> Outcome<A> {
    let (mail, handled) = mail.with_receipt();
    if !instance.mailbox.deliver(mail) {
        return Outcome::NotTold;
    }
    let outcome = tokio::select! {
        biased;
        answer = &mut unanswered.answer => match answer {
            Ok(answer) => return Outcome::Answered(answer),
            Err(_) => Outcome::Failed,
        },
        handled = handled => match handled {
            Ok(Handled::Well) => Outcome::Returned,
            Ok(Handled::Failed | Handled::CutOff) | Err(_) => Outcome::Failed,
        },
        () = tokio::time::sleep(time) => Outcome::Late,
    };
    // It may have answered at the same time.
    unanswered.answer.try_recv().map_or(outcome, Outcome::Answered)
}
