"""Commands and schedules in the SDK for Python: `python3 -m unittest discover tests/ports`."""

import asyncio
import contextlib
import importlib
import sys
import unittest
from datetime import timedelta
from pathlib import Path
from types import ModuleType
from typing import Any, Iterator

SDK = Path(__file__).resolve().parents[2] / "plugins-sdk" / "python" / "parlor"
#: The tests of the layer have their own `parlor`.
PACKAGE = "parlor_of_the_sdk"


class Grouping:
    """A grouping of the contract, whose calls are noted."""

    calls: list[tuple[str, tuple[Any, ...]]] = []

    def __init__(self, name: str, **_: Any) -> None:
        self._name = name

    def __getattr__(self, name: str) -> Any:
        if name[0].isupper():
            return lambda *values: (name, *values)

        async def call(*values: Any) -> None:
            Grouping.calls.append((f"{self._name}.{name}", values))

        return (lambda *_: 1) if self._name == "listen" else call


def module(name: str, **values: Any) -> ModuleType:
    made = ModuleType(f"{PACKAGE}.{name}")
    made.__dict__.update(values)
    return made


@contextlib.contextmanager
def sdk(starts: list[Any]) -> Iterator[Any]:
    """Returns a function that imports a module of the SDK, which has no host but notes."""
    package = ModuleType(PACKAGE)
    package.__path__ = [str(SDK)]
    mocks = {
        "": package,
        ".host": module("host", Grouping=Grouping, Given=str, is_there=lambda: False),
        ".guest": module("guest", on_start=starts.append),
        ".loop": module("loop", loop=None, spawn=None),
    }
    sleep = asyncio.sleep
    Grouping.calls = []
    sys.modules.update({PACKAGE + name: mock for name, mock in mocks.items()})
    try:
        yield lambda name: importlib.import_module(f"{PACKAGE}.{name}")
    finally:
        # The SDK has put its own in its place.
        setattr(asyncio, "sleep", sleep)
        for name in [name for name in sys.modules if name.split(".")[0] == PACKAGE]:
            del sys.modules[name]


class Commands(unittest.IsolatedAsyncioTestCase):
    async def registered(self, make: Any) -> tuple[str, tuple[Any, ...]]:
        starts: list[Any] = []
        with sdk(starts) as imported:
            make(imported("said").command)
            for start in starts:
                await start()
            [call] = Grouping.calls
            return call

    async def test_a_command_without_arguments_is_declared_so_that_it_has_a_form(self) -> None:
        def make(command: Any) -> None:
            @command("tea", help="Makes tea")
            async def tea(given: Any) -> None: ...

        name, [(_, *declared)] = await self.registered(make)
        self.assertEqual((name, declared), ("commands.declare", ["tea", "Makes tea", [], [], [], 0, 0, None]))

    async def test_a_command_with_a_usage_of_its_own_reads_its_words_itself(self) -> None:
        def make(command: Any) -> None:
            @command("tea", help="Makes tea", usage="WHICH")
            async def tea(given: Any) -> None: ...

        self.assertEqual(await self.registered(make), ("commands.add", ("tea", "Makes tea", "WHICH")))

    async def test_a_command_with_arguments_has_no_other_usage(self) -> None:
        def make(command: Any) -> None:
            @command("tea", usage="WHICH")
            async def tea(given: Any, count: int) -> None: ...

        with self.assertRaisesRegex(TypeError, "the usage of tea is made from its arguments"):
            await self.registered(make)


class Schedules(unittest.IsolatedAsyncioTestCase):
    async def test_a_period_that_the_host_refuses_is_shown_as_its_author_wrote_it(self) -> None:
        with sdk([]) as imported:
            schedules, invalid = imported("schedules"), imported("errors").Invalid

            async def refuse(name: str, milliseconds: int, catch_up: int) -> str:
                raise invalid("milliseconds" if catch_up <= 1000 else "catch-up", f"not {milliseconds}")

            setattr(schedules._schedules, "every", refuse)
            for period, catch_up, told in (
                (timedelta(seconds=30), 1, "invalid period: 0:00:30; it may be from a minute to ten years"),
                (0.5, 1, "invalid period: 0.5 s; it may be from a minute to ten years"),
                (600, 2000, "invalid catch-up: not 600000"),
            ):
                with self.assertRaises(invalid) as raised:
                    await schedules.every("tea", period, catch_up=catch_up)
                self.assertEqual(str(raised.exception), told)
                # As the contract spells it, for handlers.
                self.assertEqual(raised.exception.argument, told.split(":")[0].removeprefix("invalid ").replace("period", "milliseconds"))


if __name__ == "__main__":
    unittest.main()
