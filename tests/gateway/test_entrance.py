"""What clients send and get: credentials, bad bodies, headers forwarded and not, model lists, sizes."""

from __future__ import annotations

import asyncio
import json

import pytest
from tests.gateway.town import Town, chat, document, messages, town
from tests.gateway.upstream import answer, anthropic_answer, upstream

from pharos.control.index import Index
from pharos.gateway.models.plans import Plans
from pharos.store.sqlite.engine import SqliteStore

PATHS = {"openai": "/v1/chat/completions", "anthropic": "/v1/messages"}


async def prepare(city: Town, url: str) -> None:
    await city.provider("acme", url)
    await city.provider("claudette", url, dialect="anthropic", baseUrl=url)
    await city.model("fast", "acme")
    await city.model("wise", {"provider": "claudette", "model": "claude-x"})
    await city.model("secret", "acme")
    await city.key("bot", models=["fast", "wise"])


@pytest.mark.parametrize("client", PATHS)
async def test_strangers_learn_nothing(city: Town, client: str) -> None:
    async with upstream(answer) as provider:
        await prepare(city, provider.url)
        for key in ("", "ph_nonsense", "sk-live-123", "ph_aaaaaaaaaaaaaaaa_bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"):
            reply = await city.ask(key, {"model": "secret"}, PATHS[client])
            assert reply.status == 401
            assert reply.fault["code"] == "UNAUTHENTICATED"
            assert not reply.fault.get("fixes")
            assert b"secret" not in reply.body
        assert await city.called(0) == [], "a stranger's call leaves no trace"


async def test_a_stranger_is_refused_before_its_body_is_read(city: Town) -> None:
    async with city.client("ph_x_y", b"", headers="x") as client:
        await client.head()
        assert client.status == 401


async def test_either_header_carries_the_key(city: Town) -> None:
    async with upstream(answer) as provider:
        await prepare(city, provider.url)
        secret = city.secrets["bot"]
        assert (await city.ask("", chat(), x_api_key=secret)).status == 200
        assert (await city.ask("", messages(), PATHS["anthropic"], authorization=f"bearer {secret}")).status == 200
        await city.key("reader", scopes=["ledger.read"])
        reply = await city.ask("reader", chat())
        assert reply.status == 403
        assert reply.fault["requiredPermission"] == "models.call"


@pytest.mark.parametrize("client", PATHS)
async def test_a_model_one_may_not_use_looks_like_one_that_does_not_exist(city: Town, client: str) -> None:
    async with upstream(answer) as provider:
        await prepare(city, provider.url)
        make = chat if client == "openai" else messages
        replies = [await city.ask("bot", make(name), PATHS[client]) for name in ("secret", "nosuch")]
        for reply in replies:
            assert reply.status == 404
            assert reply.fault["code"] == "MODEL_NOT_FOUND"
            if client == "openai":
                assert reply.json["error"]["code"] == "model_not_found"
            else:
                assert reply.json["error"]["type"] == "not_found_error"
        same = [
            json.dumps(r.json).replace("secret", "nosuch").replace(r.fault["correlation"], "").replace("'", "")
            for r in replies
        ]
        assert same[0] == same[1]


async def test_a_name_that_is_nearly_right_is_met_with_one_the_key_may_use(city: Town) -> None:
    async with upstream(answer) as provider:
        await prepare(city, provider.url)
        fault = (await city.ask("bot", chat("fsat"))).fault
        assert fault["detail"] == "There is no model 'fsat' that this key may use. Did you mean 'fast'?"
        assert fault["facts"]["models"] == ["fast", "wise"]
        fault = (await city.ask("bot", chat("claude-1"))).fault
        assert fault["detail"].endswith("It may use 'fast', 'wise'.")
        fault = (await city.ask("bot", b"", "/v1/models/fsat", "GET")).fault
        assert fault["detail"].endswith("Did you mean 'fast'?")
        await city.key("idle", models=[])
        fault = (await city.ask("idle", chat("fast"))).fault
        assert "It may use none" in fault["detail"]


BAD = {
    "not json": b"{nonsense",
    "empty": b"",
    "not utf-8": b'{"model": "\xff"}',
    "an array": b"[]",
    "deep": b'{"model": "fast", "messages": ' + b"[" * 5000 + b"]" * 5000 + b"}",
    "nan": b'{"model": "fast", "messages": [], "temperature": NaN}',
    "lone surrogate": b'{"model": "\\ud800", "messages": []}',
    "wrong types": b'{"model": 7, "messages": "hi", "stream": "yes", "max_tokens": -1}',
    "no model": b'{"messages": []}',
}


@pytest.mark.parametrize("client", PATHS)
@pytest.mark.parametrize("bad", BAD)
async def test_bad_bodies(city: Town, bad: str, client: str) -> None:
    async with upstream(answer) as provider:
        await prepare(city, provider.url)
        reply = await city.ask("bot", BAD[bad], PATHS[client])
        assert reply.status == 400, reply.body
        assert reply.fault["code"] == "INVALID"
        assert reply.json["error"]["type"] == "invalid_request_error"
        if bad == "wrong types":
            pointers = {problem["pointer"] for problem in reply.fault["problems"]}
            assert {"/model", "/messages", "/stream"} <= pointers, "all of them at once"
        assert provider.requests == []
        assert (await city.ask("bot", chat())).status == 200


async def test_bodies_over_the_limit(tmp_path: object) -> None:
    async with town(tmp_path, max_body=10_000) as city, upstream(answer) as provider:  # type: ignore[arg-type]
        await prepare(city, provider.url)
        reply = await city.ask("bot", chat(user="x" * 20_000))
        assert reply.status == 413
        assert reply.fault["code"] == "TOO_LARGE"
        assert reply.fault["facts"]["limitBytes"] == 10_000
        # Without a length, too.
        reader, writer = await asyncio.open_connection("127.0.0.1", city.port)
        head = f"POST /v1/messages HTTP/1.1\r\nhost: x\r\nx-api-key: {city.secrets['bot']}\r\n"
        writer.write(head.encode() + b"transfer-encoding: chunked\r\n\r\n" + (b"1000\r\n" + b"x" * 4096 + b"\r\n") * 4)
        assert b" 413 " in await asyncio.wait_for(reader.readline(), 30)
        writer.close()


async def test_h47_what_is_forwarded_and_what_never_is(city: Town) -> None:
    sent_by_client = {
        "anthropic_version": "2023-06-01",
        "anthropic_beta": "a-new-thing-2026-11-01",
        "openai_beta": "assistants=v9",
        "cookie": "session=1",
        "x_forwarded_for": "10.0.0.1",
        "proxy_authorization": "Basic x",
        "te": "trailers",
        "openai_organization": "org-of-the-client",
    }
    async with upstream(answer) as provider:
        await prepare(city, provider.url)
        for model, path in (("fast", PATHS["openai"]), ("wise", PATHS["anthropic"])):
            body = chat(model, x_new={"deep": [1.50]}) if model == "fast" else messages(model, x_new={"deep": [1.50]})
            raw = json.dumps(body, indent=3).encode()
            reply = await city.ask("bot", raw, path, **sent_by_client)
            assert reply.status == 200, reply.body
            assert not {"set-cookie", "server-timing", "connection-x"} & reply.headers.keys()
        chat_sent, messages_sent = provider.requests
        assert chat_sent.headers["openai-beta"] == "assistants=v9"
        assert "anthropic-beta" not in chat_sent.headers
        assert messages_sent.headers["anthropic-beta"] == "a-new-thing-2026-11-01"
        assert messages_sent.headers["anthropic-version"] == "2023-06-01"
        for sent in provider.requests:
            assert sent.json["x_new"] == {"deep": [1.5]}
            assert b"[\n         1.5\n" in sent.body, "other bytes stay as they were"
            for never in ("cookie", "x-forwarded-for", "proxy-authorization", "te", "openai-organization"):
                assert never not in sent.headers
            assert city.secrets["bot"] not in str(sent)
        # Between dialects, what has no place is reported.
        crossed = await city.ask("bot", chat("wise", x_new=1, seed=7), PATHS["openai"], openai_beta="x")
        assert crossed.status == 200
        assert "/x_new" in crossed.headers["x-pharos-dropped"]
        assert "/seed" in crossed.headers["x-pharos-dropped"]
        assert "openai-beta" not in provider.requests[-1].headers


@pytest.mark.parametrize("stream", [False, True])
async def test_h46_strict_turns_a_loss_into_a_refusal_that_names_it(city: Town, stream: bool) -> None:
    async with upstream(answer) as provider:
        await prepare(city, provider.url)
        body = chat("wise", stream, seed=7, logit_bias={"1": 2})
        loose = await city.ask("bot", body, x_pharos_strict="off")
        assert loose.status == 200
        assert set(loose.headers["x-pharos-dropped"].split(", ")) == {"/seed", "/logit_bias"}
        refused = await city.ask("bot", body, x_pharos_strict="On")
        assert refused.status == 400
        assert refused.fault["rule"] == "models/strict"
        assert {problem["pointer"] for problem in refused.fault["problems"]} == {"/seed", "/logit_bias"}
        assert refused.json["error"]["param"] in ("seed", "logit_bias")
        assert len(provider.requests) == 1, "nobody was asked"
        assert (await city.ask("bot", body, x_pharos_strict="maybe")).status == 400
        assert (await city.ask("bot", chat("wise", stream), x_pharos_strict="on")).status == 200, "nothing is lost"
        assert (await city.ask("bot", {**body, "model": "fast"}, x_pharos_strict="on")).status == 200, "one dialect"
        called = await city.called(5)
        assert set(called[0]["route"]["dropped"].split(", ")) == {"/seed", "/logit_bias"}
        assert [each["outcome"] for each in called] == ["ok", "error", "error", "ok", "ok"]
        assert not called[1]["attempts"][0]["usage"]


async def test_h46_a_model_may_be_strict_for_all(city: Town) -> None:
    async with upstream(answer) as provider:
        await prepare(city, provider.url)
        await city.model("wise", {"provider": "claudette", "model": "claude-x"}, strict=True)
        refused = await city.ask("bot", chat("wise", seed=7), x_pharos_strict="off")
        assert (refused.status, refused.fault["rule"]) == (400, "models/strict")
        assert (await city.ask("bot", chat("wise"))).status == 200


async def test_a_name_the_client_chose_cannot_become_a_header(city: Town) -> None:
    async with upstream(answer) as provider:
        await prepare(city, provider.url)
        reply = await city.ask("bot", chat("wise", **{"a\r\nset-cookie: b=c\r\n": 1, "ü": 2}))
        assert reply.status == 200
        assert "set-cookie" not in reply.headers
        assert "%0D%0A" in reply.headers["x-pharos-dropped"]


async def test_headers_of_the_provider_stay_inside(city: Town) -> None:
    async def script(exchange: object) -> None:
        await exchange.json(  # type: ignore[attr-defined]
            anthropic_answer(), set_cookie="a=b", x_ratelimit_remaining="3", request_id="upstream-1", server="x"
        )

    async with upstream(script) as provider:  # type: ignore[arg-type]
        await prepare(city, provider.url)
        reply = await city.ask("bot", messages("wise"), PATHS["anthropic"])
        assert reply.status == 200
        assert not {"set-cookie", "x-ratelimit-remaining"} & reply.headers.keys()
        assert reply.headers["request-id"] == reply.headers["x-pharos-call"]


async def test_model_lists(city: Town) -> None:
    async with upstream(answer) as provider:
        await prepare(city, provider.url)
        openai = await city.ask("bot", b"", "/v1/models", "GET")
        assert [m["id"] for m in openai.json["data"]] == ["fast", "wise"]
        assert openai.json["object"] == "list"
        assert openai.json["data"][0]["object"] == "model"
        anthropic = await city.ask("bot", b"", "/v1/models?limit=1", "GET", anthropic_version="2023-06-01")
        assert anthropic.json["data"][0]["type"] == "model"
        assert (anthropic.json["has_more"], anthropic.json["last_id"]) == (True, "fast")
        rest = await city.ask("bot", b"", "/v1/models?after_id=fast", "GET", anthropic_version="2023-06-01")
        assert [m["id"] for m in rest.json["data"]] == ["wise"]
        assert (await city.ask("bot", b"", "/v1/models/fast", "GET")).json["id"] == "fast"
        for hidden in ("secret", "nosuch"):
            assert (await city.ask("bot", b"", f"/v1/models/{hidden}", "GET")).status == 404
        assert (await city.ask("", b"", "/v1/models", "GET")).status == 401
        bad = await city.ask("bot", b"", "/v1/models?limit=x", "GET", anthropic_version="1")
        assert bad.status == 400
        assert bad.json["type"] == "error"


async def test_models_of_another_namespace(city: Town) -> None:
    async with upstream(answer) as provider:
        await city.apply(
            document("Provider", "acme", {"dialect": "openai-chat", "baseUrl": f"{provider.url}/v1"}, namespace="lab"),
            document("Model", "fast", {"targets": [{"provider": "acme", "model": "m"}]}, namespace="lab"),
        )
        await city.key("bot", models=["*", "lab/fast"])
        await city.key("home", models=["*"])
        assert [m["id"] for m in (await city.ask("bot", b"", "/v1/models", "GET")).json["data"]] == ["lab/fast"]
        assert (await city.ask("bot", b"", "/v1/models/lab/fast", "GET")).json["id"] == "lab/fast"
        assert (await city.ask("bot", chat("lab/fast"))).status == 200
        # ``*`` is every model of the key's own namespace.
        assert (await city.ask("home", chat("lab/fast"))).status == 404
        assert (await city.ask("home", b"", "/v1/models", "GET")).json["data"] == []


async def test_a_defect_shows_nothing_of_itself(city: Town, monkeypatch: pytest.MonkeyPatch, caplog: object) -> None:
    async with upstream(answer) as provider:
        await prepare(city, provider.url)

        def broken(*_: object) -> None:
            raise RuntimeError("the prompt was: Say hello.")

        monkeypatch.setattr("pharos.gateway.models.layers.admit.bounds_of", broken)
        reply = await city.ask("bot", chat())
        assert reply.status == 500
        assert reply.fault["code"] == "INTERNAL"
        assert b"Say hello" not in reply.body
        assert "Say hello" not in caplog.text  # type: ignore[attr-defined]
        assert "bounds_of" in caplog.text or "admit.py" in caplog.text  # type: ignore[attr-defined]


async def test_the_callers_session_is_noted(city: Town) -> None:
    async with upstream(answer) as provider:
        await prepare(city, provider.url)
        await city.ask("bot", chat(), x_pharos_session="s-1", traceparent="00-aa-bb-01")
        await city.ask("bot", messages("wise", metadata={"user_id": "user_1_session_9"}), PATHS["anthropic"])
        await city.ask("bot", chat(user="someone"))
        found = [c["conversation"]["id"] for c in await city.called(3)]
        assert found == ["s-1", "user_1_session_9", ""], "an end user is not a conversation"
        events = await city._called()
        assert events[0].event.traceparent == "00-aa-bb-01"
        assert events[0].event.topic == "calls/default/bot"


async def test_h62_many_keys_cost_nothing_while_idle(city: Town) -> None:
    """A thousand keys: none of them is compiled, looked through or remembered until it is used."""
    async with upstream(answer) as provider:
        await prepare(city, provider.url)
        for start in range(0, 1_000, 500):
            await city.apply(*(document("Key", f"idle-{n}", {"models": ["fast"]}) for n in range(start, start + 500)))
        for _ in range(3):
            assert (await city.ask("bot", chat())).status == 200
        (plans,) = [each for each in _reachable(city.plane.services) if isinstance(each, Plans)]
        assert len(plans._keys) == 1


def _reachable(root: object) -> list[object]:
    """What can be reached through attributes, bound methods and closures."""
    seen: dict[int, object] = {}
    waiting = [root]
    while waiting:
        each = waiting.pop()
        if id(each) in seen or isinstance(each, type | Index | SqliteStore):
            continue
        seen[id(each)] = each
        waiting += getattr(each, "__dict__", {}).values()
        waiting += [cell.cell_contents for cell in getattr(each, "__closure__", None) or ()]
        if isinstance(each, tuple):
            waiting += each
        if hasattr(each, "__self__"):
            waiting.append(each.__self__)
    return list(seen.values())
