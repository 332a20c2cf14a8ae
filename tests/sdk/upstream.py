"""A scripted provider for the SDK checks: the upstream's model name in the request says how it answers."""

import json
import threading
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import turns

KEY = "key-of-the-upstream"
WORDS = ["Hello", " from", " the", " upstream", " \u00e9\u4e16\U0001f30d"]
TEXT = "".join(WORDS)
COUNTED = 2095
TOOL = {"name": "get_weather", "fragments": ['{"ci', 'ty": "P', 'aris"}'], "input": {"city": "Paris"}}


def openai_chunk(delta, finish_reason=None):
    return {
        "id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1700000000, "model": "up",
        "choices": [{"index": 0, "delta": delta, "finish_reason": finish_reason}],
    }


OPENAI_USAGE = {"prompt_tokens": 9, "completion_tokens": 5, "total_tokens": 14}
OPENAI_CALL = {"index": 0, "id": "call_1", "type": "function", "function": {"name": TOOL["name"], "arguments": ""}}


def openai_whole():
    message = {"role": "assistant", "content": TEXT}
    return {
        "id": "chatcmpl-1", "object": "chat.completion", "created": 1700000000, "model": "up",
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}], "usage": OPENAI_USAGE,
    }


def openai_events(script, include_usage):
    yield openai_chunk({"role": "assistant", "content": None if script == "tool" else ""})
    if script == "tool":
        yield openai_chunk({"tool_calls": [OPENAI_CALL]})
        for fragment in TOOL["fragments"]:
            yield openai_chunk({"tool_calls": [{"index": 0, "function": {"arguments": fragment}}]})
        yield openai_chunk({}, "tool_calls")
    else:
        for word in WORDS:
            yield openai_chunk({"content": word})
        if script == "broken":
            yield {"error": {"message": "the upstream broke", "type": "server_error", "param": None, "code": None}}
            return
        yield openai_chunk({}, "stop")
    if include_usage:
        yield {**openai_chunk({}), "choices": [], "usage": OPENAI_USAGE}


ANTHROPIC_HEAD = {
    "id": "msg_1", "type": "message", "role": "assistant", "model": "up",
    "stop_reason": None, "stop_sequence": None, "usage": {"input_tokens": 9, "output_tokens": 1},
}


def anthropic_whole():
    content = [{"type": "text", "text": TEXT}]
    usage = {"input_tokens": 9, "output_tokens": 5}
    return {**ANTHROPIC_HEAD, "content": content, "stop_reason": "end_turn", "usage": usage}


def anthropic_events(script):
    tool = script == "tool"
    block = {"type": "tool_use", "id": "toolu_1", "name": TOOL["name"], "input": {}} if tool else {"type": "text", "text": ""}
    yield {"type": "message_start", "message": {**ANTHROPIC_HEAD, "content": []}}
    yield {"type": "content_block_start", "index": 0, "content_block": block}
    yield {"type": "ping"}
    for piece in TOOL["fragments"] if tool else WORDS:
        delta = {"type": "input_json_delta", "partial_json": piece} if tool else {"type": "text_delta", "text": piece}
        yield {"type": "content_block_delta", "index": 0, "delta": delta}
    if script == "broken":
        yield {"type": "error", "error": {"type": "overloaded_error", "message": "the upstream broke"}}
        return
    yield {"type": "content_block_stop", "index": 0}
    reason = {"stop_reason": "tool_use" if tool else "end_turn", "stop_sequence": None}
    yield {"type": "message_delta", "delta": reason, "usage": {"output_tokens": 5}}
    yield {"type": "message_stop"}


def openai_text(events, done=True):
    for event in events:
        yield f"data: {json.dumps(event)}\n\n"
    if done:
        yield "data: [DONE]\n\n"


def anthropic_text(events):
    for event in events:
        yield f"event: {event['type']}\ndata: {json.dumps(event)}\n\n"


def error_body(anthropic, status):
    names = {400: "invalid_request_error", 401: "authentication_error", 429: "rate_limit_error", 500: "api_error"}
    message = f"the upstream says {status}"
    if anthropic:
        return {"type": "error", "error": {"type": names[status], "message": message}}
    return {"error": {"message": message, "type": names[status], "param": None, "code": None}}


class Provider(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        anthropic = self.path.startswith("/v1/messages")
        key = self.headers.get("x-api-key") if anthropic else self.headers.get("authorization")
        script = body["model"].removesuffix("-across")
        if key != (KEY if anthropic else f"Bearer {KEY}"):
            self.whole(401, error_body(anthropic, 401))
        elif script.startswith("status-"):
            status = int(script.removeprefix("status-"))
            self.whole(status, error_body(anthropic, status))
        elif self.path.partition("?")[0].endswith("/count_tokens"):
            self.whole(200, {"input_tokens": COUNTED})
        elif script in self.server.conversations:
            self.converse(anthropic, body, self.server.conversations[script])
        elif not body.get("stream"):
            self.whole(200, anthropic_whole() if anthropic else openai_whole())
        elif anthropic:
            self.stream(anthropic_text(anthropic_events(script)))
        else:
            usage = (body.get("stream_options") or {}).get("include_usage")
            self.stream(openai_text(openai_events(script, usage), done=script != "broken"))

    def converse(self, anthropic, body, answer):
        usage = (body.get("stream_options") or {}).get("include_usage")
        try:
            # an agent takes two answers of one id for one
            said = {"id": uuid.uuid4().hex, **answer(anthropic, body)}
        except (ValueError, KeyError, TypeError) as fault:
            error = error_body(anthropic, 400)
            error["error"]["message"] = f"{type(fault).__name__}: {fault}"
            self.whole(400, error)
            return
        if not body.get("stream"):
            self.whole(200, turns.anthropic_whole(said) if anthropic else turns.openai_whole(said))
        elif anthropic:
            self.stream(anthropic_text(turns.anthropic_events(said)))
        else:
            self.stream(openai_text(turns.openai_events(said, usage)))

    def whole(self, status, body):
        body = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def stream(self, events):
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        for event in events:
            event = event.encode()
            self.wfile.write(b"%x\r\n%s\r\n" % (len(event), event))
            self.wfile.flush()
        self.wfile.write(b"0\r\n\r\n")


def start(**conversations):
    """Serves on a free port from now on; gives its address. More conversations are names of scripts and their answers."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Provider)
    server.daemon_threads = True
    server.conversations = {"turns": turns.answer, **conversations}
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f"http://127.0.0.1:{server.server_address[1]}"
