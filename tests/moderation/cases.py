"""Runs the cases of `cases.json` on the moderation kit for Python. A test of the suite puts it into a plugin; the tests of the SDK for
Rust, `cases.js`, `cases.go` and `cases.c` read the same cases in the same way."""

import json
from datetime import datetime, timedelta, timezone
from types import SimpleNamespace
from typing import Any, Optional

ROOM = "garden@rooms.example.org"
EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


def text(of: Any, number: Optional[int] = None) -> Any:
    """A text as the cases write it: as it is, repeated, or in parts. `{}` is the number of a step."""
    if isinstance(of, list):
        return "".join(text(one, number) for one in of)
    if isinstance(of, dict):
        return text(of["of"], number) * of["times"]
    return of if of is None or number is None else of.replace("{}", str(number))


def digest(letters: Any, ranges: list[list[int]]) -> int:
    """A number (FNV-1a of 32 bits) of which code points are letters and digits, and what their small letters are."""
    sum = 0x811C9DC5
    for first, last in ranges:
        for code in range(first, last + 1):
            sign = chr(code)
            kind = 0 if not letters.is_letter_or_digit(sign) else 1 if letters.is_letter(sign) else 2
            for part in (kind, *(map(ord, sign.lower()) if kind else ())):
                sum = (sum ^ part) * 0x01000193 & 0xFFFFFFFF
    return sum


class Runner:
    """Runs the steps of a case."""

    def __init__(self, moderation: Any, rules: dict[str, int]) -> None:
        self.kit = moderation
        self.judge = moderation.Judge()
        windows = ("join_window", "message_window", "repeat_window", "newcomer")
        given = {name: timedelta(milliseconds=value) if name in windows else value for name, value in rules.items()}
        self.rules = moderation.Rules(**given)
        self.wrong: list[str] = []

    def run(self, step: list[Any], place: str, room: str = ROOM, number: Optional[int] = None) -> None:
        name, *rest = step
        if name == "in":
            self.run(rest[1], place, text(rest[0], number), number)
        elif name == "each":
            for number in range(rest[0], rest[1] + 1):
                for at, one in enumerate(rest[2]):
                    self.run(one, f"{place}, {number}, {at}", room, number)
        else:
            came, expected = getattr(self, name)(room, number, *rest)
            if came != expected:
                self.wrong.append(f"{place}: {name} gives {came!r}, and not {expected!r}")

    def time(self, at: int, number: Optional[int]) -> datetime:
        return EPOCH + timedelta(milliseconds=at + (number or 0))

    def join(self, room: str, number: Optional[int], at: int, key: Any, expected: list[Any]) -> tuple[Any, Any]:
        came = self.judge.join(self.rules, room, text(key, number), self.time(at, number))
        return came, [text(one, number) for one in expected]

    def join_count(self, room: str, number: Optional[int], at: int, key: Any, expected: int) -> tuple[Any, Any]:
        return len(self.judge.join(self.rules, room, text(key, number), self.time(at, number))), expected

    def hear(self, room: str, number: Optional[int], at: int, key: Any, said: Any, expected: str) -> tuple[Any, Any]:
        if isinstance(said, dict) and "of" not in said:
            heard = self.kit.Said(
                id=text(said.get("id"), number),
                texts=[text(one, number) for one in said.get("texts", [])],
                has_link=said.get("link", False),
                is_command=said.get("command", False),
                is_unreadable=said.get("unreadable", False),
            )
        else:
            heard = self.kit.Said.text(text(said, number))
        verdict = self.judge.hear(self.rules, room, text(key, number), heard, self.time(at, number))
        words = [verdict.offence or "fine"]
        if verdict.pause is not None:
            words.append(str(round(verdict.pause * 1000)))
        if verdict.has_settled:
            words.append("settled")
        return " ".join(words), expected

    def meet(self, room: str, number: Optional[int], at: int, key: Any, nick: Any, is_spared: bool) -> tuple[Any, Any]:
        self.judge.meet(room, text(key, number), text(nick, number), is_spared, self.time(at, number))
        return None, None

    def absent(self, room: str, number: Optional[int], nick: Any, expected: Any) -> tuple[Any, Any]:
        came = self.judge.absent(room, text(nick, number))
        return came, expected and (text(expected[0], number), expected[1])

    def is_settled(self, room: str, number: Optional[int], key: Any, expected: Any) -> tuple[Any, Any]:
        return self.judge.is_settled(room, text(key, number)), expected

    def settle(self, room: str, number: Optional[int], at: int, key: Any, is_settled: bool) -> tuple[Any, Any]:
        self.judge.settle(room, text(key, number), is_settled, self.time(at, number))
        return None, None

    def author(self, room: str, number: Optional[int], nick: Any, expected: Any) -> tuple[Any, Any]:
        return self.judge.author(room, text(nick, number)), text(expected, number)

    def messages(self, room: str, number: Optional[int], key: Any, most: int, expected: list[Any]) -> tuple[Any, Any]:
        return self.judge.messages(room, text(key, number), most), [text(one, number) for one in expected]

    def retracted(self, room: str, number: Optional[int], id: Any) -> tuple[Any, Any]:
        self.judge.retracted(room, text(id, number))
        return None, None

    def slow_down(self, room: str, number: Optional[int], pause: Optional[int], expected: bool) -> tuple[Any, Any]:
        return self.judge.slow_down(room, None if pause is None else pause / 1000), expected

    def leave(self, room: str, number: Optional[int]) -> tuple[Any, Any]:
        self.judge.leave(room)
        return None, None


def message_of(given: dict[str, Any]) -> Any:
    fallback = [SimpleNamespace(feature=one[0], part=one[1]) for one in given.get("fallback", [])]
    reply = SimpleNamespace(id=given["reply"]) if "reply" in given else None
    extensions = SimpleNamespace(files=["one"] * given.get("files", 0), reply=reply, fallback=fallback)
    return SimpleNamespace(
        body=text(given.get("body")),
        bodies=[(language, text(body)) for language, body in given.get("bodies", [])],
        stanza_id=given.get("id"),
        command=given.get("command"),
        extensions=None if given.get("plain") else extensions,
    )


def occupant_of(given: dict[str, Any]) -> Any:
    return SimpleNamespace(
        nick=text(given.get("nick", "nick")),
        jid=text(given.get("jid")),
        occupant_id=text(given.get("id")),
        role=given.get("role", "participant"),
        affiliation=given.get("affiliation", "none"),
        own=given.get("own", False),
    )


def run(json_text: str, moderation: Any, letters: Any) -> tuple[int, list[str]]:
    """Runs all cases; returns how many there are, and what is wrong."""
    cases = json.loads(json_text)
    results: list[tuple[str, Any, Any]] = []

    def check(name: str, came: Any, expected: Any) -> None:
        results.append((name, came, expected))

    table = cases["letters"]
    check("letters", digest(letters, table["ranges"]), table["digest"])
    for given, expected in cases["comparable"]:
        check(f"comparable {given}", moderation.comparable([text(one) for one in given]), [text(one) for one in expected])
    for expected in (True, False):
        for given in cases["links" if expected else "no links"]:
            check(f"has_link {given!r}", moderation.has_link(text(given)), expected)
    for given, expected in cases["nicks"]:
        check(f"nick {given!r}", moderation.nick(text(given)), text(expected))
    for given, key, is_spared in cases["people"]:
        one = occupant_of(given)
        check(f"key {given}", (moderation.key(one), moderation.is_spared(one)), (text(key), is_spared))
    for given, expected in cases["messages"]:
        said = moderation.Said.of(message_of(given))
        texts = [text(one) for one in expected["texts"]]
        wanted = (expected.get("id"), texts, expected.get("link", False), expected.get("command", False), False)
        check(f"of {given}", (said.id, said.texts, said.has_link, said.is_command, said.is_unreadable), wanted)
    sealed = moderation.Said.unreadable(SimpleNamespace(stanza_id="sealed"))
    check("unreadable", sealed, moderation.Said(id="sealed", is_unreadable=True))
    for case in cases["judge"]:
        runner = Runner(moderation, {**cases["rules"], **case["rules"]} if "rules" in case else {})
        for at, step in enumerate(case["steps"]):
            runner.run(step, f"step {at}")
        check(case["name"], runner.wrong[:3], [])
    return len(results), [f"{name}: {came!r}, and not {expected!r}" for name, came, expected in results if came != expected]
