"""What a YAML scalar means to kubectl.

kubectl reads YAML with go-yaml 2: YAML 1.1 words (``no``, ``y``, ``off``), but no base 60 numbers and no dates, and
Go's number syntax (``0o17``, ``08``, ``1_000``). No Python library agrees, and a value read differently is a different
object in the cluster. The tables and the order of the attempts here are go-yaml's; ``yaml_reader`` walks the document.
"""

from __future__ import annotations

import base64
import binascii
import math
import re
import struct
from decimal import Decimal

Scalar = str | int | float | bool | None

MERGE_TAG = "tag:yaml.org,2002:merge"
_TEXT_TAGS = frozenset({"!", "tag:yaml.org,2002:str", MERGE_TAG})
_BINARY_TAG = "tag:yaml.org,2002:binary"
_TIMESTAMP_TAG = "tag:yaml.org,2002:timestamp"
_TYPES: dict[str, tuple[type, ...]] = {
    "tag:yaml.org,2002:bool": (bool,),
    "tag:yaml.org,2002:int": (int,),
    "tag:yaml.org,2002:float": (float, int),
    "tag:yaml.org,2002:null": (type(None),),
    _TIMESTAMP_TAG: (),
}
_TIMESTAMP = re.compile(r"[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}([Tt ][0-9]{1,2}:[0-9]{1,2}:[0-9]{1,2}(\.[0-9]+)?.*)?")

WORDS: dict[str, Scalar] = {
    "<<": "<<",  # as a value; as a key it merges
    **dict.fromkeys(("y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON"), True),
    **dict.fromkeys(("n", "N", "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF"), False),
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys((".nan", ".NaN", ".NAN"), math.nan),
    **dict.fromkeys((".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF"), math.inf),
    **dict.fromkeys(("-.inf", "-.Inf", "-.INF"), -math.inf),
}
NUMBER_STARTS = frozenset("0123456789+-.")
"""A plain scalar that begins otherwise and is none of ``WORDS`` is a string."""

_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_DOT_FLOAT = re.compile(r"\.[0-9]+(?:_[0-9]+)*(?:[eE][-+]?[0-9]+(?:_[0-9]+)*)?")
_INTEGER = re.compile(
    r"(?P<sign>[-+]?)(?:0[xX](?P<hex>[0-9a-fA-F]+)|0[bB](?P<bin>[01]+)|0[oO]?(?P<oct>[0-7]+)|(?P<dec>0|[1-9][0-9]*))"
)
_BASES = {"hex": 16, "bin": 2, "oct": 8, "dec": 10}
_INT64_MIN, _UINT64_END = -(2**63), 2**64
_INT64_DIGITS = 64  # no integer of 64 bits is written with more significant digits than this, in base 2

_GO_INTEGER_BELOW = 1e21
"""Go's JSON writes whole floats below this without an exponent, so they are integers to whoever reads them."""
_FLOAT32_DIGITS = 9
_EXPONENT_FROM, _EXPONENT_BELOW = 6, -4


class ScalarError(ValueError):
    """A scalar that kubectl refuses. The text says why and never holds the value."""


def scalar_value(tag: str | None, text: str) -> Scalar:
    """Return what a scalar means, as JSON will carry it. ``tag`` is None for a plain one, which names no type.

    Raises:
        ScalarError: for a tag that is none of YAML's own scalar types, a text that is not of the tag's type, and for
            infinities and NaN, which JSON cannot carry.
    """
    value = _typed(tag, text)
    return json_number(value) if isinstance(value, float) else value


def scalar_key(tag: str | None, text: str) -> str:
    """Return the JSON key that a mapping's key becomes: ``1`` for ``0x1``, ``true`` for ``yes``.

    Raises:
        ScalarError: as ``scalar_value``; and for a null key, and an integer of more than 63 bits.
    """
    value = _typed(tag, text)
    if value is None:
        raise ScalarError("null cannot be a key")
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        if value >= -_INT64_MIN:
            raise ScalarError("an integer this large cannot be a key; quote it")
        return str(value)
    return _float_key(value)


def _typed(tag: str | None, text: str) -> Scalar:
    if tag is None:
        return _resolve(text)
    if tag in _TEXT_TAGS:
        return text
    if tag == _BINARY_TAG:
        try:
            return base64.b64decode(text.replace("\n", ""), validate=True).decode(errors="replace")
        except (binascii.Error, ValueError):
            raise ScalarError("a !!binary value is not valid base64") from None
    if tag == _TIMESTAMP_TAG and _TIMESTAMP.fullmatch(text):
        return text
    types = _TYPES.get(tag)
    if types is None:
        raise ScalarError("an unknown tag; only YAML's own types, such as !!str, can be used")
    value = _resolve(text)
    if type(value) not in types:
        raise ScalarError("the value is not of the type that its tag says")
    return value


def _resolve(text: str) -> Scalar:
    if text in WORDS:
        return WORDS[text]
    first = text[0]  # an empty text is a word
    if first not in NUMBER_STARTS:
        return text
    if first == ".":
        return _float(text) if _DOT_FLOAT.fullmatch(text) else text
    # go-yaml drops every underscore, wherever it stands; only after a leading point it is Go's own rule that counts.
    plain = text.replace("_", "") if "_" in text else text
    if (integer := _integer(plain)) is not None:
        return integer
    if _FLOAT.fullmatch(plain):
        value = _float(plain)
        return text if isinstance(value, str) else value
    return text


def _integer(plain: str) -> int | None:
    match = _INTEGER.fullmatch(plain)
    if match is None:
        return None
    kind = match.lastgroup or "dec"
    digits = match[kind].lstrip("0") or "0"
    # Also keeps Python from refusing integers of thousands of digits.
    if len(digits) > _INT64_DIGITS:
        return None
    value = int(digits, _BASES[kind])
    sign = match["sign"]
    if sign == "-":
        return -value if -value >= _INT64_MIN else None
    # Beyond 63 bits go-yaml tries an unsigned integer, which may have no sign.
    limit = -_INT64_MIN if sign else _UINT64_END
    return value if value < limit else None


def _float(text: str) -> float | str:
    """Return the float, or the text itself where it is out of range, as Go's ParseFloat fails there."""
    value = float(text)
    return text if math.isinf(value) else value


def json_number(value: float) -> int | float:
    """Return the number that Go's JSON encoder writes for a float: 1 for 1.0, 18446744073709552000 for 2**64.

    Raises:
        ScalarError: for infinities and NaN.
    """
    if not math.isfinite(value):
        raise ScalarError("infinity and NaN cannot be sent to Kubernetes; quote the value if a string is meant")
    if value.is_integer() and abs(value) < _GO_INTEGER_BELOW:
        # The shortest digits that mean this float, filled up with zeros, are what Go writes.
        return int(Decimal(repr(value)))
    return value


def _float_key(value: float) -> str:
    """Write a float as go-yaml writes a key: Go's ``FormatFloat(value, 'g', -1, 32)``."""
    if math.isnan(value):
        return ".nan"
    try:
        single: float = struct.unpack("f", struct.pack("f", value))[0]
    except OverflowError:
        single = math.copysign(math.inf, value)
    if math.isinf(single):
        return ".inf" if single > 0 else "-.inf"
    if single == 0:
        return "-0" if math.copysign(1, single) < 0 else "0"
    for precision in range(_FLOAT32_DIGITS):
        shortest = f"{single:.{precision}e}"
        if struct.pack("f", float(shortest)) == struct.pack("f", single):
            break
    mantissa, _, exponent = shortest.partition("e")
    if _EXPONENT_BELOW <= int(exponent) < _EXPONENT_FROM:
        return f"{Decimal(shortest):f}"
    return f"{mantissa}e{exponent}"
