"""A finished study measured for another microcontroller, without training: its int8 networks are compiled anew.

A network computes the same on every core, so errors and FLOPs stay; ROM, RAM, instructions and cycles are measured. The
new study has the same trials under the same numbers, so a search goes on with it as if it had made them.
"""

import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState, create_trial

from tinypareto.errors import StudyError, TinyParetoError
from tinypareto.evaluation_record import Evaluation, read_network, step_folder, write_network
from tinypareto.experiment import SAME_ON_EVERY_CORE, Experiment, load_experiment, split_reference
from tinypareto.hosts.attributes import pieces, read_attribute
from tinypareto.hosts.observations import OBSERVATIONS_KEY, Observation
from tinypareto.hosts.suggestions import SUGGESTION_KEY
from tinypareto.measured_network import measure_again
from tinypareto.network.data import Data
from tinypareto.scales import objective_scales
from tinypareto.study_description import StudyDescription
from tinypareto.study_home import OWNER, StudyHome, existing_study
from tinypareto.threads import use_one_thread
from tinypareto.trial_process import remove_unfinished
from tinypareto.trials import deployable, trial_folder

UNREADABLE = (OSError, ValueError, TypeError, KeyError)  # what a damaged metrics.json raises


@dataclass(frozen=True, kw_only=True)
class Retargeted:
    """What became of a study.

    Attributes:
        folder: Of the new study.
        reference: What `tinypareto search` takes to go on with it.
        measured: Networks that were measured for the new target, those on the way of trainings included.
        missing: Networks that could not be, by name, each with the reason. A trial among them is trained when the new
            study is searched on.
    """

    folder: Path
    reference: str
    measured: int
    missing: Mapping[str, str]


def retarget_study(
    folder: Path,
    target: str,
    output: Path | None = None,
    on_trial: Callable[[int, int, str], None] = lambda done, total, line: None,
) -> Retargeted:
    """Measure a study's networks for another target, into a new study, and say what became of it.

    The same call goes on where it was interrupted.

    Args:
        folder: The study's folder; it is not changed.
        target: A core or board.
        output: The new study's folder; by default ``folder`` with the target behind its name.
        on_trial: Called after each trial with how many are done, how many there are, and a line about it.

    Raises:
        StudyError: If there is no study, the new folder holds another one, the target is the study's own, or its
            experiment came as an object.
        ConfigError: If there is no such target.
    """
    use_one_thread()
    with existing_study(folder) as (_, old, study):
        trials = study.get_trials()
    output = output or folder.resolve().with_name(f"{folder.resolve().name}-{target}")
    if old.reference is None:
        raise StudyError(
            f"the study in {folder} was begun with an experiment object; begin it with a reference such as "
            "path/to/file.py:name, so that its experiment can be found for another target."
        )
    if target == old.target:
        raise StudyError(f"the study in {folder} is for {target} already; give another --target.")
    reference = f"{split_reference(old.reference)[0]}@{target}"
    experiment = load_experiment(reference)
    old.refuse_other(replace(experiment, target=old.target), {})
    data = experiment.read_data(Path(old.data_path) if old.data_path else None)
    with tempfile.TemporaryDirectory() as scratch:
        scales = objective_scales(experiment, data, Path(scratch))
    description = replace(old, target=target, reference=reference, scales=scales)
    with StudyHome(output) as home:
        move = _Move(experiment=experiment, data=data, source=folder / "trials", home=home)
        measured, missing = move.all(description, trials, on_trial)
    return Retargeted(folder=output, reference=reference, measured=measured, missing=missing)


@dataclass(frozen=True, kw_only=True)
class _Move:
    """Trials on their way from one study to another."""

    experiment: Experiment
    data: Data
    source: Path  # folder of the old study's trials
    home: StudyHome  # of the new one

    def all(
        self,
        description: StudyDescription,
        trials: Sequence[FrozenTrial],
        on_trial: Callable[[int, int, str], None],
    ) -> tuple[int, dict[str, str]]:
        """Move every trial that is not there yet; return how many networks there are, and which are missing.

        Raises:
            StudyError: If another study is there.
        """
        there = self.home.description(description.experiment)
        if there is not None and there != description:
            raise StudyError(
                f"{self.home.folder} holds another study, for {there.target}; give another --output."
            )
        study = self.home.open(description, optuna.samplers.RandomSampler())
        remove_unfinished(self.home.trials_folder)
        measured, missing = 0, dict[str, str]()
        for trial in trials:
            found = self._networks(trial)
            missing |= {name: network for name, network in found.items() if isinstance(network, str)}
            measured += sum(not isinstance(network, str) for network in found.values())
            with self.home.turn():
                self._add(study, trial, found)
            on_trial(trial.number + 1, len(trials), _line(trial, found))
        return measured, missing

    def _networks(self, trial: FrozenTrial) -> dict[str, Evaluation | str]:
        """Return what a trial's networks need on the new core, or why that is not known, by name."""
        number = trial.number
        old, new = trial_folder(self.source, number), trial_folder(self.home.trials_folder, number)
        stopped = trial.state == TrialState.PRUNED
        if trial.state != TrialState.COMPLETE and not stopped:
            if trial.state.is_finished() and old.exists() and not new.exists():
                shutil.copytree(old, new)
            return {}
        steps = {seen.step: f"{number}.{seen.step}" for seen in deployable(trial)}
        if new.exists():  # of an interrupted run: whole
            places = {name: step_folder(new, step) for step, name in steps.items()}
            places |= {} if stopped else {str(number): new}
            return {name: _known_or_missing(place) for name, place in places.items()}
        if stopped and not old.exists():
            return dict.fromkeys(steps.values(), f"{old} is missing")
        work = new.with_name(f".{new.name}-retarget")
        last = None if stopped else self._measured(old, work)
        if stopped:
            shutil.copytree(old, work, ignore=shutil.ignore_patterns("step*"))
        if isinstance(last, str):
            return {str(number): last}
        found = {
            name: self._measured(step_folder(old, step), step_folder(work, step))
            for step, name in steps.items()
        }
        if last is not None:
            harvested = tuple(one for one in found.values() if not isinstance(one, str))
            write_network(work, replace(last, harvested=harvested))
        work.rename(new)
        return {**found, **({} if last is None else {str(number): last})}

    def _measured(self, old: Path, new: Path) -> Evaluation | str:
        if not (old / "model.int8.onnx").is_file():
            return f"{old / 'model.int8.onnx'} is missing"
        try:
            evaluation, _ = read_network(old)
        except UNREADABLE as error:
            return f"{old / 'metrics.json'} cannot be read ({error})"
        new.mkdir()
        try:
            with open(new / "retarget.txt", "w", encoding="utf-8") as log, redirect_stdout(log):
                return measure_again(self.experiment, self.data, evaluation, old, new)
        except TinyParetoError as error:
            shutil.rmtree(new)
            return str(error)

    def _add(self, study: optuna.Study, trial: FrozenTrial, found: Mapping[str, Evaluation | str]) -> None:
        """Enter a trial into the new study unless it is there.

        Raises:
            StudyError: If another trial has its number.
        """
        there = study.get_trials(deepcopy=False)
        if len(there) > trial.number:
            if there[trial.number].params != trial.params:
                raise StudyError(
                    f"trial {trial.number} in {self.home.folder} is not that of {self.source.parent}: it was searched "
                    "on before all was measured; give another --output."
                )
            return
        moved = self._moved(trial, found)
        moved.datetime_start = trial.datetime_start
        if moved.state.is_finished():
            moved.datetime_complete = trial.datetime_complete
        study.add_trial(moved)

    def _moved(self, trial: FrozenTrial, found: Mapping[str, Evaluation | str]) -> FrozenTrial:
        last = found.get(str(trial.number))
        network = None if isinstance(last, str) else last
        state = trial.state
        if state == TrialState.COMPLETE and network is None:
            state = TrialState.RUNNING  # as a search that died leaves it: the next one takes it up
        on_way = deployable(trial) if network or state == TrialState.PRUNED else ()
        seen = [self._observation(one, found[f"{trial.number}.{one.step}"]) for one in on_way]
        return create_trial(
            state=state,
            values=self.experiment.values(network.objectives) if network else None,
            params=trial.params,
            distributions=trial.distributions,
            user_attrs=trial.user_attrs,
            system_attrs=self._attributes(trial, [asdict(one) for one in seen if one is not None]),
            constraints=self.experiment.excesses(network.objectives) if network else None,
        )

    def _attributes(self, trial: FrozenTrial, seen: list[dict[str, Any]]) -> dict[str, Any]:
        """Return a trial's system attributes without what was predicted or observed of the old core."""
        dropped = (OWNER, f"{OBSERVATIONS_KEY}:", f"{SUGGESTION_KEY}:", "constraints")
        kept = {name: value for name, value in trial.system_attrs.items() if not name.startswith(dropped)}
        reasons = read_attribute(trial, SUGGESTION_KEY)
        if reasons is not None:
            kept |= pieces(SUGGESTION_KEY, {**reasons, **self._predictions(reasons)})
        return kept | (pieces(OBSERVATIONS_KEY, seen) if seen else {})

    def _predictions(self, reasons: Mapping[str, Any]) -> dict[str, Any]:
        """Return what was predicted and holds on every core; None in place of the rest."""
        same = [name in SAME_ON_EVERY_CORE for name in self.experiment.objectives]
        lists = {
            key: [value if stays else None for value, stays in zip(reasons.get(key, ()), same, strict=False)]
            for key in ("mean", "std", "interval")
        }
        return {**lists, "reward": None, "feasibility": None}

    def _observation(self, old: Observation, network: Evaluation | str) -> Observation | None:
        if isinstance(network, str):
            return None
        excesses = self.experiment.excesses(network.objectives)
        return replace(old, values=tuple(self.experiment.values(network.objectives)), constraints=excesses)


def _known_or_missing(place: Path) -> Evaluation | str:
    try:
        return read_network(place)[0]
    except UNREADABLE:
        return f"{place / 'metrics.json'} is missing"


def _line(trial: FrozenTrial, found: Mapping[str, Evaluation | str]) -> str:
    """Return one line about a trial that was moved."""
    bad = [f"{name} ({network})" for name, network in found.items() if isinstance(network, str)]
    if bad:
        return f"trial {trial.number}: not measured: {', '.join(bad)}"
    if not found:
        return f"trial {trial.number}: {trial.state.name.lower()}, no network"
    last = found.get(str(trial.number))
    if not isinstance(last, Evaluation):
        return f"trial {trial.number}: stopped early, {len(found)} networks on its way"
    return f"trial {trial.number}: " + ", ".join(
        f"{name} {value:,.4g}" for name, value in last.objectives.items()
    )
