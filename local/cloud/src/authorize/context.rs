//! What conditions see of every request, whatever it is about.

use chrono::Utc;
use iam::Context;

use super::{Because, Shared};
use crate::{ACCOUNT, Caller};

impl Shared {
    /// The global keys of a call of a role's session.
    pub(super) fn about(&self, caller: &Caller) -> Context {
        let mut context = self.about_any();
        let role = caller.role.as_deref().unwrap_or_default();
        context.set("aws:PrincipalArn", role);
        context.set("aws:PrincipalAccount", ACCOUNT);
        context.set("aws:PrincipalType", "AssumedRole");
        context.set("aws:userid", self.user_id(caller));
        context.set("aws:PrincipalIsAWSService", "false");
        context.set("aws:ViaAWSService", "false");
        context.set("aws:SourceIp", "127.0.0.1");
        if let Some(function) = &caller.function {
            let arn = format!("arn:aws:lambda:{}:{ACCOUNT}:function:{function}", self.region);
            context.set("lambda:SourceFunctionArn", arn);
        }
        context
    }

    /// The global keys of a call that a service makes in its own name.
    pub(super) fn about_service(&self, because: Because<'_>) -> Context {
        let mut context = self.about_any();
        context.set("aws:SourceArn", because.source);
        // A bucket's ARN has no account; here there is only one.
        context.set("aws:SourceAccount", ACCOUNT);
        context.set("aws:PrincipalIsAWSService", "true");
        context.set("aws:PrincipalServiceName", because.service);
        context
    }

    /// What holds for everybody. Loopback stands for TLS: a policy that demands TLS is about what could be read on the
    /// way, and here there is no way.
    fn about_any(&self) -> Context {
        let now = Utc::now();
        Context::new()
            .with("aws:SecureTransport", "true")
            .with("aws:CurrentTime", now.format("%Y-%m-%dT%H:%M:%SZ").to_string())
            .with("aws:EpochTime", now.timestamp().to_string())
            .with("aws:RequestedRegion", self.region.as_str())
            .with("aws:ResourceAccount", ACCOUNT)
    }

    /// `AROA…:SESSION`, as `aws:userid` has it; the local user's is made up.
    pub(super) fn user_id(&self, caller: &Caller) -> String {
        let session = caller.arn.rsplit('/').next().unwrap_or_default();
        match &caller.role {
            None => "AIDALOCALUSER".into(),
            Some(role) => {
                let state = self.lock();
                let id = state.roles.get(role).map_or("AROAUNKNOWN", |role| &role.id);
                format!("{id}:{session}")
            }
        }
    }
}
