//! One-time links and sessions: made by the command, used once, and invalid after their end.

use std::os::unix::fs::PermissionsExt as _;

use parlor_tests::process::Signal;
use parlor_tests::terminal::Terminal;
use parlor_tests::window::{Answer, Form, Session, Window, link};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::super::{SOON, ended, home};
use super::{House, refused};

/// Presses the button of a one-time link.
async fn press(guest: &Session, link: &str) -> Answer {
    let page = guest.page(link).await.unwrap();
    let form = Form::all(&page.body).into_iter().find(Form::is_post).unwrap();
    guest.send_form(&form, link).await.unwrap()
}

/// Returns whether a visitor sees the pages.
async fn is_in(session: &Session) -> bool {
    let answer = session.get("/plugins").await.unwrap();
    if answer.status == 303 {
        assert_eq!((answer.header("location"), answer.body.contains("echo")), ("/login", false), "{answer:?}");
    }
    answer.status == 200
}

/// A core would hold sessions, and the secrets that owners type into its forms.
#[tokio::test]
async fn a_window_that_crashes_leaves_no_core() {
    let (home, _account) = home().await;
    let window = Window::open(&home).await.unwrap();
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", window.id())).unwrap();
    let core = limits.lines().find_map(|line| line.strip_prefix("Max core file size")).unwrap();
    let soft_and_hard: Vec<_> = core.split_whitespace().take(2).collect();
    // A hard limit of zero allows no other value.
    assert!(soft_and_hard[0] == "1" || soft_and_hard == ["0", "0"], "{limits}");
}

#[tokio::test]
async fn a_link_lets_in_once_and_is_not_used_up_by_looking() {
    let house = House::open().await;
    let guest = house.window.guest();
    let once = house.window.link(&house.home, "owner").await.unwrap();
    // A chat client shows a preview, and a mail scanner looks twice.
    for _ in 0..3 {
        refused(&guest.get(&once).await.unwrap(), 200);
    }
    let let_in = press(&guest, &once).await;
    assert_eq!((let_in.status, let_in.header("location")), (303, "/"), "{let_in:?}");
    let set = let_in.header("set-cookie");
    for part in ["; Path=/", "; HttpOnly", "; SameSite=Strict"] {
        assert!(set.contains(part), "{set}");
    }
    assert!(!set.contains("Max-Age") && !set.contains("Expires"), "it outlives the browser: {set}");
    let session = Session { cookie: let_in.cookie(), ..guest.clone() };
    assert!(is_in(&session).await && !is_in(&guest).await);

    let late = house.window.link(&house.home, "owner").await.unwrap();
    house.edit(|kept| kept["links"][0]["until"] = "2020-01-01T00:00:00Z".into());
    let unknown = format!("/login/{}", "0".repeat(once.len() - "/login/".len()));
    let mut answers = Vec::new();
    for link in [&once, &late, &unknown] {
        let answer = press(&guest, link).await;
        refused(&answer, 403);
        answers.push(answer.body.replace(link.as_str(), ""));
    }
    answers.dedup();
    assert_eq!(answers.len(), 1, "used, late and unknown links are told apart: {answers:?}");
    for odd in ["/login/x", "/login/../login", "/login/%00", &format!("{late}/x"), &format!("{late}0")] {
        let answer = guest.post(odd, &[]).await.unwrap();
        assert!((400..500).contains(&answer.status) && answer.cookie().is_none(), "{odd}: {answer:?}");
    }
}

#[tokio::test]
async fn a_session_is_a_new_one_and_not_what_somebody_planted() {
    let house = House::open().await;
    let mut planted = house.log_in("viewer").await;
    let (name, value) = planted.cookie.clone().unwrap();
    // Another person's session, and a made-up one, in the browser of the person who logs in.
    for before in [value.clone(), "f".repeat(value.len()), "x".to_owned()] {
        planted.cookie = Some((name.clone(), before.clone()));
        let link = house.window.link(&house.home, "owner").await.unwrap();
        let answer = press(&planted, &link).await;
        let (_, given) = answer.cookie().unwrap();
        assert!(given != before && given.len() == 64, "{answer:?}");
        assert!(!link.contains(&given), "what was in the address bar is the session");
    }
    // The planted cookies give no access: the session that the browser had before has ended, too.
    for before in ["f".repeat(value.len()), value.clone()] {
        planted.cookie = Some((name.clone(), before));
        assert!(!is_in(&planted).await);
    }
    // If a second cookie has the same name as a valid one, both are ignored.
    let right = house.log_in("viewer").await;
    let twice = right.head("GET", "/plugins") + &format!("cookie: {name}={value}\r\n");
    assert_eq!(right.ask(&twice, b"").await.unwrap().status, 303);
}

#[tokio::test]
async fn a_session_ends_by_logging_out_by_the_command_and_by_time() {
    let house = House::open().await;
    let one = house.log_in("owner").await;
    let other = house.log_in("owner").await;
    let token = one.csrf("/", "/logout").await.unwrap();
    refused(&one.post("/logout", &[("csrf", "wrong")]).await.unwrap(), 403);
    assert!(is_in(&one).await, "somebody else logged a person out");
    let out = one.post("/logout", &[("csrf", &token)]).await.unwrap();
    assert_eq!((out.status, out.header("location")), (303, "/login"), "{out:?}");
    assert!(out.header("set-cookie").contains("Max-Age=0"), "{out:?}");
    assert!(!is_in(&one).await && is_in(&other).await);

    let shown = ended(house.home.run(&["web", "sessions", "--json"]).await.unwrap(), 0).json().unwrap();
    let name = shown[0]["name"].as_str().unwrap();
    assert_eq!((shown.as_array().map(Vec::len), &shown[0]["role"]), (Some(1), &"owner".into()), "{shown}");
    ended(house.home.run(&["web", "sessions", "end", name]).await.unwrap(), 0);
    assert!(!is_in(&other).await);
    ended(house.home.run(&["web", "sessions", "end", "nobody"]).await.unwrap(), 1);

    for field in ["began", "used"] {
        let late = house.log_in("viewer").await;
        assert!(is_in(&late).await);
        house.edit(|kept| kept["sessions"][0][field] = "2020-01-01T00:00:00Z".into());
        assert!(!is_in(&late).await, "{field}");
    }
    let (a, b) = (house.log_in("viewer").await, house.log_in("operator").await);
    ended(house.home.run(&["web", "sessions", "end", "--all"]).await.unwrap(), 0);
    assert!(!is_in(&a).await && !is_in(&b).await);
}

#[tokio::test]
async fn what_is_kept_of_links_and_sessions_lets_nobody_in() {
    let mut house = House::open().await;
    let session = house.log_in("owner").await;
    let waiting = house.window.link(&house.home, "owner").await.unwrap();
    let kept = std::fs::read_to_string(house.kept()).unwrap();
    let (_, cookie) = session.cookie.clone().unwrap();
    let token = waiting.strip_prefix("/login/").unwrap();
    assert!(!kept.contains(&cookie) && !kept.contains(token), "{kept}");
    let mode = |path: &std::path::Path| path.metadata().unwrap().permissions().mode() & 0o077;
    assert_eq!((mode(&house.kept()), mode(house.kept().parent().unwrap())), (0, 0));
    let log = house.window.log().all().join("\n");
    assert!(!log.contains(&cookie) && !log.contains(token), "{log}");
    // Without a server there is no address for a link.
    assert!(house.window.close().await.unwrap().success());
    let refused = ended(house.home.run(&["web", "login"]).await.unwrap(), 1).stderr;
    assert!(refused.contains("parlor web"), "{refused}");
}

#[tokio::test]
async fn a_window_ends_while_a_page_is_open_and_one_that_was_killed_has_no_links() {
    let mut house = House::open().await;
    let viewer = house.log_in("viewer").await;
    let mut open = viewer.connect().await.unwrap();
    open.write_all(format!("{}\r\n", viewer.head("GET", "/live")).as_bytes()).await.unwrap();
    let mut begins = [0; 12];
    open.read_exact(&mut begins).await.unwrap();
    assert_eq!(&begins, b"HTTP/1.1 200");
    assert!(house.window.close().await.unwrap().success());
    // The page came to its end. One that goes on for more than five seconds is cut, and lacks the last chunk.
    let mut rest = Vec::new();
    open.read_to_end(&mut rest).await.unwrap();
    assert!(rest.ends_with(b"\r\n0\r\n\r\n"), "{}", String::from_utf8_lossy(&rest));
    let killed = Window::open(&house.home).await.unwrap();
    killed.link(&house.home, "viewer").await.unwrap();
    drop(killed);
    assert!(house.home.path().join("data/window/address").exists());
    let refused = ended(house.home.run(&["web", "login"]).await.unwrap(), 1).stderr;
    assert!(refused.contains("`parlor web` does not run"), "{refused}");
}

#[tokio::test]
async fn the_log_of_the_window_has_no_colours_for_those_who_want_none() {
    let (mut home, _) = home().await;
    for is_wanted in [true, false] {
        home.set_environment("NO_COLOR", if is_wanted { "" } else { "1" });
        let mut terminal = Terminal::start(home.command(["web", "--listen", "127.0.0.1:0"]).unwrap()).unwrap();
        terminal.sees("the window is open", SOON).unwrap();
        terminal.signal(Signal::Interrupt).unwrap();
        let (code, screen) = terminal.ended(SOON).unwrap();
        assert_eq!((code, screen.contains('\x1b')), (Some(0), is_wanted), "{screen}");
    }
}

#[tokio::test]
async fn failed_log_ins_are_bounded_and_keep_nobody_out() {
    let house = House::open().await;
    let guest = house.window.guest();
    let right = link(&house.home, &["--role", "viewer"]).await.unwrap();
    let wrong = |number: usize| format!("/login/{number:064}");
    for number in 0..10 {
        refused(&guest.post(&wrong(number), &[]).await.unwrap(), 403);
    }
    let refusal = guest.post(&wrong(10), &[]).await.unwrap();
    refused(&refusal, 429);
    assert!(
        refusal.header("retry-after").parse::<u32>().is_ok_and(|seconds| (1..=60).contains(&seconds)),
        "{refusal:?}"
    );
    // Guesses of strangers keep nobody out who has a link, and do not use it up.
    assert_eq!(guest.get(&right).await.unwrap().status, 200);
    assert!(is_in(&guest.clone().log_in(&right).await.unwrap()).await);
    refused(&guest.post(&right, &[]).await.unwrap(), 429);
    // Nor do many log-ins of those who have one.
    for _ in 0..12 {
        house.log_in("viewer").await;
    }
}
