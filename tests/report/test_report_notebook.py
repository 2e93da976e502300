"""Results in notebooks: tables with the numbers of the results, plots that show them, and safe HTML."""

import sys
from html.parser import HTMLParser
from typing import Any

import pytest
import torch

from softtargets import metrics, noise
from softtargets.audit import AuditOptions, audit_labels
from softtargets.compare import CompareOptions, compare_methods
from softtargets.evaluate import EvaluationOptions, evaluate_predictions
from softtargets.report.notebook import NotebookResult
from softtargets.studies import run_study

pytest.importorskip("matplotlib")

GENERATOR = torch.Generator().manual_seed(0)
LABELS = torch.arange(600) % 3
LOGITS = torch.randn(600, 3, generator=GENERATOR) + 3 * torch.nn.functional.one_hot(LABELS, 3)
OBSERVED = noise.corrupt(LABELS, noise.symmetric(0.2, 3), generator=GENERATOR).noisy_labels


class Tags(HTMLParser):
    """Collects the tags and the text of HTML, and checks that every tag is closed."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(html)
        assert not self.open

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.tags.append(tag)
        self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_startendtag(self, tag: str, attrs: Any) -> None:
        self.tags.append(tag)

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> dict[str, NotebookResult]:
    folder = tmp_path_factory.mktemp("notebook")
    evaluation = evaluate_predictions(logits=LOGITS, labels=LABELS, options=EvaluationOptions(n_draws=200))
    options = CompareOptions(methods=("temperature", "focal"), seeds=2, runs=folder / "runs", epochs=1, workers=1)
    compared = compare_methods("digits", options=options)
    return {
        "evaluation": evaluation,
        "audit": audit_labels(OBSERVED, logits=LOGITS, options=AuditOptions(class_names=("a", "b", "<b>&"))),
        "comparison": compared,
        "study": run_study(
            "lukasik2020", "figure2", scale="smoke", workers=1, runs=folder / "runs", reports=folder / "reports"
        ),
    }


@pytest.mark.parametrize("name", ["evaluation", "audit", "comparison", "study"])
def test_a_result_is_shown(results: dict[str, NotebookResult], name: str) -> None:
    result = results[name]
    rows, frame = result.to_rows(), result.to_pandas()
    assert rows
    assert frame.shape == (len(rows), len(rows[0]))
    assert list(frame.columns) == list(rows[0])
    shown = Tags(result._repr_html_())
    assert repr(result)[:40] in shown.text
    assert {"table", "svg"} <= set(shown.tags)
    assert "script" not in shown.tags
    assert shown.tags.count("tr") == 1 + min(len(rows), 12)
    ax = result.plot()
    assert result.plot(ax) is ax


def test_the_rows_of_an_evaluation(results: dict[str, Any]) -> None:
    rows = {row["metric"]: row for row in results["evaluation"].to_rows()}
    assert rows["accuracy"]["value"] == pytest.approx(float(metrics.accuracy(logits=LOGITS, labels=LABELS)))
    assert rows["accuracy"]["low"] < rows["accuracy"]["value"] < rows["accuracy"]["high"]
    drawn = [line.get_xydata().tolist() for line in results["evaluation"].plot().lines if line.get_marker() == "o"]
    bins = [one for one in results["evaluation"].main.reliability.width if one.accuracy is not None]
    assert drawn == [[[one.confidence, one.accuracy]] for one in bins]


def test_the_rows_of_an_audit_are_its_suspects(results: dict[str, Any]) -> None:
    rows = results["audit"].to_rows()
    found = results["audit"].ranking.suspects
    assert [row["row"] for row in rows] == found.rows.tolist()
    assert all(row["given"] == ["a", "b", "<b>&"][OBSERVED[row["row"]]] for row in rows)
    assert "<b>" not in results["audit"]._repr_html_()
    assert "&lt;b&gt;&amp;" in results["audit"]._repr_html_()
    heat = results["audit"].plot()
    assert [text.get_text() for text in heat.get_xticklabels()] == ["a", "b", "<b>&"]


def test_the_rows_of_a_comparison_are_its_methods(results: dict[str, Any]) -> None:
    rows = results["comparison"].to_rows()
    assert [row["method"] for row in rows] == [method.name for method in results["comparison"].methods]
    assert rows[0]["accuracy_difference"] is None
    assert all(row["low"] <= row["accuracy_difference"] <= row["high"] for row in rows[1:] if row["low"] is not None)
    points = [line.get_xydata()[0].tolist() for line in results["comparison"].plot().lines]
    assert points == [[row["ece"], row["accuracy"]] for row in rows]


def test_the_rows_of_a_study_are_its_claims(results: dict[str, Any]) -> None:
    rows = results["study"].to_rows()
    verdicts = results["study"].results.verdicts
    assert [row["claim"] for row in rows] == [verdict.claim.id for verdict in verdicts]
    ax = results["study"].plot()
    assert len(ax.get_yticklabels()) == sum(row["low"] is not None for row in rows)
    low, high = ax.get_xlim()
    assert low < -1 < 1 < high


def test_without_matplotlib_there_is_no_figure(results: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    assert "<svg" not in results["audit"]._repr_html_()


def test_a_transition_is_a_heat_map() -> None:
    transition = noise.symmetric(0.3, 3)
    ax = transition.plot(class_names=["x", "y", "z"])
    assert ax.images[0].get_array().tolist() == transition.to_dense().tolist()
    assert [text.get_text() for text in ax.texts] == [
        "0.70",
        "0.15",
        "0.15",
        "0.15",
        "0.70",
        "0.15",
        "0.15",
        "0.15",
        "0.70",
    ]
    assert not noise.symmetric(0.3, 20).plot().texts, "too many numbers to read"


def test_tensor_results_are_tables() -> None:
    found = noise.find_label_issues(OBSERVED, LOGITS.softmax(-1))
    shown = Tags(found._repr_html_())
    assert shown.tags.count("tr") == len(found.to_dict())
    assert "noise_rate" in shown.text
