import asyncio

from personaplug.serving.api.timeouts import Timeouts, protocol
from personaplug.serving.api.whole_writes import WholeWrites


class Kept(asyncio.Transport):
    """A transport that keeps what is sent."""

    def __init__(self):
        super().__init__({"peername": ("127.0.0.1", 1), "sockname": ("127.0.0.1", 2)})
        self.sent, self.is_closed = [], False

    def write(self, data):
        self.sent.append(bytes(data))

    def close(self):
        self.is_closed = True

    def is_closing(self):
        return self.is_closed


async def written(*turns, closes=False):
    transport = Kept()
    whole = WholeWrites(transport, loop=asyncio.get_running_loop())
    for turn in turns:
        for data in turn:
            whole.write(data)
        if closes:
            whole.close()
        await asyncio.sleep(0)
    return transport.sent


def test_what_is_written_in_one_turn_is_sent_at_once_and_in_order():
    assert asyncio.run(written([b"head", b"body", b""], [b"more"])) == [b"headbody", b"more"]


def test_what_was_written_before_a_connection_is_closed_is_sent_first_and_once():
    assert asyncio.run(written([b"head", b"body"], closes=True)) == [b"headbody"]


def test_an_answers_head_and_body_leave_together():
    async def answer(_, __, send):
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"4")]})
        await send({"type": "http.response.body", "body": b"told"})

    async def asked():
        from uvicorn import Config
        from uvicorn.server import ServerState

        config, transport = Config(answer, log_config=None, lifespan="off"), Kept()
        config.load()
        made = protocol(Timeouts(head_seconds=9, write_seconds=9, connections=9))
        connection = made(config=config, server_state=ServerState(), app_state={})
        connection.connection_made(transport)
        connection.data_received(b"GET / HTTP/1.1\r\nHost: here\r\n\r\n")
        for _ in range(20):
            await asyncio.sleep(0)
        connection.connection_lost(None)
        return transport.sent

    (sent,) = asyncio.run(asked())
    assert sent.startswith(b"HTTP/1.1 200")
    assert sent.endswith(b"\r\n\r\ntold")
