//! What browsers are told and asked: which origin a request comes from, and what a page may do with an answer.
//!
//! Hosts beside ours, under the same domain, are other people's: for a browser they are "the same site", so neither its
//! site rules nor `SameSite` cookies keep them out. Only the very same origin counts here.

use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, header};

use crate::identity::credentials;

const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const OPENER_POLICY: HeaderName = HeaderName::from_static("cross-origin-opener-policy");
const RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");
/// What is asked for by `GET` and does more than read.
const CHANGING: [&str; 2] = ["/auth/logout", "/terminal"];

/// Whether a request may go on, as far as browsers are concerned.
///
/// What changes something must not come from another origin, whether or not it is signed in: signing somebody in as
/// somebody else is an attack too. Leaving and opening a terminal change something, though they are asked for by `GET`. With a cookie, which a browser adds by itself, it must say that it comes from ours;
/// and reading with a cookie is for our own pages alone. What is no browser says nothing of an origin, and carries its
/// token in a header.
pub(super) fn is_welcome<B>(request: &Request<B>, secure: bool) -> bool {
    let with_cookie = secure && credentials::has_cookie(request.headers());
    let reading = request.method().is_safe() && !CHANGING.contains(&request.uri().path());
    match origin(request, secure) {
        Origin::Ours => true,
        Origin::Foreign => reading && !with_cookie,
        Origin::Unsaid => reading || !with_cookie,
    }
}

/// Where a request says that it comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Origin {
    Ours,
    Foreign,
    Unsaid,
}

fn origin<B>(request: &Request<B>, secure: bool) -> Origin {
    let headers = request.headers();
    // Scripts cannot set either header.
    let site = match text(headers, &FETCH_SITE) {
        // "none" is a person who typed the address.
        Some("same-origin" | "none") => Origin::Ours,
        Some(_) => return Origin::Foreign,
        None => Origin::Unsaid,
    };
    let Some(origin) = headers.get(header::ORIGIN) else {
        return site;
    };
    let scheme = if secure { "https" } else { "http" };
    let ours = authority(request).map(|authority| without_default_port(authority, secure));
    let theirs = origin
        .to_str()
        .ok()
        .and_then(|origin| origin.strip_prefix(scheme)?.strip_prefix("://"))
        .map(|authority| without_default_port(authority, secure));
    match ours.is_some() && ours == theirs {
        true => Origin::Ours,
        false => Origin::Foreign,
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name).map(|value| value.to_str().unwrap_or("?"))
}

fn authority<B>(request: &Request<B>) -> Option<&str> {
    match request.uri().authority() {
        Some(authority) => Some(authority.as_str()),
        None => request.headers().get(header::HOST)?.to_str().ok(),
    }
}

fn without_default_port(authority: &str, secure: bool) -> String {
    let port = if secure { ":443" } else { ":80" };
    let host = authority.strip_suffix(port).unwrap_or(authority);
    host.to_ascii_lowercase()
}

/// What every answer tells a browser: run nothing, frame nothing, guess no type, tell nobody where you come from, and,
/// over TLS, never speak in clear to this host again.
pub(crate) fn harden<B>(response: &mut Response<B>, secure: bool) {
    let headers = response.headers_mut();
    let mut set = |name: HeaderName, value: &'static str| {
        headers.insert(name, HeaderValue::from_static(value));
    };
    set(
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    );
    set(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    set(header::X_FRAME_OPTIONS, "DENY");
    set(header::REFERRER_POLICY, "no-referrer");
    set(OPENER_POLICY, "same-origin");
    set(RESOURCE_POLICY, "same-origin");
    if secure {
        set(header::STRICT_TRANSPORT_SECURITY, "max-age=31536000");
    }
}

#[cfg(test)]
mod tests {
    use http::Method;

    use super::*;

    const COOKIE: (&str, &str) = ("cookie", "__Host-argocd.token=a.b.c");

    fn welcome(method: Method, path: &str, headers: &[(&str, &str)]) -> bool {
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", "user01.example:8443");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        is_welcome(&request.body(()).unwrap(), true)
    }

    #[test]
    fn s09_what_changes_something_comes_from_the_same_origin_or_from_no_browser() {
        let post = |headers: &[(&str, &str)]| welcome(Method::POST, "/api/v1/session", headers);
        assert!(post(&[]), "a command signs in");
        assert!(post(&[("origin", "https://user01.example:8443")]));
        assert!(post(&[("sec-fetch-site", "same-origin"), COOKIE]));
        assert!(!post(&[COOKIE]), "a cookie needs an origin");
        for foreign in [
            "https://evil.example",
            "https://user02.example:8443",
            "https://user01.example",
            "http://user01.example:8443",
            "https://user01.example:8443.evil.example",
            "null",
            "",
        ] {
            assert!(!post(&[("origin", foreign)]), "{foreign}");
            assert!(
                !post(&[("origin", foreign), ("sec-fetch-site", "same-origin")]),
                "{foreign}"
            );
        }
        for site in ["cross-site", "same-site", "?", ""] {
            assert!(!post(&[("sec-fetch-site", site)]), "{site}");
            let claimed = ("origin", "https://user01.example:8443");
            assert!(!post(&[("sec-fetch-site", site), claimed]), "{site}");
        }
    }

    #[test]
    fn s09_a_cookie_reads_for_our_own_pages_alone_and_leaving_is_a_change() {
        let get = |headers: &[(&str, &str)]| welcome(Method::GET, "/api/v1/applications", headers);
        assert!(get(&[COOKIE]) && get(&[COOKIE, ("sec-fetch-site", "none")]));
        assert!(
            !get(&[COOKIE, ("sec-fetch-site", "same-site")]),
            "a sibling host is hostile"
        );
        assert!(
            get(&[("sec-fetch-site", "cross-site")]),
            "a link without a session shows nothing"
        );
        let leave = |headers: &[(&str, &str)]| welcome(Method::GET, "/auth/logout", headers);
        assert!(leave(&[COOKIE, ("sec-fetch-site", "same-origin")]));
        assert!(!leave(&[COOKIE, ("sec-fetch-site", "same-site")]));
    }

    #[test]
    fn s09_a_page_of_another_origin_opens_no_terminal() {
        let open = |headers: &[(&str, &str)]| welcome(Method::GET, "/terminal", headers);
        let ours = ("origin", "https://user01.example:8443");
        assert!(open(&[COOKIE, ours]));
        assert!(open(&[]), "a program comes with a token in a header");
        assert!(!open(&[COOKIE]), "a browser says where it comes from");
        for foreign in [
            "https://evil.example",
            "https://user02.example:8443",
            "null",
        ] {
            assert!(!open(&[COOKIE, ("origin", foreign)]), "{foreign}");
            assert!(!open(&[("origin", foreign)]), "{foreign}");
        }
        assert!(!open(&[COOKIE, ours, ("sec-fetch-site", "same-site")]));
    }
}
