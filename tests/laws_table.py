"""The table of the laws: for every public name of the library, how to call it and what kind of thing it is.

A loss that needs only logits, or logits and labels, is in the table without a row; it is called with its defaults.
A row of its own is for a name that takes other arguments, or whose hyper-parameters should differ from row to row.
"""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from softtargets import analysis, distill, losses, metrics, targets

ROOMS = ("targets", "losses", "noise", "metrics", "calibration", "distill", "analysis", "nn")
N, K = 7, 4

generator = torch.Generator().manual_seed(0)
LOGITS = torch.randn(N, K, generator=generator, dtype=torch.float64) * 2
PROBS = LOGITS.softmax(-1)
LABELS = torch.tensor([3, 0, 1, 2, 3, 3, 0])
RATES = torch.linspace(0, 1, N, dtype=torch.float64)
ASYMMETRIC = 0.5 * torch.eye(K, dtype=torch.float64) + 0.5 * PROBS[:K]


@dataclass(frozen=True)
class Loss:
    """(logits, rows) -> one value per example, from the logits of those rows and arguments indexed by them."""

    value: Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class TargetRule:
    """(rows) -> Targets of those rows."""

    targets: Callable[[Tensor], targets.Targets]


@dataclass(frozen=True)
class Metric:
    """(probs, labels) -> a number of the whole."""

    value: Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Other:
    """What has laws of its own, which stand in the named test file."""

    tests: str


def default_law(function: Any) -> Loss | None:
    """Return the law of a loss that is called with logits, or with logits and labels, alone; None for others."""
    parameters = inspect.signature(function).parameters.values() if inspect.isfunction(function) else ()
    match [parameter.name for parameter in parameters if parameter.default is parameter.empty]:
        case ["logits"]:
            return Loss(lambda z, rows: function(z))
        case ["logits", "labels" | "targets"]:
            return Loss(lambda z, rows: function(z, LABELS[rows]))
    return None


DEFAULTS = {f"losses.{name}": default_law(getattr(losses, name)) for name in losses.__all__}

ROWS: dict[str, Loss | TargetRule | Metric | Other] = {
    "targets.Targets": Other("targets/test_targets_type.py"),
    "targets.ClassKeywords": Other("targets/test_targets_keywords.py"),
    "targets.OnlineSmoothing": TargetRule(lambda rows: targets.OnlineSmoothing(K).targets(LABELS[rows])),
    "targets.LinearSchedule": Other("targets/test_targets_adaptive.py"),
    "targets.SigmoidSchedule": Other("targets/test_targets_adaptive.py"),
    "targets.RunningTargets": Other("targets/test_targets_online.py"),
    "targets.align_distribution": TargetRule(
        lambda rows: targets.dense(targets.align_distribution(PROBS[rows], PROBS[0], prior=PROBS[1]))
    ),
    "targets.class_thresholds": Other("targets/test_targets_pseudo.py"),
    "targets.pseudo_labels": TargetRule(lambda rows: targets.pseudo_labels(PROBS[rows], threshold=0.6)),
    "targets.backward_corrected": TargetRule(lambda rows: targets.backward_corrected(LABELS[rows], ASYMMETRIC)),
    "targets.confusion_table": TargetRule(
        lambda rows: targets.from_table(LABELS[rows], targets.confusion_table(PROBS[:K], smoothing=0.3))
    ),
    "targets.convert_smoothing": Other("targets/test_targets_conventions.py"),
    "targets.dense": TargetRule(lambda rows: targets.dense(2 * PROBS[rows] - 0.1)),
    "targets.disturb_labels": Other("targets/test_targets_disturb.py"),
    "targets.example_weights": Other("targets/test_targets_weights.py"),
    "targets.from_table": TargetRule(lambda rows: targets.from_table(LABELS[rows], ASYMMETRIC)),
    "targets.hard": TargetRule(lambda rows: targets.hard(LABELS[rows], ignore_index=2)),
    "targets.hierarchical_table": TargetRule(
        lambda rows: targets.from_table(LABELS[rows], targets.hierarchical_table(PROBS[:K], sharpness=2.0))
    ),
    "targets.localized_table": TargetRule(
        lambda rows: targets.from_table(LABELS[rows], targets.localized_table(K, smoothing=0.3, width=1))
    ),
    "targets.mix": TargetRule(
        lambda rows: targets.mix(targets.hard(LABELS[rows]), targets.smooth(LABELS.flip(0)[rows], 0.1), RATES[rows])
    ),
    "targets.reweight": TargetRule(
        lambda rows: targets.reweight(targets.smooth(LABELS[rows], RATES[rows]), torch.tensor([1.0, 0.0, 2.0, 20.0]))
    ),
    "targets.sample": Other("targets/test_targets_sparse.py"),
    "targets.smooth": TargetRule(lambda rows: targets.smooth(LABELS[rows], RATES[rows])),
    "targets.smooth_by_scores": TargetRule(
        lambda rows: targets.smooth_by_scores(LABELS[rows], PROBS[rows], smoothing=RATES[rows], temperature=0.1)
    ),
    "targets.smoothing_from_confidence": TargetRule(
        lambda rows: targets.smooth(LABELS[rows], targets.smoothing_from_confidence(PROBS[rows], maximum=0.3))
    ),
    "targets.smoothing_from_margin": TargetRule(
        lambda rows: targets.smooth(
            LABELS[rows], targets.smoothing_from_margin(LOGITS[rows], maximum=0.3, margin=2.0, labels=LABELS[rows])
        )
    ),
    "targets.tfidf_table": TargetRule(
        lambda rows: targets.from_table(
            LABELS[rows], targets.tfidf_table(["a b", "b c", "c d", "d"], [0, 1, 2, 3], num_classes=K, smoothing=0.3)
        )
    ),
    "targets.top_k": TargetRule(lambda rows: targets.top_k(PROBS.log()[rows], k=2)),
    "targets.votes": TargetRule(lambda rows: targets.votes(PROBS[rows] * 10)),
    "losses.acls_penalty": Loss(lambda z, rows: losses.acls_penalty(z, margin=0.5)),
    "losses.backward_corrected_cross_entropy": Loss(
        lambda z, rows: losses.backward_corrected_cross_entropy(z, LABELS[rows], ASYMMETRIC)
    ),
    "losses.binary_cross_entropy": Other("losses/test_losses_binary.py"),
    "losses.bootstrapped_cross_entropy": Loss(
        lambda z, rows: losses.bootstrapped_cross_entropy(z, LABELS[rows], weight=RATES[rows])
    ),
    "losses.cores_loss": Loss(
        lambda z, rows: losses.cores_loss(z, LABELS[rows], weight=3 * RATES[rows], prior=PROBS[0])
    ),
    "losses.cores_sieve": Other("losses/test_losses_robust_cores.py"),
    "losses.cross_entropy": Loss(lambda z, rows: losses.cross_entropy(z, targets.smooth(LABELS[rows], RATES[rows]))),
    "losses.dual_focal_loss": Loss(lambda z, rows: losses.dual_focal_loss(z, LABELS[rows], gamma=RATES[rows])),
    "losses.elr_penalty": Loss(lambda z, rows: losses.elr_penalty(z, PROBS.flip(0)[rows])),
    "losses.entropy_bound": Other("losses/test_losses_loss_bound.py"),
    "losses.focal_loss": Loss(lambda z, rows: losses.focal_loss(z, LABELS[rows], gamma=RATES[rows])),
    "losses.forward_corrected_cross_entropy": Loss(
        lambda z, rows: losses.forward_corrected_cross_entropy(z, LABELS[rows], ASYMMETRIC)
    ),
    "losses.generalized_cross_entropy": Loss(
        lambda z, rows: losses.generalized_cross_entropy(z, LABELS[rows], q=RATES[rows])
    ),
    "losses.ghost_cross_entropy": Loss(
        lambda z, rows: losses.ghost_cross_entropy(z, targets.top_k(PROBS.flip(0).log()[rows], k=2, residual="drop"))
    ),
    "losses.label_relaxation_loss": Loss(
        lambda z, rows: losses.label_relaxation_loss(z, LABELS[rows], smoothing=RATES[rows] / 50)
    ),
    "losses.learned_smoothing_cross_entropy": Other("losses/test_losses_smoothing_learned.py"),
    "losses.linear_loss": Other("losses/test_losses_linear_loss.py"),
    "losses.linear_cross_entropy": Loss(
        lambda z, rows: losses.linear_cross_entropy(
            z, torch.eye(K, dtype=z.dtype), targets.smooth(LABELS[rows], RATES[rows])
        )
    ),
    "losses.logit_penalty": Other("losses/test_losses_penalties_logits.py"),
    "losses.loss_bound": Other("losses/test_losses_loss_bound.py"),
    "losses.mbls_penalty": Loss(lambda z, rows: losses.mbls_penalty(z, margin=0.5)),
    "losses.max_suppression_loss": Loss(
        lambda z, rows: losses.max_suppression_loss(z, LABELS[rows], smoothing=RATES[rows])
    ),
    "losses.peer_loss": Other("losses/test_losses_robust_peer.py"),
    "losses.reduce": Other("losses/test_losses_reduction.py"),
    "losses.vocab_parallel_cross_entropy": Other("losses/test_losses_vocab_parallel.py"),
    "losses.volume_penalty": Other("losses/test_losses_penalties_transition.py"),
    "noise.ConfidentCounts": Other("noise/test_noise_streaming.py"),
    "noise.ConfidentJoint": Other("noise/test_noise_confident.py"),
    "noise.AnnotatorAgreement": Other("noise/test_noise_annotators.py"),
    "noise.AnnotatorModel": Other("noise/test_noise_annotators.py"),
    "noise.annotator_agreement": Other("noise/test_noise_annotators.py"),
    "noise.dawid_skene": Other("noise/test_noise_annotators.py"),
    "noise.ConfidentSums": Other("noise/test_noise_streaming.py"),
    "noise.Corrupted": Other("noise/test_noise_corrupt.py"),
    "noise.ExpectedWrong": Other("noise/test_noise_suspects.py"),
    "noise.TrainingDynamics": Other("noise/test_noise_dynamics.py"),
    "noise.Transition": Other("test_matrices.py"),
    "noise.TransitionInterval": Other("noise/test_noise_bootstrap.py"),
    "noise.bootstrap_transition": Other("noise/test_noise_bootstrap.py"),
    "noise.NoiseMixture": Other("noise/test_noise_mixture.py"),
    "noise.NoiseRange": Other("noise/test_noise_range.py"),
    "noise.TrustedNoiseRate": Other("noise/test_noise_trusted_rate.py"),
    "noise.estimate_noise_range": Other("noise/test_noise_range.py"),
    "noise.trusted_noise_rate": Other("noise/test_noise_trusted_rate.py"),
    "noise.confident_joint": Other("noise/test_noise_confident.py"),
    "noise.confident_suspects": Other("noise/test_noise_suspects.py"),
    "noise.corrupt": Other("noise/test_noise_corrupt.py"),
    "noise.LabelIssues": Other("noise/test_noise_issues.py"),
    "noise.estimate_transition": Other("noise/test_noise_estimation.py"),
    "noise.expected_wrong": Other("noise/test_noise_suspects.py"),
    "noise.find_label_issues": Other("noise/test_noise_issues.py"),
    "noise.MultilabelIssues": Other("noise/test_noise_multilabel.py"),
    "noise.find_multilabel_issues": Other("noise/test_noise_multilabel.py"),
    "noise.pool_label_scores": Other("noise/test_noise_multilabel.py"),
    "noise.CommonTokenIssue": Other("noise/test_noise_tokens.py"),
    "noise.TokenIssues": Other("noise/test_noise_tokens.py"),
    "noise.find_token_issues": Other("noise/test_noise_tokens.py"),
    "noise.pad_tokens": Other("noise/test_noise_tokens.py"),
    "noise.label_posterior": Other("noise/test_noise_quality.py"),
    "noise.load_transition": Other("noise/test_noise_files.py"),
    "noise.normalized_margin": Other("noise/test_noise_quality.py"),
    "noise.self_confidence": Other("noise/test_noise_quality.py"),
    "noise.suspect_order": Other("noise/test_noise_quality.py"),
    "noise.InstanceTransitions": Other("noise/test_noise_instance.py"),
    "noise.asymmetric_cifar10": Other("noise/test_noise_transitions.py"),
    "noise.from_confusion": Other("noise/test_noise_transitions.py"),
    "noise.instance_dependent": Other("noise/test_noise_instance.py"),
    "noise.pair_flip": Other("noise/test_noise_transitions.py"),
    "noise.random_transition": Other("noise/test_noise_transitions.py"),
    "noise.superclass_flip": Other("noise/test_noise_transitions.py"),
    "noise.symmetric": Other("noise/test_noise_transitions.py"),
    "metrics.Accumulator": Other("metrics/test_metrics_accumulate.py"),
    "metrics.Collection": Other("metrics/test_metrics_accumulate.py"),
    "metrics.Accuracy": Other("metrics/test_metrics_classification.py"),
    "metrics.NLL": Other("metrics/test_metrics_classification.py"),
    "metrics.Bins": Other("metrics/test_metrics_calibration_error.py"),
    "metrics.ECE": Other("metrics/test_metrics_calibration_error.py"),
    "metrics.Brier": Other("metrics/test_metrics_brier.py"),
    "metrics.BrierDecomposition": Other("metrics/test_metrics_accumulate.py"),
    "metrics.BrierParts": Other("metrics/test_metrics_brier.py"),
    "metrics.Interval": Other("metrics/test_metrics_interval.py"),
    "metrics.interval": Other("metrics/test_metrics_interval.py"),
    "metrics.paired_difference": Other("metrics/test_metrics_interval.py"),
    "metrics.LabelUncertainty": Other("metrics/test_metrics_soft_labels.py"),
    "metrics.UncertaintyParts": Other("metrics/test_metrics_soft_labels.py"),
    "metrics.label_entropy": Other("metrics/test_metrics_soft_labels.py"),
    "metrics.label_uncertainty": Other("metrics/test_metrics_soft_labels.py"),
    "metrics.RiskCoverage": Other("metrics/test_metrics_selective.py"),
    "metrics.SelectiveRisk": Other("metrics/test_metrics_selective.py"),
    "metrics.SmoothECE": Other("metrics/test_metrics_smooth.py"),
    "metrics.SmoothReliability": Other("metrics/test_metrics_smooth.py"),
    "metrics.auroc": Other("metrics/test_metrics_ranking.py"),
    "metrics.accuracy": Metric(metrics.accuracy),
    "metrics.brier": Metric(metrics.brier),
    "metrics.brier_decomposition": Metric(
        lambda probs, labels: torch.stack(list(vars(metrics.brier_decomposition(probs, labels)).values()))
    ),
    "metrics.aurc": Other("metrics/test_metrics_selective.py"),  # a mean over ranks: twice the examples change it
    "metrics.coverage_at_risk": Metric(lambda probs, labels: metrics.coverage_at_risk(probs, labels, risk=0.5)),
    "metrics.ece": Metric(metrics.ece),
    "metrics.misclassification_auroc": Metric(metrics.misclassification_auroc),
    "metrics.excess_aurc": Other(
        "metrics/test_metrics_selective.py"
    ),  # a mean over ranks: twice the examples change it
    "metrics.risk_coverage": Other("metrics/test_metrics_selective.py"),
    "metrics.smooth_ece": Metric(metrics.smooth_ece),
    "metrics.SetCoverage": Other("metrics/test_metrics_set_coverage.py"),
    "metrics.SetQuality": Other("metrics/test_metrics_set_coverage.py"),
    "metrics.set_coverage": Other("metrics/test_metrics_set_coverage.py"),
    "metrics.smooth_reliability": Other("metrics/test_metrics_smooth.py"),
    "metrics.nll": Metric(metrics.nll),
    "metrics.reliability_bins": Metric(
        lambda probs, labels: torch.stack(
            [
                getattr(metrics.reliability_bins(probs, labels), name).double() / len(labels)
                for name in ("count", "confidence", "correct")
            ]
        )
    ),
    "calibration.TemperatureScaling": Other("calibration/test_calibration_temperature.py"),
    "calibration.VectorScaling": Other("calibration/test_calibration_vector.py"),
    "calibration.EnsembleTemperatureScaling": Other("calibration/test_calibration_ensemble.py"),
    "calibration.HistogramBinning": Other("calibration/test_calibration_classwise.py"),
    "calibration.IsotonicCalibration": Other("calibration/test_calibration_classwise.py"),
    "calibration.load": Other("calibration/test_calibration_files.py"),
    "calibration.save": Other("calibration/test_calibration_files.py"),
    "calibration.CrossFit": Other("calibration/test_calibration_cross_fit.py"),
    "calibration.cross_fit": Other("calibration/test_calibration_cross_fit.py"),
    "calibration.LogitNorm": Other("calibration/test_calibration_scores.py"),
    "calibration.choose_logit_norm": Other("calibration/test_calibration_scores.py"),
    "calibration.logit_normalized": Other("calibration/test_calibration_scores.py"),
    "calibration.margin": Other("calibration/test_calibration_scores.py"),
    "calibration.APS": Other("calibration/test_calibration_conformal_scores.py"),
    "calibration.ConformalPredictor": Other("calibration/test_calibration_conformal_predictor.py"),
    "calibration.LAC": Other("calibration/test_calibration_conformal_scores.py"),
    "calibration.RAPS": Other("calibration/test_calibration_conformal_scores.py"),
    "calibration.coverage_range": Other("calibration/test_calibration_conformal_coverage.py"),
    "calibration.max_probability": Other("calibration/test_calibration_scores.py"),
    "calibration.negative_entropy": Other("calibration/test_calibration_scores.py"),
    "analysis.ClusterDistances": Other("analysis/test_analysis_projection.py"),
    "analysis.LinearProbe": Other("analysis/test_analysis_probe.py"),
    "analysis.MutualInformation": Other("analysis/test_analysis_information.py"),
    "analysis.NeuralCollapse": Other("analysis/test_analysis_collapse.py"),
    "analysis.Projection": Other("analysis/test_analysis_projection.py"),
    "analysis.activations": Other("analysis/test_analysis_activations.py"),
    "analysis.class_means": Other("analysis/test_analysis_class_means.py"),
    "analysis.class_separation": Other("analysis/test_analysis_separation.py"),
    "analysis.cluster_distances": Other("analysis/test_analysis_projection.py"),
    "analysis.epochs_to": Other("analysis/test_analysis_speed.py"),
    "analysis.inter_class_stability": Other("analysis/test_analysis_stability.py"),
    "analysis.linear_probe": Other("analysis/test_analysis_probe.py"),
    "analysis.minor_means": Other("analysis/test_analysis_class_means.py"),
    "analysis.mutual_information": Other("analysis/test_analysis_information.py"),
    "analysis.neural_collapse": Other("analysis/test_analysis_collapse.py"),
    "analysis.projection": Other("analysis/test_analysis_projection.py"),
    "analysis.smoothed_least_squares": Other("analysis/test_analysis_shrinkage.py"),
    "analysis.stability": Other("analysis/test_analysis_stability.py"),
    "analysis.within_class_distance": Other("analysis/test_analysis_separation.py"),
    "distill.MovingAverage": Other("distill/test_distill_average.py"),
    "distill.CacheCollator": Other("distill/test_distill_cache_collate.py"),
    "distill.SequenceBatch": Other("distill/test_distill_cache_sequences.py"),
    "distill.TeacherRows": Other("distill/test_distill_teacher_rows.py"),
    "distill.divergence_loss": Loss(
        lambda z, rows: distill.divergence_loss(
            z, LOGITS.roll(1, 0)[rows], LABELS[rows], divergence="jensen_shannon", kd_weight=0.4, temperature=3.0
        )
    ),
    "distill.linear_divergence_loss": Other("distill/test_distill_linear_divergence.py"),
    "distill.CacheSource": Other("distill/test_distill_cache_write.py"),
    "distill.Sampled": Other("distill/test_distill_cache_write.py"),
    "distill.TeacherCache": Other("distill/test_distill_cache_read.py"),
    "distill.TopK": Other("distill/test_distill_cache_write.py"),
    "distill.dkd_loss": Loss(lambda z, rows: distill.dkd_loss(z, LOGITS.roll(1, 0)[rows], LABELS[rows])),
    "distill.ensemble": Other("distill/test_distill_ensemble.py"),
    "distill.equivalent_smoothing": Other("distill/test_distill_smoothness.py"),
    "distill.hidden_state_loss": Other("distill/test_distill_hidden.py"),
    "distill.kd_loss": Loss(
        lambda z, rows: distill.kd_loss(z, LOGITS.roll(1, 0)[rows], LABELS[rows], kd_weight=0.4, temperature=3.0)
    ),
    "distill.standardized_kd_loss": Loss(
        lambda z, rows: distill.standardized_kd_loss(z, LOGITS.roll(1, 0)[rows], LABELS[rows])
    ),
    "distill.pad_vocabulary": Other("distill/test_distill_vocabulary.py"),
    "distill.dist_loss": Other("distill/test_distill_relational.py"),
    "distill.logit_mse_loss": Other("distill/test_distill_logits.py"),
    "distill.consistency_loss": Other("distill/test_distill_consistency.py"),
    "distill.standardize": Other("distill/test_distill_standardized.py"),
    "distill.write_cache": Other("distill/test_distill_cache_write.py"),
    "analysis.logit_gap": Loss(lambda z, rows: analysis.logit_gap(z, LABELS[rows])),
    "nn.CrossEntropyLoss": Other("nn/test_nn_cross_entropy.py"),
    "nn.LearnedSmoothing": Other("nn/test_nn_learned_smoothing.py"),
    "nn.Loss": Other("nn/test_nn_loss.py"),
    "nn.VolMinNet": Other("nn/test_nn_volminnet.py"),
}

TABLE = {**{name: law for name, law in DEFAULTS.items() if law is not None}, **ROWS}
