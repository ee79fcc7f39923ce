"""``adapter_config.json``: what PEFT wrote, taken only where it means a plain LoRA, and the one form we write."""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from math import isfinite, sqrt
from typing import Generic, TypeVar

from concilium.adapters import strict_json
from concilium.adapters.modules import dora, natural
from concilium.adapters.refusals import BundleRefused, Refusal
from concilium.contracts.adapters import CONFIG
from concilium.contracts.base import JSON

RANK_MAX = 512
T = TypeVar("T")

# Members that are read here, or do not change what a finished adapter computes: how it was trained, for example.
_KNOWN = frozenset(
    {
        "alpha_pattern",
        "auto_mapping",
        "base_model_name_or_path",
        "bias",
        "ensure_weight_tying",
        "eva_config",
        "exclude_modules",
        "inference_mode",
        "init_lora_weights",
        "layers_pattern",
        "layers_to_transform",
        "loftq_config",
        "lora_alpha",
        "lora_dropout",
        "megatron_core",
        "modules_to_save",
        "peft_type",
        "peft_version",
        "qalora_group_size",
        "r",
        "rank_pattern",
        "revision",
        "runtime_config",
        "target_modules",
        "task_type",
        "use_dora",
        "use_rslora",
    }
)
_CHANGES_BASE = "init_lora_weights"
_PLAIN_STARTS = (True, False, "gaussian", "eva", "orthogonal")
"""Other starts (PiSSA, OLoRA, CorDA, LoftQ, …) change the base's weights, so the result fits no base that is served."""
_TASKS = ("CAUSAL_LM", None)

# A pattern is a regular expression of a stranger's: only such as cannot take long are matched. A quantifier follows one
# character class or dot, and there are few. Most are names, which are looked up.
_LITERAL = re.compile(r"[A-Za-z0-9_.]+")
_PATTERN = re.compile(r"\^?(?:[A-Za-z0-9_.|()\-]|\\[.d]|\[(?:[A-Za-z0-9_](?:-[A-Za-z0-9_])?)+\]|(?<=[.\]d])[*+])+\$?")
_PATTERN_CHARS = 255
_PATTERNS_MAX = 65_536
_EXPRESSIONS_MAX = 16
_QUANTIFIERS_MAX = 2


class Patterns(Generic[T]):
    """Values for modules, by the first pattern that fits a module's name or its end after a dot, as PEFT has it.

    Raises:
        ValueError: a pattern could take long to match, or is none.
    """

    def __init__(self, values: Mapping[str, T]) -> None:
        self._values = list(values.values())
        self._names: dict[str, int] = {}
        self._expressions: list[tuple[int, re.Pattern[str]]] = []
        if len(values) > _PATTERNS_MAX:
            raise ValueError(f"there are {len(values)} patterns, {_PATTERNS_MAX} at most are taken")
        for place, key in enumerate(values):
            if len(key) <= _PATTERN_CHARS and _LITERAL.fullmatch(key):
                self._names[key] = place
            else:
                self._expressions.append((place, _expression(key)))
        if len(self._expressions) > _EXPRESSIONS_MAX:
            raise ValueError(f"there are {len(self._expressions)} expressions, {_EXPRESSIONS_MAX} at most are taken")

    def __bool__(self) -> bool:
        return bool(self._values)

    def find(self, module: str, default: T) -> T:
        """Return the value for a module."""
        parts = module.split(".")
        ends = (".".join(parts[start:]) for start in range(len(parts)))
        places = [self._names[end] for end in ends if end in self._names]
        places += [place for place, expression in self._expressions if expression.match(module)]
        return self._values[min(places)] if places else default


def _expression(key: str) -> re.Pattern[str]:
    if len(key) > _PATTERN_CHARS or not _PATTERN.fullmatch(key) or len(re.findall("[*+]", key)) > _QUANTIFIERS_MAX:
        raise ValueError(f"the pattern {ascii(key)[:80]} is not taken; name modules, with at most two of .* or [0-9]+")
    try:
        return re.compile(rf"(.*\.)?({key})$")
    except re.error as error:
        raise ValueError(f"{ascii(key)[:80]} is no pattern: {error}") from error


@dataclass(frozen=True)
class LoraConfig:
    """A plain LoRA's configuration.

    Attributes:
        r: rank of the modules that ``ranks`` does not name.
        alpha: numerator of the scale of those that ``alphas`` does not name.
        rslora: whether the scale is alpha / √rank instead of alpha / rank (rsLoRA, arXiv 2312.03732).
        base: what it was trained on, as a word: nothing is looked up or fetched by it.
    """

    r: int
    alpha: float
    rslora: bool = False
    task: str | None = None
    base: str | None = None
    ranks: Patterns[int] = field(default_factory=lambda: Patterns({}))
    alphas: Patterns[float] = field(default_factory=lambda: Patterns({}))

    def rank(self, module: str) -> int:
        """Return the rank of a module."""
        return self.ranks.find(module, self.r)

    def scale(self, module: str) -> float:
        """Return what B·A of a module is multiplied by."""
        rank = self.rank(module)
        return self.alphas.find(module, self.alpha) / (sqrt(rank) if self.rslora else rank)


def parse(data: bytes) -> LoraConfig:
    """Return a configuration of PEFT's.

    Raises:
        BundleRefused: it is damaged, or means something else than a plain LoRA.
    """
    members = strict_json.load(data, CONFIG)
    if members.get("peft_type") != "LORA":
        raise _bad(f"peft_type is {ascii(members.get('peft_type'))[:60]}; only LORA is taken")
    _refuse_variants(members)
    task = members.get("task_type")
    if task not in _TASKS:
        raise _unsupported("task_type", task)
    base = members.get("base_model_name_or_path")
    if base is not None and not isinstance(base, str):
        raise _bad("base_model_name_or_path is not a text")
    return LoraConfig(
        r=_rank("r", members.get("r")),
        alpha=_alpha("lora_alpha", members.get("lora_alpha")),
        rslora=_flag(members, "use_rslora"),
        task=task,
        base=base or None,
        ranks=_patterns(members, "rank_pattern", _rank),
        alphas=_patterns(members, "alpha_pattern", _alpha),
    )


def check_uniform(config: LoraConfig) -> None:
    """Refuse what engines would serve wrongly or not at all. Raises `BundleRefused`."""
    if config.ranks or config.alphas:
        detail = f"{CONFIG} has ranks or alphas per module; engines serve one: run `concilium adapters export` first"
        raise BundleRefused(Refusal.MIXED_RANKS, detail, file=CONFIG)
    if config.rslora:
        detail = f"{CONFIG} has use_rslora, which engines may overlook; run `concilium adapters export` first"
        raise BundleRefused(Refusal.RSLORA, detail, file=CONFIG)


def write(*, rank: int, alpha: float, modules: Iterable[str], task: str | None) -> bytes:
    """Return the configuration of a uniform LoRA; modules by their full names, and no base to be fetched."""
    return strict_json.dump(
        {
            "alpha_pattern": {},
            "base_model_name_or_path": None,
            "bias": "none",
            "fan_in_fan_out": False,
            "inference_mode": True,
            "lora_alpha": int(alpha) if float(alpha).is_integer() else alpha,
            "lora_dropout": 0.0,
            "modules_to_save": None,
            "peft_type": "LORA",
            "r": rank,
            "rank_pattern": {},
            "target_modules": sorted(modules, key=natural),
            "task_type": task,
            "use_dora": False,
            "use_rslora": False,
        }
    )


def _refuse_variants(members: Mapping[str, JSON]) -> None:
    """Refuse members that change what the adapter computes; the empty values of any member mean nothing."""
    if members.get("use_dora"):
        raise dora(CONFIG)
    if members.get("modules_to_save"):
        detail = (
            f"{CONFIG} has modules_to_save: whole weights that would replace the base's for everybody; train without"
        )
        raise BundleRefused(Refusal.MODULES_TO_SAVE, detail, file=CONFIG)
    if members.get("bias") not in (None, "none"):
        raise _unsupported("bias", members["bias"])
    start = members.get(_CHANGES_BASE, True)
    if start not in _PLAIN_STARTS:
        raise _unsupported(_CHANGES_BASE, start)
    for name in sorted(set(members) - _KNOWN):
        if members[name] not in (None, False, [], {}, ""):
            raise _unsupported(name, members[name])


def _patterns(members: Mapping[str, JSON], name: str, read: Callable[[str, JSON], T]) -> Patterns[T]:
    value = members.get(name) or {}
    if not isinstance(value, dict):
        raise _bad(f"{name} is not an object")
    try:
        return Patterns({key: read(key, item) for key, item in value.items()})
    except ValueError as error:
        raise _bad(f"{name}: {error}") from error


def _flag(members: Mapping[str, JSON], name: str) -> bool:
    value = members.get(name, False)
    if not isinstance(value, bool):
        raise _bad(f"{name} is neither true nor false")
    return value


def _rank(name: str, value: JSON) -> int:
    if type(value) is not int or value < 1:
        raise _bad(f"the rank {ascii(name)[:80]} is {ascii(value)[:60]}; a whole number over 0 is taken")
    if value > RANK_MAX:
        detail = f"{CONFIG}: the rank {ascii(name)[:80]} is over {RANK_MAX}, the largest that engines serve"
        raise BundleRefused(Refusal.RANK_TOO_HIGH, detail, file=CONFIG)
    return value


def _alpha(name: str, value: JSON) -> float:
    if type(value) not in (int, float) or not 0 < value <= 10**6 or not isfinite(value):
        raise _bad(f"{ascii(name)[:80]} is {ascii(value)[:60]}; a number over 0 and up to a million is taken")
    return float(value)


def _bad(why: str) -> BundleRefused:
    return BundleRefused(Refusal.BAD_CONFIG, f"{CONFIG}: {why}", file=CONFIG)


def _unsupported(name: str, value: JSON) -> BundleRefused:
    detail = f"{CONFIG}: {name} is {ascii(value)[:60]}, which makes it more than a plain LoRA of linear layers"
    return BundleRefused(Refusal.UNSUPPORTED, detail, file=CONFIG)
