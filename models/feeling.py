"""How words sound: a lexicon with degree words and negations, Chinese and English. Pure, no learning.

Every word of feeling has a weight. Within its clause the three tokens before it may strengthen or weaken it, and turn
it round. The sum S of a text becomes S / √(S² + 15), so that many words come near ±1 and never past it.
Source: the rules and the constants 15 and −0.74 are those of Hutto and Gilbert, "VADER", ICWSM 2014; the lexicon is
our own (`models/data/lexicon.txt`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import sqrt

TURNED = -0.74
SOFTENING = 15.0
REACH = 3
"""So many tokens before a word of feeling may change what it says."""
LOUD = 0.3
"""What an exclamation mark adds to a text that has a feeling, up to three of them."""
BREAKS = frozenset(".!")


@dataclass(frozen=True, slots=True)
class Lexicon:
    """Words of feeling, factors by degree word, and what turns round."""

    known: Mapping[str, tuple[float, bool]]
    """Word → its weight (0: it has none of its own), and whether a longer word begins with it."""
    degrees: Mapping[str, float]
    negations: frozenset[str]

    @classmethod
    def of(cls, lines: Iterable[str]) -> Lexicon:
        """From lines `weight: words`, `!factor: words`, `~: words`."""
        weights: dict[str, float] = {}
        degrees: dict[str, float] = {}
        negations: set[str] = set()
        for line in lines:
            head, _, rest = line.partition(":")
            if head == "~":
                negations.update(rest.split())
            elif head.startswith("!"):
                degrees |= dict.fromkeys(rest.split(), float(head[1:]))
            else:
                weights |= dict.fromkeys(rest.split(), float(head))
        heads = {word[:end] for word in weights for end in range(1, len(word))}
        known = {word: (weights.get(word, 0.0), word in heads) for word in weights.keys() | heads}
        return cls(known, degrees, frozenset(negations))

    def score(self, tokens: Sequence[str]) -> float:
        """−1 to 1 in three decimals; 0 where no word of feeling is among them."""
        known, total, skip = self.known, 0.0, 0
        for at, token in enumerate(tokens):
            entry = known.get(token)
            if entry is None or at < skip:
                continue
            weight, longer = entry
            if longer and at + 1 < len(tokens):
                pair = known.get(token + tokens[at + 1])
                if pair is not None and pair[0]:
                    weight, skip = pair[0], at + 2
            if weight:
                total += weight * self._turn(tokens, at)
        if not total:
            return 0.0
        loud = LOUD * min(tokens.count("!"), 3)
        total += loud if total > 0 else -loud
        return round(total / sqrt(total * total + SOFTENING), 3)

    def _turn(self, tokens: Sequence[str], at: int) -> float:
        """The factor that the tokens before a word of feeling, back to the end of the clause, give it."""
        factor = 1.0
        for before in range(at - 1, max(at - 1 - REACH, -1), -1):
            token = tokens[before]
            if token in BREAKS:
                break
            if token in self.negations:
                factor *= TURNED
            factor *= self.degrees.get(token, 1.0)
        return factor
