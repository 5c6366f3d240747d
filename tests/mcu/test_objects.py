import pytest
from small_graphs import small_resnet

from tinypareto.errors import ToolchainError
from tinypareto.mcu import objects
from tinypareto.mcu.compiler_call import cache_folder
from tinypareto.mcu.emit.project import c_sources
from tinypareto.mcu.firmware import write_files, write_program
from tinypareto.mcu.objects import compile_objects
from tinypareto.mcu.targets import target

FLAGS = ("-std=gnu99", "-O1", "-fPIC", "-fno-sanitize=all")
HEADER = "kernels/requantize.h"


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    program = write_program(small_resnet()[0], target("cortex-m4"))
    write_files(program.files, tmp_path / "project")
    (tmp_path / "scratch").mkdir()
    return tmp_path / "project", c_sources(program.files), tmp_path / "scratch"


def compiled(project, monkeypatch, flags=FLAGS):
    """Return the object files and the sources for which the compiler was called."""
    folder, sources, scratch = project
    called = []

    def remember(where, names, *arguments):
        called.extend(names)
        return real(where, names, *arguments)

    real = objects.compile_c
    with monkeypatch.context() as patched:
        patched.setattr(objects, "compile_c", remember)
        return compile_objects(folder, sources, flags, scratch), called


def test_kernels_are_compiled_once_and_the_model_each_time(project, monkeypatch):
    first, called = compiled(project, monkeypatch)
    assert called == project[1]
    assert [path.suffix for path in first] == [".o"] * (
        len(project[1]) - 1
    )  # the last one holds both of the model's
    assert len(set(first)) == len(first)
    again, called = compiled(project, monkeypatch)
    assert again == first
    assert called == ["model.c", "weights.c"]
    assert len(list((cache_folder() / "objects").iterdir())) == len(project[1]) - 2


def test_the_model_takes_one_call_of_the_compiler(project, monkeypatch):
    compiled(project, monkeypatch)
    calls = []
    real = objects.compile_c
    monkeypatch.setattr(objects, "compile_c", lambda *given: calls.append(given) or real(*given))
    compile_objects(project[0], project[1], FLAGS, project[2])
    assert len(calls) == 1


def test_a_change_of_a_kernel_compiles_it_alone(project, monkeypatch):
    first, _ = compiled(project, monkeypatch)
    with (project[0] / "kernels" / "add.c").open("a") as file:
        file.write("int more;\n")
    second, called = compiled(project, monkeypatch)
    assert called == ["kernels/add.c", "model.c", "weights.c"]
    assert [a == b for a, b in zip(first, second, strict=True)] == [
        s != "kernels/add.c" for s in project[1][:-1]
    ]


def test_a_change_of_a_header_or_a_flag_compiles_every_kernel(project, monkeypatch):
    compiled(project, monkeypatch)
    _, called = compiled(project, monkeypatch, (*FLAGS, "-DMORE"))
    assert called == project[1]
    with (project[0] / HEADER).open("a") as file:
        file.write("extern int more;\n")
    _, called = compiled(project, monkeypatch)
    assert called == project[1]


def test_a_kernel_that_does_not_compile_leaves_nothing(project):
    folder, _, scratch = project
    (folder / "kernels" / "add.c").write_text("int f(void) { return missing; }\n")
    with pytest.raises(ToolchainError, match=r"add\.c:1:.*'missing'"):
        compile_objects(folder, ["kernels/add.c"], FLAGS, scratch)
    assert list((cache_folder() / "objects").iterdir()) == []
