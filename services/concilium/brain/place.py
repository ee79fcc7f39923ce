"""Stage place: work that no node may ever take is refused at once, and by the name of the rule. Pure."""

from collections.abc import Callable

from concilium.brain.words import Language, say
from concilium.contracts.errors import PlacementRefused
from concilium.contracts.placement import Placement, Work
from concilium.contracts.plan import Plan, PlanStep
from concilium.contracts.task import DataClass

Placed = Callable[[], Placement]
"""Returns the rules and the nodes as they are now."""


def check_place(step: PlanStep, data_class: DataClass, placement: Placement, language: Language) -> None:
    """Raise `PlacementRefused` naming the rules when every node that serves a step's agent is barred from it."""
    rules = placement.impossible(Work(step.agent, step.skill, data_class))
    if rules:
        named = ", ".join(rules)
        raise PlacementRefused(
            say("no_node", language, skill=step.skill, data=say(f"data_{data_class}", language), rule=named)
        )


def check_plan(plan: Plan, data_class: DataClass, placement: Placement, language: Language) -> None:
    """Judge every step of a plan before any of them runs. Raises `PlacementRefused`."""
    for step in plan.steps:
        check_place(step, data_class, placement, language)
