"""Work that no node may take is refused when it is planned, by the name of the rule."""

import pytest

from concilium.brain import Brain
from concilium.contracts.placement import Placement, Site
from concilium.contracts.task import DataClass
from support.story import PNG, Story, shipped_catalog, turn

CATALOG = shipped_catalog()
HOME = Site("home", True, frozenset({"code", "tts"}))
VPS = Site("vps", False, frozenset({"vision"}))


def told(text: str, data_class: DataClass, *sites: Site) -> Story:
    placed = [Placement((), sites, CATALOG)]
    return Story(
        Brain(CATALOG, engine_configured=False, placement=lambda: placed[0]), turn(text, (PNG,), data_class=data_class)
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("What does this image say?", "no node may run vision.ocr on private data: rule private-stays-home"),
        (
            "Что написано на этой картинке?",
            "ни одному узлу нельзя выполнять vision.ocr на личных данных: правило private-stays-home",
        ),
    ],
)
def test_a_private_task_that_only_a_rented_node_could_do_is_rejected_at_once(text: str, said: str) -> None:
    story = told(text, DataClass.PRIVATE, HOME, VPS)
    assert story.finish is not None
    assert story.finish.problem is not None
    assert (story.finish.state, story.finish.problem.type) == ("rejected", "placement-refused")
    assert story.finish.problem.detail == said
    assert not story.dispatched


@pytest.mark.parametrize("data_class", [DataClass.PUBLIC, DataClass.INTERNAL])
def test_other_data_goes_there(data_class: DataClass) -> None:
    assert [d.skill for d in told("What does this image say?", data_class, HOME, VPS).dispatched] == ["vision.ocr"]


def test_a_step_whose_nodes_are_gone_when_its_turn_comes_fails_by_the_name_of_the_rule() -> None:
    nodes = [Site("box", True, frozenset({"vision"})), Site("vps", False, frozenset({"tts"}))]
    brain = Brain(CATALOG, engine_configured=True, placement=lambda: Placement((), nodes, CATALOG))
    story = Story(brain, turn("Read this image aloud", (PNG,), data_class=DataClass.INTERNAL))
    assert [d.skill for d in story.dispatched] == ["vision.ocr"]
    story.turn = story.turn.model_copy(update={"data_class": DataClass.PRIVATE})
    story.end("read")
    assert story.think is None
    assert story.finish is not None
    (problem,) = [p.problem for p in story.finish.answer.provenance if p.problem] if story.finish.answer else [None]
    assert problem is not None
    assert problem.type == "placement-refused"
