"""Profiles: what one starts, whether it fits its card, and what helps when it does not."""

from dataclasses import dataclass

from concilium.capacity import Fit, fit, shape_of, weight_bytes
from concilium.contracts.errors import Invalid, NotFound
from concilium.contracts.models import ModelSpec, Profile
from concilium.contracts.modes import ModelsConfig

GGUF = (
    "a GGUF server beside the mesh (llama.cpp), which keeps a part of the weights in main memory: "
    "set engine.url to it; it is slower and cannot load adapters while it runs"
)


@dataclass(frozen=True, slots=True)
class Chosen:
    """A profile with its model and what both need."""

    name: str
    profile: Profile
    spec: ModelSpec
    fit: Fit

    @property
    def repository(self) -> str:
        """Where the weights come from."""
        return self.spec.weights[self.profile.precision].repository


def choose(models: ModelsConfig, name: str) -> Chosen:
    """Return a profile by name. Raises `NotFound`, or `Invalid` when its cards cannot share its model."""
    profile = models.profiles.get(name)
    if profile is None:
        raise NotFound(f"there is no profile '{name}'; models.yaml has {', '.join(models.profiles) or 'none'}")
    spec = models.models[profile.model]
    return Chosen(name, profile, spec, fit(spec, profile))


def refuse_if_too_large(models: ModelsConfig, chosen: Chosen) -> None:
    """Raise `Invalid` when a profile does not fit its card, with by how much and what helps."""
    missing = chosen.fit.missing
    if not missing:
        return
    helps = "; or ".join([*_smaller(chosen), *(f"the profile {name}" for name in _fitting(models, chosen)), GGUF])
    raise Invalid(f"{chosen.name} does not fit: {_sum(chosen)}, {missing / 1e9:.1f} GB too little. What helps: {helps}")


def mode_problems(models: ModelsConfig, profile: Profile) -> list[str]:
    """Return what this context is too small for among the modes that requests may name."""
    found = []
    for name, mode in models.modes.items():
        answer = mode.max_tokens + mode.thinking_budget
        if answer >= profile.context_tokens:
            found.append(f"mode {name} asks for {answer} tokens of answer: more than the context of this profile")
        elif mode.context_tokens > profile.context_tokens:
            left = profile.context_tokens - answer
            found.append(f"mode {name} takes prompts of {left} tokens here, not {mode.context_tokens - answer}")
    return found


def _sum(chosen: Chosen) -> str:
    made, profile = chosen.fit, chosen.profile
    context = made.context_tokens * made.kv_a_token
    parts = [
        f"weights in {profile.precision} {made.weights / 1e9:.1f} GB",
        f"{made.lora_slots} adapters {made.loras / 1e9:.1f} GB" if made.lora_slots else "",
        f"allowance {made.allowance / 1e9:.1f} GB",
        f"one context of {made.context_tokens} tokens {context / 1e9:.1f} GB",
    ]
    share = profile.split["brain"]
    of = f"{share:.0%} of {profile.card_gb:g} GB" + (f" on each of {profile.cards} cards" if profile.cards > 1 else "")
    return " + ".join(part for part in parts if part) + f" against {made.budget / 1e9:.1f} GB ({of})"


def _smaller(chosen: Chosen) -> list[str]:
    """Return changes to the profile itself that would make it fit."""
    made, profile, found = chosen.fit, chosen.profile, list[str]()
    if made.kv_tokens:
        found.append(f"context_tokens of at most {made.kv_tokens}")
    if profile.kv_cache == "auto" and _fits(chosen, kv_cache="fp8"):
        found.append("kv_cache: fp8")
    found += [
        f"precision: {precision}"
        for precision in chosen.spec.weights
        if weight_bytes(shape_of(chosen.spec), precision) // profile.cards < made.weights
        and _fits(chosen, precision=precision)
    ]
    return found


def _fits(chosen: Chosen, **changes: str) -> bool:
    return fit(chosen.spec, chosen.profile.model_copy(update=changes)).missing == 0


def _fitting(models: ModelsConfig, chosen: Chosen) -> list[str]:
    return [name for name in chosen.profile.instead if choose(models, name).fit.missing == 0]
