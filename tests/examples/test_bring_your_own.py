import json
from pathlib import Path

from typer.testing import CliRunner

from tinypareto.cli import app
from tinypareto.experiment import load_experiment

EXAMPLE = Path(__file__).resolve().parent.parent.parent / "examples" / "bring_your_own.py"


def run(*arguments):
    outcome = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert outcome.exit_code == 0, outcome.output
    return outcome.stdout


def test_example_finds_small_firmware_that_tells_the_tumours_apart(tmp_path):
    out = tmp_path / "tumours"
    summary = json.loads(run("search", f"{EXAMPLE}:experiment", "--trials", 8, "--out", out, "--json"))
    assert summary["finished"] == 8
    assert summary["failed"] == 0
    rows = json.loads(run("front", out, "--json"))
    best = min(rows, key=lambda row: row["objectives"]["error"])
    assert best["test_error"] < 0.1  # always saying "benign": 0.37
    assert best["objectives"]["rom_bytes"] <= 8 * 1024
    run("export", out, "--trial", best["trial"], "--to", tmp_path / "chosen")
    assert (tmp_path / "chosen" / "firmware" / "model.c").is_file()


def test_statistics_of_the_example_come_from_its_training_split_alone():
    data = load_experiment(f"{EXAMPLE}:experiment").load_data()
    assert abs(data.train.inputs.mean(axis=0)).max() < 1e-5
    assert abs(data.train.inputs.std(axis=0) - 1).max() < 1e-4
    assert abs(data.test.inputs.mean(axis=0)).max() > 0.05
