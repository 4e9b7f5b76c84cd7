"""Give a ModernBERT of transformers, sentence-transformers or peft the packed forward pass; and take it back.

    model = modernbert.accelerate(AutoModelForMaskedLM.from_pretrained(...))

The model keeps its class, its parameters and its padded interface; only the encoder inside runs packed. Each
call is looked at first (see `packable`): where the packed pass would not give what the model gave before,
transformers' own runs. A warning says so once, and `acceleration_report` counts.

Shape suffixes: N sequences, L longest row, T tokens of all sequences, D hidden size.
"""

from __future__ import annotations

import warnings
from collections import Counter
from dataclasses import dataclass, field
from functools import wraps
from typing import Any, TypeVar

import torch
import transformers
from transformers.modeling_outputs import BaseModelOutput

from modernbert.errors import BadModel
from modernbert.model.encoder import modernbert_hidden
from modernbert.model.packable import call_fault, is_recorded, model_fault, rows_fault
from modernbert.model.padding import Rows, repad, rows_of, unpad
from modernbert.wording import counted

M = TypeVar("M", bound=torch.nn.Module)


@dataclass(frozen=True)
class AccelerationReport:
    """How the calls of a model ran since `accelerate`.

    Attributes:
        packed: calls that ran packed.
        others: why calls ran transformers' own forward, and how many did.
    """

    packed: int
    others: dict[str, int]

    def __str__(self) -> str:
        """Say it in a line, and a line for each reason."""
        others = sum(self.others.values())
        lines = [f"{counted(self.packed, 'call')} ran packed, {others} ran transformers' own forward"]
        return "\n".join([*lines, *(f"  {count}: {why}" for why, count in self.others.items())])


@dataclass
class Calls:
    """What an encoder remembers of its calls.

    Attributes:
        reads: which padding the model's head reads: `any`, `first` (the first place of each row) or none.
        packed: calls that ran packed.
        others: why the others did not.
    """

    reads: str = ""
    packed: int = 0
    others: Counter[str] = field(default_factory=Counter)

    def step_aside(self, reason: str) -> None:
        """Count a call that runs transformers' own forward; of each reason, the first is told."""
        self.others[reason] += 1
        if self.others[reason] == 1:
            warnings.warn(
                f"transformers' own forward runs, and not the packed one: {reason}. Told once; "
                "modernbert.acceleration_report(model) counts such calls.",
                stacklevel=3,
            )


class ModernBertModel(transformers.ModernBertModel):  # type: ignore[misc]  # the library is not typed
    """The encoder with the packed forward pass; of the same name, so that checkpoints do not change."""

    mbert_calls: Calls

    @wraps(transformers.ModernBertModel.forward)
    def forward(
        self,
        input_ids: Any = None,
        attention_mask: Any = None,
        position_ids: Any = None,
        inputs_embeds: Any = None,
        **others: Any,
    ) -> Any:
        """Return what transformers' own forward returns; hidden states at padding may be zeros."""
        options = {"position_ids": position_ids, "inputs_embeds": inputs_embeds, **others}
        if is_recorded(input_ids):
            return super().forward(input_ids=input_ids, attention_mask=attention_mask, **options)
        rows: Rows = []
        fault = model_fault(self) or call_fault(self, input_ids, attention_mask, options)
        if not fault:
            rows = rows_of(input_ids, attention_mask)
            fault = rows_fault(self, rows, input_ids.shape[1], self.mbert_calls.reads)
        if fault:
            self.mbert_calls.step_aside(fault)
            return super().forward(input_ids=input_ids, attention_mask=attention_mask, **options)
        self.mbert_calls.packed += 1
        batch, index_T = unpad(input_ids, rows)
        hidden_TD = modernbert_hidden(self, batch)
        output = BaseModelOutput(last_hidden_state=repad(hidden_TD, index_T, input_ids.shape))
        return output.to_tuple() if self._wants_tuple(others) else output

    def _wants_tuple(self, options: dict[str, Any]) -> bool:
        return options.get("return_dict", getattr(self.config, "return_dict", True)) is False


# transformers learns what a class can record (all layers, attentions) when one is made.
with torch.device("meta"):
    ModernBertModel(transformers.ModernBertConfig(num_hidden_layers=1))


def accelerate(model: M) -> M:
    """Make every ModernBERT encoder in `model` run packed; `model` itself is returned.

    Outputs at real tokens are the same; hidden states at padding become zeros. A call that asks for
    something else than last hidden states (all layers, attentions, embeddings as input), and any call of an
    encoder whose parts were replaced or carry hooks, runs as before.

    Raises:
        BadModel: there is no ModernBERT encoder in it.
    """
    encoders = _encoders(model)
    for encoder in encoders:
        if type(encoder) is not ModernBertModel:
            encoder.__class__, encoder.mbert_calls = ModernBertModel, Calls()
    for head in model.modules():
        _note_what_is_read(head)
    return model


def restore(model: M) -> M:
    """Undo `accelerate`; `model` itself is returned. Raises BadModel as `accelerate`."""
    for encoder in _encoders(model):
        if type(encoder) is ModernBertModel:
            encoder.__class__ = transformers.ModernBertModel
            del encoder.mbert_calls
    return model


def acceleration_report(model: torch.nn.Module) -> AccelerationReport:
    """Return how many calls of an accelerated model ran packed, and why others did not.

    Raises:
        BadModel: there is no ModernBERT encoder in it.
    """
    calls = [encoder.mbert_calls for encoder in _encoders(model) if type(encoder) is ModernBertModel]
    others = sum((each.others for each in calls), Counter[str]())
    return AccelerationReport(sum(each.packed for each in calls), dict(others.most_common()))


def _encoders(model: torch.nn.Module) -> list[Any]:
    kinds = (ModernBertModel, transformers.ModernBertModel)
    found = [module for module in model.modules() if type(module) in kinds]
    if not found:
        raise BadModel(f"there is no ModernBERT encoder in this {type(model).__name__}")
    return found


def _note_what_is_read(head: Any) -> None:
    """Tell a head's encoder which padding it reads: question answering all, a class token the first place."""
    if isinstance(head, transformers.ModernBertForQuestionAnswering):
        head.model.mbert_calls.reads = "any"
    if isinstance(head, transformers.ModernBertForSequenceClassification):
        head.model.mbert_calls.reads = "first" if head.config.classifier_pooling == "cls" else ""
