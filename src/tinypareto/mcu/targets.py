"""Cores and boards that firmware can be built for: memory, clock, instruction set."""

from dataclasses import dataclass, replace

from tinypareto.errors import ConfigError

PAGE_BYTES = 4096  # memory regions are simulated in whole pages
FLASH_ORIGIN, RAM_ORIGIN = 0x0800_0000, 0x2000_0000

# How every target's code is compiled and linked; a generated project's Makefile repeats them.
COMPILE_FLAGS = (
    "-std=gnu99",
    "-O2",
    "-fno-unroll-loops",  # 38 % less code and 9 % fewer instructions: unrolled tails rarely run full
    "-g0",
    "-ffreestanding",
    "-fno-sanitize=all",
    "-fno-unwind-tables",
    "-fno-asynchronous-unwind-tables",
    "-fomit-frame-pointer",
    "-ffunction-sections",
    "-fdata-sections",
)
LINK_FLAGS = ("-nostdlib", "-Wl,--gc-sections", "-Wl,-e,model_invoke")


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One core with its memory; regions are whole pages of 4096 bytes."""

    name: str
    cpu: str  # as the compiler's -mcpu names it
    simulated_cpu: str  # as the simulator's UC_CPU_ARM_* constants name it
    flash_bytes: int
    ram_bytes: int
    clock_hz: int
    has_dsp: bool  # SMLAD and its kin
    flash_origin: int = FLASH_ORIGIN
    ram_origin: int = RAM_ORIGIN

    @property
    def machine_flags(self) -> tuple[str, ...]:
        """The compiler's flags that name the core."""
        return ("-target", "thumb-freestanding-eabi", f"-mcpu={self.cpu}")

    def __post_init__(self) -> None:
        for what, size in (("flash", self.flash_bytes), ("ram", self.ram_bytes)):
            if size <= 0 or size % PAGE_BYTES:
                raise ConfigError(
                    f"{what}_bytes of target {self.name} must be a positive multiple of {PAGE_BYTES}, "
                    f"got {size}; round it to whole pages."
                )


_TARGETS = (
    Target(
        name="cortex-m4",  # the memory of the method's experiments, on the most common core
        cpu="cortex_m4",
        simulated_cpu="CORTEX_M4",
        flash_bytes=1024 * 1024,
        ram_bytes=256 * 1024,
        clock_hz=80_000_000,
        has_dsp=True,
    ),
)


def targets() -> tuple[Target, ...]:
    """Return every built-in target."""
    return _TARGETS


def target(name: str) -> Target:
    """Return the built-in target of that name.

    Raises:
        ConfigError: If there is none.

    Example:
        >>> target("cortex-m4").ram_bytes // 1024
        256
    """
    for candidate in _TARGETS:
        if candidate.name == name:
            return candidate
    known = ", ".join(candidate.name for candidate in _TARGETS)
    raise ConfigError(f"A target must be one of {known}, got {name!r}; choose one of these.")


STACK_ROOM = 16 * 1024  # far more than any generated program's stack, which is some 300 bytes


def roomy(target: Target, flash_bytes: int, static_bytes: int) -> Target:
    """Return the target with memory enlarged, where needed, for a program of the given size.

    A program that does not fit is infeasible, but how far it misses the limits is worth knowing.

    Args:
        target: The core as it is.
        flash_bytes: That the program fills.
        static_bytes: Of RAM that the program fills before any stack.
    """
    flash = max(target.flash_bytes, _whole_pages(flash_bytes))
    ram = max(target.ram_bytes, _whole_pages(static_bytes + STACK_ROOM))
    return replace(target, flash_bytes=flash, ram_bytes=ram)


def _whole_pages(size: int) -> int:
    return -(-size // PAGE_BYTES) * PAGE_BYTES
