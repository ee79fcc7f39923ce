"""A base model and a bundle for it."""

from pathlib import Path

import pytest

from concilium.adapters.base_model import BaseModelFacts
from concilium.adapters.bundle import Bundle
from support.adapters import make_base, make_bundle


@pytest.fixture
def base(tmp_path: Path) -> BaseModelFacts:
    return make_base(tmp_path / "base")


@pytest.fixture
def bundle(tmp_path: Path, base: BaseModelFacts) -> Bundle:
    """A valid bundle in ``tmp_path / "sport"``."""
    return make_bundle(tmp_path / "sport", base)
