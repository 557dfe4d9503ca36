//! The cookie that keeps a browser's session.

use http::HeaderValue;

use crate::identity::credentials::COOKIE;

/// Sets the cookie; an empty token takes it away. Over plain HTTP it cannot be marked `Secure`, or no browser would
/// send it back.
pub(super) fn set(token: &str, secure: bool) -> Option<HeaderValue> {
    let age = if token.is_empty() { "; Max-Age=0" } else { "" };
    let only = if secure { "; Secure" } else { "" };
    HeaderValue::try_from(format!(
        "{COOKIE}={token}; path=/; SameSite=lax; httpOnly{age}{only}"
    ))
    .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secure_goes_with_tls() {
        assert_eq!(
            set("a.b.c", true).unwrap(),
            "argocd.token=a.b.c; path=/; SameSite=lax; httpOnly; Secure"
        );
        assert_eq!(
            set("", false).unwrap(),
            "argocd.token=; path=/; SameSite=lax; httpOnly; Max-Age=0"
        );
    }
}
