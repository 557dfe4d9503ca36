//! The form of an address on which is judged where it leads.
//!
//! The text that a tenant writes and what is connected to in the end are not the same: `https://h/a/../b`, `https://h/%62`,
//! `https://h:443/b` and `https://me@h\\b` lead to `https://h/b` as well. Whoever asks whether an address is permitted asks
//! about this form; whoever connects makes sure that what it connects to has the same.

use url::Url;

use super::is_ssh;

/// The form to judge; `None` for an address that readers may take for different places: it is permitted nowhere and never
/// connected to.
#[must_use]
pub fn judged(url: &str) -> Option<String> {
    if url
        .chars()
        .any(|c| matches!(c, '\\' | '?' | '#') || c.is_control())
    {
        return None;
    }
    let form = plain(url);
    let path = form.find("://").map_or(form.as_str(), |at| &form[at + 3..]);
    // Once more decoded it may say something else to whoever decodes twice; that is theirs. Once is what servers do.
    let dots = path.split('/').any(|segment| matches!(segment, "." | ".."));
    let odd = path
        .chars()
        .any(|c| matches!(c, '\\' | '?' | '#') || c.is_control());
    if dots || odd || !same_host(url.trim()) {
        return None;
    }
    Some(form)
}

/// The forms to judge: one, and of a registry, which is written with `oci://` and without, both.
#[must_use]
pub fn judged_forms(url: &str) -> Option<Vec<String>> {
    let mut forms = vec![judged(url)?];
    let text = url.trim();
    let bare = match text.split_once("://") {
        Some((scheme, bare)) if scheme.eq_ignore_ascii_case("oci") => bare,
        None if !is_ssh(text) && !text.is_empty() && !text.starts_with('/') => text,
        _ => return Some(forms),
    };
    let whole = format!("https://{bare}");
    judged(&whole)?;
    let bare = normal(&whole);
    let bare = bare.strip_prefix("https://").unwrap_or(&bare);
    for form in [bare.to_owned(), format!("oci://{bare}")] {
        if !forms.contains(&form) {
            forms.push(form);
        }
    }
    Some(forms)
}

/// A pattern of addresses in the same form.
#[must_use]
pub fn judged_pattern(pattern: &str) -> String {
    plain(pattern)
}

/// Decoded, lower case, without login, usual port, the root's dot, doubled slashes and, but in a registry, where it is a part
/// of a name, `.git`.
fn plain(url: &str) -> String {
    let form = normal(url);
    match form.split_once("://") {
        Some((scheme, _)) if scheme != "oci" => {
            form.strip_suffix(".git").unwrap_or(&form).to_owned()
        }
        _ => form,
    }
}

/// The same with `.git`.
fn normal(url: &str) -> String {
    let text = url.trim();
    let (scheme, authority, path) = match text.split_once("://") {
        Some((scheme, rest)) => {
            let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
            (scheme.to_lowercase(), authority, decoded(path))
        }
        // As scp has it, which decodes nothing.
        None if is_ssh(text) => match text.split_once(':') {
            Some((authority, path)) => ("ssh".to_owned(), authority, format!("/{path}")),
            None => return text.to_lowercase(),
        },
        None => return text.to_lowercase(),
    };
    let host = authority
        .rsplit_once('@')
        .map_or(authority, |(_, host)| host);
    let usual = match scheme.as_str() {
        "https" | "oci" => ":443",
        "http" => ":80",
        _ => ":22",
    };
    let host = host.strip_suffix(usual).unwrap_or(host);
    let host = host.strip_suffix('.').unwrap_or(host);
    let mut form = format!("{scheme}://{host}");
    for segment in path.split('/').filter(|segment| !segment.is_empty()) {
        form.push('/');
        form.push_str(segment);
    }
    form.to_lowercase()
}

/// What percent signs stand for, once.
pub(super) fn decoded(text: &str) -> String {
    let digit = |at: usize| {
        text.get(at..=at)
            .and_then(|c| u8::from_str_radix(c, 16).ok())
    };
    let mut bytes = Vec::with_capacity(text.len());
    let mut at = 0;
    while let Some(byte) = text.as_bytes().get(at) {
        match (byte, digit(at + 1), digit(at + 2)) {
            (b'%', Some(high), Some(low)) => {
                bytes.push(high * 16 + low);
                at += 3;
            }
            _ => {
                bytes.push(*byte);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Whether a reader of addresses sees the host that stands there: not `0x7f.1`, which is 127.0.0.1, nor letters of other
/// alphabets, nor escapes.
fn same_host(url: &str) -> bool {
    let Some((scheme, rest)) = url.split_once("://") else {
        return true;
    };
    if scheme.eq_ignore_ascii_case("file") {
        return true;
    }
    let authority = rest.split('/').next().unwrap_or_default();
    let written = authority
        .rsplit_once('@')
        .map_or(authority, |(_, host)| host);
    let written = match written.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|b| b.is_ascii_digit()) => host,
        _ => written,
    };
    let Ok(read) = Url::parse(url) else {
        return false;
    };
    read.host_str()
        .is_some_and(|host| host.eq_ignore_ascii_case(written))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_place_has_one_form() {
        for other in [
            "https://git.example/team/app",
            "https://git.example/team/app.git",
            "https://git.example/team/app/",
            "HTTPS://Git.Example/Team/App",
            "https://git.example:443/team/app",
            "https://git.example./team/app",
            "https://me@git.example/team/app",
            "https://me:pw@git.example:443/team/app",
            "https://git.example//team///app",
            "https://git.example/team/app.git//",
            "https://git.example/te%61m/app",
            "https://git.example/team%2Fapp",
            " https://git.example/team/app ",
        ] {
            assert_eq!(
                judged(other).as_deref(),
                Some("https://git.example/team/app"),
                "{other}"
            );
        }
        for other in [
            "git@git.example:team/app.git",
            "ssh://git@git.example/team/app",
            "ssh://git@git.example:22/team/app.git",
            "ssh://other@git.example/team/app",
        ] {
            assert_eq!(
                judged(other).as_deref(),
                Some("ssh://git.example/team/app"),
                "{other}"
            );
        }
        assert_eq!(
            judged("oci://Registry.example:443//team/app.git").as_deref(),
            Some("oci://registry.example/team/app.git")
        );
        assert_eq!(
            judged("oci://registry.example:22/a").as_deref(),
            Some("oci://registry.example:22/a")
        );
        assert_eq!(
            judged("ssh://git@h:2222/a").as_deref(),
            Some("ssh://h:2222/a")
        );
        assert_eq!(
            judged("https://h/\u{d55c}\u{ae00}"),
            judged("https://h/%ED%95%9C%EA%B8%80")
        );
        assert_eq!(
            judged("http://[::1]:8080/a").as_deref(),
            Some("http://[::1]:8080/a")
        );
        assert_eq!(
            judged("file:///srv/a.git").as_deref(),
            Some("file:///srv/a")
        );
    }

    #[test]
    fn what_may_be_taken_for_two_places_has_none() {
        for bad in [
            r"https://good.example\@evil.example/a",
            r"https://good.example/team/..\secret",
            "https://good.example/team/../secret",
            "https://good.example/team/./app",
            "https://good.example/team/%2e%2e/secret",
            "https://good.example/team/%2E./secret",
            "https://good.example/team%5c..%5csecret",
            "https://good.example/team/..",
            "https://evil.example?.good.example/a",
            "https://evil.example#.good.example/a",
            "https://good.example/a%3fb",
            "https://good.example/a%00b",
            "https://good.example/a\nb",
            "https://0x7f.1/a",
            "https://2130706433/a",
            "https://ex\u{e4}mple/a",
            "https://%67ood.example/a",
            "git@good.example:team/../secret",
            "https:///a",
        ] {
            assert_eq!(judged(bad), None, "{bad}");
        }
    }

    #[test]
    fn patterns_have_the_same_form() {
        for (pattern, form) in [
            (
                "https://Git.example:443/team/*",
                "https://git.example/team/*",
            ),
            ("https://me@git.example/**", "https://git.example/**"),
            ("git@git.example:team/*", "ssh://git.example/team/*"),
            (
                "ssh://git@git.example/team/*.git",
                "ssh://git.example/team/*",
            ),
            ("https://{a,b}.example/[!x]*", "https://{a,b}.example/[!x]*"),
            ("*", "*"),
            ("**", "**"),
        ] {
            assert_eq!(judged_pattern(pattern), form);
        }
    }
}
