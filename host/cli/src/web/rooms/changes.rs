//! Entering and leaving rooms, and taking rooms off the list that an account is out of.

use maud::{Markup, html};
use parlor::control::client::escaped;
use parlor::control::views::{Account, Room};
use parlor_window::{Form, Problem, Question, Reply, stranger};

use super::super::host::{Visit, ask};
use super::super::lists::values;
use super::super::parts::{field, pick, tick};
use crate::target::{flag, with_account};

/// Returns the path of a request about a room.
pub(super) fn request(what: &str, room: &str, account: Option<&str>) -> String {
    with_account(&format!("/v1/rooms/{what}?room={}", escaped(room)), account)
}

/// Shows the fields of a form that enters a room.
pub(super) fn join_fields(accounts: &[Account]) -> Markup {
    let options = values(accounts.iter().map(|account| account.name.as_str()));
    html! {
        (field("room", "Room", "", "Its address, such as hall@muc.example.org. A server may create one that does not exist."))
        (pick("account", "Account", &options, ""))
        (field("nick", "Nickname", "", "Empty: the one of the configuration."))
        (tick("bookmark", "At each log-in, by a bookmark on the server"))
        (tick("new", "Even if its name is nearly that of another room"))
        button type="submit" { "Enter the room" }
    }
}

/// Shows the forms of one room: to leave it, or to enter it again or take it off the list.
pub(super) fn forms(visit: &Visit, room: &Room) -> Markup {
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
            (visit.form("/rooms/dismiss", &html! {
                (which)
                @if room.kept { (tick("unbookmark", "Remove its bookmark as well: a room that a bookmark or auto_join_rooms lists stays on the list")) }
                button type="submit" { "Take it off the list" }
            }))
        }
    }
}

/// Has an account enter a room.
pub(super) async fn join(visit: Visit, form: Form) -> Result<Reply, Problem> {
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
    let target = request("join", &room, account.as_deref()) + &nick + &flags;
    let room: Room = ask(&visit, move |client| Ok(client.post(&target)?)).await?;
    let done = format!("{} is {} on {}", room.room, room.state, room.account);
    Ok(visit.done("/rooms", done))
}

/// Has an account leave a room.
pub(super) async fn leave(visit: Visit, form: Form) -> Result<Reply, Problem> {
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
    let target = request("leave", &room, account.as_deref()) + &flag("bookmark", is_unbookmarked);
    let room: Room = ask(&visit, move |client| Ok(client.post(&target)?)).await?;
    Ok(visit.done("/rooms", format!("{} has left {}", room.account, room.room)))
}

/// Takes a room off the list that the account is out of.
pub(super) async fn dismiss(visit: Visit, form: Form) -> Result<Reply, Problem> {
    let (room, account) = (form.need("room")?.to_owned(), form.get("account").map(str::to_owned));
    let is_unbookmarked = form.get("unbookmark").is_some();
    if !form.is_agreed() {
        let mut sentences = vec![
            html! { (on(account.as_deref())) " is out of the room " (stranger(&room)) ", and stays out." },
            html! { "The list, the status and the doctor do not name the room any more, nor why the account is out." },
        ];
        if is_unbookmarked {
            sentences.push(html! { "Its bookmark is removed from the server." });
        }
        let question = Question {
            title: "Take the room off the list?".to_owned(),
            sentences,
            button: "Take it off the list".to_owned(),
            is_danger: false,
            action: "/rooms/dismiss",
            back: "/rooms",
            fields: form.fields(),
        };
        return Ok(visit.confirm(&question));
    }
    let [show, leave] = ["show", "leave"].map(|what| request(what, &room, account.as_deref()));
    let leave = leave + &flag("bookmark", is_unbookmarked);
    let dismissed = ask(&visit, move |client| {
        // The account may have entered the room since the page was made. It must not be taken out of it by this button.
        let now: Room = client.get(&show)?;
        let is_out = now.state == "out";
        if is_out {
            client.post::<Room>(&leave)?;
        }
        Ok((now, is_out))
    });
    match dismissed.await? {
        (Room { room, account, .. }, true) => Ok(visit.done("/rooms", format!("{room} is off the list of {account}"))),
        (Room { room, account, state, .. }, false) => {
            let says = format!("{room} is {state} on {account} now, so it stays on the list; look at it again");
            Err(Problem::new(409, says))
        }
    }
}

/// Names the account that a change is for.
fn on(account: Option<&str>) -> Markup {
    html! { "The account" @if let Some(account) = account { " " (stranger(account)) } }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::os::unix::net::UnixListener;
    use std::path::Path;
    use std::sync::Arc;

    use parlor_window::Role;

    use super::super::super::host::Host;
    use super::super::tests::{evil, room, visit};
    use super::*;
    use crate::target::Target;

    const EVIL: &str = "<script>alert(1)</script>";

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
    }

    #[tokio::test]
    async fn a_room_that_the_account_is_out_of_can_be_taken_off_the_list_after_a_question() {
        let operator = || visit(Role::Operator, "/rooms/show");
        let out = |kept: bool| Room { state: "out".to_owned(), kept, ..room("a@b") };
        let text = forms(&operator(), &out(false)).into_string();
        assert!(text.contains("/rooms/dismiss") && text.contains("/rooms/join"), "{text}");
        assert!(!text.contains("/rooms/leave") && !text.contains("unbookmark"), "nothing lists it: {text}");
        assert!(forms(&operator(), &out(true)).into_string().contains("name=\"unbookmark\""));
        let text = forms(&operator(), &room("a@b")).into_string();
        assert!(text.contains("/rooms/leave") && !text.contains("/rooms/dismiss"), "it is in the room: {text}");

        let fields = [("room", EVIL), ("account", EVIL), ("unbookmark", "true")];
        let text = dismiss(visit(Role::Operator, "/rooms/dismiss"), Form::of(&fields)).await.unwrap().into_text();
        assert!(
            text.contains("Take the room off the list?") && text.contains("name=\"agreed\" value=\"yes\""),
            "{text}"
        );
        assert!(text.contains("Its bookmark is removed") && !text.contains("<script"), "{text}");
        assert_eq!(dismiss(operator(), Form::of(&[])).await.unwrap_err().status, 400);
    }

    /// Answers so many requests about rooms with a room in this state, and returns their first lines.
    fn host(folder: &Path, state: &str, count: usize) -> std::thread::JoinHandle<Vec<String>> {
        let listener = UnixListener::bind(folder.join("control.sock")).unwrap();
        let body = serde_json::to_string(&Room { state: state.to_owned(), ..room("a@b") }).unwrap();
        std::thread::spawn(move || {
            let mut asked = Vec::new();
            while asked.len() < count {
                let (mut stream, _) = listener.accept().unwrap();
                let mut read = [0; 4_096];
                let length = stream.read(&mut read).unwrap_or_default();
                let text = String::from_utf8_lossy(&read[..length]);
                // Some connections only check that the host listens.
                let Some(line) = text.lines().next().filter(|line| line.contains("/v1/rooms")) else { continue };
                asked.push(line.to_owned());
                let length = body.len();
                let answer = format!("HTTP/1.1 200 OK\r\nparlor-control: 1\r\ncontent-length: {length}\r\n\r\n{body}");
                stream.write_all(answer.as_bytes()).unwrap();
            }
            asked
        })
    }

    #[tokio::test]
    async fn a_room_that_was_entered_meanwhile_is_not_left_by_taking_it_off_the_list() {
        for (state, requests, status) in [("out", 2, None), ("joined", 1, Some(409))] {
            let folder = tempfile::tempdir().unwrap();
            let host = host(folder.path(), state, requests);
            let config = folder.path().join("parlor.toml");
            std::fs::write(&config, "[account.main]\njid = \"bot@example.org\"\npassword_env = \"NONE\"\n").unwrap();
            let target = Target { config: Some(config), data: Some(folder.path().to_owned()), plugins: None };
            let visit = Visit::for_test(Role::Operator, "/rooms/dismiss", Arc::new(Host::new(target)));
            let fields = [("room", "a@b"), ("account", "main"), ("agreed", "yes")];
            let done = dismiss(visit, Form::of(&fields)).await;
            assert_eq!(done.err().map(|problem| problem.status), status, "{state}");
            let asked = host.join().unwrap();
            assert!(asked[0].starts_with("GET /v1/rooms/show?room=a@b&account=main "), "{asked:?}");
            let left = asked.iter().any(|line| line.starts_with("POST /v1/rooms/leave?room=a@b&account=main "));
            assert_eq!(left, state == "out", "{asked:?}");
        }
    }

    #[test]
    fn a_room_is_asked_for_by_one_parameter() {
        assert_eq!(request("show", "a&b=c@d", None), "/v1/rooms/show?room=a%26b%3Dc@d");
        assert_eq!(request("leave", "a@b", Some("")), "/v1/rooms/leave?room=a@b");
        assert_eq!(request("join", "a@b", Some("x&y")), "/v1/rooms/join?room=a@b&account=x%26y");
    }
}
