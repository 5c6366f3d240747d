"""Damaged and lying files: one line that says so, or a network; never a crash, a hang or half a folder."""

import numpy as np
import onnx
import pytest
from mutated_onnx import mutated, read_within, valid_files
from onnx import TensorProto, helper
from small_onnx import edited, int8_weight, normal, written_by_hand
from typer.testing import CliRunner

from tinypareto.cli import app
from tinypareto.errors import UnsupportedModelError
from tinypareto.mcu.compiled_folder import compile_model

SEEDS_PER_TEST = 60


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    return valid_files(tmp_path_factory.mktemp("valid"))


def test_the_files_that_are_mutated_are_valid(files, tmp_path):
    assert len(files) >= 4
    for content in files:
        assert read_within(content, tmp_path)


@pytest.mark.parametrize("first", range(0, 600, SEEDS_PER_TEST))
def test_mutated_files_are_read_or_refused_in_one_line(files, tmp_path, first):
    taken = [read_within(mutated(files, seed), tmp_path) for seed in range(first, first + SEEDS_PER_TEST)]
    assert sum(taken) < SEEDS_PER_TEST, "every mutation was harmless"


def relu(folder):
    return written_by_hand(folder, [helper.make_node("Relu", ["x_r"], ["h"])])


def dense(folder, **changed):
    weight, constants = int8_weight()
    middle = [weight, helper.make_node("MatMul", ["x_r", "w"], ["h"], name="fc")]
    return written_by_hand(folder, middle, {**constants, **changed})


def refuses(path, said, folder):
    """Check that compiling ends in one line and leaves no folder."""
    with pytest.raises(UnsupportedModelError, match=said) as caught:
        compile_model(path, "cortex-m4", folder / "out")
    assert "\n" not in str(caught.value)
    outcome = CliRunner().invoke(app, ["compile", str(path), "--out", str(folder / "out"), "--json"])
    assert outcome.exit_code == 1
    assert outcome.stdout == ""
    assert len(outcome.stderr.strip().splitlines()) == 1
    assert not (folder / "out").exists()


def test_a_truncated_file_is_refused(tmp_path):
    path = relu(tmp_path)
    path.write_bytes(path.read_bytes()[:-60])
    refuses(path, "pass an undamaged int8", tmp_path)


def test_an_operator_that_nobody_knows_is_refused(tmp_path):
    path = written_by_hand(tmp_path, [helper.make_node("Sin", ["x_r"], ["h"], name="wave")])
    refuses(path, r"Node 'wave' \(Sin\) cannot be compiled: supported operators are", tmp_path)


def test_an_axis_that_is_dynamic_besides_the_batch_is_refused(tmp_path):
    path = written_by_hand(tmp_path, [helper.make_node("Relu", ["x_r"], ["h"])], dims=(3, "length"))
    refuses(path, "must be float32 of a fixed shape.*only the batch axis dynamic", tmp_path)


def test_a_network_without_an_output_is_refused(tmp_path):
    def change(graph):
        del graph.output[:]

    refuses(edited(relu(tmp_path), change), "must have an output, but has none", tmp_path)


def test_a_cycle_is_refused(tmp_path):
    def change(graph):
        graph.node[2].input[0] = "h_r"

    refuses(edited(relu(tmp_path), change), "cannot be read as ONNX", tmp_path)


def test_a_name_that_is_written_twice_is_refused(tmp_path):
    def change(graph):
        graph.node.append(helper.make_node("Relu", ["x_r"], ["h"]))

    refuses(edited(relu(tmp_path), change), "cannot be read as ONNX", tmp_path)


def test_data_outside_the_files_folder_is_refused(tmp_path):
    (tmp_path / "secret").write_bytes(bytes(1000))
    inside = tmp_path / "model"
    inside.mkdir()

    def change(graph):
        constant = next(one for one in graph.initializer if one.name == "w_q")
        constant.ClearField("raw_data")
        constant.data_location = TensorProto.EXTERNAL
        for key, value in (("location", "../secret"), ("offset", "0"), ("length", "54")):
            constant.external_data.add(key=key, value=value)

    path = dense(inside)
    model = onnx.load(path)
    change(model.graph)
    path.write_bytes(model.SerializeToString())
    refuses(path, "cannot be read as ONNX", tmp_path)


def test_gigantic_shapes_are_refused(tmp_path):
    def huge_input(graph):
        graph.input[0].type.tensor_type.shape.dim[1].dim_value = 1 << 40

    refuses(edited(relu(tmp_path), huge_input), "must|cannot", tmp_path)

    def huge_constant(graph):
        constant = next(one for one in graph.initializer if one.name == "w_q")
        constant.dims[0] = 1 << 60

    refuses(edited(dense(tmp_path), huge_constant), "must|cannot", tmp_path)


@pytest.mark.parametrize("scale", [0.0, -1e-3, np.nan, np.inf])
def test_weight_scales_that_are_no_scales_are_refused(tmp_path, scale):
    scales = int8_weight()[1]["w_s"].copy()
    scales[4] = scale
    refuses(dense(tmp_path, w_s=scales), "scales must be finite and above 0; calibrate", tmp_path)


@pytest.mark.parametrize("scale", [1e-15, 1e-18])
def test_an_output_scale_that_makes_every_output_saturate_is_refused(tmp_path, scale):
    weight, constants = int8_weight()
    middle = [weight, helper.make_node("MatMul", ["x_r", "w"], ["h"], name="fc")]
    path = written_by_hand(tmp_path, middle, constants, output=("h", scale, 0))
    refuses(path, "Operator 'fc' cannot be compiled: A rescaling factor", tmp_path)


def test_weights_that_may_overflow_the_accumulator_are_refused(tmp_path):
    constants = int8_weight()[1]
    bias = np.full(9, 2**31 - 1, np.int32)
    scale = (np.float32(0.05) * constants["w_s"]).astype(np.float32)
    middle = [
        int8_weight()[0],
        helper.make_node("DequantizeLinear", ["b_q", "b_s"], ["b"], axis=0),
        helper.make_node("Gemm", ["x_r", "w", "b"], ["h"], name="fc"),
    ]
    path = written_by_hand(tmp_path, middle, {**constants, "b_q": bias, "b_s": scale})
    refuses(path, "fc must accumulate within 32 bits, but output channel", tmp_path)


def test_a_layer_that_stays_float_is_refused(tmp_path):
    middle = [
        helper.make_node("MatMul", ["x_r", "w"], ["h"], name="float layer"),
    ]
    refuses(
        written_by_hand(tmp_path, middle, {"w": normal(6, 9)}), "'float layer'.*weight_type=QInt8", tmp_path
    )


@pytest.mark.parametrize(
    ("kind", "attributes", "constants"),
    [("MaxPool", {}, {}), ("Conv", {"group": 0}, {"w": normal(4, 4, 3)})],
)
def test_a_node_without_what_it_needs_is_refused(tmp_path, kind, attributes, constants):
    node = helper.make_node(kind, ["x_r", *constants], ["h"], **attributes)
    refuses(written_by_hand(tmp_path, [node], constants, dims=(4, 9)), "must|cannot", tmp_path)


def test_a_tensor_that_needs_more_than_a_descriptor_holds_is_refused(tmp_path):
    middle = [helper.make_node("MaxPool", ["x_r"], ["h"], kernel_shape=[2])]
    path = written_by_hand(tmp_path, middle, dims=(2, 70000))
    refuses(path, "must be at most 65535, got 70000; make the layer smaller", tmp_path)


@pytest.mark.parametrize("side", ["input", "output"])
def test_an_activation_scale_of_1e_minus_30_is_refused(tmp_path, side):
    middle = [helper.make_node("Relu", ["x_r"], ["h"])]
    inputs = {"x_s": np.float32(1e-30)} if side == "input" else {}
    path = written_by_hand(tmp_path, middle, inputs, output=("h", 1e-30 if side == "output" else 0.05, 3))
    refuses(path, r"QuantizeLinear.*scale of at least 1e-20, got 1e-30; calibrate", tmp_path)
