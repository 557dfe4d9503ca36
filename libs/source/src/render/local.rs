//! A source whose repository's files somebody sends: rendered as they would be in a commit, and kept nowhere.

use domain::message;
use tokio::runtime::Handle;

use super::renderer::{self, RenderInput, Rendered, Renderer};
use super::substitute;
use super::trees::Trees;
use crate::charts;
use crate::error::{Error, Kind};
use crate::git::{Access, Memory};

/// What stands for the commit, as in Argo CD.
const REVISION: &str = "streamed";

/// A folder that was sent, and what is held as long as it is in memory. It goes into each thread that reads it: a thread reads
/// on when nobody waits for it any more.
struct Sent<H> {
    folder: Memory,
    _held: H,
}

impl Renderer {
    /// The manifests of a source from a tar archive, gzip, of its repository's files. `access` is asked for nothing of its
    /// own, and `held` is dropped with the last of the folder. A damaged mirror of another repository is fetched anew, once.
    ///
    /// # Errors
    /// When the archive is not one that is taken, or the source cannot be rendered; the error's cause says what to edit and
    /// where.
    #[tracing::instrument(name = "source.render_local", skip_all, fields(app = input.app_name))]
    pub async fn render_local<H: Send + 'static>(
        &self,
        access: &Access,
        archive: Vec<u8>,
        held: H,
        input: &RenderInput,
    ) -> Result<Rendered, Error> {
        substitute::check(&input.variables)?;
        Trees::check(&input.references)?;
        // Its seat, too: nobody may wait for the thread any more.
        let held = (held, self.seat());
        let unpacking = tokio::task::spawn_blocking(move || {
            let folder = charts::local(&archive)?;
            Ok::<_, Error>(Sent {
                folder,
                _held: held,
            })
        });
        let sent = unpacking.await.map_err(Error::internal)??;
        let (sent, rendered) = self.try_local(access, sent, input).await?;
        match rendered {
            Err(error) if error.kind() == Kind::Corrupt => {
                tracing::warn!(tenant = access.tenant(), %error, "damaged mirrors are fetched anew");
                self.forget_others(input).await?;
                self.try_local(access, sent, input).await?.1
            }
            result => result,
        }
    }

    /// The render, with the folder for another.
    async fn try_local<H: Send + 'static>(
        &self,
        access: &Access,
        sent: Sent<H>,
        input: &RenderInput,
    ) -> Result<(Sent<H>, Result<Rendered, Error>), Error> {
        let (own, input, pool) = (access.clone(), input.clone(), self.pool().clone());
        let (mirrors, shelves, runtime) = (
            self.mirrors().clone(),
            self.charts().clone(),
            Handle::current(),
        );
        let seat = self.seat();
        let rendering = tokio::task::spawn_blocking(move || {
            let trees = Trees::new(&own, mirrors, runtime.clone(), &input, seat);
            let rendered = renderer::render(
                &sent.folder.files(),
                &trees,
                REVISION,
                &input,
                &shelves,
                &pool,
                &runtime,
            );
            let rendered = rendered.map_err(|error| in_folder(error, &input));
            (sent, rendered)
        });
        rendering.await.map_err(Error::internal)
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
