"""What the test model is made of and asked; read in both environments."""

import string
from typing import Any

WORDS = ("the", " quick", " brown", " fox", " dog", " sleeps", " лукоморья", " дуб", " зелёный", *string.ascii_letters)
PROMPTS = ("the quick brown fox", "hello", "у лукоморья дуб", "1 2 3 4 5 6 7 8 9 the dog sleeps; over the lazy dog")
GENERATED = 24
ADAPTERS: dict[str, dict[str, Any]] = {
    "red": {"r": 4, "lora_alpha": 8},
    "green": {"r": 8, "lora_alpha": 8, "use_rslora": True},
    "blue": {"r": 4, "lora_alpha": 16},
    "grey": {"r": 16, "lora_alpha": 16},
}
"""By name: the settings of ``adapter_config.json``."""
POISON = 3
"""A token that the test model's tokenizer gives to no text of the tests."""
