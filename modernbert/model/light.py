"""A query's vector without torch, whose import takes longer than all else that a search does.

ModernBERT's forward pass over one short text, in numpy and fp32. Whoever builds an index compares it with the
model as it embeds documents (`light_reading`); where they differ, a search loads torch.

Shape suffixes: T tokens of one text, H heads, D head size, 3 queries, keys and values.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field
from typing_extensions import TypedDict

from modernbert.errors import BadModel

Count = Annotated[int, Field(ge=1, le=2**24)]
Positive = Annotated[float, Field(gt=0)]


class Light(TypedDict):
    """What the forward pass needs to know besides the weights.

    Attributes:
        window: how far a token looks in each layer, to either side; None for all tokens.
        theta: base of the rotary angles in each layer.
        eps: added to a norm's variance.
    """

    heads: Count
    window: list[int | None]
    theta: list[Positive]
    eps: Positive
    pooling: Literal["mean", "cls"]
    normalize: bool
    max_length: Count
    query_prompt: str
    lower_case: bool


class LightEncoder:
    """A tokenizer and weights that turn a query into a vector."""

    def __init__(self, folder: Path, light: Light) -> None:
        """Open the weights; they are read with the first query. Raises BadModel when they do not fit."""
        from safetensors import safe_open
        from tokenizers import Tokenizer

        try:
            self.tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
            opened: Any = safe_open(folder / "model.safetensors", framework="np")
            names = list(opened.keys())
        except Exception as error:  # both libraries raise bare ones
            raise BadModel("its weights or its tokenizer cannot be read", where=str(folder)) from error
        self.folder, self.light, self.file = folder, light, opened
        self.tokenizer.encode_special_tokens = True  # "[SEP]" in a query is text
        self.tokenizer.no_padding()
        self.tokenizer.enable_truncation(light["max_length"])
        self.prefix = "model." if "model.final_norm.weight" in names else ""
        self.weights: dict[str, np.ndarray] = {}
        self.size = len(self._weight("final_norm"))

    def encode(self, query: str) -> np.ndarray:
        """Return a query's vector, fp32, shape (hidden size,)."""
        text = self.light["query_prompt"] + query
        ids = self.tokenizer.encode(text.lower() if self.light["lower_case"] else text).ids
        try:
            hidden_TD = self._hidden(ids)
        except (ValueError, IndexError) as error:
            raise BadModel("its weights do not fit together", where=str(self.folder)) from error
        vector_D = hidden_TD[0] if self.light["pooling"] == "cls" else hidden_TD.mean(axis=0)
        length = float(np.linalg.norm(vector_D)) if self.light["normalize"] else 1.0
        return np.asarray(vector_D / max(length, 1e-12))

    def _hidden(self, ids: list[int]) -> np.ndarray:
        """Return the last hidden states, shape (T, hidden size)."""
        table = self._slice("embeddings.tok_embeddings.weight")
        rows_TD = np.concatenate([table[i : i + 1] for i in ids]).astype(np.float32)
        hidden_TD = self._norm(rows_TD, "embeddings.norm")
        for layer in range(len(self.light["window"])):
            own = f"layers.{layer}."
            normed_TD = self._norm(hidden_TD, own + "attn_norm") if layer else hidden_TD
            hidden_TD = hidden_TD + self._attention(normed_TD, layer)
            value_TI, gate_TI = np.split(
                self._linear(self._norm(hidden_TD, own + "mlp_norm"), own + "mlp.Wi"), 2, axis=1
            )
            hidden_TD = hidden_TD + self._linear(gelu(value_TI) * gate_TI, own + "mlp.Wo")
        return self._norm(hidden_TD, "final_norm")

    def _attention(self, x_TD: np.ndarray, layer: int) -> np.ndarray:
        count = len(x_TD)
        qkv_T3HD = self._linear(x_TD, f"layers.{layer}.attn.Wqkv").reshape(count, 3, self.light["heads"], -1)
        q_HTD, k_HTD, v_HTD = qkv_T3HD.transpose(1, 2, 0, 3)
        theta, window = self.light["theta"][layer], self.light["window"][layer]
        places_T = np.arange(count)
        far_TT = np.abs(places_T[:, None] - places_T) > (count if window is None else window)
        out_HTD = []
        for q_TD, k_TD, v_TD in zip(q_HTD, k_HTD, v_HTD, strict=True):
            scores_TT = rotated(q_TD, theta) @ rotated(k_TD, theta).T / np.float32(q_TD.shape[1] ** 0.5)
            out_HTD.append(softmax(np.where(far_TT, np.float32(-np.inf), scores_TT)) @ v_TD)
        return self._linear(np.concatenate(out_HTD, axis=1), f"layers.{layer}.attn.Wo")

    def _norm(self, x_TD: np.ndarray, name: str) -> np.ndarray:
        centred_TD = x_TD - x_TD.mean(axis=1, keepdims=True)
        variance_T1 = np.square(centred_TD).mean(axis=1, keepdims=True)
        scaled_TD = centred_TD / np.sqrt(variance_T1 + np.float32(self.light["eps"]))
        return np.asarray(scaled_TD * self._weight(name))

    def _linear(self, x_TI: np.ndarray, name: str) -> np.ndarray:
        return np.asarray(x_TI @ self._weight(name).T)

    def _weight(self, name: str) -> np.ndarray:
        if name not in self.weights:
            self.weights[name] = self._slice(f"{name}.weight")[:].astype(np.float32)
        return self.weights[name]

    def _slice(self, name: str) -> Any:
        try:
            return self.file.get_slice(self.prefix + name)
        except Exception as error:
            raise BadModel(f"it lacks {name}", where=str(self.folder)) from error


def softmax(scores_TT: np.ndarray) -> np.ndarray:
    """Return weights that sum to 1 in each row."""
    powers_TT = np.exp(scores_TT - scores_TT.max(axis=1, keepdims=True))
    return np.asarray(powers_TT / powers_TT.sum(axis=1, keepdims=True))


def rotated(x_TD: np.ndarray, theta: float) -> np.ndarray:
    """Turn each token's queries or keys by its place (Su et al. 2021, arXiv:2104.09864)."""
    half = x_TD.shape[1] // 2
    speeds_D = 1 / theta ** (np.arange(half, dtype=np.float32) / half)
    angles_TD = (np.arange(len(x_TD), dtype=np.float32)[:, None] * speeds_D).astype(np.float32)
    cos_TD, sin_TD, first_TD, second_TD = np.cos(angles_TD), np.sin(angles_TD), x_TD[:, :half], x_TD[:, half:]
    return np.concatenate(
        (first_TD * cos_TD - second_TD * sin_TD, second_TD * cos_TD + first_TD * sin_TD), axis=1
    )


def gelu(x: np.ndarray) -> np.ndarray:
    """Return x times the normal distribution's share below it.

    The error function is Abramowitz and Stegun's 7.1.26, off by 1.5e-7 at most; scipy takes 0.2 s to import.
    """
    size = np.abs(x) / np.float32(2**0.5)
    t = 1 / (1 + np.float32(0.3275911) * size)
    terms = (0.254829592, -0.284496736, 1.421413741, -1.453152027, 1.061405429)
    polynomial = t * sum(np.float32(factor) * t**power for power, factor in enumerate(terms))
    erf = np.sign(x) * (1 - polynomial * np.exp(-np.square(size)))
    return np.asarray(0.5 * x * (1 + erf))
