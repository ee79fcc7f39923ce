"""Which processes make a mesh, and which make a node."""

from datetime import timedelta
from pathlib import Path

import pytest

from concilium.cli import lifecycle
from concilium.cli.errors import CliError
from concilium.cli.processes import mesh_processes, nodes_mark
from concilium.contracts.base import utc_now
from concilium.contracts.errors import Invalid
from concilium.contracts.nodes import Dial, Joined
from concilium.home import Home
from concilium.nodes.authority import Authority
from concilium.nodes.home_end.records import Records

QUEUE = {"CONCILIUM_QUEUE__URL": "redis://127.0.0.1:1", "CONCILIUM_AGENTS__START": "[]"}


def names(home: Home) -> list[str]:
    return [process.name for process in mesh_processes(home)]


def test_a_mesh_that_invited_nobody_has_no_process_for_nodes(tmp_path: Path) -> None:
    assert names(Home(tmp_path, QUEUE)) == ["control", "runner"]


def test_each_enrolled_node_has_a_runner_that_is_told_its_ports_and_goes_with_the_record(tmp_path: Path) -> None:
    home = Home(tmp_path, QUEUE)
    before = nodes_mark(home)
    Authority(home.keys).ensure()
    records = Records(home)
    assert names(home) == ["control", "runner", "link"]
    invited = nodes_mark(home)
    records.write("vps-1", {"code": 40001, "tts": 40002})
    assert names(home) == ["control", "runner", "link", "runner-vps-1"]
    assert mesh_processes(home)[-1].argv[-6:] == (
        "--node", "vps-1", "--agent", "code=http://127.0.0.1:40001", "--agent", "tts=http://127.0.0.1:40002",
    )  # fmt: skip
    assert len({repr(mark) for mark in (before, invited, nodes_mark(home))}) == 3
    records.keep_only(())
    assert nodes_mark(home) == invited


def test_a_node_has_the_agents_it_was_invited_for_and_its_link_and_is_not_started_as_a_mesh(tmp_path: Path) -> None:
    joined = Joined(
        name="vps-1", invitation="inv", until=utc_now() + timedelta(hours=1), dial=Dial.NODE,
        address="home.example.org:8443", agents=("code", "tts"),
    )  # fmt: skip
    (tmp_path / "node.json").write_text(joined.model_dump_json())
    home = Home(tmp_path, {"CONCILIUM_AGENTS__START": "vision", "CONCILIUM_AGENTS__BASE_PORT": "9000"})
    assert names(home) == ["code", "tts", "link"]
    assert [home.agent_port(agent) for agent in joined.agents] == [9000, 9001]
    with pytest.raises(CliError, match="is node 'vps-1'"):
        lifecycle.prepare(home)
    assert not home.keys.exists()


def test_a_record_of_joining_that_makes_no_sense_is_named(tmp_path: Path) -> None:
    (tmp_path / "node.json").write_text('{"name": 1}')
    with pytest.raises(Invalid, match="join again"):
        _ = Home(tmp_path, {}).config
