//! Where the charts come from that a chart depends on, and which login opens that place.

use super::access::{Access, access};
use super::{Repository, Template, normalize_url};
use crate::certificate::Trust;

/// What a tenant has that may open such a place.
#[derive(Clone, Copy, Debug)]
pub struct Known<'a> {
    /// Its repositories.
    pub repositories: &'a [Repository],
    /// Its templates.
    pub templates: &'a [Template],
    /// Whom it trusts.
    pub trust: &'a Trust,
}

/// The address of a place as a chart writes it (`https://…`, `oci://…`, `@name` or `alias:name`), and how to get in: as the
/// chart repository at that address is connected, else with a template's login, else of a registry as a chart repository
/// above it is connected. Only what the project may use counts (`permits` says whether it may use an address, and of a
/// registry what lies below it); `None` for a name that no repository has.
///
/// A login for Git opens no place of charts.
#[must_use]
pub fn dependency(
    place: &str,
    project: &str,
    permits: impl Fn(&str, &str) -> bool,
    known: Known<'_>,
) -> Option<(String, Access)> {
    let ours = |one: &&Repository| {
        matches!(one.kind.as_str(), "helm" | "oci")
            && (one.project.is_empty() || one.project == project)
            && permits(&one.url, "")
    };
    // One of the project itself comes before one of all.
    let first = |fits: &dyn Fn(&Repository) -> bool| {
        let fitting = known.repositories.iter().filter(ours);
        fitting
            .filter(|one| fits(one))
            .max_by_key(|one| !one.project.is_empty())
    };
    let name = place.strip_prefix('@').or(place.strip_prefix("alias:"));
    if let Some(name) = name {
        let named = first(&|one| one.name == name)?;
        return Some(opened(&named.url, Some(named), known, false));
    }
    let registry = place.starts_with("oci://");
    let url = bare(place);
    let form = normalize_url(url);
    let same = first(&|one| normalize_url(bare(&one.url)) == form);
    if same.is_some() || !registry {
        return Some(opened_if(permits(place, ""), url, same, known, registry));
    }
    let permitted = permits(place, "");
    let (url, own) = opened_if(permitted, url, None, known, registry);
    // Above it, what the project may use reaches down to it; below it, it may use the place itself.
    let above = first(&|one| {
        let other = normalize_url(bare(&one.url));
        let reaches = match below(&other, &form) {
            Some(rest) => permits(&one.url, rest),
            None => permitted && below(&form, &other).is_some(),
        };
        (one.options.enable_oci || one.kind == "oci") && reaches
    });
    match above {
        Some(above) if own.scope.is_empty() => {
            let (_, theirs) = opened_if(permitted, &url, Some(above), known, true);
            Some((url, theirs))
        }
        _ => Some((url, own)),
    }
}

/// The rest of an address that is this one or lies below it.
fn below<'a>(above: &str, form: &'a str) -> Option<&'a str> {
    let rest = form.strip_prefix(above)?;
    match rest.strip_prefix('/') {
        None if !rest.is_empty() => None,
        below => Some(below.unwrap_or_default()),
    }
}

fn bare(url: &str) -> &str {
    url.strip_prefix("oci://").unwrap_or(url)
}

fn opened_if(
    permitted: bool,
    url: &str,
    connected: Option<&Repository>,
    known: Known<'_>,
    registry: bool,
) -> (String, Access) {
    let templates = if permitted { known.templates } else { &[] };
    opened(url, connected, Known { templates, ..known }, registry)
}

fn opened(
    url: &str,
    connected: Option<&Repository>,
    known: Known<'_>,
    registry: bool,
) -> (String, Access) {
    let charts = |one: &&Template| matches!(one.kind.as_str(), "helm" | "oci");
    let templates: Vec<Template> = known.templates.iter().filter(charts).cloned().collect();
    let mut access = access(url, connected, &templates, known.trust);
    "helm".clone_into(&mut access.kind);
    access.options.enable_oci |= registry;
    (bare(url).to_owned(), access)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::repository::{Credentials, Options};

    fn repository(url: &str, kind: &str, project: &str) -> Repository {
        Repository {
            url: url.into(),
            kind: kind.into(),
            name: format!("name-of-{project}"),
            project: project.into(),
            credentials: Credentials {
                username: format!("{url} {project}"),
                ..Credentials::default()
            },
            insecure: false,
            enable_lfs: false,
            options: Options {
                enable_oci: !url.contains("://"),
                ..Options::default()
            },
        }
    }

    #[test]
    fn only_what_the_project_may_use_opens_a_place_of_charts() {
        let repositories = [
            repository("https://charts.example/stable", "helm", ""),
            repository("https://charts.example/stable", "helm", "web"),
            repository("https://charts.example/team", "helm", "other"),
            repository("https://git.example/a", "git", ""),
            repository("registry.example/team", "helm", ""),
        ];
        let templates = ["git", "helm"].map(|kind| Template {
            url: format!("https://{kind}s.example"),
            kind: kind.into(),
            credentials: Credentials {
                username: format!("template of {kind}"),
                ..Credentials::default()
            },
            ..Template::default()
        });
        let trust = Trust::default();
        let known = Known {
            repositories: &repositories,
            templates: &templates,
            trust: &trust,
        };
        let user = |place: &str, permits: &dyn Fn(&str) -> bool| {
            let permits = |url: &str, _: &str| permits(url);
            dependency(place, "web", permits, known).map(|(url, access)| {
                assert_eq!(access.options.enable_oci, !url.contains("://"), "{url}");
                access.credentials.username
            })
        };
        let all = |_: &str| true;
        for (place, opens) in [
            (
                "https://charts.example/stable/",
                "https://charts.example/stable web",
            ),
            ("https://charts.example/team", ""),
            ("https://git.example/a", ""),
            ("https://gits.example/a", ""),
            ("https://helms.example/a", "template of helm"),
            ("oci://registry.example/team", "registry.example/team "),
            (
                "oci://registry.example/team/charts",
                "registry.example/team ",
            ),
            ("oci://registry.example.attacker.test/team", ""),
            ("@name-of-web", "https://charts.example/stable web"),
        ] {
            assert_eq!(user(place, &all).as_deref(), Some(opens), "{place}");
            let nothing = user(place, &|_| false);
            assert!(nothing.is_none_or(|user| user.is_empty()), "{place}");
        }
        // Only what the project permits, by whole segments, and not what lies above it.
        let team = |url: &str| url == "registry.example/team";
        for (place, opens) in [
            (
                "oci://registry.example/team/charts",
                "registry.example/team ",
            ),
            ("oci://registry.example/team-secret", ""),
            ("oci://registry.example", ""),
        ] {
            assert_eq!(user(place, &team).as_deref(), Some(opens), "{place}");
        }
        assert_eq!(user("@nobody", &all), None);
        assert_eq!(user("alias:name-of-other", &all), None);
    }
}
