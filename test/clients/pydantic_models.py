"""Ordinary pydantic models as tools and forms, by the official client's helpers and as others send them."""

import json
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import openai
from checks import KEY, MAX_CONCURRENT, MODEL, URL, check
from pydantic import ValidationError

sys.path.append(str(Path(__file__).parent / "models"))
from pydantic_actions import ACTIONS, ACTIONS_BEYOND_SCHEMA  # noqa: E402
from pydantic_records import RECORDS, RECORDS_BEYOND_SCHEMA  # noqa: E402

MODELS = [*RECORDS, *ACTIONS]
BEYOND_SCHEMA = [*RECORDS_BEYOND_SCHEMA, *ACTIONS_BEYOND_SCHEMA]
MESSAGES = [{"role": "user", "content": "Tell me something."}]
"""Share of the answers that end; the others are cut off."""
LEAST_ENDED = 0.6
IS_QUICK = "SEAP_TEST_QUICK" in os.environ
MAX_TOKENS = 120 if IS_QUICK else 200

client = openai.OpenAI(base_url=URL, api_key=KEY, max_retries=5)


def name_of(model):
    return "".join(letter for letter in model.__name__ if letter.isalnum())


def strict_tool(model):
    tool = openai.pydantic_function_tool(model, name=name_of(model))
    choice = {"type": "function", "function": {"name": name_of(model)}}
    return {"tools": [tool], "tool_choice": choice}


def tool(model):
    function = {"name": name_of(model), "parameters": model.model_json_schema()}
    choice = {"type": "function", "function": {"name": name_of(model)}}
    return {"tools": [{"type": "function", "function": function}], "tool_choice": choice}


def strict_form(model):
    return {"response_format": model}


def form(model):
    schema = {"name": name_of(model), "schema": model.model_json_schema()}
    return {"response_format": {"type": "json_schema", "json_schema": schema}}


def asked(model, params):
    """What the model wrote, by `parse` where the client reads it."""
    limits = {"model": MODEL, "messages": MESSAGES, "max_tokens": MAX_TOKENS}
    limits["seed"] = MODELS.index(model)
    strict = params.get("response_format") is model
    call = client.chat.completions.parse if strict else client.chat.completions.create
    message = call(**limits, **params).choices[0]
    if message.finish_reason == "length":
        return None
    calls = message.message.tool_calls
    return calls[0].function.arguments if calls else message.message.content


def judge(model, params):
    """How the model's answer ended, or what is wrong with it."""
    try:
        text = asked(model, params)
        if text is None:
            return "cut"
        if model in BEYOND_SCHEMA:
            json.loads(text)
        else:
            model.model_validate_json(text)
        return "valid"
    except openai.LengthFinishReasonError:
        return "cut"
    except ValidationError as error:
        # The client's own parsing raises it too.
        return "valid" if model in BEYOND_SCHEMA else f"{model.__name__}: {error}"
    except openai.APIStatusError as error:
        return f"{model.__name__}: {error.message}"


FORMS = {
    "strict tools (pydantic_function_tool)": strict_tool,
    "strict forms (parse)": strict_form,
    "tools (model_json_schema)": tool,
    "forms (model_json_schema)": form,
}
for title, params_of in FORMS.items():
    if IS_QUICK and title != "strict forms (parse)":
        continue

    @check(f"{len(MODELS)} models as {title}: all accepted, answers valid")
    def _():
        with ThreadPoolExecutor(MAX_CONCURRENT) as pool:
            verdicts = list(pool.map(lambda model: judge(model, params_of(model)), MODELS))
        valid, cut = verdicts.count("valid"), verdicts.count("cut")
        print(f"{valid} valid, {cut} cut off")
        wrong = [verdict for verdict in verdicts if verdict not in ("valid", "cut")]
        assert wrong == [], "\n".join(wrong)
        assert valid >= LEAST_ENDED * (valid + cut), f"{valid} of {valid + cut} ended"
