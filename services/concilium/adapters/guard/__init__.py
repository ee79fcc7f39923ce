"""The paradigm guard: when a private world-view may speak, and that it never does without its warning.

`decide` judges a request by its words. `guarded` and its kin put the warning to an answer of any form, outside the
model. `dual` sets the accepted and the private answer side by side. `audit_event` records what was decided, without the
text.
"""

from concilium.adapters.guard.audit import ParadigmEvent, audit_event
from concilium.adapters.guard.decide import decide
from concilium.adapters.guard.dual import DualAnswer, OneView, Piece, dual, dual_stream
from concilium.adapters.guard.openai_wire import (
    NoRoom,
    events,
    guarded_chunks,
    guarded_completion,
    guarded_tool_result,
)
from concilium.adapters.guard.paradigm import Decision, Language, Mode, Paradigm, Request, Span, View
from concilium.adapters.guard.warning import Notice, guarded, guarded_artifact, guarded_stream, notice, utterances

__all__ = [
    "Decision",
    "DualAnswer",
    "Language",
    "Mode",
    "NoRoom",
    "Notice",
    "OneView",
    "Paradigm",
    "ParadigmEvent",
    "Piece",
    "Request",
    "Span",
    "View",
    "audit_event",
    "decide",
    "dual",
    "dual_stream",
    "events",
    "guarded",
    "guarded_artifact",
    "guarded_chunks",
    "guarded_completion",
    "guarded_stream",
    "guarded_tool_result",
    "notice",
    "utterances",
]
