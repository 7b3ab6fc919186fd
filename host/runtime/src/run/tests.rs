//! Tests of a run without a guest: its timeouts, the reporting of lost events, the reasons for its end, and its Store.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use parlor_plugins::limits::Limits;
use parlor_session::event::{Event, Payload};
use parlor_session::router::{Filter, Mail};
use wasmtime::component::{Component, Linker};
use wasmtime_wasi::I32Exit;

use super::ended::reason;
use super::mail::{has_no_handler, is_noted, loss, within};
use super::store::store;
use crate::ceiling::Exceeded;
use crate::compiler::Compiler;
use crate::engine::Engine;
use crate::instance::LONGEST_REASON;
use crate::instance::tests::{asking_for, instance};

#[tokio::test(start_paused = true)]
async fn a_handler_has_its_time_and_no_more() {
    let second = Some(Duration::from_secs(1));
    let (instance, _mailbox) = instance("", Limits::default());
    let event = Event { name: "timer".into(), at: Timestamp::UNIX_EPOCH, payload: Payload::None };
    let handling = instance.handling(&event, None);
    let of = |time| async move {
        tokio::time::sleep(time).await;
        Ok(())
    };
    assert!(within(second, &handling, pin!(of(Duration::from_millis(900)))).await.is_ok());
    assert!(within(None, &handling, pin!(of(Duration::from_hours(1)))).await.is_ok());
    let error = within(second, &handling, pin!(of(Duration::from_hours(1)))).await.unwrap_err();
    assert_eq!(reason(&error), "a handler of timer did not return within 1 s (limit `handler`)");
}

#[tokio::test]
async fn a_loss_is_told_with_its_whole_count_although_the_mailbox_is_full() {
    let (instance, _mailbox) = instance("", Limits { mailbox: 2, ..Limits::default() });
    let router = &instance.account.router;
    for name in ["tick", "lagged"] {
        router.subscribe(&instance.mailbox, name, Filter::default(), false);
    }
    assert!(loss(&instance).is_none());
    for _ in 0..7 {
        let event = Event { name: "tick".into(), at: Timestamp::UNIX_EPOCH, payload: Payload::None };
        router.route(event, router.live(), &|_| false);
    }
    let mail = loss(&instance).unwrap();
    assert!(matches!(&mail.event.payload, Payload::Json(json) if &**json == "{\"lost\":5}"), "{mail:?}");
    assert!(loss(&instance).is_none());
    assert_eq!(instance.usage(None).lost, 5, "who was told of it is no matter to whoever counts");
}

/// In a cluster, mail whose handling is noted waits for an answer of NATS in each case: a node that is cut off could not note it.
#[tokio::test]
async fn it_is_noted_what_a_plugin_that_catches_up_has_handled_and_what_somebody_waits_for() {
    let mail = || {
        let event = Event { name: "message".into(), at: Timestamp::UNIX_EPOCH, payload: Payload::None };
        Mail::new(Arc::new(event), Vec::new(), false)
    };
    let (instance, _mailbox) = asking_for("");
    assert!(!is_noted(&instance, &mail()));
    let (awaited, _handled) = mail().with_receipt();
    assert!(is_noted(&instance, &awaited));
    let reads = "[permissions]\n\"messages.read\" = { scope = [\"*\"], reason = \"to hear\" }\n";
    let (catches_up, _mailbox) = asking_for(&format!("catch_up = true\n{reads}"));
    assert!(is_noted(&catches_up, &mail()));
}

/// The message of a hook has been judged without it by then, and a person who asked has an error.
#[tokio::test]
async fn what_nobody_waits_for_any_more_reaches_no_handler() {
    let (instance, _mailbox) = instance("", Limits::default());
    let router = &instance.account.router;
    router.subscribe(&instance.mailbox, "tick", Filter::default(), false);
    let mail = || {
        let event = Event { name: "tick".into(), at: Timestamp::UNIX_EPOCH, payload: Payload::None };
        router.mail_for(instance.id, event).unwrap()
    };
    assert!(!has_no_handler(&instance, &mail()));
    let (awaited, handled) = mail().with_receipt();
    assert!(!has_no_handler(&instance, &awaited));
    drop(handled);
    assert!(has_no_handler(&instance, &awaited));
}

#[test]
fn a_reason_is_one_line_whatever_the_guest_is_called() {
    let error = wasmtime::Error::msg(format!("unknown import `a\n\u{1b}[2J{}`", "x".repeat(9_999)));
    let reason = reason(&error);
    assert!(reason.len() < LONGEST_REASON + 8 && !reason.contains(char::is_control), "{reason}");
}

#[test]
fn who_calls_exit_is_said_to_have_whatever_is_around_it() {
    let error = wasmtime::Error::new(I32Exit(1)).context("error while executing at wasm backtrace");
    assert_eq!(reason(&error), "it called exit");
}

/// Handles that a component creates without a call of ours count like those that it is given.
#[tokio::test]
async fn streams_and_futures_of_its_own_are_handles() {
    let engine = Engine::start(Compiler::ThisProcess { optimized: false }, None).unwrap();
    let limits = Limits { handles: 64, ..Limits::default() };
    for kind in ["stream", "future"] {
        let text = format!(
            r#"(component
                (type $made ({kind} u8))
                (core func $new (canon {kind}.new $made))
                (core module $many
                    (import "made" "new" (func $new (result i64)))
                    (func (export "go") (param $left i32)
                        (loop $again
                            (drop (call $new))
                            (br_if $again (local.tee $left (i32.sub (local.get $left) (i32.const 1)))))))
                (core instance $many (instantiate $many (with "made" (instance (export "new" (func $new))))))
                (func (export "go") (param "times" u32) (canon lift (core func $many "go"))))"#
        );
        let component = Component::new(engine.wasmtime(), wat::parse_str(text).unwrap()).unwrap();
        for (times, ends) in [(10, false), (1_000, true)] {
            let (instance, _mailbox) = instance("", limits.clone());
            let mut store = store(&engine, &instance);
            let linked = Linker::new(engine.wasmtime()).instantiate_async(&mut store, &component).await.unwrap();
            let go = linked.get_typed_func::<(u32,), ()>(&mut store, "go").unwrap();
            let ended = go.call_async(&mut store, (times,)).await.err();
            let said = ended.map(|error| reason(&Exceeded::named(error, &limits)));
            assert_eq!(
                said.as_deref(),
                ends.then_some("it wanted more handles than its limit of 64"),
                "{times} {kind}s"
            );
        }
    }
}
