"""What the router asks when it is unsure: why, and what the mesh can do, in the caller's language."""

from concilium.brain.schemas import SkillIndex
from concilium.brain.words import Language

_REASONS: dict[str, dict[Language, str]] = {
    "empty": {"en": "What should I do?", "ru": "Что мне сделать?"},
    "unclear": {"en": "I am not sure what you want.", "ru": "Я не уверен, что вам нужно."},
    "clause": {
        "en": "I do not know how to do this part: “{clause}”.",
        "ru": "Не знаю, как сделать вот это: «{clause}».",
    },
    "no-file": {
        "en": "Which image or document do you mean? None that I could use is attached.",
        "ru": "О какой картинке или каком документе речь? Подходящего среди вложений нет.",
    },
    "no-script": {
        "en": "Which script should I run? Attach a .py or .sh file, or put the code into a ``` block.",
        "ru": "Какой скрипт запустить? Приложите файл .py или .sh или поместите код в блок ```.",
    },
    "which-script": {
        "en": "There are several scripts. Which one should I run?",
        "ru": "Скриптов несколько. Какой из них запустить?",
    },
    "spare-code": {
        "en": "What should I do with this code: “{clause}”?",
        "ru": "Что сделать с этим кодом: «{clause}»?",
    },
    "language": {"en": "I can only run Python and shell.", "ru": "Я умею запускать только Python и shell."},
    "nothing-to-speak": {
        "en": "What should I say aloud? Put the text in quotes or after a colon.",
        "ru": "Что озвучить? Поставьте текст в кавычки или после двоеточия.",
    },
    "too-long": {
        "en": "The request is too long for me to find the order in it. Say in one or two sentences what to do.",
        "ru": "Запрос слишком длинный, я не нахожу в нём поручения. Скажите в одном-двух предложениях, что сделать.",
    },
}
_CAN: dict[Language, str] = {"en": "I can: {skills}.", "ru": "Я умею: {skills}."}
_KNOWN: dict[str, dict[Language, str]] = {
    "vision.ocr": {"en": "read the text of an attached image", "ru": "прочитать текст на приложенной картинке"},
    "vision.inspect": {"en": "tell an image's size and format", "ru": "узнать размер и формат картинки"},
    "vision.describe": {"en": "describe a picture", "ru": "описать картинку"},
    "vision.ask": {"en": "answer a question about a picture", "ru": "ответить на вопрос о картинке"},
    "vision.compare": {"en": "compare two pictures", "ru": "сравнить две картинки"},
    "document.extract": {"en": "get the text of a document", "ru": "достать текст из документа"},
    "code.check": {"en": "check code for mistakes", "ru": "проверить код на ошибки"},
    "code.test": {"en": "run tests against code", "ru": "прогнать тесты кода"},
    "code.generate": {"en": "write code to tests", "ru": "написать код под тесты"},
    "tts.voices": {"en": "list the voices", "ru": "перечислить голоса"},
    "code.run": {"en": "run a Python or shell script", "ru": "запустить скрипт на Python или shell"},
    "tts.speak": {"en": "read a text aloud", "ru": "прочитать текст вслух"},
}


def question(reason: str, language: Language, index: SkillIndex, clause: str = "") -> str:
    """Return the question: what is unclear, and what each skill of the catalog does."""
    abilities = []
    for name, schemas in sorted(index.skills.items()):
        if not schemas.skill.examples:  # a step between others: nobody asks for it
            continue
        plain = schemas.skill.description.split(";")[0].split(". ")[0].strip().rstrip(".")
        abilities.append(_KNOWN[name][language] if name in _KNOWN else f"{name} ({plain[:80]})")
    why = _REASONS[reason][language].format(clause=clause[:120])
    return f"{why} {_CAN[language].format(skills='; '.join(abilities))}" if abilities else why
