"""`python -m workertown_kv` is the command `workertown-kv`."""

from .cli import main

if __name__ == "__main__":
    main(prog_name="workertown-kv")
