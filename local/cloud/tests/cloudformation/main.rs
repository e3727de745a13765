//! Deployments through CloudFormation's API: order, events, updates in place, roll-backs, removal, change sets, custom
//! resources, and the protocol itself.
//!
//! The functions are this very test program, started again with the name of one test.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod changes;
mod customs;
mod function;
#[path = "../support/http.rs"]
mod http;
mod stacks;
mod wire;

use std::time::Duration;

use cloud::{ApiError, Cloud, Options};
use serde_json::{Value, json};

/// A cloud without a stack, and a client's view of its CloudFormation.
pub(crate) struct Stand {
    pub(crate) cloud: Cloud,
}

impl Stand {
    pub(crate) async fn start() -> Self {
        let cloud = Cloud::start(Options::empty(function::command())).await.unwrap_or_else(|error| panic!("{error}"));
        Self { cloud }
    }

    pub(crate) async fn call(&self, operation: &str, body: Value) -> Result<Value, ApiError> {
        self.cloud.call("cloudformation", operation, body).await
    }

    /// CreateStack, and how the stack is when that has ended.
    pub(crate) async fn create(&self, name: &str, template: &str, parameters: &[(&str, &str)]) -> Value {
        self.call("CreateStack", request(name, template, parameters)).await.unwrap_or_else(|error| panic!("{error}"));
        self.settled(name).await
    }

    /// UpdateStack, and how the stack is when that has ended.
    pub(crate) async fn update(&self, name: &str, template: &str, parameters: &[(&str, &str)]) -> Value {
        self.call("UpdateStack", request(name, template, parameters)).await.unwrap_or_else(|error| panic!("{error}"));
        self.settled(name).await
    }

    /// DeleteStack, and how the stack is when that has ended.
    pub(crate) async fn delete(&self, name: &str) -> Value {
        let id = self.describe(name).await["StackId"].as_str().unwrap().to_owned();
        self.call("DeleteStack", json!({"StackName": name})).await.unwrap();
        self.settled(&id).await
    }

    /// The limit only ends a test that would hang.
    pub(crate) async fn settled(&self, name: &str) -> Value {
        let settled = self.cloud.settled(name);
        tokio::time::timeout(Duration::from_secs(60), settled).await.expect("the operation ends").unwrap()
    }

    pub(crate) async fn describe(&self, name: &str) -> Value {
        self.call("DescribeStacks", json!({"StackName": name})).await.unwrap()["Stacks"][0].clone()
    }

    /// `LogicalId STATUS` of each event, oldest first.
    pub(crate) async fn events(&self, name: &str) -> Vec<String> {
        let told = self.call("DescribeStackEvents", json!({"StackName": name})).await.unwrap();
        let told = told["StackEvents"].as_array().unwrap();
        let text = |event: &Value, name: &str| event[name].as_str().unwrap().to_owned();
        told.iter().rev().map(|event| text(event, "LogicalResourceId") + " " + &text(event, "ResourceStatus")).collect()
    }

    /// The reasons of the events that have one, oldest first.
    pub(crate) async fn reasons(&self, name: &str) -> Vec<String> {
        let told = self.call("DescribeStackEvents", json!({"StackName": name})).await.unwrap();
        let told = told["StackEvents"].as_array().unwrap();
        told.iter().rev().filter_map(|event| event["ResourceStatusReason"].as_str().map(str::to_owned)).collect()
    }

    /// What is wrong with a request, in CloudFormation's words.
    pub(crate) async fn refused(&self, operation: &str, body: Value) -> String {
        self.call(operation, body).await.expect_err("is refused").to_string()
    }
}

pub(crate) fn request(name: &str, template: &str, parameters: &[(&str, &str)]) -> Value {
    let parameters: Vec<Value> =
        parameters.iter().map(|(name, value)| json!({"ParameterKey": name, "ParameterValue": value})).collect();
    json!({
        "StackName": name,
        "TemplateBody": template,
        "Parameters": parameters,
        "Capabilities": ["CAPABILITY_NAMED_IAM"],
    })
}

/// The value of an output.
pub(crate) fn output(stack: &Value, name: &str) -> String {
    let outputs = stack["Outputs"].as_array().unwrap();
    let found = outputs.iter().find(|output| output["OutputKey"] == name);
    found.unwrap_or_else(|| panic!("{name} in {stack}"))["OutputValue"].as_str().unwrap().to_owned()
}

/// A role that functions, machines and mappings may assume.
pub(crate) const ROLE: &str = "
  Role:
    Type: AWS::IAM::Role
    Properties:
      AssumeRolePolicyDocument:
        Version: '2012-10-17'
        Statement: [{Effect: Allow, Principal: {Service: [lambda.amazonaws.com, states.amazonaws.com]}, Action: 'sts:AssumeRole'}]
      Policies:
        - PolicyName: Works
          PolicyDocument:
            Version: '2012-10-17'
            Statement: [{Effect: Allow, Action: ['logs:*', 'sqs:*', 'lambda:*'], Resource: '*'}]
";
