"""Which of PyTorch's two exporters writes a network, and that both write the same function."""

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from tinypareto.network import onnx_export
from tinypareto.network.onnx_export import export_onnx
from tinypareto.network.quantize import run_onnx
from tinypareto.network.train import predict


def convolutional():
    return nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()
    )


class Branching(nn.Module):
    """Asks about a shape, which a trace cannot follow: it keeps what it saw."""

    def forward(self, x):
        return x * 2 if x.shape[1] == 1 else x


def dense():
    return nn.Sequential(nn.Flatten(), nn.Linear(36, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 2))


@pytest.fixture
def captured(monkeypatch):
    """The networks that the slower exporter was asked for."""
    asked = []
    real = onnx_export._captured

    def note(model, two):
        asked.append(model)
        return real(model, two)

    monkeypatch.setattr(onnx_export, "_captured", note)
    return asked


@pytest.mark.parametrize(("make", "slowly"), [(convolutional, 0), (Branching, 1), (dense, 1)])
def test_quick_exporter_writes_what_it_can_write_well(make, slowly, captured, tmp_path):
    torch.manual_seed(0)
    model = make()
    samples = np.random.default_rng(0).standard_normal((5, 1, 6, 6)).astype(np.float32)
    model.train()
    for _ in range(3):
        model(torch.from_numpy(samples) + 1)  # statistics that are not 0 and 1
    model.eval()
    export_onnx(model, torch.from_numpy(samples[:1]), tmp_path / "model.onnx")
    assert len(captured) == slowly
    written = onnx.load(tmp_path / "model.onnx")
    lonely = {node.op_type for node in written.graph.node} & {"BatchNormalization"}
    assert not lonely or make is convolutional
    np.testing.assert_allclose(run_onnx(tmp_path / "model.onnx", samples), predict(model, samples), atol=1e-5)
    np.testing.assert_allclose(
        run_onnx(tmp_path / "model.onnx", samples[:1]), predict(model, samples[:1]), atol=1e-5
    )


def test_both_exporters_write_the_same_function_and_the_same_names(tmp_path):
    torch.manual_seed(0)
    model = convolutional().eval()
    two = torch.randn(2, 1, 6, 6)
    with onnx_export.quiet():
        traced, slow = onnx_export._traced(model, two), onnx_export._captured(model, two)
    names = [{item.name for item in graph.graph.initializer} for graph in (traced, slow)]
    assert "0.weight" in names[0] & names[1]
    outputs = []
    for index, graph in enumerate((traced, slow)):
        onnx.save(graph, tmp_path / f"{index}.onnx")
        outputs.append(run_onnx(tmp_path / f"{index}.onnx", two.numpy()))
    np.testing.assert_allclose(*outputs, atol=1e-5)


def test_without_the_quick_exporter_the_other_is_asked(captured, monkeypatch, tmp_path):
    """As in a PyTorch that has dropped it."""
    real = torch.onnx.export

    def newer(*arguments, dynamo, **settings):
        if not dynamo:
            raise TypeError("export() got an unexpected keyword argument 'dynamo'")
        return real(*arguments, dynamo=dynamo, **settings)

    monkeypatch.setattr(torch.onnx, "export", newer)
    export_onnx(convolutional(), torch.zeros(1, 1, 6, 6), tmp_path / "model.onnx")
    assert len(captured) == 1
