"""boto3 with its waiters and paginators. Every answer is held against the service's model by the `client` fixture."""

import json
import urllib.error
import urllib.request

import boto3
import boto3.dynamodb.conditions
import botocore.exceptions
import pytest
from conftest import queue_policy

TARGET = {"ClusterIdentifier": "local-cluster", "Database": "dev", "DbUser": "local"}


def ended(states, arn):
    """Step Functions has no waiter; asking the local stack costs nothing."""
    for _ in range(2000):
        described = states.describe_execution(executionArn=arn)
        if described["status"] != "RUNNING":
            return described
    raise AssertionError(f"{arn} does not end")


def finished(data, statement):
    for _ in range(5000):
        described = data.describe_statement(Id=statement)
        if described["Status"] in ("FINISHED", "FAILED", "ABORTED"):
            return described
    raise AssertionError(f"{statement} does not end")


def code(failed):
    return failed.value.response["Error"]["Code"]


# ---- Step Functions


def test_an_execution_and_its_history_in_pages(client, stack, name):
    states = client("stepfunctions")
    request = {"sqlStatement": "select 6*7 as answer", "result": "inline"}
    started = states.start_execution(stateMachineArn=stack.machine, name=name, input=json.dumps(request))
    described = ended(states, started["executionArn"])
    assert described["status"] == "SUCCEEDED", described
    assert json.loads(described["output"])["results"][0]["rows"] == [[42]]

    pages = states.get_paginator("get_execution_history").paginate(
        executionArn=started["executionArn"], PaginationConfig={"PageSize": 2}
    )
    pages = list(pages)
    assert all(len(page["events"]) <= 2 for page in pages) and len(pages) > 1
    events = [event for page in pages for event in page["events"]]
    assert [event["id"] for event in events] == list(range(1, len(events) + 1))
    assert (events[0]["type"], events[-1]["type"]) == ("ExecutionStarted", "ExecutionSucceeded")
    backwards = states.get_execution_history(executionArn=started["executionArn"], reverseOrder=True)
    assert backwards["events"][0]["id"] == len(events)

    # A name is taken for good once its execution has ended.
    with pytest.raises(states.exceptions.ExecutionAlreadyExists):
        states.start_execution(stateMachineArn=stack.machine, name=name, input=json.dumps(request))


def test_machines_and_executions_are_listed(client, stack, name):
    states = client("stepfunctions")
    definition = {"StartAt": "Wait", "States": {"Wait": {"Type": "Wait", "Seconds": 3600, "End": True}}}
    role = states.describe_state_machine(stateMachineArn=stack.machine)["roleArn"]
    made = states.create_state_machine(name=name, definition=json.dumps(definition), roleArn=role)
    machine = made["stateMachineArn"]
    # While an execution runs, its name and input stand for it.
    first = states.start_execution(stateMachineArn=machine, name=name, input='{"a": 1}')
    again = states.start_execution(stateMachineArn=machine, name=name, input='{"a": 1}')
    assert again["executionArn"] == first["executionArn"]
    with pytest.raises(states.exceptions.ExecutionAlreadyExists):
        states.start_execution(stateMachineArn=machine, name=name, input="{}")
    states.stop_execution(executionArn=first["executionArn"])
    arns = {states.start_execution(stateMachineArn=machine)["executionArn"] for _ in range(5)}
    pages = states.get_paginator("list_executions").paginate(
        stateMachineArn=machine, statusFilter="RUNNING", PaginationConfig={"PageSize": 2}
    )
    pages = list(pages)
    assert len(pages) == 3
    assert {one["executionArn"] for page in pages for one in page["executions"]} == arns
    machines = states.get_paginator("list_state_machines").paginate(PaginationConfig={"PageSize": 1})
    assert {stack.machine, machine} <= {one["stateMachineArn"] for page in machines for one in page["stateMachines"]}
    for arn in arns:
        states.stop_execution(executionArn=arn, error="Test.Over", cause="seen enough")
    described = states.describe_execution(executionArn=arns.pop())
    assert (described["status"], described["error"], described["cause"]) == ("ABORTED", "Test.Over", "seen enough")
    states.delete_state_machine(stateMachineArn=machine)
    with pytest.raises(states.exceptions.InvalidToken):
        states.send_task_success(taskToken="nobody waits", output="{}")


# ---- Redshift Data API


def test_results_in_pages(client):
    data = client("redshift-data")
    numbers = "with recursive n(i) as (select 1 union all select i + 1 from n where i < 5000) "
    wide = numbers + "select i, repeat('x', 1000) as text from n order by i"
    statement = data.execute_statement(Sql=wide, StatementName="wide", **TARGET)["Id"]
    described = finished(data, statement)
    assert (described["Status"], described["ResultRows"]) == ("FINISHED", 5000), described
    pages = list(data.get_paginator("get_statement_result").paginate(Id=statement))
    assert len(pages) > 1
    rows = [row for page in pages for row in page["Records"]]
    assert [row[0]["longValue"] for row in rows] == list(range(1, 5001))
    assert [column["name"] for column in pages[0]["ColumnMetadata"]] == ["i", "text"]


def test_results_as_csv(client):
    data = client("redshift-data")
    statement = data.execute_statement(Sql="select 1 as a, 'x,y' as b", ResultFormat="CSV", **TARGET)["Id"]
    finished(data, statement)
    pages = list(data.get_paginator("get_statement_result_v2").paginate(Id=statement))
    assert "".join(record["CSVRecords"] for record in pages[0]["Records"]).splitlines() == ["a,b", '1,"x,y"']


def test_statements_are_listed_in_pages(client, name):
    data = client("redshift-data")
    made = set()
    for _ in range(5):
        statement = data.execute_statement(Sql="select 1", StatementName=name, **TARGET)["Id"]
        finished(data, statement)
        made.add(statement)
    pages = data.get_paginator("list_statements").paginate(
        StatementName=name, Status="ALL", PaginationConfig={"PageSize": 2}
    )
    pages = list(pages)
    assert len(pages) >= 3
    assert {one["Id"] for page in pages for one in page["Statements"]} == made


def test_batches_parameters_and_refusals(client, name):
    data = client("redshift-data")
    table = name.replace("-", "_")
    batch = data.batch_execute_statement(Sqls=[f"create table {table} (a int)", f"insert into {table} values (7)"], **TARGET)
    assert finished(data, batch["Id"])["Status"] == "FINISHED"
    query = f"select a from {table} where a = :a"
    statement = data.execute_statement(Sql=query, Parameters=[{"name": "a", "value": "7"}], **TARGET)["Id"]
    finished(data, statement)
    assert data.get_statement_result(Id=statement)["Records"] == [[{"longValue": 7}]]
    failed = data.execute_statement(Sql="select nothing", **TARGET)["Id"]
    assert "nothing" in finished(data, failed)["Error"]
    with pytest.raises(data.exceptions.ResourceNotFoundException):
        data.get_statement_result(Id=failed)
    with pytest.raises(data.exceptions.ValidationException):
        data.execute_statement(Sql="select 1", Database="dev")
    with pytest.raises(botocore.exceptions.ParamValidationError):
        data.execute_statement(Sql=5, **TARGET)


@pytest.mark.parametrize(
    ("operation", "member", "arguments"),
    [
        ("list_databases", "Databases", {}),
        ("list_schemas", "Schemas", {}),
        ("list_tables", "Tables", {"SchemaPattern": "public"}),
        ("describe_table", "ColumnList", {"Schema": "public", "Table": "described"}),
    ],
)
def test_the_catalogue_in_pages(client, operation, member, arguments):
    data = client("redshift-data")
    made = data.execute_statement(Sql="create table if not exists described (a int, b varchar(10))", **TARGET)["Id"]
    finished(data, made)
    pages = data.get_paginator(operation).paginate(**TARGET, **arguments, PaginationConfig={"PageSize": 1})
    assert sum(len(page[member]) for page in pages) >= 1


# ---- S3


def test_objects_with_waiters_pages_and_conditions(client, stack, name):
    s3 = client("s3")
    with pytest.raises(botocore.exceptions.WaiterError):
        s3.get_waiter("object_exists").wait(
            Bucket=stack.bucket, Key=f"{name}/0", WaiterConfig={"Delay": 0, "MaxAttempts": 1}
        )
    for number in range(5):
        put = s3.put_object(
            Bucket=stack.bucket,
            Key=f"{name}/{number}",
            Body=f"select {number}".encode(),
            ServerSideEncryption="aws:kms",
            SSEKMSKeyId="alias/test",
            Metadata={"author": "test"},
            ContentType="text/sql",
        )
    s3.get_waiter("object_exists").wait(Bucket=stack.bucket, Key=f"{name}/0")
    s3.get_waiter("bucket_exists").wait(Bucket=stack.bucket)
    got = s3.get_object(Bucket=stack.bucket, Key=f"{name}/4")
    assert got["Body"].read() == b"select 4"
    kept = {member: got[member] for member in ("ServerSideEncryption", "SSEKMSKeyId", "Metadata", "ContentType")}
    assert kept == {
        "ServerSideEncryption": "aws:kms",
        "SSEKMSKeyId": "alias/test",
        "Metadata": {"author": "test"},
        "ContentType": "text/sql",
    }
    pages = s3.get_paginator("list_objects_v2").paginate(
        Bucket=stack.bucket, Prefix=f"{name}/", PaginationConfig={"PageSize": 2}
    )
    pages = list(pages)
    assert [len(page["Contents"]) for page in pages] == [2, 2, 1]
    folders = s3.list_objects_v2(Bucket=stack.bucket, Prefix=name[:2], Delimiter="/")
    assert {"Prefix": f"{name}/"} in folders["CommonPrefixes"]

    with pytest.raises(botocore.exceptions.ClientError) as failed:
        s3.put_object(Bucket=stack.bucket, Key=f"{name}/4", Body=b"", IfNoneMatch="*")
    assert code(failed) == "PreconditionFailed"
    s3.put_object(Bucket=stack.bucket, Key=f"{name}/4", Body=b"new", IfMatch=put["ETag"])
    with pytest.raises(botocore.exceptions.ClientError) as failed:
        s3.put_object(Bucket=stack.bucket, Key=f"{name}/4", Body=b"newer", IfMatch=put["ETag"])
    assert code(failed) == "PreconditionFailed"
    keys = [{"Key": f"{name}/{number}"} for number in range(5)]
    assert len(s3.delete_objects(Bucket=stack.bucket, Delete={"Objects": keys})["Deleted"]) == 5
    s3.get_waiter("object_not_exists").wait(Bucket=stack.bucket, Key=f"{name}/4")


def test_buckets_come_and_go(client, name):
    s3 = client("s3")
    s3.create_bucket(Bucket=name)
    s3.get_waiter("bucket_exists").wait(Bucket=name)
    assert name in [bucket["Name"] for page in s3.get_paginator("list_buckets").paginate() for bucket in page["Buckets"]]
    s3.put_object(Bucket=name, Key="a", Body=b"a")
    with pytest.raises(botocore.exceptions.ClientError) as failed:
        s3.delete_bucket(Bucket=name)
    assert code(failed) == "BucketNotEmpty"
    s3.delete_object(Bucket=name, Key="a")
    s3.delete_bucket(Bucket=name)
    s3.get_waiter("bucket_not_exists").wait(Bucket=name)


def test_large_uploads_go_in_parts(client, stack, name, tmp_path):
    s3 = client("s3")
    file = tmp_path / "large"
    file.write_bytes(bytes(range(256)) * 4 * 1024 * 10)
    config = boto3.s3.transfer.TransferConfig(multipart_threshold=5 * 1024**2, multipart_chunksize=5 * 1024**2)
    encrypted = {"ServerSideEncryption": "AES256", "Metadata": {"a": "1"}}
    s3.upload_file(str(file), stack.bucket, name, ExtraArgs=encrypted, Config=config)
    head = s3.head_object(Bucket=stack.bucket, Key=name)
    assert head["ETag"].endswith('-2"') and head["ContentLength"] == 10 * 1024**2
    assert (head["ServerSideEncryption"], head["Metadata"]) == ("AES256", {"a": "1"})
    s3.copy({"Bucket": stack.bucket, "Key": name}, stack.bucket, f"{name}-copy", Config=config)
    s3.download_file(stack.bucket, f"{name}-copy", str(tmp_path / "back"), Config=config)
    assert (tmp_path / "back").read_bytes() == file.read_bytes()

    upload = s3.create_multipart_upload(Bucket=stack.bucket, Key=f"{name}-open")["UploadId"]
    for number in (1, 2, 3):
        s3.upload_part(Bucket=stack.bucket, Key=f"{name}-open", UploadId=upload, PartNumber=number, Body=b"x")
    parts = s3.get_paginator("list_parts").paginate(
        Bucket=stack.bucket, Key=f"{name}-open", UploadId=upload, PaginationConfig={"PageSize": 2}
    )
    assert [part["PartNumber"] for page in parts for part in page["Parts"]] == [1, 2, 3]
    uploads = s3.get_paginator("list_multipart_uploads").paginate(Bucket=stack.bucket)
    assert upload in [one["UploadId"] for page in uploads for one in page.get("Uploads", [])]
    s3.abort_multipart_upload(Bucket=stack.bucket, Key=f"{name}-open", UploadId=upload)
    # The first to complete wins.
    upload = s3.create_multipart_upload(Bucket=stack.bucket, Key=name)["UploadId"]
    part = s3.upload_part(Bucket=stack.bucket, Key=name, UploadId=upload, PartNumber=1, Body=b"x")
    with pytest.raises(botocore.exceptions.ClientError) as failed:
        s3.complete_multipart_upload(
            Bucket=stack.bucket,
            Key=name,
            UploadId=upload,
            IfNoneMatch="*",
            MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]},
        )
    assert code(failed) == "PreconditionFailed"


@pytest.mark.parametrize("version", ["s3v4", "s3"])
def test_presigned_urls(client, stack, name, version):
    s3 = client("s3", signature_version=version)

    def url(operation, seconds=60):
        return s3.generate_presigned_url(operation, {"Bucket": stack.bucket, "Key": name}, ExpiresIn=seconds)

    put = urllib.request.Request(url("put_object"), data=b"by url", method="PUT")
    put.add_header("Content-Type", "")
    assert urllib.request.urlopen(put).status == 200
    assert urllib.request.urlopen(url("get_object")).read() == b"by url"
    with pytest.raises(urllib.error.HTTPError) as failed:
        urllib.request.urlopen(url("get_object", -1))
    assert failed.value.code == 403 and b"AccessDenied" in failed.value.read()
    post = s3.generate_presigned_url("delete_object", {"Bucket": stack.bucket, "Key": name})
    assert urllib.request.urlopen(urllib.request.Request(post, method="DELETE")).status == 204


# ---- DynamoDB


def test_a_table_with_waiters_and_pages(client, name):
    dynamodb = client("dynamodb")
    dynamodb.create_table(
        TableName=name,
        AttributeDefinitions=[{"AttributeName": "row", "AttributeType": "S"}, {"AttributeName": "n", "AttributeType": "N"}],
        KeySchema=[{"AttributeName": "row", "KeyType": "HASH"}, {"AttributeName": "n", "KeyType": "RANGE"}],
        BillingMode="PAY_PER_REQUEST",
    )
    dynamodb.get_waiter("table_exists").wait(TableName=name, WaiterConfig={"Delay": 0})
    table = boto3.resource("dynamodb").Table(name)
    with table.batch_writer() as batch:
        for n in range(25):
            batch.put_item(Item={"row": "r", "n": n, "text": "x"})
    pages = dynamodb.get_paginator("query").paginate(
        TableName=name,
        KeyConditionExpression="#row = :row",
        ExpressionAttributeNames={"#row": "row"},
        ExpressionAttributeValues={":row": {"S": "r"}},
        PaginationConfig={"PageSize": 10},
    )
    assert [len(page["Items"]) for page in pages] == [10, 10, 5]
    scanned = dynamodb.get_paginator("scan").paginate(TableName=name, PaginationConfig={"PageSize": 10})
    assert sum(page["Count"] for page in scanned) == 25
    with pytest.raises(dynamodb.exceptions.ConditionalCheckFailedException):
        dynamodb.put_item(
            TableName=name,
            Item={"row": {"S": "r"}, "n": {"N": "1"}},
            ConditionExpression="attribute_not_exists(#row)",
            ExpressionAttributeNames={"#row": "row"},
        )
    names = dynamodb.get_paginator("list_tables").paginate(PaginationConfig={"PageSize": 1})
    assert name in [one for page in names for one in page["TableNames"]]
    dynamodb.delete_table(TableName=name)
    dynamodb.get_waiter("table_not_exists").wait(TableName=name, WaiterConfig={"Delay": 0})


# ---- Lambda


def test_functions_with_waiters_and_pages(client, stack):
    functions = client("lambda")
    for waiter in ("function_active_v2", "function_active", "function_updated_v2", "function_updated", "function_exists"):
        functions.get_waiter(waiter).wait(FunctionName=stack.function)
    listed = [one for page in functions.get_paginator("list_functions").paginate() for one in page["Functions"]]
    assert stack.function in [one["FunctionArn"] for one in listed]
    mappings = functions.get_paginator("list_event_source_mappings").paginate()
    assert any(one["EventSourceArn"].endswith(":local-completion") for page in mappings for one in page["EventSourceMappings"])
    request = json.dumps({"action": "describeStatement", "statementId": "nonsense"}).encode()
    answer = functions.invoke(FunctionName=stack.function, Payload=request, LogType="Tail")
    assert answer["FunctionError"] == "Unhandled" and answer["LogResult"]
    assert json.loads(answer["Payload"].read())["errorType"] == "InvalidRequest"
    assert functions.invoke(FunctionName=stack.function, InvocationType="DryRun")["StatusCode"] == 204
    with pytest.raises(functions.exceptions.ResourceNotFoundException):
        functions.get_function(FunctionName="nobody")


# ---- SQS


def test_queues_with_batches_and_pages(client, name):
    sqs = client("sqs")
    queues = [sqs.create_queue(QueueName=f"{name}-{n}", Attributes={"VisibilityTimeout": "60"})["QueueUrl"] for n in range(3)]
    pages = sqs.get_paginator("list_queues").paginate(QueueNamePrefix=name, PaginationConfig={"PageSize": 2})
    assert [len(page["QueueUrls"]) for page in pages] == [2, 1]
    queue = queues[0]
    entries = [
        {
            "Id": str(n),
            "MessageBody": f"body {n}",
            "MessageAttributes": {"n": {"DataType": "Number", "StringValue": str(n)}},
        }
        for n in range(10)
    ]
    assert len(sqs.send_message_batch(QueueUrl=queue, Entries=entries)["Successful"]) == 10
    messages = []
    while len(messages) < 10:
        # boto3 checks the digests of bodies and attributes.
        got = sqs.receive_message(
            QueueUrl=queue,
            MaxNumberOfMessages=10,
            WaitTimeSeconds=20,
            MessageAttributeNames=["All"],
            MessageSystemAttributeNames=["All"],
        )
        messages += got["Messages"]
    assert {message["Body"] for message in messages} == {f"body {n}" for n in range(10)}
    again = messages.pop()
    sqs.change_message_visibility(QueueUrl=queue, ReceiptHandle=again["ReceiptHandle"], VisibilityTimeout=0)
    got = sqs.receive_message(QueueUrl=queue, MessageSystemAttributeNames=["ApproximateReceiveCount"])["Messages"][0]
    assert (got["MessageId"], got["Attributes"]["ApproximateReceiveCount"]) == (again["MessageId"], "2")
    handles = [{"Id": str(n), "ReceiptHandle": one["ReceiptHandle"]} for n, one in enumerate(messages)]
    assert len(sqs.delete_message_batch(QueueUrl=queue, Entries=handles)["Successful"]) == 9
    names = ["ApproximateNumberOfMessagesNotVisible", "QueueArn"]
    attributes = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=names)["Attributes"]
    assert attributes["ApproximateNumberOfMessagesNotVisible"] == "1" and len(attributes) == 2
    sqs.purge_queue(QueueUrl=queue)
    with pytest.raises(sqs.exceptions.PurgeQueueInProgress):
        sqs.purge_queue(QueueUrl=queue)
    sqs.tag_queue(QueueUrl=queue, Tags={"a": "1", "b": "2"})
    sqs.untag_queue(QueueUrl=queue, TagKeys=["a"])
    assert sqs.list_queue_tags(QueueUrl=queue)["Tags"] == {"b": "2"}
    sqs.delete_queue(QueueUrl=queue)
    with pytest.raises(sqs.exceptions.QueueDoesNotExist):
        sqs.get_queue_url(QueueName=f"{name}-0")
    with pytest.raises(botocore.exceptions.ClientError) as failed:
        sqs.create_queue(QueueName=f"{name}.fifo", Attributes={"FifoQueue": "true"})
    assert code(failed) == "NotImplemented"


# ---- SNS


def test_topics_with_pages(client, name):
    sns, sqs = client("sns"), client("sqs")
    topic = sns.create_topic(Name=name, Attributes={"DisplayName": "Tests & <more>"})["TopicArn"]
    queue = sqs.create_queue(QueueName=name)["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    allowed = json.dumps(queue_policy("sns.amazonaws.com", arn))
    sqs.set_queue_attributes(QueueUrl=queue, Attributes={"Policy": allowed})
    policy = json.dumps({"kind": ["wanted"]})
    subscription = sns.subscribe(
        TopicArn=topic,
        Protocol="sqs",
        Endpoint=arn,
        Attributes={"RawMessageDelivery": "true", "FilterPolicy": policy},
        ReturnSubscriptionArn=True,
    )["SubscriptionArn"]
    sns.subscribe(TopicArn=topic, Protocol="email", Endpoint="test@watch.example")
    pages = sns.get_paginator("list_subscriptions_by_topic").paginate(TopicArn=topic)
    assert {one["Protocol"] for page in pages for one in page["Subscriptions"]} == {"sqs", "email"}
    assert topic in [one["TopicArn"] for page in sns.get_paginator("list_topics").paginate() for one in page["Topics"]]
    attributes = sns.get_topic_attributes(TopicArn=topic)["Attributes"]
    assert (attributes["DisplayName"], attributes["SubscriptionsConfirmed"]) == ("Tests & <more>", "2")
    kinds = [{"DataType": "String", "StringValue": kind} for kind in ("wanted", "other")]
    published = sns.publish_batch(
        TopicArn=topic,
        PublishBatchRequestEntries=[
            {"Id": str(n), "Message": f"<{n}>", "MessageAttributes": {"kind": kind}} for n, kind in enumerate(kinds)
        ],
    )
    assert len(published["Successful"]) == 2
    got = sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10, WaitTimeSeconds=20)["Messages"]
    assert [message["Body"] for message in got] == ["<0>"]
    assert sns.get_subscription_attributes(SubscriptionArn=subscription)["Attributes"]["FilterPolicy"] == policy
    sns.unsubscribe(SubscriptionArn=subscription)
    sns.delete_topic(TopicArn=topic)
    with pytest.raises(sns.exceptions.NotFoundException):
        sns.publish(TopicArn=topic, Message="x")
    with pytest.raises(sns.exceptions.InvalidParameterException):
        sns.create_topic(Name="no name")


# ---- EventBridge


def test_rules_and_events_with_pages(client, name):
    events, sqs = client("events"), client("sqs")
    queue = sqs.create_queue(QueueName=name)["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    allowed = json.dumps(queue_policy("events.amazonaws.com", arn))
    sqs.set_queue_attributes(QueueUrl=queue, Attributes={"Policy": allowed})
    pattern = json.dumps({"source": [name], "detail": {"n": [{"numeric": [">", 1]}]}})
    for n in range(3):
        events.put_rule(Name=f"{name}-{n}", EventPattern=pattern, State="ENABLED" if n == 0 else "DISABLED")
    transformer = {"InputPathsMap": {"n": "$.detail.n"}, "InputTemplate": '{"number": <n>}'}
    events.put_targets(Rule=f"{name}-0", Targets=[{"Id": "q", "Arn": arn, "InputTransformer": transformer}])
    pages = events.get_paginator("list_rules").paginate(NamePrefix=name, PaginationConfig={"PageSize": 2})
    assert [len(page["Rules"]) for page in pages] == [2, 1]
    targets = events.get_paginator("list_targets_by_rule").paginate(Rule=f"{name}-0")
    assert [one["InputTransformer"] for page in targets for one in page["Targets"]] == [transformer]
    by = events.get_paginator("list_rule_names_by_target").paginate(TargetArn=arn)
    assert [one for page in by for one in page["RuleNames"]] == [f"{name}-0"]
    entries = [{"Source": name, "DetailType": "t", "Detail": json.dumps({"n": n})} for n in (1, 2)]
    assert events.put_events(Entries=entries)["FailedEntryCount"] == 0
    got = sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10, WaitTimeSeconds=20)["Messages"]
    assert [json.loads(message["Body"]) for message in got] == [{"number": 2}]
    with pytest.raises(events.exceptions.InvalidEventPatternException):
        events.put_rule(Name=name, EventPattern='{"source": [{"glob": "x"}]}')
    events.remove_targets(Rule=f"{name}-0", Ids=["q"])
    for n in range(3):
        events.delete_rule(Name=f"{name}-{n}")
    with pytest.raises(events.exceptions.ResourceNotFoundException):
        events.describe_rule(Name=f"{name}-0")


# ---- KMS, STS


def test_keys_with_pages(client):
    kms = client("kms")
    keys = [key["KeyId"] for page in kms.get_paginator("list_keys").paginate() for key in page["Keys"]]
    aliases = [one for page in kms.get_paginator("list_aliases").paginate() for one in page["Aliases"]]
    assert aliases and all(one["TargetKeyId"] in keys for one in aliases)
    context = {"stack": "s"}
    made = kms.generate_data_key(KeyId=keys[0], KeySpec="AES_256", EncryptionContext=context)
    opened = kms.decrypt(CiphertextBlob=made["CiphertextBlob"], EncryptionContext=context)
    assert opened["Plaintext"] == made["Plaintext"]
    with pytest.raises(kms.exceptions.InvalidCiphertextException):
        kms.decrypt(CiphertextBlob=made["CiphertextBlob"])


def test_who_am_i(client):
    assert client("sts").get_caller_identity()["Arn"] == "arn:aws:iam::000000000000:user/local"
