"""Methods that one docstring cannot describe: settings of a shared function, and methods of several functions.

A public function whose docstring has a References section is a method by itself. Its page and its row in the index are
generated from the docstring, and it is not listed here. The key of a card is the file name of its page. A setting of a
shared function states its own formula, when, limitations and example here.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Method:
    """One method.

    Args:
        title: the usual name of the method.
        source: who proposed it and where, or a statement that it has no single source.
        code: public names, as ``room.name``.
        also: abbreviations and other names.
        settings: the call that gives this method, in Markdown.
        formula, when, limitations, example: of the method, if it is a setting of a shared function.
        note: other remarks, in Markdown.
        topics: keys of TOPICS.
        group: heading of the index, if the method has no code.
    """

    title: str
    source: str
    code: tuple[str, ...] = ()
    also: tuple[str, ...] = ()
    settings: str = ""
    formula: str = ""
    when: str = ""
    limitations: str = ""
    example: str = ""
    note: str = ""
    topics: tuple[str, ...] = ()
    group: str = ""


# topic -> its heading in the index
TOPICS = {
    "known label noise": "Label noise with a known transition matrix",
    "unknown label noise": "Label noise with an unknown transition matrix",
    "noise generation": "Generating label noise",
    "noise estimation": "Estimating the transition matrix",
    "label issues": "Finding wrong labels",
    "overconfidence": "Overconfident predictions",
    "similar classes": "Similar classes",
    "soft labels": "Soft labels from annotators, teachers or mixing",
    "class imbalance": "Class imbalance",
    "unlabelled examples": "Unlabelled examples",
    "many classes": "Very many classes",
    "distillation": "Knowledge distillation",
}

# heading of the index -> the modules whose methods are listed under it; the longest prefix wins
GROUPS = {
    "Targets": ("targets",),
    "Cross entropy": ("losses", "nn"),
    "Loss correction for label noise": ("losses._corrections", "losses._loss_bound", "nn._volminnet"),
    "Robust losses": ("losses.robust",),
    "Focal losses": ("losses._focal", "losses._dual_focal"),
    "Losses related to label smoothing": ("losses.smoothing",),
    "Penalties": ("losses.penalties",),
    "Very many classes": ("losses._linear", "losses._linear_loss", "losses._vocab_parallel"),
    "Knowledge distillation": ("distill",),
    "Generating label noise": ("noise._transitions", "noise._instance", "noise._corrupt"),
    "Estimating the transition matrix": ("noise",),
    "Finding wrong labels": ("noise._suspects", "noise._issues", "noise._quality", "noise._dynamics"),
    "Metrics": ("metrics",),
    "Calibration": ("calibration",),
    "Prediction sets": ("calibration.conformal",),
    "Analysis of networks": ("analysis",),
    "Transition and label matrices": ("matrices",),
    "Integrations": ("integrations",),
}

HINTON = "Hinton et al. 2015, *Distilling the Knowledge in a Neural Network*, arXiv:1503.02531"

CARDS = {
    "cross-entropy": Method(
        title="Cross entropy with hard labels",
        also=("CE", "one-hot targets", "negative log-likelihood"),
        source="Baum & Wilczek 1988, *Supervised learning of probability distributions by neural networks*, NIPS",
        code=("losses.cross_entropy", "targets.hard"),
        settings="`losses.cross_entropy(logits, labels)`",
    ),
    "label-smoothing": Method(
        title="Label smoothing",
        also=("LS", "LS-Classic", "uniform smoothing"),
        source="Szegedy et al. 2016, *Rethinking the Inception Architecture for Computer Vision*, CVPR, Sec. 7",
        code=("targets.smooth",),
        settings="`losses.cross_entropy(logits, targets.smooth(labels, 0.1))`",
        example="""
            >>> logits, labels = torch.tensor([[2.0, 0.0]]), torch.tensor([0])
            >>> smoothed = losses.cross_entropy(logits, targets.smooth(labels, 0.25))
            >>> plain = losses.cross_entropy(logits, labels)
            >>> (smoothed - plain).round(decimals=4).tolist()  # 0.25 * (z_label - mean z) = 0.25 * (2 - 1)
            [0.25]
        """,
        topics=("overconfidence", "unknown label noise"),
    ),
    "negative-smoothing": Method(
        title="Negative label smoothing",
        also=("NLS", "generalised label smoothing", "GLS"),
        source="Wei et al. 2022, *To Smooth or Not? When Label Smoothing Meets Noisy Labels*, ICML",
        code=("targets.smooth",),
        settings="`targets.smooth(labels, smoothing, allow_negative=True)` with `smoothing < 0`",
        formula="t = (1 - r) * onehot(label) + r / K        with r < 0",
        when="The label noise is symmetric with a known rate. With r = -redraw / (1 - redraw), where redraw is the "
        "probability that a label is redrawn uniformly, negative smoothing equals backward correction.",
        limitations="The loss is unbounded below. Start with plain cross entropy and use a small learning rate. "
        "`losses.cross_entropy(...).clamp(min=0)` bounds the loss, but an example at the bound has zero gradient.",
        example="""
            >>> targets.smooth(torch.tensor([0]), -0.3, allow_negative=True).to_dense(3).round(decimals=3).tolist()
            [[1.2, -0.1, -0.1]]
        """,
        topics=("known label noise",),
    ),
    "prior-smoothing": Method(
        title="Prior smoothing",
        also=("unigram smoothing", "frequency smoothing"),
        source="Pereyra et al. 2017, *Regularizing Neural Networks by Penalizing Confident Output Distributions*, "
        "arXiv:1701.06548",
        code=("targets.smooth",),
        settings="`targets.smooth(labels, smoothing, prior=frequencies)`",
        formula="t = (1 - r) * onehot(label) + r * prior",
        when="Class frequencies are far from uniform, as in language modelling, and uniform smoothing would give too "
        "much probability to rare classes.",
        limitations="The prior comes from the training set. If the test classes are balanced, it biases predictions.",
        example="""
            >>> prior = torch.tensor([0.7, 0.2, 0.1])
            >>> targets.smooth(torch.tensor([2]), 0.1, prior=prior).to_dense(3).round(decimals=3).tolist()
            [[0.07, 0.02, 0.91]]
        """,
        topics=("overconfidence", "class imbalance"),
    ),
    "class-tables": Method(
        title="Class tables",
        also=("asymmetric smoothing", "structured smoothing", "class-wise soft labels"),
        source="No single source; the general form of the other class tables (Lukasik et al. 2020, Sec. 3.1, call it "
        "label smearing)",
        code=("targets.from_table",),
        settings="`targets.from_table(labels, table)` with any (K, K) tensor whose row y is the target of label y",
        when="It is known which classes are similar, or each class should have its own soft label.",
        limitations="All examples of a class get the same target. Errors in the table are learned by the model.",
        example="""
            >>> table = torch.tensor([[0.75, 0.25, 0.0], [0.125, 0.875, 0.0], [0.0, 0.0, 1.0]])
            >>> targets.from_table(torch.tensor([1, 2]), table).to_dense().tolist()
            [[0.125, 0.875, 0.0], [0.0, 0.0, 1.0]]
        """,
        topics=("similar classes",),
    ),
    "hierarchical-smoothing": Method(
        title="Hierarchical smoothing",
        also=("soft labels of a hierarchy", "structured label smoothing"),
        source="Bertinetto et al. 2020, *Making Better Mistakes: Leveraging Class Hierarchies with Deep Networks*, "
        "CVPR (formula not checked against the paper)",
        code=("targets.hierarchical_table",),
        settings="`targets.from_table(labels, table)` with this table",
        topics=("similar classes",),
    ),
    "localized-smoothing": Method(
        title="Localized smoothing",
        also=("neighbourhood smoothing", "ordinal smoothing"),
        source="No single source; mentioned without a formula in the overview *Understanding Label Smoothing* "
        "(OpenGenus); the formula is our interpretation",
        code=("targets.localized_table",),
        settings="`targets.from_table(labels, table)` with this table",
        topics=("similar classes",),
    ),
    "confusion-smoothing": Method(
        title="Confusion smoothing",
        also=("confusion table",),
        source="No single source; a class table computed from a model's confusion matrix",
        code=("targets.confusion_table",),
        settings="`targets.from_table(labels, table)` with this table",
        topics=("similar classes",),
    ),
    "tfidf-smoothing": Method(
        title="TF-IDF smoothing",
        also=("LS-TFIDF",),
        source="Liu et al. 2022, *Label Smoothing for Text Mining*, COLING; the paper was not available to us, so the "
        "formula is our interpretation",
        code=("targets.tfidf_table",),
        settings="`targets.from_table(labels, table)` with this table",
        topics=("similar classes",),
    ),
    "keyword-smoothing": Method(
        title="Keyword-based smoothing",
        also=("KWLS",),
        source="After Liu et al. 2022, *Label Smoothing for Text Mining*, COLING; the paper was not available to us, "
        "so the formula is our interpretation",
        code=("targets.smooth_by_scores", "targets.ClassKeywords"),
        settings="`targets.smooth_by_scores(labels, keywords.scores(texts), smoothing=0.1)`, where `keywords` is a "
        "fitted `targets.ClassKeywords`",
        topics=("similar classes",),
    ),
    "adaptive-smoothing": Method(
        title="Adaptive smoothing",
        also=("per-example smoothing", "smoothing schedules"),
        source="No single source; three ways to choose the smoothing of `targets.smooth` per epoch or per example",
        code=("targets.LinearSchedule", "targets.smoothing_from_confidence", "targets.smoothing_from_margin"),
        settings="`targets.smooth(labels, smoothing)`, where `smoothing` is the number for the epoch or one number per "
        "example, (N,)",
        topics=("overconfidence",),
    ),
    "backward-correction": Method(
        title="Backward correction",
        also=("loss correction", "BC"),
        source="Patrini et al. 2017, *Making Deep Neural Networks Robust to Label Noise: a Loss Correction Approach*, "
        "CVPR, Thm. 1",
        code=("losses.backward_corrected_cross_entropy", "targets.backward_corrected"),
        topics=("known label noise",),
    ),
    "cores": Method(
        title="Confidence-regularised sample sieve",
        also=("CORES", "CORES²"),
        source="Cheng et al. 2021, *Learning with Instance-Dependent Label Noise: A Sample Sieve Approach*, ICLR",
        code=("losses.cores_loss", "losses.cores_sieve"),
        topics=("unknown label noise",),
    ),
    "mixup": Method(
        title="mixup",
        source="Zhang et al. 2018, *mixup: Beyond Empirical Risk Minimization*, ICLR",
        code=("targets.mix",),
        settings="`targets.mix(targets.hard(labels), targets.hard(labels[partner]), weight)`; mix the inputs with the "
        "same weight, drawn from Beta(0.2, 0.2)",
        formula="t = weight * onehot(label) + (1 - weight) * onehot(partner's label)",
        when="The training set is small or its labels are noisy, and a convex combination of two inputs is a plausible "
        "input.",
        limitations="Mixed inputs are not samples of the data distribution. If a mixture of two classes resembles a "
        "third class, its label is wrong.",
        note="This function mixes the targets. In your own training loop, mix the inputs yourself or with "
        "`torchvision.transforms.v2.MixUp`; in `softtargets train`, the objective `mixup` mixes both.",
        example="""
            >>> labels, partner = torch.tensor([0, 2]), torch.tensor([1, 0])
            >>> mixed = targets.mix(targets.hard(labels), targets.hard(labels[partner]), 0.75)
            >>> mixed.to_dense(3).tolist()
            [[0.75, 0.0, 0.25], [0.25, 0.0, 0.75]]
        """,
        topics=("overconfidence", "soft labels"),
    ),
    "cutmix": Method(
        title="CutMix",
        source="Yun et al. 2019, *CutMix: Regularization Strategy to Train Strong Classifiers with Localizable "
        "Features*, ICCV",
        code=("targets.mix",),
        settings="`targets.mix(targets.hard(labels), targets.hard(labels[partner]), kept)`, where `kept` is the "
        "fraction of each image's area that was kept, drawn from Beta(1, 1)",
        formula="t = kept * onehot(label) + (1 - kept) * onehot(partner's label)",
        when="Inputs are images, and a rectangle of one image is pasted into another.",
        limitations="The area fraction is not the fraction of the object: pasted background counts as its class.",
        note="This function mixes the targets. In your own training loop, paste the rectangles yourself, or with "
        "`timm.data.Mixup` or `torchvision.transforms.v2.CutMix`; in `softtargets train`, the objective `cutmix` does "
        "it.",
        example="""
            >>> labels, kept = torch.tensor([0, 1]), torch.tensor([0.75, 0.5])
            >>> targets.mix(targets.hard(labels), targets.hard(labels.flip(0)), kept).to_dense(2).tolist()
            [[0.75, 0.25], [0.5, 0.5]]
        """,
        topics=("soft labels",),
    ),
    "distillation-at-temperature-1": Method(
        title="Distillation at temperature 1",
        also=("LS-Distill", "born-again networks", "self-distillation"),
        source="Hinton et al. 2015, *Distilling the Knowledge in a Neural Network*, arXiv:1503.02531; Furlanello et "
        "al. 2018, *Born-Again Neural Networks*, ICML, where the teacher has the same architecture",
        code=("targets.mix", "targets.dense"),
        settings="`targets.mix(targets.hard(labels), targets.dense(teacher_logits.softmax(-1)), 1 - weight)`",
        formula="t = (1 - weight) * onehot(label) + weight * softmax(teacher_logits)",
        when="A better network for the same classes, or a previously trained one of the same size, is available.",
        limitations="A teacher trained with label smoothing loses information about similarities between classes "
        "(Müller et al. 2019, Sec. 4; disputed by Shen et al. 2021). With noisy labels, smoothing the teacher's "
        "targets helps (Lukasik et al. 2020, Sec. 5).",
        example="""
            >>> teacher = torch.tensor([[0.5, 0.25, 0.25]])
            >>> targets.mix(targets.hard(torch.tensor([0])), targets.dense(teacher), 0.5).to_dense(3).tolist()
            [[0.75, 0.125, 0.125]]
        """,
        topics=("soft labels",),
    ),
    "label-smoothing-plus-plus": Method(
        title="Label smoothing++",
        also=("LS++",),
        source="Chhabra et al. 2024, *Label Smoothing++: Enhanced Label Regularization for Training Neural Networks*, "
        "BMVC",
        code=("losses.learned_smoothing_cross_entropy", "nn.LearnedSmoothing"),
        topics=("similar classes",),
    ),
    "sparse-teacher": Method(
        title="Sparse teacher targets",
        also=("top-k distillation", "sampled distillation", "random sampling KD"),
        source="Anshumann et al. 2025, *Sparse Logit Sampling: Accelerating Knowledge Distillation in LLMs*, ACL "
        "(read in a secondary source)",
        code=("targets.top_k", "targets.sample", "losses.ghost_cross_entropy"),
        topics=("many classes", "soft labels"),
    ),
    "class-weights": Method(
        title="Class weights",
        also=("weighted cross entropy",),
        source="No single source; torch's definition is discussed in pytorch#104776",
        code=("targets.example_weights", "targets.reweight"),
        topics=("class imbalance",),
    ),
    "symmetric-forward-correction": Method(
        title="Symmetric forward correction",
        also=("forward correction for uniform noise",),
        source="Patrini et al. 2017; in the form of Lukasik et al. 2020, Eq. 5 with the noise of Eq. 3",
        code=("losses.forward_corrected_cross_entropy",),
        settings="`losses.forward_corrected_cross_entropy(logits, labels, noise.symmetric(noise_rate, K))`; the closed "
        "form is used automatically",
        formula="-log((1 - a) p_label + a / K)        a = noise_rate * K / (K - 1)",
        when="Labels are flipped to every other class with equal probability, and the rate is known approximately. No "
        "matrix is needed.",
        limitations="All confusions are equally likely. The loss is bounded, so misclassified examples have small "
        "gradients.",
        example="""
            >>> loss = losses.forward_corrected_cross_entropy(
            ...     torch.tensor([[-50.0, 0.0]]), torch.tensor([0]), noise.symmetric(0.25, 2)
            ... )
            >>> loss.exp().round(decimals=4).tolist()  # bounded by K / a
            [4.0]
        """,
        topics=("known label noise",),
    ),
    "loss-bound": Method(
        title="Loss bound",
        also=("flooding", "noise-bounded loss"),
        source="Toner & Storkey 2024, *Label Noise: Correcting the Forward-Correction*, arXiv:2307.13100; in the form "
        "of Ishida et al. 2020, *Do We Need Zero Training Loss After Achieving Zero Training Error?*, ICML",
        code=("losses.loss_bound", "losses.entropy_bound"),
        topics=("known label noise",),
    ),
    "volminnet": Method(
        title="Volume minimisation",
        also=("VolMinNet",),
        source="Li et al. 2021, *Provably End-to-end Label-Noise Learning without Anchor Points*, ICML",
        code=("nn.VolMinNet", "losses.volume_penalty"),
        topics=("unknown label noise",),
    ),
    "temperature": Method(
        title="Temperature",
        group="Cross entropy",
        also=("temperature scaling",),
        source="Guo et al. 2017, *On Calibration of Modern Neural Networks*, ICML",
        settings="`logits / temperature`",
        formula="p = softmax(z / temperature)",
        when="Probabilities should be softer (temperature above 1) or sharper (below 1) without changing the ranking "
        "of the classes.",
        limitations="One number for all examples: it corrects the average confidence, not the ranking of examples by "
        "confidence.",
        example="""
            >>> logits, temperature = torch.tensor([16.0, 1.0]).log(), 2.0
            >>> [round(p, 4) for p in (logits / temperature).softmax(-1).tolist()]  # odds of 16 become odds of 4
            [0.8, 0.2]
        """,
        note="There is no function for the division. `calibration.TemperatureScaling` fits the temperature on held-out "
        "logits.",
        topics=("overconfidence",),
    ),
    "symmetric-cross-entropy": Method(
        title="Symmetric cross entropy",
        also=("SCE", "reverse cross entropy", "RCE"),
        source="Wang et al. 2019, *Symmetric Cross Entropy for Robust Learning with Noisy Labels*, ICCV",
        code=("losses.symmetric_cross_entropy", "losses.reverse_cross_entropy"),
        topics=("unknown label noise",),
    ),
    "early-learning-regularization": Method(
        title="Early-learning regularisation",
        also=("ELR",),
        source="Liu et al. 2020, *Early-Learning Regularization Prevents Memorization of Noisy Labels*, NeurIPS",
        code=("losses.elr_penalty", "targets.RunningTargets"),
        topics=("unknown label noise",),
    ),
    "symmetric-noise": Method(
        title="Symmetric noise",
        also=("uniform noise",),
        source="No single source; the two definitions of the noise rate are in Lukasik et al. 2020, Eq. 3",
        code=("noise.symmetric",),
        topics=("noise generation",),
    ),
    "pair-flip": Method(
        title="Pair flip",
        also=("pair noise", "circular flip"),
        source="Han et al. 2018, *Co-teaching: Robust Training of Deep Neural Networks with Extremely Noisy Labels*, "
        "NeurIPS",
        code=("noise.pair_flip",),
        topics=("noise generation",),
    ),
    "asymmetric-cifar10": Method(
        title="Asymmetric CIFAR-10 noise",
        also=("class-dependent noise",),
        source="Patrini et al. 2017, *Making Deep Neural Networks Robust to Label Noise: a Loss Correction Approach*, "
        "CVPR",
        code=("noise.asymmetric_cifar10",),
        topics=("noise generation",),
    ),
    "superclass-flip": Method(
        title="Noise within superclasses",
        also=("asymmetric CIFAR-100 noise",),
        source="Patrini et al. 2017, *Making Deep Neural Networks Robust to Label Noise: a Loss Correction Approach*, "
        "CVPR",
        code=("noise.superclass_flip",),
        topics=("noise generation",),
    ),
    "confusion-noise": Method(
        title="Noise from a confusion matrix",
        also=("empirical transition",),
        source="No single source; counts of clean and observed labels, normalised by row",
        code=("noise.from_confusion",),
        topics=("noise generation", "noise estimation"),
    ),
    "random-noise": Method(
        title="Random transition matrix",
        source="Introduced in this package",
        code=("noise.random_transition",),
        topics=("noise generation",),
    ),
    "instance-dependent-noise": Method(
        title="Instance-dependent noise",
        also=("IDN", "part-dependent noise"),
        source="Xia et al. 2020, *Part-dependent Label Noise: Towards Instance-dependent Label Noise*, NeurIPS",
        code=("noise.instance_dependent",),
        topics=("noise generation",),
    ),
    "corruption": Method(
        title="Corruption at an exact rate",
        also=("label flipping",),
        source="Introduced in this package",
        code=("noise.corrupt",),
        topics=("noise generation",),
    ),
    "anchor-points": Method(
        title="Anchor points",
        also=("T estimator",),
        source="Patrini et al. 2017, *Making Deep Neural Networks Robust to Label Noise: a Loss Correction Approach*, "
        "CVPR",
        code=("noise.estimators.anchor_points",),
        topics=("noise estimation",),
    ),
    "anchor-counts": Method(
        title="Anchor counts",
        source="Introduced in this package, after Patrini et al. 2017 and Yao et al. 2020",
        code=("noise.estimators.anchor_counts",),
        topics=("noise estimation",),
    ),
    "trusted-set": Method(
        title="Trusted set",
        also=("GLC", "gold loss correction"),
        source="Hendrycks et al. 2018, *Using Trusted Data to Train Deep Networks on Labels Corrupted by Severe "
        "Noise*, NeurIPS",
        code=("noise.estimators.trusted_set",),
        topics=("noise estimation",),
    ),
    "confident-joint": Method(
        title="Confident joint",
        also=("confident learning", "CL"),
        source="Northcutt et al. 2021, *Confident Learning: Estimating Uncertainty in Dataset Labels*, Journal of "
        "Artificial Intelligence Research",
        code=("noise.confident_joint",),
        topics=("noise estimation",),
    ),
    "dual-t": Method(
        title="Dual T",
        also=("dual-T estimator",),
        source="Yao et al. 2020, *Dual T: Reducing Estimation Error for Transition Matrix in Label-noise Learning*, "
        "NeurIPS",
        code=("noise.estimators.dual_t",),
        topics=("noise estimation",),
    ),
    "bootstrap-interval": Method(
        title="Bootstrap intervals for a transition matrix",
        also=("percentile bootstrap", "m out of n bootstrap"),
        source="Efron 1979, *Bootstrap Methods: Another Look at the Jackknife*, Annals of Statistics",
        code=("noise.bootstrap_transition",),
        topics=("noise estimation",),
    ),
    "self-confidence": Method(
        title="Self-confidence",
        source="Northcutt et al. 2021, *Confident Learning: Estimating Uncertainty in Dataset Labels*, Journal of "
        "Artificial Intelligence Research",
        code=("noise.self_confidence",),
        topics=("label issues",),
    ),
    "normalized-margin": Method(
        title="Normalised margin",
        source="Northcutt et al. 2021, *Confident Learning: Estimating Uncertainty in Dataset Labels*, Journal of "
        "Artificial Intelligence Research",
        code=("noise.normalized_margin",),
        topics=("label issues",),
    ),
    "label-posterior": Method(
        title="Label posterior",
        also=("P(clean = observed)",),
        source="No single source; Bayes' rule under class-conditional noise; the clean probabilities come from the "
        "multiplicative update of Richardson 1972 and Lucy 1974 (not checked against the papers)",
        code=("noise.label_posterior",),
        topics=("label issues",),
    ),
    "confident-suspects": Method(
        title="Wrong labels from the confident joint",
        also=("confident learning", "off-diagonal examples"),
        source="Northcutt et al. 2021, *Confident Learning: Estimating Uncertainty in Dataset Labels*, Journal of "
        "Artificial Intelligence Research",
        code=("noise.confident_suspects",),
        topics=("label issues",),
    ),
    "training-dynamics": Method(
        title="Training dynamics",
        also=("AUM", "area under the margin", "forgetting events", "early-learning agreement"),
        source="Pleiss et al. 2020, *Identifying Mislabeled Data using the Area Under the Margin Ranking*, NeurIPS; "
        "Toneva et al. 2019, *An Empirical Study of Example Forgetting during Deep Neural Network Learning*, ICLR; Liu "
        "et al. 2020, *Early-Learning Regularization Prevents Memorization of Noisy Labels*, NeurIPS",
        code=("noise.TrainingDynamics",),
        topics=("label issues",),
    ),
    "suspect-order": Method(
        title="Ranking of suspect labels",
        source="No single source; a sort by score",
        code=("noise.suspect_order",),
        topics=("label issues",),
    ),
    "expected-wrong": Method(
        title="Expected number of wrong labels",
        source="Introduced in this package; the mean and interval of a Poisson binomial distribution",
        code=("noise.expected_wrong",),
        topics=("label issues",),
    ),
    "knowledge-distillation": Method(
        title="Knowledge distillation",
        also=("KD", "soft targets", "dark knowledge"),
        source=HINTON,
        code=("distill.kd_loss",),
        note="Distillation at temperature 1 can also be written with [targets](distillation-at-temperature-1.md); this "
        "includes born-again networks, whose teacher has the student's architecture.",
        topics=("distillation", "soft labels"),
    ),
    "squared-logits": Method(
        title="Squared error on logits",
        also=("logit matching", "logit regression"),
        source="Ba & Caruana 2014, *Do Deep Nets Really Need to be Deep?*, NIPS; Müller et al. 2019, *When Does Label "
        "Smoothing Help?*, NeurIPS, A.5",
        code=("distill.logit_mse_loss",),
        topics=("distillation",),
    ),
    "logit-standardization": Method(
        title="Logit standardisation",
        also=("LSKD", "Z-score standardisation"),
        source="Sun et al. 2024, *Logit Standardization in Knowledge Distillation*, CVPR, arXiv:2403.01427",
        code=("distill.standardized_kd_loss", "distill.standardize"),
        topics=("distillation",),
    ),
    "decoupled-distillation": Method(
        title="Decoupled knowledge distillation",
        also=("DKD", "TCKD", "NCKD"),
        source="Zhao et al. 2022, *Decoupled Knowledge Distillation*, CVPR, arXiv:2203.08679",
        code=("distill.dkd_loss",),
        topics=("distillation",),
    ),
    "relational-distillation": Method(
        title="Relational distillation",
        also=("DIST", "inter-class and intra-class correlation"),
        source="Huang et al. 2022, *Knowledge Distillation from A Stronger Teacher*, NeurIPS",
        code=("distill.dist_loss",),
        topics=("distillation",),
    ),
    "hidden-states": Method(
        title="Hidden-state distillation",
        also=("hints", "FitNets", "feature distillation"),
        source="Romero et al. 2015, *FitNets: Hints for Thin Deep Nets*, ICLR",
        code=("distill.hidden_state_loss",),
        topics=("distillation",),
    ),
    "teacher-ensemble": Method(
        title="Teacher ensemble",
        also=("multi-teacher distillation",),
        source=HINTON,
        code=("distill.ensemble",),
        topics=("distillation",),
    ),
    "mean-teacher": Method(
        title="Moving-average teacher",
        also=("mean teacher", "EMA"),
        source="Tarvainen & Valpola 2017, *Mean teachers are better role models*, NIPS",
        code=("distill.MovingAverage",),
        topics=("distillation", "unlabelled examples"),
    ),
    "teacher-cache": Method(
        title="Teacher cache",
        also=("offline distillation", "top-k logits", "Random Sampling Knowledge Distillation", "RS-KD"),
        source="No single source; sampling follows Anshumann et al. 2025 (read in a secondary source)",
        code=("distill.write_cache", "distill.TeacherCache"),
        note="A cache returns [sparse teacher targets](sparse-teacher.md).",
        topics=("distillation", "soft labels", "many classes"),
    ),
    "vocabulary-padding": Method(
        title="Vocabulary padding",
        source="No single source; pads with -inf, where other code pads with zeros",
        code=("distill.pad_vocabulary",),
        topics=("distillation", "many classes"),
    ),
    "equivalent-smoothing": Method(
        title="Equivalent smoothing",
        also=("γ",),
        source="Müller et al. 2019, *When Does Label Smoothing Help?*, NeurIPS, Sec. 4",
        code=("distill.equivalent_smoothing",),
        topics=("distillation",),
    ),
}

# functions without a parameter that has special cases
NO_SPECIAL_CASES = ("targets.dense", "targets.hard")
