"""What ministack 1.5 does otherwise than AWS, as far as it is met here, and what is done about it. The project is not
changed for its sake: copies of the packaged templates and definitions are, and an event takes another way to its queue.

Changed below, with the reason at each: versions and aliases of state machines, alarms on metric math, demands for TLS,
KMS's condition keys, expressions in TimeoutSeconds, the Output of a Succeed state.

Not to be had there, and so not tested there:
- Redshift Data. Its endpoint is a local stack's, its events are carried over (the fixture `events`).
- A task that waits for its token does not fail when the function that it calls fails; it waits on.
- An update in place of a queue loses its ARN, and with it the update of the stack fails: stacks are only created.
- What a nested stack is to retain is deleted with it.
- A state machine's own calls (lambda:invoke, startExecution, sns:publish) are not evaluated against its role; a function's
  calls are.
"""

import json
import urllib.parse

MISSING = {"AWS::StepFunctions::StateMachineVersion", "AWS::StepFunctions::StateMachineAlias"}
"""Resource types that its CloudFormation does not know, although its Step Functions has the calls. Who starts the alias
starts the machine."""
AGAIN = ".adapted"
"""What ends the key of an object that was changed for ministack."""


def demands_tls(statement):
    """It is spoken to over http here, which bucket, queue and topic policies deny."""
    return isinstance(statement, dict) and "aws:SecureTransport" in json.dumps(statement.get("Condition", {}))


def without_kms(condition):
    """Its evaluator knows none of KMS's condition keys: what asks for a context or a service would never be allowed."""
    kept = {how: {key: one for key, one in keys.items() if not key.startswith("kms:")} for how, keys in condition.items()}
    return {how: keys for how, keys in kept.items() if keys}


def metric_math(resource):
    """Its alarms watch one metric."""
    return resource["Type"] == "AWS::CloudWatch::Alarm" and "Metrics" in resource["Properties"]


def adapted(s3, template):
    """A packaged template and the nested ones, without what ministack refuses; the nested ones are uploaded anew."""
    resources = template["Resources"]
    for name in [name for name, resource in resources.items() if resource["Type"] in MISSING or metric_math(resource)]:
        del resources[name]
    for resource in resources.values():
        properties = resource.get("Properties", {})
        if resource["Type"] == "AWS::CloudFormation::Stack":
            bucket, key = urllib.parse.urlsplit(properties["TemplateURL"]).path.lstrip("/").split("/", 1)
            again(s3, bucket, key, lambda inner: adapted(s3, inner))
            properties["TemplateURL"] += AGAIN
        if resource["Type"] == "AWS::StepFunctions::StateMachine":
            place = properties["DefinitionS3Location"]
            again(s3, place["Bucket"], place["Key"], definition)
            place["Key"] += AGAIN
    return changed(template, set(resources) | set(template.get("Parameters", ())))


def again(s3, bucket, key, change):
    """Uploads a changed object beside the one that was packaged."""
    document = json.loads(s3.get_object(Bucket=bucket, Key=key)["Body"].read())
    s3.put_object(Bucket=bucket, Key=key + AGAIN, Body=json.dumps(change(document)))


def definition(value):
    """It evaluates no expression in a task's TimeoutSeconds, and no Output of a Succeed state: the timeout is a number, and
    a Pass state ends in the place of the other."""
    if isinstance(value, list):
        return [definition(one) for one in value]
    if not isinstance(value, dict):
        return value
    value = {key: definition(one) for key, one in value.items()}
    if isinstance(value.get("TimeoutSeconds"), str):
        value["TimeoutSeconds"] = 600
    if value.get("Type") == "Succeed" and "Output" in value:
        value |= {"Type": "Pass", "End": True}
    return value


def changed(value, known):
    """Without the statements that demand TLS; a reference to an alias that went is one to its machine."""
    if isinstance(value, list):
        return [changed(one, known) for one in value if not demands_tls(one)]
    if not isinstance(value, dict):
        return value
    if isinstance(value.get("Condition"), dict):
        value = {**value, "Condition": without_kms(value["Condition"])}
    if set(value) == {"Ref"} and value["Ref"].endswith("Alias") and value["Ref"] not in known:
        return {"Ref": value["Ref"].removesuffix("Alias")}
    return {key: changed(one, known) for key, one in value.items()}
