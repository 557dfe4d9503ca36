//! What opens a repository that an application uses, read at once: it is asked for with every sync.

use domain::certificate::Trust;
use domain::repository::{Repository, Template, normalize_url};
use sqlx::Row;

use crate::error::Result;
use crate::scope::{TenantScope, reading};
use crate::trust;

/// What opens repositories of a tenant, to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ways {
    /// The repository as it is connected, if it is.
    pub connected: Option<Repository>,
    /// The tenant's credential templates, by address.
    pub templates: Vec<Template>,
    /// Whom it trusts.
    pub trust: Trust,
}

impl TenantScope {
    /// What opens the repository at an address (in any spelling) for an application of a project: as
    /// [`Repositories::find_for`](crate::Repositories::find_for), [`Templates::list`](crate::Templates::list) and
    /// [`TrustStore::certificates`](crate::TrustStore::certificates), of one moment.
    ///
    /// # Errors
    /// When the database does not answer or credentials do not open.
    #[tracing::instrument(name = "db.ways.find", skip_all, fields(tenant = %self.tenant()))]
    pub async fn ways_into(&self, url: &str, project: &str) -> Result<Ways> {
        let statement = reading(&format!(
            "SELECT * FROM (
                 (SELECT 'repository' AS what, normalized, project, url, kind, name, sealed, insecure, enable_lfs
                  FROM naru.repositories WHERE normalized = $2 AND project IN ($3, '') ORDER BY project DESC LIMIT 1)
                 UNION ALL
                 SELECT 'template', normalized, NULL, url, kind, NULL, sealed, NULL, NULL
                 FROM naru.repository_templates WHERE NOT write
                 UNION ALL
                 SELECT t.object, t.key, NULL, t.value, NULL, NULL, NULL, NULL, NULL FROM ({}) t
             ) w ORDER BY normalized",
            trust::of_certificates()
        ));
        let rows = sqlx::query(&statement)
            .bind(self.setting())
            .bind(normalize_url(url))
            .bind(project)
            .fetch_all(self.store().pool())
            .await?;
        let (mut connected, mut templates, mut trusted) = (None, Vec::new(), Vec::new());
        for row in &rows {
            let what: String = row.try_get("what")?;
            match what.as_str() {
                "repository" => connected = Some(self.repositories().repository(row).await?),
                "template" => templates.push(self.templates(false).template(row).await?),
                _ => trusted.push((what, row.try_get("normalized")?, row.try_get("url")?)),
            }
        }
        Ok(Ways {
            connected,
            templates,
            trust: trust::certificates(trusted),
        })
    }
}
