"""OpenAI's Agents SDK for Python: two tools, a hand-off, streams and forms, over chat completions and Responses."""

from typing import Literal

import agents
from agents import Agent, ModelSettings, OpenAIChatCompletionsModel, OpenAIResponsesModel, Runner
from checks import KEY, MODEL, URL, check, end_token
from openai import AsyncOpenAI
from openai.types.shared import Reasoning
from pydantic import BaseModel, Field

agents.set_tracing_disabled(True)
calls = []


@agents.function_tool
def get_weather(unit: Literal["c", "f"], days: Literal[1, 2, 3]) -> str:
    """Tells the weather.

    Args:
        unit: of the temperature
        days: how many
    """
    calls.append("get_weather")
    return f"{days} days in {unit}"


@agents.function_tool
def now() -> str:
    """Tells the time."""
    calls.append("now")
    return "noon"


class Verdict(BaseModel):
    mood: Literal["good", "bad"]
    score: int = Field(ge=0, le=9)


"""An answer cut off is an error to the Responses model, and noise seldom ends by itself."""
EXTRA = {"seed": 1, "logit_bias": {end_token(): 4}}


def settings(**wanted):
    return ModelSettings(max_tokens=400, extra_body=EXTRA, **wanted)


def client():
    return AsyncOpenAI(base_url=URL, api_key=KEY, max_retries=5)


def make_checks(title, model_of):
    async def run(agent, text="Tell me something."):
        calls.clear()
        return await Runner.run(agent, text, max_turns=4)

    def agent_of(name, **options):
        return Agent(name, instructions="Be brief.", model=model_of(client()), **options)

    @check(f"{title}: an agent answers, and its conversation goes on")
    async def _():
        agent = agent_of("Plain", model_settings=settings())
        first = await run(agent)
        assert isinstance(first.final_output, str)
        history = [*first.to_input_list(), {"role": "user", "content": "Go on."}]
        second = await run(agent, history)
        first_usage, second_usage = (r.context_wrapper.usage for r in (first, second))
        assert second_usage.input_tokens > first_usage.input_tokens

    for name in ["get_weather", "now"]:

        @check(f"{title}: of two tools {name} is named, called, and its result read")
        async def _():
            options = settings(tool_choice=name, parallel_tool_calls=False)
            result = await run(agent_of("Caller", tools=[get_weather, now], model_settings=options))
            assert calls == [name], calls
            assert len(result.raw_responses) == 2
            kinds = [item.type for item in result.new_items]
            assert kinds[:2] == ["tool_call_item", "tool_call_output_item"], kinds
            assert isinstance(result.final_output, str)

    @check(f"{title}: a required call, of either tool, in a stream")
    async def _():
        options = settings(tool_choice="required")
        agent = agent_of("Caller", tools=[get_weather, now], model_settings=options)
        calls.clear()
        result = Runner.run_streamed(agent, "Tell me something.", max_turns=4)
        kinds = {event.type async for event in result.stream_events()}
        assert {"raw_response_event", "run_item_stream_event"} <= kinds, kinds
        assert calls, result.new_items

    @check(f"{title}: a hand-off to an agent that has tools itself")
    async def _():
        expert = agent_of(
            "Weather expert",
            handoff_description="Knows the weather.",
            tools=[get_weather],
            model_settings=settings(tool_choice="required"),
        )
        triage = agent_of(
            "Triage",
            tools=[now],
            handoffs=[expert],
            model_settings=settings(tool_choice="transfer_to_weather_expert"),
        )
        result = await run(triage)
        kinds = [item.type for item in result.new_items]
        assert kinds[:2] == ["handoff_call_item", "handoff_output_item"], kinds
        assert "get_weather" in calls
        assert result.last_agent is expert

    for kind, options in {
        "alone": {"model_settings": settings()},
        "beside tools": {"tools": [get_weather, now], "model_settings": settings()},
    }.items():

        @check(f"{title}: an answer of a class, {kind}")
        async def _():
            result = await run(agent_of("Judge", output_type=Verdict, **options))
            assert isinstance(result.final_output, Verdict), result.final_output


make_checks("chat", lambda client: OpenAIChatCompletionsModel(MODEL, openai_client=client))
make_checks("responses", lambda client: OpenAIResponsesModel(MODEL, openai_client=client))


@check("responses: a hosted tool beside one's own, reasoning, and what else it can be told")
async def _():
    agent = Agent(
        "Searcher",
        instructions="Be brief.",
        model=OpenAIResponsesModel(MODEL, openai_client=client()),
        tools=[agents.WebSearchTool(), get_weather],
        model_settings=settings(
            reasoning=Reasoning(effort="low", summary="auto"),
            store=False,
            truncation="disabled",
            response_include=["reasoning.encrypted_content"],
            verbosity="low",
            metadata={"user": "one"},
        ),
    )
    result = await Runner.run(agent, "Tell me something.", max_turns=4)
    assert isinstance(result.final_output, str)


@check("responses: the server keeps the conversation")
async def _():
    agent = Agent(
        "Plain",
        model=OpenAIResponsesModel(MODEL, openai_client=client()),
        model_settings=settings(),
    )
    first = await Runner.run(agent, "Tell me something.")
    second = await Runner.run(agent, "Go on.", previous_response_id=first.last_response_id)
    first_usage, second_usage = (r.context_wrapper.usage for r in (first, second))
    assert second_usage.input_tokens > first_usage.input_tokens
