"""Deployments as a person makes them with the AWS CLI, against `tasker serve --empty`; boto3's waiters and answers."""

import json
import os
import pathlib
import shutil
import subprocess
import sys

import boto3
import botocore.config
import botocore.exceptions
import pytest
from conftest import missing_members, serving

PROJECT = pathlib.Path(__file__).parents[2]
SOON = {"Delay": 1, "MaxAttempts": 60}
"""The waiters' own pauses are half a minute."""

INNER = """
Parameters:
  Seconds: {Type: Number}
Resources:
  Queue: {Type: AWS::SQS::Queue, Properties: {VisibilityTimeout: !Ref Seconds}}
Outputs:
  Queue: {Value: !GetAtt Queue.QueueName}
"""

OUTER = """
Description: Two stacks.
Parameters:
  Seconds: {Type: Number, Default: 10, Description: How long a message is hidden.}
  Word: {Type: String, NoEcho: true, Default: open sesame}
Resources:
  Inner:
    Type: AWS::CloudFormation::Stack
    Properties: {TemplateURL: ./inner.yaml, Parameters: {Seconds: !Ref Seconds}}
Outputs:
  Queue: {Value: !GetAtt Inner.Outputs.Queue, Description: The queue}
"""


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory):
    settings = tmp_path_factory.mktemp("serve") / "aws.env"
    with serving("--empty", "--env", str(settings)) as text:
        yield next(word for word in text.split() if word.startswith("http://127.0.0.1:"))


@pytest.fixture
def cloudformation(endpoint, environment, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    config = botocore.config.Config(retries={"total_max_attempts": 1})
    made = boto3.client("cloudformation", config=config)
    made.meta.events.register("after-call", checked)
    return made


def checked(model, **call):
    # Its answer is no longer what came over the wire: botocore reads a template that is JSON.
    if model.name != "GetTemplate":
        missing_members(model=model, **call)


@pytest.fixture
def aws(endpoint, tmp_path):
    """Runs the CLI: what it printed, or what it complained about."""
    environment = {
        "PATH": os.path.dirname(sys.executable) + os.pathsep + os.environ["PATH"],
        "HOME": str(tmp_path),
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "local",
        "AWS_SECRET_ACCESS_KEY": "local",
    }

    def run(*words, folder=tmp_path, fails=False):
        ended = subprocess.run(["aws", *words], cwd=folder, env=environment, capture_output=True, text=True, timeout=120)
        said = ended.stdout + ended.stderr
        assert (ended.returncode != 0) == fails, f"aws {' '.join(words)}: {said}"
        return said

    return run


def deploy(aws, name, *more, **options):
    words = ["--stack-name", name, "--template-file", "packaged.yaml", "--capabilities", "CAPABILITY_NAMED_IAM", *more]
    return aws("cloudformation", "deploy", *words, **options)


def package(aws, bucket, template, folder):
    aws("s3", "mb", f"s3://{bucket}", folder=folder)
    out = ["--output-template-file", str(folder / "packaged.yaml")]
    aws("cloudformation", "package", "--template-file", str(template), "--s3-bucket", bucket, *out, folder=folder)


def outputs(cloudformation, name):
    described = cloudformation.describe_stacks(StackName=name)["Stacks"][0]
    return {output["OutputKey"]: output["OutputValue"] for output in described["Outputs"]}


def test_a_nested_template_is_packaged_deployed_changed_and_deleted(aws, cloudformation, tmp_path, name):
    (tmp_path / "inner.yaml").write_text(INNER)
    (tmp_path / "outer.yaml").write_text(OUTER)
    package(aws, name + "-artefacts", "outer.yaml", tmp_path)
    assert "Successfully created/updated stack" in deploy(aws, name)
    sqs = boto3.client("sqs")
    url = sqs.get_queue_url(QueueName=outputs(cloudformation, name)["Queue"])["QueueUrl"]

    def seconds():
        found = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["VisibilityTimeout"])
        return found["Attributes"]["VisibilityTimeout"]

    assert seconds() == "10"
    described = cloudformation.describe_stacks(StackName=name)["Stacks"][0]
    assert {"ParameterKey": "Word", "ParameterValue": "****"} in described["Parameters"]
    assert "No changes to deploy" in deploy(aws, name, "--no-fail-on-empty-changeset")
    deploy(aws, name, "--parameter-overrides", "Seconds=20")
    assert seconds() == "20"
    aws("cloudformation", "wait", "stack-update-complete", "--stack-name", name)
    events = json.loads(aws("cloudformation", "describe-stack-events", "--stack-name", name))["StackEvents"]
    assert events[0]["ResourceStatus"] == "UPDATE_COMPLETE" and events[-1]["ResourceStatus"] == "REVIEW_IN_PROGRESS"
    summary = cloudformation.get_template_summary(StackName=name)
    assert {one["ParameterKey"] for one in summary["Parameters"]} == {"Seconds", "Word"}
    listed = cloudformation.get_paginator("list_stack_resources").paginate(StackName=name).build_full_result()
    assert [one["LogicalResourceId"] for one in listed["StackResourceSummaries"]] == ["Inner"]
    aws("cloudformation", "validate-template", "--template-body", "file://inner.yaml")

    # What would replace the queue is refused by name, before anything is touched.
    (tmp_path / "inner.yaml").write_text(INNER.replace("{VisibilityTimeout", "{QueueName: other, VisibilityTimeout"))
    package(aws, name + "-again", "outer.yaml", tmp_path)
    said = deploy(aws, name, fails=True)
    assert "Inner/Queue (AWS::SQS::Queue), QueueName: a change of QueueName replaces AWS::SQS::Queue" in said
    assert seconds() == "20"

    cloudformation.delete_stack(StackName=name)
    cloudformation.get_waiter("stack_delete_complete").wait(StackName=name, WaiterConfig=SOON)
    with pytest.raises(sqs.exceptions.QueueDoesNotExist):
        sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])
    with pytest.raises(botocore.exceptions.ClientError, match=f"Stack with id {name} does not exist"):
        cloudformation.describe_stacks(StackName=name)


def test_a_creation_that_fails_is_rolled_back_and_the_reason_is_found(aws, cloudformation, tmp_path, name):
    boto3.client("s3").create_bucket(Bucket=name)
    template = {
        "Resources": {
            "Topic": {"Type": "AWS::SNS::Topic"},
            "Bucket": {"Type": "AWS::S3::Bucket", "DependsOn": "Topic", "Properties": {"BucketName": name}},
        }
    }
    (tmp_path / "packaged.yaml").write_text(json.dumps(template))
    said = deploy(aws, name, fails=True)
    assert "Failed to create/update the stack" in said
    described = cloudformation.describe_stacks(StackName=name)["Stacks"][0]
    assert described["StackStatus"] == "ROLLBACK_COMPLETE"
    events = cloudformation.describe_stack_events(StackName=name)["StackEvents"]
    failed = [event for event in events if event["ResourceStatus"] == "CREATE_FAILED"]
    assert [event["LogicalResourceId"] for event in failed] == ["Bucket"]
    assert "you already own it" in failed[0]["ResourceStatusReason"]
    assert cloudformation.get_template(StackName=name)["TemplateBody"] == template
    with pytest.raises(botocore.exceptions.WaiterError, match="ROLLBACK_COMPLETE"):
        cloudformation.get_waiter("stack_create_complete").wait(StackName=name, WaiterConfig=SOON)
    circle = {name: {"Type": "AWS::SNS::Topic", "DependsOn": other} for name, other in (("A", "B"), ("B", "A"))}
    with pytest.raises(botocore.exceptions.ClientError, match=r"Circular dependency between resources: \[A, B\]"):
        cloudformation.create_stack(StackName=name + "c", TemplateBody=json.dumps({"Resources": circle}))


def test_the_project_is_packaged_and_deployed_and_runs_a_statement(aws, cloudformation, tmp_path, name):
    """The project's own templates. What the packages hold does not matter here: the command plays the functions."""
    for folder in ("infra", "statemachines"):
        shutil.copytree(PROJECT / folder, tmp_path / folder)
    for package_name in sorted(path.name for path in (PROJECT / "lambdas").iterdir()):
        program = tmp_path / "target" / "lambda" / f"{package_name}-function" / "bootstrap"
        program.parent.mkdir(parents=True)
        program.write_text(package_name)
    package(aws, name + "-artefacts", tmp_path / "infra" / "root.yaml", tmp_path)
    deploy(aws, name, "--parameter-overrides", "ClusterIdentifier=warehouse", "Database=dev")
    found = outputs(cloudformation, name)
    states = boto3.client("stepfunctions")
    request = json.dumps({"sqlStatement": "select 6*7 as answer", "result": "inline"})
    started = states.start_execution(stateMachineArn=found["StatementStateMachineArn"], input=request)
    for _ in range(2000):
        described = states.describe_execution(executionArn=started["executionArn"])
        if described["status"] != "RUNNING":
            break
    assert described["status"] == "SUCCEEDED", described
    assert json.loads(described["output"])["results"][0]["rows"] == [[42]]

    deploy(aws, name, "--parameter-overrides", "LogLevel=debug")
    function = boto3.client("lambda").get_function_configuration(FunctionName=found["TaskerFunctionArn"])
    assert function["Environment"]["Variables"]["LOG_LEVEL"] == "debug"

    cloudformation.delete_stack(StackName=name)
    cloudformation.get_waiter("stack_delete_complete").wait(StackName=name, WaiterConfig=SOON)
    assert boto3.client("lambda").list_functions()["Functions"] == []
    # What holds data is retained by choice.
    assert found["TableName"] in boto3.client("dynamodb").list_tables()["TableNames"]
