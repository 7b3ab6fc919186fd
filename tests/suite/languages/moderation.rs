//! The moderation kit in plugins. The unit tests of the SDK for Rust run the same cases.

use std::fs;

use parlor_tests::folder::Folder;
use serde_json::Value;

use super::go::MODULE;
use super::{actions, begun, block_of, example, parlor};

fn part(name: &str) -> String {
    fs::read_to_string(example("../tests/moderation").join(name)).unwrap()
}

/// Returns how many cases there are, as the plugins count them.
fn answer() -> String {
    let cases: Value = serde_json::from_str(&part("cases.json")).unwrap();
    let lists = ["comparable", "links", "no links", "nicks", "people", "messages", "judge"];
    let count: usize = lists.iter().map(|name| cases[*name].as_array().unwrap().len()).sum();
    assert!(count > 200, "{count} cases");
    // Letters, and a message that cannot be read.
    format!("{} cases", count + 2)
}

/// Builds a plugin of these files, and asks it how many cases came out as they should.
async fn says_all(files: &[(&str, &str)]) {
    let answer = answer();
    let host = actions(files, "hello", &[("cases", Some(answer.as_str()))]).await;
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_kit_for_python_says_what_the_one_for_rust_says() {
    let (runner, table) = (part("cases.py"), format!("TABLE = r\"\"\"{}\"\"\"\n", part("cases.json")));
    let files = [("plugin.py", PYTHON), ("cases.py", runner.as_str()), ("table.py", table.as_str())];
    says_all(&files).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_kit_for_javascript_says_what_the_one_for_rust_says() {
    let (runner, table) = (part("cases.js"), part("cases.json"));
    let files = [("plugin.js", JAVASCRIPT), ("cases.js", runner.as_str()), ("cases.json", table.as_str())];
    says_all(&files).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_kit_for_go_says_what_the_one_for_rust_says() {
    let (runner, table) = (part("cases.go"), part("cases.json"));
    let files = [("plugin.go", GO), ("cases.go", runner.as_str()), ("cases.json", table.as_str()), ("go.mod", MODULE)];
    says_all(&files).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_kit_for_c_says_what_the_one_for_rust_says() {
    let (runner, table) = (part("cases.c"), in_c(&part("cases.json")));
    let files = [("plugin.c", C), ("cases.c", runner.as_str()), ("table.c", table.as_str())];
    says_all(&files).await;
}

/// The plugin of `docs/author/moderation.md`, with the manifest and the test of that page.
#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_gives_voice_to_people_who_answer_its_question() {
    let around = Folder::new().unwrap();
    let plugin = begun("doorkeeper", "python", around.path()).await;
    fs::remove_file(plugin.join("tests/first.chat")).unwrap();
    for file in ["plugin.toml", "plugin.py", "tests/door.chat"] {
        fs::write(plugin.join(file), block_of("moderation.md", file)).unwrap();
    }
    let tried = parlor(&["plugin", "test", "--trust", plugin.to_str().unwrap()]).await;
    assert_eq!(tried.stdout, "3 passed, 0 failed\n", "{tried:?}");
}

/// Returns a source file in C with this text, line by line, since C reads no other files.
fn in_c(text: &str) -> String {
    let line = |line: &str| format!("    \"{}\\n\"\n", line.replace('\\', "\\\\").replace('"', "\\\""));
    let lines: Vec<_> = text.lines().map(line).collect();
    format!("const char table[] =\n{};\n", lines.concat())
}

/// The cases run while the plugin is built, in the runtime that it has later: a handler may not take that long.
const PYTHON: &str = r#"from parlor import Message, letters, moderation, on, reply

import cases
from table import TABLE

COUNT, WRONG = cases.run(TABLE, moderation, letters)
if WRONG:
    raise AssertionError("\n".join(WRONG))


@on("message", prefix="cases")
async def answer(message: Message) -> None:
    await reply(message, f"{COUNT} cases")
"#;

const JAVASCRIPT: &str = r#"import { moderation, on, reply } from "parlor";

import { run } from "./cases.js";
import cases from "./cases.json";

const [count, wrong] = run(cases, moderation);
if (wrong.length > 0) throw new Error(wrong.join("\n"));

on("message", { prefix: "cases" }, (message) => reply(message, `${count} cases`));
"#;

/// In Go and C the cases run when the plugin starts.
const GO: &str = r#"package main

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"strings"

	"parlor"
)

//go:embed cases.json
var table []byte

func main() { parlor.Start(start) }

func start(ctx context.Context) error {
	count, wrong := runCases(table)
	if len(wrong) > 0 {
		return errors.New(strings.Join(wrong, "\n"))
	}
	_, err := parlor.OnMessage(parlor.Filter{Prefix: "cases"}, func(ctx context.Context, message *parlor.Message) error {
		return parlor.ReplyInChat(ctx, message, fmt.Sprintf("%d cases", count))
	})
	return err
}
"#;

const C: &str = r#"#include <parlor.h>

extern const char table[];

size_t run_cases(const char *table, const char **told);

static size_t count;

static parlor_error answer(const parlor_event *event, void *context) {
  (void)context;
  return parlor_chats_reply(event->message, "%zu cases", count);
}

parlor_error parlor_start(void) {
  const char *told;
  count = run_cases(table, &told);
  if (*told) return parlor_fail("%s", told);
  return parlor_on("message", &(parlor_filter){.prefix = "cases"}, answer, NULL);
}
"#;
