"""The names of bottle that plugins of errbot use for webhooks. The host serves the requests; it has no code of bottle."""

from errbot.requested import Answered, Request, abort, request, response

HTTPError = HTTPResponse = Answered
BaseRequest = LocalRequest = Request

__all__ = ["BaseRequest", "HTTPError", "HTTPResponse", "LocalRequest", "abort", "request", "response"]
