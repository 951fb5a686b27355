"""When a schedule is due: cron expressions in a time zone, as Debian's cron reads them (crontab(5)).

Over daylight saving: a job at an hour that is left out runs as soon as the clock has passed it, once; a job at an hour
that comes twice runs the first time only; jobs that run at every minute or hour go by the time that passes.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from functools import lru_cache
from itertools import islice
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError


@lru_cache(maxsize=256)
def zone_of(name: str) -> ZoneInfo:
    """A time zone by its IANA name. Raises ``ValueError``."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, OSError, ValueError) as error:
        raise ValueError(f"there is no time zone {name!r}; give an IANA name such as Europe/Berlin") from error


def check_cron(expression: str, zone: str) -> str | None:
    """What is wrong with an expression; ``None`` if nothing is."""
    try:
        next(_times(expression, zone, datetime.now(UTC)))
    except ValueError as error:
        return f"{error}; five fields: minute hour day-of-month month day-of-week"
    except StopIteration:
        return "it is never due"
    return None


def next_after(expression: str, zone: str, after: datetime) -> datetime | None:
    """The first time later than ``after``, in UTC; ``None`` where there is none within fifty years."""
    return next(_times(expression, zone, after), None)


def times_after(expression: str, zone: str, after: datetime, limit: int) -> list[datetime]:
    """The first times later than ``after``, in UTC."""
    return list(islice(_times(expression, zone, after), limit))


def _times(expression: str, zone: str, after: datetime) -> Iterator[datetime]:
    """Raises ``ValueError`` for an expression or a zone that is none. After the end of the calendar there is none."""
    try:
        last = after.astimezone(UTC)
        times = CronSim(expression, after.astimezone(zone_of(zone)))
    except CronSimError as error:
        raise ValueError(str(error) or "not a cron expression") from error
    except OverflowError:
        return
    while True:
        try:
            due = next(times).astimezone(UTC)
        except (StopIteration, OverflowError):
            return
        # Two times of the wall clock may be one moment, where an hour is left out.
        if due > last:
            last = due
            yield due
