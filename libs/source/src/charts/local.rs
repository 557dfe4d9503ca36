//! The archive of a folder that somebody sends: its files as those of a commit, in no repository.

use domain::cause::Cause;
use domain::message;

use super::archive::{self, Layout, Packing};
use super::shelf::write_tree;
use crate::error::{Error, Kind};
use crate::git::Memory;

/// Unpacks the archive, without trusting any word in it, into objects that are in memory. Blocks.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn local(archive: &[u8]) -> Result<Memory, Error> {
    let files = archive::unpack(archive, Layout::Artifact, Packing::TarGzip).map_err(|reason| {
        let message = message::source::LOCAL_REFUSED.with("reason", reason);
        Error::new(Kind::Invalid, message)
    })?;
    Memory::new(|objects| write_tree(objects, files)).map_err(|error| {
        let message = message::source::LOCAL_REFUSED;
        let message = message.with("reason", "it has a file whose name is none");
        Error::of(
            Kind::Invalid,
            Cause::error(message).evidence(error.message()),
        )
    })
}
