"""The JSON Schema of the scenario language, made from the same shapes that the loader binds to.

For `katrio schema`, editors, and the reference. It says everything that a shape can say; names that must exist, circles
of includes and the like are the loader's alone. Pure; the same text each time.
"""

from __future__ import annotations

import json
from functools import partial
from typing import TYPE_CHECKING, Any, get_args, get_origin

from actors.scenario.language.conditions import Conditions, Expect
from actors.scenario.language.declared import VarDecl
from actors.scenario.language.kinds import Kind, fields_of, hints_of, sentence_of, unwrap
from actors.scenario.language.needs import Fault, Need, Probe
from actors.scenario.language.scalars import MAX_EACH, WORDS
from actors.scenario.reading.scenario import Scenario
from actors.scenario.steps import STEPS
from actors.scenario.steps.base import Look, Step

if TYPE_CHECKING:
    from collections.abc import Callable

    import msgspec

__all__ = ["scenario_schema", "schema_text"]

Schema = dict[str, Any]

DIALECT = "http://json-schema.org/draft-07/schema#"
# an unquoted 5 or true is no string for YAML, and a text for a scenario
_TEXT: Schema = {"type": ["string", "number", "boolean"]}
_VARIABLE = r"\$\{[A-Za-z0-9_-]{1,64}\}"
_NAME = "[A-Za-z0-9][A-Za-z0-9_-]{0,39}"
_ID = "[A-Za-z0-9][A-Za-z0-9_-]{1,39}"
_JSON_PATH = r"\$?(\.?[A-Za-z0-9_-]+|\[[0-9]{1,6}\])*"
_NUMBER: Schema = {
    "type": ["number", "string"],
    "pattern": rf"^(-?[0-9]{{1,15}}(\.[0-9]{{1,9}})?|{_VARIABLE})$",
}
# the one field that no shape has: files are put in before anything is bound
_INCLUDE = "Files whose vars, defaults, sandboxes, needs, labels and thresholds join those here."
_COUNT: Schema = {"type": ["integer", "string"], "minimum": 1, "maximum": 1_000_000, "pattern": "^[1-9][0-9]{0,6}$"}


def _named(pattern: str) -> Schema:
    return {"type": ["string", "integer"], "pattern": f"^{pattern}$"}


def _enum(words: list[str]) -> Schema:
    return {"type": "string", "enum": words}


def _one_key(keys: dict[str, str], value: Schema) -> Schema:
    properties = {key: {**value, "description": text} for key, text in keys.items()}
    return {
        "type": "object",
        "properties": properties,
        "additionalProperties": False,
        "minProperties": 1,
        "maxProperties": 1,
    }


def _simple() -> dict[Kind, Schema]:
    """Kinds whose schema does not depend on others."""
    code = _enum(sorted(WORDS[Kind.CODES]))
    signals = sorted(WORDS[Kind.SIGNAL])
    digits = "([1-9]|[1-5][0-9]|6[0-4])"
    signal = {"type": ["string", "integer"], "minimum": 1, "maximum": 64}
    reference = {"type": ["string", "integer"], "minLength": 1}
    return {
        Kind.DURATION: {"type": "string", "pattern": r"^[0-9]{1,9}(\.[0-9]{1,9})?(ms|s|m|h)$"},
        Kind.BYTES: {"type": "string", "pattern": "^[0-9]{1,15}(B|KiB|MiB|GiB)$"},
        Kind.SIGNAL: {**signal, "pattern": f"^((SIG)?({'|'.join(signals)})|{digits})$"},
        Kind.TEXT: _TEXT,
        Kind.SCALAR: _TEXT,
        Kind.NUMBER: _NUMBER,
        Kind.REGEX: {**_TEXT, "format": "regex"},
        Kind.COMMAND: {"anyOf": [_TEXT, {"type": "array", "items": _TEXT, "minItems": 1}]},
        Kind.NEED: {"anyOf": [{"const": need.value, "description": need.meaning} for need in Need]},
        Kind.CODES: {"anyOf": [code, {"type": "array", "items": code, "minItems": 1}]},
        Kind.NAME: _named(_NAME),
        Kind.ID: _named(_ID),
        Kind.NEW_PROCESS: _named(rf"([A-Za-z0-9]|{_VARIABLE})([A-Za-z0-9_-]|{_VARIABLE}){{0,39}}"),
        Kind.NEW_VARIABLE: _named(_NAME),
        Kind.SANDBOX: reference,
        Kind.CONTAINER: reference,
        Kind.TARGET: reference,
        Kind.PROCESS: reference,
        Kind.PROBE: _one_key({word.value: word.meaning for word in Probe}, reference),
        Kind.FAULT: _one_key({word.value: word.meaning for word in Fault}, reference),
        Kind.JSON_PATH: {"type": ["string", "integer"], "pattern": f"^{_JSON_PATH}$"},
        Kind.RANGE: {"type": "array", "items": _NUMBER, "minItems": 2, "maxItems": 2},
        Kind.ARGS: {"type": "object"},
        Kind.THRESHOLD: {
            "type": "string",
            "pattern": r"^\s*((p[0-9]{1,2}(\.[0-9]{1,3})?|min|max|mean)\([a-z_]{1,40}\)\s*(<=|>=|==|<|>)\s*[0-9.]+(us|ms|s|m)"
            r"|(count|errors|rate)\([a-z_]{1,40}\)\s*(<=|>=|==|<|>)\s*[0-9.]+)\s*$",
        },
        Kind.EACH: {
            "anyOf": [
                {"type": "string", "pattern": r"^[0-9]{1,9}\.\.[0-9]{1,9}$"},
                {"type": "array", "items": _TEXT, "minItems": 1, "maxItems": MAX_EACH},
                {
                    "type": "object",
                    "required": ["labels"],
                    "additionalProperties": False,
                    "properties": {"labels": {"type": "object", "additionalProperties": _TEXT}},
                },
            ]
        },
        Kind.SAVE: {
            "anyOf": [
                _named(_NAME),
                {
                    "type": "object",
                    "propertyNames": {"pattern": f"^{_NAME}$"},
                    "additionalProperties": {"type": ["string", "integer"], "pattern": f"^{_JSON_PATH}$"},
                },
            ]
        },
    }


class _Builder:
    """Collects definitions while it walks the shapes."""

    def __init__(self) -> None:
        self.definitions: dict[str, Schema] = {}
        self._kinds = _simple()

    def of(self, shape: Any) -> Schema:
        """The schema of a field's type."""
        shape, kind = unwrap(shape)
        if kind is Kind.STEP:
            return self._ref("look" if shape is Look else "step")
        if kind is Kind.EXPECT:
            return {}  # each verb has its own: `_verb`
        if kind is Kind.BRANCH:
            steps = {"type": "array", "items": self._ref("step")}
            return {"anyOf": [self._ref("step"), steps], "description": Kind.BRANCH.value}
        if kind is Kind.VAR:
            return {"anyOf": [_TEXT, self._struct(VarDecl)], "description": kind.value}
        if kind is Kind.CONDITIONS:
            return self._define("conditions", lambda: self._conditions(Conditions, None))
        if kind is not None:
            return {**self._kinds[kind], "description": kind.value}
        if shape is bool:
            return {"type": "boolean"}
        if shape is int:
            return _COUNT
        if get_origin(shape) is dict:
            key, value = get_args(shape)
            _, key_kind = unwrap(key)
            names: Schema = {"propertyNames": {"pattern": self._kinds[key_kind]["pattern"]}} if key_kind else {}
            return {"type": "object", **names, "additionalProperties": self.of(value)}
        if get_origin(shape) is tuple:
            return {"type": "array", "items": self.of(get_args(shape)[0])}
        return self._define(shape.__name__, lambda: self._struct(shape))

    def _ref(self, name: str) -> Schema:
        return {"$ref": f"#/definitions/{name}"}

    def _define(self, name: str, build: Callable[[], Schema]) -> Schema:
        if name not in self.definitions:
            self.definitions[name] = {}  # a shape may hold itself
            self.definitions[name] = build()
        return self._ref(name)

    def _struct(self, shape: type[msgspec.Struct]) -> Schema:
        hints = hints_of(shape)
        properties: dict[str, Schema] = {}
        for item in fields_of(shape):
            hint = hints[item.name]
            properties[item.encode_name] = _described(self.of(hint), shape, item.encode_name, hint)
        required = [item.encode_name for item in fields_of(shape) if item.required]
        return {
            "type": "object",
            "description": _summary(shape),
            "properties": properties,
            "additionalProperties": False,
            **({"required": required} if required else {}),
        }

    def _conditions(self, shape: type[Conditions], facets: frozenset[str] | None) -> Schema:
        struct = self._struct(shape)
        own = {item.encode_name for item in fields_of(Conditions)}
        if facets is not None:
            allowed = facets | {"took"} | ({"message"} if "error" in facets else frozenset[str]())
            if "value" in facets:
                allowed |= own | {"json"}
            struct["properties"] = {name: one for name, one in struct["properties"].items() if name in allowed}
        struct["minProperties"] = 1
        return {"anyOf": [_TEXT, struct]} if facets is None or "value" in facets else struct

    def _expect(self, facets: frozenset[str]) -> Schema:
        name = "expect-" + ("-".join(sorted(facets)) or "nothing")
        return self._define(name, lambda: self._conditions(Expect, facets))

    def _verb(self, verb: type[Step]) -> Schema:
        schema = self._struct(verb)
        properties = schema["properties"]
        hint = hints_of(Step)["expect"]
        properties["expect"] = _described(self._expect(verb.facets), Step, "expect", hint)
        verb.refine(schema)
        return schema

    def steps(self) -> None:
        """Define every verb, and what `step` and `look` may be."""
        for word, verb in STEPS.items():
            self._define(f"step-{word}", partial(self._verb, verb))
        looks = [word for word, verb in STEPS.items() if issubclass(verb, Look)]
        self.definitions["step"] = {"anyOf": [self._ref(f"step-{word}") for word in STEPS]}
        self.definitions["look"] = {"anyOf": [self._ref(f"step-{word}") for word in looks]}


def scenario_schema() -> Schema:
    """The whole schema."""
    builder = _Builder()
    builder.steps()
    root = builder.of(Scenario)
    scenario = builder.definitions.pop("Scenario")
    assert root == {"$ref": "#/definitions/Scenario"}
    file = {**_TEXT, "minLength": 1}
    scenario["properties"]["include"] = {
        "anyOf": [file, {"type": "array", "items": file}],
        "description": _INCLUDE,
    }
    return {
        "$schema": DIALECT,
        "title": "katrio scenario",
        **scenario,
        "definitions": dict(sorted(builder.definitions.items())),
    }


def schema_text() -> str:
    """The schema as a file: what `katrio schema` prints and docs/scenario.schema.json holds."""
    return json.dumps(scenario_schema(), indent=1, ensure_ascii=False) + "\n"


def _described(schema: Schema, shape: type, field: str, hint: Any) -> Schema:
    text = sentence_of(hint)
    if not text:
        raise LookupError(f"{shape.__name__}.{field} has no sentence in its annotation")
    # draft 7 reads nothing beside a reference
    return {"allOf": [schema], "description": text} if "$ref" in schema else {**schema, "description": text}


def _summary(shape: type) -> str:
    return " ".join((shape.__doc__ or "").split())
