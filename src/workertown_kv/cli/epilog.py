"""Write what stands below the flags in the help of a command: examples and exit codes."""

from typing import Final

_CODES: Final = {
    0: "done",
    1: "another error",
    2: "usage",
    3: "no such key or namespace",
    4: "refused",
    5: "unavailable",
}


def epilog(*examples: str, codes: dict[int, str] | None = None) -> str:
    """Return the examples and the exit codes; `codes` are those with another meaning here."""
    shown = "; ".join(f"{code} {said}" for code, said in (_CODES | (codes or {})).items())
    return f"{only_examples(*examples)}\n\nExit codes: {shown}."


def only_examples(*examples: str) -> str:
    """Return the examples, for a command that uses no store."""
    lines = "\n".join(f"  workertown-kv {example}" for example in examples)
    # The first character keeps the lines of the examples as they are.
    return f"\b\nExamples:\n{lines}"
