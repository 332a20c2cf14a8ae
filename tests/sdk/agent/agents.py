"""How each agent is pointed at the gateway and asked one question: its arguments, its variables and the files it wants.

What README says under "Use with…", and what keeps the agent from the network where it would look for updates.
"""

import dataclasses
import json
import pathlib

LIMIT = {"context": 131072, "output": 8192}


@dataclasses.dataclass
class Turn:
    protocol: str
    url: str
    key: str
    model: str
    home: pathlib.Path
    project: pathlib.Path
    question: str


def claude(turn):
    return ["-p", turn.question, "--allowedTools", "Read"], {
        "ANTHROPIC_BASE_URL": turn.url,
        "ANTHROPIC_AUTH_TOKEN": turn.key,
        "ANTHROPIC_MODEL": turn.model,
        "ANTHROPIC_DEFAULT_HAIKU_MODEL": turn.model,
        "CLAUDE_CODE_MAX_CONTEXT_TOKENS": "131072",
        "CLAUDE_CODE_ATTRIBUTION_HEADER": "0",
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
    }


def opencode(turn):
    package = {"openai": "@ai-sdk/openai-compatible", "anthropic": "@ai-sdk/anthropic"}[turn.protocol]
    options = {"baseURL": f"{turn.url}/v1", "apiKey": turn.key}
    provider = {"npm": package, "options": options, "models": {turn.model: {"limit": LIMIT}}}
    (turn.project / "opencode.json").write_text(json.dumps({"provider": {"gateway": provider}}))
    return ["run", "--model", f"gateway/{turn.model}", turn.question], {
        "OPENCODE_DISABLE_AUTOUPDATE": "1",
        "OPENCODE_DISABLE_MODELS_FETCH": "1",
    }


def qwen(turn):
    name = turn.protocol.upper()
    return ["--auth-type", turn.protocol, "-p", turn.question], {
        f"{name}_BASE_URL": f"{turn.url}/v1" if turn.protocol == "openai" else turn.url,
        f"{name}_API_KEY": turn.key,
        f"{name}_MODEL": turn.model,
        "QWEN_USAGE_STATISTICS_ENABLED": "false",
        "QWEN_CODE_SKIP_UPDATE_CHECK_ONCE": "1",
    }


def aider(turn):
    name = turn.protocol.upper()
    offline = ["--analytics-disable", "--no-check-update", "--no-show-release-notes", "--no-show-model-warnings"]
    asked = ["--model", f"{turn.protocol}/{turn.model}", "--message", turn.question, "--yes-always", "--no-git", "note.txt"]
    return offline + asked, {
        f"{name}_API_BASE": f"{turn.url}/v1" if turn.protocol == "openai" else turn.url,
        f"{name}_API_KEY": turn.key,
    }


AGENTS = {
    "claude": (claude, ["anthropic"]),
    "opencode": (opencode, ["openai", "anthropic"]),
    "qwen": (qwen, ["openai", "anthropic"]),
    "aider": (aider, ["openai", "anthropic"]),
}
