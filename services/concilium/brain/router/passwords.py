"""The password a request names for its document, lifted out before any rule cuts or reads the request."""

import re
from dataclasses import replace

from concilium.brain.router.clauses import cut
from concilium.brain.router.lexicon import PASSWORD, SAID_BEFORE
from concilium.brain.router.surface import Surface

_EMPTY = re.compile(r"\(\s*\)")


def without_password(surface: Surface) -> tuple[Surface, str]:
    """Return a request without the words that name a password, and the password; '' when it names none.

    Words behind the colon of a clause that asks for speech are data: a password among them is one to speak.
    """
    found = PASSWORD.search(surface.masked)
    if found is None or (not found["by"] and SAID_BEFORE.search(surface.masked[: found.start()])):
        return surface, ""
    if any(PASSWORD.search(clause.payload or "") for clause in cut(surface.masked)):
        return surface, ""
    word = found["word"].rstrip(".,;!?)")
    rest = f"{surface.masked[: found.start()]} {surface.masked[found.start('word') + len(word) :]}"
    return replace(surface, masked=_EMPTY.sub(" ", rest)), surface.unmask(word).strip()
