"""What a node of a syntax tree defines, and its name: read alike in every language that has a grammar."""

from __future__ import annotations

import re
from typing import Any

from modernbert.wording import one_line

# Characters of a definition's dotted name; nested deep, it is cut.
LONGEST_NAME = 200

_DEFINITION = re.compile(
    r"function|method|class|struct|union|enum|interface|trait|impl|namespace|module|mod_item|constructor"
    r"|record|delegate|macro|annotation_type|type_(definition|alias|item|spec)"
)
# What has such a word in its name and defines nothing: a call, a type, a member of an enumeration.
_NO_DEFINITION = re.compile(
    r"call|invocation|declarator|body|modifier|reference|_type$|(?<!annotation)_type_|enumerator|enum_(variant|const|case|assign|member)"
)
_FUNCTION = re.compile(r"function|method|constructor|macro")
# Another name for a type: one of a single line is no place to look for.
_ALIAS = re.compile(r"type_(definition|alias|item|spec)|delegate")
# A name bound to a value: where the name stands, and where the value.
_BINDINGS = {
    "variable_declarator": ("name", "value"),
    "assignment_expression": ("left", "right"),
    "assignment": ("left", "right"),
    "pair": ("key", "value"),
    "field_definition": ("property", "value"),
    "public_field_definition": ("name", "value"),
    "var_spec": ("name", "value"),
    "init_declarator": ("declarator", "value"),
}
_FUNCTION_VALUES = {
    *("function_expression", "function", "arrow_function", "generator_function", "lambda"),
    *("lambda_expression", "func_literal", "anonymous_function", "anonymous_function_creation_expression"),
}
_WRAPPER = re.compile(
    r"decorat|export|ambient|template_decl|expression_statement|(lexical|variable|var|field|type)_declaration"
    r"|^declaration$|expression_list"
)


def name_of(node: Any) -> str:
    """Return the name of what a node defines, or of the one definition that it wraps; nothing if neither."""
    return own_name(node) or (name_of(inner) if (inner := _wrapped(node)) else "")


def own_name(node: Any) -> str:
    """Return the name of what a node itself defines; nothing for what merely wraps a definition."""
    if node.type in _BINDINGS:
        place, _ = _BINDINGS[node.type]
        return _text(node.child_by_field_name(place)) if _has_code(_value(node)) else ""
    if node.type == "export_statement":
        return _default_export(node)
    if not _is_definition(node) or (_ALIAS.search(node.type) and not _has_lines(node)):
        return ""
    own = _text(node.child_by_field_name("name") or node.child_by_field_name("declarator"))
    if node.type == "impl_item":  # of Rust: its methods belong to the type
        own = _text(node.child_by_field_name("type"))
    receiver = node.child_by_field_name("receiver")  # of Go: what a method belongs to
    owners = re.findall(r"\w+", receiver.text.decode(errors="replace").split("[")[0]) if receiver else []
    return ".".join([*owners[-1:], own]) if own else ""


def is_function(node: Any) -> bool:
    """Does a node that has a name define a function, or wrap one?"""
    if node.type in _BINDINGS:
        return _value(node).type in _FUNCTION_VALUES | {"call_expression"}
    if own_name(node) and node.type != "export_statement":
        return bool(_FUNCTION.search(node.type))
    inner = _wrapped(node)
    return is_function(inner) if inner else any(c.type in _FUNCTION_VALUES for c in node.named_children)


def _wrapped(node: Any) -> Any | None:
    """Return the one definition that a node wraps (a decorator, an export, a statement); None if none."""
    if not _WRAPPER.search(node.type):
        return None
    inner = [child for child in node.named_children if name_of(child)]
    return inner[0] if len(inner) == 1 else None


def _is_definition(node: Any) -> bool:
    return bool(_DEFINITION.search(node.type)) and not _NO_DEFINITION.search(node.type)


def _value(node: Any) -> Any:
    """Return what a name is bound to."""
    value = node.child_by_field_name(_BINDINGS[node.type][1]) or node.named_children[-1]
    return value.named_children[0] if value.type == "expression_list" and value.named_children else value


def _has_code(value: Any) -> bool:
    """Is a value a function or a class, an object that holds functions, or a call that is given one?"""
    if value.type in _FUNCTION_VALUES or value.type == "class":
        return True
    if value.type == "object":
        return any(
            child.type == "method_definition"
            or (child.type == "pair" and _value(child).type in _FUNCTION_VALUES)
            for child in value.named_children
        )
    given = value.child_by_field_name("arguments") if value.type == "call_expression" else None
    if given is None or not _has_lines(value):
        return False
    return any(child.type in _FUNCTION_VALUES for child in given.named_children)


def _default_export(node: Any) -> str:
    is_default = any(child.type == "default" for child in node.children)
    return (
        "default"
        if is_default and any(_has_code(child) and not name_of(child) for child in node.named_children)
        else ""
    )


def _has_lines(node: Any) -> bool:
    return bool(node.start_point[0] != node.end_point[0])


def _text(node: Any | None) -> str:
    """Return a name as one line; of a declarator of C, what it declares."""
    while node is not None and "declarator" in node.type:
        inner = node.child_by_field_name("declarator") or next(iter(node.named_children), None)
        if inner is None:
            break
        node = inner
    if node is None or node.type in ("object_pattern", "array_pattern"):
        return ""
    text = node.text.decode(errors="replace")
    if "operator" not in text:
        text = re.split(r"[(<]", text)[0]
    return one_line(text).strip("'\"`")
