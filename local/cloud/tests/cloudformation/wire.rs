//! The protocol: forms in, XML out.

use super::Stand;
use super::http::http;

async fn ask(stand: &Stand, form: &str) -> (String, String) {
    let host = stand.cloud.endpoint().trim_start_matches("http://").to_owned();
    let form = format!("{form}&Version=2010-05-15");
    let headers = ["Content-Type: application/x-www-form-urlencoded; charset=utf-8"];
    tokio::task::spawn_blocking(move || http(&host, "POST", "/", &headers, &form)).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_and_errors_are_xml_as_aws_gives_it() {
    let stand = Stand::start().await;
    let template = "Parameters%3A%20%7BWord%3A%20%7BType%3A%20String%7D%7D%0AResources%3A%20%7BQ%3A%20%7BType%3A%20\
                    'AWS%3A%3ASQS%3A%3AQueue'%7D%7D%0AOutputs%3A%20%7BWord%3A%20%7BValue%3A%20%21Ref%20Word%7D%7D";
    let create = format!(
        "Action=CreateStack&StackName=wire&TemplateBody={template}\
         &Parameters.member.1.ParameterKey=Word&Parameters.member.1.ParameterValue=&Tags.member.1.Key=k&Tags.member.1.Value=v"
    );
    let (head, body) = ask(&stand, &create).await;
    assert!(head.starts_with("HTTP/1.1 200") && head.contains("text/xml"), "{head}");
    assert!(
        body.starts_with(
            "<CreateStackResponse xmlns=\"http://cloudformation.amazonaws.com/doc/2010-05-15/\">\
                          <CreateStackResult><StackId>arn:aws:cloudformation:us-east-1:000000000000:stack/wire/"
        ),
        "{body}"
    );
    stand.settled("wire").await;
    let (_, body) = ask(&stand, "Action=DescribeStacks&StackName=wire").await;
    for part in [
        "<Stacks><member>",
        "<StackStatus>CREATE_COMPLETE</StackStatus>",
        "<Parameters><member><ParameterKey>Word</ParameterKey><ParameterValue></ParameterValue></member></Parameters>",
        "<Outputs><member>",
        "<Tags><member><Key>k</Key><Value>v</Value></member></Tags>",
        "<DisableRollback>false</DisableRollback>",
    ] {
        assert!(body.contains(part), "{part} in {body}");
    }
    let (head, body) = ask(&stand, "Action=DescribeStacks&StackName=nobody").await;
    assert!(head.starts_with("HTTP/1.1 400"), "{head}");
    assert!(
        body.contains(
            "<Type>Sender</Type><Code>ValidationError</Code><Message>Stack with id nobody does not exist</Message>"
        ),
        "{body}"
    );
    let (head, body) = ask(&stand, "Action=CreateStackSet&StackSetName=x").await;
    assert!(head.starts_with("HTTP/1.1 501") && body.contains("CreateStackSet is not implemented"), "{body}");
    stand.cloud.shutdown().await;
}
