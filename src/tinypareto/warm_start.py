"""Earlier studies as prior knowledge for a new one: what they may tell it, and when they may not."""

from pathlib import Path

from tinypareto.errors import StudyError
from tinypareto.experiment import SAME_ON_EVERY_CORE, Experiment
from tinypareto.hosts.earlier import EarlierTask
from tinypareto.study_description import StudyDescription, space_as_text
from tinypareto.study_home import existing_study


def earlier_task(folder: Path, experiment: Experiment) -> EarlierTask:
    """Return what the study in ``folder`` tells a new one of this experiment.

    Of a study for another target only errors and FLOPs are told: sizes, cycles and what ``measure`` returns are not
    those of the new target.

    Args:
        folder: Of the earlier study; it is not changed.
        experiment: Of the new one.

    Raises:
        StudyError: If there is no study, it has another space or other objectives, or nothing to tell.
    """
    with existing_study(folder) as (_, old, study):
        _refuse_others(folder, old, experiment)
        told = [
            number
            for number, name in enumerate(old.objectives)
            if old.target == experiment.target or name in SAME_ON_EVERY_CORE
        ]
        if not told:
            raise StudyError(
                f"the study in {folder} is for {old.target}, and none of its objectives ({', '.join(old.objectives)}) "
                f"is the same for {experiment.target}; leave --warm-start out."
            )
        task = EarlierTask.of(study, told)
    if not task.evaluations:
        raise StudyError(
            f"the study in {folder} has no finished trial to learn from; leave --warm-start out."
        )
    return task


def _refuse_others(folder: Path, old: StudyDescription, experiment: Experiment) -> None:
    if old.objectives != tuple(experiment.objectives):
        raise StudyError(
            f"--warm-start needs the same objectives, but the study in {folder} has {', '.join(old.objectives)} and "
            f"this one {', '.join(experiment.objectives)}; leave it out."
        )
    new = space_as_text(experiment)
    for name in {**old.space, **new}:
        before, now = old.space.get(name), new.get(name)
        if before != now:
            what = (
                f"{name} is not in the space of {'the study in ' + str(folder) if before is None else 'this one'}"
                if before is None or now is None
                else f"{name} is {before} in the study in {folder} and {now} in this one"
            )
            raise StudyError(f"--warm-start needs the same space, but {what}; leave it out.")
