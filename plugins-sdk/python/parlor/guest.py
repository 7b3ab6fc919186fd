"""The functions that the host calls."""

# Modules that the library imports when it is called: then there are no files.
import _strptime  # noqa: F401
import encodings.ascii
import encodings.base64_codec
import encodings.cp1252
import encodings.hex_codec
import encodings.idna
import encodings.iso8859_15
import encodings.latin_1
import encodings.punycode
import encodings.rot_13
import encodings.unicode_escape
import encodings.utf_16
import encodings.utf_32
import encodings.utf_8_sig  # noqa: F401

import asyncio
import logging
import random
import time
from typing import Any, Awaitable, Callable

from componentize_py_types import Err
from wit_world import exports

from . import errors, host, listen, logs, values
from .loop import loop, spawn
from .timers import sleep

_log = logging.getLogger("parlor")
_connection = host.Grouping("connection")


def _blocking(seconds: float) -> None:
    """Stands in the place of `time.sleep`, which would stop every handler of the plugin at once."""
    raise RuntimeError(f"time.sleep({seconds!r}) would stop all of the plugin: write `await sleep({seconds!r})`, from parlor")


time.sleep = _blocking

Function = Callable[[], Awaitable[Any]]

_starts: list[Function] = []
_readies: list[Function] = []
_stops: list[Function] = []
_has_started = False


def on_start(function: Function) -> Function:
    """Has an `async` function called once, when the plugin starts. One that raises refuses the start."""
    return _later(_starts, function, "on_start")


def on_ready(function: Function) -> Function:
    """Has an `async` function called once, as soon as the account is connected and initialized: in `on_start` nothing can be
    sent yet. One that raises is written to the log."""
    _later(_readies, function, "on_ready")
    if _has_started:
        spawn(_when_ready([function]))
    return function


def on_stop(function: Function) -> Function:
    """Has an `async` function called once, when the plugin is told to stop. It has two seconds."""
    return _later(_stops, function, "on_stop")


def _later(functions: list[Function], function: Function, taker: str) -> Function:
    listen.check(function, taker)
    functions.append(function)
    return function


async def _when_ready(functions: list[Function]) -> None:
    while True:
        try:
            await values.wait_until("initialized")
        except errors.Error:
            # A session that ended before it had begun; another one may come.
            await sleep(1)
            continue
        if _connection.connected():
            break
        await _reconnected()
    for function in functions:
        spawn(function())


async def _reconnected() -> None:
    """Waits for the end of a cut, in which what came true before stays so."""
    over = asyncio.Event()

    async def end() -> None:
        over.set()

    subscription = listen.on("reconnected")(end)
    # It may have come before it was listened for.
    if not _connection.connected():
        await over.wait()
    subscription.end()


class Guest(exports.Guest):
    """The exported interface `guest`."""

    async def initialize(self) -> None:
        host.begin()
        logs.start()
        loop.stay()
        # The state that was drawn at the build would give everybody the same numbers.
        random.seed()
        try:
            listen._start()
            for function in _starts:
                await function()
        except (Exception, asyncio.CancelledError) as error:
            # The host is given one sentence, which names no line of the author's.
            _log.exception("it does not start")
            advice = "; wait for `initialized`, or send in @on_ready" if isinstance(error, errors.Offline) else ""
            raise Err(f"{type(error).__name__}: {error}{advice}") from error
        global _has_started
        _has_started = True
        if _readies:
            spawn(_when_ready(list(_readies)))

    async def handle_event(self, event: Any) -> None:
        if not await listen._dispatch(event):
            # The log has said why.
            raise Err(None)

    async def stop(self) -> None:
        for function in _stops:
            try:
                await function()
            except (Exception, asyncio.CancelledError):
                _log.exception("%s failed", function.__qualname__)
