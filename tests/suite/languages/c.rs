//! Plugins in C.

use std::fs;
use std::path::Path;
use std::process::Command;

use parlor_tests::folder::Folder;
use parlor_tests::host::Home;
use parlor_tests::peer::archive::{Script, honest};
use serde_json::Value;

use super::{
    MANIFEST, actions, begins_and_answers, begun, built, built_reader, does_as_expected, example, holds_no_password,
    is_ready_again, is_refused, manifest_of_answers, parlor, passes, passes_its_tests, talks, with_archive,
};
use crate::test_host::{Plan, SOON, friend, running};

/// Like all other calls: an author who goes on after an error finds no entries.
#[tokio::test(flavor = "multi_thread")]
async fn lists_of_what_is_stored_are_empty_in_c_if_the_call_fails() {
    let folder = Folder::new().unwrap();
    let manifest = manifest_of_answers().replace(r#""to keep" }"#, r#""to keep", optional = true }"#);
    folder.write("plugin/plugin.toml", manifest).unwrap();
    folder.write("plugin/plugin.c", LISTS).unwrap();
    let plugin = built(&folder.path().join("plugin"), &folder).await;
    // Without the permission `storage`.
    let granted = |entry| talks(entry).grant("stanza.send", &["iq"]);
    let host = Plan::new().await.bytes("actions", &plugin, granted).start().await;
    running(&host, "actions").await;
    let bot = host.account().jid.clone();
    let mut friend = friend("friend").await;
    friend.chat(bot.clone(), "list").await.unwrap();
    friend.wait_body(&bot, "1 0 none, 1 0 none, 1 0 none", SOON).await.unwrap();
    host.stop().await;
}

const LISTS: &str = r#"#include "parlor.h"

static parlor_error list(const parlor_event *event, void *context) {
  (void)context;
  const char *old, **keys = &old;
  parlor_entry one, *entries = &one, *range = &one;
  size_t first = 1, second = 1, third = 1;
  bool a = parlor_storage_keys("", &keys, &first) == PARLOR_DENIED;
  bool b = parlor_storage_entries("", &entries, &second) == PARLOR_DENIED;
  bool c = parlor_storage_range(&(parlor_range){.prefix = ""}, &range, &third) == PARLOR_DENIED;
  return parlor_reply(event->message, "%d %zu %s, %d %zu %s, %d %zu %s", a, first, keys ? "some" : "none", b, second,
                      entries ? "some" : "none", c, third, range ? "some" : "none");
}

parlor_error parlor_start(void) {
  return parlor_on("message", &(parlor_filter){.kind = "chat", .prefix = "list"}, list, NULL);
}
"#;

/// This happens if `plugin dev` runs in one terminal and `plugin test` in another, in a folder that was just cloned.
#[tokio::test(flavor = "multi_thread")]
async fn several_may_build_one_folder_at_once() {
    let folder = Folder::new().unwrap();
    let plugin = begun("repeat", "c", folder.path()).await;
    for _ in 0..3 {
        fs::remove_dir_all(plugin.join(".parlor")).unwrap();
        let test = ["plugin", "test", "--trust", plugin.to_str().unwrap()];
        let (one, two, three, four) = tokio::join!(parlor(&test), parlor(&test), parlor(&test), parlor(&test));
        for tested in [one, two, three, four] {
            assert_eq!((tested.code, tested.stdout.as_str()), (Some(0), "2 passed, 0 failed\n"), "{tested:?}");
        }
    }
}

/// An author who never runs `plugin build` sees its warnings as well, each time.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_build_warns_of_is_said_by_test_and_dev_too() {
    let folder = Folder::new().unwrap();
    let plugin = begun("repeat", "c", folder.path()).await;
    let manifest = fs::read_to_string(plugin.join("plugin.toml")).unwrap();
    let more = "\"vcard.read\" = { scope = [\"*\"], reason = \"for nothing\" }\n";
    fs::write(plugin.join("plugin.toml"), manifest + more).unwrap();
    // Of a list as the pages write it, nothing warns.
    let source = fs::read_to_string(plugin.join("plugin.c")).unwrap();
    let list = "const parlor_argument list[] = {{\"secret\", PARLOR_ARGUMENT_FLAG}, {0}};\n";
    fs::write(plugin.join("plugin.c"), source + list).unwrap();
    let plugin = plugin.to_str().unwrap();
    let built = parlor(&["plugin", "build", "--trust", plugin]).await;
    let warning = built.stderr.lines().last().unwrap_or_default();
    assert!(warning.starts_with("warning: plugin.toml asks for vcard.read, and no call"), "{built:?}");
    // The second run has nothing to build.
    for _ in 0..2 {
        let tested = parlor(&["plugin", "test", "--trust", plugin]).await;
        assert_eq!((tested.stdout.as_str(), tested.stderr.trim_end()), ("2 passed, 0 failed\n", warning));
    }
    let talked = Home::new().unwrap().run_with(&["plugin", "dev", "--trust", plugin], "hello\n").await.unwrap();
    assert_eq!(talked.stdout.matches(&format!("# {warning}\n")).count(), 1, "{talked:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_plugin_in_c_builds_at_once_and_answers() {
    let folder = Folder::new().unwrap();
    begins_and_answers("c", folder.path(), &folder).await;
    editors_find_every_header(&folder.path().join("repeat"));
}

/// Its stack is allocated from the start.
#[tokio::test(flavor = "multi_thread")]
async fn a_new_plugin_in_c_takes_less_than_a_mebibyte_of_memory() {
    let folder = Folder::new().unwrap();
    let plugin = begun("repeat", "c", folder.path()).await;
    let repeat = built(&plugin, &folder).await;
    let host = Plan::offline().bytes("repeat", &repeat, talks).start().await;
    running(&host, "repeat").await;
    let memory = host.host.status().await.pop().unwrap().usage.unwrap().memory;
    assert!(memory <= 1 << 20, "{memory} bytes");
    host.stop().await;
}

/// The flags for clangd lead to the SDK, and do not hide the C compiler's own headers. Headers of another platform are
/// not needed.
fn editors_find_every_header(plugin: &Path) {
    let flags = fs::read_to_string(plugin.join("compile_flags.txt")).unwrap();
    let mut compiler = Command::new("cc");
    let looked =
        compiler.arg("-fsyntax-only").args(flags.lines()).arg("plugin.c").current_dir(plugin).output().unwrap();
    assert!(looked.status.success() && looked.stderr.is_empty(), "{}", String::from_utf8_lossy(&looked.stderr));
}

/// Row 12.
#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_in_c_waits_keeps_and_goes_on_after_a_handler_that_fails() {
    let told = [
        ("fail", None),
        ("print this", None),
        ("print that", None),
        ("setting", Some("h\u{fc} \"\\\n")),
        ("keep", Some("1 k v gone")),
        ("much", Some("invalid jid")),
        ("later", Some("it is later")),
        ("ticks", Some("three ticks")),
        ("promise", Some("{\"x\": 1}")),
        ("denied", Some("messages.send for nobody@nowhere.invalid")),
        ("invalid", Some("jid")),
        ("escape", Some("&lt;a&gt;&amp; \"\\u000a\\\"\"")),
        ("!action one 'two three'", Some("one|two three| / one 'two three'")),
        ("!actions.whole I don't  know", Some("I|don't|know| / I don't  know")),
        ("ready", Some("ready once")),
        ("built", Some("<a b='&lt;&apos;&gt;&#10;'><c xmlns='urn:x'>&amp;\u{fffd}</c></a>")),
        ("ping", Some("true")),
    ];
    let host = actions(&[("plugin.c", PLUGIN)], "h\u{fc} \"\\\n", &told).await;
    holds_no_password(&host).await;
    is_ready_again(&host).await;
    let lines = crate::trace::with("account", host.name());
    let logged = |text: &str| lines.iter().any(|line| line.get("message").contains(text));
    assert!(logged("a handler of message failed: told to"));
    assert!(logged("a handler of message failed: not granted: messages.send for nobody@nowhere.invalid"));
    assert!(logged("it printed print this") && logged("it printed print that"));
    assert!(!logged("plugin ended"));
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_in_c_does_what_its_author_expects_of_it_and_of_the_sdk() {
    does_as_expected("c", "51 passed, 0 failed\n").await;
}

/// The archive is read page by page, in no more memory than half of it takes. The plugin reads all of it, or stops
/// early, or meets an error: its own, the server's, or that of a server that starts over each time.
#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_in_c_reads_a_whole_archive_or_as_much_as_it_wants() {
    let folder = Folder::new().unwrap();
    let plugin = built_reader("plugin.c", READER, &folder).await;
    let mut pages = honest(300);
    let script: Script = Box::new(move |page| {
        let mut page = page.clone();
        if page.part("after").is_some() && page.field("start").is_some() {
            return vec![page.refuse("not-allowed")];
        }
        if page.field("end").is_some() {
            page.set.retain(|(part, _)| part != "after");
        }
        pages(&page)
    });
    let host = with_archive(script, &plugin).await;
    host.ears().emit("read", &Value::Null).await;
    for outcome in [
        "300 to uid-299: well",
        "2 to uid-1: well",
        "2 to uid-299: well",
        "0 to : told to",
        "1 to uid-0: not-allowed",
        "1 to uid-0: the archive gives the same page again and again",
    ] {
        host.says(&format!(">{outcome}<")).await;
    }
    assert_eq!(host.instance("actions").await.open_archive_queries(), 0);
    let lines = crate::trace::with("account", host.name());
    assert!(lines.iter().all(|line| line.get("message") != "plugin ended"));
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_dice_roll_in_chats() {
    let folder = Folder::new().unwrap();
    let dice = built(&example("dice"), &folder).await;
    passes_its_tests("dice", &folder, "7 passed, 0 failed\n").await;
    let host = Plan::new().await.bytes("dice", &dice, |entry| talks(entry).grant("rooms.send", &["*"])).start().await;
    running(&host, "dice").await;
    let mut friend = friend("friend").await;
    let bot = host.account().jid.clone();
    for (said, begins, holds) in [
        ("!roll 3d2+10", "3d2+10: ", " = 1"),
        ("!roll", "1d6: ", " = "),
        ("!roll 2d", "2d: ", ", "),
        ("!roll 999d6", "Say: ", "up to 100 dice"),
    ] {
        friend.chat(bot.clone(), said).await.unwrap();
        let fits = |text: &str| (text.starts_with(begins) && text.contains(holds)).then_some(());
        friend.wait_text(said, &bot, SOON, fits).await.unwrap();
    }
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_build_in_c_leaves_no_file_and_shows_the_authors_own_line() {
    let folder = Folder::new().unwrap();
    folder.write("plugin/plugin.toml", MANIFEST).unwrap();
    folder
        .write("plugin/plugin.c", "#include <parlor.h>\nparlor_error parlor_start(void) { return PARLOR_OK }\n")
        .unwrap();
    is_refused(&folder.path().join("plugin"), &folder, &["plugin.c:2:", "actions did not compile"]).await;
    folder.write("plugin/plugin.c", "#include <parlor.h>\n").unwrap();
    is_refused(&folder.path().join("plugin"), &folder, &["actions did not compile: plugin.c has no parlor_start"])
        .await;
    // Mistakes about which compilers only warn.
    for (mistake, flag) in [
        ("  return parlor_chats_reply(event, \"hello\");", "-Wincompatible-pointer-types"),
        ("  return parlor_fail(\"%s\", 5);", "-Wformat"),
        ("  (void)event;", "-Wreturn-type"),
    ] {
        let answer = "parlor_error answer(const parlor_event *event) {";
        let start = "parlor_error parlor_start(void) { return PARLOR_OK; }";
        let text = format!("#include <parlor.h>\n{start}\n{answer}\n{mistake}\n}}\n");
        folder.write("plugin/plugin.c", text).unwrap();
        is_refused(&folder.path().join("plugin"), &folder, &["error: ", flag, "actions did not compile"]).await;
    }
    // A call that the manifest does not cover is refused by its name.
    let calls =
        "#include <parlor.h>\nparlor_error parlor_start(void) { return parlor_rooms_send(\"r@x\", \"hello\"); }\n";
    folder.write("plugin/plugin.c", calls).unwrap();
    is_refused(&folder.path().join("plugin"), &folder, &["plugin.c:2: parlor_rooms_send needs rooms.send"]).await;
}

/// The bounds of another kind would do nothing, and nobody would notice.
#[tokio::test(flavor = "multi_thread")]
async fn bounds_that_an_argument_does_not_have_are_refused() {
    let folder = Folder::new().unwrap();
    folder.write("plugin/plugin.toml", MANIFEST).unwrap();
    folder.write("plugin/plugin.c", BOUNDS).unwrap();
    let test = "== they are refused\nalice: number\n  \
                to alice: invalid share: `least` and `most` are for PARLOR_ARGUMENT_INTEGER; \
                PARLOR_ARGUMENT_NUMBER has `lowest` and `highest`\n\
                alice: integer\n  \
                to alice: invalid count: `lowest` and `highest` are for PARLOR_ARGUMENT_NUMBER; \
                PARLOR_ARGUMENT_INTEGER has `least` and `most`\nalice: both\n  to alice: declared\n";
    folder.write("plugin/tests/bounds.chat", test).unwrap();
    let plugin = folder.path().join("plugin");
    let tested = parlor(&["plugin", "test", "--trust", plugin.to_str().unwrap()]).await;
    assert_eq!((tested.code, tested.stdout.as_str()), (Some(0), "1 passed, 0 failed\n"), "{tested:?}");
}

/// Declares commands with arguments by what alice says.
const BOUNDS: &str = r#"#include <parlor.h>
#include <string.h>

static const parlor_argument number[] = {{"share", PARLOR_ARGUMENT_NUMBER, .least = 1, .most = 9}, {0}};
static const parlor_argument integer[] = {{"count", PARLOR_ARGUMENT_INTEGER, .lowest = 0.5}, {0}};
static const parlor_argument both[] = {
    {"count", PARLOR_ARGUMENT_INTEGER, .least = 1, .most = 9}, {"share", PARLOR_ARGUMENT_NUMBER, .highest = 0.5}, {0}};

static parlor_error nothing(const parlor_event *event, void *context) {
  (void)event;
  (void)context;
  return PARLOR_OK;
}

static parlor_error answer(const parlor_event *event, void *context) {
  (void)context;
  const char *said = event->message->body;
  const parlor_argument *arguments = !strcmp(said, "number") ? number : !strcmp(said, "integer") ? integer : both;
  parlor_error error = parlor_commands_declare(
      &(parlor_declaration){.name = "divide", .help = "Divides", .arguments = arguments}, nothing, NULL);
  return parlor_chats_reply(event->message, "%s", error ? parlor_failed()->text : "declared");
}

parlor_error parlor_start(void) {
  return parlor_on("message", &(parlor_filter){.kind = "chat"}, answer, NULL);
}
"#;

/// Address 0 is ordinary memory in WebAssembly, and so is the memory behind an array. Only instrumented code finds such
/// mistakes.
#[tokio::test(flavor = "multi_thread")]
async fn a_mistake_ends_the_plugin_that_is_tried_at_the_authors_line_and_is_not_looked_for_in_that_of_owners() {
    let folder = Folder::new().unwrap();
    folder.write("plugin/plugin.toml", MANIFEST).unwrap();
    folder.write("plugin/plugin.c", MISTAKES).unwrap();
    let ends = "  plugin ends: it panicked or aborted while it handled message (chat)\n";
    let kinds = [("nobody", "12:"), ("too long", "15:"), ("zero", "17:"), ("false", "19:"), ("to nobody", "21:")];
    let failed = "  log warn: Assertion failed: 0 == strlen(body) (./plugin.c: answer: 19)\n";
    let test = |(said, _): &(&str, &str)| {
        format!("== {said}\nalice: {said}\n{}{ends}", if *said == "false" { failed } else { "" })
    };
    let expected = kinds.iter().map(test).collect::<Vec<_>>().concat();
    folder.write("plugin/tests/mistakes.chat", &expected).unwrap();
    let plugin = folder.path().join("plugin");
    let plugin = plugin.to_str().unwrap();
    let tested = parlor(&["plugin", "test", "--trust", plugin]).await;
    assert_eq!((tested.code, tested.stdout.as_str()), (Some(0), "5 passed, 0 failed\n"), "{tested:?}");
    // A failing test shows the location.
    folder.write("plugin/tests/mistakes.chat", expected.replace(ends, "")).unwrap();
    let tested = parlor(&["plugin", "test", "--trust", plugin]).await;
    for (said, line) in kinds {
        let place = format!(", in answer\n      #      at ./plugin.c:{line}");
        let (_, of_it) = tested.stdout.split_once(&format!(": {said}\n")).unwrap();
        let of_it = of_it.split("FAILED").next().unwrap();
        assert!(of_it.contains(&place), "{said}: {tested:?}");
    }
    // The build for owners is not slowed down by these checks.
    built(Path::new(plugin), &folder).await;
    folder.write("owners/false.chat", "== it goes on\nalice: false\n  to alice: well\n").unwrap();
    passes(&folder.path().join("owners"), &folder, "1 passed, 0 failed\n").await;
}

/// This holds also for an exit code of success.
#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_that_calls_exit_is_said_to_have() {
    let folder = Folder::new().unwrap();
    let plugin = begun("repeat", "c", folder.path()).await;
    let source = fs::read_to_string(plugin.join("plugin.c")).unwrap();
    let exits = source.replace("  (void)context;\n", "  (void)context;\n  exit(0);\n");
    assert_ne!(exits, source);
    fs::write(plugin.join("plugin.c"), format!("#include <stdlib.h>\n{exits}")).unwrap();
    let ends = "== it ends\nalice: hello\n  plugin ends: it called exit while it handled message (chat)\n";
    fs::write(plugin.join("tests/first.chat"), ends).unwrap();
    let tested = parlor(&["plugin", "test", "--trust", plugin.to_str().unwrap()]).await;
    assert_eq!((tested.code, tested.stdout.as_str()), (Some(0), "1 passed, 0 failed\n"), "{tested:?}");
}

const MISTAKES: &str = r#"#include <assert.h>
#include <parlor.h>
#include <stdlib.h>
#include <string.h>

static char kept[4];

static parlor_error answer(const parlor_event *event, void *context) {
  const char *body = event->message->body;
  (void)context;
  if (!strcmp(body, "nobody"))
    return parlor_chats_reply(event->message, "%zu", strlen(event->occupant->nick));
  if (!strcmp(body, "too long"))
    for (size_t i = 0; body[i]; i++)
      kept[i] = body[i];
  if (!strcmp(body, "zero"))
    return parlor_chats_reply(event->message, "%d", 7 / atoi(body));
  if (!strcmp(body, "false"))
    assert(0 == strlen(body));
  if (!strcmp(body, "to nobody"))
    return parlor_chats_reply(NULL, "%s", kept);
  return parlor_chats_reply(event->message, "well");
}

parlor_error parlor_start(void) {
  return parlor_on("message", &(parlor_filter){.kind = "chat"}, answer, NULL);
}
"#;

const READER: &str = r#"
#include <parlor.h>
#include <stdio.h>
#include <string.h>

/* What came: no more than so many are wanted, unless that is 0. */
typedef struct taken {
  size_t count, most, memory;
  char last[16];
  bool fails;
} taken;

static parlor_error take(const parlor_message *message, bool *enough, void *context) {
  taken *all = context;
  if (all->fails) return parlor_fail("told to");
  /* What half of it needs, all of it needs no more than. */
  if (++all->count == 150) all->memory = __builtin_wasm_memory_size(0);
  snprintf(all->last, sizeof all->last, "%s", message->stanza_id);
  *enough = all->count == all->most;
  return PARLOR_OK;
}

static const char *outcome(const parlor_archive_options *options, taken all) {
  parlor_error error = parlor_archive_query_all(options, take, &all);
  const char *end = !error ? "well" : error == PARLOR_STANZA ? parlor_failed()->condition : parlor_failed()->text;
  bool grew = all.memory && all.memory != __builtin_wasm_memory_size(0);
  return parlor_format("%zu to %s%s: %s", all.count, all.last, grew ? " in more memory" : "", end);
}

static parlor_error tell(const parlor_event *event, void *context) {
  (void)event, (void)context;
  const char *outcomes[] = {
      outcome(NULL, (taken){0}),
      outcome(NULL, (taken){.most = 2}),
      outcome(&(parlor_archive_options){.after = "uid-297"}, (taken){0}),
      outcome(NULL, (taken){.fails = true}),
      outcome(&(parlor_archive_options){.start = "2026-01-01"}, (taken){0}),
      outcome(&(parlor_archive_options){.end = "2100-01-01"}, (taken){0}),
  };
  for (size_t i = 0; i < sizeof outcomes / sizeof *outcomes; i++) {
    parlor_error error = parlor_chats_send("juliet@localhost", "%s", outcomes[i]);
    if (error) return error;
  }
  return PARLOR_OK;
}

parlor_error parlor_start(void) {
  return parlor_on("read", NULL, tell, NULL);
}
"#;

const PLUGIN: &str = r#"
#include <parlor.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int ticks;

static int ready;

static parlor_error count(const parlor_event *event, void *context) {
  (void)event, (void)context;
  ready++;
  return PARLOR_OK;
}

/* Other handlers wait while this one does. */
static parlor_error tell_ready(const parlor_event *event, void *context) {
  (void)event;
  if (!ready) return parlor_after(0.01, tell_ready, context);
  return parlor_chats_send(context, ready == 1 ? "ready once" : "ready often");
}

static parlor_error built(const parlor_message *message) {
  parlor_xml xml = {0};
  parlor_xml_open(&xml, "a");
  parlor_xml_attribute(&xml, "b", "<'>\n");
  parlor_xml_open(&xml, "c");
  parlor_xml_attribute(&xml, "xmlns", "urn:x");
  parlor_xml_text(&xml, "&\x01");
  parlor_xml_close(&xml);
  return parlor_chats_reply(message, "%s", parlor_xml_end(&xml));
}

static parlor_error ping(const parlor_message *message) {
  parlor_xml xml = {0};
  const char *answer;
  parlor_xml_open(&xml, "iq");
  parlor_xml_attribute(&xml, "type", "get");
  parlor_xml_attribute(&xml, "to", "localhost");
  parlor_xml_open(&xml, "ping");
  parlor_xml_attribute(&xml, "xmlns", PARLOR_NS_PING);
  parlor_error error = parlor_api_send_iq(parlor_xml_end(&xml), &answer);
  return error ? error : parlor_chats_reply(message, "%s", strstr(answer, "type='result'") ? "true" : answer);
}

static parlor_error later(const parlor_event *event, void *context) {
  (void)event;
  return parlor_chats_send(context, "it is later");
}

static parlor_error tick(const parlor_event *event, void *context) {
  (void)event;
  if (++ticks < 3) return PARLOR_OK;
  parlor_error error = parlor_off(tick, context);
  return error ? error : parlor_chats_send(context, "three ticks");
}

static parlor_error keep(const parlor_message *message) {
  const char **keys, *kept, *gone;
  size_t count;
  parlor_error error = parlor_storage_set("k", "v", 0);
  if (!error) error = parlor_storage_keys("", &keys, &count);
  if (!error) error = parlor_storage_get("k", &kept);
  if (!error) error = parlor_storage_delete("k");
  if (!error) error = parlor_storage_get("k", &gone);
  return error ? error : parlor_chats_reply(message, "%zu %s %s %s", count, keys[0], kept, gone ? gone : "gone");
}

/* More than there is memory for. */
static parlor_error much(const parlor_message *message) {
  const char *text, *kept;
  char *long_one = malloc(200001);
  memset(long_one, 'x', 200000);
  long_one[200000] = 0;
  parlor_error error = parlor_storage_set("much", long_one, 0);
  for (int i = 0; !error && i < 400; i++) {
    uint64_t mark = parlor_mark();
    error = parlor_storage_get("much", &kept);
    if (!error && strcmp(kept, long_one)) error = parlor_fail("it is another one");
    parlor_forget(mark);
  }
  free(long_one);
  if (!error) error = parlor_storage_delete("much");
  if (error) return error;
  /* What failed is known also when the rest is forgotten. */
  uint64_t mark = parlor_mark();
  parlor_chats_send("@", "hello");
  parlor_forget(mark);
  text = parlor_failed()->text;
  return parlor_chats_reply(message, "%.11s", text);
}

static parlor_error promise(const parlor_message *message) {
  const char *value;
  parlor_error error = parlor_promises_add("actionsDone");
  if (!error) error = parlor_emit("actionsDone", "{\"x\": 1}");
  if (!error) error = parlor_wait_until("actionsDone", &value);
  return error ? error : parlor_chats_reply(message, "%s", value);
}

static parlor_error answer(const parlor_event *event, void *context) {
  const parlor_message *message = event->message;
  const char *body = message->body ? message->body : "";
  (void)context;
  if (!strcmp(body, "fail")) return parlor_fail("told to");
  if (!strncmp(body, "print", 5)) return printf("it printed %s\n", body) > 0 ? PARLOR_OK : PARLOR_OTHER;
  if (!strcmp(body, "setting")) return parlor_chats_reply(message, "%s", parlor_settings_get_text("greeting", ""));
  if (!strcmp(body, "keep")) return keep(message);
  if (!strcmp(body, "much")) return much(message);
  /* The context outlives the handler. */
  if (!strcmp(body, "later")) return parlor_after(0.01, later, strdup(message->chat));
  if (!strcmp(body, "ticks")) return parlor_every(0.01, tick, strdup(message->chat));
  if (!strcmp(body, "promise")) return promise(message);
  if (!strcmp(body, "denied")) {
    parlor_error error = parlor_chats_send("nobody@nowhere.invalid", "hello");
    if (error != PARLOR_DENIED || !parlor_failed()->hint) return parlor_fail("it was not denied");
    parlor_chats_reply(message, "%s for %s", parlor_failed()->permission, parlor_failed()->scope);
    return error;
  }
  if (!strcmp(body, "invalid")) {
    parlor_error error = parlor_chats_send("@", "hello");
    return error == PARLOR_INVALID ? parlor_chats_reply(message, "%s", parlor_failed()->argument) : parlor_fail("it was valid");
  }
  if (!strcmp(body, "ready")) return tell_ready(event, strdup(message->chat));
  if (!strcmp(body, "built")) return built(message);
  if (!strcmp(body, "ping")) return ping(message);
  if (!strcmp(body, "escape")) return parlor_chats_reply(message, "%s %s", parlor_escape("<a>&"), parlor_quote("\n\""));
  return PARLOR_OK;
}

static parlor_error action(const parlor_event *event, void *context) {
  const char *all = "";
  (void)context;
  for (size_t i = 0; i < event->command->count; i++) all = parlor_format("%s%s|", all, event->command->arguments[i]);
  return parlor_chats_reply(event->message, "%s / %s", all, event->command->rest);
}

parlor_error parlor_start(void) {
  parlor_error error = parlor_commands_add("action", "Does it", "", action, NULL);
  if (!error) error = parlor_commands_add("actions.Whole", "Does it", "", action, NULL);
  if (!error) error = parlor_on_ready(count, NULL);
  return error ? error : parlor_on("message", &(parlor_filter){.kind = "chat"}, answer, NULL);
}
"#;
