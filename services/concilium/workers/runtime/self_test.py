"""An agent's self-test: cases of ``agent.yaml`` made ready to be sent, and their outcomes judged."""

import base64
import binascii
import mimetypes
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from jsonschema import Draft202012Validator
from jsonschema.exceptions import best_match

from concilium.contracts.a2a.parts import DEFAULT_MEDIA_TYPE, file_ref
from concilium.contracts.a2a.reader import Final
from concilium.contracts.base import JSON
from concilium.contracts.errors import Invalid
from concilium.contracts.limits import TEXT_CHARS
from concilium.contracts.parts import FileRef
from concilium.contracts.skill import AgentManifest, SelfTestCase
from concilium.contracts.states import TaskState
from concilium.workers.runtime.skillset import compile_schema


@dataclass
class Input:
    """A case's input with its files."""

    data: dict[str, JSON]
    files: dict[str, bytes] = field(default_factory=dict)
    """Bytes by SHA-256."""
    refs: tuple[FileRef, ...] = ()


def prepare(case: SelfTestCase, folder: Path) -> Input:
    """Return the input of a case, its ``$file`` and ``$repeat`` put in.

    Raises:
        Invalid: a file is not in the agent's folder, or a ``$file`` or ``$repeat`` is malformed.
    """
    found: list[tuple[FileRef, bytes]] = []
    data = _filled(case.input, folder.resolve(), found)
    return Input(data, {ref.sha256: content for ref, content in found}, tuple(ref for ref, _ in found))


def judge(case: SelfTestCase, agent: AgentManifest, final: Final) -> str:
    """Return what is wrong with how a case's run ended; empty when it is as the case says."""
    if case.fails:
        return _wrong_failure(case, final)
    if final.state is not TaskState.COMPLETED:
        return f"ended as {final.state}" + (f": {final.problem.type}: {final.problem.detail}" if final.problem else "")
    skill = next(skill for skill in agent.skills if skill.name == case.skill)
    wrong = _misfit(compile_schema(skill.output_schema, skill.name), final.output, "the skill's output schema")
    wrong = wrong or _misfit(compile_schema(case.expect, skill.name), final.output, "what the case expects")
    missing = sorted(set(case.files) - {ref.name for ref, _ in final.files})
    return wrong or (f"no file {', '.join(missing)} came back" if missing else "")


def _wrong_failure(case: SelfTestCase, final: Final) -> str:
    if final.problem is None:
        return f"ended as {final.state}, not with the problem {case.fails}"
    return "" if final.problem.type == case.fails else f"failed with {final.problem.type}: {final.problem.detail}"


def _misfit(schema: Draft202012Validator, output: JSON, what: str) -> str:
    error = best_match(schema.iter_errors(output))
    return "" if error is None else f"the output does not fit {what} at {error.json_path}: {error.message[:300]}"


def _filled(value: JSON, folder: Path, found: list[tuple[FileRef, bytes]]) -> JSON:
    if isinstance(value, list):
        return [_filled(item, folder, found) for item in value]
    if not isinstance(value, dict):
        return value
    if value.keys() == {"$file"}:
        name, media_type, content = _file(value["$file"], folder)
        ref = file_ref(name, media_type or mimetypes.guess_type(name)[0] or DEFAULT_MEDIA_TYPE, content)
        found.append((ref, content))
        return ref.model_dump(mode="json")
    if value.keys() == {"$repeat"}:
        return _repeated(value["$repeat"])
    return {key: _filled(item, folder, found) for key, item in value.items()}


def _file(said: JSON, folder: Path) -> tuple[str, str, bytes]:
    """Return name, media type and bytes of a ``$file``."""
    if isinstance(said, str):
        path = (folder / said).resolve()
        if not path.is_relative_to(folder) or not path.is_file():
            raise Invalid(f"self_test: there is no file '{said}' in {folder}")
        return path.name, "", path.read_bytes()
    if not isinstance(said, dict) or not _members(said, {"name"}, {"name", "media_type", "text", "base64"}):
        raise Invalid("self_test: $file is a path, or {name, media_type, text or base64}")
    if ("text" in said) == ("base64" in said):
        raise Invalid(f"self_test: $file '{said['name']}' has either text or base64")
    return said["name"], said.get("media_type", ""), _content(said)


def _content(said: Mapping[str, str]) -> bytes:
    if "text" in said:
        return said["text"].encode()
    try:
        return base64.b64decode("".join(said["base64"].split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise Invalid(f"self_test: $file '{said['name']}' is not base64: {error}") from error


def _members(said: Mapping[str, JSON], needed: set[str], known: set[str]) -> bool:
    return needed <= said.keys() <= known and all(isinstance(value, str) for value in said.values())


def _repeated(said: JSON) -> str:
    if not isinstance(said, dict) or said.keys() != {"text", "times"}:
        raise Invalid("self_test: $repeat is {text, times}")
    text, times = said["text"], said["times"]
    if not isinstance(text, str) or not isinstance(times, int) or not 0 < len(text) * times <= TEXT_CHARS:
        raise Invalid(f"self_test: $repeat makes a text of at most {TEXT_CHARS} characters")
    return text * times
