"""Cores and boards that firmware can be built for: memory and clock.

A board's figures are those of its microcontroller's data sheet.
"""

from dataclasses import dataclass, replace

from tinypareto.errors import ConfigError
from tinypareto.mcu.cores import Core, core

PAGE_BYTES = 4096  # memory regions are simulated in whole pages
FLASH_ORIGIN, RAM_ORIGIN = 0x0800_0000, 0x2000_0000
XIP_ORIGIN = 0x1000_0000  # of the flash chip beside an RP2040 or RP2350, which runs programs in place
KB, MHZ = 1024, 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One core with its memory."""

    name: str
    core: Core
    flash_bytes: int
    ram_bytes: int
    clock_hz: int
    flash_origin: int = FLASH_ORIGIN
    ram_origin: int = RAM_ORIGIN

    def __post_init__(self) -> None:
        for what, size in (("flash", self.flash_bytes), ("ram", self.ram_bytes)):
            if size <= 0:
                raise ConfigError(
                    f"{what}_bytes of target {self.name} must be positive, got {size}; give what the chip has."
                )


def _bare(name: str, clock_hz: int) -> Target:
    """Return a core alone, with the memory of the method's experiments."""
    return Target(name=name, core=core(name), flash_bytes=1024 * KB, ram_bytes=256 * KB, clock_hz=clock_hz)


def _board(
    name: str,
    core_name: str,
    *,
    flash_kb: int,
    ram_kb: int,
    mhz: int,
    flash_origin: int = FLASH_ORIGIN,
    ram_origin: int = RAM_ORIGIN,
) -> Target:
    """Return a board; ``ram_kb`` is its largest run of RAM without a gap, ``mhz`` the highest clock."""
    return Target(
        name=name,
        core=core(core_name),
        flash_bytes=flash_kb * KB,
        ram_bytes=ram_kb * KB,
        clock_hz=mhz * MHZ,
        flash_origin=flash_origin,
        ram_origin=ram_origin,
    )


_TARGETS = (
    _bare("cortex-m0plus", 48 * MHZ),
    _bare("cortex-m3", 72 * MHZ),
    _bare("cortex-m4", 80 * MHZ),
    _bare("cortex-m7", 216 * MHZ),
    _bare("cortex-m33", 110 * MHZ),
    _board("arduino-zero", "cortex-m0plus", flash_kb=256, ram_kb=32, mhz=48, flash_origin=0),  # SAMD21G18
    _board("nucleo-g071rb", "cortex-m0plus", flash_kb=128, ram_kb=36, mhz=64),  # without RAM parity
    _board("pico", "cortex-m0plus", flash_kb=2048, ram_kb=264, mhz=133, flash_origin=XIP_ORIGIN),  # RP2040
    _board("bluepill-f103c8", "cortex-m3", flash_kb=64, ram_kb=20, mhz=72),
    _board("microbit-v2", "cortex-m4", flash_kb=512, ram_kb=128, mhz=64, flash_origin=0),  # nRF52833
    _board("nano-33-ble", "cortex-m4", flash_kb=1024, ram_kb=256, mhz=64, flash_origin=0),  # nRF52840
    _board("nucleo-f446re", "cortex-m4", flash_kb=512, ram_kb=128, mhz=180),
    _board("nucleo-l4r5zi", "cortex-m4", flash_kb=2048, ram_kb=640, mhz=120),
    _board("nucleo-f767zi", "cortex-m7", flash_kb=2048, ram_kb=512, mhz=216),
    _board(
        "nucleo-h743zi", "cortex-m7", flash_kb=2048, ram_kb=512, mhz=480, ram_origin=0x2400_0000
    ),  # its AXI RAM
    _board("nucleo-l552ze-q", "cortex-m33", flash_kb=512, ram_kb=256, mhz=110),
    _board("pico-2", "cortex-m33", flash_kb=4096, ram_kb=520, mhz=150, flash_origin=XIP_ORIGIN),  # RP2350
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


def limited(target: Target, rom_bytes: int | None, ram_bytes: int | None) -> Target:
    """Return the target with memory of other sizes, where they are given."""
    return replace(
        target,
        flash_bytes=target.flash_bytes if rom_bytes is None else rom_bytes,
        ram_bytes=target.ram_bytes if ram_bytes is None else ram_bytes,
    )


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
