"""Which replica a request gets."""

import contextlib
import itertools
import random
from collections import Counter

import pytest

from concilium.engine.breaker import FAILURES
from concilium.engine.errors import EngineError
from concilium.engine.messages import Message, image_part
from concilium.engine.replicas import ALWAYS, SPREAD, Replica, Replicas, affinity_key

URLS = [f"http://engine-{n}:8000/v1" for n in range(5)]
SYSTEM: Message = {"role": "system", "content": "You plan. " * 100}


def user(text: str) -> Message:
    return {"role": "user", "content": text}


def key(n: int, model: str = "m") -> bytes:
    return affinity_key(model, [SYSTEM, user(f"conversation {n}")])


def break_down(replica: Replica) -> None:
    for _ in range(FAILURES):
        with contextlib.suppress(EngineError), replica.judged():
            raise EngineError("unreachable", "test")


class Fleet:
    """Replicas with caches that remember every prefix they saw, and requests that stay under way for a while."""

    def __init__(self, replicas: Replicas) -> None:
        self.replicas = replicas
        self.warm: dict[str, set[bytes]] = {}
        self.under_way: list[contextlib.ExitStack] = []
        self.repeats = self.hits = 0
        self.seen: set[bytes] = set()

    def ask(self, wanted: bytes, at_once: int) -> str:
        replica = self.replicas.choose(wanted)
        cache = self.warm.setdefault(replica.url, set())
        if wanted in self.seen:
            self.repeats += 1
            self.hits += wanted in cache
        self.seen.add(wanted)
        cache.add(wanted)
        stack = contextlib.ExitStack()
        stack.enter_context(replica.busy())
        self.under_way.append(stack)
        while len(self.under_way) > at_once:
            self.under_way.pop(0).close()
        return replica.url

    @property
    def share(self) -> float:
        return self.hits / self.repeats


@pytest.mark.parametrize("at_once", [1, 24, 100])
def test_at_least_nine_of_ten_repeats_land_where_their_prefix_is_warm_also_when_a_replica_goes_and_comes_back_cold(
    at_once: int, capsys: pytest.CaptureFixture[str]
) -> None:
    chance = random.Random(1)
    replicas = Replicas(URLS)
    fleet = Fleet(replicas)
    turns = [n for n in range(300) for _ in range(12)]
    chance.shuffle(turns)
    third = len(turns) // 3
    gone = replicas.choose(key(0))
    for at, n in enumerate(turns):
        if at == third:
            break_down(gone)
        if at == 2 * third:
            gone.breaker.succeeded()
            fleet.warm[gone.url] = set()
        url = fleet.ask(key(n), at_once)
        assert url != gone.url or not third <= at < 2 * third
    with capsys.disabled():
        print(f"\nrepeats on a warm prefix, {at_once} at once: {fleet.share:.1%} of {fleet.repeats}")
    assert fleet.share >= 0.9


def test_a_replica_that_goes_moves_its_own_keys_and_no_others() -> None:
    replicas, rest = Replicas(URLS), Replicas(URLS[1:])
    for n in range(400):
        before = replicas.choose(key(n)).url
        assert before == URLS[0] or rest.choose(key(n)).url == before


def test_keys_are_spread_evenly() -> None:
    replicas = Replicas(URLS)
    found = Counter(replicas.choose(key(n)).url for n in range(5000))
    assert max(found.values()) < 1.2 * 1000
    assert min(found.values()) > 0.8 * 1000


def test_no_replica_gets_much_more_than_its_share_even_when_all_ask_the_same() -> None:
    fleet = Fleet(Replicas(URLS))
    found = Counter(fleet.ask(key(1), at_once=1000) for _ in range(200))
    assert max(found.values()) <= SPREAD * 200 / len(URLS) + 1
    assert len(found) > 1


def test_a_few_requests_at_once_with_one_prefix_stay_together() -> None:
    fleet = Fleet(Replicas(URLS))
    assert len({fleet.ask(key(1), at_once=1000) for _ in range(ALWAYS)}) == 1


def test_requests_without_a_prefix_go_to_the_least_loaded() -> None:
    replicas = Replicas(URLS)
    with contextlib.ExitStack() as under_way:
        for _ in URLS:
            under_way.enter_context(replicas.choose(None).busy())
        assert sorted(replica.load for replica in replicas._all) == [1] * len(URLS)


def test_the_turns_of_a_conversation_have_one_key_and_an_adapter_or_another_conversation_another() -> None:
    first = [SYSTEM, user("hello")]
    later: list[Message] = [*first, {"role": "assistant", "content": "yes?"}, user("more")]
    assert affinity_key("m", first) == affinity_key("m", later)
    keys = [
        affinity_key("m", first),
        affinity_key("sport@1.0.0+abc", first),
        affinity_key("m", [user("hello")]),
        affinity_key("m", [SYSTEM, user("hullo")]),
        affinity_key("m", [SYSTEM, {"role": "user", "content": [image_part(b"a", "image/png")]}]),
        affinity_key("m", [SYSTEM, {"role": "user", "content": [image_part(b"b", "image/png")]}]),
    ]
    assert all(a != b for a, b in itertools.combinations(keys, 2))


def test_when_all_are_left_alone_the_error_says_for_how_long() -> None:
    replicas = Replicas(URLS[:2])
    for replica in replicas._all:
        break_down(replica)
    with pytest.raises(
        EngineError, match=r"unreachable: it failed too often just now and is tried again in [45]\.\d s"
    ):
        replicas.choose(key(1))
