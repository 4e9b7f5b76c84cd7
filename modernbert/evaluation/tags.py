"""Run a tagger over tokenised sentences.

Shape suffixes: W words of a sentence, T tokens of a batch, C tags.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from modernbert import processes
from modernbert.data.entities import OUTSIDE
from modernbert.data.word_tokens import NOWHERE, WordTokens
from modernbert.errors import BadModel
from modernbert.evaluation.runner import Begun, Here, never_stop
from modernbert.wording import counted

# The logit of every tag but O of a word that the model does not see: it is in no entity.
UNSEEN = -100.0


def tag_logits(
    network: torch.nn.Module,
    words: WordTokens,
    tags: Sequence[str],
    *,
    max_tokens: int,
    accelerator: Any,
    check_stop: Callable[[], None] = never_stop,
) -> list[np.ndarray]:
    """Return each sentence's logits, fp32, shape (W, C): those of the first token of each word.

    Of several processes each runs some of the batches; all get everything.

    Args:
        network: a `PackedTagger`, on the accelerator's device, in evaluation mode.
        words: the sentences; batches are cut by length, so little is padded.
        tags: what the outputs stand for.
        max_tokens: tokens in one batch.
        accelerator: device and precision.
        check_stop: called between batches; may raise.

    Raises:
        BadModel: an answer is not a number.
    """
    return word_logits(Here(network, accelerator, max_tokens, check_stop).begin(words.tokens), words, tags)


def word_logits(begun: Begun, words: WordTokens, tags: Sequence[str]) -> list[np.ndarray]:
    """Return each sentence's logits, as `tag_logits`, of the batches of its tokens."""
    found: dict[int, np.ndarray] = {}
    for place, logits_TC in begun.results_by_text("sentences"):
        found[place] = _of_words(logits_TC, words.first[place], tags)
    found = processes.put_together(found)
    return [found[place] for place in range(len(words))]


def _of_words(logits_TC: np.ndarray, first_W: np.ndarray, tags: Sequence[str]) -> np.ndarray:
    if not np.isfinite(logits_TC).all():
        fix = "Try --precision fp32; if that is no help, its weights are broken: train it again."
        raise BadModel("answers are not numbers (nan, infinite)", fix=fix)
    logits_WC = np.asarray(logits_TC[first_W])
    logits_WC[first_W == NOWHERE] = [0.0 if tag == OUTSIDE else UNSEEN for tag in tags]
    return logits_WC


def decide_tags(logits: Sequence[np.ndarray], tags: Sequence[str]) -> list[list[str]]:
    """Return the likeliest tag of each word of each sentence."""
    return [[tags[place] for place in logits_WC.argmax(axis=1)] for logits_WC in logits]


def unseen_notes(split: str, words: WordTokens, max_length: int) -> list[str]:
    """Say how many words were never asked for: they are answered O, so their entities are missed."""
    if not (unseen := words.words_nowhere):
        return []
    cut = int((words.tokens.full.lengths > max_length).sum())
    said = f"{split}: {counted(unseen, 'word')} lie beyond {max_length} tokens or have none"
    return [f"{said} ({counted(cut, 'sentence')} truncated): answered O, so their entities are missed"]
