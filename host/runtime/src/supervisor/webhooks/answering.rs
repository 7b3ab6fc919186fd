//! Lets a plugin answer a request to a webhook of the mode `answer`.

use std::sync::Arc;

use parlor_store::{Acceptance, Accepted, StoreError, WebhookRequest};
use tokio::time::timeout;

use super::super::Shared;
use super::super::staying::takes_requests;
use super::reply::{Reply, refused};
use super::storing::{CONFIRMED, Passing, Unmade};
use super::telling;
use crate::instance::{Instance, WebhookAnswer};
use crate::may_act::MayAct;
use crate::unanswered::{Outcome, UnansweredRequest};
use crate::webhooks::Webhooks;

/// The status of a request whose handler returned without an answer.
const NO_CONTENT: u16 = 204;
/// The status of a request whose handler failed.
const FAILED: u16 = 500;
/// The status of a request that was not answered in time.
const LATE: u16 = 504;

/// Passes a request to the plugin, and waits for its answer.
pub(super) async fn answer(
    shared: &Arc<Shared>,
    webhooks: &Webhooks,
    request: WebhookRequest,
    acceptance: Acceptance,
) -> Reply {
    let Some(instance) = takes_requests(shared) else { return Reply::Busy };
    // Check this first: a sender that is asked to retry repeats the same signature.
    if !takes(&instance) {
        return Reply::Busy;
    }
    let passing = Passing {
        runtime: shared.account.place.runtime.clone(),
        stored: webhooks.stored.clone(),
        unstored: Arc::clone(&webhooks.unstored),
        webhook: request.webhook.clone(),
        once: acceptance.once,
        plugin: shared.admitted.id.clone(),
        account: shared.account.name.clone(),
    };
    let id = match passing.accept(request.clone(), acceptance).await {
        Ok(Accepted::As(id)) => id,
        other => return refused(&other),
    };
    let reply = pass(&instance, id, &request).await;
    noted(&passing, &shared.account.may_act, id, reply).await
}

/// Notes how a request ended that was passed on, and returns what its sender gets. If the log of the account does not take that,
/// the sender gets no answer of the plugin, and is asked to retry: another node may have the account by now.
async fn noted(passing: &Passing, may_act: &MayAct, id: i64, reply: Reply) -> Reply {
    let status = match &reply {
        Reply::Answer(WebhookAnswer { status, .. }) | Reply::NoAnswer(status) => *status,
        // The plugin has not heard of it, or another node may have the account by now. The sender asks again.
        Reply::Stored | Reply::Repeated | Reply::Again | Reply::Busy | Reply::Failed => {
            // If it takes longer, the task goes on.
            _ = timeout(CONFIRMED, passing.take_back(id)).await;
            return reply;
        }
    };
    let Err(error) = passing.note(id, status).await else { return reply };
    let (plugin, account) = (&passing.plugin, &passing.account);
    tracing::warn!(%plugin, %account, %error, "the outcome of a request cannot be written");
    match error {
        // It is only shown to the owner.
        Unmade::Store(StoreError::File { .. } | StoreError::Ended) if may_act.now() => reply,
        Unmade::Store(_) | Unmade::Late => {
            passing.take_back(id);
            Reply::Busy
        }
    }
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
    use std::time::Duration;

    use futures_util::future::{BoxFuture, pending};
    use parlor_store::RequestState;

    use super::super::storing::tests::{Says, Stage, within_a_minute};
    use super::*;
    use crate::instance::tests::{of_a_cluster, that_may_act};
    use crate::may_act::Permission;

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

    /// Its request waits for the log, as long as NATS hangs.
    #[tokio::test]
    async fn an_answer_that_cannot_be_noted_is_not_given_and_its_request_may_come_again() {
        let stage = Stage::new().await;
        // Of the second request, the plugin has not heard.
        for reply in [Reply::NoAnswer(NO_CONTENT), Reply::Busy] {
            let id = stage.accepted().await;
            stage.log_says(Says::Nothing);
            let given = within_a_minute(noted(&stage.passing, &MayAct::default(), id, reply)).await;
            assert_eq!(given, Reply::Busy);
            stage.log_says(Says::Written);
            stage.accepted_again().await;
            let shown = stage.passing.stored.last(2).await.unwrap();
            assert_eq!((shown[1].id, shown[1].state), (id, RequestState::GivenUp));
            // For the next round.
            stage.passing.take_back(shown[0].id).await.unwrap();
        }
        let id = stage.accepted().await;
        assert_eq!(
            noted(&stage.passing, &MayAct::default(), id, Reply::NoAnswer(FAILED)).await,
            Reply::NoAnswer(FAILED)
        );
        assert_eq!(stage.passing.stored.last(1).await.unwrap()[0].state, RequestState::Answered(FAILED));
        stage.log_says(Says::Fenced);
        let given = noted(&stage.passing, &MayAct::default(), id, Reply::NoAnswer(FAILED)).await;
        assert_eq!(given, Reply::Busy, "another node has the account");
    }

    /// As when a host stops, or a node gives the account away.
    #[tokio::test]
    async fn an_answer_counts_after_the_store_has_ended_if_no_other_node_may_have_the_account() {
        let (passing, _folder) = Stage::new().await.end_the_store().await;
        for (may, expected) in [(true, Reply::NoAnswer(NO_CONTENT)), (false, Reply::Busy)] {
            let given = noted(&passing, &MayAct::asking(move || may), 1, Reply::NoAnswer(NO_CONTENT)).await;
            assert_eq!(given, expected);
        }
    }
}
