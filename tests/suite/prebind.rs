//! Log-ins without a password in the configuration: a fetched password, and sessions that another program began (row 55
//! of `tests/conformance.toml`).

use std::time::Duration;

use parlor_tests::memories;
use parlor_tests::server::Account;
use parlor_tests::transport::Transport;
use parlor_tests::web::Web;
use serde_json::{Value, json};

use crate::test_host::{FULL, Plan, SOON, TestHost, friend, prosody};

/// Starts a web server that the account trusts, with a secret path.
async fn web() -> (Web, String) {
    (Web::start_as(prosody().await.certificate()).await.unwrap(), format!("/canary-{:016x}", rand::random::<u64>()))
}

/// Checks that neither the log nor a plugin's output has one of these secrets, and that no plugin holds one in memory.
async fn nobody_saw(host: &TestHost, secrets: &[&str]) {
    let log = format!("{:?}", crate::trace::with("account", host.name()));
    assert!(secrets.iter().all(|secret| !log.contains(secret)), "one of {secrets:?} is in the log");
    assert!(memories::found(std::process::id(), secrets).unwrap().is_empty(), "a plugin holds one of {secrets:?}");
    for key in ["credentials_url", "prebind_url", "sid", "rid"] {
        host.call(FULL, "settings.get", json!({ "key": key })).await.is(Value::Null);
    }
}

/// Row 55.
/// Settings `credentials_url`.
#[tokio::test(flavor = "multi_thread")]
async fn a_password_is_fetched_where_none_is_configured() {
    let (web, path) = web().await;
    let plan = Plan::new().await.unconnected().without_password().set("credentials_url", web.url(&path));
    let host = plan.three().start().await;
    let Account { jid, password } = host.account().clone();
    let login = || host.call(FULL, "user.login", Value::Null);
    let serve = |jid: &str| web.put(&path, json!({ "jid": jid, "password": password }).to_string());
    serve("romeo@localhost");
    let error = login().await.fails("other");
    assert!(!error.to_string().contains("canary"), "{error}");
    // The host fetches it again automatically if that may help.
    web.remove(&path);
    login().await.fails("other");
    serve(jid.as_str());
    login().await.ok();
    host.call(FULL, "connection.connected", Value::Null).await.is(true);
    assert!(web.requests().iter().all(|head| head.starts_with(&format!("GET {path} "))));
    host.logged("a log-in that a plugin asked for failed", &[]).await;
    nobody_saw(&host, &[&path, &password]).await;
}

/// Row 55.
#[tokio::test(flavor = "multi_thread")]
async fn an_account_with_no_way_in_says_so_and_takes_a_plugins_own_password() {
    let host = Plan::new().await.unconnected().without_password().three().start().await;
    let error = host.call(FULL, "user.login", Value::Null).await.fails("unsupported");
    assert!(error["what"].as_str().unwrap().contains("no password"), "{error}");
    let Account { jid, password } = host.account();
    host.call(FULL, "user.login", json!({ "jid": jid.to_string(), "password": password })).await.ok();
}

/// A session over BOSH whose client vanished without closing it, and the data for taking it over.
struct Left {
    account: Account,
    jid: String,
    sid: String,
    rid: u64,
}

impl Left {
    async fn by_somebody() -> Self {
        let plan = Plan::new().await.over(Transport::Bosh).await.set("expose_rid_and_sid", true);
        let host = plan.three().start().await;
        let token = async |name: &str| {
            let token = host.call(FULL, "tokens.get", json!({ "name": name })).await.ok();
            token.as_str().unwrap().to_owned()
        };
        let jid = host.call(FULL, "user.jid", Value::Null).await.ok().as_str().unwrap().to_owned();
        // Waits until everything that follows a log-in has been requested.
        let mut rid = token("rid").await;
        loop {
            tokio::time::sleep(Duration::from_millis(100)).await;
            let later = token("rid").await;
            if std::mem::replace(&mut rid, later.clone()) == later {
                break;
            }
        }
        let (account, sid) = (host.account().clone(), token("sid").await);
        // The proxy is dropped as well, so the host cannot close the session.
        drop(host);
        Self { account, jid, sid, rid: rid.parse().unwrap() }
    }

    async fn plan(&self) -> Plan {
        Plan::of(&self.account, &self.jid, Transport::Bosh).await
    }

    /// Checks that the session is fully usable, and that disconnecting ends it.
    async fn is_gone_on_with(&self, host: &TestHost) {
        host.call(FULL, "user.jid", Value::Null).await.is(self.jid.clone());
        let heard = host.listen(FULL, "message").await;
        let mut friend = friend("friend").await;
        friend.chat(self.account.jid.clone(), "hello").await.unwrap();
        assert_eq!(host.heard(FULL, heard).await["payload"]["message"]["body"], "hello");
        let to = friend.jid().to_bare().to_string();
        host.call(FULL, "chats.send", json!({ "jid": to, "body": "good day" })).await.ok();
        friend.wait_body(&self.account.jid, "good day", SOON).await.unwrap();
        nobody_saw(host, &[&self.sid]).await;
        host.call(FULL, "connection.disconnect", Value::Null).await.ok();
        // The session has ended, and no other program has begun a new one.
        host.call(FULL, "user.login", Value::Null).await.fails("other");
        host.call(FULL, "connection.connected", Value::Null).await.is(false);
    }
}

/// Rows 55, 120, 121.
/// Settings `authentication`, `bosh_service_url`, `prebind`, `rid`, `sid`.
#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_somebody_else_began_is_gone_on_with() {
    let left = Left::by_somebody().await;
    let plan = left.plan().await.set("allow_non_roster_messaging", true).set("prebind", true);
    let host = plan.set("sid", left.sid.clone()).set("rid", left.rid.to_string()).three().start().await;
    left.is_gone_on_with(&host).await;
}

/// Row 55.
/// Settings `prebind_url`.
#[tokio::test(flavor = "multi_thread")]
async fn a_session_is_fetched_where_there_is_no_password() {
    let left = Left::by_somebody().await;
    let (web, path) = web().await;
    web.put(&path, json!({ "jid": left.jid, "sid": left.sid, "rid": left.rid }).to_string());
    let plan = left.plan().await.set("allow_non_roster_messaging", true).set("prebind_url", web.url(&path));
    let host = plan.three().start().await;
    left.is_gone_on_with(&host).await;
    nobody_saw(&host, &[&path]).await;
}
