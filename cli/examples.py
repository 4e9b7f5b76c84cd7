"""The examples at the end of each command's help page. A test checks that they parse."""

EXAMPLES: dict[str, tuple[str, ...]] = {
    "mbert": ("mbert demo", "mbert finetune reviews.csv --model minilm", "mbert help finetune"),
    "demo": ("mbert demo",),
    "finetune": (
        "mbert finetune glue/rte --seeds 5",
        "mbert finetune reviews.csv --model minilm --lora",
        "mbert finetune few-reviews.csv --model minilm --folds 5",
        "mbert finetune codesearch/stdlib --model modernbert-nano --epochs 1",
    ),
    "pretrain": (
        "mbert pretrain ./contracts --epochs 1",
        "mbert pretrain ./src --from-scratch nano --vocabulary 8192",
        "mbert pretrain ./tickets.jsonl --model modernbert-nano --teacher minilm --max-length 128",
    ),
    "resume": ("mbert resume my-run",),
    "eval": (
        "mbert eval glue/rte --model my-run",
        "mbert eval codesearch/stdlib --model modernbert-nano",
        "mbert eval ./my-collection --model minilm --passages 256",
    ),
    "compare": (
        "mbert compare -b tfidf -t glue/rte -m minilm --seeds 5",
        "mbert compare -b bm25 -t codesearch/stdlib -m modernbert-nano -o table.md",
    ),
    "runs": ("mbert runs", "mbert runs --task glue/rte --sort score"),
    "runs show": ("mbert runs show my-run",),
    "runs schema": ("mbert runs schema",),
    "runs rm": ("mbert runs rm my-run",),
    "runs tag": ("mbert runs tag my-run baseline", "mbert runs tag my-run baseline --remove"),
    "runs mv": ("mbert runs mv my-run better-name",),
    "data": ("mbert data check reviews.csv",),
    "data check": (
        "mbert data check reviews.csv",
        "mbert data check train.csv --validation dev.csv --model minilm",
        "mbert data check reviews.csv --label-errors auto -o suspects.csv",
    ),
    "help": ("mbert help finetune",),
    "report": ("mbert report my-run", "mbert report comparison.json -o comparison.html"),
    "bench": ("mbert bench --model modernbert-nano", "mbert bench reviews.csv --model minilm"),
    "migrate": (
        "mbert migrate ./old-bert my-run --on tickets.csv --to-label label-these.csv",
        "mbert migrate ./old-bert my-run --on tickets.csv --labels label-these.csv --report switch.html",
        "mbert migrate minilm my-encoder --on articles.csv --cut-off 0.8 --fail-under-overlap 0.8",
    ),
    "predict": (
        "mbert predict --model my-run new.csv -o predicted.csv",
        'mbert predict --model my-run --text "The striker scored twice." --top 3',
        "mbert predict --model my-run -   # a text a line from standard input",
    ),
    "export": (
        "mbert export my-run --to onnx",
        "mbert export my-run --to openvino",
        "mbert export my-run --int8 --tolerance 0.005 --on new.csv -o my-run-int8",
        "mbert export my-run --to hf   # for transformers 4.48 and later, and servers that read its layout",
    ),
    "embed": (
        "mbert embed articles.csv --model minilm -o vectors.parquet",
        "mbert embed corpus/ -o vectors/ --ray auto    # many Parquet files, on a Ray cluster",
    ),
    "index": (
        "mbert index src --exclude '*.min.js'",
        "mbert index articles.csv",
        "mbert index docs --store postgresql://ann@host/search",
    ),
    "search": (
        'mbert search "where are retries handled" --index src --hybrid',
        "mbert search --like 17 --index articles.csv",
    ),
    "serve": (
        "mbert serve my-run",
        "mbert serve my-run minilm --index src --port 9000",
        "mbert serve old-run --shadow new-run --shadow-file differ.jsonl",
    ),
    "push": ("mbert push my-run someone/my-model --private --dry-run", "mbert push my-run someone/my-model"),
    "tasks": ("mbert tasks",),
    "models": ("mbert models",),
    "download": ("mbert download glue/rte modernbert-base --to bundle",),
    "doctor": ("mbert doctor",),
}
