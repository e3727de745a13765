#!/bin/sh
# Shows that the rules can fail: breaks a copy of a template, one thing at a time, and expects a finding by that rule.
# Usage: test.sh CFN_GUARD
set -eu
guard=$1
rules=$(dirname "$0")
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
failed=0

# TEMPLATE RULE SED-EXPRESSION
broken() {
    sed -E "$3" "$rules/../$1.yaml" > "$copy/$1.yaml"
    if cmp -s "$rules/../$1.yaml" "$copy/$1.yaml"; then
        echo "$1: '$3' changes nothing" >&2; failed=1
    elif "$guard" validate --rules "$rules" --data "$copy/$1.yaml" --show-summary fail > "$copy/found" 2>&1; then
        echo "$1: '$3' is not found" >&2; failed=1
    elif ! grep -q "/$2 .*FAIL" "$copy/found"; then
        echo "$1: '$3' is found, but not by $2:" >&2; grep FAIL "$copy/found" >&2; failed=1
    fi
}

broken data keys_rotate 's/(EnableKeyRotation:) true/\1 false/'
broken data buckets_are_encrypted_with_our_key 's/aws:kms/AES256/'
broken data tables_are_encrypted_with_our_key '/KMSMasterKeyId:/d'
broken data buckets_are_not_public 's/(BlockPublicAcls:) true/\1 false/'
broken data only_tls 's/(aws:SecureTransport:) "false"/\1 "true"/'
broken data what_holds_data_is_retained 's/DeletionPolicy: RetainExceptOnCreate/DeletionPolicy: Delete/'
broken data buckets_keep_versions_and_let_them_go 's/NoncurrentVersionExpiration/Transition/'
broken data tables_can_be_restored 's/(PointInTimeRecoveryEnabled:) true/\1 false/'
broken notification topics_are_encrypted_with_our_key '/KmsMasterKeyId/d'
broken notification resource_policies_allow_services_only '/^ +StringEquals: .*aws:SourceAccount/d; s/Principal: \{ Service.*/Principal: "*"/'
broken observability logs_have_a_retention '0,/RetentionInDays.*/s///'
broken observability logs_are_encrypted_with_our_key '0,/KmsKeyId.*/s///'
broken tasker queues_are_encrypted '0,/(SqsManagedSseEnabled:) true/s//\1 false/'
broken tasker queues_have_a_retention '0,/MessageRetentionPeriod.*/s///'
broken tasker functions_are_called_by_a_named_source '/SourceArn: !GetAtt EveryMinute/d'
broken tasker functions_log_where_retention_is_set '0,/LoggingConfig: .*/s///'
broken tasker roles_are_assumed_for_this_account '/PermissionsBoundary:/d'
broken tasker inline_policies_name_what_they_allow 's/Action: \[dynamodb:GetItem, .*/Action: dynamodb:*/'
broken tasker inline_policies_name_what_they_allow 's/Action: \[dynamodb:GetItem, .*/Action: [dynamodb:*]/'
broken tasker inline_policies_name_what_they_allow '0,/Resource: !Ref TableArn/s//Resource: "*"/'
broken tasker conditional_inline_policies_name_what_they_allow 's/xray:PutTraceSegments, /xray:CreateGroup, /'
broken tasker attached_policies_name_what_they_allow 's/redshift-data:DescribeStatement/redshift-data:*/'
broken triggers roles_are_assumed_for_this_account '/aws:SourceAccount/d'
broken statemachines machines_log_without_data 's/(IncludeExecutionData:) false/\1 true/'
broken statemachines attached_policies_name_what_they_allow 's/logs:DescribeLogGroups/logs:DeleteLogGroup/'
broken statemachines conditional_attached_policies_name_what_they_allow 's/xray:GetSamplingTargets/xray:DeleteGroup/'
exit $failed
