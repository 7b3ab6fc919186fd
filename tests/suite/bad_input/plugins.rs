//! Plugin files and `plugins.toml`: a plugin that cannot run is refused with a specific sentence, and the others run.

use parlor_tests::client::Client;
use parlor_tests::component::{with_manifest, with_text};
use parlor_tests::host::{Home, Host};
use parlor_tests::plugins::{built, digest_of};
use parlor_tests::policy::{Entry, Policy};
use parlor_tests::process::Signal;

use super::{SOON, echo, host, reason, refused_early};

/// Starts the host with these plugins and with echo, and returns when it is logged in and echo runs.
async fn start(home: &Home, policy: Policy) -> Host {
    home.set_policy(&policy.with("echo", echo(home))).unwrap();
    let host = home.start().unwrap();
    host.wait_count("plugin running", &[("plugin", "echo")], 1, SOON).await.unwrap();
    host.wait_count("account connected", &[], 1, SOON).await.unwrap();
    host
}

/// Starts the host with one bad plugin and echo, and returns the reason why the bad one does not run.
async fn refused(home: &Home, id: &str, entry: Entry) -> String {
    let mut host = start(home, Policy::default().with(id, entry)).await;
    let reason = reason(&host, "plugin refused", id).await;
    assert!(host.lines("plugin running", &[("plugin", id)]).is_empty());
    assert!(host.stop(SOON).await.unwrap().success());
    reason
}

#[tokio::test]
async fn files_that_are_no_plugins_are_told_apart() {
    let (_prosody, home, _) = host().await;
    let engine = wasmtime::Engine::default();
    let module = b"\0asm\x01\0\0\0";
    let component = built("echo").unwrap().bytes().unwrap();
    let mut cut = component.clone();
    cut.truncate(component.len() / 2);
    let precompiled =
        "the file is precompiled machine code, which is never trusted; give the component it was made from";
    let cases: [(&str, Vec<u8>, &str); 8] = [
        ("empty", vec![], "the file is empty; copy or build it again"),
        ("picture", b"\x89PNG\r\n".to_vec(), "the file is not WebAssembly; build it with `parlor plugin build`"),
        (
            "text",
            b"(component)".to_vec(),
            "the file is the text form of WebAssembly; build it with `parlor plugin build`",
        ),
        ("core", module.to_vec(), "the file is a core module, not a component; build it with `parlor plugin build`"),
        ("compiled", engine.precompile_component(&component).unwrap(), precompiled),
        ("compiled-module", engine.precompile_module(module).unwrap(), precompiled),
        ("cut", cut, "the file is malformed at byte "),
        (
            "bare",
            b"\0asm\x0d\0\x01\0".to_vec(),
            "the file has no manifest; build it with `parlor plugin build`, which embeds plugin.toml",
        ),
    ];
    let mut policy = Policy::default();
    for (id, bytes, _) in &cases {
        policy = policy.with(id, home.install_bytes(id, bytes).unwrap());
    }
    policy = policy.with("missing", Entry::new("plugins/missing.wasm", digest_of(b"")));
    policy = policy.with("folder", Entry::new("plugins", digest_of(b"")));
    let mut host = start(&home, policy).await;
    for (id, _, sentence) in &cases {
        let reason = reason(&host, "plugin refused", id).await;
        assert!(reason.starts_with(&format!("plugins/{id}.wasm: {sentence}")), "{id}: {reason}");
    }
    for (id, start) in [
        ("missing", "plugins/missing.wasm cannot be read (No such file or directory (os error 2))"),
        ("folder", "plugins cannot be read (it is not a file)"),
    ] {
        let expected = format!("{start}; put the plugin's file there, or correct its `source` in plugins.toml");
        assert_eq!(reason(&host, "plugin refused", id).await, expected);
    }
    assert_eq!(host.lines("plugin running", &[]).len(), 1);
    assert!(host.stop(SOON).await.unwrap().success());
}

#[tokio::test]
async fn a_plugin_for_another_version_of_the_contract_is_refused_with_both_numbers() {
    let (_prosody, home, _) = host().await;
    let echo = built("echo").unwrap().bytes().unwrap();
    let update = "update parlor, or build the plugin with an older SDK";
    let declared = with_manifest(&echo, |manifest| manifest.replace("api = \"0.1.0\"", "api = \"0.9.0\"")).unwrap();
    assert_eq!(
        refused(&home, "newer", home.install_bytes("newer", &declared).unwrap()).await,
        format!(
            "plugins/newer.wasm: the plugin is built against version 0.9.0 of the contract, this host serves 0.1.x; \
             {update}"
        )
    );
    // The imports count, not the manifest.
    let imported = with_text(&echo, "@0.1.0", "@0.9.0");
    let reason = refused(&home, "liar", home.install_bytes("liar", &imported).unwrap()).await;
    assert!(reason.starts_with("plugins/liar.wasm: `parlor:plugin/"), "{reason}");
    let end = format!("` is built against version 0.9.0 of the contract, this host serves 0.1.x; {update}");
    assert!(reason.ends_with(&end), "{reason}");
}

/// Rows 5.
#[tokio::test]
async fn a_file_that_changed_since_it_was_approved_does_not_run() {
    let (_prosody, home, _) = host().await;
    let snoop = built("snoop").unwrap();
    let entry = home.install("snoop", &snoop).unwrap();
    let other = built("greeter").unwrap();
    home.replace("snoop", &other.bytes().unwrap()).unwrap();
    let short = |digest: &str| digest["sha256:".len()..][..12].to_owned();
    assert_eq!(
        refused(&home, "snoop", entry).await,
        format!(
            "the file of snoop has the digest {}, but {} was approved: the file is not the one that was approved, or the digest in plugins.toml was \
             changed; if you want this file, write `digest = \"{}\"` under [plugin.snoop] in plugins.toml",
            short(&other.digest),
            short(&snoop.digest),
            other.digest
        )
    );
}

/// Rows 2.
#[tokio::test]
async fn an_id_that_is_there_twice_is_named_with_both_places() {
    let (_prosody, home, _) = host().await;
    let policy = Policy::default().with("echo", echo(&home)).to_toml().unwrap();
    let second = policy.lines().count() + 1;
    home.write("plugins.toml", &format!("{policy}[plugin.echo]\nsource = \"plugins/other.wasm\"\n")).unwrap();
    assert_eq!(
        refused_early(&home).await,
        format!(
            "plugins.toml:{second}:9: `echo` is there twice; the first is in line 1; keep one of them, or rename one"
        )
    );
}

/// Rows 6.
#[tokio::test]
async fn plugins_that_wait_for_each_other_are_refused_with_the_circle() {
    let (_prosody, home, _) = host().await;
    let unruly = built("unruly").unwrap().bytes().unwrap();
    let mut policy = Policy::default();
    for (id, on) in [("a", "b"), ("b", "c"), ("c", "a"), ("d", "d")] {
        let bytes = with_manifest(&unruly, |manifest| format!("{manifest}\n[dependencies]\n{on} = \"*\"\n")).unwrap();
        policy = policy.with(id, home.install_bytes(id, &bytes).unwrap());
    }
    let mut host = start(&home, policy).await;
    for (id, circle) in [("a", "a → b → c → a"), ("b", "b → c → a → b"), ("c", "c → a → b → c"), ("d", "d → d")]
    {
        assert_eq!(
            reason(&host, "plugin refused", id).await,
            format!("its dependencies form a circle: {circle}; take one of them out of plugins.toml")
        );
    }
    assert!(host.stop(SOON).await.unwrap().success());
}

#[tokio::test]
async fn a_plugin_that_wants_more_than_it_was_granted_hears_of_each_missing_grant() {
    let (_prosody, home, _) = host().await;
    let greedy = home.install("greedy", &built("echo").unwrap()).unwrap();
    let start = "greedy needs what was not granted; to allow it, add under [plugin.greedy.grants] in plugins.toml: ";
    assert_eq!(
        refused(&home, "greedy", greedy.clone()).await,
        format!("{start}\"messages.read\" = [\"*\"], \"messages.send\" = [\"*\"], \"rooms.send\" = [\"*\"]")
    );
    let greedy = greedy.grant("messages.read", &["*"]).grant("rooms.send", &["*"]);
    assert_eq!(refused(&home, "greedy", greedy.clone()).await, format!("{start}\"messages.send\" = [\"*\"]"));

    let undeclared = built("echo").unwrap().bytes().unwrap();
    let undeclared = with_manifest(&undeclared, |manifest| {
        let lines = manifest.lines().filter(|line| !line.starts_with("\"rooms.send\""));
        lines.collect::<Vec<_>>().join("\n")
    });
    let entry = home.install_bytes("sly", &undeclared.unwrap()).unwrap();
    let reason = refused(&home, "sly", entry.grant("messages.read", &["*"]).grant("messages.send", &["*"])).await;
    assert!(reason.starts_with("sly calls what its manifest does not ask for: rooms."), "{reason}");
    assert!(reason.ends_with(" (needs rooms.send); its author has to declare it under [permissions]"), "{reason}");
}

fn unruly(home: &Home, id: &str, behaviour: &str) -> Entry {
    home.install(id, &built("unruly").unwrap()).unwrap().set("behaviour", behaviour)
}

#[tokio::test]
async fn an_initialize_that_fails_says_so_in_its_own_words() {
    let (_prosody, home, _) = host().await;
    let policy = Policy::default().with("bad", unruly(&home, "bad", "initialize-fails"));
    let mut host = start(&home, policy).await;
    assert_eq!(reason(&host, "plugin declined to start", "bad").await, "failed to order");
    assert!(host.stop(SOON).await.unwrap().success());
    assert!(host.lines("plugin running", &[("plugin", "bad")]).is_empty());
}

#[tokio::test]
async fn an_initialize_that_traps_is_tried_five_times_and_then_left_to_the_owner() {
    let (_prosody, home, _) = host().await;
    let policy = Policy::default().with("bad", unruly(&home, "bad", "initialize-traps"));
    let mut host = start(&home, policy).await;
    let line = host.wait_count("plugin quarantined", &[("plugin", "bad")], 1, SOON).await.unwrap();
    assert_eq!(line.get("reason"), "it panicked or aborted");
    assert_eq!(line.get("remedy"), "`parlor plugin restart` tries it again; or change its entry in plugins.toml");
    assert_eq!(host.lines("plugin ended", &[("plugin", "bad")]).len(), 5);
    assert!(host.lines("plugin running", &[("plugin", "bad")]).is_empty());

    // The remedy in each message works.
    let again = home.run(&["plugin", "restart", "bad"]).await.unwrap();
    assert_eq!(again.code, Some(1), "{again:?}");
    assert!(again.stderr.contains("bad does not run: it panicked or aborted"), "{again:?}");
    host.wait_count("plugin ended", &[("plugin", "bad")], 6, SOON).await.unwrap();
    home.set_policy(&Policy::default().with("bad", unruly(&home, "bad", "")).with("echo", echo(&home))).unwrap();
    host.reload().unwrap();
    host.wait_count("plugin running", &[("plugin", "bad")], 1, SOON).await.unwrap();
    assert!(host.stop(SOON).await.unwrap().success());
}

#[tokio::test]
async fn an_initialize_that_never_returns_holds_nobody_up() {
    let (_prosody, home, _) = host().await;
    let limited =
        |id, behaviour| unruly(&home, id, behaviour).limit("initialize", "500 ms").limit("cpu_slice", "50 ms");
    let policy = Policy::default()
        .with("sleeps", limited("sleeps", "initialize-sleeps"))
        .with("spins", limited("spins", "initialize-spins"))
        .with("waits", limited("waits", "initialize-never-returns"));
    // One of the three never returns. That the account connects at all shows that it waits for none of them.
    let mut host = start(&home, policy).await;
    assert_eq!(
        reason(&host, "plugin ended", "sleeps").await,
        "its initialize did not return within 500 ms (limit `initialize`)"
    );
    let spun = reason(&host, "plugin ended", "spins").await;
    assert!(spun.contains("50 ms"), "{spun}");
    // A plugin may wait for the host as long as it likes. The owner is notified once.
    let message = "plugin has not started: its initialize waits for the connection or for another plugin";
    host.wait_count(message, &[("plugin", "waits")], 1, SOON).await.unwrap();
    assert!(host.lines("plugin ended", &[("plugin", "waits")]).is_empty());
    assert!(host.lines(message, &[("plugin", "sleeps")]).is_empty());
    assert!(host.stop(SOON).await.unwrap().success());
}

#[tokio::test]
async fn a_plugin_for_an_account_that_is_not_there_is_refused_with_those_that_are() {
    let (_prosody, home, _) = host().await;
    let mut entry = home.install("lost", &built("unruly").unwrap()).unwrap();
    entry.accounts = Some(vec!["main".into(), "mian".into()]);
    assert_eq!(
        refused(&home, "lost", entry).await,
        "plugins.toml wants it on the account mian, which is not in parlor.toml; name one of main in `accounts` \
         under [plugin.lost], or add [account.mian]"
    );
}

#[tokio::test]
async fn a_policy_that_is_wrong_names_the_line_and_starts_nothing() {
    let (_prosody, home, _) = host().await;
    let good = Policy::default().with("echo", echo(&home)).to_toml().unwrap();
    let line = good.lines().count() + 2;
    for (section, text, sentence) in [
        ("limits", "memory = \"1 B\"", "the limit `memory` has to be from 64 KiB to 4095 MiB, not 1 B"),
        ("limits", "memory = 64", "the limit `memory` has to be a size such as \"32 MiB\""),
        ("limits", "mailbox = -1", "the limit `mailbox` has to be from 1 to 65536, not 0"),
        ("limits", "cpu_share = 2.0", "the limit `cpu_share` has to be from 0.001 to 1, not 2"),
        ("limits", "memroy = \"32 MiB\"", "unknown limit `memroy`; did you mean `memory`?"),
        ("setings", "x = 1", "unknown key `plugin.echo.setings`; did you mean `settings`?"),
    ] {
        let (line, column) = if section == "setings" { (line - 1, 14) } else { (line, 1) };
        home.write("plugins.toml", &format!("{good}[plugin.echo.{section}]\n{text}\n")).unwrap();
        assert_eq!(refused_early(&home).await, format!("plugins.toml:{line}:{column}: {sentence}"));
    }
}

#[tokio::test]
async fn a_policy_that_is_half_written_changes_nothing_in_a_running_host() {
    let (prosody, home, bot) = host().await;
    let mut host = start(&home, Policy::default().with("quiet", unruly(&home, "quiet", ""))).await;
    let juliet = prosody.fresh_account("juliet").unwrap();
    let mut juliet = Client::login(&prosody.connector().unwrap(), &juliet, "balcony").await.unwrap();
    juliet.available().await.unwrap();
    let whole = std::fs::read_to_string(home.path().join("plugins.toml")).unwrap();
    for (number, length) in [whole.find("[plugin.quiet").unwrap() - 3, whole.len() - 2].into_iter().enumerate() {
        home.write("plugins.toml", &whole[..length]).unwrap();
        host.reload().unwrap();
        let message = "the policy was not read; nothing has changed";
        let line = host.wait_count(message, &[], number + 1, SOON).await.unwrap();
        let reason = line.get("reason");
        assert!(reason.starts_with("plugins.toml:"), "{reason}");
        let text = format!("still there {number}?");
        juliet.chat(bot.jid.clone(), &text).await.unwrap();
        juliet.wait_body(&bot.jid, &text, SOON).await.unwrap();
    }
    for message in ["plugin stopped", "plugin ended", "plugin removed", "policy read again"] {
        assert!(host.lines(message, &[]).is_empty(), "{message}: {}", host.log().tail());
    }
    home.write("plugins.toml", &whole).unwrap();
    host.signal(Signal::Reload).unwrap();
    host.wait("policy read again", &[], SOON).await.unwrap();
    assert_eq!(host.lines("plugin running", &[]).len(), 2);
    assert!(host.stop(SOON).await.unwrap().success());
}
