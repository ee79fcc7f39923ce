"""What an Office document says of itself."""

from collections.abc import Mapping

from concilium.workers.document.formats.office import Package

_CORE: Mapping[str, str] = {
    "title": "title",
    "creator": "author",
    "lastModifiedBy": "last_modified_by",
    "created": "created",
    "modified": "modified",
    "subject": "subject",
    "keywords": "keywords",
    "description": "description",
    "category": "category",
    "language": "language",
}
_APP: Mapping[str, str] = {"Application": "application", "Company": "company", "Pages": "pages", "Manager": "manager"}


def properties(package: Package) -> tuple[str | None, dict[str, str]]:
    """Return a document's title and what else it says of itself."""
    found: dict[str, str] = {}
    for part, names in (("docProps/core.xml", _CORE), ("docProps/app.xml", _APP)):
        tree = package.tree(part)
        for element in () if tree is None else tree:
            name = names.get(str(element.tag).rpartition("}")[2])
            if name and element.text and element.text.strip():
                found[name] = element.text.strip()
    return found.pop("title", None), found
