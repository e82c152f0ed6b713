"""The official client for Python against the server that main.mjs started."""

import asyncio
import base64
import math
import struct
from typing import Literal

import openai
from checks import KEY, MAX_CONCURRENT, MODEL, URL, check, raised
from openai import AsyncOpenAI, OpenAI
from pydantic import BaseModel, Field

MESSAGES = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "Tell me something."},
]
SAMPLED = {"model": MODEL, "messages": MESSAGES, "max_tokens": 40, "temperature": 1, "seed": 5}
CONSTRAINED = {"model": MODEL, "messages": MESSAGES, "max_tokens": 400, "seed": 1}

client = OpenAI(base_url=URL, api_key=KEY, max_retries=0)


class Weather(BaseModel):
    """Tells the weather."""

    unit: Literal["c", "f"]
    days: int = Field(ge=1, le=7)


class Forecast(BaseModel):
    days: list[Weather] = Field(min_length=1, max_length=2)
    warning: Literal["storm", "heat"] | None


TOOL = openai.pydantic_function_tool(Weather)


@check("models: list and retrieve")
def _():
    assert MODEL in [model.id for model in client.models.list()]
    assert client.models.retrieve(MODEL).object == "model"


@check("chat: text, usage, finish reason, request id")
def _():
    answer = client.chat.completions.create(**SAMPLED)
    (choice,) = answer.choices
    assert choice.message.role == "assistant"
    assert choice.message.content
    assert choice.finish_reason == "length"
    assert answer.usage.completion_tokens == 40
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + 40
    assert answer.usage.prompt_tokens_details.cached_tokens >= 0
    assert answer._request_id


@check("chat: n, logprobs, stop")
def _():
    answer = client.chat.completions.create(**SAMPLED, n=2, logprobs=True, top_logprobs=2)
    assert [choice.index for choice in answer.choices] == [0, 1]
    for choice in answer.choices:
        assert len(choice.logprobs.content) == 40
        assert all(len(token.top_logprobs) == 2 for token in choice.logprobs.content)
    text = answer.choices[0].message.content
    stop = text[3:5]
    cut = client.chat.completions.create(**SAMPLED, stop=[stop]).choices[0]
    assert cut.message.content == text[: text.index(stop)]
    assert cut.finish_reason == "stop"


@check("stream: the text and usage of the whole answer")
def _():
    whole = client.chat.completions.create(**SAMPLED)
    stream = client.chat.completions.create(
        **SAMPLED, stream=True, stream_options={"include_usage": True}
    )
    chunks = list(stream)
    assert len({chunk.id for chunk in chunks}) == 1
    assert chunks[-1].choices == []
    assert chunks[-1].usage.completion_tokens == whole.usage.completion_tokens
    pieces = [chunk.choices[0].delta.content or "" for chunk in chunks[:-1]]
    assert len(pieces) > 2
    assert "".join(pieces) == whole.choices[0].message.content
    assert chunks[-2].choices[0].finish_reason == "length"


@check("stream helper: events and the final completion")
def _():
    text = client.chat.completions.create(**SAMPLED).choices[0].message.content
    # An answer cut off is an error to this helper.
    params = {**SAMPLED, "stop": text[3:5]}
    whole = client.chat.completions.create(**params)
    with client.chat.completions.stream(**params) as stream:
        kinds = {event.type for event in stream}
        final = stream.get_final_completion()
    assert {"chunk", "content.delta", "content.done"} <= kinds
    assert final.choices[0].message.content == whole.choices[0].message.content


@check("tools: a required call, and its result goes back")
def _():
    answer = client.chat.completions.create(**CONSTRAINED, tools=[TOOL], tool_choice="required")
    message = answer.choices[0].message
    assert answer.choices[0].finish_reason == "tool_calls"
    assert message.tool_calls
    for call in message.tool_calls:
        assert call.function.name == "Weather"
        Weather.model_validate_json(call.function.arguments)
    results = [
        {"role": "tool", "tool_call_id": call.id, "content": "sunny"}
        for call in message.tool_calls
    ]
    last = client.chat.completions.create(
        model=MODEL, messages=[*MESSAGES, message, *results], max_tokens=4
    )
    plain = client.chat.completions.create(model=MODEL, messages=MESSAGES, max_tokens=4)
    assert last.usage.prompt_tokens > plain.usage.prompt_tokens


@check("tools: parse, whole and streamed, gives pydantic objects")
def _():
    params = {**CONSTRAINED, "tools": [TOOL], "tool_choice": "required"}
    parsed = client.chat.completions.parse(**params).choices[0].message.tool_calls
    arguments = [call.function.parsed_arguments for call in parsed]
    assert all(isinstance(value, Weather) for value in arguments)
    with client.chat.completions.stream(**params) as stream:
        kinds = {event.type for event in stream}
        final = stream.get_final_completion()
    assert "tool_calls.function.arguments.done" in kinds
    streamed = final.choices[0].message.tool_calls
    assert [call.function.parsed_arguments for call in streamed] == arguments
    assert len({call.id for call in streamed}) == len(streamed)


@check("parse: a pydantic schema, whole and streamed")
def _():
    answer = client.chat.completions.parse(**CONSTRAINED, response_format=Forecast)
    parsed = answer.choices[0].message.parsed
    assert isinstance(parsed, Forecast)
    with client.chat.completions.stream(**CONSTRAINED, response_format=Forecast) as stream:
        stream.until_done()
        final = stream.get_final_completion()
    assert final.choices[0].message.parsed == parsed


@check("parse: an answer cut off is LengthFinishReasonError")
def _():
    params = {**CONSTRAINED, "max_tokens": 3}
    raised(
        openai.LengthFinishReasonError,
        lambda: client.chat.completions.parse(**params, response_format=Forecast),
    )


@check("completions: texts, echo, log-probabilities, stream")
def _():
    params = {"model": MODEL, "max_tokens": 5, "seed": 5}
    answer = client.completions.create(**params, prompt=["One", "Two"], logprobs=1, echo=True)
    assert [choice.text[:3] for choice in answer.choices] == ["One", "Two"]
    logprobs = answer.choices[0].logprobs
    assert len(logprobs.tokens) == len(logprobs.token_logprobs) == len(logprobs.text_offset)
    whole = client.completions.create(**params, prompt="One").choices[0].text
    stream = client.completions.create(**params, prompt="One", stream=True)
    assert "".join(chunk.choices[0].text for chunk in stream) == whole


RESPONSE = {
    "model": MODEL,
    "input": "Tell me something.",
    "temperature": 1,
    "extra_body": {"seed": 5},
}


@check("responses: text, usage, retrieve, continue, delete")
def _():
    first = client.responses.create(**RESPONSE, max_output_tokens=20)
    assert first.output_text
    assert first.status == "incomplete"
    assert first.incomplete_details.reason == "max_output_tokens"
    assert first.usage.output_tokens == 20
    assert client.responses.retrieve(first.id).output_text == first.output_text
    second = client.responses.create(
        model=MODEL, input="Go on.", previous_response_id=first.id, max_output_tokens=4
    )
    assert second.previous_response_id == first.id
    assert second.usage.input_tokens > first.usage.input_tokens + 20
    client.responses.delete(first.id)
    raised(openai.NotFoundError, lambda: client.responses.retrieve(first.id))


@check("responses: events and the final response")
def _():
    with client.responses.stream(**RESPONSE, max_output_tokens=20) as stream:
        events = list(stream)
    assert events[0].type == "response.created"
    assert events[-1].type == "response.incomplete"
    numbers = [event.sequence_number for event in events]
    assert numbers == list(range(len(events)))
    deltas = [event.delta for event in events if event.type == "response.output_text.delta"]
    assert "".join(deltas) == events[-1].response.output_text


@check("responses: parse with a pydantic schema, whole and streamed")
def _():
    params = {**RESPONSE, "text_format": Forecast, "max_output_tokens": 400}
    parsed = client.responses.parse(**params).output_parsed
    assert isinstance(parsed, Forecast)
    with client.responses.stream(**params) as stream:
        assert stream.get_final_response().output_parsed == parsed


@check("responses: a required tool, whole and streamed, and its result goes back")
def _():
    schema = {**Weather.model_json_schema(), "additionalProperties": False}
    tool = {"type": "function", "name": "weather", "parameters": schema, "strict": True}
    params = {
        **RESPONSE,
        "tools": [tool],
        "tool_choice": "required",
        "max_output_tokens": 400,
    }
    answer = client.responses.create(**params)
    calls = [item for item in answer.output if item.type == "function_call"]
    assert calls
    for call in calls:
        Weather.model_validate_json(call.arguments)
    with client.responses.stream(**params) as stream:
        kinds = {event.type for event in stream}
        final = stream.get_final_response()
    assert "response.function_call_arguments.done" in kinds
    streamed = [item.arguments for item in final.output if item.type == "function_call"]
    assert streamed == [call.arguments for call in calls]
    results = [
        {"type": "function_call_output", "call_id": call.call_id, "output": "sunny"}
        for call in calls
    ]
    question = {"role": "user", "content": RESPONSE["input"]}
    last = client.responses.create(
        model=MODEL, input=[question, *answer.output, *results], max_output_tokens=4
    )
    plain = client.responses.create(model=MODEL, input=[question], max_output_tokens=4)
    assert last.usage.input_tokens > plain.usage.input_tokens


@check("embeddings: floats, the same in base64, length 1, dimensions")
def _():
    params = {"model": MODEL, "input": ["One", "Two"]}
    floats = client.embeddings.create(**params, encoding_format="float")
    coded = client.embeddings.with_raw_response.create(**params, encoding_format="base64")
    by_default = client.embeddings.create(**params)
    assert [item.index for item in floats.data] == [0, 1]
    rows = zip(floats.data, coded.http_response.json()["data"], by_default.data, strict=True)
    for item, other, default in rows:
        assert abs(math.hypot(*item.embedding) - 1) < 1e-4
        data = base64.b64decode(other["embedding"])
        assert list(struct.unpack(f"<{len(data) // 4}f", data)) == default.embedding
        near = zip(item.embedding, default.embedding, strict=True)
        assert all(abs(a - b) < 1e-6 for a, b in near)
    short = client.embeddings.create(**params, dimensions=8)
    assert all(len(item.embedding) == 8 for item in short.data)


def counted(**options):
    """A client, and the list of the attempts that it makes."""
    attempts = []
    transport = openai.DefaultHttpxClient(event_hooks={"request": [attempts.append]})
    return OpenAI(base_url=URL, api_key=KEY, http_client=transport, **options), attempts


@check("errors: a 400 has message, type, param and code, and is not tried again")
def _():
    retrying, attempts = counted(max_retries=2)
    wrong = {**SAMPLED, "temperature": -1}
    error = raised(
        openai.BadRequestError, lambda: retrying.chat.completions.create(**wrong)
    )
    assert error.status_code == 400
    assert error.type == "invalid_request_error"
    assert error.param == "temperature"
    assert error.code == "invalid_request"
    assert "temperature" in error.message
    assert error.request_id
    assert len(attempts) == 1


@check("errors: a 400 comes before the stream begins")
def _():
    wrong = {**SAMPLED, "temperature": -1, "stream": True}
    raised(openai.BadRequestError, lambda: client.chat.completions.create(**wrong))


@check("errors: an unknown model is 404, a wrong key 401")
def _():
    error = raised(
        openai.NotFoundError,
        lambda: client.chat.completions.create(**{**SAMPLED, "model": "nothing"}),
    )
    assert error.code == "model_not_found"
    stranger = client.with_options(api_key="wrong")
    error = raised(openai.AuthenticationError, lambda: stranger.models.list())
    assert error.code == "invalid_api_key"


def hold_all():
    """Streams that take all requests that the key may have running."""
    params = {**SAMPLED, "max_tokens": 20_000, "stream": True}
    params["extra_body"] = {"ignore_eos": True}
    # The server may not have seen yet that streams before were closed.
    patient = client.with_options(max_retries=5)
    streams = [patient.chat.completions.create(**params) for _ in range(MAX_CONCURRENT)]
    for stream in streams:
        next(iter(stream))
    return streams


@check("errors: a 429 says when to retry, and the client does so until it is answered")
def _():
    streams = hold_all()
    error = raised(openai.RateLimitError, lambda: client.chat.completions.create(**SAMPLED))
    assert error.code == "rate_limit_exceeded"
    assert int(error.response.headers["retry-after"]) >= 1
    retrying, attempts = counted(max_retries=5)

    def release(request):
        attempts.append(request)
        if len(attempts) == 2:
            for stream in streams:
                stream.close()

    transport = openai.DefaultHttpxClient(event_hooks={"request": [release]})
    answer = retrying.with_options(http_client=transport).chat.completions.create(**SAMPLED)
    assert answer.choices[0].message.content
    assert len(attempts) >= 2


@check("a time-out ends the request, and the server takes the next one")
def _():
    params = {**SAMPLED, "max_tokens": 20_000, "extra_body": {"ignore_eos": True}}
    patient = client.with_options(max_retries=5)
    assert patient.chat.completions.create(**SAMPLED).choices[0].message.content
    raised(
        openai.APITimeoutError,
        lambda: client.chat.completions.create(**params, timeout=0.3),
    )
    assert patient.chat.completions.create(**SAMPLED).choices[0].message.content


@check("the asynchronous client: answers at the same time are those one by one")
def _():
    async def ask():
        async with AsyncOpenAI(base_url=URL, api_key=KEY, max_retries=5) as many:
            requests = [many.chat.completions.create(**{**SAMPLED, "seed": i}) for i in range(2)]
            return [answer.choices[0].message.content for answer in await asyncio.gather(*requests)]

    together = asyncio.run(ask())
    for i, text in enumerate(together):
        params = {**SAMPLED, "seed": i}
        assert client.chat.completions.create(**params).choices[0].message.content == text
