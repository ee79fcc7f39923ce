"""The adapters that are loaded, by the names they are served as."""

import asyncio
from pathlib import Path

from concilium.engine.embedded import metrics
from concilium.engine.embedded.adapter_files import Base, read_adapter
from concilium.engine.embedded.lora import Adapter
from concilium.engine.embedded.refusal import Refusal, invalid


class Adapters:
    """Used on the HTTP side's event loop. A row holds its adapter itself: what is done here does not touch it."""

    def __init__(self, name: str, base: Base, budget: int) -> None:
        """Begin with none.

        Args:
            name: of the base model, which no adapter may have.
            base: what adapters must fit.
            budget: bytes that all of them may take.
        """
        self._name = name
        self._base = base
        self._budget = budget
        self._loaded: dict[str, Adapter] = {}
        self._one = asyncio.Lock()

    @property
    def loaded(self) -> tuple[Adapter, ...]:
        """All of them, in the order in which they were loaded."""
        return tuple(self._loaded.values())

    def find(self, model: str) -> Adapter | None:
        """Return the adapter that a request names as its model; None: the base model.

        Raises:
            Refusal: 404, there is no such model.
        """
        if model == self._name:
            return None
        if model not in self._loaded:
            raise Refusal(404, f"The model `{model}` does not exist.", "model_not_found", param="model")
        return self._loaded[model]

    async def load(self, name: str, path: str, *, replace: bool) -> None:
        """Load an adapter, or replace the one of that name.

        Raises:
            Refusal: 400, the name is taken, the adapter does not fit or there is no room; 404, it is not there.
        """
        async with self._one:
            if name == self._name or (name in self._loaded and not replace):
                detail = f"The lora adapter '{name}' has already been loaded. Set load_inplace to replace it."
                raise invalid(detail, "adapter_exists", "lora_name")
            room = self._budget - self._bytes(without=name)
            found = await asyncio.to_thread(read_adapter, name, Path(path), self._base, room)
            self._loaded[name] = found
            self._count()

    async def unload(self, name: str) -> None:
        """Take an adapter out of service; requests at work end with it.

        Raises:
            Refusal: 404, it is not loaded.
        """
        async with self._one:
            if self._loaded.pop(name, None) is None:
                raise Refusal(
                    404, f"The lora adapter '{name}' cannot be found.", "adapter_not_found", param="lora_name"
                )
            self._count()

    def _bytes(self, without: str = "") -> int:
        return sum(each.nbytes for each in self._loaded.values() if each.name != without)

    def _count(self) -> None:
        metrics.ADAPTERS.set(len(self._loaded))
        metrics.ADAPTER_BYTES.set(self._bytes())
