from __future__ import annotations

from gateway.testing.writer import ManualWriter


def test_it_fills_and_drains_when_the_test_says_so() -> None:
    writer, seen = ManualWriter(high=4, low=1), []
    writer.on_flow(lambda: seen.append("full"), lambda: seen.append("drained"))
    writer.write(b"abcd")
    assert (writer.full, writer.buffered, seen) == (False, 4, [])
    writer.write(b"e")
    writer.write(b"f")
    assert (writer.full, seen) == (True, ["full"])
    assert writer.take(4) == b"abcd"
    assert seen == ["full"]
    assert writer.take(1) == b"e"
    assert (writer.full, seen, writer.taken) == (False, ["full", "drained"], b"abcde")


def test_nothing_is_written_after_the_end() -> None:
    writer = ManualWriter()
    writer.close(1000, "bye")
    writer.close(1011, "again")
    writer.write(b"x")
    assert (writer.buffered, writer.closed) == (0, (1000, "bye"))
    assert writer.framing("text")(b"x") == b"x"
