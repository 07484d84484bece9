"""The table of routes as an OpenAPI document, so that it cannot drift from what is served. Pure."""

from __future__ import annotations

import sys
from functools import cache
from typing import Any

import msgspec

from gateway.routes import ROUTES, Parameter, Route

_ERRORS = {
    "400": "The question is wrong; `mend` says what is allowed",
    "401": "No token, or none that is valid",
    "403": "The role does not allow it",
    "404": "There is no such thing, or it is another tenant's",
}
_UNUSABLE = "There is a file of that name, and it cannot be used; `error` says why"
_AWAY = "ClickHouse does not answer, or took too long; `Retry-After` says when to ask again"


@cache
def document() -> dict[str, Any]:
    """The document."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Tidewatch",
            "version": "1",
            "description": "What a board asks beside the feed; HEAD is answered as GET is, without the body. "
            "Sockets are described in words: docs/contract.md.",
        },
        "paths": {route.path: {"get": _operation(route)} for route in ROUTES},
        "components": {
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
                "session": {"type": "apiKey", "in": "cookie", "name": "tidewatch-session"},
            },
            "schemas": {"Error": _schema({"error": "string: what is wrong", "mend": "string: what to do about it"})},
        },
    }


def served() -> bytes:
    """The document as it is sent."""
    return msgspec.json.format(msgspec.json.encode(document()), indent=2)


def _operation(route: Route) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "summary": route.says,
        "responses": {"200": _good(route)} | {code: _bad(says) for code, says in _errors(route).items()},
    }
    parameters = [_parameter(one) for one in route.parameters]
    if route.variable:
        parameters.insert(0, {"name": route.variable, "in": "path", "required": True, "schema": {"type": "string"}})
    if parameters:
        operation["parameters"] = parameters
    if route.roles:
        operation["security"] = [{"bearer": []}, {"session": []}]
        operation["x-roles"] = sorted(route.roles)
    return operation


def _errors(route: Route) -> dict[str, str]:
    if route.answer is None and not route.roles:
        return {}
    errors = {code: says for code, says in _ERRORS.items() if route.roles or code in ("400", "404")}
    errors |= {"409": _UNUSABLE} if route.variable == "name" else {}
    return errors | ({"503": _AWAY} if route.stored else {})


def _good(route: Route) -> dict[str, Any]:
    if route.answer is None:
        return {"description": route.says}
    return {"description": route.says, "content": {"application/json": {"schema": _schema(route.answer)}}}


def _bad(says: str) -> dict[str, Any]:
    return {"description": says, "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}}


def _parameter(one: Parameter) -> dict[str, Any]:
    return {"name": one.name, "in": "query", "required": one.required, "description": one.says, "schema": _limits(one)}


def _limits(one: Parameter) -> dict[str, Any]:
    match one.kind:
        case "choice":
            schema: dict[str, Any] = {"type": "string", "enum": list(one.allowed)}
        case "choices":
            schema = {"type": "string", "description": f"up to {one.most} of: {', '.join(one.allowed)}"}
        case "whole":
            schema = {"type": "integer", "minimum": one.least, "maximum": one.most}
        case "text":
            schema = {"type": "string", "maxLength": one.most}
        case _:
            schema = {"type": "string"}
    return schema | ({"default": one.default} if one.default is not None else {})


def _schema(part: Any) -> dict[str, Any]:
    if isinstance(part, str):
        return _leaf(part)
    if isinstance(part, list):
        return {"type": "array", "items": _schema(part[0])}
    return {
        "type": "object",
        "properties": {name: _schema(says) for name, says in part.items()},
        "required": sorted(part),
    }


def _leaf(text: str) -> dict[str, Any]:
    kind, _, says = text.partition(": ")
    maybe = kind.endswith("?")
    kind = kind.rstrip("?")
    schema: dict[str, Any] = {"type": [kind, "null"] if maybe else kind}
    return schema | ({"description": says} if says else {})


if __name__ == "__main__":
    sys.stdout.write(served().decode())
