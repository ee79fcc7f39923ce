"""What ends a command early: a sentence for the person, and an exit code."""

FAILED = 1
USAGE = 2
ASKED = 3
"""The task waits for an answer of the caller."""
PARTLY = 4
"""The task completed, but one of its steps failed."""
INTERRUPTED = 130


class CliError(Exception):
    """A refusal with what to do about it.

    Attributes:
        message: what was wrong.
        hint: the next command or change, or empty.
        code: exit code of the process.
    """

    def __init__(self, message: str, hint: str = "", code: int = FAILED) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.code = code
