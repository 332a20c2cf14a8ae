"""A conversation of two turns for an upstream of either protocol: text with parallel tool calls, then text.

The upstream judges the request too: what it understands of the conversation must be what turns.json says.
"""

import json
import pathlib

EXPECTED = json.loads(pathlib.Path(__file__).with_name("turns.json").read_text())
SIGNATURE = "c2lnbmVk"


def plain(content):
    """The text of a message's content, which is a string or a list of text parts."""
    return content if isinstance(content, str) else "".join(part["text"] for part in content or [])


def openai_understood(body):
    seen = {"tools": [tool["function"] for tool in body["tools"]], "text": "", "calls": [], "results": {}}
    seen["tools"] = [(tool["name"], tool["description"], tool.get("parameters")) for tool in seen["tools"]]
    for message in body["messages"]:
        if message["role"] == "user":
            seen["question"] = plain(message["content"])
        elif message["role"] == "assistant":
            seen["text"] += plain(message.get("content"))
            for call in message.get("tool_calls", []):
                function = call["function"]
                seen["calls"].append((call["id"], function["name"], json.loads(function["arguments"])))
        elif message["role"] == "tool":
            seen["results"][message["tool_call_id"]] = plain(message["content"])
    return seen


def anthropic_understood(body):
    seen = {"text": "", "calls": [], "results": {}}
    seen["tools"] = [(tool["name"], tool["description"], tool["input_schema"]) for tool in body["tools"]]
    for message in body["messages"]:
        content = message["content"]
        for block in [{"type": "text", "text": content}] if isinstance(content, str) else content:
            if block["type"] == "text":
                seen["question" if message["role"] == "user" else "text"] = block["text"]
            elif block["type"] == "tool_use":
                seen["calls"].append((block["id"], block["name"], block["input"]))
            elif block["type"] == "tool_result":
                seen["results"][block["tool_use_id"]] = plain(block["content"])
    return seen


def understood(anthropic, body):
    return anthropic_understood(body) if anthropic else openai_understood(body)


def answer(anthropic, body):
    """What the upstream says to this request: text and calls; a ValueError where it is not the expected one."""
    tool, calls = EXPECTED["tool"], EXPECTED["calls"]
    first = {
        "question": EXPECTED["question"],
        "tools": [(tool["name"], tool["description"], tool["schema"])],
        "text": "", "calls": [], "results": {},
    }
    second = {
        **first,
        "text": EXPECTED["text"],
        "calls": [(call["id"], call["name"], call["input"]) for call in calls],
        "results": {call["id"]: result for call, result in zip(calls, EXPECTED["results"])},
    }
    seen = understood(anthropic, body)
    if seen == first:
        return {"text": EXPECTED["text"], "calls": calls}
    if seen == second:
        return {"text": EXPECTED["final"], "calls": []}
    raise ValueError(f"neither turn of the conversation: {seen}")


def pieces(text, size=7):
    """Fragments as a provider sends them, that end where no word and no JSON value does."""
    return [text[at : at + size] for at in range(0, len(text), size)]


def openai_whole(said):
    message = {"role": "assistant", "content": said["text"]}
    if "reasoning" in said:
        message["reasoning_content"] = said["reasoning"]
    if said["calls"]:
        message["tool_calls"] = [openai_call(call, json.dumps(call["input"])) for call in said["calls"]]
    choice = {"message": message, "finish_reason": openai_reason(said)}
    return openai_frame("chat.completion", said, choice) | {"usage": openai_usage()}


def openai_reason(said):
    return "tool_calls" if said["calls"] else "stop"


def openai_call(call, arguments):
    return {"id": call["id"], "type": "function", "function": {"name": call["name"], "arguments": arguments}}


def openai_usage():
    used = EXPECTED["usage"]
    total = used["input"] + used["output"]
    return {"prompt_tokens": used["input"], "completion_tokens": used["output"], "total_tokens": total}


def openai_frame(kind, said, choice):
    frame = {"id": f"chatcmpl-{said['id']}", "object": kind, "created": 1700000000, "model": "up"}
    return frame | {"choices": [{"index": 0, **choice}]}


def openai_events(said, include_usage):
    def chunk(delta, reason=None):
        return openai_frame("chat.completion.chunk", said, {"delta": delta, "finish_reason": reason})

    yield chunk({"role": "assistant", "content": ""})
    for piece in pieces(said.get("reasoning", "")):
        yield chunk({"reasoning_content": piece})
    for piece in pieces(said["text"]):
        yield chunk({"content": piece})
    for index, call in enumerate(said["calls"]):
        yield chunk({"tool_calls": [{"index": index, **openai_call(call, "")}]})
        for piece in pieces(json.dumps(call["input"])):
            yield chunk({"tool_calls": [{"index": index, "function": {"arguments": piece}}]})
    yield chunk({}, openai_reason(said))
    if include_usage:
        yield chunk({}) | {"choices": [], "usage": openai_usage()}


def anthropic_head(said, content, reason, output):
    return {
        "id": f"msg_{said['id']}", "type": "message", "role": "assistant", "model": "up", "content": content,
        "stop_reason": reason, "stop_sequence": None,
        "usage": {"input_tokens": EXPECTED["usage"]["input"], "output_tokens": output},
    }


def anthropic_reason(said):
    return "tool_use" if said["calls"] else "end_turn"


def anthropic_whole(said):
    content = [{"type": "text", "text": said["text"]}, *({"type": "tool_use", **call} for call in said["calls"])]
    if "reasoning" in said:
        content.insert(0, {"type": "thinking", "thinking": said["reasoning"], "signature": SIGNATURE})
    return anthropic_head(said, content, anthropic_reason(said), EXPECTED["usage"]["output"])


def anthropic_blocks(said):
    """Each block's start and its deltas."""

    def deltas(kind, member, value):
        return [{"type": kind, member: piece} for piece in pieces(value)]

    if "reasoning" in said:
        thought = deltas("thinking_delta", "thinking", said["reasoning"])
        thought.append({"type": "signature_delta", "signature": SIGNATURE})
        yield {"type": "thinking", "thinking": "", "signature": ""}, thought
    yield {"type": "text", "text": ""}, deltas("text_delta", "text", said["text"])
    for call in said["calls"]:
        start = {"type": "tool_use", "id": call["id"], "name": call["name"], "input": {}}
        yield start, deltas("input_json_delta", "partial_json", json.dumps(call["input"]))


def anthropic_events(said):
    yield {"type": "message_start", "message": anthropic_head(said, [], None, 1)}
    for index, (start, deltas) in enumerate(anthropic_blocks(said)):
        yield {"type": "content_block_start", "index": index, "content_block": start}
        for delta in deltas:
            yield {"type": "content_block_delta", "index": index, "delta": delta}
        yield {"type": "content_block_stop", "index": index}
    reason = {"stop_reason": anthropic_reason(said), "stop_sequence": None}
    yield {"type": "message_delta", "delta": reason, "usage": {"output_tokens": EXPECTED["usage"]["output"]}}
    yield {"type": "message_stop"}
