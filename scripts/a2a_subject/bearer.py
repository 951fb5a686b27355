"""A pytest plugin that gives the requests of A2A's test kit what they lack to reach a city.

The kit sends no credential; and it sends many messages under one id, which the protocol calls unique and a city takes
for one message that was sent again. So each request to the city gets the header ``Authorization``, and each message's
id a suffix of its own. Nothing else of a request is touched, and nothing of an answer.
"""

from __future__ import annotations

import itertools
import os
import re
from typing import Any

import grpc
import httpx

URL = os.environ["SUBJECT_URL"]
BEARER = f"Bearer {os.environ['KIT_SECRET']}"

_ID = re.compile(rb'("messageId"\s*:\s*")(tck-[^"]+)"')
_numbers = itertools.count(1)
_send = httpx.Client.send
_channel = grpc.insecure_channel


def send(client: httpx.Client, request: httpx.Request, **options: Any) -> httpx.Response:
    """``httpx.Client.send``, through which all of the kit's requests go."""
    if str(request.url).startswith(URL):
        body = _ID.sub(lambda found: b'%b%b-%d"' % (found[1], found[2], next(_numbers)), request.read())
        headers = [(name, value) for name, value in request.headers.multi_items() if name != "content-length"]
        headers.append(("authorization", BEARER))
        request = httpx.Request(
            request.method, request.url, headers=headers, content=body or None, extensions=request.extensions
        )
    return _send(client, request, **options)


class Interceptor(grpc.UnaryUnaryClientInterceptor, grpc.UnaryStreamClientInterceptor):  # type: ignore[misc]
    """The same for gRPC."""

    def intercept_unary_unary(self, continuation: Any, details: Any, request: Any) -> Any:
        """See gRPC."""
        return continuation(_with_bearer(details), _renamed(request))

    def intercept_unary_stream(self, continuation: Any, details: Any, request: Any) -> Any:
        """See gRPC."""
        return continuation(_with_bearer(details), _renamed(request))


class _Details(grpc.ClientCallDetails):  # type: ignore[misc]
    def __init__(self, details: Any) -> None:
        self.method = details.method
        self.timeout = details.timeout
        self.metadata = [*(details.metadata or ()), ("authorization", BEARER)]
        self.credentials = details.credentials
        self.wait_for_ready = details.wait_for_ready
        self.compression = details.compression


def _with_bearer(details: Any) -> _Details:
    return _Details(details)


def _renamed(request: Any) -> Any:
    if "message" not in request.DESCRIPTOR.fields_by_name or not request.message.message_id:
        return request
    copy = type(request)()
    copy.CopyFrom(request)
    copy.message.message_id += f"-{next(_numbers)}"
    return copy


def insecure_channel(*arguments: Any, **options: Any) -> Any:
    """``grpc.insecure_channel``."""
    return grpc.intercept_channel(_channel(*arguments, **options), Interceptor())


httpx.Client.send = send  # type: ignore[method-assign,assignment]
grpc.insecure_channel = insecure_channel
