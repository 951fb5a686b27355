"""Whether what lies in a home directory belongs together: the log, the pepper, and the views made from the log.

The first event of a city says who it is: an identity, and a fingerprint of its pepper (an HMAC of a constant under it,
which tells nothing of it). At every start the two are compared, before anything is issued or served: a database that
was removed or exchanged beside a pepper, or a pepper beside a database, would otherwise turn every secret into a wrong
one without a word. The views carry the identity as well; those of another log are folded anew.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Final, Literal

from pharos.core.event import START, Event
from pharos.core.fault import Applicability, Fault, Fix
from pharos.core.ids import uuid7
from pharos.core.principal import SYSTEM
from pharos.store.ports import Append, Store
from pharos.trust.bootstrap import ADMIN_FILE
from pharos.trust.faults import HOME_MIXED
from pharos.trust.secrets import PEPPER_FILE, Pepper, load_pepper

_log = logging.getLogger(__name__)

CITY: Final = "city"
"""Topic of what a city says about itself."""
FOUNDED: Literal["city.founded"] = "city.founded"
FLAG: Final = "--found-anew"


async def founded(home: Path, store: Store, *, anew: bool = False) -> Pepper:
    """The pepper of a home whose parts belong together; in an empty one the city is founded, and the pepper made.

    ``anew``: go on with parts that do not belong together, as the city that the log is. Raises ``HOME_MIXED`` where
    they do not and nobody said so, before anything is written, and ``PEPPER_DAMAGED``.
    """
    record = await _record(store)
    there = (home / PEPPER_FILE).exists()
    if not anew:
        if record is not None and not there:
            raise _mixed("The city's database is here, but its pepper (HOME/pepper) is not.", "pepper", "missing")
        if record is None and there and await store.log.head() == START and _traces(home, store):
            raise _mixed(
                "The pepper of a city is here, but its database (HOME/city.db) is new and empty.", "city.db", "missing"
            )
    pepper = load_pepper(home)
    if record is None or (anew and record["fingerprint"] != pepper.fingerprint()):
        record = {"identity": uuid7(), "fingerprint": pepper.fingerprint()}
        event = Event(topic=CITY, type=FOUNDED, data={**record}, principal=SYSTEM.id)
        await store.commit(Append(event))
        if anew:
            _log.warning("the city is founded anew: secrets that were issued under another pepper are not accepted")
    elif record["fingerprint"] != pepper.fingerprint():
        which = "city.db" if store.views.made_from not in ("", record["identity"]) else "pepper"
        raise _mixed(
            "The pepper (HOME/pepper) is not the one that the city of the database (HOME/city.db) was founded with; "
            f"most likely {which} was exchanged.",
            which,
            "exchanged",
        )
    await store.views.belong(record["identity"])
    return pepper


async def _record(store: Store) -> dict[str, str] | None:
    """What the city last said of itself."""
    found: dict[str, str] | None = None
    for recorded in await store.log.read(CITY, limit=1000):
        if recorded.event.type == FOUNDED:
            found = {name: str(recorded.event.data[name]) for name in ("identity", "fingerprint")}
    return found


def _traces(home: Path, store: Store) -> bool:
    """Whether there was a city. A pepper alone may be left of a first start that was cut before the first event."""
    return bool(store.views.made_from) or (home / ADMIN_FILE).exists()


def _mixed(detail: str, part: str, what: str) -> Fault:
    return HOME_MIXED(
        f"{detail} Secrets that were issued would all be refused.",
        subject=part,
        facts={"part": part, "problem": what},
        fixes=[
            Fix(
                id="restore",
                title=f"Put back the {part} that belongs here, from a backup",
                applicability=Applicability.MANUAL,
            ),
            Fix(
                id="found-anew",
                title=f"Go on with what is here: pharos up {FLAG}, once. Issue the keys anew: earlier secrets are lost",
                applicability=Applicability.MANUAL,
            ),
        ],
    )
