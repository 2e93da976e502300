"""``python -m benchmarks.audit``: judges the estimates of `audit` where the truth is known.

Protocol, written before any result was computed:

1. Cases. Fifteen data sets of ten sources (:data:`benchmarks.audit_cases.SETS`), at most 3,000 rows each, chosen by a
   fixed seed. Each has its own labels, which are taken as clean, and 5, 15, 30 and 45 % symmetric, pair and
   class-dependent flips, drawn with seeds derived from the names by :func:`softtargets.noise.corrupt`. Class-dependent
   transitions are drawn by :func:`softtargets.noise.random_transition`, again until the right label of each class is
   more frequent than any other by 0.05; a rate for which 2,000 draws fail is left out, and so are pair flips of two
   classes, which are symmetric flips. CIFAR-10 also has three label columns of CIFAR-10N. Each of these is predicted
   by a weak, a medium and a strong model, in 5-fold cross-validation on the observed labels.
2. Halves. Sources are ordered by a hash of their name and assigned alternately to development and confirmation, so
   that no source is in both. All choices are made on the development half. The confirmation half is judged once.
3. Contender. cleanlab, on the same probabilities: `num_label_issues`, and `find_label_issues` with its defaults.
4. A model is called strong in the table by the name of its recipe, not by its accuracy.
5. Goals, for each case where they are defined:
   - range: contains the true rate (>= 90 % of cases); its width, where the model is strong (median <= 8 points).
   - point: |estimate - truth| below that of `num_label_issues` (>= 80 %). Ties within 0.0005 count as met.
   - probability: calibration error of the probability wrong over all rows, 10 bins of equal width (<= 0.05); of the
     100 labels that rank first, the expected minus the true number within 10 (>= 90 %).
   - suspects: F1 above that of `find_label_issues` (>= 80 %), and never below by more than 0.02. Only where labels are
     wrong.
   - ranking: AUROC of the default score within 0.005 of the best of all scores of the predictions (>= 90 %).
   - advice: no correction on clean data. Where a correction is recommended, the accuracy on the clean labels of a model
     that is trained with it exceeds that of a model trained without it (>= 90 %).
6. Remarks. The original labels of some sets contain errors. They count as clean, which is against us where they are
   found. Clean data sets are cases like all others.
"""
