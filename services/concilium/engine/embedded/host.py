"""The thread that loads the model and steps it, as the HTTP side sees it."""

import asyncio
import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import structlog

from concilium.engine.embedded.job import Event, Listener
from concilium.engine.embedded.refusal import Refusal, Unserved
from concilium.engine.embedded.settings import Settings

if TYPE_CHECKING:
    from concilium.engine.embedded.serving import Served

log = structlog.get_logger()
LOADING_RETRY_S = 5


class Host:
    """Starts the thread, knows how far it is, stops it. Used on the HTTP side's event loop."""

    def __init__(self, settings: Settings, ended: Callable[[], None]) -> None:
        """Make it; `start` begins.

        Args:
            settings: of this server.
            ended: called when the thread ended without being asked to: there is nothing left to serve.
        """
        self._settings = settings
        self._ended = ended
        self._thread = threading.Thread(target=self._run, name="engine", daemon=True)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._served: Served | None = None
        self._share = 0.0
        self.failed = False
        """Whether the model could not be loaded, or the step loop broke."""

    def start(self) -> None:
        """Begin to load the model."""
        self._loop = asyncio.get_running_loop()
        self._thread.start()

    async def stop(self) -> None:
        """Let the step that runs end, and the thread with it."""
        if self._served is not None:
            self._served.loop.close()
            await asyncio.to_thread(self._thread.join)

    @property
    def served(self) -> "Served":
        """The model. Raises `Refusal`, 503, while it is loading."""
        if self._served is None:
            raise Refusal(503, self.progress, "model_loading", retry_after_s=LOADING_RETRY_S)
        return self._served

    @property
    def progress(self) -> str:
        """How far the loading is, in words."""
        return "ready" if self._served else f"model loading, {self._share:.0%}".replace("%", " %")

    def _tell(self, share: float) -> None:
        self._share = share

    def _run(self) -> None:
        try:
            # Importing PyTorch takes seconds; the server answers meanwhile.
            from concilium.engine.embedded.serving import build  # noqa: PLC0415

            self._served = build(self._settings, self._tell, self._deliver)
            log.info("serving", model=self._served.name, context=self._served.context, slots=self._settings.slots)
            self._served.loop.run()
        except Unserved as error:
            log.error("the model cannot be served", reason=str(error))  # noqa: TRY400 - the reason says it all
            self._give_up()
        except Exception:
            log.exception("the engine broke")
            self._give_up()

    def _give_up(self) -> None:
        self.failed = True
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._ended)

    def _deliver(self, heard: Sequence[tuple[Listener, Event]]) -> None:
        if self._loop is not None:
            self._loop.call_soon_threadsafe(_pass_on, heard)


def _pass_on(heard: Sequence[tuple[Listener, Event]]) -> None:
    for listener, event in heard:
        listener(event)
