//! Logging in without a password, on the real server.

use parlor_tests::host::Home;
use parlor_tests::prosody::{ANONYMOUS, HOLDER, Prosody};
use parlor_tests::server::XmppServer;

use crate::house::SOON;

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
    let mut host = home.start().unwrap();
    let line = host.wait("account connected", &[("account", "main")], SOON).await.unwrap();
    assert!(line.get("jid").starts_with(&format!("{HOLDER}/")), "{line}");
    assert!(host.stop(SOON).await.unwrap().success());

    home.write("parlor.toml", &account(&server, "other@certificate.localhost", &more)).unwrap();
    let mut host = home.start().unwrap();
    let line = host.wait("account failed", &[("account", "main")], SOON).await.unwrap();
    assert!(line.get("reason").contains("does not take the certificate for other@certificate.localhost"), "{line}");
}
