//! Lets a plugin answer a request to a webhook of the mode `answer`.

use std::sync::Arc;
use std::time::Duration;

use parlor_store::{Acceptance, Accepted, RequestState, WebhookRequest};
use tokio::time::timeout;

use super::super::Shared;
use super::super::staying::running_now;
use super::reply::{Reply, refused};
use super::telling;
use crate::instance::{Instance, WebhookAnswer};
use crate::unanswered::{Outcome, UnansweredRequest};
use crate::webhooks::Webhooks;

/// The status of a request whose handler returned without an answer.
const NO_CONTENT: u16 = 204;
/// The status of a request whose handler failed.
const FAILED: u16 = 500;
/// The status of a request that was not answered in time.
const LATE: u16 = 504;
/// How long a reply waits for an answer of the cluster. A node that gets none for so long has lost its lease.
const CONFIRMED: Duration = Duration::from_secs(5);

/// Passes a request to the plugin, and waits for its answer.
pub(super) async fn answer(
    shared: &Arc<Shared>,
    webhooks: &Webhooks,
    request: WebhookRequest,
    acceptance: Acceptance,
) -> Reply {
    let Some(instance) = running_now(shared) else { return Reply::Busy };
    // Check this first: a sender that is asked to retry repeats the same signature.
    if !takes(&instance) {
        return Reply::Busy;
    }
    // Before it is passed on: the same signature must not pass twice, also not after a restart.
    let id = match webhooks.stored.accept(request.clone(), acceptance).await {
        Ok(Accepted::As(id)) => id,
        other => return refused(&other),
    };
    let reply = pass(&instance, id, &request).await;
    let noted = match &reply {
        Reply::Answer(WebhookAnswer { status, .. }) | Reply::NoAnswer(status) => {
            webhooks.stored.note(id, 1, RequestState::Answered(*status)).await
        }
        // The plugin has not heard of it, or another node may have the account by now. The sender asks again.
        Reply::Stored | Reply::Again | Reply::Busy | Reply::Failed => {
            webhooks.stored.take_back(id, request.webhook, acceptance.once).await
        }
    };
    // It is only shown to the owner.
    if let Err(error) = noted {
        tracing::warn!(plugin = %shared.admitted.id, account = %shared.account.name, %error, "the outcome of a request cannot be written");
    }
    reply
}

/// Returns whether it could be passed on now.
fn takes(instance: &Instance) -> bool {
    instance.account.router.listens(instance.id, "webhook")
        // An event that is not on disk needs the rest of the room more.
        && instance.mailbox.has_room_for_a_request()
        && instance.lasting.unanswered.webhooks().has_room(instance.limits.webhook_queue)
}

async fn pass(instance: &Arc<Instance>, id: i64, request: &WebhookRequest) -> Reply {
    let (webhooks, most) = (instance.lasting.unanswered.webhooks(), instance.limits.webhook_queue);
    let Some(unanswered) = UnansweredRequest::begin(webhooks, id.to_string(), most) else { return Reply::Busy };
    let Some(mail) = telling::mail(instance, id, 1, request) else { return Reply::Busy };
    let outcome = unanswered.ask(&instance.mailbox, mail, instance.limits.webhook_time).await;
    reply_to(instance, outcome).await
}

/// Returns the reply to a request of which the plugin was told. If another node may have the account by now, the plugin's
/// answer is left out, and the sender is asked to retry.
async fn reply_to(instance: &Instance, outcome: Outcome<WebhookAnswer>) -> Reply {
    if timeout(CONFIRMED, instance.account.may_act.now_or_confirmed()).await != Ok(true) {
        return Reply::Busy;
    }
    match outcome {
        Outcome::Answered(answer) => Reply::Answer(answer),
        Outcome::Returned => Reply::NoAnswer(NO_CONTENT),
        Outcome::Failed => Reply::NoAnswer(FAILED),
        Outcome::Late => Reply::NoAnswer(LATE),
        Outcome::NotTold => Reply::Busy,
    }
}

#[cfg(test)]
mod tests {
    use futures_util::future::{BoxFuture, pending};

    use super::*;
    use crate::instance::tests::{of_a_cluster, that_may_act};
    use crate::may_act::{MayAct, Permission};

    /// A permission while the cluster does not answer.
    struct Unconfirmed;

    impl Permission for Unconfirmed {
        fn now(&self) -> bool {
            true
        }

        fn is_fresh(&self) -> bool {
            false
        }

        fn confirmed(&self) -> BoxFuture<'static, bool> {
            Box::pin(pending())
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_sender_does_not_wait_until_a_cluster_that_is_cut_off_answers() {
        let (instance, _mailbox) = of_a_cluster(MayAct::given_by(Unconfirmed));
        let reply = timeout(Duration::from_mins(1), reply_to(&instance, Outcome::Returned)).await;
        assert_eq!(reply, Ok(Reply::Busy));
    }

    /// The sender would take it for the answer of the node that has the account now.
    #[tokio::test]
    async fn a_sender_gets_no_answer_of_a_handler_that_outlived_the_lease() {
        for (may, expected) in [(true, Reply::NoAnswer(NO_CONTENT)), (false, Reply::Busy)] {
            let (instance, _mailbox) = that_may_act(may);
            assert_eq!(reply_to(&instance, Outcome::Returned).await, expected);
        }
    }
}
