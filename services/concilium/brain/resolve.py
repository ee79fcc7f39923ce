"""Reference resolution when a step becomes ready, and validation of the real input."""

from collections.abc import Mapping

from concilium.brain.references import BadReference, Reference, is_reference, parse, position
from concilium.brain.schemas import SkillSchemas
from concilium.contracts.base import JSON
from concilium.contracts.errors import Invalid
from concilium.contracts.parts import Artifact, FilePart, FileRef
from concilium.contracts.task import Request
from concilium.contracts.turn import StepRun
from concilium.ledger.files import files_in


def resolve_input(
    value: Mapping[str, JSON], request: Request, completed: Mapping[str, StepRun | None], schemas: SkillSchemas
) -> dict[str, JSON]:
    """Return a step's input with every reference replaced by its value.

    Args:
        value: the step's input as planned.
        request: what ``#/request/…`` refers to.
        completed: step name to its completed attempt, to None when it was passed over.
        schemas: the skill's schemas, which the result must fit.

    Raises:
        Invalid: a reference leads nowhere, the input mentions a foreign file or does not fit the skill's schema.
    """
    try:
        found = {key: _resolved(item, request, completed) for key, item in value.items()}
    except BadReference as error:
        raise Invalid(str(error)) from error
    known = {
        file.sha256
        for file in (*request.files, *(f for run in completed.values() if run for f in files_of(run.artifacts)))
    }
    if any(file.sha256 not in known for file in files_in(found)):
        # An agent's output is untrusted: a file object in it opens nothing that the turn does not own.
        raise Invalid("the input mentions a file that neither the request nor a step of this turn brought")
    problems = schemas.input_problems(found)
    if problems:
        raise Invalid("; ".join(problems))
    return found


def files_of(artifacts: tuple[Artifact, ...]) -> list[FileRef]:
    """Return the files of artifacts, in order."""
    return [part.file for artifact in artifacts for part in artifact.parts if isinstance(part, FilePart)]


def is_wanted(when: JSON, request: Request, completed: Mapping[str, StepRun | None]) -> bool:
    """Whether a step's condition holds; one that leads nowhere does not. No condition always holds."""
    if when is None:
        return True
    try:
        return _resolved(when, request, completed) not in (None, False, "", [], {})
    except BadReference:
        return False


def _resolved(value: JSON, request: Request, completed: Mapping[str, StepRun | None]) -> JSON:
    if is_reference(value):
        return _lookup(parse(value), request, completed)
    if isinstance(value, dict):
        return {key: _resolved(item, request, completed) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_resolved(item, request, completed) for item in value]
    return value


def _lookup(reference: Reference, request: Request, completed: Mapping[str, StepRun | None]) -> JSON:
    if reference.kind == "text":
        return request.text
    if reference.kind == "file":
        return _file(list(request.files), reference.index, "the request")
    if reference.step not in completed:
        raise BadReference(f"step '{reference.step}' has no result")
    run = completed[reference.step]
    if run is None:
        return None
    if reference.kind == "artifact":
        return _file(files_of(run.artifacts), reference.index, f"step '{reference.step}'")
    return _at(run.output, reference.path, reference.step)


def _file(files: list[FileRef], position: int, owner: str) -> JSON:
    if position >= len(files):
        raise BadReference(f"{owner} has {len(files)} files, none at {position}")
    return files[position].model_dump(mode="json")


def _at(value: JSON, path: tuple[str, ...], step: str) -> JSON:
    for token in path:
        index = position(token)
        if isinstance(value, dict) and token in value:
            value = value[token]
        elif isinstance(value, list) and index is not None and index < len(value):
            value = value[index]
        else:
            raise BadReference(f"the output of step '{step}' has no '{token}'")
    return value
