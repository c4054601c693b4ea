"""How a contact as it was typed becomes a person with a company. Pure."""

from __future__ import annotations

import re

_PARTICLES = {"van", "von", "de", "der", "den", "del", "della", "di", "da", "la", "le", "zu", "bin", "al"}
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")


def split_name(text: str) -> tuple[str, str]:
    """First and last name, of "Ada Lovelace", "Lovelace, Ada" and "Vincent van Gogh"."""
    words = text.split()
    if "," in text:
        last, _, first = text.partition(",")
        return " ".join(first.split()), " ".join(last.split())
    start = next((i for i, word in enumerate(words[1:], 1) if word.lower() in _PARTICLES), max(0, len(words) - 1))
    return " ".join(words[:start]), " ".join(words[start:])


def normal_email(text: str) -> str | None:
    """In lower case, without what is around it; None where it is none."""
    email = text.strip().strip("<>").lower()
    return email if _EMAIL.fullmatch(email) else None


def normal_phone(text: str) -> str:
    """Digits, with a plus in front where there was one, or nothing."""
    digits = re.sub(r"\D", "", text)
    return ("+" if text.strip().startswith("+") else "") + digits if digits else ""


def normal_company(text: str) -> str:
    return " ".join(text.split())


def search_name(first: str, last: str) -> str:
    return " ".join(f"{first} {last}".casefold().split())
