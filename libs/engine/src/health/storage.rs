//! Volumes.

use domain::message;
use domain::resource::text;
use domain::status::HealthCode;
use serde_json::Value;

use super::{Health, cause};

pub(super) fn claim(object: &Value) -> Health {
    let name = text(object, &["metadata", "name"]);
    match text(object, &["status", "phase"]) {
        "Bound" => Health::healthy(""),
        "Pending" => {
            let class = match text(object, &["spec", "storageClassName"]) {
                "" => "default",
                class => class,
            };
            let message = message::health::CLAIM_PENDING
                .with("name", name)
                .with("class", class);
            Health::progressing("").because(cause(message, object))
        }
        "Lost" => Health::degraded("").because(cause(
            message::health::CLAIM_LOST.with("name", name),
            object,
        )),
        _ => Health::new(HealthCode::Unknown, ""),
    }
}
