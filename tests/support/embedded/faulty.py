"""The embedded engine with a model that fails in the middle of its layers when a prompt holds a certain token."""

import sys
from typing import Any

import concilium.engine.embedded.__main__ as program
from concilium.engine.embedded import serving
from support.embedded.words import POISON

_load = serving.load_model


def _load_faulty(*arguments: Any) -> Any:
    model = _load(*arguments)
    net = model._net.model
    met = []

    def look(_: Any, inputs: Any) -> None:
        met[:] = [bool((inputs[0] == POISON).any())]

    def fail(*_: Any) -> None:
        if met[0]:
            raise RuntimeError("poisoned")

    net.embed_tokens.register_forward_pre_hook(look)
    net.layers[1].mlp.register_forward_pre_hook(fail)
    return model


if __name__ == "__main__":
    serving.load_model = _load_faulty
    sys.exit(program.main())
