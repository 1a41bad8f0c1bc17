"""Watch streams of a large cluster: how much may wait to be sent."""

from __future__ import annotations

import asyncio

from lab.api import options, selectors
from lab.api.negotiate import Form
from lab.api.store import Store
from lab.api.watch import QUEUE_LIMIT, Stream, WatchRequest
from lab.grouping import Index
from lab.kinds import CONFIG_MAP


def test_a_watch_from_nowhere_shows_all_there_is_however_much() -> None:
    """Only who lags behind changes is cut off, and has told nothing wrong until then."""
    store = Store()
    for number in range(QUEUE_LIMIT + 10):
        store.put(CONFIG_MAP, {"metadata": {"name": f"{number:05d}", "namespace": "demo"}})
    everything = selectors.parse(CONFIG_MAP, "", "")
    asked = options.list_options({"timeoutSeconds": "1"}, watch=True)
    stream = Stream(store, WatchRequest(CONFIG_MAP, "", everything, Form(), "", asked))

    async def first() -> bytes:
        return await anext(stream.chunks())

    assert asyncio.run(first()).count(b'"type":"ADDED"') == QUEUE_LIMIT + 10


def test_an_index_of_the_store_follows_its_writes() -> None:
    store = Store()
    by_colour = Index(CONFIG_MAP, lambda body: (body["data"]["colour"],))

    def names(colour: str) -> list[str]:
        return [body["metadata"]["name"] for body in store.among(by_colour, colour)]

    def put(colour: str) -> None:
        store.put(CONFIG_MAP, {"metadata": {"name": "a", "namespace": "demo"}, "data": {"colour": colour}})

    put("red")
    assert (names("red"), names("blue")) == (["a"], [])
    put("blue")
    assert (names("red"), names("blue")) == ([], ["a"])
    stored = store.get(CONFIG_MAP, "demo", "a")
    assert stored is not None
    store.remove(stored, stored.body)
    assert names("blue") == []
