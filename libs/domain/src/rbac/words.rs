//! The words that policies and refusals are made of.

macro_rules! words {
    ($(#[$doc:meta])+ $name:ident { $($(#[$variant_doc:meta])+ $variant:ident = $word:literal),+ $(,)? }) => {
        $(#[$doc])+
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $name { $($(#[$variant_doc])+ $variant),+ }

        impl $name {
            /// The words that clients use, in the order in which refusals list them.
            pub const WORDS: &[&str] = &[$($word),+];

            /// The word that clients use.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }

            /// What a client's word means.
            #[must_use]
            pub fn parse(word: &str) -> Option<Self> {
                match word { $($word => Some(Self::$variant),)+ _ => None }
            }
        }
    };
}

words! {
    /// What a right is about.
    Resource {
        /// Clusters.
        Clusters = "clusters",
        /// Projects.
        Projects = "projects",
        /// Applications.
        Applications = "applications",
        /// Sets of applications.
        ApplicationSets = "applicationsets",
        /// Repositories.
        Repositories = "repositories",
        /// Repositories that are written to.
        WriteRepositories = "write-repositories",
        /// Certificates and host keys.
        Certificates = "certificates",
        /// Accounts.
        Accounts = "accounts",
        /// Signing keys.
        GpgKeys = "gpgkeys",
        /// Containers' logs.
        Logs = "logs",
        /// Terminals in containers.
        Exec = "exec",
        /// Extensions.
        Extensions = "extensions",
    }
}

words! {
    /// What a right allows.
    Action {
        /// Read.
        Get = "get",
        /// Make.
        Create = "create",
        /// Change.
        Update = "update",
        /// Remove.
        Delete = "delete",
        /// Deploy.
        Sync = "sync",
        /// Deploy something else than Git says.
        Override = "override",
        /// Run an action of a kind.
        Run = "action",
        /// Call an extension.
        Invoke = "invoke",
    }
}
