"""The run's control group, through descriptors the agent opened; nothing of the group's file system is in sight here.

What the agent sends is ``{"enter": [fd…], "kill": fd or null, "values": {name: [fd, [key…], scale]}}``: a value is the
sum of the numbers behind the keys of a flat-keyed file, or the file's only number, times the scale.
"""

import contextlib
import os

from .wire import Header

REFUSED = {"memory_refused": "memory", "processes_refused": "processes"}
"""Counters that the kernel raises when it holds a limit, with the limit's name."""


class Group:
    """What the kernel counts for the whole run; without a group, nothing."""

    def __init__(self, spec: Header | None) -> None:
        self._spec = spec or {"enter": [], "kill": None, "values": {}}

    @property
    def counts_all(self) -> bool:
        """Whether nothing needs to be added up from /proc."""
        return {"cpu_s", "memory", "processes"} <= set(self._spec["values"])

    def enter(self) -> None:
        """Move this process in; what it starts follows. Raises `OSError`."""
        for descriptor in self._spec["enter"]:
            os.write(descriptor, b"0")

    def value(self, name: str) -> float | None:
        """Return a count, or None where the kernel does not count it for the run."""
        if name not in self._spec["values"]:
            return None
        descriptor, keys, scale = self._spec["values"][name]
        try:
            text = os.pread(descriptor, 16384, 0)
        except OSError:
            return None
        if not keys:
            return int(text) * float(scale)
        pairs = (line.split() for line in text.decode().splitlines())
        return sum(int(pair[1]) for pair in pairs if pair[0] in keys) * float(scale)

    def refused(self) -> str | None:
        """Return the limit at which the kernel refused, or killed."""
        return next((limit for name, limit in REFUSED.items() if self.value(name)), None)

    def kill(self) -> None:
        """Kill everything in the group at once, where the kernel can."""
        if self._spec["kill"] is not None:
            with contextlib.suppress(OSError):
                os.write(self._spec["kill"], b"1")
