import subprocess
import sys
from pathlib import Path

import pytest

FEW = 10  # modules; PyTorch alone has hundreds that it loads when something is first asked for

TRIAL = """
import sys, tempfile
from pathlib import Path
import jinja2
import tinypareto.trial_preload
from small_experiments import iris
from tinypareto.evaluation import evaluate
from tinypareto.experiment import train_and_prune

experiment = iris(train=train_and_prune)
data = experiment.read_data()
parameters = {"width": 8, "epochs": 3, "sparsity": 0.5, "pruning_steps": 2, "learning_rate": 0.01}
parameters["optimizer"] = sys.argv[1]
before = set(sys.modules)
jinja2.Environment.compile = None  # a template that is not compiled yet ends the trial
with tempfile.TemporaryDirectory() as folder:
    evaluate(experiment, data, parameters, 0, Path(folder), harvest=(0, 1))
print(*sorted(set(sys.modules) - before), file=sys.stderr)
"""


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_a_trial_finds_every_module_loaded(optimizer):
    """Each trial is a process of its own, so what the fork server does not load every one of them loads anew."""
    command = [sys.executable, "-c", TRIAL, optimizer]
    ended = subprocess.run(command, cwd=Path(__file__).parent, capture_output=True, text=True, check=True)
    loaded = ended.stderr.splitlines()[-1].split()
    assert len(loaded) < FEW, loaded
