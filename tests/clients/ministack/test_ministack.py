"""The deployment and its functions on `ministack`, an emulator of AWS that others wrote: the second opinion on what the
local stack says. Templates, zips and definitions are the ones that `tasker package` made for AWS; ministack starts the
zips as `provided.al2023`, and evaluates the roles for every call of a function. Redshift is not among its services: the
endpoint of that one service is a local stack's. limits.py says what else ministack lacks."""

import contextlib
import functools
import json
import os
import pathlib
import platform
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request

import boto3
import botocore.config
import limits
import pytest
from conftest import queue_policy, serving

PROJECT = pathlib.Path(__file__).parents[3]
LIMIT = 120
"""Seconds after which something that is waited for is given up."""
STACK = "second"
KEYS = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
ARCHITECTURE = "arm64" if platform.machine() in {"arm64", "aarch64"} else "x86_64"
"""ministack starts programs on this machine, on its own processor."""
ENDED = {"SUCCEEDED", "FAILED", "TIMED_OUT", "ABORTED"}


class Services:
    """Clients of one endpoint, as its members: `s3`, `sqs`, `awslambda`, …"""

    def __init__(self, endpoint):
        self.endpoint = endpoint

    @functools.cache
    def __getattr__(self, service):
        config = botocore.config.Config(retries={"total_max_attempts": 1}, read_timeout=30)
        name = service.removeprefix("aws")
        return boto3.client(name, endpoint_url=self.endpoint, region_name="us-east-1", config=config, **KEYS)


@pytest.fixture(autouse=True)
def environment():
    """In the place of the other clients' fixture, which wants a whole local stack."""


@pytest.fixture(scope="module")
def redshift(tmp_path_factory):
    """A local stack, for its Data API and the events of it."""
    with serving("--env", str(tmp_path_factory.mktemp("serve") / "aws.env")) as text:
        yield Services(re.search(r"http://127\.0\.0\.1:\d+", text).group())


@pytest.fixture(scope="module")
def ministack(redshift, tmp_path_factory):
    """ministack, in a process group of its own: the functions' programs end with it."""
    if sys.platform != "linux":
        pytest.exit(f"ministack starts the functions' Linux programs here, which {sys.platform} cannot", returncode=2)
    folder = tmp_path_factory.mktemp("ministack")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    endpoint = f"http://127.0.0.1:{port}"
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "TMPDIR": str(folder),
        "GATEWAY_PORT": str(port),
        "BIND_HOST": "127.0.0.1",
        # Roles and resource policies are evaluated.
        "AUTH": "true",
        # What the functions find in their environment.
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ENDPOINT_URL_REDSHIFT_DATA": redshift.endpoint,
    }
    log = folder / "ministack.log"
    with log.open("w") as out:
        program = os.path.join(os.path.dirname(sys.executable), "ministack")
        process = subprocess.Popen([program], stdout=out, stderr=out, cwd=folder, env=environment, start_new_session=True)
    try:
        until(lambda: answers(endpoint) or process.poll() is not None, f"ministack does not answer: {log}")
        assert process.poll() is None, log.read_text()
        yield Services(endpoint)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(timeout=30)


def answers(endpoint):
    with contextlib.suppress(urllib.error.URLError, ConnectionError):
        return urllib.request.urlopen(endpoint + "/_ministack/health", timeout=5).status == 200


def until(found, otherwise):
    """What `found` gives, as soon as it gives something."""
    ends = time.monotonic() + LIMIT
    while time.monotonic() < ends:
        if value := found():
            return value
    pytest.fail(otherwise)


def tasker(ministack, *words):
    """Runs the command against ministack: what it printed."""
    environment = {
        # Cargo has variables of its own, when it builds; nothing of the machine's own settings for AWS gets in.
        **{name: value for name, value in os.environ.items() if not name.startswith("AWS_")},
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_ENDPOINT_URL": ministack.endpoint,
        "AWS_REGION": "us-east-1",
        **{name.upper(): value for name, value in KEYS.items()},
    }
    command = [os.environ["TASKER"], *map(str, words)]
    ended = subprocess.run(command, cwd=PROJECT, env=environment, capture_output=True, text=True)
    assert ended.returncode == 0, f"tasker {' '.join(words)}:\n{ended.stdout}{ended.stderr}"
    return ended.stdout


@pytest.fixture(scope="module")
def events(ministack, redshift):
    """Takes every event of the local stack's Redshift to ministack, and gives the list of what went: only AWS may put an
    event whose source begins with `aws.`, there as well, so that they go into the queue that the rule leads to. Each goes
    twice, because events may."""
    queue = redshift.sqs.create_queue(QueueName="to-ministack")["QueueUrl"]
    arn = redshift.sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    policy = json.dumps(queue_policy("events.amazonaws.com", arn))
    redshift.sqs.set_queue_attributes(QueueUrl=queue, Attributes={"Policy": policy})
    redshift.events.put_rule(Name="to-ministack", EventPattern=json.dumps({"source": ["aws.redshift-data"]}))
    redshift.events.put_targets(Rule="to-ministack", Targets=[{"Id": "queue", "Arn": arn}])
    went, over = [], threading.Event()

    def carry():
        while not over.is_set():
            received = redshift.sqs.receive_message(QueueUrl=queue, WaitTimeSeconds=1, MaxNumberOfMessages=10)
            for message in received.get("Messages", []):
                went.append(message["Body"])
                completion = ministack.sqs.get_queue_url(QueueName=f"{STACK}-completion")["QueueUrl"]
                for _ in range(2):
                    ministack.sqs.send_message(QueueUrl=completion, MessageBody=message["Body"])
                redshift.sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])

    carrier = threading.Thread(target=carry)
    carrier.start()
    yield went
    over.set()
    carrier.join(timeout=30)


@pytest.fixture(scope="module")
def stack(ministack, events, tmp_path_factory):
    """The project, packaged and deployed, with a review that the deployment starts: the stack's outputs."""
    folder = tmp_path_factory.mktemp("packaged")
    packaged, adapted = folder / "packaged.json", folder / "adapted.json"
    # Where the functions are that were built before; cargo-lambda builds them when nothing is said.
    built = os.environ.get("TASKER_FUNCTIONS")
    functions = ["--functions", built] if built else ["--architecture", ARCHITECTURE]
    words = tasker(ministack, "package", "--bucket", "artefacts", "--out", packaged, *functions).split()
    adapted.write_text(json.dumps(limits.adapted(ministack.s3, json.loads(packaged.read_text()))))
    words += ["ClusterIdentifier=local-cluster", "Database=dev", "NotificationEmail=data@example.com"]
    words += ["ScheduleExpression=rate(1 day)", "StartAfterDeployment=review"]
    parameters = [part for word in words for part in ("--parameter", word)]
    tasker(ministack, "deploy", "--stack", STACK, "--template", adapted, "--yes", *parameters)
    described = ministack.cloudformation.describe_stacks(StackName=STACK)["Stacks"][0]
    assert described["StackStatus"] == "CREATE_COMPLETE"
    return {output["OutputKey"]: output["OutputValue"] for output in described["Outputs"]}


def ended(ministack, execution):
    def look():
        described = ministack.stepfunctions.describe_execution(executionArn=execution)
        return described["status"] in ENDED and described

    return until(look, f"{execution} does not end")


def statement(ministack, stack, **request):
    """Runs a statement through its state machine, to its end."""
    machine = stack["StatementStateMachineArn"]
    started = ministack.stepfunctions.start_execution(stateMachineArn=machine, input=json.dumps(request))
    return ended(ministack, started["executionArn"])


def test_a_statement_answers_its_task_with_rows(ministack, stack):
    described = statement(ministack, stack, sqlStatement="select 6*7 as answer", result="inline")
    assert described["status"] == "SUCCEEDED", described
    output = json.loads(described["output"])
    assert output["state"] == "FINISHED" and output["results"][0]["rows"] == [[42]]


def test_a_statement_that_fails_fails_its_task_in_the_databases_words(ministack, stack):
    described = statement(ministack, stack, sqlStatement="select * from missing")
    assert (described["status"], described["error"]) == ("FAILED", "Redshift.UndefinedObject"), described
    assert json.loads(described["cause"])["error"] == 'ERROR: relation "missing" does not exist'


def test_the_rule_matches_the_event_of_a_statement(ministack, stack, events):
    statement(ministack, stack, sqlStatement="select 1")
    rules = ministack.events.list_rules(NamePrefix=STACK)["Rules"]
    pattern = next(rule["EventPattern"] for rule in rules if "redshift-data" in rule.get("EventPattern", ""))
    # Of another stack's event only the statement's name differs.
    event = json.loads(events[-1])
    for name, expected in ((event["detail"]["statementName"], True), ("other/" + "0" * 64, False)):
        event["detail"]["statementName"] = name
        found = ministack.events.test_event_pattern(EventPattern=pattern, Event=json.dumps(event))
        assert found["Result"] == expected, (pattern, event)


def test_what_a_role_does_not_allow_is_refused(ministack, stack):
    """So that the other tests say something about the roles."""
    # It reads scripts, too.
    ended(ministack, stack["RunExecutionArn"])
    function = ministack.awslambda.get_function_configuration(FunctionName=stack["TaskerFunctionArn"])
    role = function["Role"].rsplit("/", 1)[1]
    policy = ministack.iam.get_role_policy(RoleName=role, PolicyName="assets")["PolicyDocument"]
    ministack.iam.delete_role_policy(RoleName=role, PolicyName="assets")
    request = json.dumps({"scriptKey": "scripts/review/nodes.sql"})
    try:
        answer = ministack.awslambda.invoke(FunctionName=stack["TaskerFunctionArn"], Payload=request)
        error = json.loads(answer["Payload"].read())
    finally:
        ministack.iam.put_role_policy(RoleName=role, PolicyName="assets", PolicyDocument=json.dumps(policy))
    assert error["errorType"] == "AccessDenied" and "s3:GetObject" in error["errorMessage"], error


def test_the_review_that_the_deployment_started_finishes_every_query(ministack, stack):
    described = ended(ministack, stack["RunExecutionArn"])
    assert described["status"] == "SUCCEEDED", described
    summary = json.loads(described["output"])
    assert summary["finished"] == summary["queries"] > 30 and summary["persistentFailures"] == 0
    assert stack["RunLocation"] == f"s3://{stack['ResultsBucket']}/{summary['run']}"


def test_the_command_starts_follows_and_brings_a_review(ministack, stack, tmp_path):
    tasker(ministack, "start", "review", "--stack", STACK, "--watch")
    summary = json.loads(tasker(ministack, "fetch", "--stack", STACK, "--out", tmp_path, "--json"))
    assert summary["counts"]["finished"] == summary["counts"]["queries"] > 30
    assert "<html" in (tmp_path / "report.html").read_text()
    assert "FINISHED" in tasker(ministack, "statements", "--stack", STACK)


def test_the_stack_goes(ministack, stack):
    """The last: nothing is there after it."""
    tasker(ministack, "delete", "--stack", STACK, "--yes")
    assert ministack.awslambda.list_functions()["Functions"] == []
    assert ministack.stepfunctions.list_state_machines()["stateMachines"] == []
