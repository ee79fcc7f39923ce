"""The document agent as a real process, called over HTTP as the runner calls it."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import psutil
import pytest

from concilium.contracts.a2a import parts
from concilium.contracts.a2a.reader import Final, Progress
from concilium.contracts.states import TaskState
from support.agents import Agent, Peer, lease, make_agent
from support.documents import Pdf, text_page

MINUTES = (Path(__file__).resolve().parents[3] / "examples" / "minutes.pdf").read_bytes()
PROSE = "The quick brown fox jumps over the lazy dog while seven wizards box five quiet monks in the old tower"


@pytest.fixture(scope="module")
def agent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Agent]:
    started = make_agent("document", tmp_path_factory.mktemp("home"))
    started.start()
    yield started
    started.stop()


@pytest.fixture
async def peer() -> AsyncIterator[Peer]:
    async with aiohttp.ClientSession(read_bufsize=48 * 2**20) as session:
        yield Peer(session)


def asked(data: bytes, name: str, **wanted: Any) -> tuple[dict[str, Any], dict[str, bytes]]:
    ref = parts.file_ref(name, "application/octet-stream", data)
    return {"file": ref.model_dump(mode="json"), **wanted}, {ref.sha256: data}


async def extract(peer: Peer, agent: Agent, data: bytes, name: str, **wanted: Any) -> Final:
    value, files = asked(data, name, **wanted)
    step = lease(agent, "document.extract", value, deadline_s=100.0, files=[value["file"]])
    return await peer.run(agent, step, files)


def large_pages() -> bytes:
    """Return pages whose images take a while."""
    pdf = Pdf([text_page(["A large page"]) for _ in range(63)])
    for page in pdf.pages:
        page.extra = b"/MediaBox [0 0 2400 2400]"
    return pdf.bytes()


def cells(agent: Agent) -> list[psutil.Process]:
    """Return the processes that read documents: the children of the server they are forked from."""
    assert agent.process is not None
    found = []
    for server in psutil.Process(agent.process.pid).children():
        found.extend(server.children())
    return found


async def until_reading(agent: Agent) -> psutil.Process:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        if found := cells(agent):
            return found[0]
        await asyncio.sleep(0.01)
    raise AssertionError("no document is being read")


async def test_text_pages_are_read_and_scans_come_back_as_files(agent: Agent, peer: Peer) -> None:
    final = await extract(peer, agent, MINUTES, "minutes.pdf")
    assert final.state is TaskState.COMPLETED, final.problem
    assert "The costs agreed upon stand on the next page." in final.output["text"]
    assert [page["scanned"] for page in final.output["pages"]] == [False, True]
    (scan,) = final.output["scanned"]
    assert scan["name"].startswith("page-0002.")


async def test_a_long_pdf_tells_how_far_it_is_and_stays_small(agent: Agent, peer: Peer) -> None:
    pdf = Pdf([text_page([f"Page {i}, line {j}. {PROSE}" for j in range(25)]) for i in range(1, 501)])
    value, files = asked(pdf.bytes(), "long.pdf")
    step = lease(agent, "document.extract", value, deadline_s=110.0, files=[value["file"]])
    fractions: list[float] = []
    final: Final | None = None
    async for item in peer.stream(agent, step, files):
        if isinstance(item, Progress) and item.fraction is not None:
            fractions.append(item.fraction)
        if isinstance(item, Final):
            final = item
    assert final is not None
    assert final.state is TaskState.COMPLETED, final.problem
    assert len(final.output["pages"]) == 500
    assert final.output["pages"][499]["number"] == 500
    assert len(fractions) > 3
    assert fractions == sorted(fractions)
    assert final.output["usage"]["peak_mib"] < 250
    assert any("cut within page" in note for note in final.output["notes"])
    assert "full_text" in final.output


async def test_a_canceled_run_ends_within_a_second_and_its_process_with_it(agent: Agent, peer: Peer) -> None:
    value, files = asked(large_pages(), "large.pdf", page_images=True)
    step = lease(agent, "document.extract", value, deadline_s=100.0, files=[value["file"]])
    run = asyncio.create_task(peer.run(agent, step, files))
    cell = await until_reading(agent)
    began = time.monotonic()
    assert await peer.cancel(agent, step.run_id) == 200
    final = await run
    assert time.monotonic() - began < 1.0 + float(os.environ.get("CONCILIUM_TEST_SLACK_S", "1"))
    assert final.state is TaskState.CANCELED
    psutil.wait_procs([cell], timeout=5)
    assert not cell.is_running()


async def test_a_parser_that_crashes_fails_its_run_alone(agent: Agent, peer: Peer) -> None:
    value, files = asked(large_pages(), "large.pdf", page_images=True)
    step = lease(agent, "document.extract", value, deadline_s=100.0, files=[value["file"]])
    run = asyncio.create_task(peer.run(agent, step, files))
    cell = await until_reading(agent)
    other = asyncio.create_task(extract(peer, agent, b"beside it", "a.txt"))
    cell.send_signal(signal.SIGSEGV)
    final = await run
    assert final.state is TaskState.FAILED
    assert final.problem is not None
    assert final.problem.type == "document-damaged"
    assert not final.problem.retryable
    assert (await other).output["text"] == "beside it"
    assert (await extract(peer, agent, b"after it", "a.txt")).output["text"] == "after it"


async def test_an_empty_file_is_refused(agent: Agent, peer: Peer) -> None:
    final = await extract(peer, agent, b"", "empty.pdf")
    assert final.state is TaskState.FAILED
    assert final.problem is not None
    assert final.problem.type == "document-empty"
