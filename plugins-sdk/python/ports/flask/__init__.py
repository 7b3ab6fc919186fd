"""The names of flask that plugins of errbot use for webhooks. The host serves the requests; it has no code of flask."""

import json
from typing import Any, Mapping, Optional

from errbot.requested import Answered, Request, abort, request


def Response(response: Any = "", status: int = 200, headers: Optional[Mapping[str, str]] = None, mimetype: Optional[str] = None, **_: Any) -> Answered:
    """An answer."""
    made = Answered(int(str(status).partition(" ")[0]), response, headers)
    if mimetype:
        made.headers["Content-Type"] = mimetype
    return made


def make_response(body: Any = "", status: int = 200, headers: Optional[Mapping[str, str]] = None) -> Answered:
    """An answer."""
    return Response(body, status, headers)


def jsonify(*given: Any, **named: Any) -> Answered:
    """An answer with JSON."""
    value = named or (given[0] if len(given) == 1 else list(given))
    return Response(json.dumps(value), mimetype="application/json")


__all__ = ["Request", "Response", "abort", "jsonify", "make_response", "request"]
