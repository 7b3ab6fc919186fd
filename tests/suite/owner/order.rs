//! `parlor plugin order`: which plugins are hooks, and in which order they are asked.

use jid::Jid;
use parlor_tests::plugins::built;
use parlor_tests::policy::Policy;
use serde_json::{Value, json};

use super::{SOON, echo, ended, home, juliet, start};

/// The plugin that is put into an order does not listen as a hook, so the owner's rule stops what others send.
#[tokio::test]
async fn an_order_of_hooks_is_set_by_a_command_counts_at_once_and_is_recorded() {
    let (home, _) = home().await;
    let caller = home.install("caller", &built("caller").unwrap()).unwrap().set("chat", true);
    let caller = caller.grant("messages.read", &["*"]).grant("messages.send", &["*"]);
    let rule = "on_failure = \"stop\"".parse().unwrap();
    let mut other = home.install("other", &built("caller").unwrap()).unwrap();
    other.enabled = false;
    let policy = Policy::default().with("echo", echo(&home)).with("caller", caller).with("other", other).hooks(rule);
    let host = start(&home, &policy).await;
    host.wait_count("plugin running", &[], 2, SOON).await.unwrap();
    let bot: Jid = host.lines("account connected", &[])[0].get("jid").parse().unwrap();
    let mut juliet = juliet().await;
    let order = async |arguments: &[&str]| home.run(&[&["plugin", "order"][..], arguments].concat()).await.unwrap();
    assert_eq!(ended(order(&[]).await, 0).stdout, "no plugin is a hook\n");

    let told = ended(order(&["outgoing", "caller"]).await, 0).stdout;
    assert!(told.starts_with("caller is asked about what others send; the running host has applied it"), "{told}");
    assert!(told.contains("so counts as one that does not answer: the message is stopped"), "{told}");
    juliet.chat(bot.clone(), "stopped").await.unwrap();
    let stopped = [("plugin", "caller"), ("hook", "outgoing")];
    host.wait_count("a hook gave no verdict, so on_failure decided", &stopped, 1, SOON).await.unwrap();
    let doctor = home.run(&["doctor", "--offline"]).await.unwrap().stdout;
    assert!(doctor.contains("caller is in the order outgoing, and was not granted hooks.outgoing"), "{doctor}");
    let shown = ended(order(&[]).await, 0).stdout;
    assert!(shown.contains("outgoing  1      caller  not granted\n"), "{shown}");
    let both = ended(order(&["commands", "caller", "other", "--json"]).await, 0).json().unwrap();
    assert_eq!(both["commands"][1], json!({ "plugin": "other", "state": "disabled" }));
    assert_eq!((&both["host"], &both["on_failure"]), (&json!("applied"), &json!("stop")));
    assert!(ended(order(&["commands", "caller", "other"]).await, 0).stdout.contains("already"));

    for (arguments, code, reason) in [
        (&["outgoing", "callr"][..], 1, "there is no plugin callr"),
        (&["outgoing", "caller", "caller"], 1, "caller is named twice"),
        (&["outgoing", "caller", "echo"], 1, "echo cannot be in this order: it does not ask for hooks.outgoing"),
        (&["outgoin", "echo"], 2, "it is outgoing, incoming or commands"),
        (&["--none"], 2, "required"),
    ] {
        let refused = ended(order(arguments).await, code);
        assert!(refused.stderr.contains(reason), "{refused:?}");
    }

    ended(order(&["commands", "--none"]).await, 0);
    let none = ended(order(&["outgoing", "--none"]).await, 0).stdout;
    assert!(none.starts_with("no plugin is asked about what others send; "), "{none}");
    juliet.chat(bot.clone(), "passes").await.unwrap();
    juliet.wait_body(&bot.to_bare(), "passes", SOON).await.unwrap();
    let audit = ended(home.run(&["audit", "--json"]).await.unwrap(), 0).json().unwrap();
    let entries = audit["entries"].as_array().unwrap();
    let changes: Vec<_> = entries.iter().filter(|entry| entry["what"] == "order of hooks").collect();
    let of_command = |entry: &&&Value| entry["way"] == "parlor plugin order";
    assert_eq!(changes.iter().filter(of_command).count(), 4, "{changes:#?}");
    assert_eq!(changes.last().unwrap()["old"], "outgoing: caller; 50 ms, then stop");
    assert_eq!(changes.last().unwrap()["new"], "50 ms, then stop");
}
