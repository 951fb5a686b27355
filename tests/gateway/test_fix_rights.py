"""A fix says whether its reader may run it, by the same check that would refuse the call."""

from __future__ import annotations

from pathlib import Path

from tests.gateway.town import town
from tests.gateway.upstream import answer, upstream

from pharos.core.principal import Principal, PrincipalKind


async def test_raising_the_limit_of_a_key_needs_what_changing_a_key_needs(tmp_path: Path) -> None:
    async with town(tmp_path) as city, upstream(answer) as acme:
        await city.provider("acme", acme.url)
        await city.model("fast", "acme")
        await city.price()
        for name, scopes, permitted in (
            ("plain", ["models.call"], "needs_approval"),
            ("raiser", ["models.call", "limits.raise"], "needs_approval"),
            ("owner", ["models.call", "limits.raise", "keys.grant"], "yes"),
        ):
            await city.key(name, scopes=scopes, limits={"requestsPerMinute": 1})
            assert (await city.chat(name)).status == 200
            refused = await city.chat(name)
            assert refused.status == 429
            (fix,) = [fix for fix in refused.json["pharos"]["fixes"] if fix.get("call")]
            assert fix["call"]["operation"] == "limits.raise"
            assert fix["permitted"] == permitted, name
            principal = Principal(PrincipalKind.KEY, name, permissions=frozenset(scopes))
            if permitted == "yes":
                await city.invoke("limits.raise", principal, **fix["call"]["arguments"])
                assert (await city.chat(name)).status == 200
            else:
                assert fix["request"]["operation"] == "approvals.request"
                asked = await city.invoke("approvals.request", principal, **fix["request"]["arguments"])
                assert asked["approval"]["state"] == "pending"
