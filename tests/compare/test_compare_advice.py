"""The recommendation in words, for verdicts that are made by hand."""

from softtargets.compare.advice import DECISION_RULE, JudgedMethod, advise, in_words, status_of
from softtargets.compare.measures import MEASURES, PRIMARY
from softtargets.compare.methods import BASELINE
from softtargets.compare.verdict import MeasuredDifference, MethodVerdict

VALUES = {"accuracy": 0.9, "nll": 0.5, "ece": 0.08, "nll_scaled": 0.3, "ece_scaled": 0.02, "aurc": 0.01}


def difference(measure: str, estimate: float, half: float = 0.005) -> MeasuredDifference:
    adjusted = 0.5 if measure in PRIMARY else None
    return MeasuredDifference(measure, estimate, estimate - half, estimate + half, 0.95, 0.01, adjusted)


def cooling(size: float = -0.2) -> dict[str, MeasuredDifference]:
    return {"nll": difference("nll", size, 0.01), "ece": difference("ece", size / 4, 0.01)}


def judged(label: str, members: int = 1, temperature: float = 0.0, **estimates: float) -> JudgedMethod:
    differences = {name: difference(name, estimates.get(name, 0.0)) for name in MEASURES}
    decided = next((name for name in PRIMARY if differences[name].better), None)
    worse = tuple(name for name, found in differences.items() if found.beyond_margin)
    return JudgedMethod(label, members, VALUES, MethodVerdict(differences, cooling(temperature), decided, worse))


def baseline(temperature: float = 0.0) -> JudgedMethod:
    return JudgedMethod("cross entropy", 1, VALUES, MethodVerdict({}, cooling(temperature)))


def test_the_sentence_of_the_better_method():
    methods = {
        BASELINE: baseline(-0.2),
        "label_smoothing": judged("label smoothing 0.1", temperature=-0.2, accuracy=0.013),
        "mixup": judged("mixup 0.2", temperature=-0.2),
    }
    advice = advise(methods, temperature=True)
    assert (advice.method, advice.temperature) == ("label_smoothing", True)
    assert advice.headline == (
        "Use label smoothing 0.1 and a temperature: 1.30 points better than cross entropy (0.80 to 1.80), ECE 0.060 "
        "less; mixup 0.2 is undecided."
    )
    assert advice.rule == DECISION_RULE
    more = {f"m{place}": judged(f"method {place}") for place in range(3)}
    advice = advise(methods | more, temperature=True)
    assert advice.headline.endswith("less; 4 other methods are undecided.")
    assert any(one.startswith("Undecided: mixup 0.2, method 0, method 1 and method 2.") for one in advice.sentences)


def test_nothing_better_is_said_exactly():
    methods = {BASELINE: baseline(), "mixup": judged("mixup 0.2", accuracy=0.004)}
    advice = advise(methods, temperature=True)
    assert advice.headline == "Use cross entropy: no method is better than cross entropy beyond chance."
    assert advice.sentences[0].startswith(
        "A temperature does not improve cross entropy beyond chance: NLL changes from"
    )
    assert advice.sentences[-1] == (
        "Undecided: mixup 0.2. With these seeds and test rows, differences of accuracy below about 0.5 points cannot "
        "be told from chance."
    )


def test_a_temperature_that_harms_is_said_to_harm():
    advice = advise({BASELINE: baseline(0.2), "mixup": judged("mixup 0.2")}, temperature=True)
    assert not advice.temperature
    assert advice.sentences[0].startswith("A temperature makes the probabilities of cross entropy worse: NLL changes")


def test_the_first_measure_decides_and_then_the_largest_difference():
    methods = {
        BASELINE: baseline(),
        "a": judged("a", nll_scaled=-0.5),
        "b": judged("b", accuracy=0.01),
        "c": judged("c", accuracy=0.02),
    }
    assert advise(methods, temperature=True).method == "c"
    del methods["b"], methods["c"]
    advice = advise(methods, temperature=True)
    assert advice.method == "a"
    assert "NLL after a temperature 0.500 nats lower than with cross entropy (0.495 to 0.505)" in advice.headline


def test_a_method_of_one_network_comes_before_an_ensemble():
    methods = {
        BASELINE: baseline(),
        "mixup": judged("mixup 0.2", accuracy=0.01),
        "ensemble": judged("ensemble of 3 networks", members=3, accuracy=0.03),
    }
    advice = advise(methods, temperature=False)
    assert advice.method == "mixup"
    assert advice.sentences[0] == (
        "An ensemble of 3 networks is 3.00 points better than cross entropy (2.50 to 3.50); training and prediction "
        "take 3 times as long."
    )
    del methods["mixup"]
    advice = advise(methods, temperature=False)
    assert advice.headline.startswith("Use an ensemble of 3 networks: 3.00 points better")
    assert "because no method of one network is better beyond chance" in advice.sentences[0]


def test_statuses():
    better = judged("a", accuracy=0.02)
    mixed = judged("a", accuracy=0.02, ece_scaled=0.1)
    worse = judged("a", accuracy=-0.02)
    assert status_of("a", "a", better.verdict) == "recommended"
    assert status_of("a", "b", better.verdict) == "better"
    assert status_of("a", "b", mixed.verdict) == "better"
    assert status_of("a", "b", worse.verdict) == "worse"
    assert status_of("a", "b", judged("a").verdict) == "undecided"
    assert status_of(BASELINE, "b", baseline().verdict) == "baseline"
    assert not mixed.verdict.recommended


def test_losses_in_words():
    assert in_words(difference("accuracy", -0.02)) == "2.00 points worse than cross entropy (1.50 to 2.50)"
    assert in_words(difference("ece_scaled", 0.03)) == (
        "ECE after a temperature 0.030 higher than with cross entropy (0.025 to 0.035)"
    )


def test_without_the_method_temperature_none_is_recommended():
    methods = {BASELINE: baseline(-0.2), "mixup": judged("mixup 0.2")}
    advice = advise(methods, temperature=False)
    assert not advice.temperature
    assert not any("temperature" in sentence.split(".")[0] for sentence in advice.sentences)


def test_only_a_temperature_to_compare():
    assert advise({BASELINE: baseline(-0.2)}, temperature=True).headline == (
        "Use cross entropy and a temperature. No other way of training was compared."
    )


def test_long_lists_are_cut():
    methods = {BASELINE: baseline(), **{f"m{n}": judged(f"method {n}") for n in range(9)}}
    assert "method 4, method 5 and 3 others." in " ".join(advise(methods, temperature=False).sentences)
