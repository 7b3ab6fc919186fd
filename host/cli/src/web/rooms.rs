//! The rooms of accounts: their states, removals from them, and entering and leaving them.

use std::sync::Arc;

use maud::{Markup, html};
use parlor::control::client::escaped;
use parlor::control::views::{Room, RoomPlugin, Status};
use parlor_window::{Form, Page, Problem, Question, Reply, Role, Routes, segment, state, stranger};

use super::accounts;
use super::host::{Host, Visit, ask};
use super::parts::{cell, field, lacking, maybe, pick, rows, table, tick, when};
use crate::rooms::flag;

/// Adds the pages.
pub(super) fn routes(routes: Routes<Arc<Host>>) -> Routes<Arc<Host>> {
    routes
        .page("/rooms", Role::Viewer, list)
        .page("/rooms/show", Role::Viewer, show)
        .form("/rooms/join", Role::Operator, join)
        .form("/rooms/leave", Role::Operator, leave)
}

async fn list(visit: Visit) -> Result<Reply, Problem> {
    let account = visit.query("account").unwrap_or_default().to_owned();
    let query = if account.is_empty() { String::new() } else { format!("?account={}", escaped(&account)) };
    let (rooms, accounts, lacks) = ask(&visit, move |client| {
        let rooms: Vec<Room> = client.get(&format!("/v1/rooms{query}"))?;
        let accounts = names(&client.get("/v1/status")?);
        Ok((rooms, accounts, client.incomplete()))
    })
    .await?;
    let link = |path: &str| visit.link(path);
    let join = visit.may(Role::Operator).then(|| visit.form("/rooms/join", &join_fields(&accounts)));
    let content = all(&link, &rooms, &accounts, &account, join.as_ref());
    let lacks = html! { div data-live id="lacking" { (lacking(lacks.as_deref())) } };
    Ok(Page::new("Rooms", html! { (lacks) (content) }).into())
}

async fn show(visit: Visit) -> Result<Reply, Problem> {
    let missing = || Problem::wrong("name the room");
    let jid = visit.query("room").filter(|room| !room.is_empty()).ok_or_else(missing)?;
    let target = format!("/v1/rooms/show?{}", which(jid, visit.query("account")));
    let room: Room = ask(&visit, move |client| Ok(client.get(&target)?)).await?;
    let forms = visit.may(Role::Operator).then(|| forms(&visit, &room));
    let link = |path: &str| visit.link(path);
    Ok(Page::new(format!("Room {}", room.room), one(&link, &room, forms.as_ref())).into())
}

/// Returns the query for a room.
fn which(room: &str, account: Option<&str>) -> String {
    let account = account.filter(|account| !account.is_empty());
    let account = account.map(|account| format!("&account={}", escaped(account))).unwrap_or_default();
    format!("room={}{account}", escaped(room))
}

/// Returns the address of the page of a room.
pub(super) fn address(room: &Room) -> String {
    format!("/rooms/show?room={}&account={}", segment(&room.room), segment(&room.account))
}

/// Returns the names of the accounts.
fn names(status: &Status) -> Vec<String> {
    status.accounts.iter().map(|account| account.name.clone()).collect()
}

fn all(
    link: &dyn Fn(&str) -> String,
    rooms: &[Room],
    accounts: &[String],
    account: &str,
    join: Option<&Markup>,
) -> Markup {
    let mut options = vec![(String::new(), "all".to_owned())];
    options.extend(accounts.iter().map(|name| (name.clone(), name.clone())));
    let heads = ["Room", "Account", "State", "Role", "Affiliation", "People", "Since"];
    html! {
        @if accounts.len() > 1 {
            form method="get" action=(link("/rooms")) {
                (pick("account", "Account", &options, account))
                button type="submit" { "Show" }
            }
        }
        div data-live id="rooms" {
            @if rooms.is_empty() {
                p { "No rooms." }
            } @else {
                (table("Rooms; times are in UTC", &heads, &rows(rooms, |room| row(link, room))))
            }
        }
        @if let Some(join) = join {
            h2 { "Enter a room" }
            (join)
        }
    }
}

fn row(link: &dyn Fn(&str) -> String, room: &Room) -> Markup {
    html! {
        tr {
            th scope="row" { a href=(link(&address(room))) { (cell(&room.room)) } }
            td { a href=(link(&accounts::address(&room.account))) { (cell(&room.account)) } }
            td {
                (state(&room.state))
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
        p { a href=(link("/rooms")) { "All rooms" } }
    }
}

fn join_fields(accounts: &[String]) -> Markup {
    let options: Vec<_> = accounts.iter().map(|name| (name.clone(), name.clone())).collect();
    html! {
        (field("room", "Room", "", "Its address, such as hall@muc.example.org. A server may create one that does not exist."))
        (pick("account", "Account", &options, ""))
        (field("nick", "Nickname", "", "Empty: the one of the configuration."))
        (tick("bookmark", "At each log-in, by a bookmark on the server"))
        (tick("new", "Even if its name is nearly that of another room"))
        button type="submit" { "Enter the room" }
    }
}

/// Shows the forms of one room: to leave it, or to enter it again.
fn forms(visit: &Visit, room: &Room) -> Markup {
    let which = html! {
        input type="hidden" name="room" value=(room.room);
        input type="hidden" name="account" value=(room.account);
    };
    let is_in = room.state != "out";
    html! {
        h2 { "Change" }
        @if is_in {
            (visit.form("/rooms/leave", &html! {
                (which)
                (tick("bookmark", "Remove its bookmark as well"))
                button type="submit" { "Leave the room" }
            }))
        } @else {
            (visit.form("/rooms/join", &html! {
                (which)
                (tick("bookmark", "At each log-in, by a bookmark on the server"))
                button type="submit" { "Enter the room" }
            }))
        }
    }
}

async fn join(visit: Visit, form: Form) -> Result<Reply, Problem> {
    let (room, account) = (form.need("room")?.to_owned(), form.get("account").map(str::to_owned));
    let is_bookmarked = form.get("bookmark").is_some();
    if !form.is_agreed() {
        let mut sentences = vec![
            html! { (on(account.as_deref())) " enters the room " (stranger(&room)) "." },
            html! { "Plugins there see what they were granted. A room that does not exist may be created." },
        ];
        if is_bookmarked {
            sentences.push(html! { "A bookmark is kept on the server, so that it enters the room at each log-in." });
        }
        let question = Question {
            title: "Enter the room?".to_owned(),
            sentences,
            button: "Enter the room".to_owned(),
            is_danger: false,
            action: "/rooms/join",
            back: "/rooms",
            fields: form.fields(),
        };
        return Ok(visit.confirm(&question));
    }
    let nick = form.get("nick").map(|nick| format!("&nick={}", escaped(nick))).unwrap_or_default();
    let flags = flag("bookmark", is_bookmarked) + &flag("new", form.get("new").is_some());
    let target = format!("/v1/rooms/join?{}{nick}{flags}", which(&room, account.as_deref()));
    let room: Room = ask(&visit, move |client| Ok(client.post(&target)?)).await?;
    let done = format!("{} is {} on {}", room.room, room.state, room.account);
    Ok(visit.done("/rooms", done))
}

async fn leave(visit: Visit, form: Form) -> Result<Reply, Problem> {
    let (room, account) = (form.need("room")?.to_owned(), form.get("account").map(str::to_owned));
    let is_unbookmarked = form.get("bookmark").is_some();
    if !form.is_agreed() {
        let then = if is_unbookmarked {
            "Its bookmark is removed from the server."
        } else {
            "If a bookmark or auto_join_rooms names it, it is entered again at the next log-in."
        };
        let question = Question {
            title: "Leave the room?".to_owned(),
            sentences: vec![
                html! {
                    (on(account.as_deref())) " leaves the room " (stranger(&room)) ", and plugins hear nothing of it any more."
                },
                html! { (then) },
            ],
            button: "Leave the room".to_owned(),
            is_danger: false,
            action: "/rooms/leave",
            back: "/rooms",
            fields: form.fields(),
        };
        return Ok(visit.confirm(&question));
    }
    let bookmark = flag("bookmark", is_unbookmarked);
    let target = format!("/v1/rooms/leave?{}{bookmark}", which(&room, account.as_deref()));
    let room: Room = ask(&visit, move |client| Ok(client.post(&target)?)).await?;
    Ok(visit.done("/rooms", format!("{} has left {}", room.account, room.room)))
}

/// Names the account that a change is for.
fn on(account: Option<&str>) -> Markup {
    html! { "The account" @if let Some(account) = account { " " (stranger(account)) } }
}

#[cfg(test)]
pub(super) mod tests {
    use std::io::{Read as _, Write as _};
    use std::os::unix::net::UnixListener;

    use serde_json::json;

    use super::*;
    use crate::target::Target;

    const EVIL: &str = "<script>alert(1)</script>";

    /// Returns a visit to a path. No host runs there.
    pub(in crate::web) fn visit(role: Role, path: &str) -> Visit {
        let target = Target { config: Some("parlor.toml".into()), data: None, plugins: None };
        Visit::for_test(role, path, Arc::new(Host::new(target)))
    }

    fn room(jid: &str) -> Room {
        serde_json::from_value(json!({
            "account": "main", "room": jid, "state": "joined", "kept": true, "nick": "bot", "role": "participant",
            "affiliation": "member", "occupants": 12, "since": "2026-11-20T06:24:00Z",
            "plugins": [{ "plugin": "echo", "may": ["messages.read", "rooms.send"] }],
        }))
        .unwrap()
    }

    fn evil() -> Room {
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

    #[test]
    fn rooms_are_listed_with_what_happened_there() {
        let accounts = ["main", "second"].map(str::to_owned);
        let page = all(&link, &[room("hall@muc.example.org")], &accounts, "second", None).into_string();
        assert!(page.contains("/base/rooms/show?room=hall%40muc.example.org&amp;account=main"), "{page}");
        assert!(page.contains("<option value=\"second\" selected>"), "{page}");
        assert!(page.contains("href=\"/base/accounts/show?account=main\""), "{page}");
        assert!(page.contains("2026-11-20 06:24:00</time>") && !page.contains("Enter a room"), "{page}");
        let none = all(&link, &[], &["main".to_owned()], "", Some(&html! { "form" })).into_string();
        assert!(none.contains("No rooms.") && none.contains("Enter a room") && !none.contains("<select"), "{none}");
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
    fn ten_thousand_rooms_fit_on_a_page() {
        let rooms: Vec<_> =
            (0..10_000).map(|number| room(&format!("{number}{}@muc.example.org", "x".repeat(900)))).collect();
        let page = all(&link, &rooms, &["main".to_owned()], "", None).into_string();
        assert!(page.len() < 128 << 10 && page.contains("more are not shown."), "{} bytes", page.len());
    }

    #[test]
    fn no_text_of_strangers_is_markup() {
        for page in [
            all(&link, &[evil()], &[EVIL.to_owned(), EVIL.to_owned()], EVIL, None),
            one(&link, &evil(), None),
            join_fields(&[EVIL.to_owned()]),
            on(Some(EVIL)),
        ] {
            let page = page.into_string();
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
    async fn nothing_is_entered_or_left_before_it_was_asked() {
        let fields = [("room", EVIL), ("account", EVIL), ("bookmark", "true")];
        let text = join(visit(Role::Operator, "/rooms/join"), Form::of(&fields)).await.unwrap().into_text();
        assert!(text.contains("A bookmark is kept") && text.contains("name=\"agreed\" value=\"yes\""), "{text}");
        assert!(text.contains("name=\"bookmark\" value=\"true\"") && !text.contains("<script"), "{text}");
        let text = leave(visit(Role::Operator, "/rooms/leave"), Form::of(&fields)).await.unwrap().into_text();
        assert!(text.contains("Its bookmark is removed") && !text.contains("<script"), "{text}");
        let none = join(visit(Role::Operator, "/rooms/join"), Form::of(&[])).await.unwrap_err();
        assert_eq!(none.status, 400);
        let forms = forms(&visit(Role::Operator, "/rooms/show"), &evil()).into_string();
        assert!(
            forms.contains("/rooms/join") && forms.contains("name=\"csrf\"") && !forms.contains("<script"),
            "{forms}"
        );
        assert!(
            super::forms(&visit(Role::Operator, "/rooms/show"), &room("a@b")).into_string().contains("/rooms/leave")
        );
    }

    #[test]
    fn a_room_is_asked_for_by_one_parameter() {
        assert_eq!(which("a&b=c@d", None), "room=a%26b%3Dc@d");
        assert_eq!(which("a@b", Some("")), "room=a@b");
        assert_eq!(which("a@b", Some("x&y")), "room=a@b&account=x%26y");
    }
}
