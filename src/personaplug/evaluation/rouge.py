"""ROUGE-1 and ROUGE-L (Lin, 2004), F1, without stemmer: the numbers of the package ``rouge_score``.

Words and F1 come from that package. Its scorer is not used: importing it loads nltk, scikit-learn and scipy (2 seconds,
140 MB), and its table for ROUGE-L takes gigabytes for two texts of 100,000 characters.
"""

from collections import Counter
from collections.abc import Sequence

from rouge_score.scoring import fmeasure
from rouge_score.tokenize import tokenize


def rouge_1(prediction: str, target: str) -> float:
    """Score the words that two texts share, each as often as both have it; 0 where a text has none."""
    predicted, wanted = _words(prediction), _words(target)
    return _f1((Counter(predicted) & Counter(wanted)).total(), predicted, wanted=wanted)


def rouge_l(prediction: str, target: str) -> float:
    """Score the longest sequence of words that two texts share, gaps allowed; 0 where a text has none."""
    predicted, wanted = _words(prediction), _words(target)
    return _f1(common_subsequence(predicted, wanted), predicted, wanted=wanted)


def common_subsequence(first: Sequence[str], second: Sequence[str]) -> int:
    """Measure the longest common subsequence.

    One row of the usual table is kept as the bits of one integer (Hyyrö, 2004, "Bit-parallel LCS-length computation
    revisited").
    """
    places: dict[str, int] = {}
    for place, word in enumerate(first):
        places[word] = places.get(word, 0) | 1 << place
    everywhere = (1 << len(first)) - 1
    row = everywhere  # a zero bit: the subsequence grows at this word of `first`
    for word in second:
        matches = row & places.get(word, 0)
        row = (row + matches | row - matches) & everywhere
    return len(first) - row.bit_count()


def _words(text: str) -> list[str]:
    words: list[str] = tokenize(text.strip(), None)
    return words


def _f1(shared: int, predicted: Sequence[str], *, wanted: Sequence[str]) -> float:
    return float(fmeasure(shared / max(len(predicted), 1), shared / max(len(wanted), 1)))
