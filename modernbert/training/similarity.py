"""Training a model to say how alike two texts are: a vector for each, and a number fitted to their cosine.

The layer from cosine to number is fitted by least squares first, so that training starts from what the
vectors know already (Reimers and Gurevych 2019, arXiv:1908.10084, train the cosine alone).
"""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import torch

from modernbert.evaluation.predict import predict_logits
from modernbert.model.embedding import PackedEmbedder
from modernbert.model.loading import largest_difference, load_encoder
from modernbert.model.lora import merged
from modernbert.model.output import change_unit_of
from modernbert.model.packing import pack
from modernbert.model.similarity import PackedSimilarity, load_similarity, read_texts, save_similarity
from modernbert.training.classification import ClassificationJob
from modernbert.training.inputs import limited, trainable

# Pairs that the last layer is fitted to before training.
FITTED = 1000
# Pairs whose numbers are compared after saving.
COMPARED = 8


class SimilarityJob(ClassificationJob):
    """An encoder on its device, with its tokenised pairs."""

    network: PackedSimilarity

    def _load(self) -> None:
        inputs = self.inputs
        assert inputs.apart is not None, "prepared for pairs that are read apart"
        settings = replace(inputs.apart, max_length=inputs.config.data.max_length)
        self.model = trainable(load_encoder(inputs.start), inputs.config, head=False)
        self.network = PackedSimilarity(PackedEmbedder(self.model, settings))
        self.new_tensors = ()
        self._fit()

    def _fit(self) -> None:
        inputs, train = self.inputs, self.inputs.examples[self.inputs.task.train]
        assert self.scale is not None and train.labels is not None, "numbers are learnt on their own scale"
        chosen = list(limited(len(train), FITTED))
        texts = [train.texts[i] for i in chosen]
        tokens = read_texts(inputs.tokenizer, texts, inputs.config.data.max_length, inputs.apart)
        network = self.network.to(self.accelerator.device).eval()
        cosines_N1 = predict_logits(
            network, tokens, max_tokens=inputs.config.memory.max_tokens, accelerator=self.accelerator
        )
        network.fit(cosines_N1[:, 0], self.scale.to_learn(train.labels[chosen]))

    def save(self, folder: Path) -> float:
        """Save in sentence-transformers' layout, adapters folded in; compare the numbers of a few pairs."""
        shutil.rmtree(folder, ignore_errors=True)  # of a resumed run that had come this far
        trained, unit = self.network.to("cpu").eval(), self.scale.unit if self.scale else 1.0
        if self.scale:
            change_unit_of(trained.output, scale=self.scale.deviation, shift=self.scale.mean)
            self.scale = None
        self.model = merged(self.model)
        # Made anew: the forward pass of the trained one computes in the training's precision.
        embedder = PackedEmbedder(self.model, trained.embedder.settings)
        network = PackedSimilarity(embedder, trained.output).eval()
        save_similarity(network, self.inputs.tokenizer, folder)
        fresh = load_similarity(
            replace(self.inputs.source, name=folder.parent.name, folder=folder, base=None)
        )
        tokens = self.splits[self.inputs.task.validation[0]].tokens
        batch = pack(tokens, range(min(COMPARED, len(tokens))))
        with torch.inference_mode():
            difference = largest_difference(network(batch), fresh(batch))
        self.network = network.to(self.accelerator.device)
        return difference / unit
