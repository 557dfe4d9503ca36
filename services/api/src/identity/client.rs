//! Which versions of the argocd command are served.

use http::HeaderValue;
use tonic::Status;

/// The oldest version served.
const OLDEST: (u64, u64, u64) = (1, 4, 0);

/// Checks the `user-agent`: an argocd command that is too old is refused, anybody else is not our business.
///
/// # Errors
/// `FailedPrecondition` for an old command, `InvalidArgument` for a version that cannot be read.
pub(crate) fn check(user_agent: Option<&HeaderValue>) -> Result<(), Status> {
    let Some(text) = user_agent.and_then(|value| value.to_str().ok()) else {
        return Ok(());
    };
    let Some((agent, version)) = text.split_whitespace().find_map(|agent| {
        let (name, version) = agent.split_once('/')?;
        (name == "argocd-client" && !version.contains('/')).then_some((agent, version))
    }) else {
        return Ok(());
    };
    let release = version.split('-').next().unwrap_or_default();
    let Some(parsed) = parse(release) else {
        return Err(Status::invalid_argument(format!(
            "could not parse version from user-agent: {agent}"
        )));
    };
    if parsed < OLDEST {
        return Err(Status::failed_precondition(format!(
            "unsatisfied client version constraint: {release} is less than 1.4.0"
        )));
    }
    Ok(())
}

/// `v1.2.3+meta`, with or without the `v`, minor or patch.
fn parse(version: &str) -> Option<(u64, u64, u64)> {
    let version = version.strip_prefix('v').unwrap_or(version);
    let version = version.split('+').next()?;
    let mut parts = version.split('.');
    let major = parts.next()?.parse().ok()?;
    let mut next = || parts.next().map_or(Some(0), |part| part.parse().ok());
    let (minor, patch) = (next()?, next()?);
    parts.next().is_none().then_some((major, minor, patch))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(agent: &'static str) -> Option<tonic::Code> {
        check(Some(&HeaderValue::from_static(agent)))
            .err()
            .map(|status| status.code())
    }

    #[test]
    fn only_an_old_or_unreadable_command_is_refused() {
        assert_eq!(code("argocd-client/v3.2.11 grpc-go/1.75.1"), None);
        assert_eq!(code("argocd-client/v3.2.11+abc.dirty grpc-go/1.75.1"), None);
        assert_eq!(code("grpc-go/1.75.1"), None);
        assert_eq!(
            code("argocd-client/v0.11.0+cde040e grpc-go/1.15.0"),
            Some(tonic::Code::FailedPrecondition)
        );
        assert_eq!(
            code("argocd-client/latest"),
            Some(tonic::Code::InvalidArgument)
        );
        assert!(check(None).is_ok());
    }
}
