//! Converts an author's input into the acts of simulated people: the speaker, the room, and other events.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jid::{BareJid, FullJid};
use jiff::Timestamp;
use parlor_authoring::plugin_test::script::{Act, act};
use parlor_authoring::plugin_test::{RoomKind, Said, names};
use parlor_base::quantity::show_duration;

/// The first speaker.
const FIRST: &str = "alice";

/// The possible input, for `/help`.
pub(super) const HELP: &str = "\
hello               says that to the plugin, in a chat of its own
/as bob             says what follows as bob; an address will do, too
/join garden        the plugin's account and you enter a room
/room hello         says that in the room that you joined last
/nick al            takes another nickname in that room, until it is left
/leave              leaves that room again; the plugin's account stays
/set greeting = \"x\" changes a setting of the plugin
/deny messages.send takes a permission from it; /grant messages.send gives it back
/contact bob        somebody is in the roster; /bob is away, /bob asks to be a contact
/cut                breaks the connection; /back mends it
/restart            ends the plugin and starts it again; what it stores stays
/after 2 s          waits for so long, at most 10 min; at a terminal, the next line ends the wait
/quit               ends all of this
Whatever else a test can say goes after a slash as well: `parlor plugin test --help`. Two slashes say a text that begins with one.";

/// The longest time that `/after` waits. Plugins run by the machine's clock here.
const LONGEST_WAIT: Duration = Duration::from_mins(10);

/// Says that no line is read for this time, or at a terminal how to end the wait, and what would be faster.
pub(super) fn waits(time: Duration, is_terminal: bool) -> String {
    let time = show_duration(time);
    let what = if is_terminal {
        format!("waiting for {time}, by the machine's clock, or until you press Enter")
    } else {
        format!("nothing is read for {time}, by the machine's clock")
    };
    format!("{what}; in a test of `parlor plugin test`, this takes no time")
}

/// Says that a wait is too long, and where it takes no time.
fn waits_too_long(time: Duration) -> String {
    let (time, longest) = (show_duration(time), show_duration(LONGEST_WAIT));
    format!(
        "/after waits by the machine's clock, so for {longest} at most; to try what happens later, write `after {time}` in \
         tests/*.chat and run `parlor plugin test`, where it takes no time"
    )
}

/// Says that this time has passed.
pub(super) fn has_waited(time: Duration, now: Timestamp) -> String {
    format!("waited {}; it is {} now", show_duration(time), now.strftime("%Y-%m-%d %H:%M:%S UTC"))
}

/// The meaning of a line.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Typed {
    /// These acts happen, in this order.
    Happens(Vec<Act>),
    /// Nothing is read for this time.
    Waits(Duration),
    /// Show the help.
    AsksForHelp,
    /// Quit.
    Leaves,
    /// Nothing happens now; the speaker may have changed.
    Nothing,
}

/// The speaker and the rooms.
#[derive(Debug, Clone)]
pub(super) struct Chat {
    user: String,
    room: Option<BareJid>,
    /// Rooms that the plugin's account is in because somebody joined them here.
    open: BTreeSet<BareJid>,
    /// The occupants that joined here.
    inside: BTreeSet<FullJid>,
    /// The current nickname of occupants that changed it, by their original one.
    renamed: BTreeMap<FullJid, FullJid>,
}

impl Default for Chat {
    fn default() -> Self {
        Self {
            user: FIRST.to_owned(),
            room: None,
            open: BTreeSet::new(),
            inside: BTreeSet::new(),
            renamed: BTreeMap::new(),
        }
    }
}

impl Chat {
    /// Returns the speaker.
    pub(super) fn user(&self) -> &str {
        &self.user
    }

    /// Parses a line. The error says what to type instead.
    pub(super) fn understand(&mut self, line: &str) -> Result<Typed, String> {
        let line = line.trim();
        if line.is_empty() {
            return Ok(Typed::Nothing);
        }
        let Some(order) = line.strip_prefix('/') else { return self.say(line) };
        if order.starts_with('/') {
            return self.say(order);
        }
        let (word, rest) = order.split_once(' ').map_or((order, ""), |(word, rest)| (word, rest.trim()));
        match word {
            "help" | "?" => Ok(Typed::AsksForHelp),
            "quit" | "exit" => Ok(Typed::Leaves),
            "as" => {
                names::person(rest)?;
                rest.clone_into(&mut self.user);
                Ok(Typed::Nothing)
            }
            "join" => {
                let room = names::room(rest.trim_end_matches('/'))?;
                let before = self.room.replace(room.clone());
                let entered = self.enter().inspect_err(|_| self.room = before)?;
                let mut acts = Vec::new();
                if self.open.insert(room.clone()) {
                    acts.push(Act::Room { room, kind: RoomKind::Usual, occupants: Vec::new() });
                }
                acts.extend(entered);
                Ok(Typed::Happens(acts))
            }
            "leave" => {
                let us = self.us()?;
                if !self.inside.contains(&us) {
                    return Err(format!("{} is in no room; /join garden enters one", self.user));
                }
                Ok(self.noted(Act::Leaves(us)))
            }
            "nick" => {
                let who = self.us()?;
                if !self.inside.contains(&who) {
                    return Err(format!("{} is in no room; /join garden enters one", self.user));
                }
                if rest.is_empty() {
                    return Err("say which: /nick al".to_owned());
                }
                Ok(self.noted(Act::Renames { who, nick: rest.to_owned() }))
            }
            "room" => {
                if rest.is_empty() {
                    return Err("say something: /room hello".to_owned());
                }
                let from = self.us()?;
                let mut acts = self.enter()?;
                acts.push(Act::Say(Said::by(from, true, rest.to_owned())));
                Ok(Typed::Happens(acts))
            }
            _ => match act(order, &[]).map_err(|reason| format!("{reason}; /help shows what there is"))? {
                Act::After(time) if time > LONGEST_WAIT => Err(waits_too_long(time)),
                Act::After(time) => Ok(Typed::Waits(time)),
                Act::Start | Act::Clock(_) => Err("it has started, and the clock is the machine's".to_owned()),
                Act::Web { .. } | Act::Shows(_) => {
                    Err("requests go to the network here; a test answers them itself".to_owned())
                }
                Act::NoArchive => Err("the archives are there from the start; a test may have none".to_owned()),
                Act::Host { .. } => Err("what the host is set to counts from the start, in a test".to_owned()),
                act => Ok(self.noted(act)),
            },
        }
    }

    fn say(&self, text: &str) -> Result<Typed, String> {
        let from = names::person(&self.user)?;
        let said = Said::by(from, false, text.to_owned());
        Ok(Typed::Happens(vec![Act::Say(said)]))
    }

    /// Returns the speaker as an occupant of the room that was joined last.
    fn us(&self) -> Result<FullJid, String> {
        let room = self.room.as_ref().ok_or("there is no room yet; /join garden enters one")?;
        let person = names::person(&self.user)?;
        let nick = person.node().map(|node| node.as_str().to_owned()).unwrap_or_default();
        let us = room.with_resource_str(&nick).map_err(|error| error.to_string())?;
        match self.renamed.get(&us) {
            Some(now) => Ok(now.clone()),
            None if self.renamed.values().any(|now| *now == us) => {
                Err(format!("the nickname {nick} is taken in that room by somebody else; /as speaks as another one"))
            }
            None => Ok(us),
        }
    }

    /// Lets the speaker join the room, if necessary.
    fn enter(&mut self) -> Result<Vec<Act>, String> {
        let us = self.us()?;
        Ok(if self.inside.insert(us.clone()) { vec![Act::Enters(us)] } else { Vec::new() })
    }

    /// Tracks joins, leaves and nickname changes.
    fn noted(&mut self, act: Act) -> Typed {
        match &act {
            Act::Enters(who) => drop(self.inside.insert(who.clone())),
            Act::Leaves(who) => {
                self.inside.remove(who);
                self.renamed.retain(|_, now| *now != *who);
            }
            Act::Renames { who, nick } => {
                if let Ok(now) = who.to_bare().with_resource_str(nick)
                    && self.inside.remove(who)
                {
                    let before = self.renamed.iter().find(|(_, now)| *now == who).map(|(before, _)| before.clone());
                    self.inside.insert(now.clone());
                    self.renamed.insert(before.unwrap_or_else(|| who.clone()), now);
                }
            }
            _ => {}
        }
        Typed::Happens(vec![act])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn happens(chat: &mut Chat, line: &str) -> Vec<Act> {
        match chat.understand(line) {
            Ok(Typed::Happens(acts)) => acts,
            other => panic!("{line}: {other:?}"),
        }
    }

    fn said(from: FullJid, to_room: bool, body: &str) -> Act {
        Act::Say(Said::by(from, to_room, body.to_owned()))
    }

    #[test]
    fn a_line_is_said_by_who_speaks_and_where() {
        let mut chat = Chat::default();
        let (alice, bob) = (names::person("alice").unwrap(), names::person("bob@elsewhere.org").unwrap());
        assert_eq!(happens(&mut chat, " hello "), [said(alice.clone(), false, "hello")]);
        assert_eq!(happens(&mut chat, "//action"), [said(alice, false, "/action")]);
        assert_eq!(chat.understand("/as bob@elsewhere.org"), Ok(Typed::Nothing));
        assert_eq!(happens(&mut chat, "hello"), [said(bob, false, "hello")]);
        assert_eq!(chat.understand("  "), Ok(Typed::Nothing));
    }

    #[test]
    fn a_room_is_entered_once_by_each_and_left() {
        let mut chat = Chat::default();
        let room = names::room("garden").unwrap();
        let occupant = |nick: &str| room.with_resource_str(nick).unwrap();
        assert!(chat.understand("/room hi").unwrap_err().contains("/join garden"));
        let entered = [
            Act::Room { room: room.clone(), kind: RoomKind::Usual, occupants: Vec::new() },
            Act::Enters(occupant("alice")),
        ];
        assert_eq!(happens(&mut chat, "/join garden"), entered);
        assert_eq!(happens(&mut chat, "/join garden"), []);
        assert_eq!(happens(&mut chat, "/room hi"), [said(occupant("alice"), true, "hi")]);
        chat.understand("/as bob").unwrap();
        let spoken = [Act::Enters(occupant("bob")), said(occupant("bob"), true, "hi")];
        assert_eq!(happens(&mut chat, "/room hi"), spoken);
        assert_eq!(happens(&mut chat, "/leave"), [Act::Leaves(occupant("bob"))]);
        assert!(chat.understand("/leave").unwrap_err().contains("bob is in no room"));
        assert_eq!(happens(&mut chat, "/garden/bob enters"), [Act::Enters(occupant("bob"))]);
        assert_eq!(happens(&mut chat, "/room hi"), [said(occupant("bob"), true, "hi")]);
    }

    #[test]
    fn who_takes_another_nickname_goes_on_under_it_until_the_room_is_left() {
        let mut chat = Chat::default();
        let room = names::room("garden").unwrap();
        let occupant = |nick: &str| room.with_resource_str(nick).unwrap();
        let renames = |who: &str, nick: &str| Act::Renames { who: occupant(who), nick: nick.to_owned() };
        assert!(chat.understand("/nick al").unwrap_err().contains("/join garden"));
        chat.understand("/join garden").unwrap();
        assert_eq!(chat.understand("/nick").unwrap_err(), "say which: /nick al");
        assert_eq!(happens(&mut chat, "/nick al"), [renames("alice", "al")]);
        assert_eq!(happens(&mut chat, "/room hi"), [said(occupant("al"), true, "hi")]);
        assert_eq!(happens(&mut chat, "/garden/al is now called Al Ice"), [renames("al", "Al Ice")]);
        assert_eq!(happens(&mut chat, "/room hi"), [said(occupant("Al Ice"), true, "hi")]);
        assert_eq!(happens(&mut chat, "/leave"), [Act::Leaves(occupant("Al Ice"))]);
        let back = [Act::Enters(occupant("alice")), said(occupant("alice"), true, "hi")];
        assert_eq!(happens(&mut chat, "/room hi"), back);
    }

    #[test]
    fn nobody_speaks_as_somebody_else_who_took_that_nickname() {
        let mut chat = Chat::default();
        let room = names::room("garden").unwrap();
        let bob = room.with_resource_str("bob").unwrap();
        chat.understand("/join garden").unwrap();
        chat.understand("/nick bob").unwrap();
        chat.understand("/as bob").unwrap();
        for line in ["/room hi", "/join garden", "/nick rob", "/leave"] {
            let error = chat.understand(line).unwrap_err();
            assert!(error.contains("the nickname bob is taken in that room"), "{line}: {error}");
        }
        chat.understand("/as alice").unwrap();
        assert_eq!(happens(&mut chat, "/room hi"), [said(bob.clone(), true, "hi")]);
        assert_eq!(happens(&mut chat, "/leave"), [Act::Leaves(bob.clone())]);
        chat.understand("/as bob").unwrap();
        assert_eq!(happens(&mut chat, "/room hi"), [Act::Enters(bob.clone()), said(bob, true, "hi")]);
    }

    #[test]
    fn what_a_test_can_say_can_be_typed_and_what_nobody_understands_is_told_how() {
        let mut chat = Chat::default();
        assert_eq!(happens(&mut chat, "/restart"), [Act::Restart]);
        assert_eq!(chat.understand("/after 2 s"), Ok(Typed::Waits(Duration::from_secs(2))));
        assert_eq!(chat.understand("/quit"), Ok(Typed::Leaves));
        for (line, reason) in [
            ("/jion garden", "/help shows what there is"),
            ("/clock 2026-03-01T09:00:00Z", "the clock is the machine's"),
            ("/no archive", "a test may have none"),
            ("/host nickname = \"x\"", "in a test"),
            ("/as a@@b", "nobody's name"),
            ("/as", "such as alice"),
            ("/join", "such as garden"),
            ("/room", "/room hello"),
        ] {
            let error = chat.understand(line).unwrap_err();
            assert!(error.contains(reason), "{line}: {error}");
        }
        assert_eq!(chat.user(), "alice");
    }

    #[test]
    fn somebody_who_waits_is_told_for_how_long_and_what_time_it_is_then() {
        let ten = Duration::from_mins(10);
        let told = waits(ten, false);
        assert!(told.starts_with("nothing is read for 10 min, by the machine's clock; "), "{told}");
        let told = waits(ten, true);
        assert!(told.starts_with("waiting for 10 min, by the machine's clock, or until you press Enter; "), "{told}");
        let now = "2026-03-01T09:10:00.5Z".parse().unwrap();
        assert_eq!(has_waited(ten, now), "waited 10 min; it is 2026-03-01 09:10:00 UTC now");
    }

    /// A script would stand still for as long.
    #[test]
    fn a_wait_of_hours_is_refused_with_what_takes_no_time() {
        let mut chat = Chat::default();
        assert_eq!(chat.understand("/after 10 min"), Ok(Typed::Waits(Duration::from_mins(10))));
        for (line, time) in [("/after 2 h", "2 h"), ("/after 601 s", "601 s")] {
            let error = chat.understand(line).unwrap_err();
            assert!(error.contains("for 10 min at most"), "{line}: {error}");
            assert!(error.contains(&format!("write `after {time}` in tests/*.chat")), "{line}: {error}");
        }
    }

    /// Every line of the help is valid input.
    #[test]
    fn every_line_of_the_help_is_understood() {
        let mut chat = Chat::default();
        chat.understand("/join garden").unwrap();
        for line in HELP.lines().filter(|line| line.starts_with('/')) {
            let typed = line.get(..20).unwrap_or(line).trim();
            chat.understand(typed).unwrap_or_else(|error| panic!("{typed}: {error}"));
        }
    }
}
