#!/usr/bin/env python3
"""Writes tests/golden/metrics.json: random cases and what scikit-learn says of them.

python3 -m venv V && V/bin/pip install scikit-learn==1.7.2 numpy==2.4.6 && V/bin/python tools/golden_metrics.py
Each case has one row per text. Labels may be absent from the texts, and answers may lie outside of
the labels; confidences tie. What is not defined is null.
"""
import json
import math
import pathlib
import warnings

import numpy
from sklearn import metrics
from sklearn.calibration import calibration_curve

CASES, SEED, BINS = 200, 21, 15


def drawn(random):
    labels = sorted(random.choice(40, size=random.integers(1, 9), replace=False).tolist())
    texts = int(random.integers(1, 61))
    occurring = random.choice(labels, size=random.integers(1, len(labels) + 1), replace=False)
    truth = random.choice(occurring, size=texts)
    answers = [*labels, 50, 51] if random.random() < 0.5 else labels
    predicted = numpy.where(random.random(texts) < random.random(), truth, random.choice(answers, size=texts))
    confidence = random.random(texts).round(4)
    if random.random() < 0.6:
        confidence = numpy.round(confidence * random.integers(1, 25)) / 25
    joint = random.integers(0, 6, size=random.integers(1, 6, size=2))
    joint[0, 0] += 1
    return labels, truth, predicted, confidence, joint


def defined(value):
    return None if math.isnan(value) else float(value)


def rows_and_columns(joint):
    """Each count of the table as that many pairs."""
    pairs = [(r, c) for r, row in enumerate(joint) for c, n in enumerate(row) for _ in range(n)]
    return zip(*pairs)


def case(random):
    labels, truth, predicted, confidence, joint = drawn(random)
    correct = (truth == predicted).astype(int)
    present = sorted(set(truth.tolist()))
    macro = lambda over: metrics.f1_score(truth, predicted, labels=over, average="macro", zero_division=0)
    everything = [*labels, 50, 51]
    matrix = metrics.confusion_matrix(truth, predicted, labels=everything)[: len(labels)]
    both = len(set(correct.tolist())) == 2
    # calibration_curve needs answers of both kinds, or takes the only one for the positive one.
    right, confident = calibration_curve(correct == 1, confidence, n_bins=BINS) if both else ([], [])
    return {
        "labels": labels,
        "truth": truth.tolist(),
        "predicted": predicted.tolist(),
        "confidence": confidence.tolist(),
        "joint": joint.tolist(),
        "accuracy": metrics.accuracy_score(truth, predicted),
        "macro_f1": macro(labels),
        "macro_f1_present": macro(present),
        "confusion": matrix[:, : len(labels)].tolist(),
        "outside": matrix[:, len(labels) :].sum(axis=1).tolist(),
        "auroc": defined(metrics.roc_auc_score(correct, confidence)) if both else None,
        "reliability": [list(pair) for pair in zip(map(float, right), map(float, confident))],
        # scikit-learn says 1 of two constants; here that is not defined.
        "nmi": metrics.normalized_mutual_info_score(*rows_and_columns(joint)) if numpy.count_nonzero(joint) > 1 else None,
    }


def main():
    random = numpy.random.default_rng(SEED)
    warnings.simplefilter("error")
    cases = [case(random) for _ in range(CASES)]
    folder = pathlib.Path(__file__).resolve().parents[1] / "tests/golden"
    (folder / "metrics.json").write_text("[\n" + ",\n".join(json.dumps(c, separators=(",", ":")) for c in cases) + "\n]\n")


main()
