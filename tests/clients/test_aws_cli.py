"""The AWS CLI as a person types it in a shell that has sourced `aws.env` and nothing else."""

import json
import os
import subprocess
import sys
import urllib.request

import pytest
from conftest import queue_policy


@pytest.fixture
def aws(stack, tmp_path):
    """Runs the CLI and gives what it printed: parsed where it is JSON."""
    settings = tmp_path / "aws.env"
    settings.write_bytes(urllib.request.urlopen(f"{stack.endpoint}/_tasker/aws.env").read())
    path = os.path.dirname(sys.executable) + os.pathsep + os.environ["PATH"]
    environment = {"PATH": path, "HOME": str(tmp_path)}

    def run(*words, fails=None):
        shell = ["sh", "-c", '. "$0" && aws "$@"', str(settings), *words]
        ended = subprocess.run(shell, env=environment, capture_output=True, text=True, timeout=60)
        if fails is None:
            assert ended.returncode == 0, f"aws {' '.join(words)}: {ended.stderr}"
            return json.loads(ended.stdout) if ended.stdout.lstrip().startswith(("{", "[")) else ended.stdout.strip()
        assert ended.returncode != 0 and fails in ended.stderr, f"aws {' '.join(words)}: {ended.stderr}"
        return None

    return run


def test_stepfunctions(aws, stack):
    request = json.dumps({"sqlStatement": "select 6*7 as answer", "result": "inline"})
    started = aws("stepfunctions", "start-execution", "--state-machine-arn", stack.machine, "--input", request)
    arn = started["executionArn"]
    for _ in range(100):
        described = aws("stepfunctions", "describe-execution", "--execution-arn", arn)
        if described["status"] != "RUNNING":
            break
    assert described["status"] == "SUCCEEDED", described
    history = aws("stepfunctions", "get-execution-history", "--execution-arn", arn)
    types = [event["type"] for event in history["events"]]
    assert types[0] == "ExecutionStarted" and types[-1] == "ExecutionSucceeded"
    few = aws("stepfunctions", "get-execution-history", "--execution-arn", arn, "--max-items", "2")
    assert len(few["events"]) == 2 and few["NextToken"]
    listed = aws(
        "stepfunctions", "list-executions", "--state-machine-arn", stack.machine, "--query", "executions[].executionArn"
    )
    assert arn in listed
    aws("stepfunctions", "describe-execution", "--execution-arn", arn + "x", fails="ExecutionDoesNotExist")


def test_redshift_data(aws):
    target = ["--cluster-identifier", "local-cluster", "--database", "dev", "--db-user", "local"]
    statement = aws("redshift-data", "execute-statement", "--sql", "select 1 as one", *target)["Id"]
    for _ in range(100):
        described = aws("redshift-data", "describe-statement", "--id", statement)
        if described["Status"] == "FINISHED":
            break
    result = aws("redshift-data", "get-statement-result", "--id", statement)
    assert result["Records"] == [[{"longValue": 1}]]
    listed = aws("redshift-data", "list-statements", "--status", "ALL", "--query", "Statements[].Id")
    assert statement in listed
    aws("redshift-data", "describe-statement", "--id", "x", fails="ValidationException")


def test_s3(aws, stack, name, tmp_path):
    there, key = tmp_path / "there.sql", f"s3://{stack.bucket}/{name}/a.sql"
    there.write_text("select 1")
    aws("s3", "cp", str(there), key)
    assert aws("s3", "ls", f"s3://{stack.bucket}/{name}/").endswith(" a.sql")
    aws("s3", "cp", key, str(tmp_path / "back.sql"))
    assert (tmp_path / "back.sql").read_text() == "select 1"
    url = aws("s3", "presign", key, "--expires-in", "60")
    assert urllib.request.urlopen(url).read() == b"select 1"
    aws("s3", "sync", f"s3://{stack.bucket}/{name}/", str(tmp_path / "all"))
    assert (tmp_path / "all" / "a.sql").exists()
    large = tmp_path / "large"
    large.write_bytes(b"x" * (17 * 1024**2))
    aws("s3", "cp", str(large), f"s3://{stack.bucket}/{name}/large")
    aws("s3", "cp", f"s3://{stack.bucket}/{name}/large", f"s3://{stack.bucket}/{name}/copy")
    head = aws("s3api", "head-object", "--bucket", stack.bucket, "--key", f"{name}/copy")
    assert head["ContentLength"] == 17 * 1024**2
    aws("s3", "rm", f"s3://{stack.bucket}/{name}/", "--recursive")
    aws("s3api", "head-object", "--bucket", stack.bucket, "--key", f"{name}/a.sql", fails="404")
    aws("s3", "mb", f"s3://{name}")
    aws("s3", "rb", f"s3://{name}")


def test_sqs_and_sns(aws, name):
    queue = aws("sqs", "create-queue", "--queue-name", name)["QueueUrl"]
    attributes = ["--queue-url", queue, "--attribute-names", "QueueArn"]
    arn = aws("sqs", "get-queue-attributes", *attributes)["Attributes"]["QueueArn"]
    topic = aws("sns", "create-topic", "--name", name)["TopicArn"]
    policy = json.dumps(queue_policy("sns.amazonaws.com", arn))
    aws("sqs", "set-queue-attributes", "--queue-url", queue, "--attributes", json.dumps({"Policy": policy}))
    aws("sns", "subscribe", "--topic-arn", topic, "--protocol", "sqs", "--notification-endpoint", arn)
    aws("sns", "publish", "--topic-arn", topic, "--message", "hello", "--subject", "greeting")
    message = aws("sqs", "receive-message", "--queue-url", queue, "--wait-time-seconds", "20")["Messages"][0]
    envelope = json.loads(message["Body"])
    assert (envelope["Message"], envelope["Subject"]) == ("hello", "greeting")
    aws("sqs", "delete-message", "--queue-url", queue, "--receipt-handle", message["ReceiptHandle"])
    aws("sqs", "send-message", "--queue-url", queue, "--message-body", "direct")
    assert queue in aws("sqs", "list-queues")["QueueUrls"]
    aws("sqs", "purge-queue", "--queue-url", queue)
    aws("sqs", "get-queue-url", "--queue-name", "none", fails="NonExistentQueue")
    aws("sns", "publish", "--topic-arn", topic + "x", "--message", "x", fails="NotFound")


def test_the_settings_name_the_state_machines(stack):
    text = urllib.request.urlopen(f"{stack.endpoint}/_tasker/aws.env").read().decode()
    assert f"export STATEMENT_STATE_MACHINE_ARN='{stack.machine}'" in text.splitlines()


def test_the_rest(aws, stack, name):
    assert aws("sts", "get-caller-identity")["Account"] == "000000000000"
    assert stack.table in aws("dynamodb", "list-tables")["TableNames"]
    aws("dynamodb", "wait", "table-exists", "--table-name", stack.table)
    aws("dynamodb", "scan", "--table-name", stack.table)
    functions = aws("lambda", "list-functions")["Functions"]
    assert stack.function in [function["FunctionArn"] for function in functions]
    aws("lambda", "wait", "function-active-v2", "--function-name", stack.function)
    rules = aws("events", "list-rules")["Rules"]
    assert rules and all(rule["Arn"].startswith("arn:aws:events:") for rule in rules)
    entry = json.dumps([{"Source": name, "DetailType": "t", "Detail": "{}"}])
    assert aws("events", "put-events", "--entries", entry)["FailedEntryCount"] == 0
    assert aws("kms", "list-aliases")["Aliases"]
