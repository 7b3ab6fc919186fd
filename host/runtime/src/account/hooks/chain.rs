//! Asks the hooks of an order.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use jid::BareJid;
use parlor_base::id::PluginId;
use parlor_plugins::policy::hooks::{HookOrder, NoVerdict, OnFailure};
use parlor_session::Hook;
use parlor_session::event::{Event, EventName, Payload};
use parlor_session::permissions::{Decision, Target, Use};
use parlor_session::router::Mail;
use parlor_stanza::types::Message;
use rand::RngExt as _;

use super::{HookInstance, Point};
use crate::account::Shared;
use crate::unanswered::{Outcome, UnansweredRequest, Verdict};

/// Maximum number of questions that may wait for one hook. It is asked once about each message that waits.
const MOST: u32 = 1_024;
/// Bytes of an event in addition to the message.
const BESIDE: usize = 8 << 10;

/// The facts about a message or a command, in addition to the message itself.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    pub(super) point: Point,
    /// The plugin that sends it, or whose command it is.
    pub(super) plugin: Option<PluginId>,
    /// The arguments of a command.
    pub(super) args: Vec<String>,
}

/// The answer of one hook.
#[derive(Debug)]
pub(super) enum Answer {
    /// It is not asked: its grant or its filter leaves this out.
    Skipped,
    /// Its verdict.
    Given(Verdict),
    /// It gave none, so this is done by the owner's rule or by the default.
    Missing(OnFailure),
}

/// Asks one hook about a message. The answer is counted.
pub(super) async fn ask(
    account: &Shared,
    hook: &PluginId,
    order: &HookOrder,
    asked: &Asked,
    message: &Arc<Message>,
) -> Answer {
    let (why, reason) = match question(account, hook, asked, message) {
        Question::Left => return Answer::Skipped,
        Question::TooLarge => ("the message is too large for it", NoVerdict::TooLarge),
        Question::Lost(why) => (why, NoVerdict::Other),
        Question::Put { unanswered, mail, hook_instance } => {
            let counts = hook_instance.counters.hooks();
            counts.seen.fetch_add(1, Relaxed);
            let why = match unanswered.ask(&hook_instance.mailbox, *mail, order.deadline).await {
                Outcome::Answered(verdict) => {
                    counts.count(&verdict);
                    return Answer::Given(verdict);
                }
                Outcome::Late => "it did not answer in time",
                Outcome::Returned => "its handler returned without an answer",
                Outcome::NotTold => "its mailbox is full, or it ended before",
                Outcome::Failed => "its handler failed, or it ended",
            };
            counts.failed.fetch_add(1, Relaxed);
            (why, NoVerdict::Other)
        }
    };
    let rule = order.fate(reason);
    if let Some(failed) = account.hooks.count_failure() {
        let passes = rule == OnFailure::Pass;
        tracing::warn!(
            account = %account.name, plugin = %hook, hook = asked.point.key(), why, failed, passes,
            "a hook gave no verdict, so on_failure decided"
        );
    }
    if rule == OnFailure::Pass {
        account.records.passed_without(std::slice::from_ref(hook));
    }
    Answer::Missing(rule)
}

/// A question that is about to be put.
enum Question {
    /// It is not for this hook.
    Left,
    /// The hook cannot be asked, as such an event would end it.
    TooLarge,
    /// The hook cannot be asked, for this reason.
    Lost(&'static str),
    /// It is put by this mail.
    Put { unanswered: UnansweredRequest<Verdict>, mail: Box<Mail>, hook_instance: Arc<HookInstance> },
}

fn question(account: &Shared, hook: &PluginId, asked: &Asked, message: &Arc<Message>) -> Question {
    let Some(hook_instance) = account.hooks.find(hook) else { return Question::Lost("it does not run") };
    let name = asked.point.event();
    if !account.router.listens(hook_instance.instance, name) {
        return if leaves_out(account, &hook_instance, asked.point, message) {
            Question::Left
        } else {
            Question::Lost("it does not listen")
        };
    }
    let id = format!("{name}-{}", hex::encode(account.rng.generator().random::<[u8; 16]>()));
    let (args, message) = (asked.args.clone(), Arc::clone(message));
    let told = Hook { id: id.clone(), plugin: asked.plugin.clone(), args, message };
    let bytes = told.bytes();
    let payload = Payload::Hook(Arc::new(told));
    let event = Event { name: EventName::from(name), at: account.clock.now(), payload };
    let snapshot = account.snapshot();
    let mail = account.router.mail_about(hook_instance.instance, event, &|jid| snapshot.is_contact(jid));
    let Some(mail) = mail else {
        // It may listen before it has the grant, and the owner who put it into the order has to hear of that.
        let is_granted = hook_instance.mailbox.grants().has(asked.point.permission());
        return if is_granted { Question::Left } else { Question::Lost("it lacks the grant") };
    };
    if bytes + BESIDE > hook_instance.longest {
        return Question::TooLarge;
    }
    // The other half of the mailbox is reserved for events without a deadline.
    if !hook_instance.mailbox.has_room_for_a_request() {
        return Question::Lost("its mailbox is full");
    }
    match UnansweredRequest::begin(&hook_instance.waiting, id, MOST) {
        Some(unanswered) => Question::Put { unanswered, mail: Box::new(mail), hook_instance },
        None => Question::Lost("too much waits for it"),
    }
}

/// Returns whether a hook has a grant that leaves out the conversation of a message. A hook without any grant is a
/// configuration error, and must not be skipped silently.
fn leaves_out(account: &Shared, hook_instance: &HookInstance, point: Point, message: &Message) -> bool {
    let snapshot = account.snapshot();
    let is_contact = |jid: &BareJid| snapshot.is_contact(jid);
    let wanted = Use::Call(point.permission(), Target::Jid(&message.chat));
    hook_instance
        .mailbox
        .decide(wanted, Some(&is_contact))
        .is_some_and(|decision| matches!(decision, Decision::OutOfScope(_)))
}

/// Returns the hooks behind this plugin in an order; all of them if it is not in it.
pub(super) fn behind<'o>(order: &'o [PluginId], plugin: &PluginId) -> &'o [PluginId] {
    match order.iter().position(|one| one == plugin) {
        Some(at) => order.get(at + 1..).unwrap_or_default(),
        None => order,
    }
}

/// Returns the hooks before this plugin in an order; all of them if it is not in it.
pub(super) fn before<'o>(order: &'o [PluginId], plugin: &PluginId) -> &'o [PluginId] {
    let end = order.iter().position(|one| one == plugin).unwrap_or(order.len());
    order.get(..end).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use jid::Jid;
    use parlor_base::id::InstanceId;
    use parlor_config::Settings;
    use parlor_plugins::limits::Limits;
    use parlor_session::Session;
    use parlor_session::permissions::Grants;
    use parlor_session::router::{Filter, Mailbox};
    use parlor_stanza::types::{Draft, MessageKind};

    use super::super::outgoing::drafted;
    use super::*;
    use crate::instance::tests::instance as disconnected_instance;

    /// The author of a message chooses its length, and must not get past a hook by that.
    #[tokio::test(start_paused = true)]
    async fn a_message_that_is_too_large_for_a_hook_is_stopped_unless_the_owner_lets_it_pass() {
        let (instance, _own) = disconnected_instance("", Limits::default());
        let account = &instance.account;
        account.publish(Session::new("bot@example.org/here".parse().unwrap(), Settings::default()).snapshot());
        let (mailbox, _receiver) = Mailbox::new(InstanceId::next(), 100, Arc::new(Grants::all()));
        let filter = Filter { own: true, delayed: true, ..Filter::default() };
        for point in Point::ALL {
            account.router.subscribe(&mailbox, point.event(), filter.clone(), false);
        }
        let hook: PluginId = "guard".parse().unwrap();
        account.hooks.add(HookInstance {
            plugin: hook.clone(),
            instance: mailbox.instance(),
            mailbox: Arc::clone(&mailbox),
            waiting: Arc::default(),
            counters: Arc::clone(&instance.counters),
            longest: 64 << 10,
        });
        let to: Jid = "romeo@example.org".parse().unwrap();
        let [small, large] = [1 << 10, 60 << 10].map(|length| {
            let draft = Draft { body: Some("x".repeat(length)), ..Draft::default() };
            Arc::new(drafted(account, &to, MessageKind::Chat, draft).unwrap())
        });
        let seen = || instance.counters.hooks().seen.load(Relaxed);
        for point in Point::ALL {
            let asked = Asked { point, plugin: None, args: Vec::new() };
            for (rule, fate) in [
                (None, OnFailure::Stop),
                (Some(OnFailure::Pass), OnFailure::Pass),
                (Some(OnFailure::Stop), OnFailure::Stop),
            ] {
                let order = HookOrder { on_failure: rule, ..HookOrder::default() };
                let before = seen();
                let answer = ask(account, &hook, &order, &asked, &large).await;
                assert!(matches!(answer, Answer::Missing(it) if it == fate), "{point:?}, {rule:?}: {answer:?}");
                assert_eq!(seen(), before, "it is not asked");
            }
            // A hook that is late fails by itself, which stops nothing by default.
            let before = seen();
            let answer = ask(account, &hook, &HookOrder::default(), &asked, &small).await;
            assert!(matches!(answer, Answer::Missing(OnFailure::Pass)), "{point:?}: {answer:?}");
            assert_eq!(seen(), before + 1, "it is asked");
        }
        // One that the owner lets pass for its size, and one by default, of each kind.
        assert_eq!(account.records.find(&hook).unwrap().totals().hooks.unjudged, 6, "who reads the status sees it");
    }

    /// A plugin may listen without the grant, if its manifest has that as optional.
    #[tokio::test(start_paused = true)]
    async fn a_hook_in_the_order_that_listens_without_the_grant_is_not_skipped() {
        let (instance, _own) = disconnected_instance("", Limits::default());
        let account = &instance.account;
        account.publish(Session::new("bot@example.org/here".parse().unwrap(), Settings::default()).snapshot());
        let hook: PluginId = "guard".parse().unwrap();
        account.hooks.add(HookInstance {
            plugin: hook.clone(),
            instance: instance.id,
            mailbox: Arc::clone(&instance.mailbox),
            waiting: Arc::default(),
            counters: Arc::clone(&instance.counters),
            longest: 64 << 10,
        });
        let draft = Draft { body: Some("hi".to_owned()), ..Draft::default() };
        let to: Jid = "romeo@example.org".parse().unwrap();
        let message = Arc::new(drafted(account, &to, MessageKind::Chat, draft).unwrap());
        let filter = Filter { own: true, delayed: true, ..Filter::default() };
        for point in Point::ALL {
            account.router.subscribe(&instance.mailbox, point.event(), filter.clone(), false);
            let asked = Asked { point, plugin: None, args: Vec::new() };
            let order = HookOrder { on_failure: Some(OnFailure::Stop), ..HookOrder::default() };
            let answer = ask(account, &hook, &order, &asked, &message).await;
            assert!(matches!(answer, Answer::Missing(OnFailure::Stop)), "{point:?}: {answer:?}");
        }
    }

    #[test]
    fn a_plugin_in_an_order_is_before_some_and_behind_others_and_never_its_own_hook() {
        let [a, b, c, other]: [PluginId; 4] = ["a", "b", "c", "other"].map(|id| id.parse().unwrap());
        let order = [a.clone(), b.clone(), c.clone()];
        assert_eq!((before(&order, &b), behind(&order, &b)), (&order[..1], &order[2..]));
        assert_eq!((before(&order, &a), behind(&order, &c)), (&order[..0], &order[3..]));
        assert_eq!((before(&order, &other), behind(&order, &other)), (&order[..], &order[..]));
    }
}
