"""The JSON Schema of graph files, for editors: it completes and checks while one writes."""

from __future__ import annotations

import dataclasses
from typing import Any, get_args

import msgspec

from dagger.core.check import MAX_INTEGER
from dagger.core.config import STRATEGIES, OnFailure, RunConfig
from dagger.core.graph import DEFAULT_TIMEOUT_SECONDS, ID_PATTERN, INPUT_TYPES, MAX_ID_LENGTH, TESTS, RunWhen
from dagger.spec.reuse import UNIT_SECONDS

_Schema = dict[str, Any]


def json_schema() -> _Schema:
    """The JSON Schema (2020-12) of graph files. What stands between the nodes, only loading can check."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Dagger graph",
        "description": "A named set of nodes that call actions; see docs/graph-files.md.",
        "$defs": {
            "text": {"type": ["string", "number", "boolean"]},
            "reference": {
                "type": "string",
                "pattern": r"^[A-Za-z_][A-Za-z0-9_-]*([.\[].*)?$",
                "description": 'node_id.output_name, inputs.name or item (of a map), then a path: .key, [0], ["a key"]',
            },
            "node": _node(),
        },
        **_object(
            {
                "name": _text("Runs of the graph are started by this name.", minLength=1),
                "description": _text("What the graph is for.", null=True),
                "instructions": _list(_text("An instruction."), "Instructions that belong to the graph."),
                "tags": _list(_text("A tag."), "Words to find the graph by."),
                "author": _text("Who wrote it.", null=True),
                "version": _text("Its version, as written.", null=True),
                "signature": _text("Its signature, as written.", null=True),
                "config": _config(),
                "inputs": _run_inputs(),
                "nodes": {
                    "type": "array",
                    "items": {"$ref": "#/$defs/node"},
                    "minItems": 1,
                    "description": "The units of work, in any order.",
                },
            },
            required=["name", "nodes"],
        ),
    }


def _object(properties: dict[str, _Schema], *, required: list[str] | None = None, **more: Any) -> _Schema:
    return {
        "type": "object",
        "properties": properties,
        **({"required": required} if required else {}),
        "additionalProperties": False,
        **more,
    }


def _text(description: str, *, null: bool = False, **more: Any) -> _Schema:
    """Any scalar: it is taken as it is written."""
    kinds = ["string", "number", "boolean", *(["null"] if null else [])]
    return {"type": kinds, "description": description, **more}


def _list(items: _Schema, description: str) -> _Schema:
    return {"type": ["array", "null"], "items": items, "description": description}


def _choice(words: tuple[str, ...], description: str, **more: Any) -> _Schema:
    """One of some words; editors offer the small ones, any case will do."""
    any_case = "|".join("".join(f"[{c.lower()}{c.upper()}]" if c.isalpha() else c for c in word) for word in words)
    return {
        "anyOf": [{"enum": [*words]}, {"type": "string", "pattern": f"^({any_case})$"}, *more.pop("or_", [])],
        "description": description,
        **more,
    }


# ---------------------------------------------------------------------------------------------------------------- nodes


def _node() -> _Schema:
    return _object(
        {
            "id": _id(),
            "action": _text("The name of the registered action that the node calls.", null=True),
            "graph": _text("Instead of an action: the name of a graph to run as a child flow.", null=True),
            "when": _when(),
            "map": _map(),
            "cache": _cache(),
            "dependencies": _list(_text("A node's id."), "Nodes to wait for, besides those that the inputs refer to."),
            "inputs": _inputs(),
            "outputs": _list(
                {"anyOf": [_text("A name.", minLength=1), _named({})]},
                "Names for what the action returns; without it, whatever it returns.",
            ),
            "failure": _text("The action to run when the node has finally failed; empty: none.", null=True),
            "onfailure": {
                "type": ["boolean", "null"],
                "default": True,
                "description": "false: the same as try_count: 1.",
            },
            "on_failure": _choice(
                get_args(OnFailure),
                "What becomes of the run when the node has finally failed; default: the config's.",
                or_=[{"enum": ["", None]}],
            ),
            "description": _text("What the node is for.", null=True),
            "timeout": {
                "type": ["number", "null"],
                "exclusiveMinimum": 0,
                "default": DEFAULT_TIMEOUT_SECONDS,
                "description": "Seconds for one attempt.",
            },
            "try_count": _whole("Attempts; default: the config's max_attempts.", minimum=1, maximum=MAX_INTEGER),
            "run_when": _choice(
                get_args(RunWhen),
                "finished: run whatever became of the dependencies.",
                default="succeeded",
                or_=[{"type": "null"}],
            ),
            "priority": _whole(
                "Higher runs first among the ready.", default=0, minimum=-MAX_INTEGER, maximum=MAX_INTEGER
            ),
            "instructions": _list(_text("An instruction."), "Instructions that belong to the node."),
        },
        required=["id"],
        oneOf=[_named_by("action", "graph"), _named_by("graph", "action")],
        description="One unit of work: an action or a graph, on what, after which nodes.",
    )


def _id() -> _Schema:
    return {
        "type": "string",
        "pattern": f"^{ID_PATTERN.pattern.removesuffix(chr(92) + 'Z')}$",
        "maxLength": MAX_ID_LENGTH,
        "not": {"enum": ["inputs", "global"]},
        "description": "Letters, digits, _ and -; begins with a letter or _.",
    }


def _named_by(field: str, other: str) -> _Schema:
    """That the node has one of the two fields, and not the other."""
    empty = {"enum": [None, ""]}
    return {"required": [field], "properties": {field: {"not": empty}, other: empty}}


def _when() -> _Schema:
    kinds: dict[str, _Schema] = {
        **{test: {} for test in TESTS},
        **{test: {"type": "array"} for test in ("in", "not_in")},
        **{test: {"type": ["number", "string"]} for test in ("gt", "gte", "lt", "lte")},
    }
    reference: _Schema = {"$ref": "#/$defs/reference"}
    return {
        "anyOf": [reference, _object({"reference": reference, **kinds}, required=["reference"]), {"type": "null"}],
        "description": "When the node runs: what the reference leads to is true, or passes every test; else skipped.",
    }


def _map() -> _Schema:
    reference: _Schema = {"$ref": "#/$defs/reference"}
    limit = _whole("Items at work at once; default: as many as the other limits let.", minimum=1, maximum=MAX_INTEGER)
    return {
        "anyOf": [
            reference,
            _object({"reference": reference, "max_parallel": limit}, required=["reference"]),
            {"type": "null"},
        ],
        "description": "Run the node once for each item of a list; its inputs refer to the item as `item`.",
    }


def _cache() -> _Schema:
    name: _Schema = {"type": "string", "minLength": 1}
    key = {
        "anyOf": [name, {"type": "array", "items": name, "minItems": 1}, {"type": "null"}],
        "description": "The inputs whose values make it the same work; default: all of them.",
    }
    units = "".join(f"{unit}{unit.upper()}" for unit in UNIT_SECONDS)
    ttl = {
        "anyOf": [
            {"type": "number", "exclusiveMinimum": 0},
            {"type": "string", "pattern": f"^0*[1-9][0-9]*[{units}]$", "maxLength": 10},
            {"type": "null"},
        ],
        "description": "How old the outputs may be: 30d, 12h, or a number of seconds; default: any age.",
    }
    return {
        "anyOf": [{"type": ["boolean", "null"]}, _object({"key": key, "ttl": ttl})],
        "description": "Take an earlier run's outputs where the work is the same.",
    }


def _whole(description: str, **more: Any) -> _Schema:
    return {"type": ["integer", "null"], "description": description, **more}


def _named(properties: dict[str, _Schema], **more: Any) -> _Schema:
    named = {"name": _text("Its name.", minLength=1), "description": _text("What it is.", null=True), **properties}
    return _object(named, required=["name"], **more)


def _inputs() -> _Schema:
    reference: _Schema = {"$ref": "#/$defs/reference"}
    value: _Schema = {"description": "A literal: any JSON value."}
    described = _text("What it is.", null=True)
    by_reference = {"reference": reference}
    by_value = {"reference": {"type": "null"}, "value": value}
    long = [_named(by_reference), _named(by_value)]
    long[0]["required"].append("reference")
    long[1]["required"].append("value")
    short = {
        "anyOf": [
            reference,
            _object({**by_reference, "description": described}, required=["reference"]),
            _object({**by_value, "description": described}, required=["value"]),
        ]
    }
    one = {
        "type": "object",
        "minProperties": 1,
        "maxProperties": 1,
        "not": {"anyOf": [{"required": [key]} for key in ("name", "description", "reference", "value")]},
        "additionalProperties": short,
    }
    return {
        "anyOf": [
            {"type": "object", "additionalProperties": short},
            {"type": "array", "items": {"anyOf": [*long, one]}},
            {"type": "null"},
        ],
        "description": "What the action gets: {name: reference}, or a list of {name, reference} and {name, value}.",
    }


def _run_inputs() -> _Schema:
    name: _Schema = {"enum": [*INPUT_TYPES]}
    kinds: _Schema = {
        "anyOf": [name, {"type": "array", "items": {"enum": [*INPUT_TYPES, None]}}, {"type": "null"}],
        "description": "A type of JSON Schema, or several; without it, any.",
    }
    full = _object(
        {
            "type": kinds,
            "default": {"description": "Without a default, a run must be given the input."},
            "description": _text("What it is.", null=True),
        }
    )
    return {
        "type": ["object", "null"],
        "additionalProperties": {"anyOf": [name, full, {"type": "null"}]},
        "description": "The inputs that a run takes: name -> type, or {type, default, description}.",
    }


# --------------------------------------------------------------------------------------------------------------- config

_SETTINGS = {
    "max_attempts": "Attempts of a step whose node does not say try_count.",
    "on_failure": "What becomes of the run when a step has finally failed.",
    "timeout_seconds": "Seconds of active time for the whole run; null: no limit.",
    "human_wait_minutes": "Minutes that a review waits; null: for ever.",
    "human_timeout_action": "What happens when nobody answered a review in time.",
    "max_tokens": "Tokens that the run may spend; null: no limit.",
    "max_iterations": "Supervisor iterations; null: no limit.",
    "review_frequency": "Every how many supervisor iterations a person is asked; null: never.",
    "retry_strategy": "How long to wait between two attempts.",
    "max_messages": "Messages published in one run; null: no limit.",
    "channel_capacity": "Undelivered payloads per agent that are kept in memory.",
    "max_parallel": "Steps running at once in one run; null: no limit.",
    "durability": "sync: a step starts only when what made it ready is on disk; async: written in the background.",
    "keep_events": "How long events below a checkpoint are kept: all, or a number of s, m, h, d or w, as 30d.",
}


def _config() -> _Schema:
    fields = {field.name: field for field in dataclasses.fields(RunConfig)}
    settings = {
        name: _setting(field.metadata["rule"], _SETTINGS.get(name, ""))
        for name, field in fields.items()
        if "rule" in field.metadata
    }
    settings["retry_strategy"] = _retry_strategy()
    ordered = {name: settings[name] for name in fields}
    return _object(ordered, type=["object", "null"], description="Settings of runs of this graph.")


def _setting(rule: Any, description: str) -> _Schema:
    null: list[_Schema] = [{"type": "null"}]
    if rule.choices:
        return _choice(rule.choices, description, default=rule.default, or_=null)
    if rule.pattern:
        pattern = f"^({rule.pattern})$"
        return {"type": ["string", "null"], "pattern": pattern, "default": rule.default, "description": description}
    number = "number" if float in rule.types else "integer"
    limits = {"minimum": rule.low, "maximum": rule.high}
    return {
        "type": [number, "null"],
        **{key: limit for key, limit in limits.items() if limit is not None},
        "default": rule.default,
        "description": description,
    }


def _retry_strategy() -> _Schema:
    forms: list[_Schema] = [{"type": "null"}, _choice(tuple(STRATEGIES), "A strategy with its defaults.")]
    for name, kind in STRATEGIES.items():
        fields = {
            field.name: {"type": "number", "minimum": 1 if field.name == "multiplier" else 0, "default": field.default}
            for field in msgspec.structs.fields(kind)
        }
        fields.get("jitter", {})["maximum"] = 1
        for spelled in (name, name.capitalize()):
            delays = _object(fields, type=["object", "null"])
            forms.append(_object({spelled: delays}, required=[spelled]))
    return {"anyOf": forms, "description": _SETTINGS["retry_strategy"]}
