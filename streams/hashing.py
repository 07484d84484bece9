"""Words as the fold keeps them: hashed to 32 bits, which is all that a learner needs to tell them apart."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Final
from zlib import crc32

WORD: Final = 4
"""Bytes of a hashed word."""
KNOWN: Final = 50_000
"""Words whose hash is remembered."""


def hashed(words: Iterable[str]) -> bytes:
    """Words as the fold keeps them: four bytes each."""
    return b"".join([_hash(word) for word in words])


def _hash_of(word: str) -> bytes:
    return crc32(word.encode("utf-8", "surrogatepass")).to_bytes(WORD, "little")


_hash: Final = lru_cache(KNOWN)(_hash_of)
