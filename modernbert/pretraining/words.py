"""The word vectors that a taught encoder starts from: their mean already comes near the teacher's vector.

A bag of words is fitted hundreds of times as fast as layers are trained, so the layers have to learn only
what the order of words adds.

Shape suffixes: V tokens of the vocabulary, D the student's vector size, S the teacher's, T tokens, N pieces.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch.nn import functional as F

from modernbert.activity import phase
from modernbert.evaluation.embed import Embedder
from modernbert.kept import kept_array
from modernbert.places import own_cache
from modernbert.pretraining.store import Pieces
from modernbert.pretraining.teacher import Targets
from modernbert.pretraining.vector_loss import NEIGHBOURS, TEMPERATURE, losses

EPOCHS, PIECES_AT_ONCE, LEARNING_RATE = 4, 1024, 3e-3
# How long each word's vector begins in the sink dimension (see `fit_words`), beside all others together.
SINK = 1.0


def start_from_words(
    model: Any,
    teacher: Embedder,
    tokenizer: Any,
    pieces: Pieces,
    targets: Targets,
    corpus: str,
    check_stop: Callable[[], None] = lambda: None,
    device: torch.device | str = "cpu",
) -> None:
    """Let a ModernBERT with random weights begin as a bag of words that comes near the teacher, in place.

    The word vectors begin as what the teacher gives each token's text, as in model2vec's static models, and
    are then fitted to texts. Fitted vectors are kept: a run that is resumed must find the same bits.

    Args:
        model: with a masked-language head; its vectors have D numbers.
        teacher: gives vectors of S numbers.
        tokenizer: the model's.
        pieces: texts as its tokens.
        targets: the teacher's vectors of them.
        corpus: a name that no other texts have.
        check_stop: called between batches; may raise.
        device: where they are fitted; the model is on the CPU before and after.
    """
    weight_VD = model.get_input_embeddings().weight
    begin_as_bag(model)

    def fitted() -> np.ndarray:
        start_VD = vectors_of_tokens(teacher, tokenizer, targets.projection_SD)
        scale = model.config.initializer_range * model.config.hidden_size**0.5
        with torch.no_grad():
            weight_VD[: len(start_VD)] = torch.from_numpy(start_VD * scale)
        fit_words(model.to(device), pieces, targets, check_stop)
        return np.asarray(model.to("cpu").get_input_embeddings().weight.detach().numpy())

    chosen = [EPOCHS, PIECES_AT_ONCE, LEARNING_RATE, SINK, TEMPERATURE, NEIGHBOURS]
    key = [*chosen, list(weight_VD.shape), corpus, teacher.key]
    kept_VD = kept_array(own_cache() / "words", key, fitted)
    with torch.no_grad():
        weight_VD.copy_(torch.from_numpy(kept_VD))


def begin_as_bag(model: Any) -> None:
    """Let every layer of a ModernBERT add nothing, and the final norm leave out the last dimension."""
    with torch.no_grad():
        for layer in model.base_model.layers:
            layer.attn.Wo.weight.zero_()
            layer.mlp.Wo.weight.zero_()
        model.base_model.final_norm.weight[-1] = 0


def vectors_of_tokens(teacher: Embedder, tokenizer: Any, projection_SD: np.ndarray) -> np.ndarray:
    """Return the teacher's vector of each token's text in the student's space, of length 1; shape (V, D)."""
    texts = [tokenizer.decode([number]).strip() or " " for number in range(len(tokenizer))]
    vectors_VS = teacher.encode(texts)
    vectors_VD = (vectors_VS - vectors_VS.mean(axis=0)) @ projection_SD
    vectors_VD /= np.linalg.norm(vectors_VD, axis=1, keepdims=True) + 1e-6
    return np.asarray(vectors_VD)


def fit_words(model: Any, pieces: Pieces, targets: Targets, check_stop: Callable[[], None]) -> None:
    """Fit the token embeddings of a ModernBERT that is a bag of words, in place.

    The loss is that of the training, for the mean of a text's states. Norms give each
    token the same length; the last dimension is a sink, which the final norm leaves out: a token that says
    little of what a text is about can be long there, and so short in all others.
    """
    encoder, weight_VD = model.base_model, model.get_input_embeddings().weight
    with torch.no_grad():
        weight_VD[:, -1] = SINK * weight_VD.norm(dim=1)
    optimizer = torch.optim.Adam([weight_VD], lr=LEARNING_RATE)
    steps = EPOCHS * -(-len(pieces) // PIECES_AT_ONCE)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.01, steps)
    with phase("fitting word vectors", EPOCHS * len(pieces), unit="texts") as now:
        for numbers in _batches(len(pieces)):
            check_stop()
            states_VD = encoder.final_norm(encoder.embeddings.norm(weight_VD))
            vectors_ND = F.normalize(means(states_VD, pieces, numbers))
            distance, others = losses(vectors_ND, targets.of(numbers).to(vectors_ND.device))
            optimizer.zero_grad()
            loss = (distance + NEIGHBOURS * others) / len(numbers)
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()
            now.advance(len(numbers))


def means(states_VD: torch.Tensor, pieces: Pieces, numbers: np.ndarray) -> torch.Tensor:
    """Return the mean of the states of each piece's tokens, shape (N, D)."""
    ids_T, lengths = pieces.take(numbers)
    starts_N = np.cumsum(lengths) - lengths
    ids, starts = (torch.from_numpy(one).to(states_VD.device) for one in (ids_T, starts_N))
    return F.embedding_bag(ids, states_VD, starts, mode="mean")


def _batches(count: int) -> Iterator[np.ndarray]:
    """Yield the numbers of pieces, each once an epoch; the same ones every time."""
    random = np.random.default_rng(0)
    for _ in range(EPOCHS):
        order = random.permutation(count)
        yield from np.array_split(order, range(PIECES_AT_ONCE, count, PIECES_AT_ONCE))
