"""What a comparison showed, as values: curves, fronts, counts, tests."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tinypareto.comparison.results_file import ResultsFile
from tinypareto.comparison.rows import Row, Subject
from tinypareto.comparison.significance import holm_corrected, paired_p_value
from tinypareto.front import feasible_front

Matrix = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Difference:
    """One sampler against another, over the seeds.

    Attributes:
        wins: Seeds with a larger hypervolume.
        seeds: How many there are.
        median: Of the differences in hypervolume; above 0 the sampler is better.
        p: That the sampler's hypervolume is not larger, of Wilcoxon's signed-rank test, corrected by Holm over peers.
    """

    wins: int
    seeds: int
    median: float
    p: float


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """The rows of complete studies, by sampler and then by seed.

    Attributes:
        subject: What was compared on.
        studies: For each sampler one list of rows for each seed, all of the same length.
        runs: Commits, machines and versions that made them.
    """

    subject: Subject
    studies: Mapping[str, tuple[tuple[Row, ...], ...]]
    runs: tuple[Mapping[str, Any], ...]

    @classmethod
    def of(cls, file: ResultsFile, arms: Sequence[str], seeds: Iterable[int], trials: int) -> "Outcome":
        """Take these studies from a CSV."""
        seeds = list(seeds)
        studies = {arm: tuple(tuple(file.of(arm, seed, trials)) for seed in seeds) for arm in arms}
        used = {row.run for rows in studies.values() for study in rows for row in study}
        runs = tuple(origin for number, origin in sorted(file.runs.items()) if number in used)
        return cls(subject=file.subject, studies=studies, runs=runs)

    @property
    def trials(self) -> int:
        """Trainings of each study."""
        return min(len(study) for studies in self.studies.values() for study in studies)

    def curves(self, arm: str) -> Matrix:
        """Return the hypervolume after each training, seeds x trials."""
        return np.array([[row.hypervolume for row in study[: self.trials]] for study in self.studies[arm]])

    def front(self, arm: str, seed: int | None = None) -> Matrix:
        """Return the feasible Pareto networks of one study, or of all studies of a sampler together, n x m.

        Networks with the same objective values count once.
        """
        studies = self.studies[arm] if seed is None else [self.studies[arm][seed]]
        networks = [network for study in studies for row in study for network in row.networks]
        names = self.subject.objectives
        kept = [[found[name] for name in names] for found in networks if self.subject.is_feasible(found)]
        values = np.unique(np.array(kept, dtype=np.float64).reshape(-1, len(names)), axis=0)
        return np.asarray(values[feasible_front(values)])

    def differences(self, arm: str) -> dict[str, Difference]:
        """Compare a sampler with each other one, after the last training."""
        mine = self.curves(arm)[:, -1]
        others = {name: self.curves(name)[:, -1] for name in self.studies if name != arm}
        p = holm_corrected({name: paired_p_value(mine, theirs) for name, theirs in others.items()})
        return {
            name: Difference(
                wins=int((mine > theirs).sum()),
                seeds=len(mine),
                median=float(np.median(mine - theirs)),
                p=p[name],
            )
            for name, theirs in others.items()
        }
