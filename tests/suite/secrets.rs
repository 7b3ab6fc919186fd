//! Secrets do not leak into any output for the owner.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::process::Command;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use parlor_tests::certificate::Certificate;
use parlor_tests::folder::Folder;
use parlor_tests::host::{Home, Server};
use parlor_tests::log::Mark;
use parlor_tests::peer::{Peer, somebody};
use parlor_tests::ports;
use parlor_tests::process::{Process, Signal};
use parlor_tests::prosody::Account;
use tokio::time::Instant;

const SOON: Duration = Duration::from_secs(30);

#[tokio::test]
async fn no_filter_makes_the_log_show_the_stream() {
    for log in ["trace", "trace,tokio_xmpp=trace,tokio_xmpp::xmlstream::capture=trace,sasl=trace,rustls=trace"] {
        let [password, body] =
            ["password", "message"].map(|what| format!("canary-{what}-{:016x}", rand::random::<u64>()));
        let folder = Folder::new().unwrap();
        let certificate = Certificate::make(&folder).unwrap();
        let plain = Peer::listen(&certificate).await.unwrap();
        let proving = Peer::listen(&certificate).await.unwrap().demanding_proof(&password).unwrap();
        for (peer, made) in [(plain, 0), (proving, 6)] {
            let account = Account { jid: "bot@localhost".parse().unwrap(), password: password.clone() };
            let server = Server::Plain(peer.port(), &certificate);
            let lines = Box::pin(everything_that_is_logged(log, &peer, &account, server, &body)).await;
            assert!(lines.iter().any(|line| line.contains("TRACE")), "the filter {log} was not taken: {lines:#?}");
            let text = lines.join("\n");
            let mut secrets = vec![password.clone(), body.clone()];
            secrets.push(BASE64_STANDARD.encode(format!("\0bot\0{password}")));
            let keys = peer.made_of_password();
            assert_eq!(keys.len(), made, "the log-in was another one");
            for key in keys {
                let as_text = String::from_utf8_lossy(&key).into_owned();
                secrets.extend([as_text, BASE64_STANDARD.encode(&key), hex::encode(&key), format!("{key:?}")]);
            }
            for secret in secrets {
                assert!(!text.contains(&secret), "{secret} is in the log under {log}");
            }
        }
    }
}

/// A core dump would contain every password and secret, so it is prevented whatever the limits of the parent are.
#[tokio::test]
async fn a_host_that_crashes_leaves_no_core() {
    let home = Home::new().unwrap();
    let text = "[settings]\nauto_login = false\n[account.main]\njid = \"bot@example.org\"\npassword_env = \"NONE\"\n";
    home.write("parlor.toml", text).unwrap();
    let run = home.command(["run", "--config", "parlor.toml"]).unwrap();
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -S -c $(ulimit -H -c) && exec \"$0\" \"$@\""]);
    command.arg(run.get_program()).args(run.get_args()).current_dir(home.path());
    let mut host = Process::start("parlor", command).unwrap();
    let deadline = Instant::now() + SOON;
    loop {
        // Checked first, since the shell's own limits do not count.
        let is_it = fs::read_link(format!("/proc/{}/exe", host.id())).is_ok_and(|program| program.ends_with("parlor"));
        let limits = fs::read_to_string(format!("/proc/{}/limits", host.id())).unwrap();
        let core = limits.lines().find_map(|line| line.strip_prefix("Max core file size")).unwrap();
        // A limit of one byte also keeps the kernel from piping the core to a program. A hard limit of zero allows no
        // other value.
        let soft_and_hard: Vec<_> = core.split_whitespace().take(2).collect();
        if is_it && (soft_and_hard[0] == "1" || soft_and_hard == ["0", "0"]) {
            break;
        }
        assert!(Instant::now() < deadline && host.ended().unwrap().is_none(), "it may leave a core: {limits}");
        tokio::time::sleep(crate::test_host::A_MOMENT).await;
    }
    host.signal(Signal::Crash).unwrap();
    let status = host.wait(SOON).await.unwrap();
    assert!(status.signal().is_some() && !status.core_dumped(), "{status:?}");
}

/// A password in the environment is only for the account that names it, with any name of the variable.
#[tokio::test]
async fn a_command_of_the_owner_inherits_no_password_of_another_account() {
    let mut home = Home::new().unwrap();
    let seen = home.path().join("seen");
    let port = ports::free().unwrap();
    home.write(
        "parlor.toml",
        &format!(
            "[account.friend]\njid = \"friend@localhost\"\npassword_env = \"FRIENDS_SECRET\"\nserver = \"127.0.0.1:{port}\"\n\
             [account.main]\njid = \"bot@localhost\"\npassword_command = \"env > seen; echo wrong\"\n\
             server = \"127.0.0.1:{port}\"\n"
        ),
    )
    .unwrap();
    home.write("plugins.toml", "").unwrap();
    home.set_environment("FRIENDS_SECRET", "canary");
    home.set_environment("PARLOR_PASSWORD_OTHER", "canary");
    home.set_environment("PARLOR_SETTING_CREDENTIALS_URL", "https://localhost/?token=canary");
    let found = home.run(&["doctor"]).await.unwrap();
    assert_eq!(found.code, Some(5), "{found:?}");
    let seen = fs::read_to_string(seen).unwrap();
    assert!(seen.contains("PATH=") && !seen.contains("canary"), "{seen}");
}

/// A compiler runs foreign code: build scripts, macros, packages.
#[tokio::test]
async fn what_builds_a_plugin_inherits_nothing_that_is_meant_for_parlor() {
    let mut home = Home::new().unwrap();
    let tools = home.path().join("tools");
    let seen = home.path().join("seen");
    let names = ["cargo", "rustc", "python3", "node", "npm"];
    for tool in names {
        let file = home
            .write(
                &format!("tools/{tool}"),
                &format!("#!/bin/sh\n(echo {tool}; env) >> '{}'\nexit 1\n", seen.display()),
            )
            .unwrap();
        fs::set_permissions(file, fs::Permissions::from_mode(0o755)).unwrap();
    }
    let manifest = "[plugin]\nname = \"x\"\nversion = \"0.1.0\"\napi = \"0.1.0\"\ndescription = \"Does nothing\"\n";
    let package = "[package]\nname = \"x\"\nversion = \"0.1.0\"\nedition = \"2024\"\n";
    home.set_environment("PATH", &format!("{}:/usr/bin:/bin", tools.display()));
    home.set_environment("PARLOR_PASSWORD_MAIN", "canary");
    home.set_environment("PARLOR_SETTING_CREDENTIALS_URL", "https://localhost/?token=canary");
    // No build tools are installed.
    home.set_environment("XDG_DATA_HOME", &home.path().join("share").display().to_string());
    for (mark, text) in
        [("Cargo.toml", package), ("plugin.py", ""), ("plugin.js", ""), ("go.mod", "module x\n"), ("plugin.c", "")]
    {
        home.write("x/plugin.toml", manifest).unwrap();
        home.write(&format!("x/{mark}"), text).unwrap();
        for command in ["build", "test"] {
            let refused = home.run(&["plugin", command, "x", "--trust"]).await.unwrap();
            assert_eq!(refused.code, Some(1), "{mark}: {refused:?}");
            let told = fs::read_to_string(&seen).unwrap_or_default();
            assert!(told.lines().any(|line| names.contains(&line)), "{mark}: nothing was asked: {refused:?}");
            assert!(told.contains("PATH=") && !told.contains("canary"), "{mark}: {told}");
            fs::remove_file(&seen).unwrap();
        }
        fs::remove_dir_all(home.path().join("x")).unwrap();
    }
}

/// Returns the log of a host that logs in and receives a message. The log-in is by PLAIN, with the password on the
/// stream itself, or by a proof of it.
async fn everything_that_is_logged(
    log: &str,
    peer: &Peer,
    account: &Account,
    server: Server<'_>,
    body: &str,
) -> Vec<String> {
    let mut home = Home::new().unwrap();
    home.add_account("main", account, server).unwrap();
    let command = home.command(["run", "--config", "parlor.toml", "--log", log]).unwrap();
    let mut host = Process::start("parlor", command).unwrap();
    let mut session = peer.accept(SOON).await.unwrap();
    session.say(&somebody(), 1, body).await.unwrap();
    let connected = |line: &str| line.contains("account connected").then_some(());
    host.log().wait("the account", &mut Mark::default(), SOON, connected).await.unwrap();
    host.signal(Signal::Terminate).unwrap();
    // The session is read to its end, so that the host need not wait for the server's closing tag.
    while session.next().await.is_ok() {}
    drop(session);
    host.wait(SOON).await.unwrap();
    tokio::time::timeout(SOON, host.log().ended()).await.unwrap();
    host.log().all()
}
