//! The cookies that keep a browser's session: one, or several where a token is longer than browsers take.

use http::{HeaderMap, HeaderValue};

use crate::identity::credentials::{COOKIE, MAX_PARTS, cookie_names};

/// The most that browsers take of one cookie: name, value and attributes.
const MAX_COOKIE: usize = 4_093;
/// Over TLS, to this host alone, out of scripts' reach, and with no request that another site begins.
const ATTRIBUTES: &str = "; Path=/; Secure; HttpOnly; SameSite=Strict";

/// Sets the cookies. In clear none is set: anybody on the way could read it, and no browser would take it.
pub(super) fn set(token: &str, secure: bool) -> Vec<HeaderValue> {
    if !secure {
        return Vec::new();
    }
    // The longest name, and the number of parts before the first.
    let room = MAX_COOKIE - COOKIE.len() - "-19=20:".len() - ATTRIBUTES.len();
    let parts: Vec<&[u8]> = token.as_bytes().chunks(room).collect();
    if parts.len() > MAX_PARTS {
        tracing::warn!(parts = parts.len(), "a token is too long for cookies");
        return Vec::new();
    }
    let count = parts.len();
    let cookies = parts.into_iter().enumerate().map(|(n, part)| {
        let part = String::from_utf8_lossy(part);
        match (n, count) {
            (0, 1) => format!("{COOKIE}={part}{ATTRIBUTES}"),
            (0, _) => format!("{COOKIE}={count}:{part}{ATTRIBUTES}"),
            _ => format!("{COOKIE}-{n}={part}{ATTRIBUTES}"),
        }
    });
    cookies
        .filter_map(|text| HeaderValue::try_from(text).ok())
        .collect()
}

/// Takes away every cookie of ours that was sent along.
pub(super) fn remove(sent: &HeaderMap, secure: bool) -> Vec<HeaderValue> {
    if !secure {
        return Vec::new();
    }
    let mut names: Vec<&str> = cookie_names(sent).take(MAX_PARTS).collect();
    if !names.contains(&COOKIE) {
        names.push(COOKIE);
    }
    let gone = names
        .into_iter()
        .map(|name| format!("{name}={ATTRIBUTES}; Max-Age=0"));
    gone.filter_map(|text| HeaderValue::try_from(text).ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use http::header;

    use super::*;
    use crate::front::guard::Road;
    use crate::identity::credentials;

    #[test]
    fn a_cookie_goes_with_tls_and_says_all_that_keeps_it_safe() {
        assert_eq!(
            set("a.b.c", true),
            ["__Host-argocd.token=a.b.c; Path=/; Secure; HttpOnly; SameSite=Strict"]
        );
        assert!(set("a.b.c", false).is_empty());
    }

    #[test]
    fn a_long_token_comes_back_whole_and_leaves_whole() {
        let token = format!("a.{}.c", "b".repeat(9_000));
        let cookies = set(&token, true);
        assert_eq!(cookies.len(), 3);
        assert!(cookies.iter().all(|cookie| cookie.len() <= MAX_COOKIE));
        let pairs: Vec<&str> = cookies
            .iter()
            .map(|cookie| cookie.to_str().unwrap().split(';').next().unwrap())
            .collect();
        let mut sent = HeaderMap::new();
        sent.insert(header::COOKIE, pairs.join("; ").parse().unwrap());
        let found = credentials::token(&sent, Road::Rest, true);
        assert_eq!(found.as_deref(), Some(token.as_str()));
        let gone = remove(&sent, true);
        assert_eq!(gone.len(), 3);
        assert!(
            gone.iter()
                .all(|cookie| cookie.to_str().unwrap().ends_with("Max-Age=0"))
        );
        assert!(set(&"a".repeat(100_000), true).is_empty());
    }
}
