"""What the options say beside the operation's own input: which city, and in which form the answer is wanted."""

from __future__ import annotations

import sys
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import click

if TYPE_CHECKING:
    from pharos.client.callers import Caller
    from pharos.core.wire import JsonObject

Form = Literal["table", "json", "yaml"]

C = TypeVar("C", bound=click.Command)


@dataclass
class Session:
    """One run of ``pharos``."""

    url: str | None = None
    key: str | None = None
    timeout: float = 30.0
    form: Form = "table"
    spoken: Mapping[str, str] = field(default_factory=dict)
    """How the members of the operation's input are given on the command line, by their names."""

    @contextmanager
    def city(self) -> Iterator[Caller]:
        """Connections to the city. Raises ``INVALID_ADDRESS``."""
        from pharos.client.callers import Caller
        from pharos.client.target import find_target

        caller = Caller(find_target(self.url, self.key), timeout=self.timeout, retries=3)
        try:
            yield caller
        finally:
            caller.close()

    def key_source(self) -> str:
        """Where the key to enter with is found; empty if there is none."""
        from pharos.client.target import find_target
        from pharos.core.fault import Fault

        try:
            target = find_target(self.url, self.key)
        except Fault:
            return ""
        return {"argument": "--key", "none": ""}.get(target.key_source, target.key_source)

    def call(
        self,
        operation: str,
        arguments: Mapping[str, object],
        *,
        write: bool = False,
        dry_run: bool = False,
        idempotency_key: str | None = None,
        waiting: str = "",
    ) -> JsonObject:
        """Call an operation; ``waiting`` is shown to a person who has to wait for it. Raises ``Fault``."""
        with self.city() as city, progress(waiting):
            return city.plain(operation, arguments, write=write, dry_run=dry_run, idempotency_key=idempotency_key)

    def stream(self, operation: str, arguments: Mapping[str, object]) -> Generator[JsonObject, None, None]:
        """The items of a streaming operation. Raises ``Fault``."""
        with self.city() as city:
            yield from city.plain_stream(operation, arguments)

    def show(self, output: JsonObject, view: str) -> None:
        """Print an output: as it is for programs, in the form ``view`` (an operation's name) has for people."""
        from pharos.server.cli.output import show

        show(output, self.form, view)


@contextmanager
def progress(what: str) -> Iterator[None]:
    """Show on stderr that something goes on, if a person is looking and there is something to say."""
    if not what or not sys.stderr.isatty():
        yield
        return
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        bar.add_task(what, total=None)
        yield


pass_session = click.make_pass_decorator(Session, ensure=True)


def _set(name: str) -> Callable[[click.Context, click.Parameter, Any], None]:
    def callback(ctx: click.Context, param: click.Parameter, value: Any) -> None:
        if value is not None:
            setattr(ctx.ensure_object(Session), name, value)

    return callback


def _set_json(ctx: click.Context, param: click.Parameter, value: bool) -> None:
    if value:
        ctx.ensure_object(Session).form = "json"


def output_options() -> list[click.Parameter]:
    """The options that every command has."""
    return [
        click.Option(
            ["--json", "as_json"],
            is_flag=True,
            expose_value=False,
            callback=_set_json,
            help="Print exactly the operation's output, as JSON. The same as -o json.",
        ),
        click.Option(
            ["-o", "--output"],
            type=click.Choice(["table", "json", "yaml"]),
            expose_value=False,
            callback=_set("form"),
            help="Form of the output.",
        ),
    ]


def common_options() -> list[click.Parameter]:
    """The options that every command has which talks to a city."""
    url = click.Option(["--url"], expose_value=False, callback=_set("url"), help="The city's address.", metavar="URL")
    return [*output_options(), url]


def root_options() -> list[click.Parameter]:
    """The options that stand before the command."""
    return [
        *common_options(),
        click.Option(
            ["--key"],
            expose_value=False,
            callback=_set("key"),
            metavar="SECRET",
            help="The secret to enter with. Other users of this machine can see it here: prefer PHAROS_KEY.",
        ),
        click.Option(
            ["--timeout"],
            type=click.FloatRange(min=0.001),
            expose_value=False,
            callback=_set("timeout"),
            metavar="SECONDS",
            help="Longest wait for an answer.  [default: 30]",
        ),
    ]


def with_output_options(command: C) -> C:
    """Add the options that every command has to a command that needs no city."""
    command.params += output_options()
    return command


def with_common_options(command: C) -> C:
    """Add the options of what talks to a city to a command written by hand."""
    command.params += common_options()
    return command
