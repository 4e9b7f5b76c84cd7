"""Fine-tune on your own file and predict, from Python.

python examples/finetune_file.py reviews.csv --model minilm
"""

import argparse
from pathlib import Path

from modernbert.evaluation.evaluate import Scorer
from modernbert.evaluation.scoring import readable_prediction
from modernbert.evaluation.trained_task import task_of_run
from modernbert.model.locate import locate_model
from modernbert.runs import RunStore
from modernbert.training.finetune import finetune
from modernbert.training.inputs import Request

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("file", help="CSV, TSV, JSONL or Parquet with a text and a label column")
parser.add_argument("--model", default="minilm")
parser.add_argument("--epochs", type=float, default=2.0)
parser.add_argument("--text", default="What a lovely film")
given = parser.parse_args()

store = RunStore(Path("runs"))
run = finetune(Request(target=given.file, model=given.model, settings={"epochs": given.epochs}), store)
score = run.headline.main
print(f"{run.name}: {score.metric} {score.value:.4f} ({score.low:.4f} to {score.high:.4f}, n = {score.n})")

scorer = Scorer(locate_model(run.name, store=store), task_of_run(run.record))
print(readable_prediction(scorer.task, scorer.logits([(given.text,)])[0]))
