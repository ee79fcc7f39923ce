"""The fixed phrases of the brain in the caller's language."""

import re
from typing import Literal

Language = Literal["en", "ru"]

_CYRILLIC = re.compile(r"[а-яё]", re.IGNORECASE)
_LATIN = re.compile(r"[a-z]", re.IGNORECASE)
_FENCE = re.compile(r"```.*?(?:```|\Z)", re.DOTALL)

PHRASES: dict[str, dict[Language, str]] = {
    "no_engine": {
        "en": "no language model is configured: planned by the skill router",
        "ru": "языковая модель не настроена: план составил маршрутизатор навыков",
    },
    "engine_down": {
        "en": "engine unavailable: planned by the skill router ({reason})",
        "ru": "языковая модель недоступна: план составил маршрутизатор навыков ({reason})",
    },
    "failed": {
        "en": "Step '{step}' ({skill}) failed after {attempts} attempt(s): {reason}",
        "ru": "Шаг «{step}» ({skill}) не удался, попыток: {attempts}. Причина: {reason}",
    },
    "skipped": {
        "en": "Step '{step}' ({skill}) was not run because '{cause}' failed.",
        "ru": "Шаг «{step}» ({skill}) не выполнялся, потому что не удался шаг «{cause}».",
    },
    "nothing_done": {"en": "No step succeeded.", "ru": "Ни один шаг не удался."},
    "audio": {"en": "audio: {name} ({seconds:.1f} s)", "ru": "аудио: {name} ({seconds:.1f} с)"},
    "file": {"en": "file: {name}", "ru": "файл: {name}"},
    "empty": {"en": "(no output)", "ru": "(пустой вывод)"},
    "exit": {"en": "(exit code {code})", "ru": "(код завершения {code})"},
    "limit": {"en": "(stopped at the limit: {limit})", "ru": "(остановлено по ограничению: {limit})"},
    "image": {
        "en": "{format}, {width} × {height} pixels, {mode}, {bytes} bytes",
        "ru": "{format}, {width} × {height} пикселей, {mode}, {bytes} байт",
    },
    "frames": {"en": "frames: {count}", "ru": "кадров: {count}"},
    "dpi": {"en": "resolution: {x:g} × {y:g} dpi", "ru": "разрешение: {x:g} × {y:g} dpi"},
    "colours": {"en": "colours: {list}", "ru": "цвета: {list}"},
    "private": {"en": "private data in the file: {list}", "ru": "личные данные в файле: {list}"},
    "pages": {"en": "pages: {count}", "ru": "страниц: {count}"},
    "note": {"en": "note: {text}", "ru": "примечание: {text}"},
    "omitted": {"en": "not returned: {list}", "ru": "не возвращено: {list}"},
    "no_findings": {"en": "No mistakes found.", "ru": "Ошибок не найдено."},
    "tests": {
        "en": "tests: {passed} passed, {failed} failed, {errors} with errors, {skipped} skipped",
        "ru": "тесты: пройдено {passed}, не пройдено {failed}, с ошибками {errors}, пропущено {skipped}",
    },
    "tests_passed": {"en": "All given tests pass.", "ru": "Все данные тесты проходят."},
    "tests_failed": {"en": "Not all given tests pass.", "ru": "Проходят не все данные тесты."},
    "untested": {"en": "It was not tested: no tests were given.", "ru": "Код не проверен: тестов не было."},
    "gave_up": {
        "en": "step '{step}' was not reformulated: {reason}",
        "ru": "шаг «{step}» не переформулирован: {reason}",
    },
    "rejected": {"en": "The planner declined: {reason}", "ru": "Планировщик отказал: {reason}"},
    "bad_plan": {
        "en": "The language planner gave no plan that can be carried out: {reason}",
        "ru": "Языковой планировщик не дал выполнимого плана: {reason}",
    },
    "no_node": {
        "en": "no node may run {skill} on {data} data: rule {rule}",
        "ru": "ни одному узлу нельзя выполнять {skill} на {data} данных: правило {rule}",
    },
    "data_public": {"en": "public", "ru": "открытых"},
    "data_internal": {"en": "internal", "ru": "внутренних"},
    "data_private": {"en": "private", "ru": "личных"},
}


def say(phrase: str, language: Language, **values: object) -> str:
    """Return a fixed phrase in a language with its values filled in."""
    return PHRASES[phrase][language].format(**values)


def language_of(text: str) -> Language:
    """Return the language to answer in: Russian when the text outside code holds at least a third Cyrillic letters."""
    prose = _FENCE.sub(" ", text[:20_000])
    cyrillic, latin = len(_CYRILLIC.findall(prose)), len(_LATIN.findall(prose))
    return "ru" if cyrillic and cyrillic * 2 >= latin else "en"
