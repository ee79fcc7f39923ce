"""What this machine has, as far as it can tell."""

import shutil
import subprocess
from collections.abc import Sequence

import psutil
from pydantic import Field

from concilium.contracts.base import Model, utc_now
from concilium.contracts.limits import MIB
from concilium.contracts.nodes import BYTES_MAX, SKEW_MAX_S, Capabilities, Gpu

_NVIDIA_S = 10.0
_QUERY = ("--query-gpu=name,memory.total", "--format=csv,noheader,nounits")


class Facts(Model):
    """A node's answer to ``facts``."""

    capabilities: Capabilities
    clock: float = Field(ge=0, le=SKEW_MAX_S, allow_inf_nan=False)
    """Its own time, seconds since the epoch."""


def facts(running: Sequence[str]) -> Facts:
    """Look at this machine, of whose agents these run. Blocks."""
    cpus, ram_bytes = psutil.cpu_count() or 1, psutil.virtual_memory().total
    found = Capabilities(cpus=cpus, ram_bytes=ram_bytes, gpus=_gpus(), running=tuple(running))
    return Facts(capabilities=found, clock=utc_now().timestamp())


def _gpus() -> tuple[Gpu, ...]:
    """Return NVIDIA's cards, as its own program lists them; none where that is missing or fails."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return ()
    try:
        said = subprocess.run(  # noqa: S603 - a fixed command
            [program, *_QUERY], capture_output=True, text=True, timeout=_NVIDIA_S, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return ()
    return read_gpus(said.stdout)


def read_gpus(listed: str) -> tuple[Gpu, ...]:
    """Return the cards of nvidia-smi's list, a line ``name, MiB`` each; lines of another form are left out."""
    found = []
    for line in listed.splitlines():
        name, _, memory = line.rpartition(",")
        if name.strip() and memory.strip().isdecimal():
            said = "".join(char for char in name.strip() if " " <= char <= "~")
            found.append(Gpu(name=said[:200], vram_bytes=min(int(memory) * MIB, BYTES_MAX)))
    return tuple(found[:64])
