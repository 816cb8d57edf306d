"""Every target over its corpus, and over some hundred changed inputs, the same ones each time."""

import json
from collections import Counter
from pathlib import Path
from random import Random

import pytest
from hypothesis import Phase, given, settings, target
from hypothesis import strategies as st

from tests.fuzz.__main__ import figures
from tests.fuzz.hunting import Hunt, tried
from tests.fuzz.mutating import SIZE_MAX, mutated
from tests.fuzz.targets import TARGETS, Target, input_in
from tests.fuzz.tracing import edges_seen

FILE_MAX = 4096
FILES = [(name, path.name) for name, it in TARGETS.items() for path in it.files]


@pytest.mark.parametrize(("name", "file"), FILES)
def test_an_input_of_the_corpus_does_no_harm(name: str, file: str) -> None:
    place = [path.name for path in TARGETS[name].files].index(file)
    assert TARGETS[name].try_one(TARGETS[name].corpus[place])


@pytest.mark.slow
@pytest.mark.parametrize("name", TARGETS)
@given(seed=st.integers(0, 2**32), place=st.integers(0, 2**16))
@settings(max_examples=100, derandomize=True, database=None, phases=[Phase.generate, Phase.target])
def test_hostile_inputs_do_no_harm(name: str, seed: int, place: int) -> None:
    """Hypothesis aims at inputs that reach much of the code, and so at those that come far."""
    it = TARGETS[name]
    data = mutated(it.corpus[place % len(it.corpus)], Random(seed), it.corpus)
    with edges_seen() as edges:
        assert it.try_one(data)
    target(float(len(edges)))


@pytest.mark.parametrize(
    ("name", "ends"),
    [
        ("manifests", {"valid", "invalid"}),
        ("journals", {"folded, chained folded", "journal.damaged, chained journal.damaged"}),
        ("answers", {"yes", "platform.rate_limited", "platform.grant_refused"}),
        ("pushes", {"ticket", "notice", "code", "malformed"}),
        ("connections", {"200, in pieces 200", "403, in pieces 403", "404, in pieces 404"}),
    ],
)
def test_the_corpus_holds_what_is_sound_and_what_is_not(name: str, ends: set[str]) -> None:
    """Where nothing came through, changes of it would only ever try the first checks."""
    assert set(map(TARGETS[name].try_one, TARGETS[name].corpus)) >= ends


def test_every_file_of_the_corpus_is_small_text() -> None:
    for it in TARGETS.values():
        for path in it.files:
            assert path.stat().st_size <= FILE_MAX
            assert path.read_bytes().decode("utf-8")


def test_changed_inputs_are_bounded_and_follow_from_the_seed() -> None:
    corpus = TARGETS["journals"].corpus
    made = [mutated(corpus[0], Random(seed), corpus) for seed in range(50)]
    assert made == [mutated(corpus[0], Random(seed), corpus) for seed in range(50)]
    assert len(set(made)) > 40
    assert max(map(len, made)) <= SIZE_MAX


def test_a_hunt_keeps_what_is_new_and_tells_each_finding_once() -> None:
    """A target of its own, which breaks on a text that no input of its corpus holds."""
    seen: list[bytes] = []

    def fragile(data: bytes) -> str:
        seen.append(data)
        assert b"9" * 30 not in data
        return "fine"

    hunt = Hunt(Target("answers", fragile), Random(1))
    hunt.run(seconds=0.0)
    assert (hunt.executions, len(hunt.pool)) == (len(hunt.target.corpus), len(hunt.target.corpus))
    for _ in range(2):
        assert not hunt.take(b"200\n" + b"9" * 40)
    [finding] = hunt.findings.values()
    assert finding.data == seen[-1]
    told = figures(hunt)
    assert (told["target"], told["findings"]) == ("answers", 1)
    assert told["executions"] == hunt.executions
    assert json.dumps(told)


def test_what_is_found_can_be_tried_again_from_its_file(tmp_path: Path) -> None:
    finding = tried(lambda data: str(1 // (data[0] - 7)), b"\x07", Counter())
    assert finding is not None
    assert finding.what.startswith("ZeroDivisionError")
    path = tmp_path / finding.name
    path.write_text(finding.data.hex())
    assert input_in(path) == b"\x07"


def test_the_trace_tells_two_ways_through_the_code_apart() -> None:
    answers = TARGETS["answers"]
    with edges_seen() as short:
        answers.try_one(b"200\n")
    with edges_seen() as long:
        answers.try_one(b'200\n{"errno":0,"data":[{"version":"1","package_id":7}]}')
    assert short
    assert long - short
