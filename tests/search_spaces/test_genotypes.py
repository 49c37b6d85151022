"""Genotypes on random conditional spaces, on the Once-for-All space, and what bad input gets."""

import json
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from search_spaces.decision import Condition, Decision, Option
from search_spaces.genotypes import GenotypeSpace

OPTIONS: tuple[tuple[Option, ...], ...] = (
    (3, 5, 7),
    ("relu", "hswish"),
    (False, True),
    (0.5,),
    (2, 2.5, "all", True),
)


@st.composite
def spaces(draw: st.DrawFn) -> GenotypeSpace:
    """Up to seven decisions in shuffled columns, each with up to three conditions on earlier ones."""
    made: list[Decision] = []
    for number in range(draw(st.integers(1, 7))):
        conditions = []
        for parent in draw(st.lists(st.sampled_from(made), max_size=3, unique=True)) if made else []:
            allowed = draw(st.lists(st.sampled_from(parent.options), min_size=1, unique=True))
            conditions.append(Condition(parent.name, tuple(allowed)))
        made.append(Decision(f"d{number}", draw(st.sampled_from(OPTIONS)), tuple(conditions)))
    order = draw(st.permutations(made))
    try:
        return GenotypeSpace(order)
    except ValueError:  # the only fault these can have is conditions that exclude each other
        with pytest.raises(ValueError, match="can never be active"):
            GenotypeSpace(order)
        return GenotypeSpace([Decision(decision.name, decision.options) for decision in order])


def once_for_all() -> GenotypeSpace:
    """The published Once-for-All MobileNetV3 space: five stages of two to four layers."""
    decisions = []
    for stage in range(5):
        for layer in range(4):
            depth = (Condition(f"depth_{stage}", tuple(d for d in (2, 3, 4) if d > layer)),)
            decisions.append(Decision(f"kernel_{stage}_{layer}", (3, 5, 7), depth))
            decisions.append(Decision(f"expansion_{stage}_{layer}", (3, 4, 6), depth))
        decisions.append(Decision(f"depth_{stage}", (2, 3, 4)))
    return GenotypeSpace([*decisions, Decision("resolution", tuple(range(128, 228, 4)))])


def slow_active(space: GenotypeSpace, row: np.ndarray, column: int) -> bool:
    """The definition of activity, written down naively: every condition holds on an active parent."""
    for condition in space.decisions[column].active:
        parent = space.names.index(condition.decision)
        chosen = space.decisions[parent].options[row[parent]]
        if not slow_active(space, row, parent) or chosen not in condition.options:
            return False
    return True


@given(spaces(), st.integers(0, 2**32 - 1))
@settings(max_examples=150)
def test_active_follows_the_definition_and_canonical_is_idempotent(space: GenotypeSpace, seed: int) -> None:
    """The compiled mask equals the naive recursion; canonical zeroes the rest and changes no activity."""
    rng = np.random.default_rng(seed)
    raw = rng.integers(0, space.cardinalities, (20, len(space.names))).astype(np.int16)
    active = space.active(raw)
    naive = [[slow_active(space, row, column) for column in range(len(space.names))] for row in raw]
    np.testing.assert_array_equal(active, naive)
    canonical = space.canonical(raw)
    assert canonical.dtype == np.int16
    np.testing.assert_array_equal(canonical, np.where(active, raw, 0))
    np.testing.assert_array_equal(space.canonical(canonical), canonical)
    np.testing.assert_array_equal(space.active(canonical), active)


@given(spaces())
@settings(max_examples=150)
def test_size_is_the_number_of_enumerated_genotypes_and_all_decisions_are_reached(
    space: GenotypeSpace,
) -> None:
    """The count agrees with listing; rows are distinct, canonical, sorted; every option is reached."""
    rows = space.enumerate()
    assert len(rows) == space.size()
    space.validate(rows)
    np.testing.assert_array_equal(space.canonical(rows), rows)
    assert [tuple(row) for row in rows] == sorted({tuple(row) for row in rows})
    assert space.active(rows).any(axis=0).all()
    assert (space.encode(rows).sum(axis=0) > 0).all()


@given(spaces(), st.integers(0, 2**32 - 1))
@settings(max_examples=100)
def test_enumerate_lists_every_assignment(space: GenotypeSpace, seed: int) -> None:
    """Any sampled, mutated or crossed genotype is in the list."""
    rng = np.random.default_rng(seed)
    known = set(space.keys(space.enumerate()).tolist())
    sample = space.sample(50, rng)
    mutants = space.mutate(sample, rng)
    children = space.crossover(sample, mutants, rng)
    for rows in (sample, mutants, children):
        space.validate(rows)
        assert set(space.keys(rows).tolist()) <= known


@given(spaces(), st.integers(0, 2**32 - 1))
@settings(max_examples=100)
def test_choices_and_encoding_round_trip(space: GenotypeSpace, seed: int) -> None:
    """Choices survive JSON and give the row back; the encoding has a one per active decision, in place."""
    rows = space.sample(10, np.random.default_rng(seed))
    encoded = space.encode(rows)
    assert encoded.shape == (10, sum(space.cardinalities))
    assert encoded.dtype == np.float32
    starts = np.cumsum(space.cardinalities) - space.cardinalities
    for row, code, active in zip(rows, encoded, space.active(rows), strict=True):
        choices = space.choices(row)
        np.testing.assert_array_equal(space.genotype(json.loads(json.dumps(choices))), row)
        assert list(choices) == [name for name, matters in zip(space.names, active, strict=True) if matters]
        np.testing.assert_array_equal(np.flatnonzero(code), (starts + row)[active])
        assert set(code) <= {0.0, 1.0}


@given(spaces(), st.integers(0, 2**32 - 1), st.none() | st.floats(0, 1))
@settings(max_examples=150)
def test_mutation_changes_an_active_decision_whenever_there_is_a_choice(
    space: GenotypeSpace, seed: int, rate: float | None
) -> None:
    """Every row with a choice becomes another genotype, for every rate."""
    rng = np.random.default_rng(seed)
    rows = space.sample(30, rng)
    mutants = space.mutate(rows, rng, rate)
    choice = (space.active(rows) & (space.cardinalities > 1)).any(axis=1)
    np.testing.assert_array_equal((mutants != rows).any(axis=1), choice)
    np.testing.assert_array_equal(space.canonical(mutants), mutants)


@given(spaces(), st.integers(0, 2**32 - 1))
@settings(max_examples=100)
def test_crossover_takes_active_decisions_from_a_parent(space: GenotypeSpace, seed: int) -> None:
    """What is active in the child and in a parent comes from a parent in which it was active."""
    rng = np.random.default_rng(seed)
    first, second = space.sample(30, rng), space.sample(30, rng)
    child = space.crossover(first, second, rng)
    in_first, in_second = space.active(first), space.active(second)
    inherited = (in_first & (child == first)) | (in_second & (child == second))
    assert (inherited | ~space.active(child) | ~(in_first | in_second)).all()
    np.testing.assert_array_equal(space.crossover(first, first, rng), first)


def test_once_for_all_size_is_the_published_one() -> None:
    """(9^2 + 9^3 + 9^4)^5 subnets at 25 resolutions, counted at once."""
    space = once_for_all()
    started = time.perf_counter()
    assert space.size() == (9**2 + 9**3 + 9**4) ** 5 * 25
    assert time.perf_counter() - started < 5
    with pytest.raises(ValueError, match="at most 1000000 are enumerated"):
        space.enumerate()


def test_size_of_a_long_chain() -> None:
    """Layers of which each needs the one before: 1 stop + 2 kinds to go on, a hundred deep."""
    chain = [Decision("layer_0", ("stop", "a", "b"))]
    for layer in range(1, 100):
        chain.append(Decision(f"layer_{layer}", ("stop", "a", "b"), (Condition(f"layer_{layer - 1}", ("a", "b")),)))
    assert GenotypeSpace(chain[::-1]).size() == sum(2**length for length in range(100)) + 2**100


def test_samples_are_uniform_over_options_and_mutation_changes_one_on_average() -> None:
    """Frequencies of the options and the mean number of changes, at 20,000 rows."""
    space = GenotypeSpace([Decision(f"d{column}", (0, 1, 2, 3)) for column in range(10)])
    rng = np.random.default_rng(5)
    rows = space.sample(20_000, rng)
    shares = space.encode(rows).mean(axis=0)
    np.testing.assert_allclose(shares, 0.25, atol=0.02)
    changes = (space.mutate(rows, rng) != rows).sum(axis=1)
    assert changes.min() == 1
    assert changes.mean() == pytest.approx(1 + 0.9**10, abs=0.05)
    assert (space.mutate(rows, rng, 1.0) != rows).all()
    assert ((space.mutate(rows, rng, 0.0) != rows).sum(axis=1) == 1).all()
    moved = space.mutate(np.zeros((20_000, 10), np.int16), rng, 1.0)
    np.testing.assert_allclose([(moved == option).mean() for option in (1, 2, 3)], 1 / 3, atol=0.02)


def test_newly_active_decisions_are_drawn_and_not_left_at_the_first_option() -> None:
    """A layer that a mutation or a crossover adds may get any kernel."""
    space = GenotypeSpace(
        [Decision("kernel", (3, 5, 7), (Condition("deep", (True,)),)), Decision("deep", (False, True))]
    )
    rng = np.random.default_rng(0)
    grown = space.mutate(np.zeros((3_000, 2), np.int16), rng)
    np.testing.assert_allclose(space.encode(grown)[:, :3].mean(axis=0), 1 / 3, atol=0.05)
    shallow, deep = np.zeros((3_000, 2), np.int16), np.tile(np.array([2, 1], np.int16), (3_000, 1))
    children = space.crossover(shallow, deep, rng)
    assert set(map(tuple, children.tolist())) == {(0, 0), (2, 1)}


def test_empty_populations_pass_through() -> None:
    """Zero rows in, zero rows out."""
    space = once_for_all()
    none = space.sample(0, np.random.default_rng(0))
    rng = np.random.default_rng(0)
    assert none.shape == space.mutate(none, rng).shape == space.crossover(none, none, rng).shape == (0, 46)
    assert space.encode(none).shape == (0, 160)
    assert space.keys(none).tolist() == []
    space.validate(none)


@pytest.mark.parametrize(
    "decisions, message",
    [
        ([], "at least one decision"),
        ([Decision("a", (1, 2)), Decision("a", (1,))], "'a' is given twice"),
        (
            [Decision("a", (1, 2), (Condition("z", (1,)),))],
            "'a' is conditional on an unknown decision 'z'; known: a",
        ),
        (
            [Decision("a", (1, 2)), Decision("b", (1,), (Condition("a", (9,)),))],
            r"'b' is conditional on option 9 of decision 'a'; allowed: \[1, 2\]",
        ),
        ([Decision("a", (1,), (Condition("a", (1,)),))], r"cycle among \['a'\]"),
        (
            [
                Decision("a", (1,), (Condition("b", (1,)),)),
                Decision("b", (1,), (Condition("a", (1,)),)),
                Decision("c", (1,)),
            ],
            r"cycle among \['a', 'b'\]",
        ),
        (
            [
                Decision("a", (1, 2)),
                Decision("b", (1,), (Condition("a", (1,)),)),
                Decision("c", (1,), (Condition("b", (1,)), Condition("a", (2,)))),
            ],
            "'c' can never be active: its conditions leave no option for decision 'a'",
        ),
        ([Decision("a", tuple(range(40_000)))], "40000 options; at most 32767"),
    ],
)
def test_impossible_spaces_are_refused(decisions: list[Decision], message: str) -> None:
    """The error names the decision, what was given and what is allowed."""
    with pytest.raises(ValueError, match=message):
        GenotypeSpace(decisions)


@pytest.mark.parametrize(
    "population, message",
    [
        (np.zeros((2, 46)), r"int16 array of option indices \(got float64\)"),
        ([[0] * 46], r"int16 array of option indices \(got list\)"),
        (np.zeros((2, 3), np.int16), r"shape \(n, 46\).*got \(2, 3\)"),
        (np.zeros(46, np.int16), r"shape \(n, 46\).*got \(46,\)"),
        (
            np.pad(np.zeros((1, 45), np.int16), [(3, 0), (1, 0)], constant_values=3)[:, :46],
            r"row 0, decision 'kernel_0_0': option index 3 is outside 0..2 \(options: \[3, 5, 7\]\)",
        ),
        (np.full((1, 46), -1, np.int16), "row 0, decision 'kernel_0_0': option index -1 is outside"),
    ],
)
def test_wrong_populations_are_refused(population: object, message: str) -> None:
    """Length, type and range, with the place."""
    with pytest.raises(ValueError, match=message):
        once_for_all().validate(population)


@pytest.mark.parametrize(
    "choices, message",
    [
        ({"colour": 1}, "unknown decision 'colour'; known: kernel, deep"),
        ({}, r"'deep' has no choice; allowed: \[False, True\]"),
        ({"deep": 1}, r"'deep' has no option 1; allowed: \[False, True\]"),
        ({"deep": [True]}, r"'deep' has no option \[True\]"),
        ({"deep": True}, r"'kernel' has no choice; allowed: \[3, 5\]"),
        ({"deep": True, "kernel": 4}, r"'kernel' has no option 4; allowed: \[3, 5\]"),
        ({"deep": False, "kernel": 3}, r"'kernel' is not active .*got 3.*; it needs deep in \[True\]"),
    ],
)
def test_wrong_choices_are_refused(choices: dict[str, object], message: str) -> None:
    """The error names the decision, what was given and what is allowed."""
    space = GenotypeSpace([Decision("kernel", (3, 5), (Condition("deep", (True,)),)), Decision("deep", (False, True))])
    with pytest.raises(ValueError, match=message):
        space.genotype(choices)


def test_a_wrong_row_has_no_choices_and_a_wrong_rate_no_mutants() -> None:
    """Both are refused with what was given."""
    space = once_for_all()
    with pytest.raises(ValueError, match="option index 9"):
        space.choices(np.full(46, 9, np.int16))
    with pytest.raises(ValueError, match=r"must be in \[0, 1\] \(got 1.5\)"):
        space.mutate(np.zeros((1, 46), np.int16), np.random.default_rng(0), 1.5)
    with pytest.raises(ValueError, match=r"one shape \(got \(1, 46\) and \(2, 46\)\)"):
        space.crossover(np.zeros((1, 46), np.int16), np.zeros((2, 46), np.int16), np.random.default_rng(0))
