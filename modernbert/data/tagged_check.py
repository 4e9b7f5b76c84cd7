"""Look at tagged words before training: entities, sentences without any, duplicates, truncation."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from modernbert.data.check import DataReport, SplitReport, truncation_warnings
from modernbert.data.label_check import FEW_HELD_OUT, RARE_CLASS
from modernbert.data.sentences import Sentences, TokenTask
from modernbert.data.special_tokens import special_token_warnings
from modernbert.data.splits import text_key
from modernbert.data.tokens import TokenLengths


def check_sentences(
    task: TokenTask,
    splits: Mapping[str, Sentences],
    lengths: Mapping[str, TokenLengths],
    *,
    max_length: int | None = None,
    tokenizer: Any = None,
) -> DataReport:
    """Describe the splits (training first) and collect warnings.

    Args:
        task: the task.
        splits: its splits, read already: unreadable rows have raised before.
        lengths: token counts by split.
        max_length: the length at which texts will be cut.
        tokenizer: the model's, whose special tokens are looked for in the texts.
    """
    reports = tuple(_report(name, part, lengths[name], max_length) for name, part in splits.items())
    warnings = [note for part in splits.values() for note in part.notes]
    warnings += _few_warnings(reports) + _duplicate_warnings(splits)
    if tokenizer is not None:
        warnings += special_token_warnings(tokenizer, {name: part.texts for name, part in splits.items()})
    warnings += [
        f"{r.split}: {r.empty} of {r.rows} sentences have no word" for r in reports if r.empty
    ] + truncation_warnings(reports, max_length, "sentences", least=0.0)
    return DataReport(task.name, reports, tuple(warnings), max_length)


def _report(split: str, part: Sentences, lengths: TokenLengths, max_length: int | None) -> SplitReport:
    counts = Counter(span.label for sentence in part.all for span in sentence.entities)
    longest = int(lengths.lengths.max(initial=0))
    tokens = {"p50": lengths.quantile(0.5), "p95": lengths.quantile(0.95), "max": longest}
    empty = sum(not sentence.words for sentence in part.all)
    cut = lengths.share_over(max_length) if max_length else None
    return SplitReport(split, len(part), dict(sorted(counts.items())), empty, tokens, cut)


def _few_warnings(reports: tuple[SplitReport, ...]) -> list[str]:
    train, *others = reports
    warnings = []
    for report in reports:
        least = RARE_CLASS if report is train else FEW_HELD_OUT
        few = {name: report.labels.get(name, 0) for name in train.labels}
        told = ", ".join(f"{name} ({count:g})" for name, count in few.items() if count < least)
        if told:
            warnings.append(f"{report.split}: fewer than {least} entities of {told}")
    for report in others:
        if new := {name: count for name, count in report.labels.items() if name not in train.labels}:
            told = ", ".join(f"{name} ({count:g})" for name, count in new.items())
            warnings.append(f"{report.split}: labels that training does not have count as missed: {told}")
    return warnings


def _duplicate_warnings(splits: Mapping[str, Sentences]) -> list[str]:
    keys = {name: [text_key(text) for text in part.texts] for name, part in splits.items()}
    first, *others = keys
    seen, warnings = {*keys[first]}, []
    for name in others:
        if again := sum(key in seen for key in keys[name]):
            rows = f"{again} of {len(keys[name])} sentences"
            warnings.append(f"{name}: {rows} are also in {first}; they count in the scores")
    return warnings
