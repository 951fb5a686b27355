"""A2A over TLS: a city's own, and that of agents elsewhere."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
from a2a.client import ClientConfig, ClientFactory
from a2a.client.card_resolver import A2ACardResolver
from a2a.types import a2a_pb2 as pb
from tests.federation.town import Town, send, sent, town
from tests.gateway.town import document, serve
from tests.server.certificates import Pair, make

from pharos.core.fault import Fault
from pharos.core.principal import Principal, PrincipalKind
from pharos.gateway.models.dialects.registry import refused_at
from pharos.mesh.connectors import Errand, Task
from pharos.server.http.app import App
from pharos.server.http.tls import Certificates, TlsFiles


@asynccontextmanager
async def over_tls(city: Town, pair: Pair) -> AsyncIterator[str]:
    """The city under https as well, as ``pharos up --tls-cert`` has it; its URL."""
    context = Certificates(TlsFiles(pair.certificate, pair.key)).context
    app = App(city.plane.routes, refused_at)
    async with serve(app, set(), tls=context) as port:
        yield f"https://127.0.0.1:{port}"


@pytest.mark.parametrize("binding", ["JSONRPC", "HTTP+JSON"])
async def test_auth_tls_001_002_a_city_with_a_certificate_is_called_over_tls_1_3(
    tmp_path: Path, city: Town, binding: str
) -> None:
    pair = make(tmp_path / "tls")
    headers = {"authorization": f"Bearer {city.secrets['caller']}"}
    async with (
        over_tls(city, pair) as url,
        httpx.AsyncClient(verify=pair.trusting(), headers=headers, timeout=20, trust_env=False) as http,
    ):
        card = await A2ACardResolver(http, f"{url}/a2a/default/helper").get_agent_card()
        assert [each.url for each in card.supported_interfaces[:2]] == [f"{url}/a2a/default/helper"] * 2
        config = ClientConfig(httpx_client=http, supported_protocol_bindings=[binding])
        task = await sent(ClientFactory(config).create(card), send())
        assert task.status.state == pb.TaskState.TASK_STATE_COMPLETED

        _, writer = await asyncio.open_connection("127.0.0.1", httpx.URL(url).port, ssl=pair.trusting())
        assert writer.get_extra_info("ssl_object").version() == "TLSv1.3"
        writer.close()
        await writer.wait_closed()


async def test_auth_server_001_nothing_is_sent_to_an_agent_whose_certificate_nobody_vouches_for(
    tmp_path: Path, city: Town
) -> None:
    errand = Errand("default/s1/e7", "default/s1", Principal(PrincipalKind.AGENT, "planner"), tree="default/s1")
    async with over_tls(city, make(tmp_path / "tls")) as url, town(tmp_path / "other") as home:
        await home.invoke("secrets.set", name="friend-key", value=city.secrets["caller"])
        card = f"{url}/a2a/default/helper/.well-known/agent-card.json"
        spec = {"card": card, "credential": "friend-key", "networks": ["127.0.0.1/32"]}
        await home.apply(document("RemoteAgent", "friend", spec))
        with pytest.raises(Fault, match="REMOTE_UNREACHABLE") as caught:
            await home.remote.give(errand, Task("friend", "count"))
        assert "CERTIFICATE_VERIFY_FAILED" in repr(caught.value.__context__)
        assert not city.work.begun
