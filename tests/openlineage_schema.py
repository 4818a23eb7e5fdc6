"""The JSON Schema of OpenLineage's events, made of the classes of openlineage-python.

The specification publishes its schemas at https://openlineage.io/spec/2-0-2/OpenLineage.json and, by facet, under
https://openlineage.io/spec/facets/. Their generator has made the client's classes from them: what is required, of
which type a value is, which words an enumeration has, and the URL of each one's schema. This is the way back: an event
is held against what the classes say, facet by facet, and a field that no class has is an error, which the published
schemas would let pass. The schemas themselves are not here: no package that the project uses has them.
"""

from __future__ import annotations

import enum
import re
import types
import typing
from collections.abc import Iterator
from typing import Any

import attr
import jsonschema
from openlineage.client import event_v2, facet_v2
from openlineage.client.generated import base

CORE = "https://openlineage.io/spec/2-0-2/OpenLineage.json"
# What the specification says of these fields, and a Python type cannot.
_FORMATS = {
    "runId": {"type": "string", "format": "uuid"},
    "eventTime": {"type": "string", "format": "date-time"},
    "producer": {"type": "string", "format": "uri"},
    "schemaURL": {"type": "string", "format": "uri"},
    "_producer": {"type": "string", "format": "uri"},
    "_schemaURL": {"type": "string", "format": "uri"},
}
_PLAIN: dict[Any, dict[str, Any]] = {
    bool: {"type": "boolean"},
    int: {"type": "integer"},
    float: {"type": "number"},
    str: {"type": "string"},
}
_CHECKER = jsonschema.FormatChecker()


@_CHECKER.checks("uri")
def _is_uri(value: object) -> bool:
    return not isinstance(value, str) or re.fullmatch(r"[a-zA-Z][a-zA-Z0-9+.-]*:\S+", value) is not None


@_CHECKER.checks("date-time")
def _is_moment(value: object) -> bool:
    moment = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)"
    return not isinstance(value, str) or re.fullmatch(moment, value) is not None


def errors(event: dict[str, Any]) -> list[str]:
    """What is wrong with an event: with its frame, or with a facet of it."""
    found = _errors(event, _schema(event_v2.RunEvent), "event")
    if event.get("schemaURL") != f"{CORE}#/$defs/RunEvent":
        found.append(f"schemaURL is {event.get('schemaURL')}")
    for where, name, facet in _facets(event):
        kind = _FACETS.get(facet.get("_schemaURL", ""))
        found += _errors(facet, _schema(kind), f"{where}.{name}") if kind else [f"{where}.{name} is of no known schema"]
    return found


def _errors(value: Any, schema: dict[str, Any], where: str) -> list[str]:
    validator = jsonschema.Draft202012Validator(schema, format_checker=_CHECKER)
    return [f"{where}{error.json_path[1:]}: {error.message}" for error in validator.iter_errors(value)]


def _facets(event: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Where, under which name, which facet."""
    holders = [("run", event["run"], "facets"), ("job", event["job"], "facets")]
    holders += [("input", each, word) for each in event.get("inputs", []) for word in ("facets", "inputFacets")]
    holders += [("output", each, word) for each in event.get("outputs", []) for word in ("facets", "outputFacets")]
    for where, holder, word in holders:
        for name, facet in holder.get(word, {}).items():
            yield f"{where}.{word}", name, facet


def _all_facets() -> Iterator[type]:
    for module in vars(facet_v2).values():
        if isinstance(module, types.ModuleType):
            for kind in vars(module).values():
                if isinstance(kind, type) and issubclass(kind, base.BaseFacet) and kind.__module__ == module.__name__:
                    yield kind


_FACETS: dict[str, type[Any]] = {kind._get_schema(): kind for kind in _all_facets()}  # type: ignore[attr-defined]


def _schema(kind: type[Any]) -> dict[str, Any]:
    """Of an attrs class, with those of the classes that its fields are of."""
    defined: dict[str, Any] = {}
    return {**_of_class(kind, defined), "$defs": defined}


def _of_class(kind: type[Any], defined: dict[str, Any]) -> dict[str, Any]:
    """A reference to it: its fields, no others, and those without a default are there."""
    name = f"{kind.__module__}.{kind.__qualname__}"
    if name not in defined:
        defined[name] = {}  # a class may be made of itself
        attr.resolve_types(kind, include_extras=True)
        fields = {each.name: each for each in attr.fields(kind) if each.init or each.name in _FORMATS}
        defined[name] = {
            "type": "object",
            "properties": {n: _FORMATS.get(n) or _of_type(each.type, defined) for n, each in fields.items()},
            "required": [n for n, each in fields.items() if each.default is attr.NOTHING or n in _FORMATS],
            "additionalProperties": False,
        }
    return {"$ref": f"#/$defs/{name}"}


def _of_type(hint: Any, defined: dict[str, Any]) -> dict[str, Any]:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return {"anyOf": [_of_type(each, defined) for each in arguments if each is not type(None)]}
    if origin is list:
        return {"type": "array", "items": _of_type(arguments[0], defined)}
    if origin is dict:
        return {"type": "object", "additionalProperties": _of_type(arguments[1], defined)}
    if isinstance(hint, type) and issubclass(hint, enum.Enum):
        return {"enum": [each.value for each in hint]}
    if isinstance(hint, type) and issubclass(hint, base.BaseFacet):
        return {"type": "object"}  # each facet is held against its own class
    if isinstance(hint, type) and attr.has(hint):
        return _of_class(hint, defined)
    return _PLAIN.get(hint, {})
