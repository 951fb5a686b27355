"""What a validator finds wrong, in the words of JSON instead of Python's: ``Must be an object.``"""

from __future__ import annotations

import re

from pydantic_core import ErrorDetails

from pharos.core.forms import in_words

_TIME = "Must be a time with its zone, such as 2026-01-31T14:00:00Z."

NO_OBJECT = frozenset({"model_type", "model_attributes_type", "dict_type", "mapping_type"})
"""Types of error where an object was expected."""

_MESSAGES = {
    **dict.fromkeys(NO_OBJECT, "Must be an object."),
    **dict.fromkeys(("list_type", "tuple_type", "set_type", "frozen_set_type"), "Must be a list."),
    **dict.fromkeys(("int_type", "int_parsing", "int_from_float"), "Must be a whole number."),
    **dict.fromkeys(("float_type", "float_parsing", "finite_number"), "Must be a number."),
    **dict.fromkeys(("bool_type", "bool_parsing"), "Must be true or false."),
    **dict.fromkeys(("decimal_type", "decimal_parsing"), 'Must be a decimal number, such as "25.00".'),
    **dict.fromkeys(("datetime_type", "datetime_parsing", "datetime_from_date_parsing", "timezone_aware"), _TIME),
    "string_type": "Must be text.",
    "missing": "This field is required.",
    "extra_forbidden": "There is no such field.",
}


def in_plain_words(detail: ErrorDetails) -> str:
    """The message of one of pydantic's errors, as a sentence."""
    type, context = detail["type"], detail.get("ctx", {})
    if type in _MESSAGES:
        return _MESSAGES[type]
    match type:
        case "too_short":
            return f"Must have at least {_counted(context['min_length'], 'item')}."
        case "too_long":
            return f"Must have at most {_counted(context['max_length'], 'item')}."
        case "string_too_short":
            return f"Must be at least {_counted(context['min_length'], 'character')} long."
        case "string_too_long":
            return f"Must be at most {_counted(context['max_length'], 'character')} long."
        case "string_pattern_mismatch":
            words = in_words(context["pattern"])
            return f"Must be {words}." if words else f"Must match the pattern {context['pattern']}."
        case "union_tag_invalid":
            return f"Expected one of {context['expected_tags']}."
    message = detail["msg"].removeprefix("Value error, ").removeprefix("Assertion failed, ").removesuffix(".")
    message = re.sub(r"^(Input|String|Decimal input) should ", "Must ", message)
    return f"{message[:1].upper()}{message[1:]}."


def _counted(number: object, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
