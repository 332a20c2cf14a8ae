"""Claude Code, the real agent, through the gateway before a scripted upstream; not part of CI, as the agent is large.

    npm install --prefix /tmp/agent @anthropic-ai/claude-code
    cargo build
    python3 tests/sdk/agent/run.py target/debug/model-proxy /tmp/agent/node_modules/.bin/claude

One turn before a route of each protocol: the upstream asks for a file to be read with the agent's own tool, and then says
what the agent sent it. `unshare --net` with only the loopback up, put in front, proves that nothing else is talked to.
"""

import pathlib
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

import turns
import upstream
from gateway import CLIENT_KEY, Gateway

SECRET = "the marmot sleeps at noon"


class Script:
    """Reads a file by the agent's own tool, and repeats what came back; keeps what it was asked."""

    def __init__(self, file):
        self.file = file
        self.asked = []

    def answer(self, anthropic, body):
        self.asked.append(body)
        tools = [tool["name"] if anthropic else tool["function"]["name"] for tool in body.get("tools", [])]
        seen = {"results": {}}
        if tools:
            seen = (turns.anthropic_understood if anthropic else turns.openai_understood)(body)
        if seen["results"]:
            return {"text": f"The file says: {' '.join(seen['results'].values())}", "calls": []}
        if "Read" in tools:
            call = {"id": "call_read", "name": "Read", "input": {"file_path": str(self.file)}}
            return {"text": "I read it.", "calls": [call]}
        return {"text": "A title", "calls": []}


def ask(claude, gateway, model, directory):
    """What the agent prints at the end of one turn."""
    home = directory / f"home-of-{model}"
    home.mkdir()
    environment = {
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "HOME": str(home),
        "ANTHROPIC_BASE_URL": gateway.url,
        "ANTHROPIC_AUTH_TOKEN": CLIENT_KEY,
        "ANTHROPIC_MODEL": model,
        "ANTHROPIC_DEFAULT_HAIKU_MODEL": model,
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
    }
    command = [claude, "-p", "What does note.txt say?", "--allowedTools", "Read"]
    done = subprocess.run(
        command, cwd=directory / "project", env=environment, stdin=subprocess.DEVNULL,
        capture_output=True, text=True, timeout=120,
    )
    return done.returncode, done.stdout.strip(), done.stderr.strip()


def main(binary, claude):
    failed = 0
    with tempfile.TemporaryDirectory() as folder:
        directory = pathlib.Path(folder)
        note = directory / "project" / "note.txt"
        note.parent.mkdir()
        note.write_text(SECRET + "\n")
        script = Script(note)
        gateway = Gateway(binary, directory / "gateway", upstream.start(agent=script.answer), ["agent"])
        claude = str(pathlib.Path(claude).absolute())
        for model in ("openai-agent", "anthropic-agent"):
            script.asked.clear()
            code, printed, complaint = ask(claude, gateway, model, directory)
            passed = code == 0 and printed.startswith("The file says:") and SECRET in printed
            failed += not passed
            verdict = "ok     " if passed else "FAILED "
            print(f"{verdict} {model}: {len(script.asked)} requests, exit {code}: {printed!r}")
            if not passed:
                print(complaint)
        gateway.stop()
        if failed:
            print(gateway.output())
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
