//! Somebody who writes numbered messages to the accounts without end, each once, and hears the answers.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use jid::BareJid;
use parlor_tests::client::{Client, body};
use parlor_tests::server::Account;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};
use tokio_xmpp::Stanza;
use xmpp_parsers::message::MessageType;

use crate::board::Board;
use crate::judge::{Answer, Note, Said};

/// How often each account gets a message, if it is not more than [`MOST`].
const PACE: Duration = Duration::from_secs(1);
/// The time between two messages to any account, at least.
const MOST: Duration = Duration::from_millis(12);
/// How long it may take until an account answers a question or a greeting.
const SOON: Duration = Duration::from_mins(1);
/// After this time without an answer, a question or a greeting is sent again.
const AGAIN: Duration = Duration::from_secs(5);
/// How long the last answers are waited for.
const LAST: Duration = Duration::from_secs(90);
/// How long answers too many are waited for after the last one.
const QUIET: Duration = Duration::from_secs(5);
/// The longest time between two looks.
const LOOK: Duration = Duration::from_millis(50);

/// Orders to the task that has the client.
enum Order {
    /// Write to all accounts at once.
    Volley(oneshot::Sender<()>),
    /// Ask an account, with the answer's first word.
    Ask { bot: usize, question: String, answer: oneshot::Sender<String> },
    /// Begin or stop to write all the time.
    Write(bool),
    /// Return how many messages have no answer yet.
    Count(oneshot::Sender<usize>),
    /// End.
    End,
}

/// The task. Dropping it ends it.
pub(crate) struct Talk {
    orders: mpsc::UnboundedSender<Order>,
    task: JoinHandle<Result<Vec<Said>>>,
    bots: usize,
}

impl Drop for Talk {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Talk {
    /// Begins once each account has answered a greeting.
    pub(crate) async fn begin(client: Client, bots: &[Account], board: &Board) -> Result<Self> {
        let (orders, inbox) = mpsc::unbounded_channel();
        let writer = Writer {
            client,
            bots: bots.iter().map(|bot| bot.jid.clone()).collect(),
            board: board.clone(),
            said: Vec::new(),
            sent: HashMap::new(),
            open: BTreeSet::new(),
            asked: bots.iter().map(|_| None).collect(),
            next: 0,
            writes: false,
        };
        let talk = Self { orders, task: tokio::spawn(Box::pin(writer.run(inbox))), bots: bots.len() };
        for (number, bot) in bots.iter().enumerate() {
            talk.ask(number, "hello").await.with_context(|| format!("{} does not answer", bot.jid))?;
        }
        talk.order(Order::Write(true))?;
        Ok(talk)
    }

    /// Writes to all accounts at once.
    pub(crate) async fn volley(&self) -> Result<()> {
        let (done, is_done) = oneshot::channel();
        self.order(Order::Volley(done))?;
        is_done.await.context("the client has ended")
    }

    /// Asks an account until it answers.
    async fn ask(&self, bot: usize, question: &str) -> Result<String> {
        let end = Instant::now() + SOON;
        while Instant::now() < end {
            let (answer, answered) = oneshot::channel();
            self.order(Order::Ask { bot, question: question.to_owned(), answer })?;
            if let Ok(answer) = timeout(AGAIN, answered).await {
                return answer.context("the client has ended");
            }
        }
        bail!("no answer to {question:?} within {SOON:?}")
    }

    /// Writes nothing more, and waits until all is answered, or nothing more is to be hoped for.
    pub(crate) async fn last_answers(&self) -> Result<()> {
        self.order(Order::Write(false))?;
        let end = Instant::now() + LAST;
        while Instant::now() < end {
            let (count, counted) = oneshot::channel();
            self.order(Order::Count(count))?;
            if counted.await.context("the client has ended")? == 0 {
                break;
            }
            sleep(LOOK).await;
        }
        sleep(QUIET).await;
        Ok(())
    }

    /// Returns the numbers of the messages that the plugins have noted, by account.
    pub(crate) async fn noted(&self) -> Result<Vec<BTreeSet<usize>>> {
        let mut all = Vec::new();
        for bot in 0..self.bots {
            let (mut noted, mut last) = (BTreeSet::new(), 0);
            loop {
                let page = self.ask(bot, &format!("told-after {last:010}")).await?;
                let mut words = page.split_whitespace().skip(1);
                let has_more = words.next() == Some("more");
                noted.extend(words.map_while(|word| word.parse::<usize>().ok()));
                last = noted.last().copied().unwrap_or_default();
                if !has_more {
                    break;
                }
            }
            all.push(noted);
        }
        Ok(all)
    }

    /// Returns all messages.
    pub(crate) async fn end(mut self) -> Result<Vec<Said>> {
        self.order(Order::End)?;
        (&mut self.task).await?
    }

    fn order(&self, order: Order) -> Result<()> {
        self.orders.send(order).ok().context("the client has ended")
    }
}

struct Writer {
    client: Client,
    bots: Vec<BareJid>,
    board: Board,
    /// The message with the number N is at N - 1.
    said: Vec<Said>,
    /// The places of messages, by the ids of their stanzas.
    sent: HashMap<String, usize>,
    /// The places of messages without an answer.
    open: BTreeSet<usize>,
    /// The tasks that wait for the answer of each account to a question.
    asked: Vec<Option<oneshot::Sender<String>>>,
    /// The account that is written to next.
    next: usize,
    writes: bool,
}

/// The parts of a received message that are used.
struct Heard {
    from: BareJid,
    id: Option<String>,
    body: String,
    is_error: bool,
}

impl Writer {
    async fn run(mut self, mut orders: mpsc::UnboundedReceiver<Order>) -> Result<Vec<Said>> {
        let bots = u32::try_from(self.bots.len())?;
        let mut ticks = interval((PACE / bots.max(1)).max(MOST));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                order = orders.recv() => match order {
                    None | Some(Order::End) => return Ok(self.said),
                    Some(order) => self.carry_out(order).await?,
                },
                _ = ticks.tick() => if self.writes {
                    self.tell(self.next).await?;
                    self.next = (self.next + 1) % self.bots.len();
                },
                heard = heard(&mut self.client) => if let Some(heard) = heard? {
                    self.hear(heard)?;
                },
            }
        }
    }

    async fn carry_out(&mut self, order: Order) -> Result<()> {
        match order {
            Order::Volley(done) => {
                for bot in 0..self.bots.len() {
                    self.tell(bot).await?;
                }
                // Nobody may wait any more.
                let _ = done.send(());
            }
            Order::Ask { bot, question, answer } => {
                self.asked[bot] = Some(answer);
                self.client.chat(self.bots[bot].clone(), &question).await?;
            }
            Order::Write(writes) => self.writes = writes,
            Order::Count(count) => {
                let _ = count.send(self.open.len());
            }
            Order::End => {}
        }
        Ok(())
    }

    async fn tell(&mut self, bot: usize) -> Result<()> {
        let place = self.said.len();
        self.said.push(Said { to: bot, at: self.board.now(), ..Said::default() });
        // Every other message to each account is answered at once: a node that cannot store anything answers it, too.
        let verb = if (place + place / self.bots.len()).is_multiple_of(2) { "tell" } else { "say" };
        let id = self.client.chat(self.bots[bot].clone(), &format!("{verb} {:010}", place + 1)).await?;
        self.sent.insert(id, place);
        self.open.insert(place);
        Ok(())
    }

    fn hear(&mut self, heard: Heard) -> Result<()> {
        let bot = self.bots.iter().position(|bot| *bot == heard.from);
        if heard.is_error {
            if let Some(place) = heard.id.and_then(|id| self.sent.get(&id).copied()) {
                self.said[place].was_returned = true;
                self.open.remove(&place);
            }
            return Ok(());
        }
        let Some(bot) = bot else { bail!("{} writes: {}", heard.from, heard.body) };
        let Some((number, note)) = answer(&heard.body)? else {
            // Of a question that was sent twice, the second answer finds nobody.
            let _ = self.asked[bot].take().map(|asked| asked.send(heard.body));
            return Ok(());
        };
        let place = usize::try_from(number)?.checked_sub(1).context("an answer to nothing")?;
        let one = self.said.get_mut(place).context("an answer to nothing")?;
        ensure!(one.to == bot, "the account {} answers {number}, which was said to another", heard.from);
        one.answers.push(Answer { at: self.board.now(), note });
        self.open.remove(&place);
        Ok(())
    }
}

/// Returns the number of the message that is answered, and what was noted; `None` if it is the answer to a question.
fn answer(body: &str) -> Result<Option<(u64, Option<Note>)>> {
    let mut words = body.split(' ');
    let verb = words.next();
    if !matches!(verb, Some("told" | "said")) {
        return Ok(None);
    }
    let numbers: Vec<u64> =
        words.map(str::parse).collect::<Result<_, _>>().with_context(|| format!("answered {body}"))?;
    match numbers[..] {
        [number, times, count] => Ok(Some((number, Some(Note { times, count })))),
        [number] => Ok(Some((number, None))),
        _ => bail!("an answer of one number or three, not {body}"),
    }
}

/// Returns the next message, if the next stanza is one.
async fn heard(client: &mut Client) -> Result<Option<Heard>> {
    let heard = match client.next(LOOK).await? {
        Some(Stanza::Message(message)) => Some(Heard {
            from: message.from.as_ref().context("a message of nobody")?.to_bare(),
            id: message.id.as_ref().map(|id| id.0.clone()),
            body: body(message).unwrap_or_default().to_owned(),
            is_error: message.type_ == MessageType::Error,
        }),
        Some(_) | None => None,
    };
    client.forget();
    // Without a body it says nothing, such as that somebody writes.
    Ok(heard.filter(|heard| heard.is_error || !heard.body.is_empty()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_has_its_number_and_what_was_noted() {
        assert_eq!(answer("told 0000000007 1 4").unwrap(), Some((7, Some(Note { times: 1, count: 4 }))));
        assert_eq!(answer("said 0000000008").unwrap(), Some((8, None)));
        for question in ["hello", "noted end 0000000001 0000000003"] {
            assert_eq!(answer(question).unwrap(), None, "{question}");
        }
        for wrong in ["told", "told x", "told 1 2", "said 1 2 3 4"] {
            assert!(answer(wrong).is_err(), "{wrong}");
        }
    }
}
