//! Secret keys are in the data folder alone: neither in a log that says all, nor in what owners are shown, nor in a plugin.

use std::path::Path;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use jid::BareJid;
use parlor_e2ee::omemo::Device;
use parlor_store::{EncryptionKeeper, Store};
use parlor_tests::counterparts::Counterpart;
use parlor_tests::host::{Home, Server};
use parlor_tests::plugins::built;
use parlor_tests::policy::Policy;
use serde_json::json;

use super::{BOTH, finds, hears, person, plan, says};
use crate::archive::archive_is_known;
use crate::test_host::{BARE, FULL, SOON, prosody};

/// The place of the secret identity key in the state of a device: behind the version and the id.
const IDENTITY: std::ops::Range<usize> = 5..37;
/// The secret number of OTR is at the end of its state. It has 20 bytes, or fewer if the first ones are zero.
const OTR: usize = 16;

/// Reads the secret keys of an account whose host does not run: its identity key of OMEMO, that of OTR, and those of single
/// messages.
async fn secrets_of(home: &Path, account: &BareJid) -> Vec<Vec<u8>> {
    let store = Store::open(&home.join("data")).unwrap();
    let mut keeper = EncryptionKeeper::new(store.clone(), account);
    let kept = keeper.load().await.unwrap();
    drop(keeper);
    store.close().await;
    let state = kept.device.unwrap();
    // It is there: with another bit at either end, the device has another fingerprint, and not with one beside it.
    let fingerprint = |at: Option<(usize, u8)>| {
        let mut state = state.to_vec();
        if let Some((place, bit)) = at {
            state[place] ^= bit;
        }
        Device::from_bytes(&state).unwrap().fingerprint().to_hex()
    };
    for (place, bit, is_within) in [(4, 2, false), (5, 8, true), (36, 1, true), (37, 1, false)] {
        assert_eq!(fingerprint(Some((place, bit))) != fingerprint(None), is_within, "{place}");
    }
    let otr = kept.otr.unwrap();
    let mut secrets = vec![state[IDENTITY].to_vec(), otr[otr.len() - OTR..].to_vec()];
    secrets.extend(kept.message_keys.iter().map(|key| key.key.to_vec()));
    secrets
}

/// Lets a person begin OTR with the account.
async fn off_the_record(bot: &BareJid) -> Counterpart {
    let server = prosody().await;
    let mut romeo = Counterpart::otr(server, &server.fresh_account("romeo").unwrap()).await.unwrap();
    romeo.order("start", json!({ "to": bot.as_str() })).await.unwrap();
    super::otr::is(&mut romeo, "encrypted").await;
    romeo
}

/// Rows 87 and 172.
#[tokio::test(flavor = "multi_thread")]
async fn no_secret_key_is_in_a_log_that_says_all_or_shown_to_owners() {
    let server = prosody().await;
    let account = server.fresh_account("bot").unwrap();
    let mut home = Home::new().unwrap();
    home.add_account("main", &account, Server::StartTls(server.ports().starttls, server.certificate())).unwrap();
    home.set("allow_non_roster_messaging", true).unwrap();
    let echo = home.install("echo", &built("echo").unwrap()).unwrap();
    let echo = echo.grant("messages.read", &["*"]).grant("messages.send", &["*"]).grant("rooms.send", &["*"]);
    home.set_policy(&Policy::default().with("echo", echo)).unwrap();
    let mut host = home.start_with(&["--log", "trace"]).unwrap();
    host.wait_count("account connected", &[], 1, SOON).await.unwrap();
    let mut juliet = person("juliet").await;
    finds(&mut juliet, &account.jid, &BOTH).await;
    for namespace in BOTH {
        juliet.send_by(namespace, &account.jid, &format!("by {namespace}")).await.unwrap();
        assert_eq!(juliet.message(&format!("by {namespace}")).await.unwrap()["encryption"], "omemo");
    }
    let mut romeo = off_the_record(&account.jid).await;
    romeo.send(&account.jid, "nobody else hears").await.unwrap();
    assert_eq!(romeo.message("nobody else hears").await.unwrap()["encryption"], "otr");
    let mut shown = Vec::new();
    for line in [
        &["keys", "--json"][..],
        &["keys"],
        &["keys", "fingerprint"],
        &["status", "--json"],
        &["explain", "echo", "message"],
        &["audit", "--json"],
        &["doctor", "--offline"],
    ] {
        let ended = home.run(line).await.unwrap();
        shown.extend([ended.stdout, ended.stderr]);
    }
    host.stop(SOON).await.unwrap();
    tokio::time::timeout(SOON, host.log().ended()).await.unwrap();
    let lines = host.log().all();
    assert!(lines.iter().any(|line| line.contains("TRACE")), "the log does not say all");
    shown.push(lines.join("\n"));
    for secret in secrets_of(home.path(), &account.jid).await {
        let digits = hex::encode(&secret);
        for written in [BASE64_STANDARD.encode(&secret), digits.to_uppercase(), digits, format!("{secret:?}")] {
            // A longer text may contain it: without brackets, and without the last sign of base64, which depends on what
            // follows.
            let written = written.trim_matches(|sign| matches!(sign, '[' | ']' | '='));
            let written = &written[..written.len() - 1];
            let found = shown.iter().position(|text| text.contains(written));
            assert_eq!(found, None, "a key is in one of the texts");
        }
    }
}

/// Rows 87 and 172: not even a plugin that hears and sends these messages, with every grant.
#[tokio::test(flavor = "multi_thread")]
async fn no_secret_key_is_in_the_memory_of_a_plugin() {
    let mut host = plan().await.three().start().await;
    let bot = host.account().jid.clone();
    archive_is_known(&host).await;
    let mut juliet = person("juliet").await;
    finds(&mut juliet, &bot, &BOTH).await;
    let mut secrets = Vec::new();
    for round in 0..2 {
        let heard = host.listen(FULL, "message").await;
        for namespace in BOTH {
            juliet.send_by(namespace, &bot, "hello").await.unwrap();
            assert_eq!(hears(&host, heard).await["encryption"], "omemo");
        }
        says(&host, juliet.jid(), "and you?").await;
        juliet.message("and you?").await.unwrap();
        let mut romeo = off_the_record(&bot).await;
        romeo.send(&bot, "nobody else hears").await.unwrap();
        assert_eq!(hears(&host, heard).await["encryption"], "otr");
        if round == 0 {
            let (home, account) = (host.home.path().to_owned(), bot.clone());
            let meanwhile = async || {
                secrets = secrets_of(&home, &account).await;
            };
            host = host.restart_after(meanwhile).await;
        }
    }
    assert!(secrets.len() > 2, "no key of a message was kept");
    // The search finds what is there.
    let masked = |bytes: &[u8]| bytes.iter().map(|byte| byte ^ 0x5a).collect::<Vec<u8>>();
    host.call(FULL, "action.search", json!({ "masked": [masked(b"nobody else hears")] })).await.is(json!([0]));
    let words: Vec<_> = secrets.iter().map(|secret| masked(secret.as_slice())).collect();
    for plugin in [FULL, BARE] {
        host.call(plugin, "action.search", json!({ "masked": words })).await.is(json!([]));
    }
    host.stop().await;
}
