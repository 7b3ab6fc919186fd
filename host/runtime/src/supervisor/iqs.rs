//! The requests (IQs) of others that a plugin answers. A task for each plugin that may answer some passes them on, and
//! answers in its place if it does not.

use std::collections::{BTreeSet, HashMap};
use std::hash::Hash;
use std::sync::Arc;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use jid::{BareJid, Jid};
use parlor_base::domains::owned_together;
use parlor_base::permission::Permission;
use parlor_plugins::admission::Admitted;
use parlor_session::IqRequest;
use parlor_session::event::{Event, EventName, Payload};
use parlor_session::permissions::{Grants, Target};
use parlor_session::router::Mail;
use parlor_stanza::types::{ForeignRequest, Reply};
use rand::RngExt as _;
use tokio::sync::{Notify, mpsc};

use super::staying::{is_alone, stays_until};
use super::{Shared, Standing, State};
use crate::account;
use crate::account::answerers::Requests;
use crate::account::foreign;
use crate::instance::Instance;
use crate::unanswered::{Outcome, UnansweredRequest};

/// Maximum number of requests that may wait for the answers of one plugin.
const MOST: u32 = 64;
/// Maximum number of those of one sender among them, so that one stranger does not take the places of everybody.
const MOST_OF_ONE: usize = 16;
/// Maximum number of those of all people on the servers of one owner. The owner of a server has any number of addresses.
const MOST_OF_OWNER: usize = 32;
/// Bytes of an event in addition to the XML of the request.
const BESIDE: usize = 8 << 10;

/// The namespaces whose requests a plugin answers, and the way of the requests to it.
pub(crate) struct Iqs {
    admitted: Arc<Admitted>,
    account: Arc<account::Shared>,
    declared: BTreeSet<String>,
    requests: Requests,
    /// Notified when it may answer others than before.
    changed: Notify,
}

impl Iqs {
    /// Creates them, and the end where requests arrive; `None` if the manifest does not ask for `iq.answer`.
    pub(super) fn of(
        admitted: &Arc<Admitted>,
        account: &Arc<account::Shared>,
    ) -> Option<(Self, mpsc::Receiver<ForeignRequest>)> {
        let asked = admitted.manifest.permissions.get(&Permission::IqAnswer)?;
        let (requests, arrive) = mpsc::channel(MOST as usize);
        let iqs = Self {
            admitted: Arc::clone(admitted),
            account: Arc::clone(account),
            declared: asked.entries(Permission::IqAnswer).into_iter().collect(),
            requests,
            changed: Notify::new(),
        };
        Some((iqs, arrive))
    }

    /// Claims the namespaces that the manifest declares and the grants cover.
    pub(super) fn claim(&self, grants: &Grants) {
        let may = |namespace: &str| grants.may_do(Permission::IqAnswer, Target::Namespace(namespace), &|_| false);
        let granted = self.declared.iter().filter(|namespace| may(namespace)).cloned().collect();
        for (namespace, other) in self.account.answerers.claim(&self.admitted.id, &granted) {
            tracing::warn!(
                plugin = %self.admitted.id, account = %self.account.name, namespace, %other,
                "another plugin answers the requests of this namespace, so this one is not asked; revoke iq.answer for it from one of them"
            );
        }
        self.changed.notify_one();
    }
}

/// Claims its namespaces, unless it is to replace another plugin, and begins to pass requests to it.
pub(super) fn begin(shared: &Arc<Shared>, arrive: Option<mpsc::Receiver<ForeignRequest>>) {
    let (Some(iqs), Some(arrive)) = (&shared.iqs, arrive) else { return };
    if !shared.standing.is_beside() {
        // Here, in the order in which plugins start, which is always the same.
        iqs.claim(&shared.grants.load());
    }
    shared.account.place.runtime.spawn(serve(Arc::clone(shared), arrive));
}

/// Passes requests to the plugin while it runs, until it is to end.
async fn serve(shared: Arc<Shared>, mut arrive: mpsc::Receiver<ForeignRequest>) {
    let Some(iqs) = &shared.iqs else { return };
    // The one that it replaces is asked until then.
    if !stays_until(&shared, is_alone(&shared)).await {
        return;
    }
    iqs.claim(&shared.grants.load());
    let (mut is_open, mut asked, mut senders) =
        (false, FuturesUnordered::new(), Senders::of(shared.account.own.clone()));
    loop {
        let was_open = is_open;
        tokio::select! {
            biased;
            () = shared.standing.is_to_end() => break,
            now = shared.standing.pick(move |standing| opens(standing).filter(|now| *now != was_open)) => {
                is_open = now;
                if is_open {
                    shared.account.answerers.open(&shared.admitted.id, &iqs.requests);
                } else {
                    shared.account.answerers.close(&iqs.requests);
                }
                foreign::announce_answered(&shared.account).await;
            }
            () = iqs.changed.notified() => foreign::announce_answered(&shared.account).await,
            Some(sender) = asked.next(), if !asked.is_empty() => senders.ended(sender),
            Some(request) = arrive.recv() => {
                if asked.len() < MOST as usize && senders.begins(request.from.as_ref()) {
                    asked.push(answer(Arc::clone(&shared), request));
                } else {
                    foreign::answer(&shared.account, request.from, request.id, busy()).await;
                }
            }
        }
    }
    shared.account.answerers.close(&iqs.requests);
    if is_open {
        foreign::announce_answered(&shared.account).await;
    }
    arrive.close();
    while let Some(request) = arrive.recv().await {
        foreign::answer(&shared.account, request.from, request.id, unavailable()).await;
    }
    // Delivered requests end with its handlers.
    while asked.next().await.is_some() {}
}

/// Returns whether a plugin in this state is asked; `None`: as before, since one that wakes was asked while it was parked.
fn opens(standing: &Standing) -> Option<bool> {
    match standing.state {
        State::Running | State::Parked => Some(true),
        State::Starting => None,
        _ => Some(false),
    }
}

/// The number of waiting requests of each sender, and of all people on the servers of each owner. People on the account's own server
/// have no limit together. Requests of that server have no address, and are not counted.
#[derive(Debug)]
struct Senders {
    own: BareJid,
    people: HashMap<BareJid, usize>,
    owners: HashMap<String, usize>,
}

impl Senders {
    fn of(own: BareJid) -> Self {
        Self { own, people: HashMap::new(), owners: HashMap::new() }
    }

    /// Returns the domain of whoever owns the sender's server, unless that is the account's own.
    fn owner<'s>(&self, sender: &'s BareJid) -> Option<&'s str> {
        (sender.domain() != self.own.domain()).then(|| owned_together(sender.domain().as_str()))
    }

    /// Counts another request of this sender. Returns false if a limit is reached.
    fn begins(&mut self, sender: Option<&Jid>) -> bool {
        let Some(sender) = sender.map(Jid::to_bare) else { return true };
        let owner = self.owner(&sender);
        let of_owner = owner.and_then(|owner| self.owners.get(owner)).copied().unwrap_or_default();
        let of_sender = self.people.get(&sender).copied().unwrap_or_default();
        let may = of_sender < MOST_OF_ONE && of_owner < MOST_OF_OWNER;
        if may {
            if let Some(owner) = owner {
                *self.owners.entry(owner.to_owned()).or_default() += 1;
            }
            *self.people.entry(sender).or_default() += 1;
        }
        may
    }

    /// Notes that one of them has ended.
    fn ended(&mut self, sender: Option<BareJid>) {
        let Some(sender) = sender else { return };
        if let Some(owner) = self.owner(&sender).map(str::to_owned) {
            one_less(&mut self.owners, &owner);
        }
        one_less(&mut self.people, &sender);
    }
}

/// Counts one less, and forgets what has none.
fn one_less<K: Eq + Hash>(counts: &mut HashMap<K, usize>, key: &K) {
    let Some(count) = counts.get_mut(key) else { return };
    *count = count.saturating_sub(1);
    if *count == 0 {
        counts.remove(key);
    }
}

/// Has a request answered. Returns the sender.
async fn answer(shared: Arc<Shared>, request: ForeignRequest) -> Option<BareJid> {
    let reply = reply(&shared, &request).await;
    let sender = request.from.as_ref().map(Jid::to_bare);
    foreign::answer(&shared.account, request.from, request.id, reply).await;
    sender
}

/// Returns the plugin's answer, or the host's if there is none.
async fn reply(shared: &Shared, request: &ForeignRequest) -> Reply {
    let Some(instance) = shared.standing.with(|standing| standing.instance.clone()) else { return unavailable() };
    if is_elsewhere(&instance, request.from.as_ref()) {
        return unavailable();
    }
    // Half of the mailbox is reserved for events that are not repeated.
    if !instance.mailbox.has_room_for_a_request() {
        return busy();
    }
    let xml = request.payload.to_xml();
    if xml.len() + BESIDE > instance.limits.hostcall_bytes.as_usize() {
        return Reply::Refuse { kind: "modify", condition: "policy-violation" };
    }
    let id = hex::encode(shared.account.rng.generator().random::<[u8; 16]>());
    let Some(unanswered) = UnansweredRequest::begin(instance.lasting.unanswered.iqs(), id.clone(), MOST) else {
        return busy();
    };
    let Some(mail) = mail(&instance, id, request, xml) else { return unavailable() };
    match unanswered.ask(&instance.mailbox, mail, instance.limits.iq_time).await {
        Outcome::Answered(reply) => reply,
        Outcome::Returned => unavailable(),
        Outcome::Failed => Reply::Refuse { kind: "cancel", condition: "internal-server-error" },
        Outcome::Late => Reply::Refuse { kind: "wait", condition: "remote-server-timeout" },
        Outcome::NotTold => busy(),
    }
}

/// Returns whether a request is of somebody in a room from which the owner keeps the plugin.
fn is_elsewhere(instance: &Instance, from: Option<&Jid>) -> bool {
    from.is_some_and(|from| instance.mailbox.keeps_from(Target::Jid(from)))
}

/// Returns the mail for a request; `None` if the plugin does not listen for it, or may not hear it any more.
fn mail(instance: &Instance, id: String, request: &ForeignRequest, xml: String) -> Option<Mail> {
    let told = IqRequest {
        id,
        from: request.from.clone().unwrap_or_else(|| instance.account.own.clone().into()),
        is_set: request.is_set,
        namespace: request.payload.namespace(),
        name: request.payload.name().to_owned(),
        xml,
    };
    let payload = Payload::IqRequest(Arc::new(told));
    let event = Event { name: EventName::from("iq"), at: instance.account.clock.now(), payload };
    instance.account.router.mail_for(instance.id, event)
}

/// The answer if no plugin answers (RFC 6120, section 8.3.3.19).
fn unavailable() -> Reply {
    Reply::Refuse { kind: "cancel", condition: "service-unavailable" }
}

/// The answer if too many wait (RFC 6120, section 8.3.3.18).
fn busy() -> Reply {
    Reply::Refuse { kind: "wait", condition: "resource-constraint" }
}

#[cfg(test)]
mod tests {
    use parlor_plugins::limits::Limits;
    use parlor_session::permissions::RoomList;

    use super::*;
    use crate::instance::tests::instance;

    /// Rooms pass requests of one occupant on to another.
    #[tokio::test]
    async fn a_plugin_that_is_kept_to_rooms_hears_no_requests_from_others() {
        let (instance, _mailbox) = instance("\"iq.answer\" = [\"urn:x\"]", Limits::default());
        let from = |jid: &str| is_elsewhere(&instance, Some(&jid.parse().unwrap()));
        assert!(!from("hall@muc.example.org/juliet"));
        let kept = RoomList::new(["lounge@muc.example.org".parse().unwrap()]);
        let grants = Grants::clone(&instance.mailbox.grants()).in_rooms(Some(kept));
        instance.account.router.grant(&instance.mailbox, Arc::new(grants));
        assert!(from("hall@muc.example.org/juliet"));
        assert!(
            !from("lounge@muc.example.org/juliet") && !from("juliet@example.org/x") && !is_elsewhere(&instance, None)
        );
    }

    /// Otherwise one stranger could block the answers to all others.
    #[test]
    fn one_sender_takes_a_part_of_the_places() {
        let jid = |text: &str| text.parse::<Jid>().unwrap();
        let mut senders = Senders::of(jid("bot@b").to_bare());
        for number in 0..MOST_OF_ONE {
            assert!(senders.begins(Some(&jid(&format!("a@b/{number}")))));
        }
        assert!(!senders.begins(Some(&jid("a@b/other"))), "its resource does not matter");
        assert!(senders.begins(Some(&jid("c@b"))) && senders.begins(None));
        senders.ended(Some(jid("a@b").to_bare()));
        assert!(senders.begins(Some(&jid("a@b/other"))) && !senders.begins(Some(&jid("a@b"))));
        for _ in 0..MOST_OF_ONE {
            senders.ended(Some(jid("a@b").to_bare()));
        }
        senders.ended(Some(jid("c@b").to_bare()));
        assert!(senders.people.is_empty() && senders.owners.is_empty());
    }

    #[test]
    fn all_addresses_of_one_owner_take_a_part_of_the_places() {
        let jid = |text: &str| text.parse::<Jid>().unwrap();
        let mut senders = Senders::of(jid("bot@home.example").to_bare());
        let evil = |number: usize| jid(&format!("p{number}@s{number}.evil.example"));
        assert_eq!((0..100).filter(|number| senders.begins(Some(&evil(*number)))).count(), MOST_OF_OWNER);
        assert!(senders.begins(Some(&jid("juliet@capulet.example"))));
        let own = |number: usize| jid(&format!("p{number}@home.example"));
        assert!((0..100).all(|number| senders.begins(Some(&own(number)))), "of the own server");
        senders.ended(Some(evil(0).to_bare()));
        assert!(senders.begins(Some(&evil(99))) && !senders.begins(Some(&evil(0))));
        (0..100).for_each(|number| senders.ended(Some(own(number).to_bare())));
        (1..MOST_OF_OWNER).chain([99]).for_each(|number| senders.ended(Some(evil(number).to_bare())));
        senders.ended(Some(jid("juliet@capulet.example").to_bare()));
        assert!(senders.people.is_empty() && senders.owners.is_empty());
    }
}
