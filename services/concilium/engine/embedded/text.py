"""What the tokenizer of a model knows: chat templates, tokens and their text."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jinja2
from tokenizers import Tokenizer
from transformers import AutoTokenizer

from concilium.engine.embedded.refusal import invalid
from concilium.engine.embedded.written import Written


class Text:
    """The tokenizer of the served model; may be used from several threads."""

    def __init__(self, folder: Path) -> None:
        self._tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        # The Rust tokenizer: transformers' wrapper sets its truncation on each call, which threads must not share.
        self._core: Tokenizer = self._tokenizer.backend_tokenizer
        self._core.no_padding()
        self._core.no_truncation()

    @property
    def end(self) -> int | None:
        """The token that ends a text."""
        return self._tokenizer.eos_token_id

    def to_json(self) -> str:
        """Return the tokenizer as ``tokenizer.json`` holds it."""
        return str(self._core.to_str())

    def encode(self, text: str, *, special: bool) -> list[int]:
        """Return the tokens of a text; ``special`` adds those that every text begins or ends with."""
        return list(self._core.encode(text, add_special_tokens=special).ids)

    def chat(self, messages: Sequence[dict[str, Any]], settings: dict[str, Any]) -> list[int]:
        """Return the tokens of a conversation after which the model answers.

        Args:
            messages: role and content of each.
            settings: variables of the model's template, such as ``enable_thinking``.

        Raises:
            Refusal: the template takes no such conversation, or there is no template.
        """
        try:
            text = self._tokenizer.apply_chat_template(
                list(messages), tokenize=False, add_generation_prompt=True, **settings
            )
        except (jinja2.TemplateError, ValueError, TypeError) as error:
            raise invalid(f"the model's chat template refuses this: {error}", "invalid_messages", "messages") from error
        return self.encode(text, special=False)

    def written(self, stops: Sequence[str]) -> Written:
        """Return what turns a row's tokens into text."""
        return Written(self._core, stops)

    def decode(self, tokens: Sequence[int]) -> str:
        """Return the text of tokens, special ones included."""
        return str(self._core.decode(list(tokens), skip_special_tokens=False))

    def token(self, token: int) -> str:
        """Return the text of one token."""
        return self.decode([token])
