"""The skill router: measured on labelled requests, and open to agents it has never heard of."""

import importlib.util
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from concilium.brain import Brain
from concilium.brain.admit import Admitted
from concilium.brain.references import walk
from concilium.brain.router import Asked, Routed, SkillRouter
from concilium.brain.schemas import SkillIndex
from concilium.brain.validate import plan_problems
from concilium.contracts.parts import FileRef
from concilium.contracts.skill import AgentManifest, Catalog
from concilium.contracts.task import Request
from support.story import PNG, shipped_catalog, turn

ROOT = Path(__file__).resolve().parents[3]
INDEX = SkillIndex(shipped_catalog())
ROUTER = SkillRouter(INDEX)
BRAIN = Brain(shipped_catalog(), engine_configured=False)
PDF = FileRef(sha256="c" * 64, name="contract.pdf", media_type="application/pdf", size=10)
FILE = {"$ref": "#/$defs/File"}


def benchmark() -> Any:
    spec = importlib.util.spec_from_file_location("router_benchmark", ROOT / "benchmarks" / "router.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


MEASURE = benchmark()
CASES = MEASURE.load()


def ask(text: str, *files: FileRef, router: SkillRouter = ROUTER) -> Routed | Asked:
    return router.route(Admitted(text=text, replies=(), files=files, language="en"))


def only_step(routed: Routed | Asked) -> tuple[str, Any]:
    assert isinstance(routed, Routed), routed
    (step,) = routed.plan.steps
    return step.skill, step.input


@pytest.fixture(scope="module")
def wider() -> SkillRouter:
    """A router over a catalog with two agents that have no rules."""

    def agent(name: str, skill: str, schema: dict[str, Any], *examples: str) -> AgentManifest:
        data = {"name": f"{name}.{skill}", "description": name, "input_schema": schema, "examples": examples}
        return AgentManifest.model_validate(
            {"name": name, "description": name, "skills": [data | {"output_schema": {"type": "object"}}]}
        )

    translate = agent(
        "translate", "text",
        {"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]},
        "translate this text into French", "translate the sentence", "переведи фразу на французский",
    )  # fmt: skip
    document = agent(
        "document", "summarise",
        {"type": "object", "properties": {"document": FILE}, "required": ["document"]},
        "summarise this contract", "summarise the PDF", "give me a summary of the document",
    )  # fmt: skip
    agents = shipped_catalog().agents | {"translate": translate, "document": document}
    return SkillRouter(SkillIndex(Catalog(agents=agents)))


@pytest.mark.parametrize(("split", "floor"), [("dev", 0.97), ("test", 0.95)])
def test_the_router_is_right_on_the_labelled_requests(split: str, floor: float) -> None:
    verdicts = [MEASURE.judge(case, ROUTER)[0] for case in CASES if case["split"] == split]
    assert len(verdicts) >= 100
    assert sum(v in {"exact", "asked-right"} for v in verdicts) / len(verdicts) >= floor
    assert verdicts.count("guessed") == 0


def test_every_routed_plan_of_the_labelled_requests_is_valid() -> None:
    for case in CASES:
        admitted = MEASURE.admitted(case)
        routed = ROUTER.route(admitted)
        if isinstance(routed, Routed):
            assert plan_problems(routed.plan, Request(text=admitted.text, files=admitted.files), INDEX) == []


def test_a_request_takes_milliseconds() -> None:
    texts = [case["text"] for case in CASES]
    begun = time.process_time()
    for text in texts:
        ask(text, PNG)
    assert (time.process_time() - begun) / len(texts) < 0.005


def test_a_text_skill_without_rules_is_routed_from_its_examples(wider: SkillRouter) -> None:
    routed = ask('Translate the sentence "good morning" into French', router=wider)
    assert only_step(routed) == ("translate.text", {"text": "good morning"})
    assert only_step(ask("переведи фразу на французский: доброе утро", router=wider))[1] == {"text": "доброе утро"}


def test_a_file_skill_without_rules_gets_the_file_of_its_kind(wider: SkillRouter) -> None:
    assert only_step(ask("summarise this contract", PNG, PDF, router=wider)) == (
        "document.summarise",
        {"document": {"$ref": "#/request/files/1"}},
    )


def test_a_file_skill_without_its_file_is_asked_about(wider: SkillRouter) -> None:
    assert isinstance(ask("summarise this contract", PNG, router=wider), Asked)


def test_rules_of_skills_that_are_not_in_the_catalog_are_off() -> None:
    agents = {name: agent for name, agent in shipped_catalog().agents.items() if name != "tts"}
    routed = ask("Read this image aloud", PNG, router=SkillRouter(SkillIndex(Catalog(agents=agents))))
    assert isinstance(routed, Asked)


def test_the_question_names_what_the_mesh_can_do_in_the_callers_language() -> None:
    assert "read a text aloud" in (BRAIN.advance(turn("Read the image")).ask or "")
    assert "прочитать текст вслух" in (BRAIN.advance(turn("Прочитай картинку")).ask or "")


def test_a_named_language_reaches_the_reader() -> None:
    assert only_step(ask("Read this English invoice", PNG))[1]["languages"] == ["en"]
    assert only_step(ask("Прочитай русский текст на картинке", PNG))[1]["languages"] == ["ru"]


def test_a_request_too_long_to_be_one_order_is_asked_about() -> None:
    routed = ask("read this image and " * 1000, PNG)
    assert isinstance(routed, Asked)
    assert routed.reason == "too-long"


@settings(deadline=None)
@given(st.text(max_size=300), st.lists(st.sampled_from([PNG, PDF]), max_size=3))
def test_any_text_gets_a_valid_plan_or_a_question(text: str, files: list[FileRef]) -> None:
    decided = BRAIN.advance(turn(text, tuple(files)))
    assert (decided.ask is None) != (decided.plan is None)


_JUMBLE = (
    "read run say aloud this image script text then and result , . : « » ` ``` прочитай запусти озвучь картинку "
    "скрипт вслух его потом результат second first both size"
)
_WORDS = st.sampled_from([*_JUMBLE.split(), "\n"])


@settings(deadline=None)
@given(st.lists(_WORDS, max_size=25), st.lists(st.sampled_from([PNG, PDF]), max_size=3))
def test_any_jumble_of_orders_gets_a_valid_plan_or_a_question(words: list[str], files: list[FileRef]) -> None:
    request = turn(" ".join(words), tuple(files))
    decided = BRAIN.advance(request)
    assert (decided.ask is None) != (decided.plan is None)
    for dispatch in decided.dispatch:
        assert not list(walk(dispatch.input))
