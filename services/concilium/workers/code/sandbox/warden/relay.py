"""Script output and report over one stream, where nothing but the standard streams leads out of the sandbox."""

import os

from .namespaces import NOBODY
from .wire import CHUNK, FRAME, REPORT, STDERR, STDOUT, write_all


class Relay:
    """Pipes for the script's output, whose contents are passed on in frames on descriptor 1."""

    def __init__(self) -> None:
        own = os.geteuid()
        os.seteuid(NOBODY)  # the script's: only who made a pipe may open it again as /dev/stdout
        pipes = {kind: os.pipe() for kind in (STDOUT, STDERR)}
        os.seteuid(own)
        self.kinds = {end: kind for kind, (end, _) in pipes.items()}
        """What each reading end carries."""
        self.given = tuple(start for _, start in pipes.values())
        """The script's standard output and error."""

    def started(self) -> None:
        """Let go of the writing ends; the script has them now."""
        for descriptor in self.given:
            os.close(descriptor)

    def pass_on(self, end: int) -> None:
        """Pass on what one end holds, waiting for it; close it at its end."""
        chunk = os.read(end, CHUNK)
        if chunk:
            write_all(1, FRAME.pack(self.kinds[end], len(chunk)) + chunk)
        else:
            os.close(end)
            del self.kinds[end]

    def drain(self) -> None:
        """Pass on all that is left. Returns once everyone who could write has ended."""
        for end in list(self.kinds):
            while end in self.kinds:
                self.pass_on(end)

    def report(self, data: bytes) -> None:
        """Send the report."""
        for at in range(0, len(data), CHUNK):
            part = data[at : at + CHUNK]
            write_all(1, FRAME.pack(REPORT, len(part)) + part)
