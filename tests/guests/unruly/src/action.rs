//! The behaviours of the unruly plugin. Each ends in an error, in a trap, never, or with a line that says how far it
//! got.

use std::cell::Cell;
use std::hint::black_box;
use std::rc::Rc;
use std::str::FromStr;

use parlor_sdk::prelude::*;

use crate::corrupt;

/// A promise that is never resolved.
const NEVER: &str = "unrulyNever";

/// The plugin's own promise, for others to wait for.
pub(crate) const GO: &str = "go";

/// The word that it leaves in memory.
const MARK: &str = "left-by-an-earlier-life/";

/// One way to misbehave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    /// `fail`: returns an error.
    Fail,
    /// `trap`: panics.
    Trap,
    /// `trap-late`: panics 20 milliseconds after its handler has returned.
    TrapLate,
    /// `trap-once`: panics, and first sets a setting that keeps the next instance from panicking.
    TrapOnce,
    /// `spin`: loops without end and without a call.
    Spin,
    /// `recursion`: recurses until the stack is full.
    Recursion,
    /// `grow-memory`: allocates memory until it gets no more, and keeps it.
    GrowMemory,
    /// `copy-memory`: copies 16 MiB back and forth without end.
    CopyMemory,
    /// `wait-for-ever`: waits for a promise that is never resolved.
    WaitForEver,
    /// `sleep`: waits for an hour.
    Sleep,
    /// `nap`: waits for a second.
    Nap,
    /// `wait-for-roster`: waits for a promise that only a log-in resolves.
    WaitForRoster,
    /// `wait-for-word`: waits for the promise `word`, which a test resolves.
    WaitForWord,
    /// `let-go`: resolves the promise `go`, which is its own.
    LetGo,
    /// `add-command`: adds the command `say`, whose handler does nothing.
    AddCommand,
    /// `sleep-storm`: sleeps for zero time, again and again.
    SleepStorm,
    /// `flood-`…: makes calls of one kind as fast as it can.
    Flood(Flood),
    /// `odd-log`: logs a line with control characters, and one that is too long.
    OddLog,
    /// `big-argument`: passes a text of 8 MiB to a call.
    BigArgument,
    /// `many-timers`: sets timers until one is refused.
    ManyTimers,
    /// `many-subscriptions`: subscribes until a subscription is refused.
    ManySubscriptions,
    /// `many-promises`: adds promises until one is refused.
    ManyPromises,
    /// `open-calls`: makes ten thousand calls that wait at once.
    OpenCalls,
    /// `handles`: sleeps ten thousand times at once.
    Handles,
    /// `trap-in-flight`: panics while the host holds calls, timers and a promise for it.
    TrapInFlight,
    /// `unread-streams`: opens streams of the archive and reads none of them.
    UnreadStreams,
    /// `convoy`: repeatedly begins as many calls as it may, and computes for a while without polling them.
    Convoy,
    /// `convoy-storage`: does the same with writes to its storage.
    ConvoyStorage,
    /// `convoy-values`: does the same with values that are as long as its memory allows.
    ConvoyValues,
    /// `fill-memory`: fills 16 MiB without end.
    FillMemory,
    /// `arm-realloc`: makes its allocator never return when the host allocates a text of 77,777 bytes.
    ArmRealloc,
    /// `bad-utf8`: passes a text that is not UTF-8.
    BadUtf8,
    /// `gigabyte`: passes a text of 1 GiB that it does not have.
    Gigabyte,
    /// `out-of-range`: passes a text outside of its memory.
    OutOfRange,
    /// `misaligned`: passes a list at an odd address.
    Misaligned,
    /// `aliased-list`: passes a list whose 100,000 texts are all the same 64 KiB.
    AliasedList,
    /// `mark-memory`: writes a word all over the memory that it gets.
    MarkMemory,
    /// `search-memory`: looks for data of others in the memory that it gets.
    SearchMemory,
}

/// The content of a flood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flood {
    /// `flood-calls`: makes calls that return at once, without end.
    Calls,
    /// `flood-emit`: fires events without end, which it hears itself.
    Emit,
    /// `flood-subscriptions`: subscribes and ends the subscription, without end.
    Subscriptions,
    /// `flood-addresses`: sends to addresses that take long to read, without end.
    Addresses,
    /// `flood-payloads`: emits the most JSON that an event may carry, without end.
    Payloads,
    /// `flood-log`: logs ten thousand lines.
    Log,
}

impl FromStr for Action {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        Ok(match name {
            "fail" => Self::Fail,
            "trap" => Self::Trap,
            "trap-late" => Self::TrapLate,
            "trap-once" => Self::TrapOnce,
            "spin" => Self::Spin,
            "recursion" => Self::Recursion,
            "grow-memory" => Self::GrowMemory,
            "copy-memory" => Self::CopyMemory,
            "wait-for-ever" => Self::WaitForEver,
            "sleep" => Self::Sleep,
            "nap" => Self::Nap,
            "wait-for-roster" => Self::WaitForRoster,
            "wait-for-word" => Self::WaitForWord,
            "let-go" => Self::LetGo,
            "add-command" => Self::AddCommand,
            "sleep-storm" => Self::SleepStorm,
            "flood-calls" => Self::Flood(Flood::Calls),
            "flood-emit" => Self::Flood(Flood::Emit),
            "flood-subscriptions" => Self::Flood(Flood::Subscriptions),
            "flood-addresses" => Self::Flood(Flood::Addresses),
            "flood-payloads" => Self::Flood(Flood::Payloads),
            "flood-log" => Self::Flood(Flood::Log),
            "odd-log" => Self::OddLog,
            "big-argument" => Self::BigArgument,
            "many-timers" => Self::ManyTimers,
            "many-subscriptions" => Self::ManySubscriptions,
            "many-promises" => Self::ManyPromises,
            "open-calls" => Self::OpenCalls,
            "handles" => Self::Handles,
            "trap-in-flight" => Self::TrapInFlight,
            "unread-streams" => Self::UnreadStreams,
            "convoy" => Self::Convoy,
            "convoy-storage" => Self::ConvoyStorage,
            "convoy-values" => Self::ConvoyValues,
            "fill-memory" => Self::FillMemory,
            "arm-realloc" => Self::ArmRealloc,
            "bad-utf8" => Self::BadUtf8,
            "gigabyte" => Self::Gigabyte,
            "out-of-range" => Self::OutOfRange,
            "misaligned" => Self::Misaligned,
            "aliased-list" => Self::AliasedList,
            "mark-memory" => Self::MarkMemory,
            "search-memory" => Self::SearchMemory,
            other => return Err(Error::invalid("behaviour", format_args!("nobody knows {other}"))),
        })
    }
}

impl Action {
    /// Performs the behaviour.
    pub(crate) async fn commit(self) -> Result<String> {
        match self {
            Self::Fail => Err("failed to order".into()),
            Self::Trap => panic!("trapped to order"),
            Self::TrapOnce => {
                settings::set("behaviour", "").await?;
                panic!("trapped to order, once")
            }
            Self::Spin => loop {
                black_box(());
            },
            Self::Recursion => Ok(format!("came back from {}", recurse(1))),
            Self::GrowMemory => Ok(grow()),
            Self::CopyMemory => copy(),
            Self::WaitForEver => {
                promises::add(NEVER).await?;
                wait_until(NEVER).await?;
                Ok("it came".to_owned())
            }
            Self::Sleep => {
                timers::sleep(Duration::from_hours(1)).await;
                Ok("slept".to_owned())
            }
            Self::TrapLate => Ok(trap_late()),
            Self::Nap => Ok(nap().await),
            Self::WaitForRoster => {
                wait_until("roster").await?;
                Ok("it came".to_owned())
            }
            Self::WaitForWord => wait_for_word().await,
            Self::LetGo => emit(GO, ()).await.map(|()| "let go".to_owned()),
            Self::AddCommand => {
                commands::add("say", "", "", |_: Command| async { Ok(()) }).await?;
                Ok("added".to_owned())
            }
            Self::SleepStorm => loop {
                timers::sleep(Duration::ZERO).await;
            },
            Self::Flood(flood) => flood.run().await,
            Self::OddLog => Ok(odd_log()),
            Self::BigArgument => {
                settings::set("behaviour", "x".repeat(8 << 20)).await?;
                Ok("it was taken".to_owned())
            }
            Self::ManyTimers => {
                Ok(until_refused("timers", || timers::after(Duration::from_hours(1), || async { Ok(()) })))
            }
            Self::ManySubscriptions => {
                Ok(until_refused("subscriptions", || on("unruly").run(|_: Event| async { Ok(()) })))
            }
            Self::ManyPromises => many_promises().await,
            Self::OpenCalls => open_calls().await,
            Self::Handles => Ok(handles()),
            Self::TrapInFlight => trap_in_flight().await,
            Self::UnreadStreams => unread_streams().await,
            Self::Convoy => convoy(|_| emit("unruly", ())).await,
            Self::ConvoyStorage => {
                convoy(|number| storage::set_bytes(format!("key{number}"), vec![0; 1_024], None)).await
            }
            Self::ConvoyValues => {
                // The plugin's memory holds each value twice.
                convoy(|number| storage::set_bytes(format!("key{}", number % 8), vec![0; 96 << 10], None)).await
            }
            Self::FillMemory => corrupt::fill(),
            Self::ArmRealloc => {
                corrupt::arm();
                Ok("armed".to_owned())
            }
            Self::BadUtf8 => Ok(corrupt::bad_utf8()),
            Self::Gigabyte => Ok(corrupt::gigabyte()),
            Self::OutOfRange => Ok(corrupt::out_of_range()),
            Self::Misaligned => corrupt::misaligned(),
            Self::AliasedList => corrupt::aliased(100_000).await,
            Self::MarkMemory => Ok(corrupt::mark(MARK)),
            Self::SearchMemory => Ok(corrupt::search()),
        }
    }
}

impl Flood {
    async fn run(self) -> Result<String> {
        match self {
            Self::Calls => loop {
                black_box(connection::connected());
            },
            Self::Emit => {
                on("unruly").run(|_: Event| async { emit("unruly", ()).await })?;
                loop {
                    emit("unruly", ()).await?;
                }
            }
            Self::Subscriptions => loop {
                on("unruly").run(|_: Event| async { Ok(()) })?.end()?;
            },
            Self::Addresses => {
                // One short label after the other: each is converted on its own (IDNA).
                let address = format!("a@{}.example", vec!["ä"; 300].join("."));
                loop {
                    let _ = chats::send(&address, "hello").await;
                }
            }
            Self::Payloads => {
                // Many short values take longer to read than one long text.
                let values = vec![0; 120 << 10];
                loop {
                    let _ = emit("unruly", &values).await;
                }
            }
            Self::Log => {
                for line in 0..10_000_u32 {
                    info!("flood {line}");
                }
                Ok("wrote 10000 lines".to_owned())
            }
        }
    }
}

fn odd_log() -> String {
    info!("red \u{1b}[31m and\nERROR forged=true a second line \u{202e}\0");
    info!("{}", "long ".repeat(10_000));
    "wrote odd lines".to_owned()
}

async fn wait_for_word() -> Result<String> {
    info!("waits for the word");
    wait_until("word").await?;
    Ok("it came".to_owned())
}

/// Makes calls that are never answered, as many at once as it may.
async fn open_calls() -> Result<String> {
    promises::add(NEVER).await?;
    let refused = Rc::new(Cell::new(0));
    for _ in 0..10_000 {
        let refused = Rc::clone(&refused);
        spawn(async move {
            if let Err(Error::OverLimit(_)) = wait_until(NEVER).await {
                refused.set(refused.get() + 1);
            }
            Ok(())
        });
    }
    while refused.get() == 0 {
        timers::sleep(Duration::from_millis(100)).await;
    }
    Ok(format!("{} of 10000 refused", refused.get()))
}

/// Begins tasks that wait for an hour.
fn handles() -> String {
    for _ in 0..10_000 {
        spawn(async {
            timers::sleep(Duration::from_hours(1)).await;
            Ok(())
        });
    }
    "waits 10000 times".to_owned()
}

/// Begins as many calls as it may, and then computes without polling them, for less time than would end it.
async fn convoy<F: Future<Output = Result<()>> + 'static>(call: impl Fn(u32) -> F) -> Result<String> {
    const CALLS: u32 = 250;
    // Some tenths of a second; a plugin has no clock.
    const TURNS: u64 = 500_000_000;
    loop {
        for number in 0..CALLS {
            let call = call(number);
            // Some are refused while earlier ones wait.
            spawn(async move {
                let _ = call.await;
                Ok(())
            });
        }
        // The calls begin before the next line runs.
        timers::sleep(Duration::from_millis(1)).await;
        for turn in 0..TURNS {
            black_box(turn);
        }
        timers::sleep(Duration::from_millis(1)).await;
    }
}

/// Lets the host hold everything that it can for a plugin, and then traps.
async fn trap_in_flight() -> Result<String> {
    promises::add(NEVER).await?;
    timers::every(Duration::from_millis(10), || async { Ok(()) })?;
    on("connected").run(|_: Event| async { Ok(()) })?;
    for _ in 0..50 {
        spawn(async { wait_until(NEVER).await.map(drop) });
        spawn(async {
            timers::sleep(Duration::from_hours(1)).await;
            Ok(())
        });
    }
    // The calls begin before the next line runs.
    timers::sleep(Duration::from_millis(1)).await;
    panic!("trapped in flight")
}

async fn unread_streams() -> Result<String> {
    let mut held = Vec::new();
    for count in 0..1_000 {
        match archive::query_all(archive::Options::default()).await {
            Ok(stream) => held.push(stream),
            Err(error) => {
                // Leaked on purpose: nobody reads the streams, and nobody closes them.
                std::mem::forget(held);
                return Ok(format!("got {count} streams: {error}"));
            }
        }
    }
    std::mem::forget(held);
    Ok("got 1000 streams".to_owned())
}

/// Recurses without a tail call, deeper than any stack.
fn recurse(depth: u64) -> u64 {
    if black_box(depth) == u64::MAX { depth } else { recurse(depth + 1) ^ black_box(depth) }
}

fn grow() -> String {
    const CHUNK: usize = 1 << 20;
    let mut held: Vec<Vec<u8>> = Vec::new();
    loop {
        let mut chunk = Vec::new();
        if chunk.try_reserve_exact(CHUNK).is_err() {
            break;
        }
        chunk.resize(CHUNK, 1);
        held.push(chunk);
    }
    let got = held.len();
    // Leaked on purpose: the plugin stays at its limit.
    std::mem::forget(held);
    format!("got {got} MiB")
}

fn copy() -> ! {
    let mut memory = vec![1_u8; 16 << 20];
    loop {
        memory.copy_within(0..8 << 20, 8 << 20);
        black_box(&memory);
    }
}

fn until_refused<T>(what: &str, mut one: impl FnMut() -> Result<T>) -> String {
    for count in 0..100_000_u32 {
        if let Err(error) = one() {
            return format!("got {count} {what}: {error}");
        }
    }
    format!("got 100000 {what}")
}

async fn many_promises() -> Result<String> {
    for count in 0..100_000_u32 {
        if let Err(error) = promises::add(format!("unruly{count}")).await {
            return Ok(format!("got {count} promises: {error}"));
        }
    }
    Ok("got 100000 promises".to_owned())
}

/// Waits for a second.
async fn nap() -> String {
    timers::sleep(Duration::from_secs(1)).await;
    "napped".to_owned()
}

/// Panics soon, in work that goes on beyond the handler.
fn trap_late() -> String {
    spawn(async {
        timers::sleep(Duration::from_millis(20)).await;
        panic!("trapped to order, late")
    });
    "spawned".to_owned()
}
