"""A chat-completions server: it says what a script says, and keeps what it was asked.

A script is what is always said, or a function of the number of answers that the conversation has so far. To say is: a
text, a list of tool calls `(name, arguments)`, a dict of what differs from such a choice, an HTTP status, raw bytes, or
a tuple of bytes after which the line breaks.
"""

import contextlib
import json
import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

USAGE = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}


def one_by_one(*said):
    """A script that says each once, and the last again and again."""
    left = list(said)
    return lambda _: left.pop(0) if len(left) > 1 else left[0]


class ChatServer:
    def __init__(self, script):
        self.script = script
        self.bodies = []
        """Of all requests, in the order in which they came."""
        self.keys = []
        """Their idempotency keys."""
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self.url = f"http://127.0.0.1:{self._http.server_port}/v1"
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.01,))

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()

    def asked(self):
        """How often each idempotency key came, without the run's id."""
        return Counter(key.partition("/")[2] for key in self.keys)

    def told(self, request):
        """The messages of a request since the last answer: role, and text or tool call's id and text."""
        messages = self.bodies[request]["messages"]
        last = max((at for at, message in enumerate(messages) if message["role"] == "assistant"), default=-1)
        return [tuple(message[key] for key in ("role", "tool_call_id", "content") if key in message)
                for message in messages[last + 1 :]]  # fmt: skip


def _handler(server):
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            server.bodies.append(body)
            server.keys.append(self.headers["Idempotency-Key"])
            answers = sum(message["role"] == "assistant" for message in body["messages"])
            said = server.script(answers) if callable(server.script) else server.script
            if isinstance(said, int):
                self._send(said, json.dumps({"error": {"message": f"status {said}", "code": None}}).encode())
            elif isinstance(said, bytes):
                self._send(200, said)
            elif isinstance(said, tuple):
                self._send(200, b"".join(said), "text/event-stream", missing=1)
                self.close_connection = True
            elif body.get("stream"):
                self._send(200, b"".join(_events(_choice(answers, said))), "text/event-stream")
            else:
                whole = {"id": "c", "object": "chat.completion", "created": 1, "model": "m", "usage": USAGE}
                self._send(200, json.dumps({**whole, "choices": [_choice(answers, said)]}).encode())

        def _send(self, status, content, kind="application/json", missing=0):
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(content) + missing))
            self.end_headers()
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # whoever asked was killed
                self.wfile.write(content)

        def log_message(self, *_):
            pass

    return Handler


def _choice(answers, said):
    if isinstance(said, dict):
        return {**_choice(answers, "half an ans"), **said}
    if isinstance(said, str):
        return {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": said}}
    calls = [
        {"id": f"call_{answers}_{at}", "type": "function", "function": {"name": name, "arguments": arguments}}
        for at, (name, arguments) in enumerate(said)
    ]
    message = {"role": "assistant", "content": None, "tool_calls": calls}
    return {"index": 0, "finish_reason": "tool_calls", "message": message}


def _events(choice):
    """The choice as a stream: text word by word, arguments in two pieces."""
    message = choice["message"]
    deltas = [{"content": f"{word} "} for word in (message["content"] or "").split()]
    for at, call in enumerate(message.get("tool_calls", ())):
        name, text = call["function"]["name"], call["function"]["arguments"]
        first = {"name": name, "arguments": text[:3]}
        deltas.append({"tool_calls": [{"index": at, "id": call["id"], "type": "function", "function": first}]})
        deltas.append({"tool_calls": [{"index": at, "function": {"arguments": text[3:]}}]})
    chunks = [[{"index": 0, "delta": delta}] for delta in deltas]
    chunks.append([{"index": 0, "delta": {}, "finish_reason": choice["finish_reason"]}])
    for choices in [*chunks, []]:
        part = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": choices}
        yield f"data: {json.dumps(part if choices else {**part, 'usage': USAGE})}\n\n".encode()
    yield b"data: [DONE]\n\n"
