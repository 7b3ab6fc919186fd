//! `parlor account`: accounts are listed, added after a log-in or by a file, and removed, while the host runs.

use parlor_tests::host::{Finished, Home, Host};
use parlor_tests::policy::Policy;
use parlor_tests::prosody::Account;

use super::accounts::answers_once_there;
use super::{SOON, echo, ended, home, juliet, start, start_and_compile};
use crate::test_host::prosody;

#[tokio::test]
async fn an_account_is_added_listed_and_removed_while_the_host_runs() {
    let (home, bot) = home().await;
    let text = || std::fs::read_to_string(home.path().join("parlor.toml")).unwrap();
    // The commands have the host read what they wrote.
    home.write("parlor.toml", &format!("watch = false\n{}", text())).unwrap();
    let host = start(&home, &Policy::default()).await;
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
    assert!(added.contains("\nits password is in second.password"), "{added}");
    host.wait_count("account connected", &[("account", "second")], 1, SOON).await.unwrap();
    assert!(text().starts_with(&commented), "{}", text());
    let list = ended(home.run(&["account", "list", "--json"]).await.unwrap(), 0).json().unwrap();
    assert_eq!((&list[0]["name"], &list[0]["jid"]), (&"main".into(), &bot.jid.to_string().into()));
    assert_eq!((&list[1]["name"], &list[1]["jid"]), (&"second".into(), &jid.as_str().into()));
    let table = ended(home.run(&["account", "list"]).await.unwrap(), 0).stdout;
    assert!(table.starts_with("ACCOUNT ") && table.contains("second") && table.contains("password file"), "{table}");
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
    // The host that has read the files found nothing that it took for an edit.
    assert_eq!(ways, ["parlor account add", "parlor account remove"]);
}

#[tokio::test]
async fn the_first_account_is_added_to_groups_that_have_none() {
    let home = Home::new().unwrap();
    home.write("parlor.toml", "# Mine.\n").unwrap();
    home.write("accounts.toml", "[group.cl]\n").unwrap();
    home.write("first.secret", "secret\n").unwrap();
    let add =
        ["account", "add", "first", "--jid", "first@example.org", "--group", "cl", "--password-file", "first.secret"];
    let added = ended(home.run(&[&add[..], &["--offline"]].concat()).await.unwrap(), 0).stdout;
    assert!(added.contains("first is added to accounts.toml; the host is stopped"), "{added}");
    let names = ended(home.run(&["account", "list", "--names"]).await.unwrap(), 0).stdout;
    assert_eq!(names.trim_end(), "first");
}

#[tokio::test]
async fn what_another_account_uses_is_not_removed() {
    let (home, bot) = home().await;
    home.set_policy(&Policy::default()).unwrap();
    let text = std::fs::read_to_string(home.path().join("parlor.toml")).unwrap();
    let text = text.replace(&format!("\"{}\"", bot.jid), &format!("\"{}/main\"", bot.jid));
    let text = format!("{text}\n[account.other]\njid = \"{}/other\"\npassword_env = \"NONE\"\n", bot.jid);
    home.write("parlor.toml", &text).unwrap();
    let refused = ended(home.run(&["account", "remove", "other", "--yes", "--with-data"]).await.unwrap(), 1);
    assert!(refused.stderr.contains("the account main has the same address"), "{refused:?}");
    assert_eq!(std::fs::read_to_string(home.path().join("parlor.toml")).unwrap(), text);
    let removed = ended(home.run(&["account", "remove", "other", "--yes"]).await.unwrap(), 0).stdout;
    assert!(removed.contains("what the host kept for it stays, since main uses it"), "{removed}");
}

/// How many accounts are imported.
const MANY: usize = 30;

/// A running host with a group of accounts, which has none yet, and a plugin that is to run on the group.
struct Fleet {
    home: Home,
    host: Host,
    /// The group's settings: the way to the server.
    way: String,
    /// The accounts that are to come.
    accounts: Vec<Account>,
}

impl Fleet {
    async fn new() -> Self {
        let (home, _) = home().await;
        let prosody = prosody().await;
        let way = format!(
            "server = \"127.0.0.1:{}\"\nca_file = \"{}\"\n",
            prosody.ports().starttls,
            prosody.certificate().certificate_file.display()
        );
        let text = std::fs::read_to_string(home.path().join("parlor.toml")).unwrap();
        home.write("parlor.toml", &format!("# Mine.\n{text}\n[group.support]\n{way}")).unwrap();
        let mut of_group = echo(&home);
        of_group.accounts = Some(vec!["group:support".to_owned()]);
        home.set_policy(&Policy::default().with("echo", of_group)).unwrap();
        let host = start_and_compile(&home).await;
        let accounts = (0..MANY).map(|_| prosody.fresh_account("many").unwrap()).collect();
        Self { home, host, way, accounts }
    }

    fn text(&self) -> String {
        std::fs::read_to_string(self.home.path().join("parlor.toml")).unwrap()
    }

    fn name(&self, number: usize) -> String {
        self.accounts[number].jid.node().unwrap().to_string()
    }

    /// Writes a file of the accounts, these of them in a group that does not exist.
    fn write(&self, file: &str, bad: &[usize]) {
        let line = |(number, account): (usize, &Account)| {
            let group = if bad.contains(&number) { "nowhere" } else { "support" };
            format!("{},{group},{}\n", account.jid, account.password)
        };
        let lines = self.accounts.iter().enumerate().map(line);
        let csv: String = std::iter::once("jid,group,password\n".to_owned()).chain(lines).collect();
        self.home.write(file, &csv).unwrap();
    }

    async fn run(&self, arguments: &[&str], code: i32) -> Finished {
        ended(self.home.run(arguments).await.unwrap(), code)
    }
}

#[tokio::test]
async fn thirty_accounts_of_a_group_are_imported_and_a_plugin_of_the_group_answers_on_each() {
    let fleet = Fleet::new().await;
    let idle = fleet.run(&["status", "echo", "--json"], 0).await.json().unwrap();
    assert_eq!((&idle[0]["state"], &idle[0]["account"]), (&"stopped".into(), &serde_json::Value::Null), "{idle}");
    bad_lines_change_nothing(&fleet).await;
    an_import_logs_in_and_counts_once(&fleet).await;
    many_accounts_are_shown_in_short(&fleet).await;
    a_plugin_follows_the_group(&fleet).await;
}

async fn bad_lines_change_nothing(fleet: &Fleet) {
    let before = fleet.text();
    fleet.write("bad.csv", &[3, 29]);
    let refused = fleet.run(&["account", "import", "bad.csv"], 1).await;
    for words in ["because of 2 bad lines in bad.csv", "lines 5, 31: there is no such group in parlor.toml"] {
        assert!(refused.stderr.contains(words), "no {words:?} in {refused:?}");
    }
    let shown = fleet.run(&["account", "import", "bad.csv", "--json"], 1).await.json().unwrap();
    assert_eq!(shown["errors"].as_array().unwrap().iter().map(|one| &one["line"]).collect::<Vec<_>>(), [5, 31]);
    fleet.write("accounts.csv", &[]);
    let dry = fleet.run(&["account", "import", "accounts.csv", "--dry-run"], 0).await.stdout;
    for words in ["30 accounts would be added to parlor.toml, 0 there already", "echo would run on 30 of them"] {
        assert!(dry.contains(words), "no {words:?} in {dry}");
    }
    assert_eq!(fleet.text(), before);
    assert!(!fleet.home.password_file(&fleet.name(0)).exists());
}

async fn an_import_logs_in_and_counts_once(fleet: &Fleet) {
    let (before, host) = (fleet.text(), &fleet.host);
    let import = ["account", "import", "accounts.csv"];
    let added = fleet.run(&import, 0).await;
    for words in ["30 accounts added to parlor.toml", "the running host has applied it", "rm accounts.csv"] {
        assert!(added.stdout.contains(words), "no {words:?} in {added:?}");
    }
    let after = fleet.text();
    assert!(after.starts_with(&before), "{after}");
    let shown = format!("{}{}{after}", added.stdout, added.stderr);
    assert!(!fleet.accounts.iter().any(|one| shown.contains(&one.password)), "a password is shown: {shown}");
    let mut juliet = juliet().await;
    for (number, account) in fleet.accounts.iter().enumerate() {
        let name = fleet.name(number);
        host.wait_count("account connected", &[("account", &name)], 1, SOON).await.unwrap();
        host.wait_count("plugin running", &[("account", &name)], 1, SOON).await.unwrap();
        answers_once_there(&mut juliet, &account.jid, "hello").await;
    }
    assert!(host.lines("plugin running", &[("account", "main")]).is_empty(), "{}", host.log().tail());
    // All accounts share what was compiled once.
    assert_eq!(host.lines("plugin compiled", &[("plugin", "echo")]).len(), 1, "{}", host.log().tail());
    let again = fleet.run(&import, 0).await.stdout;
    assert!(again.contains("all 30 are in parlor.toml already; nothing was changed"), "{again}");
    assert_eq!(fleet.text(), after);
}

async fn many_accounts_are_shown_in_short(fleet: &Fleet) {
    let status = fleet.run(&["status"], 0).await.stdout;
    let row = |begin: &str| -> Vec<&str> {
        let line = status.lines().find(|line| line.starts_with(begin));
        line.unwrap_or_default().split_whitespace().take(3).collect()
    };
    assert_eq!((row("support"), row("echo")), (vec!["support", "30", "30"], vec!["echo", "0.1.0", "30"]), "{status}");
    assert!(status.lines().count() < 20, "{status}");
    let page = fleet.run(&["status", "--group", "support", "--page", "2"], 0).await.stdout;
    assert!(page.contains("accounts 21 to 30 of 30"), "{page}");
    let behind = fleet.run(&["status", "--group", "support", "--page", "3"], 0).await.stdout;
    assert!(behind.ends_with("\n\naccounts on page 3: none of 30\n") && !behind.contains("like that"), "{behind}");
    for command in [&["status"][..], &["status", "echo"], &["account", "list"]] {
        let typo = fleet.run(&[command, &["--group", "suport"]].concat(), 1).await.stderr;
        assert!(typo.contains("there is no group suport") && typo.contains("did you mean \"support\"?"), "{typo}");
    }
    for (flags, count) in [
        ("--group support --state connected", MANY),
        ("--state away", 0),
        ("--match mai*", 1),
        ("--group support --limit 7", 7),
        ("", MANY + 1),
    ] {
        for command in ["status", "account list"] {
            let words: Vec<_> = command.split(' ').chain(["--json"]).chain(flags.split_whitespace()).collect();
            let shown = fleet.run(&words, 0).await.json().unwrap();
            let all = shown.get("accounts").unwrap_or(&shown).as_array().unwrap().len();
            assert_eq!(all, count, "{words:?}: {shown}");
        }
    }
}

/// A plugin runs where the group says, also when that changes, and is not taken from one of its accounts alone.
async fn a_plugin_follows_the_group(fleet: &Fleet) {
    let (text, host, name) = (fleet.text(), &fleet.host, fleet.name(0));
    let (before, after) = text.split_once(&format!("[account.{name}]\n")).unwrap();
    let leaves = after.replacen("group = \"support\"\n", &fleet.way, 1);
    fleet.home.write("parlor.toml", &format!("{before}[account.{name}]\n{leaves}")).unwrap();
    host.wait_count("plugin stopped", &[("account", &name)], 1, SOON).await.unwrap();
    assert_eq!(host.lines("account connected", &[("account", &name)]).len(), 1, "{}", host.log().tail());

    let shown = fleet.run(&["plugin", "accounts", "echo"], 0).await.stdout;
    assert!(shown.contains("echo runs on accounts that join the group support later, too"), "{shown}");
    let second = fleet.name(1);
    for (more, code, words) in [
        (["--remove", second.as_str()], 2, "because its accounts name group:support"),
        (["--add", "later-*"], 3, "to let echo run on accounts that are named like later-* later"),
        (["--add", "group:suport"], 1, "in parlor.toml; known are support, did you mean \"support\"?"),
        (["--remove", "group:suport"], 1, "there is no group suport in parlor.toml; known are support"),
        (["--remove", "nobody-here"], 1, "there is no account nobody-here in parlor.toml"),
    ] {
        let refused = fleet.run(&[&["plugin", "accounts", "echo"][..], &more].concat(), code).await.stderr;
        assert!(refused.contains(words), "no {words:?} in {refused}");
    }
}
