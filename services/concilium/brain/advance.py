"""`Brain.advance`: the fold. Read down: admit, plan (route inside), place, delegate, answer."""

from concilium.brain.admit import admit
from concilium.brain.answer import finish
from concilium.brain.delegate import delegate
from concilium.brain.place import Placed, check_plan
from concilium.brain.plan import plan_turn, reject
from concilium.brain.router import SkillRouter
from concilium.brain.schemas import SkillIndex
from concilium.contracts.errors import PlacementRefused
from concilium.contracts.skill import Catalog
from concilium.contracts.turn import Advance, Turn


class Brain:
    """Decides what comes next in a turn. Pure: no I/O, no clock, no randomness; safe to share between threads."""

    def __init__(self, catalog: Catalog, engine_configured: bool, placement: Placed | None = None) -> None:
        """Compile the catalog's schemas and the router's index.

        Args:
            catalog: every agent the mesh knows.
            engine_configured: whether unsure requests and failed steps may be thought about by an engine.
            placement: returns which nodes may take what now; None: nothing is refused for want of a node.

        Raises:
            Invalid: a skill's schema is not JSON Schema 2020-12.
        """
        self.index = SkillIndex(catalog)
        self.router = SkillRouter(self.index)
        self.engine_configured = engine_configured
        self.placement = placement

    def advance(self, turn: Turn) -> Advance:
        """Return the decision for a turn; empty means: wait for what is running."""
        if turn.state.terminal:
            return Advance()
        admitted = admit(turn)
        decided = Advance()
        if turn.plan is None:
            decided = plan_turn(turn, admitted, self.router, self.index, engine=self.engine_configured)
            if decided.plan is None:
                return decided
            if self.placement is not None:
                try:
                    check_plan(decided.plan, turn.data_class, self.placement(), admitted.language)
                except PlacementRefused as error:
                    return reject(error.type, error.detail)
            turn = turn.model_copy(
                update={
                    "plan": decided.plan,
                    "planner": decided.planner or turn.planner,
                    "notes": (*turn.notes, *decided.notes),
                }
            )
        assert turn.plan is not None  # noqa: S101 - adopted above when it was missing; narrows the type
        found = delegate(turn, turn.plan, self.index, self.placement, engine=self.engine_configured)
        if found.over:
            return finish(turn, turn.plan, found, admitted.language, engine=self.engine_configured)
        return found.advance.model_copy(
            update={
                "plan": decided.plan,
                "planner": decided.planner,
                "notes": decided.notes,
                "stages": (*decided.stages, *found.stages),
            }
        )
