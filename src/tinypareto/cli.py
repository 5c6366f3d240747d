"""The command line, `tinypareto`."""

from tinypareto.commands import comparisons, firmware, studies
from tinypareto.commands.app import app

for commands in (studies, firmware, comparisons):  # as --help lists them
    app.add_typer(commands.app)


def main() -> None:
    """Run the command line."""
    app()


if __name__ == "__main__":
    main()
