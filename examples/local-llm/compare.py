#!/usr/bin/env python3
"""Asks a local model the same questions directly and through the gateway, and compares the answers."""

import argparse
import json
import sys
import time
import urllib.request

PROMPTS = [
    "Translate to French: Good morning, my friends. How are you today?",
    "Q: What is the capital of France? A: Paris. Q: What is the capital of Italy? A:",
    "The French Revolution (1789-1799) was a period of political and social change in France. Its main causes were",
]
MODELS = {"/v1/chat/completions": "local", "/v1/messages": "local-claude"}


def text_of_event(event):
    if "choices" in event:
        return "".join(choice["delta"].get("content") or "" for choice in event["choices"])
    return event.get("delta", {}).get("text", "")


def ask(base, key, path, prompt, stream, tokens):
    """The text of the answer, the seconds to its first byte of body, and those to its end."""
    body = {
        "model": MODELS[path], "max_tokens": tokens, "temperature": 0, "stream": stream,
        "messages": [{"role": "user", "content": prompt}],
    }
    headers = {"content-type": "application/json", "authorization": f"Bearer {key}", "x-api-key": key}
    request = urllib.request.Request(base + path, json.dumps(body).encode(), headers)
    begun = time.monotonic()
    with urllib.request.urlopen(request, timeout=1200) as response:
        first = response.read1()
        first_seconds = time.monotonic() - begun
        answer = (first + response.read()).decode()
    seconds = time.monotonic() - begun
    if stream:
        lines = (line.removeprefix("data:").strip() for line in answer.splitlines() if line.startswith("data:"))
        events = (json.loads(line) for line in lines if line != "[DONE]")
        return "".join(map(text_of_event, events)), first_seconds, seconds
    answer = json.loads(answer)
    if "choices" in answer:
        return answer["choices"][0]["message"]["content"], first_seconds, seconds
    return "".join(block.get("text", "") for block in answer["content"]), first_seconds, seconds


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--direct", default="http://127.0.0.1:8080", help="address of the model's server")
    parser.add_argument("--direct-key", default="none", help="a key that it takes")
    parser.add_argument("--gateway", default="http://127.0.0.1:9876", help="address of the gateway")
    parser.add_argument("--gateway-key", required=True, help="a client key of the gateway")
    parser.add_argument("--tokens", type=int, default=48, help="longest answer")
    options = parser.parse_args()
    different = 0
    for prompt in PROMPTS:
        for path in MODELS:
            for stream in (False, True):
                expected, _, direct = ask(options.direct, options.direct_key, path, prompt, stream, options.tokens)
                text, first, through = ask(options.gateway, options.gateway_key, path, prompt, stream, options.tokens)
                same = text == expected
                different += not same
                way = "streamed" if stream else "whole   "
                print(f"{'same     ' if same else 'DIFFERENT'} {path:21} {way} direct {direct:5.2f} s, "
                      f"gateway {through:5.2f} s (first byte {first:5.2f} s): {text[:40]!r}")
                if not same:
                    print(f"          directly it was {expected[:200]!r}\n          and by the gateway {text[:200]!r}")
    return 1 if different else 0


if __name__ == "__main__":
    sys.exit(main())
