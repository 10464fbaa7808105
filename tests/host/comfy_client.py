"""Talks to a ComfyUI server as its front end does: queues prompts, follows their events, fetches what they made."""

import asyncio
import json
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid
from dataclasses import dataclass, field

import aiohttp

RUN_TIMEOUT = 600.0
END_EVENTS = ("execution_success", "execution_error", "execution_interrupted")


class PromptRefused(RuntimeError):
    """The server refused to queue a prompt; `node_errors` maps a node id to what is wrong there."""

    def __init__(self, answer):
        super().__init__(json.dumps(answer, indent=2))
        self.node_errors = answer.get("node_errors") or {}

    def messages(self, node_id):
        return [f"{e['message']}: {e['details']}" for e in self.node_errors.get(node_id, {}).get("errors", [])]


@dataclass
class Run:
    """What became of one prompt."""

    prompt_id: str
    status: str = "running"  # then success, error or interrupted
    outputs: dict = field(default_factory=dict)  # node id -> its ui output
    error: dict = field(default_factory=dict)  # of an error: node_id, node_type, exception_message, ...
    seconds: float = 0.0  # by the server's own clock
    node_seconds: dict = field(default_factory=dict)  # node id -> seconds, as seen from here; only for nodes that ran
    cached: set = field(default_factory=set)  # ids of nodes taken from the host's cache

    def text(self, node_id):
        """The text a PreviewAny node showed."""
        return self.outputs[node_id]["text"][0]


class ComfyClient:
    def __init__(self, address):
        self.address = address.rstrip("/")
        self.client_id = uuid.uuid4().hex

    def get(self, path, **query):
        with urllib.request.urlopen(self._url(path, query), timeout=60) as answer:
            return answer.read()

    def get_json(self, path, **query):
        return json.loads(self.get(path, **query))

    def post(self, path, body):
        request = urllib.request.Request(
            self._url(path), data=json.dumps(body).encode(), headers={"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            content = answer.read()
        return json.loads(content) if content else None

    def object_info(self, node_class):
        """The schema of one node class; empty where the server does not know it."""
        return self.get_json(f"/object_info/{node_class}").get(node_class, {})

    def queue(self, prompt, targets=None, metadata=None):
        """Queues an API-format prompt, or only what the output nodes `targets` need; returns its id. `metadata`: what
        pictures are to carry beside the prompt, which the front end brings and other clients need not."""
        body = {"prompt": prompt, "client_id": self.client_id}
        if metadata is not None:
            body["extra_data"] = {"extra_pnginfo": metadata}
        if targets is not None:
            body["partial_execution_targets"] = list(targets)
        try:
            answer = self.post("/prompt", body)
        except urllib.error.HTTPError as error:
            if error.code != 400:
                raise
            raise PromptRefused(json.loads(error.read())) from error
        if answer["node_errors"]:  # the server runs the outputs that are sound and drops the others
            raise PromptRefused(answer)
        return answer["prompt_id"]

    def run(self, prompt, targets=None, on_event=None, timeout=RUN_TIMEOUT, metadata=None):
        """Runs a prompt to its end. `on_event(kind, data)` sees every event of it on the way."""
        return asyncio.run(asyncio.wait_for(self._run(prompt, targets, on_event, metadata), timeout))

    def interrupt(self):
        self.post("/interrupt", {})

    def images(self, run, node_id):
        """The picture files a node made, as bytes."""
        return [self.view(entry) for entry in run.outputs[node_id]["images"]]

    def view(self, entry):
        return self.get("/view", filename=entry["filename"], subfolder=entry["subfolder"], type=entry["type"])

    def _url(self, path, query=None):
        return self.address + path + ("?" + urllib.parse.urlencode(query) if query else "")

    async def _run(self, prompt, targets, on_event, metadata):
        socket_url = self._url("/ws", {"clientId": self.client_id}).replace("http", "ws", 1)
        async with aiohttp.ClientSession() as session, session.ws_connect(socket_url, max_msg_size=0) as socket:
            # Connected before queueing, or the first events would be missed.
            prompt_id = await asyncio.to_thread(self.queue, prompt, targets, metadata)
            run = Run(prompt_id)
            await self._follow(socket, run, on_event)
        self._read_history(run)
        return run

    async def _follow(self, socket, run, on_event):
        node, since = None, 0.0
        async for message in socket:
            if message.type is not aiohttp.WSMsgType.TEXT:
                continue  # previews come as binary frames
            event = json.loads(message.data)
            kind, data = event["type"], event["data"]
            if data.get("prompt_id") != run.prompt_id:
                continue
            now = time.perf_counter()
            if kind == "execution_cached":
                run.cached.update(data["nodes"])
            if kind == "executing" or kind in END_EVENTS:
                if node is not None:
                    run.node_seconds[node] = run.node_seconds.get(node, 0.0) + now - since
                node, since = data.get("node"), now
            if on_event is not None:
                await asyncio.to_thread(on_event, kind, data)
            if kind in END_EVENTS:
                return
        raise ConnectionError(f"the server closed the connection during prompt {run.prompt_id}")

    def _read_history(self, run):
        # The server writes the history just after it sent the last event.
        deadline = time.monotonic() + 30
        while not (history := self.get_json(f"/history/{run.prompt_id}")):
            if time.monotonic() > deadline:
                raise TimeoutError(f"prompt {run.prompt_id} ended, but never came into the history")
            time.sleep(0.02)
        entry = history[run.prompt_id]
        messages = dict(entry["status"]["messages"])
        run.outputs = entry["outputs"]
        run.error = messages.get("execution_error", {})
        run.status = entry["status"]["status_str"]
        if "execution_interrupted" in messages:
            run.status = "interrupted"
        end = next(messages[kind] for kind in END_EVENTS if kind in messages)
        run.seconds = (end["timestamp"] - messages["execution_start"]["timestamp"]) / 1000
