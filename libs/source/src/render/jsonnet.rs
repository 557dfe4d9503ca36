//! Jsonnet files of a plain directory, through a worker.

use domain::manifest::Manifest;
use domain::message;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::runtime::Handle;

use super::environment::Environment;
use super::reader::Reader;
use super::worker::{Job, WorkerPool};
use super::{ask, made, overrides};
use crate::error::Error;

/// An application's options, as Argo CD's ApplicationSourceJsonnet has them.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Options {
    ext_vars: Vec<Variable>,
    tlas: Vec<Variable>,
    libs: Vec<String>,
}

#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(default)]
struct Variable {
    name: String,
    value: String,
    code: bool,
}

/// Evaluates the Jsonnet files of one source.
pub(super) struct Jsonnet<'a> {
    folder: &'a str,
    options: Options,
    pool: &'a WorkerPool,
    runtime: &'a Handle,
}

impl<'a> Jsonnet<'a> {
    /// The options, with the build variables filled in where Argo CD does.
    pub(super) fn new(
        reader: &Reader<'_, '_>,
        folder: &'a str,
        options: Option<&Value>,
        environment: &Environment,
        pool: &'a WorkerPool,
        runtime: &'a Handle,
    ) -> Result<Self, Error> {
        let mut options = match options {
            Some(given) => overrides::options(given, "spec.source.directory.jsonnet")?,
            None => Options::default(),
        };
        for variable in options.ext_vars.iter_mut().chain(&mut options.tlas) {
            variable.value = environment.expand(&variable.value, reader);
        }
        Ok(Self {
            folder,
            options,
            pool,
            runtime,
        })
    }

    /// The objects of a file. Blocks; only on a thread where that is allowed.
    pub(super) fn evaluate(
        &self,
        reader: &Reader<'_, '_>,
        file: &str,
    ) -> Result<Vec<Manifest>, Error> {
        let Options {
            ext_vars,
            tlas,
            libs,
        } = &self.options;
        let jsonnet = json!({"file": file, "extVars": ext_vars, "tlas": tlas, "libs": libs});
        let job = Job::Jsonnet { jsonnet };
        let built = ask::run(reader, self.folder, &job, self.pool, self.runtime)?;
        let built = built.map_err(|failure| {
            made::explain(
                &failure,
                message::source::JSONNET_FAILED.with("path", file),
                reader,
            )
        })?;
        Ok(made::manifests(built.objects))
    }
}
