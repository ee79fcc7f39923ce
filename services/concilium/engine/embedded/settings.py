"""What the command line says."""

import argparse
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Settings:
    """Of one server."""

    model: Path
    name: str
    """What the base model is served as."""
    host: str
    port: int
    secret: Path
    device: str
    dtype: str
    threads: int
    slots: int
    context: int
    """Tokens of a row; 0: the model's own limit, at most 4096."""
    queue: int
    adapter_mib: int


def read_settings(arguments: Sequence[str] | None = None) -> Settings:
    """Return what the command line says; ends the process with 2 when it makes no sense."""
    parser = argparse.ArgumentParser(
        prog="concilium.engine.embedded", description="Serve one model, OpenAI-compatible."
    )
    parser.add_argument("--model", type=Path, required=True, help="folder of the model, as save_pretrained writes it")
    parser.add_argument("--name", default="", help="what it is served as (default: the folder's name)")
    parser.add_argument("--host", default="127.0.0.1", help="loopback or an internal network, never a public address")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--secret-file", type=Path, required=True, help="file NAME.key with the bearer secret")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--dtype", choices=("auto", "float32", "bfloat16"), default="auto")
    parser.add_argument("--threads", type=_positive, default=os.cpu_count() or 1, help="PyTorch's, on a CPU")
    parser.add_argument("--slots", type=_positive, default=8, help="requests at work at once")
    parser.add_argument("--context", type=int, default=0, help="tokens a request may have (default: at most 4096)")
    parser.add_argument("--queue", type=int, default=64, help="requests that may wait; one more gets 503")
    parser.add_argument("--adapter-mib", type=_positive, default=1024, help="memory for adapters")
    found = parser.parse_args(arguments)
    if found.secret_file.suffix != ".key":
        parser.error("--secret-file: the file's name ends with .key")
    return Settings(
        found.model.resolve(),
        found.name or found.model.resolve().name,
        found.host,
        found.port,
        found.secret_file,
        found.device,
        found.dtype,
        found.threads,
        found.slots,
        max(0, found.context),
        max(0, found.queue),
        found.adapter_mib,
    )


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return value
