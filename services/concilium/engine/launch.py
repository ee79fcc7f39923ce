"""The line that starts vLLM, built from a profile of ``configs/models.yaml``."""

import json
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from concilium.contracts.base import JSON
from concilium.contracts.errors import Invalid
from concilium.contracts.models import ModelSpec, Profile

ENVIRONMENT = {"VLLM_ALLOW_RUNTIME_LORA_UPDATING": "1", "VLLM_NO_USAGE_STATS": "1"}
"""Set for vLLM beside the key: adapters come and go while it runs, and nobody is told of its use."""
_COMPACT = {"backend": "xgrammar", "disable_any_whitespace": True}
"""JSON under a schema without blanks between its parts: a model can otherwise go on making blanks for ever."""


@dataclass(frozen=True, slots=True)
class Launch:
    """A launch line in parts."""

    model: str
    """A folder, or a repository's name."""
    flags: Mapping[str, tuple[str, ...]]
    """Names without dashes, in order; an empty tuple for a flag alone."""

    @property
    def arguments(self) -> list[str]:
        """What follows ``vllm serve``."""
        words = [self.model]
        for name, values in self.flags.items():
            words += [f"--{name}={values[0]}"] if len(values) == 1 else [f"--{name}", *values]
        return words

    def line(self, key_file: Path) -> str:
        """Return the line for a shell. The key comes from its file and is no argument: ``ps`` shows those."""
        settings = [f"{name}={value}" for name, value in ENVIRONMENT.items()]
        key = f'VLLM_API_KEY="$(cat {shlex.quote(str(key_file))})"'
        return " ".join([key, *settings, "vllm", "serve", *map(shlex.quote, self.arguments)])


def launch(name: str, spec: ModelSpec, profile: Profile, *, model: str, host: str, port: int) -> Launch:
    """Return how vLLM is started.

    Args:
        name: of the profile, for errors.
        spec: its model.
        profile: the profile.
        model: folder or repository of the weights.
        host: where it listens.
        port: there.

    Raises:
        Invalid: a further flag of the profile says what the profile says elsewhere.
    """
    flags: dict[str, JSON] = {
        "served-model-name": profile.model,
        "host": host,
        "port": port,
        "max-model-len": profile.context_tokens,
        "max-num-seqs": profile.streams,
        "gpu-memory-utilization": profile.split["brain"],
        "tensor-parallel-size": profile.cards,
        "quantization": spec.weights[profile.precision].quantization or None,
        "kv-cache-dtype": profile.kv_cache,
        "hf-overrides": _stretched(spec, profile.context_tokens),
        "structured-outputs-config": _COMPACT,
        "reasoning-parser": spec.reasoning_parser or None,
        "enable-auto-tool-choice": bool(spec.tool_parser),
        "tool-call-parser": spec.tool_parser or None,
        # Without it arguments are any JSON, unless a request calls each of its tools strict.
        "tool-strict-level": "parameter" if spec.tool_parser else None,
        **_loras(profile),
    }
    twice = sorted(set(flags) & set(profile.flags))
    if twice:
        raise Invalid(f"profiles.{name}.flags: {', '.join(twice)} follows from the profile and is not set there")
    found = {flag: _words(value) for flag, value in (flags | dict(profile.flags)).items()}
    return Launch(model, {flag: words for flag, words in found.items() if words is not None})


def _stretched(spec: ModelSpec, tokens: int) -> JSON:
    """Return the changes to ``config.json`` that a context beyond the model's own needs.

    vLLM takes ``max_position_embeddings`` as the longest context, already stretched.
    """
    yarn = spec.yarn
    if tokens <= spec.context_tokens or yarn is None:
        return None
    rope = {
        "rope_type": "yarn",
        "factor": tokens / yarn.from_tokens,
        "original_max_position_embeddings": yarn.from_tokens,
        "rope_theta": yarn.rope_theta,
    }
    return {"max_position_embeddings": tokens, "rope_parameters": rope}


def _loras(profile: Profile) -> dict[str, JSON]:
    loras = profile.loras
    if loras is None:
        return {}
    return {
        "enable-lora": True,
        "max-loras": loras.slots,
        "max-cpu-loras": loras.in_memory,
        "max-lora-rank": loras.rank,
        "lora-target-modules": list(loras.modules),
    }


def _words(value: JSON) -> tuple[str, ...] | None:
    """Return a flag's values as words: none for true, and None (no flag) for false and null."""
    if value is None or value is False:
        return None
    if value is True:
        return ()
    if isinstance(value, list | tuple):
        return tuple(map(str, value))
    return (json.dumps(value, separators=(",", ":")) if isinstance(value, dict) else str(value),)
