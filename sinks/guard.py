"""May a reader run this statement? Decided on the engine's own parse of it, not on its text. Pure.

The engine's `readonly = 1` already refuses every write, every change of a setting, and table functions that reach
outside. What it lets through in process is refused here: the function `file()`, INTO OUTFILE, KILL, USE, and the system
tables that show other people's queries or the machine. The parse comes as the lines of EXPLAIN AST, one node a line,
depth by indentation.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

STATEMENTS = frozenset(
    {
        "SelectWithUnionQuery", "SelectIntersectExceptQuery", "ShowTables", "ShowColumns", "ShowIndexes",
        "ShowFunctions", "ShowSetting", "ShowEngineQuery", "DescribeQuery", "Explain", "ExistsTableQuery",
        "ExistsViewQuery", "ExistsDatabaseQuery", "ShowCreateTableQuery", "ShowCreateViewQuery",
        "ShowCreateDatabaseQuery",
    }
)  # fmt: skip
"""Kinds of statements that read."""

TABLE_FUNCTIONS = frozenset(
    {"generate_series", "generateseries", "null", "numbers", "numbers_mt", "values", "view", "zeros", "zeros_mt"}
)
"""Table functions that make their rows out of the query alone."""

SYSTEM_TABLES = frozenset(
    {
        "aggregate_function_combinators", "collations", "columns", "constraints", "data_skipping_indices",
        "data_type_families", "databases", "dictionaries", "formats", "functions", "keywords", "numbers",
        "numbers_mt", "one", "settings", "table_engines", "table_functions", "tables", "time_zones", "zeros",
        "zeros_mt",
    }
)  # fmt: skip
"""What clients ask to list tables and columns, and what shows nothing of other readers or of the machine."""

INFORMATION = frozenset({"information_schema"})

_DENIED = re.compile(
    r"""
    file|file_?cluster|files.*|python.*|catboostevaluate|joinget.*|ai[a-z_]*|addressto.*|demangle|reversednsquery
    |sleep.*|generateserialid|showcertificate|getserversetting|executable.*|url|urlcluster|remote.*|cluster.*|s3.*|gcs.*
    |azure.*|hdfs.*|cosn|oss.*|mysql.*|postgresql.*|sqlite.*|mongodb.*|redis.*|odbc.*|jdbc.*|bigquery.*|ytsaurus.*
    |delta.*lake.*|iceberg.*|hudi.*|paimon.*|arrowstream|dictionary|eval|evalmlmethod|input|loop|merge|merget.*
    |viewexplain|viewifpermitted|timeseries(data|metrics|samples|tags|selector|metricfam.*)|prometheus.*|fuzz.*
    """,
    re.VERBOSE,
)
"""Functions that reach outside the database, or wait for nothing. Tried on whole names in lower case."""

_NODE = re.compile(r"^( *)(\S+)(?: (.*?))?(?: \(alias .*?\))?(?: \(children \d+\))?$")
_STRING = re.compile(r"'(?:[^'\\]|\\.|'')*'", re.DOTALL)
_CALL = re.compile(r"[`\"]?(\w+)[`\"]?\s*\(")


class Refused(Exception):
    """A reader may not run this. The message says what is in the way."""


@dataclass(frozen=True)
class _Node:
    depth: int
    kind: str
    name: str
    parent: str


def check(canonical: str, tree: str, database: str, current: str) -> None:
    """Return if a reader may run it.

    `canonical`: the statement as the engine formats it; `tree`: EXPLAIN AST of that; `database`: ours; `current`: the
    one that unqualified names stand for.

    Raises:
        Refused: no.
    """
    nodes = list(_nodes(tree))
    if not nodes or nodes[0].kind not in STATEMENTS:
        raise Refused("only statements that read are allowed here")
    if nodes[0].kind == "Explain" and "OVERRIDE" in nodes[0].name:
        raise Refused("EXPLAIN TABLE OVERRIDE is not allowed here")
    for node in nodes:
        _check_node(node, database, current)
    for name in _CALL.findall(_STRING.sub("''", canonical)):
        if _DENIED.fullmatch(name.lower()):
            raise Refused(f"the function {name} is not allowed here")


def _nodes(tree: str) -> Iterator[_Node]:
    path: list[str] = []
    for line in tree.splitlines():
        match = _NODE.match(line)
        if match is None:
            continue
        depth = len(match[1])
        del path[depth:]
        yield _Node(depth, match[2], match[3] or "", path[-1] if path else "")
        path.append(match[2])


def _check_node(node: _Node, database: str, current: str) -> None:
    if node.kind == "Literal" and node.parent in STATEMENTS:
        raise Refused("INTO OUTFILE is not allowed here")
    if node.kind == "ColumnsApplyTransformer":
        raise Refused("APPLY is not allowed here")
    if node.kind == "Set" and node.parent != "Explain":
        raise Refused("SETTINGS are not for a statement here: they go into the URL")
    if node.kind == "Function":
        _check_function(node)
    if node.kind == "TableIdentifier":
        _check_table(node.name, database, current)
    if node.kind == "Identifier":
        _check_identifier(node.name)


def _check_function(node: _Node) -> None:
    name = node.name.lower()
    if _DENIED.fullmatch(name) or (node.parent == "TableExpression" and name not in TABLE_FUNCTIONS):
        raise Refused(f"the function {node.name} is not allowed here")


def _check_table(name: str, database: str, current: str) -> None:
    there, dot, table = name.partition(".")
    if not dot:
        there, table = current, name
    if there == "system" and table not in SYSTEM_TABLES:
        raise Refused(f"system.{table} is not for readers")
    if there not in {database, "system"} and there.lower() not in INFORMATION:
        raise Refused(f"there is no database {there} for readers")


def _check_identifier(name: str) -> None:
    """A name that may be a table where a set is expected (`x IN name`)."""
    there, dot, table = name.partition(".")
    if dot and there == "system" and table not in SYSTEM_TABLES:
        raise Refused(f"system.{table} is not for readers")
    if dot and there == "default":
        raise Refused("there is no database default for readers")
