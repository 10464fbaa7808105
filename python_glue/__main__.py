"""Commands of the pack that need no ComfyUI: `python -m python_glue distil --help`, in the folder of the pack."""

import argparse

from .training import command


def main():
    parser = argparse.ArgumentParser(prog="python -m python_glue", description=__doc__)
    commands = parser.add_subparsers(required=True)
    command.add_to(commands)
    options = parser.parse_args()
    options.run(options)


if __name__ == "__main__":
    main()
