"""Rented machines join a real mesh over real links, work for it, and lose their rights when they are told to."""

import asyncio
import shutil
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from concilium.contracts.nodes import NodeState, split_address
from concilium.nodes.node_end.membership import AUTHORITY
from concilium.nodes.tls import Identity
from concilium.nodes.wire import LinkBroken, dial
from support.rented import Landlord, Rented, kill, landlord, until


@pytest.fixture(scope="module")
def mesh() -> Iterator[Landlord]:
    with landlord(Landlord) as running:
        yield running


@pytest.fixture
def place(mesh: Landlord) -> Iterator[Landlord]:
    """The mesh of this module's tests; whoever joined in a test leaves with it."""
    yield mesh
    mesh.clear()


def identity(folder: Path) -> Identity:
    return Identity(folder, "node", AUTHORITY)


def first_line(address: tuple[str, int], shown: Identity) -> str:
    """Return what home says first to whoever shows a certificate."""

    async def hear() -> str:
        stream = await dial(address, shown)
        try:
            return await stream.hear(60)
        finally:
            stream.abort()

    return asyncio.run(hear())


def secrets_of(home: Path) -> dict[str, str]:
    keys = (path for path in (home / "keys").iterdir() if path.suffix == ".key" and not path.name.startswith("node-"))
    return {path.name: path.read_text().strip() for path in keys}


@pytest.mark.parametrize("dial_from", ["home", "node"])
def test_one_command_makes_a_machine_a_node_that_works_and_a_restart_needs_no_token(
    place: Landlord, dial_from: str
) -> None:
    name, guest = f"{dial_from}-dials", {"home": "Anna", "node": "Boris"}[dial_from]
    machine = place.rent(name, dial_from, labels=["eu"], price_per_hour="0.5")
    place.open(guest)
    done = place.ended(place.submit(guest))
    assert done["state"] == "completed"
    assert done["answer"]["outputs"] == {"ring": {"node": name}}
    (file,) = [part["file"] for part in done["artifacts"][0]["parts"] if "file" in part]
    assert file["size"] == len(name) * 200_000
    node = place.node(name)
    assert node.state is NodeState.ENROLLED
    assert node.capabilities is not None
    assert node.capabilities.cpus >= 1
    assert node.skew_s is not None
    assert abs(node.skew_s) < 60
    assert done["cost"]["unpriced"] == 0
    _holds_nothing_of_home(place, machine)
    machine.stop()
    machine.join()
    place.working(machine)
    again = place.ended(place.submit(guest))
    assert again["state"] == "completed"
    assert {run["node"] for run in place.runs(again["id"])} == {name}


def _holds_nothing_of_home(place: Landlord, machine: Rented) -> None:
    """Neither a file nor the environment of a node's processes holds a secret of home."""
    home = secrets_of(place.mesh.home)
    assert {"admin.key", "runner.key", "mesh.key", "mesh-ca.key", "link.key"} <= set(home)
    texts = [path.read_bytes() for path in machine.root.rglob("*") if path.is_file()]
    for pid_file in (machine.root / "run").glob("*.pid"):
        texts.append(Path(f"/proc/{pid_file.read_text().split()[0]}/environ").read_bytes())
    for name, secret in home.items():
        for line in secret.splitlines():
            if not line.startswith("-----"):
                assert not any(line.encode() in text for text in texts), name
    assert {path.name for path in (machine.root / "keys").iterdir()} == {
        "mesh-authority.pem", "mesh.key", "node.key", "node.pem",
    }  # fmt: skip


def test_a_token_that_was_used_is_refused_in_words_and_the_attempt_is_recorded(place: Landlord) -> None:
    token, _ = place.invite("once", "node")
    first = place.machine("once")
    first.join(token)
    until(lambda: place.node("once").state is NodeState.ENROLLED, "the first has enrolled")
    thief = place.machine("thief")
    thief.join(token)
    said = thief.refused()
    assert "used already" in said
    assert not (thief.root / "node.json").exists()
    node = place.node("once")
    assert (node.refusals, node.state) == (1, NodeState.ENROLLED)
    assert "used already" in node.last_refusal
    garbled = place.machine("garbled")
    garbled.join(token[:100] + ("A" if token[100] != "A" else "B") + token[101:])
    assert garbled.process is not None
    assert garbled.process.wait(60) == 2
    assert "token" in garbled.said
    place.call("DELETE", "/v1/nodes/once")
    first.stop()
    late = place.machine("late")
    late.join(token)
    assert "was revoked" in late.refused()


def test_a_drained_node_ends_its_step_and_claims_nothing(place: Landlord) -> None:
    machine = place.rent("drained")
    task = place.submit("Clara")
    place.under_way(task, machine)
    place.call("POST", "/v1/nodes/drained/drain")
    waiting = place.submit("David")
    place.open("David")
    wish = {"agent": "bell", "node": "drained", "runner": "runner_test"}
    assert place.call("POST", "/runner/v1/claim", wish, key="runner") == {"leases": []}
    place.open("Clara")
    assert place.ended(task)["state"] == "completed"
    assert [run["node"] for run in place.runs(waiting)] == [None]
    place.call("POST", "/v1/nodes/drained/undrain")
    assert place.ended(waiting)["state"] == "completed"


def test_a_revoked_nodes_step_ends_elsewhere_and_its_key_opens_nothing_any_more(
    place: Landlord, tmp_path: Path
) -> None:
    taken = place.rent("taken")
    stolen = identity(tmp_path / "stolen")
    shutil.copytree(taken.root / "keys", stolen.folder)
    task = place.submit("Emma")
    run_id = place.under_way(task, taken)
    other = place.rent("other", "home")
    # While it is enrolled, its certificate is good for nothing but waiting to be asked by home.
    with pytest.raises(LinkBroken):
        first_line(split_address(place.node("other").address), stolen)
    with httpx.Client(base_url=place.url, trust_env=False) as client:
        key = (stolen.folder / "mesh.key").read_text().strip()
        answer = client.post("/runner/v1/claim", json={}, headers={"Authorization": f"Bearer {key}"})
        assert answer.status_code == 401
    place.call("DELETE", "/v1/nodes/taken")
    place.under_way(task, other)
    place.open("Emma")
    done = place.ended(task)
    assert done["answer"]["outputs"] == {"ring": {"node": "other"}}
    assert [run["node"] for run in place.runs(task)] == ["other"]
    assert other.executions(run_id).count("start") == 1
    until(lambda: "runner-taken" not in place.mesh.status(), "its runner is gone")
    before = place.node("taken").refusals
    assert first_line(("127.0.0.1", place.meeting), stolen) == "refused node 'taken' was revoked"
    assert place.node("taken").refusals > before


@pytest.mark.parametrize("dial_from", ["home", "node"])
def test_a_link_killed_at_either_end_in_the_middle_of_a_step_does_not_make_it_run_twice(
    place: Landlord, dial_from: str
) -> None:
    name, guest = f"cut-{dial_from}", {"home": "Hanna", "node": "Ivan"}[dial_from]
    machine = place.rent(name, dial_from)
    task = place.submit(guest)
    run_id = place.under_way(task, machine)
    for root in (place.mesh.home, machine.root):
        old = kill(root, "link")
        pid_file = root / "run" / "link.pid"
        until(lambda old=old, path=pid_file: int(path.read_text().split()[0]) != old, "the link is started again")
    kill(place.mesh.home, f"runner-{name}")
    place.working(machine)
    place.open(guest)
    done = place.ended(task)
    assert done["state"] == "completed"
    assert machine.executions(run_id) == ["start", "end"]


def test_a_step_whose_agent_or_whole_machine_was_killed_is_run_to_its_end(place: Landlord) -> None:
    machine = place.rent("killed")
    first = place.submit("Fedor")
    place.under_way(first, machine)
    machine.kill("bell")
    # As the same attempt when the agent is back within the runner's patience, else as the next.
    until(lambda: machine.executions(first).count("start") == 2, "the agent has begun again")
    place.open("Fedor")
    assert place.ended(first)["state"] == "completed"
    second = place.submit("Greta")
    place.under_way(second, machine)
    assert machine.process is not None
    machine.process.kill()  # the supervisor; what it started goes on
    machine.process.wait()
    place.open("Greta")
    assert place.ended(second)["state"] == "completed"
    machine.join()
    place.working(machine)


def test_a_node_whose_agent_does_not_start_is_given_none_of_its_work_until_it_does(place: Landlord) -> None:
    sick = place.rent("sick")
    skills = sick.root / "agents" / "bell" / "skills.py"
    whole = skills.read_text()
    skills.write_text("this is no Python")
    sick.kill("bell")
    until(lambda: _running("sick", place) == (), "home knows that the agent is down")
    well = place.rent("well")
    place.open("Jakob")
    done = [place.ended(task)["id"] for task in [place.submit("Jakob") for _ in range(6)]]
    assert [[(run["node"], run["attempt"]) for run in place.runs(task)] for task in done] == [[("well", 1)]] * 6
    skills.write_text(whole)
    until(lambda: _running("sick", place) == ("bell",), "home knows that the agent is back")
    well.stop()
    place.call("DELETE", "/v1/nodes/well")
    last = place.ended(place.submit("Jakob"))
    assert last["answer"]["outputs"] == {"ring": {"node": "sick"}}


def _running(name: str, place: Landlord) -> tuple[str, ...] | None:
    has = place.node(name).capabilities
    return None if has is None else has.running
