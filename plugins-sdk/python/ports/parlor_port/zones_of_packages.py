"""Time zones for packages that the plugin has in its folder, if there are any: `pip install` also brings what a package needs."""

import contextlib
import importlib

for _name in ("zones", "zones_of_pytz"):
    with contextlib.suppress(ImportError):
        importlib.import_module(f"parlor_port.{_name}")
