"""The line that starts vLLM: what is in it, what is refused, and that docker-compose.yml has it."""

import json
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from concilium.cli.app import app
from concilium.cli.commands.engine import of_compose
from concilium.contracts.errors import Invalid, NotFound
from concilium.contracts.modes import ModelsConfig, parse_models
from concilium.engine import flags, profiles
from concilium.engine.launch import launch
from concilium.home import shipped

TEXT = (shipped("configs") / "models.yaml").read_text(encoding="utf-8")
COMPOSE = Path("docker-compose.yml")


@pytest.fixture(scope="module")
def models() -> ModelsConfig:
    return parse_models(TEXT)


def changed(name: str, **values: Any) -> ModelsConfig:
    data = yaml.safe_load(TEXT)
    data["profiles"][name] |= values
    return parse_models(yaml.safe_dump(data))


def given(models: ModelsConfig, name: str) -> dict[str, tuple[str, ...]]:
    it = profiles.choose(models, name)
    made = launch(name, it.spec, it.profile, model="/m", host="127.0.0.1", port=8000)
    return dict(made.flags)


def test_every_flag_of_every_profile_is_one_of_vllms(models: ModelsConfig) -> None:
    for name in models.profiles:
        flags.shipped().check(given(models, name))


def test_a_long_context_is_stretched_by_yarn_and_a_short_one_is_not(models: ModelsConfig) -> None:
    long = json.loads(given(models, "qwen3-96gb")["hf-overrides"][0])
    assert long == {
        "max_position_embeddings": 131072,
        "rope_parameters": {
            "rope_type": "yarn",
            "factor": 4.0,
            "original_max_position_embeddings": 32768,
            "rope_theta": 1000000,
        },
    }
    assert "hf-overrides" not in given(models, "qwen3-24gb")


def test_an_invented_flag_is_named_with_the_nearest_real_one() -> None:
    models = changed("qwen3-48gb", flags={"max-lora-ranks": 16, "zzzz": True})
    with pytest.raises(
        Invalid, match=r"no flag --max-lora-ranks; the nearest is --max-lora-rank; there is no flag --zzzz$"
    ):
        flags.shipped().check(given(models, "qwen3-48gb"))


def test_a_value_that_a_flag_does_not_take_is_named() -> None:
    models = changed("qwen3-48gb", flags={"tokenizer-mode": "auto", "mm-encoder-tp-mode": "sideways"})
    with pytest.raises(Invalid, match=r"--mm-encoder-tp-mode takes data, weights, not sideways"):
        flags.shipped().check(given(models, "qwen3-48gb"))


def test_a_further_flag_cannot_say_again_what_the_profile_says() -> None:
    models = changed("qwen3-48gb", flags={"max-model-len": 5})
    with pytest.raises(Invalid, match=r"profiles\.qwen3-48gb\.flags: max-model-len follows from the profile"):
        given(models, "qwen3-48gb")


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"context_tokens": 200_000}, "qwen3-30b-a3b reads at most 131072 tokens, not 200000"),
        ({"loras": {"slots": 1, "in_memory": 1, "rank": 24, "modules": ["q_proj"]}}, "should be 1, 8, 16, 32, 64"),
        ({"loras": {"slots": 4, "in_memory": 2, "rank": 8, "modules": ["q_proj"]}}, "cannot be less"),
        ({"model": "gpt"}, "there is no model gpt"),
        ({"instead": ["nobody"]}, "there is no profile nobody"),
        ({"split": {"brain": 1.2}}, r"profiles.qwen3-48gb.split.brain"),
        ({"cadrs": 2}, r"profiles.qwen3-48gb.cadrs"),
    ],
)
def test_a_profile_that_makes_no_sense_is_refused_by_name(values: dict[str, Any], said: str) -> None:
    with pytest.raises(Invalid, match=said):
        changed("qwen3-48gb", **values)


def test_a_precision_that_the_model_is_not_stored_in_is_refused() -> None:
    data = yaml.safe_load(TEXT)
    del data["models"]["qwen3-8b"]["weights"]["int4"]
    with pytest.raises(Invalid, match="qwen3-8b has no weights in int4, but bf16, fp8"):
        parse_models(yaml.safe_dump(data))


def test_an_unknown_profile_is_refused_with_those_there_are(models: ModelsConfig) -> None:
    with pytest.raises(NotFound, match=r"no profile 'qwen'; models.yaml has qwen3-96gb, "):
        profiles.choose(models, "qwen")


def test_a_card_that_is_too_small_is_refused_by_how_much_and_with_what_helps(models: ModelsConfig) -> None:
    with pytest.raises(Invalid) as refused:
        profiles.refuse_if_too_large(models, profiles.choose(models, "qwen3-16gb"))
    said = refused.value.detail
    assert "weights in int4 16.8 GB" in said
    assert "against 14.4 GB (90% of 16 GB), 6.1 GB too little" in said
    assert "the profile qwen3-8b-16gb; or a GGUF server beside the mesh" in said


def test_what_would_make_a_profile_fit_is_said() -> None:
    models = changed("qwen3-24gb", kv_cache="auto")
    with pytest.raises(Invalid, match="What helps: context_tokens of at most 31162; or kv_cache: fp8; or a GGUF"):
        profiles.refuse_if_too_large(models, profiles.choose(models, "qwen3-24gb"))


def test_modes_that_a_context_is_too_small_for_are_said(models: ModelsConfig) -> None:
    found = profiles.mode_problems(models, models.profiles["qwen3-24gb"])
    assert found == [
        "mode code takes prompts of 28672 tokens here, not 53248",
        "mode deep asks for 40960 tokens of answer: more than the context of this profile",
    ]
    assert profiles.mode_problems(models, models.profiles["qwen3-96gb"]) == []


def test_the_gpu_profile_of_compose_has_exactly_the_line_of_its_profile(models: ModelsConfig) -> None:
    written = yaml.safe_load(COMPOSE.read_text(encoding="utf-8"))["services"]["vllm"]["command"]
    assert written == of_compose(profiles.choose(models, "qwen3-48gb")).arguments


class TestCommand:
    """``concilium engine …`` as it is typed; no vLLM is installed beside it."""

    @pytest.fixture
    def ask(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
        monkeypatch.setenv("CONCILIUM_HOME", str(tmp_path))
        monkeypatch.setenv("PATH", str(tmp_path))
        return lambda *words: CliRunner().invoke(app, list(words))

    def test_prints_a_line_that_a_shell_reads_as_the_arguments(self, ask: Any, models: ModelsConfig) -> None:
        found = ask("engine", "command", "qwen3-48gb")
        assert found.exit_code == 0, found.stderr
        words = shlex.split(found.stdout)
        at = words.index("serve")
        it = profiles.choose(models, "qwen3-48gb")
        made = launch(it.name, it.spec, it.profile, model=it.repository, host="127.0.0.1", port=8000)
        assert words[at + 1 :] == made.arguments
        assert words[0].startswith("VLLM_API_KEY=$(cat ")
        assert "checked against the list kept of vLLM 0.32.0" in found.stderr

    def test_prints_an_override_for_compose(self, ask: Any, models: ModelsConfig) -> None:
        found = ask("engine", "command", "qwen3-24gb", "--compose")
        made = yaml.safe_load(found.stdout)["services"]["vllm"]["command"]
        assert made == of_compose(profiles.choose(models, "qwen3-24gb")).arguments

    def test_takes_weights_that_were_pulled(self, ask: Any, tmp_path: Path) -> None:
        place = tmp_path / "models" / "Qwen--Qwen3-30B-A3B-FP8"
        place.mkdir(parents=True)
        (place / "config.json").write_text("{}")
        assert "serve Qwen/Qwen3-30B-A3B-FP8 " in ask("engine", "command", "qwen3-48gb").stdout
        (place / ".pulled.json").write_text('{"source": "x", "files": {}}')
        assert f"serve {place} " in ask("engine", "command", "qwen3-48gb").stdout

    def test_shows_what_each_profile_needs(self, ask: Any, models: ModelsConfig) -> None:
        found = json.loads(ask("engine", "profiles", "--json").stdout)
        assert set(found) == set(models.profiles)
        assert [name for name, it in found.items() if not it["fits"]] == ["qwen3-16gb"]

    def test_a_vllm_that_is_none_is_said(self, ask: Any, tmp_path: Path) -> None:
        program = tmp_path / "vllm"
        program.write_text("#!/bin/sh\necho nothing\n")
        program.chmod(0o755)
        found = ask("engine", "command", "qwen3-48gb")
        assert found.exit_code != 0
        assert "does not list vLLM's flags" in str(found.exception)

    def test_fit_computes_for_any_card(self, ask: Any) -> None:
        found = json.loads(ask("models", "fit", "--card-gb", "24", "--json").stdout)
        assert [(it["precision"], it["kv_cache"]) for it in found if not it["missing"]] == [("int4", "fp8")]
        assert ask("models", "fit", "--rank", "12").exit_code != 0
