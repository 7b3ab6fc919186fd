"""Databases by the names of SQLAlchemy, of which the layer has a part: what a plugin of maubot uses besides."""

import ast

import checks
import lacks
import tree
from tree import Module

_EXPRESSIONS = {
    "and_", "asc", "case", "delete", "desc", "distinct", "false", "func", "insert", "join", "not_", "null", "or_", "outerjoin", "select", "text", "true",
    "update",
}
_TYPES = {
    "BIGINT", "BOOLEAN", "CHAR", "DATETIME", "INTEGER", "JSON", "TEXT", "TIMESTAMP", "VARCHAR", "BigInteger", "Boolean", "Date", "DateTime", "Enum", "Float",
    "Integer", "LargeBinary", "Numeric", "SmallInteger", "String", "Text", "Time", "Unicode", "UnicodeText",
}
_SCHEMA = {
    "CheckConstraint", "Column", "ForeignKey", "ForeignKeyConstraint", "Index", "MetaData", "PrimaryKeyConstraint", "Table", "UniqueConstraint",
}
_ERRORS = {"MultipleResultsFound", "NoResultFound"}

#: The names that the layer has, by their modules.
NAMES = {
    "sqlalchemy": _EXPRESSIONS | _TYPES | _SCHEMA | {"TypeDecorator", "engine", "exc", "ext", "orm", "schema", "sql", "types"},
    "sqlalchemy.engine": {"Connection", "Engine", "ResultProxy", "RowProxy", "Transaction", "base", "result"},
    "sqlalchemy.engine.base": {"Connection", "Engine", "Transaction"},
    "sqlalchemy.engine.result": {"ResultProxy", "RowProxy"},
    "sqlalchemy.exc": _ERRORS | {
        "ArgumentError", "CompileError", "DBAPIError", "DataError", "DatabaseError", "IntegrityError", "InterfaceError", "InternalError",
        "InvalidRequestError", "NoSuchColumnError", "NotSupportedError", "OperationalError", "ProgrammingError", "ResourceClosedError",
        "SQLAlchemyError", "StatementError",
    },
    "sqlalchemy.ext": {"declarative"},
    "sqlalchemy.ext.declarative": {"declarative_base", "declared_attr"},
    "sqlalchemy.orm": {
        "Query", "Session", "backref", "contains_eager", "declarative_base", "declared_attr", "exc", "joinedload", "lazyload", "query", "relation",
        "relationship", "scoped_session", "selectinload", "session", "sessionmaker", "subqueryload",
    },
    "sqlalchemy.orm.exc": _ERRORS | {"StaleDataError", "UnmappedInstanceError"},
    "sqlalchemy.orm.query": {"Query"},
    "sqlalchemy.orm.session": {"Session", "sessionmaker"},
    "sqlalchemy.schema": _SCHEMA,
    "sqlalchemy.sql": _EXPRESSIONS | {"base", "expression"},
    "sqlalchemy.sql.base": {"ColumnCollection", "ImmutableColumnCollection"},
    "sqlalchemy.sql.expression": _EXPRESSIONS,
    "sqlalchemy.types": _TYPES | {"TypeDecorator"},
}
#: Names that it does not have.
_NO_SERVER = ("there are no files and no servers of databases", "`self.database`, with `database: true` in maubot.yaml")
LACKING = {
    "sqlalchemy": ("the layer has the part of SQLAlchemy 1.3 that plugins use most", "a statement of SQL: `self.database.execute(\"…\")`"),
    "sqlalchemy.create_engine": _NO_SERVER,
    "sqlalchemy.engine.create_engine": _NO_SERVER,
    "sqlalchemy.dialects": ("the database is SQLite, without what the package adds to it", "a statement of SQL: `self.database.execute(\"…\")`"),
    "sqlalchemy.event": ("the layer calls nothing as a database opens or changes", "nothing, or the statement itself"),
    "sqlalchemy.ext.asyncio": ("statements do not wait", "`self.database`, without `await`"),
}

#: Methods that the layer lacks, and those of them that other objects have, too.
_METHODS = {
    "add_columns", "begin_nested", "bindparams", "bulk_insert_mappings", "bulk_save_objects", "bulk_update_mappings", "correlate", "cte",
    "execution_options", "from_self", "from_statement", "on_conflict_do_nothing", "on_conflict_do_update", "raw_connection", "returning",
    "select_entity_from", "subquery", "union_all", "with_entities", "with_for_update", "with_labels", "yield_per",
}
_METHODS_OF_OTHERS = {"alias", "cast", "collate", "concat", "except_", "exists", "intersect", "match", "op", "over", "slice", "union"}
#: The beginnings of statements, and columns.
_STATEMENTS = ("select(", "query(", ".query.", ".c.", "insert(", "update(", "delete(")
_NO_METHOD = ("the layer's statements do not have it", "a statement of SQL: `self.database.execute(\"…\")`")
_OPTIONS = {
    "Column": {
        "name", "type_", "primary_key", "nullable", "unique", "default", "onupdate", "server_default", "index", "autoincrement", "doc", "comment", "info",
    },
    "relationship": {
        "active_history", "argument", "back_populates", "backref", "cascade", "cascade_backrefs", "doc", "foreign_keys", "info", "innerjoin", "join_depth",
        "lazy", "order_by", "passive_deletes", "passive_updates", "post_update", "primaryjoin", "remote_side", "secondary", "single_parent", "uselist",
        "viewonly",
    },
    "Table": {"extend_existing", "keep_existing", "sqlite_autoincrement", "info", "comment", "mysql_charset", "mysql_engine"},
}

PLAIN = (
    "it is one of SQLite in memory, and its pages are stored when the plugin waits, speaks or ends a handler: it has at most 4 MiB, at most 240 KiB"
    " change until then, and references between tables are not checked",
    "nothing, if that is enough; else " + lacks.STORAGE,
)


def is_used(checker: checks.Checker) -> bool:
    """Whether a plugin uses its database. It has the layer's package then, which it may not import itself."""
    found = "sqlalchemy" in checker.parts or any(
        isinstance(node, ast.Attribute) and node.attr == "database" for module in checker.modules for node in ast.walk(module.tree))
    if found:
        checker.parts.add("sqlalchemy")
    return found


def run(checker: checks.Checker) -> None:
    """Tells what a plugin uses of SQLAlchemy that the layer does not have."""
    checker.names(("sqlalchemy",), NAMES, LACKING)
    if "sqlalchemy" not in checker.parts:
        return
    for module in checker.modules:
        if any(name.partition(".")[0] == "sqlalchemy" for name, *_ in tree.imports(module)):
            for node in ast.walk(module.tree):
                if isinstance(node, ast.Call):
                    _call(checker, module, node)


def _call(checker: checks.Checker, module: Module, node: ast.Call) -> None:
    base, _, name = (module.dotted(node.func) or "").rpartition(".")
    if base.partition(".")[0] == "sqlalchemy" and name in _OPTIONS:
        for option in checks.keywords(node):
            if option not in _OPTIONS[name]:
                checker.tell("lacks", module, node, f"{name}({option}=…)", "the layer does not know the option", "nothing, or `server_default` and SQL")
    if isinstance(node.func, ast.Attribute):
        method = node.func.attr
        is_statement = any(one in ast.unparse(node.func.value) for one in _STATEMENTS)
        if method in _METHODS or method in _METHODS_OF_OTHERS and is_statement:
            checker.tell("lacks", module, node, f".{method}()", *_NO_METHOD)
