//! The account with its session and link, on a network on which anything may fail, under a paused clock. All faults
//! follow from one seed, which a failed test names. `PARLOR_SEEDS` sets how many seeds are tried, and `PARLOR_SEED` the
//! first one, or the only one; `cargo xtask faults --seeds N` sets both.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use parlor_config::{ChannelBinding, PasswordSource, TransportChoice, Way};
use parlor_session::permissions::Granted;
use parlor_xmpp::Dialer;
use parlor_xmpp::simulated_network::{Fault, Network, Standing, story};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use tokio::runtime::{Builder, Handle};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::*;

/// Default number of seeds.
const SEEDS: u64 = 200;
/// Number of seeds that are tried twice.
const AGAIN: u64 = 10;
/// Minimum time before a request is given up.
const PATIENCE: Duration = Duration::from_secs(30);
/// Time limit for showing a change that is visible on the connection.
const SEEN: Duration = Duration::from_secs(5);
/// Time limit for noticing silence.
const NOTICED: Duration = Duration::from_secs(130);
/// No run takes this long.
const LIFE: Duration = Duration::from_hours(24);
/// Time limit for recovery after the last fault.
const SETTLED: Duration = Duration::from_mins(30);

/// The observations of the account and its plugin.
#[derive(Debug, Default)]
struct Diary {
    /// The messages that were accepted for sending, in order.
    accepted: Vec<String>,
    /// The messages that were refused.
    refused: BTreeSet<String>,
    /// The messages that were lost with a failed account and have been dealt with.
    given_up: BTreeSet<String>,
    heard: Vec<String>,
    open_requests: u32,
    wrong: Vec<String>,
}

/// An account under a seed.
struct Life {
    account: Account,
    network: Network,
    diary: Arc<Mutex<Diary>>,
    say: mpsc::UnboundedSender<String>,
    tasks: JoinSet<()>,
    random: StdRng,
    /// The machine's clock.
    clock: &'static SettableClock,
    sent: u32,
    denials: u32,
}

impl Life {
    async fn begin(seed: u64) -> Self {
        Self::on(Network::begin(seed), seed).await
    }

    async fn on(network: Network, seed: u64) -> Self {
        let clock = SettableClock::leak(Timestamp::from_second(1_700_000_000).unwrap());
        let config = config(link(), Settings::default());
        let dialer = Dialer::Through(Arc::new(network.clone()));
        let account = Account::start_with(config, Store::on_runtime(), Place::here(), dialer, clock.clock());
        let diary = Arc::<Mutex<Diary>>::default();
        let mut tasks = JoinSet::new();
        let (say, mut requests) = mpsc::unbounded_channel::<String>();
        let (shared, book) = (Arc::clone(account.shared()), Arc::clone(&diary));
        tasks.spawn(async move {
            while let Some(body) = requests.recv().await {
                let outcome = send(&shared, &body).await;
                let mut diary = book.lock().unwrap();
                match outcome {
                    Ok(()) => diary.accepted.push(body),
                    Err(_) => {
                        diary.refused.insert(body);
                    }
                }
            }
        });
        let (mut ear, book, answers) = (Ear::open(&account, &["message"]), Arc::clone(&diary), say.clone());
        let told = network.clone();
        tasks.spawn(async move {
            while let Some(mail) = ear.0.recv().await {
                let Payload::Message(message) = &mail.event.payload else { continue };
                let body = message.body.clone().unwrap();
                told.tell(format_args!("heard {body}"));
                book.lock().unwrap().heard.push(body.clone());
                // A receiver that is gone needs no answer.
                let _ = answers.send(body.replace('q', "a"));
            }
        });
        account.shared().connect().await;
        let random = StdRng::seed_from_u64(seed.wrapping_mul(31));
        Self { account, network, diary, say, tasks, random, clock, sent: 0, denials: 0 }
    }

    /// Takes one random step.
    async fn step(&mut self) {
        let wait = match self.random.random_range(0..20) {
            0 => self.random.random_range(60_000..300_000),
            1..=4 => 0,
            _ => self.random.random_range(0..12_000),
        };
        tokio::time::sleep(Duration::from_millis(wait)).await;
        match self.random.random_range(0..20) {
            0 => self.send(150),
            1..=7 => {
                let count = self.random.random_range(1..5);
                self.send(count);
            }
            8..=12 => self.network.say(self.random.random_range(1..5)),
            13..=15 => self.ask(),
            16 => {
                let by = self.random.random_range(-100_000..100_000);
                self.network.tell(format_args!("the clock is set by {by} s"));
                self.clock.set_by(by);
            }
            _ => {
                let conditions = ["system-shutdown", "internal-server-error", "conflict", "reset", "not-authorized"];
                let fault = match self.random.random_range(0..8) {
                    0..=3 => Fault::Cut,
                    4..=5 => Fault::Silence,
                    6 => Fault::Closed,
                    _ => Fault::Ended(conditions[self.random.random_range(0..conditions.len())]),
                };
                self.network.strike(fault);
            }
        }
        self.look().await;
    }

    fn send(&mut self, count: u32) {
        for _ in 0..count {
            self.say.send(format!("m{}", self.sent)).unwrap();
            self.sent += 1;
        }
    }

    /// Sends a request, which may remain unanswered.
    fn ask(&mut self) {
        let name = ["query", "mute"][self.random.random_range(0..2)];
        let (shared, diary) = (Arc::clone(self.account.shared()), Arc::clone(&self.diary));
        diary.lock().unwrap().open_requests += 1;
        self.tasks.spawn(async move {
            let xml = format!("<iq to='friend@localhost/x' type='get' id='q'><{name} xmlns='urn:example:query'/></iq>");
            let iq = RawStanza::parse_request(&xml, &shared.snapshot().jid).unwrap();
            let began = Instant::now();
            let outcome = shared.ask(Asker::Host, &Granted::HOST, SendIq { by: InstanceId::next(), iq }).await;
            let mut diary = diary.lock().unwrap();
            diary.open_requests -= 1;
            let took = began.elapsed();
            match outcome {
                Err(CallError::TimedOut) if took < PATIENCE => {
                    diary.wrong.push(format!("a request was given up after {took:?}"));
                }
                Ok(_) | Err(CallError::TimedOut | CallError::Offline) => {}
                Err(error) => diary.wrong.push(format!("a request ended with {error}")),
            }
        });
    }

    /// Compares the reported state of the connection with the real one, and reconnects a failed account.
    async fn look(&mut self) {
        let shown = self.account.shared().connection().borrow().clone();
        let standing = self.network.observed(|observed| observed.standing());
        let is_up = matches!(shown, Connection::Connected(_));
        let has_failed = matches!(shown, Connection::Failed(_));
        let is_true = match standing {
            Standing::Up(since) => is_up || since.elapsed() < SEEN,
            Standing::Down(since) => !is_up || since.elapsed() < SEEN,
            Standing::Silent(since) => !is_up || since.elapsed() < NOTICED,
            Standing::Never => !is_up,
        };
        if !is_true {
            self.diary.lock().unwrap().wrong.push(format!("shown as {shown:?} while it is {standing:?}"));
        }
        if has_failed {
            let denials = self.network.observed(|observed| observed.denied);
            if denials == std::mem::replace(&mut self.denials, denials) {
                self.diary.lock().unwrap().wrong.push(format!("nobody denied anything, and it is {shown:?}"));
            }
            self.network.tell(format_args!("{shown:?}"));
            self.give_up();
            let mut connection = self.account.shared().connection();
            connection.mark_unchanged();
            self.account.shared().connect().await;
            // It may have failed again by the time it is checked.
            connection.changed().await.unwrap();
        }
    }

    /// Notes the messages that were lost with the account's failure, which was reported to the owner.
    fn give_up(&mut self) {
        let took: BTreeSet<String> = self.network.observed(|observed| observed.took.iter().cloned().collect());
        let mut diary = self.diary.lock().unwrap();
        let lost: Vec<String> = diary.accepted.iter().filter(|body| !took.contains(*body)).cloned().collect();
        diary.given_up.extend(lost);
    }

    /// Returns whether nothing is on its way, and every request was answered.
    fn is_settled(&self) -> bool {
        let diary = self.diary.lock().unwrap();
        let (took, said) =
            self.network.observed(|observed| (observed.took.iter().cloned().collect::<BTreeSet<_>>(), observed.said()));
        let is_known = |body: &String| took.contains(body) || diary.given_up.contains(body);
        diary.open_requests == 0
            && diary.heard.len() >= said as usize
            && diary.accepted.len() + diary.refused.len() >= (self.sent + said) as usize
            && diary.accepted.iter().all(is_known)
            && matches!(*self.account.shared().connection().borrow(), Connection::Connected(_))
    }

    /// Ends all faults: everything recovers and completes.
    async fn end(mut self) {
        self.network.calm();
        let calm = Instant::now();
        while !self.is_settled() && calm.elapsed() < SETTLED {
            tokio::time::sleep(Duration::from_secs(5)).await;
            self.look().await;
        }
        let Self { account, network, diary, tasks, .. } = self;
        let shared = Arc::clone(account.shared());
        let left = shared.asked.waiting(&Asker::Host);
        tokio::time::timeout(Duration::from_mins(1), account.stop()).await.expect("the account ends");
        drop((shared, self.say, tasks));
        let (took, may_repeat, wrong, said) = network.observed(|observed| {
            (observed.took.clone(), observed.may_repeat.clone(), observed.wrong.clone(), observed.said())
        });
        network.end().await;
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        assert_eq!(Handle::current().metrics().num_alive_tasks(), 0, "tasks are left");
        let diary = diary.lock().unwrap();
        assert_eq!((&diary.wrong, wrong), (&Vec::new(), Vec::new()));
        assert_eq!(left, 0, "commands are left");
        assert_eq!(diary.open_requests, 0, "requests are left");
        let expected: Vec<String> = (0..said).map(|number| format!("q{number}")).collect();
        assert_eq!(diary.heard, expected, "each is heard once, in its order");
        let mut counts = BTreeMap::<&str, usize>::new();
        let mut firsts = Vec::new();
        for body in &took {
            let count = counts.entry(body).or_default();
            *count += 1;
            if *count == 1 {
                firsts.push(body);
            }
            let most = 1 + may_repeat.get(body).copied().unwrap_or_default();
            assert!(*count <= most, "{body} came {count} times, and may come {most} times");
            assert!(!diary.refused.contains(body), "{body} came, and its sender was told that it would not");
        }
        let sent = diary.accepted.iter().filter(|body| counts.contains_key(body.as_str()));
        assert_eq!(firsts, sent.collect::<Vec<_>>(), "each comes in its order");
        let lost = diary.accepted.iter().filter(|body| !counts.contains_key(body.as_str()));
        let lost: Vec<_> = lost.filter(|body| !diary.given_up.contains(*body)).collect();
        assert_eq!(lost, Vec::<&String>::new(), "these are lost");
    }
}

fn link() -> LinkSettings {
    LinkSettings {
        jid: "bot@localhost/here".parse().unwrap(),
        way: Way::Password,
        // The server accepts any password, and this variable always exists.
        password: PasswordSource::Environment("PATH".to_owned()),
        server: None,
        tls: None,
        ca_file: None,
        allow_plain: true,
        channel_binding: ChannelBinding::Auto,
        transport: TransportChoice::Tcp,
        websocket: None,
        keep_unsent: Duration::from_hours(24),
        bosh: None,
        prebind: None,
        ping_interval: Duration::from_mins(1),
    }
}

/// Runs everything that follows from one seed, and returns the log.
fn live(seed: u64) -> Vec<String> {
    let runtime = Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let life = async {
            let mut life = Life::begin(seed).await;
            for _ in 0..24 {
                life.step().await;
            }
            life.end().await;
        };
        // If all tasks wait for each other, the paused clock advances to this limit.
        tokio::time::timeout(LIFE, life).await.expect("it comes to an end");
    });
    story()
}

/// Reads a number from the environment.
fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|value| value.parse().expect("it is a number"))
}

/// After any failures at any time: nothing is lost, messages keep their order, and a message is repeated only if its
/// arrival could not be known. The reported state is true. Requests end, and not too early, for any change of the
/// machine's clock. Nothing is left over.
#[test]
fn nothing_is_lost_whatever_breaks() {
    let (first, count) = match (number("PARLOR_SEED"), number("PARLOR_SEEDS")) {
        (Some(seed), count) => (seed, count.unwrap_or(1)),
        (None, count) => (0, count.unwrap_or(SEEDS)),
    };
    for seed in (0..count).map(|more| first.wrapping_add(more)) {
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| live(seed))) {
            let which = format!("seed {seed}; `cargo xtask faults --seeds 1 --seed {seed}` has it happen once more");
            panic_with(&which, panic);
        }
    }
}

/// Sends everything around one lost connection: the connection of this number, after this many bytes. Returns whether
/// it broke.
fn cut_after(number: usize, bytes: usize) -> bool {
    let runtime = Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let network = Network::begin(bytes as u64);
        network.calm();
        network.plan_cut(number - 1, bytes);
        let life = async {
            let mut life = Life::on(network.clone(), 0).await;
            for connection in 1..=number {
                if connection > 1 {
                    tokio::time::sleep(Duration::from_secs(10)).await;
                    network.strike(Fault::Cut);
                }
                life.send(2);
                network.say(2);
            }
            life.end().await;
        };
        tokio::time::timeout(LIFE, life).await.expect("it comes to an end");
        network.connections() > number
    })
}

/// Wherever a connection breaks: in the log-in, between a stanza and its acknowledgement, or within either. The second
/// connection resumes the session of the first.
#[test]
fn nothing_is_lost_after_whichever_byte_it_breaks() {
    for number in [1, 2] {
        let mut bytes = 0;
        loop {
            match catch_unwind(AssertUnwindSafe(|| cut_after(number, bytes))) {
                Ok(true) => bytes += 1,
                Ok(false) => break,
                Err(panic) => panic_with(&format!("connection {number}, cut after {bytes} bytes"), panic),
            }
        }
        assert!((1_000..10_000).contains(&bytes), "a log-in and four messages are not {bytes} bytes");
    }
}

/// So that a failed test can be reproduced.
#[test]
fn what_happened_happens_once_more_with_the_same_number() {
    for seed in 0..AGAIN {
        let (first, second) = (live(seed), live(seed));
        for (line, (one, other)) in first.iter().zip(&second).enumerate() {
            assert_eq!(one, other, "seed {seed}, line {line}, after {:#?}", &first[line.saturating_sub(5)..line]);
        }
        assert_eq!(first.len(), second.len(), "seed {seed}");
    }
}

#[expect(clippy::print_stderr, reason = "who sees the test fail needs to know which")]
fn panic_with(which: &str, panic: Box<dyn std::any::Any + Send>) -> ! {
    eprintln!("{}", story().join("\n"));
    eprintln!("it was {which}");
    resume_unwind(panic)
}
