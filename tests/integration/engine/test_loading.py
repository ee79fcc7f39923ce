"""While an engine loads, the mesh says how far it is, and what needs it waits; one that is away is not waited for."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from concilium.brain.language_planner import LanguagePlanner
from concilium.brain.thoughts import EngineDown, Refusal
from concilium.contracts.config import EngineConfig
from concilium.engine import EngineClient, loading
from concilium.engine.loading import Loading, Patient, Watch, keep, percent_of
from concilium.home import Home
from integration.brain.test_language_planner import BRAIN
from support.control_plane import Client, ControlPlane
from support.engine import running_engine
from support.ports import free_port
from support.story import turn

SHARD = "Loading safetensors checkpoint shards:  {share}% Completed | {done}/5 [00:03<00:04,  1.20s/it]"
NO = {"decision": "refuse", "steps": [], "question": "", "reason": "because"}
VLLM = """#!/bin/sh
# Stands for vLLM: says what it logs, one line for each that a test writes into the pipe `gate`.
echo "$VLLM_API_KEY" > key
echo "$@" > arguments
while :; do if read -r said < gate; then echo "$said" >&2; fi; done
"""


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loading, "POLL_S", 0.01)


@contextlib.asynccontextmanager
async def saying(status: int, body: dict[str, str], port: int) -> AsyncIterator[None]:
    """Serve a ``/ready`` that says this."""

    async def ready(_request: web.Request) -> web.Response:
        return web.json_response(body, status=status)

    app = web.Application()
    app.router.add_get("/ready", ready)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", port).start()
        yield
    finally:
        await runner.cleanup()


def config(port: int) -> EngineConfig:
    return EngineConfig(url=f"http://127.0.0.1:{port}/v1", model="test-model", timeout_s=10)


@pytest.mark.parametrize(
    ("line", "percent"),
    [
        (SHARD.format(share=40, done=2), 40),
        ("Loading safetensors checkpoint shards:   0% Completed | 0/1 [00:00<?, ?it/s]", 0),
        ("(Worker pid=7) INFO Loading weights took 0.03 seconds", None),
        ("INFO 127.0.0.1 GET /v1/models 40% Completed", None),
    ],
)
def test_vllms_log_is_read(line: str, percent: int | None) -> None:
    assert percent_of(line) == percent


async def test_an_engine_that_tells_how_far_it_is_is_quoted(tmp_path: Path) -> None:
    port = free_port()
    watch = Watch(config(port), tmp_path / "engine.loading")
    async with saying(503, {"status": "model loading, 40 %"}, port):
        assert await watch.word() == "model loading, 40 %"
        assert await watch.loading()
    assert not await watch.loading()


@pytest.mark.parametrize(
    ("status", "body", "word"),
    [(200, {"status": "ready"}, "ok"), (503, {"status": "<b>model</b>"}, "away"), (503, {"status": "40 %"}, "away")],
)
async def test_nothing_else_of_what_it_says_is_shown(
    tmp_path: Path, status: int, body: dict[str, str], word: str
) -> None:
    port = free_port()
    async with saying(status, body, port):
        assert await Watch(config(port), tmp_path / "none").word() == word


async def test_one_replica_that_answers_is_enough(tmp_path: Path) -> None:
    loads, answers = free_port(), free_port()
    urls = EngineConfig(url=f"{config(loads).url},{config(answers).url}")
    async with saying(503, {"status": "model loading, 40 %"}, loads):
        assert await Watch(urls, tmp_path / "none").word() == "model loading, 40 %"
        async with saying(200, {"status": "ready"}, answers):
            assert await Watch(urls, tmp_path / "none").word() == "ok"


async def test_a_file_of_a_process_that_is_gone_says_nothing(tmp_path: Path) -> None:
    place = tmp_path / "engine.loading"
    watch = Watch(config(free_port()), place)
    await asyncio.to_thread(keep, place, Loading(pid=os.getpid(), percent=60))
    assert await watch.word() == "model loading, 60 %"
    gone = await asyncio.create_subprocess_exec(sys.executable, "-c", "")
    await gone.wait()
    await asyncio.to_thread(keep, place, Loading(pid=gone.pid, percent=60))
    assert not await watch.loading()


async def test_a_thought_waits_for_an_engine_that_loads_and_is_thought_then(tmp_path: Path) -> None:
    port, place = free_port(), tmp_path / "engine.loading"
    keep(place, Loading(pid=os.getpid(), percent=40))
    async with EngineClient(config(port)) as client:
        patient = Patient(client, Watch(config(port), place))
        planner = LanguagePlanner(patient, BRAIN.index)
        thoughts = [asyncio.create_task(planner.plan(turn("plan it"))) for _ in range(4)]
        done, _ = await asyncio.wait(thoughts, timeout=0.5)
        assert not done
        async with running_engine(NO, port=port):
            place.unlink()
            assert [await it for it in thoughts] == [Refusal(reason="because")] * 4


async def test_a_thought_does_not_wait_for_an_engine_that_is_away(tmp_path: Path) -> None:
    port = free_port()
    async with EngineClient(config(port)) as client:
        patient = Patient(client, Watch(config(port), tmp_path / "none"))
        assert isinstance(await LanguagePlanner(patient, BRAIN.index).plan(turn("plan it")), EngineDown)


class TestRun:
    """``concilium engine run`` with a program in vLLM's place, beside a control plane."""

    @pytest.fixture
    def home(self, tmp_path: Path) -> Home:
        home = Home(tmp_path / "home", {})
        home.keys.mkdir(parents=True)
        (home.keys / "engine.key").write_text("the-key\n")
        return home

    @pytest.fixture
    def started(self, tmp_path: Path, home: Home) -> Iterator["subprocess.Popen[bytes]"]:
        (tmp_path / "vllm").write_text(VLLM)
        (tmp_path / "vllm").chmod(0o755)
        os.mkfifo(tmp_path / "gate")
        command = [
            sys.executable,
            "-m",
            "concilium.cli",
            "engine",
            "run",
            "qwen3-24gb",
            "--vllm",
            str(tmp_path / "vllm"),
        ]
        environ = {**os.environ, "CONCILIUM_HOME": str(home.root)}
        process = subprocess.Popen(command, cwd=tmp_path, env=environ, stdout=subprocess.PIPE)
        yield process
        process.kill()
        process.communicate()

    @pytest.fixture
    async def plane(self, home: Home) -> AsyncIterator[ControlPlane]:
        settings = {"CONCILIUM_ENGINE__URL": f"http://127.0.0.1:{free_port()}/v1"}
        running = ControlPlane(home.root, free_port(), settings, module="concilium.gateway")
        await asyncio.to_thread(running.start)
        yield running
        await asyncio.to_thread(running.stop)

    async def test_ready_says_how_far_the_model_is_and_tasks_are_taken_meanwhile(
        self, started: "subprocess.Popen[bytes]", plane: ControlPlane, tmp_path: Path, home: Home
    ) -> None:
        def says(line: str) -> None:
            (tmp_path / "gate").write_text(line + "\n")
            assert started.stdout is not None
            assert started.stdout.readline().decode().strip() == line

        async with aiohttp.ClientSession() as session:
            admin = Client(session, plane, plane.key())

            async def word_is(wanted: str) -> None:
                async with asyncio.timeout(30):
                    while (found := (await admin.call("GET", "/ready")).json)["engine"] != wanted:
                        continue
                assert found["ready"] is True

            await asyncio.to_thread(says, SHARD.format(share=40, done=2))
            await word_is("model loading, 40 %")
            await asyncio.to_thread(says, SHARD.format(share=100, done=5))
            await word_is("model loading, 99 %")
            await asyncio.to_thread(says, "INFO:     Application startup complete.")
            await word_is("away")  # the program does not listen
        assert not home.engine_progress.exists()
        assert (tmp_path / "key").read_text() == "the-key\n"
        assert "the-key" not in (tmp_path / "arguments").read_text()

    def test_what_ends_it_ends_vllm(self, started: "subprocess.Popen[bytes]", tmp_path: Path, home: Home) -> None:
        (tmp_path / "gate").write_text("begun\n")
        assert started.stdout is not None
        assert started.stdout.readline() == b"begun\n"
        started.send_signal(signal.SIGTERM)
        assert started.wait(timeout=60) != 0
        assert not home.engine_progress.exists()
