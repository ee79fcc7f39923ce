"""Puts the served model together: weights, tokenizer, cache, step loop."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import torch

from concilium.engine.embedded.adapter_files import Base
from concilium.engine.embedded.adapters import Adapters
from concilium.engine.embedded.grammar import Grammars
from concilium.engine.embedded.loop import Heard, StepLoop
from concilium.engine.embedded.model import Model, load_model
from concilium.engine.embedded.refusal import Unserved
from concilium.engine.embedded.settings import Settings
from concilium.engine.embedded.text import Text

_CONTEXT = 4096
"""Tokens of a row unless more or fewer are asked for."""
_CGROUP = Path("/sys/fs/cgroup")


@dataclass(frozen=True)
class Served:
    """What requests are answered with."""

    name: str
    root: str
    context: int
    ends: frozenset[int]
    vocabulary: int
    text: Text
    grammars: Grammars
    adapters: Adapters
    loop: StepLoop
    created: int = field(default_factory=lambda: int(time.time()))


def build(settings: Settings, told: Callable[[float], None], deliver: Callable[[Heard], None]) -> Served:
    """Load the model; called by the thread that steps it then.

    Args:
        settings: of this server.
        told: called with the share that is loaded, from 0 to 1.
        deliver: see `StepLoop`.

    Raises:
        Unserved: the model cannot be served here; the text says why.
    """
    torch.set_num_threads(settings.threads)
    if settings.device == "cuda" and not torch.cuda.is_available():
        raise Unserved("there is no CUDA device here; take --device cpu")
    model = load_model(settings.model, settings.device, settings.dtype, told)
    context = _context(model, settings.context)
    need, free = model.shape(settings.slots, context).nbytes, _free(settings.device)
    if need > free:
        raise Unserved(
            f"{settings.slots} slots of {context} tokens take {need >> 20} MiB and {free >> 20} MiB are free:"
            " lower --slots or --context"
        )
    text = Text(settings.model)
    ends = frozenset({*model.ends(), *([] if text.end is None else [text.end])})
    size = model.config.vocab_size
    return Served(
        settings.name,
        str(settings.model),
        context,
        ends,
        size,
        text,
        Grammars(text.to_json(), size, sorted(ends)),
        Adapters(settings.name, Base(model.modules, model.dtype, model.device), settings.adapter_mib << 20),
        StepLoop(model, text, slots=settings.slots, context=context, queue=settings.queue, deliver=deliver),
    )


def _context(model: Model, asked: int) -> int:
    most = model.config.max_position_embeddings
    if asked > most:
        raise Unserved(f"the model takes {most} tokens, not {asked}: lower --context")
    return asked or min(most, _CONTEXT)


def _free(device: str) -> int:
    """Return the bytes of memory that are free, of this process's control group too."""
    if device == "cuda":
        return int(torch.cuda.mem_get_info()[0])
    free = psutil.virtual_memory().available
    limit, used = _CGROUP / "memory.max", _CGROUP / "memory.current"
    if limit.is_file() and limit.read_text().strip().isdigit():
        free = min(free, int(limit.read_text()) - int(used.read_text()))
    return free
