//! The state of the simulated server that tests look at: the stanzas that it handled, in their order, those that it sent and
//! that are unacknowledged, and whether the client is connected.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use jid::FullJid;
use tokio::time::Instant;

/// A count sent this long before a connection broke has arrived, however slow the connection.
const ARRIVED: Duration = Duration::from_secs(20);

/// A session under stream management (XEP-0198).
#[derive(Debug)]
pub(super) struct Managed {
    pub(super) id: String,
    /// The number of the connection that it is on.
    connection: u32,
    /// The number of handled stanzas; and the messages among them, each with its number.
    taken: u32,
    messages: Vec<(u32, String)>,
    /// The counts sent on this connection, with the time; and the highest count known to have arrived, on any
    /// connection.
    said: Vec<(Instant, u32)>,
    known: u32,
    /// The number of our stanzas that were acknowledged; the other ones; and how many of those were written on this
    /// connection.
    acknowledged: u32,
    open: VecDeque<Sent>,
    written: usize,
    is_available: bool,
}

#[derive(Debug, Clone)]
struct Sent {
    xml: String,
    /// The number of the contact's message, if it is one.
    message: Option<u32>,
}

/// The state of the connection that carries the session.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Standing {
    /// There never was one, or its state is unknown.
    #[default]
    Never,
    /// It has been up since this time.
    Up(Instant),
    /// It broke at this time.
    Down(Instant),
    /// It has carried nothing since this time, and neither end has noticed.
    Silent(Instant),
}

/// The state of the server.
#[derive(Debug, Default)]
pub struct Observed {
    session: Option<Managed>,
    sessions: u32,
    /// Ended sessions, with the number of stanzas that each had handled, if that is still known.
    gone: HashMap<String, Option<u32>>,
    /// Messages of the contact that no client is known to have received.
    waiting: VecDeque<u32>,
    said: u32,
    live: u32,
    standing: Standing,
    /// All handled messages, in order.
    pub took: Vec<String>,
    /// Messages that may arrive again, since the client could not know that they were handled, and how often.
    pub may_repeat: HashMap<String, usize>,
    /// The number of log-ins that were refused for good, and of sessions that ended like that.
    pub denied: u32,
    /// Violations of the protocol.
    pub wrong: Vec<String>,
}

impl Observed {
    /// Returns how many messages the contact has sent.
    pub fn said(&self) -> u32 {
        self.said
    }

    /// Returns the state of the current connection.
    pub fn standing(&self) -> Standing {
        self.standing
    }

    /// Makes the contact send this many messages.
    pub(super) fn say(&mut self, count: u32) {
        self.waiting.extend(self.said..self.said + count);
        self.said += count;
        self.hand_over();
    }

    /// Sends waiting messages, if the client is available.
    fn hand_over(&mut self) {
        if let Some(session) = self.session.as_mut().filter(|session| session.is_available) {
            session
                .open
                .extend(self.waiting.drain(..).map(|number| Sent { xml: message(number), message: Some(number) }));
        }
    }

    /// Records that the wire of a connection broke.
    pub(super) fn broken(&mut self, connection: u32, is_silent: bool) {
        if self.live != connection {
            return;
        }
        let now = Instant::now();
        match self.standing {
            // This also applies if the end was in flight: it arrives nowhere.
            Standing::Up(_) | Standing::Down(_) if is_silent => self.standing = Standing::Silent(now),
            Standing::Up(_) => self.standing = Standing::Down(now),
            Standing::Down(_) | Standing::Silent(_) | Standing::Never => return,
        }
        self.settle();
    }

    /// Records which counts of the lost connection had enough time to arrive.
    fn settle(&mut self) {
        if let Some(session) = &mut self.session {
            let now = Instant::now();
            let arrived = session.said.drain(..).filter(|(at, _)| *at + ARRIVED < now).map(|(_, taken)| taken);
            session.known = arrived.fold(session.known, u32::max);
        }
    }

    /// Records that a connection has ended at the server.
    pub(super) fn ended(&mut self, connection: u32) {
        self.broken(connection, false);
    }

    fn up(&mut self, connection: u32) {
        self.live = connection;
        self.standing = Standing::Up(Instant::now());
    }

    /// Returns whether the session is still on this connection.
    pub(super) fn is_on(&self, connection: u32) -> bool {
        self.session.as_ref().is_some_and(|session| session.connection == connection)
    }

    /// Handles a bind, which ends the old session.
    pub(super) fn bind(&mut self) {
        self.settle();
        if let Some(session) = self.session.take() {
            self.bury(session, None);
        }
    }

    fn redeliver(&mut self, session: Managed) {
        for sent in session.open.into_iter().rev() {
            if let Some(number) = sent.message {
                self.waiting.push_front(number);
            }
        }
    }

    /// Ends a session; `count` is the number of handled stanzas that the client may still learn.
    fn bury(&mut self, session: Managed, count: Option<u32>) {
        if count.is_none() {
            for (_, body) in session.messages.iter().filter(|(number, _)| *number > session.known) {
                *self.may_repeat.entry(body.clone()).or_default() += 1;
            }
        }
        self.gone.insert(session.id.clone(), count);
        self.redeliver(session);
    }

    /// Begins a session, and returns its id.
    pub(super) fn enable(&mut self, connection: u32) -> String {
        self.sessions += 1;
        let id = format!("session{}", self.sessions);
        self.session = Some(Managed {
            id: id.clone(),
            connection,
            taken: 0,
            messages: Vec::new(),
            said: Vec::new(),
            known: 0,
            acknowledged: 0,
            open: VecDeque::new(),
            written: 0,
            is_available: false,
        });
        self.up(connection);
        id
    }

    /// Resumes a session, and returns the number of its stanzas that were handled. If the session is gone, returns that
    /// number as an error, if it is known.
    pub(super) fn resume(&mut self, id: &str, h: u32, connection: u32) -> Result<u32, Option<u32>> {
        self.settle();
        match self.session.as_mut().filter(|session| session.id == id) {
            None => Err(self.gone.get(id).copied().flatten()),
            Some(session) => {
                session.connection = connection;
                session.written = 0;
                let taken = session.taken;
                session.said.push((Instant::now(), taken));
                self.acknowledge(h);
                self.up(connection);
                Ok(taken)
            }
        }
    }

    /// Drops the session, and optionally keeps the number of stanzas that it had handled.
    pub(super) fn forget(&mut self, id: &str, counts: bool) {
        self.settle();
        if let Some(session) = self.session.take_if(|session| session.id == id) {
            let count = counts.then_some(session.taken);
            self.bury(session, count);
        }
    }

    /// Handles the client's count of received stanzas.
    pub(super) fn acknowledge(&mut self, h: u32) {
        let Some(session) = &mut self.session else { return };
        let more = h.wrapping_sub(session.acknowledged) as usize;
        if more > session.open.len() {
            self.wrong.push(format!(
                "{h} stanzas are acknowledged, of {}",
                session.acknowledged as usize + session.open.len()
            ));
            return;
        }
        session.open.drain(..more);
        session.acknowledged = h;
        session.written = session.written.saturating_sub(more);
    }

    /// Returns the number of handled stanzas, and records that it is sent now.
    pub(super) fn say_taken(&mut self) -> u32 {
        let Some(session) = &mut self.session else { return 0 };
        // A count that is sent on a silent wire never arrives.
        if matches!(self.standing, Standing::Up(_)) {
            session.said.push((Instant::now(), session.taken));
        }
        session.taken
    }

    /// Records a handled stanza, and its text if it is a message.
    pub(super) fn take(&mut self, body: Option<String>) {
        let Some(session) = &mut self.session else { return };
        session.taken += 1;
        if let Some(body) = body {
            session.messages.push((session.taken, body.clone()));
            self.took.push(body);
        }
    }

    /// Records that the client is available for messages.
    pub(super) fn available(&mut self) {
        if let Some(session) = &mut self.session {
            session.is_available = true;
        }
        self.hand_over();
    }

    /// Queues an answer.
    pub(super) fn answer(&mut self, xml: String) {
        if let Some(session) = &mut self.session {
            session.open.push_back(Sent { xml, message: None });
        }
    }

    /// Returns the stanzas to be written on the session's connection.
    pub(super) fn due(&mut self) -> Vec<String> {
        let Some(session) = &mut self.session else { return Vec::new() };
        let due = session.open.iter().skip(session.written).map(|sent| sent.xml.clone()).collect();
        session.written = session.open.len();
        due
    }
}

/// Returns a message of the contact, with its archive id.
fn message(number: u32) -> String {
    format!(
        "<message xmlns='jabber:client' from='friend@localhost/x' to='bot@localhost/here' type='chat' id='q{number}'>\
         <body>q{number}</body><stanza-id xmlns='urn:xmpp:sid:0' by='bot@localhost' id='n{number}'/></message>"
    )
}

/// Returns the JID of the test account.
pub(super) fn account() -> FullJid {
    FullJid::new("bot@localhost/here").expect("it is one")
}
