//! `parlor account`: accounts are listed, added after a log-in, and removed, while the host runs.

use parlor_tests::policy::Policy;

use super::{SOON, ended, home, start};
use crate::test_host::prosody;

#[tokio::test]
async fn an_account_is_added_listed_and_removed_while_the_host_runs() {
    let (home, bot) = home().await;
    let host = start(&home, &Policy::default()).await;
    let text = || std::fs::read_to_string(home.path().join("parlor.toml")).unwrap();
    let commented = format!("# Mine.\n{}", text());
    home.write("parlor.toml", &commented).unwrap();

    let prosody = prosody().await;
    let second = prosody.fresh_account("second").unwrap();
    let (jid, ca_file) = (second.jid.to_string(), prosody.certificate().certificate_file.display().to_string());
    let server = format!("127.0.0.1:{}", prosody.ports().starttls);
    let add =
        ["account", "add", "second", "--jid", &jid, "--password-stdin", "--server", &server, "--ca-file", &ca_file];
    let wrong = ended(home.run_with(&add, "wrong\n").await.unwrap(), 1);
    assert!(wrong.stderr.contains(&format!("{jid} cannot log in: ")), "{wrong:?}");
    assert_eq!(text(), commented);
    assert!(!home.path().join("second.password").exists(), "one that was only tried is not kept");
    let unasked = ended(home.run(&["account", "add", "second"]).await.unwrap(), 2);
    assert!(unasked.stderr.contains("say --jid"), "{unasked:?}");

    let added = ended(home.run_with(&add, &format!("{}\n", second.password)).await.unwrap(), 0).stdout;
    for words in ["logs in. Its server has:", "second is added to parlor.toml; the running host has applied it"] {
        assert!(added.contains(words), "no {words:?} in {added}");
    }
    host.wait_count("account connected", &[("account", "second")], 1, SOON).await.unwrap();
    assert!(text().starts_with(&commented), "{}", text());
    let list = ended(home.run(&["account", "list", "--json"]).await.unwrap(), 0).json().unwrap();
    assert_eq!((&list[0]["name"], &list[0]["jid"]), (&"main".into(), &bot.jid.to_string().into()));
    assert_eq!((&list[1]["name"], &list[1]["jid"]), (&"second".into(), &jid.as_str().into()));
    let table = ended(home.run(&["account", "list"]).await.unwrap(), 0).stdout;
    assert!(table.contains("second") && table.contains("password file"), "{table}");
    let again = ended(home.run(&add).await.unwrap(), 1);
    assert!(again.stderr.contains("there is an account second in parlor.toml already"), "{again:?}");

    let unasked = ended(home.run(&["account", "remove", "second"]).await.unwrap(), 3);
    assert!(unasked.stderr.contains("give --yes to remove second"), "{unasked:?}");
    let slip = ended(home.run(&["account", "remove", "secnd", "--yes"]).await.unwrap(), 1);
    assert!(slip.stderr.contains("did you mean \"second\"?"), "{slip:?}");
    let removed = ended(home.run(&["account", "remove", "second", "--yes", "--with-data"]).await.unwrap(), 0).stdout;
    assert!(removed.contains("second is removed from parlor.toml, with what the host kept for it"), "{removed}");
    host.wait_count("account removed", &[("account", "second")], 1, SOON).await.unwrap();
    assert!(text().starts_with("# Mine.\n") && !text().contains("second"), "{}", text());
    let only = ended(home.run(&["account", "remove", "main", "--yes"]).await.unwrap(), 1);
    assert!(only.stderr.contains("main is the only account"), "{only:?}");
    assert_eq!(host.lines("account connected", &[("account", "main")]).len(), 1, "the other one stayed connected");

    let audit = ended(home.run(&["audit", "--kind", "account", "--json"]).await.unwrap(), 0).json().unwrap();
    let ways: Vec<_> = audit["entries"].as_array().unwrap().iter().filter_map(|entry| entry["way"].as_str()).collect();
    for way in ["parlor account add", "parlor account remove"] {
        assert!(ways.contains(&way), "no {way:?} in {ways:?}");
    }
}
