//! Whose a live object is, as an application that asks sees it.
//!
//! An object that names another tenant is never this one's, whatever else it says. A label without an installation id beside
//! it is a stranger's word: it counts for tenants that track by label alone, and there alone where nobody else can be.

use domain::resource::ResourceKey;
use domain::tracking::{Id, Marking, Marks, Method};
use serde_json::Value;

/// Whose a live object is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Owner {
    /// This application's.
    Ours,
    /// No application's.
    Nobody,
    /// Another application's of this tenant.
    App(String),
    /// Another tenant's, or another Argo CD's.
    Installation(String),
}

/// Where in a cluster nobody but the tenant can be.
#[derive(Clone, Copy, Debug, Default)]
pub enum Alone<'a> {
    /// Nowhere that is known.
    #[default]
    Nowhere,
    /// In these namespaces.
    Namespaces(&'a [String]),
    /// In the whole cluster, which the tenant has added.
    Everywhere,
}

impl Alone<'_> {
    fn is_at(self, namespace: &str) -> bool {
        match self {
            Self::Nowhere => false,
            Self::Namespaces(own) => own.iter().any(|name| name == namespace),
            Self::Everywhere => true,
        }
    }
}

/// The application that asks whose an object is.
#[derive(Clone, Copy, Debug)]
pub struct Claimant<'a> {
    /// Its tenant's name, which is the installation id.
    pub tenant: &'a str,
    /// Its name.
    pub app: &'a str,
    /// How its tenant's objects are marked.
    pub marking: &'a Marking,
    /// Where nobody but its tenant can be.
    pub alone: Alone<'a>,
}

impl<'a> Claimant<'a> {
    /// Whose an object is. What another object owns says that by its tracking id alone; `owned` is for bodies that do not
    /// name their owners.
    #[must_use]
    pub fn owner(&self, object: &Value, key: &ResourceKey, owned: bool) -> Owner {
        let mut marks = Marks::of(object, key);
        if owned {
            marks.label = None;
        }
        match marks.installation {
            Some(other) if other != self.tenant && marks.id != Id::Copied => {
                Owner::Installation(other.to_owned())
            }
            _ => match self.named(&marks, key) {
                Some(app) if app == self.app => Owner::Ours,
                Some(app) => Owner::App(app.to_owned()),
                None => Owner::Nobody,
            },
        }
    }

    /// The application of the tenant that an object is of.
    #[must_use]
    pub fn app_of<'o>(&self, object: &'o Value, key: &ResourceKey) -> Option<&'o str> {
        self.named(&Marks::of(object, key), key)
    }

    /// Whether a sync may delete an object in order to run its hook: one that the application made itself, or that an Argo
    /// CD made for the application of this name before it moved here.
    #[must_use]
    pub fn may_replace(&self, object: &Value, key: &ResourceKey) -> bool {
        let marks = Marks::of(object, key);
        let from_before = marks.installation.is_none() && marks.id == Id::Of(self.app);
        from_before || self.named(&marks, key) == Some(self.app)
    }

    /// The namespaces where a label counts that stands alone.
    #[must_use]
    pub fn by_label_alone(&self) -> Alone<'a> {
        match self.marking.method {
            Method::Label => self.alone,
            Method::Annotation | Method::AnnotationAndLabel => Alone::Nowhere,
        }
    }

    fn named<'o>(&self, marks: &Marks<'o>, key: &ResourceKey) -> Option<&'o str> {
        match marks.installation {
            Some(tenant) => marks.app().filter(|_| tenant == self.tenant),
            None if is_labelled_by_the_cluster(key) => None,
            None => marks
                .label_alone()
                .filter(|_| self.by_label_alone().is_at(&key.namespace)),
        }
    }
}

/// Kinds whose labels the cluster copies from other objects, without a word of who owns them: from a Service, from the
/// template of a `StatefulSet`.
fn is_labelled_by_the_cluster(key: &ResourceKey) -> bool {
    matches!(
        (key.group.as_str(), key.kind.as_str()),
        ("", "Endpoints" | "PersistentVolumeClaim") | ("discovery.k8s.io", "EndpointSlice")
    )
}

#[cfg(test)]
mod tests {
    use domain::resource::{INSTALLATION_ID, TRACKING_ID};
    use domain::tracking::LABEL;
    use serde_json::json;

    use super::*;

    fn object(kind: &str, id: &str, label: &str, installation: &str) -> Value {
        let mut object = json!({"apiVersion": "v1", "kind": kind,
            "metadata": {"name": "a", "namespace": "user01", "annotations": {}, "labels": {}}});
        let metadata = &mut object["metadata"];
        if !id.is_empty() {
            metadata["annotations"][TRACKING_ID] = json!(format!("{id}:/{kind}:user01/a"));
        }
        if !installation.is_empty() {
            metadata["annotations"][INSTALLATION_ID] = json!(installation);
        }
        if !label.is_empty() {
            metadata["labels"][LABEL] = json!(label);
        }
        object
    }

    fn owner(method: Method, alone: Alone<'_>, object: &Value) -> Owner {
        let marking = Marking {
            method,
            ..Marking::default()
        };
        let claimant = Claimant {
            tenant: "user01",
            app: "hello",
            marking: &marking,
            alone,
        };
        claimant.owner(object, &ResourceKey::of(object), false)
    }

    const ALL: [Method; 3] = [
        Method::Annotation,
        Method::Label,
        Method::AnnotationAndLabel,
    ];

    #[test]
    fn what_names_its_tenant_is_recognised_by_either_mark_whatever_the_method() {
        let theirs = Owner::Installation("user02".into());
        for method in ALL {
            let of = |id, label, installation| {
                let object = object("ConfigMap", id, label, installation);
                owner(method, Alone::Everywhere, &object)
            };
            assert_eq!(of("hello", "", "user01"), Owner::Ours);
            assert_eq!(of("", "hello", "user01"), Owner::Ours);
            assert_eq!(of("hello", "other", "user01"), Owner::Ours);
            assert_eq!(of("other", "hello", "user01"), Owner::App("other".into()));
            assert_eq!(of("", "other", "user01"), Owner::App("other".into()));
            assert_eq!(of("", "", "user01"), Owner::Nobody);
            for (id, label) in [("hello", ""), ("", "hello"), ("hello", "hello"), ("", "")] {
                assert_eq!(of(id, label, "user02"), theirs, "{method:?} {id} {label}");
            }
        }
    }

    #[test]
    fn a_label_alone_counts_by_label_and_where_nobody_else_can_be() {
        let own = ["user01".to_owned()];
        let elsewhere = ["user01-dev".to_owned()];
        let labelled = object("ConfigMap", "", "hello", "");
        assert_eq!(
            owner(Method::Label, Alone::Namespaces(&own), &labelled),
            Owner::Ours
        );
        assert_eq!(
            owner(Method::Label, Alone::Everywhere, &labelled),
            Owner::Ours
        );
        for alone in [Alone::Nowhere, Alone::Namespaces(&elsewhere)] {
            assert_eq!(owner(Method::Label, alone, &labelled), Owner::Nobody);
        }
        for method in [Method::Annotation, Method::AnnotationAndLabel] {
            assert_eq!(owner(method, Alone::Everywhere, &labelled), Owner::Nobody);
        }
        for kind in ["Endpoints", "PersistentVolumeClaim"] {
            let copied = object(kind, "", "hello", "");
            assert_eq!(
                owner(Method::Label, Alone::Everywhere, &copied),
                Owner::Nobody
            );
        }
        let mut owned = labelled.clone();
        owned["metadata"]["ownerReferences"] = json!([{"uid": "u"}]);
        assert_eq!(
            owner(Method::Label, Alone::Everywhere, &owned),
            Owner::Nobody
        );
        let another = object("ConfigMap", "other", "hello", "");
        assert_eq!(
            owner(Method::Label, Alone::Everywhere, &another),
            Owner::Nobody,
            "an Argo CD says otherwise"
        );
    }

    #[test]
    fn a_hook_replaces_what_the_application_made_or_an_argo_cd_before_it() {
        let marking = Marking::default();
        let claimant = Claimant {
            tenant: "user01",
            app: "hello",
            marking: &marking,
            alone: Alone::Nowhere,
        };
        let may = |id, label, installation| {
            let object = object("ConfigMap", id, label, installation);
            claimant.may_replace(&object, &ResourceKey::of(&object))
        };
        assert!(may("hello", "", "") && may("hello", "", "user01") && may("", "hello", "user01"));
        assert!(!may("", "hello", "") && !may("hello", "", "user02") && !may("", "", "user01"));
        assert!(!may("other", "hello", "user01") && !may("other", "", ""));
    }
}
