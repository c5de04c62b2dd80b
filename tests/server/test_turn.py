"""Answers that are written together at the end of a turn of the event loop."""

import pytest

from served_socket import on_both_loops, until
from workertown_kv.server.turn import Turn

pytestmark = pytest.mark.anyio
anyio_backend = on_both_loops


async def test_an_answer_that_cannot_be_written_holds_up_no_other(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Writing:
        is_flushed = False

        def flush(self) -> None:
            self.is_flushed = True

    class Broken:
        def flush(self) -> None:
            raise RuntimeError("closed")

    turn, writing = Turn(), Writing()
    turn.add(Broken())
    turn.add(writing)
    await until(lambda: writing.is_flushed)
    assert "An answer could not be written" in caplog.text
