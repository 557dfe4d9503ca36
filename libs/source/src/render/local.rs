//! A source whose repository's files somebody sends: rendered as they would be in a commit, and kept nowhere.

use bytes::Bytes;
use domain::message;
use tokio::runtime::Handle;

use super::renderer::{self, RenderInput, Rendered, Renderer};
use super::substitute;
use super::trees::Trees;
use crate::charts;
use crate::error::{Error, Kind};
use crate::git::Access;

/// What stands for the commit, as in Argo CD.
const REVISION: &str = "streamed";

impl Renderer {
    /// The manifests of a source from a tar archive, gzip, of its repository's files. `access` is asked for nothing of its
    /// own. A damaged mirror of another repository is fetched anew, once.
    ///
    /// # Errors
    /// When the archive is not one that is taken, or the source cannot be rendered; the error's cause says what to edit and
    /// where.
    #[tracing::instrument(name = "source.render_local", skip_all, fields(app = input.app_name))]
    pub async fn render_local(
        &self,
        access: &Access,
        archive: Vec<u8>,
        input: &RenderInput,
    ) -> Result<Rendered, Error> {
        substitute::check(&input.variables)?;
        Trees::check(&input.references)?;
        let archive = Bytes::from(archive);
        match self.try_local(access, archive.clone(), input).await {
            Err(error) if error.kind() == Kind::Corrupt => {
                tracing::warn!(tenant = access.tenant(), %error, "damaged mirrors are fetched anew");
                self.forget_others(input).await?;
                self.try_local(access, archive, input).await
            }
            result => result,
        }
    }

    async fn try_local(
        &self,
        access: &Access,
        archive: Bytes,
        input: &RenderInput,
    ) -> Result<Rendered, Error> {
        let (own, input, pool) = (access.clone(), input.clone(), self.pool().clone());
        let (mirrors, shelves, runtime) = (
            self.mirrors().clone(),
            self.charts().clone(),
            Handle::current(),
        );
        let rendering = tokio::task::spawn_blocking(move || {
            let folder = charts::local(&archive)?;
            let trees = Trees::new(&own, mirrors, runtime.clone(), &input);
            let rendered = renderer::render(
                &folder.files(),
                &trees,
                REVISION,
                &input,
                &shelves,
                &pool,
                &runtime,
            );
            rendered.map_err(|error| in_folder(error, &input))
        });
        rendering.await.map_err(Error::internal)?
    }
}

/// A failure in words for whoever sent the folder, who can push nothing to mend it.
fn in_folder(error: Error, input: &RenderInput) -> Error {
    if !error.cause().message.is(&message::source::PATH_MISSING) {
        return error;
    }
    let message = message::source::LOCAL_PATH_MISSING.with("path", input.text("path"));
    Error::new(Kind::NotFound, message)
}
