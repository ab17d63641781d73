"""What a request is told that the service has no time left for."""

import asyncio

import pytest

from aslspark.serving.ending import Ending

SCOPE = {"type": "http"}


def ended(app):
    """Cancel a request once it waits, as the server does at its end; return what was sent."""
    sent, waits = [], asyncio.Event()

    async def send(message):
        sent.append(message)

    async def run():
        task = asyncio.create_task(Ending(app(waits))(SCOPE, None, send))
        await waits.wait()
        task.cancel()
        await task

    return sent, run


def test_a_request_that_is_given_up_is_told_that_the_service_ends():
    def app(waits):
        async def asked(scope, receive, send):
            waits.set()
            await asyncio.Event().wait()

        return asked

    sent, run = ended(app)
    asyncio.run(run())
    assert [message["type"] for message in sent] == ["http.response.start", "http.response.body"]
    assert (sent[0]["status"], sent[1]["body"]) == (503, b'{"detail":"the service ends"}')
    assert dict(sent[0]["headers"])[b"content-length"] == str(len(sent[1]["body"])).encode()


def test_an_answer_that_has_begun_is_not_followed_by_another():
    def app(waits):
        async def asked(scope, receive, send):
            await send({"type": "http.response.start", "status": 200, "headers": []})
            waits.set()
            await asyncio.Event().wait()

        return asked

    sent, run = ended(app)
    with pytest.raises(asyncio.CancelledError):
        asyncio.run(run())
    assert [message["status"] for message in sent] == [200]
