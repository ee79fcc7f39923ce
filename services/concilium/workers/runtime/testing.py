"""For an agent's own tests: run a skill in this process, checked as the service checks it.

def test_it_counts_words() -> None:
    assert run_skill(AGENT, "words.count", {"text": "one two"}).output == {"words": 2}
"""

import asyncio
import tempfile
from collections.abc import Sequence
from pathlib import Path

from concilium.contracts.a2a.parts import file_ref
from concilium.contracts.base import JSON
from concilium.home import read_manifest
from concilium.workers.runtime.skill import OutFile, SkillContext, SkillResult
from concilium.workers.runtime.skillset import RunnableSkill, load_skills


def run_skill(folder: Path, skill: str, data: JSON, files: Sequence[OutFile] = ()) -> SkillResult:
    """Run a skill of the agent in ``folder`` and return its result. No engine is configured for it.

    Args:
        folder: the agent's folder, with ``agent.yaml``.
        skill: the skill's name.
        data: its input; `input_file` gives what stands in a file's place.
        files: the files that the input mentions.

    Raises:
        Invalid: there is no such skill, or the input does not fit.
        SkillFailed: the skill failed, or its result does not fit.
    """
    manifest = read_manifest(folder / "agent.yaml")
    runnable = load_skills(manifest, folder).named(skill)
    contents = {input_file(file)["sha256"]: file.data for file in files}
    runnable.check_input(data, contents)
    with tempfile.TemporaryDirectory() as work:
        context = SkillContext("test", contents, manifest.settings, Path(work) / "run")
        result = asyncio.run(_run(runnable, context, data))
    runnable.check_result(result)
    return result


def input_file(file: OutFile) -> dict[str, JSON]:
    """Return what stands in a file's place in an input."""
    return file_ref(file.name, file.media_type, file.data).model_dump(mode="json")


async def _run(runnable: RunnableSkill, context: SkillContext, data: JSON) -> SkillResult:
    return await runnable.function(context, data)
