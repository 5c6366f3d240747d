"""The generated C as a program of this machine that is watched: sanitizers, canaries, all warnings.

Each buffer of the arena, scratch included, lies between painted gaps, and so does the arena itself. The program
hands back the whole memory after each sample, so that a single foreign byte shows.
"""

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np

from tinypareto.mcu.emit.project import c_sources, emit_project, scratch_bytes
from tinypareto.mcu.firmware import write_files
from tinypareto.mcu.memory import ArenaPlan, plan_arena
from tinypareto.mcu.reference import run_reference_tensors
from tinypareto.mcu.samples import split_samples
from tinypareto.mcu.targets import target

PAINT = 0xA5  # as the simulator paints its memory
GAP = 12  # painted bytes around each buffer
GUARD = 64  # painted bytes around the arena
STRICT = ("-std=gnu99", "-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Werror", "-O1")
SANITIZED = {
    "undefined": (
        sys.executable, "-m", "ziglang", "cc", *STRICT, "-fsanitize=undefined", "-fsanitize-trap=undefined",
    ),
    "address": ("gcc", *STRICT, "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"),
}  # fmt: skip

MAIN = """#include "model.h"
#include <stdio.h>
#include <string.h>

int main(void)
{
    int sample, samples = %d;
    for (sample = 0; sample < samples; sample++) {
        memset(&guarded, 0x%02X, sizeof guarded);
%s
        model_invoke();
        if (fwrite(&guarded, sizeof guarded, 1, stdout) != 1) { return 2; }
    }
    return 0;
}
"""
READ = "        if (fread(model_arena + {}, {}, 1, stdin) != 1) {{ return 1; }}"


def spread_plan(graph):
    """Return a plan in which no two buffers share a byte and paint lies between them."""
    tensors, scratch = {}, {}
    position = GAP
    sizes = {name: tensor.size for name, tensor in graph.tensors.items()}
    for offsets, buffers in ((tensors, sizes), (scratch, scratch_bytes(graph))):
        for name, size in buffers.items():
            offsets[name] = position
            position += -(-size // 4) * 4 + GAP
    return ArenaPlan(offsets=tensors, scratch_offsets=scratch, size=position, lower_bound=position)


def check(graph, inputs, folder: Path, sanitizer: str):
    """Raise AssertionError unless the program gives every tensor of the reference and touches nothing else."""
    expected = run_reference_tensors(graph, inputs)
    for kind, plan in {
        "spread": spread_plan(graph),
        "planned": plan_arena(graph, scratch_bytes(graph)),
    }.items():
        memory = _run(graph, plan, inputs, folder / kind, sanitizer)
        wanted = expected if kind == "spread" else {name: expected[name] for name in graph.outputs}
        for name, want in wanted.items():
            start = plan.offsets[name]
            found = memory[:, GUARD + start : GUARD + start + want[0].size].reshape(want.shape)
            np.testing.assert_array_equal(found, want, err_msg=f"{kind}: {name}")
        paint = memory[:, _untouchable(graph, plan, kind)].astype(np.uint8)
        assert (paint == PAINT).all(), f"{kind}: a byte outside the buffers was written"


def address_sanitizer_works() -> bool:
    return shutil.which("gcc") is not None


def _untouchable(graph, plan, kind):
    outside = np.ones(plan.size + 2 * GUARD, dtype=bool)
    if kind == "planned":
        outside[GUARD : GUARD + plan.size] = False
        return outside
    sizes = {plan.offsets[name]: tensor.size for name, tensor in graph.tensors.items()}
    sizes |= {plan.scratch_offsets[name]: size for name, size in scratch_bytes(graph).items()}
    for start, size in sizes.items():
        outside[GUARD + start : GUARD + start + size] = False
    return outside


def _run(graph, plan, inputs, folder, sanitizer):
    """Return the guarded memory after each sample, n x bytes."""
    files = emit_project(graph, plan, target("cortex-m4"))
    declared = "extern int8_t model_arena[MODEL_ARENA_BYTES];"
    defined = "int8_t model_arena[MODEL_ARENA_BYTES] __attribute__((aligned(8)));"
    assert files["model.h"].count(declared) == files["model.c"].count(defined) == 1
    guarded = (
        f"struct guarded {{ int8_t before[{GUARD}], arena[MODEL_ARENA_BYTES], after[{GUARD}]; }};\n"
        "extern struct guarded guarded;\n#define model_arena guarded.arena"
    )
    files["model.h"] = files["model.h"].replace(declared, guarded)
    files["model.c"] = files["model.c"].replace(
        defined, "struct guarded guarded __attribute__((aligned(8)));"
    )
    spans = [READ.format(plan.offsets[name], graph.tensors[name].size) for name in graph.inputs]
    sources = [source for source in c_sources(files) if source != "main.c"]
    files["watch.c"] = MAIN % (len(inputs), PAINT, "\n".join(spans))
    write_files(files, folder)
    built = subprocess.run(
        [*SANITIZED[sanitizer], *sources, "watch.c", "-o", "watch"],
        cwd=folder, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert built.returncode == 0, built.stderr[:3000]
    flat = inputs.reshape(len(inputs), -1)
    assert flat.shape[1] == sum(part[0].size for part in split_samples(graph, graph.inputs, inputs).values())
    done = subprocess.run([folder / "watch"], input=flat.tobytes(), capture_output=True, check=False)
    assert done.returncode == 0, f"left with {done.returncode}: {done.stderr.decode(errors='replace')[:3000]}"
    return np.frombuffer(done.stdout, np.int8).reshape(len(inputs), -1)
