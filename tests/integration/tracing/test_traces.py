"""One trace from n8n's execution to the agent's run, in spans that a real receiver of OTLP takes and decodes."""

import json
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

import concilium
from support.engine import ScriptedEngine, running_engine
from support.mesh import Mesh
from support.otlp import Receiver, Seen, receiving
from support.runner import Caller, calling, echo, until

CALLER = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
SECRET = "Ivan's salary is 4,200 euro"
RUN = "run noop.echo"
EXPORTING = ("opentelemetry.exporter", "opentelemetry.sdk.trace", "concilium.tracing.otel")
SERVICES = Path(concilium.__file__).parents[1]
SERVER, CLIENT = 2, 3
"""`Span.SpanKind` of opentelemetry.proto.trace.v1."""


@pytest.fixture(scope="module")
def otlp() -> Iterator[Receiver]:
    with receiving() as receiver:
        yield receiver


@pytest.fixture(scope="module")
def mesh(otlp: Receiver) -> Iterator[Mesh]:
    """A started mesh that is traced, with short leases."""
    settings = {"CONCILIUM_TRACING__OTLP_URL": otlp.url, "CONCILIUM_CALLBACKS__ALLOW": "127.0.0.0/8"}
    with Mesh.temporary(control_module="support.json_fold", lease_ttl_s=2.0, settings=settings) as running:
        running.start()
        yield running


@pytest.fixture
async def caller(mesh: Mesh) -> AsyncIterator[Caller]:
    async with calling(mesh) as found:
        yield found


async def ask(caller: Caller, *steps: dict[str, Any], headers: dict[str, str] | None = None, **members: Any) -> Any:
    """Submit these steps as n8n does; return the task."""
    said = {"X-N8N-Execution-Id": "4711", **(headers or {})}
    body = {"text": json.dumps(list(steps)), **members}
    return await caller.call("POST", "/v1/ask", json=body, headers=said)


async def traced(otlp: Receiver, mesh: Mesh, trace_id: str, *names: str) -> list[Seen]:
    """Return the trace's spans once those of these names have come, as many as a name is given."""
    await until(lambda: Counter(names) <= Counter(span.name for span in otlp.of(trace_id)), mesh)
    return otlp.of(trace_id)


async def started(mesh: Mesh, task_id: str) -> None:
    """Return once the task's one step runs at the agent."""
    await until(lambda: mesh.starts(f"{task_id}.slow.1"), mesh)


def connected(spans: list[Seen], above: str = "") -> Seen:
    """Return the root of spans that hang together, each below one of the others; ``above`` is the caller's span."""
    known = {span.span_id for span in spans}
    assert len(known) == len(spans), "two spans have one id"
    roots = [span for span in spans if span.parent_id == above]
    loose = [span for span in spans if span not in roots and span.parent_id not in known]
    assert not loose, [(span.service, span.name, span.parent_id) for span in loose]
    assert len(roots) == 1
    return roots[0]


def named(spans: list[Seen], name: str) -> list[Seen]:
    return [span for span in spans if span.name == name]


async def test_one_trace_leads_from_the_execution_in_n8n_to_the_run_at_the_agent(
    otlp: Receiver, mesh: Mesh, caller: Caller
) -> None:
    task = await ask(caller, echo("first"), echo("second", after=["first"]))
    done = await caller.ended(task["id"])
    assert done["execution_id"] == "4711"
    wanted = ("POST /v1/ask", "submit", *("queue", "step", "call", RUN) * 2)
    spans = await traced(otlp, mesh, done["trace_id"], *wanted)
    root = connected(spans)
    assert (root.name, root.about["n8n.execution.id"]) == ("POST /v1/ask", "4711")
    assert {(span.service, span.name) for span in spans} == {
        ("concilium-control", "POST /v1/ask"),
        ("concilium-control", "submit"),
        ("concilium-control", "queue"),
        ("concilium-runner", "step"),
        ("concilium-runner", "call"),
        ("concilium-noop", RUN),
    }
    steps = {span.span_id: span for span in named(spans, "step")}
    runs = named(spans, RUN)
    assert sorted(steps[run.parent_id].about["concilium.step"] for run in runs) == ["first", "second"]
    assert {run.kind for run in runs} == {SERVER}
    assert {span.kind for span in named(spans, "call")} == {CLIENT}
    by_step = {span.about["concilium.step"]: span for span in named(spans, "queue")}
    assert by_step["second"].start_s >= steps[runs[0].parent_id].start_s


async def test_a_callers_trace_is_continued(otlp: Receiver, mesh: Mesh, caller: Caller) -> None:
    task = await ask(caller, echo(), headers={"traceparent": CALLER})
    assert task["trace_id"] == CALLER[3:35]
    spans = await traced(otlp, mesh, task["trace_id"], "step", RUN, "POST /v1/ask", "submit", "call")
    assert connected(spans, above=CALLER[36:52]).name == "POST /v1/ask"


async def test_every_attempt_of_a_step_is_a_span_in_its_trace(otlp: Receiver, mesh: Mesh, caller: Caller) -> None:
    task = await ask(caller, echo("again", data={"fail_times": 1}))
    done = await caller.ended(task["id"])
    spans = await traced(otlp, mesh, done["trace_id"], *("queue", "step", "call", RUN) * 2, "POST /v1/ask")
    connected(spans)
    assert [(s.about["concilium.attempt"], s.failed) for s in named(spans, "step")] == [(1, True), (2, False)]
    assert [(s.about["concilium.attempt"], s.failed) for s in named(spans, RUN)] == [(1, True), (2, False)]
    assert named(spans, RUN)[0].about["error.type"] == "told-to-fail"


async def test_a_run_whose_runner_was_killed_stays_in_its_trace(otlp: Receiver, mesh: Mesh, caller: Caller) -> None:
    task = await ask(caller, echo("slow", data={"sleep_s": 3}))
    await started(mesh, task["id"])
    mesh.restart("runner", signal.SIGKILL)
    done = await caller.ended(task["id"])
    assert done["state"] == "completed"
    assert mesh.starts(f"{task['id']}.slow.1") == 1
    spans = await traced(otlp, mesh, done["trace_id"], "queue", "queue", "step", RUN, "POST /v1/ask")
    connected(spans)
    (step,), (run,) = named(spans, "step"), named(spans, RUN)
    assert run.parent_id == step.span_id
    assert step.about["concilium.grants"] == 2
    assert [span.about["concilium.grants"] for span in named(spans, "queue")] == [1, 2]


async def test_a_runner_that_woke_up_too_late_adds_nothing(otlp: Receiver, mesh: Mesh, caller: Caller) -> None:
    task = await ask(caller, echo("slow", data={"sleep_s": 1}))
    await started(mesh, task["id"])
    mesh.kill("runner", signal.SIGSTOP)
    mesh.start("runner-2")
    done = await caller.ended(task["id"])
    mesh.kill("runner", signal.SIGCONT)
    await until(lambda: "lease given up" in mesh.log("runner") or "refused as stale" in mesh.log("runner"), mesh)
    mesh.kill("runner-2", signal.SIGTERM)
    later = await caller.ended((await ask(caller, echo()))["id"])
    await traced(otlp, mesh, later["trace_id"], "step")
    spans = await traced(otlp, mesh, done["trace_id"], "step", RUN, "POST /v1/ask")
    connected(spans)
    assert len(named(spans, "step")) == 1


async def test_the_delivery_of_a_callback_belongs_to_the_trace(otlp: Receiver, mesh: Mesh, caller: Caller) -> None:
    taken: list[str] = []

    async def take(request: web.Request) -> web.Response:
        taken.append(request.headers["traceparent"])
        return web.Response()

    app = web.Application()
    app.router.add_post("/{path:.*}", take)
    server = web.AppRunner(app)
    await server.setup()
    await web.TCPSite(server, "127.0.0.1", 0).start()
    try:
        url = f"http://127.0.0.1:{server.addresses[0][1]}/hook/Ivan"
        task = await ask(caller, echo(), callback_url=url)
        spans = await traced(otlp, mesh, task["trace_id"], "callback", "step", "POST /v1/ask")
    finally:
        await server.cleanup()
    connected(spans)
    (callback,) = named(spans, "callback")
    assert callback.about["concilium.callback"] == "task.completed"
    assert taken == [f"00-{task['trace_id']}-{callback.span_id}-03"]


async def test_nothing_of_the_request_is_in_any_byte_sent(otlp: Receiver, mesh: Mesh, caller: Caller) -> None:
    form = aiohttp.FormData()
    form.add_field(
        "text", json.dumps([echo("a", data={"text": SECRET}), echo("b", data={"text": SECRET, "fail": True})])
    )
    form.add_field("files", SECRET.encode(), filename="salary of Ivan.txt", content_type="text/plain")
    task = await caller.call("POST", "/v1/ask", data=form)
    done = await caller.ended(task["id"])
    await traced(otlp, mesh, done["trace_id"], *("step", "call", RUN) * 2, "POST /v1/ask")
    sent = b"".join(otlp.raw)
    assert task["id"].encode() in sent
    for word in ("Ivan", "salary", "4,200", "asked for a failure", mesh.key()):
        assert word.encode() not in sent


async def test_thoughts_and_the_engine_they_ask_belong_to_the_trace(otlp: Receiver) -> None:
    plan = {"name": "s", "skill": "noop.echo", "input": {"text": "hi"}, "after": []}
    async with running_engine({"decision": "plan", "steps": [plan]}) as engine:
        settings = {
            "CONCILIUM_TRACING__OTLP_URL": otlp.url,
            "CONCILIUM_ENGINE__URL": engine.url,
            "CONCILIUM_ENGINE__MODEL": "test-model",
        }
        with Mesh.temporary(settings=settings) as mesh:
            mesh.start()
            async with calling(mesh) as caller:
                spans, done = await _thought(otlp, mesh, caller, engine)
    connected(spans)
    assert done["state"] == "completed"
    (think,) = named(spans, "think")
    (asked,) = named(spans, "engine")
    assert (asked.parent_id, asked.kind) == (think.span_id, CLIENT)
    assert think.about["concilium.outcome"] == "plan"
    assert SECRET.encode() not in b"".join(otlp.raw)


async def _thought(otlp: Receiver, mesh: Mesh, caller: Caller, engine: ScriptedEngine) -> tuple[list[Seen], Any]:
    task = await caller.call("POST", "/v1/ask", json={"text": f"qqq {SECRET}"})
    done = await caller.ended(task["id"])
    assert engine.seen
    return await traced(otlp, mesh, done["trace_id"], "think", "engine", "step", "POST /v1/ask"), done


async def test_a_receiver_that_is_away_is_said_once_and_disturbs_nothing(
    otlp: Receiver, mesh: Mesh, caller: Caller
) -> None:
    otlp.status = 400
    for _ in range(3):
        seen = otlp.asked
        done = await caller.ended((await ask(caller, echo()))["id"])
        assert done["state"] == "completed"
        await until(lambda seen=seen: otlp.asked > seen, mesh)  # type: ignore[misc]
    await until(lambda: "traces are not taken" in mesh.log("control"), mesh)
    assert mesh.log("control").count("traces are not taken") == 1
    otlp.status = 200
    done = await caller.ended((await ask(caller, echo()))["id"])
    await traced(otlp, mesh, done["trace_id"], "POST /v1/ask")
    await until(lambda: "traces are taken again" in mesh.log("control"), mesh)


async def test_only_the_wanted_part_of_the_traces_is_sent(otlp: Receiver) -> None:
    settings = {"CONCILIUM_TRACING__OTLP_URL": otlp.url, "CONCILIUM_TRACING__SAMPLE": "0"}
    with Mesh.temporary(control_module="support.json_fold", settings=settings) as mesh:
        mesh.start()
        async with calling(mesh) as caller:
            unseen = await caller.ended((await ask(caller, echo()))["id"])
            wanted = await caller.ended((await ask(caller, echo(), headers={"traceparent": CALLER}))["id"])
            connected(await traced(otlp, mesh, wanted["trace_id"], "step", "call", "POST /v1/ask"), above=CALLER[36:52])
    assert not otlp.of(unseen["trace_id"])


@pytest.mark.parametrize("room", ["gateway", "runner", "workers"])
def test_a_process_that_is_not_traced_does_not_even_load_the_exporter(room: str) -> None:
    code = f"import sys, concilium.{room}.__main__; print([m for m in sys.modules if m.startswith({EXPORTING})])"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=SERVICES)
    assert loaded.stdout.strip() == "[]"
