"""Run Python files one after another, and print a line of text after each.

One interpreter imports the package once for all of them.
"""

import runpy
import sys
import traceback


def run(end: str, *programs: str) -> None:
    """Run each file as a program that has its names to itself, even after one has failed.

    A program that calls `sys.exit` ends this one too.
    """
    for program in programs:
        try:
            runpy.run_path(program, run_name="__main__")
        except Exception:  # noqa: BLE001  (whatever it is, the other files are run)
            traceback.print_exc()
        sys.stderr.flush()
        sys.stdout.write(f"\n{end}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    run(*sys.argv[1:])
