//! Routing: the plugins that get an event, by subscription, by grant, and by filter.

use jiff::{SignedDuration, Timestamp};
use parlor_base::permission::Permission;
use parlor_stanza::raw::RawStanza;
use parlor_stanza::types::{Extensions, Fallback, Message, MessageKind, ReplyTo, RosterItem};

use super::mailbox::{MAX_WAITING, UNWEIGHED};
use super::*;
use crate::event::Payload;
use crate::permissions::{Grants, RoomList};
use crate::position::Archive;
use crate::{Contact, ContactResource};

fn mailbox(capacity: usize) -> (Arc<Mailbox>, MailReceiver) {
    Mailbox::new(InstanceId::next(), capacity, Arc::default())
}

fn event(name: &str) -> Event {
    Event { name: name.into(), at: Timestamp::UNIX_EPOCH, payload: Payload::Json("1".into()) }
}

fn route(router: &Router, name: &str) {
    router.route(event(name), router.live(), &|_| false);
}

/// Returns the subscriptions of each piece of mail that has come.
fn heard(receiver: &mut MailReceiver) -> Vec<Vec<SubscriptionId>> {
    std::iter::from_fn(|| receiver.try_recv().ok()).map(|mail| mail.subscriptions).collect()
}

#[test]
fn once_is_over_with_the_first_event_and_on_is_not() {
    let router = Router::default();
    let (mailbox, mut receiver) = mailbox(8);
    let once = router.subscribe(&mailbox, "tick", Filter::default(), true);
    let on = router.subscribe(&mailbox, "tick", Filter::default(), false);
    route(&router, "tick");
    route(&router, "tick");
    assert_eq!(heard(&mut receiver), [vec![once, on], vec![on]]);
    assert!(!router.unsubscribe(mailbox.instance(), once));
}

/// A filter takes 200 bytes, and most plugins of a large host are instances of a few components.
#[test]
fn plugins_that_subscribe_alike_one_after_the_other_share_their_filters() {
    let router = Router::default();
    let filters = ["one", "two"].map(|prefix| Filter { prefix: Some(prefix.to_owned()), ..Filter::default() });
    let plugins = [mailbox(8), mailbox(8)];
    for (mailbox, _) in &plugins {
        for filter in &filters {
            router.subscribe(mailbox, "tick", filter.clone(), false);
        }
    }
    let index = router.index.load();
    let kept = |plugin: usize| {
        let listener = index.get("tick").unwrap().get(plugins[plugin].0.instance()).unwrap();
        listener.subscriptions.iter().map(|one| Arc::as_ptr(&one.filter)).collect::<Vec<_>>()
    };
    assert_eq!(kept(0), kept(1));
    assert_ne!(kept(0)[0], kept(0)[1]);
}

#[test]
fn once_waits_on_when_its_event_was_lost() {
    let router = Router::default();
    let (mailbox, mut receiver) = mailbox(1);
    router.subscribe(&mailbox, "noise", Filter::default(), false);
    let once = router.subscribe(&mailbox, "tick", Filter::default(), true);
    route(&router, "noise");
    route(&router, "tick");
    assert_eq!(mailbox.take_lost(), 1);
    assert_eq!(heard(&mut receiver).len(), 1);
    route(&router, "tick");
    assert_eq!(heard(&mut receiver), [[once]]);
    assert_eq!(router.count(mailbox.instance()), 1);
}

/// Of a plugin that handles the events of each room or person in order.
#[test]
fn once_waits_on_when_its_conversation_has_half_of_the_mailbox() {
    let router = Router::default();
    let setup = Setup { bounds_conversations: true, ..Setup::default() };
    let (mailbox, mut receiver) = Mailbox::with(InstanceId::next(), 4, Arc::new(Grants::all()), setup);
    let on = router.subscribe(&mailbox, "message", Filter::default(), false);
    let say = |jid: &str| router.route(from(jid), router.live(), &|_| false);
    say("juliet@example.org/balcony");
    say("juliet@example.org/phone");
    let once = router.subscribe(&mailbox, "message", Filter::default(), true);
    say("juliet@example.org/balcony");
    assert_eq!((mailbox.waiting(), mailbox.take_lost(), router.count(mailbox.instance())), (2, 1, 2));
    say("romeo@example.org/orchard");
    assert_eq!(heard(&mut receiver), [vec![on], vec![on], vec![on, once]]);
    say("juliet@example.org/balcony");
    assert_eq!((heard(&mut receiver).len(), mailbox.take_lost()), (1, 0), "none of hers waits any more");
}

#[test]
fn once_hears_one_event_however_many_threads_route() {
    let router = Router::default();
    let (mailbox, mut receiver) = mailbox(1_000);
    let once = router.subscribe(&mailbox, "tick", Filter::default(), true);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| (0..50).for_each(|_| route(&router, "tick")));
        }
    });
    assert_eq!(heard(&mut receiver), [[once]]);
}

#[test]
fn what_is_for_one_instance_keeps_to_its_filters_and_to_once() {
    let router = Router::default();
    let (mine, mut my_mail) = mailbox(1);
    let (other, mut other_mail) = mailbox(8);
    let once = router.subscribe(&mine, "lagged", Filter::default(), true);
    let prefix = Some("x".to_owned());
    router.subscribe(&mine, "lagged", Filter { prefix, ..Filter::default() }, false);
    router.subscribe(&other, "lagged", Filter::default(), false);
    assert_eq!(router.mail_for(mine.instance(), event("lagged")).unwrap().subscriptions, [once]);
    assert!(router.mail_for(mine.instance(), event("lagged")).is_none());
    assert!(heard(&mut my_mail).is_empty(), "it needs no room in the mailbox");
    assert!(heard(&mut other_mail).is_empty());
}

#[test]
fn an_event_that_needs_a_grant_reaches_nobody_without_it() {
    let router = Router::default();
    let (mailbox, mut receiver) = mailbox(8);
    router.subscribe(&mailbox, "rosterInitialized", Filter::default(), false);
    let event = Event { payload: Payload::None, ..event("rosterInitialized") };
    router.route(event.clone(), router.live(), &|_| false);
    assert!(heard(&mut receiver).is_empty());
    let mut grants = Grants::default();
    grants.grant::<&str>(Permission::ContactsRead, &[]).unwrap();
    router.grant(&mailbox, Arc::new(grants));
    router.route(event, router.live(), &|_| false);
    assert_eq!(heard(&mut receiver).len(), 1);
}

#[test]
fn events_that_a_scope_does_not_cover_are_counted_by_permission() {
    let router = Router::default();
    let mut grants = Grants::default();
    grants.grant(Permission::MessagesRead, &["contacts"]).unwrap();
    let (mailbox, mut receiver) = Mailbox::new(InstanceId::next(), 8, Arc::new(grants));
    let counted =
        || mailbox.withheld.counts().into_iter().map(|(one, count)| (one.to_string(), count)).collect::<Vec<_>>();
    let messages = |count: u64| vec![("messages.read".to_owned(), count)];
    // There is no listener, so nothing is withheld.
    router.route(message(None, "one"), router.live(), &|_| false);
    assert_eq!(counted(), []);
    let only_two = Filter { prefix: Some("two".to_owned()), ..Filter::default() };
    router.subscribe(&mailbox, "message", only_two.clone(), false);
    router.subscribe(&mailbox, "message", only_two, false);
    router.route(message(None, "one"), router.live(), &|_| false);
    assert_eq!(counted(), [], "its filter does not want it");
    router.route(message(None, "two"), router.live(), &|_| false);
    router.route(message(None, "two again"), router.live(), &|_| false);
    assert_eq!(counted(), messages(2), "once for each event");
    router.route(message(None, "two"), router.live(), &|jid| jid.as_str() == "juliet@example.org");
    assert_eq!((heard(&mut receiver).len(), counted()), (1, messages(2)));
    // Waiting mail is checked again once its grant is gone.
    router.route(message(None, "two"), router.live(), &|_| true);
    let waits = receiver.try_recv().unwrap();
    router.grant(&mailbox, Arc::default());
    assert!(mailbox.withholds(&waits, &|_| true));
    assert_eq!(counted(), messages(3));
}

/// Otherwise the owner would look for the reason in a grant that covers the event.
#[test]
fn events_of_rooms_that_a_plugin_is_not_kept_to_are_counted_by_that() {
    let router = Router::default();
    let mut grants = Grants::default();
    grants.grant(Permission::MessagesRead, &["*"]).unwrap();
    let kept_to = |room: &str| Some(RoomList::new([RoomList::room(room).unwrap()]));
    // The messages of these tests come from this address, which is at the service of the room here.
    let kept = Arc::new(grants.clone().in_rooms(kept_to("lounge@example.org")));
    let (mailbox, mut receiver) = Mailbox::new(InstanceId::next(), 8, kept);
    router.subscribe(&mailbox, "message", Filter::default(), false);
    router.route(message(None, "one"), router.live(), &|_| false);
    assert_eq!((heard(&mut receiver).len(), mailbox.withheld.counts()), (0, [(Withholder::Rooms, 1)].into()));
    // If the grant does not cover it either, another room alone would not help.
    let mut narrow = Grants::default();
    narrow.grant(Permission::MessagesRead, &["contacts"]).unwrap();
    router.grant(&mailbox, Arc::new(narrow.in_rooms(kept_to("lounge@example.org"))));
    router.route(message(None, "two"), router.live(), &|_| false);
    let both = [(Withholder::Permission(Permission::MessagesRead), 1), (Withholder::Rooms, 1)];
    assert_eq!((heard(&mut receiver).len(), mailbox.withheld.counts()), (0, both.into()));
    router.grant(&mailbox, Arc::new(grants));
    router.route(message(None, "three"), router.live(), &|_| false);
    assert_eq!(heard(&mut receiver).len(), 1);
}

#[test]
fn a_plugin_that_may_read_encrypted_messages_alone_hears_no_others() {
    use parlor_stanza::types::{DeviceTrust, Encryption};

    use crate::{Undecryptable, UndecryptableReason};

    let sealed = |text: &str| {
        let Event { payload: Payload::Message(message), .. } = message(None, text) else { panic!("no message") };
        let (encryption, device_trust) = (Some(Encryption::Omemo), Some(DeviceTrust::Blind));
        let message = Message { encryption, device_trust, ..Message::clone(&message) };
        Event { payload: Payload::Message(Arc::new(message)), ..event("message") }
    };
    // With and without a screen.
    for scope in [&["encrypted:*"][..], &["encrypted:juliet@example.org"]] {
        let router = Router::default();
        let mut grants = Grants::default();
        grants.grant(Permission::MessagesRead, scope).unwrap();
        let (mailbox, mut receiver) = Mailbox::new(InstanceId::next(), 8, Arc::new(grants));
        for name in ["message", "undecryptable"] {
            router.subscribe(&mailbox, name, Filter::default(), false);
        }
        router.route(message(None, "plain"), router.live(), &|_| true);
        assert_eq!(heard(&mut receiver).len(), 0, "{scope:?}");
        assert_eq!(mailbox.withheld.counts(), [(Withholder::Permission(Permission::MessagesRead), 1)].into());
        router.route(sealed("secret"), router.live(), &|_| true);
        assert_eq!(heard(&mut receiver).len(), 1, "{scope:?}");

        let undecryptable = |from: &str, own, delayed| {
            let chat = from.parse::<jid::Jid>().unwrap().to_bare().into();
            let told = Undecryptable {
                id: None,
                stanza_id: None,
                chat,
                from: from.parse().unwrap(),
                nick: None,
                kind: MessageKind::Chat,
                at: Timestamp::UNIX_EPOCH,
                delayed,
                own,
                encryption: Encryption::Omemo,
                reason: UndecryptableReason::NoKeyForUs,
            };
            Event { payload: Payload::Undecryptable(Arc::new(told)), ..event("undecryptable") }
        };
        for (event, times) in [
            (undecryptable("juliet@example.org/balcony", false, false), 1),
            (undecryptable("juliet@example.org/balcony", true, false), 0),
            (undecryptable("juliet@example.org/balcony", false, true), 0),
            (undecryptable("romeo@example.net/orchard", false, false), usize::from(scope == ["encrypted:*"])),
        ] {
            router.route(event, router.live(), &|_| false);
            assert_eq!(heard(&mut receiver).len(), times, "{scope:?}");
        }
    }
}

#[test]
fn a_contact_that_the_plugin_added_is_none_for_its_grants() {
    let router = Router::default();
    let mut grants = Grants::default();
    grants.grant(Permission::MessagesRead, &["contacts"]).unwrap();
    let all = Arc::new(PluginContacts::default());
    let [own, of_another] = ["echo", "other"].map(|plugin| all.of(&plugin.parse().unwrap()));
    let setup = Setup { own_contacts: Some(own.clone()), ..Setup::default() };
    let (mailbox, mut receiver) = Mailbox::with(InstanceId::next(), 8, Arc::new(grants), setup);
    router.subscribe(&mailbox, "message", Filter::default(), false);
    let juliet = BareJid::new("juliet@example.org").unwrap();
    let mut heard = || {
        router.route(message(None, "hello"), router.live(), &|_| true);
        heard(&mut receiver).len()
    };
    assert_eq!(heard(), 1);
    let (part, now) = (Arc::default(), Timestamp::UNIX_EPOCH);
    all.logged_in(now);
    of_another.note(&juliet, &part, now);
    assert_eq!(heard(), 1, "another plugin added it");
    own.note(&juliet, &part, now);
    assert_eq!((heard(), own.count()), (0, 1));
    assert!(own.take_back(&juliet) && !own.take_back(&juliet));
    assert_eq!((heard(), own.count()), (1, 0));
    own.note(&juliet, &part, now);
    let later = now + SignedDuration::from_hours(1);
    assert_eq!(all.left(&juliet, later).len(), 2, "it left the roster");
    assert!(all.left(&juliet, later).is_empty());
    assert_eq!((heard(), of_another.count()), (1, 0));
    let part = Arc::new(OwnersPart { is_listed: true, ..OwnersPart::default() });
    own.note(&juliet, &part, now);
    assert_eq!(heard(), 1, "the plugin changed a contact that was there before");
}

#[test]
fn what_waits_in_a_mailbox_is_withheld_once_its_grant_is_taken_back() {
    let router = Router::default();
    let (mailbox, mut receiver) = mailbox(8);
    let mut grants = Grants::default();
    grants.grant::<&str>(Permission::ContactsRead, &[]).unwrap();
    router.grant(&mailbox, Arc::new(grants.clone()));
    router.subscribe(&mailbox, "rosterInitialized", Filter::default(), false);
    let event = Event { payload: Payload::None, ..event("rosterInitialized") };
    let mut next = || {
        router.route(event.clone(), router.live(), &|_| false);
        receiver.try_recv().unwrap()
    };
    let (first, second) = (next(), next());
    assert!(!mailbox.withholds(&first, &|_| false));
    router.grant(&mailbox, Arc::new(grants));
    assert!(!mailbox.withholds(&first, &|_| false), "it may see it still");
    router.grant(&mailbox, Arc::default());
    assert!(mailbox.withholds(&second, &|_| false));
}

#[test]
fn forgetting_an_instance_takes_all_its_subscriptions_and_nobody_elses() {
    let router = Router::default();
    let (gone, mut gone_mail) = mailbox(8);
    let (stays, mut mail) = mailbox(8);
    for name in ["one", "two"] {
        router.subscribe(&gone, name, Filter::default(), false);
        router.subscribe(&stays, name, Filter::default(), false);
    }
    router.forget(gone.instance());
    route(&router, "one");
    route(&router, "two");
    assert_eq!((router.count(gone.instance()), heard(&mut gone_mail).len(), heard(&mut mail).len()), (0, 0, 2));
}

#[test]
fn a_mailbox_holds_so_much_however_few_events_that_is() {
    const HEAVY: usize = 1 << 20;
    let router = Router::default();
    let (slow, mut slow_mail) = mailbox(1_000);
    let (other, mut other_mail) = mailbox(1_000);
    for mailbox in [&slow, &other] {
        router.subscribe(mailbox, "tick", Filter::default(), false);
    }
    let heavy = || Event { payload: Payload::Json("x".repeat(HEAVY).into()), ..event("tick") };
    let mut taken = 0;
    for _ in 0..100 {
        router.route(heavy(), router.live(), &|_| false);
        taken += heard(&mut other_mail).len();
    }
    assert_eq!((taken, other.take_lost()), (100, 0), "who keeps up misses nothing");
    let waits = heard(&mut slow_mail).len();
    assert!((MAX_WAITING / HEAVY / 2..=MAX_WAITING / HEAVY + UNWEIGHED).contains(&waits), "{waits}");
    assert_eq!(slow.take_lost(), 100 - waits as u64);
    assert_eq!(slow.weight(), 0, "what was read weighs nothing");
    router.route(heavy(), router.live(), &|_| false);
    assert_eq!(heard(&mut slow_mail).len(), 1);
}

/// Two busy rooms with long messages would keep hooks out.
#[test]
fn what_waits_for_its_turn_leaves_weight_to_what_waits_for_none() {
    let router = Router::default();
    let count = |is_held: bool| {
        let (mailbox, mut mail) = mailbox(1_000);
        router.subscribe(&mailbox, "tick", Filter::default(), false);
        let mut taken = Vec::new();
        for _ in 0..100 {
            let heavy = Event { payload: Payload::Json("x".repeat(1 << 20).into()), ..event("tick") };
            router.route(heavy, router.live(), &|_| false);
            while is_held && let Ok(one) = mail.try_recv() {
                taken.push(one);
                mail.hold(taken.len());
            }
        }
        100 - usize::try_from(mailbox.take_lost()).unwrap()
    };
    let (usual, beside) = (count(false), count(true));
    assert!(beside > usual + usual / 4 && beside < 2 * usual, "{usual} {beside}");
}

/// Each presence of one client is an event with all clients of the contact, and each event is a copy.
#[test]
fn a_contact_weighs_what_its_clients_say() {
    let client = ContactResource {
        name: "x".repeat(1_000),
        priority: 0,
        show: None,
        status: Some("x".repeat(1_000)),
        since: Timestamp::UNIX_EPOCH,
    };
    let item = RosterItem {
        jid: "juliet@example.org".parse().unwrap(),
        name: None,
        subscription: "both".to_owned(),
        ask: false,
        groups: Vec::new(),
    };
    let contact = Arc::new(Contact { resources: vec![client; 64], ..Contact::new(item) });
    let router = Router::default();
    let (slow, mut mail) = mailbox(1_000);
    router.subscribe(&slow, "tick", Filter::default(), false);
    for _ in 0..1_000 {
        let came = Event { payload: Payload::Contact(Arc::clone(&contact)), ..event("tick") };
        router.route(came, router.live(), &|_| false);
    }
    let waits = heard(&mut mail).len();
    assert!((100..300).contains(&waits), "{waits} of more than 128 KiB each, in {MAX_WAITING} bytes");
}

fn catching_up(grants: &Grants) -> (Arc<Mailbox>, MailReceiver) {
    catching_up_in(grants, CaughtUpRooms::default())
}

/// Does the same with these rooms.
fn catching_up_in(grants: &Grants, rooms: CaughtUpRooms) -> (Arc<Mailbox>, MailReceiver) {
    let setup = Setup { catches_up: Some(rooms), ..Setup::default() };
    Mailbox::with(InstanceId::next(), 8, Arc::new(grants.clone()), setup)
}

fn message(id: Option<&str>, body: &str) -> Event {
    let own: jid::FullJid = "bot@example.org/bot".parse().unwrap();
    let raw = RawStanza::parse("<message to='bot@example.org' type='chat' id='one'/>", &own.clone().into()).unwrap();
    let mut message = raw.leaving(&own, Timestamp::UNIX_EPOCH).unwrap();
    message.from = "juliet@example.org/balcony".parse().unwrap();
    message.chat = "juliet@example.org".parse().unwrap();
    message.own = false;
    message.stanza_id = id.map(str::to_owned);
    message.body = Some(body.to_owned());
    Event { name: "message".into(), at: Timestamp::UNIX_EPOCH, payload: Payload::Message(Arc::from(message)) }
}

/// Returns the archive id of each piece of mail, and whether it has an event for the plugin.
fn places(receiver: &mut MailReceiver) -> Vec<(Option<String>, bool)> {
    let id = |mail: &Mail| match &mail.place {
        Some(ArchivePlace::Message { at, .. }) => at.id.clone(),
        Some(ArchivePlace::CaughtUp(..)) | None => None,
    };
    std::iter::from_fn(|| receiver.try_recv().ok()).map(|mail| (id(&mail), !mail.subscriptions.is_empty())).collect()
}

fn place(id: &str, tells: bool) -> (Option<String>, bool) {
    (Some(id.to_owned()), tells)
}

#[test]
fn what_came_live_is_not_told_as_missed_and_what_was_told_as_missed_not_live() {
    let router = Router::default();
    let (mailbox, mut receiver) = catching_up(&Grants::all());
    router.subscribe(&mailbox, "message", Filter { delayed: true, ..Filter::default() }, false);
    router.subscribe(&mailbox, "messageAdded", Filter::default(), false);
    let instance = mailbox.instance();
    router.route(message(Some("a"), "a"), router.live(), &|_| false);
    router.route_missed(instance, message(Some("a"), "a"), &|_| false);
    router.route_missed(instance, message(Some("b"), "b"), &|_| false);
    router.route_missed(instance, message(Some("b"), "b"), &|_| false);
    router.route(message(Some("b"), "b"), router.live(), &|_| false);
    router.route(Event { name: "messageAdded".into(), ..message(Some("b"), "b") }, router.live(), &|_| false);
    assert_eq!(places(&mut receiver), [place("a", true), place("b", true)]);
    router.route(Event { name: "messageAdded".into(), ..message(Some("a"), "a") }, router.live(), &|_| false);
    assert_eq!(places(&mut receiver), [(None, true)], "it is told of each message as often as of others");
}

/// The archive lists it at each log-in until a later message is handled, and a room sends it at each entry.
#[test]
fn a_message_that_cannot_be_decrypted_is_told_once_until_it_can_be() {
    use crate::{Undecryptable, UndecryptableReason};

    let router = Router::default();
    let (mailbox, mut receiver) = catching_up(&Grants::all());
    for name in ["message", "undecryptable"] {
        router.subscribe(&mailbox, name, Filter { delayed: true, ..Filter::default() }, false);
    }
    let sealed = |event: Event| {
        let Payload::Message(message) = &event.payload else { unreachable!() };
        let told = Undecryptable::of(Message::clone(message), UndecryptableReason::NoSession);
        Event { name: "undecryptable".into(), payload: Payload::Undecryptable(Arc::new(told)), ..event }
    };
    let live = |event: Event| router.route(event, router.live(), &|_| false);
    let missed = |event: Event| router.route_missed(mailbox.instance(), event, &|_| false);
    live(sealed(message(Some("a"), "a")));
    assert!(!missed(sealed(message(Some("a"), "a"))));
    assert!(missed(sealed(message(Some("b"), "b"))));
    assert!(!missed(sealed(message(Some("b"), "b"))));
    live(sealed(message(Some("b"), "b")));
    assert_eq!(heard(&mut receiver).len(), 2);
    assert!(missed(message(Some("a"), "a")), "its key is known now");
    assert_eq!(places(&mut receiver), [place("a", true)]);
    for _ in 0..2 {
        live(sealed(in_room(Some("c"), "c", true)));
    }
    assert_eq!(heard(&mut receiver).len(), 1);
    for _ in 0..2 {
        live(sealed(in_room(None, "d", true)));
    }
    assert_eq!(heard(&mut receiver).len(), 2, "without an id, nobody can say that it is the same");
}

/// Applies to services that leave ids in place that others wrote in their name.
#[test]
fn an_id_of_the_archive_that_another_message_has_hides_nothing() {
    let router = Router::default();
    let (mailbox, mut receiver) = catching_up(&Grants::all());
    router.subscribe(&mailbox, "message", Filter { delayed: true, ..Filter::default() }, false);
    router.route(message(Some("a"), "good morning"), router.live(), &|_| false);
    router.route_missed(mailbox.instance(), message(Some("a"), "BUY NOW"), &|_| false);
    router.route_missed(mailbox.instance(), message(Some("b"), "good evening"), &|_| false);
    router.route(message(Some("b"), "BUY NOW"), router.live(), &|_| false);
    assert_eq!(places(&mut receiver), [place("a", true), place("a", true), place("b", true), place("b", true)]);
}

#[test]
fn what_came_before_the_server_numbered_messages_is_known_by_its_words() {
    let router = Router::default();
    let (mailbox, mut receiver) = catching_up(&Grants::all());
    router.subscribe(&mailbox, "message", Filter { delayed: true, ..Filter::default() }, false);
    router.route(message(None, "early"), router.live(), &|_| false);
    router.route_missed(mailbox.instance(), message(Some("a"), "early"), &|_| false);
    router.route_missed(mailbox.instance(), message(Some("b"), "another"), &|_| false);
    assert_eq!(places(&mut receiver), [(None, true), place("a", false), place("b", true)]);
}

#[test]
fn what_a_plugin_may_not_see_or_does_not_want_only_passes_its_place() {
    let router = Router::default();
    let mut stranger = Grants::default();
    stranger.grant(Permission::MessagesRead, &["romeo@example.org"]).unwrap();
    let (blind, mut seen) = catching_up(&stranger);
    let (choosy, mut chosen) = catching_up(&Grants::all());
    let (plain, mut unplaced) = mailbox(8);
    router.grant(&plain, Arc::new(Grants::all()));
    for one in [&blind, &plain] {
        router.subscribe(one, "message", Filter::default(), false);
    }
    router.subscribe(&choosy, "message", Filter { prefix: Some("!".to_owned()), ..Filter::default() }, false);
    for mailbox in [&blind, &choosy] {
        router.route_missed(mailbox.instance(), message(Some("a"), "a"), &|_| false);
    }
    router.route(message(Some("b"), "!b"), router.live(), &|_| false);
    assert_eq!(places(&mut seen), [place("a", false), place("b", false)]);
    assert_eq!(places(&mut chosen), [place("a", false), place("b", true)]);
    assert_eq!(places(&mut unplaced), [(None, true)]);
}

#[test]
fn what_can_wait_leaves_half_of_a_mailbox_to_what_cannot() {
    let router = Router::default();
    let (mailbox, mut receiver) = catching_up(&Grants::all());
    router.subscribe(&mailbox, "message", Filter { delayed: true, ..Filter::default() }, false);
    let mut told = 0;
    while mailbox.has_room_for_the_past() {
        router.route_missed(mailbox.instance(), message(Some(&told.to_string()), "past"), &|_| false);
        told += 1;
    }
    assert_eq!((told, places(&mut receiver).len()), (4, 4));
    for _ in 0..20 {
        mailbox.pass(ArchivePlace::CaughtUp(Archive::Own, 1));
    }
    assert_eq!(mailbox.take_lost(), 0, "a place that is not said is none that is lost");
}

#[test]
fn what_can_wait_leaves_half_of_what_a_mailbox_may_take_to_what_cannot() {
    const HEAVY: usize = 1 << 20;
    let router = Router::default();
    let (mailbox, mut receiver) = mailbox(1_000);
    router.subscribe(&mailbox, "tick", Filter::default(), false);
    let heavy = || Event { payload: Payload::Json("x".repeat(HEAVY).into()), ..event("tick") };
    while mailbox.has_room_for_the_past() {
        router.route_missed(mailbox.instance(), heavy(), &|_| false);
    }
    for _ in 0..10 {
        router.route(heavy(), router.live(), &|_| false);
    }
    assert_eq!(mailbox.take_lost(), 0, "there is room for what cannot wait");
    assert!(heard(&mut receiver).len() > MAX_WAITING / HEAVY / 2);
    assert!(mailbox.has_room_for_the_past());
}

/// The same message in a room, sent now or before the room was entered.
fn in_room(id: Option<&str>, body: &str, delayed: bool) -> Event {
    let Event { payload: Payload::Message(message), .. } = message(id, body) else { unreachable!() };
    let mut message = Message::clone(&message);
    message.kind = MessageKind::Groupchat;
    message.chat = "hall@rooms.example.org".parse().unwrap();
    message.from = "hall@rooms.example.org/Juliet".parse().unwrap();
    message.delayed = delayed;
    Event { name: "message".into(), at: Timestamp::UNIX_EPOCH, payload: Payload::Message(Arc::new(message)) }
}

#[test]
fn of_what_was_before_a_room_was_entered_its_archive_tells_who_catches_up_there() {
    let router = Router::default();
    let rooms = CaughtUpRooms::default();
    let (mailbox, mut receiver) = catching_up_in(&Grants::all(), rooms.clone());
    router.subscribe(&mailbox, "message", Filter { delayed: true, ..Filter::default() }, false);
    let live = |event| router.route(event, Delivery::Live(1), &|_| false);
    live(in_room(Some("a"), "a", true));
    assert_eq!(places(&mut receiver), [(None, true)], "it has no place in a room yet where it does not catch up");
    rooms.add(&"hall@rooms.example.org".parse().unwrap());
    live(in_room(Some("b"), "b", true));
    live(in_room(None, "early", false));
    live(in_room(Some("d"), "d", false));
    for (id, body) in [("a", "a"), ("b", "b"), ("c", "early"), ("d", "d")] {
        router.route_missed(mailbox.instance(), in_room(Some(id), body, true), &|_| false);
    }
    assert_eq!(places(&mut receiver), [(None, true), place("d", true), place("b", true), place("c", false)]);
    router.route_missed(mailbox.instance(), message(Some("d"), "d"), &|_| false);
    assert_eq!(places(&mut receiver), [place("d", true)], "each archive numbers for itself");
}

#[test]
fn what_a_room_refuses_is_told_to_who_listens_to_the_room() {
    let router = Router::default();
    let (mailbox, mut receiver) = mailbox(8);
    router.grant(&mailbox, Arc::new(Grants::all()));
    let room = Some("hall@rooms.example.org".parse().unwrap());
    let here = router.subscribe(&mailbox, "messageError", Filter { room, ..Filter::default() }, false);
    let all = router.subscribe(&mailbox, "messageError", Filter::default(), false);
    let refused = |chat: &str| {
        let Event { payload: Payload::Message(message), .. } = in_room(None, "hi", false) else { unreachable!() };
        let message = Message { kind: MessageKind::Error, chat: chat.parse().unwrap(), ..Message::clone(&message) };
        Event { name: "messageError".into(), at: Timestamp::UNIX_EPOCH, payload: Payload::Message(Arc::new(message)) }
    };
    for (chat, told) in [
        ("hall@rooms.example.org", vec![here, all]),
        ("hall@rooms.example.org/Juliet", vec![all]),
        ("den@rooms.example.org", vec![all]),
    ] {
        router.route(refused(chat), router.live(), &|_| false);
        assert_eq!(heard(&mut receiver), [told], "{chat}");
    }
}

/// However many subscriptions of a plugin ask how it begins.
#[test]
fn what_a_message_says_beside_its_quotation_is_made_out_once() {
    let Event { payload: Payload::Message(message), name, at } = message(None, "> long\n!roll") else {
        panic!("no message")
    };
    let fallback = vec![Fallback { feature: None, part: Some((0, 7)) }];
    let reply = Some(ReplyTo { id: "1".to_owned(), to: None });
    let extensions = Some(Box::new(Extensions { reply, fallback, ..Extensions::default() }));
    let message = Message { extensions, ..Message::clone(&message) };
    let event = Event { name, at, payload: Payload::Message(Arc::new(message.clone())) };
    let heard = Heard::new(&event);
    let begins = |prefix: &str| Filter { prefix: Some(prefix.to_owned()), ..Filter::default() }.matches(&heard);
    assert!(begins("!roll") && begins("> long") && !begins("long"));
    assert_eq!(heard.said(&message), "!roll");
    assert!(std::ptr::eq(heard.said(&message), heard.said(&message)));
}

/// The answer to an owner who asks whether a plugin hears someone.
#[test]
fn a_filter_says_how_much_it_lets_through() {
    use crate::permissions::event as rule;
    use crate::permissions::question::Listening;

    let (juliet, nurse): (jid::Jid, jid::Jid) =
        ("juliet@localhost".parse().unwrap(), "lobby@rooms.localhost/rom".parse().unwrap());
    let (room, own): (BareJid, BareJid) = (nurse.to_bare(), "bot@localhost".parse().unwrap());
    let person = Some(Whom::Person(&juliet));
    let kinds = |kinds: &[MessageKind]| Filter { kinds: kinds.to_vec(), ..Filter::default() };
    let groupchat = || kinds(&[MessageKind::Groupchat]);
    let from = |from: &str| Filter { from: Some(from.parse().unwrap()), ..Filter::default() };
    let in_room = Filter { room: Some(room.clone()), ..Filter::default() };
    let prefixed = Filter { prefix: Some("!".to_owned()), ..Filter::default() };
    let part = |words: &str| Listening::Part(words.to_owned());
    let elsewhere = |words: &str| Listening::Elsewhere(words.to_owned());
    for (name, filter, whom, expected) in [
        ("message", Filter::default(), None, Listening::All),
        ("message", Filter::default(), person, Listening::All),
        ("message", groupchat(), None, part("kind groupchat")),
        ("message", groupchat(), person, elsewhere("kind groupchat")),
        ("message", groupchat(), Some(Whom::Room(&room)), Listening::All),
        ("message", groupchat(), Some(Whom::Occupant(&nurse)), part("kind groupchat")),
        ("message", kinds(&[MessageKind::Chat]), person, part("kind chat")),
        ("message", kinds(&[MessageKind::Chat]), Some(Whom::Room(&room)), elsewhere("kind chat")),
        ("message", from("juliet@localhost"), person, Listening::All),
        ("message", from("juliet@localhost/balcony"), person, part("from juliet@localhost/balcony")),
        ("message", from("romeo@localhost"), person, elsewhere("from romeo@localhost")),
        ("message", from("romeo@localhost"), None, part("from romeo@localhost")),
        ("message", in_room.clone(), person, elsewhere("room lobby@rooms.localhost")),
        ("message", in_room.clone(), Some(Whom::Room(&room)), Listening::All),
        ("message", prefixed.clone(), person, part("prefix \"!\"")),
        ("message", Filter::default(), Some(Whom::Own(&own)), elsewhere("no messages of the account's own")),
        ("message", Filter { own: true, ..Filter::default() }, Some(Whom::Own(&own)), Listening::All),
        ("messageSend", Filter::default(), Some(Whom::Own(&own)), Listening::All),
        ("messageSend", from("juliet@localhost"), person, part("from juliet@localhost")),
        ("messageError", groupchat(), person, elsewhere("kind groupchat")),
        ("messageError", in_room.clone(), Some(Whom::Room(&room)), Listening::All),
        ("occupantJoined", in_room.clone(), Some(Whom::Room(&room)), Listening::All),
        ("occupantJoined", from("juliet@localhost"), Some(Whom::Room(&room)), part("from juliet@localhost")),
        ("occupantJoined", groupchat(), Some(Whom::Room(&room)), elsewhere("kind groupchat")),
        ("contactPresenceChanged", from("romeo@localhost"), person, elsewhere("from romeo@localhost")),
        ("connected", prefixed, None, elsewhere("prefix \"!\"")),
    ] {
        let found = listening(&[(filter.clone(), false)], rule(name).unwrap(), whom);
        assert_eq!(found, expected, "{name} {filter:?} {whom:?}");
    }
    let message = rule("message").unwrap();
    assert_eq!(listening(&[], message, None), Listening::Not);
    let both = [(groupchat(), false), (kinds(&[MessageKind::Chat]), false)];
    assert_eq!(listening(&both, message, None), part("kind groupchat; or kind chat"));
    assert_eq!(listening(&both, message, person), part("kind chat"));
    let once = [(Filter::default(), true)];
    assert_eq!(listening(&once, message, person), part("the next one alone"));
    // The router knows the filters.
    let router = Router::default();
    let (mailbox, _receiver) = mailbox(1);
    router.subscribe(&mailbox, "message", groupchat(), true);
    assert_eq!(router.filters(mailbox.instance(), "message"), [(groupchat(), true)]);
    assert_eq!(router.filters(mailbox.instance(), "messageSend"), []);
}

/// Explaining and routing agree about every possible message.
#[test]
fn a_filter_is_said_to_let_through_what_it_lets_through() {
    use MessageKind::{Chat, Error, Groupchat, Headline, Normal};

    use crate::permissions::event as rule;
    use crate::permissions::question::Listening;

    const ADDRESSES: [&str; 6] = [
        "juliet@localhost",
        "juliet@localhost/balcony",
        "lobby@rooms.localhost",
        "lobby@rooms.localhost/rom",
        "romeo@localhost",
        "den@rooms.localhost",
    ];
    let [juliet, client, lobby, nurse, romeo, den] = ADDRESSES.map(|jid| jid.parse::<jid::Jid>().unwrap());
    let Event { payload: Payload::Message(any), .. } = message(None, "hi") else { panic!("no message") };
    let room = lobby.to_bare();
    for (name, outside, inside) in [
        ("message", &[Chat, Normal, Headline][..], &[Groupchat, Chat, Normal, Headline][..]),
        ("messageNotification", &[Chat, Normal, Headline], &[Groupchat, Chat, Normal, Headline]),
        ("messageAdded", &[Chat, Normal], &[Groupchat]),
        ("messageError", &[Error], &[Error]),
    ] {
        let said = |kind: MessageKind, from: &jid::Jid, chat: jid::Jid| {
            let message = Message { kind, from: from.clone(), chat, ..Message::clone(&any) };
            Event { name: name.into(), at: Timestamp::UNIX_EPOCH, payload: Payload::Message(Arc::new(message)) }
        };
        let by_person = |from: &jid::Jid| -> Vec<Event> {
            outside.iter().map(|kind| said(*kind, from, from.to_bare().into())).collect()
        };
        let to_all = |from: &jid::Jid, is_meant: fn(&MessageKind) -> bool| -> Vec<Event> {
            let kinds = inside.iter().filter(|kind| is_meant(kind));
            kinds.map(|kind| said(*kind, from, from.to_bare().into())).collect()
        };
        let by_occupant = |from: &jid::Jid| -> Vec<Event> {
            let alone = inside.iter().filter(|kind| **kind != Groupchat).map(|kind| said(*kind, from, from.clone()));
            [alone.collect(), to_all(from, |kind| *kind == Groupchat)].concat()
        };
        let by_anybody = |from: &jid::Jid| [by_person(from), by_occupant(from)].concat();
        let everything = [&juliet, &client, &lobby, &nurse, &romeo, &den].map(by_anybody).concat();
        let by_juliet: Vec<Event> = [by_person(&juliet), by_person(&client)].concat();
        let usual: Vec<Event> =
            [&lobby, &nurse].map(|from| to_all(from, |kind| matches!(kind, Groupchat | Error))).concat();
        let in_lobby: Vec<Event> = [&lobby, &nurse].map(|from| to_all(from, |kind| *kind != Chat)).concat();
        let by_nurse: Vec<Event> = by_occupant(&nurse);
        for (whom, usual, possible) in [
            (None, &everything, &everything),
            (Some(Whom::Person(&juliet)), &by_juliet, &by_juliet),
            (Some(Whom::Room(&room)), &usual, &in_lobby),
            (Some(Whom::Occupant(&nurse)), &by_nurse, &by_nurse),
        ] {
            let froms = [None].into_iter().chain([&juliet, &client, &lobby, &nurse, &romeo].map(Some));
            let all = froms.flat_map(|from| [None, Some(&lobby), Some(&den)].map(|room| (from.cloned(), room)));
            for (from, room) in all {
                for kinds in [&[][..], &[Chat], &[Normal], &[Groupchat], &[Error], &[Chat, Normal, Headline]] {
                    let room = room.map(jid::Jid::to_bare);
                    let filter = Filter { from: from.clone(), room, kinds: kinds.to_vec(), ..Filter::default() };
                    let found = listening(&[(filter.clone(), false)], rule(name).unwrap(), whom);
                    let passes = |event: &Event| filter.matches(&Heard::new(event));
                    let what = format!("{name} {whom:?} {filter:?}: {found:?}");
                    assert_eq!(matches!(found, Listening::Elsewhere(_)), !possible.iter().any(passes), "{what}");
                    assert!(found != Listening::All || usual.iter().all(passes), "{what}");
                }
            }
        }
    }
}

/// Returns a message from this person, for a scope to exclude.
fn from(jid: &str) -> Event {
    let mut event = message(None, "hi");
    if let Payload::Message(message) = &mut event.payload {
        let message = Arc::make_mut(message);
        (message.from, message.chat) = (jid.parse().unwrap(), jid.parse::<jid::Jid>().unwrap().to_bare().into());
    }
    event
}

/// Mailboxes with and without a screen must decide equally.
#[test]
fn a_screen_excludes_nobody_whom_the_scope_covers_and_counts_what_it_withholds() {
    let scopes: [&[&str]; 8] = [
        &["*"],
        &["contacts"],
        &["juliet@example.org"],
        &["juliet@example.org/balcony"],
        &["@example.org"],
        &["example.org"],
        &["romeo@example.net", "@m\u{fc}nchen.de", "contacts"],
        // More than a screen has room for.
        &["a@x.y", "b@x.y", "c@x.y", "d@x.y", "juliet@example.org"],
    ];
    let filters = [
        Filter::default(),
        Filter { kinds: vec![MessageKind::Chat], ..Filter::default() },
        Filter { kinds: vec![MessageKind::Groupchat], ..Filter::default() },
        Filter { prefix: Some("h".to_owned()), ..Filter::default() },
    ];
    let people = [
        "juliet@example.org/balcony",
        "juliet@example.org",
        "example.org",
        "nurse@example.org/x",
        "romeo@example.net/orchard",
        "paris@xn--mnchen-3ya.de/x",
        "friend@elsewhere.example/x",
    ];
    let is_contact = |jid: &BareJid| jid.as_str() == "friend@elsewhere.example";
    for (scope, filter) in scopes.into_iter().flat_map(|scope| filters.iter().map(move |filter| (scope, filter))) {
        let mut grants = Grants::default();
        grants.grant(Permission::MessagesRead, scope).unwrap();
        let router = Router::default();
        let (mailbox, mut receiver) = Mailbox::new(InstanceId::next(), 100, Arc::new(grants.clone()));
        router.subscribe(&mailbox, "message", filter.clone(), false);
        let mut withheld = 0;
        for person in people {
            let event = from(person);
            let wants = filter.matches(&Heard::new(&event));
            let may = grants.may_see(&event, &is_contact);
            withheld += u64::from(wants && !may);
            router.route(event, router.live(), &is_contact);
            assert_eq!(heard(&mut receiver).len(), usize::from(wants && may), "{scope:?} {filter:?} {person}");
        }
        let counted: u64 = mailbox.withheld.counts().values().sum();
        assert_eq!(counted, withheld, "{scope:?} {filter:?}");
    }
}

#[test]
fn a_screen_follows_the_grants_and_the_subscriptions() {
    let router = Router::default();
    let granted = |scope: &str| {
        let mut grants = Grants::default();
        grants.grant(Permission::MessagesRead, &[scope]).unwrap();
        Arc::new(grants)
    };
    let (mailbox, mut receiver) = Mailbox::new(InstanceId::next(), 100, granted("romeo@example.net"));
    let first = router.subscribe(&mailbox, "message", Filter::default(), false);
    let mut told = |router: &Router| {
        router.route(from("juliet@example.org/balcony"), router.live(), &|_| false);
        heard(&mut receiver).len()
    };
    assert_eq!(told(&router), 0);
    router.grant(&mailbox, granted("@example.org"));
    assert_eq!(told(&router), 1);
    router.shadow(&mailbox, Shadow::On);
    assert_eq!(told(&router), 0);
    router.shadow(&mailbox, Shadow::Off);
    assert_eq!(told(&router), 1);
    router.grant(&mailbox, granted("romeo@example.net"));
    assert_eq!(told(&router), 0);
    let errors = Filter { kinds: vec![MessageKind::Error], ..Filter::default() };
    router.subscribe(&mailbox, "message", errors, false);
    router.unsubscribe(mailbox.instance(), first);
    let counted = || mailbox.withheld.counts().values().sum::<u64>();
    let before = counted();
    assert_eq!((told(&router), counted()), (0, before), "nobody wants it any more");
}

/// The order must interleave listeners that are checked for each event with those that are found by address.
#[test]
fn listeners_are_found_by_address_and_told_in_the_order_of_their_subscriptions() {
    let router = Router::default();
    let scopes = ["juliet@example.org", "*", "@example.org", "nobody@example.org", "contacts", "juliet@example.org"];
    let listeners = scopes.map(|scope| {
        let mut grants = Grants::default();
        grants.grant(Permission::MessagesRead, &[scope]).unwrap();
        let (mailbox, receiver) = Mailbox::new(InstanceId::next(), 8, Arc::new(grants));
        router.subscribe(&mailbox, "message", Filter::default(), false);
        (mailbox, receiver)
    });
    let told = |jid: &str| {
        let mut told = Vec::new();
        let event = Arc::new(from(jid));
        router.give(&event, None, router.live(), &|jid| jid.as_str() == "romeo@example.net", |mailbox, _| {
            told.extend(listeners.iter().position(|(one, _)| one.instance() == mailbox.instance()));
            true
        });
        told
    };
    assert_eq!(told("juliet@example.org/balcony"), [0, 1, 2, 5]);
    assert_eq!(told("romeo@example.net/orchard"), [1, 4]);
    assert_eq!(told("nurse@example.org"), [1, 2]);
    let (first, second) = (&listeners[0].0, &listeners[1].0);
    // Its place stays, regardless of its grants; a further subscription comes last.
    let mut all = Grants::default();
    all.grant(Permission::MessagesRead, &["*"]).unwrap();
    router.grant(first, Arc::new(all));
    router.forget(second.instance());
    assert_eq!(told("romeo@example.net/orchard"), [0, 4]);
    router.subscribe(second, "message", Filter::default(), false);
    assert_eq!(told("juliet@example.org/balcony"), [0, 2, 5, 1]);
    let withheld = listeners.each_ref().map(|(mailbox, _)| mailbox.withheld.counts().values().sum::<u64>());
    assert_eq!(withheld, [2, 0, 2, 5, 3, 3]);
    router.forget(listeners[3].0.instance());
    assert_eq!(listeners[3].0.withheld.counts(), [(Withholder::Permission(Permission::MessagesRead), 5)].into());
}
