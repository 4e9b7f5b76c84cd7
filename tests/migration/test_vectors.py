"""`mbert migrate` between two models for vectors: neighbours, orders, similarities, cut-offs."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
import torch
from helpers import toy_rows, write_csv
from modernbert.cli.main import app
from safetensors.torch import load_file, save_file
from typer.testing import CliRunner

from modernbert.errors import BadData, BadModel, BadOption
from modernbert.evaluation.embed import Embedder
from modernbert.evaluation.hits import unit
from modernbert.migration.migrate import MigrationRequest
from modernbert.migration.neighbours import Mean, nearest, overlap, rank_biased_overlap
from modernbert.migration.similarities import Pairs, shift_of, translate
from modernbert.migration.vector_verdict import decide
from modernbert.migration.vectors import migrate_vectors
from modernbert.model.locate import locate_model
from modernbert.records.export import Speed


def orders(n, depth, seed):
    draw = np.random.default_rng(seed)
    return np.array([draw.permutation(2 * depth)[:depth] for _ in range(n)])


def slow_overlap(first, second, p):
    """RBO by its definition: the agreement at every depth, a thousand ranks beyond the end."""
    found = 0.0
    for depth in range(1, 1001):
        d = min(depth, len(first))  # beyond the end, the agreement stays
        found += (1 - p) * p ** (depth - 1) * len({*first[:d]} & {*second[:d]}) / d
    return found


@pytest.mark.parametrize(("depth", "p"), [(1, 0.5), (10, 0.9), (30, 0.95)])
def test_rank_biased_overlap_is_that_of_its_definition(depth, p):
    first, second = orders(40, depth, 0), orders(40, depth, 1)
    expected = [slow_overlap(a.tolist(), b.tolist(), p) for a, b in zip(first, second, strict=True)]
    assert rank_biased_overlap(first, second, p) == pytest.approx(expected, abs=1e-9)


def test_rank_biased_overlap_by_hand():
    """Agreement 1, 1/2, 1: with p = 1/2 that is 1/2 + 1/8 + 1/8, and 1/8 for all that follows."""
    abc, acb = np.array([[1, 2, 3]]), np.array([[1, 3, 2]])
    assert rank_biased_overlap(abc, acb, 0.5) == pytest.approx([0.875])
    assert rank_biased_overlap(abc, abc, 0.9) == pytest.approx([1.0])
    assert rank_biased_overlap(abc, abc + 10, 0.9) == pytest.approx([0.0])
    many = orders(2500, 5, 0)
    assert rank_biased_overlap(many, many).tolist() == pytest.approx([1.0] * 2500), "more than one part"


def test_nearest_texts_are_those_of_a_sort():
    vectors = unit(np.random.default_rng(0).normal(size=(40, 6))).astype(np.float32)
    scores = vectors @ vectors.T
    np.fill_diagonal(scores, -np.inf)
    assert nearest(vectors, 7).tolist() == np.argsort(-scores, axis=1)[:, :7].tolist()
    assert nearest(vectors, 100).shape == (40, 39), "all others"


def test_a_text_is_never_its_own_neighbour_whatever_others_are_like():
    vectors = np.ones((30, 4), np.float32)
    found = nearest(vectors, 5)
    assert found.shape == (30, 5)
    assert not (found == np.arange(30)[:, None]).any()


def test_overlap_counts_common_results():
    first, second = np.array([[1, 2, 3, 4], [1, 2, 3, 4]]), np.array([[2, 1, 9, 8], [5, 6, 7, 8]])
    assert overlap(first, second, 2).tolist() == [1.0, 0.0]
    assert overlap(first, second, 4).tolist() == [0.5, 0.0]
    assert overlap(first, second, 10).tolist() == [0.5, 0.0], "of as many as there are"


def test_a_mean_has_students_interval():
    """Against scipy's own interval."""
    from scipy import stats

    values = np.array([0.2, 0.4, 0.5, 0.9])
    low, high = stats.t.interval(0.95, 3, values.mean(), stats.sem(values))
    found = Mean.of(values)
    assert (found.value, found.low, found.high) == pytest.approx((0.5, low, min(1, high)))


def test_a_cut_off_lets_as_many_pairs_through():
    draw = np.random.default_rng(0)
    old = draw.uniform(0, 1, 1000).astype(np.float32)
    new = (old**2 / 2 + 0.3).astype(np.float32)  # another scale, the same order
    pairs = some_pairs(1000)
    found = translate(0.8, old, new, pairs)
    assert found.pairs == (old > 0.8).sum() == (new > found.new).sum()
    assert found.new == pytest.approx(0.8**2 / 2 + 0.3, abs=2e-3)
    assert found.same == 1 and found.old_for_new == pytest.approx((new > 0.8).mean())
    mixed = translate(0.8, old, draw.permutation(new), pairs)
    assert mixed.same < 0.5 and mixed.new == pytest.approx(found.new)
    assert 0 <= found.high - found.low < 0.01, "the same pairs are above, whatever the texts"
    assert mixed.low < mixed.new < mixed.high
    for cut in (2.0, -1.0):
        none = translate(cut, old, new, pairs)
        assert (none.new, none.low, none.high) == (None, None, None)


def some_pairs(count):
    """Pairs of 50 texts, not all of them."""
    whole = Pairs.of(50)
    return Pairs(whole.first_P[:count], whole.second_P[:count], 0, 50)


def vectors_of(draw, count):
    """Of OLD, and of NEW, which sees the same otherwise."""
    own = draw.normal(size=(count, 6))
    return unit(own), unit(own + draw.normal(scale=0.6, size=own.shape))


@pytest.mark.parametrize("queries", [0, 40])
def test_the_cut_offs_interval_holds_what_all_texts_would_give(queries):
    """Of 200 samples of 60 texts, 95 % should hold it; a binomial of 200 is below 180 once in a thousand."""
    draw = np.random.default_rng(0)

    def at(texts, asked):
        pairs = Pairs.of(len(texts[0]), queries and len(asked[0]))
        sides = [pairs.similarities(t, a if queries else None) for t, a in zip(texts, asked, strict=True)]
        return translate(0.5, *sides, pairs)

    truth = at(vectors_of(draw, 1500), vectors_of(draw, 1500)).new
    found = [at(vectors_of(draw, 60), vectors_of(draw, queries or 2)) for _ in range(200)]
    assert 180 <= sum(one.low <= truth <= one.high for one in found) < 200


def test_similarities_are_of_all_pairs():
    vectors = np.array([[1, 0], [0, 1], [1, 1]], np.float32)
    assert Pairs.of(3).similarities(vectors).tolist() == [0, 1, 1]
    asked = np.array([[2, 0], [0, 3]], np.float32)
    assert Pairs.of(3, 2).similarities(vectors, asked).tolist() == [2, 0, 2, 0, 3, 3]
    found = shift_of(np.array([0.0, 1, 2, 3]), np.array([3.0, 2, 1, 0]))
    assert found.rank_correlation == pytest.approx(-1) and found.mean == (1.5, 1.5)
    assert dict((q, (a, b)) for q, a, b in found.quantiles)[0.5] == (1.5, 1.5)


TIMES = ("p50_ms", "p95_ms", "p99_ms", "texts_per_second", "tokens_per_second")
SPEED = [Speed(engine=name, texts=1, threads=1, **dict.fromkeys(TIMES, 1.0)) for name in ("OLD", "NEW")]


@pytest.mark.parametrize(("low", "word"), [(0.9, "switch"), (0.899, "measure first")])
def test_the_rule(low, word):
    assert decide(Mean(0.95, low, 1.0, 100), Mean(0.9, 0.9, 0.9, 100), None, SPEED).word == word


@pytest.fixture(scope="module")
def other(tiny_modernbert, tmp_path_factory):
    """The tiny ModernBERT with other weights, which reads 8 tokens alone."""
    folder = shutil.copytree(tiny_modernbert, tmp_path_factory.mktemp("other") / "other")
    torch.manual_seed(1)
    weights = load_file(folder / "model.safetensors")
    noisy = {n: w + 0.02 * torch.randn_like(w) if w.dim() > 1 else w for n, w in weights.items()}
    save_file(noisy, folder / "model.safetensors", metadata={"format": "pt"})
    (folder / "sentence_bert_config.json").write_text('{"max_seq_length": 8}')
    kinds = {"": "Transformer", "1_Pooling": "Pooling"}
    modules = [
        {"idx": i, "name": str(i), "path": path, "type": f"sentence_transformers.models.{kind}"}
        for i, (path, kind) in enumerate(kinds.items())
    ]
    (folder / "modules.json").write_text(json.dumps(modules))
    (folder / "1_Pooling").mkdir()
    (folder / "1_Pooling/config.json").write_text('{"pooling_mode_mean_tokens": true}')
    return folder


@pytest.fixture
def texts(tmp_path):
    rows = [{"text": row["text"]} for row in toy_rows(60, seed=5)]
    return write_csv(tmp_path / "texts.csv", [*rows, rows[0]])


def of(store, old, new, on, **more):
    request = MigrationRequest(old=str(old), new=str(new), on=on, device="cpu", precision="fp32")
    return migrate_vectors(request, store, **more)


def test_a_model_against_itself_changes_nothing(tiny_modernbert, texts, store, embedder):
    words = list(dict.fromkeys(row["text"] for row in toy_rows(60, seed=5)))
    cut = float(np.quantile(Pairs.of(len(words)).similarities(unit(embedder.encode(words))), 0.7))
    found = of(store, tiny_modernbert, tiny_modernbert, texts, cut_off=cut)
    assert (found.overlap.value, found.order.value, found.first.value) == pytest.approx((1, 1, 1))
    assert found.verdict.word == "switch" and not found.moved
    assert found.cut_off.new == pytest.approx(cut, abs=1e-3) and found.cut_off.same > 0.99
    assert found.cut_off.share == pytest.approx(0.3, abs=0.01)
    assert (found.texts, found.of) == (60, 61)
    assert any("1 text left out" in note for note in found.notes)


def test_what_changes_is_that_of_the_vectors(tiny_modernbert, other, texts, store, embedder):
    found = of(store, other, tiny_modernbert, texts)
    words = list(dict.fromkeys(row["text"] for row in toy_rows(60, seed=5)))
    own = Embedder(locate_model(str(other), store=store), device="cpu", precision="fp32")
    sets = []
    for model in (own, embedder):
        scores = unit(model.encode(words)) @ unit(model.encode(words)).T
        np.fill_diagonal(scores, -np.inf)
        sets.append([{*row[:10]} for row in np.argsort(-scores, axis=1)])
    expected = [len(a & b) / 10 for a, b in zip(*sets, strict=True)]
    assert found.overlap.value == pytest.approx(np.mean(expected))
    assert found.overlap.value < 0.9 and found.verdict.word == "measure first"
    assert found.moved[0].overlap == pytest.approx(min(expected))
    longer = np.mean([len(word.split()) + 2 > 8 for word in words])
    assert found.only_new == found.old.truncated == pytest.approx(longer)


def test_queries_search_the_texts(tiny_modernbert, other, texts, store, embedder, tmp_path):
    asked = ["good w1", "bad w2 w3", "lovely"]
    queries = write_csv(tmp_path / "queries.csv", [{"id": str(i), "query": q} for i, q in enumerate(asked)])
    found = of(store, other, tiny_modernbert, texts, cut_off=0.5, queries=queries)
    words = list(dict.fromkeys(row["text"] for row in toy_rows(60, seed=5)))
    own = Embedder(locate_model(str(other), store=store), device="cpu", precision="fp32")
    scores = [unit(m.encode(asked, "query")) @ unit(m.encode(words)).T for m in (own, embedder)]
    sets = [[{*row[:10]} for row in np.argsort(-each, axis=1)] for each in scores]
    expected = [len(a & b) / 10 for a, b in zip(*sets, strict=True)]
    assert found.overlap.value == pytest.approx(np.mean(expected)) and found.overlap.n == 3
    assert (found.texts, found.queries, found.shift.pairs) == (60, 3, 180)
    assert {m.text for m in found.moved} <= set(asked) and found.moved[0].overlap == min(expected)
    assert "searched by 3 queries of queries.csv" in found.compared
    assert not any("read as a document" in note for note in found.notes)


def test_models_of_other_kinds_are_refused(tiny_modernbert, texts, store, tmp_path):
    folder = shutil.copytree(tiny_modernbert, tmp_path / "labels")
    config = json.loads((folder / "config.json").read_text())
    config["architectures"] = ["ModernBertForSequenceClassification"]
    (folder / "config.json").write_text(json.dumps(config))
    for line in ((folder, tiny_modernbert), (tiny_modernbert, folder)):
        with pytest.raises(BadModel, match=r"modernbert gives vectors and .*labels does not"):
            command(*line, "--on", texts)


def test_texts_that_do_not_suffice_are_refused(tiny_modernbert, store, tmp_path):
    few = write_csv(tmp_path / "few.csv", [{"text": f"w{i % 11}"} for i in range(40)])
    with pytest.raises(BadData, match="11 different texts"):
        of(store, tiny_modernbert, tiny_modernbert, few)
    pairs = write_csv(tmp_path / "pairs.csv", [{"a": f"w{i}", "b": "x"} for i in range(40)])
    request = MigrationRequest(old=str(tiny_modernbert), new=str(tiny_modernbert), on=pairs, text=("a", "b"))
    with pytest.raises(BadOption, match="a vector is of one"):
        migrate_vectors(request, store)


def command(*line):
    return CliRunner().invoke(app, ["migrate", *map(str, line)], catch_exceptions=False)


def test_the_command_shows_and_fails_where_too_little_stays(tiny_modernbert, other, texts, tmp_path):
    line = [other, tiny_modernbert, "--on", texts, "--precision", "fp32"]
    report = tmp_path / "report.html"
    done = command(*line, "--cut-off", "0.5", "--report", report, "--fail-under-overlap", "0.99")
    assert done.exit_code == 1
    for words in ("measure first", "rank-biased overlap", "of pairs below", "less than 99.00%", "OLD cuts"):
        assert words in done.output
    assert "nearest to NEW" in report.read_text()
    done = command(*line, "--json", "--fail-under-overlap", "0.01")
    assert done.exit_code == 0 and json.loads(done.stdout)["kind"] == "vectors"
    for option, value in (("--fail-under-agreement", "0.5"), ("--margin", "0.1")):
        with pytest.raises(BadOption, match=f"{option} applies only to classifiers, and these are none"):
            command(*line, option, value)
