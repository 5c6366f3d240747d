import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from tinypareto.cli import app
from tinypareto.commands.studies import parse_duration
from tinypareto.errors import ConfigError

ROOT = Path(__file__).resolve().parent.parent
SMALL = f"{ROOT / 'tests' / 'small_experiments.py'}:small"
# Runs a command and lists the modules that it left loaded.
LOADED = """
import atexit, sys
from tinypareto.cli import main
atexit.register(lambda: print(*sys.modules))
main()
"""
COMMANDS = {command.callback.__name__ for command in app.registered_commands}


def run(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    out = tmp_path_factory.mktemp("cli") / "study"
    outcome = run("search", SMALL, "--trials", 3, "--out", out, "--json")
    assert outcome.exit_code == 0, outcome.output
    return out, json.loads(outcome.stdout)


def test_search_prints_one_json_document(study):
    _, summary = study
    assert set(summary) == {"trials", "finished", "failed", "stopped", "feasible", "hypervolume", "seconds"}
    assert (summary["trials"], summary["finished"]) == (3, 3)


def test_front_prints_rows_as_json_and_as_a_table(study):
    rows = json.loads(run("front", study[0], "--json").stdout)
    assert all(
        set(row) == {"trial", "step", "parameters", "objectives", "test_error", "folder"} for row in rows
    )
    assert f"{len(rows)} feasible Pareto networks" in run("front", study[0]).stdout


def test_report_is_written_and_named(study):
    outcome = run("report", study[0])
    assert "report.html" in outcome.stdout.replace("\n", "")
    assert (study[0] / "report.html").stat().st_size > 1_000_000


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_each_command_has_help_and_a_manual_entry(command):
    outcome = run(command, "--help")
    assert outcome.exit_code == 0
    assert len(outcome.stdout) > 150
    assert f"tinypareto {command}" in (ROOT / "docs" / "manual.md").read_text(encoding="utf-8")


def test_builtin_experiments_and_targets_are_listed():
    for name in ("digits", "imu", "resnet18_cifar10", "mobilenetv3_daliac"):
        assert name in run("experiments").stdout
    assert "cortex-m4" in run("targets").stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["search", "digit", "--out", "{tmp}"], "no experiment 'digit'"),
        (["search", f"{SMALL[:-6]}:tiny", "--out", "{tmp}"], "must name an Experiment"),
        (["search", SMALL, "--out", "{tmp}", "--time-limit", "soon"], "looks like 8h"),
        (["search", "resnet18_cifar10", "--out", "{tmp}", "--data", "{tmp}/no"], "cifar-10-python.tar.gz"),
        (
            ["search", "mobilenetv3_daliac", "--out", "{tmp}", "--data", "{tmp}/no"],
            "dataset_1.txt .. dataset_19",
        ),
        (["search", "imu", "--out", "{tmp}", "--data", "{tmp}"], "reads no --data"),
        (["front", "{tmp}/nothing"], "there is no study"),
        (["compare", SMALL, "--samplers", "ars,bayes", "--out", "{tmp}/c"], "no sampler 'bayes'"),
        (["compare", "digit", "--samplers", "ars", "--out", "{tmp}/c"], "no experiment 'digit'"),
        (["reproduce", "figure3", "--out", "{tmp}/c"], "choose one of digits"),
        (["reproduce", "bumps", "--trials", "3", "--out", "{tmp}/c"], "--seeds and --out alone"),
        (["report", "{tmp}/nothing"], "there is no study"),
        (["compile", "{tmp}/nothing.onnx", "--out", "{tmp}/c"], "nothing.onnx"),
        (["compile", SMALL[:-6], "--out", "{tmp}/c"], "ONNX"),
        (["compile", SMALL[:-6], "--out", "{tmp}/c", "--target", "avr"], "must be one of cortex-m0plus"),
        (["simulate", "{tmp}", "--input", "x.npy", "--output", "y.npy"], ""),
    ],
)
def test_mistake_is_one_line_and_exit_code_1(arguments, said, tmp_path):
    outcome = run(*[text.format(tmp=tmp_path) for text in arguments])
    assert outcome.exit_code == 1
    assert outcome.stderr.startswith("tinypareto: ")
    assert outcome.stderr.count("\n") == 1
    assert said in outcome.stderr
    assert outcome.stdout == ""
    assert not (tmp_path / "c").exists()


@pytest.mark.parametrize(
    "arguments",
    [("compile", "model.onnx", "--out", "out"), ("simulate", "out", "--input", "x.npy", "--output", "y.npy")],
    ids=lambda arguments: arguments[0],
)
def test_firmware_commands_do_not_load_what_only_a_search_needs(arguments, tmp_path):
    (tmp_path / "model.onnx").write_text("no network")
    command = [sys.executable, "-c", LOADED, *arguments]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stderr
    loaded = set(done.stdout.split())
    assert {"onnx", "tinypareto.tables", "tinypareto.mcu.compiled_folder"} <= loaded
    assert loaded.isdisjoint({"torch", "optuna", "onnxruntime", "scipy"})


def test_compile_and_simulate_print_tables_and_json(study, tmp_path):
    model, out = study[0] / "trials" / "0000" / "model.int8.onnx", tmp_path / "out"
    said = run("compile", model, "--out", out, "--target", "nano-33-ble").stdout
    assert "Memory of" in said
    assert "One inference" in said
    numbers = json.loads(run("compile", model, "--out", out, "--target", "nano-33-ble", "--json").stdout)
    assert f"{numbers['rom_bytes']:,}" in said
    np.save(tmp_path / "x.npy", np.zeros((2, 4), dtype=np.float32))
    simulate = ("simulate", out, "--input", tmp_path / "x.npy", "--output", tmp_path / "y.npy")
    counted = json.loads(run(*simulate, "--json").stdout)
    assert f"{counted['cycles']:,}" in run(*simulate).stdout
    assert np.load(tmp_path / "y.npy").shape == (2, 3)


def test_model_that_does_not_fit_is_one_line_and_leaves_nothing(study, tmp_path):
    model = study[0] / "trials" / "0000" / "model.int8.onnx"
    outcome = run("compile", model, "--out", tmp_path / "out", "--rom", 100, "--json")
    assert outcome.exit_code == 1
    assert "more than the 100 there are" in outcome.stderr
    assert outcome.stderr.count("\n") == 1
    assert outcome.stdout == ""
    assert list(tmp_path.iterdir()) == []


def test_wrong_usage_is_exit_code_2():
    assert run("search").exit_code == 2
    assert run("search", SMALL, "--out", "x", "--trials", "0").exit_code == 2
    for option in ("--seeds", "--trials"):
        assert run("compare", SMALL, "--samplers", "ars", "--out", "x", option, "0").exit_code == 2


def heed_ctrl_c():
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def test_ctrl_c_saves_everything_and_says_how_to_go_on(tmp_path):
    out = tmp_path / "study"
    command = [sys.executable, "-m", "tinypareto.cli", "search", SMALL, "--trials", "200", "--out", str(out)]
    # A shell's background job, which a test run may be, ignores Ctrl-C, and so would all that it starts.
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, preexec_fn=heed_ctrl_c)
    try:
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline and not (out / "trials" / "0000").exists():
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 130
    assert "the same command goes on from here" in said
    assert "Traceback" not in said
    assert not list((out / "trials").glob(".*"))


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("8h", 28800), ("90m", 5400), ("1h30m", 5400), ("45s", 45), ("7", 7), ("1.5h", 5400)],
)
def test_durations_are_read(text, seconds):
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "h", "8 hours", "-3m", "1m1h"])
def test_other_durations_are_rejected(text):
    with pytest.raises(ConfigError, match="looks like 8h"):
        parse_duration(text)
