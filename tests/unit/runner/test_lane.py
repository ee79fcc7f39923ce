"""When work that no hint came for means that the consumer is deaf."""

from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from concilium.runner import lane
from concilium.runner.lane import Lane
from concilium.runner.steps import Steps


@dataclass
class Clock:
    """A clock that stands until it is set."""

    s: float = 0.0

    def __call__(self) -> float:
        return self.s


@dataclass
class Work:
    """Steps that are there whenever somebody looks, one a look."""

    alone: bool
    node: str = "home"
    runner: str = "r1"
    ready: list[Any] = field(default_factory=list)

    @property
    def control(self) -> "Work":
        return self

    @property
    def keeper(self) -> "Work":
        return self

    async def claim(self, _: object) -> tuple[Any, ...]:
        found, self.ready = self.ready, []
        return tuple(found)

    def hold(self, lease: Any, _: float) -> Any:
        return lease

    async def carry_out(self, _: object, __: object) -> tuple[Any, ...]:
        return ()


@pytest.mark.parametrize(("alone", "deaf"), [(True, True), (False, False)])
async def test_only_who_serves_an_agent_alone_may_take_itself_for_deaf(
    alone: bool, deaf: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock()
    monkeypatch.setattr(lane, "now", clock)
    work = Work(alone)
    served = Lane("code", 1, cast("Steps", work))
    found = []
    for _ in range(3):
        clock.s += lane.DEAF_S + lane.IDLE_CLAIM_S
        work.ready = [work]
        found.append(await served.look())
    assert found == [False, deaf, deaf]
