//! In which language a request is answered: what it asks for, else what its tenant prefers.

use domain::message::Language;
use domain::tenant::Tenant;
use http::{HeaderMap, header};

tokio::task_local! {
    static READER: Language;
}

/// The language for a request of a tenant.
pub(crate) fn of(headers: &HeaderMap, tenant: &Tenant) -> Language {
    headers
        .get(header::ACCEPT_LANGUAGE)
        .and_then(|value| Language::accepted(value.to_str().ok()?))
        .unwrap_or(tenant.settings.language)
}

/// Answers a request in a language.
pub(crate) async fn scope<F: Future>(language: Language, answer: F) -> F::Output {
    READER.scope(language, answer).await
}

/// The language of the request that is being answered. A stream lives on after its handler, and so asks beforehand.
pub(crate) fn current() -> Language {
    READER.try_with(|language| *language).unwrap_or_default()
}
