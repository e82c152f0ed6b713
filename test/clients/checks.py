"""The server under test and what the clients ask it for, as main.mjs set them."""

import asyncio
import inspect
import json
import os
import traceback
import urllib.request

URL = os.environ["SEAP_TEST_URL"]
KEY = os.environ["SEAP_TEST_KEY"]
MAX_CONCURRENT = int(os.environ["SEAP_TEST_CONCURRENT"])
TEMPORARY = os.environ["SEAP_TEST_TEMP"]
MODEL = "tiny"


def check(name):
    """Runs the decorated check and says how it went, in a line that main.mjs counts."""

    def run(function):
        try:
            if inspect.iscoroutinefunction(function):
                asyncio.run(function())
            else:
                function()
            print(f"PASS {name}", flush=True)
        except Exception:
            reason = traceback.format_exc().replace("\n", "\n     ")
            print(f"FAIL {name}: {reason}", flush=True)

    return run


def raised(kind, call):
    """The error of this kind that the call raises."""
    try:
        call()
    except kind as error:
        return error
    raise AssertionError(f"expected {kind.__name__}, got no error")


def end_token():
    """The id of the token that ends an answer, as `logit_bias` names it."""
    body = json.dumps({"prompt": "<|im_end|>", "add_special_tokens": False}).encode()
    request = urllib.request.Request(f"{URL.removesuffix('/v1')}/tokenize", body)
    request.add_header("Authorization", f"Bearer {KEY}")
    request.add_header("Content-Type", "application/json")
    with urllib.request.urlopen(request) as answer:
        (token,) = json.load(answer)["tokens"]
    return str(token)
