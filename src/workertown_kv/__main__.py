"""`python -m workertown_kv` is the command `workertown-kv`."""

from .cli import main

main(prog_name="workertown-kv")
