"""Answers held to a JSON schema while they are written, by llguidance."""

from typing import Any

import llguidance

from concilium.engine.embedded.refusal import Refusal, invalid

_JSON_OBJECT = {"type": "object"}
_COMPACT = {"whitespace_flexible": False}
"""A model that is free to write white space may write nothing else."""


class Grammars:
    """Makes matchers for one tokenizer."""

    def __init__(self, tokenizer_json: str, vocabulary: int, ends: list[int]) -> None:
        self._tokens = llguidance.LLTokenizer(tokenizer_json, n_vocab=vocabulary, eos_token=ends or None)

    def of_format(self, wanted: dict[str, Any] | None) -> "SchemaGrammar | None":
        """Return what enforces an OpenAI ``response_format``; None: the text is free.

        Raises:
            Refusal: the schema is none, or has what cannot be enforced.
        """
        kind = "text" if wanted is None else wanted["type"]
        if kind == "text" or wanted is None:
            return None
        schema = _JSON_OBJECT if kind == "json_object" else wanted["json_schema"]["schema"]
        try:
            source = llguidance.LLMatcher.grammar_from_json_schema(schema, defaults=_COMPACT)
        except ValueError as error:
            raise _refused(str(error)) from error
        matcher = llguidance.LLMatcher(self._tokens, source)
        if matcher.is_error():
            raise _refused(matcher.get_error())
        return SchemaGrammar(matcher)


def _refused(reason: str) -> Refusal:
    return invalid(f"the schema cannot be enforced: {reason[:500]}", "invalid_schema", "response_format")


class SchemaGrammar:
    """How far one answer is in its grammar."""

    def __init__(self, matcher: Any) -> None:
        self._matcher = matcher

    def allowed(self) -> bytes:
        """Return one bit per token, the lowest first: which may come next."""
        return bytes(self._matcher.compute_bitmask())

    def take(self, token: int) -> bool:
        """Go on with that token; return whether the answer is complete.

        Raises:
            ValueError: the grammar does not allow it, or became too large.
        """
        if not self._matcher.consume_token(token):
            raise ValueError(self._matcher.get_error())
        return bool(self._matcher.is_stopped())
