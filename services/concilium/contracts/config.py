"""The whole configuration as one model: ``configs/mesh.yaml`` plus environment overrides.

A value ``a: {b: c}`` is overridden by the environment variable ``CONCILIUM_A__B``.
An unknown key is an error naming it.
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated, Self

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, field_validator, model_validator

from concilium.contracts import limits
from concilium.contracts.base import JSON
from concilium.contracts.errors import Invalid
from concilium.contracts.money import Money
from concilium.contracts.nodes import split_address
from concilium.contracts.task import DataClass

ENV_PREFIX = "CONCILIUM_"
RESERVED = frozenset({"CONCILIUM_HOME"})
"""Environment variables with the prefix that are not configuration values."""


def _split(value: JSON) -> JSON:
    """Return a text as the list it writes with commas; any other value as it is."""
    if not isinstance(value, str):
        return value
    return [item.strip() for item in value.split(",") if item.strip()]


Texts = Annotated[tuple[str, ...], BeforeValidator(_split)]
"""A list of texts, also written as one text with commas: ``code,tts``."""


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Gateway(Section):
    host: str = "127.0.0.1"
    port: int = Field(default=8400, ge=1, le=65535)
    public_url: str = ""
    """How callers reach the mesh; empty: ``http://<host>:<port>``."""
    body_bytes: int = Field(default=limits.BODY_BYTES, gt=0)
    rate_per_minute: int = Field(default=6000, gt=0)
    """Requests a minute for a key that states no own limit."""

    @property
    def url(self) -> str:
        """Where callers reach the mesh."""
        return self.public_url or f"http://{self.host}:{self.port}"


class LedgerConfig(Section):
    url: str = ""
    """``postgresql://…`` or ``sqlite:///…``; empty: ``CONCILIUM_HOME/ledger.sqlite3``."""
    blobs: str = ""
    """Folder of blobs; empty: ``CONCILIUM_HOME/blobs``."""
    lease_ttl_s: float = Field(default=limits.LEASE_TTL_S, gt=0)
    min_free_bytes: int = Field(default=256 * limits.MIB, ge=0)
    """Below this much free disk new tasks are refused with 503."""


class QueueConfig(Section):
    url: str = ""
    """``redis://`` or ``redis+socket://`` URL; empty: an own Redis on ``CONCILIUM_HOME/run/redis.sock``."""


class RunnerConfig(Section):
    node: str = Field(default="home", min_length=1, max_length=64)
    labels: Texts = ()
    """What placement rules may say of this machine, e.g. ``gpu``; it is ``home`` anyway."""
    agents: dict[str, str] = Field(default_factory=dict)
    """Agent name to the base URL of a service that runs elsewhere, served besides the agents started here."""


class AgentsConfig(Section):
    start: Texts = ("code", "vision", "tts", "document")
    """Agents started on this machine."""
    host: str = "127.0.0.1"
    base_port: int = Field(default=8410, ge=1, le=65000)
    """The first started agent listens here, the next one port higher, and so on."""


class NodesConfig(Section):
    """Rented nodes."""

    listen: str = ""
    """Where nodes that dial home are met, ``host:port``; empty: nobody is, and home dials every node."""

    @field_validator("listen")
    @classmethod
    def _address(cls, value: str) -> str:
        if value:
            split_address(value)
        return value


class EngineConfig(Section):
    url: str = ""
    """Base URL of an OpenAI-compatible server, with ``/v1``, or several with commas between that serve the same
    models; empty: none, and what needs it says so."""
    model: str = ""
    api_key_file: str = ""
    timeout_s: float = Field(default=60.0, gt=0)
    """For a whole request; a mode may allow another."""
    connect_s: float = Field(default=5.0, gt=0)
    first_token_s: float = Field(default=30.0, gt=0)
    """Of a streamed answer."""
    next_token_s: float = Field(default=15.0, gt=0)
    """Between two tokens of a streamed answer."""

    @property
    def urls(self) -> tuple[str, ...]:
        """The base URL of each replica, without a slash at the end."""
        return tuple(url.strip().rstrip("/") for url in self.url.split(",") if url.strip())


class CallbackConfig(Section):
    allow: Texts = ()
    """Private addresses (CIDR), or host:port with or without a path, that callbacks may reach besides public ones."""
    timeout_s: float = Field(default=10.0, gt=0)
    attempts: int = Field(default=12, ge=1)


class N8nConfig(Section):
    version: str = "2.38.7"
    """A folder of ``infra/n8n``."""
    port: int = Field(default=5678, ge=1, le=65534)
    """Where n8n listens on 127.0.0.1; its task broker takes the next port."""


class RetentionConfig(Section):
    tasks_days: int = Field(default=30, ge=1)
    events_days: int = Field(default=30, ge=1)
    blobs_gib: float = Field(default=20.0, gt=0)
    every_hours: float = Field(default=24.0, ge=0)
    """How often the mesh applies these limits by itself; 0: never, `concilium gc` does."""


class BudgetConfig(Section):
    """What a month may cost, and at which parts of it who is refused. The parts hold for the keys' own budgets too."""

    month: Money = Decimal(0)
    """For the whole mesh, monthly prices of nodes included, in the currency of ``prices.yaml``; 0: no limit."""
    warn_at: float = Field(default=0.8, gt=0, allow_inf_nan=False)
    low_until: float = Field(default=0.9, gt=0, allow_inf_nan=False)
    normal_until: float = Field(default=1.0, gt=0, allow_inf_nan=False)
    high_until: float = Field(default=1.1, gt=0, allow_inf_nan=False)

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if not self.warn_at <= self.low_until <= self.normal_until <= self.high_until:
            raise ValueError("warn_at, low_until, normal_until and high_until must not fall")
        return self


HOME_LABEL = "home"
"""The label of nodes that are home; nobody gives or takes it."""
PRIVATE_STAYS_HOME = "private-stays-home"
"""The first rule of every mesh; the configuration cannot leave it out."""


class PlacementRule(Section):
    """Refuses nodes to some work. Work is meant when it fits ``work`` and ``data``; what is empty fits everything."""

    name: str = Field(pattern=r"^[a-z][a-z0-9-]{0,62}$")
    work: Texts = ()
    """Agents (``code``) and skills (``vision.ocr``)."""
    data: Annotated[tuple[DataClass, ...], BeforeValidator(_split)] = ()
    only: Texts = ()
    """A node needs one of these labels."""
    never: Texts = ()
    """A node with one of these labels is refused."""
    yields: bool = False
    """Holds only while a node that it does not refuse is there for the work."""

    @model_validator(mode="after")
    def _says_where(self) -> Self:
        if not (self.only or self.never):
            raise ValueError("name labels in only or never")
        return self


class PlacementConfig(Section):
    rules: tuple[PlacementRule, ...] = (
        PlacementRule(name="cpu-work-to-cpu-nodes", work=("code", "document", "tts"), never=("gpu",), yields=True),
    )
    """Judged in order, after `PRIVATE_STAYS_HOME`."""
    home: Texts = ()
    """Hosts and networks (CIDR) in addresses of ``runner.agents`` that are home, besides this machine."""

    @model_validator(mode="after")
    def _named_once(self) -> Self:
        names = [rule.name for rule in self.rules]
        if PRIVATE_STAYS_HOME in names:
            raise ValueError(f"{PRIVATE_STAYS_HOME} always holds and cannot be changed; give your rule another name")
        if len(set(names)) < len(names):
            raise ValueError("two rules have the same name")
        return self


class TracingConfig(Section):
    otlp_url: str = ""
    """Where OTLP over HTTP is received, e.g. ``http://127.0.0.1:4318/v1/traces``; empty: nothing is traced."""
    sample: float = Field(default=1.0, ge=0, le=1, allow_inf_nan=False)
    """The part of new traces that is kept. A caller's own traces are kept when its ``traceparent`` says so."""


class LogConfig(Section):
    level: str = "info"
    json_lines: bool = True


class MeshConfig(Section):
    """Everything that can be set."""

    gateway: Gateway = Gateway()
    ledger: LedgerConfig = LedgerConfig()
    queue: QueueConfig = QueueConfig()
    runner: RunnerConfig = RunnerConfig()
    agents: AgentsConfig = AgentsConfig()
    nodes: NodesConfig = NodesConfig()
    engine: EngineConfig = EngineConfig()
    vision_engine: EngineConfig = EngineConfig()
    """For images: ``vision.describe`` and ``vision.ask``."""
    speech_engine: EngineConfig = EngineConfig()
    """For speech: OpenAI's ``/audio/speech``."""
    callbacks: CallbackConfig = CallbackConfig()
    n8n: N8nConfig = N8nConfig()
    """The n8n that ``concilium up --n8n`` installs."""
    retention: RetentionConfig = RetentionConfig()
    budgets: BudgetConfig = BudgetConfig()
    placement: PlacementConfig = PlacementConfig()
    """Which nodes may take which work."""
    tracing: TracingConfig = TracingConfig()
    log: LogConfig = LogConfig()


def parse_config(text: str, environ: Mapping[str, str]) -> MeshConfig:
    """Return the configuration of a YAML text with environment overrides applied.

    An override's value is read as YAML, so ``CONCILIUM_GATEWAY__PORT=9000`` is a number; where a text is wanted and the
    YAML is none, the value itself is taken. A list may also be written with commas alone:
    ``CONCILIUM_AGENTS__START=code,tts``. An empty variable overrides nothing.

    Raises:
        Invalid: the YAML is broken, a key is unknown (named with its path or variable) or a value does not fit.
    """
    try:
        data: JSON = yaml.safe_load(text) or {}
    except yaml.YAMLError as error:
        raise Invalid(f"mesh.yaml is not YAML: {error}") from error
    if not isinstance(data, dict):
        raise Invalid("mesh.yaml must be a mapping")
    for name, value in environ.items():
        if value and name.startswith(ENV_PREFIX) and name not in RESERVED:
            _override(data, name, value)
    try:
        return MeshConfig.model_validate(data)
    except ValidationError as error:
        lines = [f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()]
        raise Invalid("mesh configuration: " + "; ".join(lines)) from error


def _override(data: dict[str, JSON], name: str, value: str) -> None:
    path = name.removeprefix(ENV_PREFIX).lower().split("__")
    if len(path) != 2 or path[0] not in MeshConfig.model_fields:
        raise Invalid(f"environment variable {name} names no configuration value")
    section = MeshConfig.model_fields[path[0]].annotation
    if not (isinstance(section, type) and issubclass(section, Section) and path[1] in section.model_fields):
        raise Invalid(f"environment variable {name} names no configuration value")
    inner = data.setdefault(path[0], {})
    if not isinstance(inner, dict):
        raise Invalid(f"{path[0]}: must be a mapping")
    wants_text = section.model_fields[path[1]].annotation is str
    try:
        inner[path[1]] = yaml.safe_load(value)
    except yaml.YAMLError as error:
        if not wants_text:
            raise Invalid(f"environment variable {name} is not YAML: {error}") from error
        inner[path[1]] = value
    if wants_text and not isinstance(inner[path[1]], str):
        inner[path[1]] = value
