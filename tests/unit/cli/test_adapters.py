"""`concilium adapters …` as a person runs it: from a trained LoRA to a checked bundle, and how it refuses."""

import builtins
import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from concilium.cli.app import run
from support.adapters import OTHER, lora_arrays, make_base, make_peft

Q0 = "model.layers.0.self_attn.q_proj"
BOTH = {"en": "A private view", "ru": "Частная точка зрения"}


@pytest.fixture
def trained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder, with a base model, a LoRA of mixed ranks, a licence and a file of facts."""
    monkeypatch.chdir(tmp_path)
    make_base(tmp_path / "qwen")
    make_peft(tmp_path / "lora", lora_arrays(ranks={Q0: 6}), rank_pattern={Q0: 6}, use_rslora=True)
    (tmp_path / "LICENSE").write_text("CC0 1.0 Universal\n")
    view = {"id": "flat-earth", "title": BOTH, "warning_text": BOTH, "allowed_topics": ["shape of the earth"]}
    said = {"id": "sport", "version": "1.2.0", "capability": "topic.sport", "paradigm": view}
    (tmp_path / "facts.yaml").write_text(yaml.safe_dump(said, allow_unicode=True), encoding="utf-8")
    return tmp_path


def pack(source: str, target: str, *more: str) -> int:
    command = ["adapters", "pack", source, target, "--base", "qwen", "--facts", "facts.yaml", "--license", "LICENSE"]
    return run([*command, *more])


def told(capsys: pytest.CaptureFixture[str]) -> Any:
    return json.loads(capsys.readouterr().out)


def test_a_trained_lora_becomes_a_checked_bundle(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert pack("lora", "sport") == 1
    assert "concilium adapters export" in capsys.readouterr().err
    assert run(["adapters", "export", "lora", "uniform", "--json"]) == 0
    assert told(capsys) == {"folder": "uniform", "rank": 8, "dtype": "F32", "modules": 4}
    assert pack("uniform", "sport", "--json") == 0
    made = told(capsys)
    assert made["served_name"] == f"sport@1.2.0+{made['digest'][:12]}"
    assert run(["adapters", "check", "sport", "--base", "qwen", "--json"]) == 0
    assert told(capsys) == {"digest": made["digest"], "served_name": made["served_name"], "base_checked": True}
    assert run(["adapters", "show", "sport"]) == 0
    shown = capsys.readouterr().out
    assert "sport@1.2.0" in shown
    assert "Частная точка зрения" in shown


def test_a_refusal_is_an_exit_code_and_its_code(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_base(trained / "large", OTHER)
    run(["adapters", "export", "lora", "uniform"])
    pack("uniform", "sport")
    capsys.readouterr()
    assert run(["adapters", "check", "sport", "--base", "large", "--json"]) == 1
    refused = told(capsys)
    assert (refused["refused"], refused["module"]) == ("base-mismatch", Q0)
    (trained / "sport" / "extra.bin").touch()
    assert run(["adapters", "show", "sport"]) == 1
    assert "error: pickle: extra.bin" in capsys.readouterr().err


def test_adapters_are_composed_and_found_again(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(["adapters", "export", "lora", "uniform"])
    pack("uniform", "sport")
    shutil.copytree("sport", "copy")
    capsys.readouterr()
    compose = ["adapters", "compose", "sport", "copy", "--store", "store", "--weight", "1", "--weight", "0.5", "--json"]
    assert run(compose) == 0
    made = told(capsys)
    assert made["manifest"]["composition"] == {"method": "cat", "weights": [1.0, 0.5], "error": 0.0}
    assert run(compose) == 0
    assert told(capsys)["digest"] == made["digest"]
    assert run([*compose, "--max-rank", "8"]) == 1
    assert told(capsys)["refused"] == "rank-too-high"
    assert run([*compose, "--method", "linear"]) == 1
    assert told(capsys)["refused"] == "linear"
    assert run(["adapters", "compose", "sport", "--store", "store"]) == 2


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("id: sport", "version: Field required"),
        ("id: Спорт\nversion: 1.2.0\ncapability: a", "id: String should match"),
        ("{", "cannot be read"),
        ("", "the file: Input should be"),
    ],
)
def test_facts_that_do_not_fit_are_refused_by_name(
    trained: Path, capsys: pytest.CaptureFixture[str], content: str, said: str
) -> None:
    (trained / "facts.yaml").write_text(content, encoding="utf-8")
    assert pack("lora", "sport") == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("absent", ["numpy", "safetensors"])
def test_without_its_extra_the_command_names_it(
    trained: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], absent: str
) -> None:
    for name in [name for name in sys.modules if name.startswith("concilium.adapters")]:
        monkeypatch.delitem(sys.modules, name)
    found = builtins.__import__

    def without(name: str, *rest: Any) -> Any:
        if name.partition(".")[0] == absent:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name.partition(".")[0])
        return found(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    assert run(["adapters", "export", "lora", "uniform"]) == 1
    said = capsys.readouterr().err
    assert f"adapters need {absent}" in said
    assert "concilium[adapters]" in said
