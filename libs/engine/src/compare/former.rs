//! What an earlier method of tracking left on an object, or did not write yet, is no difference, as in Argo CD: a tenant may
//! change the method, and the next sync writes the other mark.

use std::borrow::Cow;

use domain::resource::{INSTALLATION_ID, TRACKING_ID, annotation};
use domain::tracking::{self, LABEL};
use serde_json::Value;

/// Takes an earlier method's marks for those that are wanted, where the object is the application's by them. A target without
/// a tracking id is marked by label alone, and then Argo CD forgives nothing either.
pub(crate) fn forgiven(want: &Value, got: &mut Cow<'_, Value>) {
    let Some(id) = annotation(want, TRACKING_ID) else {
        return;
    };
    let Some((app, _)) = id.split_once(':') else {
        return;
    };
    let tenant = annotation(want, INSTALLATION_ID);
    let labelled = tracking::label(got).is_some_and(|label| label == tracking::cut(app));
    if !labelled || tenant.is_none() || annotation(got, INSTALLATION_ID) != tenant {
        return;
    }
    match annotation(got, TRACKING_ID) {
        None => {
            got.to_mut()["metadata"]["annotations"][TRACKING_ID] = Value::String(id.to_owned());
        }
        Some(there) if there == id => {}
        Some(_) => return,
    }
    if tracking::label(want).is_some() {
        return;
    }
    let Some(metadata) = got.to_mut()["metadata"].as_object_mut() else {
        return;
    };
    let labels = metadata.get_mut("labels").and_then(Value::as_object_mut);
    let emptied = labels.is_some_and(|labels| {
        labels.remove(LABEL);
        labels.is_empty()
    });
    if emptied {
        metadata.remove("labels");
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const ID: &str = "hello:/ConfigMap:user01/a";

    fn forgiven(want: &Value, got: &Value) -> Value {
        let mut got = Cow::Borrowed(got);
        super::forgiven(want, &mut got);
        got.into_owned()
    }

    fn object(id: Option<&str>, label: Option<&str>, tenant: &str) -> Value {
        let mut object =
            json!({"metadata": {"name": "a", "annotations": {INSTALLATION_ID: tenant}}});
        if let Some(id) = id {
            object["metadata"]["annotations"][TRACKING_ID] = json!(id);
        }
        if let Some(label) = label {
            object["metadata"]["labels"] = json!({LABEL: label});
        }
        object
    }

    #[test]
    fn the_label_of_before_stands_for_the_tracking_id_and_goes_with_the_next_sync() {
        let annotated = object(Some(ID), None, "t");
        let both = object(Some(ID), Some("hello"), "t");
        let labelled = object(None, Some("hello"), "t");
        assert_eq!(forgiven(&annotated, &labelled), annotated);
        assert_eq!(forgiven(&annotated, &both), annotated);
        assert_eq!(forgiven(&both, &labelled), both);
        // As in Argo CD these are OutOfSync until a sync.
        assert_eq!(forgiven(&both, &annotated), annotated);
        assert_eq!(forgiven(&labelled, &annotated), annotated);
        assert_eq!(forgiven(&labelled, &both), both);
        let mut more = both.clone();
        more["metadata"]["labels"]["team"] = json!("web");
        let mut kept = annotated.clone();
        kept["metadata"]["labels"] = json!({"team": "web"});
        assert_eq!(forgiven(&annotated, &more), kept);
    }

    #[test]
    fn what_another_has_is_a_difference() {
        let annotated = object(Some(ID), None, "t");
        for there in [
            object(Some("other:/ConfigMap:user01/a"), Some("hello"), "t"),
            object(None, Some("other"), "t"),
            object(None, Some("hello"), "another"),
            object(None, None, "t"),
        ] {
            assert_eq!(forgiven(&annotated, &there), there);
        }
        let mut alone = object(None, Some("hello"), "t");
        alone["metadata"]["annotations"] = json!({});
        assert_eq!(forgiven(&annotated, &alone), alone, "it names no tenant");
    }
}
