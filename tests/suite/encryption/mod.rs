//! End-to-end encryption, with independent clients: OMEMO by both of its namespaces, and OTR (rows 87, 88 and 172 of
//! `tests/conformance.toml`).

mod archives;
mod carbons;
mod disorder;
mod ejabberd;
mod files;
mod keys;
mod killed;
mod libotr;
mod omemo;
mod otr;
mod profanity;
mod rooms;
mod secret_keys;
mod trust;

use jid::BareJid;
use parlor_tests::counterparts::{AXOLOTL, Counterpart, OMEMO_2};
use parlor_tests::server::XmppServer;
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::test_host::{FULL, Plan, SOON, TestHost, prosody};

/// Both namespaces of OMEMO.
const BOTH: [&str; 2] = [AXOLOTL, OMEMO_2];

/// Returns the plan of a host that people outside of its roster may talk with.
async fn plan() -> Plan {
    plan_on(prosody().await)
}

/// Returns the same plan on this server.
fn plan_on(server: &XmppServer) -> Plan {
    Plan::on(server).set("allow_non_roster_messaging", true)
}

/// Logs in a person with OMEMO who knows both namespaces.
async fn person(name: &str) -> Counterpart {
    let server = prosody().await;
    Counterpart::omemo(server, &server.fresh_account(name).unwrap()).await.unwrap()
}

/// Logs in a person who knows one namespace of OMEMO.
async fn person_by(namespace: &str, name: &str) -> Counterpart {
    let server = prosody().await;
    Counterpart::omemo_by(namespace, server, &server.fresh_account(name).unwrap()).await.unwrap()
}

/// Waits until a client has found the keys of this account, by these namespaces.
async fn finds(client: &mut Counterpart, account: &BareJid, namespaces: &[&str]) {
    let wait = async {
        loop {
            let devices = client.order("devices", json!({ "jid": account.as_str() })).await.unwrap();
            let has = |device: &Value| namespaces.iter().all(|one| device["active"][*one] == true);
            if devices.as_array().is_some_and(|devices| devices.iter().any(has)) {
                return;
            }
        }
    };
    let is_found = timeout(SOON, wait).await.is_ok();
    assert!(is_found, "{account} publishes no keys by {namespaces:?}: {}", crate::trace::saying("publish"));
}

/// Waits for the next message that the plugin with every grant hears, and returns it.
async fn hears(host: &TestHost, order: u64) -> Value {
    host.heard(FULL, order).await["payload"]["message"].take()
}

/// Waits for the next undecryptable message that the plugin gets.
async fn cannot_read(host: &TestHost, order: u64) -> Value {
    host.heard(FULL, order).await["payload"]["undecryptable"].take()
}

/// Has the plugin send a message, which must succeed.
async fn says(host: &TestHost, to: &BareJid, body: &str) {
    host.call(FULL, "chats.send", json!({ "jid": to.as_str(), "body": body })).await.ok();
}

/// Returns the arguments of a message that must be encrypted.
fn required(to: &BareJid, body: &str) -> Value {
    json!({ "jid": to.as_str(), "body": body, "encryption": "required" })
}
