"""Has vLLM's own parser read launch lines, and its configuration judge a stretched context; runs beside vLLM.

    python read_lines.py <file>

The file holds ``lines`` (by name, what follows ``vllm serve``), a ``model``, and the ``context`` that it has.
"""

import json
import sys
from pathlib import Path

from vllm.config import ModelConfig
from vllm.entrypoints.launchers.cli_args import make_arg_parser
from vllm.utils.argparse_utils import FlexibleArgumentParser

SHOWN = ("max_model_len", "kv_cache_dtype", "tensor_parallel_size", "lora_target_modules", "max_lora_rank")


def main(path: Path) -> None:
    """Print what was read, as JSON."""
    asked = json.loads(path.read_text())
    parser = make_arg_parser(FlexibleArgumentParser())
    read = {name: vars(parser.parse_args(words)) for name, words in asked["lines"].items()}
    context = asked["context"]
    rope = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": context, "rope_theta": 1000000}
    print(
        json.dumps(
            {
                "lines": {name: {key: values[key] for key in SHOWN} for name, values in read.items()},
                "stretched": _longest(
                    asked["model"], 4 * context, {"max_position_embeddings": 4 * context, "rope_parameters": rope}
                ),
                "unstretched": _longest(asked["model"], 4 * context, {"rope_parameters": rope}),
            }
        )
    )


def _longest(model: str, tokens: int, overrides: dict[str, object]) -> int | str:
    """Return the longest context that vLLM allows, or why it does not."""
    try:
        return int(ModelConfig(model=model, max_model_len=tokens, hf_overrides=overrides).max_model_len)
    except ValueError as error:
        return str(error)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
