//! Tests of the CPU limits, with guests that burn time.

use std::task::Wake;

use wasmtime::Engine;

use super::*;

fn ticker() -> Ticker {
    Ticker::start(&Engine::default()).unwrap()
}

fn burn(time: Duration) {
    let began = thread_cpu();
    while thread_cpu() - began < nanos(time) {
        std::hint::spin_loop();
    }
}

const SMALL: Allowance =
    Allowance { share: 0.1, burst: Duration::from_millis(2), slice: Duration::from_millis(5), leaves: true };

#[tokio::test]
async fn a_guest_that_overdraws_is_moved_to_the_background_and_comes_back() {
    let account = Arc::new(Account::default());
    let inner = async {
        burn(Duration::from_millis(4));
        tokio::task::yield_now().await;
        // It waits until it has earned its way back.
        loop {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let ticker = ticker();
    let mut metered = Metered::<()>::new(inner, Arc::clone(&account), SMALL, ticker.clone());
    assert!(matches!((&mut metered).await, Step::Move));
    assert!(account.in_background());
    assert!(account.spent(0.0) > SMALL.burst, "{:?} is not overdrawn", account.spent(0.0));
    assert!(matches!((&mut metered).await, Step::Move));
    assert!(!account.in_background());
    assert!(account.spent(0.0) <= SMALL.burst / 2, "{:?} is not earned back", account.spent(0.0));
    assert!(account.used() >= Duration::from_millis(4));
    ticker.stop();
}

/// Polls it once on the test's own thread. Returns whether it should be moved.
fn moves(metered: &mut Metered<()>) -> bool {
    let polled = Pin::new(metered).poll(&mut Context::from_waker(Waker::noop()));
    assert!(!matches!(polled, Poll::Ready(Step::Done(()))));
    polled.is_ready()
}

type Guest = Pin<Box<dyn Future<Output = ()> + Send>>;

#[tokio::test]
async fn a_guest_in_the_background_earns_its_way_back_by_waiting_and_not_by_being_kept_waiting() {
    let ticker = ticker();
    let wants_more: Guest = Box::pin(async { restless(u32::MAX, &AtomicU64::new(0)).await });
    for (guest, waits) in [(wants_more, false), (Box::pin(std::future::pending()), true)] {
        let account = Arc::new(Account::default());
        account.set_runs(Runs::InBackground);
        let mut metered = Metered::new(guest, account, SMALL, ticker.clone());
        metered.balance /= 4;
        assert!(!moves(&mut metered));
        let before = metered.account.kept_waiting();
        // Others use the CPU until its share of that time equals its whole burst.
        burn(Duration::from_millis(20));
        let wanted = Instant::now();
        if waits {
            metered.waker.wake_by_ref();
        }
        assert_eq!(moves(&mut metered), waits);
        let kept_waiting = metered.account.kept_waiting().saturating_sub(before);
        // A busy machine may let it wait after it was woken, but not before.
        let since = wanted.elapsed();
        let is_right = if waits { kept_waiting <= since } else { kept_waiting >= Duration::from_millis(20) };
        assert!(is_right, "{kept_waiting:?}, and {since:?} since it was woken");
    }
    ticker.stop();
}

#[tokio::test]
async fn time_that_others_spend_on_its_calls_counts_on_its_account() {
    let ticker = ticker();
    let waits: Guest = Box::pin(std::future::pending());
    let mut metered = Metered::new(waits, Arc::default(), SMALL, ticker.clone());
    assert!(!moves(&mut metered));
    metered.account.held.charges().add(SMALL.burst * 2);
    assert!(moves(&mut metered), "it is overdrawn");
    assert!(metered.account.used() >= SMALL.burst * 2, "{:?}", metered.account.used());
    assert_eq!(metered.account.held.charges().waiting(), Duration::ZERO, "it is charged once");
    ticker.stop();
}

#[tokio::test]
async fn a_guest_whose_like_failed_begins_in_the_background_and_leaves_it_when_it_has_paid_for_its_start() {
    let account = Arc::new(Account::default());
    account.begin_in_background();
    let inner = async {
        burn(SMALL.burst / 4);
        std::future::pending::<()>().await;
    };
    let ticker = ticker();
    // On a busy machine its thread may stand still between two looks. That earns it next to nothing.
    let hardly = Allowance { share: SMALL.share / 100.0, ..SMALL };
    let mut metered = Metered::new(inner, Arc::clone(&account), hardly, ticker.clone());
    for earns in [false, true] {
        if earns {
            metered.allowance = SMALL;
            burn(SMALL.burst.div_f64(SMALL.share));
            metered.waker.wake_by_ref();
        }
        assert_eq!(moves(&mut metered), earns);
        assert_eq!(account.in_background(), !earns);
    }
    ticker.stop();
}

const RICH: Allowance =
    Allowance { share: 1.0, burst: Duration::from_secs(10), slice: Duration::from_secs(10), leaves: true };

#[tokio::test]
async fn a_guest_that_computes_leaves_the_thread_of_its_account_until_it_has_waited_for_long() {
    let ticker = ticker();
    for is_interrupted in [true, false] {
        let (account, is_busy) = (Arc::new(Account::default()), Arc::new(AtomicBool::new(false)));
        let (own, busy) = (Arc::clone(&account), Arc::clone(&is_busy));
        let guest: Guest = Box::pin(std::future::poll_fn(move |_| {
            if busy.load(Relaxed) {
                own.interrupted.store(is_interrupted, Relaxed);
                burn(LONG + LONG / 2);
            }
            Poll::Pending
        }));
        let mut metered = Metered::new(guest, Arc::clone(&account), RICH, ticker.clone());
        assert!(!moves(&mut metered));
        is_busy.store(true, Relaxed);
        if !is_interrupted {
            assert!(!moves(&mut metered), "one long poll alone");
        }
        assert!(moves(&mut metered));
        assert_eq!(account.runs(), Runs::Computing);
        assert!(!moves(&mut metered), "it goes on there");
        is_busy.store(false, Relaxed);
        for _ in 1..SHORT_POLLS {
            assert!(!moves(&mut metered));
        }
        assert!(moves(&mut metered));
        assert_eq!(account.runs(), Runs::WithAccount);
        // On the caller's runtime it stays.
        is_busy.store(true, Relaxed);
        metered.allowance.leaves = false;
        assert!(!moves(&mut metered));
        assert_eq!(account.runs(), Runs::WithAccount);
    }
    ticker.stop();
}

/// If many programs share a core, a tick often interrupts a poll that was merely waiting for the core.
#[test]
fn a_guest_that_a_tick_interrupts_while_its_thread_waits_for_a_core_stays() {
    let ticker = ticker();
    let guest: Guest = Box::pin(std::future::pending());
    let mut metered = Metered::new(guest, Arc::default(), RICH, ticker.clone());
    for _ in 0..100 {
        metered.count(true, nanos(LONG), 0);
        assert_eq!(metered.next(Runs::WithAccount, true), Runs::WithAccount);
    }
    metered.count(true, nanos(LONG) + 1, 0);
    assert_eq!(metered.next(Runs::WithAccount, true), Runs::Computing);
    ticker.stop();
}

/// The first poll of an instance is one of those.
#[test]
fn a_long_poll_alone_leaves_a_guest_with_its_account_and_a_second_one_does_not() {
    let (ticker, long) = (ticker(), nanos(LONG) + 1);
    for (short_polls, stays) in [(0, false), (SHORT_POLLS, false), (ALONE - 1, false), (ALONE, true)] {
        let guest: Guest = Box::pin(std::future::pending());
        let mut metered = Metered::new(guest, Arc::default(), RICH, ticker.clone());
        metered.count(false, long, 0);
        assert_eq!(metered.next(Runs::WithAccount, false), Runs::WithAccount);
        for _ in 0..short_polls {
            metered.count(false, nanos(LONG), 0);
            assert_eq!(metered.next(Runs::WithAccount, false), Runs::WithAccount);
        }
        metered.count(false, long, 0);
        assert_eq!(metered.next(Runs::WithAccount, false) == Runs::WithAccount, stays, "after {short_polls}");
    }
    ticker.stop();
}

/// A hundred messages that came together are handled in one poll.
#[test]
fn a_guest_that_handles_many_events_in_a_moment_each_stays_with_its_account() {
    let ticker = ticker();
    let guest: Guest = Box::pin(std::future::pending());
    let mut metered = Metered::new(guest, Arc::default(), RICH, ticker.clone());
    let (most, steps) = (nanos(LONG + EACH * 100), 100);
    for is_interrupted in [false, true] {
        for _ in 0..10 {
            metered.count(is_interrupted, most, steps);
            assert_eq!(metered.next(Runs::WithAccount, is_interrupted), Runs::WithAccount);
        }
    }
    metered.count(true, most + 1, steps);
    assert_eq!(metered.next(Runs::WithAccount, true), Runs::Computing);
    ticker.stop();
}

/// The steps are counted from where a handler begins to where it has returned.
#[tokio::test]
async fn the_steps_of_a_poll_are_those_since_it_began() {
    let (ticker, account) = (ticker(), Arc::<Account>::default());
    let steps = Arc::clone(&account);
    let guest: Guest = Box::pin(async move {
        for _ in 0..3 {
            steps.has_begun();
            steps.has_returned();
            tokio::task::yield_now().await;
        }
    });
    let mut metered = Metered::new(guest, Arc::clone(&account), RICH, ticker.clone());
    while futures_util::poll!(&mut metered).is_pending() {
        assert_eq!(account.steps.load(Relaxed), 2);
    }
    ticker.stop();
}

/// As many as if each long poll moved the guest, and one more.
#[test]
fn however_a_guest_spaces_its_long_polls_few_of_them_run_beside_its_account() {
    const POLLS: u32 = 2_000;
    let ticker = ticker();
    for (in_a_row, pause) in (1..=3).flat_map(|in_a_row| (0..=2 * ALONE).map(move |pause| (in_a_row, pause))) {
        let guest: Guest = Box::pin(std::future::pending());
        let mut metered = Metered::new(guest, Arc::default(), RICH, ticker.clone());
        let (mut runs, mut beside) = (Runs::WithAccount, 0);
        for poll in 0..POLLS {
            let is_long = poll % (in_a_row + pause) < in_a_row;
            beside += u32::from(is_long && runs == Runs::WithAccount);
            metered.count(false, if is_long { nanos(LONG) + 1 } else { 0 }, 0);
            runs = metered.next(runs, false);
        }
        assert!(beside <= POLLS / (SHORT_POLLS + 1) + 2, "{beside}: {in_a_row} in a row, then {pause} short ones");
    }
    ticker.stop();
}

#[test]
fn a_guest_that_never_waits_is_ended_by_its_own_cpu_time_alone() {
    let account = Account::default();
    account.poll_began.store(thread_cpu(), Relaxed);
    // A long idle time before counts for nothing: only CPU time of the poll does.
    assert!(matches!(on_epoch(&account, SMALL), Ok(UpdateDeadline::Continue(1))));
    burn(Duration::from_millis(2));
    assert!(matches!(on_epoch(&account, SMALL), Ok(UpdateDeadline::Yield(1))));
    account.unbroken.store(nanos(Duration::from_millis(4)), Relaxed);
    assert!(on_epoch(&account, SMALL).is_err());
}

#[tokio::test]
async fn waiting_breaks_the_run_that_the_kill_rule_counts() {
    let account = Arc::new(Account::default());
    account.unbroken.store(nanos(Duration::from_millis(4)), Relaxed);
    let ticker = ticker();
    let metered = Metered::new(async {}, Arc::clone(&account), SMALL, ticker.clone());
    assert!(matches!(metered.await, Step::Done(())));
    assert_eq!(account.unbroken.load(Relaxed), 0);
    ticker.stop();
}

/// A tick interrupts each of its polls, as where events wait without end.
#[tokio::test]
async fn a_handler_that_returns_breaks_the_run_that_the_kill_rule_counts_and_one_that_begins_does_not() {
    let ticker = ticker();
    for returns in [true, false] {
        let account = Arc::<Account>::default();
        let handling = Arc::clone(&account);
        let guest: Guest = Box::pin(std::future::poll_fn(move |_| {
            handling.has_begun();
            burn(SLICE);
            if returns {
                handling.has_returned();
            }
            on_epoch(&handling, SMALL).map_or(Poll::Ready(()), |_| Poll::Pending)
        }));
        let mut metered = Metered::new(guest, account, RICH, ticker.clone());
        let mut context = Context::from_waker(Waker::noop());
        let is_ended =
            (0..10).any(|_| matches!(Pin::new(&mut metered).poll(&mut context), Poll::Ready(Step::Done(()))));
        assert_ne!(is_ended, returns);
    }
    ticker.stop();
}

/// Wakes itself this many times, and counts how often it was polled.
async fn restless(wakes: u32, polls: &AtomicU64) {
    for _ in 0..wakes {
        polls.fetch_add(1, Relaxed);
        let mut woken = false;
        std::future::poll_fn(|context| {
            if std::mem::replace(&mut woken, true) {
                return Poll::Ready(());
            }
            context.waker().wake_by_ref();
            Poll::Pending
        })
        .await;
    }
}

#[derive(Default)]
struct Rung(AtomicU64);

impl Wake for Rung {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Relaxed);
    }
}

#[test]
fn who_wakes_itself_goes_on_at_once_and_lets_others_have_a_turn_in_the_end() {
    let (ticker, polls, rung) = (ticker(), Arc::new(AtomicU64::new(0)), Arc::new(Rung::default()));
    let waker = Waker::from(Arc::clone(&rung));
    let mut context = Context::from_waker(&waker);

    let counted = Arc::clone(&polls);
    let life = async move { restless(3, &counted).await };
    let mut metered = Metered::new(life, Arc::default(), SMALL, ticker.clone());
    assert!(Pin::new(&mut metered).poll(&mut context).is_ready());
    assert_eq!((polls.load(Relaxed), rung.0.load(Relaxed)), (3, 0), "it went on without its runtime");

    let counted = Arc::clone(&polls);
    let life = async move { restless(u32::MAX, &counted).await };
    let mut metered = Metered::new(life, Arc::default(), SMALL, ticker.clone());
    assert!(Pin::new(&mut metered).poll(&mut context).is_pending());
    assert_eq!((polls.load(Relaxed), rung.0.load(Relaxed)), (3 + u64::from(TURNS), 1), "its runtime has to come back");
    ticker.stop();
}

#[test]
fn a_wake_up_between_two_polls_reaches_the_runtime_once() {
    let (ticker, rung) = (ticker(), Arc::new(Rung::default()));
    let waker = Waker::from(Arc::clone(&rung));
    let kept = Arc::new(Mutex::new(None::<Waker>));
    let keep = Arc::clone(&kept);
    let life = std::future::poll_fn(move |context| {
        *keep.lock().unwrap() = Some(context.waker().clone());
        Poll::<()>::Pending
    });
    let mut metered = Metered::new(life, Arc::default(), SMALL, ticker.clone());
    for rings in 1..=3 {
        assert!(Pin::new(&mut metered).poll(&mut Context::from_waker(&waker)).is_pending());
        let inner = kept.lock().unwrap().clone().unwrap();
        inner.wake_by_ref();
        inner.wake();
        assert_eq!(rung.0.load(Relaxed), rings);
    }
    ticker.stop();
}

/// Otherwise a plugin would have its whole burst again each time that it wakes.
#[tokio::test]
async fn what_a_guest_used_before_its_plugin_was_parked_stays_used() {
    let (account, ticker) = (Arc::new(Account::default()), ticker());
    let run = |inner: Guest| Metered::new(inner, Arc::clone(&account), SMALL, ticker.clone());
    assert!(matches!(run(Box::pin(async { burn(Duration::from_millis(4)) })).await, Step::Done(())));
    assert!(account.spent(0.0) > SMALL.burst, "its last poll counts as well: {:?}", account.spent(0.0));
    let next = run(Box::pin(std::future::pending()));
    assert!(next.balance < 0 && next.gate.is_some() && account.in_background());
    ticker.stop();
}
