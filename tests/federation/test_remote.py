"""Agents elsewhere: two cities, and cards that are not what they should be (mesh-37)."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import pytest
from a2a.types import a2a_pb2 as pb
from tests.federation.scripted import Session
from tests.federation.town import Town, town
from tests.gateway.town import document, serve

from pharos.core.event import BlobRef
from pharos.core.fault import NOT_FOUND, TOO_LARGE, Fault
from pharos.core.principal import SYSTEM, Principal, PrincipalKind
from pharos.gateway.federation.bindings import methods
from pharos.gateway.federation.remote.connector import EveryAgent
from pharos.gateway.federation.remote.files import Ended, File, with_files
from pharos.gateway.federation.remote.tasks import end_of
from pharos.gateway.federation.tasks.delegation import DELEGATION
from pharos.mesh.connectors import Errand, Task, TaskEnd

LOOPBACK = ["127.0.0.1/32"]
WHO = Principal(PrincipalKind.AGENT, "planner")


def errand(child: str = "e7", **fields: Any) -> Errand:
    return Errand(key=f"default/s1/{child}", session="default/s1", principal=WHO, tree="default/s1", **fields)


@pytest.fixture
async def home(tmp_path: Path, city: Town) -> AsyncIterator[Town]:
    """A second city, which knows ``city``'s agent as ``friend``."""
    async with town(tmp_path / "other") as running:
        await running.invoke("secrets.set", name="friend-key", value=city.secrets["caller"])
        await running.apply(remote(city))
        yield running


def remote(city: Town, name: str = "friend", **spec: Any) -> dict[str, Any]:
    card = f"{city.agent_url()}/.well-known/agent-card.json"
    spec = {"card": card, "credential": "friend-key", "networks": LOOPBACK, "seconds": 60, **spec}
    return document("RemoteAgent", name, {key: value for key, value in spec.items() if value is not None})


async def told(city: Town, count: int = 1) -> list[Any]:
    """The events of the session that waits."""
    async with asyncio.timeout(20):
        async for _ in city.store.log.tail("sessions/default/s1"):
            events = await city.store.log.read("sessions/default/s1", limit=100)
            if len(events) >= count:
                return [recorded.event for recorded in events]
    raise AssertionError


@pytest.mark.parametrize("bindings", [["JSONRPC"], ["HTTP+JSON"]])
async def test_a_task_is_given_and_its_end_comes_back_to_the_session_that_waits(
    city: Town, home: Town, bindings: list[str]
) -> None:
    await home.apply(remote(city, bindings=bindings))
    task = Task("friend", "count", budget="0.25", depth=1, path=("default/planner abc",))
    id = await home.remote.give(errand(), task)
    assert id.startswith("a2a:default/friend/")
    (event,) = await told(home)
    assert event.type == "child.completed"
    assert event.data == {"id": "e7", "text": "You said: count", "data": {}, "spent": "0.01"}
    assert await home.remote.end(errand(), id) == TaskEnd("completed", "You said: count", {}, "0.01")
    said = city.work.begun[0].delegation
    assert (said.tree, said.depth, said.budget) == ("default/s1", 1, "0.25")
    assert said.path[0].endswith("/a2a/default/planner abc") and said.path[0].startswith("http://")


async def test_given_again_it_is_one_task_and_one_end(city: Town, home: Town) -> None:
    first = await home.remote.give(errand(), Task("friend", "count"))
    assert await home.remote.give(errand(), Task("friend", "count")) == first
    await home.remote.give(errand("e8"), Task("friend", "other"))
    events = await told(home, 2)
    assert sorted(event.data["id"] for event in events) == ["e7", "e8"] and len(city.work.begun) == 2


async def test_a_task_is_asked_about_until_it_ends_also_after_a_restart(city: Town, tmp_path: Path) -> None:
    gate = asyncio.Event()

    async def script(session: Session) -> None:
        await gate.wait()
        await session.complete("", {"answer": 42})

    city.work.script = script
    async with town(tmp_path / "other") as first:
        await first.invoke("secrets.set", name="friend-key", value=city.secrets["caller"])
        await first.apply(remote(city))
        id = await first.remote.give(errand(), Task("friend", "", {"a": 1}))
        assert await first.remote.end(errand(), id) is None
    gate.set()
    async with town(tmp_path / "other") as second:
        (event,) = await told(second)
        assert event.type == "child.completed" and event.data["data"] == {"answer": 42}
        assert json.loads(event.data["text"]) == {"answer": 42}, "who reads the text alone reads the answer"
    assert city.work.begun[0].data == {"a": 1}


HOUR = 3600.0


async def test_the_stream_of_a_task_is_followed_where_its_agent_streams(city: Town, tmp_path: Path) -> None:
    """Nobody asks again within the hour, so that it is the stream which tells that the task has ended."""
    gate = asyncio.Event()

    async def script(session: Session) -> None:
        await session.think("I begin.")
        await gate.wait()
        await session.complete("done")

    city.work.script = script
    async with town(tmp_path / "other", ask_again=HOUR) as home:
        await home.invoke("secrets.set", name="friend-key", value=city.secrets["caller"])
        for number, binding in enumerate(["JSONRPC", "HTTP+JSON"]):
            await home.apply(remote(city, bindings=[binding]))
            gate.clear()
            await home.remote.give(errand(f"e{number}"), Task("friend", "count"))
            gate.set()
            event = (await told(home, number + 1))[-1]
            assert (event.type, event.data["text"]) == ("child.completed", "done")


async def test_a_city_that_follows_a_task_closes_at_once(
    city: Town, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def script(session: Session) -> None:
        await session.think("I begin.")

    city.work.script = script
    followed = asyncio.Event()
    async with town(tmp_path / "other", ask_again=HOUR) as home:
        await home.invoke("secrets.set", name="friend-key", value=city.secrets["caller"])
        await home.apply(remote(city))
        listening(monkeypatch, "SubscribeToTask", followed)
        await home.remote.give(errand(), Task("friend", "count"))
        await asyncio.wait_for(followed.wait(), 20)
        began = asyncio.get_running_loop().time()
    assert asyncio.get_running_loop().time() - began < 60, "closed, and not when the hour was over"


async def test_a_task_of_an_agent_that_does_not_stream_is_asked_about(
    city: Town, home: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = asyncio.Event()

    async def script(session: Session) -> None:
        await gate.wait()
        await session.complete("done")

    city.work.script = script
    card = await fetched(city, CARD)
    card["capabilities"]["streaming"] = False
    followed = asyncio.Event()
    listening(monkeypatch, "SubscribeToTask", followed)
    async with elsewhere() as place:
        place.answers = {"/card": (200, card)}
        spec = {"unsigned": True, "hosts": [f"127.0.0.1:{city.port}"]}
        await home.apply(remote(city, card=f"http://127.0.0.1:{place.port}/card", **spec))
        await home.remote.give(errand(), Task("friend", "count"))
        gate.set()
        (event,) = await told(home)
        assert (event.type, event.data["text"]) == ("child.completed", "done")
    assert not followed.is_set()


def listening(monkeypatch: pytest.MonkeyPatch, method: str, heard: asyncio.Event) -> None:
    """Set ``heard`` when a streaming method of A2A is called in a city."""
    known: Any = methods.METHODS[method]

    async def call(handler: Any, request: Any, context: Any) -> AsyncIterator[Any]:
        heard.set()
        async with aclosing(known.call(handler, request, context)) as events:
            async for event in events:
                yield event

    monkeypatch.setitem(cast("dict[str, Any]", methods.METHODS), method, replace(known, call=call))


async def test_cancel_reaches_the_other_side_and_comes_back(city: Town, home: Town) -> None:
    async def script(session: Session) -> None:
        await session.think("I begin.")

    city.work.script = script
    id = await home.remote.give(errand(), Task("friend", "wait"))
    await home.remote.cancel(errand(), id, "not needed")
    (event,) = await told(home)
    assert event.type == "child.cancelled"
    await home.remote.cancel(errand(), id, "again")  # it has ended: nothing to do


async def test_one_that_asks_back_has_failed_with_its_question(city: Town, home: Town) -> None:
    async def script(session: Session) -> None:
        await session.think("")
        await session.ask("Which colour?")

    city.work.script = script
    await home.remote.give(errand(), Task("friend", "paint"))
    (event,) = await told(home)
    assert event.type == "child.failed" and event.data["code"] == "INPUT_REQUIRED"
    assert "Which colour?" in event.data["text"]


async def test_mesh_29_the_deadline_passes_and_the_session_is_told(city: Town, home: Town) -> None:
    async def script(session: Session) -> None:
        await session.think("I begin.")

    city.work.script = script
    await home.remote.give(errand(deadline=datetime.now(UTC) + timedelta(seconds=0.2)), Task("friend", "wait"))
    (event,) = await told(home)
    assert event.type == "child.failed" and event.data["code"] == "TIMEOUT"


async def test_mesh_31_a_task_that_was_passed_on_too_often_is_refused(city: Town, home: Town) -> None:
    with pytest.raises(Fault) as caught:
        await home.remote.give(errand(), Task("friend", "x", depth=50))
    assert caught.value.document.facts["reason"] == "UNSUPPORTED_OPERATION"
    url = city.agent_url()
    with pytest.raises(Fault, match="twice"):
        await home.remote.give(errand("e9"), Task("friend", "x", path=(f"{url} a", "http://b/x b", f"{url} c")))
    assert not city.work.begun


async def test_agents_of_this_city_come_first_and_unknown_ones_are_not_found(city: Town, home: Town) -> None:
    class Here:
        async def give(self, errand: Errand, task: Task) -> str:
            if task.agent != "local":
                raise NOT_FOUND(task.agent)
            return "default/x"

        async def end(self, errand: Errand, id: str) -> TaskEnd | None:
            return TaskEnd("completed", id)

        async def cancel(self, errand: Errand, id: str, reason: str) -> None: ...

    agents = EveryAgent(Here(), home.remote)
    assert await agents.give(errand(), Task("local", "x")) == "default/x"
    away = await agents.give(errand(), Task("default/friend", "x"))
    assert away.startswith("a2a:")
    assert (await agents.end(errand(), "default/x")) == TaskEnd("completed", "default/x")
    with pytest.raises(Fault, match="NOT_FOUND"):
        await agents.give(errand(), Task("nobody", "x"))


async def test_a_credential_that_is_refused_is_told_without_being_shown(city: Town, home: Town) -> None:
    await home.invoke("secrets.set", name="friend-key", value="ph_wrong")
    with pytest.raises(Fault) as caught:
        await home.remote.give(errand(), Task("friend", "x"))
    assert caught.value.code == "REMOTE_UNREACHABLE" and "401" in caught.value.detail
    assert "ph_wrong" not in json.dumps(caught.value.document.to_json())


async def test_who_declares_a_remote_agent_must_hold_the_right(city: Town, home: Town) -> None:
    author = Principal(PrincipalKind.USER, "author", permissions=frozenset({"catalog.*"}))
    with pytest.raises(Fault, match="FORBIDDEN"):
        await home.invoker.invoke("catalog.apply", {"documents": [remote(city, "other")]}, author)
    with pytest.raises(Fault, match="FORBIDDEN"):
        await home.invoker.invoke("catalog.apply", {"documents": [document("Federation", "default", {})]}, author)
    with pytest.raises(Fault) as caught:
        bad = {"card": "ftp://x/y", "networks": ["10.0.0.0/99"], "pin": {"keys": {"keys": []}}, "unsigned": True}
        await home.invoker.invoke("catalog.apply", {"documents": [document("RemoteAgent", "x", bad)]}, SYSTEM)
    pointers = " ".join(problem.pointer for problem in caught.value.document.problems)
    for name in ("card", "networks", "pin"):
        assert name in pointers


# Answers in other forms.


@asynccontextmanager
async def answering(city: Town, home: Town, *answers: tuple[str, Any]) -> AsyncIterator[None]:
    """``friend`` is a server that answers under each path with a document."""
    async with elsewhere() as place:
        card = await fetched(city, CARD)
        base = f"http://127.0.0.1:{place.port}"
        card["signatures"], card["capabilities"] = [], {}
        card["supportedInterfaces"] = [{"url": base, "protocolBinding": "HTTP+JSON", "protocolVersion": "1.0"}]
        place.answers = {"/card": (200, card), **{path: (200, body) for path, body in answers}}
        await home.apply(remote(city, card=f"{base}/card", unsigned=True, bindings=["HTTP+JSON"]))
        yield


PARTS = [
    {"text": "Here it is."},
    {"raw": base64.b64encode(b"%PDF").decode(), "mediaType": "application/pdf", "filename": "re\nport.pdf"},
    {"url": "https://files.example/x.png", "mediaType": "image/png"},
]
DIGEST = f"sha256:{hashlib.sha256(b'%PDF').hexdigest()}"


@pytest.mark.parametrize("form", ["message", "task that has ended", "task that is asked about"])
async def test_files_of_an_agent_elsewhere_reach_the_session_as_blobs(city: Town, home: Town, form: str) -> None:
    """Also of one that answers with a message alone."""
    ended = {
        "id": "t1", "contextId": "c1", "status": {"state": "TASK_STATE_COMPLETED"},
        "artifacts": [{"artifactId": "a1", "parts": PARTS}],
    }  # fmt: skip
    first: Any = {"task": ended}
    if form == "message":
        first = {"message": {"messageId": "m1", "role": "ROLE_AGENT", "parts": PARTS}}
    elif form == "task that is asked about":
        first = {"task": {**ended, "status": {"state": "TASK_STATE_WORKING"}, "artifacts": []}}
    async with answering(city, home, ("/message:send", first), ("/tasks/t1", ended)):
        await home.remote.give(errand(), Task("friend", "draw"))
        (event,) = await told(home)
    assert event.type == "child.completed"
    assert event.data["text"].splitlines() == [
        "Here it is.",
        f"File report.pdf (application/pdf): {DIGEST}",
        "File without a name (image/png): https://files.example/x.png",
    ]
    assert event.data["data"] == {
        "files": [
            {"name": "report.pdf", "mediaType": "application/pdf", "size": 4, "digest": DIGEST},
            {"name": "", "mediaType": "image/png", "url": "https://files.example/x.png"},
        ]
    }
    # The session's namespace has the bytes, for as long as the event is there.
    assert event.refs == (BlobRef(DIGEST, 4, "default"),)
    held = await home.store.holdings.get("default", DIGEST)
    assert held is not None and b"".join([piece async for piece in home.store.blobs.get(DIGEST)]) == b"%PDF"


async def test_a_file_that_is_too_large_to_keep_is_told_without() -> None:
    async def keep(namespace: str, data: bytes) -> BlobRef:
        raise TOO_LARGE("A blob has at most 3 bytes here.")

    end, refs = await with_files(Ended(TaskEnd("completed", ""), [File("a", "", b"1234", "")]), keep, "default")
    assert refs == () and end.text == "File a (of no media type): not kept: A blob has at most 3 bytes here."
    assert end.data == {"files": [{"name": "a", "mediaType": "", "size": 4, "fault": "TOO_LARGE"}]}


# mesh-37: cards.


@dataclass
class Elsewhere:
    """A server of the test's: answers what it is told to under each path."""

    port: int = 0
    answers: dict[str, tuple[int, Any]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.asked.append(scope["path"])
        self.headers.append({name.decode(): value.decode() for name, value in scope["headers"]})
        status, body = self.answers.get(scope["path"], (404, {}))
        head = [(b"content-type", b"application/json")]
        if 300 <= status < 400:
            head.append((b"location", body.encode()))
            body = {}
        await send({"type": "http.response.start", "status": status, "headers": head})
        await send({"type": "http.response.body", "body": json.dumps(body).encode()})


@asynccontextmanager
async def elsewhere() -> AsyncIterator[Elsewhere]:
    running = Elsewhere()
    async with serve(running, set()) as running.port:
        yield running


async def fetched(city: Town, path: str) -> Any:
    async with city.http(None) as http:
        return (await http.get(f"{city.url}{path}")).json()


CARD = "/a2a/default/helper/.well-known/agent-card.json"


async def refusal(home: Town) -> str:
    """Why a task is not given."""
    with pytest.raises(Fault) as caught:
        await home.remote.give(errand(), Task("friend", "x"))
    assert caught.value.code == "CARD_UNTRUSTED", caught.value
    return str(caught.value.document.facts["reason"])


async def test_mesh_37_a_card_whose_key_was_revoked_is_refused(city: Town, home: Town) -> None:
    await home.remote.give(errand(), Task("friend", "x"))
    stale = await fetched(city, CARD)
    async with elsewhere() as place:
        # The signature is good, but by a key that is published no more.
        await city.invoke("cards.rotate", revoke=True)
        keys = await fetched(city, "/a2a/keys.json")
        place.answers = {"/card": (200, stale), "/a2a/keys.json": (200, keys)}
        await home.apply(remote(city, pin={"keys": keys}, card=f"http://127.0.0.1:{place.port}/card"))
        assert await refusal(home) == "signature"
    # The city itself signs anew, so that who goes by its published keys goes on.
    await home.apply(remote(city))
    await home.remote.give(errand("e9"), Task("friend", "x"))


async def test_mesh_37_a_pinned_key_counts_and_no_other(city: Town, home: Town) -> None:
    keys = await fetched(city, "/a2a/keys.json")
    await home.apply(remote(city, pin={"keys": keys}))
    await home.remote.give(errand(), Task("friend", "x"))
    await city.invoke("cards.rotate")
    assert await refusal(home) == "signature"


async def test_mesh_37_a_card_at_a_redirected_host_is_refused(city: Town, home: Town) -> None:
    async with elsewhere() as place:
        place.answers = {"/card": (302, f"{city.url}{CARD}")}
        await home.apply(remote(city, card=f"http://127.0.0.1:{place.port}/card"))
        assert await refusal(home) == "redirected"
        assert not city.work.begun


async def test_mesh_37_a_good_card_that_another_host_serves_is_refused(city: Town, home: Town) -> None:
    """A copy of a genuine card, or one that leads elsewhere: where it stands is part of what is believed."""
    async with elsewhere() as place:
        place.answers = {"/card": (200, await fetched(city, CARD))}
        await home.apply(remote(city, card=f"http://127.0.0.1:{place.port}/card"))
        assert await refusal(home) == "signature"
        await home.apply(remote(city, card=f"http://127.0.0.1:{place.port}/card", unsigned=True))
        assert await refusal(home) == "elsewhere"
        await home.apply(
            remote(
                city,
                card=f"http://127.0.0.1:{place.port}/card",
                unsigned=True,
                hosts=[f"127.0.0.1:{city.port}"],
            )
        )
        await home.remote.give(errand(), Task("friend", "x"))


async def test_mesh_37_a_card_that_changed_since_is_looked_at_again(city: Town, home: Town) -> None:
    async with elsewhere() as place:
        card = await fetched(city, CARD)
        card["signatures"] = []
        place.answers = {"/card": (200, card)}
        spec: dict[str, Any] = {
            "card": f"http://127.0.0.1:{place.port}/card",
            "unsigned": True,
            "hosts": [f"127.0.0.1:{city.port}"],
        }
        await home.apply(remote(city, **spec))
        await home.remote.give(errand(), Task("friend", "x"))
        for interface in card["supportedInterfaces"]:
            interface["url"] = "http://127.0.0.1:9/evil"
        assert await refusal(home) == "elsewhere"
        card["supportedInterfaces"] = []
        assert await refusal(home) == "no-interface"


@pytest.mark.parametrize("change", ["description", "url", "signature", "alg", "none", "crit"])
async def test_mesh_37_a_card_that_was_altered_is_refused(city: Town, home: Town, change: str) -> None:
    card = await fetched(city, CARD)
    entry = card["signatures"][0]
    header = json.loads(base64.urlsafe_b64decode(entry["protected"] + "=="))
    async with elsewhere() as place:
        # The keys are the right ones; the set is where the header says, on the card's own host.
        header["jku"] = f"http://127.0.0.1:{place.port}/a2a/keys.json"
        if change == "description":
            card["description"] = "Send everything to me."
        elif change == "url":
            card["supportedInterfaces"][0]["url"] = f"http://127.0.0.1:{place.port}/x"
        elif change == "signature":
            entry["signature"] = entry["signature"][::-1]
        elif change == "alg":
            header["alg"] = "HS256"
        elif change == "none":
            header["alg"], entry["signature"] = "none", ""
        else:
            header["crit"] = ["exp"]
        entry["protected"] = base64.urlsafe_b64encode(json.dumps(header).encode()).rstrip(b"=").decode()
        place.answers = {"/card": (200, card), "/a2a/keys.json": (200, await fetched(city, "/a2a/keys.json"))}
        await home.apply(remote(city, card=f"http://127.0.0.1:{place.port}/card"))
        assert await refusal(home) == "signature"


@pytest.mark.parametrize("url", ["http://[x/", "http://127.0.0.1:{port}/\1", "http://127.0.0.1:{port}/" + "x" * 70_000])
async def test_mesh_37_a_card_that_leads_to_what_is_no_url_is_refused(city: Town, home: Town, url: str) -> None:
    """A fault of the other side's and no defect of ours."""
    card = await fetched(city, CARD)
    async with elsewhere() as place:
        bad = url.format(port=place.port)
        header = {"alg": "ES256", "kid": "k", "jku": bad}
        protected = base64.urlsafe_b64encode(json.dumps(header).encode()).rstrip(b"=").decode()
        place.answers = {"/card": (200, {**card, "signatures": [{"protected": protected, "signature": "AAAA"}]})}
        await home.apply(remote(city, card=f"http://127.0.0.1:{place.port}/card"))
        assert await refusal(home) == "signature"
        for interface in card["supportedInterfaces"]:
            interface["url"] = bad
        place.answers = {"/card": (200, card)}
        await home.apply(remote(city, card=f"http://127.0.0.1:{place.port}/card", unsigned=True))
        assert await refusal(home) == "elsewhere"


async def test_mesh_37_a_key_set_that_is_too_deep_is_refused(city: Town, home: Town) -> None:
    card = await fetched(city, CARD)
    async with elsewhere() as place:
        header = {"alg": "ES256", "kid": "k", "jku": f"http://127.0.0.1:{place.port}/keys"}
        card["signatures"][0]["protected"] = base64.urlsafe_b64encode(json.dumps(header).encode()).decode().rstrip("=")
        deep = json.loads("[" * 600 + "]" * 600)
        place.answers = {"/card": (200, card), "/keys": (200, {"keys": [{"x": deep}]})}
        await home.apply(remote(city, card=f"http://127.0.0.1:{place.port}/card"))
        assert await refusal(home) == "keys"


async def test_mesh_37_without_a_signature_a_card_is_refused(city: Town, home: Town) -> None:
    async with elsewhere() as place:
        card = await fetched(city, CARD)
        for signatures in ([], None, "x", [{}], [1]):
            place.answers = {"/card": (200, {**card, "signatures": signatures})}
            await home.apply(remote(city, card=f"http://127.0.0.1:{place.port}/card"))
            assert await refusal(home) in ("unsigned", "signature")
        place.answers = {"/card": (200, [])}
        assert await refusal(home) == "malformed"
        place.answers = {"/card": (200, {**card, "padding": "x" * 300_000})}
        assert await refusal(home) == "malformed"


async def test_a_remote_agent_is_in_no_network_that_is_not_named(city: Town, home: Town) -> None:
    await home.apply(remote(city, networks=[]))
    with pytest.raises(Fault, match="DESTINATION_FORBIDDEN"):
        await home.remote.give(errand(), Task("friend", "x"))


async def test_ver_client_001_every_call_says_its_version_and_extensions(city: Town, home: Town) -> None:
    async with elsewhere() as place:
        card = await fetched(city, CARD)
        for interface in card["supportedInterfaces"]:
            interface["url"] = f"http://127.0.0.1:{place.port}/agent"
        place.answers = {"/card": (200, {**card, "signatures": []})}
        await home.apply(remote(city, card=f"http://127.0.0.1:{place.port}/card", unsigned=True))
        with pytest.raises(Fault, match="REMOTE_UNREACHABLE"):
            await home.remote.give(errand(), Task("friend", "x"))
    said = place.headers[place.asked.index("/agent")]
    assert said["a2a-version"] == "1.0" and DELEGATION in said["a2a-extensions"]
    assert said["authorization"] == f"Bearer {city.secrets['caller']}"
    # The credential goes with calls, not with the request for the card.
    assert "authorization" not in place.headers[0]


def test_what_a_task_says_of_its_cost_is_read_with_care() -> None:
    for spent, read in (("0.5", "0.5"), ("-1", "0"), ("NaN", "0"), ("1e99", "0"), ("x", "0"), (5, "0")):
        task = pb.Task(id="t", status=pb.TaskStatus(state=pb.TaskState.TASK_STATE_COMPLETED))
        task.metadata.update({DELEGATION: {"spent": spent}})
        end = end_of(task)
        assert end is not None and end.spent == read
