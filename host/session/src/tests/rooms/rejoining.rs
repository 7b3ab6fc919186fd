//! Removal from rooms: whether we return, and what the owner sees.

use serde_json::json;

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
