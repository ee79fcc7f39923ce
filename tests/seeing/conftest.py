"""A mesh that has done a little of everything, and a real Prometheus that watches it."""

import asyncio
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from concilium.contracts.nodes import Capabilities, Dial, Invitation, Seen
from concilium.contracts.turn import Advance, Turn
from concilium.ledger import Ledger
from support.engine import running_engine
from support.mesh import Mesh
from support.prometheus import Prometheus, ask, prometheus, scraped

CERTIFIED_S = 30 * 86_400
PRICES = """
currency: EUR
nodes: {home: {per_hour: 3.6}}
engines: {engine: {input_per_million: 1000, output_per_million: 2000}}
"""


def step(name: str, skill: str, data: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "skill": skill, "input": data, "after": []}


PLAN = {
    "decision": "plan",
    "question": "",
    "reason": "",
    "steps": [
        step("again", "noop.echo", {"text": "x", "fail_times": 1}),
        step("script", "code.run", {"source": "print(1)", "language": "python"}),
    ],
}


@pytest.fixture(scope="session")
def engine() -> Iterator[str]:
    """The URL of an engine that plans one step that is retried and one script; it runs on a thread of its own."""
    loop, ready, url = asyncio.new_event_loop(), threading.Event(), list[str]()
    over = asyncio.Event()

    async def serve() -> None:
        async with running_engine(PLAN) as running:
            url.append(running.url)
            ready.set()
            await over.wait()

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()))
    thread.start()
    ready.wait()
    yield url[0]
    loop.call_soon_threadsafe(over.set)
    thread.join()
    loop.close()


def _no_advance(_turn: Turn) -> Advance:
    raise AssertionError("nothing is submitted here")


async def _enrol(mesh: Mesh) -> None:
    """Have a rented node in the ledger, as one that has joined and answered."""
    home = mesh.home
    ledger = await Ledger.open(home.ledger_url, home.blobs, _no_advance)
    try:
        wish = Invitation(name="vps", dial=Dial.HOME, address="vps.example:7400", agents=("noop",))
        await ledger.invite_node(wish, "inv_1", 3600.0)
        node = await ledger.enrol_node("vps", "inv_1", "0" * 64, time.time() + CERTIFIED_S)
        await ledger.node_seen(
            node.name, Seen(capabilities=Capabilities(cpus=2, ram_bytes=2**31), fingerprint="a" * 64, skew_s=0.1)
        )
    finally:
        await ledger.close()


@pytest.fixture(scope="session")
def mesh(engine: str) -> Iterator[Mesh]:
    """A started mesh with prices, a budget, a backup and a rented node."""
    settings = {
        "CONCILIUM_ENGINE__URL": engine,
        "CONCILIUM_ENGINE__MODEL": "test-model",
        "CONCILIUM_BUDGETS__MONTH": "1000",
    }
    with Mesh.temporary(agents=("noop", "code"), settings=settings) as running:
        running.root.joinpath("prices.yaml").write_text(PRICES)
        running.home.backups.mkdir(parents=True)
        running.home.last_backup.touch()
        asyncio.run(_enrol(running))
        running.start()
        yield running


@pytest.fixture(scope="session")
def watched(mesh: Mesh, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """A Prometheus that has seen the mesh before and after it worked."""
    key, control = mesh.key("mesh"), mesh.url.removeprefix("http://")
    with prometheus(tmp_path_factory.mktemp("prometheus"), control, key) as server:
        server.soon('up{job="control"} == 1')
        for agent in mesh.agents:
            server.soon(f'up{{agent="{agent}"}} == 1')
        for count in (1, 2):  # a rate takes two looks at a series
            done = ask(mesh)
            assert done["state"] == "completed", done
            server.soon(f'concilium_task_transitions_total{{state="completed"}} == {count}')
            server.soon(f"sum(concilium_sandbox_runs_total) == {count}")
        yield server


@pytest.fixture(scope="session")
def exported(mesh: Mesh, watched: Prometheus) -> dict[str, set[str]]:
    """What is really exported once the mesh has worked: family to the names of its series."""
    assert watched
    found: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(scraped(mesh, mesh.key("mesh"))):
        found.setdefault(family.name, set()).update(sample.name for sample in family.samples)
    return found
