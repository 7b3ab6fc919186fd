//! Tests of webhooks in a database file.

use futures_util::future::join_all;
use parlor_base::clock::Clock;

use super::*;
use crate::{DataFile, Store};

const ALL: Acceptance = Acceptance { waits: true, once: None, most: 1_000, most_bytes: 1 << 20 };

fn owner(plugin: &str) -> Owner {
    Owner { account: "bot@example.org".parse().unwrap(), plugin: plugin.parse().unwrap() }
}

fn webhooks(store: &Store) -> Webhooks {
    store.data(Clock::Machine).webhooks(owner("a"))
}

fn request(body: &[u8]) -> WebhookRequest {
    WebhookRequest {
        webhook: "github".to_owned(),
        sender: "192.0.2.1".to_owned(),
        method: "POST".to_owned(),
        query: Some("a=b".to_owned()),
        path: None,
        headers: vec![("x-github-event".to_owned(), "push".to_owned())],
        body: body.to_vec(),
    }
}

async fn accept(webhooks: &Webhooks, body: &[u8], acceptance: Acceptance) -> Accepted {
    webhooks.accept(request(body), acceptance).await.unwrap()
}

async fn next(webhooks: &Webhooks) -> Option<StoredRequest> {
    webhooks.next("github".to_owned()).await.unwrap()
}

#[tokio::test]
async fn a_path_below_the_address_is_kept_also_in_a_file_of_before() {
    let folder = tempfile::tempdir().unwrap();
    Store::open(folder.path()).unwrap().close().await;
    let before = Connection::open(folder.path().join(crate::FILE)).unwrap();
    before.execute_batch("ALTER TABLE webhook_request DROP COLUMN path").unwrap();
    drop(before);
    let store = Store::open(folder.path()).unwrap();
    let webhooks = webhooks(&store);
    let below = WebhookRequest { path: Some("garden/tëa".to_owned()), ..request(b"1") };
    for request in [below.clone(), request(b"2")] {
        webhooks.accept(request, ALL).await.unwrap();
    }
    let first = next(&webhooks).await.unwrap();
    assert_eq!(first.request, below);
    webhooks.note(first.id, 1, RequestState::Told).await.unwrap();
    assert_eq!(next(&webhooks).await.unwrap().request, request(b"2"));
    store.close().await;
}

#[tokio::test]
async fn requests_are_told_in_their_order_and_again_until_they_are_over() {
    let store = Store::in_memory();
    let webhooks = webhooks(&store);
    for body in [b"1", b"2"] {
        assert!(matches!(accept(&webhooks, body, ALL).await, Accepted::As(_)));
    }
    let first = next(&webhooks).await.unwrap();
    assert_eq!((&first.request, first.attempts), (&request(b"1"), 0));
    webhooks.note(first.id, 1, RequestState::Waits).await.unwrap();
    let again = next(&webhooks).await.unwrap();
    assert_eq!((again.id, again.attempts), (first.id, 1));
    webhooks.note(first.id, 1, RequestState::Told).await.unwrap();
    assert_eq!(next(&webhooks).await.unwrap().request.body, b"2");
    assert_eq!(webhooks.waiting().await.unwrap(), 1);
    assert_eq!(webhooks.next("other".to_owned()).await.unwrap(), None);
    // A completed request may be delivered once more; a waiting one will be delivered anyway.
    let github = || vec!["github".to_owned()];
    assert_eq!(webhooks.replay(first.id, vec!["other".to_owned()]).await.unwrap(), None, "nobody would be told");
    assert_eq!(webhooks.replay(first.id, github()).await.unwrap().as_deref(), Some("github"));
    assert_eq!(webhooks.replay(first.id, github()).await.unwrap(), None);
    assert_eq!((next(&webhooks).await.unwrap().id, webhooks.waiting().await.unwrap()), (first.id, 2));
}

#[tokio::test]
async fn the_next_request_comes_with_the_note_of_the_one_before_it() {
    let store = Store::in_memory();
    let webhooks = webhooks(&store);
    let other = WebhookRequest { webhook: "other".to_owned(), ..request(b"0") };
    assert!(matches!(webhooks.accept(other, ALL).await.unwrap(), Accepted::As(_)));
    for body in [b"1", b"2"] {
        assert!(matches!(accept(&webhooks, body, ALL).await, Accepted::As(_)));
    }
    let note =
        async |id, attempts, state| webhooks.note_and_next(id, attempts, state, "github".to_owned()).await.unwrap();
    let first = next(&webhooks).await.unwrap();
    assert_eq!(note(first.id, 1, RequestState::Waits).await, None, "the first one is still to be told");
    let again = next(&webhooks).await.unwrap();
    assert_eq!((again.id, again.attempts), (first.id, 1));
    let second = note(first.id, 2, RequestState::Told).await.unwrap();
    assert_eq!((&second.request, second.attempts), (&request(b"2"), 0));
    assert_eq!(next(&webhooks).await, Some(second.clone()), "it waits until its own outcome is written");
    assert_eq!(note(second.id, 1, RequestState::GivenUp).await, None, "the third one is of another webhook");
    assert_eq!(webhooks.waiting().await.unwrap(), 1);
    let states: Vec<_> = webhooks.last(2).await.unwrap().iter().map(|shown| shown.state).collect();
    assert_eq!(states, [RequestState::GivenUp, RequestState::Told]);
}

/// Otherwise it would be told again and again.
#[tokio::test]
async fn a_request_is_over_although_the_one_behind_it_is_stored_wrongly() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    let one = webhooks(&store);
    for body in [b"1", b"2"] {
        assert!(matches!(accept(&one, body, ALL).await, Accepted::As(_)));
    }
    drop(one);
    store.close().await;
    let file = Connection::open(folder.path().join(crate::FILE)).unwrap();
    file.execute("UPDATE webhook_request SET attempts = -1 WHERE body = ?1", [b"2".as_slice()]).unwrap();
    drop(file);
    let store = Store::open(folder.path()).unwrap();
    let one = webhooks(&store);
    let first = next(&one).await.unwrap();
    let noted = one.note_and_next(first.id, 1, RequestState::Told, "github".to_owned()).await;
    assert!(matches!(noted, Ok(None)), "{noted:?}");
    assert!(one.next("github".to_owned()).await.is_err(), "the error is told there");
    assert_eq!(one.waiting().await.unwrap(), 1);
    drop(one);
    store.close().await;
}

#[tokio::test]
async fn what_was_acknowledged_is_there_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    let one = webhooks(&store);
    let bodies: Vec<_> = (0..200).map(|number: u32| number.to_string()).collect();
    let all = join_all(bodies.iter().map(|body| accept(&one, body.as_bytes(), ALL))).await;
    assert!(all.iter().all(|accepted| matches!(accepted, Accepted::As(_))));
    drop(one);
    store.close().await;
    let store = Store::open(folder.path()).unwrap();
    let one = webhooks(&store);
    for body in &bodies {
        let stored = next(&one).await.unwrap();
        assert_eq!(stored.request.body, body.as_bytes());
        one.note(stored.id, 1, RequestState::Told).await.unwrap();
    }
    assert_eq!((next(&one).await, one.waiting().await.unwrap()), (None, 0));
    assert_eq!(one.last(1_000).await.unwrap().len(), 100, "only the last hundred are kept");
}

#[tokio::test]
async fn what_may_come_once_is_stored_once_and_of_others_each() {
    let store = Store::in_memory();
    let webhooks = webhooks(&store);
    let once = Acceptance { once: Some([7; 32]), ..ALL };
    assert!(matches!(accept(&webhooks, b"x", once).await, Accepted::As(_)));
    assert_eq!(accept(&webhooks, b"x", once).await, Accepted::Again);
    let other = Acceptance { once: Some([8; 32]), ..ALL };
    assert!(matches!(accept(&webhooks, b"x", other).await, Accepted::As(_)));
    assert!(matches!(accept(&webhooks, b"x", ALL).await, Accepted::As(_)));
    assert_eq!(webhooks.waiting().await.unwrap(), 3);
}

/// Its sender did not hear that it was stored, and would retry until there is space.
#[tokio::test]
async fn what_came_before_is_known_also_while_there_is_no_space() {
    let store = Store::in_memory();
    let webhooks = webhooks(&store);
    let once = Acceptance { once: Some([7; 32]), most: 1, ..ALL };
    assert!(matches!(accept(&webhooks, b"x", once).await, Accepted::As(_)));
    assert_eq!(accept(&webhooks, b"x", once).await, Accepted::Again);
    assert_eq!(accept(&webhooks, b"x", Acceptance { most: 9, most_bytes: 1, ..once }).await, Accepted::Again);
    let other = Acceptance { once: Some([8; 32]), ..once };
    assert_eq!(accept(&webhooks, b"x", other).await, Accepted::Full);
    assert_eq!(webhooks.waiting().await.unwrap(), 1);
}

#[tokio::test]
async fn what_was_not_passed_on_after_all_may_come_again() {
    let store = Store::in_memory();
    let webhooks = webhooks(&store);
    let once = Acceptance { waits: false, once: Some([7; 32]), ..ALL };
    let Accepted::As(id) = accept(&webhooks, b"x", once).await else { panic!() };
    webhooks.take_back(id, "github".to_owned(), Some([7; 32])).await.unwrap();
    assert_eq!(webhooks.last(1).await.unwrap()[0].state, RequestState::GivenUp);
    assert!(matches!(accept(&webhooks, b"x", once).await, Accepted::As(_)));
    assert_eq!(webhooks.waiting().await.unwrap(), 0);
}

#[tokio::test]
async fn a_request_that_waits_is_dropped_and_those_behind_it_are_next() {
    let store = Store::in_memory();
    let webhooks = webhooks(&store);
    for body in [b"1", b"2"] {
        accept(&webhooks, body, ALL).await;
    }
    let first = next(&webhooks).await.unwrap();
    webhooks.note(first.id, 2, RequestState::Waits).await.unwrap();
    let sizes = store.data(Clock::Machine).request_sizes().await.unwrap();
    assert!(matches!(sizes[&owner("a")], (2, bytes) if bytes > 2 * 256), "{sizes:?}");
    assert!(webhooks.discard(first.id).await.unwrap());
    assert!(!webhooks.discard(first.id).await.unwrap(), "it does not wait any more");
    // An attempt that ends late does not let it wait again.
    webhooks.note(first.id, 3, RequestState::Waits).await.unwrap();
    assert_eq!((next(&webhooks).await.unwrap().request.body, webhooks.waiting().await.unwrap()), (b"2".to_vec(), 1));
    let shown = webhooks.last(2).await.unwrap();
    assert_eq!((shown[1].id, shown[1].state, shown[1].attempts), (first.id, RequestState::Dropped, 2));
    assert!(webhooks.replay(first.id, vec!["github".to_owned()]).await.unwrap().is_some());
}

#[tokio::test]
async fn a_delivered_request_does_not_wait_again_after_a_late_failure() {
    let store = Store::in_memory();
    let webhooks = webhooks(&store);
    let Accepted::As(id) = accept(&webhooks, b"x", ALL).await else { panic!() };
    webhooks.note(id, 1, RequestState::Told).await.unwrap();
    webhooks.note(id, 2, RequestState::Waits).await.unwrap();
    assert_eq!((next(&webhooks).await, webhooks.waiting().await.unwrap()), (None, 0));
    assert_eq!(webhooks.last(1).await.unwrap()[0].state, RequestState::Told);
}

#[tokio::test]
async fn requests_to_removed_webhooks_are_given_up() {
    let store = Store::in_memory();
    let webhooks = webhooks(&store);
    for webhook in ["github", "gone", "gone"] {
        let request = WebhookRequest { webhook: webhook.to_owned(), ..request(b"x") };
        assert!(matches!(webhooks.accept(request, ALL).await.unwrap(), Accepted::As(_)));
    }
    assert_eq!(webhooks.give_up_others(vec!["github".to_owned()]).await.unwrap(), 2);
    assert_eq!(webhooks.waiting().await.unwrap(), 1);
    assert_eq!((webhooks.next("gone".to_owned()).await.unwrap(), next(&webhooks).await.is_some()), (None, true));
    assert_eq!(webhooks.give_up_others(vec!["github".to_owned()]).await.unwrap(), 0);
}

#[tokio::test]
async fn requests_are_bounded_in_number_and_bytes_and_old_ones_make_room() {
    let store = Store::in_memory();
    let webhooks = webhooks(&store);
    let two = Acceptance { most: 2, ..ALL };
    let Accepted::As(first) = accept(&webhooks, b"1", two).await else { panic!() };
    assert!(matches!(accept(&webhooks, b"2", two).await, Accepted::As(_)));
    assert_eq!(accept(&webhooks, b"3", two).await, Accepted::Full);
    webhooks.note(first, 1, RequestState::Told).await.unwrap();
    assert!(matches!(accept(&webhooks, b"3", two).await, Accepted::As(_)));
    // Each counts 256 bytes, its query and its headers.
    let small = Acceptance { most_bytes: 1_000, ..ALL };
    assert_eq!(accept(&webhooks, &[0; 800], small).await, Accepted::Full, "what waits is not removed");
    assert!(matches!(accept(&webhooks, &[0; 10], small).await, Accepted::As(_)), "what is over is");
    assert!(webhooks.last(10).await.unwrap().iter().all(|shown| shown.state == RequestState::Waits));
}

/// The size is changed together with the requests, in one statement.
#[tokio::test]
async fn the_bytes_of_requests_that_were_forgotten_do_not_count() {
    let store = Store::in_memory();
    let webhooks = webhooks(&store);
    let sizes = async || store.data(Clock::Machine).request_sizes().await.unwrap()[&owner("a")];
    let each = u64::try_from(request(b"x").bytes()).unwrap();
    for number in 0..120_u64 {
        let Accepted::As(id) = accept(&webhooks, b"x", ALL).await else { panic!() };
        assert_eq!(sizes().await, (1, each * (1 + number.min(100))));
        webhooks.note(id, 1, RequestState::Told).await.unwrap();
        assert_eq!(sizes().await, (0, each * (1 + number).min(100)));
    }
    for _ in 0..20 {
        assert!(matches!(accept(&webhooks, b"x", Acceptance { waits: false, ..ALL }).await, Accepted::As(_)));
        assert_eq!(sizes().await, (0, each * 100));
    }
    assert!(matches!(accept(&webhooks, b"x", ALL).await, Accepted::As(_)));
    assert_eq!(webhooks.give_up_others(Vec::new()).await.unwrap(), 1);
    assert_eq!(sizes().await, (0, each * 100));
    // There is room for one only without those that are over.
    assert!(matches!(accept(&webhooks, b"x", Acceptance { most_bytes: each, ..ALL }).await, Accepted::As(_)));
    assert_eq!(sizes().await, (1, each));
    let none = Acceptance { most_bytes: 1, ..ALL };
    assert_eq!((accept(&webhooks, b"x", none).await, sizes().await), (Accepted::Full, (1, each)));
}

#[tokio::test]
async fn who_is_answered_waits_for_nobody_and_is_shown() {
    let store = Store::in_memory();
    let webhooks = webhooks(&store);
    let Accepted::As(id) = accept(&webhooks, b"x", Acceptance { waits: false, ..ALL }).await else { panic!() };
    assert_eq!((next(&webhooks).await, webhooks.waiting().await.unwrap()), (None, 0));
    let state = async || webhooks.last(1).await.unwrap()[0].state;
    assert_eq!(state().await, RequestState::Unanswered);
    webhooks.note(id, 1, RequestState::Answered(201)).await.unwrap();
    assert_eq!(state().await, RequestState::Answered(201));
    let shown = &webhooks.last(1).await.unwrap()[0];
    assert_eq!((shown.bytes, &*shown.sender, &*shown.method), (1, "192.0.2.1", "POST"));
}

#[tokio::test]
async fn an_address_stays_until_it_is_changed_and_goes_with_the_data() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    let one = webhooks(&store);
    let token = async |fresh: &str, anew| {
        let tokens = one.tokens(vec![("github".to_owned(), fresh.to_owned())], anew).await;
        tokens.unwrap().remove("github").unwrap()
    };
    assert_eq!(token("first", false).await, "first");
    assert_eq!(token("second", false).await, "first");
    assert_eq!(token("third", true).await, "third");
    assert!(matches!(accept(&one, b"x", ALL).await, Accepted::As(_)));
    DataFile::create(folder.path()).unwrap().forget(&"a".parse().unwrap()).unwrap();
    assert_eq!((token("fourth", false).await.as_str(), next(&one).await), ("fourth", None));
}
