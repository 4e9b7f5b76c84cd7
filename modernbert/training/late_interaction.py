"""Training for late interaction: a vector for each token, compared by their best matches."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import torch
from torch import nn

from modernbert.evaluation.late_search import max_sim_search, token_vectors
from modernbert.evaluation.ranking import RankingScores, depth
from modernbert.model.late_interaction import PackedTokenEmbedder, load_token_embedder, save_token_embedder
from modernbert.model.lora import merged
from modernbert.model.packing import pack
from modernbert.training.contrastive import SCORE_LOSSES, LateInteraction
from modernbert.training.retrieval import RESULTS, RetrievalJob, TokenizedCollection, scored


class LateInteractionJob(RetrievalJob):
    """An encoder with a map for its tokens' vectors, on its device, with its pairs and collections."""

    def _make_network(self) -> None:
        config = self.inputs.config.retrieval
        self.network: nn.Module = PackedTokenEmbedder(self.model)
        self.new_tensors = ("projection.weight",)
        self.objective = LateInteraction(SCORE_LOSSES[config.loss], config.temperature)

    def _search(self, network: nn.Module, tokenized: TokenizedCollection) -> tuple[RankingScores, list[str]]:
        found = [
            token_vectors(
                network,
                tokens,
                max_tokens=self.inputs.config.memory.max_tokens,
                accelerator=self.accelerator,
                check_stop=self.stop.raise_if_requested,
            )
            for tokens in (tokenized.queries, tokenized.documents)
        ]
        hits = max_sim_search(found[0], found[1], depth(tokenized.collection, RESULTS))
        return scored(tokenized.collection, hits), []

    def save(self, folder: Path) -> float:
        """Save encoder and map, adapters folded in; compare a few tokens' vectors."""
        shutil.rmtree(folder, ignore_errors=True)  # of a resumed run that had come this far
        assert isinstance(self.network, PackedTokenEmbedder)
        self.model = merged(self.model.to("cpu").eval())
        # A network of its own: training's has been wrapped to compute in the run's precision.
        network = PackedTokenEmbedder(self.model)
        network.projection = self.network.projection.to("cpu")
        self.network = network.eval()
        save_token_embedder(network, self.inputs.tokenizer, self.inputs.config.data.max_length, folder)
        fresh = load_token_embedder(
            replace(self.inputs.source, name=folder.parent.name, folder=folder, base=None)
        )
        batch = pack(self.quick.queries, range(min(8, len(self.quick.queries))))
        with torch.inference_mode():
            difference = float((network(batch) - fresh(batch)).abs().nan_to_num(nan=float("inf")).max())
        network.to(self.accelerator.device)
        return difference
