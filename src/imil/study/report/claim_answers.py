"""The answers of a study's folder to the items of the CLAIM checklist, by their numbers."""

from __future__ import annotations

from collections.abc import Callable

from imil.settings import is_weights_file
from imil.study.phrases import count, listed
from imil.study.reader_sessions import agreed
from imil.study.report.findings import MASKS, Findings
from imil.study.study_folder import TEST


def _goal(findings: Findings) -> str:
    ways = count(len(findings.plan.rows), "way")
    return (
        f"An experiment that compares {ways} to train the same image classifier; not an evaluation "
        "of clinical use."
    )


def _source(findings: Findings) -> str:
    sizes = {name: count(n, "image") for name, n in findings.facts["images"].items()}
    sets = [f"{name.removeprefix('external-')} ({n})" for name, n in sizes.items()]
    external = f"; external: {listed(sets[1:])}" if len(sets) > 1 else ""
    return f"{sizes['data']}{external}; SHA-256 under “Software, seeds, data”."


def _preprocessing(findings: Findings) -> str:
    settings = findings.settings
    channels = "greyscale" if settings.channels == 1 else "colour"
    return (
        f"Decoded to 8 bits, {channels}, resized to {settings.image_size}×{settings.image_size} "
        "pixels without keeping the aspect ratio, normalised by the model's own mean and standard "
        "deviation."
    )


def _missing(findings: Findings) -> str:
    images = findings.images[findings.images["set"] == "data"]
    missing = [
        f"“{name}” of {empty:,} of {len(images):,}"
        for name in findings.plan.subgroups
        if (empty := int((images[name].fillna("") == "").sum()))
    ]
    if not missing:
        names = listed([f"“{name}”" for name in findings.plan.subgroups])
        return f"Known for every image: {names}." if names else ""
    return (
        f"Missing: {listed(missing)} images; they are in the overall results and in no such "
        "subgroup."
    )


def _annotators(findings: Findings) -> str:
    readers = []
    for session in findings.sessions:
        kind = "simulated" if session.simulated else "a person"
        readers.append(f"{session.reader} ({kind}, {count(len(session.read), 'case')})")
    return f"Readers of the rounds: {listed(readers)}." if readers else ""


def _agreement(findings: Findings) -> str:
    if agreed(findings.sessions) is None:
        return ""
    return "Agreement of the readers is under “Readers”."


def _partitions(findings: Findings) -> str:
    sizes = findings.first_split["split"].value_counts()
    parts = listed([f"{int(n):,} {name}" for name, n in sizes.items()])
    splits = findings.plan.splits.count
    how = f"drawn {splits} times, stratified by class" if splits > 1 else "a single split"
    return f"{parts}; {how}. The lists are in splits/."


def _disjoint(findings: Findings) -> str:
    if findings.split_by_patient:
        return "Patient: no patient is in two parts."
    if findings.patients_overlap:
        return "Image; images of a patient are in more than one part."
    return "Image; patients are not known. No file is in both training and test."


def _model(findings: Findings) -> str:
    settings = findings.settings
    return (
        f"{settings.model} as defined by timm, input {settings.image_size}×{settings.image_size} "
        f"pixels, output {len(findings.classes)} classes."
    )


def _initialisation(findings: Findings) -> str:
    weights = findings.settings.weights
    if weights == "none":
        return (  # see `imil.training.network.CONVENTIONS`
            "Random, from each seed, as in timm; where timm would initialise the last "
            "normalisation of a residual block to zero, to one."
        )
    if is_weights_file(weights):
        return "From a file of weights."
    revision = weights.partition("@")[2]
    return f"ImageNet weights of timm{f', revision {revision}' if revision else ''}."


def _training(findings: Findings) -> str:
    models = count(findings.states["done"], "model")
    return (
        "In the methods paragraphs; every setting is in plan.toml and in the config.toml of each "
        f"training. {models} trained."
    )


def _uncertainty(findings: Findings) -> str:
    single = len(findings.plan.seeds) * findings.plan.splits.count == 1
    sources = "images, not over other trainings" if single else "images and trainings"
    sd = "" if single else "; standard deviation over trainings in table.csv"
    return (
        f"95 % confidence intervals over {sources}, with p from the same standard error; exact "
        f"McNemar and DeLong tests of the networks; all corrected by Holm's method{sd}."
    )


def _robustness(findings: Findings) -> str:
    parts = [count(len(findings.plan.seeds), "seed"), count(findings.plan.splits.count, "split")]
    if findings.controls:
        parts.append(count(len(findings.controls), "control"))
    if findings.plan.subgroups:
        parts.append(count(len(findings.plan.subgroups), "subgroup variable"))
    return f"{listed(parts)}."


def _external(findings: Findings) -> str:
    names = list(findings.plan.external)
    return f"{listed(names)}, never trained on." if names else "Not done; see “Limitations”."


def _numbers(findings: Findings) -> str:
    warnings = len(findings.facts.get("warnings", []))
    notes = f" {count(warnings, 'note')} on the data under “Limitations”." if warnings else ""
    return f"{_source(findings)}{notes}"


def _demographics(findings: Findings) -> str:
    if not findings.plan.subgroups:
        return ""
    names = listed(list(findings.plan.subgroups))
    return f"Classes and {names} of each part are in the table of images."


def _performance(findings: Findings) -> str:
    if not findings.sets:
        return ""
    parts = ["test set"] if TEST in findings.sets else []
    parts += ["external sets"] if findings.external_sets else []
    parts += ["subgroups"] if findings.subgroups else []
    return f"In this report and in table.csv: {listed(parts)}."


def _precision(findings: Findings) -> str:
    if TEST not in findings.sets:
        return ""
    curves = (findings.study.figures / "roc.png").exists()
    more = "; ROC curves among the figures" if curves else ""
    return f"Table 1, with 95 % confidence intervals{more}."


def _explainability(findings: Findings) -> str:
    method = findings.study.heat_maps_by
    masks = {mask for table in findings.focus.values() for mask in table["mask"]}
    if masks:
        names = listed([MASKS.get(mask, mask) for mask in sorted(masks)])
        return f"Heat-maps by {method} of the true class; their energy in {names} is under “Focus”."
    done = [job for job, state in findings.jobs.items() if state == "done"]
    if any(job.heat_maps.exists() for job in done):
        return f"Heat-maps by {method} of the true class, among the figures."
    return ""


def _labels(findings: Findings) -> str:
    return f"Labels as given in the table: {listed(list(findings.classes))}."


def _sample_size(findings: Findings) -> str:
    return f"{findings.test_images}; the minimum detectable difference is under “Summary”."


def _metrics(findings: Findings) -> str:
    return (
        "Accuracy, AUROC, expected calibration error (two binnings), Brier score, negative "
        "log-likelihood, sensitivity, specificity."
    )


def _internal(findings: Findings) -> str:
    if TEST not in findings.sets:
        return ""
    return f"{findings.test_images}, never trained on in their split."


def _failures(findings: Findings) -> str:
    return "Predictions of every image are in jobs/*/*/predictions." if findings.sets else ""


ANSWERS: dict[int, Callable[[Findings], str]] = {
    6: _goal,
    7: _source,
    9: _preprocessing,
    10: lambda findings: "Whole images were used.",
    12: _missing,
    14: _labels,
    16: _annotators,
    18: _agreement,
    19: _partitions,
    20: _disjoint,
    21: _sample_size,
    22: _model,
    23: lambda findings: "Under “Software, seeds, data”.",
    24: _initialisation,
    25: _training,
    26: lambda findings: "The weights after the last epoch, in every arm; no model was selected.",
    27: lambda findings: "No models were combined.",
    28: _metrics,
    29: _uncertainty,
    30: _robustness,
    31: _explainability,
    32: _internal,
    33: _external,
    35: _numbers,
    36: _demographics,
    37: _performance,
    38: _precision,
    39: _failures,
    40: lambda findings: "Under “Limitations”.",
    42: lambda findings: "plan.toml holds the plan as it was run.",
}
