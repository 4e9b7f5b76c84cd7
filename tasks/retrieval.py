"""Text retrieval: the 15 sets of BEIR, NanoBEIR's 13 small ones, MLDR, and MS MARCO for training.

BEIR: Thakur et al. 2021, arXiv:2104.08663. Revisions and licences are those that mteb 2.26 states.
"""

from __future__ import annotations

from modernbert.data.retrieval_task import HubCollection, RetrievalTask

BEIR = "Thakur et al. 2021 (BEIR), arXiv:2104.08663"

# Name, Hub repository, revision, what, licence, split that is reported, has it a training split?
_BEIR: tuple[tuple[str, str, str, str, str, str, bool], ...] = (
    ("arguana", "mteb/arguana", "c22ab2a51041ffd869aaddef7af8d8215647e41a",
     "counter-arguments; 1,406 queries, 8,674 documents", "CC-BY-SA-4.0", "test", False),
    ("climate-fever", "mteb/climate-fever", "47f2ac6acb640fc46020b02a5b59fdda04d39380",
     "climate claims to Wikipedia; 1,535 queries, 5.4 M documents", "CC-BY-SA-4.0", "test", False),
    ("dbpedia", "mteb/dbpedia", "c0f706b76e590d620bd6618b3ca8efdd34e2d659",
     "entities; 400 queries, 4.6 M documents", "MIT", "test", False),
    ("fever", "mteb/fever", "bea83ef9e8fb933d90a2f1d5515737465d613e12",
     "claims to Wikipedia; 6,666 queries, 5.4 M documents", "CC-BY-NC-SA-3.0", "test", True),
    ("fiqa", "mteb/fiqa", "27a168819829fe9bcd655c2df245fb19452e8e06",
     "finance questions; 648 queries, 57,638 documents", "not stated", "test", True),
    ("hotpotqa", "mteb/hotpotqa", "ab518f4d6fcca38d87c25209f94beba119d02014",
     "two-step questions; 7,405 queries, 5.2 M documents", "CC-BY-SA-4.0", "test", True),
    ("msmarco", "mteb/msmarco", "c5a29a104738b98a9e76336939199e264163d4a0",
     "web passages; 6,980 queries, 8.8 M documents", "MSR-LA-NC", "dev", True),
    ("nfcorpus", "mteb/nfcorpus", "ec0fa4fe99da2ff19ca1214b7966684033a58814",
     "nutrition; 323 queries, 3,633 documents", "not stated", "test", True),
    ("nq", "mteb/nq", "b774495ed302d8c44a3a7ea25c90dbce03968f31",
     "questions to Wikipedia; 3,452 queries, 2.7 M documents", "CC-BY-NC-SA-3.0", "test", False),
    ("quora", "mteb/quora", "e4e08e0b7dbe3c8700f0daef558ff32256715259",
     "duplicate questions; 10,000 queries, 522,931 documents", "not stated", "test", False),
    ("scidocs", "mteb/scidocs", "f8c2fcf00f625baaa80f62ec5bd9e1fff3b8ae88",
     "citations; 1,000 queries, 25,657 documents", "CC-BY-SA-4.0", "test", False),
    ("scifact", "mteb/scifact", "d56462d0e63a25450459c4f213e49ffdb866f7f9",
     "scientific claims; 300 queries, 5,183 documents", "CC-BY-NC-4.0", "test", True),
    ("touche2020", "mteb/touche2020", "a34f9a33db75fa0cbb21bb5cfc3dae8dc8bec93f",
     "arguments; 49 queries, 382,545 documents", "CC-BY-SA-4.0", "test", False),
    ("trec-covid", "mteb/trec-covid", "bb9466bac8153a0349341eb1b22e06409e78ef4e",
     "COVID-19 literature; 50 queries, 171,332 documents", "not stated", "test", False),
)  # fmt: skip

# mteb leaves a document whose id is the query's out of that query's results here (not in NanoBEIR).
_WITHOUT_IDENTICAL_IDS = frozenset(("arguana", "fever", "fiqa", "msmarco", "quora"))

# BEIR's fifteenth set is the mean of these twelve.
_CQADUPSTACK = {
    "android": "mteb/CQADupstackAndroidRetrieval@9be4c0e46342e8e3aff577a89b9a1ec9bc6b4af3",
    "english": "mteb/cqadupstack-english@ad9991cb51e31e31e430383c75ffb2885547b5f0",
    "gaming": "mteb/cqadupstack-gaming@4885aa143210c98657558c04aaf3dc47cfb54340",
    "gis": "mteb/cqadupstack-gis@5003b3064772da1887988e05400cf3806fe491f2",
    "mathematica": "mteb/cqadupstack-mathematica@90fceea13679c63fe563ded68f3b6f06e50061de",
    "physics": "mteb/cqadupstack-physics@79531abbd1fb92d06c6d6315a0cbbbf5bb247ea4",
    "programmers": "mteb/cqadupstack-programmers@6184bc1440d2dbc7612be22b50686b8826d22b32",
    "stats": "mteb/cqadupstack-stats@65ac3a16b8e91f9cee4c9828cc7c335575432a2a",
    "tex": "mteb/cqadupstack-tex@46989137a86843e03a6195de44b09deda022eec7",
    "unix": "mteb/cqadupstack-unix@6c6430d3a6d36f8d2a829195bc5dc94d7e063e53",
    "webmasters": "mteb/cqadupstack-webmasters@160c094312a0e1facb97e55eeddb698c0abe3571",
    "wordpress": "mteb/cqadupstack-wordpress@4ffe81d471b1924886b33c7567bfb200e9eec5c4",
}

_NANO = {
    "arguana": "NanoArguAnaRetrieval@63ac9f026e8f6b85dc0622f3d630ed7a1758e9ec",
    "climate-fever": "NanoClimateFeverRetrieval@ccb5552bc17e87afe0f9479fb4346898213a71db",
    "dbpedia": "NanoDBPediaRetrieval@2d088f80d7a640eac0be5c66408d68c3f782baa1",
    "fever": "NanoFEVERRetrieval@a6490dfeed0f13c2a052e39c6ddaeb6086afd4a8",
    "fiqa": "NanoFiQA2018Retrieval@ede84da4793cd2d4e61bba0dd08fc58de90f3681",
    "hotpotqa": "NanoHotpotQARetrieval@a38a2615f29adba8b47a42905031aa9c137d8fae",
    "msmarco": "NanoMSMARCORetrieval@5a5aa0c3df65d6883d85c8f5cdc88e679633595e",
    "nfcorpus": "NanoNFCorpusRetrieval@2eec9d63140fb9af7c75ad0fdbf6350aaf20e94e",
    "nq": "NanoNQRetrieval@e3973b405feb9e94d07fd971d690d24d7f45264a",
    "quora": "NanoQuoraRetrieval@3ee153e5710da83a7f35df0cb1db4a0ad036072a",
    "scidocs": "NanoSCIDOCSRetrieval@cf39b8741a6f2e984d0b8f4796b2dd5bb65390f9",
    "scifact": "NanoSciFactRetrieval@8c5f7bbe90bb865f46c67710221afa7d9096251b",
    "touche2020": "NanoTouche2020Retrieval@ff81c0caff8b6febe1495eae9f2ca3eddad074b8",
}


def _beir(
    name: str, repo: str, revision: str, what: str, licence: str, test: str, trains: bool
) -> RetrievalTask:
    return RetrievalTask(
        name=f"retrieval/{name}",
        summary=f"BEIR {name}: {what}",
        source=HubCollection(repo, revision),
        train="train" if trains else None,
        test=test,
        average="beir",
        ignore_identical_ids=name in _WITHOUT_IDENTICAL_IDS,
        licence=licence,
        citation=BEIR,
    )


def _pinned(name: str, summary: str, pin: str, *, test: str, average: str, licence: str) -> RetrievalTask:
    return RetrievalTask(
        name=f"retrieval/{name}",
        summary=summary,
        source=HubCollection(*pin.split("@")),
        test=test,
        average=average,
        licence=licence,
        citation=BEIR,
    )


TASKS = {
    **{row[0]: _beir(*row) for row in _BEIR},
    **{
        f"cqadupstack-{part}": _pinned(
            f"cqadupstack-{part}",
            f"BEIR CQADupStack: duplicate questions about {part}",
            pin,
            test="test",
            average="beir/cqadupstack",
            licence="Apache-2.0",
        )
        for part, pin in _CQADUPSTACK.items()
    },
    **{
        f"nano-{name}": _pinned(
            f"nano-{name}",
            f"NanoBEIR {name}: 50 queries, at most 5,000 documents or so",
            f"mteb/{pin}",
            test="train",  # NanoBEIR calls its only split so
            average="nanobeir",
            licence="CC-BY-4.0",
        )
        for name, pin in _NANO.items()
    },
    "mldr-en": RetrievalTask(
        name="retrieval/mldr-en",
        summary="MLDR, English: questions to long articles; 800 queries, 200,000 documents",
        source=HubCollection(
            "mteb/MultiLongDocRetrieval", "837028901907a7d419b4ab906f28e011ce1cc824", config="en"
        ),
        validation="dev",
        licence="MIT",
        citation="Chen et al. 2024, arXiv:2402.03216",
    ),
}
# What `mbert eval retrieval` means, and its groups.
DEFAULT = tuple(name for name in TASKS if name.startswith("nano-"))
GROUPS = {
    "nano": DEFAULT,
    "beir": tuple(name for name, task in TASKS.items() if task.average.startswith("beir")),
    "all": tuple(TASKS),
}
