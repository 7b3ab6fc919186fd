//! Makes calls wait for their turn: those that send something, give the account's task an order, or use the disk.
//!
//! A call may wait for half a minute, and the owner may take the grant back meanwhile. So each wait demands the proof that
//! the call is allowed, and checks at its end that it still is: no call can forget that. Only [`slow_down`] knows no grant.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use futures_util::FutureExt as _;
use parlor_base::rate::Bucket;
use parlor_session::permissions::{Granted, Target};
use parlor_session::{Answer, AnyCommand, Command};
use parlor_stanza::error::CallError;

use crate::instance::denied::still_has;
use crate::instance::{Instance, OpenCall, PendingIq};

/// Waits until the plugin may send another stanza.
pub(super) async fn pace(instance: &Instance, granted: &Granted) -> Result<(), CallError> {
    checked(instance, granted, stanzas(instance, 1)).await
}

/// Waits until the plugin may send another stanza of this many bytes.
pub(super) async fn pace_bytes(instance: &Instance, granted: &Granted, bytes: usize) -> Result<(), CallError> {
    checked(instance, granted, stanza_of(instance, bytes)).await
}

/// Waits until the plugin may send a message, and returns the proof that the call is allowed then, for this target.
pub(super) async fn pace_message(
    call: &OpenCall,
    granted: Granted,
    to: Target<'_>,
    bytes: usize,
) -> Result<Granted, CallError> {
    let instance = call.instance();
    decided_again(instance, granted, stanza_of(instance, bytes), || call.granted(to)).await
}

/// Waits until the plugin may ask an archive, and returns the proof that the call is allowed then. `decide` checks the
/// grants again.
pub(super) async fn pace_query(
    instance: &Instance,
    granted: Granted,
    decide: impl FnOnce() -> Result<Granted, CallError>,
) -> Result<Granted, CallError> {
    decided_again(instance, granted, stanzas(instance, 1), decide).await
}

/// Waits until the plugin may send something to everyone who sees the account: each open room gets its own stanza.
pub(super) async fn pace_for_all(instance: &Instance, granted: &Granted) -> Result<(), CallError> {
    let rooms = instance.account.snapshot().rooms.len();
    let count = u32::try_from(rooms).unwrap_or(u32::MAX).saturating_add(1);
    checked(instance, granted, stanzas(instance, count)).await
}

/// Waits until the plugin may give the account's task another order that sends nothing. All other plugins wait while
/// that task works for one.
pub(super) async fn pace_order(instance: &Instance, granted: &Granted) -> Result<(), CallError> {
    let limit = || format!("{} calls a second (calls_per_second)", instance.limits.calls_per_second);
    checked(instance, granted, slow_down(instance.lasting.budgets.orders(), 1.0, limit)).await
}

/// Waits until this many bytes may be read or written for the plugin: all plugins share one disk, and one thread that
/// writes to it.
#[expect(clippy::cast_precision_loss, reason = "no call has so many bytes")]
pub(super) async fn pace_storage(instance: &Instance, granted: &Granted, bytes: usize) -> Result<(), CallError> {
    let limit = || format!("{} of storage a second (storage_per_second)", instance.limits.storage_per_second);
    checked(instance, granted, slow_down(instance.lasting.budgets.stored(), bytes as f64, limit)).await
}

/// Waits, and then checks that the permission of the call was not taken back meanwhile.
fn checked(
    instance: &Instance,
    granted: &Granted,
    wait: impl Future<Output = Result<(), CallError>>,
) -> impl Future<Output = Result<(), CallError>> {
    // Not an async function: it would have room for the future twice.
    wait.map(move |waited| waited.and_then(|()| still_has(instance, granted)))
}

/// Waits, and decides again about the call if the grants changed meanwhile.
async fn decided_again(
    instance: &Instance,
    granted: Granted,
    wait: impl Future<Output = Result<(), CallError>>,
    decide: impl FnOnce() -> Result<Granted, CallError>,
) -> Result<Granted, CallError> {
    let before = instance.mailbox.version();
    wait.await?;
    if instance.mailbox.version() == before { Ok(granted) } else { decide() }
}

/// Waits for both limits of a stanza of this many bytes at once: one after the other, a call would wait for twice as long as it may.
#[expect(clippy::cast_precision_loss, reason = "no stanza has so many bytes")]
async fn stanza_of(instance: &Instance, bytes: usize) -> Result<(), CallError> {
    let limit = || format!("{} sent a second (bytes_per_second)", instance.limits.bytes_per_second);
    let weighed = queue_to_send(instance, instance.lasting.budgets.outgoing_bytes(), bytes as f64, limit);
    futures_util::future::try_join(stanzas(instance, 1), weighed).await?;
    Ok(())
}

/// Waits until the plugin may send so many stanzas.
async fn stanzas(instance: &Instance, count: u32) -> Result<(), CallError> {
    let limit = || format!("{} stanzas a second (messages_per_second)", instance.limits.messages_per_second);
    // At most one burst is waited for, or it would take minutes.
    let counted = count.min(instance.limits.messages_burst);
    queue_to_send(instance, instance.lasting.budgets.outgoing(), counted.into(), limit).await?;
    instance.counters.sent.fetch_add(count.into(), Relaxed);
    Ok(())
}

/// Waits until it is the call's turn among all calls of the plugin that send something. Hundreds of handlers may answer
/// at once, so a call waits much longer than for other limits, and only lasting overload is an error.
async fn queue_to_send(
    instance: &Instance,
    bucket: &Bucket,
    amount: f64,
    limit: impl Fn() -> String,
) -> Result<(), CallError> {
    const PATIENCE: Duration = Duration::from_secs(30);
    // A handler that waits for longer than it may take would end the plugin.
    let patience = instance.limits.handler.map_or(PATIENCE, |most| PATIENCE.min(most / 2));
    let turn = instance.in_turn(bucket.wait(amount, patience)).await;
    turn.map_err(|wait| {
        let wait = wait.as_secs_f64();
        CallError::OverLimit(format!("{}, and this call would wait {wait:.0} s for its turn", limit()))
    })
}

/// Gives the account's task an order that sends nothing, once the plugin may.
pub(super) async fn order<C: Command>(
    instance: &Instance,
    granted: &Granted,
    command: C,
) -> Result<C::Answer, CallError> {
    pace_order(instance, granted).await?;
    instance.ask(granted, command).await
}

/// Sends a request to the server or another entity once the plugin may.
pub(super) async fn request<C: Command>(
    instance: &Arc<Instance>,
    granted: &Granted,
    command: C,
) -> Result<C::Answer, CallError> {
    let (answer, arrives) = Answer::channel();
    request_with(instance, granted, AnyCommand::with(command, answer), arrives).await
}

/// Does the same for an answer that others make long. Its bytes are held until it is returned.
pub(super) async fn request_for_much<C: Command>(
    instance: &Arc<Instance>,
    granted: &Granted,
    command: C,
    weigh: fn(&C::Answer) -> usize,
) -> Result<C::Answer, CallError> {
    let (_kept, fits) = instance.room_for_answer(weigh);
    let (answer, arrives) = Answer::channel();
    request_with(instance, granted, AnyCommand::with(command, answer.if_it_fits(fits)), arrives).await
}

async fn request_with<R>(
    instance: &Arc<Instance>,
    granted: &Granted,
    command: AnyCommand,
    arrives: tokio::sync::oneshot::Receiver<Result<R, CallError>>,
) -> Result<R, CallError> {
    let request = instance.pending_iq()?;
    let bytes = command.weight();
    let holding = instance.hold(bytes)?;
    pace_bytes(instance, granted, bytes).await?;
    put(instance, request, instance.ask_holding(granted, command, arrives, holding)).await
}

/// Sends the request, now that it is the plugin's turn, and waits for the answer.
pub(super) fn put<R>(
    instance: &Arc<Instance>,
    request: PendingIq,
    answer: impl Future<Output = Result<R, CallError>>,
) -> impl Future<Output = Result<R, CallError>> {
    let (request, waits) = (request.sent(), instance.waits_for_session());
    // Not an async function: it would have room for the future twice.
    answer.inspect(move |_| {
        request.answered();
        drop(waits);
    })
}

/// Waits until the bucket has this amount: a flood is slowed down first, and then refused. It checks no grant.
pub(super) async fn slow_down(bucket: &Bucket, amount: f64, limit: impl Fn() -> String) -> Result<(), CallError> {
    const PATIENCE: Duration = Duration::from_secs(2);
    bucket.wait(amount, PATIENCE).await.map_err(|_| CallError::OverLimit(limit()))
}

#[cfg(test)]
mod tests {
    use futures_util::future::{BoxFuture, join_all};
    use futures_util::poll;
    use jid::BareJid;
    use parlor_plugins::limits::Limits;
    use parlor_session::permissions::CallName;
    use parlor_session::{ConfigValue, ConfigureRoom};
    use tokio::time::Instant;

    use super::*;
    use crate::instance::tests::instance as disconnected_instance;

    type Wait = fn(Arc<Instance>, Granted) -> BoxFuture<'static, Result<(), CallError>>;

    /// A call may wait for half a minute.
    #[tokio::test(start_paused = true)]
    async fn whatever_a_call_waits_for_it_is_refused_if_its_permission_was_taken_back_meanwhile() {
        let waits: [(&str, Wait); 5] = [
            ("a stanza", |instance, granted| Box::pin(async move { pace(&instance, &granted).await })),
            ("bytes", |instance, granted| Box::pin(async move { pace_bytes(&instance, &granted, 10).await })),
            ("a presence", |instance, granted| Box::pin(async move { pace_for_all(&instance, &granted).await })),
            ("an order", |instance, granted| Box::pin(async move { pace_order(&instance, &granted).await })),
            ("the disk", |instance, granted| Box::pin(async move { pace_storage(&instance, &granted, 512).await })),
        ];
        for (what, wait) in waits {
            for is_taken_back in [false, true] {
                let (instance, _mailbox) = disconnected_instance("\"status.write\" = true", Limits::default());
                let granted = instance.granted(CallName::UserSetStatus, Target::None).unwrap();
                // All that there is, and more.
                instance.lasting.budgets.outgoing().owe(f64::from(instance.limits.messages_burst));
                instance.lasting.budgets.orders().owe(1.5 * f64::from(instance.limits.calls_per_second));
                instance.lasting.budgets.stored().owe(1.5 * instance.limits.storage_per_second.as_f64());
                let mut call = wait(Arc::clone(&instance), granted);
                assert!(poll!(call.as_mut()).is_pending(), "{what}");
                if is_taken_back {
                    instance.account.router.grant(&instance.mailbox, Arc::default());
                }
                let result = call.await;
                let is_denied = matches!(result, Err(CallError::Denied { .. }));
                assert!(is_denied == is_taken_back && result.is_err() == is_taken_back, "{what}: {result:?}");
            }
        }
    }

    /// A card, a room's form or a bookmark may be as long as a message.
    #[tokio::test(start_paused = true)]
    async fn what_a_request_carries_counts_against_what_a_plugin_may_send() {
        let (instance, _mailbox) = disconnected_instance("", Limits::default());
        let jid: BareJid = "room@rooms.example.org".parse().unwrap();
        let fields = vec![("a".to_owned(), ConfigValue::Text("x".repeat(100_000)))];
        let command = ConfigureRoom { jid, fields };
        assert_eq!(request(&instance, &Granted::HOST, command).await, Err(CallError::Offline));
        assert!(
            instance.lasting.budgets.outgoing_bytes().used() >= 100_000.0,
            "{}",
            instance.lasting.budgets.outgoing_bytes().used()
        );
    }

    /// All of them may give the same command in the same second.
    #[tokio::test(start_paused = true)]
    async fn a_burst_of_some_hundred_answers_is_paced_and_lasting_overload_is_refused() {
        let (instance, _mailbox) = disconnected_instance("", Limits::default());
        let burst = |calls: usize| join_all((0..calls).map(|_| pace_bytes(&instance, &Granted::HOST, 100)));
        let began = Instant::now();
        assert!(burst(300).await.into_iter().all(|result| result.is_ok()));
        let took = began.elapsed();
        assert!(took > Duration::from_secs(24) && took < Duration::from_secs(26), "{took:?}");
        let refused: Vec<_> = burst(400).await.into_iter().filter_map(Result::err).collect();
        let most = "10 stanzas a second (messages_per_second), and this call would wait 30 s for its turn";
        assert_eq!((refused.len(), &refused[0]), (100, &CallError::OverLimit(most.to_owned())));
    }

    #[tokio::test(start_paused = true)]
    async fn a_send_does_not_wait_until_its_handler_is_ended() {
        let handler = Some(Duration::from_secs(4));
        let limits = Limits { handler, ..Limits::default() };
        let (instance, _mailbox) = disconnected_instance("", limits);
        let began = Instant::now();
        let results = join_all((0..100).map(|_| pace(&instance, &Granted::HOST))).await;
        assert_eq!(results.into_iter().flatten().count(), 70, "a burst, and those of two seconds");
        assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
    }
}
