//! Links that lead out of the platform: what somebody wrote becomes something that a browser may follow, or nothing.

use url::Url;

/// What a title must not begin with: a client that does not split a link would take it for the address.
const ACTIVE: [&str; 5] = ["javascript:", "vbscript:", "data:", "file:", "blob:"];

/// The address of a link, as browsers read it: `http` or `https`, with a host and without a login. Anything else is no
/// link.
#[must_use]
pub fn address(text: &str) -> Option<String> {
    let url = Url::parse(text.trim()).ok()?;
    let plain = matches!(url.scheme(), "http" | "https")
        && url.host_str().is_some_and(|host| !host.is_empty())
        && url.username().is_empty()
        && url.password().is_none();
    plain.then(|| url.to_string())
}

/// A link as annotations write it: an address, or `title|address`. The parts are judged after they are split, since
/// that is how they are shown; a title that is not harmless is left out.
#[must_use]
pub fn annotated(text: &str) -> Option<String> {
    let Some((title, rest)) = text.split_once('|') else {
        return address(text).map(|_| text.trim().to_owned());
    };
    if rest.contains('|') {
        return None;
    }
    let address = address(rest)?;
    // As browsers do: control characters and space before a scheme count for nothing.
    let bare: String = title
        .chars()
        .filter(|c| !c.is_control() && !c.is_whitespace())
        .collect();
    let bare = bare.to_lowercase();
    let title: String = title.chars().filter(|c| !c.is_control()).collect();
    let harmless = !ACTIVE.iter().any(|scheme| bare.starts_with(scheme));
    Some(match harmless && !title.trim().is_empty() {
        true => format!("{}|{address}", title.trim()),
        false => address,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s08_only_web_addresses_are_links() {
        for good in [
            "https://a.example/x?y#z",
            "http://127.0.0.1:8080",
            "HTTPS://A.example",
            "https://한글.example/경로",
        ] {
            assert!(address(good).is_some(), "{good}");
        }
        for bad in [
            "",
            "javascript:alert(1)",
            "JaVaScRiPt:alert(1)",
            " javascript:alert(1)",
            "java\nscript:alert(1)",
            "\u{1}javascript:alert(1)",
            "javascript://a.example/%0aalert(1)",
            "data:text/html,<script>alert(1)</script>",
            "vbscript:x",
            "file:///etc/passwd",
            "blob:https://a.example/x",
            "//a.example",
            "/path",
            "a.example",
            "https://",
            "https://user@a.example",
            "https://a.example:b@evil.example",
            "ftp://a.example",
        ] {
            assert_eq!(address(bad), None, "{bad}");
            assert_eq!(annotated(bad), None, "{bad}");
            assert_eq!(annotated(&format!("title|{bad}")), None, "{bad}");
        }
    }

    #[test]
    fn s08_a_title_is_split_off_before_the_address_is_judged() {
        assert_eq!(
            annotated("Docs: API|https://a.example/x").as_deref(),
            Some("Docs: API|https://a.example/x")
        );
        assert_eq!(annotated("https://a.example/|javascript:alert(1)"), None);
        assert_eq!(
            annotated("javascript:alert(1)|https://a.example/").as_deref(),
            Some("https://a.example/")
        );
        assert_eq!(
            annotated("java\tscript:alert(1)|https://a.example/").as_deref(),
            Some("https://a.example/")
        );
        assert_eq!(annotated("a|https://b.example|javascript:c"), None);
        assert_eq!(
            annotated(" https://a.example ").as_deref(),
            Some("https://a.example")
        );
    }
}
