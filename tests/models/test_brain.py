"""The language planner with a real model behind a real server: a good plan is carried out, a bad one is not."""

import pytest

from concilium.brain import Brain
from concilium.brain.language_planner import LanguagePlanner
from concilium.brain.thoughts import NoValidPlan, PlanFound
from concilium.engine import EngineClient
from support.served_models.code_lessons import ECHO, FLY, small_catalog
from support.served_models.server import ModelServer
from support.story import Story, turn

pytestmark = pytest.mark.timeout(900)
"""The first test of a session waits until the models are there and the server has imported PyTorch."""


SERVER = "code_server"


@pytest.fixture(scope="module")
def brain() -> Brain:
    return Brain(small_catalog(), engine_configured=True)


async def test_a_plan_that_a_model_wrote_is_dispatched(served: ModelServer, brain: Brain) -> None:
    async with EngineClient(served.config()) as engine:
        found = await LanguagePlanner(engine, brain.index).plan(turn(ECHO))
    assert isinstance(found, PlanFound), found
    told = Story(brain, turn(ECHO))
    told.thought("plan", found.model_dump(mode="json"))
    ((order),) = told.dispatched
    assert (order.agent, order.skill, order.input) == ("noop", "noop.echo", {"text": ECHO})


async def test_a_plan_no_agent_can_carry_out_is_refused_and_nothing_is_dispatched(
    served: ModelServer, brain: Brain
) -> None:
    async with EngineClient(served.config()) as engine:
        found = await LanguagePlanner(engine, brain.index).plan(turn(FLY))
    assert isinstance(found, NoValidPlan), found
    assert any("no skill 'noop.fly'" in problem for problem in found.problems)
    told = Story(brain, turn(FLY))
    told.thought("plan", found.model_dump(mode="json"))
    assert not told.dispatched
    assert told.finish is not None
    assert told.finish.state == "rejected"
