"""The turn as a fold: what the brain decides from a history, and that it decides the same again."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from concilium.brain import Brain
from concilium.contracts.plan import Plan
from concilium.contracts.states import StepState, TaskState
from support.story import PNG, Story, shipped_catalog, turn

CODE = "\n```python\nprint(42)\n```"
MAIN = "Read this invoice, run this script on its text, read the result aloud" + CODE
ALONE = Brain(shipped_catalog(), engine_configured=False)
TWIN = Brain(shipped_catalog(), engine_configured=False)
HELPED = Brain(shipped_catalog(), engine_configured=True)


def story(text: str = MAIN, *files: object, brain: Brain = ALONE) -> Story:
    return Story(brain, turn(text, files or (PNG,)))  # type: ignore[arg-type]


def two_branches() -> Plan:
    """Two independent chains: read > speak, and run."""
    return Plan.model_validate(
        {
            "steps": [
                {
                    "name": "read",
                    "agent": "vision",
                    "skill": "vision.ocr",
                    "input": {"image": {"$ref": "#/request/files/0"}},
                },
                {
                    "name": "speak",
                    "agent": "tts",
                    "skill": "tts.speak",
                    "input": {"text": {"$ref": "#/steps/read/output/text"}},
                },
                {"name": "run", "agent": "code", "skill": "code.run", "input": {"language": "shell", "source": "true"}},
            ]
        }
    )


def test_the_main_job_goes_step_by_step_with_each_output_handed_on() -> None:
    told = story()
    assert [d.skill for d in told.dispatched] == ["vision.ocr"]
    assert told.dispatched[0].input == {"image": PNG.model_dump(mode="json")}
    told.end("read")
    assert told.dispatched[-1].input == {"language": "python", "source": "print(42)", "stdin": "Total 42"}
    told.end("run")
    assert told.dispatched[-1].input == {"text": "42\n"}
    told.end("speak")
    assert told.finish is not None
    assert told.finish.state == "completed"
    assert told.finish.answer is not None
    assert told.finish.answer.text == "42\naudio: speech.wav (3.2 s)"
    assert told.finish.answer.planner == "skill-router"
    assert told.finish.answer.notes == ("no language model is configured: planned by the skill router",)
    assert [(p.skill, p.node, p.attempt, p.duration_s) for p in told.finish.answer.provenance] == [
        ("vision.ocr", "home", 1, 0.5),
        ("code.run", "home", 1, 0.5),
        ("tts.speak", "home", 1, 0.5),
    ]
    assert told.finish.answer.provenance[-1].artifacts == ("speech.wav",)
    assert len(told.dispatched) == 3


def test_a_russian_request_is_answered_in_russian() -> None:
    told = story("Прочитай картинку вслух")
    told.end("read")
    told.fail("speak", detail="нет голоса")
    assert told.finish is not None
    assert told.finish.answer is not None
    assert "Шаг «speak»" in told.finish.answer.text
    assert "языковая модель не настроена" in told.finish.answer.notes[0]


def test_independent_steps_are_dispatched_together() -> None:
    told = Story(ALONE, turn("x", (PNG,), plan=two_branches()))
    assert {d.step for d in told.decisions[0].dispatch} == {"read", "run"}


def test_nothing_is_decided_while_all_that_can_run_is_running() -> None:
    told = story()
    told.fold()
    assert told.decisions[-1].model_dump(exclude_defaults=True) == {}


def test_a_retryable_failure_is_tried_again_later_until_the_attempts_are_spent() -> None:
    told = story()
    told.fail("read", retryable=True)
    again = told.dispatched[-1]
    assert (again.attempt, again.input) == (2, told.dispatched[0].input)
    assert 0.5 <= again.delay_s < 1.0
    told.fail("read", retryable=True)
    assert told.finish is not None
    assert told.finish.state == "failed"
    assert told.finish.problem is not None
    assert "after 2 attempt(s): it broke" in told.finish.problem.detail


def test_what_depends_on_a_failed_step_is_skipped_and_said_so_while_the_rest_goes_on() -> None:
    told = Story(ALONE, turn("x", (PNG,), plan=two_branches()))
    told.fail("read")
    assert told.finish is None
    told.end("run")
    assert told.finish is not None
    assert told.finish.state == "completed"
    assert told.finish.answer is not None
    text = told.finish.answer.text
    assert text.startswith("42")
    assert "Step 'read' (vision.ocr) failed after 1 attempt(s): it broke" in text
    assert "Step 'speak' (tts.speak) was not run because 'read' failed." in text
    assert set(told.finish.answer.outputs) == {"run"}


def test_an_output_that_does_not_fit_the_next_input_is_refused_not_dispatched() -> None:
    told = story()
    told.end("read", output={"text": 7})
    assert [d.step for d in told.dispatched] == ["read"]
    assert told.finish is not None
    assert told.finish.answer is not None
    assert "7 is not of type 'string'" in told.finish.answer.text


def test_a_missing_output_member_is_refused_not_dispatched() -> None:
    told = story()
    told.end("read", output={})
    assert told.finish is not None
    assert told.finish.answer is not None
    assert "has no 'text'" in told.finish.answer.text


def test_a_file_object_in_an_output_opens_no_file_of_another_task() -> None:
    stolen = {"sha256": "f" * 64, "name": "secret.png", "media_type": "image/png", "size": 1}
    plan = two_branches().model_dump(mode="json")
    plan["steps"][1] = {
        "name": "speak",
        "agent": "vision",
        "skill": "vision.ocr",
        "input": {"image": {"$ref": "#/steps/read/output/text"}},
    }
    told = Story(ALONE, turn("x", (PNG,), plan=Plan.model_validate(plan)))
    told.end("read", output={"text": stolen})
    assert [d.step for d in told.dispatched] == ["read", "run"]


@pytest.mark.parametrize(("text", "word"), [("Read the image", "Which image or document"), ("Переведи это", "Не знаю")])
def test_an_unsure_request_without_an_engine_is_asked_about(text: str, word: str) -> None:
    told = Story(ALONE, turn(text))
    assert told.ask is not None
    assert word in told.ask
    assert not told.dispatched


def test_a_reply_is_read_alone_and_then_behind_the_request() -> None:
    told = story("Hmm")
    assert told.ask
    told.reply("read the text aloud")
    assert [d.skill for d in told.dispatched] == ["vision.ocr"]
    spoken = Story(ALONE, turn("Say it"))
    spoken.reply('"Hello"')
    assert spoken.dispatched[0].input == {"text": "Hello"}


def test_an_unsure_request_with_an_engine_waits_for_its_plan_and_adopts_it() -> None:
    told = story("Do the usual", brain=HELPED)
    assert told.think == "plan"
    told.thought("plan", {"kind": "plan", "plan": two_branches().model_dump(mode="json")})
    assert {d.step for d in told.dispatched} == {"read", "run"}
    assert told.turn.planner == "language"


def test_a_stored_plan_that_no_longer_fits_the_catalog_is_rejected() -> None:
    told = story("Do the usual", brain=HELPED)
    plan = two_branches().model_dump(mode="json")
    plan["steps"][2]["skill"] = "code.gone"
    told.thought("plan", {"kind": "plan", "plan": plan})
    assert not told.dispatched
    assert told.finish is not None
    assert (told.finish.state, told.finish.problem and told.finish.problem.type) == ("rejected", "invalid-plan")


def test_the_engines_question_is_asked_and_the_reply_thought_about_anew() -> None:
    told = story("Do the usual", brain=HELPED)
    told.thought("plan", {"kind": "question", "text": "Which usual?"})
    assert told.ask == "Which usual?"
    told.reply("the big one")
    assert told.think == "plan:1"


def test_a_refusal_rejects_the_task_with_its_reason() -> None:
    told = story("Do the usual", brain=HELPED)
    told.thought("plan", {"kind": "refusal", "reason": "no"})
    assert told.finish is not None
    assert told.finish.problem is not None
    assert told.finish.problem.detail == "The planner declined: no"


def test_an_engine_that_is_away_leaves_the_question_to_the_router_and_the_turn_says_so() -> None:
    told = story("Do the usual", brain=HELPED)
    told.thought("plan", {"kind": "unavailable", "reason": "HTTP 500"})
    assert told.ask
    assert told.turn.notes == ("engine unavailable: planned by the skill router (HTTP 500)",)


def test_a_failed_step_is_reformulated_once() -> None:
    told = story(brain=HELPED)
    told.end("read")
    told.fail("run")
    assert told.think == "reformulate:run"
    told.thought(
        "reformulate:run", {"kind": "input", "after_attempt": 1, "input": {"language": "shell", "source": "wc -w"}}
    )
    assert (told.dispatched[-1].attempt, told.dispatched[-1].input) == (2, {"language": "shell", "source": "wc -w"})
    assert [s.stage for s in told.decisions[-1].stages] == ["reformulate"]
    told.fail("run", retryable=True)
    assert told.think is None
    assert told.finish is not None
    assert told.finish.state == "completed"


def test_a_step_the_engine_gives_up_on_is_reported() -> None:
    told = story(brain=HELPED)
    told.fail("read")
    told.thought("reformulate:read", {"kind": "give-up", "reason": "the image is blank"})
    assert told.finish is not None
    assert told.finish.answer is not None
    assert told.finish.answer.notes == ("step 'read' was not reformulated: the image is blank",)


def test_an_ended_turn_is_left_alone() -> None:
    ended = turn(MAIN, (PNG,), state=TaskState.CANCELED)
    assert ALONE.advance(ended).model_dump(exclude_defaults=True) == {}


@given(st.lists(st.tuples(st.integers(0, 31), st.sampled_from(["done", "fail", "retry", "cancel"])), max_size=30))
def test_any_history_decides_the_same_again_and_makes_no_attempt_twice(ends: list[tuple[int, str]]) -> None:
    told = Story(ALONE, turn("x", (PNG,), plan=two_branches()))
    for number, how in ends:
        if not told.open:
            break
        step = told.open[number % len(told.open)].step
        match how:
            case "done":
                told.end(step)
            case "cancel":
                told.end(step, StepState.CANCELED)
            case _:
                told.fail(step, retryable=how == "retry")
        assert TWIN.advance(told.turn) == ALONE.advance(told.turn)
    made = [(d.step, d.attempt) for d in told.dispatched]
    assert len(made) == len(set(made))
    for dispatched in told.dispatched:
        done = [r for r in told.turn.runs if r.step == dispatched.step and r.state is StepState.COMPLETED]
        assert len(done) <= 1
    assert bool(told.open) != (told.finish is not None)
