"""What an action prints arrives as lines, as it is printed, and never without bound."""

import tracemalloc
from time import monotonic

import pytest

from sloth_ci.builds import Build, Halt
from sloth_ci.records import Stream
from sloth_ci.shell import ShellRunner
from sloth_ci.shell.output import LINE_COST, LINE_LIMIT, Allowance, Output

from .conftest import Bench, Recorder


class TestLines:
    def test_streams_are_told_apart_and_each_in_order(self, bench: Bench) -> None:
        bench.run(bench.build("for i in 1 2 3; do echo out$i; echo err$i >&2; done"))
        assert bench.journal.of(Stream.STDOUT) == ["out1", "out2", "out3"]
        assert bench.journal.of(Stream.STDERR) == ["err1", "err2", "err3"]

    def test_a_line_arrives_before_the_action_ends(self, bench: Bench) -> None:
        go_on = bench.folder / "go-on"
        bench.journal = Recorder(lambda _: go_on.touch())
        outcome = bench.run(bench.build("echo now; while [ ! -e go-on ]; do sleep 0.01; done"))
        assert outcome.exit_code == 0

    @pytest.mark.parametrize(
        ("text", "lines"),
        [
            pytest.param("printf 'a\\nb'", ["a", "b"], id="the last without an end"),
            pytest.param("printf 'a\\n\\nb\\n'", ["a", "", "b"], id="an empty one"),
            pytest.param("printf 'a\\r\\nb\\rc\\r\\n'", ["a", "b\rc"], id="with carriage returns"),
            pytest.param("printf 'a\\0b\\n'", ["a\ufffdb"], id="with a NUL"),
            pytest.param("printf 'a\\377b\\n'", ["a\ufffdb"], id="with a byte that is no UTF-8"),
            pytest.param("printf 'caf\\303'; printf '\\251\\n'", ["café"], id="a letter in two"),
        ],
    )
    def test_lines_are_readable(self, bench: Bench, text: str, lines: list[str]) -> None:
        bench.run(bench.build(text))
        assert bench.journal.texts == lines

    def test_a_letter_is_whole_though_its_bytes_come_one_by_one(self) -> None:
        output, journal = _output()
        for byte in "näh €\n".encode():
            output.take(Stream.STDOUT, bytes([byte]))
        assert journal.texts == ["näh €"]

    def test_what_is_in_the_pipe_at_the_end_is_not_lost(self, bench: Bench) -> None:
        bench.run(bench.build("seq 1 5000"))
        assert bench.journal.texts == [str(number) for number in range(1, 5001)]

    def test_secrets_are_masked(self, bench: Bench) -> None:
        bench.run(bench.build("printf hun; echo ter2", secrets=("hunter2",)))
        assert bench.journal.texts == ["***"]

    def test_a_long_line_is_cut_and_that_is_said(self, bench: Bench) -> None:
        bench.run(bench.build("head -c 1000000 /dev/zero | tr '\\0' x; echo; echo next"))
        cut, following = bench.journal.texts
        assert cut == "x" * LINE_LIMIT + f" [{1_000_000 - LINE_LIMIT} more bytes of this line cut]"
        assert following == "next"

    @pytest.mark.parametrize("size", [LINE_LIMIT, LINE_LIMIT + 1, LINE_LIMIT + 4096])
    def test_the_cut_is_exact(self, size: int) -> None:
        output, journal = _output()
        output.take(Stream.STDOUT, b"x" * size + b"\n")
        over = size - LINE_LIMIT
        said = f" [{over} more bytes of this line cut]" if over else ""
        assert journal.texts == ["x" * LINE_LIMIT + said]

    def test_a_secret_across_the_cut_is_masked(self) -> None:
        output, journal = _output(secrets=("hunter2-hunter2",))
        output.take(Stream.STDOUT, b"x" * (LINE_LIMIT - 4) + b"hunter2-hunter2" + b"y" * 9999)
        output.close()
        assert "hunt" not in journal.texts[0]


class TestCap:
    def test_head_and_tail_are_kept_and_the_rest_is_told(self, bench: Bench) -> None:
        bench.run(bench.build("seq 1 20000", max_output=20_000))
        texts = bench.journal.texts
        [gap] = [number for number, text in enumerate(texts) if "left out" in text]
        head, tail = texts[:gap], texts[gap + 1 :]
        left_out = 20_000 - len(head) - len(tail)
        assert head == [str(number) for number in range(1, len(head) + 1)]
        assert tail == [str(number) for number in range(20_001 - len(tail), 20_001)]
        assert len(head) > 150
        assert len(tail) > 50
        assert f"({left_out} lines)" in texts[gap]
        assert "'max_output' of a build is 20000 bytes" in texts[gap]
        assert bench.journal.lines[gap][0] is Stream.STDERR

    def test_the_bytes_left_out_are_counted_to_the_last(self, bench: Bench) -> None:
        bench.run(bench.build("seq 100001 130000", max_output=20_000))
        [notice] = [text for text in bench.journal.texts if "left out" in text]
        kept = len(bench.journal.texts) - 1
        assert notice.startswith(f"[{(30_000 - kept) * 7} bytes ({30_000 - kept} lines)")

    def test_nothing_is_said_where_nothing_is_left_out(self, bench: Bench) -> None:
        # More than the head alone takes, and so partly by way of the tail.
        bench.run(bench.build("seq 1 100", max_output=100 * (2 + LINE_COST) + 200))
        assert bench.journal.texts == [str(number) for number in range(1, 101)]

    def test_it_spans_the_actions_of_a_build(self, bench: Bench) -> None:
        build = bench.build("seq 1 10000", "seq 1 10000", "echo last", max_output=20_000)
        for position in range(3):
            bench.run(build, position=position)
        cost = sum(len(text) + LINE_COST for text in bench.journal.texts if "left out" not in text)
        assert cost <= 20_000
        assert bench.journal.texts[-1] == "last"
        assert sum("left out" in text for text in bench.journal.texts) == 2
        assert bench.journal.texts.count("10000") == 2, "each flood has its end"

    @pytest.mark.parametrize(("max_output", "waits"), [(20_000, True), (100_000_000, False)])
    def test_only_a_flood_that_is_not_kept_has_to_wait(
        self, bench: Bench, monkeypatch: pytest.MonkeyPatch, max_output: int, waits: bool
    ) -> None:
        rests: list[float] = []
        monkeypatch.setattr("sloth_ci.shell.watch.sleep", rests.append)
        bench.run(bench.build("seq 1 200000", max_output=max_output))
        assert bool(rests) is waits
        assert bench.journal.texts[-1] == "200000"

    def test_the_next_run_of_a_build_starts_anew(self, bench: Bench) -> None:
        build = bench.build("seq 1 10000", max_output=20_000)
        bench.run(build)
        first = list(bench.journal.texts)
        bench.journal.lines.clear()
        bench.run(build)
        assert bench.journal.texts == first

    def test_streams_keep_their_order_in_the_tail(self) -> None:
        output, journal = _output(max_output=4_000)
        for number in range(1000):
            output.take(Stream.STDOUT, b"out%d\n" % number)
            output.take(Stream.STDERR, b"err%d\n" % number)
        output.close()
        out = journal.of(Stream.STDOUT)
        err = [text for text in journal.of(Stream.STDERR) if "left out" not in text]
        assert (out[-1], err[-1]) == ("out999", "err999")
        for texts in (out, err):
            numbers = [int(text[3:]) for text in texts]
            assert numbers == sorted(numbers)

    def test_lines_under_way_at_the_cap_are_whole(self) -> None:
        output, journal = _output(max_output=1_000)
        output.take(Stream.STDOUT, b"x" * 600 + b"\n")
        output.take(Stream.STDERR, b"half a line of stderr, ")
        output.take(Stream.STDOUT, b"y" * 30 + b"\n")
        output.take(Stream.STDERR, b"and its other half\n")
        output.close()
        assert journal.texts == [
            "x" * 600,
            "y" * 30,
            "half a line of stderr, and its other half",
        ]

    def test_a_line_too_long_for_the_tail_is_left_out(self) -> None:
        output, journal = _output(max_output=1_000)
        output.take(Stream.STDOUT, b"x" * 2_000 + b"\nshort\n")
        output.close()
        assert journal.texts[1:] == ["short"]
        assert journal.texts[0].startswith("[2001 bytes (1 lines) of output left out here")

    def test_a_line_whose_start_is_left_out_is_left_out(self) -> None:
        output, journal = _output(max_output=1_000)
        output.take(Stream.STDERR, b"half a line of stderr, ")
        for _ in range(10):
            output.take(Stream.STDOUT, b"x" * 65_535 + b"\n")
        output.take(Stream.STDERR, b"and its other half\n")
        output.take(Stream.STDOUT, b"short\n")
        output.close()
        assert journal.texts[1:] == ["short"]
        left_out = 10 * 65_536 + len("half a line of stderr, and its other half\n")
        assert journal.texts[0].startswith(f"[{left_out} bytes (11 lines) of output left out here")

    @pytest.mark.parametrize("lines", [900, 1000, 1001, 5_000, 20_000])
    def test_the_tail_has_its_share_wherever_the_flood_stops(self, lines: int) -> None:
        output, journal = _output(max_output=8_000)
        for number in range(lines):
            output.take(Stream.STDOUT, b"%05d" % number + b"x" * 100 + b"\n")
        output.close()
        [gap] = [number for number, text in enumerate(journal.texts) if "left out" in text]
        assert len(journal.texts) - gap - 1 == 2_000 // (105 + LINE_COST)

    @pytest.mark.parametrize(
        "chunk",
        [b"\n" * 65_536, b"y\n" * 32_768, b"x" * 65_536, b"x" * 65_535 + b"\n", b"ab\n"],
        ids=["empty lines", "short lines", "no line end", "long lines", "small pieces"],
    )
    def test_memory_stays_flat(self, chunk: bytes) -> None:
        output = Output(
            _build(max_output=1_000_000),
            position=0,
            allowance=Allowance.of(_build(max_output=1_000_000)),
            journal=_Deaf(),
        )
        tracemalloc.start()
        try:
            for _ in range(300):
                output.take(Stream.STDOUT, chunk)
            output.close()
            assert tracemalloc.get_traced_memory()[1] < 6_000_000
        finally:
            tracemalloc.stop()

    def test_a_flood_without_a_line_end_is_one_line(self) -> None:
        runner, halt, journal = ShellRunner(), Halt(), Recorder()
        build = Bench.build(_Nowhere(), "head -c 200000000 /dev/zero")  # type: ignore[arg-type]
        outcome = runner(build, 0, monotonic() + 30, halt, journal)
        halt.close()
        assert outcome.exit_code == 0
        assert journal.texts[0].endswith(
            f"[{200_000_000 - LINE_LIMIT} more bytes of this line cut]"
        )


class _Deaf:
    def output(self, build: Build, stream: Stream, line: str) -> None:
        pass


class _Nowhere:
    folder = "/"


def _build(max_output: int = 16_000_000, secrets: tuple[str, ...] = ()) -> Build:
    return Bench.build(  # type: ignore[arg-type]
        _Nowhere(), "true", max_output=max_output, secrets=secrets
    )


def _output(max_output: int = 16_000_000, secrets: tuple[str, ...] = ()) -> tuple[Output, Recorder]:
    build, journal = _build(max_output, secrets), Recorder()
    allowance = Allowance.of(build)
    return Output(build, position=0, allowance=allowance, journal=journal), journal
