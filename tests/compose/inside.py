"""Runs inside the code container: every attempt to escape, on the rung that the agent chose there.

Prints one line of JSON: the rung, how many attempts were held, those the rung states, those that succeeded.
"""

import asyncio
import json
import sys

from concilium.home import Home
from concilium.workers.code.sandbox.probe import probe
from support.escapes.judge import judge
from support.escapes.suite import ATTEMPTS


async def main(wanted: str) -> int:
    """Carry everything out; return 1 when something succeeded that the rung does not state, or another rung holds."""
    chosen = (await probe(Home.find().catalog.agent("code").settings["rungs"])).chosen
    assert chosen, "no sandbox holds here"
    # One after the other: all runs are one user's here, and count each other's processes.
    verdicts = [await judge(attempt, chosen) for attempt in ATTEMPTS]
    escaped = [f"{each.attempt.label}: {'; '.join(each.successes)}" for each in verdicts if each.word == "ESCAPED"]
    counts = {word: sum(each.word == word for each in verdicts) for word in ("held", "stated")}
    print(json.dumps({"rung": chosen.name, **counts, "escaped": escaped}))
    return int(bool(escaped) or chosen.name != wanted)


sys.exit(asyncio.run(main(sys.argv[1])))
