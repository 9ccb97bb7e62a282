"""A katrio client that uses nothing of katrio's: pynng and msgpack alone, as docs/protocol.md tells.

Usage: python client.py ipc:///path/of/server. It makes a sandbox and a container, runs a program in it, reads 1 MiB of
its output under credit, cancels an ask, and gets an error. For whoever writes a client in another language: it is
short and blocking, and has one ask in flight beside its streams. Prints one JSON object.
"""

import json
import os
import sys

import msgpack
import pynng

DATA, HELLO, PING, PONG, BYE = range(5)
CREDIT = 32  # un-acked frames with messages, per direction
CHUNK_COST = 64  # charged for each chunk besides its bytes
WINDOW = 64 * 1024


class Failure(Exception):
    """The server's answer is an error; `code` is for programs."""

    def __init__(self, code, message, details):
        super().__init__(message)
        self.code, self.details = code, details


class Client:
    """One link. Envelopes of other asks that arrive while one is waited for are kept in `others`."""

    def __init__(self, address, name):
        self.socket = pynng.Socket(opener=pynng.nng.lib.nng_req0_open_raw, recv_timeout=30_000)
        self.socket.recv_max_size = 128 * 1024
        self.socket.reconnect_time_min = 3_600_000  # a link that broke is not dialled again behind our back
        self.socket.dial(address, block=True)
        self.unacked = self.owed = self.counter = 0
        self.inbox, self.others = [], []
        self.send_frame(HELLO, [b"katrio/1"])
        kind, _, messages = self.receive_frame()
        assert (kind, messages) == (HELLO, [b"katrio/1"]), "another version of the frames"
        # the epoch grows with each start of the client `name`
        self.send("hello", [1], name, 1, 1)
        tag, *told = self.receive()
        if tag != "welcome":
            raise ConnectionError(f"the server says {tag}: {told}")
        self.version, self.server, self.asks_in_flight, self.message_bytes = told[:4]

    # frames

    def send_frame(self, kind, messages):
        # the request id that a raw REQ socket puts before the body
        self.socket.send(b"\x80\0\0\0" + msgpack.packb([kind, self.owed, messages]))
        self.owed = 0

    def receive_frame(self):
        kind, acked, messages = msgpack.unpackb(self.socket.recv())
        self.unacked -= acked
        if kind == DATA and messages:
            self.owed += 1
            if self.owed >= CREDIT // 4:
                self.send_frame(DATA, [])  # acks alone cost no credit
        elif kind == PING:
            self.send_frame(PONG, [])
        elif kind == BYE:
            raise ConnectionError("the server said goodbye")
        return kind, acked, messages

    # envelopes

    def send(self, *envelope):
        while self.unacked >= CREDIT:
            self.inbox += self.receive_frame()[2]
        self.unacked += 1
        self.send_frame(DATA, [msgpack.packb(envelope)])

    def receive(self):
        while not self.inbox:
            self.inbox += self.receive_frame()[2]
        return msgpack.unpackb(self.inbox.pop(0))

    # asks

    def start(self, to, verb, args, budget_ms=60_000, window=0):
        self.counter += 1
        # the watermark: every answer before this ask's has come or is not wanted
        self.send("ask", self.counter, to, verb, args, budget_ms, self.counter, window)
        return self.counter

    def answer(self, counter, on_chunk=None):
        while True:
            envelope = self.receive()
            tag, about = envelope[:2]
            if about != counter:
                self.others.append(envelope)
            elif tag == "chunk":
                on_chunk(*envelope[2:4])
            elif tag == "reply":
                return envelope[2]
            elif tag == "failure":
                raise Failure(*envelope[2:5])

    def ask(self, to, verb, args):
        return self.answer(self.start(to, verb, args))

    def read(self, to, verb, args):
        """A stream of bytes to its end; credit is given back for what was taken."""
        counter = self.start(to, verb, args, budget_ms=None, window=WINDOW)
        data, due = bytearray(), 0

        def take(offset, piece):
            nonlocal due
            assert offset == len(data), "a gap"
            data.extend(piece)
            due += len(piece) + CHUNK_COST
            if due >= WINDOW // 4:
                self.send("credit", counter, due)
                due = 0

        self.answer(counter, take)
        return bytes(data)

    def close(self):
        self.send("goodbye", "", "done")
        self.send_frame(BYE, [])
        # nng says nothing when the server closes instead of answering
        self.socket.recv_timeout = 500
        try:
            while True:
                self.receive_frame()
        except (ConnectionError, pynng.Closed, pynng.Timeout):
            self.socket.close()


def main(address):
    client = Client(address, f"example-{os.getpid()}")
    seen = {"server": client.server, "version": client.version}
    box = client.ask("", "create_sandbox", {"id": "box"})["address"]
    client.ask(box, "start", {})
    spec = {"process": {"args": ["sleep", "1000"]}}
    web = client.ask(box, "create_container", {"id": "web", "spec": spec})["address"]
    client.ask(web, "start", {})

    line = "head -c 1048576 /dev/zero | tr '\\0' x; exit 7"
    client.ask(web, "exec", {"id": "job", "process": {"args": ["sh", "-c", line]}})
    output = client.read(web, "read_stdout", {"process": "job"})
    seen["bytes"], seen["all_x"] = len(output), set(output) == {ord("x")}
    seen["exit"] = client.ask(web, "wait", {"process": "job"})["code"]

    waiting = client.start(web, "wait", {"process": ""}, budget_ms=None)
    client.send("cancel", waiting)
    seen["state"] = client.ask(web, "info", {})["state"]
    try:
        client.ask(web, "start", {})
    except Failure as failure:
        seen["error"], seen["details"] = failure.code, failure.details

    client.ask(web, "stop", {"signal": 9})
    client.ask(box, "stop", {})
    client.ask(box, "delete", {})
    # nothing answers a cancel, and a cancelled ask is not answered either
    seen["unexpected"] = client.others
    client.close()
    print(json.dumps(seen))


if __name__ == "__main__":
    main(sys.argv[1])
