//! Log-ins without a password, on the real server.

use std::fs;

use parlor_tests::host::{Home, Host};
use parlor_tests::memories;
use parlor_tests::plugins::built;
use parlor_tests::policy::Policy;
use parlor_tests::prosody::{ANONYMOUS, HOLDER, Prosody};
use parlor_tests::server::XmppServer;

use crate::test_host::SOON;

fn account(server: &XmppServer, jid: &str, more: &str) -> String {
    format!(
        "[account.main]\njid = \"{jid}\"\nserver = \"127.0.0.1:{}\"\nca_file = \"{}\"\n{more}\n",
        server.ports().starttls,
        server.certificate().certificate_file.display()
    )
}

/// Settings `authentication`.
#[tokio::test]
async fn nobody_in_particular_is_given_an_account_for_a_while() {
    let server = Prosody::start().await.unwrap();
    let home = Home::new().unwrap();
    home.write("parlor.toml", &account(&server, ANONYMOUS, "settings = { authentication = \"anonymous\" }")).unwrap();
    let mut host = home.start().unwrap();
    let line = host.wait("account connected", &[("account", "main")], SOON).await.unwrap();
    let jid: jid::FullJid = line.get("jid").parse().unwrap();
    assert!(jid.node().is_some() && jid.domain().as_str() == ANONYMOUS, "{jid}");
    assert!(host.stop(SOON).await.unwrap().success());
}

/// Checks that no line of the key is in the log, at any level, or in the memory of a plugin.
fn nobody_has(key: &str, host: &Host) {
    let lines: Vec<_> = key.lines().filter(|line| !line.starts_with("-----")).collect();
    let log = host.log().all().join("\n");
    assert!(log.contains("TRACE") && lines.len() > 1, "nothing would be shown by it");
    assert!(lines.iter().all(|line| !log.contains(line)), "the log has the key");
    // The name of a plugin's setting is found, which proves that the key would be found.
    let words: Vec<_> = lines.into_iter().chain(["room_prefix"]).collect();
    assert_eq!(memories::found(host.id(), &words).unwrap(), ["room_prefix"]);
}

/// Settings `authentication`.
#[tokio::test]
async fn a_certificate_logs_its_account_in_and_no_other() {
    let server = Prosody::start().await.unwrap();
    let home = Home::new().unwrap();
    let [chain, key] = ["account.pem", "account.key"].map(|name| server.path().join(name).display().to_string());
    let more = format!(
        "certificate = \"{chain}\"\ncertificate_key = \"{key}\"\nsettings = {{ authentication = \"external\" }}"
    );
    home.write("parlor.toml", &account(&server, HOLDER, &more)).unwrap();
    let echo = home.install("echo", &built("echo").unwrap()).unwrap();
    let echo = ["messages.read", "messages.send", "rooms.send"].iter().fold(echo, |echo, one| echo.grant(one, &["*"]));
    home.set_policy(&Policy::default().with("echo", echo)).unwrap();
    let mut host = home.start_with(&["--log", "trace"]).unwrap();
    let line = host.wait("account connected", &[("account", "main")], SOON).await.unwrap();
    assert!(line.get("jid").starts_with(&format!("{HOLDER}/")), "{line}");
    host.wait_count("plugin running", &[("plugin", "echo")], 1, SOON).await.unwrap();
    nobody_has(&fs::read_to_string(&key).unwrap(), &host);
    assert!(host.stop(SOON).await.unwrap().success());

    home.write("parlor.toml", &account(&server, "other@certificate.localhost", &more)).unwrap();
    let mut host = home.start().unwrap();
    let line = host.wait("account failed", &[("account", "main")], SOON).await.unwrap();
    assert!(line.get("reason").contains("does not take the certificate for other@certificate.localhost"), "{line}");
}
