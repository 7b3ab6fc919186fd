//! `parlor explain` about a URL, as an owner asks it of a running host.

use parlor_tests::clerk::order;
use parlor_tests::host::Home;
use parlor_tests::plugins::built;
use parlor_tests::policy::Policy;
use parlor_tests::web::Web;
use serde_json::{Value, json};

use super::{SOON, ended, home, juliet, start};

/// Asks whether the plugin may request this URL.
async fn explained(home: &Home, url: &str) -> Value {
    ended(home.run(&["explain", "caller", "http.fetch", url, "--json"]).await.unwrap(), 0).json().unwrap()
}

/// Returns how often the plugin was `allowed` or `denied` that before, by the audit.
fn times(explained: &Value, outcome: &str) -> u64 {
    let asked = explained["asked"].as_array().unwrap().iter().filter(|one| one["outcome"] == outcome);
    asked.map(|one| one["count"].as_u64().unwrap()).sum()
}

#[tokio::test]
async fn explain_says_of_a_url_whether_how_often_it_was_asked_and_what_would_allow_it() {
    let (mut home, bot) = home().await;
    let web = Web::start().await.unwrap();
    web.put("/now", "sunny");
    home.set_web("ca_file", web.certificate().certificate_file.to_string_lossy().into_owned()).unwrap();
    let entry = home.install("caller", &built("caller").unwrap()).unwrap().set("chat", true);
    let entry = entry.grant("messages.read", &["@localhost"]).grant("messages.send", &["@localhost"]);
    let host = start(&home, &Policy::default().with("caller", entry)).await;
    host.wait_count("plugin running", &[("plugin", "caller")], 1, SOON).await.unwrap();
    let mut juliet = juliet().await;
    let (url, server) = (web.url("/now"), format!("https://{}", web.host()));
    let fetch = json!({ "url": url });

    let denied = order(&mut juliet, &bot.jid, "http.fetch", &fetch).await.unwrap();
    assert!(denied.get("err").is_some(), "{denied}");
    let mut now = explained(&home, &url).await;
    assert_eq!(now["about"]["allowed"], false, "{now}");
    assert_eq!((times(&now, "denied"), times(&now, "allowed")), (1, 0), "{now}");
    // The name of a server on this machine is one grant, and its address is another.
    for _ in 0..2 {
        let Some(remedy) = now["about"]["answers"][0]["remedy"].as_str() else { break };
        let grant = remedy.strip_prefix("parlor plugin grant caller ").unwrap_or_else(|| panic!("{now}"));
        ended(home.run(&["plugin", "grant", "caller", grant.trim_matches('\''), "--yes"]).await.unwrap(), 0);
        now = explained(&home, &url).await;
    }
    assert_eq!(
        (&now["about"]["allowed"], &now["about"]["answers"][0]["remedy"]),
        (&json!(true), &Value::Null),
        "{now}"
    );
    let answered = order(&mut juliet, &bot.jid, "http.fetch", &fetch).await.unwrap();
    assert_eq!(answered["ok"]["body"], "sunny", "{answered}");

    let text = ended(home.run(&["explain", "caller", "http.fetch", &url]).await.unwrap(), 0).stdout;
    assert!(text.starts_with(&format!("http.fetch GET {url}: yes, ")), "{text}");
    for words in
        [format!("  denied once on main: http.fetch GET {server}, "), format!("  allowed once on main: {server}, ")]
    {
        assert!(text.contains(&words), "no {words:?} in {text}");
    }
    // Another server was neither granted nor asked.
    let other = explained(&home, "https://elsewhere.example/now").await;
    assert_eq!((&other["about"]["allowed"], &other["asked"]), (&json!(false), &json!([])), "{other}");
    let remedy = other["about"]["answers"][0]["remedy"].as_str().unwrap_or_default();
    assert!(remedy.contains("https://elsewhere.example"), "{other}");
}
