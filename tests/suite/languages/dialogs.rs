//! Five hundred questions at once in each language: the next message of each person is the answer, and no handler that waits
//! holds a place. The same in Rust is in `tests/suite/dialogs.rs`.

use std::fs;

use parlor_tests::folder::Folder;
use parlor_tests::policy::Entry;
use serde_json::json;

use super::{built, example};
use crate::dialogs::{PATIENCE, answers_of_people, people_answer, until_at_rest, until_open};
use crate::test_host::{FULL, Plan, granted, running};

/// The number of questions.
const COUNT: usize = 500;

const MANIFEST: &str = r#"
[plugin]
name = "asker"
version = "0.1.0"
api = "0.1.0"
description = "Asks people"

[permissions]
"messages.send" = { scope = ["*"], reason = "to ask" }
"#;

/// Row 153.
#[tokio::test(flavor = "multi_thread")]
async fn python_asks_five_hundred_people_at_once() {
    asks(&[("plugin.py", PYTHON)]).await;
}

/// Row 153.
#[tokio::test(flavor = "multi_thread")]
async fn javascript_asks_five_hundred_people_at_once() {
    asks(&[("plugin.js", SCRIPT)]).await;
}

/// Row 153.
#[tokio::test(flavor = "multi_thread")]
async fn typescript_asks_five_hundred_people_at_once() {
    let config = fs::read_to_string(example("../tests/pages/ts/tsconfig.json")).unwrap();
    let script = SCRIPT.replace("(number)", "(number: any)");
    asks(&[("plugin.ts", &script), ("tsconfig.json", &config)]).await;
}

/// Row 153.
#[tokio::test(flavor = "multi_thread")]
async fn go_asks_five_hundred_people_at_once() {
    let module = fs::read_to_string(example("../tests/pages/go/go.mod")).unwrap();
    asks(&[("plugin.go", GO), ("go.mod", &module)]).await;
}

/// Row 153.
#[tokio::test(flavor = "multi_thread")]
async fn c_asks_five_hundred_people_at_once() {
    asks(&[("plugin.c", C)]).await;
}

async fn asks(files: &[(&str, &str)]) {
    let folder = Folder::new().unwrap();
    folder.write("plugin/plugin.toml", MANIFEST).unwrap();
    for (file, text) in files {
        folder.write(format!("plugin/{file}"), text).unwrap();
    }
    let plugin = built(&folder.path().join("plugin"), &folder).await;
    let swift = |entry: Entry| {
        let entry = entry.limit("messages_per_second", 10_000).limit("messages_burst", 10_000).limit("mailbox", 4_096);
        entry.limit("calls_per_second", 10_000).limit("events_per_second", 10_000)
    };
    let plan = Plan::scripted_without_archive().await.set("allow_non_roster_messaging", true);
    let plan = plan.answering(answers_of_people).caller(FULL, |entry| swift(granted(entry)));
    let host = plan.bytes("asker", &plugin, |entry| swift(entry.grant("messages.send", &["*"]))).start().await;
    running(&host, "asker").await;
    for number in 0..COUNT {
        host.call(FULL, "api.emit", json!({ "name": "begin", "payload": number })).await.ok();
    }
    until_open(&host, "asker", 500.0).await;
    until_at_rest(&host, "asker", 1.0).await;
    people_answer(&host, COUNT).await;
    until_open(&host, "asker", 0.0).await;
    host.says_often("thanks for yes", COUNT, PATIENCE).await;
}

const PYTHON: &str = r#"
from parlor import dialogs, on, send


@on("begin")
async def begin(number):
    person = f"person-{number}@localhost"
    answer = await dialogs.ask(person, "Which?", ["yes", "no"])
    await send(person, f"thanks for {answer.text}")
"#;

const SCRIPT: &str = r#"
import { chats, dialogs, on } from "parlor";

on("begin", async (number) => {
  const person = `person-${number}@localhost`;
  const answer = await dialogs.ask(person, "Which?", { choices: ["yes", "no"] });
  await chats.send(person, `thanks for ${answer.text}`);
});
"#;

const GO: &str = r#"
package main

import (
	"context"
	"fmt"

	"parlor"
)

func main() { parlor.Start(start) }

func start(ctx context.Context) error {
	_, err := parlor.On("begin", parlor.Filter{}, begin)
	return err
}

func begin(ctx context.Context, event *parlor.Event) error {
	var number int
	if err := event.Decode(&number); err != nil {
		return err
	}
	person := fmt.Sprintf("person-%d@localhost", number)
	answer, err := parlor.DialogsAsk(ctx, person, parlor.Question{Text: "Which?", Choices: []string{"yes", "no"}})
	if err != nil {
		return err
	}
	_, err = parlor.ChatsSend(ctx, person, "thanks for "+answer.Text)
	return err
}
"#;

const C: &str = r#"
#include <parlor.h>
#include <stdlib.h>
#include <string.h>

static parlor_error answered(const parlor_dialog_answer *answer, parlor_error error, void *context) {
  char *person = context;
  if (!error) error = parlor_chats_send(person, "thanks for %s", answer->text);
  free(person);
  return error;
}

static parlor_error begin(const parlor_event *event, void *context) {
  (void)context;
  static const char *const choices[] = {"yes", "no", NULL};
  const char *person = parlor_format("person-%s@localhost", event->json);
  return parlor_dialogs_ask(person, &(parlor_question){"Which?", choices, 0}, answered, strdup(person));
}

parlor_error parlor_start(void) {
  return parlor_on("begin", NULL, begin, NULL);
}
"#;
