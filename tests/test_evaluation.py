import json
from pathlib import Path

import numpy as np
import pytest
from small_experiments import build_model, iris

from tinypareto.errors import ExperimentError, TrainingError, UnsupportedModelError
from tinypareto.evaluation import evaluate
from tinypareto.evaluation_record import read_evaluation
from tinypareto.experiment import quantize_after_training
from tinypareto.mcu.read_onnx import read_onnx
from tinypareto.mcu.samples import quantize_input
from tinypareto.mcu.simulator import simulate
from tinypareto.measured_network import add_test_error
from tinypareto.network.metrics import error
from tinypareto.network.quantize import run_onnx
from tinypareto.scales import objective_scales

PARAMETERS = {"width": 16, "learning_rate": 0.05}


@pytest.fixture(scope="module")
def data():
    return iris().read_data()


@pytest.fixture(scope="module")
def trial(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("trial")
    return evaluate(iris(), data, PARAMETERS, 7, folder), folder


def test_error_is_that_of_the_quantised_network_on_the_validation_split(trial, data):
    evaluation, folder = trial
    outputs = run_onnx(folder / "model.int8.onnx", data.validation.inputs)
    assert evaluation.objectives["error"] == pytest.approx(
        error(outputs, data.validation.targets), abs=1 / 30
    )


def test_validation_and_test_split_are_not_mixed_up(data, tmp_path):
    seen = []

    def metric(outputs, targets):
        seen.append(targets)
        return error(outputs, targets)

    experiment = iris(metric=metric)
    evaluate(experiment, data, PARAMETERS, 7, tmp_path)
    assert len(seen) == 1
    assert np.array_equal(seen[0], data.validation.targets)
    add_test_error(experiment, tmp_path, None)
    assert np.array_equal(seen[1], data.test.targets)


def test_sizes_add_up(trial):
    measured = trial[0].measured
    assert measured["rom_bytes"] == measured["code_bytes"] + measured["weight_bytes"]
    assert sum(v for k, v in trial[0].breakdown.items() if k.startswith("rom")) == measured["rom_bytes"]
    assert sum(v for k, v in trial[0].breakdown.items() if k.startswith("ram")) == measured["ram_bytes"]
    assert measured["flops"] == 2 * (4 * 16 + 16 * 3)


def test_modelled_cycles_of_one_inference_are_an_objective_with_a_limit(trial, data, tmp_path):
    experiment = iris(objectives=("error", "cycles"), limits={"cycles": 5000}, target="cortex-m3")
    objectives = evaluate(experiment, data, PARAMETERS, 7, tmp_path).objectives
    inputs = quantize_input(read_onnx(tmp_path / "model.int8.onnx"), data.validation.inputs[:1])
    alone = simulate(tmp_path / "firmware.elf", experiment.core, inputs)
    assert objectives["cycles"] == alone.cycles == sum(operator.cycles for operator in alone.operators)
    assert alone.instructions < alone.cycles < 3 * alone.instructions
    assert objectives["cycles"] != trial[0].measured["cycles"]  # an M4 multiplies faster
    assert objective_scales(experiment, data, tmp_path)["cycles"] == 5000


def test_same_parameters_and_seed_give_the_same_trial(trial, data, tmp_path):
    again = evaluate(iris(), data, PARAMETERS, 7, tmp_path)
    assert again.measured == trial[0].measured
    assert (tmp_path / "firmware.elf").read_bytes() == (trial[1] / "firmware.elf").read_bytes()


def test_calibration_sees_training_samples_only(data, tmp_path, monkeypatch):
    seen = []

    def remember(model, calibration, folder, config):
        seen.append(calibration)
        raise StopIteration

    monkeypatch.setattr("tinypareto.experiment.quantize_network", remember)
    with pytest.raises(StopIteration):
        evaluate(iris(quantize=quantize_after_training), data, PARAMETERS, 7, tmp_path)
    training = {row.tobytes() for row in data.train.inputs}
    assert len(seen[0]) > 0
    assert all(row.tobytes() in training for row in seen[0])


def test_evaluation_is_read_back_only_for_its_own_parameters_and_seed(trial):
    evaluation, folder = trial
    found = read_evaluation(folder, PARAMETERS, 7)
    assert found is not None
    assert found.objectives == evaluation.objectives
    assert read_evaluation(folder, PARAMETERS, 8) is None
    assert read_evaluation(folder, {**PARAMETERS, "width": 17}, 7) is None


def test_half_written_metrics_are_not_believed(trial, tmp_path):
    text = (trial[1] / "metrics.json").read_text(encoding="utf-8")
    (tmp_path / "metrics.json").write_text(text[: len(text) // 2], encoding="utf-8")
    assert read_evaluation(tmp_path, PARAMETERS, 7) is None


def test_test_error_is_measured_once_and_kept(trial, data):
    folder = trial[1]
    first = add_test_error(iris(), folder, None)
    assert 0 <= first <= 1
    metrics = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    assert metrics["test_error"] == first
    (folder / "metrics.json").write_text(json.dumps({**metrics, "test_error": 0.125}), encoding="utf-8")
    assert add_test_error(iris(), folder, None) == 0.125


def test_class_that_is_never_predicted_is_said(data, tmp_path):
    evaluation = evaluate(iris(), data, {"width": 4, "learning_rate": 1e-3}, 1, tmp_path)
    outputs = run_onnx(tmp_path / "model.int8.onnx", data.validation.inputs)
    silent = sorted({0, 1, 2} - set(outputs.argmax(axis=1).tolist()))
    assert silent, "this network was chosen because it does not predict every class"
    assert f"never predicted on the validation split: classes {silent}" in evaluation.warnings


def test_objective_that_measure_does_not_return_is_an_error(data, tmp_path):
    experiment = iris(objectives=("error", "energy"), limits={}, measure=lambda folder: {"power": 1.0})
    with pytest.raises(ExperimentError, match=r"\['energy'\] are missing"):
        evaluate(experiment, data, PARAMETERS, 0, tmp_path)


def test_network_that_fails_on_a_sample_is_one_error(data, tmp_path):
    experiment = iris(build_model=lambda parameters: build_model(parameters)[1:])
    with pytest.raises(TrainingError, match="mend build_model or its forward pass"):
        evaluate(experiment, data, PARAMETERS, 0, tmp_path)


def test_float_network_is_refused_by_the_compiler_stage(data, tmp_path):
    def leave_float(network, data, parameters, seed, folder: Path):
        quantized = quantize_after_training(network, data, parameters, seed, folder)
        quantized.int8_path.write_bytes(quantized.float_path.read_bytes())
        return quantized

    with pytest.raises(UnsupportedModelError):
        evaluate(iris(quantize=leave_float), data, PARAMETERS, 0, tmp_path)
