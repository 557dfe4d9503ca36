//! What a tenant's settings say about rendering.

use serde::{Deserialize, Serialize};

use super::{Config, Object, check};
use crate::application::Source;
use crate::message::{Message, settings as say};

/// What a tenant's settings say about rendering, as those who render are told it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Rendering {
    /// Whether charts are rendered with Helm: `helm.enable`. Where not, their folders are plain ones.
    pub helm: bool,
    /// Whether kustomizations are built: `kustomize.enable`. Where not, their folders are plain ones.
    pub kustomize: bool,
    /// What `kustomize.buildOptions` asks for.
    pub build: BuildOptions,
    /// The schemes of addresses that may stand in a chart's `valueFiles`: `helm.valuesFileSchemes`.
    pub value_file_schemes: Vec<String>,
}

impl Rendering {
    /// Whether a tool is switched off that a source may have been rendered with: the one that it names, or any where it
    /// names none.
    #[must_use]
    pub fn switches_off(&self, source: &Source) -> bool {
        let Source {
            chart,
            kustomize,
            directory,
            helm,
            plugin,
            ..
        } = source;
        let named =
            kustomize.is_some() || directory.is_some() || helm.is_some() || plugin.is_some();
        let by_files = !named && chart.is_empty();
        let may_be_helm = by_files || helm.is_some() || !chart.is_empty();
        let may_be_kustomize = by_files || kustomize.is_some();
        (!self.helm && may_be_helm) || (!self.kustomize && may_be_kustomize)
    }
}

impl Default for Rendering {
    fn default() -> Self {
        Self {
            helm: true,
            kustomize: true,
            build: BuildOptions::default(),
            value_file_schemes: vec!["https".to_owned(), "http".to_owned()],
        }
    }
}

/// The options of `kustomize build` that change what comes out and start no program.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct BuildOptions {
    /// `--enable-helm`: a kustomization's `helmCharts` are rendered.
    pub enable_helm: bool,
    /// `--load-restrictor LoadRestrictionsNone`: a kustomization's files may be anywhere in its repository.
    pub load_anywhere: bool,
}

impl BuildOptions {
    /// Reads them as the command does.
    ///
    /// # Errors
    /// Which of them is not taken.
    pub fn parse(text: &str) -> Result<Self, Message> {
        let mut options = Self::default();
        let mut words = text.split_whitespace();
        while let Some(word) = words.next() {
            let refused = || say::BUILD_OPTION.with("option", word);
            let (name, value) = match word.split_once('=') {
                Some((name, value)) => (name, Some(value)),
                None => (word, None),
            };
            match name {
                "--enable-helm" => {
                    let given = value.map_or(Some(true), check::go_bool);
                    options.enable_helm = given.ok_or_else(refused)?;
                }
                "--load-restrictor" => match value.or_else(|| words.next()) {
                    Some("LoadRestrictionsNone") => options.load_anywhere = true,
                    Some("LoadRestrictionsRootOnly") => options.load_anywhere = false,
                    _ => return Err(refused()),
                },
                _ => return Err(refused()),
            }
        }
        Ok(options)
    }
}

impl Config {
    /// What it says about rendering.
    #[must_use]
    pub fn rendering(&self) -> Rendering {
        let otherwise = Rendering::default();
        let text = |key: &str| self.raw().text(&Object::Cm, key);
        let flag = |key: &str, default: bool| {
            let set = text(key).and_then(check::go_bool);
            set.unwrap_or(default)
        };
        let schemes = text("helm.valuesFileSchemes").map(|schemes| {
            let schemes = schemes.split(',').map(str::trim);
            let schemes = schemes.filter(|scheme| !scheme.is_empty());
            schemes.map(str::to_owned).collect()
        });
        let build = text("kustomize.buildOptions").map(BuildOptions::parse);
        Rendering {
            helm: flag("helm.enable", otherwise.helm),
            kustomize: flag("kustomize.enable", otherwise.kustomize),
            // What is stored was checked.
            build: build.and_then(Result::ok).unwrap_or_default(),
            value_file_schemes: schemes.unwrap_or(otherwise.value_file_schemes),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Raw;

    #[test]
    fn build_options_are_read_as_the_command_reads_them() {
        let taken = |text: &str| {
            let options = BuildOptions::parse(text).ok()?;
            Some((options.enable_helm, options.load_anywhere))
        };
        assert_eq!(taken(""), Some((false, false)));
        assert_eq!(taken(" --enable-helm "), Some((true, false)));
        assert_eq!(taken("--enable-helm=false"), Some((false, false)));
        for text in [
            "--load-restrictor LoadRestrictionsNone --enable-helm",
            "--enable-helm\t--load-restrictor=LoadRestrictionsNone",
        ] {
            assert_eq!(taken(text), Some((true, true)), "{text}");
        }
        for text in [
            "--enable-exec",
            "--enable-helm --enable-alpha-plugins",
            "--enable-helm=perhaps",
            "--load-restrictor",
            "--load-restrictor none",
            "--helm-command=/bin/sh",
            "--network",
            "-o /tmp/x",
            "elsewhere",
        ] {
            assert_eq!(taken(text), None, "{text}");
        }
    }

    #[test]
    fn settings_that_say_nothing_are_argo_cds_defaults() {
        let of = |pairs: &[(&str, &str)]| {
            let mut raw = Raw::default();
            for (key, text) in pairs {
                raw.set(&Object::Cm, key, text);
            }
            Config::from_raw(raw).rendering()
        };
        assert_eq!(of(&[]), Rendering::default());
        let said = of(&[
            ("helm.enable", "false"),
            ("kustomize.enable", "f"),
            ("kustomize.buildOptions", "--enable-helm"),
            ("helm.valuesFileSchemes", " https ,, s3"),
        ]);
        assert!(!said.helm && !said.kustomize && said.build.enable_helm);
        assert_eq!(said.value_file_schemes, ["https", "s3"]);
        let none = of(&[("helm.valuesFileSchemes", "")]);
        assert!(none.value_file_schemes.is_empty());
    }

    #[test]
    fn what_is_switched_off_may_have_made_what_names_no_tool() {
        let off = |helm: bool, kustomize: bool, source: serde_json::Value| {
            let rendering = Rendering {
                helm,
                kustomize,
                ..Rendering::default()
            };
            rendering.switches_off(&serde_json::from_value(source).unwrap())
        };
        let plain = || serde_json::json!({"path": "app"});
        let chart = || serde_json::json!({"chart": "app"});
        let with = |tool: &str| serde_json::json!({"path": "app", tool: {}});
        assert!(!off(true, true, plain()) && !off(true, true, with("helm")));
        assert!(off(false, true, plain()) && off(true, false, plain()));
        assert!(off(false, true, with("helm")) && !off(true, false, with("helm")));
        assert!(off(true, false, with("kustomize")) && !off(false, true, with("kustomize")));
        assert!(off(false, true, chart()) && !off(true, false, chart()));
        assert!(!off(false, false, with("directory")));
    }
}
