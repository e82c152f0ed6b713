"""The LiteLLM proxy in front of the server, asked by the official client, and LiteLLM as a library."""

import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

# Else it fetches a list of prices.
os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"

import httpx  # noqa: E402
import litellm  # noqa: E402
import openai  # noqa: E402
from checks import KEY, MAX_CONCURRENT, MODEL, TEMPORARY, URL, check, raised  # noqa: E402

MASTER_KEY = "sk-proxy"
START_SECONDS = 180
MESSAGES = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "Tell me something."},
]
SAMPLED = {"messages": MESSAGES, "max_tokens": 30, "temperature": 1, "seed": 5}
TOO_LONG = [{"role": "user", "content": "word " * 40_000}]
WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Tells the weather.",
        "parameters": {
            "type": "object",
            "properties": {
                "unit": {"type": "string", "enum": ["c", "f"]},
                "days": {"type": "integer", "minimum": 1, "maximum": 7},
            },
            "required": ["unit", "days"],
        },
    },
}
litellm.telemetry = False
litellm.num_retries = 0
"""LiteLLM's names for servers like this one."""
PROVIDERS = ["openai", "hosted_vllm", "llamafile", "custom_openai"]
direct = {"api_base": URL, "api_key": KEY, "num_retries": 0, "max_retries": 0}


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def write_config(path):
    models = [
        {
            "model_name": f"{provider}-tiny",
            "litellm_params": {"model": f"{provider}/{MODEL}", "api_base": URL, "api_key": KEY},
        }
        for provider in ["openai", "hosted_vllm"]
    ]
    embedding = {
        "model_name": "embed",
        "litellm_params": {"model": f"openai/{MODEL}", "api_base": URL, "api_key": KEY},
    }
    config = {
        "model_list": [*models, embedding],
        "litellm_settings": {"num_retries": 0, "telemetry": False},
        "router_settings": {"num_retries": 0, "disable_cooldowns": True},
        "general_settings": {"master_key": MASTER_KEY},
    }
    # JSON is YAML too.
    path.write_text(json.dumps(config))


def start_proxy():
    """The proxy's process, and a client of it, once it is ready."""
    config = Path(TEMPORARY) / "litellm.yaml"
    write_config(config)
    port = free_port()
    program = Path(sys.executable).parent / "litellm"
    log = open(Path(TEMPORARY) / "litellm.log", "w")
    process = subprocess.Popen(
        [program, "--config", config, "--host", "127.0.0.1", "--port", str(port)],
        stdout=log,
        stderr=subprocess.STDOUT,
        cwd=TEMPORARY,
    )
    for _ in range(START_SECONDS * 4):
        try:
            if httpx.get(f"http://127.0.0.1:{port}/health/readiness").status_code == 200:
                url = f"http://127.0.0.1:{port}"
                return process, openai.OpenAI(base_url=url, api_key=MASTER_KEY, max_retries=0)
        except httpx.TransportError:
            if process.poll() is not None:
                break
        time.sleep(0.25)
    process.kill()
    raise AssertionError(f"the proxy did not start:\n{Path(log.name).read_text()[-4000:]}")


def hold_all():
    """Streams that take all requests that the key may have running."""
    holder = openai.OpenAI(base_url=URL, api_key=KEY, max_retries=5)
    params = {**SAMPLED, "max_tokens": 20_000, "stream": True, "extra_body": {"ignore_eos": True}}
    streams = [
        holder.chat.completions.create(model=MODEL, **params) for _ in range(MAX_CONCURRENT)
    ]
    for stream in streams:
        next(iter(stream))
    return streams


def run_checks(client):
    for name in ["openai-tiny", "hosted_vllm-tiny"]:
        run_chat_checks(client, name)

    @check("proxy: models, completions, embeddings")
    def _():
        assert {"openai-tiny", "hosted_vllm-tiny"} <= {model.id for model in client.models.list()}
        answer = client.completions.create(model="openai-tiny", prompt="One", max_tokens=5)
        assert answer.choices[0].text
        (item,) = client.embeddings.create(model="embed", input=["One"]).data
        assert len(item.embedding) > 8

    @check("proxy: the Responses API, whole and streamed")
    def _():
        params = {"model": "openai-tiny", "input": "Tell me something.", "max_output_tokens": 10}
        assert client.responses.create(**params).output_text
        events = list(client.responses.create(**params, stream=True))
        assert events[-1].type in ("response.completed", "response.incomplete"), events[-1]

    @check("proxy: Anthropic's messages become our chat")
    def _():
        headers = {"x-api-key": MASTER_KEY, "anthropic-version": "2023-06-01"}
        body = {
            "model": "hosted_vllm-tiny",
            "max_tokens": 10,
            "system": "Be brief.",
            "messages": MESSAGES[1:],
        }
        url = f"{str(client.base_url).rstrip('/')}/v1/messages"
        answer = httpx.post(url, json=body, headers=headers, timeout=60)
        assert answer.status_code == 200, answer.text
        assert answer.json()["content"][0]["text"]
        assert answer.json()["usage"]["output_tokens"] == 10

    @check("proxy: a wrong parameter is a 400 with our message")
    def _():
        wrong = {**SAMPLED, "temperature": -1}
        error = raised(
            openai.BadRequestError,
            lambda: client.chat.completions.create(model="openai-tiny", **wrong),
        )
        assert "temperature" in error.message


def run_chat_checks(client, name):
    @check(f"proxy, {name}: chat and the same streamed")
    def _():
        whole = client.chat.completions.create(model=name, **SAMPLED)
        assert whole.choices[0].message.content
        assert whole.choices[0].finish_reason == "length"
        assert whole.usage.completion_tokens == 30
        options = {"stream": True, "stream_options": {"include_usage": True}}
        chunks = list(client.chat.completions.create(model=name, **SAMPLED, **options))
        pieces = [chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices]
        assert "".join(pieces) == whole.choices[0].message.content
        assert chunks[-1].usage.completion_tokens == 30

    @check(f"proxy, {name}: a tool is called, whole and streamed, and its result goes back")
    def _():
        params = {"model": name, "tools": [WEATHER], "messages": MESSAGES, "max_tokens": 200}
        choice = {"type": "function", "function": {"name": "get_weather"}}
        params |= {"tool_choice": choice, "seed": 1}
        message = client.chat.completions.create(**params).choices[0].message
        (call,) = message.tool_calls
        assert json.loads(call.function.arguments)["unit"] in ("c", "f")
        chunks = client.chat.completions.create(**params, stream=True)
        deltas = [chunk.choices[0].delta.tool_calls or [] for chunk in chunks if chunk.choices]
        pieces = [part.function.arguments or "" for calls in deltas for part in calls]
        assert "".join(pieces) == call.function.arguments
        result = {"role": "tool", "tool_call_id": call.id, "content": "sunny"}
        history = [*MESSAGES, message.model_dump(exclude_none=True), result]
        last = client.chat.completions.create(model=name, messages=history, max_tokens=4)
        assert last.usage.completion_tokens <= 4

    @check(f"proxy, {name}: a form")
    def _():
        schema = WEATHER["function"]["parameters"]
        form = {"type": "json_schema", "json_schema": {"name": "weather", "schema": schema}}
        params = {**SAMPLED, "max_tokens": 200, "response_format": form}
        answer = client.chat.completions.create(model=name, **params)
        assert 1 <= json.loads(answer.choices[0].message.content)["days"] <= 7

    @check(f"proxy, {name}: a prompt that is too long is a context error")
    def _():
        error = raised(
            openai.BadRequestError,
            lambda: client.chat.completions.create(model=name, messages=TOO_LONG),
        )
        assert "ContextWindowExceededError" in error.message, error.message

    @check(f"proxy, {name}: a full server is a rate limit")
    def _():
        streams = hold_all()
        error = raised(
            openai.RateLimitError,
            lambda: client.chat.completions.create(model=name, **SAMPLED),
        )
        for stream in streams:
            stream.close()
        assert "RateLimitError" in error.message, error.message


for provider in PROVIDERS:

    @check(f"library, {provider}: chat, stream, context error, rate limit, wrong key")
    def _():
        params = {**direct, "model": f"{provider}/{MODEL}"}
        whole = litellm.completion(**params, **SAMPLED)
        chunks = list(litellm.completion(**params, **SAMPLED, stream=True))
        rebuilt = litellm.stream_chunk_builder(chunks)
        assert rebuilt.choices[0].message.content == whole.choices[0].message.content
        raised(
            litellm.ContextWindowExceededError,
            lambda: litellm.completion(**params, messages=TOO_LONG),
        )
        streams = hold_all()
        raised(litellm.RateLimitError, lambda: litellm.completion(**params, **SAMPLED))
        for stream in streams:
            stream.close()
        stranger = {**params, "api_key": "wrong"}
        raised(litellm.AuthenticationError, lambda: litellm.completion(**stranger, **SAMPLED))
        nobody = {**params, "model": f"{provider}/nothing"}
        raised(litellm.NotFoundError, lambda: litellm.completion(**nobody, **SAMPLED))


process, client = start_proxy()
try:
    run_checks(client)
finally:
    process.terminate()
    process.wait()
