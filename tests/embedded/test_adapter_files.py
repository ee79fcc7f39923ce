"""Adapters that are refused, each with what is wrong about it, before anything of them is served."""

import json
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from support.embedded.server import EmbeddedServer

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
Q0 = "model.layers.0.self_attn.q_proj"


def set_config(**changes: Any) -> Callable[[Path], None]:
    """Return what changes settings of ``adapter_config.json``."""

    def spoil(folder: Path) -> None:
        config = json.loads((folder / CONFIG).read_text())
        (folder / CONFIG).write_text(json.dumps({**config, **changes}))

    return spoil


def set_header(change: Callable[[dict[str, Any]], object]) -> Callable[[Path], None]:
    """Return what changes the header of the weights."""

    def spoil(folder: Path) -> None:
        raw = (folder / WEIGHTS).read_bytes()
        size = struct.unpack("<Q", raw[:8])[0]
        header = json.loads(raw[8 : 8 + size])
        change(header)
        new = json.dumps(header).encode()
        (folder / WEIGHTS).write_bytes(struct.pack("<Q", len(new)) + new + raw[8 + size :])

    return spoil


def rename(new: str) -> Callable[[Path], None]:
    """Return what gives the matrices of a module to another one."""

    def change(header: dict[str, Any]) -> None:
        for side in "AB":
            header[f"base_model.model.{new}.lora_{side}.weight"] = header.pop(KEY.replace("lora_A", f"lora_{side}"))

    return set_header(change)


def odd(header: dict[str, Any]) -> None:
    """Give a tensor a name that no LoRA has."""
    header[f"base_model.model.{Q0}.weight"] = header.pop(KEY)


def transpose(key: str) -> Callable[[Path], None]:
    """Return what turns a tensor's shape round."""
    return set_header(lambda header: header[key]["shape"].reverse())


def write(name: str, data: bytes) -> Callable[[Path], None]:
    """Return what replaces a file."""
    return lambda folder: (folder / name).write_bytes(data) and None


def not_a_number(folder: Path) -> None:
    """Put a NaN at the end of the weights."""
    raw = bytearray((folder / WEIGHTS).read_bytes())
    raw[-4:] = struct.pack("<f", float("nan"))
    (folder / WEIGHTS).write_bytes(raw)


def only_pickle(folder: Path) -> None:
    """Leave the weights as a pickle alone."""
    (folder / WEIGHTS).rename(folder / "adapter_model.bin")


KEY = f"base_model.model.{Q0}.lora_A.weight"
CASES: dict[str, tuple[Callable[[Path], object], int, str]] = {
    "no folder": (shutil.rmtree, 404, "cannot be read"),
    "pickle": (only_pickle, 404, "adapter_model.safetensors cannot be read"),
    "no configuration": (write(CONFIG, b"[]"), 400, "no configuration of a LoRA adapter"),
    "another method": (set_config(peft_type="IA3"), 400, "IA3"),
    "rank of text": (set_config(r="4"), 400, "positive integer"),
    "rank zero": (set_config(r=0), 400, "positive integer"),
    "DoRA": (set_config(use_dora=True), 400, "DoRA"),
    "mixed ranks": (set_config(rank_pattern={"q_proj": 8}), 400, "rank_pattern"),
    "whole modules": (set_config(modules_to_save=["lm_head"]), 400, "modules_to_save"),
    "fused experts": (set_config(target_parameters=["mlp.experts.gate_up_proj"]), 400, "fused expert"),
    "biases": (set_config(bias="all"), 400, "biases"),
    "other rank than said": (
        set_config(r=8),
        400,
        "mlp.down_proj: lora_A has shape [4, 128], the base model and r = 8 need [8, 128]",
    ),
    "wrong shape": (transpose(KEY), 400, f"{Q0}: lora_A has shape [64, 4], the base model and r = 4 need [4, 64]"),
    "garbage": (write(WEIGHTS, b"garbage" * 100), 400, "no safetensors file"),
    "nothing": (write(WEIGHTS, b""), 400, "no safetensors file"),
    "cut off": (lambda f: write(WEIGHTS, (f / WEIGHTS).read_bytes()[:-9])(f), 400, "no safetensors file"),
    "unknown module": (rename(Q0.replace("q_proj", "qq_proj")), 400, "no linear layer"),
    "unknown layer": (rename(Q0.replace("layers.0", "layers.9")), 400, "model.layers.9.self_attn.q_proj"),
    "output layer": (rename("lm_head"), 400, "no linear layer lm_head"),
    "one side": (set_header(lambda header: header.pop(KEY)), 400, "safetensors"),
    "other tensors": (set_header(odd), 400, "is not served"),
    "not a number": (not_a_number, 400, "not a finite number"),
}


@pytest.mark.parametrize("case", CASES)
def test_an_adapter_that_does_not_fit_is_refused(
    server: EmbeddedServer, models: Path, tmp_path: Path, case: str
) -> None:
    spoil, wanted, told = CASES[case]
    folder = tmp_path / "adapter"
    shutil.copytree(models / "red", folder)
    spoil(folder)
    status, answer = server.load("bad", folder)
    assert (status, answer["error"]["param"]) == (wanted, "lora_path"), answer
    assert told in answer["error"]["message"]
    _, listed = server.call("GET", "/v1/models")
    assert "bad" not in {card["id"] for card in listed["data"]}
    assert server.call("POST", "/v1/completions", {"model": "bad", "prompt": "x"})[0] == 404


def test_an_adapter_for_which_there_is_no_room_is_refused(server: EmbeddedServer, models: Path, tmp_path: Path) -> None:
    shutil.copytree(models / "red", tmp_path / "vast")
    with (tmp_path / "vast" / WEIGHTS).open("r+b") as weights:
        weights.truncate(2 << 30)  # sparse: it takes no disk
    status, answer = server.load("vast", tmp_path / "vast")
    assert (status, answer["error"]["code"]) == (400, "no_room")


def test_no_adapter_takes_the_name_of_the_base_model(server: EmbeddedServer, models: Path) -> None:
    assert server.load("tiny", models / "red")[0] == 400
    assert server.load("tiny", models / "red", inplace=True)[0] == 400
