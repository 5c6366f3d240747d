import logging

import numpy as np
import onnx
import pytest
import torch
import torch.nn.functional as F
from onnx import numpy_helper
from torch import nn

from tinypareto.errors import ConfigError, QuantizationError
from tinypareto.network.onnx_export import export_onnx
from tinypareto.network.quantize import (
    QuantizationConfig,
    quantize_network,
    quantize_onnx,
    run_onnx,
)
from tinypareto.network.train import predict

READABLE = {  # what the compiler reads
    "Conv", "Gemm", "Add", "Relu", "MaxPool", "AveragePool", "GlobalAveragePool", "ReduceMean", "Flatten",
    "Reshape", "Squeeze",
}  # fmt: skip

STEM = "ConvBnFusion_W_stem.weight"  # as onnxruntime calls weights that it folded a normalisation into


class Small(nn.Module):
    """Convolution, normalisation, residual sum, pooling and a dense layer."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(2, 6, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(6)
        self.inner = nn.Conv2d(6, 6, 3, padding=1)
        self.pool = nn.MaxPool2d(2)
        self.last = nn.Linear(6, 4)

    def forward(self, x):
        x = F.relu(self.norm(self.stem(x)))
        x = F.relu(x + self.inner(x))
        return self.last(self.pool(x).mean((2, 3)))


@pytest.fixture(scope="module")
def samples():
    return np.random.default_rng(0).normal(size=(64, 2, 6, 6)).astype(np.float32)


@pytest.fixture(scope="module")
def model(samples):
    torch.manual_seed(0)
    model = Small()
    with torch.no_grad():
        model.stem.weight.mul_(torch.tensor([4.0, 1.0, 0.25, 1.0, 1.0, 1.0]).reshape(6, 1, 1, 1))
        model(torch.from_numpy(samples))  # fills the running statistics, so that folding them matters
    return model.eval()


@pytest.fixture(scope="module")
def network(model, samples, tmp_path_factory):
    return quantize_network(
        model, samples, tmp_path_factory.mktemp("quantized") / "new", QuantizationConfig()
    )


def quantized_again(network, samples, tmp_path, **settings):
    target = tmp_path / "again.onnx"
    quantize_onnx(network.float_path, samples, target, QuantizationConfig(**settings))
    return target


def initializers(path):
    return {item.name: numpy_helper.to_array(item) for item in onnx.load(path).graph.initializer}


def operators(path):
    return {node.op_type for node in onnx.load(path).graph.node}


def test_files_stand_under_their_fixed_names(network):
    assert (network.float_path.name, network.int8_path.name) == ("model.onnx", "model.int8.onnx")
    assert sorted(path.name for path in network.int8_path.parent.iterdir()) == [
        "model.int8.onnx",
        "model.onnx",
    ]


def test_float_file_computes_what_the_network_does(network, model, samples):
    np.testing.assert_allclose(run_onnx(network.float_path, samples), predict(model, samples), atol=1e-5)


def test_normalisation_is_folded_and_every_operator_is_readable(network):
    assert operators(network.float_path) <= READABLE | {"BatchNormalization", "Constant"}
    assert operators(network.int8_path) <= READABLE | {"QuantizeLinear", "DequantizeLinear"}


def test_int8_file_stays_close_to_the_float_one(network, model, samples):
    exact = predict(model, samples)
    assert np.abs(run_onnx(network.int8_path, samples) - exact).max() < 0.06 * np.ptp(exact)


def test_any_batch_size_gives_the_same(network, samples):
    together = run_onnx(network.int8_path, samples)
    np.testing.assert_array_equal(run_onnx(network.int8_path, samples, batch_size=7), together)
    np.testing.assert_array_equal(run_onnx(network.int8_path, samples[:1]), together[:1])


def test_input_range_decides_scale_and_zero_point(network, samples):
    low, high = samples.min(), samples.max()
    values = initializers(network.int8_path)
    assert values["input_scale"] == pytest.approx((high - low) / 255)
    assert values["input_zero_point"] == round(-128 - low / ((high - low) / 255))
    assert values["input_zero_point"].dtype == np.int8


def test_weights_are_symmetric_int8_with_one_scale_per_filter(network):
    values = initializers(network.int8_path)
    weight, scale = values[f"{STEM}_quantized"], values[f"{STEM}_scale"]
    assert weight.dtype == np.int8
    assert scale.shape == (6,)
    assert (values[f"{STEM}_zero_point"] == 0).all()
    assert (np.abs(weight.astype(int)).reshape(6, -1).max(axis=1) >= 127).all()


def test_per_tensor_has_one_scale_for_all_filters(network, samples, tmp_path):
    values = initializers(quantized_again(network, samples, tmp_path, per_channel=False))
    assert values[f"{STEM}_scale"].size == 1
    reached = np.abs(values[f"{STEM}_quantized"].astype(int)).reshape(6, -1).max(axis=1)
    assert reached.min() < 127


def test_symmetric_activations_have_no_zero_point(network, samples, tmp_path):
    points = {
        name: int(value)
        for name, value in initializers(
            quantized_again(network, samples, tmp_path, activation_symmetric=True)
        ).items()
        if name.endswith("zero_point") and value.ndim == 0
    }
    assert points
    assert set(points.values()) == {0}


@pytest.mark.parametrize("method", ["entropy", "percentile"])
def test_calibration_method_changes_the_ranges(network, samples, tmp_path, method, capfd):
    ranges = initializers(quantized_again(network, samples, tmp_path, calibration_method=method))
    widest = initializers(network.int8_path)
    scales = [name for name, value in widest.items() if name.endswith("scale") and value.ndim == 0]
    assert all(ranges[name] <= widest[name] * (1 + 1e-6) for name in scales)
    assert any(ranges[name] < widest[name] * 0.999 for name in scales)
    assert capfd.readouterr() == ("", "")


def test_calibration_samples_change_the_ranges(network, samples, tmp_path):
    narrow = initializers(quantized_again(network, samples * 0.5, tmp_path))["input_scale"]
    assert narrow == pytest.approx(0.5 * initializers(network.int8_path)["input_scale"])


def test_same_network_gives_the_same_bytes_and_nothing_is_said(network, model, samples, tmp_path, capfd):
    again = quantize_network(model, samples, tmp_path, QuantizationConfig())
    assert again.float_path.read_bytes() == network.float_path.read_bytes()
    assert again.int8_path.read_bytes() == network.int8_path.read_bytes()
    assert capfd.readouterr() == ("", "")


def test_exporters_remarks_stay_off_the_terminal_and_its_logger_as_it_was(model, samples, tmp_path):
    remarks = []
    logger = logging.getLogger("torch.onnx._internal.exporter._registration")
    handler = logging.Handler()
    handler.emit = remarks.append
    logger.addHandler(handler)
    try:
        export_onnx(model, torch.from_numpy(samples[:1]), tmp_path / "model.onnx")
        assert not logger.disabled
    finally:
        logger.removeHandler(handler)
    assert remarks == []


def test_files_hold_no_path_of_this_machine(network):
    for path in (network.float_path, network.int8_path):
        content = path.read_bytes()
        assert b"site-packages" not in content
        assert b"test_quantize" not in content


def test_network_in_training_mode_is_exported_as_it_evaluates_and_stays_as_it_is(model, samples, tmp_path):
    model.train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    try:
        export_onnx(model, torch.from_numpy(samples[:1]), tmp_path / "model.onnx")
        assert model.training
        assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    finally:
        model.eval()
    np.testing.assert_allclose(run_onnx(tmp_path / "model.onnx", samples), predict(model, samples), atol=1e-5)


class Branching(nn.Module):
    def forward(self, x):
        return x if x.sum() > 0 else -x


def test_network_that_cannot_be_exported_is_rejected_with_a_remedy(tmp_path):
    with pytest.raises(QuantizationError, match="replace constant batch sizes and data-dependent branches"):
        export_onnx(Branching(), torch.ones(1, 3), tmp_path / "model.onnx")


def test_file_that_is_no_network_is_rejected_with_a_remedy(samples, tmp_path):
    damaged = tmp_path / "model.onnx"
    damaged.write_bytes(b"not a network")
    with pytest.raises(QuantizationError, match=r"model.onnx must run in onnxruntime .* check the file"):
        run_onnx(damaged, samples)
    with pytest.raises(QuantizationError, match=r"model.onnx must be quantisable .* finite outputs"):
        quantize_onnx(damaged, samples, tmp_path / "model.int8.onnx", QuantizationConfig())
    assert [path.name for path in tmp_path.iterdir()] == ["model.onnx"]


def test_inputs_of_the_wrong_shape_are_rejected_with_a_remedy(network, samples):
    with pytest.raises(QuantizationError, match="check the file and the inputs' shape"):
        run_onnx(network.int8_path, samples[:, :1])


@pytest.mark.parametrize("name", ["model.onnx", "model.int8.onnx"])
def test_full_disk_is_not_blamed_on_the_network(model, samples, tmp_path, name):
    (tmp_path / name).symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space left"):
        quantize_network(model, samples, tmp_path, QuantizationConfig())


def test_settings_are_read_from_a_trials_parameters():
    config = QuantizationConfig.from_parameters({"per_channel": False, "calibration_samples": 7, "width": 1})
    assert config == QuantizationConfig(per_channel=False, calibration_samples=7)


@pytest.mark.parametrize(
    ("settings", "remedy"),
    [
        ({"calibration_method": "guess"}, "'guess'; pick one of them"),
        ({"calibration_samples": 0}, "got 0; raise it"),
    ],
)
def test_impossible_setting_is_rejected_with_a_remedy(settings, remedy):
    with pytest.raises(ConfigError, match=remedy):
        QuantizationConfig(**settings)
