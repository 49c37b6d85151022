"""Leases of a browser: what is lost is handed out again, and counts once."""

import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

import profilers.browser_lobby
import profilers.joined_browser
from profilers.browser_lobby import MAX_GUESSES, JoinRefused, Lobby
from profilers.cancellation import Cancellation
from profilers.errors import DeviceLost, DeviceRefused, ProfilingFailed
from profilers.frames import Frame
from profilers.joined_browser import JoinedBrowser, LeaseOver, NotJoined, Task
from profilers.limits import Limits

FACTS = {"cores": 2, "isolated": True, "gpu": ""}
ANSWER = Frame({"event": "measured"}, b"")
WAIT_S = 20.0


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    """Threads for those who wait."""
    with ThreadPoolExecutor(4) as threads:
        yield threads


@pytest.fixture
def browser() -> JoinedBrowser:
    """A browser without a page."""
    return JoinedBrowser("phone")


def measured(pool: ThreadPoolExecutor, browser: JoinedBrowser, **limits: float) -> Future[Frame]:
    """What will come of a task."""
    return pool.submit(browser.measure, Task({}, b"model", Limits(**limits), FACTS), Cancellation())


def test_a_task_and_its_answer(pool: ThreadPoolExecutor, browser: JoinedBrowser) -> None:
    """The page takes a task, shows signs of life, and answers."""
    key = browser.join(FACTS)
    future = measured(pool, browser)
    lease = browser.take(key, WAIT_S)
    assert lease is not None
    assert browser.content(key, lease.identity) == b"model"
    assert browser.watch(key, lease.identity, True, 0.01) is False
    browser.finish(key, lease.identity, ANSWER)
    assert future.result() is ANSWER
    assert browser.watch(key, lease.identity, True, 0) is True
    assert browser.take(key, 0) is None


def test_answers_count_once(pool: ThreadPoolExecutor, browser: JoinedBrowser) -> None:
    """A page that joins anew gets the same task under another lease; what the first one says does not count."""
    first = browser.join(FACTS)
    future = measured(pool, browser)
    held = browser.take(first, WAIT_S)
    second = browser.join(FACTS)
    again = browser.take(second, WAIT_S)
    assert held is not None
    assert again is not None
    assert (again.task is held.task, again.identity != held.identity) == (True, True)
    with pytest.raises(NotJoined):
        browser.finish(first, held.identity, ANSWER)
    with pytest.raises(LeaseOver):
        browser.finish(second, held.identity, ANSWER)
    assert not future.done()
    browser.finish(second, again.identity, ANSWER)
    with pytest.raises(LeaseOver):
        browser.finish(second, again.identity, ANSWER)
    assert future.result() is ANSWER


def test_handed_back(pool: ThreadPoolExecutor, browser: JoinedBrowser) -> None:
    """A page that is hidden or closed hands its task back without blame, however often."""
    key = browser.join(FACTS)
    future = measured(pool, browser)
    for _ in range(5):
        lease = browser.take(key, WAIT_S)
        assert lease is not None
        browser.give_back(key, lease.identity)
    lease = browser.take(key, WAIT_S)
    browser.leave(key)
    key = browser.join(FACTS)
    lease = browser.take(key, WAIT_S)
    assert lease is not None
    browser.finish(key, lease.identity, ANSWER)
    assert future.result() is ANSWER


def test_silence_ends_a_lease(
    pool: ThreadPoolExecutor, browser: JoinedBrowser, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A browser that says nothing loses its task; after three times, the model is blamed."""
    monkeypatch.setattr(profilers.joined_browser, "SILENCE_S", 0.05)
    key = browser.join(FACTS)
    future = measured(pool, browser)
    for _ in range(3):
        lease = browser.take(key, WAIT_S)  # hands out what was lost
        assert lease is not None
        for _ in range(100):
            if browser.watch(key, lease.identity, True, 0) or future.done():
                break
            threading.Event().wait(0.4)
    with pytest.raises(ProfilingFailed, match="lost 3 times while it had the model") as failed:
        future.result()
    assert failed.value.reason == "crash"


def test_browser_that_stays_away(
    pool: ThreadPoolExecutor, browser: JoinedBrowser, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After the stated time the device is lost, which says nothing about the model."""
    monkeypatch.setattr(profilers.joined_browser, "AWAY_S", 0.1)
    browser.join(FACTS)
    with pytest.raises(DeviceLost, match=r"browser 'phone' was silent for 0.1 s: open the page there") as lost:
        measured(pool, browser).result()
    assert lost.value.reason == "lost"


def test_another_browser(pool: ThreadPoolExecutor, browser: JoinedBrowser) -> None:
    """One that takes the name of another gets none of its tasks: they would be of two devices."""
    key = browser.join(FACTS)
    future = measured(pool, browser)
    assert browser.take(key, WAIT_S) is not None
    key = browser.join({**FACTS, "cores": 8})
    assert browser.take(key, 0) is None
    with pytest.raises(DeviceLost, match="browser 'phone' is another one than before: cores was 2 and is 8") as lost:
        future.result()
    assert lost.value.reason == "changed"


def test_page_that_hangs(pool: ThreadPoolExecutor, browser: JoinedBrowser, monkeypatch: pytest.MonkeyPatch) -> None:
    """A page that shows signs of life and never answers is stopped a little after the limit, and told so."""
    monkeypatch.setattr(profilers.joined_browser, "GRACE_S", 0.0)
    key = browser.join(FACTS)
    future = measured(pool, browser, wall_s=0.05)
    lease = browser.take(key, WAIT_S)
    assert lease is not None
    assert browser.watch(key, lease.identity, True, WAIT_S) is True
    with pytest.raises(ProfilingFailed, match=r"did not end within 0.05 s") as failed:
        future.result()
    assert failed.value.reason == "wall_clock"


def test_one_after_the_other(pool: ThreadPoolExecutor, browser: JoinedBrowser) -> None:
    """Tasks come in their order; one that waits for too long fails, and one that is cancelled never comes."""
    key = browser.join(FACTS)
    first = measured(pool, browser)
    lease = browser.take(key, WAIT_S)
    assert lease is not None
    with pytest.raises(ProfilingFailed, match=r"busy with other measurements for 0.01 s") as failed:
        measured(pool, browser, queue_s=0.01).result()
    assert failed.value.reason == "queue"
    cancellation = Cancellation()
    third = pool.submit(browser.measure, Task({}, b"", Limits(), FACTS), cancellation)
    cancellation.cancel()
    with pytest.raises(ProfilingFailed, match="cancelled"):
        third.result()
    browser.finish(key, lease.identity, ANSWER)
    assert first.result() is ANSWER
    assert browser.take(key, 0) is None


def test_guessing_is_slowed_down(monkeypatch: pytest.MonkeyPatch) -> None:
    """After ten wrong codes not even the right one is heard, for a while."""
    lobby = Lobby("SECRET42")
    for _ in range(MAX_GUESSES):
        with pytest.raises(JoinRefused, match="not the code"):
            lobby.join("SECRET43", "phone", FACTS)
    with pytest.raises(JoinRefused, match="too many wrong codes; wait 60 s"):
        lobby.join("SECRET42", "phone", FACTS)
    monkeypatch.setattr(profilers.browser_lobby, "GUESSING_S", 0.0)
    assert lobby.speaker(lobby.join("secr-et42", "phone", FACTS)).name == "phone"
    with pytest.raises(NotJoined):
        lobby.speaker("")


def test_lobby_is_finite(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only so many browsers join; who has been silent for long makes room."""
    monkeypatch.setattr(profilers.browser_lobby, "MAX_BROWSERS", 2)
    lobby = Lobby("SECRET42")
    lobby.join("SECRET42", "one", FACTS)
    lobby.join("SECRET42", "two", FACTS)
    with pytest.raises(JoinRefused, match="2 devices are there already"):
        lobby.join("SECRET42", "three", FACTS)
    monkeypatch.setattr(profilers.browser_lobby, "AWAY_S", 0.0)
    lobby.join("SECRET42", "three", FACTS)
    with pytest.raises(JoinRefused, match="a device named 'three' is there already"):
        lobby.join("SECRET42", "three", FACTS)
    with pytest.raises(DeviceRefused, match="6 to 64 letters and digits"):
        Lobby("short")
