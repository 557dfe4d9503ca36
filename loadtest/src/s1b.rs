//! S1b: cold sync of applications of ten objects, as Helm charts and as kustomizations.
//!
//! As S1, each way by itself: each application has a chart, or a kustomization, of its own. The floor is server-side applies of
//! objects like these, taken before in the same run.

use std::fs;

use clap::Args;

use crate::Target;
use crate::client::Client;
use crate::floor;
use crate::git::Clone;
use crate::objects::{self, Naming};
use crate::report::{Report, progress};
use crate::s1::cold_sync;

/// How much of it.
#[derive(Args)]
pub(crate) struct Options {
    /// Applications, each way.
    #[arg(long, default_value_t = 200)]
    apps: usize,
    /// Sync requests at a time.
    #[arg(long, default_value_t = 32)]
    clients: usize,
    /// Leave the applications there afterwards.
    #[arg(long)]
    keep: bool,
}

/// What [`objects::ten`] gives.
const OBJECTS: usize = 10;

/// What renders.
#[derive(Clone, Copy)]
enum Tool {
    Helm,
    Kustomize,
}

impl Tool {
    fn name(self) -> &'static str {
        match self {
            Self::Helm => "Helm",
            Self::Kustomize => "Kustomize",
        }
    }

    /// Writes an application's folder.
    fn write(self, clone: &Clone, name: &str) -> anyhow::Result<()> {
        let folder = clone.path().join("load").join(name);
        fs::create_dir_all(&folder)?;
        match self {
            Self::Helm => {
                let naming = Naming {
                    prefix: "{{ .Release.Name }}-",
                    app: "{{ .Release.Name }}",
                    label: "app",
                };
                let chart = format!("apiVersion: v2\nname: {name}\nversion: 1.0.0\n");
                fs::write(folder.join("Chart.yaml"), chart)?;
                fs::create_dir_all(folder.join("templates"))?;
                objects::write(
                    &folder.join("templates/objects.yaml"),
                    &objects::ten(&naming),
                )?;
            }
            Self::Kustomize => {
                let naming = Naming {
                    prefix: "",
                    app: name,
                    label: "app",
                };
                let text = format!("namePrefix: {name}-\nresources: [objects.yaml]\n");
                fs::write(folder.join("kustomization.yaml"), text)?;
                objects::write(&folder.join("objects.yaml"), &objects::ten(&naming))?;
            }
        }
        Ok(())
    }
}

pub(crate) async fn run(target: &Target, options: &Options) -> anyhow::Result<Report> {
    let client = Client::login(target).await?;
    let clone = Clone::of(target).await?;
    let floor = floor::applies(target, options.apps, |name| {
        objects::ten(&Naming {
            prefix: &format!("{name}-"),
            app: name,
            label: "floor",
        })
    })
    .await?;
    let mut report = Report::new("S1b");
    report.add("applications, each way", options.apps);
    report.add("objects per application", OBJECTS);
    for tool in [Tool::Helm, Tool::Kustomize] {
        progress(tool.name());
        let names: Vec<String> = (0..options.apps)
            .map(|n| format!("s1b-{}-{n:05}", tool.name().to_lowercase()))
            .collect();
        for name in &names {
            tool.write(&clone, name)?;
        }
        clone.push("applications for a load run").await?;
        let cold = cold_sync(target, &client, &names, options.clients).await?;
        report.section(tool.name());
        cold.report(target, &mut report, (options.apps, OBJECTS), Some(floor));
        if !options.keep {
            progress("deleting the applications");
            client.delete_apps(&names).await?;
            clone.remove(&names).await?;
        }
    }
    Ok(report)
}
