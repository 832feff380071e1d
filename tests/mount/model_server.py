# SPDX-License-Identifier: MIT
"""A server on loopback that speaks OpenAI's chat completions, as well or as badly as told."""
import http.server
import json
import threading


class Exchange:
    """One request, and the ways to answer it."""

    def __init__(self, handler, number, body):
        self.handler, self.number, self.body = handler, number, body
        self.headers = dict(handler.headers)

    @property
    def messages(self):
        return self.body["messages"]

    def results(self):
        """The texts of the tool results that the conversation holds."""
        return [message["content"] for message in self.messages if message["role"] == "tool"]

    def last_user(self):
        texts = [m["content"] for m in self.messages if m["role"] == "user"]
        return texts[-1] if texts else ""

    def answer(self, code, body=b"", content_type="application/json", **headers):
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.handler.send_response(code)
        self.handler.send_header("Content-Type", content_type)
        self.handler.send_header("Content-Length", str(len(data)))
        for name, value in headers.items():
            self.handler.send_header(name.replace("_", "-"), value)
        self.handler.end_headers()
        self.handler.wfile.write(data)

    def stream(self, chunks, pieces=None, cut=None):
        """Sends SSE events; in pieces of so many bytes; broken off after `cut` bytes."""
        data = b"".join(chunk if isinstance(chunk, bytes) else event(chunk) for chunk in chunks)
        self.handler.send_response(200)
        self.handler.send_header("Content-Type", "text/event-stream")
        self.handler.send_header("Transfer-Encoding", "chunked")
        self.handler.end_headers()
        size = pieces or len(data)
        end = len(data) if cut is None else cut
        for at in range(0, end, size):
            piece = data[at:min(at + size, end)]
            self.handler.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
            self.handler.wfile.flush()
        if cut is None:
            self.handler.wfile.write(b"0\r\n\r\n")
        self.handler.close_connection = True


def event(chunk):
    return b"data: " + json.dumps(chunk).encode() + b"\n\n"


DONE = b"data: [DONE]\n\n"


def delta(finish=None, **content):
    return {"id": "chatcmpl-1", "object": "chat.completion.chunk", "model": "little",
            "choices": [{"index": 0, "delta": content, "finish_reason": finish}]}


def text(words):
    return delta(content=words)


def call(index, identity=None, name=None, arguments=""):
    """A piece of a tool call: the first has its id and name, the next only arguments."""
    piece = {"index": index, "function": {"arguments": arguments}}
    if identity is not None:
        piece |= {"id": identity, "type": "function"}
        piece["function"]["name"] = name
    return delta(tool_calls=[piece])


def usage(tokens_in, tokens_out, cached=0):
    return {"id": "chatcmpl-1", "object": "chat.completion.chunk", "model": "little", "choices": [],
            "usage": {"prompt_tokens": tokens_in, "completion_tokens": tokens_out,
                      "total_tokens": tokens_in + tokens_out,
                      "prompt_tokens_details": {"cached_tokens": cached}}}


def said(words, spent=(10, 5, 0)):
    """All the chunks of an answer."""
    return [text(words), delta("stop"), usage(*spent), DONE]


def called(name, arguments, spent=(10, 5, 0), identity="call_a"):
    """All the chunks of one tool call."""
    if not isinstance(arguments, str):
        arguments = json.dumps(arguments)
    return [call(0, identity, name, arguments), delta("tool_calls"), usage(*spent), DONE]


class ModelServer:
    """behave(exchange) answers each request, in a thread of its own."""

    def __init__(self, behave):
        self.behave = behave
        self.requests = []
        self.lock = threading.Lock()
        self.ended = threading.Event()  # what a server that never answers waits for
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):  # pylint: disable=invalid-name  # the name http.server calls
                outer.take(self)

            def log_message(self, *_):  # pylint: disable=arguments-differ
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.base_url = f"http://127.0.0.1:{self.server.server_address[1]}/v1"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def take(self, handler):
        body = json.loads(handler.rfile.read(int(handler.headers["Content-Length"])))
        with self.lock:
            exchange = Exchange(handler, len(self.requests) + 1, body)
            self.requests.append(exchange)
        try:
            self.behave(exchange)
        except (BrokenPipeError, ConnectionResetError):
            handler.close_connection = True  # who asked has gone

    def close(self):
        self.ended.set()
        self.server.shutdown()
        self.server.server_close()
