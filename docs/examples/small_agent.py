"""The smallest kata agent that is one: containers are plain child processes of this one, without any isolation.

    python docs/examples/small_agent.py /run/user/0/small.sock

For docs/write-your-own-agent.md, which says what it leaves out. Run it as nobody that matters: whoever reaches its socket
runs what he likes, as you. Not a guest to run containers with: that is `katrio guest`.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import suppress
from functools import partial

import trio

from actors.schemas import agent as api
from actors.schemas.rpcs import RPCS, SchemaError, decode_request, encode_response
from transports.errors import RpcStatusError, StatusCode
from transports.stream import serve_unix
from transports.ttrpc.server import TtrpcServer


def refuse(code, text):
    return RpcStatusError(code, text, ())


class Process:
    """One process: created, then running, then ended. Its exit code and its output stay until its container is removed."""

    def __init__(self, asked):
        if asked.terminal:
            raise refuse(StatusCode.UNIMPLEMENTED, "there are no terminals here")
        self.asked = asked
        self.child = None
        self.claimed = False
        self.killed_before_start = False
        self.started = trio.Event()
        self.turns = {"stdout": trio.Lock(), "stderr": trio.Lock(), "stdin": trio.Lock()}

    async def start(self):
        env = dict(entry.partition("=")[::2] for entry in self.asked.env)
        try:
            self.child = await trio.lowlevel.open_process(
                list(self.asked.args),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                cwd=self.asked.cwd or "/",
                env=env,
                start_new_session=True,
            )
        except OSError as error:
            raise refuse(StatusCode.INVALID_ARGUMENT, f"{self.asked.args[0]}: {error.strerror}") from error
        self.started.set()

    async def wait(self):
        await self.started.wait()
        if self.killed_before_start:
            return 128 + signal.SIGKILL
        code = await self.child.wait()
        # the kernel's number for death by a signal, as every shell tells it
        return 128 - code if code < 0 else code

    @property
    def ended(self):
        return self.killed_before_start or (self.child is not None and self.child.poll() is not None)

    def signal(self, number):
        if self.ended:
            return  # a signal that comes too late is no failure
        if self.child is not None:
            self.child.send_signal(number)
        elif number == signal.SIGKILL:
            self.killed_before_start = True
            self.started.set()

    def kill(self):
        """With all that it has started: children in the background hold its output."""
        self.signal(signal.SIGKILL)
        if self.child is not None:
            with suppress(ProcessLookupError):
                os.killpg(self.child.pid, signal.SIGKILL)

    async def read(self, name, size):
        await self.started.wait()
        if self.child is None:
            return b""
        async with self.turns[name]:  # one reader at a time, so that nobody's bytes are torn
            try:
                return bytes(await getattr(self.child, name).receive_some(min(size or 65536, 65536)))
            except trio.ClosedResourceError:
                return b""

    async def write(self, data):
        await self.started.wait()
        if self.child is None:
            return 0
        async with self.turns["stdin"]:
            try:
                await self.child.stdin.send_all(data)
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                return 0
        return len(data)

    async def close(self, *names):
        for name in names:
            if self.child is not None:
                await getattr(self.child, name).aclose()


class SmallAgent:
    """Containers by id; each has its processes by id, and its init has its own."""

    def __init__(self):
        self.sandbox = None
        self.containers = {}

    def process(self, request):
        container = self.containers.get(request.container_id)
        if container is None:
            raise refuse(StatusCode.NOT_FOUND, f"container {request.container_id!r}: no such container")
        found = container.get(request.exec_id or request.container_id)
        if found is None:
            raise refuse(StatusCode.NOT_FOUND, f"process {request.exec_id!r}: no such process")
        return found

    def init(self, request):
        return self.process(api.WaitProcessRequest(container_id=request.container_id))

    # who it is

    async def check(self, _):
        return api.HealthCheckResponse(status=1)

    async def version(self, _):
        return api.VersionCheckResponse(grpc_version="0.0.1", agent_version="small 1.0")

    # the sandbox and its containers

    async def create_sandbox(self, request):
        if self.sandbox is not None:
            raise refuse(StatusCode.ALREADY_EXISTS, "there is a sandbox already")
        self.sandbox = request.sandbox_id
        return api.Empty()

    async def destroy_sandbox(self, _):
        # first, so that a create that is under way can't slip in behind
        self.sandbox = None
        for container in list(self.containers):
            # another call may have removed it meanwhile
            if container in self.containers:
                await self.remove_container(api.RemoveContainerRequest(container_id=container))
        return api.Empty()

    async def create_container(self, request):
        if self.sandbox is None:
            raise refuse(StatusCode.FAILED_PRECONDITION, "there is no sandbox; create one first")
        if request.OCI is None or request.OCI.process is None or not request.OCI.process.args:
            raise refuse(StatusCode.INVALID_ARGUMENT, "OCI.Process with its Args is needed")
        if not request.container_id or "/" in request.container_id:
            raise refuse(StatusCode.INVALID_ARGUMENT, f"container id {request.container_id!r}")
        if request.container_id in self.containers:
            raise refuse(StatusCode.ALREADY_EXISTS, f"container {request.container_id!r} exists")
        self.containers[request.container_id] = {request.container_id: Process(request.OCI.process)}
        return api.Empty()

    async def start_container(self, request):
        init = self.init(request)
        if init.claimed or init.ended:
            raise refuse(
                StatusCode.FAILED_PRECONDITION, f"container {request.container_id!r} was started, or has ended"
            )
        # before anything is waited for: of two starts at once one is refused
        init.claimed = True
        await init.start()
        return api.Empty()

    async def remove_container(self, request):
        self.init(request)
        # no longer there for anybody, before anything is waited for
        for process in self.containers.pop(request.container_id).values():
            process.kill()
            await process.wait()
        return api.Empty()

    # processes

    async def exec_process(self, request):
        init = self.init(request)
        container = self.containers[request.container_id]
        if init.ended:
            raise refuse(StatusCode.FAILED_PRECONDITION, f"container {request.container_id!r} has ended")
        if request.process is None or not request.process.args or not request.exec_id:
            raise refuse(StatusCode.INVALID_ARGUMENT, "exec_id and process with its Args are needed")
        if request.exec_id in container:
            raise refuse(StatusCode.ALREADY_EXISTS, f"process {request.exec_id!r} exists")
        # its id is taken before anything is waited for
        process = container[request.exec_id] = Process(request.process)
        try:
            await process.start()
        except BaseException:
            del container[request.exec_id]
            raise
        return api.Empty()

    async def signal_process(self, request):
        if not 0 < request.signal <= 64:
            raise refuse(StatusCode.INVALID_ARGUMENT, f"signal {request.signal}")
        process = self.process(request)
        if not request.exec_id and request.signal == signal.SIGKILL:
            for each in self.containers[request.container_id].values():
                each.kill()
        else:
            process.signal(request.signal)
        return api.Empty()

    async def wait_process(self, request):
        return api.WaitProcessResponse(status=await self.process(request).wait())

    async def read_stdout(self, request):
        return api.ReadStreamResponse(data=await self.process(request).read("stdout", request.len))

    async def read_stderr(self, request):
        return api.ReadStreamResponse(data=await self.process(request).read("stderr", request.len))

    async def write_stdin(self, request):
        return api.WriteStreamResponse(len=await self.process(request).write(request.data))

    async def close_stdin(self, request):
        await self.process(request).close("stdin")
        return api.Empty()

    def handlers(self):
        methods = {
            "Check": self.check,
            "Version": self.version,
            "CreateSandbox": self.create_sandbox,
            "DestroySandbox": self.destroy_sandbox,
            "CreateContainer": self.create_container,
            "StartContainer": self.start_container,
            "RemoveContainer": self.remove_container,
            "ExecProcess": self.exec_process,
            "SignalProcess": self.signal_process,
            "WaitProcess": self.wait_process,
            "ReadStdout": self.read_stdout,
            "ReadStderr": self.read_stderr,
            "WriteStdin": self.write_stdin,
            "CloseStdin": self.close_stdin,
        }
        return {(RPCS[name].service, name): partial(answer, RPCS[name], method) for name, method in methods.items()}


async def answer(rpc, method, payload, _context):
    try:
        request = decode_request(rpc, payload)
    except SchemaError as error:
        raise refuse(StatusCode.INVALID_ARGUMENT, f"{rpc.method}: {error}") from error
    return encode_response(rpc, await method(request))


async def main(path):
    agent = SmallAgent()
    server = TtrpcServer(agent.handlers(), on_error=lambda service, method, error: print(method, repr(error)))
    with trio.open_signal_receiver(signal.SIGTERM) as asked_to_end:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(serve_unix, path, server.serve_stream)
            await anext(asked_to_end)
            # its links end, its socket file goes
            nursery.cancel_scope.cancel()
    await agent.destroy_sandbox(api.DestroySandboxRequest())


if __name__ == "__main__":
    # a script's `&` has us ignore ^C, and what we start would inherit that
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGQUIT, signal.SIG_DFL)
    trio.run(main, sys.argv[1])
