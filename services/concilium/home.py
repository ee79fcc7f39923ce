"""The one place that knows where files are: ``CONCILIUM_HOME``, the packaged defaults, the secrets."""

import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import yaml
from pydantic import TypeAdapter, ValidationError

from concilium.contracts.adapter_terms import AdapterTerms, parse_adapter_terms
from concilium.contracts.config import MeshConfig, parse_config
from concilium.contracts.errors import Invalid, Unavailable
from concilium.contracts.modes import ModelsConfig, parse_models
from concilium.contracts.money import from_micros
from concilium.contracts.nodes import Joined
from concilium.contracts.prices import Prices, parse_prices
from concilium.contracts.skill import AgentManifest, Catalog
from concilium.keyring import KeyFile

_PORTS = TypeAdapter(dict[str, int])
_ANY = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - compared, not bound
_PACKAGE = Path(__file__).resolve().parent


def shipped(kind: str) -> Path:
    """Return a folder of defaults (``agents``, ``configs``, ``infra``, ``workflows``), of a wheel or a checkout."""
    packaged = _PACKAGE / "share" / kind
    return packaged if packaged.is_dir() else _PACKAGE.parents[1] / kind


def keep_private() -> None:
    """Make what this process and its children write readable by their owner alone, whoever may enter the folder."""
    os.umask(0o077)


@dataclass(frozen=True)
class Home:
    """The folder a mesh lives in."""

    root: Path
    environ: Mapping[str, str]

    @classmethod
    def find(cls, environ: Mapping[str, str] | None = None) -> "Home":
        """Return the home that ``CONCILIUM_HOME`` names, else ``~/.concilium``."""
        env = os.environ if environ is None else environ
        return cls(Path(env.get("CONCILIUM_HOME") or Path.home() / ".concilium").expanduser().resolve(), env)

    @property
    def run(self) -> Path:
        return self.root / "run"

    @property
    def engine_progress(self) -> Path:
        """How far the engine that `concilium engine run` started has loaded; there only while it loads."""
        return self.run / "engine.loading"

    @property
    def backups(self) -> Path:
        """The default place of backups."""
        return self.root / "backups"

    @property
    def last_backup(self) -> Path:
        """The file whose time of change is that of the newest backup, wherever that was written."""
        return self.backups / ".last"

    @property
    def logs(self) -> Path:
        return self.root / "logs"

    @property
    def keys(self) -> Path:
        return self.root / "keys"

    @property
    def trust(self) -> Path:
        """The folder of what this home believes about adapters."""
        return self.root / "trust"

    @property
    def base_models(self) -> tuple[str, ...]:
        """What the engines of this mesh call their base models."""
        engines = (self.config.engine, self.config.vision_engine, self.config.speech_engine)
        return tuple(engine.model for engine in engines if engine.model)

    @property
    def redis_socket(self) -> Path:
        return self.run / "redis.sock"

    @property
    def n8n(self) -> Path:
        """The folder of the n8n that runs beside the mesh: its database, its settings, how it is started."""
        return self.root / "n8n"

    @property
    def n8n_launch(self) -> Path:
        """The file that says how n8n is started; where it is, n8n belongs to the mesh."""
        return self.n8n / "launch.json"

    @property
    def workflows(self) -> Path:
        """The folder of the owner's own n8n workflows."""
        return self.root / "workflows"

    @property
    def callback_allow(self) -> tuple[str, ...]:
        """Private places that callbacks may reach: those the owner lists, and the resume URLs of his n8n here."""
        own = (f"127.0.0.1:{self.config.n8n.port}/webhook-waiting/",) if self.n8n_launch.is_file() else ()
        return (*self.config.callbacks.allow, *own)

    @property
    def control_url(self) -> str:
        """Where the control plane is reached from this machine."""
        gateway = self.config.gateway
        host = _ANY.get(gateway.host, gateway.host)
        return f"http://[{host}]:{gateway.port}" if ":" in host else f"http://{host}:{gateway.port}"

    @property
    def node_records(self) -> Path:
        """The folder where home's end of the links records behind which ports the nodes' agents are."""
        return self.run / "nodes"

    def node_ports(self) -> dict[str, dict[str, int]]:
        """Return, for each node that is enrolled now, the port on this machine for each of its agents."""
        found = {}
        for path in sorted(self.node_records.glob("*.json")):
            with suppress(FileNotFoundError):  # the node was revoked just now
                found[path.stem] = _PORTS.validate_json(path.read_bytes())
        return found

    def agent_state(self, agent: str) -> Path:
        """Return the folder where an agent service keeps its finished tasks."""
        return self.root / "agent-state" / agent

    @cached_property
    def config(self) -> MeshConfig:
        """The configuration: ``mesh.yaml`` here, else the shipped one, with environment overrides. Raises `Invalid`.

        A node starts the agents that it was invited for.
        """
        own = self.root / "mesh.yaml"
        path = own if own.is_file() else shipped("configs") / "mesh.yaml"
        config = parse_config(path.read_text(encoding="utf-8"), self.environ)
        if self.joined is None:
            return config
        agents = config.agents.model_copy(update={"start": self.joined.agents})
        return config.model_copy(update={"agents": agents})

    @cached_property
    def joined(self) -> Joined | None:
        """What this machine has joined a mesh as; None at home. Raises `Invalid` for a file that makes no sense."""
        path = self.root / "node.json"
        try:
            return Joined.model_validate_json(path.read_bytes())
        except FileNotFoundError:
            return None
        except ValidationError as error:
            raise Invalid(f"{path} makes no sense; remove it and join again") from error

    @cached_property
    def prices(self) -> Prices:
        """What nodes and engines cost: ``prices.yaml`` here, else the shipped one.

        Raises `Invalid` when it makes no sense, or its monthly prices alone use up the budget of `config`.
        """
        own = self.root / "prices.yaml"
        path = own if own.is_file() else shipped("configs") / "prices.yaml"
        prices = parse_prices(path.read_text(encoding="utf-8"), str(path) if path == own else path.name)
        budget, owed = self.config.budgets.month, from_micros(sum(prices.monthly.values()))
        if budget and owed >= budget:
            raise Invalid(
                f"budgets.month: {budget} {prices.currency} is used up by the monthly prices of "
                f"{', '.join(sorted(prices.monthly))} alone ({owed:.2f}); no work would be taken"
            )
        return prices

    @cached_property
    def models(self) -> ModelsConfig:
        """How models are asked: ``models.yaml`` here, else the shipped one. Raises `Invalid` when it makes no sense."""
        own = self.root / "models.yaml"
        path = own if own.is_file() else shipped("configs") / "models.yaml"
        return parse_models(path.read_text(encoding="utf-8"), str(path) if path == own else path.name)

    @property
    def adapter_store(self) -> Path:
        """The folder of adapters by digest, which engines see too."""
        return self.root / "adapters" / "store"

    @cached_property
    def adapter_terms(self) -> AdapterTerms:
        """Where adapters are kept and served: ``adapters.yaml`` here, else the shipped one. Raises `Invalid`."""
        own = self.root / "adapters.yaml"
        path = own if own.is_file() else shipped("configs") / "adapters.yaml"
        return parse_adapter_terms(path.read_text(encoding="utf-8"), str(path) if path == own else path.name)

    def with_config(self, config: MeshConfig) -> "Home":
        """Return this home under another configuration than the one that is in it."""
        found = Home(self.root, self.environ)
        vars(found)["config"] = config  # what the cached property would have read
        return found

    @property
    def agents(self) -> Path:
        """The folder of the owner's own agents."""
        return self.root / "agents"

    @cached_property
    def _manifests(self) -> dict[str, tuple[AgentManifest, Path]]:
        """Every agent's manifest and folder by name."""
        found: dict[str, tuple[AgentManifest, Path]] = {}
        for folder in (shipped("agents"), self.agents):
            for path in sorted(folder.glob("*/agent.yaml")):
                manifest = read_manifest(path)
                found[manifest.name] = manifest, path.parent
        return found

    @cached_property
    def catalog(self) -> Catalog:
        """Every agent: the shipped ones and those in ``agents/`` here, which win by name. Raises `Invalid`."""
        return Catalog(agents={name: manifest for name, (manifest, _) in self._manifests.items()})

    def agent_folder(self, agent: str) -> Path:
        """Return the folder of an agent's ``agent.yaml``. Raises `NotFound`."""
        self.catalog.agent(agent)
        return self._manifests[agent][1]

    @property
    def ledger_url(self) -> str:
        return self.config.ledger.url or f"sqlite:///{self.root / 'ledger.sqlite3'}"

    @property
    def blobs(self) -> Path:
        return Path(self.config.ledger.blobs) if self.config.ledger.blobs else self.root / "blobs"

    @property
    def queue_url(self) -> str:
        return self.config.queue.url or f"redis+socket://{self.redis_socket}"

    def agent_port(self, agent: str) -> int:
        """Return the stable port of an agent started here. Raises `Invalid` when it is not in ``agents.start``."""
        start = self.config.agents.start
        if agent not in start:
            raise Invalid(f"agent '{agent}' is not started here (agents.start: {', '.join(start)})")
        return self.config.agents.base_port + start.index(agent)

    def agent_urls(self) -> dict[str, str]:
        """Return the base URL of every agent this node's runner serves: those started here, and those it names."""
        host = self.config.agents.host
        here = {name: f"http://{host}:{self.agent_port(name)}" for name in self.config.agents.start}
        return here | self.config.runner.agents

    def key_file(self, name: str) -> KeyFile:
        """Return the secret ``keys/<name>.key`` for a process that lives through its rotation."""
        return KeyFile(self.keys, name)

    def secret(self, name: str) -> str:
        """Return the secret in ``keys/<name>.key``. Raises `Unavailable` when there is none."""
        path = self.keys / f"{name}.key"
        try:
            return path.read_text(encoding="ascii").strip()
        except FileNotFoundError as error:
            raise Unavailable(f"no secret {path}; `concilium up` writes it") from error


def read_manifest(path: Path) -> AgentManifest:
    """Read one ``agent.yaml``. Raises `Invalid` naming the file and what is wrong in it."""
    try:
        return AgentManifest.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except yaml.YAMLError as error:
        raise Invalid(f"{path}: not YAML: {error}") from error
    except ValidationError as error:
        lines = [f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()]
        raise Invalid(f"{path}: " + "; ".join(lines)) from error
