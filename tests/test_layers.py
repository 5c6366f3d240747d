"""The folder tree is the data flow: a module imports only from modules listed above it."""

import ast
from pathlib import Path

import pytest

SRC = Path(__file__).resolve().parent.parent / "src" / "tinypareto"

LAYERS = [
    "errors",
    "threads",
    "provenance",
    "space",
    "front",
    "synthetic",
    "search.history",
    "search.design",
    "search.outcomes",
    "search.kernels",
    "search.gaussian_process",
    "search.marginal_likelihood",
    "search.failure_model",
    "search.known",
    "search.prior",
    "search.surrogate",
    "search.rewards",
    "search.boxes",
    "search.hypervolume_reward",
    "search.surrogate_front",
    "search.feasible_design",
    "search.known_design",
    "search.trace",
    "search.starts",
    "search.policies",
    "search.ars",
    "search.config",
    "search.ensemble",
    "search.prior_fit",
    "search.scale_choice",
    "search.surrogate_fit",
    "search.polish",
    "search.first_trials",
    "search.best_point",
    "search.suggest",
    "hosts.attributes",
    "hosts.observations",
    "hosts.earlier",
    "hosts.optuna",
    "hosts.botorch",
    "peers.botorch_problem",
    "peers.qnehvi",
    "peers.qparego",
    "peers.trust_region",
    "peers.thompson",
    "peers.turbo",
    "peers.morbo",
    "samplers",
    "network.data",
    "network.augment",
    "network.device",
    "network.metrics",
    "network.cost",
    "network.importance",
    "network.prune",
    "network.filter_pruner",
    "network.pruned_shapes",
    "network.train",
    "network.onnx_export",
    "network.quantize",
    "mcu.cores",
    "mcu.compilers",
    "mcu.targets",
    "mcu.graph",
    "mcu.fixed_point",
    "mcu.rankings",
    "mcu.onnx_layouts",
    "mcu.onnx_values",
    "mcu.onnx_windows",
    "mcu.onnx_activations",
    "mcu.onnx_broadcasts",
    "mcu.onnx_arithmetic",
    "mcu.onnx_resize",
    "mcu.onnx_inputs",
    "mcu.onnx_moves",
    "mcu.onnx_rankings",
    "mcu.onnx_pools",
    "mcu.onnx_products",
    "mcu.onnx_operators",
    "mcu.onnx_file",
    "mcu.onnx_constants",
    "mcu.onnx_shapes",
    "mcu.read_onnx",
    "mcu.samples",
    "mcu.moves",
    "mcu.means",
    "mcu.reference",
    "mcu.passes.drop_dead",
    "mcu.passes.fold_pads",
    "mcu.passes.fold_transposes",
    "mcu.passes.fuse_relu",
    "mcu.passes.fuse_lookup",
    "mcu.passes.fuse_add",
    "mcu.passes.pipeline",
    "mcu.memory",
    "mcu.emit.text",
    "mcu.emit.compact_weights",
    "mcu.emit.packing",
    "mcu.emit.scales",
    "mcu.emit.place",
    "mcu.emit.add",
    "mcu.emit.buffers",
    "mcu.emit.convolution",
    "mcu.emit.dense",
    "mcu.emit.mul",
    "mcu.emit.pool",
    "mcu.emit.relu",
    "mcu.emit.moves",
    "mcu.emit.rankings",
    "mcu.emit.lookup",
    "mcu.emit.project",
    "mcu.cycles",
    "mcu.elf",
    "mcu.compiler_call",
    "mcu.objects",
    "mcu.toolchain",
    "mcu.simulated_core",
    "mcu.simulator",
    "mcu.footprint",
    "mcu.firmware",
    "mcu.pruned_graph",
    "mcu.static_sizes",
    "mcu.limits",
    "mcu.compiled_folder",
    "datasets.files",
    "datasets.places",
    "datasets.restricted_pickle",
    "datasets.normal_form",
    "datasets.cifar10",
    "datasets.daliac",
    "datasets.generated_imu",
    "experiment",
    "static_footprint",
    "known_sizes",
    "harvest",
    "stop_rule",
    "evaluation_record",
    "evaluation",
    "scales",
    "study_home",
    "trials",
    "early_stopping",
    "choice",
    "calibration",
    "warm_start",
    "trial_process",
    "telling",
    "study_plan",
    "study",
    "results",
    "retarget",
    "progress",
    "experiments.digits",
    "experiments.resnet18_cifar10",
    "experiments.mobilenetv3_daliac",
    "experiments.imu",
    "confirm",
    "tables",
    "trial_preload",
    "report.plots",
    "report.page",
    "comparison.arms",
    "comparison.rows",
    "comparison.results_file",
    "comparison.cache",
    "comparison.arm_run",
    "comparison.arm_process",
    "comparison.significance",
    "comparison.outcome",
    "comparison.summary",
    "comparison.figures",
    "comparison.compare",
    "comparison.progress",
    "comparison.reproduce",
    "comparison.bumps",
    "comparison.bumps_figure",
    "cli",
]


def modules() -> list[str]:
    paths = [
        path.relative_to(SRC).with_suffix("") for path in SRC.rglob("*.py") if path.name != "__init__.py"
    ]
    return sorted(".".join(path.parts) for path in paths)


@pytest.mark.parametrize(("rank", "name"), list(enumerate(LAYERS)))
def test_module_imports_only_from_earlier_layers(rank, name):
    tree = ast.parse((SRC / f"{name.replace('.', '/')}.py").read_text(encoding="utf-8"))
    used = {
        node.module.removeprefix("tinypareto.")
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and f"{node.module}.".startswith("tinypareto.")
    }
    packages = {earlier.rpartition(".")[0] for earlier in LAYERS[:rank]}
    too_late = used - set(LAYERS[:rank]) - packages
    assert not too_late, f"{name} imports {sorted(too_late)}; move it down or pass a value"


def test_every_module_has_its_place():
    assert sorted(LAYERS) == modules()


@pytest.mark.parametrize(
    ("half", "others"),
    [("search", ("network", "mcu")), ("network", ("search", "mcu")), ("mcu", ("search", "network"))],
)
def test_halves_do_not_know_each_other(half, others):
    for path in (SRC / half).rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        for other in others:
            assert f"tinypareto.{other}" not in text, f"{path.name} mentions tinypareto.{other}"
