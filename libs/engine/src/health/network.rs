//! Service and Ingress.

use domain::message;
use domain::resource::{annotation, at, text};
use serde_json::Value;

use super::{Health, cause};

fn has_address(object: &Value) -> bool {
    at(object, &["status", "loadBalancer", "ingress"])
        .and_then(Value::as_array)
        .is_some_and(|list| !list.is_empty())
}

pub(super) fn service(object: &Value) -> Health {
    if text(object, &["spec", "type"]) != "LoadBalancer" || has_address(object) {
        return Health::healthy("");
    }
    let cause = cause(message::health::LOAD_BALANCER_PENDING.message(), object);
    Health::progressing("").because(cause.field("status.loadBalancer.ingress"))
}

pub(super) fn ingress(object: &Value) -> Health {
    if has_address(object) {
        return Health::healthy("");
    }
    let class = match text(object, &["spec", "ingressClassName"]) {
        "" => annotation(object, "kubernetes.io/ingress.class").unwrap_or("default"),
        class => class,
    };
    let cause = cause(
        message::health::INGRESS_WITHOUT_ADDRESS.with("class", class),
        object,
    );
    Health::progressing("").because(cause.field("status.loadBalancer.ingress"))
}
