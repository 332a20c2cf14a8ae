"""What the official SDKs see through the gateway. Each check is a function; one failure fails the run."""

import pathlib
import sys
import tempfile
import traceback

import anthropic
import openai

import node
import pairings
import upstream
from gateway import CLIENT_KEY, SCRIPTS, Gateway

QUESTION = [{"role": "user", "content": "Say hello"}]
TOOLS = {
    "openai": [{"type": "function", "function": {"name": "get_weather", "parameters": {"type": "object"}}}],
    "anthropic": [{"name": "get_weather", "input_schema": {"type": "object"}}],
}


def raises(error, call):
    """The error that the call raises, which must be of exactly this class."""
    try:
        call()
    except Exception as caught:
        assert type(caught) is error, f"{type(caught).__name__} instead of {error.__name__}: {caught}"
        return caught
    raise AssertionError(f"no {error.__name__}")


# --- OpenAI ---------------------------------------------------------------------------------------------------------


def openai_whole(client):
    answer = client.chat.completions.create(model="openai-text", messages=QUESTION)
    assert answer.choices[0].message.content == upstream.TEXT
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage.total_tokens == 14


def openai_raw_headers(client):
    raw = client.chat.completions.with_raw_response.create(model="openai-text", messages=QUESTION)
    assert raw.headers["x-request-id"], raw.headers
    assert raw.parse().choices[0].message.content == upstream.TEXT


def openai_streamed(client):
    stream = client.chat.completions.create(model="openai-text", messages=QUESTION, stream=True)
    chunks = list(stream)
    words = [chunk.choices[0].delta.content or "" for chunk in chunks]
    assert "".join(words) == upstream.TEXT
    assert chunks[-1].choices[0].finish_reason == "stop"
    assert all(chunk.usage is None for chunk in chunks), "usage that nobody asked for"


def openai_streamed_with_usage(client):
    options = {"include_usage": True}
    stream = client.chat.completions.create(
        model="openai-text", messages=QUESTION, stream=True, stream_options=options
    )
    chunks = list(stream)
    assert chunks[-1].choices == [] and chunks[-1].usage.total_tokens == 14


def openai_tool_call_streamed(client):
    arguments = {"model": "openai-tool", "messages": QUESTION, "tools": TOOLS["openai"]}
    with client.chat.completions.stream(**arguments) as stream:
        for _ in stream:
            pass
        choice = stream.get_final_completion().choices[0]
    assert choice.finish_reason == "tool_calls"
    call = choice.message.tool_calls[0]
    assert (call.id, call.function.name) == ("call_1", "get_weather")
    assert call.function.arguments == "".join(upstream.TOOL["fragments"])


def openai_broken_stream(client):
    stream = client.chat.completions.create(model="openai-broken", messages=QUESTION, stream=True)
    seen = []

    def read():
        for chunk in stream:
            seen.append(chunk.choices[0].delta.content or "")

    raises(openai.APIError, read)
    assert "".join(seen) == upstream.TEXT


def openai_errors(client):
    def ask(model, **arguments):
        return lambda: client.chat.completions.create(model=model, messages=QUESTION, **arguments)

    unknown = raises(openai.NotFoundError, ask("no-such-model"))
    assert unknown.code == "model_not_found", unknown.body
    assert "no-such-model" in unknown.message
    assert unknown.request_id
    refused = raises(openai.BadRequestError, ask("openai-status-400"))
    assert "the upstream says 400" in refused.message
    raises(openai.BadRequestError, ask("openai-status-400", stream=True))
    limited = raises(openai.RateLimitError, ask("openai-status-429"))
    assert limited.status_code == 429
    raises(openai.InternalServerError, ask("openai-status-500"))
    empty = raises(
        openai.BadRequestError,
        lambda: client.chat.completions.create(model="openai-text", messages=[]),
    )
    assert empty.type == "invalid_request_error" and empty.param == "messages", empty.body
    stranger = client.with_options(api_key="wrong")
    denied = raises(openai.AuthenticationError, lambda: stranger.models.list())
    assert denied.code == "invalid_api_key", denied.body


def openai_models(client):
    names = {model.id for model in client.models.list()}
    assert {f"openai-{script}" for script in SCRIPTS} <= names, names
    model = client.models.retrieve("openai-text")
    assert (model.id, model.object) == ("openai-text", "model")
    raises(openai.NotFoundError, lambda: client.models.retrieve("no-such-model"))


# --- Anthropic ------------------------------------------------------------------------------------------------------


def anthropic_whole(client):
    answer = client.messages.create(model="anthropic-text", max_tokens=100, messages=QUESTION)
    assert answer.content[0].text == upstream.TEXT
    assert answer.stop_reason == "end_turn"
    assert (answer.usage.input_tokens, answer.usage.output_tokens) == (9, 5)
    assert answer._request_id


def anthropic_streamed(client):
    with client.messages.stream(model="anthropic-text", max_tokens=100, messages=QUESTION) as stream:
        text = "".join(stream.text_stream)
        final = stream.get_final_message()
    assert text == upstream.TEXT
    assert final.stop_reason == "end_turn" and final.usage.output_tokens == 5


def anthropic_tool_use_streamed(client):
    arguments = {"model": "anthropic-tool", "max_tokens": 100, "messages": QUESTION}
    with client.messages.stream(tools=TOOLS["anthropic"], **arguments) as stream:
        final = stream.get_final_message()
    assert final.stop_reason == "tool_use"
    block = final.content[0]
    assert (block.type, block.id, block.name) == ("tool_use", "toolu_1", "get_weather")
    assert block.input == upstream.TOOL["input"]


def anthropic_broken_stream(client):
    seen = []

    def read():
        with client.messages.stream(model="anthropic-broken", max_tokens=100, messages=QUESTION) as stream:
            seen.extend(stream.text_stream)

    try:
        read()
    except anthropic.APIStatusError as error:
        assert error.body["type"] == "error", error.body
    else:
        raise AssertionError("a broken stream that ends in order")
    assert "".join(seen) == upstream.TEXT


def anthropic_counted_by_the_upstream(client):
    raw = client.messages.with_raw_response.count_tokens(model="anthropic-text", messages=QUESTION)
    assert raw.parse().input_tokens == upstream.COUNTED
    assert "x-model-proxy-estimate" not in raw.headers, raw.headers


def anthropic_count_estimated(client):
    arguments = {"model": "openai-text", "messages": QUESTION, "system": "Be kind"}
    bare = client.messages.with_raw_response.count_tokens(**arguments)
    assert bare.headers["x-model-proxy-estimate"] == "o200k_base", bare.headers
    with_tools = client.messages.count_tokens(tools=TOOLS["anthropic"], **arguments)
    assert with_tools.input_tokens > bare.parse().input_tokens > 4


def anthropic_errors(client):
    def ask(model, **arguments):
        return lambda: client.messages.create(model=model, max_tokens=100, messages=QUESTION, **arguments)

    unknown = raises(anthropic.NotFoundError, ask("no-such-model"))
    assert unknown.body["error"]["type"] == "not_found_error", unknown.body
    assert "no-such-model" in unknown.body["error"]["message"]
    assert unknown.request_id
    raises(anthropic.NotFoundError, lambda: client.messages.count_tokens(model="no-such-model", messages=QUESTION))
    refused = raises(anthropic.BadRequestError, ask("anthropic-status-400"))
    assert "the upstream says 400" in refused.body["error"]["message"]
    raises(anthropic.BadRequestError, ask("anthropic-status-400", stream=True))
    limited = raises(anthropic.RateLimitError, ask("anthropic-status-429"))
    assert limited.body["error"]["type"] == "rate_limit_error", limited.body
    raises(anthropic.InternalServerError, ask("anthropic-status-500"))
    stranger = client.with_options(api_key="wrong")
    denied = raises(anthropic.AuthenticationError, lambda: stranger.models.list())
    assert denied.body["error"]["type"] == "authentication_error", denied.body


def anthropic_models(client):
    names = {model.id for model in client.models.list()}
    assert {f"anthropic-{script}" for script in SCRIPTS} <= names, names
    model = client.models.retrieve("anthropic-text")
    assert (model.id, model.type) == ("anthropic-text", "model")


def main(binary):
    checks = [(name, check) for name, check in globals().items() if name.startswith(("openai_", "anthropic_"))]
    checks += pairings.checks()
    failed = 0
    with tempfile.TemporaryDirectory() as directory:
        gateway = Gateway(binary, pathlib.Path(directory), upstream.start())
        limits = {"api_key": CLIENT_KEY, "max_retries": 0, "timeout": 15}
        clients = {
            "openai": openai.OpenAI(base_url=f"{gateway.url}/v1", **limits),
            "anthropic": anthropic.Anthropic(base_url=gateway.url, **limits),
        }
        for name, check in checks:
            try:
                check(clients[name.split("_")[0]])
                print(f"ok      {name}")
            except Exception:
                failed += 1
                print(f"FAILED  {name}")
                traceback.print_exc(file=sys.stdout)
        more = node.checks(gateway.url, CLIENT_KEY)
        checks += more
        failed += sum(not passed for _, passed in more)
        if not gateway.stop():
            failed += 1
            print("FAILED  the gateway did not end in order")
        if failed:
            print(f"--- the gateway printed:\n{gateway.output()}")
    print(f"openai {openai.__version__}, anthropic {anthropic.__version__}")
    print(f"SDKs: {len(checks) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
