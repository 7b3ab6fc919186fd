//! Tests which handlers are called, how often, and that one that waits holds up no other.

use std::cell::Cell;
use std::task::{Context, Waker};

use super::*;
use crate::types::Payload;

fn event(subscriptions: &[u64]) -> Event {
    Event {
        name: "tested".into(),
        at: "2026-11-20T06:24:00Z".into(),
        subscriptions: subscriptions.to_vec(),
        payload: Payload::None,
    }
}

fn counter() -> (Rc<Cell<u32>>, Rc<Cell<u32>>) {
    let count = Rc::new(Cell::new(0));
    (Rc::clone(&count), count)
}

type Polled<T> = Pin<Box<dyn Future<Output = T>>>;

fn poll<T>(work: &mut Polled<T>) -> Poll<T> {
    work.as_mut().poll(&mut Context::from_waker(Waker::noop()))
}

fn dispatched(subscriptions: &[u64]) {
    let mut work: Polled<Result<(), ()>> = Box::pin(dispatch(event(subscriptions)));
    assert_eq!(poll(&mut work), Poll::Ready(Ok(())));
}

fn always(handler: impl Fn() + 'static) -> Handler {
    Handler::Always(Rc::new(move |_| {
        handler();
        Box::pin(async { Ok(()) })
    }))
}

#[test]
fn a_handler_runs_for_its_own_subscription_each_time() {
    let (count, seen) = counter();
    handle(1, always(move || count.set(count.get() + 1)));
    dispatched(&[1]);
    dispatched(&[2]);
    dispatched(&[2, 1]);
    assert_eq!(seen.get(), 2);
}

#[test]
fn a_handler_for_once_runs_once() {
    let (count, seen) = counter();
    let handler = move |_| {
        count.set(count.get() + 1);
        Box::pin(async { Ok(()) }) as Work
    };
    handle(1, Handler::Once(Box::new(handler)));
    dispatched(&[1]);
    dispatched(&[1]);
    assert_eq!(seen.get(), 1);
}

#[test]
fn nobody_is_called_after_a_subscription_ended() {
    let (count, seen) = counter();
    handle(1, always(move || count.set(count.get() + 1)));
    forget(1);
    dispatched(&[1]);
    assert_eq!(seen.get(), 0);
}

#[test]
fn a_handler_may_subscribe_and_end_its_own_subscription() {
    let (count, seen) = counter();
    let handler = move || {
        let count = Rc::clone(&count);
        handle(2, always(move || count.set(count.get() + 1)));
        forget(1);
    };
    handle(1, always(handler));
    dispatched(&[1]);
    dispatched(&[1, 2]);
    assert_eq!(seen.get(), 1);
}

#[test]
fn one_that_waits_does_not_hold_up_the_next() {
    let (count, seen) = counter();
    let waiting = |_| Box::pin(std::future::pending()) as Work;
    handle(1, Handler::Always(Rc::new(waiting)));
    handle(2, always(move || count.set(count.get() + 1)));
    let mut work: Polled<Result<(), ()>> = Box::pin(dispatch(event(&[1, 2])));
    assert_eq!(poll(&mut work), Poll::Pending);
    assert_eq!(poll(&mut work), Poll::Pending);
    assert_eq!(seen.get(), 1);
}

#[test]
fn everything_said_for_the_stop_runs_once_in_order() {
    let order = Rc::new(RefCell::new(Vec::new()));
    for number in 1..=2 {
        let order = Rc::clone(&order);
        on_stop(move || async move {
            order.borrow_mut().push(number);
            Ok(())
        });
    }
    for _ in 0..2 {
        let mut work: Polled<()> = Box::pin(stop());
        assert_eq!(poll(&mut work), Poll::Ready(()));
    }
    assert_eq!(*order.borrow(), [1, 2]);
}

#[test]
fn a_start_that_needs_a_connection_is_told_what_to_wait_for() {
    let mut work: Pin<Box<dyn Future<Output = Result<(), String>>>> =
        Box::pin(initialize(async { Err(Error::Offline) }));
    let Poll::Ready(Err(reason)) = work.as_mut().poll(&mut Context::from_waker(Waker::noop())) else { panic!() };
    assert!(reason.starts_with("offline: ") && reason.ends_with("wait for `initialized`, or use on_ready"), "{reason}");
}
