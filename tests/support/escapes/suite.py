"""Every attempt."""

from . import files, kernel, limits, network, outputs, processes
from .attempt import Attempt

ATTEMPTS: tuple[Attempt, ...] = (
    *network.ATTEMPTS,
    *files.ATTEMPTS,
    *processes.ATTEMPTS,
    *kernel.ATTEMPTS,
    *limits.ATTEMPTS,
    *outputs.ATTEMPTS,
)
