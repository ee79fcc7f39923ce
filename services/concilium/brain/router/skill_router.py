"""The skill router: clause by clause to a plan, or a question when any clause stays unclear."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from concilium.brain.admit import Admitted
from concilium.brain.router import lexicon as words
from concilium.brain.router.clauses import Clause, cut
from concilium.brain.router.generic import fill, fits
from concilium.brain.router.intents import RULED, beyond, carry_out, skill_of
from concilium.brain.router.material import EXTRACT, Material, is_image, is_readable
from concilium.brain.router.pages import joined
from concilium.brain.router.passwords import without_password
from concilium.brain.router.questions import question
from concilium.brain.router.scripts import GENERATE, INSPECT, OCR, Order, Unsure, bind, own_codes
from concilium.brain.router.surface import TEXT_MAX, Surface, read_surface, without_marks
from concilium.brain.router.tfidf import Examples
from concilium.brain.schemas import SkillIndex
from concilium.contracts.parts import FileRef
from concilium.contracts.plan import Plan

WHOLE_MIN = 0.55
"""Cosine above which a whole request is one step of a skill without rules. Chosen on the dev split."""
CLAUSE_MIN = 0.8
"""Cosine above which an example decides a clause, whatever the rules say: it is nearly that example.

Left out one by one, the examples that no rule covers were placed wrongly as often as rightly at 0.5: less likeness is
no ground to act on, and the caller is asked.
"""


@dataclass(frozen=True)
class Routed:
    """The router is sure."""

    plan: Plan
    clauses: tuple[str, ...]
    """Which clause ordered which skill, for the turn's record."""
    question: str
    """What to ask should the plan not pass validation."""


@dataclass(frozen=True)
class Asked:
    """The router is not sure."""

    reason: str
    question: str


class _Stuck(Exception):
    def __init__(self, reason: str, clause: str = "") -> None:
        super().__init__(reason)
        self.reason, self.clause = reason, clause


class SkillRouter:
    """Routes requests over one catalog; pure and shareable between threads."""

    def __init__(self, index: SkillIndex) -> None:
        self._index = index
        self._examples = Examples((name, e) for name, s in index.skills.items() for e in s.skill.examples)

    def route(self, admitted: Admitted) -> Routed | Asked:
        """Return a plan or a question.

        Once the caller answered a question, it is read with the request's code, then behind the request, then
        alone.
        """
        stuck = _Stuck("empty")
        for text in _readings(admitted):
            try:
                return self._route(text, admitted)
            except _Stuck as error:
                stuck = error
        return Asked(stuck.reason, question(stuck.reason, admitted.language, self._index, stuck.clause))

    def _route(self, text: str, admitted: Admitted) -> Routed:
        text = without_marks(text)
        surface = read_surface(text, {file.name for file in admitted.files})
        if len(surface.masked) > TEXT_MAX:
            raise _Stuck("too-long")
        documents = any(is_readable(file) for file in admitted.files)
        surface, password = without_password(surface) if documents else (surface, "")
        surface = replace(surface, masked=joined(surface.masked)) if documents else surface
        material = Material(surface, admitted.files, self._index, password)
        record = self._whole(text, material) or self._by_clauses(surface, material)
        spare = material.left_out()
        if spare is not None:
            raise _Stuck("spare-code", spare.source)
        # A mark is no word of the request: a plan that holds one is never run, whichever rule let it through.
        if not material.steps or material.has_marks():
            raise _Stuck("unclear")
        return Routed(
            plan=Plan(steps=tuple(material.steps)),
            clauses=tuple(record),
            question=question("unclear", admitted.language, self._index),
        )

    def _whole(self, text: str, material: Material) -> list[str]:
        """Route a request that is one step of a skill the rules do not know."""
        scores = self._examples.scores(material.surface.masked)
        name = max(scores, key=lambda label: scores[label], default="")
        if name in RULED or scores.get(name, 0.0) < WHOLE_MIN:
            return []
        quoted = material.surface.quotes[0] if material.surface.quotes else _after_colon(text)
        data = fill(name, material, quoted)
        if data is None or not fits(name, data, self._index):
            return []
        material.add(name.split(".", 1)[1], name, data)
        return [f"{material.surface.unmask(material.surface.masked)[:200]} → {name}"]

    def _by_clauses(self, surface: Surface, material: Material) -> list[str]:
        try:
            orders = self._orders(surface, material)
            bind(orders, material)
            for order in orders:
                carry_out(order, material)
        except Unsure as error:
            raise _Stuck(error.reason) from error
        return [f"{surface.unmask(order.clause.raw)[:200]} → {order.skill}" for order in orders]

    def _orders(self, surface: Surface, material: Material) -> list[Order]:
        """Return what the clauses ask for; a bare code goes with the clause before it, when that one holds code."""
        clauses = cut(surface.masked)
        telling = [c for c in clauses if not words.NEGATED.search(c.key) and not c.only_marks]
        if not telling:
            raise _Stuck("empty")
        orders: list[Order] = []
        before: Order | None = None
        forbidden = False
        for clause in clauses:
            if clause.only_marks:
                if before is not None and before.codes:
                    before.codes += clause.codes
                elif forbidden:
                    material.used_codes.update(clause.codes)
                continue
            forbidden = clause not in telling
            if forbidden:
                material.used_codes.update(clause.codes)
                before = None
                continue
            before = self._order(clause, orders, material, alone=len(telling) == 1)
            orders += [before] if before is not None else []
        return orders

    def _order(self, clause: Clause, earlier: list[Order], material: Material, *, alone: bool) -> Order | None:
        """Return the order of a clause, or None for one that may be passed over."""
        cleans = bool(earlier) and earlier[-1].skill == INSPECT and words.CLEAN.search(earlier[-1].clause.key)
        if cleans and words.MORE_TO_CLEAN.fullmatch(clause.key):
            return None
        skill = self._skill(clause, earlier[-1].skill if earlier else None, material.files)
        if skill is not None:
            return Order(clause, skill, own_codes(clause, skill))
        told = bool(earlier) and earlier[-1].skill == GENERATE  # the task is the whole request
        reads = bool(earlier) and earlier[-1].skill in {OCR, EXTRACT}
        told = told or (reads and bool(words.MORE_TO_READ.fullmatch(clause.key)))
        if not told and not self._ignorable(clause, bool(earlier), alone):
            raise _Stuck("clause", material.surface.unmask(clause.raw))
        return None

    def _skill(self, clause: Clause, previous: str | None, files: Sequence[FileRef]) -> str | None:
        scores = self._examples.scores(clause.raw)
        best = max(scores, key=lambda label: scores[label], default="")
        read_aloud = best in {OCR, EXTRACT} and words.SPEAK.search(clause.key)
        if scores.get(best, 0.0) >= CLAUSE_MIN and not read_aloud:
            found: str | None = best
        else:
            pictures = sum(is_image(file) for file in files)
            found = skill_of(clause, pictures)
            found = None if beyond(clause, found) else found
        if found is None and previous and _elliptical(clause):
            found = previous
        if found == OCR and not files and words.SPEAK.search(clause.key):
            return None
        return found if found in self._index.skills else None

    def _ignorable(self, clause: Clause, follows: bool, alone: bool) -> bool:
        """Whether a clause without an order may be passed over: it tells, or asks to see what a step shows anyway."""
        shows = words.SHOW.search(clause.key) and words.PRINTED.search(clause.key)
        return bool((shows and follows) or (words.CONTEXT.search(clause.key) and not alone))


def _readings(admitted: Admitted) -> list[str]:
    if not admitted.replies:
        return [admitted.text] if admitted.text.strip() else []
    reply, before = admitted.replies[-1], admitted.text
    fences = "".join(f"\n```{code.label}\n{code.source}\n```\n" for code in read_surface(before).codes)
    if any(clause.payload for clause in cut(read_surface(reply).masked)):
        # Words to speak run to the end of the answer: code put behind them would be spoken with them.
        fences = ""
    return [reply + fences, f"{before}\n{reply}", *([reply] if fences else []), f"{before}: {reply}"]


def _elliptical(clause: Clause) -> bool:
    return any(p.search(clause.key) for p in (*words.ORDINALS, words.LAST)) and len(clause.key.split()) <= 4


def _after_colon(text: str) -> str:
    head, _, tail = text.partition(":")
    return tail.strip() if tail.strip() else head.strip()
