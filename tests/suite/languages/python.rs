//! Plugins in Python.

use std::ffi::OsStr;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use parlor_runtime::supervisor::State;
use parlor_tests::folder::Folder;
use parlor_tests::host::Home;
use parlor_tests::peer::archive::{Script, honest};
use parlor_tests::policy::Entry;
use tokio_xmpp::Stanza;
use xmpp_parsers::message::{Lang, Message, MessageType, Thread};

use super::{
    MANIFEST, actions, asked, begins_and_answers, built, built_reader, does_as_expected, does_not_start, example,
    holds_no_password, is_refused, online, passes_its_tests,
};
use crate::test_host::{Plan, SOON, TestHost, friend, running};

#[tokio::test(flavor = "multi_thread")]
async fn a_new_plugin_in_python_builds_at_once_and_answers() {
    let folder = Folder::new().unwrap();
    begins_and_answers("python", folder.path(), &folder).await;
    editors_are_told_what_there_is(&folder);
    let plugin = folder.path().join("repeat");
    super::unit::python_is_typed(&plugin).await;
    super::unit::python_is_tested(&plugin);
}

/// Checks that the stubs in the plugin's folder match every function and record that componentize-py generates.
fn editors_are_told_what_there_is(folder: &Folder) {
    let tools = parlor_authoring::build::data_folder().unwrap().join("tools");
    let tools = fs::read_dir(tools).unwrap().map(|tool| tool.unwrap().path());
    let tool = tools.filter(|tool| tool.to_str().unwrap().contains("/componentize-py-")).max().unwrap();
    let python = |arguments: &[&OsStr]| {
        let output = Command::new(tool.join("bin/python3")).arg("-I").args(arguments).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let (bindings, wit) = (folder.path().join("bindings"), example("../wit"));
    let call = "import componentize_py; componentize_py.script()";
    let flags = ["-c", call, "--quiet", "--world", "plugin", "--wit-path"].map(OsStr::new);
    python(&[&flags[..], &[wit.as_os_str(), OsStr::new("bindings"), bindings.as_os_str()]].concat());
    let (sdk, package) = (folder.path().join("repeat/.parlor/sdk"), example("../plugins-sdk/python/parlor"));
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("suite/languages/stubs.py");
    let compared = python(&[script.as_os_str(), sdk.as_os_str(), bindings.as_os_str(), package.as_os_str()]);
    assert!(compared.trim().parse::<usize>().unwrap() > 100, "{compared} names compared");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_in_python_waits_keeps_and_goes_on_after_what_it_raises() {
    let told = [
        ("raise", None),
        ("chain", None),
        ("print", None),
        ("setting", Some("hi")),
        ("keep", Some("{'a': [1, 2]} ['k'] True None")),
        ("gather", Some("[1, 2]")),
        ("later", Some("it is later")),
        ("promise", Some("{'x': 1}")),
        ("denied", Some("not granted: messages.send for nobody@nowhere.invalid")),
        (
            "undeclared",
            Some(
                "rooms.get is not part of this plugin: it needs rooms.read; ask for that in plugin.toml, and build again",
            ),
        ),
        ("typo", Some("chats has no sned; .parlor/docs/reference/api/chats.md names what it has")),
        ("invalid", Some("jid")),
        ("year", Some("True")),
        ("compare", Some("[False, True, True, False] {'x': 3}")),
        ("escape", Some("&lt;a&gt;&amp; \"it is\"")),
        ("!action one 'two three'", Some("one|two three")),
        ("ready", Some("True")),
        ("wait", None),
        ("timeout", Some("too late")),
        ("wake", Some("woken")),
    ];
    let host = actions(&[("plugin.py", PLUGIN)], "hi", &told).await;
    holds_no_password(&host).await;
    stays_in_the_thread(&host).await;
    // The log has a traceback of the author's own lines, and the plugin keeps running.
    let lines = crate::trace::with("account", host.name());
    let raised = lines.iter().find(|line| line.get("message").contains("ValueError: told to")).unwrap();
    assert!(raised.get("message").contains("plugin.py"), "{raised:?}");
    let end = "RuntimeError: told to by another one";
    assert!(lines.iter().any(|line| line.get("message").ends_with(end)), "the end of a long one is not there");
    assert!(lines.iter().all(|line| line.get("message") != "plugin ended"));
    let printed = lines.iter().find(|line| line.get("message").starts_with("it printed")).unwrap();
    assert!(!printed.get("message").contains('\x1b'), "{printed:?}");
    host.stop().await;
}

/// A reply stays in the thread of the message that it answers.
async fn stays_in_the_thread(host: &TestHost) {
    let (mut friend, bot) = (friend("friend").await, host.account().jid.clone());
    let mut asked = Message::new_with_type(MessageType::Chat, Some(bot.into()));
    asked = asked.with_body(Lang::default(), "setting".to_owned());
    asked.thread = Some(Thread { parent: None, id: "t1".to_owned() });
    friend.send(asked).await.unwrap();
    let thread = friend.wait_for("an answer", SOON, |stanza| match stanza {
        Stanza::Message(message) if message.bodies.values().any(|body| body == "hi") => Some(message.thread.clone()),
        _ => None,
    });
    assert_eq!(thread.await.unwrap().map(|thread| thread.id), Some("t1".to_owned()));
}

/// Authors expect what they know from other programs: asyncio across handlers, long-lived tasks, records, calls,
/// stanzas, commands.
#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_in_python_does_what_its_author_expects_of_asyncio_and_of_the_sdk() {
    does_as_expected("python", "78 passed, 0 failed\n").await;
}

/// A loop over an archive may be cancelled and continued or not. An unread stream leaves nothing behind.
#[tokio::test(flavor = "multi_thread")]
async fn an_archive_in_python_is_read_to_its_end_also_where_a_wait_was_cut_short() {
    let folder = Folder::new().unwrap();
    let plugin = built_reader("plugin.py", ARCHIVE, &folder).await;
    // Second pages are held back until a request asks for the number of messages. It fails while none is held.
    let (mut archive, mut held) = (honest(4), Vec::new());
    let script: Script = Box::new(move |asked| match (asked.max(), asked.part("after")) {
        (0, _) if held.is_empty() => vec![asked.refuse("internal-server-error")],
        (0, _) => held.drain(..).chain(archive(asked)).collect(),
        (_, Some(_)) if asked.field("start").is_some() => vec![asked.refuse("internal-server-error")],
        (_, Some("uid-0")) => {
            held.extend(archive(asked));
            Vec::new()
        }
        _ => archive(asked),
    });
    let reads = |entry: Entry| asked(entry).grant("archive.read", &["*"]);
    let plan = Plan::scripted(script).await.set("archived_messages_page_size", 1);
    let host = plan.bytes("actions", &plugin, reads).start().await;
    let read = "['message 0', 'message 1', 'message 2', 'message 3'], ['message 0'], internal-server-error";
    host.logged(read, &[("plugin", "actions")]).await;
    assert_eq!(host.instance("actions").await.open_archive_queries(), 0);
    host.stop().await;
}

/// Calls that need a connection are too early then, and the author gets the remedy and the line.
#[tokio::test(flavor = "multi_thread")]
async fn a_start_that_sends_is_refused_with_what_helps_and_its_traceback() {
    let folder = Folder::new().unwrap();
    folder.write("plugin/plugin.toml", MANIFEST).unwrap();
    let sends = "from parlor import on_start, send\n\n\n@on_start\nasync def start() -> None:\n    \
                 await send(\"juliet@localhost\", \"hello\")\n";
    folder.write("plugin/plugin.py", sends).unwrap();
    let plugin = built(&folder.path().join("plugin"), &folder).await;
    let host = Plan::new().await.bytes("actions", &plugin, asked).start().await;
    let state = host.state("actions").await;
    assert!(matches!(&state, State::Refused(reason) if reason.contains("or send in @on_ready")), "{state:?}");
    let lines = crate::trace::with("account", host.name());
    let refused = lines.iter().find(|line| line.get("message").starts_with("it does not start")).unwrap();
    for part in ["plugin.py", "line 6, in start"] {
        assert!(refused.get("message").contains(part), "{part} is missing: {refused:?}");
    }
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_calls_the_host_while_it_is_built_is_told_where_to() {
    let folder = Folder::new().unwrap();
    folder.write("plugin/plugin.toml", MANIFEST).unwrap();
    folder.write("plugin/plugin.py", "from parlor import setting\n\nGREETING = setting('greeting')\n").unwrap();
    let parts = ["plugin.py", "line 3", "settings.get is called while the plugin is built", "call it in @on_start"];
    is_refused(&folder.path().join("plugin"), &folder, &parts).await;
}

/// Otherwise it would build only on this machine.
#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_in_python_takes_nothing_of_the_machines_packages_but_those_of_an_active_environment() {
    let folder = Folder::new().unwrap();
    folder.write("plugin/plugin.toml", MANIFEST).unwrap();
    folder.write("plugin/plugin.py", "import only_here\n").unwrap();
    let asked =
        Command::new("python3").args(["-c", "import sys; print('python%d.%d' % sys.version_info[:2])"]).output();
    let version = String::from_utf8(asked.unwrap().stdout).unwrap();
    let packages = format!("lib/{}/site-packages/only_here.py", version.trim());
    folder.write(format!("user/{packages}"), "").unwrap();
    folder.write(format!("environment/{packages}"), "").unwrap();
    let mut home = Home::new().unwrap();
    home.set_environment("PYTHONUSERBASE", folder.path().join("user").to_str().unwrap());
    let plugin = folder.path().join("plugin");
    let arguments = ["plugin", "build", plugin.to_str().unwrap()];
    let refused = home.run(&arguments).await.unwrap();
    assert_eq!(refused.code, Some(1), "{refused:?}");
    for part in ["No module named 'only_here'", "is brought along by `pip install --target . NAME`"] {
        assert!(refused.stderr.contains(part), "{part} is missing: {refused:?}");
    }
    home.set_environment("VIRTUAL_ENV", folder.path().join("environment").to_str().unwrap());
    let taken = home.run(&arguments).await.unwrap();
    assert_eq!(taken.code, Some(0), "{taken:?}");
    // A library that must be linked needs the full build with componentize-py.
    let slowly = "with componentize-py";
    assert!(!taken.stderr.contains(slowly), "{taken:?}");
    folder.write(format!("environment/{}", packages.replace("only_here.py", "fast-wasm32-wasi.so")), "").unwrap();
    // It lets the plugin's code write among the packages.
    let refused = home.run(&arguments).await.unwrap();
    assert_eq!(refused.code, Some(3), "{refused:?}");
    assert!(refused.stderr.contains("give --trust to go on") && !refused.stderr.contains(slowly), "{refused:?}");
    let linked = home.run(&[&arguments[..], &["--trust"]].concat()).await.unwrap();
    assert!(linked.stderr.contains(slowly), "{linked:?}");
}

/// A `.git/config` in the folder, or a `.pth` file among the packages of the environment, is run by other programs later.
#[tokio::test(flavor = "multi_thread")]
async fn the_code_of_a_strangers_folder_in_python_writes_nothing_where_it_is_built() {
    let folder = Folder::new().unwrap();
    let writes = "for place in ('/', '/0', '/1', '/2', '.'):\n    try:\n        \
                  open(place + '/written', 'w').close()\n    except OSError:\n        pass\n";
    let home = Home::new().unwrap();
    for (name, more, code) in [("plain", "notes.txt", 0), ("linked", "lib/componentize-py.toml", 3)] {
        let file = |inner: &str| format!("{name}/{inner}");
        folder.write(file("plugin.toml"), MANIFEST).unwrap();
        folder.write(file("plugin.py"), writes).unwrap();
        folder.write(file(more), "").unwrap();
        let plugin = folder.path().join(name);
        let built = home.run(&["plugin", "build", plugin.to_str().unwrap()]).await.unwrap();
        assert_eq!(built.code, Some(code), "{built:?}");
        assert!(!plugin.join("written").exists(), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_reminders_remind_also_after_a_restart() {
    let folder = Folder::new().unwrap();
    let reminders = built(&example("reminders"), &folder).await;
    passes_its_tests("reminders", &folder, "7 passed, 0 failed\n").await;
    let keeps = |entry: Entry| entry.grant("messages.send", &["*"]).grant("storage", &["1 MiB"]);
    let host = Plan::new().await.bytes("reminders", &reminders, keeps).start().await;
    running(&host, "reminders").await;
    let mut friend = friend("friend").await;
    let bot = host.account().jid.clone();
    friend.chat(bot.clone(), "!remind in 1 hour sleep").await.unwrap();
    friend.chat(bot.clone(), "!remind in 5 seconds water the plants").await.unwrap();
    friend.wait_body(&bot, "You wanted to be reminded: water the plants", SOON).await.unwrap();
    // A reminder that comes due while the host is down is sent once it is up.
    friend.chat(bot.clone(), "!remind in 5 seconds get up").await.unwrap();
    let promised = |text: &str| text.starts_with("I will, on ").then_some(());
    for _ in 0..3 {
        friend.wait_text("each promise", &bot, SOON, promised).await.unwrap();
    }
    let host = host.restart_after(async || tokio::time::sleep(Duration::from_secs(5)).await).await;
    friend.wait_body(&bot, "You wanted to be reminded: get up", SOON).await.unwrap();
    host.stop().await;
}

/// Rows 136 and 137.
#[tokio::test(flavor = "multi_thread")]
async fn news_of_feeds_are_told_once() {
    let folder = Folder::new().unwrap();
    let feeds = built(&example("feeds"), &folder).await;
    passes_its_tests("feeds", &folder, "19 passed, 0 failed\n").await;
    super::unit::feeds_are_typed_and_tested().await;
    Box::pin(online::feeds_are_fetched_if_they_changed(&feeds)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_build_leaves_no_file_and_shows_the_authors_own_line() {
    let folder = Folder::new().unwrap();
    folder.write("plugin/plugin.toml", MANIFEST).unwrap();
    folder.write("plugin/plugin.py", "def answer(:\n").unwrap();
    let parts = ["    File \"plugin.py\", line 1\n      def answer(:\n", "actions did not compile"];
    is_refused(&folder.path().join("plugin"), &folder, &parts).await;
}

/// The error is raised where the handler is registered, and not when it is called, which may be a week later.
#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_could_call_in_python_is_refused_with_what_to_write() {
    let folder = Folder::new().unwrap();
    folder.write("plugin/plugin.toml", MANIFEST).unwrap();
    let text = "from functools import partial\nfrom typing import Annotated\n\
                from parlor import Range, command, on, on_start\n\n\n\
                async def late(self): ...\n\n\nasync def two(one, other): ...\n\n\n\
                def plain(): ...\n\n\nasync def many(): yield\n\n\n\
                for taker in (on(\"message\"), command(\"roll\"), on_start):\n    \
                for function in (late, partial(late), two, plain, many):\n        try:\n            taker(function)\n        \
                except TypeError as error:\n            print(error)\n\
                try:\n    command(\"roll\", aliases=(\"throw\"))\nexcept TypeError as error:\n    print(error)\n\
                async def dice(_, sides: Annotated[str, Range(1, 6)]): ...\n\n\n\
                try:\n    command(\"dice\")(dice)\nexcept TypeError as error:\n    print(error)\n\
                raise SystemError(\"all of it\")\n";
    folder.write("plugin/plugin.py", text).unwrap();
    let parts = [
        "the argument sides of the command dice has a Range, and its hint is str: only an int and a float have bounds\n",
        "late is a method: write on('message', …)(self.late) where its object is made, or take self away\n",
        "late is a method: write command('roll', …)(self.late) where",
        "late is a method: write on_start(self.late) where",
        "two takes one, other, and is given the command: write `async def two(command)`; its words are `command.args`\n",
        "two takes one, other, and is given nothing: write `async def two()`\n",
        "functools.partial(<function late at ",
        " listens to message, and has to be an `async def`\n",
        " does what roll says, and has to be an `async def`\n",
        "many yields what nobody would say: answer by `await reply(…)` in an `async def`\n",
        "command 'roll': aliases has to be a list, and is the text 'throw'\n",
        "SystemError: all of it",
    ];
    is_refused(&folder.path().join("plugin"), &folder, &parts).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_commands_with_one_name_are_refused_when_the_plugin_is_built() {
    let folder = Folder::new().unwrap();
    folder.write("plugin/plugin.toml", MANIFEST).unwrap();
    let text = "from parlor import command\n\n\n@command(\"roll\", aliases=[\"r\"])\nasync def roll(_): ...\n\n\n\
                @command(\"R\")\nasync def rot(_): ...\n";
    folder.write("plugin/plugin.py", text).unwrap();
    let parts = ["command \"R\" and command \"roll\" are both called \"r\"", "plugin.py\", line 8"];
    is_refused(&folder.path().join("plugin"), &folder, &parts).await;
}

/// Code at the top of a file runs when the plugin starts, where no traceback shows the author's line.
#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_begin_in_python_is_named_with_its_authors_line() {
    for (line, says) in [
        ("@command(\"!x\", help=\"X\")", "Invalid: command \"!x\" at plugin.py:4: invalid command.name: is not "),
        ("@on(\"occupantJoined\")", "Denied: on(\"occupantJoined\") at plugin.py:4: not granted: rooms.read"),
    ] {
        let text = format!("from parlor import command, on\n\n\n{line}\nasync def begun(_): ...\n");
        does_not_start("plugin.py", &text, says).await;
    }
}

/// A runtime error during the build is shown by the plugin's own Python, without the tool's own output.
#[tokio::test(flavor = "multi_thread")]
async fn an_error_while_a_plugin_in_python_is_built_is_shown_as_python_shows_it() {
    let folder = Folder::new().unwrap();
    folder.write("plugin/plugin.toml", MANIFEST).unwrap();
    folder.write("plugin/plugin.py", "import lib.part\n").unwrap();
    folder.write("plugin/lib/part.py", "print('it begins')\n\n\nnot_there(1)\n").unwrap();
    let mut home = Home::new().unwrap();
    home.set_environment("RUST_BACKTRACE", "1");
    let finished = home.run(&["plugin", "build", folder.path().join("plugin").to_str().unwrap()]).await.unwrap();
    let expected = "  it begins\nparlor: actions did not compile: Traceback (most recent call last):\n    \
                    File \"plugin.py\", line 1, in <module>\n      import lib.part\n    \
                    File \"lib/part.py\", line 4, in <module>\n      not_there(1)\n      ^^^^^^^^^\n  \
                    NameError: name 'not_there' is not defined\n";
    assert!(finished.stderr.ends_with(expected), "{finished:?}");
    // Progress is shown also without a terminal.
    assert!(finished.stderr.contains("building actions\n") && finished.stdout.is_empty(), "{finished:?}");
}

const ARCHIVE: &str = r#"
import asyncio
import logging

from parlor import archive, errors, on_ready, sleep

log = logging.getLogger(__name__)


async def release() -> bool:
    """Has the server send what it holds back; whether there was anything."""
    try:
        await archive.query(max=0)
        return True
    except errors.StanzaError:
        return False


async def cut_short(messages) -> None:
    """Waits for a message that does not come before nobody waits for it any more."""
    waits = asyncio.create_task(anext(messages))
    await sleep(0)
    waits.cancel()
    while not await release():
        pass


@on_ready
async def ready() -> None:
    while True:
        try:
            await release()
            break
        except errors.Unsupported:
            # It is not known yet whether there is one.
            await sleep(0.01)
    for _ in range(9):
        messages = archive.query_all()
        await anext(messages)
        await cut_short(messages)
    messages = archive.query_all()
    bodies = [(await anext(messages)).message.body]
    await cut_short(messages)
    bodies += [one.message.body async for one in messages]
    seen = []
    try:
        async for one in archive.query_all(start="2020-01-01T00:00:00Z"):
            seen.append(one.message.body)
    except errors.StanzaError as error:
        log.info("%s, %s, %s", bodies, seen, error.condition)
"#;

const PLUGIN: &str = r#"
import asyncio
from datetime import datetime, timezone

from parlor import (
    Command, Message, after, chats, command, connection, emit, errors, escape, on, on_ready, promise, quoteattr, reply, rooms, send,
    setting, storage, wait_until,
)

is_ready = False
woken = asyncio.Event()


@on_ready
async def ready() -> None:
    global is_ready
    is_ready = connection.connected()


@command("Action", help="Does it", usage="WHAT")
async def action(command: Command) -> None:
    await reply(command.message, "|".join(command.args))


async def number(value):
    await asyncio.sleep(0.01)
    return value


@on("message", kind="chat")
async def answer(message: Message) -> None:
    match message.body:
        case "raise":
            raise ValueError("told to")
        case "chain":
            try:
                raise ValueError("long " * 1000)
            except ValueError as error:
                raise RuntimeError("told to by another one") from error
        case "print":
            print("it printed\x1b[31m this")
        case "setting":
            await reply(message, setting("greeting"))
        case "keep":
            await storage.set("k", {"a": [1, 2]})
            kept, keys = await storage.get("k"), await storage.keys()
            await reply(message, f"{kept} {keys} {await storage.delete('k')} {await storage.get('k')}")
        case "compare":
            swapped = [await storage.compare_and_set("c", *pair) for pair in ((1, 2), (None, 2), (2, {"x": 3}), (2, 4))]
            await reply(message, f"{swapped} {await storage.get('c')}")
        case "escape":
            await reply(message, f"{escape('<a>&')} {quoteattr('it is')}")
        case "gather":
            await reply(message, str(await asyncio.gather(number(1), number(2))))
        case "later":
            async def later():
                await reply(message, "it is later")
            after(0.01, later)
        case "promise":
            await promise("actionsDone")
            await emit("actionsDone", {"x": 1})
            await reply(message, str(await wait_until("actionsDone")))
        case "denied":
            try:
                await send("nobody@nowhere.invalid", "hello")
                await reply(message, "it was sent")
            except errors.Denied as error:
                await reply(message, str(error))
        case "undeclared":
            try:
                rooms.get("room@conference.localhost")
            except errors.NotDeclared as error:
                await reply(message, str(error))
        case "typo":
            try:
                await chats.sned(message.chat)
            except AttributeError as error:
                await reply(message, str(error))
        case "invalid":
            try:
                await send("@", "hello")
            except errors.Invalid as error:
                await reply(message, error.argument)
        case "ready":
            await reply(message, str(is_ready))
        case "wait":
            await woken.wait()
            await reply(message, "woken")
        case "wake":
            woken.set()
        case "timeout":
            try:
                await asyncio.wait_for(woken.wait(), 0.01)
            except TimeoutError:
                await reply(message, "too late")
        case "year":
            age = datetime.now(timezone.utc) - message.at
            await reply(message, str(abs(age.total_seconds()) < 3600))
"#;
