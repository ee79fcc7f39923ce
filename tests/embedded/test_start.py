"""How the server begins: it answers while it loads, and says why it cannot serve."""

import re
from pathlib import Path

from support.embedded.server import EmbeddedServer, run_in_environment


def test_tells_how_far_the_loading_is_and_refuses_work_until_then(models: Path, tmp_path: Path) -> None:
    server = EmbeddedServer(models / "tiny", tmp_path)
    server.launch()
    try:
        server.wait_for_any_answer()
        status, answer = server.call("GET", "/v1/models")
        assert (status, answer["error"]["code"]) == (503, "model_loading")
        assert server.call("GET", "/health")[0] == 200
        said = server.wait()
    finally:
        server.stop()
    assert said[-1] == "ready"
    assert len(said) > 1
    assert all(re.fullmatch(r"model loading, \d+ %", text) for text in said[:-1])


def test_says_why_a_model_cannot_be_served(models: Path, tmp_path: Path) -> None:
    """All in one process: most of its time goes into importing PyTorch."""
    told = run_in_environment("support.embedded.unserved", str(models / "tiny"), str(tmp_path))
    assert told == {
        "no configuration": "config.json",
        "only a pickle": "model.safetensors",
        "sliding windows": "sliding windows",
        "too long a context": "lower --context",
        "too little memory": "lower --slots or --context",
        "no CUDA": "no CUDA device",
    }


def test_serves_families_whose_attention_is_plain_and_no_other() -> None:
    attention, dense = ["k_proj", "o_proj", "q_proj", "v_proj"], ["down_proj", "gate_proj", "up_proj"]
    told = run_in_environment("support.embedded.families")
    assert told == {
        "llama": sorted([*attention, *dense]),
        "qwen2": sorted([*attention, *dense]),
        "qwen3_moe": attention,
        "gemma2": "not served",
    }


def test_a_server_that_cannot_serve_ends_with_the_reason(tmp_path: Path) -> None:
    server = EmbeddedServer(tmp_path / "nothing", tmp_path)
    assert server.launch().wait(timeout=280) == 1
    assert "config.json" in server.said()


def test_a_command_that_makes_no_sense_is_refused(models: Path, tmp_path: Path) -> None:
    server = EmbeddedServer(models / "tiny", tmp_path, ("--secret-file", str(tmp_path / "none.key")))
    assert server.launch().wait(timeout=280) == 2
    assert "no secret" in server.said()
