"""A proxy on this machine that speaks SOCKS5 and HTTP; whatever host it is asked for, it finds the sandbox."""

import socket
import threading
from base64 import b64encode
from contextlib import suppress
from typing import Self

# What leads to the sandbox through a proxy only; the second is an address that no name has to be looked up for
NAME, ADDRESS = "services.test", "192.0.2.1"


class Proxy:
    """Passes bytes on to `port`; `asked` holds the hosts it was asked for. With a `login`, NAME:PASSWORD, it wants it.

    A client begins SOCKS5 with a byte 5, HTTP with a letter.
    """

    def __init__(self, port: int, login: str = "") -> None:
        self.target, self.login = port, login.encode()
        self.asked: list[str] = []
        self.door = socket.create_server(("127.0.0.1", 0))
        self.place = f"127.0.0.1:{self.door.getsockname()[1]}"

    def __enter__(self) -> Self:
        threading.Thread(target=self.listen, daemon=True).start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.door.close()

    def listen(self) -> None:
        with suppress(OSError):
            while True:
                caller, _address = self.door.accept()
                threading.Thread(target=self.serve, args=(caller,), daemon=True).start()

    def serve(self, caller: socket.socket) -> None:
        with suppress(OSError, EOFError), caller, socket.create_connection(("127.0.0.1", self.target)) as server:
            socks = caller.recv(1, socket.MSG_PEEK) == b"\5"
            server.sendall(self.socks(caller) if socks else self.http(caller))
            threading.Thread(target=pour, args=(caller, server), daemon=True).start()
            pour(server, caller)

    def socks(self, caller: socket.socket) -> bytes:
        """RFC 1928, and RFC 1929 with a login. Raises EOFError for a caller who is not served."""
        method = 2 if self.login else 0
        if method not in exactly(caller, exactly(caller, 2)[1]):
            caller.sendall(b"\5\xff")
            raise EOFError
        caller.sendall(bytes([5, method]))
        if self.login:
            name = exactly(caller, exactly(caller, 2)[1])
            known = name + b":" + exactly(caller, exactly(caller, 1)[0]) == self.login
            caller.sendall(b"\1\0" if known else b"\1\1")
            if not known:
                raise EOFError
        named = exactly(caller, 4)[3] == 3
        host = exactly(caller, exactly(caller, 1)[0]).decode() if named else socket.inet_ntoa(exactly(caller, 4))
        self.asked.append(f"{host}:{int.from_bytes(exactly(caller, 2))}")
        caller.sendall(b"\5\0\0\1\0\0\0\0\0\0")
        return b""

    def http(self, caller: socket.socket) -> bytes:
        """What is to be passed on first: nothing after CONNECT, else the request, with the whole address in it."""
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += exactly(caller, 1)
        if self.login and b"Proxy-Authorization: Basic " + b64encode(self.login) not in head:
            caller.sendall(b"HTTP/1.1 407 Who are you?\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            raise EOFError
        method, address = head.decode("latin-1").split(" ")[:2]
        self.asked.append(address if method == "CONNECT" else address.split("/")[2])
        if method != "CONNECT":
            return head
        caller.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        return b""


def exactly(caller: socket.socket, count: int) -> bytes:
    found = b""
    while len(found) < count:
        if not (more := caller.recv(count - len(found))):
            raise EOFError
        found += more
    return found


def pour(source: socket.socket, sink: socket.socket) -> None:
    """Pass bytes on until either side has closed."""
    with suppress(OSError):
        while content := source.recv(65_536):
            sink.sendall(content)
