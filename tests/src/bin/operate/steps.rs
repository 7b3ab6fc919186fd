//! The steps of an owner, one after the other.

use std::future::ready;
use std::pin::Pin;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use parlor_tests::minisign::Key;
use parlor_tests::plugins::digest_of;
use parlor_tests::process::Signal;
use parlor_tests::terminal::Terminal;
use parlor_tests::window::{Window, link_in};
use tokio_xmpp::Stanza;
use xmpp_parsers::presence;

use crate::story::{COMMANDS, SOON, Story, says};
use crate::trust;

type Work<'s> = Pin<Box<dyn Future<Output = Result<String>> + 's>>;

type Step = fn(&mut Story) -> Work<'_>;

/// Every step with its name.
pub(crate) const ALL: &[(&str, Step)] = &[
    ("init makes an account, tests it, and writes the configuration", |story| Box::pin(init(story))),
    ("doctor finds nothing broken", |story| Box::pin(doctor(story))),
    ("run connects", |story| Box::pin(run(story))),
    ("add from a file says what it could do, a typo asks again", |story| Box::pin(add_file(story))),
    ("what was installed answers", |story| Box::pin(answers(story))),
    ("add from the web: redirects shown, the signer named", |story| Box::pin(add_web(story))),
    ("what is unsigned, forged, swapped or compressed is refused", |story| Box::pin(refusals(story))),
    ("add from a registry, held to its digests", |story| Box::pin(add_registry(story))),
    ("an index is added and searched, and another key of its publisher asks", |story| Box::pin(index(story))),
    ("status, list, inspect, explain and logs show it", |story| Box::pin(screens(story))),
    ("keys are shown, and made anew where the owner agrees", |story| Box::pin(keys(story))),
    ("top shows it live, and gives the terminal back", |story| Box::pin(top(story))),
    ("grant and revoke count at once on the running plugin", |story| Box::pin(grants(story))),
    ("explain counts the events that were withheld, and says how to allow them", |story| Box::pin(withheld(story))),
    ("grant says at a terminal what that adds, and asks", |story| Box::pin(grant_asks(story))),
    ("a file that is saved counts, and one that is half written does not", |story| Box::pin(saved(story))),
    ("a secret is kept where only its owner can read it", |story| Box::pin(secret(story))),
    ("an update that asks for more waits for consent", |story| Box::pin(update(story))),
    ("three upgrades under 500 messages a second: none lost or doubled", |story| Box::pin(load(story))),
    ("rollback goes back", |story| Box::pin(rollback(story))),
    ("a broken plugins.toml changes nothing, by line and column", |story| Box::pin(broken(story))),
    ("two commands at once lose nothing", |story| Box::pin(two(story))),
    ("commands killed at random leave the old state or the new", |story| Box::pin(killed(story))),
    ("data is exported and imported", |story| Box::pin(data(story))),
    ("disable and enable count at once", |story| Box::pin(disable(story))),
    ("add takes what is decided from a file", |story| Box::pin(add_decided(story))),
    ("an account that is added later asks before a plugin runs there", |story| Box::pin(account(story))),
    ("account add tests and writes it, and account remove takes it out", |story| Box::pin(account_command(story))),
    ("account import adds a group from a file, and a plugin of the group runs there", |story| Box::pin(import(story))),
    ("a room is entered, shown, spoken in and left", |story| Box::pin(rooms(story))),
    ("one file runs twice, the second time kept to a room", |story| Box::pin(instances(story))),
    ("a kick reaches the log, the owner, doctor and top, with who and why", |story| Box::pin(kick(story))),
    ("settings of the host and of a plugin count at once", |story| Box::pin(settings(story))),
    ("limits are shown, and count at once on the running plugin", |story| Box::pin(limits(story))),
    ("an owner gives commands from chat, and nobody else", |story| Box::pin(chat(story))),
    ("an owner is sent a link, and logs in to the window once", |story| Box::pin(link(story))),
    ("metrics and health are served on loopback", |story| Box::pin(metrics(story))),
    ("a plugin does a little of everything, and is asked about", |story| Box::pin(trust::settle(story))),
    ("what may it do, and to whom?", |story| Box::pin(trust::may(story))),
    ("what did it do today?", |story| Box::pin(trust::did(story))),
    ("what was it denied?", |story| Box::pin(trust::denied(story))),
    ("who changed it, and when?", |story| Box::pin(trust::changed(story))),
    ("what does it use?", |story| Box::pin(trust::uses(story))),
    ("what does it keep?", |story| Box::pin(trust::keeps(story))),
    ("whom did it write to?", |story| Box::pin(trust::wrote(story))),
    ("where is it?", |story| Box::pin(trust::is_in(story))),
    ("what runs next?", |story| Box::pin(trust::next(story))),
    ("what would an update change?", |story| Box::pin(trust::update(story))),
    ("the plugin is removed, and the room left", |story| Box::pin(trust::leave(story))),
    ("a killed host leaves a socket behind, and the next one starts", |story| Box::pin(again(story))),
    ("the audit says who changed what, over a kill, and whom a plugin wrote to", |story| Box::pin(audit(story))),
    ("a backup of the running host is restored, and goes on", |story| Box::pin(backup(story))),
    ("remove takes plugin, store and data along", |story| Box::pin(remove(story))),
    ("shells and manuals know the commands", |story| Box::pin(manuals(story))),
    ("stop is clean", |story| Box::pin(stop(story))),
    ("docs/reference/screens.md shows what was shown", |story| Box::pin(ready(page(story)))),
];

/// The flags that grant everything that echo asks for.
const YES: [&str; 2] = ["--yes", "--grant-all"];
/// How many messages are sent during upgrades, and the interval between two.
const MESSAGES: usize = 1_500;
const PERIOD: Duration = Duration::from_millis(2);
/// How many commands are killed.
const KILLED: usize = 15;

async fn init(story: &mut Story) -> Result<String> {
    let server = format!("127.0.0.1:{}", story.prosody.ports().starttls);
    std::fs::copy(&story.prosody.certificate().certificate_file, story.home.path().join("ca.pem"))?;
    let arguments =
        ["init", "--jid", "bot@localhost", "--register", "--server", server.as_str(), "--ca-file", "ca.pem"];
    let text = story.show("init", &arguments, 0).await?;
    says(&text, "bot@localhost is registered\nbot@localhost logs in.")?;
    let password = std::fs::read_to_string(story.home.path().join("bot.password"))?;
    let config = std::fs::read_to_string(story.home.path().join("parlor.toml"))?;
    ensure!(!config.contains(password.trim()), "the password is in the configuration");
    Ok("bot@localhost".to_owned())
}

async fn doctor(story: &mut Story) -> Result<String> {
    let text = story.show("doctor", &["doctor"], 0).await?;
    Ok(format!("{} findings", text.lines().filter(|line| !line.starts_with("  ")).count()))
}

async fn run(story: &mut Story) -> Result<String> {
    story.start().await?;
    Ok(format!("process {}", story.host()?.id()))
}

async fn add_file(story: &mut Story) -> Result<String> {
    let sharp = "\"stanza.send\" = { scope = [\"message\"], reason = \"for the sport\", optional = true }\n";
    std::fs::write(story.home.path().join("echo.wasm"), Story::echo("0.1.0", sharp)?)?;
    let arguments = ["plugin", "add", "echo.wasm"];
    let command = story.home.command(arguments)?;
    let talk = move || -> Result<(Option<i32>, String)> {
        let mut terminal = Terminal::start(command)?;
        terminal.turns_pages_to("Together: reads", SOON)?;
        terminal.turns_pages_to("Install it as echo, and grant all of that? [y]es, [e]ach by itself, [N]o: ", SOON)?;
        terminal.types("yse")?;
        terminal.sees("nothing is decided yet", SOON)?;
        terminal.sees("[N]o: ", SOON)?;
        terminal.types("y")?;
        terminal.sees("is of high risk", SOON)?;
        terminal.sees("[y/N] ", SOON)?;
        terminal.types("n")?;
        terminal.sees("Grant these together? [y/N] ", SOON)?;
        terminal.types("y")?;
        terminal.ended(SOON)
    };
    let (code, screen) = tokio::task::spawn_blocking(talk).await??;
    ensure!(code == Some(0), "{screen}");
    story.screens.keep("add, at a terminal", &arguments, &screen, story.home.path());
    ensure!(!story.policy()?.contains("stanza.send"), "what was declined was granted");
    story.state("echo").await
}

async fn answers(story: &mut Story) -> Result<String> {
    story.talk("hear me").await?;
    Ok("hear me".to_owned())
}

async fn add_web(story: &mut Story) -> Result<String> {
    let bytes = Story::echo("0.1.0", "")?;
    let key = format!("require_signature = true\n\n[key.alice]\npublic = \"{}\"\n\n", story.alice.public());
    story.home.write("plugins.toml", &format!("{key}{}", story.policy()?))?;
    story.web.put("/echo-0.1.0.wasm", &bytes);
    story.web.put("/echo.wasm.minisig", story.alice.sign(&bytes, "echo 0.1.0, by alice"));
    story.web.redirect("/echo.wasm", "/echo-0.1.0.wasm");
    let url = story.web.url("/echo.wasm");
    let text = story.show("add, from the web", &["plugin", "add", &url, "--id", "repeat", YES[0], YES[1]], 0).await?;
    says(&text, "led to")?;
    says(&text, "signed by alice, who says “echo 0.1.0, by alice”")?;
    says(&text, "repeat on main is running")?;
    Ok("signed by alice".to_owned())
}

async fn refusals(story: &mut Story) -> Result<String> {
    let bytes = Story::echo("0.1.0", "")?;
    let before = story.policy()?;
    let mallory = Key::new();
    story.web.put("/unsigned", &bytes);
    story.web.put("/stranger", &bytes);
    story.web.put("/stranger.minisig", mallory.sign(&bytes, "trust me"));
    story.web.put("/forged", &bytes);
    story.web.put("/forged.minisig", story.alice.sign(b"something else", "trust me"));
    story.web.put_raw("/zipped", "HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 1\r\n\r\nx");
    story.web.redirect("/clear", "http://localhost/echo.wasm");
    let cases = [
        ("/unsigned", "is not signed by anybody whom you trust"),
        ("/stranger", "which plugins.toml does not trust"),
        ("/forged", "says that it is by alice, and is not"),
        ("/zipped", "comes compressed"),
        ("/clear", "is not followed"),
        ("/nothing", "404 Not Found"),
    ];
    for (path, words) in cases {
        let url = story.web.url(path);
        says(&story.run(&["plugin", "add", &url, "--id", "other", YES[0], YES[1]], 1).await?.stderr, words)?;
    }
    let (url, digest) = (story.web.url("/unsigned"), format!("--digest={}", digest_of(b"other")));
    says(&story.run(&["plugin", "add", &url, &digest, "--id", "other", YES[0]], 1).await?.stderr, "was asked for")?;
    ensure!(story.policy()? == before, "a refusal changed the policy");
    Ok(format!("{} refusals", cases.len() + 1))
}

async fn add_registry(story: &mut Story) -> Result<String> {
    let bytes = Story::echo("0.1.0", "")?;
    let digest = digest_of(&bytes);
    let manifest = format!(
        "{{\"schemaVersion\":2,\"mediaType\":\"application/vnd.oci.image.manifest.v1+json\",\"layers\":[{{\"mediaType\":\"application/wasm\",\"digest\":\"{digest}\",\"size\":{}}}]}}",
        bytes.len()
    );
    story.web.put("/v2/plugins/echo/manifests/0.1.0", &manifest);
    story.web.put(&format!("/v2/plugins/echo/blobs/{digest}"), &bytes);
    story.home.write("plugins.toml", &story.policy()?.replace("require_signature = true\n", ""))?;
    let reference = format!("oci://{}/plugins/echo:0.1.0", story.web.host());
    let add = ["plugin", "add", reference.as_str(), "--id", "mynah", YES[0], YES[1]];
    story.run(&add, 0).await?;
    story.web.put(&format!("/v2/plugins/echo/blobs/{digest}"), b"other");
    says(&story.run(&["plugin", "update", "mynah"], 1).await?.stderr, "whoever runs the registry changed it")?;
    for id in ["mynah", "repeat"] {
        story.run(&["plugin", "remove", id, "--yes"], 0).await?;
    }
    Ok(reference)
}

async fn index(story: &mut Story) -> Result<String> {
    let mallory = Key::new();
    for (number, key) in [("0.1.0", &story.alice), ("0.2.0", &mallory)] {
        let bytes = Story::echo(number, "")?;
        story.web.put(&format!("/index/echo-{number}.wasm"), &bytes);
        story.web.put(&format!("/index/echo-{number}.wasm.minisig"), key.sign(&bytes, number));
    }
    let publish = |serial: u32, number: &str, key: &Key| -> Result<()> {
        let digest = digest_of(&Story::echo(number, "")?);
        let text = format!(
            "format = 1\nname = \"examples\"\nserial = {serial}\ndescription = \"Examples\"\nkey = \"{}\"\n[plugin.echo]\n\
             description = \"Repeats\"\nkey = \"{}\"\n[plugin.echo.version.\"{number}\"]\nsource = \"echo-{number}.wasm\"\n\
             digest = \"{digest}\"\npermissions = [\"messages.read\", \"messages.send\", \"rooms.send\"]\n",
            story.alice.public(),
            key.public()
        );
        story.web.put("/index/index.toml", &text);
        story.web.put("/index/index.toml.minisig", story.alice.sign(text.as_bytes(), "examples"));
        Ok(())
    };
    publish(1, "0.1.0", &story.alice)?;
    let url = story.web.url("/index/index.toml");
    story.run(&["index", "add", &url], 0).await?;
    says(&story.run(&["search", "echo"], 0).await?.stdout, "asks for messages.read+send, rooms.send")?;
    story.run(&["plugin", "add", "examples/echo", "--id", "indexed", YES[0], YES[1]], 0).await?;
    ensure!(story.state("indexed").await? == "running", "it does not run");
    publish(2, "0.2.0", &mallory)?;
    says(&story.run(&["index", "refresh"], 0).await?.stdout, "examples: 1 → 2")?;
    says(&story.run(&["plugin", "update", "indexed", "--yes"], 3).await?.stderr, "by another key than before")?;
    publish(1, "0.1.0", &story.alice)?;
    says(&story.run(&["index", "refresh"], 1).await?.stderr, "an older one came")?;
    story.run(&["plugin", "remove", "indexed", "--yes"], 0).await?;
    story.run(&["index", "remove", "examples"], 0).await?;
    Ok("signed by alice, and not by mallory".to_owned())
}

async fn screens(story: &mut Story) -> Result<String> {
    story.published("main").await?;
    says(&story.show("status", &["status"], 0).await?, "connected")?;
    says(&story.show("plugin list", &["plugin", "list"], 0).await?, "running")?;
    says(&story.show("plugin inspect", &["plugin", "inspect", "echo"], 0).await?, "It asks for:")?;
    says(&story.show("explain", &["explain", "echo"], 0).await?, "echo may:")?;
    says(&story.show("explain a call", &["explain", "echo", "rooms.send"], 0).await?, "rooms.send: ")?;
    let event = ["explain", "echo", "message", "juliet@localhost"];
    says(
        &story.show("explain an event", &event, 0).await?,
        "message juliet@localhost: partly, it listens with a filter",
    )?;
    says(&story.show("logs", &["logs", "echo", "-n", "5"], 0).await?, "plugin running")?;
    Ok("six screens".to_owned())
}

async fn keys(story: &mut Story) -> Result<String> {
    let before = story.published("main").await?;
    says(&story.show("keys", &["keys"], 0).await?, "main, bot@localhost: blind trust")?;
    says(&story.run(&["keys", "fingerprint"], 0).await?.stdout, "  OMEMO device ")?;
    let unknown = ["keys", "trust", "juliet@localhost", "0123abcd", "4567ef01"];
    says(&story.show("keys trust, with half of a fingerprint", &unknown, 2).await?, "compare and copy all of it")?;
    let nobody = story.show("keys answer, where nobody asks", &["keys", "answer", "juliet@localhost"], 1).await?;
    says(&nobody, "asks main for no secret now")?;
    let declined = story.show("keys reset, without consent", &["keys", "reset"], 3).await?;
    says(&declined, "give --yes to make new keys for main")?;
    says(&story.run(&["keys", "reset", "--yes"], 0).await?.stdout, "main has new keys")?;
    let after = story.published("main").await?;
    ensure!(before != after, "the fingerprint is still {before}");
    Ok("another fingerprint".to_owned())
}

async fn top(story: &mut Story) -> Result<String> {
    let command = story.home.command(["top"])?;
    let look = move || -> Result<[String; 2]> {
        let mut terminal = Terminal::start(command)?;
        terminal.shows("e enable", SOON)?;
        let running = terminal.shows("running", SOON)?;
        terminal.presses("l")?;
        let log = terminal.shows("plugin running", SOON)?;
        terminal.presses("\x03")?;
        let (code, screen) = terminal.ended(SOON)?;
        ensure!(code == Some(0) && terminal.is_cooked()?, "it did not leave cleanly: {screen:?}");
        Ok([running, log])
    };
    let [screen, log] = tokio::task::spawn_blocking(look).await??;
    story.screens.keep("top", &["top"], &screen, story.home.path());
    story.screens.keep("top, the log of a plugin", &["top"], &log, story.home.path());
    Ok("two screens".to_owned())
}

async fn saved(story: &mut Story) -> Result<String> {
    let good = story.policy()?;
    story.home.write("plugins.toml", &good.replace("\n[plugin.echo]\n", "\n[plugin.echo]\nenabled = false\n"))?;
    story.host()?.wait_count("plugin disabled", &[("plugin", "echo")], 1, SOON).await?;
    story.home.write("plugins.toml", &format!("{good}\n[plugin.half\n"))?;
    story.host()?.wait_count("the policy was not read; nothing has changed", &[], 1, SOON).await?;
    story.home.write("plugins.toml", &good)?;
    story.host()?.wait_count("plugin running", &[("plugin", "echo")], 2, SOON).await?;
    story.talk("saved").await?;
    Ok("no command, no signal".to_owned())
}

async fn grants(story: &mut Story) -> Result<String> {
    story.show("grant", &["plugin", "grant", "echo", "messages.send=nobody@nowhere.invalid"], 0).await?;
    story.show("revoke", &["plugin", "revoke", "echo", "messages.send=*"], 0).await?;
    story.juliet.chat(story.bot.clone(), "denied").await?;
    story.host()?.wait_count("call denied", &[("plugin", "echo")], 1, SOON).await?;
    story.run(&["plugin", "grant", "echo", "messages.send=*", "--yes"], 0).await?;
    story.talk("allowed").await?;
    ensure!(story.host()?.lines("plugin running", &[("plugin", "echo")]).len() == 1, "it was started again");
    Ok("one denial, one instance".to_owned())
}

async fn withheld(story: &mut Story) -> Result<String> {
    let nobody = "messages.read=nobody@nowhere.invalid";
    story.run(&["plugin", "grant", "echo", nobody], 0).await?;
    story.run(&["plugin", "revoke", "echo", "messages.read=*"], 0).await?;
    let status = story.run(&["status", "--json"], 0).await?.json()?;
    let full: jid::Jid = status["accounts"][0]["jid"].as_str().unwrap_or_default().parse().context("the bound JID")?;
    story.juliet.chat(story.bot.clone(), "for your ears").await?;
    // Once a later ping is answered, the message has been routed.
    story.juliet.ping(full, SOON).await?;
    let juliet = story.juliet.jid().to_bare().to_string();
    let text = story.run(&["explain", "echo", "message", &juliet], 0).await?.stdout;
    says(
        &text,
        "events that it listens to and was not shown, since the host started:\n  1 on main, which messages.read ",
    )?;
    says(&text, &format!("to allow it: parlor plugin grant echo messages.read={juliet}"))?;
    story.run(&["plugin", "grant", "echo", "messages.read=*", "--yes"], 0).await?;
    story.run(&["plugin", "revoke", "echo", nobody], 0).await?;
    story.talk("heard again").await?;
    Ok("one event withheld".to_owned())
}

async fn grant_asks(story: &mut Story) -> Result<String> {
    let arguments = ["plugin", "grant", "echo", "messages.send=romeo@localhost"];
    let asks = ["Sends private messages to romeo@localhost", "Together: reads", "? [y/N]"];
    let screen = answer(story, &arguments, asks, "n", 3).await?;
    story.screens.keep("grant, at a terminal", &arguments, &screen, story.home.path());
    ensure!(!story.policy()?.contains("romeo@localhost"), "what was declined was granted");
    Ok("declined".to_owned())
}

/// Runs a command at a terminal, reads until it asks, and answers. Returns the screen.
async fn answer(
    story: &Story,
    arguments: &[&str],
    asks: [&'static str; 3],
    answer: &'static str,
    code: i32,
) -> Result<String> {
    let command = story.home.command(arguments)?;
    let talk = move || -> Result<(Option<i32>, String)> {
        let mut terminal = Terminal::start(command)?;
        for words in asks {
            terminal.turns_pages_to(words, SOON)?;
        }
        terminal.types(answer)?;
        terminal.ended(SOON)
    };
    let (ended, screen) = tokio::task::spawn_blocking(talk).await??;
    ensure!(ended == Some(code), "{screen}");
    Ok(screen)
}

async fn secret(story: &mut Story) -> Result<String> {
    let schema = "[settings.key]\ntype = \"secret\"\ndescription = \"the key of the service\"\n";
    let bytes = parlor_tests::component::with_manifest(&Story::echo("0.1.1", "")?, |text| format!("{text}\n{schema}"))?;
    std::fs::write(story.home.path().join("keyed.wasm"), bytes)?;
    story.run(&["plugin", "update", "echo", "keyed.wasm", "--yes"], 0).await?;
    story.run_with(&["plugin", "config", "echo", "key"], "canary-5120\n", 0).await?;
    let screen = story.show("config", &["plugin", "config", "echo"], 0).await?;
    says(&screen, "(present, in ")?;
    let all = [screen, story.policy()?, story.run(&["logs", "-n", "1000"], 0).await?.stdout];
    ensure!(!all.iter().any(|text| text.contains("canary-5120")), "the secret was shown");
    Ok("present, and not shown".to_owned())
}

async fn update(story: &mut Story) -> Result<String> {
    let more = "\"contacts.read\" = { reason = \"to know who is who\" }\n";
    std::fs::write(story.home.path().join("new.wasm"), Story::echo("0.2.0", more)?)?;
    story.show("update --check", &["plugin", "update", "echo", "new.wasm", "--check"], 0).await?;
    let declined = story.show("update, without consent", &["plugin", "update", "echo", "new.wasm", "--yes"], 3).await?;
    says(&declined, "--grant contacts.read")?;
    story.talk("the old one goes on").await?;
    let agreed = ["plugin", "update", "echo", "new.wasm", "--yes", "--grant", "contacts.read"];
    let said = story.show("update", &agreed, 0).await?;
    says(&said, "is replaced by 0.2.0")?;
    says(&said, "the setting key is put aside")?;
    Ok("0.1.1 → 0.2.0".to_owned())
}

async fn load(story: &mut Story) -> Result<String> {
    let roomy = "\n[plugin.echo.limits]\nmailbox = 4096\nmessages_per_second = 10000\nmessages_burst = 10000\n";
    story.home.write("plugins.toml", &format!("{}{roomy}", story.policy()?))?;
    story.host()?.reload()?;
    let replaced = story.host()?.lines("plugin replaced", &[("plugin", "echo")]).len();
    story.host()?.wait_count("plugin replaced", &[("plugin", "echo")], replaced.max(1), SOON).await?;
    let more = "\"contacts.read\" = { reason = \"to know who is who\" }\n";
    let mut files = Vec::new();
    for version in ["0.3.0", "0.4.0", "0.5.0"] {
        let file = format!("{version}.wasm");
        std::fs::write(story.home.path().join(&file), Story::echo(version, more)?)?;
        files.push(file);
    }
    let (home, juliet, bot) = (&story.home, &mut story.juliet, &story.bot);
    let upgrading = async {
        for file in &files {
            let finished = home.run(&["plugin", "update", "echo", file, "--yes"]).await?;
            ensure!(finished.code == Some(0), "{finished:#?}");
        }
        anyhow::Ok(())
    };
    let writing = async {
        let mut clock = tokio::time::interval(PERIOD);
        for number in 0..MESSAGES {
            clock.tick().await;
            juliet.chat(bot.clone(), &format!("load {number}")).await?;
        }
        anyhow::Ok(())
    };
    let (upgraded, written) = tokio::join!(upgrading, writing);
    upgraded?;
    written?;
    story.talk("the end").await?;
    story.juliet.catch_up(SOON).await?;
    let answers = story.answers("load ");
    let doubled = answers.values().filter(|times| **times > 1).count();
    let lost = MESSAGES - answers.len();
    let lagged = story.host()?.lines("mailbox full, events lost", &[]).len();
    ensure!(lost == 0 && doubled == 0 && lagged == 0, "lost {lost}, doubled {doubled}, lagged {lagged} of {MESSAGES}");
    ensure!(story.host()?.lines("account connected", &[]).len() == 1, "the connection was dropped");
    Ok(format!("{MESSAGES} messages, lagged 0"))
}

async fn rollback(story: &mut Story) -> Result<String> {
    says(&story.show("rollback", &["plugin", "rollback", "echo", "--yes"], 0).await?, "0.5.0 is replaced by 0.4.0")?;
    story.talk("the one before").await?;
    Ok("0.5.0 → 0.4.0".to_owned())
}

async fn broken(story: &mut Story) -> Result<String> {
    let good = story.policy()?;
    story.home.write("plugins.toml", &format!("{good}\n[plugin.half\n"))?;
    let place = format!("plugins.toml:{}:", good.lines().count() + 2);
    says(&story.show("a broken plugins.toml", &["plugin", "disable", "echo"], 1).await?, &place)?;
    let before = story.host()?.lines("the policy was not read; nothing has changed", &[]).len();
    story.host()?.reload()?;
    story.host()?.wait_count("the policy was not read; nothing has changed", &[], before + 1, SOON).await?;
    story.talk("all as before").await?;
    story.home.write("plugins.toml", &good)?;
    Ok(place)
}

async fn two(story: &mut Story) -> Result<String> {
    let file = "0.3.0.wasm";
    let left = ["plugin", "add", file, "--id", "left", YES[0], YES[1], "--disabled"];
    let right = ["plugin", "add", file, "--id", "right", YES[0], YES[1], "--disabled"];
    let (one, two) = tokio::join!(story.home.run(&left), story.home.run(&right));
    ensure!(one?.code == Some(0) && two?.code == Some(0), "one of two was not added");
    let list = story.run(&["plugin", "list"], 0).await?.stdout;
    says(&list, "left")?;
    says(&list, "right")?;
    for id in ["left", "right"] {
        story.run(&["plugin", "remove", id, "--yes"], 0).await?;
    }
    Ok("both are there".to_owned())
}

async fn killed(story: &mut Story) -> Result<String> {
    let (mut done, mut undone) = (0, 0);
    for round in 0..KILLED {
        let mut command = story.home.command(["plugin", "add", "0.3.0.wasm", "--id", "brief", YES[0], YES[1]])?;
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let after = Duration::from_millis(rand::random_range(0..120));
        tokio::task::spawn_blocking(move || {
            let mut child = command.spawn()?;
            std::thread::sleep(after);
            child.kill()?;
            child.wait()
        })
        .await??;
        let policy: toml::Table = story.policy()?.parse().with_context(|| format!("the policy after round {round}"))?;
        match policy["plugin"].get("brief") {
            None => undone += 1,
            Some(entry) => {
                let digest = entry["digest"].as_str().unwrap_or_default().trim_start_matches("sha256:");
                let kept = story.home.path().join("data/components").join(digest).with_extension("wasm");
                ensure!(kept.is_file(), "the policy names what is not in the store");
                story.run(&["plugin", "remove", "brief", "--yes"], 0).await?;
                done += 1;
            }
        }
    }
    Ok(format!("{done} done, {undone} undone"))
}

async fn data(story: &mut Story) -> Result<String> {
    let line = "{\"account\":\"main\",\"key\":\"a\",\"value\":\"kept\"}\n";
    story.run_with(&["plugin", "data", "echo", "import"], line, 0).await?;
    story.show("data list", &["plugin", "data", "echo", "list"], 0).await?;
    ensure!(story.run(&["plugin", "data", "echo", "export"], 0).await?.stdout == line, "it is not what was imported");
    Ok("one entry".to_owned())
}

async fn disable(story: &mut Story) -> Result<String> {
    story.show("disable", &["plugin", "disable", "echo"], 0).await?;
    let state = story.state("echo").await?;
    ensure!(state == "disabled", "it is {state}");
    says(&story.show("enable", &["plugin", "enable", "echo"], 0).await?, "echo on main is running")?;
    story.talk("enabled").await?;
    says(&story.run(&["plugin", "restart", "echo"], 0).await?.stdout, "echo on main is running")?;
    story.talk("started again").await?;
    Ok(format!("{state}, running"))
}

async fn add_decided(story: &mut Story) -> Result<String> {
    let decided = "accounts = [\"main\"]\n\n[grants]\n\"messages.read\" = [\"contacts\"]\n\
                   \"messages.send\" = [\"contacts\"]\n\"rooms.send\" = [\"*\"]\n\n[limits]\nmemory = \"32 MiB\"\n";
    story.home.write("starling-policy.toml", decided)?;
    let arguments = ["plugin", "add", "echo.wasm", "--id", "starling", YES[0], "--policy", "starling-policy.toml"];
    let text = story.show("add, with a policy file", &arguments, 0).await?;
    says(&text, "starling on main is running")?;
    let policy: toml::Table = story.policy()?.parse()?;
    let entry = &policy["plugin"]["starling"];
    ensure!(entry["limits"]["memory"].as_str() == Some("32 MiB"), "{entry}");
    ensure!(entry["grants"].get("stanza.send").is_none(), "what the file does not grant was granted");
    story.run(&["plugin", "remove", "starling", YES[0]], 0).await?;
    Ok("grants and limits".to_owned())
}

async fn account(story: &mut Story) -> Result<String> {
    let second = story.prosody.fresh_account("second")?;
    story.home.write("second.password", &format!("{}\n", second.password))?;
    let table = format!(
        "\n[account.second]\njid = \"{}\"\npassword_file = \"second.password\"\nserver = \"127.0.0.1:{}\"\nca_file = \"ca.pem\"\n",
        second.jid,
        story.prosody.ports().starttls
    );
    let config = story.config()?;
    story.configure(&format!("{config}{table}")).await?;
    story.host()?.wait_count("account connected", &[("account", "second")], 1, SOON).await?;
    let place = [("plugin", "echo"), ("account", "second")];
    ensure!(story.host()?.lines("plugin running", &place).is_empty(), "echo runs where nobody was asked");
    says(&story.run(&["plugin", "accounts", "echo"], 0).await?.stdout, "echo does not run on second")?;
    let arguments = ["plugin", "accounts", "echo", "--add", "second"];
    let asks = ["On second (", "Together: reads", "Let echo run on second? [y/N]"];
    let screen = answer(story, &arguments, asks, "y", 0).await?;
    story.screens.keep("accounts, at a terminal", &arguments, &screen, story.home.path());
    story.host()?.wait_count("plugin running", &place, 1, SOON).await?;
    story.published("main").await?;
    story.published("second").await?;
    says(&story.show("status, with another account", &["status"], 0).await?, second.jid.as_str())?;
    story.configure(&config).await?;
    story.host()?.wait_count("account removed", &[("account", "second")], 1, SOON).await?;
    ensure!(story.state("echo").await? == "running", "echo does not go on without the account that is gone");
    let times = story.host()?.lines("account connected", &[("account", "main")]).len();
    ensure!(times == 1, "the other account connected {times} times");
    Ok(second.jid.to_string())
}

async fn account_command(story: &mut Story) -> Result<String> {
    let third = story.prosody.fresh_account("third")?;
    let (jid, before) = (third.jid.to_string(), story.config()?);
    let server = format!("127.0.0.1:{}", story.prosody.ports().starttls);
    let add =
        ["account", "add", "third", "--jid", &jid, "--password-stdin", "--server", &server, "--ca-file", "ca.pem"];
    let added = story.run_with(&add, &format!("{}\n", third.password), 0).await?.stdout;
    says(&added, "third is added to parlor.toml; the running host has applied it")?;
    story.host()?.wait_count("account connected", &[("account", "third")], 1, SOON).await?;
    says(&story.run(&["account", "list"], 0).await?.stdout, &jid)?;
    let declined = story.run(&["account", "remove", "third"], 3).await?;
    says(&declined.stderr, "give --yes to remove third")?;
    story.run(&["account", "remove", "third", "--yes", "--with-data"], 0).await?;
    story.host()?.wait_count("account removed", &[("account", "third")], 1, SOON).await?;
    let after = story.config()?;
    let comments = |text: &str| text.lines().filter(|line| line.starts_with('#')).count();
    ensure!(!after.contains("third") && comments(&after) == comments(&before), "it is not as it was: {after}");
    Ok(jid)
}

async fn import(story: &mut Story) -> Result<String> {
    let before = story.config()?;
    let port = story.prosody.ports().starttls;
    story.configure(&format!("{before}\n[group.desk]\nserver = \"127.0.0.1:{port}\"\nca_file = \"ca.pem\"\n")).await?;
    let accounts = [story.prosody.fresh_account("desk")?, story.prosody.fresh_account("desk")?];
    let names = accounts.iter().map(|one| one.jid.node().map(ToString::to_string).unwrap_or_default());
    let names: Vec<_> = names.collect();
    let lines = accounts.iter().map(|one| format!("{},desk,{}\n", one.jid, one.password));
    let csv: String = std::iter::once("jid,group,password\n".to_owned()).chain(lines).collect();
    story.home.write("desks.csv", &csv.replacen(",desk,", ",dekc,", 1))?;
    let refused = story.run(&["account", "import", "desks.csv"], 1).await?.stderr;
    says(&refused, "line 2: there is no such group in parlor.toml")?;
    story.home.write("desks.csv", &csv)?;
    says(&story.run(&["account", "import", "desks.csv"], 0).await?.stdout, "2 accounts added to parlor.toml")?;
    story.run(&["plugin", "accounts", "echo", "--add", "group:desk", "--yes"], 0).await?;
    for name in &names {
        story.host()?.wait_count("account connected", &[("account", name)], 1, SOON).await?;
        let place = [("plugin", "echo"), ("account", name.as_str())];
        story.host()?.wait_count("plugin running", &place, 1, SOON).await?;
    }
    let shown = story.run(&["status", "--group", "desk", "--json"], 0).await?.json()?;
    ensure!(shown["accounts"].as_array().is_some_and(|all| all.len() == names.len()), "another group: {shown}");
    story.run(&["plugin", "accounts", "echo", "--remove", "group:desk"], 0).await?;
    for name in &names {
        story.run(&["account", "remove", name, "--yes", "--with-data"], 0).await?;
        story.host()?.wait_count("account removed", &[("account", name)], 1, SOON).await?;
    }
    story.configure(&before).await?;
    ensure!(story.state("echo").await? == "running", "echo does not go on without the group");
    Ok(names.join(", "))
}

async fn rooms(story: &mut Story) -> Result<String> {
    let room = story.prosody.fresh_room();
    story.juliet.join(&room, "juliet", SOON).await?;
    story.juliet.unlock(&room, SOON).await?;
    let name = room.to_string();
    says(&story.run(&["rooms", "join", &name, "--nick", "bot"], 0).await?.stdout, "state: joined")?;
    says(&story.run(&["rooms"], 0).await?.stdout, &name)?;
    story.run(&["say", &name, "hello from the owner"], 0).await?;
    story.juliet.wait_body(&room, "hello from the owner", SOON).await?;
    says(&story.run(&["rooms", "show", &name.replacen('@', "x@", 1)], 1).await?.stderr, "did you mean")?;
    story.run(&["contacts"], 0).await?;
    says(&story.run(&["rooms", "leave", &name], 0).await?.stdout, "state: out")?;
    story.juliet.leave(&room, "juliet").await?;
    Ok(name)
}

async fn instances(story: &mut Story) -> Result<String> {
    let room = story.prosody.fresh_room();
    story.juliet.join(&room, "juliet", SOON).await?;
    story.juliet.unlock(&room, SOON).await?;
    let (name, other) = (room.to_string(), format!("x{room}"));
    let add = ["plugin", "add", "echo.wasm", "--id", "starling", "--rooms", &name, YES[0], YES[1]];
    says(&story.run(&add, 0).await?.stdout, "starling on main is running")?;
    story.run(&["plugin", "config", "starling", "room_prefix", "starling "], 0).await?;
    story.run(&["rooms", "join", &name, "--nick", "bot"], 0).await?;
    story.juliet.say(&room, "starling here").await?;
    story.juliet.wait_body(&room, "here", SOON).await?;
    let explained = story.run(&["explain", "starling", "message", &other, "--json"], 0).await?;
    says(&explained.stdout, "it is kept to rooms")?;
    says(&story.run(&["plugin", "rooms", "starling", "--add", &other], 0).await?.stdout, &other)?;
    says(&story.run(&["plugin", "list"], 0).await?.stdout, "ROOMS")?;
    story.run(&["plugin", "remove", "starling", YES[0]], 0).await?;
    story.run(&["rooms", "leave", &name], 0).await?;
    story.juliet.leave(&room, "juliet").await?;
    Ok("echo and starling".to_owned())
}

async fn kick(story: &mut Story) -> Result<String> {
    let room = story.prosody.fresh_room();
    story.juliet.join(&room, "juliet", SOON).await?;
    story.juliet.unlock(&room, SOON).await?;
    let (config, owner, name) = (story.config()?, story.juliet.jid().to_bare(), room.to_string());
    let owners = format!("[account.main]\nowners = [\"{owner}\"]\n");
    story.configure(&config.replacen("[account.main]\n", &owners, 1)).await?;
    story.run(&["rooms", "join", &name, "--nick", "bot"], 0).await?;
    let item = "<item nick='bot' role='none'><reason>too loud</reason></item>";
    let query = format!("<query xmlns='http://jabber.org/protocol/muc#admin'>{item}</query>").parse()?;
    let set =
        xmpp_parsers::iq::Iq::Set { from: None, to: Some(room.clone().into()), id: String::new(), payload: query };
    story.juliet.ask(set, SOON).await?;
    let line =
        story.host()?.wait_count("the account was put out of a room", &[("room", &name)], 1, SOON).await?.get("by");
    ensure!(line == "juliet", "the log names {line}");
    let is_alert = |stanza: &Stanza| match stanza {
        Stanza::Message(message) => {
            let body = parlor_tests::client::body(message)?;
            body.contains("kicked by “juliet”, with the words “too loud”").then(|| body.to_owned())
        }
        _ => None,
    };
    let told = story.juliet.wait_for("an alert about the kick", SOON, is_alert).await?;
    says(&story.run(&["rooms"], 0).await?.stdout, "kicked")?;
    let doctor = story.home.run(&["doctor", "--offline"]).await?.stdout;
    says(&doctor, &format!("the account main is out of the room {name}: kicked by juliet"))?;
    let command = story.home.command(["top"])?;
    let look = move || -> Result<()> {
        let mut terminal = Terminal::start(command)?;
        terminal.shows("in 0 of 1 rooms", SOON)?;
        terminal.presses("q")?;
        terminal.ended(SOON).map(drop)
    };
    tokio::task::spawn_blocking(look).await??;
    story.configure(&config).await?;
    story.juliet.leave(&room, "juliet").await?;
    Ok(told)
}

async fn settings(story: &mut Story) -> Result<String> {
    let room = story.prosody.fresh_room();
    let nick = jid::Jid::from(room.with_resource_str("bot")?);
    let seen = |kind: presence::Type| {
        let nick = nick.clone();
        move |stanza: &Stanza| match stanza {
            Stanza::Presence(one) if one.type_ == kind => one.from.as_ref().filter(|from| **from == nick).map(drop),
            _ => None,
        }
    };
    story.juliet.join(&room, "juliet", SOON).await?;
    story.juliet.unlock(&room, SOON).await?;
    let config = story.config()?;
    let rooms = format!("\n[settings]\nauto_join_rooms = [{{ jid = \"{room}\", nick = \"bot\" }}]\n");
    story.configure(&config.replacen("\n[settings]\n", &rooms, 1)).await?;
    story.juliet.wait_for("the bot in the room", SOON, seen(presence::Type::None)).await?;
    let text = story.show("config, a value", &["plugin", "config", "echo", "room_prefix", "say "], 0).await?;
    says(&text, "echo on main is running")?;
    story.juliet.say(&room, "say live").await?;
    story.juliet.wait_body(&room, "live", SOON).await?;
    story.configure(&config).await?;
    story.juliet.wait_for("the bot leaving the room", SOON, seen(presence::Type::Unavailable)).await?;
    story.juliet.leave(&room, "juliet").await?;
    Ok("a room, a prefix".to_owned())
}

/// Returns how much memory the plugin may use, as its status says.
async fn memory_limit(story: &Story) -> Result<u64> {
    let status = story.run(&["status", "echo", "--json"], 0).await?.json()?;
    status[0]["usage"]["memory_limit"].as_u64().with_context(|| format!("no limit in {status}"))
}

async fn limits(story: &mut Story) -> Result<String> {
    let before = memory_limit(story).await?;
    says(&story.run(&["plugin", "limits", "echo"], 0).await?.stdout, "LIMIT")?;
    let typo = story.run(&["plugin", "limits", "echo", "memroy=48 MiB"], 1).await?.stderr;
    says(&typo, "did you mean `memory`?")?;
    let set = story.run(&["plugin", "limits", "echo", "memory=48 MiB"], 0).await?.stdout;
    says(&set, "memory of echo is 48 MiB; the running host has applied it")?;
    let now = memory_limit(story).await?;
    ensure!(now == 48 << 20 && now != before, "it may use {now} bytes, and {before} before");
    story.talk("within its limits").await?;
    story.run(&["plugin", "limits", "echo", "--unset", "memory"], 0).await?;
    ensure!(memory_limit(story).await? == before, "the limit is not as it was");
    says(&story.run(&["audit", "--plugin", "echo", "--kind", "limit"], 0).await?.stdout, "48 MiB")?;
    Ok("48 MiB".to_owned())
}

async fn chat(story: &mut Story) -> Result<String> {
    let line = story.host()?.wait_count("account connected", &[("account", "main")], 1, SOON).await?;
    let bot: jid::Jid = line.get("jid").parse().context("the bound JID")?;
    let begin = "node='restart' action='execute'";
    ensure!(story.command(&bot, begin, "").await.is_err(), "somebody who is no owner was let in");
    let (config, owner) = (story.config()?, story.juliet.jid().to_bare());
    let owners = format!("[account.main]\nowners = [\"{owner}\"]\n");
    story.configure(&config.replacen("[account.main]\n", &owners, 1)).await?;
    let before = story.host()?.lines("plugin running", &[("plugin", "echo")]).len();
    let form = story.command(&bot, begin, "").await?;
    let session = form.attr("sessionid").context("the command has no session")?;
    let complete = format!("node='restart' sessionid='{session}' action='complete'");
    let chosen = "<x xmlns='jabber:x:data' type='submit'><field var='plugin'><value>echo</value></field></x>";
    let done = story.command(&bot, &complete, chosen).await?;
    let note = done.get_child("note", COMMANDS).context("the command says nothing")?.text();
    says(&note, "on main is running")?;
    story.host()?.wait_count("plugin running", &[("plugin", "echo")], before + 1, SOON).await?;
    story.configure(&config).await?;
    Ok(note)
}

async fn link(story: &mut Story) -> Result<String> {
    let (config, owner) = (story.config()?, story.juliet.jid().to_bare().to_string());
    let window = Window::open(&story.home).await?;
    let arguments = ["web", "link", "--to", owner.as_str()];
    let refused = story.run(&arguments, 1).await?.stderr;
    says(&refused, "is no owner of")?;
    let owners = format!("[account.main]\nowners = [\"{owner}\"]\n");
    story.configure(&config.replacen("[account.main]\n", &owners, 1)).await?;
    let said = story.run(&arguments, 0).await?.stdout;
    says(&said, "account main sent")?;
    let (bot, guest) = (story.bot.clone(), window.guest());
    let link = story.juliet.wait_text("a link to log in with", &bot, SOON, link_in).await?;
    guest.page(&link).await?;
    let session = guest.clone().log_in(&link).await?;
    says(&session.page("/").await?.body, &owner)?;
    let again = guest.post(&link, &[]).await?.status;
    ensure!(again == 403, "a used link is answered with {again}");
    let audit = story.run(&["audit", "--kind", "host"], 0).await?.stdout;
    says(&audit, &format!("a link to log in to the window was sent to {owner} as owner"))?;
    says(&audit, &format!("jid:{owner}"))?;
    story.configure(&config).await?;
    Ok(said.trim().to_owned())
}

async fn metrics(story: &mut Story) -> Result<String> {
    story.host.take().context("no host")?.stop(SOON).await?;
    let port = parlor_tests::ports::free()?;
    story.home.set_environment("PARLOR_METRICS", &format!("127.0.0.1:{port}"));
    story.start().await?;
    story.host()?.wait_count("plugin running", &[("plugin", "echo")], 1, SOON).await?;
    story.run(&["status"], 0).await?;
    let ask = move |path: &'static str| -> Result<String> {
        use std::io::{Read as _, Write as _};
        let mut stream = std::net::TcpStream::connect(("127.0.0.1", port))?;
        write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    };
    let served = tokio::task::spawn_blocking(move || ask("/metrics")).await??;
    for words in ["parlor_plugin_running{plugin=\"echo\"", "parlor_rooms{account=\"main\",state=\"joined\"} "] {
        says(&served, words)?;
    }
    says(&tokio::task::spawn_blocking(move || ask("/health")).await??, "\r\n\r\nok\n")?;
    Ok("healthy".to_owned())
}

async fn again(story: &mut Story) -> Result<String> {
    let mut host = story.host.take().context("no host")?;
    host.signal(Signal::Kill)?;
    host.ended(SOON).await?;
    ensure!(story.home.path().join("data/control.sock").exists(), "it left no socket behind");
    story.show("status, of a host that is down", &["status"], 4).await?;
    story.start().await?;
    // A message to the bare address may go to the killed host's session, which the server keeps for a while.
    let line = story.host()?.wait_count("account connected", &[], 1, SOON).await?;
    let full: jid::Jid = line.get("jid").parse().context("the bound JID")?;
    story.juliet.chat(full, "up again").await?;
    story.juliet.wait_body(&story.bot, "up again", SOON).await?;
    Ok("up again".to_owned())
}

async fn audit(story: &mut Story) -> Result<String> {
    let all = story.run(&["audit", "--json", "--lines", "10000"], 0).await?.json()?;
    let entries = all["entries"].as_array().context("no entries")?;
    let has = |way: &str| entries.iter().any(|entry| entry["way"] == way);
    for way in ["parlor plugin add", "parlor plugin grant", "parlor plugin revoke", "parlor plugin update", "chat"] {
        ensure!(has(way), "nothing of {way}: {all:#}");
    }
    let secret =
        entries.iter().find(|entry| entry["what"].as_str().is_some_and(|what| what.starts_with("the secret ")));
    ensure!(secret.is_some_and(|entry| entry["new"] == "(not shown)"), "no secret was stored: {all:#}");
    let text = story.run(&["audit", "--plugin", "echo", "--since", "1h"], 0).await?.stdout;
    says(&text, "it wrote to\n")?;
    says(&text, &story.juliet.jid().to_bare().to_string())?;
    Ok(format!("{} entries", entries.len()))
}

async fn backup(story: &mut Story) -> Result<String> {
    story.home.write("passphrase", "correct horse battery\n")?;
    let fingerprint = story.published("main").await?;
    let take = ["backup", "all.parlor", "--with-secrets", "--passphrase-file", "passphrase"];
    says(&story.run(&take, 0).await?.stdout, "wrote all.parlor")?;
    let restore = ["restore", "all.parlor", "--passphrase-file", "passphrase"];
    let taken = story.run(&restore, 1).await?;
    says(&taken.stderr, "there is something already")?;
    let forced = [&restore[..], &["--force"]].concat();
    says(&story.run(&forced, 1).await?.stderr, "a host runs with the data folder")?;
    let elsewhere = [&restore[..], &["--config", "elsewhere/parlor.toml"]].concat();
    says(&story.run(&elsewhere, 0).await?.stdout, "OMEMO sessions begin anew")?;
    let plugins = ["plugin", "list", "--names", "--config", "elsewhere/parlor.toml"];
    says(&story.run(&plugins, 0).await?.stdout, "echo")?;
    let audit = ["audit", "--json", "--config", "elsewhere/parlor.toml"];
    says(&story.run(&audit, 0).await?.stdout, "a backup was restored")?;
    let mut host = story.host.take().context("no host")?;
    host.stop(SOON).await?;
    says(&story.run(&forced, 0).await?.stdout, "what was there before is in data/before-restore-1")?;
    story.start().await?;
    ensure!(story.published("main").await? == fingerprint, "the fingerprint is another one");
    Ok("the same fingerprint".to_owned())
}

async fn remove(story: &mut Story) -> Result<String> {
    let text = story.show("remove", &["plugin", "remove", "echo", "--yes", "--with-data"], 0).await?;
    says(&text, "is removed")?;
    for folder in ["data/components", "data/secrets"] {
        let left = std::fs::read_dir(story.home.path().join(folder)).map_or(0, Iterator::count);
        ensure!(left == 0, "{left} left in {folder}");
    }
    Ok("nothing left".to_owned())
}

async fn manuals(story: &mut Story) -> Result<String> {
    says(&story.run(&["completions", "bash"], 0).await?.stdout, "rollback")?;
    story.run(&["man", "--to", "man1"], 0).await?;
    let pages = std::fs::read_dir(story.home.path().join("man1"))?.count();
    ensure!(pages > 20, "only {pages} pages");
    Ok(format!("{pages} pages"))
}

async fn stop(story: &mut Story) -> Result<String> {
    let mut host = story.host.take().context("no host")?;
    let ended = host.stop(SOON).await?;
    ensure!(ended.success(), "{ended}");
    ensure!(!story.home.path().join("data/control.sock").exists(), "it left its socket behind");
    Ok("0".to_owned())
}

fn page(story: &Story) -> Result<String> {
    if story.screens.rewrites {
        story.screens.write()?;
        return Ok(format!("{} screens, written", story.screens.len()));
    }
    story.screens.compare()?;
    Ok(format!("{} screens", story.screens.len()))
}
