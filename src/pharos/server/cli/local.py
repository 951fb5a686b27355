"""Commands that need no city: run one, run a simulated provider, print the version."""

from __future__ import annotations

import platform
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, TypeVar

import click

from pharos import __version__
from pharos.server.cli.session import Session, pass_session, with_output_options

C = TypeVar("C", bound=Callable[..., Any])

_FILE = click.Path(path_type=Path)


def _bound(name: str, default: int, what: str, why: str) -> Callable[[C], C]:
    """An option that bounds what one address may do."""
    text = f"Most {what}; 0: no bound. {why}"
    return click.option(f"--address-{name}", type=click.IntRange(0), default=default, show_default=True, help=text)


@with_output_options
@click.command()
@click.option(
    "--home",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path(".pharos"),
    envvar="PHAROS_HOME",
    show_default=True,
    help="Directory that holds everything the city keeps. Created where it is missing.",
)
@click.option("--host", default="127.0.0.1", envvar="PHAROS_HOST", show_default=True, help="Address to listen on.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=7700,
    envvar="PHAROS_PORT",
    show_default=True,
    help="Port to listen on; 0 takes a free one.",
)
@click.option(
    "--admin-port",
    type=click.IntRange(0, 65535),
    envvar="PHAROS_ADMIN_PORT",
    help="Port for operations (/api, /mcp, /metrics, /openapi.json), which then are on no other; --port has models.",
)
@click.option(
    "--admin-host",
    envvar="PHAROS_ADMIN_HOST",
    help="Address that --admin-port listens on.  [default: 127.0.0.1]",
)
@click.option("--tls-cert", type=_FILE, help="Certificate chain (PEM) to serve HTTPS with. Read again when it changes.")
@click.option("--tls-key", type=_FILE, help="Its private key (PEM, not encrypted).")
@_bound("connections", 4_000, "connections of one address (IPv6: /64)", "Behind a proxy all callers have its address.")
@_bound("requests", 10_000, "requests of one address in a second", "Asked before anyone knows who it is.")
@_bound("failures", 600, "refused credentials of one address in a minute", "It then waits for the next one.")
@click.option(
    "-f",
    "--file",
    "files",
    type=_FILE,
    multiple=True,
    help="Manifest file or directory to apply at start, or a Python file with agents. Repeatable.",
)
@click.option(
    "--full-sync", is_flag=True, help="Sync the disk at every commit: also a power failure loses nothing acknowledged."
)
@click.option(
    "--found-anew",
    is_flag=True,
    help="Go on although HOME's database and pepper are not of one city (HOME_MIXED). Issue all keys anew afterwards.",
)
@click.option(
    "--drain",
    type=click.FloatRange(min=0),
    default=10.0,
    show_default=True,
    metavar="SECONDS",
    help="How long streams may go on after SIGTERM.",
)
@click.option(
    "--compress",
    type=click.Choice(["answers", "streams"]),
    envvar="PHAROS_COMPRESS",
    help="Compress (zstd, gzip) whole answers over 1 KiB, or these and streams, for clients that accept it.",
)
@click.option("--access-log", is_flag=True, help="Log each request (never its content).")
@click.option(
    "--log-level", type=click.Choice(["debug", "info", "warning", "error"]), default="info", show_default=True
)
@pass_session
def up(
    session: Session,
    home: Path,
    host: str,
    port: int,
    admin_port: int | None,
    admin_host: str | None,
    tls_cert: Path | None,
    tls_key: Path | None,
    address_connections: int,
    address_requests: int,
    address_failures: int,
    files: tuple[Path, ...],
    full_sync: bool,
    found_anew: bool,
    drain: float,
    compress: Literal["answers", "streams"] | None,
    access_log: bool,
    log_level: str,
) -> None:
    """Run a city until it is told to stop.

    The first start creates HOME and writes an admin key to HOME/admin.key, readable by you alone; it is never printed.
    SIGTERM and Ctrl-C let calls under way end, then stop with exit code 0. The log on stderr is JSON, line by line.
    With --json, each line on stdout is JSON: the first tells the url when the city is open, the last that it has ended.

    \b
    Examples:
      pharos up
      pharos up --home /var/lib/pharos --host 0.0.0.0 -f manifests/
      pharos up --host 0.0.0.0 --tls-cert chain.pem --tls-key key.pem --admin-port 7701
    """
    from pharos.server.http.gate import Bounds
    from pharos.server.http.tls import TlsFiles
    from pharos.server.serve import Address
    from pharos.server.serve import up as serve
    from pharos.server.terminal import PEOPLE, PROGRAMS

    if (tls_cert is None) != (tls_key is None):
        raise click.UsageError("--tls-cert and --tls-key are given together.")
    if admin_host is not None and admin_port is None:
        raise click.UsageError("--admin-host says where --admin-port listens; give that too.")

    serve(
        home,
        host,
        port,
        _manifests(files),
        admin=None if admin_port is None else Address(admin_host or "127.0.0.1", admin_port),
        tls=TlsFiles(tls_cert, tls_key) if tls_cert and tls_key else None,
        bounds=Bounds(address_connections, address_requests, address_failures),
        full_sync=full_sync,
        found_anew=found_anew,
        drain_seconds=drain,
        access_log=access_log,
        compress=compress,
        log_level=log_level,
        voice=PEOPLE if session.form == "table" else PROGRAMS,
    )


def _manifests(paths: tuple[Path, ...]) -> list[Path]:
    from pharos.server.cli.manifests import files_in

    return [file for path in paths for file in (files_in(path) if path.is_dir() else [path])]


@with_output_options
@click.command()
@click.option("--script", type=_FILE, help="What to answer, as YAML. Without one a built-in script answers.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=9000, show_default=True, help="Port to listen on; 0 takes any."
)
@click.option("--quiet", is_flag=True, help="Print no line per request.")
@pass_session
def simulate(session: Session, script: Path | None, host: str, port: int, quiet: bool) -> int:
    """Serve a scripted model over the wire protocols of OpenAI, Anthropic and Google, until Ctrl-C.

    It is not a model: it answers, delays and fails as the script says, so that what depends on models can be tested.

    \b
    Examples:
      pharos simulate --port 9000
      pharos simulate --script examples/scripts/failures.yaml
    """
    from pharos.release.simulator import run

    if session.form == "json":
        import json

        return run(script, host, port, quiet=quiet, say=lambda line: click.echo(json.dumps({"message": line})))
    return run(script, host, port, quiet=quiet)


@with_output_options
@click.command()
@pass_session
def version(session: Session) -> None:
    """Print the version of this command."""
    if session.form == "table":
        click.echo(f"pharos {__version__}")
        return
    from pharos.server.cli.output import text

    found = {"version": __version__, "python": platform.python_version(), "platform": platform.platform()}
    click.echo(text(found, session.form), nl=False)
