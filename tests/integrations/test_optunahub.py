"""The folder in OptunaHub's form, loaded by OptunaHub's own loader."""

import runpy
from pathlib import Path

import optuna
import optunahub
import yaml

from tinypareto import ARSSampler

REGISTRY = Path(__file__).resolve().parent.parent.parent / "integrations" / "optunahub" / "package"
PACKAGE = REGISTRY / "samplers" / "mobopt_ars"


def test_registrys_loader_hands_out_the_packages_own_sampler():
    module = optunahub.load_local_module("samplers/mobopt_ars", registry_root=str(REGISTRY))
    assert module.ARSSampler is ARSSampler
    assert module.__all__ == ["ARSSampler"]


def test_example_runs_and_keeps_its_constraint():
    objective = runpy.run_path(str(PACKAGE / "example.py"))["objective"]
    study = optuna.create_study(directions=["minimize"] * 2, sampler=ARSSampler(seed=0))
    study.optimize(objective, n_trials=12)
    assert study.best_trials
    assert all(trial.constraints["disc"] <= 0 for trial in study.best_trials)


def test_front_matter_has_what_the_registry_asks_for():
    _, front_matter, body = (PACKAGE / "README.md").read_text(encoding="utf-8").split("---\n", 2)
    fields = yaml.safe_load(front_matter)
    assert set(fields) == {"author", "title", "description", "tags", "optuna_versions", "license"}
    assert fields["tags"][0] == "sampler"
    assert fields["license"] == "MIT License"
    assert optuna.__version__ in fields["optuna_versions"]
    assert {"## Abstract", "## APIs", "## Installation", "## Example"} <= set(body.splitlines())
    assert (PACKAGE / "LICENSE").read_text(encoding="utf-8").startswith("MIT License")
