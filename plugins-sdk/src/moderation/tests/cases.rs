//! Runs the cases of `tests/moderation/cases.json`, as `cases.py`, `cases.js`, `cases.go` and `cases.c` beside them
//! do in plugins.

use serde_json::{Value, json};

use super::*;
use crate::letters::{RUNS, is_letter, is_letter_or_digit};
use crate::types::{Extensions, Fallback, File, Reply};

const CASES: &str = include_str!("../../../../tests/moderation/cases.json");

/// Returns a text as the cases write it: as it is, repeated, or in parts. `{}` is the number of a step.
fn text(of: &Value, number: Option<i64>) -> String {
    match of {
        Value::String(plain) => number.map_or_else(|| plain.clone(), |number| plain.replace("{}", &number.to_string())),
        Value::Array(parts) => parts.iter().map(|part| text(part, number)).collect(),
        repeated => text(&repeated["of"], number).repeat(count(&repeated["times"])),
    }
}

fn optional(of: &Value, number: Option<i64>) -> Option<String> {
    (!of.is_null()).then(|| text(of, number))
}

fn list(all: &Value) -> &[Value] {
    all.as_array().map_or(&[], Vec::as_slice)
}

fn texts(all: &Value, number: Option<i64>) -> Vec<String> {
    list(all).iter().map(|one| text(one, number)).collect()
}

fn flag(of: &Value) -> bool {
    of.as_bool().unwrap_or_default()
}

fn whole(of: &Value) -> i64 {
    of.as_i64().unwrap()
}

fn count(of: &Value) -> usize {
    usize::try_from(whole(of)).unwrap()
}

fn small(of: &Value) -> u32 {
    u32::try_from(whole(of)).unwrap()
}

/// Returns a number (FNV-1a of 32 bits) of which code points are letters and digits, and what their small letters are.
fn digest(ranges: &Value) -> u32 {
    let mut sum = 0x811c_9dc5_u32;
    let codes = list(ranges).iter().flat_map(|range| small(&range[0])..=small(&range[1]));
    for sign in codes.map(|code| char::from_u32(code).unwrap()) {
        let kind = match (is_letter_or_digit(sign), is_letter(sign)) {
            (false, _) => 0,
            (true, true) => 1,
            (true, false) => 2,
        };
        let lower = sign.to_lowercase().map(u32::from).filter(|_| kind > 0);
        sum = once(kind).chain(lower).fold(sum, |sum, part| (sum ^ part).wrapping_mul(0x0100_0193));
    }
    sum
}

fn message(given: &Value) -> Message {
    let file = || File { url: "https://x.example/a".to_owned(), name: None, media_type: None, size: None };
    let part = |range: &Value| (!range.is_null()).then(|| (small(&range[0]), small(&range[1])));
    let fallback = |one: &Value| Fallback { feature: optional(&one[0], None), part: part(&one[1]) };
    let extensions = Extensions {
        files: (0..given["files"].as_u64().unwrap_or_default()).map(|_| file()).collect(),
        reply: optional(&given["reply"], None).map(|id| Reply { id, to: None }),
        fallback: list(&given["fallback"]).iter().map(fallback).collect(),
        ..Extensions::default()
    };
    Message {
        labels: Vec::new(),
        encryption: None,
        device_trust: None,
        id: None,
        stanza_id: optional(&given["id"], None),
        origin_id: None,
        chat: ROOM.to_owned(),
        from: ROOM.to_owned(),
        to: "romeo@example.org".to_owned(),
        nick: None,
        occupant_id: None,
        kind: "groupchat".to_owned(),
        body: optional(&given["body"], None),
        bodies: list(&given["bodies"]).iter().map(|one| (text(&one[0], None), text(&one[1], None))).collect(),
        command: optional(&given["command"], None),
        cut: None,
        subject: None,
        thread: None,
        at: "2026-11-20T06:24:00Z".to_owned(),
        delayed: false,
        carbon: None,
        own: false,
        extensions: (!flag(&given["plain"])).then_some(extensions),
        error: None,
        xml: None,
    }
}

fn undecryptable(id: &str) -> Undecryptable {
    Undecryptable {
        chat: ROOM.to_owned(),
        from: ROOM.to_owned(),
        kind: "groupchat".to_owned(),
        at: "2026-11-20T06:24:00Z".to_owned(),
        encryption: "omemo".to_owned(),
        reason: "no-session".to_owned(),
        id: None,
        stanza_id: Some(id.to_owned()),
        nick: None,
        delayed: false,
        own: false,
    }
}

fn occupant(given: &Value) -> Occupant {
    let or = |name: &str, other: &str| optional(&given[name], None).unwrap_or_else(|| other.to_owned());
    Occupant {
        room: ROOM.to_owned(),
        nick: or("nick", "nick"),
        role: or("role", "participant"),
        affiliation: or("affiliation", "none"),
        jid: optional(&given["jid"], None),
        show: None,
        status: None,
        own: flag(&given["own"]),
        previous_nick: None,
        left: None,
        reason: None,
        occupant_id: optional(&given["id"], None),
        hats: Vec::new(),
        actor: None,
        image: None,
        image_type: None,
        url: None,
        vcard_updated: None,
    }
}

fn said_of(given: &Value, number: Option<i64>) -> Said {
    if !given.is_object() || given.get("of").is_some() {
        return Said::text(&text(given, number));
    }
    Said {
        id: optional(&given["id"], number),
        texts: texts(&given["texts"], number),
        has_link: flag(&given["link"]),
        is_command: flag(&given["command"]),
        is_unreadable: flag(&given["unreadable"]),
    }
}

/// Returns the rules of a case. Those that it does not name are those of all cases; a case that names none has the default.
fn rules_of(case: &Value, all: &Value) -> Rules {
    let Some(own) = case["rules"].as_object() else { return Rules::default() };
    let number = |name: &str| own.get(name).unwrap_or(&all[name]);
    let time = |name: &str| Duration::from_millis(number(name).as_u64().unwrap());
    Rules {
        joins: count(number("joins")),
        join_window: time("join_window"),
        messages: count(number("messages")),
        message_window: time("message_window"),
        repeats: count(number("repeats")),
        crowd_repeats: count(number("crowd_repeats")),
        unreadable: count(number("unreadable")),
        repeat_window: time("repeat_window"),
        newcomer: time("newcomer"),
    }
}

fn words(verdict: &Verdict) -> String {
    let offence = match verdict.offence {
        None => "fine".to_owned(),
        Some(Offence::Early(pause)) => format!("early {}", pause.as_millis()),
        Some(Offence::Flood) => "flood".to_owned(),
        Some(Offence::Link) => "link".to_owned(),
        Some(Offence::Repeat) => "repeat".to_owned(),
        Some(Offence::Sealed) => "sealed".to_owned(),
        Some(Offence::Unreadable) => "unreadable".to_owned(),
    };
    if verdict.has_settled { format!("{offence} settled") } else { offence }
}

/// Runs the steps of a case.
struct Runner {
    judge: Judge,
    rules: Rules,
    wrong: Vec<String>,
}

impl Runner {
    fn run(&mut self, step: &Value, place: &str, room: &str, number: Option<i64>) {
        match step[0].as_str().unwrap() {
            "in" => self.run(&step[2], place, &text(&step[1], number), number),
            "each" => {
                for number in whole(&step[1])..=whole(&step[2]) {
                    for (at, one) in list(&step[3]).iter().enumerate() {
                        self.run(one, &format!("{place}, {number}, {at}"), room, Some(number));
                    }
                }
            }
            name => {
                let (came, expected) = self.made(name, step, room, number);
                if came != expected {
                    self.wrong.push(format!("{place}: {name} gives {came}, and not {expected}"));
                }
            }
        }
    }

    /// Makes the call of a step. Returns what came of it, and what should.
    fn made(&mut self, name: &str, step: &Value, room: &str, number: Option<i64>) -> (Value, Value) {
        let word = |place: usize| text(&step[place], number);
        let time = || at(whole(&step[1]) + number.unwrap_or_default());
        let Self { judge, rules, .. } = self;
        match name {
            "join" => (json!(judge.join(rules, room, &word(2), time())), json!(texts(&step[3], number))),
            "join_count" => (json!(judge.join(rules, room, &word(2), time()).len()), step[3].clone()),
            "hear" => {
                let verdict = judge.hear(rules, room, &word(2), said_of(&step[3], number), time());
                (json!(words(&verdict)), step[4].clone())
            }
            "absent" => {
                let expected = optional(&step[2][0], number).map(|key| (key, flag(&step[2][1])));
                (json!(judge.absent(room, &word(1))), json!(expected))
            }
            "is_settled" => (json!(judge.is_settled(room, &word(1))), step[2].clone()),
            "author" => (json!(judge.author(room, &word(1))), json!(optional(&step[2], number))),
            "messages" => (json!(judge.messages(room, &word(1), count(&step[2]))), json!(texts(&step[3], number))),
            "slow_down" => (json!(judge.slow_down(room, step[1].as_u64().map(Duration::from_millis))), step[2].clone()),
            name => {
                match name {
                    "meet" => judge.meet(room, &word(2), word(3), flag(&step[4]), time()),
                    "settle" => judge.settle(room, &word(2), flag(&step[3]), time()),
                    "retracted" => judge.retracted(room, &word(1)),
                    "leave" => judge.leave(room),
                    other => panic!("there is no step {other}"),
                }
                (Value::Null, Value::Null)
            }
        }
    }
}

/// Returns what the kit says of texts, people and messages, and what it should.
fn compared(cases: &Value) -> Vec<(String, Value, Value)> {
    let mut all =
        vec![("letters".to_owned(), json!(digest(&cases["letters"]["ranges"])), cases["letters"]["digest"].clone())];
    let mut add = |what: &str, given: &Value, came: Value, expected: Value| {
        all.push((format!("{what} {given}"), came, expected));
    };
    for case in list(&cases["comparable"]) {
        let given = texts(&case[0], None);
        let came = comparable(given.iter().map(String::as_str));
        add("comparable", &case[0], json!(came), json!(texts(&case[1], None)));
    }
    for (name, expected) in [("links", true), ("no links", false)] {
        for given in list(&cases[name]) {
            add("has_link", given, json!(has_link(&text(given, None))), json!(expected));
        }
    }
    for case in list(&cases["nicks"]) {
        add("nick", &case[0], json!(nick(&text(&case[0], None))), json!(text(&case[1], None)));
    }
    for case in list(&cases["people"]) {
        let one = occupant(&case[0]);
        add("key", &case[0], json!([key(&one), is_spared(&one)]), json!([text(&case[1], None), case[2]]));
    }
    for case in list(&cases["messages"]) {
        let expected = said_of(&case[1], None);
        let came = Said::of(&message(&case[0]));
        add("of", &case[0], json!(format!("{came:?}")), json!(format!("{expected:?}")));
    }
    all
}

#[test]
fn the_cases_of_every_language_come_out_as_they_should() {
    let cases: Value = serde_json::from_str(CASES).unwrap();
    let compared = compared(&cases);
    assert!(compared.len() > 100, "{} cases", compared.len());
    for (name, came, expected) in compared {
        assert_eq!(came, expected, "{name}");
    }
    let sealed = Said { id: Some("sealed".to_owned()), is_unreadable: true, ..Said::default() };
    assert_eq!(Said::unreadable(&undecryptable("sealed")), sealed);
    let judged = list(&cases["judge"]);
    assert!(judged.len() > 50, "{} cases", judged.len());
    for case in judged {
        let rules = rules_of(case, &cases["rules"]);
        let mut runner = Runner { judge: Judge::default(), rules, wrong: Vec::new() };
        for (at, step) in list(&case["steps"]).iter().enumerate() {
            runner.run(step, &format!("step {at}"), "garden@rooms.example.org", None);
        }
        assert_eq!(runner.wrong, [""; 0], "{}", case["name"]);
    }
}

/// The cases leave out most Chinese characters, which would take long in a plugin.
#[test]
fn the_table_of_letters_is_the_same_in_every_language() {
    let others = [
        (include_str!("../../../python/parlor/letters.py"), "_RUNS = (\n", "\n)"),
        (include_str!("../../../javascript/parlor.js"), "const LETTERS = [\n", "\n];"),
        (include_str!("../../../go/moderation/letters.go"), "const runs = \"\" +\n", "\n\n"),
        (include_str!("../../../c/moderation.c"), "static const char runs[] =\n", ";\n"),
    ];
    for (source, begin, end) in others {
        let (_, table) = source.split_once(begin).unwrap();
        let (table, _) = table.split_once(end).unwrap();
        // In Go a sign joins the lines.
        let lines = table.lines().map(|line| line.trim_end_matches(" +").trim_matches([' ', '\t', ',', '"']));
        let lines: Vec<_> = lines.collect();
        assert_eq!(lines.join(" "), RUNS, "{begin}");
    }
}
