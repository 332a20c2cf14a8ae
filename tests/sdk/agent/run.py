"""A real agent through the gateway before a scripted upstream; not part of CI, as the agents are large.

    npm install --prefix /tmp/agents @anthropic-ai/claude-code opencode-ai @qwen-code/qwen-code
    python3 -m venv /tmp/aider && /tmp/aider/bin/pip install aider-chat
    cargo build
    python3 tests/sdk/agent/run.py target/debug/model-proxy /tmp/agents/node_modules/.bin/claude    # or opencode, or qwen
    python3 tests/sdk/agent/run.py target/debug/model-proxy /tmp/aider/bin/aider

Under a Node before 22 npm installs older releases of them without a word.

One turn from each protocol that the agent speaks before a route of each: the upstream thinks, asks for a file to be read
with the agent's own tool, and then says what the agent sent it; to an agent without tools (aider) it says an edit of the
file. `unshare --map-root-user --net sh -c 'ip link set lo up && …'` around it proves that nothing else is talked to.
"""

import os
import pathlib
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

import turns
import upstream
from agents import AGENTS, Turn
from gateway import CLIENT_KEY, Gateway

SECRET = "the marmot sleeps at noon"
CHANGED = "the marmot sleeps at night"
LISTING = f"note.txt\n```\n{CHANGED}\n```\n"


class Script:
    """Has a file read by the agent's own tool, and repeats what came back; keeps what it was asked."""

    def __init__(self, file):
        self.file = file
        self.asked = []

    def answer(self, anthropic, body):
        self.asked.append(body)
        seen = turns.understood(anthropic, {"tools": [], **body})
        tools = {name: schema for name, _, schema in seen["tools"]}
        if seen["results"]:
            return {"text": f"The file says: {' '.join(seen['results'].values())}", "calls": []}
        reader = next((name for name in tools if name.lower() in ("read", "read_file")), None)
        if reader:
            path = tools[reader]["required"][0]
            call = {"id": "call_read", "name": reader, "input": {path: str(self.file)}}
            return {"reasoning": "A file; I must look.", "text": "I read it.", "calls": [call]}
        if "file listing" in str(body):
            return {"reasoning": "A small edit.", "text": LISTING, "calls": []}
        return {"text": "A title", "calls": []}


def run(executable, agent, turn):
    """What the agent prints in one turn, and its exit code."""
    turn.home.mkdir()
    turn.project.mkdir()
    (turn.project / "note.txt").write_text(SECRET + "\n")
    arguments, environment = agent(turn)
    search = f"{executable.parent}:{os.environ['PATH']}"
    done = subprocess.run(
        [executable, *arguments], cwd=turn.project, env={"PATH": search, "HOME": str(turn.home), **environment},
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=180,
    )
    return done.returncode, done.stdout.strip(), done.stderr.strip()


def check(binary, executable, client, route, directory):
    """One turn; true if the agent showed or edited what it was to."""
    script = Script(directory / "project" / "note.txt")
    gateway = Gateway(binary, directory / "gateway", upstream.start(agent=script.answer), ["agent"])
    question = "What does note.txt say?"
    turn = Turn(
        client, gateway.url, CLIENT_KEY, f"{route}-agent", directory / "home", directory / "project", question
    )
    code, printed, complaint = run(executable, AGENTS[executable.name][0], turn)
    gateway.stop()
    is_edited = script.file.read_text() == CHANGED + "\n"
    passed = code == 0 and (is_edited or "The file says:" in printed and SECRET in printed)
    verdict = "ok     " if passed else "FAILED "
    print(f"{verdict} {executable.name}, {client} client, {route} route: {len(script.asked)} requests", flush=True)
    if not passed:
        print(f"exit {code}:\n{printed}\n{complaint}\n--- the gateway printed:\n{gateway.output()}")
    return passed


def main(binary, executable):
    executable = pathlib.Path(executable).absolute()
    _, protocols = AGENTS[executable.name]
    failed = 0
    with tempfile.TemporaryDirectory() as folder:
        for client in protocols:
            for route in ("openai", "anthropic"):
                directory = pathlib.Path(folder) / f"{client}-{route}"
                directory.mkdir()
                failed += not check(binary, executable, client, route, directory)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
