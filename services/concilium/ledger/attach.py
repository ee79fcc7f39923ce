"""Files beside leases and completions; disk work, done outside the database's threads."""

from collections.abc import Mapping

from concilium.contracts import limits
from concilium.contracts.errors import Invalid, NotFound
from concilium.contracts.runner import Completion, Lease
from concilium.ledger.blobs import Blobs
from concilium.ledger.files import files_of


def store_files(blobs: Blobs, completion: Completion) -> None:
    """Write the files that came with an outcome and touch those that were put before.

    Raises:
        Invalid: a file is neither here nor with the outcome, or is not what its hash says.
    """
    for sha256, data in completion.inline.items():
        blobs.put(data, expected=sha256)
    try:
        blobs.touch(file.sha256 for file in files_of(completion.artifacts) if file.sha256 not in completion.inline)
    except NotFound as error:
        raise Invalid(f"an artifact's file is missing: {error.detail}") from error


def attach(blobs: Blobs, leases: tuple[Lease, ...], known: Mapping[str, set[str]]) -> tuple[Lease, ...]:
    """Return the leases with the bytes of their small files; only files that the task itself refers to."""
    return tuple(
        lease.model_copy(update={"inline": _inline(blobs, lease, known.get(lease.task_id, set()))}) for lease in leases
    )


def _inline(blobs: Blobs, lease: Lease, known: set[str]) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    for file in lease.files:
        if file.sha256 in known and file.size <= limits.INLINE_ARTIFACT_BYTES:
            path = blobs.path(file.sha256)
            if path.is_file() and path.stat().st_size <= limits.INLINE_ARTIFACT_BYTES:
                found[file.sha256] = path.read_bytes()
    return found
