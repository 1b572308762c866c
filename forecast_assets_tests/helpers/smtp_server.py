"""An SMTP server on loopback that keeps the mails that it accepts, and can fail as real ones do."""

import socketserver
import threading
from email import message_from_bytes
from email.message import Message
from types import TracebackType
from typing import Any, Self

USER, PASSWORD = "alerts", "secret-of-the-test"
LOGIN = "AGFsZXJ0cwBzZWNyZXQtb2YtdGhlLXRlc3Q="  # AUTH PLAIN of the two


class SmtpServer:
    """Each mail takes the next of ``faults``: None, an answer such as "451 later", or "cut" after it was accepted."""

    def __init__(self, *, login: bool = False) -> None:
        self.login = login
        self.mails: list[Message] = []
        self.faults: list[str | None] = []
        self.commands: list[str] = []

    def __enter__(self) -> Self:
        server = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                server.talk(self)

        self.server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.server.shutdown()
        self.server.server_close()

    @property
    def port(self) -> int:
        return int(self.server.server_address[1])

    def talk(self, to: Any) -> None:
        """Answer the commands of one connection."""

        def say(answer: str) -> None:
            to.wfile.write(f"{answer}\r\n".encode())

        say("220 test")
        while line := to.rfile.readline().decode().strip():
            verb, _, rest = line.partition(" ")
            self.commands.append(verb.upper())
            match verb.upper():
                case "EHLO":
                    say("250-test\r\n250 AUTH PLAIN" if self.login else "250 test")
                case "AUTH":
                    say("235 welcome" if rest == f"PLAIN {LOGIN}" else "535 no")
                case "RCPT":
                    say("550 unknown" if "nobody@" in rest else "250 ok")
                case "DATA":
                    say("354 go on")
                    if not self.accept(to, say):
                        return
                case "QUIT":
                    return say("221 bye")
                case _:
                    say("250 ok")

    def accept(self, to: Any, say: Any) -> bool:
        """Read a mail and answer it; return whether the connection goes on."""
        lines = []
        while (line := to.rfile.readline()) != b".\r\n":
            lines.append(line)
        fault = self.faults.pop(0) if self.faults else None
        if fault is None or fault == "cut":
            self.mails.append(message_from_bytes(b"".join(lines)))
        if fault != "cut":
            say(fault or "250 accepted")
        return fault != "cut"
