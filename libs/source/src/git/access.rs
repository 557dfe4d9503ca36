//! A repository's address and how to get in, checked before anything else sees it.

use domain::message;
use domain::repository::{Credentials, goes_directly, judged, without_login};
use domain::secret::{Redactor, Secret};
use url::Url;

use crate::error::{Error, Kind};

/// Which addresses an installation allows.
#[derive(Clone, Copy, Debug, Default)]
pub struct Rules {
    /// Whether `file://` is allowed: only where everybody who may name an address may also read this machine's files.
    pub files: bool,
}

/// How an address is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scheme {
    Http,
    Ssh,
    File,
}

/// What stands at an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// A Git repository.
    Git,
    /// A chart repository over HTTP, or a registry where its address is one.
    Charts {
        /// Whether it is a registry, however it is written.
        registry: bool,
        /// Whether the registry is spoken to without TLS.
        without_tls: bool,
    },
}

/// Who asks, and how they get in.
#[derive(Clone, Debug, Default)]
pub struct Login {
    /// Username, password, token, key.
    pub credentials: Credentials,
    /// Whether certificates and host keys go unchecked.
    pub insecure: bool,
    /// Known hosts lines for SSH.
    pub known_hosts: String,
    /// More certificate authorities, PEM.
    pub tls_ca: String,
    /// The proxy on the way, which may hold a login.
    pub proxy: Option<Secret>,
    /// The hosts that are reached without it.
    pub no_proxy: String,
}

/// A proxy on the way.
#[derive(Clone, Debug)]
pub(crate) struct Proxy {
    /// Its host, without brackets.
    pub(crate) host: String,
    pub(crate) port: u16,
    /// The whole address.
    pub(crate) url: Secret,
    /// Its password, as it is written and as it is meant.
    passwords: Vec<Secret>,
}

/// A repository, and how to get in.
#[derive(Clone, Debug)]
pub struct Access {
    pub(crate) tenant: String,
    pub(crate) scope: String,
    /// The address, without a login in it.
    pub(crate) url: String,
    pub(crate) scheme: Scheme,
    pub(crate) login: Login,
    registry: bool,
    /// The address for people: of a registry without a scheme.
    shown: String,
    /// Whether the login goes to other hosts that an index names.
    pass_credentials: bool,
    /// What it is reached through.
    pub(crate) through: Option<Proxy>,
}

impl Access {
    /// Checks an address; a login written into it moves to the credentials, where it is not shown.
    ///
    /// `tenant` and `scope` (the credential's name, never its content) key the mirror.
    ///
    /// # Errors
    /// When the address is of a form that is not allowed.
    pub fn new(
        tenant: &str,
        scope: &str,
        url: &str,
        mut login: Login,
        rules: Rules,
    ) -> Result<Self, Error> {
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '-';
        if tenant.is_empty()
            || tenant.len() > 64
            || !tenant.chars().all(plain)
            || tenant.starts_with('-')
        {
            return Err(Error::internal("the request names no tenant"));
        }
        let (url, scheme) = parse(url.trim(), &mut login.credentials, rules)?;
        // A line break in one of these would end a header, or an answer to Git, and begin another.
        let credentials = &login.credentials;
        let parts = [&credentials.password, &credentials.bearer_token];
        let parts = parts.into_iter().flatten().map(|part| part.expose_str());
        if parts
            .chain([credentials.username.as_str()])
            .any(|part| part.chars().any(char::is_control))
        {
            return Err(Error::new(
                Kind::Invalid,
                message::source::LOGIN_WITH_CONTROL_CHARACTERS.with("url", &url),
            ));
        }
        let mut access = Self {
            tenant: tenant.to_owned(),
            scope: scope.to_owned(),
            shown: url.clone(),
            url,
            scheme,
            login,
            registry: false,
            pass_credentials: false,
            through: None,
        };
        access.through = access.proxy()?;
        Ok(access)
    }

    /// As [`Access::new`], for what stands there.
    ///
    /// # Errors
    /// When the address is of a form that is not allowed.
    pub fn at(
        tenant: &str,
        scope: &str,
        url: &str,
        login: Login,
        rules: Rules,
        place: Place,
    ) -> Result<Self, Error> {
        let url = url.trim();
        let Place::Charts {
            registry,
            without_tls,
        } = place
        else {
            return Self::new(tenant, scope, url, login, rules);
        };
        let bare = url.strip_prefix("oci://").unwrap_or(url);
        if !registry && bare.contains("://") {
            let access = Self::new(tenant, scope, url, login, Rules::default())?;
            return match access.scheme {
                Scheme::Http => Ok(access),
                Scheme::Ssh | Scheme::File => Err(address_refused(url)),
            };
        }
        let name = bare.split_once('/').map_or("", |(_, name)| name);
        let name = name.trim_end_matches('/');
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '/');
        if bare.contains("://") || bare.contains('@') || !name.chars().all(plain) {
            let shown = without_login(url);
            return Err(Error::new(
                Kind::Invalid,
                message::chart::REGISTRY_ADDRESS.with("url", shown),
            ));
        }
        let scheme = if without_tls { "http" } else { "https" };
        let written = url;
        let url = format!("{scheme}://{}", bare.trim_end_matches('/'));
        let access = Self::new(tenant, scope, &url, login, Rules::default())?;
        Ok(Self {
            registry: true,
            // As it is written: an artifact's address begins with oci://.
            shown: written.trim_end_matches('/').to_owned(),
            ..access
        })
    }

    /// Lets the login go to other hosts that an index names, as the application asks for.
    #[must_use]
    pub fn passing_credentials(self, pass_credentials: bool) -> Self {
        Self {
            pass_credentials,
            ..self
        }
    }

    /// Another host, where nothing of this login, its certificate and its trust is known.
    ///
    /// # Errors
    /// When the proxy on the way, if there is one, cannot be used for it.
    pub(crate) fn elsewhere(&self, url: &Url) -> Result<Self, Error> {
        let mut there = Self {
            url: url.to_string(),
            scheme: Scheme::Http,
            login: Login {
                proxy: self.login.proxy.clone(),
                no_proxy: self.login.no_proxy.clone(),
                ..Login::default()
            },
            registry: true,
            ..self.clone()
        };
        there.through = there.proxy()?;
        Ok(there)
    }

    /// Whether it is an OCI registry.
    pub(crate) fn is_registry(&self) -> bool {
        self.registry
    }

    /// The address for people.
    pub(crate) fn shown(&self) -> &str {
        &self.shown
    }

    pub(crate) fn passes_credentials(&self) -> bool {
        self.pass_credentials
    }

    /// The address, without a login in it.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The tenant.
    #[must_use]
    pub fn tenant(&self) -> &str {
        &self.tenant
    }

    /// The credential's name.
    #[must_use]
    pub fn scope(&self) -> &str {
        &self.scope
    }

    /// Why the server does not let this login in.
    pub(crate) fn not_let_in(&self) -> &'static message::Code {
        match self.login.credentials.is_empty() {
            true => &message::source::LOGIN_NEEDED,
            false => &message::source::LOGIN_REFUSED,
        }
    }

    /// Takes the secrets out of anything that a child or a server says.
    pub(crate) fn redactor(&self) -> Redactor {
        let credentials = &self.login.credentials;
        // As basic authentication sends them.
        let pair = credentials.password.as_ref().map(|password| {
            Secret::from(format!(
                "{}:{}",
                credentials.username,
                password.expose_str()
            ))
        });
        let proxy = self.through.iter();
        let proxy = proxy.flat_map(|proxy| [&proxy.url].into_iter().chain(&proxy.passwords));
        Redactor::new(credentials.secrets().chain(&pair).chain(proxy))
    }

    /// The proxy, if it is gone through.
    fn proxy(&self) -> Result<Option<Proxy>, Error> {
        let (Some(proxy), Some((host, port))) = (&self.login.proxy, self.target()) else {
            return Ok(None);
        };
        if goes_directly(&self.login.no_proxy, &host, port) {
            return Ok(None);
        }
        let unusable = || {
            let message = message::source::PROXY_UNUSABLE.with("url", &self.url);
            Error::new(Kind::Invalid, message)
        };
        let text = proxy.expose_str();
        if self.scheme != Scheme::Http || text.chars().any(|c| c.is_control() || c == ' ') {
            return Err(unusable());
        }
        let url = Url::parse(text).map_err(|_| unusable())?;
        let known = matches!(url.scheme(), "http" | "https");
        let host = url.host_str().filter(|host| known && host_like(host));
        let host = host.ok_or_else(unusable)?.trim_matches(['[', ']']);
        let written = url.password().unwrap_or_default();
        let meant = percent_encoding::percent_decode_str(written).decode_utf8_lossy();
        let passwords = [written, &*meant]
            .into_iter()
            .filter(|text| !text.is_empty());
        Ok(Some(Proxy {
            host: host.to_owned(),
            // A proxy's usual port is that of its scheme here; curl's is another.
            port: url.port_or_known_default().unwrap_or(80),
            passwords: passwords.map(Secret::from).collect(),
            url: {
                let mut whole = url.clone();
                let _ = whole.set_port(url.port_or_known_default());
                Secret::from(whole.to_string())
            },
        }))
    }
}

fn address_refused(url: &str) -> Error {
    let message = message::source::ADDRESS_REFUSED.with("url", without_login(url));
    Error::new(Kind::Invalid, message)
}

fn parse(
    text: &str,
    credentials: &mut Credentials,
    rules: Rules,
) -> Result<(String, Scheme), Error> {
    // What is refused may hold a login; show the address without it.
    let shown = match text.split_once("://") {
        Some((scheme, rest)) => match rest.rsplit_once('@') {
            Some((_, host)) => format!("{scheme}://{host}"),
            None => text.to_owned(),
        },
        None => text.to_owned(),
    };
    let refused = || {
        let shown: String = shown
            .chars()
            .filter(|c| !c.is_control())
            .take(200)
            .collect();
        Error::new(
            Kind::Invalid,
            message::source::ADDRESS_REFUSED.with("url", shown),
        )
    };
    if text.is_empty()
        || text.len() > 2000
        || text.starts_with('-')
        || text.chars().any(|c| c.is_control() || c == ' ')
    {
        return Err(refused());
    }
    // Projects are asked about this form; what has none is nowhere permitted.
    let form = judged(text).ok_or_else(refused)?;
    let Some((scheme, _)) = text.split_once("://") else {
        // user@host:path, as scp has it.
        let (host, path) = text.split_once(':').ok_or_else(refused)?;
        let (user, host) = host.split_once('@').ok_or_else(refused)?;
        if option_like(user) || !host_like(host) || option_like(path) || path.starts_with(':') {
            return Err(refused());
        }
        return Ok((text.to_owned(), Scheme::Ssh));
    };
    let mut url = Url::parse(text).map_err(|_| refused())?;
    let scheme = match scheme.to_ascii_lowercase().as_str() {
        "http" | "https" => Scheme::Http,
        "ssh" => Scheme::Ssh,
        "file" if rules.files => Scheme::File,
        _ => return Err(refused()),
    };
    if url.fragment().is_some() {
        return Err(refused());
    }
    if judged(url.as_str()).as_ref() != Some(&form) {
        return Err(refused());
    }
    if scheme == Scheme::File {
        let local = url.host_str().is_none_or(str::is_empty);
        return if local && url.query().is_none() {
            Ok((url.to_string(), scheme))
        } else {
            Err(refused())
        };
    }
    if !url.host_str().is_some_and(host_like) || option_like(url.username()) {
        return Err(refused());
    }
    let decode = |text: &str| {
        percent_encoding::percent_decode_str(text)
            .decode_utf8_lossy()
            .into_owned()
    };
    if scheme == Scheme::Http {
        if !url.username().is_empty() && credentials.username.is_empty() {
            credentials.username = decode(url.username());
        }
        if let Some(password) = url.password()
            && credentials.password.is_none()
        {
            credentials.password = Some(Secret::from(decode(password)));
        }
        url.set_username("").map_err(|()| refused())?;
    }
    url.set_password(None).map_err(|()| refused())?;
    Ok((url.to_string(), scheme))
}

fn option_like(text: &str) -> bool {
    text.starts_with('-')
}

fn host_like(host: &str) -> bool {
    let inner =
        |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':' | '[' | ']');
    !host.is_empty() && !option_like(host) && host.chars().all(inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn access(url: &str, files: bool) -> Result<Access, Error> {
        Access::new("t", "", url, Login::default(), Rules { files })
    }

    #[test]
    fn only_addresses_of_known_forms_pass() {
        for good in [
            "https://h/a.git",
            "http://127.0.0.1:8080/a",
            "ssh://git@h:2222/a",
            "git@h:a/b.git",
        ] {
            assert!(access(good, false).is_ok(), "{good}");
        }
        let bad = [
            "",
            "-oProxyCommand=x",
            "ext::sh -c x",
            "git://h/a",
            "ftp://h/a",
            "ssh://-oProxyCommand=x/a",
            "-u@h:a",
            "git@-h:a",
            "git@h:-x",
            "https://h/a\nb",
            "https://h/a b",
            "/etc",
            "file:///etc",
            "h:path",
            "fd::17",
            "git@h::a",
            r"https://h/team/..\secret",
            "https://h/team/../secret",
            "https://h/team/%2e%2e/secret",
            "https://h/a?b",
            "https://0x7f.1/a",
            "git@h:team/../secret",
        ];
        for bad in bad {
            assert!(access(bad, false).is_err(), "{bad}");
        }
        assert!(access("file:///srv/a.git", true).is_ok());
        assert!(access("file://host/srv/a.git", true).is_err());
    }

    #[test]
    fn a_login_in_the_address_is_taken_out_of_it() {
        let access = access("https://me:pa%24s@h/a.git", false).unwrap();
        assert_eq!(access.url(), "https://h/a.git");
        assert_eq!(access.login.credentials.username, "me");
        assert_eq!(
            access.login.credentials.password,
            Some(Secret::from("pa$s"))
        );
        let said = access
            .redactor()
            .redact("fatal: pa$s, Basic bWU6cGEkcw== refused");
        assert_eq!(said, "fatal: ++++++++, Basic ++++++++ refused");
        let error = self::access("gopher://me:hunter2@h/a", false).unwrap_err();
        assert!(!error.to_string().contains("hunter2"), "{error}");
    }
}
