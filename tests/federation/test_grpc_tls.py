"""gRPC has TLS where the city has it, and shows a renewed certificate to who connects next."""

from __future__ import annotations

from pathlib import Path

import grpc.aio
import pytest
from a2a.client import ClientConfig, ClientFactory
from a2a.types import a2a_pb2 as pb
from tests.federation.town import Town, _Credential, furnished, send, sent
from tests.server.certificates import Pair, make

from pharos.server.http.tls import Certificates, TlsFiles


async def called(city: Town, trusted: Pair) -> pb.Task:
    """A task over gRPC by a client that trusts this certificate alone."""
    credentials = grpc.ssl_channel_credentials(trusted.certificate.read_bytes())

    def channel(target: str) -> grpc.aio.Channel:
        # A pool shared with an earlier channel would reuse its connection.
        return grpc.aio.secure_channel(target, credentials, options=[("grpc.use_local_subchannel_pool", 1)])

    config = ClientConfig(grpc_channel_factory=channel, supported_protocol_bindings=["GRPC"])
    client = ClientFactory(config).create(await city.card(), [_Credential(city.secrets["caller"])])
    try:
        return await sent(client, send())
    finally:
        await client.close()


async def test_grpc_svc_003_grpc_has_the_tls_of_the_city(tmp_path: Path) -> None:
    pair = make(tmp_path / "tls")
    certificates = Certificates(TlsFiles(pair.certificate, pair.key))
    async with furnished(tmp_path / "home", tls=certificates.pem) as city:
        task = await called(city, pair)
        assert task.status.state == pb.TaskState.TASK_STATE_COMPLETED
        target = next(each.url for each in (await city.card()).supported_interfaces if each.protocol_binding == "GRPC")
        async with grpc.aio.insecure_channel(target) as plain:
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await plain.unary_unary("/lf.a2a.v1.A2AService/GetTask")(b"", timeout=5)
        assert refused.value.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)


async def test_a_renewed_certificate_is_shown_to_the_next_connection(tmp_path: Path) -> None:
    first, second = make(tmp_path / "first"), make(tmp_path / "second")
    present = [first]

    def pem() -> tuple[bytes, bytes]:
        return present[0].key.read_bytes(), present[0].certificate.read_bytes()

    async with furnished(tmp_path / "home", tls=pem) as city:
        assert (await called(city, first)).status.state == pb.TaskState.TASK_STATE_COMPLETED
        present[0] = second
        assert (await called(city, second)).status.state == pb.TaskState.TASK_STATE_COMPLETED
