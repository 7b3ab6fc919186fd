//! Plugins in Go.

use parlor_runtime::supervisor::State;
use parlor_tests::folder::Folder;
use parlor_tests::peer::archive::{Script, honest};
use parlor_tests::policy::Entry;
use serde_json::Value;
use tokio::sync::OnceCell;

use super::{
    MANIFEST, actions, asked, begins_and_answers, built, built_reader, does_as_expected, example, holds_no_password,
    is_ready_again, is_refused, manifest_of_answers, online, parlor, passes_its_tests, talks, with_archive,
};
use crate::test_host::{A_MOMENT, Plan, SOON, friend, running};

#[tokio::test(flavor = "multi_thread")]
async fn a_new_plugin_in_go_builds_at_once_and_answers() {
    let folder = Folder::new().unwrap();
    begins_and_answers("go", folder.path(), &folder).await;
}

/// Row 12.
#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_in_go_waits_keeps_and_goes_on_after_what_it_returns_and_after_a_panic() {
    let told = [
        ("fail", None),
        ("panic", None),
        ("print", None),
        ("setting", Some("h\u{fc} \"\\\n")),
        ("keep", Some("[1 2] [k] true false")),
        ("much", Some("20")),
        ("later", Some("it is later")),
        ("ticks", Some("three ticks")),
        ("sleep", Some("true true")),
        ("promise", Some("{\"x\":1}")),
        ("rejected", Some("rejected: no")),
        ("deadline", Some("context deadline exceeded")),
        ("denied", Some("messages.send for nobody@nowhere.invalid true")),
        ("invalid", Some("jid")),
        ("year", Some("true")),
        ("collect", Some("500500")),
        ("escape", Some("<a b='&lt;&apos;&gt;'><c>&amp;</c></a>")),
        ("!action one 'two three'", Some("one|two three / one 'two three'")),
        ("!actions.whole I don't  know", Some("I|don't|know / I don't  know")),
        ("ready", Some("ready once")),
    ];
    let files = [("plugin.go", PLUGIN), ("number.go", NUMBER), ("go.mod", MODULE)];
    let host = actions(&files, "h\u{fc} \"\\\n", &told).await;
    holds_no_password(&host).await;
    is_ready_again(&host).await;
    let lines = crate::trace::with("account", host.name());
    let logged = |text: &str| lines.iter().any(|line| line.get("message").contains(text));
    assert!(logged("a handler of message failed: told to"));
    // A panic is logged with a stack trace of the author's own lines.
    let panicked = lines.iter().find(|line| line.get("message").contains("panic: told to")).unwrap();
    for part in ["main.number", "number.go:5"] {
        assert!(panicked.get("message").contains(part), "{part} is missing: {panicked:?}");
    }
    assert!(logged("it printed this"));
    assert!(logged("a line with=fields n=1"));
    assert!(lines.iter().any(|line| line.is("it is over", &[("fatal", "true")])), "worse than an error is fatal");
    assert!(!logged("plugin ended"));
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_in_go_does_what_its_author_expects_of_it_and_of_the_sdk() {
    does_as_expected("go", "47 passed, 0 failed\n").await;
}

/// The archive is read page by page: often only its beginning, once all of it, and once with an error halfway.
#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_in_go_reads_a_whole_archive_or_as_much_as_it_wants() {
    let folder = Folder::new().unwrap();
    folder.write("plugin/go.mod", MODULE).unwrap();
    let plugin = built_reader("plugin.go", READER, &folder).await;
    let mut pages = honest(4);
    let script: Script = Box::new(move |page| {
        if page.part("after").is_some() && page.field("start").is_some() {
            return vec![page.refuse("not-allowed")];
        }
        pages(page)
    });
    let host = with_archive(script, &plugin).await;
    host.ears().emit("read", &Value::Null).await;
    host.says(">[uid-0 uid-1 uid-2 uid-3], and [uid-0] before not-allowed<").await;
    assert_eq!(host.instance("actions").await.open_archive_queries(), 0);
    let lines = crate::trace::with("account", host.name());
    assert!(lines.iter().all(|line| line.get("message") != "plugin ended"));
    host.stop().await;
}

/// Rows 136 and 137.
#[tokio::test(flavor = "multi_thread")]
async fn the_weather_is_asked_for_with_a_key_that_the_plugin_never_sees() {
    let folder = Folder::new().unwrap();
    let weather = built(&example("weather"), &folder).await;
    passes_its_tests("weather", &folder, "6 passed, 0 failed\n").await;
    Box::pin(online::the_weather_is_asked_for_with_a_key(&weather)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn karma_is_counted_also_after_a_restart() {
    let folder = Folder::new().unwrap();
    let karma = built(&example("karma"), &folder).await;
    passes_its_tests("karma", &folder, "14 passed, 0 failed\n").await;
    let keeps = |entry: Entry| talks(entry).grant("rooms.send", &["*"]).grant("storage", &["1 MiB"]);
    let host = Plan::new().await.bytes("karma", &karma, keeps).start().await;
    running(&host, "karma").await;
    let mut friend = friend("friend").await;
    let bot = host.account().jid.clone();
    friend.chat(bot.clone(), "juliet++").await.unwrap();
    friend.wait_body(&bot, "juliet has 1", SOON).await.unwrap();
    let host = host.restart().await;
    running(&host, "karma").await;
    friend.chat(bot.clone(), "!karma juliet").await.unwrap();
    friend.wait_body(&bot, "juliet has 1", SOON).await.unwrap();
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_build_in_go_leaves_no_file_and_shows_the_authors_own_line() {
    let folder = Folder::new().unwrap();
    folder.write("plugin/plugin.toml", MANIFEST).unwrap();
    folder.write("plugin/go.mod", MODULE).unwrap();
    folder.write("plugin/plugin.go", "package main\n\nfunc main() { nobody() }\n").unwrap();
    let plugin = folder.path().join("plugin");
    is_refused(&plugin, &folder, &["plugin.go:3:15: undefined: nobody", "actions did not compile"]).await;
    // A call that the manifest does not cover is refused by its name.
    let calls = "package main\n\nimport (\n\t\"context\"\n\n\t\"parlor\"\n)\n\nfunc main() { parlor.Start(start) }\n\n\
                 func start(ctx context.Context) error {\n\t_, err := parlor.RoomsSend(ctx, \"r@x\", \"hello\")\n\treturn err\n}\n";
    folder.write("plugin/plugin.go", calls).unwrap();
    is_refused(&plugin, &folder, &["plugin.go:12: parlor.RoomsSend needs rooms.send"]).await;
}

/// Compiling it would take a host minutes, and it could not connect to anything.
#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_in_go_that_speaks_http_is_refused_when_it_is_built() {
    let folder = Folder::new().unwrap();
    folder.write("plugin/plugin.toml", MANIFEST).unwrap();
    folder.write("plugin/go.mod", MODULE).unwrap();
    let source = "package main\n\nimport (\n\t\"context\"\n\t\"net/http\"\n\n\t\"parlor\"\n)\n\nfunc main() { parlor.Start(start) }\n\n\
                  func start(ctx context.Context) error {\n\t_, err := http.Get(\"http://localhost/\")\n\treturn err\n}\n";
    folder.write("plugin/plugin.go", source).unwrap();
    is_refused(
        &folder.path().join("plugin"),
        &folder,
        &["plugin.go:5 imports net/http, and a plugin reaches no network by itself"],
    )
    .await;
}

/// Git runs programs that a folder's configuration names, so it must not be asked about the folder.
#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_in_go_is_built_without_a_question_to_git() {
    let folder = Folder::new().unwrap();
    folder.write("plugin/plugin.toml", MANIFEST).unwrap();
    folder.write("plugin/go.mod", MODULE).unwrap();
    folder.write("plugin/plugin.go", "package main\n\nimport _ \"parlor\"\n\nfunc main() {}\n").unwrap();
    folder.write("plugin/.git/HEAD", "ref: refs/heads/main\n").unwrap();
    for part in ["objects", "refs"] {
        std::fs::create_dir(folder.path().join("plugin/.git").join(part)).unwrap();
    }
    let marker = folder.path().join("ran");
    let config = format!("[core]\n\trepositoryformatversion = 0\n\tfsmonitor = touch {}\n", marker.display());
    folder.write("plugin/.git/config", config).unwrap();
    built(&folder.path().join("plugin"), &folder).await;
    assert!(!marker.exists(), "it ran a command of the folder");
}

/// A handler waits for the host, for another handler, for a lock and for a timer, while others run.
#[tokio::test(flavor = "multi_thread")]
async fn handlers_in_go_wait_beside_each_other() {
    waits(BESIDE, include_str!("go/beside/beside.chat")).await;
}

/// With `in_order`, the host gives the next message of a person only to a plugin whose handler of the former one has returned.
#[tokio::test(flavor = "multi_thread")]
async fn a_handler_in_go_that_ends_in_the_turn_of_another_one_is_over() {
    let in_order = BESIDE.replace("[permissions]", "in_order = true\n\n[permissions]");
    waits(&in_order, include_str!("go/beside/in_order.chat")).await;
}

const BESIDE: &str = include_str!("go/beside/plugin.toml");

/// Runs these steps with the plugin whose handlers wait in many ways.
async fn waits(manifest: &str, steps: &str) {
    let folder = Folder::new().unwrap();
    let source = include_str!("go/beside/plugin.go");
    let files = [("plugin.toml", manifest), ("go.mod", MODULE), ("plugin.go", source), ("tests/beside.chat", steps)];
    for (file, text) in files {
        folder.write(format!("plugin/{file}"), text).unwrap();
    }
    let tested = parlor(&["plugin", "test", "--trust", folder.path().join("plugin").to_str().unwrap()]).await;
    let count = steps.matches("\n== ").count() + 1;
    assert_eq!(tested.stdout.lines().last(), Some(&*format!("{count} passed, 0 failed")), "{tested:?}");
}

/// Rows 116-117: also if the handler goes on in the turn of another one.
#[tokio::test(flavor = "multi_thread")]
async fn a_handler_in_go_gets_the_settings_of_its_own_conversation() {
    let greets = greets().await;
    let (mut juliet, mut romeo) = (friend("juliet").await, friend("romeo").await);
    let (to_her, to_him) = (juliet.jid().to_bare(), romeo.jid().to_bare());
    let greetings = |entry: Entry| {
        let entry = asked(entry).set_in(to_her.as_str(), "greeting", "for her");
        entry.set_in(to_him.as_str(), "greeting", "for him")
    };
    let host = Plan::new().await.bytes("actions", greets, greetings).start().await;
    running(&host, "actions").await;
    let bot = host.account().jid.clone();
    for _ in 0..3 {
        juliet.chat(bot.clone(), "wait").await.unwrap();
        romeo.chat(bot.clone(), "give").await.unwrap();
        juliet.wait_body(&bot, "wait for her", SOON).await.unwrap();
        romeo.wait_body(&bot, "give for him", SOON).await.unwrap();
    }
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_goroutine_that_outlives_its_handler_gets_the_settings_of_no_conversation() {
    let greets = greets().await;
    let (mut juliet, mut romeo) = (friend("juliet").await, friend("romeo").await);
    let to_him = romeo.jid().to_bare();
    let greetings = |entry: Entry| {
        let entry = asked(entry).set("greeting", "for all");
        entry.set_in(to_him.as_str(), "greeting", "for him")
    };
    let host = Plan::new().await.bytes("actions", greets, greetings).start().await;
    running(&host, "actions").await;
    let bot = host.account().jid.clone();
    for _ in 0..3 {
        juliet.chat(bot.clone(), "leave").await.unwrap();
        juliet.wait_body(&bot, "it leaves", SOON).await.unwrap();
        // It goes on in the turn of his handler.
        romeo.chat(bot.clone(), "give").await.unwrap();
        juliet.wait_body(&bot, "leave for all", SOON).await.unwrap();
        romeo.wait_body(&bot, "give for him", SOON).await.unwrap();
    }
    host.stop().await;
}

/// Returns the plugin of the two tests above, which is built once.
async fn greets() -> &'static [u8] {
    static ONE: OnceCell<Vec<u8>> = OnceCell::const_new();
    let build = || async {
        let folder = Folder::new().unwrap();
        for (file, text) in [("plugin.toml", MANIFEST), ("go.mod", MODULE), ("plugin.go", GREETS)] {
            folder.write(format!("plugin/{file}"), text).unwrap();
        }
        built(&folder.path().join("plugin"), &folder).await
    };
    ONE.get_or_init(build).await
}

const GREETS: &str = r#"package main

import (
	"context"
	"time"

	"parlor"
)

func main() { parlor.Start(start) }

var handoff = make(chan string)

func start(ctx context.Context) error {
	_, err := parlor.OnMessage(parlor.Filter{Kind: "chat"}, greet)
	return err
}

func greet(ctx context.Context, message *parlor.Message) error {
	switch message.Body {
	case "wait":
		<-handoff
	case "give":
		handoff <- ""
	case "leave":
		go func() {
			// The handler has returned by then.
			time.Sleep(20 * time.Millisecond)
			if err := parlor.ReplyInChat(ctx, message, "it leaves"); err != nil {
				panic(err)
			}
			<-handoff
			if err := says(ctx, message); err != nil {
				panic(err)
			}
		}()
		return nil
	default:
		return nil
	}
	return says(ctx, message)
}

func says(ctx context.Context, message *parlor.Message) error {
	return parlor.ReplyInChat(ctx, message, message.Body+" "+parlor.SettingsGet("greeting", ""))
}
"#;

/// The host would wait for the start until its time is over.
#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_in_go_whose_start_ends_its_goroutine_is_refused_with_that_reason() {
    let folder = Folder::new().unwrap();
    let source = "package main\n\nimport (\n\t\"context\"\n\t\"runtime\"\n\n\t\"parlor\"\n)\n\n\
                  func main() { parlor.Start(start) }\n\nfunc start(ctx context.Context) error {\n\truntime.Goexit()\n\treturn nil\n}\n";
    for (file, text) in [("plugin.toml", MANIFEST), ("go.mod", MODULE), ("plugin.go", source)] {
        folder.write(format!("plugin/{file}"), text).unwrap();
    }
    let plugin = built(&folder.path().join("plugin"), &folder).await;
    let host = Plan::new().await.bytes("actions", &plugin, asked).start().await;
    let state = host.state("actions").await;
    let says = "the plugin's start has ended its goroutine";
    assert!(matches!(&state, State::Refused(reason) if reason.contains(says)), "{state:?}");
    host.stop().await;
}

/// It sleeps for longer than a plugin has to be idle, and gets no event meanwhile that could wake its goroutines.
#[tokio::test(flavor = "multi_thread")]
async fn a_parked_plugin_in_go_that_sleeps_when_it_starts_gets_the_message_that_wakes_it() {
    let folder = Folder::new().unwrap();
    let manifest = manifest_of_answers().replacen("[plugin]\n", "[plugin]\nparks = true\n", 1);
    for (file, text) in [("plugin.toml", manifest.as_str()), ("go.mod", MODULE), ("plugin.go", SLEEPS)] {
        folder.write(format!("plugin/{file}"), text).unwrap();
    }
    let sleeps = built(&folder.path().join("plugin"), &folder).await;
    let idles = |entry: Entry| asked(entry).limit("idle", "100 ms");
    let host = Plan::new().await.bytes("actions", &sleeps, idles).start().await;
    let mut juliet = friend("juliet").await;
    let bot = host.account().jid.clone();
    for start in 2..=4 {
        let parked = async {
            while host.state("actions").await != State::Parked {
                tokio::time::sleep(A_MOMENT).await;
            }
        };
        assert!(tokio::time::timeout(SOON, parked).await.is_ok(), "it is not parked before start {start}");
        juliet.chat(bot.clone(), "hello").await.unwrap();
        juliet.wait_body(&bot, &format!("start {start}"), SOON).await.unwrap();
    }
    assert_eq!(host.restarts("actions").await, 0);
    host.stop().await;
}

const SLEEPS: &str = r#"package main

import (
	"context"
	"fmt"
	"time"

	"parlor"
)

func main() { parlor.Start(start) }

func start(ctx context.Context) error {
	began, woken := time.Now(), make(chan string)
	go func() {
		time.Sleep(300 * time.Millisecond)
		woken <- "it slept"
	}()
	time.Sleep(200 * time.Millisecond)
	<-woken
	if slept := time.Since(began); slept < 300*time.Millisecond {
		return fmt.Errorf("it slept for %s", slept)
	}
	starts, _, err := parlor.StorageGet[int](ctx, "starts")
	if err != nil {
		return err
	}
	starts++
	if err := parlor.StorageSet(ctx, "starts", starts, 0); err != nil {
		return err
	}
	_, err = parlor.OnMessage(parlor.Filter{Kind: "chat"}, func(ctx context.Context, message *parlor.Message) error {
		if message.Body == "" {
			return nil
		}
		return parlor.Reply(ctx, message, fmt.Sprintf("start %d", starts))
	})
	return err
}
"#;

/// Go writes out a panic in several steps, and waits for a moment between them.
#[tokio::test(flavor = "multi_thread")]
async fn the_step_fails_in_which_a_goroutine_ends_the_plugin() {
    let folder = Folder::new().unwrap();
    folder.write("plugin/plugin.toml", MANIFEST).unwrap();
    folder.write("plugin/go.mod", MODULE).unwrap();
    folder.write("plugin/plugin.go", LATE).unwrap();
    let steps = "== it panics\nalice: panic\n== it panics later\nalice: later\n";
    folder.write("plugin/tests/late.chat", steps).unwrap();
    let tested = parlor(&["plugin", "test", "--trust", folder.path().join("plugin").to_str().unwrap()]).await;
    assert_eq!(tested.stdout.lines().last(), Some("0 passed, 2 failed"), "{tested:?}");
    assert_eq!(tested.stdout.matches("plugin ends: it panicked or aborted").count(), 2, "{tested:?}");
    // The location is shown as well.
    for part in ["panic: at once", "panic: in a while", "main.answer"] {
        assert!(tested.stdout.contains(part), "{part}: {tested:?}");
    }
}

const LATE: &str = r#"package main

import (
	"context"
	"time"

	"parlor"
)

func main() { parlor.Start(start) }

func start(ctx context.Context) error {
	_, err := parlor.OnMessage(parlor.Filter{Kind: "chat"}, answer)
	return err
}

func answer(ctx context.Context, message *parlor.Message) error {
	switch message.Body {
	case "panic":
		go func() { panic("at once") }()
	case "later":
		go func() {
			time.Sleep(20 * time.Millisecond)
			panic("in a while")
		}()
	}
	return nil
}
"#;

/// Such an end is not a panic, and so has no stack trace of Go's.
#[tokio::test(flavor = "multi_thread")]
async fn where_a_plugin_in_go_ended_is_said_by_the_names_of_its_authors_functions() {
    let folder = Folder::new().unwrap();
    folder.write("plugin/plugin.toml", MANIFEST).unwrap();
    folder.write("plugin/go.mod", MODULE).unwrap();
    folder.write("plugin/plugin.go", FALLS).unwrap();
    folder.write("plugin/tests/falls.chat", "== it falls\nalice: fall\n== it exits\nalice: exit\n").unwrap();
    let tested = parlor(&["plugin", "test", "--trust", folder.path().join("plugin").to_str().unwrap()]).await;
    let (falls, exits) = tested.stdout.split_once(": it exits\n").unwrap();
    for (of_it, parts) in [
        (falls, ["plugin ends: it used up its stack", ", in main.fall\n"]),
        (exits, ["plugin ends: it called exit", ", in main.answer\n"]),
    ] {
        for part in parts {
            assert_eq!(of_it.matches(part).count(), 1, "{part}: {tested:?}");
        }
    }
}

const FALLS: &str = r#"package main

import (
	"context"
	"os"
	"strconv"

	"parlor"
)

func main() { parlor.Start(start) }

func start(ctx context.Context) error {
	_, err := parlor.OnMessage(parlor.Filter{Kind: "chat"}, answer)
	return err
}

func fall(deep int) int { return fall(deep+1) + 1 }

// When Go enlarges a stack, the functions that wait on it are no longer on that of wasm: it is large before.
func deep(left int) int {
	if left == 0 {
		return 0
	}
	return deep(left-1) + 1
}

func answer(ctx context.Context, message *parlor.Message) error {
	deep(1_000)
	if message.Body == "exit" {
		os.Exit(3)
	}
	return parlor.ReplyInChat(ctx, message, strconv.Itoa(fall(0)))
}
"#;

pub(super) const MODULE: &str =
    "module actions\n\ngo 1.24\n\nrequire parlor v0.1.0\n\nreplace parlor => ./.parlor/sdk\n";

const READER: &str = r#"package main

import (
	"context"
	"fmt"
	"time"

	"parlor"
	"parlor/contract/archive"
)

func main() { parlor.Start(start) }

func start(ctx context.Context) error {
	_, err := parlor.On("read", parlor.Filter{}, tell)
	return err
}

func tell(ctx context.Context, event *parlor.Event) error {
	// A reader that leaves early leaves nothing open.
	for range 150 {
		if _, err := read(ctx, archive.Options{}, 1); err != nil {
			return err
		}
	}
	all, err := read(ctx, archive.Options{}, 20)
	if err != nil {
		return err
	}
	some, err := read(ctx, archive.Options{Start: parlor.Time(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))}, 20)
	_, err = parlor.ChatsSend(ctx, "juliet@localhost", fmt.Sprintf("%v, and %v before %v", all, some, err))
	return err
}

func read(ctx context.Context, options archive.Options, most int) ([]string, error) {
	var ids []string
	for message, err := range parlor.ArchiveQueryAll(ctx, options) {
		if err != nil {
			return ids, err
		}
		if ids = append(ids, message.StanzaID); len(ids) == most {
			break
		}
	}
	return ids, nil
}
"#;

const NUMBER: &str = r#"package main

func number(told string) int {
	if told == "panic" {
		panic("told to")
	}
	return len(told)
}
"#;

const PLUGIN: &str = r#"package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"parlor"
	"parlor/contract/storage"
)

func main() { parlor.Start(start) }

func start(ctx context.Context) error {
	if _, err := parlor.OnMessage(parlor.Filter{Kind: "chat"}, answer); err != nil {
		return err
	}
	if err := parlor.OnReady(func(ctx context.Context) error {
		ready++
		return nil
	}); err != nil {
		return err
	}
	for _, name := range []string{"action", "actions.Whole"} {
		if _, err := parlor.OnCommand(ctx, name, "Does it", "", action); err != nil {
			return err
		}
	}
	return nil
}

var ready int

func action(ctx context.Context, command *parlor.Command) error {
	return parlor.ReplyInChat(ctx, command.Message, strings.Join(command.Arguments, "|")+" / "+command.Rest)
}

func answer(ctx context.Context, message *parlor.Message) error {
	says := func(text string, err error) error {
		if err != nil {
			return err
		}
		return parlor.ReplyInChat(ctx, message, text)
	}
	switch message.Body {
	case "fail":
		return errors.New("told to")
	case "panic":
		return says(fmt.Sprint(number(message.Body)), nil)
	case "print":
		fmt.Println("it printed this")
		slog.With("with", "fields").Warn("a line", "n", 1)
		slog.Log(ctx, slog.LevelError+4, "it is over")
	case "setting":
		return says(parlor.SettingsGet("greeting", ""), nil)
	case "keep":
		return says(keep(ctx))
	case "much":
		return says(much(ctx))
	case "later":
		_, err := parlor.After(10*time.Millisecond, func(ctx context.Context) error { return says("it is later", nil) })
		return err
	case "ticks":
		return ticks(func() error { return says("three ticks", nil) })
	case "sleep":
		began := time.Now()
		err := parlor.Sleep(ctx, 20*time.Millisecond)
		own := time.Since(began)
		time.Sleep(20 * time.Millisecond)
		return says(fmt.Sprint(own >= 20*time.Millisecond, " ", time.Since(began) >= 40*time.Millisecond), err)
	case "promise":
		return says(promise(ctx))
	case "rejected":
		if err := errors.Join(parlor.PromisesAdd(ctx, "actionsLeft"), parlor.PromisesReject(ctx, "actionsLeft", "no")); err != nil {
			return err
		}
		_, err := parlor.WaitUntil(ctx, "actionsLeft")
		return says(err.Error(), nil)
	case "deadline":
		brief, cancel := context.WithTimeout(ctx, 10*time.Millisecond)
		defer cancel()
		return says(parlor.Sleep(brief, time.Hour).Error(), nil)
	case "denied":
		_, err := parlor.ChatsSend(ctx, "nobody@nowhere.invalid", "hello")
		var denied *parlor.Denied
		if !errors.As(err, &denied) {
			return err
		}
		return says(fmt.Sprint(denied.Permission, " for ", denied.Scope, " ", denied.Hint != ""), nil)
	case "invalid":
		_, err := parlor.ChatsSend(ctx, "@", "hello")
		var invalid *parlor.Invalid
		if !errors.As(err, &invalid) {
			return err
		}
		return says(invalid.Argument, nil)
	case "ready":
		if ready == 0 {
			_, err := parlor.After(10*time.Millisecond, func(ctx context.Context) error { return answer(ctx, message) })
			return err
		}
		return says(map[bool]string{true: "ready once"}[ready == 1], nil)
	case "year":
		return says(fmt.Sprint(time.Since(message.At).Abs() < time.Hour), nil)
	case "collect":
		return says(collect())
	case "escape":
		inside := parlor.NewElement("c").Text("&")
		return says(parlor.NewElement("a").Attr("b", "<'>").Child(inside).String(), nil)
	}
	return nil
}

func keep(ctx context.Context) (string, error) {
	if err := parlor.StorageSet(ctx, "k", []int{1, 2}, 0); err != nil {
		return "", err
	}
	kept, _, err := parlor.StorageGet[[]int](ctx, "k")
	if err != nil {
		return "", err
	}
	keys, err := parlor.StorageKeys(ctx, "")
	if err != nil {
		return "", err
	}
	gone, err := parlor.StorageDelete(ctx, "k")
	if err != nil {
		return "", err
	}
	_, there, err := parlor.StorageGet[[]int](ctx, "k")
	return fmt.Sprint(kept, keys, gone, there), err
}

// More than there is memory for; what is held on to stays as it was.
func much(ctx context.Context) (string, error) {
	text := strings.Repeat("much", 50_000)
	if err := parlor.StorageSet(ctx, "much", text, 0); err != nil {
		return "", err
	}
	var held [][]byte
	for n := range 400 {
		value, err := parlor.Value(storage.Get("much"))
		if err != nil {
			return "", err
		}
		if n%20 == 0 {
			held = append(held, value.Some())
		}
	}
	for _, one := range held {
		if string(one) != `"`+text+`"` {
			return "", errors.New("it has changed")
		}
	}
	_, err := parlor.StorageDelete(ctx, "much")
	return fmt.Sprint(len(held)), err
}

func ticks(then func() error) error {
	count := 0
	var timer parlor.Subscription
	timer, err := parlor.Every(10*time.Millisecond, func(ctx context.Context) error {
		if count++; count < 3 {
			return nil
		}
		return errors.Join(timer.End(), then())
	})
	return err
}

func promise(ctx context.Context) (string, error) {
	if err := parlor.PromisesAdd(ctx, "actionsDone"); err != nil {
		return "", err
	}
	if err := parlor.Emit(ctx, "actionsDone", map[string]int{"x": 1}); err != nil {
		return "", err
	}
	done, err := parlor.WaitUntil(ctx, "actionsDone")
	if err != nil {
		return "", err
	}
	return string(done.JSON), nil
}

// Much to collect while the host is called, and while goroutines wait for one another.
func collect() (string, error) {
	numbers, sum := make(chan int), 0
	go func() {
		defer close(numbers)
		for n := 1; n <= 1000; n++ {
			garbage := make([]byte, 100_000)
			garbage[n] = 1
			parlor.UserBareJID()
			numbers <- n
		}
	}()
	for n := range numbers {
		sum += n
	}
	return fmt.Sprint(sum), nil
}
"#;
