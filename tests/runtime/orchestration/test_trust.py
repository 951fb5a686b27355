"""Trust only takes: whatever is said for an agent, it never has more than without it; and it cannot be made up."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from pharos.core.principal import covers
from pharos.mesh.connectors import EffectClass, Task, Tool
from pharos.mesh.money import nanos_of
from pharos.runtime.orchestration.restraint import RESTRAINTS, lessened, reviewed
from pharos.runtime.orchestration.scores import HALF_LIFE, LEVELS, RATER_MOST, Evidence, Level, score
from pharos.runtime.profiles.kinds import AgentSpec
from pharos.runtime.profiles.profile import Profile, profile_of

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
READS = frozenset({"ledger.read", "sessions.read", "keys.read"})
A, B = "default/a", "default/b"


def _said(good: bool, rater: str = "user/default/ada", agent: str = A, **more: object) -> Evidence:
    return Evidence(agent, "review", good, NOW, rater, **more)  # type: ignore[arg-type]


@st.composite
def evidence(draw: st.DrawFn) -> list[Evidence]:
    found = []
    for _ in range(draw(st.integers(0, 25))):
        by_agent = draw(st.booleans())
        rater = draw(st.sampled_from([A, B, "default/c"] if by_agent else ["user/x/ada", "user/x/bo", "pharos"]))
        at = NOW - timedelta(days=draw(st.integers(0, 200)))
        agent, stake = draw(st.sampled_from([A, B])), draw(st.integers(0, 10**9))
        found.append(Evidence(agent, "review", draw(st.booleans()), at, rater, by_agent, stake))
    return found


@given(evidence(), st.integers(0, 10**9))
def test_no_evidence_gives_an_agent_more_than_it_has_without_any(found: list[Evidence], stake: int) -> None:
    restraint = RESTRAINTS[score(A, found, NOW, stake, found).level]
    held = frozenset({"ledger.*", "keys.issue", "sessions.read"})
    task = lessened(Task(A, "x", permissions=held, budget="1"), restraint, READS)
    assert nanos_of(task.budget or "0") <= nanos_of("1")
    assert all(covers(held, permission) for permission in task.permissions)
    for tool in (_tool("pay", EffectClass.UNSAFE), _tool("look", EffectClass.PURE), _tool("send", EffectClass.UNSAFE)):
        profile = _profile()
        # Asked about before: asked about still.
        assert reviewed(profile, restraint).asks(tool)[0] >= profile.asks(tool)[0]


@given(evidence(), st.integers(0, 10**9))
def test_evidence_against_an_agent_never_raises_its_score(found: list[Evidence], stake: int) -> None:
    before = score(A, found, NOW, stake, found).value
    after = score(A, [*found, Evidence(A, "denial", False, NOW, "pharos")], NOW, stake, found).value
    assert after < before


def _tool(name: str, effect: EffectClass) -> Tool:
    return Tool(name, name, {}, effect)


def _profile() -> Profile:
    rules = [{"tools": ["pay"], "ask": "always", "who": "ada"}, {"tools": ["send"], "ask": "never"}]
    spec = AgentSpec.model_validate({"model": "m", "key": "k", "tools": ["*"], "approvals": rules})
    return profile_of(A, "default/k", "m", "", (), "", spec, {})


def test_without_evidence_everything_is_as_declared() -> None:
    found = score(A, [], NOW)
    assert (found.value, found.level) == (0.5, "normal")
    task = Task(A, "x", permissions=frozenset({"*"}), budget="1")
    assert lessened(task, RESTRAINTS["normal"], READS) == task
    assert reviewed(_profile(), RESTRAINTS["normal"]) == _profile()


def test_what_a_lack_of_trust_takes_grows_with_it() -> None:
    order: list[Level] = ["normal", "watched", "restricted", "barred"]
    for milder, harder in pairwise(order):
        assert RESTRAINTS[milder].budget > RESTRAINTS[harder].budget
        assert RESTRAINTS[milder].reads_only <= RESTRAINTS[harder].reads_only
    assert [level for level, _ in LEVELS] == ["barred", "restricted", "watched"]
    levels = [score(A, [_said(False, f"user/default/u{n}") for n in range(count)], NOW).level for count in range(8)]
    assert levels[0] == "normal" and levels[-1] == "barred"
    assert levels == sorted(levels, key=order.index)


def test_a_restricted_agent_keeps_its_reads_and_is_asked_about_everything() -> None:
    restraint = RESTRAINTS["restricted"]
    task = lessened(Task(A, "x", permissions=frozenset({"*"}), budget="1"), restraint, READS)
    assert task.permissions == READS and task.budget == "0.100000000"
    profile = reviewed(_profile(), restraint)
    assert profile.asks(_tool("look", EffectClass.PURE)) == (True, "")
    assert profile.asks(_tool("pay", EffectClass.UNSAFE)) == (True, "ada")
    assert profile.version != _profile().version
    assert Profile.from_json(profile.to_json()) == profile


def test_bad_evidence_fades_and_good_evidence_outweighs_it() -> None:
    bad = [_said(False, f"user/default/u{n}") for n in range(3)]
    assert score(A, bad, NOW).level != "normal"
    assert score(A, bad, NOW + 4 * HALF_LIFE).level == "normal"
    assert score(A, [*bad, *(_said(True, f"user/default/v{n}") for n in range(3))], NOW).level == "normal"


def test_mesh_35_trust_cannot_be_farmed_with_cheap_tasks() -> None:
    cheap = [_said(True, f"user/default/u{n}", stake=nanos_of("0.001")) for n in range(100)]
    bad = [_said(False, f"user/default/w{n}", stake=nanos_of("5")) for n in range(3)]
    assert score(A, [*cheap, *bad], NOW).level == "normal"
    costly = score(A, [*cheap, *bad], NOW, stake=nanos_of("10"))
    assert costly.level != "normal"
    assert all(one.why == "little was at stake" for one in costly.counted if one.evidence.good)


def test_mesh_35_two_agents_that_praise_each_other_gain_nothing() -> None:
    praise = [_said(True, B, A, by_agent=True)] * 50 + [_said(True, A, B, by_agent=True)] * 50
    bad = [_said(False)] * 2
    assert score(A, [*praise, *bad], NOW, 0, praise).value == score(A, bad, NOW).value
    # Also where people have found the one reliable: its praise for who praises it counts for nothing.
    vouched = [_said(True, f"user/default/u{n}", B) for n in range(5)]
    assert score(A, [*praise, *bad], NOW, 0, [*praise, *vouched]).value == score(A, bad, NOW).value


def test_mesh_35_the_word_of_an_agent_counts_as_far_as_people_rely_on_it() -> None:
    word = [_said(True, B, A, by_agent=True)]
    assert score(A, word, NOW, 0, []).good == 0
    vouched = [_said(True, f"user/default/u{n}", B) for n in range(8)]
    assert 0.5 < score(A, word, NOW, 0, vouched).good < 1
    # A ring of agents that vouch for each other lends no weight to any of them.
    ring = [_said(True, f"default/r{n}", B, by_agent=True) for n in range(20)]
    assert score(A, word, NOW, 0, ring).good == 0


def test_mesh_35_one_rater_alone_decides_nothing() -> None:
    many = [_said(True)] * 40
    assert score(A, many, NOW).good == RATER_MOST
    assert score(A, [_said(False)] * 40, NOW).bad == RATER_MOST
