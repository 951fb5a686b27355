"""All items of a list, page by page.

>>> for row in pharos.every(client.ledger.list, key="ci-bot"):                                     # doctest: +SKIP
...     ...
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from typing import ParamSpec, TypeVar

from pharos.core.wire import Page

P = ParamSpec("P")
T = TypeVar("T")


def every(list_: Callable[P, Page[T]], *args: P.args, **kwargs: P.kwargs) -> Generator[T, None, None]:
    """Yield every item that ``list_`` (a method such as ``client.ledger.list``) has for these arguments."""
    while True:
        page = list_(*args, **kwargs)
        yield from page.items
        if page.next is None:
            return
        kwargs["cursor"] = page.next


async def every_async(
    list_: Callable[P, Awaitable[Page[T]]], *args: P.args, **kwargs: P.kwargs
) -> AsyncGenerator[T, None]:
    """As :func:`every`, for the methods of an ``AsyncClient``."""
    while True:
        page = await list_(*args, **kwargs)
        for item in page.items:
            yield item
        if page.next is None:
            return
        kwargs["cursor"] = page.next
