//! What the server knows: what it took in and in which order, what it sent and is not rid of, and who is there.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use jid::FullJid;
use tokio::time::Instant;

/// What was acknowledged so long before a connection broke has arrived, however slow the way.
const ARRIVED: Duration = Duration::from_secs(20);

/// A session under stream management (XEP-0198).
#[derive(Debug)]
pub(super) struct Managed {
    pub(super) id: String,
    /// Which connection it is on.
    connection: u32,
    /// How many stanzas were taken in; which of them are messages, with their count.
    taken: u32,
    messages: Vec<(u32, String)>,
    /// What was said of that on this connection, and when; and what of it has arrived, on whichever.
    said: Vec<(Instant, u32)>,
    known: u32,
    /// How many of ours were acknowledged, the rest, and how much of that was written on this connection.
    acknowledged: u32,
    open: VecDeque<Sent>,
    written: usize,
    is_available: bool,
}

#[derive(Debug, Clone)]
struct Sent {
    xml: String,
    /// It is this message of a contact.
    message: Option<u32>,
}

/// Whether there is a connection that a session is on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Standing {
    /// There never was, or nothing is known of one.
    #[default]
    Never,
    /// Since then.
    Up(Instant),
    /// It broke, then.
    Down(Instant),
    /// It carries nothing any more, since then, and neither end was told.
    Silent(Instant),
}

/// What the server knows.
#[derive(Debug, Default)]
pub(crate) struct Books {
    session: Option<Managed>,
    sessions: u32,
    /// Sessions that are gone, and what each had taken in, where that is still known.
    gone: HashMap<String, Option<u32>>,
    /// What a contact said that nobody is known to have.
    waiting: VecDeque<u32>,
    said: u32,
    live: u32,
    standing: Standing,
    /// All messages that were taken in, in that order.
    pub(crate) took: Vec<String>,
    /// What may come once more, since nobody could know that it was taken in; and how often.
    pub(crate) may_repeat: HashMap<String, usize>,
    /// A log-in was refused for good, or a session ended so.
    pub(crate) denied: u32,
    /// What should not have been.
    pub(crate) wrong: Vec<String>,
}

impl Books {
    /// How many messages the contact has said.
    pub(crate) fn said(&self) -> u32 {
        self.said
    }

    /// Whether somebody is there.
    pub(crate) fn standing(&self) -> Standing {
        self.standing
    }

    /// The contact says so many messages.
    pub(super) fn say(&mut self, count: u32) {
        self.waiting.extend(self.said..self.said + count);
        self.said += count;
        self.hand_over();
    }

    /// What waits is sent, where somebody hears it.
    fn hand_over(&mut self) {
        if let Some(session) = self.session.as_mut().filter(|session| session.is_available) {
            session
                .open
                .extend(self.waiting.drain(..).map(|number| Sent { xml: message(number), message: Some(number) }));
        }
    }

    /// The wire of a connection broke.
    pub(super) fn broken(&mut self, connection: u32, is_silent: bool) {
        if self.live != connection {
            return;
        }
        let now = Instant::now();
        match self.standing {
            // Also where the end was under way: it arrives nowhere.
            Standing::Up(_) | Standing::Down(_) if is_silent => self.standing = Standing::Silent(now),
            Standing::Up(_) => self.standing = Standing::Down(now),
            Standing::Down(_) | Standing::Silent(_) | Standing::Never => return,
        }
        self.settle();
    }

    /// What was said on a connection that is no more has arrived, if there was time.
    fn settle(&mut self) {
        if let Some(session) = &mut self.session {
            let now = Instant::now();
            let arrived = session.said.drain(..).filter(|(at, _)| *at + ARRIVED < now).map(|(_, taken)| taken);
            session.known = arrived.fold(session.known, u32::max);
        }
    }

    /// A connection is over at this end.
    pub(super) fn ended(&mut self, connection: u32) {
        self.broken(connection, false);
    }

    fn up(&mut self, connection: u32) {
        self.live = connection;
        self.standing = Standing::Up(Instant::now());
    }

    /// Whether the session is still on this connection.
    pub(super) fn is_on(&self, connection: u32) -> bool {
        self.session.as_ref().is_some_and(|session| session.connection == connection)
    }

    /// Somebody binds: what was is over.
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

    /// A session is over, and its client may hear how much was taken in, or not.
    fn bury(&mut self, session: Managed, count: Option<u32>) {
        if count.is_none() {
            for (_, body) in session.messages.iter().filter(|(number, _)| *number > session.known) {
                *self.may_repeat.entry(body.clone()).or_default() += 1;
            }
        }
        self.gone.insert(session.id.clone(), count);
        self.redeliver(session);
    }

    /// A session begins under this name.
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

    /// A session is to go on. Gives how much of its was taken in; else how much was, where that is known.
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

    /// The session is gone, but perhaps for what it had taken in.
    pub(super) fn forget(&mut self, id: &str, counts: bool) {
        self.settle();
        if let Some(session) = self.session.take_if(|session| session.id == id) {
            let count = counts.then_some(session.taken);
            self.bury(session, count);
        }
    }

    /// The client says how much of ours it has.
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

    /// How much was taken in, which is said now.
    pub(super) fn say_taken(&mut self) -> u32 {
        let Some(session) = &mut self.session else { return 0 };
        // What is said on a wire that carries nothing is heard by nobody.
        if matches!(self.standing, Standing::Up(_)) {
            session.said.push((Instant::now(), session.taken));
        }
        session.taken
    }

    /// A stanza was taken in, perhaps a message with this text.
    pub(super) fn take(&mut self, body: Option<String>) {
        let Some(session) = &mut self.session else { return };
        session.taken += 1;
        if let Some(body) = body {
            session.messages.push((session.taken, body.clone()));
            self.took.push(body);
        }
    }

    /// The client wants to hear what others say.
    pub(super) fn available(&mut self) {
        if let Some(session) = &mut self.session {
            session.is_available = true;
        }
        self.hand_over();
    }

    /// An answer.
    pub(super) fn answer(&mut self, xml: String) {
        if let Some(session) = &mut self.session {
            session.open.push_back(Sent { xml, message: None });
        }
    }

    /// What is to be written on the connection that the session is on.
    pub(super) fn due(&mut self) -> Vec<String> {
        let Some(session) = &mut self.session else { return Vec::new() };
        let due = session.open.iter().skip(session.written).map(|sent| sent.xml.clone()).collect();
        session.written = session.open.len();
        due
    }
}

/// What a contact says, as the archive numbers it.
fn message(number: u32) -> String {
    format!(
        "<message xmlns='jabber:client' from='friend@localhost/x' to='bot@localhost/here' type='chat' id='q{number}'>\
         <body>q{number}</body><stanza-id xmlns='urn:xmpp:sid:0' by='bot@localhost' id='n{number}'/></message>"
    )
}

/// The account that all of it is about.
pub(super) fn account() -> FullJid {
    FullJid::new("bot@localhost/here").expect("it is one")
}
