"""Rented machines on other hosts, over the real link: slow, lossy and cut wires, wrong clocks, stolen keys."""

import shutil
from collections.abc import Iterator

import pytest

from concilium.contracts.nodes import NodeState
from support.hosts import Hosts
from support.hosts.rent import FarLandlord, FarRented
from support.rented import landlord, until

TASKS = 6


@pytest.fixture(scope="module")
def place(hosts: Hosts) -> Iterator[FarLandlord]:
    with landlord(FarLandlord, "0.0.0.0") as running:
        yield running


@pytest.fixture(scope="module")
def lasting(place: FarLandlord, hosts: Hosts) -> FarRented:
    """A machine that outlives each test."""
    return place.rent_far("lasting", hosts.make())


@pytest.fixture
def far(lasting: FarRented) -> Iterator[FarRented]:
    """It, at work, behind a wire that is whole before and after the test."""
    assert lasting.host is not None
    yield lasting
    lasting.host.wire()


@pytest.mark.parametrize(("delay_s", "loss"), [(0.05, 0.0), (0.2, 0.0), (0.0, 0.02)])
def test_over_a_bad_wire_everything_ends_and_nothing_runs_twice(
    place: FarLandlord, far: FarRented, delay_s: float, loss: float
) -> None:
    assert far.host is not None
    far.host.wire(delay_s=delay_s, loss=loss)
    gate = f"bad-{delay_s}-{loss}"
    place.open(gate)
    for task in [place.submit(gate) for _ in range(TASKS)]:
        assert place.ended(task)["state"] == "completed"
        (run,) = place.runs(task)
        assert (run["node"], far.executions(f"{task}.ring.1")) == ("lasting", ["start", "end"])


def test_a_step_whose_link_is_cut_in_its_middle_is_taken_up_again(place: FarLandlord, far: FarRented) -> None:
    assert far.host is not None
    task = place.submit("cut")
    run_id = place.under_way(task, far)
    far.host.wire(cut=True)
    far.host.forget_connections()
    place.open("cut")
    until(lambda: far.executions(run_id) == ["start", "end"], "it has ended, and nobody heard")
    assert place.call("GET", f"/v1/tasks/{task}")["state"] == "working"
    far.host.wire()
    done = place.ended(task)
    assert done["state"] == "completed"
    assert far.executions(run_id) == ["start", "end"]
    assert len(place.runs(task)) == 1


def test_a_node_that_comes_back_after_the_deadline_has_worked_for_nothing(place: FarLandlord, far: FarRented) -> None:
    """Seconds stand for the hour or the day: leases last 4 s, the task 12 s."""
    assert far.host is not None
    made = place.call("POST", "/v1/ask", {"text": "ring the bell for late", "deadline_s": 12})
    task = str(made["id"])
    run_id = place.under_way(task, far)
    far.host.wire(cut=True)
    far.host.forget_connections()
    place.open("late")
    until(lambda: far.executions(run_id) == ["start", "end"], "it has ended, and nobody heard")
    ended = place.ended(task)
    assert ended["state"] == "failed"
    runs = place.runs(task)
    assert {run["node"] for run in runs} <= {"lasting", None}
    assert all(run["problem"] for run in runs)
    far.host.wire()
    place.open("after")
    assert place.ended(place.submit("after"))["state"] == "completed"
    assert place.call("GET", f"/v1/tasks/{task}") == ended
    assert place.runs(task) == runs


def test_a_node_that_vanished_and_was_revoked_finds_its_step_done_elsewhere_and_its_key_worthless(
    place: FarLandlord, far: FarRented, hosts: Hosts
) -> None:
    assert far.host is not None
    gone = place.rent_far("gone", hosts.make())
    assert gone.host is not None
    place.call("POST", "/v1/nodes/lasting/drain")
    task = place.submit("gone")
    run_id = place.under_way(task, gone)
    gone.host.wire(cut=True)
    gone.host.forget_connections()
    place.call("POST", "/v1/nodes/lasting/undrain")
    place.call("DELETE", "/v1/nodes/gone")
    place.under_way(task, far)
    place.open("gone")
    done = place.ended(task)
    assert done["answer"]["outputs"] == {"ring": {"node": "lasting"}}
    until(lambda: gone.executions(run_id) == ["start", "end"], "it has ended there too, and nobody heard")

    before = place.node("gone").refusals
    gone.host.wire()
    until(lambda: place.node("gone").refusals > before, "home has turned it away")
    assert "was revoked" in place.node("gone").last_refusal
    gone.stop()
    assert place.node("gone").state is NodeState.REVOKED
    assert place.call("GET", f"/v1/tasks/{task}") == done


def test_a_stolen_key_opens_nothing_on_another_host_once_the_node_is_revoked(
    place: FarLandlord, far: FarRented, hosts: Hosts
) -> None:
    owner = place.rent_far("owner", hosts.make())
    thief = place.far_machine("thief", hosts.make())
    for name in ("keys", "node.json"):
        source, target = owner.root / name, thief.root / name
        shutil.copytree(source, target) if source.is_dir() else shutil.copy(source, target)
    place.end(owner)
    before = place.node("owner").refusals
    thief.join()
    until(lambda: place.node("owner").refusals > before, "home has turned the thief away")
    assert "was revoked" in place.node("owner").last_refusal
    thief.stop()
    assert place.node("owner").state is NodeState.REVOKED


def test_a_wrong_clock_on_a_node_changes_nothing(place: FarLandlord, far: FarRented, hosts: Hosts) -> None:
    machine = place.rent_far("adrift", hosts.make())
    place.call("POST", "/v1/nodes/lasting/drain")
    for gate, shift in (("ahead", "+400d"), ("behind", "-20d")):
        machine.stop()
        machine.before = ("env", "FAKETIME_DONT_FAKE_MONOTONIC=1", "faketime", "-f", shift)
        machine.join()
        place.working(machine)
        task = place.submit(gate)
        place.open(gate)
        assert place.ended(task)["answer"]["outputs"] == {"ring": {"node": "adrift"}}
        assert abs(place.node("adrift").skew_s or 0.0) > 86_400
    place.call("POST", "/v1/nodes/lasting/undrain")
    place.end(machine)
