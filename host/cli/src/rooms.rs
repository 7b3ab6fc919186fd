//! `parlor rooms`: the rooms that accounts are in, were put out of, or wait for; and entering and leaving them.

use std::collections::{BTreeMap, BTreeSet};

use clap::{Args, Subcommand, ValueEnum};
use parlor::control::addresses;
use parlor::control::client::escaped;
use parlor::control::views::{Account, Room, Status};
use parlor_config::GroupName;

use super::fleet::{self, MANY, Pages};
use super::show::{Put as _, fitted, node_column, print, print_json, second, terminal_width, width, wrapped};
use super::target::{self, AccountRequest, flag};

/// The arguments of `parlor rooms`.
#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "Without a command it lists the rooms.\n\nExamples:\n  parlor rooms                                  every room of every account\n  parlor rooms show hall@muc.example.org        one room, with the plugins in it\n  parlor rooms join hall@muc.example.org        enter it now\n  parlor rooms leave hall@muc.example.org       leave it now\n\nExit codes: 0 shown or done, 1 it cannot be done or there is no such room, 4 no host runs, 5 a node of the cluster did not answer, 2 wrong usage"
)]
pub struct RoomsArgs {
    #[command(subcommand)]
    command: Option<RoomsCommand>,
    #[command(flatten)]
    list: ListArgs,
}

#[derive(Debug, Subcommand)]
enum RoomsCommand {
    /// List the rooms: those that accounts are in, and those that they were put out of.
    List(ListArgs),
    /// Show one room: role, occupants, the last departure, and the plugins that may do something there.
    Show(ShowArgs),
    /// Enter a room, and wait until the account is in it.
    Join(JoinArgs),
    /// Leave a room.
    Leave(LeaveArgs),
}

/// The arguments of `parlor rooms list`.
#[derive(Debug, Args)]
#[command(
    after_help = "With more than 20 rooms it shows how many accounts are in each, by state, and why some are in none. Flags show single ones, 20 on a page. --json shows all, unless flags pick some. Times are in UTC.\n\nExamples:\n  parlor rooms list                  every room of every account\n  parlor rooms list --account main   those of one account\n  parlor rooms list --group support --state out   those that a group is out of\n  parlor rooms list --json           the same for programs\n\nExit codes: 0 shown, 1 failed, 4 no host runs, 5 a node of the cluster did not answer, 2 wrong usage"
)]
pub struct ListArgs {
    /// Only of the accounts of this group.
    #[arg(long, value_name = "NAME")]
    group: Option<GroupName>,
    /// Only the rooms in which an account is in this state.
    #[arg(long, value_enum)]
    state: Option<State>,
    #[command(flatten)]
    pages: Pages,
    #[command(flatten)]
    request: AccountRequest,
}

/// The state of an account in a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum State {
    Joined,
    Joining,
    Waiting,
    Out,
}

impl State {
    /// Returns its name in an answer of the host.
    fn name(self) -> &'static str {
        match self {
            Self::Joined => "joined",
            Self::Joining => "joining",
            Self::Waiting => "waiting",
            Self::Out => "out",
        }
    }
}

/// The room that a command is about.
#[derive(Debug, Args)]
#[command(mut_arg("account", AccountRequest::of_one))]
struct Which {
    /// The address of the room.
    room: String,
    #[command(flatten)]
    request: AccountRequest,
}

/// The arguments of `parlor rooms show`.
#[derive(Debug, Args)]
#[command(
    after_help = "Times are in UTC.\n\nExamples:\n  parlor rooms show hall@muc.example.org\n  parlor rooms show hall@muc.example.org --json    the same for programs\n\nExit codes: 0 shown, 1 there is no such room, 4 no host runs, 2 wrong usage"
)]
struct ShowArgs {
    #[command(flatten)]
    which: Which,
}

/// The arguments of `parlor rooms join`.
#[derive(Debug, Args)]
#[command(
    after_help = "If the room does not exist, the server creates it, if it lets the account do that. So a name that is similar to that of a known room needs --new.\n\nExamples:\n  parlor rooms join hall@muc.example.org              until the account logs out\n  parlor rooms join hall@muc.example.org --bookmark   at each log-in, by a bookmark on the server\n  parlor rooms join hall@muc.example.org --nick Bot   under another nickname\n\nExit codes: 0 the account is in it, 1 it did not get in, 4 no host runs, 2 wrong usage"
)]
struct JoinArgs {
    #[command(flatten)]
    which: Which,
    /// The nickname, instead of the configured one.
    #[arg(long)]
    nick: Option<String>,
    /// Keep a bookmark on the server, so that the account enters the room at each log-in.
    #[arg(long)]
    bookmark: bool,
    /// Enter it although its name is nearly that of another room.
    #[arg(long)]
    new: bool,
}

/// The arguments of `parlor rooms leave`.
#[derive(Debug, Args)]
#[command(
    after_help = "If a bookmark or `auto_join_rooms` lists the room, the account enters it again at the next log-in.\n\nA room that the account is out of is taken off the list, unless one of these lists it.\n\nExamples:\n  parlor rooms leave hall@muc.example.org\n  parlor rooms leave hall@muc.example.org --bookmark   and remove its bookmark\n\nExit codes: 0 the account has left it, or it is off the list, 1 there is no such room, or it stays listed, 4 no host runs, 2 wrong usage"
)]
struct LeaveArgs {
    #[command(flatten)]
    which: Which,
    /// Remove its bookmark as well.
    #[arg(long)]
    bookmark: bool,
}

impl RoomsArgs {
    /// Carries the command out, and shows the rooms that it is about.
    pub fn run(&self) -> anyhow::Result<()> {
        match &self.command {
            None => self.list.run(),
            Some(RoomsCommand::List(list)) => list.run(),
            Some(RoomsCommand::Show(show)) => show.which.get(),
            Some(RoomsCommand::Join(join)) => {
                let mut more = String::new();
                if let Some(nick) = &join.nick {
                    more.put(format_args!("&nick={}", escaped(nick)));
                }
                for (name, is_set) in [("bookmark", join.bookmark), ("new", join.new)] {
                    more.push_str(&flag(name, is_set));
                }
                join.which.post("join", &more)
            }
            Some(RoomsCommand::Leave(leave)) => leave.which.post("leave", &flag("bookmark", leave.bookmark)),
        }
    }
}

impl ListArgs {
    fn run(&self) -> anyhow::Result<()> {
        let config = self.request.target.load_to_look()?;
        let host = target::running(&config)?;
        let mut rooms: Vec<Room> = host.get(&self.request.path("/v1/rooms"))?;
        if let Some(group) = &self.group {
            let status: Status = host.get("/v1/status")?;
            fleet::check_group(group, &config, status.accounts.iter().filter_map(|one| one.group.as_deref()))?;
            let is_in = |account: &&Account| account.group.as_deref() == Some(group.as_str());
            let members: BTreeSet<_> = status.accounts.iter().filter(is_in).map(|one| one.name.as_str()).collect();
            rooms.retain(|room| members.contains(room.account.as_str()));
        }
        rooms.retain(|room| self.state.is_none_or(|state| room.state == state.name()));
        self.print(rooms)?;
        target::whole(&host)
    }

    /// Shows these rooms: a page of them, or how many accounts are in each if there are many and no flag picks some.
    fn print(&self, mut rooms: Vec<Room>) -> anyhow::Result<()> {
        let narrows = self.request.account.is_some() || self.group.is_some() || self.state.is_some();
        let is_paged = self.pages.is_given();
        if self.request.json {
            if is_paged {
                self.pages.cut(&mut rooms);
            }
            return print_json(&rooms);
        }
        if rooms.is_empty() && narrows {
            return print("no room is like that\n");
        }
        if rooms.len() > MANY && !narrows && !is_paged {
            return print(&summary(&rooms, width()));
        }
        let others = self.pages.cut(&mut rooms);
        print(&page(&rooms, others.as_deref(), terminal_width()))
    }
}

/// Shows a page of the list, with a sentence about the other pages. A page behind the last one has only that sentence.
fn page(rooms: &[Room], others: Option<&str>, terminal: Option<usize>) -> String {
    match others {
        Some(others) if rooms.is_empty() => format!("rooms {others}\n"),
        Some(others) => format!("{}\nrooms {others}\n", list(rooms, terminal)),
        None => list(rooms, terminal),
    }
}

/// Counts the accounts in each room by state, and says what keeps some of them out.
fn summary(rooms: &[Room], width: usize) -> String {
    let mut text = fleet::screen(
        fleet::counted("ROOM", rooms.iter().map(|one| (one.room.clone(), one.state.as_str(), 1))),
        "rooms",
    );
    fleet::named(&mut text, absences(rooms).into_iter(), "`parlor rooms --state out`", width);
    fleet::named(&mut text, out_of_touch(rooms).into_iter(), "`parlor status --state away`", width);
    text.put(format_args!(
        "\n{}\n",
        wrapped("`parlor rooms --page 1` lists each account; `--group`, `--state` and `--account` pick some", width)
    ));
    text
}

/// Says why accounts are not in rooms, and what to do: once for many with one reason.
fn absences(rooms: &[Room]) -> Vec<String> {
    let mut alike = BTreeMap::<(&str, String, Option<&str>), Vec<&Room>>::new();
    for room in rooms.iter().filter(|room| room.state != "joined") {
        if let Some(why) = room.why() {
            alike.entry((room.room.as_str(), why, room.remedy.as_deref())).or_default().push(room);
        }
    }
    let mut sentences = Vec::new();
    for ((jid, why, remedy), rooms) in alike {
        if rooms.len() > fleet::ALIKE {
            let names: Vec<_> = rooms.iter().map(|room| room.account.as_str()).collect();
            let remedy = remedy.map(|remedy| format!("; {remedy}")).unwrap_or_default();
            sentences.push(format!("{jid} on {}: {why}{remedy}", fleet::many(&names)));
        } else {
            sentences.extend(rooms.into_iter().filter_map(note));
        }
    }
    sentences
}

/// Says why an account is not in a room, since when, and what to do.
fn note(room: &Room) -> Option<String> {
    let (why, at) = (room.why()?, second(&room.left.as_ref()?.at));
    Some(format!("{} on {}: {why}, at {at}{}", room.room, room.account, then(room)))
}

impl Which {
    fn get(&self) -> anyhow::Result<()> {
        let path = self.path("show", "")?;
        self.show(&self.request.host()?.get(&path)?)
    }

    fn post(&self, what: &str, more: &str) -> anyhow::Result<()> {
        let path = self.path(what, more)?;
        self.show(&self.request.host()?.post(&path)?)
    }

    fn path(&self, what: &str, more: &str) -> anyhow::Result<String> {
        target::typed(addresses::room(&self.room))?;
        Ok(self.request.path(&format!("/v1/rooms/{what}?room={}{more}", escaped(&self.room))))
    }

    fn show(&self, room: &Room) -> anyhow::Result<()> {
        self.request.show(room, || screen(room, width()))
    }
}

fn list(rooms: &[Room], terminal: Option<usize>) -> String {
    if rooms.is_empty() {
        return "no rooms; `parlor rooms join ROOM` enters one\n".to_owned();
    }
    let none = || "-".to_owned();
    let row = |room: &Room| {
        let affiliation = room.affiliation.clone().unwrap_or_else(none);
        vec![
            room.room.clone(),
            room.account.clone(),
            state(room),
            room.role.clone().unwrap_or_else(none),
            affiliation,
            room.occupants.map_or_else(none, |count| count.to_string()),
            room.since.as_deref().map_or_else(none, second),
        ]
    };
    let mut rows: Vec<_> = rooms.iter().map(row).collect();
    let mut heads = vec!["ROOM", "ACCOUNT", "STATE", "ROLE", "AFFILIATION", "PEOPLE", "SINCE"];
    node_column(&mut heads, &mut rows, rooms.iter().map(|room| room.node.as_deref()));
    let (mut text, width) = (fitted(&heads, &rows, terminal), terminal.unwrap_or(80));
    for (number, note) in absences(rooms).into_iter().chain(out_of_touch(rooms)).enumerate() {
        let apart = if number == 0 { "\n" } else { "" };
        text.put(format_args!("{apart}{}\n", wrapped(&note, width)));
    }
    text
}

/// Returns the state of an account in a room, with that of its connection if it was in the room when the connection was lost.
fn state(room: &Room) -> String {
    match room.lost_connection() {
        Some(connection) => format!("{} ({connection})", room.state),
        None => room.state.clone(),
    }
}

/// Says which accounts the host cannot connect, whose rooms are shown as they were.
fn out_of_touch(rooms: &[Room]) -> Vec<String> {
    let away = rooms.iter().filter_map(|room| Some((room.account.as_str(), room.lost_connection()?)));
    let ills = fleet::account_ills(away.collect::<BTreeMap<_, _>>());
    ills.into_iter().map(|ill| format!("{ill}: the rooms are shown as they were; `parlor status` says why")).collect()
}

/// Returns the next step: the next attempt, or the remedy for the owner.
fn then(room: &Room) -> String {
    match (&room.next, &room.remedy) {
        (Some(next), _) => format!("; it enters again at {}", second(next)),
        (None, Some(remedy)) => format!("; {remedy}"),
        (None, None) => String::new(),
    }
}

fn screen(room: &Room, width: usize) -> String {
    let mut text = format!("{} on {}\n", room.room, room.account);
    let kept = if room.kept { "yes, by a bookmark or `auto_join_rooms`" } else { "no" };
    let rows = [
        ("state", Some(state(room))),
        ("since", room.since.as_deref().map(second)),
        ("nickname", room.nick.clone()),
        ("role", room.role.clone()),
        ("affiliation", room.affiliation.clone()),
        ("people", room.occupants.map(|count| count.to_string())),
        ("at each log-in", Some(kept.to_owned())),
        ("last left", room.left.as_ref().map(|left| second(&left.at))),
        ("why", room.why()),
        ("next attempt", room.next.as_deref().map(second)),
        ("connection", room.was_in()),
        ("to do", room.remedy.clone()),
    ];
    for (name, value) in rows.into_iter().filter_map(|(name, value)| Some((name, value?))) {
        text.put(format_args!("  {}\n", wrapped(&format!("{name}: {value}"), width.saturating_sub(4))));
    }
    if room.plugins.is_empty() {
        text.push_str("  no plugin may do anything there\n");
    }
    for plugin in &room.plugins {
        let says = format!("plugin {}: {}", plugin.plugin, plugin.may.join(", "));
        text.put(format_args!("  {}\n", wrapped(&says, width.saturating_sub(4))));
    }
    text
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use serde_json::json;

    use super::super::Ended;
    use super::*;

    #[derive(Debug, Parser)]
    struct Typed {
        #[command(flatten)]
        rooms: RoomsArgs,
    }

    fn room(value: serde_json::Value) -> Room {
        serde_json::from_value(value).unwrap()
    }

    fn joined() -> Room {
        room(json!({
            "account": "main", "room": "hall@muc.example.org", "state": "joined", "kept": true, "nick": "bot",
            "role": "participant", "affiliation": "member", "occupants": 12, "since": "2026-11-20T06:24:00Z",
            "plugins": [{ "plugin": "echo", "may": ["messages.read", "rooms.send"] }],
        }))
    }

    fn kicked() -> Room {
        room(json!({
            "account": "main", "room": "den@muc.example.org", "state": "out", "kept": false,
            "left": { "at": "2026-11-20T07:00:00Z", "why": "kicked", "by": "juliet", "reason": "too loud" },
            "remedy": "`parlor rooms join den@muc.example.org` enters it again",
        }))
    }

    #[test]
    fn the_list_says_who_put_the_account_out_and_what_to_do() {
        let text = list(&[joined(), kicked()], Some(100));
        assert!(
            text.starts_with("ROOM                  ACCOUNT  STATE   ROLE         AFFILIATION  PEOPLE  SINCE\n"),
            "{text}"
        );
        let note = "\nden@muc.example.org on main: kicked by juliet (too loud), at 2026-11-20 07:00:00;\n  \
                    `parlor rooms join den@muc.example.org` enters it again\n";
        assert!(text.ends_with(note), "{text}");
        assert!(!text.contains("hall@muc.example.org on main"), "{text}");
        assert_eq!(page(&[], None, None), "no rooms; `parlor rooms join ROOM` enters one\n");
        assert_eq!(page(&[], Some("on page 9: none of 2"), None), "rooms on page 9: none of 2\n");
    }

    #[test]
    fn rooms_of_an_account_without_a_connection_are_shown_as_they_were() {
        let away = Room { connection: Some("retrying".to_owned()), ..joined() };
        let text = list(&[away.clone(), kicked()], Some(100));
        assert!(text.contains("  joined (retrying)  participant"), "{text}");
        let note = "account main is retrying: the rooms are shown as they were; `parlor status` says why";
        let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(words(&text).matches(note).count(), 1, "{text}");
        let one = words(&screen(&away, 80));
        assert!(one.contains("state: joined (retrying)") && one.contains("enters it when it is connected"), "{one}");
        let many: Vec<_> = (0..30).map(|number| Room { account: format!("a{number}"), ..away.clone() }).collect();
        assert!(words(&summary(&many, 80)).contains("30 accounts (a0, a1, a10, …) are retrying"));
        let out = Room { connection: Some("retrying".to_owned()), ..kicked() };
        assert_eq!((state(&out).as_str(), out_of_touch(&[out]).len()), ("out", 0));
    }

    #[test]
    fn the_rooms_of_many_accounts_are_a_short_screen() {
        let on = |number: usize| format!("support-{number}");
        let mut rooms: Vec<_> = (1..=7).map(|number| Room { account: on(number), ..joined() }).collect();
        let out = |number| Room { account: on(number), room: "hall@muc.example.org".to_owned(), ..kicked() };
        rooms.extend((8..=246).map(out));
        let text = summary(&rooms, 80);
        let begin = "ROOM                  ACCOUNTS  JOINED  OUT\nhall@muc.example.org  246       7       239\n";
        assert!(text.starts_with(begin), "{text}");
        let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
        let says = "hall@muc.example.org on 239 accounts (support-8, support-9, support-10, …): kicked by juliet (too loud); `parlor";
        assert!(words.contains(says) && text.lines().count() < 12, "{text}");
        let typed = |flags: &str| Typed::try_parse_from(["rooms"].into_iter().chain(flags.split(' ')));
        let rooms = typed("list --group support --state out --limit 50 --page 2").unwrap().rooms;
        let Some(RoomsCommand::List(list)) = rooms.command else { panic!("no list") };
        assert_eq!((list.state, list.pages.is_given()), (Some(State::Out), true));
        assert!(typed("--state away").is_err(), "that is one of a connection");
    }

    #[test]
    fn the_list_fits_into_80_columns_of_a_terminal() {
        let far = format!("{}@conference.example.org", "x".repeat(40));
        let text = list(&[Room { room: far.clone(), ..joined() }, kicked()], Some(80));
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
        assert!(text.contains(&format!("\n{far}\n  main     joined  participant")), "{text}");
        let piped = list(&[Room { room: far.clone(), ..joined() }], None);
        assert!(piped.contains(&format!("\n{far}  main     joined  participant")), "{piped}");
    }

    #[test]
    fn an_address_that_no_room_has_is_wrong_usage_before_a_host_is_asked() {
        let typed = Typed::try_parse_from(["rooms", "join", "hall@@muc.example.org"]).unwrap();
        let error = typed.rooms.run().unwrap_err();
        assert!(
            matches!(error.downcast_ref(), Some(Ended::Usage(says)) if says.contains("more than one @")),
            "{error}"
        );
    }

    #[test]
    fn one_room_is_shown_with_the_plugins_that_act_there() {
        let text = screen(&joined(), 80);
        assert!(text.contains("  since: 2026-11-20 06:24:00\n") && text.contains("  people: 12\n"), "{text}");
        assert!(text.ends_with("  plugin echo: messages.read, rooms.send\n"), "{text}");
        let text = screen(&kicked(), 80);
        assert!(text.contains("  why: kicked by juliet (too loud)\n"), "{text}");
        assert!(text.ends_with("  no plugin may do anything there\n"), "{text}");
    }
}
