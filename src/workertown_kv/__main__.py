"""Run the command `workertown-kv` as `python -m workertown_kv`."""

from .cli import main

if __name__ == "__main__":
    main(prog_name="workertown-kv")
