"""One-step requests for any skill of the catalog: inputs are filled by what their schema and name say."""

from concilium.brain.router.material import Material, is_image, script_language
from concilium.brain.schemas import SkillIndex
from concilium.contracts.base import JSON
from concilium.contracts.parts import FileRef

_DOCUMENTS = ("application/pdf", "application/msword", "application/rtf", "application/vnd.", "text/")
_FILE = "#/$defs/File"


def fill(skill: str, material: Material, text: str) -> dict[str, JSON] | None:
    """Return an input for a skill from the request's files and text, or None when a required member stays empty.

    A member that is a file takes the first attached file of its kind; a required string takes what the request quotes,
    else its text.
    """
    schema = material.index.skills[skill].input
    properties, required = schema.get("properties", {}), schema.get("required", [])
    free = list(range(len(material.files)))
    data: dict[str, JSON] = {}
    for name, member in properties.items():
        if member.get("$ref") == _FILE:
            index = next((i for i in free if _suits(name, member, material.files[i])), None)
            if index is not None:
                free.remove(index)
                data[name] = material.file(index)
        elif member.get("type") == "array" and member.get("items", {}).get("$ref") == _FILE:
            data[name] = [material.file(i) for i in free]
        elif member.get("type") == "string" and name in required and "enum" not in member and text:
            data[name] = text
    if any(name not in data for name in required):
        return None
    return None if material.files and not _uses_file(data) else data


def fits(skill: str, data: dict[str, JSON], index: SkillIndex) -> bool:
    """Whether literals of an input fit the skill; references are judged with the plan."""
    literal = {key: value for key, value in data.items() if isinstance(value, str)}
    properties = index.skills[skill].input.get("properties", {})
    return all(len(value) <= properties[key].get("maxLength", len(value)) for key, value in literal.items())


def _uses_file(data: dict[str, JSON]) -> bool:
    return any(isinstance(value, dict | list) and value for value in data.values())


def _suits(name: str, member: dict[str, JSON], file: FileRef) -> bool:
    """Whether a file is of the kind a member wants: by ``contentMediaType``, else by the member's name."""
    wanted = member.get("contentMediaType")
    if isinstance(wanted, str):
        return file.media_type == wanted or (wanted.endswith("/*") and file.media_type.startswith(wanted[:-1]))
    kinds = {
        "image": is_image(file),
        "script": script_language(file) is not None,
        "audio": file.media_type.startswith("audio/"),
        "video": file.media_type.startswith("video/"),
        "document": file.media_type.startswith(_DOCUMENTS),
        "pdf": file.media_type == "application/pdf",
    }
    return kinds.get(name, True)
