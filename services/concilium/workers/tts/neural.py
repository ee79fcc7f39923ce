"""A neural engine: any server with OpenAI's ``/audio/speech``. Its audio is untrusted and decoded apart."""

from concilium.engine import EngineClient, EngineError, VoiceId
from concilium.workers.runtime.skill import SkillFailed
from concilium.workers.tts.decode import decode
from concilium.workers.tts.sound import Manner, Sound, said_otherwise

NAME = "neural"
GET = "set speech_engine.url in mesh.yaml to a server with OpenAI's /audio/speech"
_MADE = "id:"
_BUSY = (408, 425, 429)


class Neural:
    """Speaks with the server that ``speech_engine`` names."""

    def __init__(self, client: EngineClient) -> None:
        self._client = client

    async def say(self, text: str, voice: str, manner: Manner) -> Sound:
        """Return the sentence as sound. Raises as `engine_failed` and `decode`."""
        try:
            audio = await self._client.speech(text, voice=asked(voice), media="wav", speed=manner.speed)
        except EngineError as error:
            raise engine_failed(error) from error
        return said_otherwise(await decode(audio), Manner(1.0, manner.pitch))


def made(voice: VoiceId) -> str:
    """Return the name here of a voice that the server made of a recording."""
    return f"{NAME}/{_MADE}{voice['id']}"


def asked(own_name: str) -> str | VoiceId:
    """Return how the server is asked for a voice."""
    return {"id": own_name.removeprefix(_MADE)} if own_name.startswith(_MADE) else own_name


def engine_failed(error: EngineError) -> SkillFailed:
    """Return the failure, ``engine-`` and the error's kind; only a clear no is final."""
    if error.kind != "refused":
        return SkillFailed(f"engine-{error.kind}", f"the speech engine: {error}", retryable=True)
    again = error.status is not None and (error.status >= 500 or error.status in _BUSY)
    detail = f"the speech engine {error}; look at the voice's name, and at speech_engine.url, model and api_key_file"
    return SkillFailed("engine-refused", detail, retryable=again)
