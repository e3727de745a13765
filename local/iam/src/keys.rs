//! Which condition keys exist: the global ones and those of the services that this project meets.
//!
//! From the IAM guide ("AWS global condition context keys") and the Service Authorization Reference. A key that is not
//! here is refused by name: a policy that asks for it would otherwise never match, or always.

use crate::Error;

/// `aws:…`, in lower case.
const GLOBAL: [&str; 44] = [
    "calledvia",
    "calledviafirst",
    "calledvialast",
    "currenttime",
    "ec2instancesourceprivateipv4",
    "ec2instancesourcevpc",
    "epochtime",
    "federatedprovider",
    "multifactorauthage",
    "multifactorauthpresent",
    "principalaccount",
    "principalarn",
    "principalisawsservice",
    "principalorgid",
    "principalorgpaths",
    "principalservicename",
    "principalservicenameslist",
    "principaltype",
    "referer",
    "requestedregion",
    "resourceaccount",
    "resourceorgid",
    "resourceorgpaths",
    "securetransport",
    "sourceaccount",
    "sourcearn",
    "sourceidentity",
    "sourceip",
    "sourceorgid",
    "sourceorgpaths",
    "sourcevpc",
    "sourcevpcarn",
    "sourcevpce",
    "tagkeys",
    "tokenissuetime",
    "useragent",
    "userid",
    "username",
    "viaawsservice",
    "vpceaccount",
    "vpceorgid",
    "vpceorgpaths",
    "vpcsourceip",
    "assumedroot",
];

/// Keys that go on with a name of the user's, in lower case.
const OPEN: [&str; 11] = [
    "aws:principaltag/",
    "aws:requesttag/",
    "aws:resourcetag/",
    "kms:encryptioncontext:",
    "kms:resourcetag/",
    "s3:existingobjecttag/",
    "s3:requestobjecttag/",
    "secretsmanager:resourcetag/",
    "iam:resourcetag/",
    "ec2:resourcetag/",
    "cloudwatch:requestinsightruleloggroups/",
];

/// Keys of services, in lower case.
const OF_SERVICES: [(&str, &[&str]); 17] = [
    (
        "dynamodb",
        &[
            "attributes",
            "enclosingoperation",
            "fulltablescan",
            "leadingkeys",
            "firstpartitionkeyvalues",
            "returnconsumedcapacity",
            "returnvalues",
            "select",
        ],
    ),
    (
        "kms",
        &[
            "bypasspolicylockoutsafetycheck",
            "calleraccount",
            "customermasterkeyspec",
            "customermasterkeyusage",
            "datakeypairspec",
            "encryptionalgorithm",
            "encryptioncontextkeys",
            "grantconstrainttype",
            "granteeprincipal",
            "grantisforawsresource",
            "grantoperations",
            "keyorigin",
            "keyspec",
            "keyusage",
            "multiregion",
            "multiregionkeytype",
            "reencryptonsamekey",
            "requestalias",
            "resourcealiases",
            "retiringprincipal",
            "scheduleKeyDeletionPendingWindowInDays",
            "viaservice",
        ],
    ),
    (
        "s3",
        &[
            "authtype",
            "dataaccesspointaccount",
            "dataaccesspointarn",
            "delimiter",
            "if-match",
            "if-none-match",
            "locationconstraint",
            "max-keys",
            "object-lock-legal-hold",
            "object-lock-mode",
            "object-lock-remaining-retention-days",
            "object-lock-retain-until-date",
            "objectcreationoperation",
            "prefix",
            "requestobjecttagkeys",
            "resourceaccount",
            "signatureage",
            "signatureversion",
            "tlsversion",
            "versionid",
            "x-amz-acl",
            "x-amz-content-sha256",
            "x-amz-copy-source",
            "x-amz-grant-full-control",
            "x-amz-grant-read",
            "x-amz-grant-read-acp",
            "x-amz-grant-write",
            "x-amz-grant-write-acp",
            "x-amz-metadata-directive",
            "x-amz-server-side-encryption",
            "x-amz-server-side-encryption-aws-kms-key-id",
            "x-amz-server-side-encryption-customer-algorithm",
            "x-amz-storage-class",
            "x-amz-website-redirect-location",
        ],
    ),
    ("sns", &["endpoint", "protocol"]),
    ("sqs", &[]),
    (
        "lambda",
        &[
            "codesigningconfigarn",
            "eventsourcetoken",
            "functionarn",
            "functionurlauthtype",
            "invokedviafunctionurl",
            "layer",
            "principal",
            "securitygroupids",
            "sourcefunctionarn",
            "subnetids",
            "vpcids",
        ],
    ),
    ("states", &["creationmode", "httpendpoint", "httpmethod", "statemachinequalifier"]),
    ("redshift-data", &["glue-catalog-arn", "session-owner-iam-userid", "statement-owner-iam-userid"]),
    ("redshift", &["consumerarn", "consumeridentifier", "dbname", "dbuser", "durationseconds"]),
    ("redshift-serverless", &["endpointname", "snapshotid", "tablerestorerequestid"]),
    (
        "secretsmanager",
        &[
            "blockpublicpolicy",
            "description",
            "forcedeletewithoutrecovery",
            "kmskeyarn",
            "kmskeyid",
            "name",
            "recoverywindowindays",
            "resource/allowrotationlambdaarn",
            "rotationlambdaarn",
            "secretid",
            "secretprimaryregion",
            "versionid",
            "versionstage",
        ],
    ),
    (
        "events",
        &[
            "creatoraccount",
            "detail-type",
            "detail.eventtypecode",
            "detail.service",
            "detail.useridentity.principalid",
            "eventbusarn",
            "eventbusinvocation",
            "managedby",
            "source",
            "targetarn",
        ],
    ),
    ("scheduler", &[]),
    ("logs", &["deliverydestinationresourcearn", "destinationarn", "loggeneratingresourcearns"]),
    ("cloudwatch", &["actionsarn", "alarmactions", "namespace"]),
    (
        "iam",
        &[
            "associatedresourcearn",
            "awsservicename",
            "fidofips-140-2-certification",
            "passedtoservice",
            "permissionsboundary",
            "policyarn",
            "organizationspolicyid",
        ],
    ),
    ("sts", &["assumeroot", "awsservicename", "externalid", "rolesessionname", "sourceidentity", "transitivetagkeys"]),
];

/// Further keys by their whole names, in lower case.
const OTHERS: [&str; 12] = [
    "lambda:sourcefunctionarn",
    "ec2:sourceinstancearn",
    "ec2:roledelivery",
    "ec2:vpc",
    "ec2:subnet",
    "ec2:authorizedservice",
    "ec2:authorizeduser",
    "ec2:permission",
    "cloudformation:roleArn",
    "cloudformation:stackpolicyurl",
    "cloudformation:templateurl",
    "cloudformation:resourcetypes",
];

/// Whether a condition key, or a policy variable of this name, exists.
///
/// # Errors
/// [`Error::Key`] when it does not.
pub(crate) fn check(key: &str, at: &str) -> Result<(), Error> {
    let lower = key.to_ascii_lowercase();
    let open = OPEN.iter().any(|prefix| lower.len() > prefix.len() && lower.starts_with(prefix));
    let known = open
        || match lower.split_once(':') {
            Some(("aws", name)) => GLOBAL.contains(&name),
            Some((service, name)) => {
                let of_service = OF_SERVICES.iter().find(|(known, _)| *known == service);
                of_service.is_some_and(|(_, keys)| keys.iter().any(|known| known.eq_ignore_ascii_case(name)))
                    || OTHERS.iter().any(|known| known.eq_ignore_ascii_case(&lower))
            }
            None => false,
        };
    if known { Ok(()) } else { Err(Error::Key { at: at.to_owned(), name: key.to_owned() }) }
}
