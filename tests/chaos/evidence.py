"""What a run leaves behind when everything has stopped: the ledger's rows, the agents' logs, the callbacks."""

import hashlib
import json
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from sqlalchemy import create_engine, select
from sqlalchemy.engine import make_url

from concilium.ledger import History, reads, schema


@dataclass(frozen=True)
class Execution:
    """One line of an agent's log of executions."""

    agent: str
    at: datetime
    event: str
    """``start`` or ``end``."""
    run_id: str
    step_key: str
    attempt: int
    fence: int
    outcome: str = ""


@dataclass(frozen=True)
class Received:
    """One callback as the receiver saw it."""

    message_id: str
    type: str
    task_id: str
    state: str
    valid: bool
    """Its signature holds."""
    taken: bool = True
    """The receiver answered 2xx."""


@dataclass
class Evidence:
    """Everything the checker judges by."""

    jobs: int
    accepted: dict[str, set[str]]
    """Idempotency key to the task ids that were answered under it."""
    canceled: set[str]
    """Tasks whose cancellation was answered with success."""
    histories: dict[str, History]
    executions: list[Execution] = field(default_factory=list)
    callbacks: list[Received] = field(default_factory=list)
    blobs: frozenset[str] = frozenset()
    """Files whose content is what their name says."""
    odd_answers: list[str] = field(default_factory=list)
    """Answers to callers that were neither success nor "try again"."""


def read_histories(url: str) -> dict[str, History]:
    """Return the history of every task, straight from the tables; the ledger must be closed or shared."""
    parsed = make_url(url)
    if parsed.get_backend_name() == "postgresql":
        parsed = parsed.set(drivername="postgresql+psycopg")
    engine = create_engine(parsed)
    try:
        with engine.connect() as conn:
            ids = [row.id for row in conn.execute(select(schema.tasks.c.id).order_by(schema.tasks.c.id))]
            return {task_id: reads.history(conn, task_id) for task_id in ids}
    finally:
        engine.dispose()


def read_executions(agent: str, folder: Path) -> list[Execution]:
    """Return the lines of an agent's log in their order."""
    path = folder / "executions.jsonl"
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return [_execution(agent, json.loads(line)) for line in lines]


def _execution(agent: str, line: dict[str, object]) -> Execution:
    return Execution(
        agent=agent,
        at=datetime.fromisoformat(str(line["at"])),
        event=str(line["event"]),
        run_id=str(line["run_id"]),
        step_key=str(line["step_key"]),
        attempt=int(str(line["attempt"])),
        fence=int(str(line["fence"])),
        outcome=str(line.get("outcome", "")),
    )


def read_blobs(root: Path) -> frozenset[str]:
    """Return the names of the blobs whose bytes have that hash."""
    found = (path for path in root.glob("[0-9a-f][0-9a-f]/[0-9a-f][0-9a-f]/*") if path.is_file())
    return frozenset(path.name for path in found if hashlib.sha256(path.read_bytes()).hexdigest() == path.name)
