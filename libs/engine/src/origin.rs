//! Where to edit what a cause is about: in the manifest that its object, or the workload above it, was made from.
//!
//! What the cluster says names an object, and a pod's name is one that nobody has written. Both were made from a manifest whose
//! file and lines are known.

use std::collections::HashMap;

use domain::cause::Cause;
use domain::message;
use domain::resource::ResourceKey;

use crate::health::Health;
use crate::lint;
use crate::prepare::Target;

/// Gives each cause of an object that names no place that of its manifest: the line of the field, where it names one.
pub fn locate(causes: &mut [Cause], targets: &[Target]) {
    if !causes.iter().any(unplaced) {
        return;
    }
    let targets = by_key(targets);
    for cause in causes.iter_mut().filter(|cause| unplaced(cause)) {
        let target = cause.resource.as_ref().and_then(|key| targets.get(key));
        if let Some(target) = target {
            let field = cause.field.clone().unwrap_or_default();
            place(cause, target, &field);
        }
    }
}

/// Gives each cause of an image that no pod can start the place where the workload's manifest has that image; that of the manifest
/// where it does not stand there as it runs.
pub fn locate_images(health: &mut HashMap<ResourceKey, Health>, targets: &[Target]) {
    if !health
        .values()
        .any(|health| health.causes.iter().any(is_of_image))
    {
        return;
    }
    let targets = by_key(targets);
    for (key, health) in health.iter_mut() {
        let Some(target) = targets.get(key) else {
            continue;
        };
        for cause in health.causes.iter_mut().filter(|cause| is_of_image(cause)) {
            let image = cause.message.arguments.get("image");
            let field = image.and_then(|image| lint::image_field(target, image));
            place(cause, target, &field.unwrap_or_default());
        }
    }
}

fn unplaced(cause: &Cause) -> bool {
    cause.location.is_none() && cause.resource.is_some()
}

fn is_of_image(cause: &Cause) -> bool {
    let codes = [
        message::health::IMAGE_PULL,
        message::health::INVALID_IMAGE_NAME,
    ];
    cause.location.is_none() && codes.iter().any(|code| cause.message.is(code))
}

fn place(cause: &mut Cause, target: &Target, field: &str) {
    cause.location = target.locate(field);
    cause.variable = target.variable(field);
}

fn by_key(targets: &[Target]) -> HashMap<&ResourceKey, &Target> {
    targets.iter().map(|target| (&target.key, target)).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use domain::cause::Location;
    use domain::status::HealthCode;
    use serde_json::json;

    use super::*;
    use crate::options::{Role, SyncOptions};

    const IMAGE: &str = "spec.template.spec.containers[0].image";

    /// A Deployment in `web.yaml` that begins in line 3 and names its image in line 20.
    fn target() -> Target {
        let object = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "namespace": "a"},
            "spec": {"template": {"spec": {"containers": [{"name": "main", "image": "nginx:1.277"}]}}}});
        Target {
            key: ResourceKey::of(&object),
            version: "v1".into(),
            object: Arc::new(object),
            hash: [0; 32],
            location: Some(Location {
                path: "web.yaml".into(),
                line: 3,
            }),
            lines: Arc::from([(IMAGE.to_owned(), 20)]),
            replaced: Arc::from([]),
            namespaced: true,
            known: true,
            options: SyncOptions::default(),
            wave: 0,
            role: Role::Ordinary,
            refused: None,
            forbidden_kind: false,
            outside: false,
        }
    }

    fn pod() -> ResourceKey {
        ResourceKey {
            kind: "Pod".into(),
            namespace: "a".into(),
            name: "web-6d4cf56db6-x2x9p".into(),
            ..ResourceKey::default()
        }
    }

    fn places(causes: &[Cause]) -> Vec<Option<String>> {
        let place = |cause: &Cause| cause.location.as_ref().map(ToString::to_string);
        causes.iter().map(place).collect()
    }

    #[test]
    fn what_the_cluster_refuses_is_where_its_manifest_has_it() {
        let target = target();
        let refused = || Cause::error(message::cluster::INVALID_OBJECT.message());
        let placed = Location {
            path: "other.yaml".into(),
            line: 1,
        };
        let mut causes = [
            refused().on(target.key.clone()).field(IMAGE),
            refused().on(target.key.clone()),
            refused().on(target.key.clone()).located(Some(placed)),
            refused().on(pod()),
            refused(),
        ];
        locate(&mut causes, &[target]);
        let expected = [
            Some("web.yaml:20"),
            Some("web.yaml:3"),
            Some("other.yaml:1"),
            None,
            None,
        ];
        assert_eq!(
            places(&causes),
            expected.map(|place| place.map(str::to_owned))
        );
    }

    #[test]
    fn an_image_that_a_pod_cannot_have_is_where_its_workloads_manifest_has_it() {
        let target = target();
        let reason = |code: message::Code, image: &str| {
            Cause::reason(code.with("image", image).with("pod", pod().name)).on(pod())
        };
        let fares = Health {
            code: HealthCode::Progressing,
            message: String::new(),
            causes: vec![
                reason(message::health::IMAGE_PULL, "nginx:1.277"),
                reason(message::health::INVALID_IMAGE_NAME, "nginx:1.277"),
                reason(message::health::IMAGE_PULL, "injected:1"),
                reason(message::health::CRASH_LOOP, "nginx:1.277"),
            ],
        };
        let mut health = HashMap::from([(target.key.clone(), fares.clone()), (pod(), fares)]);
        let workload = target.key.clone();
        locate_images(&mut health, &[target]);
        let expected = [
            Some("web.yaml:20"),
            Some("web.yaml:20"),
            Some("web.yaml:3"),
            None,
        ];
        assert_eq!(
            places(&health[&workload].causes),
            expected.map(|place| place.map(str::to_owned))
        );
        assert_eq!(places(&health[&pod()].causes), vec![None; 4]);
    }
}
