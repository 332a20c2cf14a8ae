"""Each client protocol before each route protocol, whole and streamed: two turns with parallel tool calls and results.

Expected is always what turns.json says, as the SDK itself puts the answer together; the upstream judges the requests.
"""

import functools
import itertools
import json

import anthropic
import openai

import upstream
from turns import EXPECTED

TOOL = EXPECTED["tool"]
CALLS = [(call["id"], call["name"], call["input"]) for call in EXPECTED["calls"]]
RESULTS = list(zip((call["id"] for call in EXPECTED["calls"]), EXPECTED["results"]))
USAGE = (EXPECTED["usage"]["input"], EXPECTED["usage"]["output"])


def openai_turn(client, streamed, **arguments):
    """The SDK's own message, whole or accumulated, after a look at what stands around it."""
    if streamed:
        options = {"include_usage": True}
        with client.chat.completions.stream(stream_options=options, **arguments) as stream:
            completion = stream.get_final_completion()
    else:
        completion = client.chat.completions.create(**arguments)
    message = completion.choices[0].message
    reason = "tool_calls" if message.tool_calls else "stop"
    assert completion.choices[0].finish_reason == reason, completion
    assert (completion.usage.prompt_tokens, completion.usage.completion_tokens) == USAGE, completion.usage
    return message


def openai_client(client, model, streamed):
    function = {"name": TOOL["name"], "description": TOOL["description"], "parameters": TOOL["schema"]}
    arguments = {"model": model, "tools": [{"type": "function", "function": function}]}
    messages = [{"role": "user", "content": EXPECTED["question"]}]
    message = openai_turn(client, streamed, messages=messages, **arguments)
    assert message.content == EXPECTED["text"], message
    calls = [(call.id, call.function.name, json.loads(call.function.arguments)) for call in message.tool_calls]
    assert calls == CALLS, message
    messages.append(message.model_dump(exclude_none=True))
    messages += [{"role": "tool", "tool_call_id": call, "content": result} for call, result in RESULTS]
    message = openai_turn(client, streamed, messages=messages, **arguments)
    assert message.content == EXPECTED["final"] and not message.tool_calls, message


def anthropic_turn(client, streamed, **arguments):
    if streamed:
        with client.messages.stream(**arguments) as stream:
            message = stream.get_final_message()
    else:
        message = client.messages.create(**arguments)
    called = any(block.type == "tool_use" for block in message.content)
    assert message.stop_reason == ("tool_use" if called else "end_turn"), message
    assert (message.usage.input_tokens, message.usage.output_tokens) == USAGE, message.usage
    return message.content


def anthropic_client(client, model, streamed):
    tool = {"name": TOOL["name"], "description": TOOL["description"], "input_schema": TOOL["schema"]}
    arguments = {"model": model, "max_tokens": 100, "tools": [tool]}
    messages = [{"role": "user", "content": EXPECTED["question"]}]
    text, *calls = content = anthropic_turn(client, streamed, messages=messages, **arguments)
    assert (text.type, text.text) == ("text", EXPECTED["text"]), content
    assert [(call.id, call.name, call.input) for call in calls] == CALLS, content
    results = [{"type": "tool_result", "tool_use_id": call, "content": result} for call, result in RESULTS]
    messages += [{"role": "assistant", "content": content}, {"role": "user", "content": results}]
    content = anthropic_turn(client, streamed, messages=messages, **arguments)
    assert [(block.type, block.text) for block in content] == [("text", EXPECTED["final"])], content


def openai_broken_across(client):
    seen = []
    messages = [{"role": "user", "content": "Hi"}]
    try:
        for chunk in client.chat.completions.create(model="anthropic-broken-across", messages=messages, stream=True):
            seen.extend(choice.delta.content or "" for choice in chunk.choices)
    except openai.APIError as error:
        assert "the upstream broke" in error.message, error
    else:
        raise AssertionError("a broken stream that ends in order")
    assert "".join(seen) == upstream.TEXT, seen


def anthropic_broken_across(client):
    seen = []
    messages = [{"role": "user", "content": "Hi"}]
    try:
        with client.messages.stream(model="openai-broken-across", max_tokens=100, messages=messages) as stream:
            seen.extend(stream.text_stream)
    except anthropic.APIStatusError as error:
        assert "the upstream broke" in error.body["error"]["message"], error.body
    else:
        raise AssertionError("a broken stream that ends in order")
    assert "".join(seen) == upstream.TEXT, seen


def openai_refused_across(client):
    messages = [{"role": "user", "content": "Hi"}]
    try:
        client.chat.completions.create(model="anthropic-status-400", messages=messages)
    except openai.BadRequestError as error:
        assert error.type == "invalid_request_error" and "the upstream says 400" in error.message, error.body
    else:
        raise AssertionError("no error")


def anthropic_refused_across(client):
    messages = [{"role": "user", "content": "Hi"}]
    try:
        client.messages.create(model="openai-status-400", max_tokens=100, messages=messages)
    except anthropic.BadRequestError as error:
        assert error.body["error"]["type"] == "invalid_request_error", error.body
        assert "the upstream says 400" in error.body["error"]["message"], error.body
    else:
        raise AssertionError("no error")


def checks():
    """Names, which begin with the SDK's, and functions of its client."""
    conversations = {"openai": openai_client, "anthropic": anthropic_client}
    for client, route, streamed in itertools.product(conversations, conversations, (False, True)):
        name = f"{client}_client_{route}_route_{'streamed' if streamed else 'whole'}"
        yield name, functools.partial(conversations[client], model=f"{route}-turns", streamed=streamed)
    for check in (openai_broken_across, anthropic_broken_across, openai_refused_across, anthropic_refused_across):
        yield check.__name__, check
