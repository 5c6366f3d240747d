"""Processor cores: how compilers and the simulator name them, and what their instructions cost.

Cycle costs are those of the cores' technical reference manuals: ARM DDI 0484 (M0+), DDI 0337 (M3), DDI 0439
(M4), with zero wait states and aligned data. Where a manual gives a range, a division takes its longest time and a
refilled pipeline the middle of 1 to 3 cycles. ARM publishes no such table for the M7 and the M33.
"""

from dataclasses import dataclass, replace

from tinypareto.errors import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class CycleCosts:
    """Cycles of one instruction by its kind; what is not listed takes one cycle.

    A load or store of n registers takes ``1 + n`` cycles on each core.
    """

    load: int = 2
    # A load or indexed store that follows a load at once: its address goes out while the load's data come in.
    after_load: int = 1
    store: int = 1  # goes to the write buffer
    indexed_store: int = 2  # with an index register: its address is ready a cycle later
    multiply: int = 1
    multiply_add: int = 1
    long_multiply: int = 1
    long_multiply_add: int = 1
    divide: int = 12  # 2 to 12, the more bits the quotient has
    refill: int = 2  # added by a branch that is taken
    linked: int = 0  # added by a call and by a POP of the program counter, besides the refill


@dataclass(frozen=True, slots=True, kw_only=True)
class Core:
    """One kind of processor.

    ``has_dsp`` means SMLAD and its kin, ``has_unaligned`` loads and stores of words at any address,
    ``has_conditionals`` IT, in whose block a condition skips an instruction without a branch.
    """

    name: str
    simulated_cpu: str  # as the simulator's UC_CPU_ARM_* constants name it
    has_dsp: bool
    has_unaligned: bool = True
    has_conditionals: bool = True
    costs: CycleCosts
    is_upper_estimate: (
        bool  # cycles are those of a simpler core, since it issues more at once than is modelled
    )

    @property
    def clang_cpu(self) -> str:
        """The core's name for zig's -mcpu, which leaves out the DSP instructions of some."""
        return self.name.replace("-", "_") + ("+dsp" if self.has_dsp else "")

    @property
    def gcc_cpu(self) -> str:
        """The core's name for gcc's -mcpu."""
        return self.name


_M4_COSTS = CycleCosts()
_M3_COSTS = replace(_M4_COSTS, multiply_add=2, long_multiply=5, long_multiply_add=7)
_M0PLUS_COSTS = CycleCosts(
    after_load=2,
    store=2,
    divide=1,  # it has no such instruction
    refill=1,
    linked=1,
)

_CORES = (
    Core(
        name="cortex-m0plus",
        simulated_cpu="CORTEX_M0",  # the same instructions
        has_dsp=False,
        has_unaligned=False,
        has_conditionals=False,
        costs=_M0PLUS_COSTS,
        is_upper_estimate=False,
    ),
    Core(
        name="cortex-m3",
        simulated_cpu="CORTEX_M3",
        has_dsp=False,
        costs=_M3_COSTS,
        is_upper_estimate=False,
    ),
    Core(
        name="cortex-m4",
        simulated_cpu="CORTEX_M4",
        has_dsp=True,
        costs=_M4_COSTS,
        is_upper_estimate=False,
    ),
    Core(
        name="cortex-m7",
        simulated_cpu="CORTEX_M7",
        has_dsp=True,
        costs=_M4_COSTS,
        is_upper_estimate=True,
    ),
    Core(
        name="cortex-m33",
        simulated_cpu="CORTEX_M33",
        has_dsp=True,
        costs=_M4_COSTS,
        is_upper_estimate=True,
    ),
)


def cores() -> tuple[Core, ...]:
    """Return every core, the simplest first."""
    return _CORES


def core(name: str) -> Core:
    """Return the core of that name.

    Raises:
        ConfigError: If there is none.

    Example:
        >>> core("cortex-m4").has_dsp
        True
    """
    for candidate in _CORES:
        if candidate.name == name:
            return candidate
    known = ", ".join(candidate.name for candidate in _CORES)
    raise ConfigError(f"A core must be one of {known}, got {name!r}; choose one of these.")
