"""The vision, code and tts agents as real processes, called over HTTP as the runner calls them."""

import io
import re
import wave
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from concilium.contracts.a2a import parts
from concilium.contracts.a2a.reader import Final
from concilium.contracts.states import TaskState
from support.agents import Agent, Peer, lease, make_agent

ROOT = Path(__file__).resolve().parents[3]
INVOICE = (ROOT / "examples" / "invoice.png").read_bytes()
SCRIPT = (ROOT / "examples" / "total.py").read_text()

LONGEST_EVENT = 48 * 2**20
"""Twelve minutes of speech in base64."""


@pytest.fixture(scope="module")
def agents(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Agent]]:
    home = tmp_path_factory.mktemp("home")
    with ExitStack() as stack:
        started = {name: make_agent(name, home) for name in ("vision", "code", "tts")}
        for agent in started.values():
            stack.callback(agent.stop)
            agent.start()
        yield started


@pytest.fixture
async def peer() -> AsyncIterator[Peer]:
    async with aiohttp.ClientSession(read_bufsize=LONGEST_EVENT) as session:
        yield Peer(session)


def invoice(media_type: str = "image/png", data: bytes = INVOICE) -> tuple[dict[str, Any], dict[str, bytes]]:
    ref = parts.file_ref("invoice.png", media_type, data)
    return {"image": ref.model_dump(mode="json")}, {ref.sha256: data}


async def call(
    peer: Peer, agent: Agent, skill: str, data: dict[str, Any], files: dict[str, bytes] | None = None
) -> Final:
    step = lease(agent, skill, data, deadline_s=60.0, files=[data["image"]] if files else [])
    return await peer.run(agent, step, files)


async def test_the_invoice_is_read_summed_and_spoken(agents: dict[str, Agent], peer: Peer) -> None:
    read = await call(peer, agents["vision"], "vision.ocr", *invoice())
    assert read.state is TaskState.COMPLETED, read.problem
    assert "6,795.12" in read.output["text"]

    ran = await call(peer, agents["code"], "code.run", {"source": SCRIPT, "stdin": read.output["text"]})
    assert ran.state is TaskState.COMPLETED, ran.problem
    said = ran.output["stdout"]
    assert "The items add up to 5662.60 pounds." in said
    assert "The stated total of 6795.12 pounds is correct." in said

    spoken = await call(peer, agents["tts"], "tts.speak", {"text": said})
    assert spoken.state is TaskState.COMPLETED, spoken.problem
    ((ref, data),) = spoken.files
    assert (ref.name, ref.media_type) == ("speech.wav", "audio/wav")
    with wave.open(io.BytesIO(data)) as sound:
        assert 8 < sound.getnframes() / sound.getframerate() < 60


async def test_an_image_is_inspected(agents: dict[str, Agent], peer: Peer) -> None:
    found = await call(peer, agents["vision"], "vision.inspect", *invoice())
    assert found.state is TaskState.COMPLETED, found.problem
    assert (found.output["format"], found.output["width"], found.output["bytes"]) == ("PNG", 1240, len(INVOICE))


@pytest.mark.parametrize("skill", ["vision.ocr", "vision.inspect"])
async def test_what_is_no_image_fails_clearly(agents: dict[str, Agent], peer: Peer, skill: str) -> None:
    ended = await call(peer, agents["vision"], skill, *invoice(data=b"not a picture"))
    assert ended.problem is not None
    assert (ended.state, ended.problem.type, ended.problem.retryable) == (TaskState.FAILED, "not-an-image", False)


async def test_without_an_engine_the_agent_refuses_to_describe_and_says_what_to_set(
    agents: dict[str, Agent], peer: Peer
) -> None:
    ended = await call(peer, agents["vision"], "vision.describe", *invoice())
    assert ended.problem is not None
    assert (ended.problem.type, ended.problem.retryable) == ("no-engine", False)
    assert "vision_engine.url" in ended.problem.detail


async def test_speech_is_told_sentence_by_sentence(agents: dict[str, Agent], peer: Peer) -> None:
    text = " ".join(f"This is sentence number {number}." for number in range(200))
    step = lease(agents["tts"], "tts.speak", {"text": text}, deadline_s=60.0)
    told = [item async for item in peer.stream(agents["tts"], step)]
    ended = told[-1]
    assert isinstance(ended, Final)
    assert ended.state is TaskState.COMPLETED, ended.problem
    assert any(re.search(r"sentence \d+ of \d+", str(item)) for item in told[:-1])
