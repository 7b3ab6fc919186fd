//! Changes from the pages count at once, and are in the audit with the session that made them.

use parlor_tests::window::Form;
use serde_json::Value;

use super::super::ended;
use super::House;

/// Returns the last entry about this.
#[track_caller]
fn find<'a>(entries: &'a [Value], what: &str) -> &'a Value {
    let found = entries.iter().rev().find(|entry| entry["what"] == what);
    found.unwrap_or_else(|| panic!("no {what:?} in {entries:#?}"))
}

#[tokio::test]
async fn a_change_counts_at_once_and_the_audit_says_whose_session_it_was() {
    let house = House::open().await;
    let link = parlor_tests::window::link(&house.home, &["--role", "owner", "--name", "ann"]).await.unwrap();
    let ann = house.window.guest().log_in(&link).await.unwrap();
    for (action, fields, what) in [
        ("/plugins/echo/restart", &[][..], "restarted"),
        ("/plugins/echo/disable", &[][..], "enabled"),
        ("/plugins/echo/enable", &[][..], "enabled"),
        ("/plugins/echo/settings", &[("set.room_prefix", "say ")][..], "setting room_prefix"),
    ] {
        let done = ann.change("/plugins/echo", action, fields).await.unwrap();
        assert_eq!(done.status, 303, "{action}: {done:?}");
        let next = ann.page(done.header("location")).await.unwrap();
        assert!(next.body.contains("id=\"notice\""), "{action}: {}", next.body);
        let entries = house.audit().await;
        let entry = find(&entries, what);
        assert!(entry["who"].as_str().unwrap().contains("ann"), "{entry}");
        assert_eq!(entry["way"], "parlor web", "{entry}");
    }
    let entries = house.audit().await;
    let prefix = find(&entries, "setting room_prefix");
    assert_eq!((&prefix["old"], &prefix["new"]), (&Value::Null, &"\"say \"".into()), "{prefix}");
    let status = ended(house.home.run(&["status", "--json"]).await.unwrap(), 0).json().unwrap();
    assert_eq!(status["plugins"][0]["state"], "running", "{status}");
    let text = std::fs::read_to_string(house.home.path().join("plugins.toml")).unwrap();
    assert!(text.contains("room_prefix = \"say \""), "{text}");
}

#[tokio::test]
async fn a_change_that_nobody_agreed_to_is_none() {
    let house = House::open().await;
    let owner = house.log_in("owner").await;
    let before = std::fs::read_to_string(house.home.path().join("plugins.toml")).unwrap();
    for action in ["restart", "disable", "remove"] {
        let path = format!("/plugins/echo/{action}");
        let form = owner.form("/plugins/echo", &path).await.unwrap();
        for agreed in [None, Some("no"), Some(""), Some("YES")] {
            let mut form = form.clone();
            if let Some(agreed) = agreed {
                form.set("agreed", agreed);
            }
            let asks = owner.send_form(&form, "/plugins/echo").await.unwrap();
            assert!(asks.status == 200 && asks.body.contains("id=\"confirm\""), "{action} {agreed:?}: {asks:?}");
        }
    }
    assert_eq!(std::fs::read_to_string(house.home.path().join("plugins.toml")).unwrap(), before);
    let by_web = house.audit().await.into_iter().filter(|entry| entry["way"] == "parlor web").count();
    assert_eq!(by_web, 0);
}

#[tokio::test]
async fn settings_that_are_refused_stay_in_their_form() {
    let house = House::open().await;
    let owner = house.log_in("owner").await;
    let action = "/plugins/echo/settings";
    let token = owner.csrf("/plugins/echo", action).await.unwrap();
    // It does not say what its page showed.
    let fields = [("csrf", token.as_str()), ("set.room_prefix", "say <b>")];
    let refused = owner.post(action, &fields).await.unwrap();
    assert!(refused.status == 400 && refused.body.contains("id=\"problem\""), "{refused:?}");
    assert!(refused.body.contains("value=\"say &lt;b&gt;\""), "{refused:?}");
    let form = Form::all(&refused.body).into_iter().find(|form| form.action == action).unwrap();
    let asks = owner.send_form(&form, action).await.unwrap();
    assert!(asks.status == 200 && asks.body.contains("id=\"confirm\""), "{asks:?}");
}
