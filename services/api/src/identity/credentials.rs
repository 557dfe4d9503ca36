//! Where a token stands in a request.

use std::borrow::Cow;

use http::{HeaderMap, HeaderName, header};

use crate::front::guard::Road;

/// The metadata by which the argocd command sends its token.
const TOKEN: HeaderName = HeaderName::from_static("token");
/// The cookie by which browsers send theirs. By its prefix they take it only over TLS, for this host alone and from
/// nobody else: a host beside this one cannot set it.
pub(crate) const COOKIE: &str = "__Host-argocd.token";
/// The most parts that a token is cut into.
pub(crate) const MAX_PARTS: usize = 20;

/// The token of a request: `token`, then `authorization`, then, over REST and TLS (`secure`), the cookie.
///
/// A `token` that is there and empty is no token, and hides the others: the command sends it so when not logged in.
pub(crate) fn token(headers: &HeaderMap, road: Road, secure: bool) -> Option<Cow<'_, str>> {
    if let Some(token) = headers.get(TOKEN) {
        return token
            .to_str()
            .ok()
            .filter(|token| !token.is_empty())
            .map(Cow::Borrowed);
    }
    let bearer = headers
        .get_all(header::AUTHORIZATION)
        .iter()
        .find_map(|value| {
            let token = value.to_str().ok()?.strip_prefix("Bearer ")?;
            is_jwt_shaped(token).then_some(Cow::Borrowed(token))
        });
    bearer.or_else(|| {
        (road == Road::Rest && secure)
            .then(|| cookie(headers))
            .flatten()
            .map(Cow::Owned)
    })
}

fn cookies(headers: &HeaderMap) -> impl Iterator<Item = (&str, &str)> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|line| line.split(';'))
        .filter_map(|cookie| cookie.trim().split_once('='))
}

/// Whether a cookie of ours is sent along, whatever is in it.
pub(crate) fn has_cookie(headers: &HeaderMap) -> bool {
    cookie_names(headers).next().is_some()
}

/// The names of our cookies among those that are sent along: the token's, and its further parts'.
pub(crate) fn cookie_names(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    cookies(headers)
        .map(|(name, _)| name)
        .filter(|name| name.starts_with(COOKIE))
}

/// The token in the cookies, put together from its parts.
fn cookie(headers: &HeaderMap) -> Option<String> {
    let cookies: Vec<(&str, &str)> = cookies(headers).collect();
    let find = |name: &str| {
        cookies
            .iter()
            .find(|(found, _)| *found == name)
            .map(|(_, value)| *value)
    };
    let first = find(COOKIE)?;
    let (parts, mut token) = match first.split_once(':') {
        Some((parts, rest)) => (parts.parse::<usize>().ok()?, rest.to_owned()),
        None => (1, first.to_owned()),
    };
    for part in 1..parts.min(MAX_PARTS) {
        token.push_str(find(&format!("{COOKIE}-{part}")).unwrap_or_default());
    }
    is_jwt_shaped(&token).then_some(token)
}

/// Whether it has the three parts of a JWT.
fn is_jwt_shaped(token: &str) -> bool {
    token.splitn(3, '.').count() == 3
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| {
                (
                    HeaderName::from_static(name),
                    HeaderValue::from_static(value),
                )
            })
            .collect()
    }

    #[test]
    fn the_first_place_wins() {
        let all = headers(&[
            ("token", "t.t.t"),
            ("authorization", "Bearer b.b.b"),
            ("cookie", "__Host-argocd.token=c.c.c"),
        ]);
        assert_eq!(token(&all, Road::Rest, true).as_deref(), Some("t.t.t"));
        let two = headers(&[
            ("authorization", "Bearer b.b.b"),
            ("cookie", "__Host-argocd.token=c.c.c"),
        ]);
        assert_eq!(token(&two, Road::Rest, true).as_deref(), Some("b.b.b"));
    }

    #[test]
    fn an_empty_token_hides_the_rest() {
        let empty = headers(&[("token", ""), ("authorization", "Bearer b.b.b")]);
        assert_eq!(token(&empty, Road::Grpc, true), None);
    }

    #[test]
    fn a_cookie_counts_over_rest_only_and_may_be_cut() {
        let cut = headers(&[(
            "cookie",
            "x=1; __Host-argocd.token=2:a.b; __Host-argocd.token-1=.c",
        )]);
        assert_eq!(token(&cut, Road::Rest, true).as_deref(), Some("a.b.c"));
        assert_eq!(token(&cut, Road::Grpc, true), None);
        assert_eq!(token(&cut, Road::GrpcWeb, true), None);
        assert_eq!(
            token(&cut, Road::Rest, false),
            None,
            "in clear no cookie counts"
        );
        let plain = headers(&[("cookie", "argocd.token=c.c.c")]);
        assert_eq!(
            token(&plain, Road::Rest, true),
            None,
            "any host beside this one could have set it"
        );
    }

    #[test]
    fn what_is_not_shaped_like_a_token_is_passed_over() {
        assert_eq!(
            token(
                &headers(&[("authorization", "Bearer abc")]),
                Road::Grpc,
                true
            ),
            None
        );
        assert_eq!(
            token(
                &headers(&[("authorization", "Basic a.b.c")]),
                Road::Grpc,
                true
            ),
            None
        );
    }
}
