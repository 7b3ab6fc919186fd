//! Commands of an owner from an ordinary client, as ad-hoc commands (XEP-0050), and refusals of others.

use jid::{BareJid, Jid};
use parlor_tests::client::Client;
use parlor_tests::host::{Home, Host};
use parlor_tests::policy::{Entry, Policy};
use tokio_xmpp::Stanza;
use tokio_xmpp::minidom::Element;
use xmpp_parsers::iq::Iq;

use super::accounts::another;
use super::{SOON, echo, ended, home, juliet, start};
use crate::test_host::prosody;

const COMMANDS: &str = "http://jabber.org/protocol/commands";
const FORMS: &str = "jabber:x:data";

/// Builds a command with these attributes.
fn put(to: &Jid, attributes: &str, plugin: Option<&str>) -> Iq {
    let filled = plugin.map_or_else(String::new, |plugin| {
        format!("<x xmlns='{FORMS}' type='submit'><field var='plugin'><value>{plugin}</value></field></x>")
    });
    let payload = format!("<command xmlns='{COMMANDS}' {attributes}>{filled}</command>").parse().unwrap();
    Iq::Set { from: None, to: Some(to.clone()), id: String::new(), payload }
}

async fn ask(client: &mut Client, request: Iq) -> Result<Element, String> {
    client.ask(request, SOON).await.map(|answer| answer.unwrap()).map_err(|error| format!("{error:?}"))
}

/// Begins a command.
pub(crate) async fn begin(client: &mut Client, to: &Jid, node: &str) -> Result<Element, String> {
    ask(client, put(to, &format!("node='{node}' action='execute'"), None)).await
}

/// Chooses a plugin for a command that has begun.
async fn choose(client: &mut Client, to: &Jid, begun: &Element, plugin: &str) -> Result<Element, String> {
    let (node, session) = (begun.attr("node").unwrap(), begun.attr("sessionid").unwrap());
    ask(client, put(to, &format!("node='{node}' sessionid='{session}' action='complete'"), Some(plugin))).await
}

/// Runs both steps of a command, and returns its note.
pub(crate) async fn done(client: &mut Client, to: &Jid, node: &str, plugin: &str) -> String {
    let begun = begin(client, to, node).await.unwrap();
    assert_eq!(begun.attr("status"), Some("executing"));
    note(&choose(client, to, &begun, plugin).await.unwrap())
}

/// Returns the note of a command that has ended.
pub(crate) fn note(answer: &Element) -> String {
    assert_eq!(answer.attr("status"), Some("completed"), "{answer:?}");
    answer.get_child("note", COMMANDS).unwrap().text()
}

/// Starts a host with echo and this owner.
pub(super) async fn owned(owner: &BareJid) -> (Home, Host, Jid) {
    let (home, _) = home().await;
    let config = std::fs::read_to_string(home.path().join("parlor.toml")).unwrap();
    let owners = format!("[account.main]\nowners = [\"{owner}\"]\n");
    home.write("parlor.toml", &config.replacen("[account.main]\n", &owners, 1)).unwrap();
    let host = start(&home, &Policy::default().with("echo", echo(&home))).await;
    let line = host.wait_count("account connected", &[], 1, SOON).await.unwrap();
    let bot: Jid = line.get("jid").parse().unwrap();
    (home, host, bot)
}

#[tokio::test]
async fn an_owner_does_the_safe_part_and_nobody_else_anything() {
    let (mut owner, mut stranger) = (juliet().await, juliet().await);
    let (home, mut host, bot) = owned(&owner.jid().to_bare()).await;
    let items = |to: &Jid| {
        let payload = format!("<query xmlns='http://jabber.org/protocol/disco#items' node='{COMMANDS}'/>");
        Iq::Get { from: None, to: Some(to.clone()), id: String::new(), payload: payload.parse().unwrap() }
    };
    let menu = owner.ask(items(&bot), SOON).await.unwrap().unwrap();
    let nodes: Vec<_> = menu.children().filter_map(|item| item.attr("node")).collect();
    assert_eq!(nodes, ["status", "list", "enable", "disable", "restart", "keys", "trust", "distrust"]);
    assert!(menu.children().all(|item| item.attr("jid") == Some(bot.as_str())), "{menu:?}");
    assert!(stranger.ask(items(&bot), SOON).await.is_err());
    for node in ["status", "list", "disable", "restart", "keys", "trust", "distrust", "grant"] {
        let refused = begin(&mut stranger, &bot, node).await.unwrap_err();
        assert!(refused.contains("ServiceUnavailable"), "{refused}");
    }

    let status = note(&begin(&mut owner, &bot, "status").await.unwrap());
    assert!(status.contains("account main: connected") && status.contains("echo 0.1.0 on main is running"), "{status}");
    let form = begin(&mut owner, &bot, "disable").await.unwrap();
    assert_eq!(form.attr("status"), Some("executing"));
    let field = form.get_child("x", FORMS).unwrap().get_child("field", FORMS).unwrap();
    assert_eq!((field.attr("var"), field.attr("type")), (Some("plugin"), Some("list-single")));
    assert!(field.children().any(|one| one.attr("label") == Some("echo")), "{form:?}");
    let disabled = note(&choose(&mut owner, &bot, &form, "echo").await.unwrap());
    assert_eq!(disabled, "echo 0.1.0 on main is disabled");
    assert!(std::fs::read_to_string(home.path().join("plugins.toml")).unwrap().contains("enabled = false"));
    let enabled = done(&mut owner, &bot, "enable", "echo").await;
    assert_eq!(enabled, "echo 0.1.0 on main is running");
    host.wait_count("plugin running", &[("plugin", "echo")], 2, SOON).await.unwrap();
    done(&mut owner, &bot, "restart", "echo").await;
    host.wait_count("plugin running", &[("plugin", "echo")], 3, SOON).await.unwrap();

    // There are no commands for grants or installing, and an unknown plugin is reported.
    for node in ["grant", "add", "update", "remove", "config", ""] {
        let unknown = begin(&mut owner, &bot, node).await.unwrap_err();
        assert!(unknown.contains("ItemNotFound"), "{node}: {unknown}");
    }
    for plugin in ["ehco", "../../etc/passwd", ""] {
        let begun = begin(&mut owner, &bot, "disable").await.unwrap();
        let missing = choose(&mut owner, &bot, &begun, plugin).await.unwrap();
        let note = missing.get_child("note", COMMANDS).unwrap();
        assert_eq!(note.attr("type"), Some("error"), "{plugin}: {missing:?}");
    }
    assert_eq!(host.lines("account connected", &[]).len(), 1);
    ended(home.run(&["status"]).await.unwrap(), 0);
    assert!(host.stop(SOON).await.unwrap().success(), "{}", host.log().tail());
}

/// A hoster runs accounts of several customers in one process.
#[tokio::test]
async fn an_owner_of_one_account_sees_and_changes_nothing_of_others() {
    let (mut owner, mut romeo) = (juliet().await, juliet().await);
    let (mut home, _) = home().await;
    another(&mut home, "second").await;
    let bare = |client: &Client| client.jid().to_bare().to_string();
    home.amend("main", "owners", Some(vec![bare(&owner)].into())).unwrap();
    home.amend("second", "owners", Some(vec![bare(&romeo)].into())).unwrap();
    let on = |account: &str| Entry { accounts: Some(vec![account.to_owned()]), ..echo(&home) };
    let policy = Policy::default().with("juliets", on("main")).with("romeos", on("second")).with("shared", echo(&home));
    let host = start(&home, &policy).await;
    host.wait_count("plugin running", &[], 4, SOON).await.unwrap();
    host.wait_count("account connected", &[], 2, SOON).await.unwrap();
    let jid = |account: &str| -> Jid {
        host.lines("account connected", &[("account", account)])[0].get("jid").parse().unwrap()
    };
    let (main, second) = (jid("main"), jid("second"));

    for node in ["status", "list"] {
        let seen = note(&begin(&mut owner, &main, node).await.unwrap());
        assert!(seen.contains("juliets 0.1.0 on main is running") && seen.contains("shared 0.1.0 on main"), "{seen}");
        assert!(!seen.contains("second") && !seen.contains("romeos"), "{seen}");
    }
    assert!(begin(&mut owner, &second, "status").await.unwrap_err().contains("ServiceUnavailable"));
    let form = begin(&mut owner, &main, "disable").await.unwrap();
    let field = form.get_child("x", FORMS).unwrap().get_child("field", FORMS).unwrap();
    let offered: Vec<_> = field.children().filter_map(|option| option.attr("label")).collect();
    assert_eq!(offered, ["juliets"]);
    for node in ["disable", "restart", "enable"] {
        for (plugin, says) in [
            ("romeos", "there is no plugin romeos on your accounts"),
            ("romeo", "there is no plugin romeo on your accounts"),
            ("shared", "plugin shared also runs, or may run, on accounts that are not yours"),
        ] {
            let begun = begin(&mut owner, &main, node).await.unwrap();
            let refused = note(&choose(&mut owner, &main, &begun, plugin).await.unwrap());
            assert!(refused.starts_with(says), "{node}: {refused}");
        }
    }
    assert!(!std::fs::read_to_string(home.path().join("plugins.toml")).unwrap().contains("enabled = false"));
    assert_eq!(host.lines("plugin running", &[]).len(), 4, "{}", host.log().tail());
    assert_eq!(done(&mut owner, &main, "disable", "juliets").await, "juliets 0.1.0 on main is disabled");

    // A fault of the files is for somebody who owns all accounts.
    let file = home.path().join("plugins.toml");
    let whole = std::fs::read_to_string(&file).unwrap();
    home.write("plugins.toml", "[plugin.romeos").unwrap();
    host.wait_count("the policy was not read; nothing has changed", &[], 1, SOON).await.unwrap();
    let seen = note(&begin(&mut owner, &main, "status").await.unwrap());
    assert!(!seen.contains("does not count as it is written"), "{seen}");
    home.write("plugins.toml", &whole).unwrap();
    let both = vec![bare(&owner), bare(&romeo)];
    home.amend("main", "owners", Some(both.into())).unwrap();
    host.wait_count("configuration read again", &[], 1, SOON).await.unwrap();
    let seen = note(&begin(&mut romeo, &second, "status").await.unwrap());
    assert!(seen.contains("account main: connected") && seen.contains("account second: connected"), "{seen}");
    done(&mut romeo, &second, "restart", "shared").await;
}

/// The server that brings such a command could have made it up, and so have its own key trusted.
#[tokio::test]
async fn an_owner_sees_keys_and_trusts_one_only_where_the_configuration_lets_chat_do_that() {
    let mut owner = juliet().await;
    let (home, host, bot) = owned(&owner.jid().to_bare()).await;
    let keys = note(&begin(&mut owner, &bot, "keys").await.unwrap());
    assert!(keys.starts_with("account main, blind trust"), "{keys}");
    let refused = note(&begin(&mut owner, &bot, "trust").await.unwrap());
    assert!(refused.contains("set trust_by_chat = true under [account.main.encryption]"), "{refused}");
    assert!(refused.contains("`parlor keys main trust`"), "{refused}");
    // A second step without a first one is refused, too, for any command.
    let attributes = "node='trust' sessionid='parlor' action='complete'";
    assert!(ask(&mut owner, put(&bot, attributes, None)).await.unwrap_err().contains("bad-sessionid"));
    let none = note(&begin(&mut owner, &bot, "distrust").await.unwrap());
    assert_eq!(none, "no key to distrust");

    let config = std::fs::read_to_string(home.path().join("parlor.toml")).unwrap();
    let lets = format!("{config}\n[account.main.encryption]\ntrust_by_chat = true\n");
    home.write("parlor.toml", &lets).unwrap();
    host.wait_count("configuration read again", &[], 1, SOON).await.unwrap();
    let none = note(&begin(&mut owner, &bot, "trust").await.unwrap());
    assert_eq!(none, "no key to trust");
    assert!(host.lines("an owner decided about a key", &[]).is_empty());
}

#[tokio::test]
async fn what_is_forged_replayed_or_somebody_elses_is_refused() {
    let account = prosody().await.fresh_account("juliet").unwrap();
    let connector = prosody().await.connector().unwrap();
    let mut owner = Client::login(&connector, &account, "balcony").await.unwrap();
    let mut elsewhere = Client::login(&connector, &account, "chamber").await.unwrap();
    let (home, host, bot) = owned(&owner.jid().to_bare()).await;

    // The first step always asks, even if the form is filled in. A second step must belong to a first one.
    let filled = ask(&mut owner, put(&bot, "node='disable' action='complete'", Some("echo"))).await.unwrap();
    assert_eq!(filled.attr("status"), Some("executing"));
    for session in ["parlor", "", "00000000000000000000000000000000"] {
        let attributes = format!("node='disable' sessionid='{session}' action='complete'");
        let refused = ask(&mut owner, put(&bot, &attributes, Some("echo"))).await.unwrap_err();
        assert!(refused.contains("BadRequest") && refused.contains("bad-sessionid"), "{refused}");
    }
    // The session is refused to another client of the owner's, to another command, and a second time.
    let begun = begin(&mut owner, &bot, "disable").await.unwrap();
    let refused = choose(&mut elsewhere, &bot, &begun, "echo").await.unwrap_err();
    assert!(refused.contains("bad-sessionid"), "{refused}");
    let attributes = format!("node='restart' sessionid='{}' action='complete'", begun.attr("sessionid").unwrap());
    assert!(ask(&mut owner, put(&bot, &attributes, Some("echo"))).await.unwrap_err().contains("bad-sessionid"));
    let attributes = format!("node='disable' sessionid='{}' action='cancel'", begun.attr("sessionid").unwrap());
    assert_eq!(ask(&mut owner, put(&bot, &attributes, None)).await.unwrap().attr("status"), Some("canceled"));
    assert!(choose(&mut owner, &bot, &begun, "echo").await.unwrap_err().contains("bad-sessionid"));
    let begun = begin(&mut owner, &bot, "disable").await.unwrap();
    for action in ["prev", "next"] {
        let attributes = format!("node='disable' sessionid='{}' action='{action}'", begun.attr("sessionid").unwrap());
        let refused = ask(&mut owner, put(&bot, &attributes, Some("echo"))).await.unwrap_err();
        assert!(refused.contains("bad-action"), "{action}: {refused}");
    }
    // The refused action did not affect the command that has begun.
    let attributes = format!("node='disable' sessionid='{}' action='odd'", begun.attr("sessionid").unwrap());
    assert!(ask(&mut owner, put(&bot, &attributes, None)).await.unwrap_err().contains("malformed-action"));
    let attributes = format!("node='disable' sessionid='{}' action='cancel'", begun.attr("sessionid").unwrap());
    assert_eq!(ask(&mut owner, put(&bot, &attributes, None)).await.unwrap().attr("status"), Some("canceled"));

    // If a client writes the owner's address as its own, the server refuses the stanza or corrects the address.
    let mut mallory = juliet().await;
    let begun = begin(&mut owner, &bot, "disable").await.unwrap();
    let attributes = format!("node='disable' sessionid='{}' action='complete'", begun.attr("sessionid").unwrap());
    let Iq::Set { to, id, payload, .. } = put(&bot, &attributes, Some("echo")) else { unreachable!() };
    let forged = Iq::Set { from: Some(owner.jid().clone().into()), to, id, payload };
    assert!(mallory.ask(forged, SOON).await.is_err());

    let policy = std::fs::read_to_string(home.path().join("plugins.toml")).unwrap();
    assert!(!policy.contains("enabled = false"), "{policy}");
    assert_eq!(host.lines("plugin running", &[("plugin", "echo")]).len(), 1);
    assert!(host.lines("an owner gives a command", &[]).is_empty());
}

#[tokio::test]
async fn a_flood_is_answered_and_holds_nobody_up() {
    const FLOOD: usize = 300;
    let (mut owner, mut other) = (juliet().await, juliet().await);
    let (_home, mut host, bot) = owned(&owner.jid().to_bare()).await;
    for number in 0..FLOOD {
        let Iq::Set { to, payload, .. } = put(&bot, "node='restart' action='execute'", None) else { unreachable!() };
        owner.send(Iq::Set { from: None, to, id: format!("flood-{number}"), payload }).await.unwrap();
    }
    other.chat(bot.clone(), "meanwhile").await.unwrap();
    other.wait_body(&bot.to_bare(), "meanwhile", SOON).await.unwrap();
    let mut answered = std::collections::BTreeSet::new();
    let all = |stanza: &Stanza| {
        if let Stanza::Iq(Iq::Result { id, .. } | Iq::Error { id, .. }) = stanza
            && id.starts_with("flood-")
        {
            answered.insert(id.clone());
        }
        (answered.len() == FLOOD).then_some(())
    };
    owner.wait_for("all answers", SOON, all).await.unwrap();
    assert!(note(&begin(&mut owner, &bot, "status").await.unwrap()).contains("is running"));
    assert_eq!(host.lines("plugin running", &[("plugin", "echo")]).len(), 1);
    assert!(host.stop(SOON).await.unwrap().success(), "{}", host.log().tail());
}

#[tokio::test]
async fn without_owners_nobody_is_one() {
    let (home, _) = home().await;
    let host = start(&home, &Policy::default().with("echo", echo(&home))).await;
    let line = host.wait_count("account connected", &[], 1, SOON).await.unwrap();
    let mut juliet = juliet().await;
    let refused = begin(&mut juliet, &line.get("jid").parse().unwrap(), "status").await.unwrap_err();
    assert!(refused.contains("ServiceUnavailable"), "{refused}");
    let config = std::fs::read_to_string(home.path().join("parlor.toml")).unwrap();
    home.write("parlor.toml", &config.replacen("[account.main]\n", "[account.main]\nowners = [\"example.org\"]\n", 1))
        .unwrap();
    let wrong = ended(home.run(&["run"]).await.unwrap(), 1);
    assert!(wrong.stderr.contains("\"example.org\" is not the JID of an account"), "{wrong:?}");
}
