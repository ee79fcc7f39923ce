"""Run `code.run` on each rung this machine has, and see that a run leaves nothing behind."""

import contextlib
import hashlib
import os
import tempfile
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import psutil
import pytest

from concilium.contracts.skill import FILE_SCHEMA
from concilium.contracts.task import Problem
from concilium.home import read_manifest, shipped
from concilium.workers import code
from concilium.workers.code.sandbox import cgroups
from concilium.workers.runtime.skill import SkillContext, SkillFailed
from support.code_agent import CodeAgent

MANIFEST = read_manifest(shipped("agents") / "code" / "agent.yaml")
RUNGS = ("bubblewrap", "namespaces", "landlock")
HOLDERS = ("cgroup", "supervisor")
probed = cache(code.describe_sandbox)


@dataclass
class Sandboxed:
    """`code.run` held to one rung, with the agent's shipped settings."""

    rung: str
    workdir: Path
    marker: str
    settings: dict[str, Any]

    def call(self, source: str, files: dict[str, bytes] | None = None, **fields: Any) -> Any:
        """Return the coroutine of a run; the marker travels as the last argument."""
        refs = [_ref(name, content) for name, content in (files or {}).items()]
        data = {"source": source, "files": refs, **fields}
        data["args"] = [*fields.get("args", []), self.marker]
        _check(MANIFEST.skills[0].input_schema, data)
        contents = {ref["sha256"]: content for ref, content in zip(refs, (files or {}).values(), strict=True)}
        ctx = SkillContext(run_id="t.s.1", files=contents, settings=self.settings, folder=self.workdir)
        return code.skills["code.run"](ctx, data)

    async def run(
        self, source: str, files: dict[str, bytes] | None = None, **fields: Any
    ) -> tuple[Any, dict[str, bytes]]:
        """Return the output, checked against the schema, and the files."""
        result = await self.call(source, files, **fields)
        _check(MANIFEST.skills[0].output_schema, result.output)
        assert result.output["sandbox"]["rung"] == self.rung
        return result.output, {file.name: file.data for file in result.files}

    async def says(self, source: str, **fields: Any) -> str:
        """Return what a script that must succeed prints."""
        output, _ = await self.run(source, **fields)
        assert output["exit_code"] == 0, output
        return str(output["stdout"]).strip()

    async def fails(self, source: str, **fields: Any) -> Problem:
        """Return the problem of a run that must fail."""
        with pytest.raises(SkillFailed) as failure:
            await self.call(source, **fields)
        return failure.value.problem

    def alive(self) -> list[str]:
        """Return every process of the runs, found by the marker on its command line."""
        found = []
        for process in psutil.process_iter(["cmdline"]):
            if self.marker in (process.info["cmdline"] or []):
                found.append(str(process))
        return found


def _ref(name: str, content: bytes) -> dict[str, Any]:
    digest = hashlib.sha256(content).hexdigest()
    return {"sha256": digest, "name": name, "media_type": "application/octet-stream", "size": len(content)}


def _check(schema: dict[str, Any], data: Any) -> None:
    jsonschema.validate(data, {**schema, "$defs": {"File": FILE_SCHEMA}})


def rung_or_skip(name: str) -> None:
    """Skip the test, saying why, when the rung cannot be had here; a rung that runs but leaks is a failure."""
    report = next(rung for rung in probed().rungs if rung.name == name)
    if not report.holds:
        assert "could be" not in report.reason, report.reason
        pytest.skip(f"{name}: {report.reason}")


@pytest.fixture(scope="session", autouse=True)
def packages_folder() -> Iterator[Path]:
    """Keep the packages of all tests in one folder that everybody may read; inside, /tmp is the sandbox's own."""
    with tempfile.TemporaryDirectory(prefix="concilium-test-packages-", dir="/var/tmp") as folder:
        Path(folder).chmod(0o755)
        MANIFEST.settings["packages_folder"] = folder
        yield Path(folder)


@pytest.fixture
def agent(tmp_path: Path, packages_folder: Path) -> CodeAgent:
    """The agent on the best rung there is."""
    return CodeAgent(tmp_path / "work", {**MANIFEST.settings, "packages_folder": str(packages_folder)})


def _open_descriptors() -> int:
    return psutil.Process().num_fds()


@pytest.fixture(params=RUNGS)
def box(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sandboxed]:
    """Every rung, limits held as this machine allows."""
    with _sandboxed(request.param, tmp_path, monkeypatch, {}) as sandboxed:
        yield sandboxed


@pytest.fixture(params=[(rung, holder) for rung in RUNGS for holder in HOLDERS], ids="-".join)
def held(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sandboxed]:
    """Every rung, limits held by a control group and by the supervisor alone."""
    rung, holder = request.param
    if holder == "cgroup" and not cgroups.find().memory:
        pytest.skip("no control group for memory can be made here")
    with _sandboxed(rung, tmp_path, monkeypatch, {"cgroup": holder == "cgroup"}) as sandboxed:
        yield sandboxed


@contextlib.contextmanager
def _sandboxed(
    rung: str, workdir: Path, monkeypatch: pytest.MonkeyPatch, settings: dict[str, Any]
) -> Iterator[Sandboxed]:
    """Hand out a sandbox and see that nothing is left when it is given back."""
    rung_or_skip(rung)
    mounts = Path("/proc/self/mounts").read_text()
    descriptors = _open_descriptors()
    with tempfile.TemporaryDirectory(prefix="concilium-test-") as temporary:
        Path(temporary).chmod(0o711)
        monkeypatch.setattr(tempfile, "tempdir", temporary)
        sandboxed = Sandboxed(rung, workdir, uuid.uuid4().hex, {**MANIFEST.settings, "rungs": [rung], **settings})
        yield sandboxed
        assert sandboxed.alive() == []
        assert list(Path(temporary).iterdir()) == []
        assert Path("/proc/self/mounts").read_text() == mounts
        assert psutil.Process().children(recursive=True) == []
        assert _open_descriptors() <= descriptors
        assert groups_left() == []


def groups_left() -> list[Path]:
    """Return the control groups of this process's runs that are still there."""
    return [path for folder in cgroups.find().folders for path in folder.glob(f"concilium-run-{os.getpid()}-*")]
