//! Types that watch: CloudWatch's alarms and dashboards. There are no metrics here, so they are read, kept in the model and
//! looked at by tests.

use super::super::shape::Shape::{Flag, Json, List, Number, Object, Text};
use super::super::shape::{Property, Shape, TAGS, has, idle};
use super::{Kind, attributes};

const NO_METRICS: &str = "there are no metrics here; tests hold the names against what emits them";
const DIMENSIONS: Property =
    has("Dimensions", List(&Object(&[has("Name", Text).required(), has("Value", Text).required()])));
const METRICS: Shape = List(&Object(&[
    has("Id", Text).required(),
    has("Expression", Text),
    has("Label", Text),
    has("ReturnData", Flag),
    has("Period", Number),
    has(
        "MetricStat",
        Object(&[
            has("Metric", Object(&[has("Namespace", Text), has("MetricName", Text), DIMENSIONS])).required(),
            has("Period", Number).required(),
            has("Stat", Text).required(),
            has("Unit", Text),
        ]),
    ),
]));

pub(super) const KINDS: &[Kind] = &[
    Kind {
        name: "AWS::CloudWatch::Alarm",
        properties: &[
            has("AlarmName", Text),
            has("AlarmDescription", Text),
            has("ActionsEnabled", Flag),
            idle("Namespace", Text, NO_METRICS),
            idle("MetricName", Text, NO_METRICS),
            idle("Dimensions", DIMENSIONS.shape, NO_METRICS),
            idle("Metrics", METRICS, NO_METRICS),
            idle("Statistic", Text, NO_METRICS),
            idle("ExtendedStatistic", Text, NO_METRICS),
            idle("Period", Number, NO_METRICS),
            idle("Unit", Text, NO_METRICS),
            idle("ComparisonOperator", Text, NO_METRICS).required(),
            idle("Threshold", Number, NO_METRICS),
            idle("EvaluationPeriods", Number, NO_METRICS).required(),
            idle("DatapointsToAlarm", Number, NO_METRICS),
            idle("TreatMissingData", Text, NO_METRICS),
            idle("AlarmActions", List(&Text), NO_METRICS),
            idle("OKActions", List(&Text), NO_METRICS),
            idle("InsufficientDataActions", List(&Text), NO_METRICS),
            TAGS,
        ],
        attributes: |naming, properties| {
            let name = naming.name(properties, "AlarmName", 255);
            let arn = naming.arn("cloudwatch", &format!("alarm:{name}"));
            attributes(name, [("Arn", arn)])
        },
    },
    Kind {
        name: "AWS::CloudWatch::Dashboard",
        properties: &[has("DashboardName", Text), idle("DashboardBody", Json, NO_METRICS).required()],
        attributes: |naming, properties| attributes(naming.name(properties, "DashboardName", 255), []),
    },
];
