"""Texts that come from files, made fit to be shown: what is invisible or turns its neighbours around is seen.

Nothing here escapes for HTML: the templates do, each value, wherever it stands.
"""

from __future__ import annotations

import unicodedata

# A name of a product, a query; what is longer ends in an ellipsis. In lists the page is made for names of about 30.
LONGEST = 80
ELLIPSIS = "…"
# Control pictures have the order of the controls.
_PICTURES = 0x2400
_DELETE, _PICTURE_OF_DELETE = "\x7f", "\u2421"
# Marks of a direction (U+200E, U+200F, U+061C) belong to good text. These open and close stretches of it, and could
# close ours.
_DIRECTIONS = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_UNSEEN = ("Cc", "Cs", "Zl", "Zp")


def visible(text: str) -> str:
    """``text`` with a sign in the place of each control character, line break, and opener or closer of a direction."""
    return "".join(map(_seen, text))


def visible_lines(text: str) -> str:
    """As ``visible``, for a text of ours in several lines that holds names of feeds: its line ends stay."""
    return "\n".join(map(visible, text.split("\n")))


def shortened(text: str, most: int = LONGEST) -> str:
    """``text`` in at most ``most`` characters, visible; the last one is an ellipsis where more stood."""
    if len(text) <= most:
        return visible(text)
    return visible(text[: most - 1]).rstrip() + ELLIPSIS


def _seen(sign: str) -> str:
    if sign < " ":
        return chr(_PICTURES + ord(sign))
    if sign == _DELETE:
        return _PICTURE_OF_DELETE
    if sign in _DIRECTIONS or unicodedata.category(sign) in _UNSEEN:
        return f"\\u{ord(sign):04x}"
    return sign
