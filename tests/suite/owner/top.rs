//! `parlor top` at a terminal: its output and actions, and that it restores the terminal, however it ends.

use std::os::unix::fs::MetadataExt as _;
use std::process::Command;

use parlor_cli::top::screen::Screen;
use parlor_tests::host::{Home, Host};
use parlor_tests::policy::Policy;
use parlor_tests::process::Signal;
use parlor_tests::terminal::Terminal;

use super::hostile::{NOBODY, give, is_root};
use super::{SOON, echo, ended, home, start};

/// Starts a host with echo, and a terminal on which `parlor top` shows it.
async fn shown() -> (Home, Host, Terminal) {
    let (home, _) = home().await;
    let host = start(&home, &Policy::default().with("echo", echo(&home))).await;
    host.wait_count("plugin running", &[("plugin", "echo")], 1, SOON).await.unwrap();
    let terminal = Terminal::start(home.command(["top"]).unwrap()).unwrap();
    terminal.shows("e enable", SOON).unwrap();
    (home, host, terminal)
}

#[track_caller]
fn left(mut terminal: Terminal) {
    assert!(!terminal.is_cooked().unwrap(), "it had the terminal");
    let (code, screen) = {
        terminal.presses("q").unwrap();
        terminal.ended(SOON).unwrap()
    };
    assert_eq!(code, Some(0), "{screen:?}");
    given_back(&terminal, &screen);
}

#[track_caller]
fn given_back(terminal: &Terminal, screen: &str) {
    assert!(terminal.is_cooked().unwrap(), "the terminal was not given back");
    let (taken, back) = (screen.rfind("\x1b[?1049h"), screen.rfind("\x1b[?1049l"));
    assert!(taken.is_some() && back > taken, "{screen:?}");
    assert!(screen.rfind("\x1b[?25h") > screen.rfind("\x1b[?25l"), "the cursor is hidden: {screen:?}");
}

#[tokio::test]
async fn the_host_is_seen_and_looked_after() {
    let (home, host, mut terminal) = shown().await;
    let picture = terminal.shows("running", SOON).unwrap();
    for words in ["parlor 0.1.0", "main  connected", "PLUGIN▲", "MEMORY", "echo"] {
        assert!(picture.contains(words), "{words}: {picture}");
    }
    assert!(picture.lines().all(|line| line.chars().count() <= 80), "{picture}");

    terminal.presses("l").unwrap();
    terminal.shows("log of echo", SOON).unwrap();
    terminal.shows("plugin running", SOON).unwrap();
    terminal.presses("q").unwrap();

    terminal.presses("r").unwrap();
    terminal.shows("Restart echo on all of its accounts? y/n", SOON).unwrap();
    terminal.presses("y").unwrap();
    host.wait_count("plugin running", &[("plugin", "echo")], 2, SOON).await.unwrap();
    terminal.shows("echo was restarted; it is running on main", SOON).unwrap();

    terminal.presses("dy").unwrap();
    terminal.shows("echo is disabled; the running host has applied it", SOON).unwrap();
    terminal.shows_what("the state", |picture| picture.contains("disabled     "), SOON).unwrap();
    assert!(std::fs::read_to_string(home.path().join("plugins.toml")).unwrap().contains("enabled = false"));
    terminal.presses("e").unwrap();
    terminal.shows("echo is enabled; the running host has applied it", SOON).unwrap();
    host.wait_count("plugin running", &[("plugin", "echo")], 3, SOON).await.unwrap();

    terminal.presses("/nobody\r").unwrap();
    terminal.shows("no plugin is like that", SOON).unwrap();
    terminal.presses("\x1b").unwrap();
    terminal.shows_what("all again", |picture| !picture.contains("no plugin is like that"), SOON).unwrap();
    left(terminal);
    assert_eq!(host.lines("account connected", &[]).len(), 1);
}

#[tokio::test]
async fn root_changes_nothing_in_somebody_elses_host() {
    let (home, _host, mut terminal) = shown().await;
    terminal.shows("running", SOON).unwrap();
    if !is_root() {
        return left(terminal);
    }
    give(home.path(), NOBODY);
    terminal.presses("dy").unwrap();
    terminal.shows("belongs to", SOON).unwrap();
    assert_eq!(home.path().join("plugins.toml").metadata().unwrap().uid(), NOBODY);
    left(terminal);
}

/// `parlor status` and `parlor plugin disable` behave the same way. Actions that grant something need a valid file.
#[tokio::test]
async fn the_host_is_seen_and_held_back_though_its_configuration_is_wrong_by_now() {
    let (home, _) = home().await;
    let host = start(&home, &Policy::default().with("echo", echo(&home))).await;
    host.wait_count("plugin running", &[("plugin", "echo")], 1, SOON).await.unwrap();
    let config = std::fs::read_to_string(home.path().join("parlor.toml")).unwrap();
    home.write("parlor.toml", &format!("nonsense = 1\n{config}")).unwrap();
    host.wait_count("the configuration was not read; nothing has changed", &[], 1, SOON).await.unwrap();
    let mut terminal = Terminal::start(home.command(["top"]).unwrap()).unwrap();
    let picture = terminal.shows("e enable", SOON).unwrap();
    assert!(picture.contains("configuration not in force: "), "{picture}");
    terminal.presses("dy").unwrap();
    terminal.shows("echo is disabled; the running host has applied it", SOON).unwrap();
    host.wait_count("plugin disabled", &[("plugin", "echo")], 1, SOON).await.unwrap();
    terminal.presses("e").unwrap();
    let why = |picture: &str| picture.lines().any(|line| line.starts_with("parlor.toml:1:"));
    terminal.shows_what("why not", why, SOON).unwrap();
    assert!(std::fs::read_to_string(home.path().join("plugins.toml")).unwrap().contains("enabled = false"));
    left(terminal);
}

#[tokio::test]
async fn another_size_gets_another_picture() {
    let (_home, _host, mut terminal) = shown().await;
    assert!(!terminal.shows("echo", SOON).unwrap().contains("VERSION"));
    terminal.resize(30, 140).unwrap();
    terminal.shows("VERSION", SOON).unwrap();
    terminal.resize(5, 20).unwrap();
    terminal.shows("too small: 40 × 10", SOON).unwrap();
    terminal.resize(24, 80).unwrap();
    // A key that is pressed before the resize arrives would go to the wrong screen.
    terminal.shows_what("the table again", |picture| picture.contains("PLUGIN"), SOON).unwrap();
    terminal.presses("?").unwrap();
    terminal.shows("restart the plugin, after a question", SOON).unwrap();
    terminal.presses("x").unwrap();
    left(terminal);
}

#[tokio::test]
async fn the_terminal_is_given_back_however_it_ends() {
    let (home, _host, mut terminal) = shown().await;
    terminal.presses("\x03").unwrap();
    let (code, screen) = terminal.ended(SOON).unwrap();
    assert_eq!(code, Some(0), "{screen}");
    given_back(&terminal, &screen);
    for signal in [Signal::Terminate, Signal::Interrupt, Signal::Reload] {
        let mut terminal = Terminal::start(home.command(["top"]).unwrap()).unwrap();
        terminal.shows("e enable", SOON).unwrap();
        terminal.signal(signal).unwrap();
        let (code, screen) = terminal.ended(SOON).unwrap();
        assert_eq!(code, Some(0), "{signal:?}: {screen}");
        given_back(&terminal, &screen);
    }
}

#[test]
fn a_panic_gives_the_terminal_back_and_is_read_after_it() {
    const PANICS: &str = "PARLOR_TEST_PANICS_ON_A_SCREEN";
    if std::env::var_os(PANICS).is_some() {
        let mut screen = Screen::open().unwrap();
        screen.draw(|_| ()).unwrap();
        panic!("while it was drawn");
    }
    let mut command = Command::new(std::env::current_exe().unwrap());
    let name = "owner::top::a_panic_gives_the_terminal_back_and_is_read_after_it";
    command.args(["--exact", name, "--nocapture"]).env(PANICS, "1");
    let mut terminal = Terminal::start(command).unwrap();
    terminal.sees("\x1b[?1049h", SOON).unwrap();
    terminal.sees("\x1b[?1049l", SOON).unwrap();
    terminal.sees("while it was drawn", SOON).unwrap();
    terminal.ended(SOON).unwrap();
    assert!(terminal.is_cooked().unwrap());
}

#[tokio::test]
async fn a_host_that_goes_and_comes_back_is_followed() {
    let (home, mut host, terminal) = shown().await;
    host.signal(Signal::Kill).unwrap();
    host.ended(SOON).await.unwrap();
    let picture = terminal.shows("`parlor run` starts one", SOON).unwrap();
    assert!(picture.contains("no host runs") && picture.contains("echo"), "{picture}");
    let host = home.start().unwrap();
    terminal.shows_what("the new one", |picture| picture.contains(&format!("process {}", host.id())), SOON).unwrap();
    left(terminal);
}

#[tokio::test]
async fn where_there_is_nothing_to_show_it_says_what_to_do() {
    let (home, _) = home().await;
    home.set_policy(&Policy::default()).unwrap();
    let mut terminal = Terminal::start(home.command(["top"]).unwrap()).unwrap();
    let (code, screen) = terminal.ended(SOON).unwrap();
    assert_eq!(code, Some(4), "{screen}");
    assert!(screen.contains("`parlor run` starts one") && !screen.contains("\x1b[?1049h"), "{screen:?}");
    let piped = ended(home.run(&["top"]).await.unwrap(), 1);
    assert!(piped.stderr.contains("`parlor status --json` says the same to programs"), "{piped:?}");
}
