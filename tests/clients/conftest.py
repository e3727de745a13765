"""One running stack for all tests, as `tasker serve` starts it, and boto3 clients that hold every answer against the
service's model.

The stack ends with the tests, whatever became of them: it is a process group of its own, and it is killed when it does
not stop.
"""

import contextlib
import json
import os
import re
import signal
import subprocess
import threading
import uuid

import boto3
import botocore.config
import botocore.validate
import pytest

START = 120
"""Seconds that the stack may take to say that it is up."""


class Stack:
    """What `tasker serve` said."""

    def __init__(self, text):
        self.endpoint = re.search(r"http://127\.0\.0\.1:\d+", text).group()
        self.outputs = dict(re.findall(r"^  (\w+) {2,}(\S+)$", text, re.MULTILINE))
        self.machine = self.outputs["StatementStateMachineArn"]
        self.table = self.outputs["TableName"]
        self.bucket = self.outputs["AssetsBucket"]
        self.function = self.outputs["TaskerFunctionArn"]
        self.environment = {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_REGION": "us-east-1",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": "local",
            "AWS_SECRET_ACCESS_KEY": "local",
        }


def queue_policy(service, queue):
    """What a queue says for a service to be allowed to put messages on it; without it none arrives, as on AWS."""
    allowed = {"Effect": "Allow", "Principal": {"Service": service}, "Action": "sqs:SendMessage", "Resource": queue}
    return {"Version": "2012-10-17", "Statement": [allowed]}


@contextlib.contextmanager
def serving(*words):
    """Runs `tasker serve` with these words, and gives what it says until it is up."""
    program = os.environ.get("TASKER")
    if not program or not os.access(program, os.X_OK):
        pytest.exit("TASKER must name the command: make clients does that", returncode=2)
    process = subprocess.Popen(
        [program, "serve", *words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    )
    give_up = threading.Timer(START, lambda: os.killpg(process.pid, signal.SIGKILL))
    give_up.start()
    try:
        text = ""
        for line in process.stdout:
            text += line
            if "Ctrl-C" in line:
                break
        give_up.cancel()
        assert "http://127.0.0.1:" in text, f"the stack did not start:\n{text}"
        # What it says later must not fill the pipe.
        threading.Thread(target=process.stdout.read, daemon=True).start()
        yield text
    finally:
        give_up.cancel()
        process.terminate()
        try:
            process.wait(timeout=30)
        finally:
            try:
                os.killpg(process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass


@pytest.fixture(scope="session")
def stack():
    with serving() as text:
        yield Stack(text)


@pytest.fixture(autouse=True)
def environment(stack, monkeypatch, tmp_path):
    """Nothing of the machine's own settings for AWS gets in."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name, value in stack.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("HOME", str(tmp_path))


@pytest.fixture
def client(stack):
    """Makes boto3 clients that refuse an answer which the service's model does not know."""

    def make(service, **settings):
        # One try, so that a call that fails is seen and not repeated.
        config = botocore.config.Config(
            retries={"total_max_attempts": 1}, parameter_validation=True, read_timeout=30, **settings
        )
        made = boto3.client(service, config=config)
        made.meta.events.register("before-parse", unknown_members)
        made.meta.events.register("after-call", missing_members)
        return made

    return make


@pytest.fixture
def name():
    """A name that nothing has yet."""
    return "t-" + uuid.uuid4().hex[:12]


def unknown_members(operation_model, response_dict, **_):
    """A member that the model does not have is silently dropped by botocore's parser: found in the bytes."""
    shape = operation_model.output_shape
    kind = operation_model.service_model.metadata["protocol"]
    if kind != "json" or response_dict["status_code"] >= 300 or shape is None:
        return
    compare(json.loads(response_dict["body"] or b"{}"), shape, operation_model.name)


UNMODELLED = {"TableThroughputModeSummary"}
"""Members that a service sends and that stand in no model: DynamoDB's about tables paid by request."""


OUT_OF_RANGE = {"NumberOfDecreasesToday"}
"""Members that a service itself sends with a value outside its model's bounds: DynamoDB says 0 of at least 1."""


def compare(value, shape, where):
    if shape.type_name == "structure":
        assert isinstance(value, dict), f"{where} is {value!r}"
        for member, inner in value.items():
            if member in UNMODELLED:
                continue
            assert member in shape.members, f"{where} has no member {member}"
            compare(inner, shape.members[member], f"{where}.{member}")
    elif shape.type_name == "list":
        assert isinstance(value, list), f"{where} is {value!r}"
        for index, inner in enumerate(value):
            compare(inner, shape.member, f"{where}[{index}]")
    elif shape.type_name == "map":
        assert isinstance(value, dict), f"{where} is {value!r}"
        for member, inner in value.items():
            compare(inner, shape.value, f"{where}.{member}")
    else:
        kinds = {
            "string": str,
            "blob": str,
            "boolean": bool,
            "integer": int,
            "long": int,
            "double": (int, float),
            "float": (int, float),
            "timestamp": (int, float),
        }
        assert isinstance(value, kinds[shape.type_name]), f"{where} is {value!r}, no {shape.type_name}"
        if getattr(shape, "enum", None):
            assert value in shape.enum, f"{where} is {value!r}, none of {shape.enum}"


def missing_members(http_response, parsed, model, **_):
    """Required members, types and lengths, by the rules that botocore has for parameters."""
    if http_response.status_code >= 300 or model.output_shape is None:
        return
    streaming = model.get_streaming_output()
    parsed = {name: value for name, value in parsed.items() if name != "ResponseMetadata"}
    if streaming is not None:
        return
    report = botocore.validate.ParamValidator().validate(parsed, model.output_shape).generate_report()
    wrong = [line for line in report.splitlines() if not any(name in line for name in OUT_OF_RANGE)]
    assert not wrong, f"{model.name}: {wrong}"
