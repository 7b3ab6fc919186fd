//! The rooms of accounts: their states, and removals from them.

mod changes;

use std::sync::Arc;

use maud::{Markup, html};
use parlor::control::views::{Account, Room, RoomPlugin, Status};
use parlor_session::RoomState;
use parlor_window::{Page, Problem, Reply, Role, Routes, segment, state, stranger};

use self::changes::{dismiss, forms, join, join_fields, leave, request};
use super::accounts;
use super::host::{Host, Visit, ask};
use super::lists::{Asked, Look, groups, values};
use super::parts::{cell, lacking, maybe, rows, table, when};
use crate::target::with_account;

/// The path of the list, and its choices.
const PATH: &str = "/rooms";
const CHOICES: [&str; 3] = ["account", "group", "state"];

/// Adds the pages.
pub(super) fn routes(routes: Routes<Arc<Host>>) -> Routes<Arc<Host>> {
    routes
        .page("/rooms", Role::Viewer.of_accounts(), list)
        .page("/rooms/show", Role::Viewer.of_accounts(), show)
        .form("/rooms/join", Role::Operator.of_accounts(), join)
        .form("/rooms/leave", Role::Operator.of_accounts(), leave)
        .form("/rooms/dismiss", Role::Operator.of_accounts(), dismiss)
}

async fn list(visit: Visit) -> Result<Reply, Problem> {
    let asked = Asked::of(PATH, &CHOICES, |name| visit.query(name));
    let asked = asked.and_then(|asked| asked.in_a_state(&states())).map_err(Problem::wrong)?;
    let target = with_account("/v1/rooms", Some(asked.chosen("account")));
    let (rooms, accounts, lacks) = ask(&visit, move |client| {
        let rooms: Vec<Room> = client.get(&target)?;
        let status: Status = client.get("/v1/status")?;
        Ok((rooms, status.accounts, client.incomplete()))
    })
    .await?;
    let link = |path: &str| visit.link(path);
    let join = visit.may(Role::Operator.of_accounts()).then(|| visit.form("/rooms/join", &join_fields(&accounts)));
    let content = all(&link, &asked, &rooms, &accounts, join.as_ref());
    let lacks = html! { div data-live id="lacking" { (lacking(lacks.as_deref())) } };
    Ok(Page::new("Rooms", html! { (lacks) (content) }).into())
}

/// Returns the states that a room can be in.
fn states() -> [&'static str; 4] {
    RoomState::ALL.map(RoomState::as_str)
}

async fn show(visit: Visit) -> Result<Reply, Problem> {
    let missing = || Problem::wrong("name the room");
    let jid = visit.query("room").filter(|room| !room.is_empty()).ok_or_else(missing)?;
    let target = request("show", jid, visit.query("account"));
    let room: Room = ask(&visit, move |client| Ok(client.get(&target)?)).await?;
    let forms = visit.may(Role::Operator.of_accounts()).then(|| forms(&visit, &room));
    let link = |path: &str| visit.link(path);
    Ok(Page::new(format!("Room {}", room.room), one(&link, &room, forms.as_ref())).into())
}

/// Returns the address of the page of a room.
pub(super) fn address(room: &Room) -> String {
    format!("/rooms/show?room={}&account={}", segment(&room.room), segment(&room.account))
}

fn all(
    link: &dyn Fn(&str) -> String,
    asked: &Asked,
    rooms: &[Room],
    accounts: &[Account],
    join: Option<&Markup>,
) -> Markup {
    let groups = groups(accounts);
    let is_picked = |room: &&Room| {
        asked.picks("account", Some(room.account.as_str()))
            && asked.picks("group", groups.get(room.account.as_str()).copied())
            && asked.picks("state", Some(room.state.as_str()))
            && asked.has_words(&format!("{} {}", room.room, room.account))
    };
    let picked: Vec<_> = rooms.iter().filter(is_picked).collect();
    let heads = ["Room", "Account", "State", "Role", "Affiliation", "People", "Since"];
    let none = if rooms.is_empty() { "No rooms." } else { "No room is like that." };
    let look = Look { name: "rooms", none, caption: "Rooms; times are in UTC", heads: &heads };
    let mut choices = of_accounts(asked, accounts);
    choices.push(asked.choice("state", "State", values(states())));
    html! {
        (asked.form(link, ("Room or account", "Parts of its address, or of the name of the account."), &choices))
        div data-live id="rooms" { (asked.shown(link, &look, &picked, |room| row(link, room))) }
        @if let Some(join) = join {
            h2 { "Enter a room" }
            (join)
        }
    }
}

/// Shows the choices of an account and of a group, as far as there are several.
pub(super) fn of_accounts(asked: &Asked, accounts: &[Account]) -> Vec<Markup> {
    let names = values(accounts.iter().map(|account| account.name.as_str()));
    let groups = values(groups(accounts).into_values());
    let mut choices = Vec::new();
    if names.len() > 1 || !asked.chosen("account").is_empty() {
        choices.push(asked.choice("account", "Account", names));
    }
    if !groups.is_empty() || !asked.chosen("group").is_empty() {
        choices.push(asked.choice("group", "Group", groups));
    }
    choices
}

fn row(link: &dyn Fn(&str) -> String, room: &Room) -> Markup {
    html! {
        tr {
            th scope="row" { a href=(link(&address(room))) { (cell(&room.room)) } }
            td { a href=(link(&accounts::address(&room.account))) { (cell(&room.account)) } }
            td {
                (state(&room.state))
                @if let Some(connection) = room.lost_connection() {
                    " (" (cell(connection)) ")"
                }
                @if room.state != "joined" {
                    @if let Some(why) = room.why() { ": " (cell(&why)) }
                    @if let Some(next) = &room.next { "; it enters again at " (when(next)) }
                }
            }
            td { (maybe(room.role.as_deref())) }
            td { (maybe(room.affiliation.as_deref())) }
            td { @if let Some(count) = room.occupants { (count) } @else { "–" } }
            td { @if let Some(since) = &room.since { (when(since)) } @else { "–" } }
        }
    }
}

fn one(link: &dyn Fn(&str) -> String, room: &Room, forms: Option<&Markup>) -> Markup {
    let plugin = |plugin: &RoomPlugin| {
        html! {
            tr {
                th scope="row" { a href=(link(&format!("/plugins/{}", segment(&plugin.plugin)))) { (cell(&plugin.plugin)) } }
                td { (cell(&plugin.may.join(", "))) }
            }
        }
    };
    html! {
        p.lead {
            (stranger(&room.room)) " on "
            a href=(link(&accounts::address(&room.account))) { (stranger(&room.account)) }
        }
        dl.facts {
            dt { "State" } dd { (state(&room.state)) }
            @if let Some(since) = &room.since { dt { "Since" } dd { (when(since)) } }
            @for (name, value) in [
                ("Nickname", &room.nick),
                ("Role", &room.role),
                ("Affiliation", &room.affiliation),
                ("Why it left last", &room.why()),
                ("Connection", &room.was_in()),
                ("To do", &room.remedy),
            ] {
                @if let Some(value) = value { dt { (name) } dd { (stranger(value)) } }
            }
            @if let Some(count) = room.occupants { dt { "People" } dd { (count) } }
            @if let Some(left) = &room.left { dt { "Left last" } dd { (when(&left.at)) } }
            @if let Some(next) = &room.next { dt { "Enters again" } dd { (when(next)) } }
            dt { "At each log-in" }
            dd { @if room.kept { "yes, by a bookmark or auto_join_rooms" } @else { "no" } }
        }
        h2 { "Plugins there" }
        @if room.plugins.is_empty() {
            p { "No plugin may do anything there." }
        } @else {
            (table("Plugins that may do something there", &["Plugin", "May"], &rows(&room.plugins, plugin)))
        }
        @if let Some(forms) = forms { (forms) }
        p { a href=(link(PATH)) { "All rooms" } }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::collections::BTreeSet;
    use std::io::{Read as _, Write as _};
    use std::os::unix::net::UnixListener;

    use serde_json::json;

    use super::super::lists::tests::asked;
    use super::*;
    use crate::target::Target;

    const EVIL: &str = "<script>alert(1)</script>";

    /// Returns a visit to a path. No host runs there.
    pub(in crate::web) fn visit(role: Role, path: &str) -> Visit {
        let target = Target { config: Some("parlor.toml".into()), data: None, plugins: None };
        Visit::for_test(role, path, Arc::new(Host::new(target)))
    }

    pub(super) fn room(jid: &str) -> Room {
        serde_json::from_value(json!({
            "account": "main", "room": jid, "state": "joined", "kept": true, "nick": "bot", "role": "participant",
            "affiliation": "member", "occupants": 12, "since": "2026-11-20T06:24:00Z",
            "plugins": [{ "plugin": "echo", "may": ["messages.read", "rooms.send"] }],
        }))
        .unwrap()
    }

    pub(super) fn evil() -> Room {
        serde_json::from_value(json!({
            "account": EVIL, "room": EVIL, "state": "out", "kept": false, "nick": EVIL, "role": EVIL, "affiliation": EVIL,
            "left": { "at": EVIL, "why": EVIL, "by": EVIL, "reason": EVIL, "instead": EVIL }, "remedy": EVIL, "next": EVIL,
            "plugins": [{ "plugin": EVIL, "may": [EVIL] }],
        }))
        .unwrap()
    }

    fn link(path: &str) -> String {
        format!("/base{path}")
    }

    /// Returns an account, in a group if one is given.
    pub(in crate::web) fn account(name: &str, group: Option<&str>) -> Account {
        let (jid, connection) = ("bot@example.org", "connected");
        serde_json::from_value(json!({ "name": name, "group": group, "jid": jid, "connection": connection })).unwrap()
    }

    fn page(query: &str, rooms: &[Room], accounts: &[Account], join: Option<&Markup>) -> String {
        all(&link, &asked(PATH, &CHOICES, query).unwrap(), rooms, accounts, join).into_string()
    }

    #[test]
    fn rooms_are_listed_with_what_happened_there() {
        let accounts = ["main", "second"].map(|name| account(name, None));
        let page_of = |query: &str| page(query, &[room("hall@muc.example.org")], &accounts, None);
        let text = page_of("account=second");
        assert!(text.contains("<option value=\"second\" selected>"), "{text}");
        let text = page_of("");
        assert!(text.contains("/base/rooms/show?room=hall%40muc.example.org&amp;account=main"), "{text}");
        assert!(text.contains("href=\"/base/accounts/show?account=main\""), "{text}");
        assert!(text.contains("2026-11-20 06:24:00</time>") && !text.contains("Enter a room"), "{text}");
        let none = page("", &[], &[account("main", None)], Some(&html! { "form" }));
        assert!(none.contains("No rooms.") && none.contains("Enter a room"), "{none}");
        assert!(!none.contains("name=\"account\"") && !none.contains("name=\"group\""), "{none}");
    }

    #[test]
    fn one_room_is_shown_with_the_plugins_that_act_there() {
        let page = one(&link, &room("hall@muc.example.org"), None).into_string();
        assert!(page.contains("href=\"/base/accounts/show?account=main\""), "{page}");
        assert!(page.contains("messages.read, rooms.send") && page.contains("<dt>People</dt><dd>12</dd>"), "{page}");
        let without = Room { plugins: Vec::new(), ..room("a@b") };
        assert!(one(&link, &without, None).into_string().contains("No plugin may do anything there."));
    }

    #[test]
    fn each_of_ten_thousand_rooms_is_on_one_page() {
        let rooms: Vec<_> = (0..10_000).map(|number| room(&format!("{number}@muc.example.org"))).collect();
        let mut seen = BTreeSet::new();
        for number in 1..=100 {
            let text = page(&format!("limit=100&page={number}"), &rooms, &[account("main", None)], None);
            assert!(text.len() < 128 << 10 && text.contains(" of 10000."), "{} bytes", text.len());
            seen.extend(
                text.split("/base/rooms/show?room=").skip(1).map(|rest| rest.split('&').next().unwrap().to_owned()),
            );
        }
        assert_eq!(seen.len(), 10_000);
        let long: Vec<_> = (0..1_000).map(|_| room(&format!("{}@muc.example.org", "\"".repeat(900)))).collect();
        let text = page("limit=100", &long, &[account("main", None)], None);
        assert!(text.len() < 128 << 10 && text.contains("more of this page had no room"), "{} bytes", text.len());
    }

    #[test]
    fn rooms_are_found_by_account_group_state_and_words() {
        let accounts = [account("main", Some("support")), account("second", None)];
        let out = Room { account: "second".to_owned(), state: "out".to_owned(), ..room("Den@muc.example.org") };
        let rooms = [room("hall@muc.example.org"), out];
        for (query, says) in [
            ("", "1 to 2 of 2."),
            ("account=second", "1 to 1 of 1."),
            ("group=support", "1 to 1 of 1."),
            ("state=out&words=DEN second", "1 to 1 of 1."),
            ("state=out&words=hall", "No room is like that."),
            ("group=gone", "No room is like that."),
        ] {
            let text = page(query, &rooms, &accounts, None);
            assert!(text.contains(says), "{query}: no {says} in {text}");
        }
    }

    #[test]
    fn no_two_fields_of_the_page_have_the_same_id() {
        let accounts = ["main", "second"].map(|name| account(name, Some("support")));
        let text = page("", &[], &accounts, Some(&join_fields(&accounts)));
        let ids: Vec<_> = text.split(" id=\"").skip(1).map(|rest| rest.split('"').next().unwrap()).collect();
        assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), ids.len(), "{ids:?}");
        assert!(ids.contains(&"account") && ids.contains(&"list-account"), "{ids:?}");
    }

    #[test]
    fn no_text_of_strangers_is_markup() {
        for page in [
            page("", &[evil()], &[account(EVIL, Some(EVIL)), account("main", None)], None),
            page(&format!("account={EVIL}&group={EVIL}&words={EVIL}"), &[evil()], &[], None),
            one(&link, &evil(), None).into_string(),
            join_fields(&[account(EVIL, None)]).into_string(),
        ] {
            assert!(!page.contains("<script") && page.contains("&lt;script&gt;"), "{page}");
        }
    }

    #[tokio::test]
    async fn nodes_that_do_not_answer_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(folder.path().join("control.sock")).unwrap();
        let host = std::thread::spawn(move || {
            let mut answered = 0;
            while answered < 2 {
                let (mut stream, _) = listener.accept().unwrap();
                let mut asked = [0; 4_096];
                let length = stream.read(&mut asked).unwrap_or_default();
                let (head, body) = match std::str::from_utf8(&asked[..length]).unwrap().split(' ').nth(1) {
                    Some("/v1/rooms") => ("parlor-incomplete: node%20two%20does%20not%20answer%3Cb%3E\r\n", "[]"),
                    Some("/v1/status") => {
                        ("", r#"{"running":true,"data":"/d","policy":"/p","accounts":[],"plugins":[]}"#)
                    }
                    // Some connections only check that the host listens.
                    _ => continue,
                };
                answered += 1;
                let length = body.len();
                let answer =
                    format!("HTTP/1.1 200 OK\r\nparlor-control: 1\r\n{head}content-length: {length}\r\n\r\n{body}");
                stream.write_all(answer.as_bytes()).unwrap();
            }
        });
        let config = folder.path().join("parlor.toml");
        std::fs::write(&config, "[account.main]\njid = \"bot@example.org\"\npassword_env = \"NONE\"\n").unwrap();
        let target = Target { config: Some(config), data: Some(folder.path().to_owned()), plugins: None };
        let visit = Visit::for_test(Role::Viewer, "/rooms", Arc::new(Host::new(target)));
        let text = list(visit).await.unwrap().into_text();
        host.join().unwrap();
        assert!(text.contains("Not all is shown") && text.contains("node two does not answer&lt;b&gt;"), "{text}");
        assert!(text.contains("No rooms.") && !text.contains("<b>"), "{text}");
    }

    #[tokio::test]
    async fn a_state_is_one_that_a_room_can_be_in() {
        assert_eq!(list(visit(Role::Viewer, "/rooms?state=x")).await.unwrap_err().status, 400);
        let text = page("", &[], &[], None);
        for state in states() {
            assert!(text.contains(&format!("<option value=\"{state}\">")), "no {state} in {text}");
        }
    }
}
