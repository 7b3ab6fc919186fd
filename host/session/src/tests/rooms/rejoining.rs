//! Removal from rooms: whether we return, and what the owner sees.

use parlor_stanza::types::BookmarkChange::Set;
use serde_json::json;

use super::bookmarks::bookmark;
use super::*;

fn record(test: &TestSession) -> Arc<RoomRecord> {
    Arc::clone(&test.session.snapshot().room_records.rooms[&bare(ROOM)])
}

fn why(record: &RoomRecord) -> Option<&'static str> {
    record.departure.as_ref().map(|departure| departure.why)
}

fn with_policy(rejoin: &str) -> TestSession {
    let mut test = TestSession::connected(settings(&[("rejoin", json!(rejoin))]));
    test.in_room();
    test
}

/// A bookmark of the room without a nickname, so that ours is that of the account.
fn listed(autojoin: bool) -> types::Bookmark {
    types::Bookmark { nick: None, ..bookmark(autojoin) }
}

/// Returns a test that has just connected, and is entering the room because of its bookmark.
fn entering_by_bookmark(settings: Settings) -> TestSession {
    let mut test = TestSession::new(settings);
    test.run(Session::plugins_initialized);
    test.bind();
    test.roster_alone(Vec::new());
    test.bookmarks(vec![listed(true)]);
    assert!(enters(&mut test));
    test
}

/// Returns a test that is in the room because of its bookmark.
fn in_by_bookmark(rejoin: &str) -> TestSession {
    let mut test = entering_by_bookmark(settings(&[("rejoin", json!(rejoin))]));
    is_in(&mut test);
    test
}

/// Lets the bot in.
fn is_in(test: &mut TestSession) {
    test.presence(occupant("bot", PresenceKind::Available, &[110]));
    test.subject("");
    assert_eq!(record(test).state, RoomState::Joined);
    test.forget();
}

/// Returns whether the bot has asked to enter.
fn enters(test: &mut TestSession) -> bool {
    test.lines().iter().any(|line| line.contains("entering"))
}

/// The ways in which the account loses its stream without resumption: it gets another one at once, or gives up first.
#[derive(Debug, Clone, Copy)]
enum Loss {
    Replaced,
    GivenUp,
}

impl Loss {
    const ALL: [Self; 2] = [Self::Replaced, Self::GivenUp];

    /// Lets the account lose its stream. Returns whether the bot asks to enter on the next one, with these bookmarks.
    fn then_enters(self, test: &mut TestSession, bookmarks: Vec<types::Bookmark>) -> bool {
        if let Self::GivenUp = self {
            test.run(|session, now, effects| session.lost("gone", now, effects));
        }
        test.forget();
        test.bind();
        test.roster_alone(Vec::new());
        test.bookmarks(bookmarks);
        enters(test)
    }
}

/// Puts the bot out, with these status codes.
fn put_out(test: &mut TestSession, status: &[u16]) {
    let destroyed = (status == [110]).then_some(None);
    test.presence(with_muc(occupant("bot", PresenceKind::Unavailable, status), |muc| muc.destroyed = destroyed));
    test.forget();
}

/// The status codes of the removals that are final with `rejoin = "never"`, and what the record says.
const FINAL: [(&[u16], &str); 5] = [
    (&[110, 307], "kicked"),
    (&[110, 301], "banned"),
    (&[110, 321], "affiliation"),
    (&[110, 322], "members-only"),
    (&[110], "destroyed"),
];

/// Kicks the bot, with the actor and the reason.
fn kick(test: &mut TestSession) {
    let gone = with_muc(occupant("bot", PresenceKind::Unavailable, &[110, 307]), |muc| {
        muc.actor = Some(types::Actor { nick: Some("juliet".to_owned()), jid: None });
        muc.reason = Some("too loud".to_owned());
    });
    test.presence(gone);
    test.forget();
}

/// Returns whether the bot asks to enter after this number of seconds, and not a second before.
fn enters_after(test: &mut TestSession, seconds: u64) -> bool {
    let mut enters_within = |seconds| {
        test.forget();
        test.wait(seconds);
        test.lines().iter().any(|line| line.contains("entering"))
    };
    !enters_within(seconds - 1) && enters_within(1)
}

#[test]
fn the_owner_decides_whether_we_come_back_after_a_kick() {
    for (rejoin, comes_back) in [("never", [false, false]), ("kicked-once", [true, false]), ("always", [true, true])] {
        let mut test = with_policy(rejoin);
        for (kicks, (comes_back, wait)) in comes_back.into_iter().zip([30, 60]).enumerate() {
            kick(&mut test);
            let state = if comes_back { RoomState::Waiting } else { RoomState::Out };
            assert_eq!((record(&test).state, why(&record(&test))), (state, Some("kicked")), "{rejoin} {kicks}");
            assert_eq!(record(&test).next.is_some(), comes_back);
            assert_eq!(enters_after(&mut test, wait), comes_back, "{rejoin} {kicks}");
            if !comes_back {
                break;
            }
            test.presence(occupant("bot", PresenceKind::Available, &[110]));
            assert_eq!((record(&test).state, record(&test).next), (RoomState::Joined, None));
        }
    }
}

/// Openfire removes people who were silent for longer than its administrator allows with the code of a kick, without an actor.
/// Other services leave out the actor of a kick by a moderator, too (XEP-0045, section 8.2).
#[test]
fn a_removal_for_silence_is_no_kick_by_a_person() {
    let remove = |test: &mut TestSession, reason: &str, actor: Option<&str>| {
        let gone = with_muc(occupant("bot", PresenceKind::Unavailable, &[110, 307]), |muc| {
            muc.actor = actor.map(|nick| types::Actor { nick: Some(nick.to_owned()), jid: None });
            muc.reason = Some(reason.to_owned());
        });
        test.presence(gone);
        assert_eq!(room(test).left, Some("kicked"), "plugins get what the room says");
        test.forget();
    };
    let silent = "User exceeded idle time limit.";
    for rejoin in ["never", "kicked-once"] {
        let mut test = with_policy(rejoin);
        for wait in [30, 60] {
            remove(&mut test, silent, None);
            assert_eq!(record(&test).state, RoomState::Waiting, "{rejoin}");
            assert!(enters_after(&mut test, wait), "{rejoin} {wait}");
            test.presence(occupant("bot", PresenceKind::Available, &[110]));
        }
        // The removals before did not count as kicks.
        kick(&mut test);
        assert_eq!(record(&test).state == RoomState::Waiting, rejoin == "kicked-once", "{rejoin}");
    }
    for (reason, actor) in [(silent, Some("juliet")), ("too loud", None)] {
        let mut test = with_policy("never");
        remove(&mut test, reason, actor);
        assert_eq!(record(&test).state, RoomState::Out, "{reason}");
    }
}

#[test]
fn a_kick_before_the_bookmarks_came_is_not_forgotten_when_they_do() {
    let mut test = TestSession::new(settings(&[("rejoin", json!("always"))]));
    test.run(Session::plugins_initialized);
    test.bind();
    test.roster_alone(Vec::new());
    test.in_room();
    kick(&mut test);
    test.bookmarks(Vec::new());
    assert!(!test.lines().iter().any(|line| line.contains("entering")));
    assert_eq!(record(&test).state, RoomState::Waiting);
    assert!(enters_after(&mut test, 30));
}

#[test]
fn we_come_back_less_and_less_often_and_a_new_entry_counts_anew() {
    let mut test = with_policy("always");
    for wait in [30, 60, 120, 240, 480, 960, 960] {
        kick(&mut test);
        assert!(enters_after(&mut test, wait), "{wait}");
        test.presence(occupant("bot", PresenceKind::Available, &[110]));
    }
    let mut test = with_policy("kicked-once");
    kick(&mut test);
    assert!(enters_after(&mut test, 30));
    test.presence(occupant("bot", PresenceKind::Available, &[110]));
    kick(&mut test);
    assert!(!enters_after(&mut test, 60));
    // Somebody wants us there again.
    test.in_room();
    kick(&mut test);
    assert!(enters_after(&mut test, 30));
}

#[test]
fn bans_and_the_end_of_a_room_are_final_whatever_the_policy() {
    for (status, destroyed, says) in [
        (&[110, 301][..], false, "banned"),
        (&[110, 321], false, "affiliation"),
        (&[110, 322], false, "members-only"),
        (&[110], true, "destroyed"),
    ] {
        let mut test = with_policy("always");
        let gone = with_muc(occupant("bot", PresenceKind::Unavailable, status), |muc| {
            muc.destroyed = destroyed.then(|| Some(bare("other@muc.example.org")));
        });
        test.presence(gone);
        test.forget();
        assert_eq!((record(&test).state, why(&record(&test))), (RoomState::Out, Some(says)));
        let departure = record(&test).departure.clone().unwrap();
        assert_eq!(departure.alternative.is_some(), destroyed);
        assert!(!enters_after(&mut test, 3_600), "{says}");
        test.bind();
        test.roster(Vec::new());
        assert!(!test.lines().iter().any(|line| line.contains("entering")), "{says}");
        assert_eq!(test.session.snapshot().room_records.departures.get(says), Some(&1));
    }
}

#[test]
fn a_room_that_bans_us_after_a_kick_is_not_asked_again() {
    let mut test = with_policy("always");
    kick(&mut test);
    assert!(enters_after(&mut test, 30));
    test.presence(presence(ROOM, PresenceKind::Error(stanza_error("forbidden"))));
    assert_eq!((record(&test).state, why(&record(&test))), (RoomState::Out, Some("banned")));
    assert!(!enters_after(&mut test, 3_600));
    let news: Vec<_> = test.room_news.iter().map(|news| (news.was_in, why(&news.record), news.record.state)).collect();
    assert_eq!(
        news,
        [(true, Some("kicked"), RoomState::Waiting), (false, Some("banned"), RoomState::Out)],
        "the owner is told of both"
    );
}

#[test]
fn the_owner_is_told_at_once_who_put_us_out_and_why_and_when_we_are_back() {
    let mut test = with_policy("kicked-once");
    let entered = record(&test).since.unwrap();
    assert!(test.room_news.is_empty(), "an entry that somebody asked for is no news");
    test.wait(5);
    kick(&mut test);
    let news = test.room_news.pop().unwrap();
    let departure = news.record.departure.as_ref().unwrap();
    assert_eq!((&news.room, news.was_in, departure.at), (&bare(ROOM), true, test.now));
    assert_eq!(departure.actor.as_ref().unwrap().nick.as_deref(), Some("juliet"));
    assert_eq!(departure.reason.as_deref(), Some("too loud"));
    assert_eq!(news.record.next, Some(test.now + Duration::from_secs(30)));
    test.wait(30);
    test.presence(occupant("bot", PresenceKind::Available, &[110]));
    let news = test.room_news.pop().unwrap();
    assert_eq!(news.record.state, RoomState::Joined);
    assert!(news.record.since.unwrap() > entered && test.room_news.is_empty());
}

#[test]
fn a_lost_connection_ends_no_stay_and_is_no_news() {
    let mut test = with_policy("never");
    let entered = record(&test).since;
    test.wait(600);
    test.bind();
    assert_eq!(record(&test).state, RoomState::Waiting);
    test.roster(Vec::new());
    assert_eq!(record(&test).state, RoomState::Joining);
    test.presence(occupant("bot", PresenceKind::Available, &[110]));
    assert_eq!((record(&test).state, record(&test).since), (RoomState::Joined, entered));
    assert!(test.room_news.is_empty());
}

#[test]
fn a_room_that_we_leave_on_request_is_shown_as_left_and_nobody_is_alarmed() {
    let mut test = with_policy("always");
    let mut closed = close(&mut test);
    test.presence(occupant("bot", PresenceKind::Unavailable, &[110]));
    assert!(got(&mut closed).unwrap().is_ok());
    assert_eq!((record(&test).state, why(&record(&test))), (RoomState::Out, Some("left")));
    assert!(test.room_news.is_empty() && test.session.snapshot().room_records.departures.is_empty());
}

/// Otherwise a mistyped room stays in the list, and doctor warns of it, until the host stops.
#[test]
fn a_room_that_we_are_out_of_is_forgotten_on_request_and_one_that_we_are_in_is_not() {
    let dismiss = |test: &mut TestSession| {
        assert!(got(&mut test.ask(DismissRoom { jid: bare(ROOM) })).unwrap().is_ok());
        test.session.snapshot().room_records.rooms.contains_key(&bare(ROOM))
    };
    let mut test = TestSession::connected(Settings::default());
    let mut opened = test.open_room(None);
    assert!(dismiss(&mut test), "it is being entered");
    test.presence(presence(ROOM, PresenceKind::Error(stanza_error("remote-server-not-found"))));
    assert!(got(&mut opened).unwrap().is_err());
    assert_eq!(why(&record(&test)), Some("refused"));
    assert!(!dismiss(&mut test), "a room that it never was in");

    let mut test = with_policy("never");
    assert!(dismiss(&mut test), "it is in it");
    kick(&mut test);
    let mut closed = close(&mut test);
    assert!(got(&mut closed).unwrap().is_ok());
    assert_eq!(why(&record(&test)), Some("kicked"));
    assert!(!dismiss(&mut test), "a room that it was put out of");
}

/// Plugins can ask for any room, and strangers can invite to any.
#[test]
fn a_room_of_the_settings_that_lets_nobody_in_is_news_and_one_of_a_plugin_is_not() {
    let mut test = TestSession::new(settings(&[("auto_join_rooms", json!([ROOM]))]));
    test.run(Session::plugins_initialized);
    test.bind();
    test.account_told();
    test.roster(Vec::new());
    test.presence(presence(ROOM, PresenceKind::Error(stanza_error("registration-required"))));
    let news = test.room_news.pop().unwrap();
    assert_eq!((news.was_in, why(&news.record)), (false, Some("members-only")));
    let mut opened = test.open_room(None);
    test.presence(presence(ROOM, PresenceKind::Error(stanza_error("forbidden"))));
    assert!(got(&mut opened).unwrap().is_err());
    assert_eq!((why(&record(&test)), test.room_news.len()), (Some("banned"), 0));
}

#[test]
fn a_service_that_is_down_is_told_of_once_however_often_it_is_tried() {
    let mut test = TestSession::new(settings(&[("auto_join_rooms", json!([ROOM]))]));
    test.run(Session::plugins_initialized);
    test.bind();
    test.account_told();
    test.roster(Vec::new());
    for _ in 0..5 {
        test.presence(presence(ROOM, PresenceKind::Error(stanza_error("remote-server-not-found"))));
        let record = record(&test);
        assert_eq!((record.state, why(&record)), (RoomState::Waiting, Some("refused")));
        assert!(record.next.is_some_and(|next| next > test.now));
        test.wait(640);
        assert_eq!(test.session.snapshot().room_records.rooms[&bare(ROOM)].state, RoomState::Joining);
    }
    assert_eq!(test.room_news.len(), 1);
}

#[test]
fn a_bookmark_does_not_bring_back_an_account_that_was_put_out() {
    for (loss, (status, says)) in Loss::ALL.into_iter().flat_map(|loss| FINAL.map(|removal| (loss, removal))) {
        let mut test = in_by_bookmark("never");
        put_out(&mut test, status);
        assert_eq!((record(&test).state, why(&record(&test))), (RoomState::Out, Some(says)));
        for stream in 0..2 {
            assert!(!loss.then_enters(&mut test, vec![listed(true)]), "{loss:?} {says} {stream}");
            assert_eq!((record(&test).state, why(&record(&test))), (RoomState::Out, Some(says)), "{loss:?}");
        }
        // Another client renames it.
        let renamed = types::Bookmark { name: Some("Hall".to_owned()), ..listed(true) };
        test.hear(Incoming::Bookmarks(vec![Set(renamed)]));
        assert!(!enters(&mut test) && !enters_after(&mut test, 3_600), "{loss:?} {says}");
        // Somebody wants us there.
        let mut opened = test.open_room(None);
        assert!(enters(&mut test));
        is_in(&mut test);
        assert!(got(&mut opened).unwrap().unwrap().joined);
        assert!(loss.then_enters(&mut test, vec![listed(true)]), "{loss:?} {says}: it is in again");
    }
}

#[test]
fn the_list_of_the_settings_does_not_bring_back_an_account_that_was_put_out() {
    for (status, says) in FINAL {
        let mut test = TestSession::connected(settings(&[("auto_join_rooms", json!([ROOM]))]));
        is_in(&mut test);
        put_out(&mut test, status);
        for loss in Loss::ALL {
            assert!(!loss.then_enters(&mut test, Vec::new()), "{loss:?} {says}");
            assert_eq!(
                test.count("roomsAutoJoined"),
                usize::from(matches!(loss, Loss::GivenUp)),
                "nothing waits for it"
            );
        }
        // An owner who takes it from the list and adds it again wants it.
        test.set(&[("auto_join_rooms", json!([]))]).unwrap();
        assert!(!enters(&mut test));
        test.set(&[("auto_join_rooms", json!([ROOM]))]).unwrap();
        assert!(enters(&mut test), "{says}");
    }
}

/// An owner corrects the address of a room, or takes one from the list that does not let the account in.
#[test]
fn a_room_that_was_never_entered_goes_with_its_place_in_the_list() {
    let (before, after) = (settings(&[("auto_join_rooms", json!([ROOM]))]), Settings::default());
    for condition in ["not-authorized", "remote-server-not-found"] {
        for was_in in [false, true] {
            let mut test = TestSession::connected(before.clone());
            if was_in {
                is_in(&mut test);
                put_out(&mut test, &[110, 307]);
            } else {
                test.presence(presence(ROOM, PresenceKind::Error(stanza_error(condition))));
                assert!(test.session.snapshot().room_records.rooms.contains_key(&bare(ROOM)), "{condition}");
            }
            test.run(|session, now, effects| session.rewritten(&before, &after, now, effects));
            let is_known = test.session.snapshot().room_records.rooms.contains_key(&bare(ROOM));
            assert_eq!(is_known, was_in, "{condition}");
        }
    }
}

/// The room confirms that we left only after the settings have changed.
#[test]
fn a_room_that_was_never_entered_goes_once_it_is_left_if_the_list_lacks_it_by_then() {
    let (before, after) = (settings(&[("auto_join_rooms", json!([ROOM]))]), Settings::default());
    for was_in in [false, true] {
        for leaves in [false, true] {
            let mut test = TestSession::connected(before.clone());
            if was_in {
                test.presence(occupant("bot", PresenceKind::Available, &[110]));
            }
            let closed = leaves.then(|| close(&mut test));
            test.run(|session, now, effects| session.rewritten(&before, &after, now, effects));
            test.presence(occupant("bot", PresenceKind::Unavailable, &[110]));
            let known = test.session.snapshot().room_records.rooms.get(&bare(ROOM)).map(|record| record.state);
            assert_eq!(known, was_in.then_some(RoomState::Out), "{leaves}");
            assert!(closed.is_none_or(|mut closed| got(&mut closed) == Some(Ok(()))));
        }
    }
}

/// Returns whether the bot asks to enter after an invitation that comes from this address.
fn enters_by_invitation(test: &mut TestSession, from: &str) -> bool {
    let invite = types::Invite {
        room: bare(ROOM),
        from: jid("mallory@example.net"),
        to: jid("bot@example.org"),
        reason: None,
        password: None,
    };
    test.forget();
    test.message(Message { body: None, invite: Some(Box::new(invite)), ..message(from, MessageKind::Normal, "") });
    assert_eq!(test.count("roomInviteReceived"), 1, "plugins may decide otherwise");
    enters(test)
}

/// With `auto_join_on_invite`: a direct invitation comes from anyone, and a mediated one through the room.
#[test]
fn an_invitation_does_not_bring_back_an_account_that_was_put_out() {
    for from in ["mallory@example.net", ROOM] {
        for (status, says) in FINAL {
            let mut test = in_by_bookmark("never");
            test.set(&[("auto_join_on_invite", json!(true))]).unwrap();
            put_out(&mut test, status);
            // A room that takes members alone may have made us a member since.
            assert_eq!(enters_by_invitation(&mut test, from), says == "members-only", "{from} {says}");
            assert!(says == "members-only" || !enters_by_invitation(&mut test, from), "{from} {says}: each time");
        }

        let mut test = in_by_bookmark("always");
        test.set(&[("auto_join_on_invite", json!(true))]).unwrap();
        kick(&mut test);
        assert!(!enters_by_invitation(&mut test, from), "{from}: the wait after a kick goes on");
        assert!(enters_after(&mut test, 30), "{from}");

        // The account learns of the ban when it follows the first invitation.
        let mut test = TestSession::connected(settings(&[("auto_join_on_invite", json!(true))]));
        assert!(enters_by_invitation(&mut test, from));
        test.presence(presence(ROOM, PresenceKind::Error(stanza_error("forbidden"))));
        assert_eq!(why(&record(&test)), Some("banned"));
        assert!(!enters_by_invitation(&mut test, from), "{from}");
        // Somebody wants us there.
        let _opened = test.open_room(None);
        assert!(enters(&mut test));
    }
}

#[test]
fn a_bookmark_that_is_newly_set_to_enter_the_room_asks_for_it() {
    for (status, says) in FINAL {
        let out = || {
            let mut test = in_by_bookmark("never");
            put_out(&mut test, status);
            test
        };
        let mut test = out();
        test.hear(Incoming::Bookmarks(vec![Set(listed(false))]));
        assert!(!enters(&mut test));
        test.hear(Incoming::Bookmarks(vec![Set(listed(true))]));
        assert!(enters(&mut test), "{says}: by another client");

        let mut test = out();
        assert!(!Loss::Replaced.then_enters(&mut test, vec![listed(false)]));
        assert!(Loss::Replaced.then_enters(&mut test, vec![listed(true)]), "{says}: while we were offline");

        let mut test = out();
        let _set = test.ask(SetBookmark { bookmark: listed(true) });
        let id = test.asked(|ask| matches!(ask, Ask::PublishBookmark { .. }));
        test.answer(None, id, Ok(Body::Empty));
        assert!(enters(&mut test), "{says}: by a plugin");
    }
}

#[test]
fn the_wait_after_a_kick_goes_on_over_a_lost_stream() {
    for loss in Loss::ALL {
        let mut test = in_by_bookmark("always");
        for wait in [30, 60, 120] {
            kick(&mut test);
            test.wait(10);
            let next = record(&test).next;
            assert!(next.is_some());
            assert!(!loss.then_enters(&mut test, vec![listed(true)]), "{loss:?} {wait}");
            test.hear(Incoming::Bookmarks(vec![Set(listed(true))]));
            assert!(!enters(&mut test), "{loss:?} {wait}");
            assert_eq!((record(&test).state, record(&test).next), (RoomState::Waiting, next), "{loss:?} {wait}");
            assert!(enters_after(&mut test, wait - 10), "{loss:?} {wait}");
            is_in(&mut test);
        }
        // It passes while there is no stream, too.
        kick(&mut test);
        test.run(|session, now, effects| session.lost("gone", now, effects));
        test.wait(240);
        assert!(loss.then_enters(&mut test, vec![listed(true)]), "{loss:?}");

        let mut test = in_by_bookmark("kicked-once");
        kick(&mut test);
        assert!(!loss.then_enters(&mut test, vec![listed(true)]), "{loss:?}");
        assert!(enters_after(&mut test, 30), "{loss:?}");
        is_in(&mut test);
        assert!(loss.then_enters(&mut test, vec![listed(true)]), "{loss:?}");
        is_in(&mut test);
        kick(&mut test);
        assert_eq!(record(&test).state, RoomState::Out, "the first kick counts, {loss:?}");
    }
}

/// A moderator bans the account while it is not connected.
#[test]
fn a_ban_that_we_learn_of_when_we_enter_is_final_and_other_refusals_are_not() {
    let refused = |test: &mut TestSession, condition: &str| {
        test.presence(presence(ROOM, PresenceKind::Error(stanza_error(condition))));
        test.forget();
    };
    for (condition, says, enters_again) in
        [("forbidden", "banned", false), ("gone", "destroyed", false), ("not-authorized", "password", true)]
    {
        let mut test = in_by_bookmark("always");
        assert!(Loss::Replaced.then_enters(&mut test, vec![listed(true)]), "a lost stream is no removal");
        refused(&mut test, condition);
        assert_eq!((record(&test).state, why(&record(&test))), (RoomState::Out, Some(says)));
        assert_eq!(Loss::Replaced.then_enters(&mut test, vec![listed(true)]), enters_again, "{condition}");
    }
    for (condition, enters_again) in
        [("forbidden", false), ("gone", false), ("registration-required", true), ("not-authorized", true)]
    {
        let mut test = entering_by_bookmark(Settings::default());
        refused(&mut test, condition);
        assert_eq!(Loss::Replaced.then_enters(&mut test, vec![listed(true)]), enters_again, "{condition}");
    }
}

#[test]
fn the_rooms_of_a_service_that_was_restarted_are_not_entered_all_at_once() {
    let rooms = ["a@muc.example.org", "b@muc.example.org", "c@muc.example.org"];
    let mut test = TestSession::connected(settings(&[("auto_join_rooms", json!(rooms))]));
    let from = |room: &str, kind, status: &[u16]| Presence {
        from: jid(&format!("{room}/bot")),
        ..occupant("bot", kind, status)
    };
    for room in rooms {
        test.presence(from(room, PresenceKind::Available, &[110]));
    }
    for room in rooms {
        test.presence(from(room, PresenceKind::Unavailable, &[110, 332]));
    }
    let records = test.session.snapshot().room_records.rooms;
    for (place, room) in (0..).zip(rooms) {
        let wait = Duration::from_secs(30) + place * Duration::from_millis(20);
        assert_eq!(records[&bare(room)].next, Some(test.now + wait), "{room}");
    }
    test.forget();
    test.wait(30);
    assert_eq!(test.lines(), ["> available to a@muc.example.org/bot entering"]);
    test.wait(1);
    assert_eq!(test.lines().iter().filter(|line| line.contains("entering")).count(), 2);
}
