"""`time.sleep`, which has to be awaited here: nothing else of the plugin would go on. Imported before the plugin."""

import time

from parlor import sleep


async def _sleep(seconds: float) -> None:
    """Waits for so many seconds, and lets other handlers go on."""
    await sleep(seconds)


# A type checker knows the one that is not awaited.
setattr(time, "sleep", _sleep)
